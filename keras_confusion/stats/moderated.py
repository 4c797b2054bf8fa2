"""t-tests of few networks that learn from each other how much networks vary.

A variance of three networks is hardly known: their t-test finds little, and where the
variance is small by chance it finds too much. The cells of a target class, such as its
differences under every pair, vary alike, though not equally. So a cell's variance is
moderated: averaged with what the others have in common, which counts as `d0` networks
more (empirical Bayes: Smyth 2004, Stat. Appl. Genet. Mol. Biol. 3:3, as in the R
package limma). `d0` is estimated from how much the variances differ beyond chance.
"""

from dataclasses import dataclass

import numpy as np
import scipy.optimize
import scipy.special
import scipy.stats
from numpy.typing import ArrayLike, NDArray

from keras_confusion.stats.bits import FloatArray
from keras_confusion.stats.moments import ROUNDING
from keras_confusion.stats.t_tests import (
    FEW_NETWORKS,
    NO_VARIANCE_OF_DIFFERENCES,
    UNDEFINED_RESPONSE,
)

# The others of a target count at most as so many times the cell's own degrees of
# freedom. Their number is an estimate, and cells share baseline networks, so that their
# variances look more alike than they are: without a bound p-values are too small
# (`benchmarks/validity/simulated_studies.py`). Fewer cells say less of what they have
# in common: the bound falls to 0 for a single one.
MOST_PRIOR, ENOUGH_CELLS = 2.0, 9
# limma's: a variance far below the others is taken for so much of their median.
_LEAST_SHARE = 1e-5


@dataclass(frozen=True, eq=False)
class ModeratedComparison:
    """Differences of the cells of one family, tested by `compare_moderated`.

    Arrays `(num_cells,)`: number of differences `n`, `difference` with its interval,
    `t`, its degrees of freedom `df`, two-sided `p_value`, and `reason`, why there is no
    test or "".
    """

    n: NDArray[np.int64]
    difference: FloatArray
    ci_low: FloatArray
    ci_high: FloatArray
    t: FloatArray
    df: FloatArray
    p_value: FloatArray
    reason: NDArray[np.str_]


def compare_moderated(
    differences: ArrayLike,
    *,
    level: ArrayLike = 0.0,
    level_variance: ArrayLike = 0.0,
    level_df: float = np.inf,
    step: float = 0.0,
    most_prior: float = MOST_PRIOR,
    confidence: float = 0.95,
) -> ModeratedComparison:
    """Tests whether the differences of every cell are 0 on average.

    With the cell's own variance s^2 of n differences, `(s0, d0)` of `variance_prior`
    over all cells, and d = n - 1, the moderated variance is
    `(d0 s0 + d s^2) / (d0 + d)` with d0 + d degrees of freedom, d0 being at most
    `most_prior` times d, or with m < `ENOUGH_CELLS` cells (m - 1) / 8 of that, and at
    most what the other cells have.

    Args:
        differences: Of networks or of repeats, shape (num_cells, n), NaN where a cell
            has none.
        level: Mean of other networks, taken away from every cell's mean, `(num_cells,)`
            or one number.
        level_variance: The variance of that mean: a second term of the squared standard
            error, with `level_df` degrees of freedom in Satterthwaite's (1946), who are
            computed with s0 in place of s^2. A cell whose variance is small by chance
            would otherwise be given the df of the level.
        level_df: See `level_variance`.
        step: Of responses that are shares of n images, 1 / n. Each is rounded by that
            much, so that a difference of two varies by at least step^2 / 6 (Sheppard
            1898, Proc. Lond. Math. Soc. 29:353): near a ceiling a few networks may show
            less by chance.
        most_prior: See `MOST_PRIOR`; limma has no bound.
        confidence: Level of the intervals, in (0, 1).

    Returns:
        A `ModeratedComparison`. With fewer than 2 differences, a value that is not
        finite or differences that are equal up to rounding, the fields from `ci_low`
        on are NaN and `reason` says why.

    Example:
        >>> result = compare_moderated([[1, 2, 4], [2, 4, 3], [5, 1, 3]])
        >>> result.t.round(2).tolist(), result.df.tolist()
        ([2.63, 4.27, 2.78], [3.0, 3.0, 3.0])
    """
    differences = np.asarray(differences, np.float64)
    is_known = ~np.isnan(differences)
    n = is_known.sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.where(is_known, differences, 0).sum(axis=1) / n
        squares = np.where(is_known, differences - mean[:, None], 0) ** 2
        variance = squares.sum(axis=1) / (n - 1)
        largest = np.where(is_known, np.abs(differences), 0).max(axis=1, initial=0)
        is_rounding = np.sqrt(variance) <= ROUNDING * largest
    variance = np.where(is_rounding, variance, np.maximum(variance, step**2 / 6))
    difference = mean - level
    level_variance = np.broadcast_to(np.asarray(level_variance, np.float64), n.shape)
    unknown = ~np.isfinite(difference) | ~np.isfinite(level_variance)
    reason = np.select(
        [n < 2, unknown, is_rounding],
        [FEW_NETWORKS, UNDEFINED_RESPONSE, NO_VARIANCE_OF_DIFFERENCES],
        default="",
    )
    tested = reason == ""
    statistics = np.full((5, len(n)), np.nan)
    if tested.any():
        own_df = n[tested] - 1.0
        prior_variance, prior_df = variance_prior(variance[tested], own_df)
        most_df = own_df.sum() - own_df
        if len(own_df) > 1:
            bound = most_prior * share_of_cells(len(own_df)) * own_df
            most_df = np.minimum(most_df, bound)
        prior_df = np.minimum(prior_df, most_df)
        df = prior_df + own_df
        moderated = prior_df * prior_variance + own_df * variance[tested]
        terms = moderated / df / n[tested], level_variance[tested]
        error = np.sqrt(sum(terms))
        # With no others there is nothing but the cell's own.
        usual = np.where(prior_df > 0, prior_variance / n[tested], terms[0])
        df = (usual + terms[1]) ** 2 / (usual**2 / df + terms[1] ** 2 / level_df)
        t = difference[tested] / error
        half = scipy.stats.t.ppf((1 + confidence) / 2, df) * error
        low, high = difference[tested] - half, difference[tested] + half
        p_value = 2 * scipy.stats.t.sf(np.abs(t), df)
        statistics[:, tested] = low, high, t, df, p_value
    low, high, t, df, p_value = statistics
    return ModeratedComparison(n, difference, low, high, t, df, p_value, reason)


def share_of_cells(num_cells: int) -> float:
    """How much of `MOST_PRIOR` so many cells allow, in [0, 1]."""
    return min((num_cells - 1) / (ENOUGH_CELLS - 1), 1.0)


def variance_prior(variances: ArrayLike, df: ArrayLike) -> tuple[float, float]:
    """What variances of normal samples have in common.

    They are taken for s0 F(df, d0): the scale s0 and d0 are found from the mean and the
    variance of their logarithms (Smyth 2004, section 6.2; `fitFDist` of limma).

    Args:
        variances: Positive, `(num_cells,)`.
        df: Their degrees of freedom, `(num_cells,)` or one number.

    Returns:
        s0, and d0: infinite where variances differ no more than by chance, 0 where
        there is only one.

    Example:
        >>> s0, d0 = variance_prior([1.0, 0.1, 5.0, 0.6, 2.0, 30.0], 4)
        >>> round(s0, 4), round(d0, 4)
        (0.8421, 1.3192)
    """
    variances = np.asarray(variances, np.float64)
    half_df = np.broadcast_to(np.asarray(df, np.float64), variances.shape) / 2
    if len(variances) < 2:
        return float(variances.mean()), 0.0
    floored = np.maximum(variances, _LEAST_SHARE * np.median(variances))
    logs = np.log(floored) - scipy.special.digamma(half_df) + np.log(half_df)
    excess = logs.var(ddof=1) - scipy.special.polygamma(1, half_df).mean()
    if excess <= 0:
        return float(floored.mean()), np.inf
    prior_df = 2 * _trigamma_inverse(float(excess))
    scale = logs.mean() + scipy.special.digamma(prior_df / 2) - np.log(prior_df / 2)
    return float(np.exp(scale)), prior_df


def _trigamma_inverse(value: float) -> float:
    """Where trigamma, which falls from infinity to 0, has a value."""
    # trigamma(x) is between 1 / x and 1 / x + 1 / x^2.
    low, high = 1 / value, (1 + np.sqrt(1 + 4 * value)) / (2 * value)
    found = scipy.optimize.brentq(
        lambda x: scipy.special.polygamma(1, x) - value, low, high
    )
    return float(found)


def own_share(
    num_own: ArrayLike, num_others: ArrayLike, correlation: float
) -> FloatArray:
    """How much of a baseline is to be that of the repeats themselves.

    Of confused networks and the baseline networks of their repeats, correlated by rho,
    and of M baseline networks of other repeats, the difference with the least variance
    is mean(confused) - v mean(own) - (1 - v) mean(others) with
    v = (rho M + R) / (M + R) for R repeats: 1 is the paired difference, R / (M + R)
    counts all baseline networks alike. (By setting the derivative of
    (1 - 2 v rho + v^2) / R + (1 - v)^2 / M to 0.)

    Args:
        num_own: Repeats with a baseline network, R.
        num_others: Baseline networks of other repeats, M.
        correlation: rho, in [0, 1]; NaN where it is not known.

    Returns:
        v in (0, 1], float array in the shape of the numbers: 1 if the correlation is
        not known, or there are fewer than 2 others.

    Example:
        >>> own_share([4, 20], [23, 40], 0.35).round(3)
        array([0.446, 0.567])
    """
    own, others = np.asarray(num_own, np.float64), np.asarray(num_others, np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        share = (correlation * others + own) / (others + own)
    return np.where((others >= 2) & np.isfinite(share), share, 1.0)


def correlation_within_repeats(responses: ArrayLike, variance: float) -> float:
    """What the networks of a repeat have in common, as a share of their variance.

    Args:
        responses: Of every arm and repeat, shape (A, R), NaN where there is none.
        variance: Of networks of different repeats, such as the baseline's.

    Returns:
        1 - MS / variance in [0, 1], MS being the mean square beside arms and repeats
        (of a randomised block design: Fisher 1935); NaN with fewer than 2 arms or
        repeats.

    Example:
        >>> correlation_within_repeats([[1, 2], [2, 4], [3, 3]], 1.0)
        0.5
    """
    responses = np.asarray(responses, np.float64)
    known = np.isfinite(responses)
    used = responses[known.sum(axis=1) > 1]
    used = used[:, np.isfinite(used).any(axis=0)]
    df = np.isfinite(used).sum() - used.shape[0] - used.shape[1] + 1
    if min(used.shape) < 2 or df < 1 or not variance > 0:
        return np.nan
    residuals = used - np.nanmean(used, axis=1, keepdims=True)
    residuals -= np.nanmean(residuals, axis=0)
    mean_square = np.nansum(residuals**2) / df
    return float(np.clip(1 - mean_square / variance, 0, 1))
