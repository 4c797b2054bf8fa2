"""The d' of a study's networks, as studies of their own that can be compared like it.

A reading is one of `head_responses.READINGS`: whose last layer is asked. For each the
networks are those of a `responses.StudyResponses` whose `accuracy_without_pair` is the
relative d' (`discriminability`), so that comparisons, tests and blocks are the same.
Beside the K classes it has one more target, in no pair: everybody, the overall d'.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from keras_confusion.comparisons.rates import Rates
from keras_confusion.comparisons.responses import StudyResponses
from keras_confusion.comparisons.running_counts import GrowingArray, network_order
from keras_confusion.confusion.head_responses import READINGS
from keras_confusion.datasets.class_pairs import Pair
from keras_confusion.stats import discriminability

EVERYBODY = "everybody"
# By reading: the column that it is made of.
_COLUMNS = {
    "total": "discriminability",
    "features": "features_discriminability",
}
COLUMNS = (*_COLUMNS.values(), "readout_discriminability")
# A d' is no share of images, and has no steps: as if of very many.
_NO_STEPS = 10**9


class ReadingCollector:
    """Takes the networks of a study one by one, in any order, and keeps their d'.

    Memory is 4 K bytes a network and reading, and 4 K^2 of a baseline network.

    Args:
        num_images: int array `(K,)`, test images of every class.
        pairs: The study's pairs (a, b), in the order of `study.json`.
    """

    def __init__(self, num_images: np.ndarray, *, pairs: Iterable[Pair]):
        self._num_images = np.asarray(num_images)
        self._num_classes = num_classes = len(self._num_images)
        self._pairs = [(int(a), int(b)) for a, b in pairs]
        self._number = {pair: index for index, pair in enumerate(self._pairs)}
        self._confused = {reading: _Networks((num_classes,)) for reading in _COLUMNS}
        shape = (discriminability.num_class_pairs(num_classes),)
        self._baseline = {reading: _Networks(shape) for reading in _COLUMNS}
        self._readout = _Networks((len(self._pairs), num_classes))

    def add(self, row: Mapping[str, Any]) -> None:
        """Adds a network; does nothing for what its row has not."""
        if row["failed"]:
            return
        if pd.isna(row["class_a"]):
            for reading, column in _COLUMNS.items():
                if row[column] is not None:
                    self._baseline[reading].append(row, 0, self._shrunken(row[column]))
            readout = row["readout_discriminability"]
            if readout is not None:
                values = np.asarray(readout).reshape(-1, self._num_classes)
                self._readout.append(row, 0, values)
            return
        pair = int(row["class_a"]), int(row["class_b"])
        for reading, column in _COLUMNS.items():
            if row[column] is not None:
                values = self._without_pair(np.asarray(row[column]), pair)
                self._confused[reading].append(row, self._number[pair], values)

    def _without_pair(self, values: np.ndarray, pair: Pair) -> np.ndarray:
        """The mean d' of targets without a pair, `(K,)`, from what a row has."""
        num_classes = self._num_classes
        if len(values) == num_classes != discriminability.num_class_pairs(num_classes):
            return values
        d = discriminability.matrices(self._shrunken(values), num_classes)
        return discriminability.without_pair(d, pair)

    def _shrunken(self, d_primes) -> np.ndarray:
        return discriminability.shrunken(d_primes, self._num_images)

    def studies(self) -> dict[str, StudyResponses]:
        """By reading, those that there are networks for in both groups."""
        found = {}
        for reading in _COLUMNS:
            confused = self._confused[reading].in_order()
            baseline = self._baseline[reading].in_order()
            found[reading] = self._study(confused, baseline)
        found["readout"] = self._readout_study()
        return {
            reading: found[reading]
            for reading in READINGS
            if len(found[reading].confused_seed) and len(found[reading].baseline_seed)
        }

    def _readout_study(self) -> StudyResponses:
        """Heads of swapped labels against the right heads on the same features."""
        number, seed, values = self._readout.in_order()
        _, baseline_seed, d = self._baseline["features"].in_order()
        is_used = np.isin(baseline_seed, seed)
        num_pairs = len(self._pairs)
        confused = (
            np.repeat(np.arange(num_pairs), len(seed)),
            np.tile(seed, num_pairs),
            values.swapaxes(0, 1).reshape(-1, self._num_classes),
        )
        return self._study(confused, (number, baseline_seed[is_used], d[is_used]))

    def _study(self, confused, baseline) -> StudyResponses:
        pair, seed, values = confused
        _, baseline_seed, d_primes = baseline
        num_targets = self._num_classes + 1
        d = discriminability.matrices(d_primes, self._num_classes)
        baselines = _BaselineValues(d, self._pairs)
        changes = values - baselines.levels[pair]
        confused_rates = _as_rates(discriminability.relative(changes))
        return StudyResponses(
            pairs=self._pairs,
            confused_pair=pair,
            confused_seed=seed,
            baseline_seed=baseline_seed,
            confused=confused_rates,
            confused_without_pair=confused_rates,
            baseline=_as_rates(np.full((len(d), num_targets), np.nan)),
            baseline_without_pair=baselines,
            prior=np.full(num_targets, 1 / num_targets),
            test_images_per_class=np.full(num_targets, _NO_STEPS),
        )


class _Networks:
    """Numbers of pairs, repeats, seeds and values of networks."""

    def __init__(self, shape: tuple[int, ...]):
        self._about = GrowingArray((3,), np.int64)
        self._values = GrowingArray(shape, np.float32)

    def append(self, row: Mapping[str, Any], number: int, values) -> None:
        self._about.append((number, row["repeat"], row["seed"]))
        self._values.append(values)

    def in_order(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Pair, seed and values of every network, by pair and repeat."""
        about = self._about.rows()
        order = network_order(about[:, 0], about[:, 1])
        return about[order, 0], about[order, 2], self._values.take(order)


def _as_rates(values: np.ndarray) -> Rates:
    """Values in the place of accuracies; there is no other response."""
    nothing = np.broadcast_to(np.nan, values.shape)
    return Rates(values.astype(np.float64), nothing, nothing)


class _BaselineValues:
    """`rates.RatesWithoutPairs` of the relative d' of baseline networks.

    Args:
        d: Of the networks, `(n, K, K)`.
        pairs: The study's pairs, P of them.

    Attributes:
        levels: Mean d' of every target without every pair, `(P, K)`, of which changes
            are reported.
    """

    def __init__(self, d: np.ndarray, pairs):
        self._pairs = np.array(pairs, np.int64).reshape(-1, 2)
        self._without_pairs = discriminability.WithoutPairs(d)
        self.levels = np.full((len(self._pairs), d.shape[-1]), np.nan)
        self._overall = np.full((len(self._pairs), len(d)), np.nan)
        if len(d):
            for index, pair in enumerate(self._pairs):
                values = self._without_pairs.means_without(*pair).astype(np.float64)
                self.levels[index] = values.mean(axis=0)
                changes = values - self.levels[index]
                self._overall[index] = discriminability.median_of_known(changes)

    def accuracy_of_pair(self, index: int) -> np.ndarray:
        """See `rates.RatesWithoutPairs`."""
        values = self._without_pairs.means_without(*self._pairs[index])
        return discriminability.relative(values - self.levels[index])

    def accuracy_of(self, target: int, networks=slice(None)) -> np.ndarray:
        """See `rates.RatesWithoutPairs`."""
        overall = self._overall[:, networks]
        if target == self.levels.shape[1]:
            return overall
        values = self._without_pairs.target_means(target, self._pairs, networks)
        return values - self.levels[:, [target]] - overall

    def mean(self, field: str) -> np.ndarray:
        """See `rates.RatesWithoutPairs`."""
        num_pairs, num_classes = self.levels.shape
        if field != "accuracy" or not self._overall.size:
            return np.full((num_pairs, num_classes + 1), np.nan)
        # Changes of the networks that levels are the means of are 0 on average.
        overall = self._overall.mean(axis=1)[:, None]
        return np.concatenate([0 * self.levels - overall, overall], axis=1)
