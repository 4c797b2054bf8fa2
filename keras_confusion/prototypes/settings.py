"""What decides the results of a prototype study.

The defaults are those of the prototype poster; its learning rates are
`poster_learning_rate`.
"""

import dataclasses
import pathlib

from keras_confusion.training import intervals as training_intervals
from keras_confusion.training import setting_fields
from keras_confusion.training.setting_fields import setting
from keras_confusion.training.settings import ClassifierOptions, ClassifierSettings

# What studies had that were begun before they said so in `study.json`.
ADDED_SETTINGS = {
    "adversarial": None,
    "deterministic": False,
    "eps": None,
    "input_range": [0.0, 1.0],
    "parametrization": "pixels",
    "transformations": "none",
    "steps": None,
}
POSTER_UPDATE_RULE = "normalized"
# From this many classes on the poster's learning rate is ten times as high.
_MANY_CLASSES = 100


@dataclasses.dataclass(frozen=True)
class PrototypeSettings(ClassifierSettings):
    """Everything that decides the result of a prototype study, after the network's.

    Raises:
        ValueError: If a value makes no sense with any data set.
    """

    intervals: tuple[float, ...] = setting(
        training_intervals.PERCENTAGES,
        "percentages of the training after which prototypes are made",
        group="intervals",
        metavar="P",
    )
    interval_of: str = setting(
        "data",
        "data: one network goes on training on growing parts of every class; steps: it "
        "is looked at during one training",
        group="intervals",
        choices=training_intervals.INTERVALS_OF,
    )
    inits: int = setting(
        5,
        "initialisations of the images",
        group="prototypes",
        metavar="N",
        minimum=1,
    )
    start: str | None = setting(
        None,
        "class prototypes go on from those of the interval before, or begin afresh, "
        "from the same noise in every interval",
        group="prototypes",
        choices=("previous", "noise"),
        unset="previous, and noise for a number of steps",
    )
    parametrization: str = setting(
        "pixels",
        "pixels: the poster's, noise that the network is sure of; fourier, maco: "
        "images that a person can read",
        group="prototypes",
        choices=("pixels", "fourier", "maco"),
    )
    transformations: str | None = setting(
        None,
        "standard: images are shifted, rotated and scaled anew for every update",
        group="prototypes",
        choices=("none", "standard"),
        unset="none of pixels, else standard",
    )
    steps: int | None = setting(
        None,
        "updates of every class prototype, whatever its loss is; others have half",
        group="prototypes",
        metavar="N",
        unset="pixels stop at the loss threshold, else 128",
        minimum=1,
    )
    update_rule: str | None = setting(
        None,
        "how images follow the gradient; boundaries have a rule of their own",
        group="prototypes",
        choices=("normalized", "sgd", "adam", "polyak", "growing"),
        unset="normalized, and adam for a number of steps",
    )
    prototype_learning_rate: float | None = setting(
        None,
        "learning rate of the images",
        group="prototypes",
        metavar="R",
        unset="of pixels 0.01, and 0.1 from 100 classes on; growing 0.5; fourier 0.03, "
        "maco 0.1",
        above=0,
    )
    loss_threshold: float = setting(
        0.01,
        "cross-entropy, in nats, below which an image is done",
        group="prototypes",
        metavar="L",
        above=0,
    )
    max_iterations: int = setting(
        2000,
        "updates after which an image is given up",
        group="prototypes",
        metavar="N",
        minimum=1,
    )
    boundaries: bool = setting(
        True,
        "make no boundary prototypes, which take as long as the others",
        group="prototypes",
        # What the option does, which sets it to false.
        option="--no-boundaries",
    )
    boundary_learning_rate: float = setting(
        0.1, "longest step of a boundary prototype", above=0
    )
    gap_tolerance: float = setting(
        0.01,
        "largest difference of the two logits at a boundary, see "
        "`images.boundary_prototypes`",
        above=0,
    )
    frames: int = setting(
        0,
        "pictures kept of every prototype's way, 0 or at least 2",
        group="prototypes",
        metavar="N",
        minimum=0,
    )
    prototype_dtype: str = setting(
        "auto",
        "bfloat16: images are optimised in it and finished in float32, which decides; "
        "auto: that where the machine computes in it",
        group="prototypes",
        choices=("auto", "float32", "bfloat16"),
    )

    def __post_init__(self):
        super().__post_init__()
        training_intervals.check_percentages(self.intervals, self.interval_of)
        if self.frames == 1:
            raise ValueError(
                "Expected `frames` of 0, or of at least 2 for the first and the last. "
                f"Received: {self.frames}."
            )

    def settled_prototype_dtype(self) -> str:
        """The type for this machine. Imports TensorFlow."""
        # --help need not wait for it.
        from keras_confusion.execution import runtime

        if self.prototype_dtype == "auto":
            return runtime.default_dtype_policy().removeprefix("mixed_")
        return self.prototype_dtype


class PrototypeOptions(ClassifierOptions, total=False):
    """The fields of `PrototypeSettings` as keyword arguments of a function."""

    intervals: tuple[float, ...]
    interval_of: str
    inits: int
    start: str | None
    parametrization: str
    transformations: str | None
    steps: int | None
    update_rule: str | None
    prototype_learning_rate: float | None
    loss_threshold: float
    max_iterations: int
    boundaries: bool
    boundary_learning_rate: float
    gap_tolerance: float
    frames: int
    prototype_dtype: str


def check_stored(description: dict, file: pathlib.Path) -> None:
    """Raises `ValueError` for a setting in `study.json` that no study can have."""
    stored = description["settings"]
    setting_fields.check_stored(PrototypeSettings, stored, file)
    if "intervals" in stored:
        try:
            training_intervals.check_percentages(stored["intervals"], "data")
        except ValueError as error:
            raise ValueError(f"The settings in {file} make no sense. {error}") from None


def poster_learning_rate(num_classes: int) -> float:
    """The prototype poster's: 0.01 for CIFAR-10 and 0.1 for CIFAR-100."""
    return 0.1 if num_classes >= _MANY_CLASSES else 0.01
