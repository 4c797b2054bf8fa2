"""Statistics of a confusion study: arrays in, arrays out.

`confused` networks saw wrong labels; the `comparison` group was trained on correct
labels, or on other wrong ones. A value is one network's response to one target class,
such as its accuracy; networks are the last axis. A statistic that does not exist is
NaN, without a warning.

The four readings of the poster's bits and their noise floor are here too; `bits` has
their formulas.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.special
import scipy.stats
from numpy.typing import ArrayLike, NDArray

from keras_confusion.stats.bits import (
    FloatArray,
    check_shares,
    entropy_bits,
    kl_bits,
    kl_noise_floor_bits,
    log_likelihood_bits,
    mutual_information_bits,
)
from keras_confusion.stats.moments import Moments, moments

__all__ = [
    "Comparison",
    "PairedComparison",
    "benjamini_hochberg",
    "compare",
    "compare_moments",
    "compare_paired",
    "entropy_bits",
    "kl_bits",
    "kl_noise_floor_bits",
    "log_likelihood_bits",
    "mutual_information_bits",
]

# Why there is no test, in `Comparison` and `PairedComparison`.
FEW_NETWORKS = "fewer than 2 networks in a group"
FEW_REPEATS = "fewer than 2 repeats"
UNDEFINED_RESPONSE = "undefined response"
NO_VARIANCE = "no variance in a group"
NO_VARIANCE_OF_DIFFERENCES = "no variance in the differences"


@dataclass(frozen=True, eq=False)
class Comparison:
    """Two independent groups of networks, compared by `compare`.

    Scalars for 1-D groups, else arrays of the leading shape, in units of the response:
    number, mean and sample sd of both groups; `difference` (confused minus comparison)
    with its interval; `t` and its degrees of freedom `df`; two-sided `p_value`;
    `hedges_g`, in pooled sd, with its interval; `reason`, why there is no test or "".
    """

    n_confused: int | NDArray[np.int64]
    n_comparison: int | NDArray[np.int64]
    mean_confused: float | FloatArray
    mean_comparison: float | FloatArray
    sd_confused: float | FloatArray
    sd_comparison: float | FloatArray
    difference: float | FloatArray
    ci_low: float | FloatArray
    ci_high: float | FloatArray
    t: float | FloatArray
    df: float | FloatArray
    p_value: float | FloatArray
    hedges_g: float | FloatArray
    hedges_g_ci_low: float | FloatArray
    hedges_g_ci_high: float | FloatArray
    reason: str | NDArray[np.str_]


@dataclass(frozen=True, eq=False)
class PairedComparison:
    """Two groups of networks with the same repeats, compared by `compare_paired`.

    Like `Comparison`; `n` counts repeats, `sd` is that of the differences, and
    `correlation` is Pearson's between both groups, NaN if one has no variance.
    """

    n: int | NDArray[np.int64]
    difference: float | FloatArray
    sd: float | FloatArray
    ci_low: float | FloatArray
    ci_high: float | FloatArray
    t: float | FloatArray
    df: float | FloatArray
    p_value: float | FloatArray
    correlation: float | FloatArray
    reason: str | NDArray[np.str_]


def compare(
    confused: ArrayLike,
    comparison: ArrayLike,
    *,
    confidence: float = 0.95,
    level: ArrayLike | None = None,
) -> Comparison:
    """Compares two independent groups of networks by Welch's t-test.

    Welch (1947), Biometrika 34:28. Hedges' g is `J * difference / sd_pooled` with the
    exact `J = gamma(m/2) / (sqrt(m/2) * gamma((m-1)/2))`, `m = n1 + n2 - 2`; its
    interval is the large-sample `g -+ z * sqrt((n1+n2)/(n1*n2) + g^2/(2*(n1+n2)))`
    (Hedges & Olkin 1985, "Statistical Methods for Meta-Analysis", chapter 5).

    Args:
        confused: Responses, shape (..., n_confused).
        comparison: Responses, shape (..., n_comparison); leading axes broadcast.
        confidence: Level of both intervals, in (0, 1).
        level: Where the responses are deviations from levels that were estimated from
            other networks: what each of these adds to the difference, shape
            (..., n_level). The error of the estimate does not shrink with more networks
            in the groups, so that its variance, var(level) / n_level, is a third term
            of the squared standard error and of Satterthwaite's df.

    Returns:
        A `Comparison`. With fewer than 2 networks in a group, a value that is not
        finite, or no variance in a group, the fields from `ci_low` to
        `hedges_g_ci_high` are NaN and `reason` says why. A few networks that all get
        the same images right show a coarse response, not one without spread: Welch's
        test would take their sd of 0 at its word and find too much.

    Raises:
        ValueError: If a group is 0-d, the leading axes do not broadcast, or
            `confidence` is outside (0, 1).

    Example:
        >>> result = compare([4, 7, 8, 6, 3, 2], [6, 8, 7, 10, 11, 9, 12])
        >>> round(result.t, 4), round(result.df, 4), round(result.p_value, 4)
        (-3.1623, 10.3103, 0.0098)
        >>> compare([0.5], [0.6, 0.7]).reason
        'fewer than 2 networks in a group'
    """
    confused, comparison = _broadcast(confused, comparison, confidence)
    return compare_moments(
        moments(confused),
        moments(comparison),
        confidence=confidence,
        level=None if level is None else moments(level),
    )


def compare_moments(
    confused: Moments,
    comparison: Moments,
    *,
    confidence: float = 0.95,
    level: Moments | None = None,
) -> Comparison:
    """Compares two independent groups of which number, mean and sd are known.

    Args:
        confused: Of one group or several.
        comparison: Of as many groups, or of one; shapes broadcast.
        confidence: See `compare`.
        level: See `compare`.

    Returns:
        As `compare`.
    """
    with np.errstate(invalid="ignore"):
        difference = np.asarray(confused.mean - comparison.mean)
    shape = difference.shape
    groups = [confused, comparison] if level is None else [confused, comparison, level]
    n = [np.broadcast_to(group.n, shape) for group in groups]
    n1, n2 = n[:2]
    mean1, mean2 = (np.broadcast_to(group.mean, shape) for group in groups[:2])
    sd = [np.broadcast_to(group.sd, shape) for group in groups]
    sd1, sd2 = sd[:2]
    # A level that is not known leaves the difference unknown: NaN takes the reason.
    reason = _reason(
        np.minimum.reduce(n),
        np.minimum(sd1, sd2) + 0 * sd[-1],
        few=FEW_NETWORKS,
        still=NO_VARIANCE,
    )
    tested = reason == ""
    statistics = np.full((8, *shape), np.nan)
    if tested.any():
        n1_, n2_ = n1[tested], n2[tested]
        terms = [
            (group_sd[tested] ** 2 / number[tested], number[tested] - 1)
            for group_sd, number in zip(sd, n, strict=True)
        ]
        variance = sum(term for term, _ in terms)
        df = variance**2 / sum(term**2 / freedom for term, freedom in terms)
        t = difference[tested] / np.sqrt(variance)
        p_value = 2 * scipy.stats.t.sf(np.abs(t), df)
        half = scipy.stats.t.ppf((1 + confidence) / 2, df) * np.sqrt(variance)
        m = n1_ + n2_ - 2
        pooled = ((n1_ - 1) * sd1[tested] ** 2 + (n2_ - 1) * sd2[tested] ** 2) / m
        # poch(x, 0.5) is gamma(x + 0.5) / gamma(x), and does not overflow.
        correction = scipy.special.poch((m - 1) / 2, 0.5) / np.sqrt(m / 2)
        g = correction * difference[tested] / np.sqrt(pooled)
        z = scipy.special.ndtri((1 + confidence) / 2)
        margin = z * np.sqrt((n1_ + n2_) / (n1_ * n2_) + g**2 / (2 * (n1_ + n2_)))
        low, high = difference[tested] - half, difference[tested] + half
        welch = low, high, t, df, p_value
        statistics[:, tested] = *welch, g, g - margin, g + margin
    described = n1, n2, mean1, mean2, sd1, sd2, difference
    return Comparison(*_fields(*described, *statistics, reason))


def compare_paired(
    confused: ArrayLike, comparison: ArrayLike, *, confidence: float = 0.95
) -> PairedComparison:
    """Compares two groups of networks repeat by repeat, by the paired t-test.

    Student (1908), Biometrika 6:1. Networks of one repeat share their seeds, so they
    are correlated; the differences within repeats are independent.

    Args:
        confused: Responses, shape (..., n).
        comparison: Those of the same repeats in the same order, shape (..., n);
            leading axes broadcast.
        confidence: Level of the interval, in (0, 1).

    Returns:
        A `PairedComparison`. With fewer than 2 repeats, a value that is not finite, or
        differences that are equal up to rounding, the fields from `ci_low` to
        `p_value` are NaN and `reason` says why.

    Raises:
        ValueError: As `compare`, and if the groups differ in their number of repeats.

    Example:
        >>> result = compare_paired([2, 4, 7], [1, 2, 4])
        >>> result.difference, result.sd, round(result.t, 4), round(result.p_value, 4)
        (2.0, 1.0, 3.4641, 0.0742)
    """
    confused, comparison = _broadcast(confused, comparison, confidence)
    if confused.shape != comparison.shape:
        raise ValueError(
            "Expected the same repeats in both groups. "
            f"Received: {confused.shape[-1]} confused and {comparison.shape[-1]} "
            "comparison values. Use `compare` for groups that are not paired."
        )
    sd1, sd2 = moments(confused).sd, moments(comparison).sd
    with np.errstate(invalid="ignore"):
        differences = confused - comparison
    # Subtracting keeps the rounding errors of the groups, however small the difference.
    magnitude = np.maximum(np.abs(confused), np.abs(comparison))
    n, difference, sd = moments(differences, magnitude=magnitude)
    # Var(x - y) = Var(x) + Var(y) - 2 Cov(x, y), solved for the correlation.
    product = np.where(sd1 * sd2 > 0, sd1 * sd2, np.nan)
    correlation = np.clip((sd1**2 + sd2**2 - sd**2) / (2 * product), -1, 1)
    reason = _reason(n, sd, few=FEW_REPEATS, still=NO_VARIANCE_OF_DIFFERENCES)
    tested = reason == ""
    statistics = np.full((5, *tested.shape), np.nan)
    if tested.any():
        test = scipy.stats.ttest_rel(confused[tested], comparison[tested], axis=-1)
        ci = test.confidence_interval(confidence)
        student = ci.low, ci.high, test.statistic, test.df, test.pvalue
        statistics[:, tested] = np.broadcast_arrays(*student)
    fields = _fields(n, difference, sd, *statistics, correlation, reason)
    return PairedComparison(*fields)


def benjamini_hochberg(p_values: ArrayLike) -> FloatArray:
    """Adjusts one family of p-values for the false discovery rate.

    Benjamini & Hochberg (1995), J. R. Stat. Soc. B 57:289. If `q <= 0.05` is called a
    finding, the expected share of false findings is at most 0.05.

    Args:
        p_values: One family in an array of any shape, in [0, 1]. NaN is a test that
            could not be made and does not count in the family.

    Returns:
        The q-values in [0, 1], shape of `p_values`, NaN where the p-value is NaN.

    Raises:
        ValueError: If a p-value is outside [0, 1].

    Example:
        >>> benjamini_hochberg([0.52, 0.12, 0.0001, 0.03, 0.14]).round(4).tolist()
        [0.52, 0.175, 0.0005, 0.075, 0.175]
    """
    p_values = check_shares("p_values", p_values)
    q_values = np.full(p_values.shape, np.nan)
    made = ~np.isnan(p_values)
    if made.any():
        q_values[made] = scipy.stats.false_discovery_control(p_values[made])
    return q_values


def _broadcast(
    confused: ArrayLike, comparison: ArrayLike, confidence: float
) -> tuple[FloatArray, FloatArray]:
    """Checks the arguments of a test; gives both groups the same leading axes."""
    if not 0 < confidence < 1:
        raise ValueError(
            "Expected `confidence` between 0 and 1, both excluded. "
            f"Received: {confidence}. Use 0.95 for an interval of 95 %."
        )
    groups = [np.asarray(g, dtype=np.float64) for g in (confused, comparison)]
    try:
        # The last axis of a 0-d array fails here like axes that do not broadcast.
        leading = np.broadcast_shapes(
            *(np.moveaxis(g, -1, 0).shape[1:] for g in groups)
        )
    except ValueError as error:
        raise ValueError(
            "Expected networks on the last axis and leading axes that broadcast. "
            f"Received: shapes {groups[0].shape} and {groups[1].shape}. "
            "Use at least 1-D arrays with the same slices in both groups."
        ) from error
    first, second = (np.broadcast_to(g, (*leading, g.shape[-1])) for g in groups)
    return first, second


def _reason(n: ArrayLike, sd: FloatArray, *, few: str, still: str) -> NDArray[np.str_]:
    """Why there is no test: `few` if n < 2, `still` where sd is 0; "" if there is."""
    # Without two networks sd is undefined as well: the first reason that holds counts.
    conditions = [np.broadcast_to(np.asarray(n) < 2, sd.shape), np.isnan(sd), sd == 0]
    return np.select(conditions, [few, UNDEFINED_RESPONSE, still], default="")


def _fields(*values: ArrayLike) -> list[Any]:
    """All in the shape of the last one; Python scalars if that is 0-d."""
    shape = np.shape(values[-1])
    return [np.full(shape, v) if shape else np.asarray(v).item() for v in values]
