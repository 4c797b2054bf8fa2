"""Settings of a confusion study, and which of them make sense."""

import dataclasses
import math
import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from keras_confusion.storage.checks import echo, is_whole
from keras_confusion.training import setting_fields
from keras_confusion.training.setting_fields import setting, with_default
from keras_confusion.training.settings import TrainingOptions, TrainingSettings

CORRUPTIONS = ("swap", "one_way", "merge", "null")
# What studies had that were begun before they said so in `study.json`.
ADDED_SETTINGS: dict[str, Any] = {
    "shared_seeds": True,
    "deterministic": False,
    "width": None,
    "input_range": [0.0, 1.0],
}
# Networks are the same however many there are of an arm.
GROWING = ("repeats", "baseline_repeats")
# What every `study.json` says, in this order. A setting that came later follows where
# it is not at its default, so that studies from before it go on as they are.
ALWAYS_STORED = (
    *("dataset", "pairs", "repeats", "baseline_repeats", "epochs", "recipe"),
    *("batch_size", "learning_rate", "seed", "model", "width", "dtype_policy"),
    *("corruption", "fraction", "shared_seeds", "image_size", "streaming"),
    "deterministic",
)
HALF = 0.5


@dataclasses.dataclass(frozen=True)
class ConfusionSettings(TrainingSettings):
    """Everything that decides the result of a confusion study.

    Raises:
        ValueError: If a value makes no sense with any data set.
    """

    recipe: str | None = with_default(TrainingSettings, "recipe", "annealed")
    epochs: int = with_default(TrainingSettings, "epochs", 10)
    # Not an option: the trainer of many networks moves no images.
    augment: bool = setting(False, "always off in confusion studies")
    # "a-b" strings or (a, b), by name or label, see `class_pairs.resolve_pairs`.
    pairs: str | Sequence[Any] = setting(
        "all",
        "'all', or pairs by class name or label: 3-8 cat-dog",
        group="study",
        metavar="A-B",
    )
    repeats: int = setting(
        4,
        "networks per pair; the poster has 50",
        group="study",
        metavar="N",
        minimum=1,
    )
    # The default is Dunnett's rule, as the baseline is compared with every pair.
    baseline_repeats: int | None = setting(
        None,
        "networks without confusion",
        group="study",
        metavar="N",
        unset="repeats x sqrt(number of pairs)",
        minimum=1,
    )
    corruption: str = setting(
        "swap",
        "how a pair is confused: swap exchanges labels of both classes, one_way gives "
        "some of a the label b, merge gives all of b the label a (a has the lower "
        "label); null treats every arm as the baseline, to see what chance finds",
        group="study",
        choices=CORRUPTIONS,
    )
    fraction: float | None = setting(
        None,
        "share of a class that is given the wrong label; with null of all classes in "
        "all networks",
        group="study",
        metavar="F",
        unset="0.5, and 0 with null",
        minimum=0,
        maximum=1,
    )
    shared_seeds: bool = setting(
        True,
        "initial weights and order for every network, not for every repeat",
        group="study",
        # What the option does, which sets it to false.
        option="--own-seeds",
    )
    streaming: bool = setting(
        False,
        "read images from disk in every epoch, for data that does not fit in memory",
        group="data",
    )

    def __post_init__(self):
        super().__post_init__()
        if self.augment:
            raise ValueError(
                "Expected no `augment` in a confusion study, which trains on images as "
                "they are. Received: True. Use a model with layers that augment."
            )
        if self.corruption == "merge" and self.settled_fraction != HALF:
            raise ValueError(
                "Expected no `fraction` with `merge`, which gives all of b the label "
                f"a. Received: {self.fraction}. Use 'one_way' to give a part of it."
            )
        if (
            self.corruption == "null"
            and self.shared_seeds
            and self.settled_fraction == 0
        ):
            raise ValueError(
                "Expected networks that differ. Received: corruption 'null' with "
                "untouched labels and shared seeds, which trains the same network "
                "again and again within a repeat. Use --own-seeds, or --fraction 0.2 "
                "for labels that are wrong at random in every network."
            )

    @property
    def settled_fraction(self) -> float:
        """`fraction`, or what the corruption has without one."""
        if self.fraction is not None:
            return self.fraction
        return 0.0 if self.corruption == "null" else HALF


class ConfusionOptions(TrainingOptions, total=False):
    """The fields of `ConfusionSettings` as keyword arguments of a function."""

    pairs: str | Sequence[Any]
    repeats: int
    baseline_repeats: int | None
    corruption: str
    fraction: float | None
    shared_seeds: bool
    streaming: bool


def to_store(settings: ConfusionSettings, settled: dict[str, Any]) -> dict[str, Any]:
    """The settings of `study.json`, in its order.

    Args:
        settings: What was asked for.
        settled: Values that stand in the place of some of them, JSON types.
    """
    values = dataclasses.asdict(settings)
    added = [
        field.name
        for field in dataclasses.fields(settings)
        if field.name not in ALWAYS_STORED and values[field.name] != field.default
    ]
    values |= settled
    return {name: values[name] for name in (*ALWAYS_STORED, *added)}


def check_stored(description: dict, file: pathlib.Path) -> None:
    """Raises `ValueError` for a setting in `study.json` that no study can have."""
    stored = description["settings"]
    setting_fields.check_stored(ConfusionSettings, stored, file)
    if "pairs" in stored:
        _check_pairs(stored["pairs"], len(description["class_names"]), file)


def _check_pairs(pairs, num_classes: int, file) -> None:
    most = math.comb(num_classes, 2)
    if not isinstance(pairs, list) or not 0 < len(pairs) <= most:
        number = len(pairs) if isinstance(pairs, list) else echo(pairs)
        raise ValueError(
            f"Expected 1 to {most} pairs of {num_classes} classes in {file}. "
            f"Received: {number}. Use the file that keras-confusion wrote."
        )
    for pair in pairs:
        if not (
            isinstance(pair, list)
            and len(pair) == 2
            and all(is_whole(label, 0, num_classes - 1) for label in pair)
            and pair[0] < pair[1]
        ):
            raise ValueError(
                f"Expected pairs of labels [a, b], a < b, below {num_classes} in "
                f"{file}. Received: {echo(pair)}. Use the file that keras-confusion "
                "wrote."
            )
    if len({(a, b) for a, b in pairs}) < len(pairs):
        raise ValueError(
            f"Expected each pair once in {file}. Received: one twice. "
            "Use the file that keras-confusion wrote."
        )


def transition_of(settings: ConfusionSettings, num_classes: int, pair) -> np.ndarray:
    """The study's `transition[true, given]` for one pair; see `corruption`."""
    from keras_confusion.datasets import corruption

    fraction = settings.settled_fraction
    if settings.corruption == "null":
        return corruption.uniform_noise(num_classes, fraction)
    if settings.corruption == "merge":
        return corruption.merge(num_classes, *pair)
    build = {"swap": corruption.swap, "one_way": corruption.one_way}
    return build[settings.corruption](num_classes, *pair, fraction=fraction)


def network_seed(
    study_seed: int, shared_seeds: bool, repeat: int, pair, attempt: int
) -> int:
    """The `seed` of `network_seeds`."""
    source = np.random.SeedSequence(
        (study_seed, repeat, attempt),
        spawn_key=() if shared_seeds else (1, *(pair or ())),
    )
    return int(source.generate_state(1, np.uint64)[0] >> np.uint64(1))


def network_seeds(
    settings: ConfusionSettings, repeat: int, pair, attempt: int
) -> dict[str, Any]:
    """Seeds of one network.

    With shared seeds the networks of one repeat have the same initial weights and
    order, so that their differences come from the labels; which labels are wrong is
    drawn for each network on its own. Else all seeds are the network's own.

    Args:
        settings: The study's settings.
        repeat: Number of the repeat, from 0.
        pair: (a, b), or `None` for the baseline.
        attempt: 0; 1 for the second attempt of a network whose loss was not finite.

    Returns:
        `seed`, `initialisation_seed`, `order_seed` and `corruption_seed`, integers
        from 0 to 2**32 - 1 (`seed`: 2**63 - 1). `corruption_seed` is `None` where
        labels are those of the data set: in the baseline, unless a null study gives it
        as many wrong ones as the arms.
    """
    arm = pair or ()
    seed = network_seed(settings.seed, settings.shared_seeds, repeat, pair, attempt)

    def derived(*key) -> int:
        return int(np.random.SeedSequence(seed, spawn_key=key).generate_state(1)[0])

    is_corrupted = pair is not None
    if settings.corruption == "null":
        is_corrupted = settings.settled_fraction > 0
    return {
        "seed": seed,
        "initialisation_seed": derived(0),
        "order_seed": derived(1),
        "corruption_seed": derived(2, *arm) if is_corrupted else None,
    }
