"""What is kept of networks while a study is read: counts, one network after another."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from keras_confusion.comparisons import answer_counts
from keras_confusion.comparisons.answer_counts import PairCounts
from keras_confusion.comparisons.rates import (
    CountedRates,
    CountedRatesWithoutPairs,
    ListedRates,
    Rates,
    RatesWithoutPairs,
)
from keras_confusion.confusion.answers import top_labels
from keras_confusion.datasets.class_pairs import Pair

_GROWTH = 1.5


class GrowingArray:
    """An array that rows are added to.

    Args:
        shape: Of a row.
        dtype: Its type.
    """

    def __init__(self, shape: tuple[int, ...], dtype):
        self._buffer = np.empty((0, *shape), dtype)
        self._length = 0

    def append(self, row) -> None:
        """Adds a row at the end."""
        if self._length == len(self._buffer):
            longer = max(int(_GROWTH * self._length), self._length + 16)
            buffer = np.empty((longer, *self._buffer.shape[1:]), self._buffer.dtype)
            buffer[: self._length] = self._buffer
            self._buffer = buffer
        self._buffer[self._length] = row
        self._length += 1

    def rows(self) -> np.ndarray:
        """The rows as they were added, `(num_rows, *shape)`."""
        return self._buffer[: self._length]

    def take(self, order: np.ndarray) -> np.ndarray:
        """The rows in an order of all of them."""
        rows = self.rows()
        # No row is ever written again: what is in order need not be copied.
        in_order = np.array_equal(order, np.arange(self._length))
        return rows if in_order else rows[order]


@dataclasses.dataclass(frozen=True)
class Confused:
    """The networks with a confused pair; arguments as of `responses.StudyResponses`."""

    pair: np.ndarray
    seed: np.ndarray
    rates: CountedRates
    without_pair: CountedRates


@dataclasses.dataclass(frozen=True)
class Baseline:
    """The baseline networks; arguments as of `responses.StudyResponses`."""

    seed: np.ndarray
    rates: CountedRates
    without_pair: RatesWithoutPairs


class _Counts:
    """Hits, false positives and bits of networks, for one response."""

    def __init__(self, num_classes: int, num_test: int):
        dtype = np.min_scalar_type(num_test)
        self._hits = GrowingArray((num_classes,), dtype)
        self._false_positives = GrowingArray((num_classes,), dtype)
        self._log2_bits = GrowingArray((num_classes,), np.float32)

    def append(self, counts: tuple[np.ndarray, np.ndarray], log2_bits) -> None:
        for array, row in zip(
            (self._hits, self._false_positives, self._log2_bits),
            (*counts, log2_bits),
            strict=True,
        ):
            array.append(row)

    def take(self, order, images, left_out=None) -> CountedRates:
        return CountedRates(
            self._hits.take(order),
            self._false_positives.take(order),
            self._log2_bits.take(order),
            images,
            left_out,
        )


class ConfusedCounts:
    """The networks with a confused pair.

    Args:
        test_labels: int array `(num_test,)`.
        num_classes: Number of classes, K.
    """

    def __init__(self, test_labels: np.ndarray, num_classes: int):
        self._labels, self._num_classes = test_labels, num_classes
        # Number of the pair, its classes, repeat, seed.
        self._about = GrowingArray((5,), np.int64)
        self._plain = _Counts(num_classes, len(test_labels))
        self._without_pair = _Counts(num_classes, len(test_labels))

    def add(self, row: Mapping[str, Any], pair: Pair, number: int) -> None:
        """Adds the network of a row whose pair has a number."""
        top, size = top_labels(row).astype(self._labels.dtype), self._num_classes
        self._about.append((number, *pair, row["repeat"], row["seed"]))
        self._plain.append(
            answer_counts.count_answers(top[0], self._labels, size),
            row["log2_probability"],
        )
        self._without_pair.append(
            answer_counts.count_without_pair(top, self._labels, pair, size),
            row["log2_probability_without_pair"],
        )

    def in_order(self) -> Confused:
        """All networks, by pair and repeat."""
        about = self._about.rows()
        order = network_order(about[:, 0], about[:, 3])
        images = np.bincount(self._labels, minlength=self._num_classes)
        about = about[order]
        return Confused(
            about[:, 0],
            about[:, 4],
            self._plain.take(order, images),
            self._without_pair.take(order, images, about[:, 1:3]),
        )


class BaselineCounts:
    """The baseline networks, and their counts with every pair left out.

    Args:
        test_labels: int array `(num_test,)`.
        num_classes: Number of classes, K.
        pairs: int array `(P, 2)`.
        keep_all: Whether to keep all responses of every network.
    """

    def __init__(
        self,
        test_labels: np.ndarray,
        num_classes: int,
        pairs: np.ndarray,
        *,
        keep_all: bool,
    ):
        self._labels, self._pairs = test_labels, pairs
        self._images = np.bincount(test_labels, minlength=num_classes)
        self._numbers = answer_counts.pair_table(pairs, num_classes)
        dtype = np.min_scalar_type(len(test_labels))
        self._about = GrowingArray((2,), np.int64)
        self._plain = _Counts(num_classes, len(test_labels))
        self._class_changes = GrowingArray((num_classes, num_classes), dtype)
        self._cells: list[np.ndarray] = []
        shape = len(pairs), num_classes
        self._log2_sum = np.zeros(shape)
        self._false_positives = PairCounts(
            np.zeros(num_classes, np.int64),
            np.zeros((num_classes, num_classes), np.int64),
            np.arange(self._log2_sum.size),
            np.zeros(self._log2_sum.size, np.int64),
        )
        self._all = None
        if keep_all:
            self._all = [GrowingArray(shape, np.float64) for _ in range(3)]

    def add(self, row: Mapping[str, Any]) -> None:
        """Adds the network of a row."""
        top, num_classes = top_labels(row).astype(self._labels.dtype), len(self._images)
        self._about.append((row["repeat"], row["seed"]))
        self._plain.append(
            answer_counts.count_answers(top[0], self._labels, num_classes),
            row["log2_probability"],
        )
        hits = answer_counts.pair_hits(top, self._labels, self._numbers)
        self._class_changes.append(hits.class_changes.T)
        self._cells.append(hits.cells.astype(np.int32))
        wrong = answer_counts.pair_false_positives(top, self._labels, self._numbers)
        self._false_positives.plain[:] += wrong.plain
        self._false_positives.class_changes[:] += wrong.class_changes
        np.add.at(self._false_positives.added, wrong.cells, wrong.added)
        log2_bits = np.asarray(row["log2_probability_without_pair"], np.float32)
        log2_bits = log2_bits.reshape(self._log2_sum.shape)
        self._log2_sum += log2_bits
        if self._all is not None:
            for array, values in zip(
                self._all, (*self._shares(hits, wrong), log2_bits), strict=True
            ):
                array.append(values)

    def _shares(self, hits: PairCounts, wrong: PairCounts):
        """Accuracy and false positive rate of one network, `(P, K)` each."""
        pair_images = self._images[self._pairs].sum(axis=1, keepdims=True)
        others = self._images.sum() - self._images - pair_images
        shares = []
        for counts, images in ((hits, self._images), (wrong, others)):
            with np.errstate(invalid="ignore", divide="ignore"):
                share = answer_counts.counts_of_pairs(counts, self._pairs) / images
            np.put_along_axis(share, self._pairs, np.nan, 1)
            shares.append(share)
        return shares

    def in_order(self) -> Baseline:
        """All networks, by repeat."""
        about = self._about.rows()
        order = network_order(about[:, 0])
        rates = self._plain.take(order, self._images)
        return Baseline(about[order, 1], rates, self._without_pairs(rates, order))

    def _without_pairs(self, rates: CountedRates, order) -> RatesWithoutPairs:
        if self._all is not None:
            arrays = [np.swapaxes(array.take(order), 0, 1) for array in self._all]
            return ListedRates(Rates(*map(np.ascontiguousarray, arrays)))
        in_order = [self._cells[network] for network in order]
        cells = np.concatenate([*in_order, np.empty(0, np.int32)])
        class_changes = np.swapaxes(self._class_changes.take(order), 0, 1)
        return CountedRatesWithoutPairs(
            self._pairs,
            self._images,
            hits=PairCounts(
                rates.hits,
                np.ascontiguousarray(class_changes),
                cells,
                np.ones(len(cells), np.int8),
            ),
            cell_network=np.repeat(np.arange(len(order)), [len(c) for c in in_order]),
            false_positives=self._false_positives,
            log2_sum=self._log2_sum,
        )


def network_order(*keys: np.ndarray) -> np.ndarray:
    """The order by several keys, the first of them first."""
    order = np.lexsort(keys[::-1])
    sorted_keys = np.stack(keys)[:, order]
    if (np.diff(sorted_keys) == 0).all(axis=0).any():
        raise ValueError(
            "Expected every network once. Received: networks with the same pair and "
            "repeat. Use each row of a study's folder once."
        )
    return order
