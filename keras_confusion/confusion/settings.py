"""Settings of a confusion study, and which of them make sense."""

import dataclasses
from typing import Any

import numpy as np

from keras_confusion.training.settings import DTYPE_POLICIES

CORRUPTIONS = ("swap", "one_way", "merge", "null")
# What studies had that were begun before they said so in `study.json`.
ADDED_SETTINGS: dict[str, Any] = {"shared_seeds": True, "deterministic": False}
HALF = 0.5


@dataclasses.dataclass(frozen=True)
class StudySettings:
    """Everything that decides the result of a study.

    Args:
        dataset: A name or path, see `loading.load_dataset`.
        pairs: "all", or pairs of classes as "a-b" strings or (a, b), by name or label.
        repeats: Networks per confused pair. The poster has 50.
        baseline_repeats: Baseline networks. `None` takes repeats times the square root
            of the number of pairs (Dunnett's rule, as the baseline is compared with
            every pair), rounded.
        epochs: Passes over the training set.
        recipe: A name of `recipes.find_recipe`.
        batch_size: Images a step; `None` takes the recipe's.
        learning_rate: Adam's; `None` takes the recipe's.
        seed: Integer, 0 or more, from which every draw of the study is derived.
        model: A model name or function, see `architectures.build_model`.
        width: Channels of the first stage of "resnet18"; `None` takes the model's.
        dtype_policy: "auto", "float32" or "mixed_bfloat16".
        corruption: "swap" exchanges a fraction of both classes' labels, "one_way"
            gives a fraction of a the label b, "merge" gives all of b the label a; a
            is the class with the lower label. "null" treats every arm as it treats
            the baseline, whatever its pair, so that every difference is chance: a
            fraction of every class, drawn anew for every network, is given the labels
            of the other classes in equal parts.
        fraction: Share of a class that is given a wrong label, 0 to 1; not for "merge".
            `None` takes half, and 0 for "null".
        shared_seeds: Whether the networks of a repeat start from the same weights and
            see the images in the same order. If not, every network draws its own, and
            there is nothing to pair within a repeat.
        image_size: (height, width) to which images of other sizes are brought.
        streaming: Reads images through tf.data in every epoch, for data sets that do
            not fit in memory.
        deterministic: Holds TensorFlow to operations that give the same bits whenever
            they are run, and trains one network at a time.
    """

    dataset: str = "digits"
    pairs: Any = "all"
    repeats: int = 4
    baseline_repeats: int | None = None
    epochs: int = 10
    recipe: str = "annealed"
    batch_size: int | None = None
    learning_rate: float | None = None
    seed: int = 0
    model: Any = "cnn"
    width: int | None = None
    dtype_policy: str = "auto"
    corruption: str = "swap"
    fraction: float | None = None
    shared_seeds: bool = True
    image_size: tuple[int, int] | None = None
    streaming: bool = False
    deterministic: bool = False

    @property
    def model_options(self) -> dict[str, Any]:
        """More arguments of the model function."""
        return {} if self.width is None else {"width": self.width}

    @property
    def settled_fraction(self) -> float:
        """`fraction`, or what the corruption has without one."""
        if self.fraction is not None:
            return self.fraction
        return 0.0 if self.corruption == "null" else HALF


def check_settings(settings: StudySettings) -> None:
    """Raises `ValueError` for a setting that makes no sense with any data set."""
    at_least_one: dict[str, int | None] = {
        "repeats": settings.repeats,
        "baseline_repeats": settings.baseline_repeats,
        "epochs": settings.epochs,
        "batch_size": settings.batch_size,
        "width": settings.width,
    }
    for name, value in at_least_one.items():
        if value is not None and value < 1:
            raise ValueError(f"Expected `{name}` of at least 1. Received: {value}.")
    if settings.learning_rate is not None and not settings.learning_rate > 0:
        raise ValueError(
            f"Expected a `learning_rate` above 0. Received: {settings.learning_rate}."
        )
    if settings.width is not None and settings.model in ("cnn", "text"):
        raise ValueError(
            f"Expected no `width` for the {settings.model!r} model, whose layers are "
            f"fixed. Received: {settings.width}. Use the 'resnet18' model."
        )
    if settings.seed < 0:
        raise ValueError(f"Expected a `seed` of 0 or more. Received: {settings.seed}.")
    if not 0 <= settings.settled_fraction <= 1:
        raise ValueError(
            f"Expected `fraction` in [0, 1]. Received: {settings.fraction}. "
            "Use 0.5 to swap half of the labels of both classes."
        )
    if settings.corruption == "merge" and settings.settled_fraction != HALF:
        raise ValueError(
            "Expected no `fraction` with `merge`, which gives all of b the label a. "
            f"Received: {settings.fraction}. Use 'one_way' to give a part of it."
        )
    if (
        settings.corruption == "null"
        and settings.shared_seeds
        and settings.settled_fraction == 0
    ):
        raise ValueError(
            "Expected networks that differ. Received: corruption 'null' with untouched "
            "labels and shared seeds, which trains the same network again and again "
            "within a repeat. Use --own-seeds, or --fraction 0.2 for labels that are "
            "wrong at random in every network."
        )
    choices = {
        "corruption": (settings.corruption, CORRUPTIONS),
        "dtype_policy": (settings.dtype_policy, DTYPE_POLICIES),
    }
    for name, (choice, known) in choices.items():
        if choice not in known:
            raise ValueError(
                f"Expected `{name}` to be one of {known}. Received: {choice!r}."
            )


def transition_of(settings: StudySettings, num_classes: int, pair) -> np.ndarray:
    """The study's `transition[true, given]` for one pair; see `corruption`."""
    from keras_confusion.datasets import corruption

    fraction = settings.settled_fraction
    if settings.corruption == "null":
        return corruption.uniform_noise(num_classes, fraction)
    if settings.corruption == "merge":
        return corruption.merge(num_classes, *pair)
    build = {"swap": corruption.swap, "one_way": corruption.one_way}
    return build[settings.corruption](num_classes, *pair, fraction=fraction)


def network_seeds(
    settings: StudySettings, repeat: int, pair, attempt: int
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
    source = np.random.SeedSequence(
        (settings.seed, repeat, attempt),
        spawn_key=() if settings.shared_seeds else (1, *arm),
    )
    seed = int(source.generate_state(1, np.uint64)[0] >> np.uint64(1))

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
