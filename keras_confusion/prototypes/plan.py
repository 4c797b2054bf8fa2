"""What a prototype study will do: settings, intervals, initialisations, seeds."""

import dataclasses
import functools
import pathlib

import numpy as np

from keras_confusion.execution import provenance, runtime
from keras_confusion.prototypes import store as prototype_store
from keras_confusion.training import intervals as training_intervals
from keras_confusion.training import settings as training_settings
from keras_confusion.training.settings import ClassifierSettings

# Modules that import TensorFlow are imported in the functions that need them.

STARTS = ("previous", "noise")
PROTOTYPE_DTYPES = ("auto", "float32", "bfloat16")
# From this many classes on the poster's learning rate is ten times as high.
_MANY_CLASSES = 100
_ITERATIONS_BETWEEN_FRAMES = 10


@dataclasses.dataclass(frozen=True)
class PrototypeSettings(ClassifierSettings):
    """Everything that decides the result of a prototype study, after the network's.

    Args:
        intervals: Percentages of the training after which prototypes are made.
        interval_of: "data" or "steps", see `intervals.interval_epochs`.
        inits: Independent initialisations of the prototypes.
        start: "previous": class prototypes go on from those of the interval before.
            "noise": they begin afresh, from the same noise, in every interval.
        update_rule: See `image_optimizer.OptimizerSettings`, as the next ones.
        prototype_learning_rate: `None` takes the poster's: 0.01, and 0.1 from 100
            classes on.
        loss_threshold: In nats.
        max_iterations: Updates after which an image is given up.
        boundaries: Whether boundary prototypes are made.
        boundary_learning_rate: Their longest step.
        gap_tolerance: See `images.boundary_prototypes`.
        frames: Pictures that are kept of every prototype's way, 0 or at least 2.
        prototype_dtype: "float32"; "bfloat16" for images that are optimised on a copy
            of the network in it first, see `loading.with_draft`; "auto" for that where
            the machine computes in it.
    """

    intervals: tuple[float, ...] = training_intervals.PERCENTAGES
    interval_of: str = "data"
    inits: int = 5
    start: str = "previous"
    update_rule: str = "normalized"
    prototype_learning_rate: float | None = None
    loss_threshold: float = 0.01
    max_iterations: int = 2000
    boundaries: bool = True
    boundary_learning_rate: float = 0.1
    gap_tolerance: float = 0.01
    frames: int = 0
    prototype_dtype: str = "auto"

    def settled_prototype_dtype(self) -> str:
        """The type for this machine. Imports TensorFlow."""
        if self.prototype_dtype == "auto":
            return runtime.default_dtype_policy().removeprefix("mixed_")
        return self.prototype_dtype


@dataclasses.dataclass(frozen=True)
class PrototypePlan:
    """Settings that are settled for one data set, and what follows from them.

    Args:
        settings: What was asked for.
        directory: The study's folder.
        data_dir: Where TensorFlow Datasets keeps its data, or `None`.
        images_at_a_time: Images that are optimised in one batch. Does not decide the
            result of any.
    """

    settings: PrototypeSettings
    directory: pathlib.Path
    data_dir: str | None
    images_at_a_time: int = 100

    @property
    def dataset(self):
        """The `labelled_dataset.LabelledDataset`, read once in a process."""
        from keras_confusion.datasets.loading import load_dataset_once

        return load_dataset_once(
            self.settings.dataset, self.data_dir, self.settings.image_size
        )

    @property
    def recipe(self):
        """The `recipes.Recipe`."""
        return self.settings.recipe_for(self.dataset.train.num_examples)

    @functools.cached_property
    def interval_epochs(self) -> list[list[np.ndarray]]:
        """The batches of every interval, epoch by epoch."""
        settings = self.settings
        return training_intervals.interval_epochs(
            self.dataset.train.labels,
            settings.intervals,
            interval_of=settings.interval_of,
            epochs=settings.epochs,
            batch_size=self.recipe.batch_size,
            seed=settings.seed,
        )

    @property
    def probing(self):
        """The `grid.ProbingSettings`."""
        from keras_confusion.prototypes import grid
        from keras_confusion.prototypes.optimizer.image_optimizer import (
            OptimizerSettings,
        )

        settings = self.settings
        learning_rate = settings.prototype_learning_rate
        if learning_rate is None:
            learning_rate = poster_learning_rate(self.dataset.num_classes)
        return grid.ProbingSettings(
            images=OptimizerSettings(
                update_rule=settings.update_rule,
                learning_rate=learning_rate,
                loss_threshold=settings.loss_threshold,
                max_iterations=settings.max_iterations,
                batch_size=self.images_at_a_time,
                frame_every=_ITERATIONS_BETWEEN_FRAMES if settings.frames else None,
            ),
            boundaries=settings.boundaries,
            boundary_learning_rate=settings.boundary_learning_rate,
            gap_tolerance=settings.gap_tolerance,
            num_frames=settings.frames,
        )

    def noise(self, initialisation: int) -> np.ndarray:
        """The noise that an initialisation starts from, `(K, height, width, c)`."""
        from keras_confusion.prototypes import images as prototype_images

        entropy = np.random.SeedSequence((self.settings.seed, initialisation))
        return prototype_images.noise(
            [entropy], self.dataset.num_classes, self.dataset.input_shape
        )[0]

    def sizes(self, num_features: int) -> dict[str, int]:
        """Length of every axis of `store.ARRAYS`."""
        height, width, channels = self.dataset.input_shape
        return {
            "interval": len(self.settings.intervals),
            "initialisation": self.settings.inits,
            "target": self.dataset.num_classes,
            "origin": self.dataset.num_classes,
            "height": height,
            "width": width,
            "channel": channels,
            "feature": num_features,
            "frame": self.settings.frames,
        }

    @property
    def left_out(self) -> list[str]:
        """Names of `store.ARRAYS` that were not asked for."""
        left_out = [] if self.settings.frames else ["frames"]
        if not self.settings.boundaries:
            left_out += [
                name for name in prototype_store.ARRAYS if name.startswith("boundary")
            ]
        return left_out

    def description(self) -> dict:
        """What `study.json` says, see `study_folder.open_folder`."""
        dataset = self.dataset
        settings = self.settings.description(dataset.train.num_examples)
        return {
            "settings": settings
            | {
                "intervals": list(self.settings.intervals),
                "prototype_learning_rate": self.probing.images.learning_rate,
                "prototype_dtype": self.settings.settled_prototype_dtype(),
            },
            "class_names": list(dataset.class_names),
            "image_shape": list(dataset.input_shape),
            "num_train": dataset.train.num_examples,
            "num_test": dataset.test.num_examples,
            "dataset_fingerprint": dataset.fingerprint,
            "provenance": provenance.provenance(),
        }


def poster_learning_rate(num_classes: int) -> float:
    """The prototype poster's: 0.01 for CIFAR-10 and 0.1 for CIFAR-100."""
    return 0.1 if num_classes >= _MANY_CLASSES else 0.01


def check_settings(settings: PrototypeSettings) -> None:
    """Raises `ValueError` for a setting that makes no sense with any data set."""
    training_settings.check_settings(settings)
    training_intervals.check_percentages(settings.intervals, settings.interval_of)
    if settings.inits < 1:
        raise ValueError(f"Expected `inits` of at least 1. Received: {settings.inits}.")
    if settings.start not in STARTS:
        raise ValueError(
            f"Expected `start` to be one of {STARTS}. Received: {settings.start!r}."
        )
    if settings.prototype_dtype not in PROTOTYPE_DTYPES:
        raise ValueError(
            f"Expected `prototype_dtype` to be one of {PROTOTYPE_DTYPES}. "
            f"Received: {settings.prototype_dtype!r}."
        )
    if settings.frames < 0 or settings.frames == 1:
        raise ValueError(
            "Expected `frames` of 0, or of at least 2 for the first and the last. "
            f"Received: {settings.frames}."
        )
