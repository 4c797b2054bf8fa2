"""The prototypes of a network that is being trained, time after time."""

import dataclasses
import math
from typing import TypedDict

import numpy as np
import xarray as xr

from keras_confusion.models.image_statistics import ImageStatistics
from keras_confusion.models.probe import Probe
from keras_confusion.prototypes import grid
from keras_confusion.prototypes import images as prototype_images
from keras_confusion.prototypes import store as prototype_store
from keras_confusion.prototypes.optimizer import parametrizations
from keras_confusion.prototypes.optimizer import settings as optimizer_settings
from keras_confusion.prototypes.optimizer.settings import (
    OptimizerSettings,
    usual_parametrization,
)

# Long steps that shorten where the loss is nearly 0: half of the poster's updates, and
# the same C, R and M_g within a fiftieth.
UPDATE_RULE = "polyak"
_USUAL_SHAPE = (32, 32, 3)
# To check settings with before images are known.
_ANY_STATISTICS = ImageStatistics(
    np.eye(3, dtype=np.float32), np.ones((32, 17, 3), np.float32)
)
# Of so many classes, intermediary prototypes take four times as long as of ten.
MOST_INTERMEDIARY_CLASSES = 20


@dataclasses.dataclass(frozen=True)
class LiveSettings:
    """How prototypes are made during a training; more hastily than in a study.

    Args:
        initialisations: Images of every class that start from noise of their own.
        intermediary: Whether intermediary prototypes are made, n x n images; `None`
            makes them of up to `MOST_INTERMEDIARY_CLASSES` classes.
        input_range: The values of black and white that the model expects; `None` finds
            them.
        parametrization: "pixels": noise that the network is sure of, in a few updates;
            "fourier" and "maco": images that a person can read, in `STEPS` updates.
        learning_rate: Longest step of an image, see `UPDATE_RULE`; `None` takes 1, and
            more for images larger than 32 x 32 x 3, by the square root of the size. Of
            the others Adam's; `None` takes its usual one.
        max_iterations: Updates after which an image is given up as not converged. They
            bound the time. Of "pixels" only.
        loss_threshold: An image is done when its loss, in nats, is below.
        seed: With the number of the initialisation it decides the noise.

    Raises:
        ValueError: If a value makes no sense.
    """

    initialisations: int = 1
    intermediary: bool | None = None
    input_range: tuple[float, float] | None = None
    parametrization: str = "pixels"
    learning_rate: float | None = None
    max_iterations: int = 30
    loss_threshold: float = 0.01
    seed: int = 0

    def __post_init__(self):
        if self.initialisations < 1 or self.seed < 0:
            raise ValueError(
                "Expected `initialisations` of at least 1 and `seed` of at least 0. "
                f"Received: {self.initialisations} and {self.seed}."
            )
        limits = self.input_range
        if limits is not None and not (len(limits) == 2 and limits[0] < limits[1]):
            raise ValueError(
                "Expected `input_range` of two numbers, black below white. Received: "
                f"{limits}. Use for example (0, 255)."
            )
        _ = self.optimizer(_USUAL_SHAPE, _ANY_STATISTICS)

    def optimizer(
        self,
        image_shape: tuple[int, int, int],
        statistics: ImageStatistics | None = None,
    ) -> OptimizerSettings:
        """How images are optimised.

        Args:
            image_shape: (height, width, channels).
            statistics: Of the training images, see `parametrizations.parametrization`.
        """
        longest = max(1.0, math.sqrt(math.prod(image_shape) / math.prod(_USUAL_SHAPE)))
        return optimizer_settings.settled(
            parametrizations.parametrization(
                self.parametrization, image_shape, statistics
            ),
            until_threshold=(UPDATE_RULE, longest),
            learning_rate=self.learning_rate,
            max_iterations=self.max_iterations,
            loss_threshold=self.loss_threshold,
        )

    def makes_intermediary(self, num_classes: int) -> bool:
        """Whether intermediary prototypes are made of so many classes."""
        if self.intermediary is None:
            return num_classes <= MOST_INTERMEDIARY_CLASSES
        return self.intermediary


class LiveOptions(TypedDict, total=False):
    """The fields of `LiveSettings` as keyword arguments of a function."""

    initialisations: int
    intermediary: bool | None
    input_range: tuple[float, float] | None
    parametrization: str
    learning_rate: float | None
    max_iterations: int
    loss_threshold: float
    seed: int


class LivePrototypes:
    """Makes the prototypes of one network again whenever they are asked for.

    Class prototypes go on from those before, the first from noise; those of a number
    of steps begin afresh, as they would become ever more extreme.

    Args:
        probe: The network, whose weights change in between.
        settings: A `LiveSettings`.
    """

    def __init__(self, probe: Probe, settings: LiveSettings):
        self._probe, self._settings = probe, settings
        self.optimizer = settings.optimizer(probe.input_shape, probe.image_statistics)
        self._start = prototype_images.starts(
            [
                np.random.SeedSequence((settings.seed, number))
                for number in range(settings.initialisations)
            ],
            len(probe.class_names),
            usual_parametrization(self.optimizer, probe.input_shape),
        )

    def make(self, percentage: float, accuracy: float) -> xr.Dataset:
        """The prototypes by the weights as they are.

        Args:
            percentage: Of the training that is over.
            accuracy: Of the network, a share; NaN where it is not known.

        Returns:
            A prototype study at one interval, see `prototypes.tables`: without
            `features` if the network shows none, and without `origin` if there are
            class prototypes only.
        """
        names = list(self._probe.class_names)
        if self._settings.makes_intermediary(len(names)):
            probing = grid.ProbingSettings(
                images=self.optimizer, boundaries=False, attacks=False
            )
            values = grid.probe_classifier(self._probe, self._start, probing)
            each = np.arange(len(names))
            class_images = values["image"][:, each, each]
            left_out = set()
        else:
            values = grid.probe_class_prototypes(
                self._probe, self._start, self.optimizer
            )
            class_images = values["image"]
            left_out = {"origin"}
        values.pop("parameters", None)
        if self.optimizer.steps is None:
            self._start = class_images
        arrays = {
            name: (
                [axis for axis in _axes(name) if axis not in left_out],
                array[None],
            )
            for name, array in values.items()
        }
        finished = np.ones((1, self._settings.initialisations), bool)
        coordinates = {
            "interval": [percentage],
            "initialisation": range(self._settings.initialisations),
            "target": names,
            "origin": names,
        }
        return xr.Dataset(
            {
                **arrays,
                "finished": (_axes("finished"), finished),
                "test_accuracy": (("interval",), [accuracy]),
            },
            {key: coordinates[key] for key in coordinates.keys() - left_out},
        )


def _axes(name: str) -> tuple[str, ...]:
    return prototype_store.ARRAYS[name].axes
