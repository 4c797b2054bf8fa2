"""The compiled training loop: traced once, reused for every network of a study."""

import functools
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

from keras_confusion import datasets, models
from keras_confusion.errors import NonFiniteLossError
from keras_confusion.recipes import Recipe

EVALUATION_BATCH_SIZE = 500
SHUFFLE_BUFFER_BYTES = 2**30


class Trainer:
    """Trains one network after another on one data set, in one compiled program.

    Args:
        dataset: A `datasets.ImageDataset`.
        model: A model name or function, see `models.build_model`.
        recipe: A `recipes.Recipe`.
        epochs: Passes over the training set, at least 1.
        dtype_policy: "float32" or "mixed_bfloat16".
        streaming: Reads images from the tf.data pipeline in every epoch instead of
            holding them in memory.
    """

    def __init__(
        self,
        dataset: datasets.ImageDataset,
        model: str | models.ModelFunction = "cnn",
        *,
        recipe: Recipe,
        epochs: int,
        dtype_policy: str = "float32",
        streaming: bool = False,
    ):
        self.dataset = dataset
        self.recipe = recipe
        self.epochs = epochs
        self.streaming = streaming
        self._build = functools.partial(
            models.build_model,
            model,
            num_classes=dataset.num_classes,
            input_shape=dataset.image_shape,
            dtype_policy=dtype_policy,
        )
        self.model = self._build(seed=0)
        self._optimizer = self._build_optimizer()
        self._optimizer_start = [
            variable.numpy() for variable in self._optimizer.variables
        ]
        # All arms of a repeat start from the same weights: build them once.
        self._initial_values = functools.lru_cache(maxsize=1)(self._draw_initial_values)
        if not streaming:
            train_images, _ = dataset.train.arrays()
            test_images, _ = dataset.test.arrays()
            self._train_images = tf.constant(train_images)
            self._test_images = tf.constant(test_images)

    def train(
        self,
        *,
        initialisation_seed: int,
        order_seed: int,
        corrupt: Callable[[tf.data.Dataset], tf.data.Dataset] | None = None,
    ) -> list[float]:
        """Trains `self.model` from new initial weights.

        Args:
            initialisation_seed: Integer from which the initial weights are drawn.
            order_seed: Integer from which the order of every epoch is drawn.
            corrupt: A tf.data transformation of elements `(index, ..., label)` that
                defines the training labels, see `corruption.corrupt_labels`. `None`
                trains on the true labels.

        Returns:
            The mean training loss of every epoch, in nats.

        Raises:
            NonFiniteLossError: If the loss of an epoch is not finite.
        """
        self._reset(initialisation_seed)
        if self.streaming:
            examples = self.dataset.train.dataset()
            examples = corrupt(examples) if corrupt else examples
        else:
            labels = tf.constant(self._materialised_labels(corrupt))
        epoch_losses: list[float] = []
        for epoch in range(self.epochs):
            if self.streaming:
                loss = self._train_epoch_from_stream(
                    self._shuffled_batches(examples, order_seed, epoch)
                )
            else:
                order = epoch_order(len(labels), order_seed, epoch)
                loss = self._train_epoch_from_memory(
                    tf.constant(order, tf.int32), labels
                )
            epoch_losses.append(float(loss))
            if not np.isfinite(epoch_losses[-1]):
                raise NonFiniteLossError(
                    f"The training loss was {epoch_losses[-1]} in epoch {epoch + 1} "
                    f"of {self.epochs}."
                )
        return epoch_losses

    def test_logits(self) -> np.ndarray:
        """Returns the logits of every test example, float32 `(num_test, K)`."""
        if not self.streaming:
            return self._test_logits_from_memory().numpy()
        batches = self.dataset.test.dataset().batch(EVALUATION_BATCH_SIZE)
        return np.concatenate(
            [self._logits(images).numpy() for _, images, _ in batches]
        )

    def _build_optimizer(self) -> keras.optimizers.Optimizer:
        steps_per_epoch = -(-self.dataset.train.num_examples // self.recipe.batch_size)
        optimizer = self.recipe.build_optimizer(self.epochs * steps_per_epoch)
        optimizer.build(self.model.trainable_variables)
        return optimizer

    def _draw_initial_values(self, seed: int) -> list[np.ndarray]:
        return [variable.numpy() for variable in self._build(seed=seed).variables]

    def _reset(self, seed: int) -> None:
        for variable, value in zip(
            self.model.variables, self._initial_values(seed), strict=True
        ):
            variable.assign(value)
        for variable, value in zip(
            self._optimizer.variables, self._optimizer_start, strict=True
        ):
            variable.assign(value)

    def _materialised_labels(self, corrupt) -> np.ndarray:
        """Runs the label pipeline once, without its images."""
        labels = self.dataset.train.labels
        if corrupt is None:
            return labels
        examples = tf.data.Dataset.from_tensor_slices((np.arange(len(labels)), labels))
        return corrupt(examples).batch(len(labels)).get_single_element()[1].numpy()

    def _shuffled_batches(self, examples, order_seed: int, epoch: int):
        # Of float32 images; what does not fit is shuffled within the buffer only, so
        # that a data set should not be sorted by class.
        image_bytes = 4 * int(np.prod(self.dataset.image_shape))
        num_train = self.dataset.train.num_examples
        buffer_size = min(num_train, max(SHUFFLE_BUFFER_BYTES // image_bytes, 1))
        seed = int(np.random.SeedSequence((order_seed, epoch)).generate_state(1)[0])
        return (
            examples.shuffle(buffer_size, seed=seed)
            .batch(self.recipe.batch_size)
            .prefetch(tf.data.AUTOTUNE)
        )

    @tf.function(reduce_retracing=True)
    def _train_epoch_from_memory(self, order, labels):
        batch_size = self.recipe.batch_size
        total_loss = tf.zeros(())
        for start in tf.range(0, tf.size(order), batch_size):
            batch = order[start : start + batch_size]
            loss = self._train_step(
                datasets.to_unit_range(tf.gather(self._train_images, batch)),
                tf.gather(labels, batch),
            )
            total_loss += loss * tf.cast(tf.size(batch), tf.float32)
        return total_loss / tf.cast(tf.size(order), tf.float32)

    @tf.function(reduce_retracing=True)
    def _train_epoch_from_stream(self, batches):
        total_loss, num_examples = tf.zeros(()), tf.zeros(())
        for _, images, labels in batches:
            batch_size = tf.cast(tf.size(labels), tf.float32)
            total_loss += self._train_step(images, labels) * batch_size
            num_examples += batch_size
        return total_loss / num_examples

    def _train_step(self, images, labels):
        with tf.GradientTape() as tape:
            logits = tf.cast(self.model(images, training=True), tf.float32)
            losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)
            penalties = [tf.cast(loss, tf.float32) for loss in self.model.losses]
            loss = tf.add_n([tf.reduce_mean(losses), *penalties])
        variables = self.model.trainable_variables
        self._optimizer.apply(tape.gradient(loss, variables), variables)
        return loss

    @tf.function
    def _logits(self, images):
        return tf.cast(self.model(images, training=False), tf.float32)

    @tf.function
    def _test_logits_from_memory(self):
        num_test = self.dataset.test.num_examples
        return tf.concat(
            [
                self._logits(
                    datasets.to_unit_range(
                        self._test_images[start : start + EVALUATION_BATCH_SIZE]
                    )
                )
                for start in range(0, num_test, EVALUATION_BATCH_SIZE)
            ],
            axis=0,
        )


def epoch_order(num_examples: int, order_seed: int, epoch: int) -> np.ndarray:
    """The order in which one epoch visits the examples in memory.

    Args:
        num_examples: Number of examples, n.
        order_seed: Integer, 0 or more.
        epoch: 0 for the first.

    Returns:
        An int64 permutation of 0 to n - 1, a function of the three arguments only.
    """
    seed_sequence = np.random.SeedSequence((order_seed, epoch))
    return np.random.default_rng(seed_sequence).permutation(num_examples)
