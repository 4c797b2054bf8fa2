"""What tests could have found, and what their results exclude: for null results.

All from a difference's standard error and its degrees of freedom, whichever t-test they
are of; arrays in, arrays out, in units of the response.
"""

import numpy as np
import scipy.optimize
import scipy.special
from numpy.typing import ArrayLike

from keras_confusion.stats.bits import FloatArray

# No study has more; a planner says "more than" then.
MOST_REPEATS = 100_000
# Of the estimated variance, over which power is averaged.
_QUANTILES = 1000


def smallest_effect(
    error: float, df: float, *, alpha: float = 0.05, power: float = 0.8
) -> float:
    """The true difference that a two-sided t-test finds with a given power.

    The test finds it where effect + z > c s, c being the critical t, z normal, and
    s^2 the estimated variance over the true one, chi-squared with df degrees of
    freedom over df: the noncentral t distribution (Student 1908; Johnson et al. 1995,
    "Continuous Univariate Distributions 2", chapter 31), averaged over quantiles of s.

    Args:
        error: Standard error of the difference.
        df: Its degrees of freedom, at least 1.
        alpha: The largest p-value that is significant. For one true effect among m
            cells and a false discovery rate of q, it is q / m: the first step of
            Benjamini and Hochberg's procedure.
        power: The share of studies that find it, in (0.5, 1).

    Example:
        >>> round(smallest_effect(0.5, 20), 3)
        1.473
    """
    critical = scipy.special.stdtrit(df, 1 - alpha / 2)
    shares = (np.arange(_QUANTILES) + 0.5) / _QUANTILES
    scales = np.sqrt(scipy.special.chdtri(df, 1 - shares) / df)

    def missed(effect: float) -> float:
        return power - float(scipy.special.ndtr(effect - critical * scales).mean())

    highest = critical * scales[-1] + scipy.special.ndtri(power) + 1
    return error * float(scipy.optimize.brentq(missed, 0, highest))


def repeats_needed(
    effect: float,
    *,
    error: float,
    df: float,
    repeats: int,
    alpha: float = 0.05,
    power: float = 0.8,
) -> int:
    """How many repeats a study would need for an effect, from one that was run.

    The standard error falls with the root of the repeats, and its degrees of freedom
    grow with repeats - 1; the noise is taken for known.

    Args:
        effect: The true difference, positive.
        error: Standard error of the study that was run.
        df: Its degrees of freedom.
        repeats: Its repeats, at least 2.
        alpha: See `smallest_effect`.
        power: See `smallest_effect`.

    Returns:
        The smallest number of repeats, at least 2; `MOST_REPEATS` if more are needed.

    Example:
        >>> repeats_needed(1.0, error=0.5, df=14, repeats=8)
        17
    """
    low, high = 1, MOST_REPEATS
    while high - low > 1:
        middle = (low + high) // 2
        found = smallest_effect(
            error * np.sqrt(repeats / middle),
            df * (middle - 1) / (repeats - 1),
            alpha=alpha,
            power=power,
        )
        low, high = (low, middle) if found <= effect else (middle, high)
    return high


def equivalence_p_values(
    difference: ArrayLike, error: ArrayLike, df: ArrayLike, bound: float
) -> FloatArray:
    """P-values of two one-sided tests that a difference is within a bound.

    Schuirmann (1987), J. Pharmacokinet. Biopharm. 15:657: the larger one of the
    one-sided p-values. At most 0.05 where the 90 % interval is within -bound to bound.

    Args:
        difference: Estimated differences.
        error: Their standard errors.
        df: Their degrees of freedom.
        bound: Positive.

    Example:
        >>> equivalence_p_values([0.0, 0.9], 0.5, 20, 1.0).round(3)
        array([0.03 , 0.422])
    """
    away = bound - np.abs(np.asarray(difference, np.float64))
    away = away / np.asarray(error, np.float64)
    return scipy.special.stdtr(np.asarray(df, np.float64), -away)


def selected_confidence(
    num_selected: int, num_tested: int, rate: float = 0.05
) -> float:
    """The level of intervals for cells that were selected by their q-values.

    With it the false coverage rate is at most `rate`: of the intervals that are shown,
    the expected share that misses the truth (Benjamini and Yekutieli 2005, J. Am. Stat.
    Assoc. 100:71).

    Example:
        >>> round(selected_confidence(10, 90), 4)
        0.9944
    """
    return 1 - rate * num_selected / num_tested


def shrunken(difference: ArrayLike, error: ArrayLike) -> FloatArray:
    """Differences drawn towards 0 as far as the noise of all of them says.

    The largest of many estimates are too large. With true differences of variance
    tau^2 around 0, an estimate's expectation is difference * tau^2 / (tau^2 + error^2)
    (empirical Bayes: Efron and Morris 1975, J. Am. Stat. Assoc. 70:311). tau^2 is the
    mean of difference^2 - error^2, at least 0.

    Args:
        difference: Of the cells of one table, NaN where there is none.
        error: Their standard errors.

    Example:
        >>> shrunken([3.0, -1.0, 0.5, 0.2], 1.0).round(2)
        array([ 1.83, -0.61,  0.31,  0.12])
    """
    difference = np.asarray(difference, np.float64)
    noise = np.asarray(error, np.float64) ** 2
    excess = difference**2 - noise
    known = np.isfinite(excess)
    truth = max(float(excess[known].mean()), 0.0) if known.any() else 0.0
    return difference * truth / (truth + noise)
