"""What a confusion study will train: settings, arms, repeats, seeds.

An arm is the baseline (labels untouched) or a pair of classes that are confused.
"""

import dataclasses
import functools
import math
import pathlib
from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
import psutil

from keras_confusion.confusion import settings as confusion_settings
from keras_confusion.confusion.settings import ConfusionSettings, transition_of
from keras_confusion.datasets import class_pairs
from keras_confusion.execution import runtime

# Modules that import TensorFlow are imported in the functions that need them: a worker
# process reads this module before it has started TensorFlow.

MIN_CLASSES = 3
# (pair of labels, or `None` for the baseline; number of the repeat, from 0)
Network: TypeAlias = tuple[tuple[int, int] | None, int]


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
        networks_per_program: Networks that are trained at a time. Decides nothing but
            the last digits of a result.
        readout_baselines: Baseline networks, the first ones, whose last layers are also
            fitted to the swapped labels of every pair.
        keep_logits: Whether the answers to the test set are kept, see
            `store.logits_path`.
        study: What the study is called in its networks' rows, see
            `study_description.digest`; `None` before its folder is opened.
    """

    settings: ConfusionSettings
    directory: pathlib.Path
    data_dir: str | None
    pairs: tuple[tuple[int, int], ...]
    baseline_repeats: int
    dtype_policy: str
    networks_per_program: int = 1
    readout_baselines: int = 0
    keep_logits: bool = False
    study: str | None = None

    @classmethod
    def make(
        cls,
        settings: ConfusionSettings,
        directory,
        data_dir,
        *,
        networks_per_program: int | None = 1,
        readout_baselines: int = 0,
        keep_logits: bool = False,
        machine: runtime.Machine | None = None,
    ) -> "StudyPlan":
        """Settles the settings; see `study.run_confusion_study`.

        Args:
            settings: What was asked for.
            directory: The study's folder.
            data_dir: Where TensorFlow Datasets keeps its data.
            networks_per_program: `None` takes as many as fit.
            readout_baselines: See `StudyPlan`.
            keep_logits: See `StudyPlan`.
            machine: That trains the networks; `None` takes this one.
        """
        from keras_confusion.datasets.loading import load_dataset_once, tell
        from keras_confusion.models import architectures

        machine = machine or runtime.this_machine()
        data_dir = None if data_dir is None else str(data_dir)
        dataset = load_dataset_once(settings.dataset, data_dir, settings.image_size)
        # Once, not by every worker.
        tell(dataset)
        if dataset.num_classes < MIN_CLASSES:
            raise ValueError(
                f"Expected at least {MIN_CLASSES} classes: two to confuse and one to "
                f"watch. Received: {dataset.name} with {dataset.num_classes}."
            )
        settings = settings.settled(dataset)
        pairs = class_pairs.resolve_pairs(
            settings.pairs,
            dataset.class_names,
            ordered=settings.corruption in ("one_way", "merge")
            and settings.pairs != "all",
        )
        baseline_repeats = settings.baseline_repeats
        if baseline_repeats is None:
            baseline_repeats = round(settings.repeats * math.sqrt(len(pairs)))
        dtype_policy = settings.dtype_policy
        if dtype_policy == "auto":
            dtype_policy = machine.dtype_policy
        plan = cls(
            settings,
            directory,
            data_dir,
            pairs,
            baseline_repeats,
            dtype_policy,
            readout_baselines=readout_baselines,
            keep_logits=keep_logits,
        )
        # What is wrong with recipe or model shows here, once, not in every worker.
        _ = plan.recipe
        first, second = (
            architectures.build_model(
                settings.model,
                seed=0,
                **dataset.model_arguments,
                **settings.model_options,
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
                f"{architectures.model_name(settings.model)}, which gives others at "
                "the same seed. Use initializers and layers with seeds derived from it."
            )
        if settings.deterministic:
            networks_per_program = 1
        if networks_per_program is None:
            networks_per_program = plan.fitting_networks_per_program(machine)
        elif networks_per_program > 1:
            plan.check_packing()
        return dataclasses.replace(plan, networks_per_program=networks_per_program)

    @property
    def dataset(self):
        """The `labelled_dataset.LabelledDataset`, read once in a process."""
        from keras_confusion.datasets.loading import load_dataset_once

        return load_dataset_once(
            self.settings.dataset, self.data_dir, self.settings.image_size
        )

    @property
    def recipe(self):
        """The `recipes.Recipe`, with what was asked for in place of its own."""
        return self.settings.recipe_for(self.dataset.train.num_examples)

    @functools.cached_property
    def trainer(self):
        """The `trainer.Trainer`, compiled once in a process."""
        from keras_confusion.training import trainer as training_trainer

        return training_trainer.Trainer(
            self.dataset,
            self.settings.model,
            recipe=self.recipe,
            epochs=self.settings.epochs,
            dtype_policy=self.dtype_policy,
            streaming=self.settings.streaming,
            num_networks=self.networks_per_program,
            model_options=self.settings.model_options,
        )

    @functools.cached_property
    def has_features(self) -> bool:
        """Whether networks have features that last layers can be fitted to."""
        from keras_confusion.training import trainer as training_trainer

        return training_trainer.has_features(self._model(), self.dataset)

    def seeds(self, network: Network, attempt: int) -> dict[str, Any]:
        """See `settings.network_seeds`."""
        pair, repeat = network
        return confusion_settings.network_seeds(self.settings, repeat, pair, attempt)

    def given_labels(self, pair, corruption_seed) -> np.ndarray | None:
        """Training labels of one network; `None` if they are those of the data set.

        Args:
            pair: (a, b), or `None` for the baseline.
            corruption_seed: Of `seeds`.
        """
        from keras_confusion.datasets import corruption

        if corruption_seed is None:
            return None
        transition = transition_of(self.settings, self.dataset.num_classes, pair)
        return corruption.given_labels(
            self.dataset.train.labels, transition, corruption_seed
        )

    def fitting_networks_per_program(self, machine: runtime.Machine) -> int:
        """One on CPUs; on a GPU as many arms of a repeat as its memory holds."""
        from keras_confusion.training.packing import packable, packed_model

        memory_bytes = machine.gpu_memory_bytes
        if memory_bytes is None or self.settings.streaming:
            return 1
        try:
            packed_model.check_packing(self._model())
        except packable.PackingError:
            return 1
        return packed_model.networks_that_fit(
            self._model(),
            batch_size=self.recipe.batch_size,
            memory_bytes=memory_bytes,
            most=len(self.pairs) + 1,
        )

    def check_packing(self) -> None:
        """Raises `ValueError` if networks of this study cannot be packed."""
        from keras_confusion.training.packing import packed_model

        if self.settings.streaming:
            raise ValueError(
                "Expected one network at a time with --streaming. Received: more. "
                "Use --networks-per-program 1."
            )
        packed_model.check_packing(self._model())

    def _model(self):
        from keras_confusion.models import architectures

        return architectures.build_model(
            self.settings.model,
            seed=0,
            dtype_policy=self.dtype_policy,
            **self.dataset.model_arguments,
            **self.settings.model_options,
        )

    def check_memory(self, workers: int) -> None:
        """Raises `ValueError` if the data of all workers do not fit in memory."""
        if self.settings.streaming:
            return
        # Each worker holds the examples twice: as read and as tensors.
        dataset = self.dataset
        needed = 2 * workers * (dataset.train.nbytes + dataset.test.nbytes)
        available = psutil.virtual_memory().available
        if needed > available:
            raise ValueError(
                f"Expected data that fit in memory. Received: {dataset.name}, which "
                f"needs {needed / 1e9:.1f} GB for {workers} workers where "
                f"{available / 1e9:.1f} GB are free. Use --streaming to read them "
                "from disk in every epoch, or fewer --workers."
            )

    def networks(self) -> list[Network]:
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


def packs(networks: Sequence[Network], size: int) -> list[list[Network]]:
    """Puts networks together that are trained in one program.

    Networks of one repeat share their images and are fastest together. Incomplete
    packs of different repeats are combined.

    Args:
        networks: In the order in which they should be trained.
        size: Most networks in a pack, at least 1.

    Returns:
        Packs of at least one and at most `size` networks; every network once.
    """
    by_repeat: dict[int, list[Network]] = {}
    for network in networks:
        by_repeat.setdefault(network[1], []).append(network)
    whole: list[list[Network]] = []
    mixed: list[Network] = []
    for repeat_networks in by_repeat.values():
        for start in range(0, len(repeat_networks), size):
            pack = repeat_networks[start : start + size]
            # A program has a fixed number of places, and empty ones cost as much.
            if 2 * len(pack) >= size:
                whole.append(pack)
            else:
                mixed += pack
    whole += [mixed[start : start + size] for start in range(0, len(mixed), size)]
    return whole
