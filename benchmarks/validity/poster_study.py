"""A study of all pairs of CIFAR-10's classes, its networks and repeats compared."""

import dataclasses
import itertools
import pathlib

import numpy as np
import pandas as pd

from benchmarks.validity import null_networks
from keras_confusion.comparisons import findings as comparison_findings
from keras_confusion.comparisons import (
    study_results,
    tables,
    target_by_class,
    target_by_pair,
)
from keras_confusion.comparisons.findings import TESTS, WELCH
from keras_confusion.comparisons.responses import RESPONSES, StudyResponses
from keras_confusion.datasets import class_pairs

VEHICLES = ("airplane", "automobile", "ship", "truck")
ANIMALS = ("bird", "cat", "deer", "dog", "frog", "horse")
BY_CLASS, BY_PAIR = "target x class", "target x pair"
# What one correction for many tests is made over.
FAMILIES = tuple(itertools.product((BY_CLASS, BY_PAIR), RESPONSES))


@dataclasses.dataclass(frozen=True)
class Measured:
    """A study whose networks were compared.

    Args:
        class_names: Names in the order of the labels.
        study: The responses of all networks.
        cells: Rows of `comparisons`, by comparison, response and test; of target x pair
            third classes only.
        repeats: By comparison and response, the rows of every complete repeat by
            itself, in the same order.
    """

    class_names: list[str]
    study: StudyResponses
    cells: dict[tuple[str, str, str], pd.DataFrame]
    repeats: dict[tuple[str, str], list[pd.DataFrame]]

    @property
    def vehicles(self) -> list[int]:
        """The labels of `VEHICLES`."""
        return [self.class_names.index(name) for name in VEHICLES]

    @property
    def num_repeats(self) -> int:
        """Complete repeats."""
        return len(self.repeats[FAMILIES[0]])

    def rows(self, comparison: str, response: str, test: str = WELCH) -> pd.DataFrame:
        """The cells of one response, as one test has them."""
        return self.cells[comparison, response, test]

    def matrix(self, response: str, column: str) -> np.ndarray:
        """Target x class, `(K, K)`; NaN on the diagonal."""
        return self._matrix(self.rows(BY_CLASS, response), column)

    def matrices(self, response: str) -> np.ndarray:
        """Differences of target x class in every repeat, points `(n, K, K)`."""
        repeats = self.repeats[BY_CLASS, response]
        return np.array([self._matrix(rows, "difference_points") for rows in repeats])

    def values(self, comparison: str, response: str, column: str) -> np.ndarray:
        """One column of every repeat's cells, `(n, cells)`."""
        return np.array([rows[column] for rows in self.repeats[comparison, response]])

    def _matrix(self, rows: pd.DataFrame, column: str) -> np.ndarray:
        size = len(self.class_names)
        return tables.matrix(rows, column, columns=range(size), num_classes=size)


def read(directory: pathlib.Path) -> Measured:
    """Reads a study once, and compares its networks.

    Raises:
        ValueError: If classes, pairs or repeats are not enough for the comparison.
        study_folder.StudyFolderError: If the folder holds no study.
    """
    study = study_results.read_study(directory, single_networks=True)
    if missing := sorted({*VEHICLES, *ANIMALS} - set(study.class_names)):
        raise ValueError(
            f"Expected the classes of CIFAR-10. Received: a study without {missing}. "
            "Use a study of --dataset cifar10."
        )
    pairs = study.responses.pairs
    if not class_pairs.has_all_pairs(pairs, len(study.class_names)):
        raise ValueError(
            f"Expected all pairs of classes. Received: {len(pairs)} pairs. "
            "Use --pairs all."
        )
    return measure(study.responses, study.class_names)


def measure(study: StudyResponses, class_names) -> Measured:
    """Compares the networks of a study, and of each of its complete repeats.

    A repeat is complete if it has one network of every arm and the baseline network
    that shares their seeds. Repeats share no network, so that their differences are
    independent.

    Raises:
        ValueError: If fewer than two repeats are complete.
    """
    repeats = []
    for seed in np.intersect1d(study.confused_seed, study.baseline_seed):
        confused, baseline = study.confused_seed == seed, study.baseline_seed == seed
        arms = study.confused_pair[confused]
        if len(arms) == len(study.pairs) == len(np.unique(arms)):
            one = null_networks.take(study, confused, baseline)
            repeats.append(_by_family(one, class_names))
    if len(repeats) < 2:
        raise ValueError(
            "Expected two repeats or more with all arms and the baseline. "
            f"Received: {len(repeats)}. Use --repeats 2 or more, and let the study end."
        )
    cells = {
        (*family, test): comparison_findings.with_test(rows, test)
        for family, rows in _by_family(study, class_names).items()
        for test in TESTS
    }
    by_family = {family: [rows[family] for rows in repeats] for family in FAMILIES}
    return Measured(list(class_names), study, cells, by_family)


def _by_family(study: StudyResponses, class_names) -> dict:
    by_pair = target_by_pair.target_by_pair(study, class_names)
    by_comparison = {
        BY_CLASS: target_by_class.target_by_class(study, class_names),
        BY_PAIR: by_pair[by_pair["family"] == "third"],
    }
    return {
        (comparison, response): rows[rows["response"] == response]
        for comparison, rows in by_comparison.items()
        for response in RESPONSES
    }
