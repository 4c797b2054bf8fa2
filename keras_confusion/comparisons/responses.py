"""From a network's answers on the test set to its responses, per class.

Two responses for every target class T:

    accuracy                the most probable label is T
    accuracy_without_pair   the most probable label outside the confused pair is T

Confusing two classes makes both weaker rivals, which raises the plain accuracy of third
classes whether or not anything was learned from the pair. With the pair left out of the
comparison in both groups, that competition is gone; what is left is done by the
features or by the last layer, which `head_responses` tells apart.
"""

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from keras_confusion.comparisons import answer_counts
from keras_confusion.comparisons.rates import CountedRates, Rates, RatesWithoutPairs
from keras_confusion.comparisons.running_counts import BaselineCounts, ConfusedCounts
from keras_confusion.confusion.answers import top_labels
from keras_confusion.datasets.class_pairs import Pair

RESPONSES = ("accuracy", "accuracy_without_pair")


@dataclasses.dataclass(frozen=True)
class StudyResponses:
    """All responses of a study's networks; failed networks are left out.

    Args:
        pairs: The study's pairs (a, b), in order; P of them.
        confused_pair: int array `(num_confused,)`, index into `pairs` per network.
        confused_seed: int array `(num_confused,)`, the seed of the repeat. Networks
            with the same one start from the same weights and see the same order.
        baseline_seed: int array `(num_baseline,)`.
        confused: Rates `(num_confused, K)` over all classes.
        confused_without_pair: Rates `(num_confused, K)`, the network's own pair left
            out; NaN for its two classes.
        baseline: Rates `(num_baseline, K)` over all classes.
        baseline_without_pair: Those of the baseline networks, each pair left out.
        prior: Share of test images of each class, `(K,)`.
        test_images_per_class: int array `(K,)`.
    """

    pairs: list[tuple[int, int]]
    confused_pair: np.ndarray
    confused_seed: np.ndarray
    baseline_seed: np.ndarray
    confused: Rates | CountedRates
    confused_without_pair: Rates | CountedRates
    baseline: Rates | CountedRates
    baseline_without_pair: RatesWithoutPairs
    prior: np.ndarray
    test_images_per_class: np.ndarray


class ResponseCollector:
    """Takes the networks of a study one by one, in any order, and keeps counts of them.

    Memory is 16 bytes a network and class with up to 65,535 test images; of a baseline
    network moreover 2 K^2 bytes, and some for every image whose third label is right.
    Answers are not kept.

    Args:
        test_labels: int array `(num_test,)`.
        num_classes: Number of classes, K.
        pairs: The study's pairs (a, b), in the order of `study.json`.
        single_networks: Whether to keep of every baseline network all responses with
            each pair left out, `ListedRates`, in place of counts and means: what
            measures of single networks need, 24 P K bytes each.
    """

    def __init__(
        self,
        test_labels: np.ndarray,
        *,
        num_classes: int,
        pairs: Iterable[Pair],
        single_networks: bool = False,
    ):
        self._pairs = [(int(a), int(b)) for a, b in pairs]
        self._number = {pair: index for index, pair in enumerate(self._pairs)}
        # Labels of one small type are compared faster.
        labels = np.asarray(test_labels).astype(np.min_scalar_type(num_classes))
        self._confused = ConfusedCounts(labels, num_classes)
        self._baseline = BaselineCounts(
            labels,
            num_classes,
            np.array(self._pairs, np.int64).reshape(-1, 2),
            keep_all=single_networks,
        )
        self._images = np.bincount(labels, minlength=num_classes)

    def add(self, row: Mapping[str, Any]) -> None:
        """Adds a row of `network_files.COLUMNS`, unless the network failed."""
        if row["failed"]:
            return
        if pd.isna(row["class_a"]):
            self._baseline.add(row)
        else:
            pair = int(row["class_a"]), int(row["class_b"])
            self._confused.add(row, pair, self._number[pair])

    def study(self) -> StudyResponses:
        """The responses of all networks so far, by pair and repeat.

        Raises:
            ValueError: If a network was added twice.
        """
        confused, baseline = self._confused.in_order(), self._baseline.in_order()
        return StudyResponses(
            pairs=self._pairs,
            confused_pair=confused.pair,
            confused_seed=confused.seed,
            baseline_seed=baseline.seed,
            confused=confused.rates,
            confused_without_pair=confused.without_pair,
            baseline=baseline.rates,
            baseline_without_pair=baseline.without_pair,
            prior=self._images / self._images.sum(),
            test_images_per_class=self._images,
        )


def study_responses(
    networks: pd.DataFrame | Iterable[pd.DataFrame],
    test_labels: np.ndarray,
    *,
    num_classes: int,
    pairs: Iterable[Pair],
    single_networks: bool = False,
) -> StudyResponses:
    """Computes all responses of a study.

    Args:
        networks: As `store.read_networks` or `store.iterate_networks` returns them.
        test_labels: int array `(num_test,)`.
        num_classes: Number of classes, K.
        pairs: The study's pairs (a, b), in the order of `study.json`.
        single_networks: See `ResponseCollector`.

    Returns:
        `StudyResponses`, networks by pair and repeat.
    """
    collector = ResponseCollector(
        test_labels,
        num_classes=num_classes,
        pairs=pairs,
        single_networks=single_networks,
    )
    if isinstance(networks, pd.DataFrame):
        networks = [networks]
    for some in networks:
        for row in some.to_dict("records"):
            collector.add(row)
    return collector.study()


def network_accuracies(
    row: Mapping[str, Any],
    test_labels: np.ndarray,
    *,
    num_classes: int,
    pairs: Iterable[Pair],
) -> tuple[np.ndarray, np.ndarray]:
    """Both responses of one network.

    Args:
        row: A row of `network_files.COLUMNS` that did not fail.
        test_labels: int array `(num_test,)`.
        num_classes: Number of classes, K.
        pairs: Pairs of classes to leave out in turn.

    Returns:
        `accuracy` `(K,)` and `accuracy_without_pair` `(len(pairs), K)`, NaN for the
        classes of the pair; shares.
    """
    top, left_out = top_labels(row), np.array(list(pairs), np.int64).reshape(-1, 2)
    counts = answer_counts.pair_hits(
        top, test_labels, answer_counts.pair_table(left_out, num_classes)
    )
    images = np.bincount(test_labels, minlength=num_classes)
    with np.errstate(invalid="ignore", divide="ignore"):
        without_pairs = answer_counts.counts_of_pairs(counts, left_out) / images
        accuracy = counts.plain / images
    np.put_along_axis(without_pairs, left_out, np.nan, 1)
    return accuracy, without_pairs


def prior_outside(study: StudyResponses, pair: Pair) -> np.ndarray:
    """Share of each class among the test images outside a pair, `(K,)`."""
    prior = study.prior / (1 - study.prior[list(pair)].sum())
    prior[list(pair)] = np.nan
    return prior
