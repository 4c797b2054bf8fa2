"""Number, mean and sd of groups of networks: all that Welch's test needs of them."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from keras_confusion.stats.bits import FloatArray

# A deviation below this share of the values is rounding, not variance: the steps
# 0.3 - 0.2 and 0.2 - 0.1 are not quite equal in floating point.
ROUNDING = 100 * np.finfo(np.float64).eps


class Moments(NamedTuple):
    """Groups of networks; all in one shape, or shapes that broadcast.

    Args:
        n: Number of networks.
        mean: Of their responses; NaN without a network.
        sd: Sample standard deviation; NaN with fewer than 2 networks, 0 where it is
            rounding.
    """

    n: int | NDArray[Any]
    mean: FloatArray
    sd: FloatArray


def moments(values: ArrayLike, *, magnitude: ArrayLike | None = None) -> Moments:
    """Describes groups of networks.

    Args:
        values: Responses, shape (..., n).
        magnitude: Of what the values were computed of, shape (..., n): a share of it is
            rounding. `None` takes the values.

    Returns:
        `Moments` of the leading shape.
    """
    values = np.asarray(values, np.float64)
    magnitude = values if magnitude is None else np.asarray(magnitude)
    mean = sd = np.full(values.shape[:-1], np.nan)
    with np.errstate(invalid="ignore"):
        if values.shape[-1] > 0:
            mean = values.mean(axis=-1)
        if values.shape[-1] > 1:
            sd = values.std(axis=-1, ddof=1)
            sd = np.where(sd <= ROUNDING * np.abs(magnitude).max(axis=-1), 0, sd)
    return Moments(values.shape[-1], mean, sd)


def pooled_moments(
    parts: NDArray[np.bool_], part_moments: Moments, largest: FloatArray
) -> Moments:
    """Describes groups that are put together from parts, such as arms.

    Args:
        parts: The parts of every group, bool `(num_groups, num_parts)`.
        part_moments: Arrays `(num_parts,)`.
        largest: The largest absolute response of each part, `(num_parts,)`; 0 where it
            has no network.

    Returns:
        `Moments` of arrays `(num_groups,)`: the same as of all networks of the parts
        together, up to rounding.

    Example:
        >>> arms = Moments(np.array([2, 2]), np.array([2.0, 6]), np.full(2, 2**0.5))
        >>> pooled = pooled_moments(np.array([[True, True]]), arms, np.full(2, 7.0))
        >>> pooled.n, pooled.mean, pooled.sd.round(3)  # of 1, 3, 5 and 7
        (array([4]), array([4.]), array([2.582]))
    """
    n = np.asarray(part_moments.n)
    has_some, has_two = n > 0, n > 1
    mean = np.where(has_some, part_moments.mean, 0)
    squares = np.where(has_two, part_moments.sd, 0) ** 2 * np.maximum(n - 1, 0)
    total = sums_over(parts, n)
    with np.errstate(invalid="ignore", divide="ignore"):
        pooled_mean = sums_over(parts, n * mean) / total
        between = n * (mean - pooled_mean[:, None]) ** 2
        between = np.where(parts & has_some, between, 0).sum(axis=1)
        variance = (sums_over(parts, squares) + between) / (total - 1)
        sd = np.where(total > 1, np.sqrt(variance), np.nan)
        bound = ROUNDING * np.where(parts & has_some, largest, 0).max(axis=1)
    return Moments(total, pooled_mean, np.where(sd <= bound, 0, sd))


def sums_over(parts: NDArray[np.bool_], values: FloatArray) -> FloatArray:
    """Sums over the parts of every group, `(num_groups,)`.

    Args:
        parts: bool `(num_groups, num_parts)`.
        values: Float array `(num_parts,)`; what is NaN counts only in its groups.
    """
    return np.where(parts, values, 0).sum(axis=1)
