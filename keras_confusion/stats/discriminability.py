"""How well a network tells two classes apart, whatever it says of the others.

For classes T and k, d'(T, k) = probit(AUC) is read off the images of these two classes,
scored by the difference of their logits z_T - z_k: AUC is the probability that an image
of T scores higher than an image of k, ties counting half (Green and Swets 1966, "Signal
Detection Theory and Psychophysics"; their d_a is this times the square root of 2).

No temperature and no class offset of the logits changes it: so a rival that became
weaker in the last layer, as a confused class does, moves nothing here. What confusing a
pair {a, b} does to a target T is read off the classes outside of it:

    without the pair   the mean of d'(T, k) over the classes k other than a, b and T
    change             that, less the mean of baseline networks with the same pair left
                       out
    overall            the median change of all targets of a network: what confusing the
                       pair does to everybody
    relative           a target's change, less overall: what it does to T

The median (as in the median polish of Tukey 1977, "Exploratory Data Analysis"), as a
large loss of a few targets would move the mean of all, and with it every other target.
"""

from collections.abc import Sequence

import numpy as np
import scipy.special
import scipy.stats
from numpy.typing import ArrayLike, NDArray

from keras_confusion.stats.bits import FloatArray


def num_class_pairs(num_classes: int) -> int:
    """Of how many pairs of classes there is a d'."""
    return num_classes * (num_classes - 1) // 2


def d_primes(logits: ArrayLike, labels: ArrayLike) -> FloatArray:
    """The d' of every two classes, by their images.

    AUC is kept half an image pair away from 0 and 1, where probit is not finite. For
    what images can show of d' see `shrunken`.

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
    class_logits = [logits[labels == label] for label in range(num_classes)]
    found = np.full(num_class_pairs(num_classes), np.nan)
    for index, (a, b) in enumerate(zip(*np.triu_indices(num_classes, 1), strict=True)):
        one, other = (
            class_logits[label][:, a] - class_logits[label][:, b] for label in (a, b)
        )
        num_compared = len(one) * len(other)
        if not num_compared:
            continue
        ranks = scipy.stats.rankdata(np.concatenate([one, other]))
        wins = ranks[: len(one)].sum() - len(one) * (len(one) + 1) / 2
        auc = np.clip(wins, 0.5, num_compared - 0.5) / num_compared
        found[index] = scipy.special.ndtri(auc)
    return found


def shrunken(d_primes: ArrayLike, num_images: ArrayLike) -> NDArray[np.float32]:
    """What the images can show of d' of every two classes.

    An AUC over n images, of two classes the fewer, counts as (n AUC + 1) / (n + 2), as
    if one image more had been told right and one wrong (Laplace's rule of succession).
    Probit is steep at 1: classes that are hardly ever taken for each other would bring
    nothing but noise into a mean.

    Args:
        d_primes: `(..., K * (K - 1) / 2)`, as `d_primes` returns it.
        num_images: int array `(K,)`, images of every class.

    Returns:
        float32 array of the same shape, nearer to 0 and in the same order: with 1,000
        images 2 becomes 1.98 and at most 3.1, with 36 at most 1.9.

    Example:
        >>> shrunken([2, 4.9, -4.9], [1000, 1000, 1000]).round(2)
        array([ 1.98,  3.09, -3.09], dtype=float32)
    """
    counts = np.maximum(np.asarray(num_images, np.int64), 1)
    rows, columns = np.triu_indices(len(counts), 1)
    n = np.minimum(counts[rows], counts[columns])
    auc = scipy.special.ndtr(np.asarray(d_primes, np.float64))
    return scipy.special.ndtri((n * auc + 1) / (n + 2)).astype(np.float32)


def matrices(d_primes: ArrayLike, num_classes: int) -> FloatArray:
    """What `d_primes` returns as symmetric matrices `(..., K, K)`, diagonal 0."""
    d_primes = np.asarray(d_primes)
    d = np.zeros((*d_primes.shape[:-1], num_classes, num_classes), d_primes.dtype)
    rows, columns = np.triu_indices(num_classes, 1)
    d[..., rows, columns] = d[..., columns, rows] = d_primes
    return d


def relative(changes: FloatArray) -> FloatArray:
    """What confusing a pair does to every target, and to everybody.

    Args:
        changes: Of the mean d' of every target, `(..., K)`, NaN for the pair.

    Returns:
        Float array `(..., K + 1)`: every target's change less the median of all, and
        that median.
    """
    overall = median_of_known(changes)[..., None]
    return np.concatenate([changes - overall, overall], axis=-1)


def median_of_known(values: FloatArray) -> FloatArray:
    """Median over the last axis of what is not NaN; NaN where there is nothing."""
    # NaN is sorted to the end.
    ordered = np.sort(values, axis=-1)
    num_known = (~np.isnan(values)).sum(axis=-1)
    middle = np.stack([(num_known - 1) // 2, num_known // 2], axis=-1)
    found = np.take_along_axis(ordered, np.maximum(middle, 0), axis=-1).mean(axis=-1)
    return np.where(num_known > 0, found, np.nan)


def _mean_of_known(values: FloatArray) -> FloatArray:
    """Mean over the last axis of what is not NaN; NaN where there is nothing."""
    known = ~np.isnan(values)
    with np.errstate(invalid="ignore"):
        return np.where(known, values, 0).sum(axis=-1) / known.sum(axis=-1)


class WithoutPairs:
    """The mean d' of every target of networks, with any pair left out.

    That is the mean of d'(T, k) over the classes k outside the pair and other than T
    that have images: NaN for the pair, and where there is none. All is made of sums
    over all classes, so that the same d' give the same bits, whatever is asked for.

    Args:
        d: As `matrices` returns it, `(n, K, K)`.
    """

    def __init__(self, d: FloatArray):
        is_known = ~np.isnan(d) & ~np.eye(d.shape[-1], dtype=bool)
        # Of a class without images no network has a d'.
        self._has_images = np.asarray(is_known.any(axis=(0, 2)))
        self._d = np.where(is_known, d, 0).astype(np.float64)
        self._sums = self._d.sum(axis=2)

    def means_without(self, a: int, b: int) -> NDArray[np.float32]:
        """Of every target without one pair, float32 `(n, K)`."""
        num_others = self._num_others(np.array([a]), np.array([b]))
        d = self._d
        with np.errstate(invalid="ignore", divide="ignore"):
            means = (self._sums - d[:, :, a] - d[:, :, b]) / num_others
        means[:, [a, b]] = np.nan
        means[:, ~self._has_images] = np.nan
        return means.astype(np.float32)

    def target_means(
        self,
        target: int,
        pairs: NDArray[np.int64],
        networks: slice | NDArray = slice(None),
    ) -> NDArray[np.float32]:
        """Of one target without each pair.

        Args:
            target: A class.
            pairs: int array `(P, 2)`.
            networks: Which networks, an index or a mask.

        Returns:
            float32 array `(P, len(networks))`.
        """
        d, sums = self._d[networks, target], self._sums[networks, target]
        a, b = np.asarray(pairs).T
        with np.errstate(invalid="ignore", divide="ignore"):
            means = (sums - d[:, a].T - d[:, b].T) / self._num_others(a, b)[:, None]
        means[(a == target) | (b == target)] = np.nan
        if not self._has_images[target]:
            means[:] = np.nan
        return means.astype(np.float32)

    def _num_others(self, a: NDArray, b: NDArray) -> FloatArray:
        """Over how many classes the mean is taken, for each pair; NaN for none."""
        left_out = self._has_images[a].astype(int) + self._has_images[b]
        num_others = self._has_images.sum() - left_out - 1.0
        return np.where(num_others > 0, num_others, np.nan)


def without_pair(d: FloatArray, pair: Sequence[int]) -> NDArray[np.float32]:
    """`WithoutPairs` of one network.

    Args:
        d: As `matrices` returns it, `(K, K)`.
        pair: Two classes.

    Returns:
        float32 array `(K,)`.
    """
    return WithoutPairs(d[None]).means_without(int(pair[0]), int(pair[1]))[0]
