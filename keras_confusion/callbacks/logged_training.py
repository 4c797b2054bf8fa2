"""One training of a model: its curves and its prototypes, logged as it goes on."""

import dataclasses
import pathlib
import time
from collections.abc import Callable

import numpy as np
import xarray as xr

from keras_confusion.callbacks.live_prototypes import LivePrototypes, LiveSettings
from keras_confusion.callbacks.moments import Moments
from keras_confusion.models.probe import Probe
from keras_confusion.reports.tensorboard.prototype_events import (
    ImageSummaries,
    TrainingSummaries,
)

_VALIDATION = "val_"
# What Keras calls it in logs.
_ACCURACIES = (
    "accuracy",
    "acc",
    "sparse_categorical_accuracy",
    "categorical_accuracy",
    "binary_accuracy",
)


class LoggedTraining:
    """Writes the event files of one training.

    Args:
        directory: A log directory without such files.
        moments: When prototypes are made.
        find_probe: Gives the network as a `Probe`; called when it is built.
        settings: How prototypes are made.
    """

    def __init__(
        self,
        directory: pathlib.Path,
        moments: Moments,
        find_probe: Callable[[], Probe],
        settings: LiveSettings,
    ):
        self.seconds: list[float] = []
        # What was made last.
        self.latest: xr.Dataset | None = None
        self._directory, self._moments = directory, moments
        self._find_probe, self._settings = find_probe, settings
        self._curves = TrainingSummaries(directory)
        self._prototypes: _LoggedPrototypes | None = None

    def end_epoch(self, number: int, logs: dict) -> None:
        """Logs an epoch, and makes prototypes if it is time.

        Args:
            number: Of the epoch, from 1.
            logs: Keras' of the epoch.
        """
        self._curves.add_epoch(number, logs.get("loss", np.nan), _accuracy(logs))
        if not self._moments.are_steps:
            has_validation = any(name.startswith(_VALIDATION) for name in logs)
            self._make(self._moments.due(number), logs, has_validation)

    def end_step(self, number: int, logs: dict) -> None:
        """Makes prototypes if it is time.

        Args:
            number: Of the step, from 1, over all epochs.
            logs: Keras' of the epoch up to this step.
        """
        if self._moments.are_steps:
            self._make(self._moments.due(number), logs, False)

    def close(self) -> None:
        """Ends the event files."""
        self._curves.close()
        if self._prototypes is not None:
            self._prototypes.images.close()

    def _make(self, moment: int | None, logs: dict, has_validation: bool) -> None:
        if moment is None:
            return
        begun = time.perf_counter()
        if self._prototypes is None:
            # What is shown as the accuracy stays the same all along.
            prefix = _VALIDATION if has_validation else ""
            self._prototypes = self._begin(prefix)
        made = self._prototypes
        percentage = self._moments.percentages[moment]
        accuracy = _accuracy(logs, made.prefix)
        self.latest = made.prototypes.make(percentage, accuracy)
        made.images.add(self.latest, moment)
        if made.prefix and np.isfinite(accuracy):
            self._curves.add_test(percentage, accuracy, {})
        self.seconds.append(time.perf_counter() - begun)

    def _begin(self, prefix: str) -> "_LoggedPrototypes":
        probe = self._find_probe()
        prototypes = LivePrototypes(probe, self._settings)
        description = {
            "accuracy_of": "validation" if prefix else "training",
            "input_range": list(probe.input_range),
            "assumed": list(probe.assumed),
            **prototypes.optimizer.description(),
        }
        images = ImageSummaries(self._directory, self._moments.percentages, description)
        return _LoggedPrototypes(prototypes, images, prefix)


@dataclasses.dataclass(frozen=True, eq=False)
class _LoggedPrototypes:
    """What makes prototypes, what writes them, and what accuracies are called."""

    prototypes: LivePrototypes
    images: ImageSummaries
    prefix: str


def _accuracy(logs: dict, prefix: str = "") -> float:
    """The accuracy in an epoch's logs, a share; NaN if there is none."""
    found = (logs[prefix + name] for name in _ACCURACIES if prefix + name in logs)
    return float(next(found, np.nan))
