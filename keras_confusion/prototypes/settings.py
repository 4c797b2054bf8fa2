"""What decides the results of a prototype study.

The defaults are those of the prototype poster; its learning rates are
`poster_learning_rate`.
"""

import dataclasses

from keras_confusion.execution import runtime
from keras_confusion.training import intervals as training_intervals
from keras_confusion.training import settings as training_settings
from keras_confusion.training.settings import ClassifierSettings

STARTS = ("previous", "noise")
PROTOTYPE_DTYPES = ("auto", "float32", "bfloat16")
# From this many classes on the poster's learning rate is ten times as high.
_MANY_CLASSES = 100


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
            of the network in it first, see `drafting.with_draft`; "auto" for that where
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
