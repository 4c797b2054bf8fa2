"""What a prototype study will do: settings, intervals, initialisations, seeds."""

import dataclasses
import functools
import pathlib

import numpy as np

from keras_confusion.execution import provenance
from keras_confusion.prototypes import store as prototype_store
from keras_confusion.prototypes.settings import (
    POSTER_UPDATE_RULE,
    PrototypeSettings,
    poster_learning_rate,
)
from keras_confusion.training import intervals as training_intervals

# Modules that import TensorFlow are imported in the functions that need them.

_ITERATIONS_BETWEEN_FRAMES = 10


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
        from keras_confusion.prototypes.optimizer import settings as optimizer_settings

        settings = self.settings
        return grid.ProbingSettings(
            images=optimizer_settings.settled(
                self.parametrization,
                until_threshold=(
                    POSTER_UPDATE_RULE,
                    poster_learning_rate(self.dataset.num_classes),
                ),
                update_rule=settings.update_rule,
                learning_rate=settings.prototype_learning_rate,
                steps=settings.steps,
                transformations=settings.transformations,
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

    @functools.cached_property
    def parametrization(self):
        """The `parametrizations.Parametrization`."""
        from keras_confusion.prototypes.optimizer import parametrizations
        from keras_confusion.training import trained_model

        name = self.settings.parametrization
        # Pixels need none, and images may have to be read for them.
        statistics = (
            None if name == "pixels" else trained_model.statistics_of(self.dataset)
        )
        return parametrizations.parametrization(
            name, self.dataset.input_shape, statistics
        )

    @property
    def goes_on(self) -> bool:
        """Whether class prototypes go on from those of the interval before.

        By so many steps more every time they would become ever more extreme.
        """
        if self.settings.start is None:
            return self.probing.images.steps is None
        return self.settings.start == "previous"

    def start(self, initialisation: int) -> np.ndarray:
        """What an initialisation starts from, of pixels noise `(K, height, width, c)`.

        Of other parametrisations parameters `(K, *parametrization.shape)`.
        """
        from keras_confusion.prototypes import images as prototype_images

        entropy = np.random.SeedSequence((self.settings.seed, initialisation))
        return prototype_images.starts(
            [entropy], self.dataset.num_classes, self.parametrization
        )[0]

    def image_seed(self, initialisation: int) -> int:
        """What decides how an initialisation's images are transformed."""
        entropy = np.random.SeedSequence((self.settings.seed, initialisation))
        return int(entropy.generate_state(1)[0])

    def sizes(self, num_features: int) -> dict[str, int]:
        """Length of every axis of `store.ARRAYS`."""
        height, width, channels = self.dataset.input_shape
        rows, columns, coefficients = self.parametrization.shape
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
            "row": rows,
            "column": columns,
            "coefficient": coefficients,
        }

    @property
    def left_out(self) -> list[str]:
        """Names of `store.ARRAYS` that were not asked for."""
        left_out = [] if self.settings.frames else ["frames"]
        if self.settings.parametrization == "pixels":
            left_out.append("parameters")
        if not self.settings.boundaries:
            left_out += [
                name for name in prototype_store.ARRAYS if name.startswith("boundary")
            ]
        return left_out

    def description(self) -> dict:
        """What `study.json` says, see `StudyFolder.begin_or_resume`."""
        from keras_confusion.training import identity

        dataset = self.dataset
        settings = self.settings.description(dataset.train.num_examples)
        optimizer = self.probing.images
        return {
            "settings": settings
            | {
                "intervals": list(self.settings.intervals),
                "start": "previous" if self.goes_on else "noise",
                "update_rule": optimizer.update_rule,
                "prototype_learning_rate": optimizer.learning_rate,
                "steps": optimizer.steps,
                "transformations": optimizer.transformations,
                "prototype_dtype": self.settings.settled_prototype_dtype(),
            },
            "class_names": list(dataset.class_names),
            "image_shape": list(dataset.input_shape),
            "num_train": dataset.train.num_examples,
            "num_test": dataset.test.num_examples,
            "dataset_fingerprint": dataset.fingerprint,
            "identity": {
                "network": identity.network_identity(
                    self.settings.model, dataset, self.settings.model_options
                ),
                "data": identity.data_identity(dataset),
            },
            "provenance": provenance.provenance(),
        }
