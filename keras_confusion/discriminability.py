"""How well a network tells two classes apart, whatever it says of the others.

For classes T and k, d'(T, k) = probit(AUC) is read off the images of these two classes,
scored by the difference of their logits z_T - z_k: AUC is the probability that an image
of T scores higher than an image of k, ties counting half (Green and Swets 1966, "Signal
Detection Theory and Psychophysics"; their d_a is this times the square root of 2).

No temperature and no class offset of the logits changes it: so a rival that became
weaker in the last layer, as a confused class does, moves nothing here. What confusing a
pair {a, b} does to a target T is read off the classes outside of it:

    without the pair   the mean of d'(T, k) over the classes k other than a, b and T
    overall            the mean of that over all targets T: what confusing the pair
                       does to everybody
    relative           without the pair, less overall: what it does to T
"""

from collections.abc import Sequence

import numpy as np
import scipy.special
import scipy.stats
from numpy.typing import ArrayLike, NDArray

from keras_confusion.bits import FloatArray


def num_class_pairs(num_classes: int) -> int:
    """Of how many pairs of classes there is a d'."""
    return num_classes * (num_classes - 1) // 2


def d_primes(logits: ArrayLike, labels: ArrayLike) -> FloatArray:
    """The d' of every two classes, by their images.

    AUC is kept half an image pair away from 0 and 1, where probit is not finite: with
    1,000 images of either class |d'| is at most 4.9, with 36 at most 3.4.

    Args:
        logits: Float array `(n, K)`; any increasing function of a class's odds against
            another will do. A class whose logits are NaN has no d'.
        labels: int array `(n,)`, the true classes.

    Returns:
        Float array `(K * (K - 1) / 2,)`, in the order of `np.triu_indices(K, 1)`; NaN
        for classes without images.

    Example:
        >>> d_primes([[1, 0], [0, 0], [0, 0], [0, 1]], [0, 0, 1, 1]).round(3)
        array([1.15])
    """
    logits, labels = np.asarray(logits, np.float64), np.asarray(labels)
    num_classes = logits.shape[1]
    of_class = [logits[labels == label] for label in range(num_classes)]
    found = np.full(num_class_pairs(num_classes), np.nan)
    for index, (a, b) in enumerate(zip(*np.triu_indices(num_classes, 1), strict=True)):
        one, other = (of_class[label][:, a] - of_class[label][:, b] for label in (a, b))
        num_compared = len(one) * len(other)
        if not num_compared:
            continue
        ranks = scipy.stats.rankdata(np.concatenate([one, other]))
        wins = ranks[: len(one)].sum() - len(one) * (len(one) + 1) / 2
        auc = np.clip(wins, 0.5, num_compared - 0.5) / num_compared
        found[index] = scipy.special.ndtri(auc)
    return found


def matrices(d_primes: ArrayLike, num_classes: int) -> FloatArray:
    """What `d_primes` returns as symmetric matrices `(..., K, K)`, diagonal 0."""
    d_primes = np.asarray(d_primes)
    d = np.zeros((*d_primes.shape[:-1], num_classes, num_classes), d_primes.dtype)
    rows, columns = np.triu_indices(num_classes, 1)
    d[..., rows, columns] = d[..., columns, rows] = d_primes
    return d


def without_pair(d: FloatArray, pair: Sequence[int]) -> FloatArray:
    """The mean d' of every target, with a pair left out.

    Args:
        d: As `matrices` returns it, `(..., K, K)`.
        pair: Two classes, a and b.

    Returns:
        Float array `(..., K)`: the mean of d'(T, k) over the classes k outside the pair
        and other than T that have images; NaN for the pair, and where there is none.
    """
    others = np.delete(np.arange(d.shape[-1]), list(pair))
    outside = d[..., others[:, None], others].astype(np.float64)
    outside[..., np.eye(len(others), dtype=bool)] = np.nan
    means = np.full(d.shape[:-1], np.nan)
    means[..., others] = _mean_of_known(outside)
    return means


def relative(without_pair: FloatArray) -> FloatArray:
    """What confusing a pair does to every target, and to everybody.

    Args:
        without_pair: The mean d' of every target, `(..., K)`, NaN for the pair.

    Returns:
        Float array `(..., K + 1)`: every target less the mean of all, and that mean.
    """
    overall = _mean_of_known(without_pair)[..., None]
    return np.concatenate([without_pair - overall, overall], axis=-1)


def _mean_of_known(values: FloatArray) -> FloatArray:
    """Mean over the last axis of what is not NaN; NaN where there is nothing."""
    known = ~np.isnan(values)
    with np.errstate(invalid="ignore"):
        return np.where(known, values, 0).sum(axis=-1) / known.sum(axis=-1)


class RelativeDPrimes:
    """`relative` of networks with any pair left out, from sums that are made once.

    Args:
        d: As `matrices` returns it, `(n, K, K)`.
    """

    def __init__(self, d: FloatArray):
        self.num_networks, self.num_classes = d.shape[:2]
        is_known = ~np.isnan(d) & ~np.eye(self.num_classes, dtype=bool)
        # Of a class without images no network has a d'.
        self._has_images = np.asarray(is_known.any(axis=(0, 2)))
        self._d = np.where(is_known, d, 0).astype(np.float64)
        self._sums = self._d.sum(axis=2)
        self._totals = self._sums.sum(axis=1)

    def values(
        self, pairs: NDArray[np.int64], target: int, networks=slice(None)
    ) -> FloatArray:
        """One target's values, with each pair left out.

        Args:
            pairs: int array `(P, 2)`.
            target: A class, or K for everybody.
            networks: Which networks, an index or a mask.

        Returns:
            Float array `(P, len(networks))`; NaN where the target is in the pair.
        """
        d, sums = self._d[networks], self._sums[networks]
        a, b = np.asarray(pairs).T
        num_targets = self._has_images.sum() - self._has_images[[a, b]].sum(axis=0)
        # Both classes of a pair are left out, as rows and as columns.
        left = self._totals[networks] - 2 * (sums[:, a] + sums[:, b] - d[:, a, b]).T
        num_others = num_targets - 1.0
        with np.errstate(invalid="ignore", divide="ignore"):
            overall = left / (num_targets * num_others)[:, None]
            if target == self.num_classes:
                return overall
            own = sums[:, target] - (d[:, target, a] + d[:, target, b]).T
            own = own / num_others[:, None] - overall
        own[(a == target) | (b == target)] = np.nan
        return own if self._has_images[target] else np.full_like(own, np.nan)
