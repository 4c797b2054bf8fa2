"""Responses of networks as shares, per class, and the counts that they are made of."""

import dataclasses
from typing import Protocol

import numpy as np

from keras_confusion.comparisons.answer_counts import PairCounts, counts_of_pairs


@dataclasses.dataclass(frozen=True)
class Rates:
    """Responses of networks; arrays of shape `(..., num_classes)`.

    Args:
        accuracy: Share of a class's test images that are given the class, 0 to 1.
        false_positive_rate: Share of the other test images that are given the class.
        log2_probability: Mean log2-probability of the true class, bits, 0 or less.
    """

    accuracy: np.ndarray
    false_positive_rate: np.ndarray
    log2_probability: np.ndarray

    def select(self, index) -> "Rates":
        """The responses of some networks, by an index or a mask."""
        return Rates(*(getattr(self, f.name)[index] for f in dataclasses.fields(self)))

    def accuracy_of(self, target: int) -> np.ndarray:
        """The accuracy of one class, `(num_networks,)`."""
        return self.accuracy[:, target]


@dataclasses.dataclass(frozen=True)
class CountedRates:
    """Responses of many networks in little memory; has all that `Rates` has.

    Args:
        hits: Test images of a class that are given the class, unsigned `(n, K)`.
        false_positives: Other test images that are, unsigned `(n, K)`.
        log2_bits: Mean log2-probability of the true class, float32 `(n, K)`.
        images: int array `(K,)`, test images of every class.
        left_out: int array `(n, 2)`, classes that are left out and have no response;
            `None` where there are none.
    """

    hits: np.ndarray
    false_positives: np.ndarray
    log2_bits: np.ndarray
    images: np.ndarray
    left_out: np.ndarray | None = None

    def select(self, index) -> Rates:
        """The responses of some networks, by an index or a mask."""
        left_out = None if self.left_out is None else self.left_out[index]
        others = self.images.sum() - self.images
        if left_out is not None:
            others = others - self.images[left_out].sum(axis=-1, keepdims=True)
        with np.errstate(invalid="ignore", divide="ignore"):
            rates = Rates(
                accuracy=self.hits[index] / self.images,
                false_positive_rate=self.false_positives[index] / others,
                log2_probability=self.log2_bits[index].astype(np.float64),
            )
        if left_out is not None:
            for field in dataclasses.fields(rates):
                np.put_along_axis(getattr(rates, field.name), left_out, np.nan, -1)
        return rates

    def accuracy_of(self, target: int) -> np.ndarray:
        """The accuracy of one class, `(num_networks,)`."""
        with np.errstate(invalid="ignore", divide="ignore"):
            accuracy = self.hits[:, target] / self.images[target]
        if self.left_out is not None:
            accuracy[(self.left_out == target).any(axis=1)] = np.nan
        return accuracy

    @property
    def accuracy(self) -> np.ndarray:
        """As `Rates.accuracy`, made again."""
        return self.select(slice(None)).accuracy

    @property
    def false_positive_rate(self) -> np.ndarray:
        """As `Rates.false_positive_rate`, made again."""
        return self.select(slice(None)).false_positive_rate

    @property
    def log2_probability(self) -> np.ndarray:
        """As `Rates.log2_probability`, made again."""
        return self.select(slice(None)).log2_probability


class RatesWithoutPairs(Protocol):
    """Responses of networks with every pair of the study left out in turn.

    P pairs, n networks, K classes; NaN for the classes of the pair.
    """

    def accuracy_of_pair(self, index: int) -> np.ndarray:
        """With one pair left out, `(n, K)`."""

    def accuracy_of(self, target: int, networks=slice(None)) -> np.ndarray:
        """Of one class and some networks, each once, `(P, len(networks))`."""

    def mean(self, field: str) -> np.ndarray:
        """Mean over networks of a field of `Rates`, `(P, K)`; NaN if there is none."""


@dataclasses.dataclass(frozen=True)
class ListedRates:
    """`RatesWithoutPairs` as an array of all: for few pairs, and made-up networks.

    Args:
        rates: Arrays `(P, n, K)`.
    """

    rates: Rates

    def accuracy_of_pair(self, index: int) -> np.ndarray:
        """See `RatesWithoutPairs`."""
        return self.rates.accuracy[index]

    def accuracy_of(self, target: int, networks=slice(None)) -> np.ndarray:
        """See `RatesWithoutPairs`."""
        return self.rates.accuracy[:, networks, target]

    def mean(self, field: str) -> np.ndarray:
        """See `RatesWithoutPairs`."""
        values = getattr(self.rates, field)
        if values.shape[1] == 0:
            return np.full((len(values), values.shape[2]), np.nan)
        return values.mean(axis=1)

    def take(self, networks) -> "ListedRates":
        """Those of some networks, by an index or a mask."""
        return ListedRates(self.rates.select((slice(None), networks)))


class CountedRatesWithoutPairs:
    """`RatesWithoutPairs` of many networks and pairs in little memory.

    Args:
        pairs: int array `(P, 2)`.
        images: int array `(K,)`, test images of every class.
        hits: As the fields of `answer_counts.PairCounts` are for one network:
            `plain` `(n, K)` and `class_changes` `(K, n, K)`, the class that is left out
            first and the target last; `cells` and `added` of all networks, `(m,)`.
        cell_network: int array `(m,)`, the network of every cell.
        false_positives: Those of all networks added up.
        log2_sum: Mean log2-probability of the true class, all networks added up,
            `(P, K)`.
    """

    def __init__(
        self,
        pairs: np.ndarray,
        images: np.ndarray,
        *,
        hits: PairCounts,
        cell_network: np.ndarray,
        false_positives: PairCounts,
        log2_sum: np.ndarray,
    ):
        self._pairs, self._images = pairs, images
        self._plain, self._class_changes = hits.plain, hits.class_changes
        num_networks, num_classes = hits.plain.shape
        pair, target = np.divmod(hits.cells, num_classes)
        # Both ways to ask for them: of one pair, and of one target.
        self._pair_cells = _Grouped(pair, len(pairs), cell_network, target)
        self._target_cells = _Grouped(target, num_classes, cell_network, pair)
        summed = PairCounts(
            hits.plain.sum(axis=0, dtype=np.int64),
            hits.class_changes.sum(axis=1, dtype=np.int64).T,
            hits.cells,
            hits.added,
        )
        others = images.sum() - images - images[pairs].sum(axis=1, keepdims=True)
        with np.errstate(invalid="ignore", divide="ignore"):
            self._means = {
                "accuracy": counts_of_pairs(summed, pairs) / images / num_networks,
                "false_positive_rate": counts_of_pairs(false_positives, pairs)
                / others
                / num_networks,
                "log2_probability": log2_sum / num_networks,
            }
        for means in self._means.values():
            np.put_along_axis(means, pairs, np.nan, 1)

    def accuracy_of_pair(self, index: int) -> np.ndarray:
        """See `RatesWithoutPairs`."""
        a, b = self._pairs[index]
        counts = self._plain.astype(np.int64)
        counts += self._class_changes[a]
        counts += self._class_changes[b]
        np.add.at(counts, self._pair_cells[index], 1)
        with np.errstate(invalid="ignore", divide="ignore"):
            accuracy = counts / self._images
        accuracy[:, [a, b]] = np.nan
        return accuracy

    def accuracy_of(self, target: int, networks=slice(None)) -> np.ndarray:
        """See `RatesWithoutPairs`."""
        chosen = np.arange(len(self._plain))[networks]
        target_changes = self._class_changes[:, chosen, target].astype(np.int32)
        counts = target_changes[self._pairs[:, 0]]
        counts += target_changes[self._pairs[:, 1]]
        counts += self._plain[chosen, target].astype(np.int32)
        position = np.full(len(self._plain), -1)
        position[chosen] = np.arange(len(chosen))
        network, pair = self._target_cells[target]
        column = position[network]
        np.add.at(counts, (pair[column >= 0], column[column >= 0]), 1)
        with np.errstate(invalid="ignore", divide="ignore"):
            accuracy = counts / self._images[target]
        accuracy[(self._pairs == target).any(axis=1)] = np.nan
        return accuracy

    def mean(self, field: str) -> np.ndarray:
        """See `RatesWithoutPairs`."""
        return self._means[field]


class _Grouped:
    """Cells by a key: `grouped[key]` is the network and the other key of each."""

    def __init__(self, key: np.ndarray, num_keys: int, network, other):
        order = np.argsort(key, kind="stable")
        self._network = network[order].astype(np.int32)
        self._other = other[order].astype(np.int32)
        self._first = np.searchsorted(key[order], np.arange(num_keys + 1))

    def __getitem__(self, key: int) -> tuple[np.ndarray, np.ndarray]:
        cells = slice(self._first[key], self._first[key + 1])
        return self._network[cells], self._other[cells]
