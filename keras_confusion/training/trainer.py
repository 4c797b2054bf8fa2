"""Training of a study's networks, one after the other or many at a time."""

import dataclasses
import functools
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_confusion.datasets import corruption, labelled_dataset
from keras_confusion.models import architectures, saving
from keras_confusion.training import linear_heads
from keras_confusion.training import program as training_program
from keras_confusion.training.packing import packed_model
from keras_confusion.training.recipes import Recipe

EVALUATION_BATCH_SIZE = 500
SHUFFLE_BUFFER_BYTES = 2**30


@dataclasses.dataclass(frozen=True, eq=False)
class TrainingTask:
    """What one network is trained from.

    Args:
        initialisation_seed: Integer from which the initial weights are drawn.
        order_seed: Integer from which the order of every epoch is drawn.
        labels: int array `(num_train,)`, the label that every training example is
            given, see `corruption.given_labels`. `None` takes the true labels.
    """

    initialisation_seed: int
    order_seed: int
    labels: np.ndarray | None = None


class Trainer:
    """Trains networks on one data set, one or several at a time, in compiled programs.

    Args:
        dataset: A `labelled_dataset.LabelledDataset`.
        model: A model name or function, see `architectures.build_model`.
        recipe: A `recipes.Recipe`.
        epochs: Passes over the training set, at least 1.
        dtype_policy: "float32" or "mixed_bfloat16".
        streaming: Reads examples from the tf.data pipeline in every epoch instead of
            holding them in memory; for one network at a time.
        num_networks: Networks that are trained at a time, packed into one program.
        model_options: More arguments of the model function, such as `width`.

    Raises:
        packable.PackingError: If networks of this architecture cannot be packed.
        ValueError: If the recipe is not for such a model.
    """

    def __init__(
        self,
        dataset: labelled_dataset.LabelledDataset,
        model: str | architectures.ModelFunction = "cnn",
        *,
        recipe: Recipe,
        epochs: int,
        dtype_policy: str = "float32",
        streaming: bool = False,
        num_networks: int = 1,
        model_options: dict[str, Any] | None = None,
    ):
        if streaming and num_networks > 1:
            raise ValueError(
                "Expected one network at a time with `streaming`. Received: "
                f"{num_networks}. Use --networks-per-program 1."
            )
        self.dataset = dataset
        self.recipe = recipe
        self.epochs = epochs
        self.streaming = streaming
        self.num_networks = num_networks
        self._build = functools.partial(
            architectures.build_model,
            model,
            dtype_policy=dtype_policy,
            **dataset.model_arguments,
            **(model_options or {}),
        )
        self.model = self._build(seed=0)
        # All arms of a repeat start from the same weights: build them once.
        self._initial_values = functools.lru_cache(maxsize=1)(self._draw_initial_values)
        self._programs: dict[bool, training_program.TrainingProgram] = {}
        # Most packs are of one repeat. What cannot be packed shows here.
        self._trained = self._program(shared_images=True)
        self._num_tasks = 1
        if not streaming:
            train_images, _ = dataset.train.arrays()
            test_images, _ = dataset.test.arrays()
            self._train_images = tf.constant(train_images)
            self._test_images = tf.constant(test_images)

    @labelled_dataset.reading_images()
    def train(self, tasks: Sequence[TrainingTask]) -> np.ndarray:
        """Trains networks from new initial weights.

        Networks that share their order share their images too, and train faster.

        Args:
            tasks: One for each network, at most `num_networks`.

        Returns:
            The mean training loss of every network and epoch, in nats, float32
            `(len(tasks), epochs)`; NaN for epochs that were not trained because no
            network had a finite loss any more.
        """
        self._num_tasks = len(tasks)
        # A program has a fixed number of networks: empty places repeat the last one.
        filled = [*tasks, *[tasks[-1]] * (self.num_networks - len(tasks))]
        is_shared = len({task.order_seed for task in tasks}) == 1
        program = self._trained = self._program(shared_images=is_shared)
        program.reset(
            [self._initial_values(task.initialisation_seed) for task in filled]
        )
        epoch_losses = np.full((self.num_networks, self.epochs), np.nan, np.float32)
        num_train = self.dataset.train.num_examples
        true_labels = self.dataset.train.labels
        labels = np.stack(
            [true_labels if task.labels is None else task.labels for task in filled],
            axis=-1,
        ).astype(np.int32)
        table = tf.constant(labels)
        order_seeds = [task.order_seed for task in filled[: 1 if is_shared else None]]
        for epoch in range(self.epochs):
            if self.streaming:
                examples = corruption.give_labels(
                    self.dataset.train.dataset(), labels[:, 0]
                )
                losses = program.train_on_stream(
                    self._shuffled_batches(examples, order_seeds[0], epoch)
                )
            else:
                orders = [epoch_order(num_train, seed, epoch) for seed in order_seeds]
                losses = program.train_epoch(
                    self._train_images,
                    tf.constant(np.stack(orders, axis=-1), tf.int32),
                    table,
                )
            epoch_losses[:, epoch] = losses.numpy()
            if not np.isfinite(epoch_losses[:, epoch]).any():
                break
        return epoch_losses[: len(tasks)]

    @labelled_dataset.reading_images()
    def test_logits(self) -> np.ndarray:
        """Returns the logits of every test example.

        Returns:
            float32 `(networks, num_test, K)`, for the networks of the last `train`.
        """
        if self.streaming:
            batches = self.dataset.test.dataset().batch(EVALUATION_BATCH_SIZE)
            logits = [self._trained.logits(images) for _, images, _ in batches]
        else:
            logits = [
                self._trained.logits(
                    self._test_images[start : start + EVALUATION_BATCH_SIZE]
                )
                for start in range(0, len(self._test_images), EVALUATION_BATCH_SIZE)
            ]
        by_example = np.concatenate([batch.numpy() for batch in logits])
        return by_example.swapaxes(0, 1)[: self._num_tasks]

    @functools.cached_property
    def has_features(self) -> bool:
        """See the function `has_features`."""
        return has_features(self.model, self.dataset)

    @labelled_dataset.reading_images()
    def features(self, network: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """What goes into the last layer of a network, if it `has_features`.

        Args:
            network: Its place among those of the last `train`.

        Returns:
            Features of training examples, float32 `(m, d)`, which examples these are,
            int `(m,)`, see `linear_heads.fitted_examples`, and features of all test
            examples, `(num_test, d)`.
        """
        packed_model.unpack_network(self._trained.model, self.model, network)
        width = self._features_model.output_shape[-1]
        fitted = linear_heads.fitted_examples(self.dataset.train.num_examples, width)
        if self.streaming:
            train, test = (
                self._features_of_stream(split)
                for split in (self.dataset.train, self.dataset.test)
            )
            return train[fitted], fitted, test
        train_images = self._train_images
        if len(fitted) < len(train_images):
            train_images = tf.gather(train_images, fitted)
        return (
            self._features_of(train_images),
            fitted,
            self._features_of(self._test_images),
        )

    def _features_of(self, images) -> np.ndarray:
        return np.concatenate(
            [
                self._features(images[start : start + EVALUATION_BATCH_SIZE]).numpy()
                for start in range(0, len(images), EVALUATION_BATCH_SIZE)
            ]
        )

    def _features_of_stream(self, split: labelled_dataset.Split) -> np.ndarray:
        batches = split.dataset().batch(EVALUATION_BATCH_SIZE)
        return np.concatenate(
            [self._features(images).numpy() for _, images, _ in batches]
        )

    @functools.cached_property
    def _features_model(self):
        return saving.features_model(self.model)

    @functools.cached_property
    def _features(self):
        def features(images):
            images = labelled_dataset.to_unit_range(images)
            return tf.cast(self._features_model(images, training=False), tf.float32)

        return tf.function(features, reduce_retracing=True)

    def _program(self, *, shared_images: bool) -> training_program.TrainingProgram:
        if shared_images not in self._programs:
            steps_per_epoch = -(
                -self.dataset.train.num_examples // self.recipe.batch_size
            )
            self._programs[shared_images] = training_program.TrainingProgram(
                self.model,
                self.recipe,
                self.epochs * steps_per_epoch,
                num_networks=self.num_networks,
                shared_images=shared_images,
            )
        return self._programs[shared_images]

    def _draw_initial_values(self, seed: int) -> list[np.ndarray]:
        return [variable.numpy() for variable in self._build(seed=seed).variables]

    def _shuffled_batches(self, examples, order_seed: int, epoch: int):
        # Of float32 images or int32 tokens; what does not fit is shuffled within the
        # buffer only, so that a data set should not be sorted by class.
        example_bytes = 4 * int(np.prod(self.dataset.input_shape))
        num_train = self.dataset.train.num_examples
        buffer_size = min(num_train, max(SHUFFLE_BUFFER_BYTES // example_bytes, 1))
        seed = int(np.random.SeedSequence((order_seed, epoch)).generate_state(1)[0])
        return (
            examples.shuffle(buffer_size, seed=seed)
            .batch(self.recipe.batch_size)
            .prefetch(tf.data.AUTOTUNE)
        )


def has_features(model: keras.Model, dataset: labelled_dataset.LabelledDataset) -> bool:
    """Whether a model has features that last layers can be fitted to, on a data set."""
    width = saving.num_features(model)
    if width is None:
        return False
    fitted = linear_heads.fitted_examples(dataset.train.num_examples, width)
    return len(fitted) >= linear_heads.MIN_EXAMPLES_A_CLASS * dataset.num_classes


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
