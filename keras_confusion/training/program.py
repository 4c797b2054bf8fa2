"""The compiled training loop: traced once, reused for every network of a study."""

from collections.abc import Sequence

import keras
import numpy as np
import tensorflow as tf

from keras_confusion.datasets import labelled_dataset
from keras_confusion.execution import runtime
from keras_confusion.training.packing import packed_model
from keras_confusion.training.recipes import Recipe


class TrainingProgram:
    """The compiled loops of one network, or of a pack.

    Args:
        model: One network; it is the one that is trained if there is only one.
        recipe: A `recipes.Recipe`.
        num_steps: Steps of a whole training.
        num_networks: Networks that are trained at a time, M.
        shared_images: Whether they see the same images at the same time.
    """

    def __init__(
        self,
        model: keras.Model,
        recipe: Recipe,
        num_steps: int,
        *,
        num_networks: int,
        shared_images: bool,
    ):
        self._batch_size = recipe.batch_size
        self._num_networks = num_networks
        self._shared_images = shared_images or num_networks == 1
        # XLA makes packs of one program what they are for. On a CPU it is slower.
        compiled = num_networks > 1 and runtime.num_gpus() > 0
        self.model = model
        if num_networks > 1:
            self.model = packed_model.pack_model(
                model,
                num_networks,
                batch_size=recipe.batch_size,
                shared_images=shared_images,
                compiled=compiled,
            )
        self.optimizer = recipe.build_optimizer(num_steps)
        self.optimizer.build(self.model.trainable_variables)
        self._optimizer_start = [
            variable.numpy() for variable in self.optimizer.variables
        ]
        self.train_epoch = tf.function(self._train_epoch, jit_compile=compiled)
        self.train_on_stream = tf.function(self._train_on_stream, reduce_retracing=True)
        self.logits = tf.function(self._logits, jit_compile=compiled)

    def reset(self, initial_values: Sequence[Sequence[np.ndarray]]) -> None:
        """Begins again, from the given weights of every network."""
        values = packed_model.stack_values(self.model, initial_values)
        for variable, value in zip(self.model.variables, values, strict=True):
            variable.assign(value)
        for variable, value in zip(
            self.optimizer.variables, self._optimizer_start, strict=True
        ):
            variable.assign(value)

    def _train_epoch(self, images, order, labels):
        """Mean losses `(M,)` of an epoch.

        Args:
            images: All training images as they are stored, `(n, h, w, c)`, or token
                sequences, `(n, length)`.
            order: int32 `(n, 1)`, or `(n, M)` where each network has its own.
            labels: int32 `(n, M)`.
        """
        num_train, batch_size = order.shape[0], self._batch_size
        num_steps, num_left = divmod(num_train, batch_size)
        total = tf.zeros((self._num_networks,))
        for step in tf.range(num_steps):
            # Of a size that is known beforehand, as XLA needs it.
            batch = tf.slice(
                order, (step * batch_size, 0), (batch_size, order.shape[1])
            )
            losses = self._train_step(*self._gather(images, batch, labels))
            total += losses * float(batch_size)
        if num_left:
            batch = order[num_steps * batch_size :]
            losses = self._train_step(*self._gather(images, batch, labels))
            total += losses * float(num_left)
        return total / float(num_train)

    def _gather(self, images, batch, labels):
        """Images `(batch, h, w, channels)` or tokens, and labels `(batch, M)`."""
        if self._shared_images:
            batch = batch[:, 0]
            gathered = labelled_dataset.to_unit_range(tf.gather(images, batch))
            return gathered, tf.gather(labels, batch)
        gathered = labelled_dataset.to_unit_range(tf.gather(images, batch))
        # (batch, M, h, w, c): the networks' channels go beside each other.
        network_images = tf.transpose(gathered, (0, 2, 3, 1, 4))
        _, height, width, num_networks, channels = network_images.shape
        shape = (-1, height, width, num_networks * channels)
        places = batch * num_networks + tf.range(num_networks)
        batch_labels = tf.gather(tf.reshape(labels, (-1,)), places)
        return tf.reshape(network_images, shape), batch_labels

    def _train_on_stream(self, batches):
        total, num_examples = tf.zeros((1,)), tf.zeros(())
        for _, images, labels in batches:
            batch_size = tf.cast(tf.size(labels), tf.float32)
            total += self._train_step(images, labels[:, None]) * batch_size
            num_examples += batch_size
        return total / num_examples

    def _train_step(self, images, labels):
        """One step of every network; their mean losses before it, `(M,)`."""
        with tf.GradientTape() as tape:
            logits = self._network_logits(images, training=True)
            losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)
            losses = tf.reduce_mean(losses, axis=0)
            # Only a model that is not packed has penalties.
            for penalty in self.model.losses:
                losses += tf.cast(penalty, tf.float32)
            # A network's gradient is that of its own loss.
            loss = tf.reduce_sum(losses)
        variables = self.model.trainable_variables
        self.optimizer.apply(tape.gradient(loss, variables), variables)
        return losses

    def _logits(self, images):
        """Logits `(batch, M, K)` of images that all networks see."""
        images = labelled_dataset.to_unit_range(images)
        if not self._shared_images:
            images = tf.tile(images, (1, 1, 1, self._num_networks))
        return self._network_logits(images, training=False)

    def _network_logits(self, images, *, training: bool):
        logits = tf.cast(self.model(images, training=training), tf.float32)
        num_classes = logits.shape[-1] // self._num_networks
        return tf.reshape(logits, (-1, self._num_networks, num_classes))
