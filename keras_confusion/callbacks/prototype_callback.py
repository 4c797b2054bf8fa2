"""Prototypes of your own model, in its own `fit`, live in TensorBoard.

    model.fit(..., callbacks=[keras_confusion.PrototypeCallback("logs/mine")])
    tensorboard --logdir logs

The training is the same, bit for bit, with and without it.
"""

import contextlib
import dataclasses
import functools
import logging
import os
import pathlib
from collections.abc import Callable, Sequence
from typing import Any, Unpack

import keras
import numpy as np
import xarray as xr

from keras_confusion.callbacks import moments
from keras_confusion.callbacks.live_prototypes import LiveOptions, LiveSettings
from keras_confusion.callbacks.logged_training import LoggedTraining
from keras_confusion.models import image_statistics, live_probe
from keras_confusion.models.image_statistics import ImageStatistics
from keras_confusion.models.probe import Probe
from keras_confusion.reports.tensorboard.prototype_events import MAX_ROW_PIXELS

_log = logging.getLogger(__name__)

_LONGEST_REASON = 600
# For a mean spectrum and colours.
_FEWEST_IMAGES = 100


def _without_ending_training(method: Callable) -> Callable:
    """A method whose errors are told, once in a training, and end nothing else."""

    @functools.wraps(method)
    def guarded(self, *args, **kwargs):
        try:
            method(self, *args, **kwargs)
        # Whatever it is: hours of training weigh more than pictures of it.
        except Exception as error:
            self.error = error
            reason = " ".join(str(error).split()) or type(error).__name__
            _log.warning(
                f"The training goes on without prototypes: {reason[:_LONGEST_REASON]}"
            )
            training, self._training = self._training, None
            if training is not None:
                # What cannot be written any more is told already.
                with contextlib.suppress(OSError):
                    training.close()

    return guarded


class PrototypeCallback(keras.callbacks.Callback):
    """Makes the prototypes of a model while it trains, and logs them.

    TensorBoard's tab *Confusion* shows class prototypes, intermediary prototypes, the
    matrices C and R, M_g and the accuracy, as of a prototype study.

    It changes nothing of the training and never ends it: what goes wrong is told, as
    a warning, and the training goes on without prototypes. `error` is then the error.

    Args:
        log_dir: A log directory of TensorBoard. Where it holds prototypes already, they
            stay, and the new ones go into `fit_2`, `fit_3`, ... in it.
        class_names: One per class, in the order of the labels; `None` for 0, 1, ...
        every: Epochs between two times; the last epoch is always one. 1 by default.
        at: Instead of it, percentages of the training, such as `(25, 50, 100)`. If not
            all of them are whole epochs, every step waits for its loss.
        features: What C, R and M_g compare: the output of the layer of that name, or a
            function from images, as the model takes them, to features `(batch, ...)`;
            `None` takes what goes into the last layer with weights.
        example_batch: Some images as the model takes them, `(batch, height, width,
            channels)`, for a model that does not tell their size, and to check
            `input_range`. From 100 training images on, colours of "fourier" and
            "maco" and the mean spectrum, which "maco" needs, are taken from them.
        **options: Fields of `LiveSettings`: initialisations, intermediary, input_range,
            parametrization, learning_rate, max_iterations, loss_threshold, seed.

    Raises:
        ValueError: If an argument makes no sense with any model.

    Attributes:
        error: What went wrong in the last training; `None` if nothing did.
        prototypes: What was made last in the last training, an `xarray.Dataset` with
            the dimensions and variables of a prototype study (`image`, `converged`,
            ...); `None` if nothing was.
        seconds: How long every time took in the last training; the first time
            compiles.
    """

    def __init__(
        self,
        log_dir: str | os.PathLike[str],
        class_names: Sequence[str] | None = None,
        *,
        every: int | None = None,
        at: Sequence[float] | None = None,
        features: live_probe.Features = None,
        example_batch: Any = None,
        **options: Unpack[LiveOptions],
    ):
        super().__init__()
        moments.check(every, at)
        self.error: Exception | None = None
        self.prototypes: xr.Dataset | None = None
        self.seconds: list[float] = []
        self._log_dir = pathlib.Path(log_dir)
        self._class_names, self._features = class_names, features
        self._every, self._at = every or 1, at
        self._settings = LiveSettings(**options)
        self._example = None if example_batch is None else np.asarray(example_batch)
        if self._settings.parametrization == "maco" and not self._has_statistics():
            raise ValueError(
                f"Expected `example_batch` of at least {_FEWEST_IMAGES} training "
                "images for `maco`, which needs their mean spectrum. Received: "
                f"{'none' if self._example is None else len(self._example)}."
            )
        self._epoch = 0
        # Between trainings, and after an error, there is none.
        self._training: LoggedTraining | None = None
        # Kept for further trainings, as to trace a model takes seconds.
        self._found: tuple[keras.Model, Probe] | None = None
        if at is not None:
            # Only then: a training with such a method waits for every step.
            self.on_train_batch_end = self._end_step

    def on_train_begin(self, logs=None):
        """Plans when prototypes will be made."""
        self.error, self._training, self.seconds = None, None, []
        self.prototypes = None
        self._begin()

    def on_epoch_begin(self, epoch, logs=None):
        """Notes which epoch it is."""
        self._epoch = epoch

    @_without_ending_training
    def on_epoch_end(self, epoch, logs=None):
        """Logs the epoch, and makes prototypes if it is time."""
        if self._training is not None:
            self._training.end_epoch(epoch + 1, logs or {})
            self.prototypes = self._training.latest

    @_without_ending_training
    def on_train_end(self, logs=None):
        """Ends the event files."""
        if self._training is not None:
            self._training.close()

    @_without_ending_training
    def _end_step(self, batch, logs=None):
        if self._training is not None:
            step = self._epoch * (self.params["steps"] or 0) + batch + 1
            self._training.end_step(step, logs or {})
            self.prototypes = self._training.latest

    @_without_ending_training
    def _begin(self) -> None:
        num_epochs, num_steps = self.params["epochs"], self.params["steps"]
        if self._at is not None:
            due = moments.at_percentages(self._at, num_epochs, num_steps)
        else:
            due = moments.after_epochs(self._every, num_epochs)
        directory, number = self._log_dir, 1
        while (directory / "events").exists():
            number += 1
            directory = self._log_dir / f"fit_{number}"
        self._training = LoggedTraining(
            directory, due, self._find_probe, self._settings
        )
        self.seconds = self._training.seconds

    def _find_probe(self) -> Probe:
        """The model, which by now is built, as a probe; says what is assumed of it."""
        if self._found is not None and self._found[0] is self.model:
            return self._found[1]
        shape = None if self._example is None else self._example.shape[1:]
        probe = live_probe.live_probe(
            self.model,
            live_probe.image_shape(self.model, shape),
            class_names=self._class_names,
            limits=self._settings.input_range,
            features=self._features,
        )
        self._check(probe)
        if self._settings.parametrization != "pixels":
            probe = dataclasses.replace(probe, image_statistics=self._statistics(probe))
        for sentence in probe.assumed:
            _log.warning(sentence)
        self._found = self.model, probe
        return probe

    def _has_statistics(self) -> bool:
        return self._example is not None and len(self._example) >= _FEWEST_IMAGES

    def _statistics(self, probe: Probe) -> ImageStatistics | None:
        if self._example is None or not self._has_statistics():
            return None
        black, white = probe.input_range
        images = self._example[: image_statistics.num_images(probe.input_shape)]
        return ImageStatistics.of_images(
            (images.astype(np.float32) - black) / (white - black)
        )

    def _check(self, probe: Probe) -> None:
        height, width, _ = probe.input_shape
        longest = len(probe.class_names) * max(height, width)
        if longest > MAX_ROW_PIXELS:
            raise ValueError(
                f"Expected pictures of one image per class side by side of at most "
                f"{MAX_ROW_PIXELS} pixels. Received: {len(probe.class_names)} classes, "
                f"images of {height} x {width}. Use smaller images, or fewer classes."
            )
        if self._example is None:
            return
        low, high = float(self._example.min()), float(self._example.max())
        black, white = probe.input_range
        slack = (white - black) / 100
        if low < black - slack or high > white + slack:
            raise ValueError(
                f"Expected images from {black:g} to {white:g}, as the model's layers "
                f"expect them. Received: `example_batch` from {low:g} to {high:g}. Use "
                "`input_range=` with the values of black and white."
            )
