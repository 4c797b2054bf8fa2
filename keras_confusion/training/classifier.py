"""One classifier, trained by Keras' own `fit` on one device or several GPUs.

The thousands of small networks of a confusion study have a loop of their own, see
`trainer`. Here a single larger network is trained, epoch by epoch, and may be stopped
and continued between parts of its training.
"""

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_confusion.datasets import labelled_dataset
from keras_confusion.errors import NonFiniteLossError
from keras_confusion.execution import runtime
from keras_confusion.models import answers, architectures, saving
from keras_confusion.training import recipes
from keras_confusion.training.adversarial import FastAdversarialModel

# Pixels by which training images are moved for every 32 of their side.
_SHIFT_OF_32 = 4


@dataclasses.dataclass(frozen=True)
class EpochReport:
    """What one epoch of training gave.

    Args:
        epoch: From 1.
        num_epochs: Of this part of the training.
        num_steps: Batches of the epoch.
        loss: Mean training loss, nats.
        accuracy: Share of the training images, as they were shown, that were right
            when they were shown.
    """

    epoch: int
    num_epochs: int
    num_steps: int
    loss: float
    accuracy: float


class ClassifierTrainer:
    """Trains one classifier on parts of a data set, one part after another.

    With several GPUs the batches are divided among them (`tf.distribute.
    MirroredStrategy`); on a single one steps are compiled by XLA, where Keras can.

    Args:
        dataset: A `labelled_dataset.LabelledDataset`; its images are held in memory.
        model: A model name or function, see `architectures.build_model`.
        seed: Integer from which weights and augmentation are drawn.
        dtype_policy: "float32" or "mixed_bfloat16".
        augment: Whether training images are flipped at random from left to right and
            moved by up to an eighth of their side (He et al. 2015, section 4.2).
        attack: Norm, "l2" or "linf", and the largest change: trains on attacked
            images, see `adversarial.FastAdversarialModel`.
        strategy: A `tf.distribute.Strategy`; by default one for the GPUs here.
        **options: More arguments of the model function, such as `width`.

    Raises:
        ValueError: If the data set holds token sequences, or the model's answers have
            no gradient with respect to images.
        saving.ModelFolderError: If the model is one that could not be saved.
    """

    def __init__(
        self,
        dataset: labelled_dataset.LabelledDataset,
        model: str | architectures.ModelFunction,
        *,
        seed: int,
        dtype_policy: str = "float32",
        augment: bool = False,
        attack: tuple[str, float] | None = None,
        strategy: tf.distribute.Strategy | None = None,
        **options: Any,
    ):
        if dataset.vocabulary_size is not None:
            raise ValueError(
                "Expected a data set of images, which prototypes and saved classifiers "
                f"are made from. Received: {dataset.name}, of token sequences. "
                "Use `keras-confusion study`, which takes both."
            )
        self.dataset = dataset
        self._seed = seed
        self._augment = augment
        self._attack = attack
        self._build_options: dict[str, Any] = {
            "model": model,
            "num_classes": dataset.num_classes,
            "input_shape": dataset.input_shape,
            "seed": seed,
            **options,
        }
        self._strategy = strategy or _default_strategy()
        with self._strategy.scope():
            self._trained = architectures.build_model(
                dtype_policy=dtype_policy, **self._build_options
            )
        # Now rather than after the training.
        saving.features_model(self._trained)
        answers.check_gradient(self._trained, dataset.input_shape)
        images, labels = dataset.train.arrays()
        with tf.device("CPU:0"):
            self._images, self._labels = tf.constant(images), tf.constant(labels)

    def begin(self, recipe: recipes.Recipe, num_steps: int, *, part: int = 0) -> None:
        """Begins a training of so many steps from the weights as they are.

        Args:
            recipe: A `recipes.Recipe`.
            num_steps: Steps of its schedule.
            part: Number of the training, so that each draws other augmentations.
        """
        self._part = part
        with self._strategy.scope():
            # Of a model around the layers: saving the classifier itself then does not
            # save the optimiser's state.
            self._fitted = self._model_to_fit()
            self._fitted.compile(
                recipe.build_optimizer(num_steps),
                keras.losses.SparseCategoricalCrossentropy(from_logits=True),
                metrics=["accuracy"],
            )
            self._fitted.optimizer.build(self._fitted.trainable_variables)

    def _model_to_fit(self) -> keras.Model:
        ends = self._trained.inputs, self._trained.outputs
        if self._attack is None:
            return keras.Model(*ends)
        norm, eps = self._attack
        return FastAdversarialModel(*ends, norm=norm, eps=eps, seed=self._part_seed())

    def train(
        self,
        epochs: Sequence[np.ndarray],
        *,
        on_epoch: Callable[[EpochReport], None] | None = None,
        on_step: Callable[[int], None] | None = None,
    ) -> list[EpochReport]:
        """Trains on batches of examples, after `begin`.

        Args:
            epochs: For every epoch an integer array `(num_steps, batch_size)` of
                indices, see `intervals.interval_epochs`.
            on_epoch: Called with the report of every epoch.
            on_step: Called with the number of steps done in this call.

        Returns:
            The report of every epoch.

        Raises:
            NonFiniteLossError: If the loss of an epoch is not finite.
        """
        reports: list[EpochReport] = []
        num_done = 0
        for batches in epochs:
            callback = _StepCounter(num_done, on_step)
            history = self._fitted.fit(
                self._examples(batches), verbose=0, shuffle=False, callbacks=[callback]
            ).history
            num_done += len(batches)
            (loss,), (accuracy,) = history["loss"], history["accuracy"]
            report = EpochReport(
                len(reports) + 1, len(epochs), len(batches), loss, accuracy
            )
            if not np.isfinite(loss):
                raise NonFiniteLossError(
                    f"The training loss was {loss} in epoch {report.epoch} of "
                    f"{report.num_epochs}. Use a smaller --learning-rate."
                )
            reports.append(report)
            if on_epoch is not None:
                on_epoch(report)
        return reports

    def classifier(self) -> keras.Model:
        """A copy of the network as it is now, which computes in float32.

        To be optimised on: in bfloat16 the loss of an image would depend on the size
        of the batch it is in.
        """
        copy = architectures.build_model(dtype_policy="float32", **self._build_options)
        copy.set_weights(self._trained.get_weights())
        return copy

    def take_weights(self, model: keras.Model) -> None:
        """Goes on from the weights of a `classifier`."""
        self._trained.set_weights(model.get_weights())

    def optimizer_state(self) -> list[np.ndarray]:
        """Everything that the optimiser knows, for `take_state`."""
        return [np.asarray(value) for value in self._fitted.optimizer.variables]

    def take_state(self, state: Sequence[np.ndarray]) -> None:
        """Gives the optimiser of `begin` what another one knew."""
        variables = self._fitted.optimizer.variables
        for variable, value in zip(variables, state, strict=True):
            variable.assign(value)

    def _part_seed(self) -> int:
        """From which this part of the training draws changes of its images."""
        seeds = np.random.SeedSequence((self._seed, self._part))
        return int(seeds.generate_state(1)[0] >> 1)

    def _examples(self, batches: np.ndarray) -> tf.data.Dataset:
        part_seed = self._part_seed()
        # The number of steps so far: other draws for every batch of the training.
        first = int(self._fitted.optimizer.iterations.numpy())
        steps = tf.data.Dataset.from_tensor_slices(batches.astype(np.int32))

        def example_batch(step, indices):
            images = labelled_dataset.to_unit_range(tf.gather(self._images, indices))
            if self._augment:
                images = augment_images(images, seed=(part_seed, step))
            return images, tf.gather(self._labels, indices)

        examples = (
            steps.enumerate(first)
            .map(example_batch, num_parallel_calls=tf.data.AUTOTUNE)
            .prefetch(tf.data.AUTOTUNE)
        )
        options = tf.data.Options()
        options.experimental_distribute.auto_shard_policy = (
            tf.data.experimental.AutoShardPolicy.OFF
        )
        return examples.with_options(options)


def augment_images(images: tf.Tensor, *, seed) -> tf.Tensor:
    """Flips images at random and moves them, with black where nothing comes in.

    Args:
        images: float32 `(batch, height, width, channels)`.
        seed: Two integers; the same ones draw the same.

    Returns:
        Images of the same shape.
    """
    seeds = tf.random.split(tf.stack([tf.cast(part, tf.int32) for part in seed]), 3)
    batch, height, width = tf.unstack(tf.shape(images)[:3])
    flipped = tf.random.stateless_uniform([batch, 1, 1, 1], seeds[0]) < 0.5
    images = tf.where(flipped, images[:, :, ::-1], images)
    shifts = [
        max(1, side * _SHIFT_OF_32 // 32) for side in (images.shape[1], images.shape[2])
    ]
    padded = tf.pad(images, [[0, 0], *([shift, shift] for shift in shifts), [0, 0]])
    top, left = (
        tf.random.stateless_uniform([batch, 1], seed, 0, 2 * shift + 1, tf.int32)
        for seed, shift in zip((seeds[1], seeds[2]), shifts, strict=True)
    )
    rows = tf.gather(padded, top + tf.range(height), axis=1, batch_dims=1)
    return tf.gather(rows, left + tf.range(width), axis=2, batch_dims=1)


def _default_strategy() -> tf.distribute.Strategy:
    if runtime.num_gpus() > 1:
        return _mirrored_strategy()
    return tf.distribute.get_strategy()


@functools.cache
def _mirrored_strategy() -> tf.distribute.Strategy:
    """One for all trainers of a process.

    The collective operations of a second one would have the keys of the first one's,
    and abort where the networks differ.
    """
    return tf.distribute.MirroredStrategy()


class _StepCounter(keras.callbacks.Callback):
    """Tells how many steps are done."""

    def __init__(self, num_before: int, on_step):
        super().__init__()
        self._num_before = num_before
        self._on_step = on_step

    def on_train_batch_end(self, batch, logs=None):
        if self._on_step is not None:
            self._on_step(self._num_before + batch + 1)
