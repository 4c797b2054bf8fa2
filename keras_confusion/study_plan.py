"""What a confusion study will train: settings, arms, repeats, seeds.

An arm is the baseline (labels untouched) or a pair of classes that are confused.
"""

import dataclasses
import functools
import math
import pathlib
from typing import Any

import numpy as np
import psutil

from keras_confusion import class_pairs, provenance, runtime

# Modules that import TensorFlow are imported in the functions that need them: a worker
# process reads this module before it has started TensorFlow.

MIN_CLASSES = 3
CORRUPTIONS = ("swap", "one_way", "merge")
DTYPE_POLICIES = ("auto", "float32", "mixed_bfloat16")


@dataclasses.dataclass(frozen=True)
class StudySettings:
    """Everything that decides the result of a study.

    Args:
        dataset: A name or path, see `datasets.load_dataset`.
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
        model: A model name or function, see `models.build_model`.
        dtype_policy: "auto", "float32" or "mixed_bfloat16".
        corruption: "swap" exchanges a fraction of both classes' labels, "one_way"
            gives a fraction of a the label b, "merge" gives all of b the label a; a
            is the class with the lower label.
        fraction: Share of a class that is given a wrong label, 0 to 1; not for "merge".
        image_size: (height, width) to which images of other sizes are brought.
        streaming: Reads images through tf.data in every epoch, for data sets that do
            not fit in memory.
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
    dtype_policy: str = "auto"
    corruption: str = "swap"
    fraction: float = 0.5
    image_size: tuple[int, int] | None = None
    streaming: bool = False


@dataclasses.dataclass(frozen=True)
class StudyPlan:
    """Settings that are settled for one data set, and what follows from them.

    Args:
        settings: What was asked for.
        directory: The study's folder.
        data_dir: Where TensorFlow Datasets keeps its data, or `None`.
        pairs: Pairs of labels (a, b), a < b, sorted.
        baseline_repeats: Number of baseline networks.
        dtype_policy: "float32" or "mixed_bfloat16".
    """

    settings: StudySettings
    directory: pathlib.Path
    data_dir: str | None
    pairs: tuple[tuple[int, int], ...]
    baseline_repeats: int
    dtype_policy: str

    @classmethod
    def make(cls, settings: StudySettings, directory, data_dir) -> "StudyPlan":
        """Settles the settings; see `confusion_study.run_confusion_study`."""
        from keras_confusion import models

        data_dir = None if data_dir is None else str(data_dir)
        if settings.image_size is not None:
            height, width = settings.image_size
            settings = dataclasses.replace(settings, image_size=(height, width))
        dataset = load_dataset_once(settings.dataset, data_dir, settings.image_size)
        if dataset.num_classes < MIN_CLASSES:
            raise ValueError(
                f"Expected at least {MIN_CLASSES} classes: two to confuse and one to "
                f"watch. Received: {dataset.name} with {dataset.num_classes}."
            )
        pairs = class_pairs.resolve_pairs(
            settings.pairs,
            dataset.class_names,
            ordered=settings.corruption != "swap" and settings.pairs != "all",
        )
        baseline_repeats = settings.baseline_repeats
        if baseline_repeats is None:
            baseline_repeats = round(settings.repeats * math.sqrt(len(pairs)))
        dtype_policy = settings.dtype_policy
        if dtype_policy == "auto":
            dtype_policy = runtime.default_dtype_policy()
        plan = cls(settings, directory, data_dir, pairs, baseline_repeats, dtype_policy)
        # What is wrong with recipe or model shows here, once, not in every worker.
        _ = plan.recipe
        first, second = (
            models.build_model(
                settings.model,
                num_classes=dataset.num_classes,
                input_shape=dataset.image_shape,
                seed=0,
            ).variables
            for _ in range(2)
        )
        # Variables hold weights, and the seeds of layers that draw, such as dropout.
        if any(
            np.any(a.numpy() != b.numpy()) for a, b in zip(first, second, strict=True)
        ):
            raise ValueError(
                "Expected initial weights and layers' seeds that are a function of "
                "`seed`, so that the arms of a repeat can share them. Received: "
                f"{models.model_name(settings.model)}, which gives others at the same "
                "seed. Use initializers and layers with seeds derived from it."
            )
        return plan

    @property
    def dataset(self):
        """The `datasets.ImageDataset`, read once in a process."""
        return load_dataset_once(
            self.settings.dataset, self.data_dir, self.settings.image_size
        )

    @property
    def recipe(self):
        """The `recipes.Recipe`, with what was asked for in place of its own."""
        from keras_confusion import recipes

        return recipes.find_recipe(
            self.settings.recipe,
            num_train=self.dataset.train.num_examples,
            batch_size=self.settings.batch_size,
            learning_rate=self.settings.learning_rate,
        )

    @functools.cached_property
    def trainer(self):
        """The `training.Trainer`, compiled once in a process."""
        from keras_confusion import training

        return training.Trainer(
            self.dataset,
            self.settings.model,
            recipe=self.recipe,
            epochs=self.settings.epochs,
            dtype_policy=self.dtype_policy,
            streaming=self.settings.streaming,
        )

    def check_memory(self, workers: int) -> None:
        """Raises `ValueError` if the images of all workers do not fit in memory."""
        if self.settings.streaming:
            return
        # Each worker holds the images twice: as read and as tensors.
        dataset = self.dataset
        needed = 2 * workers * (dataset.train.nbytes + dataset.test.nbytes)
        available = psutil.virtual_memory().available
        if needed > available:
            raise ValueError(
                f"Expected images that fit in memory. Received: {dataset.name}, which "
                f"needs {needed / 1e9:.1f} GB for {workers} workers where "
                f"{available / 1e9:.1f} GB are free. Use --streaming to read images "
                "from disk in every epoch, or fewer --workers."
            )

    def networks(self) -> list[tuple[tuple[int, int] | None, int]]:
        """All (pair or None, repeat), repeat by repeat, the baseline first in each.

        A study that is stopped early then has all arms, with fewer repeats.
        """
        arms: list[tuple[tuple[int, int] | None, int]]
        arms = [(None, self.baseline_repeats)]
        arms += [(pair, self.settings.repeats) for pair in self.pairs]
        most = max(repeats for _, repeats in arms)
        return [
            (pair, repeat)
            for repeat in range(most)
            for pair, repeats in arms
            if repeat < repeats
        ]

    def description(self) -> dict:
        """What `study.json` says, see `results.open_study`."""
        from keras_confusion import models

        recipe = self.recipe
        settings = dataclasses.asdict(self.settings) | {
            "dataset": str(self.settings.dataset),
            "model": models.model_name(self.settings.model),
            "pairs": self.pairs,
            "baseline_repeats": self.baseline_repeats,
            "batch_size": recipe.batch_size,
            "learning_rate": recipe.learning_rate,
            "dtype_policy": self.dtype_policy,
        }
        return {
            "settings": settings,
            "class_names": list(self.dataset.class_names),
            "image_shape": list(self.dataset.image_shape),
            "num_train": self.dataset.train.num_examples,
            "num_test": self.dataset.test.num_examples,
            "dataset_fingerprint": self.dataset.fingerprint,
            "provenance": provenance.provenance(),
        }


@functools.lru_cache(maxsize=1)
def load_dataset_once(name, data_dir, image_size):
    """`datasets.load_dataset`, read once in a process."""
    from keras_confusion import datasets

    return datasets.load_dataset(name, data_dir=data_dir, image_size=image_size)


def network_seeds(
    study_seed: int, repeat: int, pair, attempt: int
) -> dict[str, int | None]:
    """Seeds of one network.

    Networks of one repeat share initial weights and order, so that their differences
    come from the labels; which labels are wrong is drawn for each arm on its own.

    Args:
        study_seed: The study's seed.
        repeat: Number of the repeat, from 0.
        pair: (a, b), or `None` for the baseline, which has no corruption seed.
        attempt: 0; 1 for the second attempt of a network whose loss was not finite.

    Returns:
        `seed`, `initialisation_seed`, `order_seed` and `corruption_seed`, integers
        from 0 to 2**32 - 1 (`seed`: 2**63 - 1).
    """
    of_repeat = np.random.SeedSequence((study_seed, repeat, attempt))
    seed = int(of_repeat.generate_state(1, np.uint64)[0] >> np.uint64(1))

    def derived(*key) -> int:
        return int(np.random.SeedSequence(seed, spawn_key=key).generate_state(1)[0])

    return {
        "seed": seed,
        "initialisation_seed": derived(0),
        "order_seed": derived(1),
        "corruption_seed": None if pair is None else derived(2, *pair),
    }


def transition_of(settings: StudySettings, num_classes: int, pair) -> np.ndarray:
    """The study's `transition[true, given]` for one pair; see `corruption`."""
    from keras_confusion import corruption

    if settings.corruption == "merge":
        return corruption.merge(num_classes, *pair)
    build = {"swap": corruption.swap, "one_way": corruption.one_way}
    return build[settings.corruption](num_classes, *pair, fraction=settings.fraction)


def check_settings(settings: StudySettings) -> None:
    """Raises `ValueError` for a setting that makes no sense with any data set."""
    at_least_one: dict[str, int | None] = {
        "repeats": settings.repeats,
        "baseline_repeats": settings.baseline_repeats,
        "epochs": settings.epochs,
        "batch_size": settings.batch_size,
    }
    for name, value in at_least_one.items():
        if value is not None and value < 1:
            raise ValueError(f"Expected `{name}` of at least 1. Received: {value}.")
    if settings.learning_rate is not None and not settings.learning_rate > 0:
        raise ValueError(
            f"Expected a `learning_rate` above 0. Received: {settings.learning_rate}."
        )
    if settings.seed < 0:
        raise ValueError(f"Expected a `seed` of 0 or more. Received: {settings.seed}.")
    if not 0 <= settings.fraction <= 1:
        raise ValueError(
            f"Expected `fraction` in [0, 1]. Received: {settings.fraction}. "
            "Use 0.5 to swap half of the labels of both classes."
        )
    if settings.corruption == "merge" and settings.fraction != 0.5:
        raise ValueError(
            "Expected no `fraction` with `merge`, which gives all of b the label a. "
            f"Received: {settings.fraction}. Use 'one_way' to give a part of it."
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
