"""Variance components of crossed random factors, with one observation a cell.

The model is y = mean + the sum over all sets S of factors of an effect that is drawn
again for every combination of the levels of S, with the variance component of S. With
one observation a cell, the effect of all factors together is what is left: it holds
their interaction and whatever the factors do not settle.
"""

import itertools
import math
from collections.abc import Callable, Sequence

import numpy as np
import scipy.stats

CONFIDENCE = 0.95
# Intervals of fewer units would be too wide to say anything.
MIN_UNITS = 4

Effect = tuple[int, ...]


def effects(num_factors: int) -> list[Effect]:
    """All sets of factors, main effects first: (0,), (1,), ..., (0, 1), ..."""
    return [
        effect
        for size in range(1, num_factors + 1)
        for effect in itertools.combinations(range(num_factors), size)
    ]


def mean_squares(values: np.ndarray, num_factors: int) -> dict[Effect, np.ndarray]:
    """Mean square of every effect.

    Args:
        values: float array `(levels of factor 0, levels of factor 1, ..., ...)`, at
            least two levels each; what stands behind the factors is kept apart.
        num_factors: Number of factors.

    Returns:
        By effect an array of the shape of what stands behind the factors.
    """
    levels = values.shape[:num_factors]
    if min(levels) < 2:
        raise ValueError(
            f"Expected at least 2 levels of every factor. Received: {levels}."
        )
    factors = range(num_factors)
    found = {}
    for effect in effects(num_factors):
        others = tuple(factor for factor in factors if factor not in effect)
        left = values.mean(axis=others, keepdims=True)
        for factor in effect:
            left = left - left.mean(axis=factor, keepdims=True)
        replicates = math.prod(levels[factor] for factor in others)
        degrees = math.prod(levels[factor] - 1 for factor in effect)
        squares = (left**2).sum(axis=tuple(factors))
        found[effect] = replicates * squares / degrees
    return found


def variance_components(values: np.ndarray, num_factors: int) -> np.ndarray:
    """Unbiased estimates, which are negative where chance has it so.

    The expected mean square of S is the sum over all T that contain S of T's component
    times the number of observations that share a combination of T's levels (Cornfield &
    Tukey 1956, Annals of Mathematical Statistics 27, 907). Solved for the components,
    that is an alternating sum over the mean squares of all T that contain S.

    Args:
        values: As for `mean_squares`.
        num_factors: Number of factors.

    Returns:
        float array `(number of effects, ...)`, in the order of `effects`.

    Examples:
        >>> values = np.array([[1.0, 2.0], [3.0, 4.0]])
        >>> variance_components(values, 2)
        array([2. , 0.5, 0. ])
    """
    squares = mean_squares(values, num_factors)
    levels = values.shape[:num_factors]
    components = []
    for effect in squares:
        others = [levels[f] for f in range(num_factors) if f not in effect]
        signed = [
            (-1) ** (len(larger) - len(effect)) * mean_square
            for larger, mean_square in squares.items()
            if set(effect) <= set(larger)
        ]
        components.append(sum(signed) / math.prod(others))
    return np.array(components)


def total_variance(components: np.ndarray) -> np.ndarray:
    """Variance of an observation whose levels are all drawn again.

    It is the sum over the effects, and never below 0: for designs with as many levels
    of every factor it is a sum of mean squares with weights of 0 and more.

    Args:
        components: As `variance_components` returns them.
    """
    return np.maximum(components.sum(axis=0), 0.0)  # 0 but for rounding


def mean_interval(values: Sequence[float]) -> tuple[float, float, float]:
    """Mean and the ends of a 95 % interval of Student's t; NaN below `MIN_UNITS`."""
    values = np.asarray(values, float)
    mean = float(values.mean())
    if len(values) < MIN_UNITS:
        return mean, math.nan, math.nan
    margin = scipy.stats.t.ppf((1 + CONFIDENCE) / 2, len(values) - 1)
    margin = float(margin * values.std(ddof=1) / math.sqrt(len(values)))
    return mean, mean - margin, mean + margin


def jackknife_log_interval(
    statistic: Callable[[np.ndarray], float], num_units: int
) -> tuple[float, float, float]:
    """A positive statistic and its 95 % interval, by the jackknife of its logarithm.

    Miller (1974), Biometrika 61, 1, for variances and their ratios.

    Args:
        statistic: From an int array of units, to be counted once each.
        num_units: Number of units.

    Returns:
        The statistic of all units, and both ends: NaN where there is no logarithm, and
        below `MIN_UNITS`.
    """
    units = np.arange(num_units)
    estimate = statistic(units)
    if num_units < MIN_UNITS:
        return estimate, math.nan, math.nan
    without_one = np.array([statistic(np.delete(units, unit)) for unit in units])
    with np.errstate(invalid="ignore", divide="ignore"):
        logs = np.log(without_one)
        pseudo_values = num_units * np.log(estimate) - (num_units - 1) * logs
    _, low, high = mean_interval(pseudo_values)
    return estimate, float(np.exp(low)), float(np.exp(high))
