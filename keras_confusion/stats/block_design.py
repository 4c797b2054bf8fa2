"""Comparisons of arms, with repeats as blocks.

The networks of a repeat share their seeds, and an arm has few of them. A study as a
whole has many: what is left of every network's response when the mean of its arm and
that of its repeat are taken away is noise, and all arms together say how much of it
there is. So a few repeats are enough to know the noise, and with it the error of any
comparison of arms: a randomised complete block design, arms being the treatments
(Fisher 1935, "The Design of Experiments", chapter IV).
"""

from dataclasses import dataclass

import numpy as np
import scipy.stats
from numpy.typing import ArrayLike, NDArray

from keras_confusion.stats.bits import FloatArray
from keras_confusion.stats.moments import ROUNDING

FEW_BLOCKS = "fewer than 2 repeats with all arms"
FEW_BASELINES = "fewer than 2 baseline networks"
FEW_ARMS = "too few arms without the target"
# Fewer do not know the noise better than an arm does by itself.
MIN_ARMS = 3
NO_RESIDUAL = "no variance beside arms and repeats"


@dataclass(frozen=True, eq=False)
class BlockComparison:
    """Contrasts of arms, compared by `compare_arms`; arrays `(num_contrasts,)`.

    `difference` with its interval in units of the response, `t`, its degrees of freedom
    `df`, two-sided `p_value`; `n` repeats; `reason`, why there is no test or "".
    """

    n: int
    difference: FloatArray
    ci_low: FloatArray
    ci_high: FloatArray
    t: FloatArray
    df: FloatArray
    p_value: FloatArray
    reason: str


def compare_arms(
    responses: ArrayLike,
    weights: ArrayLike,
    *,
    level_contrasts: ArrayLike | None = None,
    confidence: float = 0.95,
    min_arms: int = MIN_ARMS,
) -> BlockComparison:
    """Tests contrasts of the means of arms.

    With the residuals e of response - mean of arm - mean of repeat + mean of all, the
    variance of a network is `MS = sum(e^2) / ((A - 1) (R - 1))` and that of a contrast
    `MS / R * sum(weights^2)`. What repeats have in common cancels in a contrast. It is
    taken for granted that this variance is the same in all arms.

    Args:
        responses: Of every arm and repeat, shape (A, R), R being those repeats that
            all arms have.
        weights: Shape (num_contrasts, A), each row adding up to 0.
        level_contrasts: Where arms have different levels, what other networks add to
            every contrast by way of these, shape (num_contrasts, num_baseline): the
            weights times the networks' responses in place of the arms'. Their means
            are taken away, and are a second term of the squared standard error,
            var / num_baseline, and of Satterthwaite's (1946) degrees of freedom.
        confidence: Level of the intervals, in (0, 1).
        min_arms: Arms that there must be, at least 2.

    Returns:
        A `BlockComparison`. With fewer than 2 repeats, `min_arms` arms or 2 networks
        of levels, or no residual variance, fields from `ci_low` on are NaN and `reason`
        says why.

    Example:
        >>> responses, weights = [[1, 2], [2, 4], [3, 3]], [[-0.5, -0.5, 1]]
        >>> result = compare_arms(responses, weights, min_arms=3)
        >>> [round(float(x[0]), 4) for x in (result.difference, result.df, result.t)]
        [0.75, 2.0, 1.2247]
    """
    responses = np.asarray(responses, np.float64)
    num_arms, num_repeats = responses.shape
    weights = np.asarray(weights, np.float64)
    # What the levels add to every contrast; zeros of nobody without levels.
    if level_contrasts is None:
        level_contrasts = np.zeros((len(weights), 2))
    level_contrasts = np.asarray(level_contrasts, np.float64)
    num_levels = level_contrasts.shape[1]
    difference = np.full(len(weights), np.nan)
    if num_arms and num_repeats and num_levels:
        difference = weights @ responses.mean(axis=1) - level_contrasts.mean(axis=1)
    reason = _why_untested(responses, min_arms)
    if not reason and num_levels < 2:
        reason = FEW_BASELINES
    if reason:
        return _untested(num_repeats, difference, reason)
    sd = _residual_sd(responses)
    arm_error = sd**2 * (weights**2).sum(axis=1) / num_repeats
    level_error = level_contrasts.var(axis=1, ddof=1) / num_levels
    error = np.sqrt(arm_error + level_error)
    df = error**4 / (
        arm_error**2 / ((num_arms - 1) * (num_repeats - 1))
        + level_error**2 / (num_levels - 1)
    )
    return _tested(num_repeats, difference, error, df, confidence)


def compare_with_baseline(
    responses: ArrayLike,
    baseline: ArrayLike,
    *,
    confidence: float = 0.95,
    min_arms: int = MIN_ARMS,
) -> BlockComparison:
    """Tests every arm against the baseline networks of the same repeats.

    The difference of two treatments of the block design: with `MS` as in
    `compare_arms`, from the arms alone, its variance is `2 MS / R`, the baseline's
    noise being taken for the arms'. What other arms do to the target does not enter.

    Args:
        responses: Of every arm and repeat, shape (A, R).
        baseline: What the baseline network of the repeat has in place of it, shape
            (A, R) or (R,).
        confidence: Level of the intervals, in (0, 1).
        min_arms: Arms that there must be, at least 2.

    Returns:
        A `BlockComparison` of A contrasts; `reason` as `compare_arms` has it.

    Example:
        >>> responses, baseline = [[1, 2], [2, 4], [3, 3]], [1, 3]
        >>> result = compare_with_baseline(responses, baseline)
        >>> result.difference.tolist(), result.t.round(4).tolist()
        ([-0.5, 1.0, 1.0], [-0.7071, 1.4142, 1.4142])
    """
    responses = np.asarray(responses, np.float64)
    num_arms, num_repeats = responses.shape
    difference = np.full(num_arms, np.nan)
    if num_repeats:
        difference = (responses - np.asarray(baseline, np.float64)).mean(axis=1)
    reason = _why_untested(responses, min_arms)
    if reason:
        return _untested(num_repeats, difference, reason)
    error = np.full(num_arms, _residual_sd(responses) * np.sqrt(2 / num_repeats))
    df = np.full(num_arms, (num_arms - 1.0) * (num_repeats - 1))
    return _tested(num_repeats, difference, error, df, confidence)


def _why_untested(responses: FloatArray, min_arms: int) -> str:
    """Why the noise is not known; "" if it is."""
    num_arms, num_repeats = responses.shape
    if num_repeats < 2:
        return FEW_BLOCKS
    if num_arms < min_arms:
        return FEW_ARMS
    if not _residual_sd(responses) > ROUNDING * np.abs(responses).max():
        return NO_RESIDUAL
    return ""


def _untested(num_repeats: int, difference: FloatArray, reason: str) -> BlockComparison:
    nothing = np.full(difference.shape, np.nan)
    return BlockComparison(
        n=num_repeats,
        difference=difference,
        ci_low=nothing,
        ci_high=nothing,
        t=nothing,
        df=nothing,
        p_value=nothing,
        reason=reason,
    )


def _tested(
    num_repeats: int,
    difference: FloatArray,
    error: FloatArray,
    df: FloatArray,
    confidence: float,
) -> BlockComparison:
    t = difference / error
    half = scipy.stats.t.ppf((1 + confidence) / 2, df) * error
    return BlockComparison(
        n=num_repeats,
        difference=difference,
        ci_low=difference - half,
        ci_high=difference + half,
        t=t,
        df=df,
        p_value=2 * scipy.stats.t.sf(np.abs(t), df),
        reason="",
    )


def _residual_sd(responses: FloatArray) -> float:
    """Root of the mean square beside arms and repeats."""
    num_arms, num_repeats = responses.shape
    residuals = (
        responses
        - responses.mean(axis=1, keepdims=True)
        - responses.mean(axis=0, keepdims=True)
        + responses.mean()
    )
    df = max((num_arms - 1) * (num_repeats - 1), 1)
    return float(np.sqrt((residuals**2).sum() / df))


def group_against_others(members: NDArray[np.bool_]) -> FloatArray:
    """Weights of the arms of a group against the mean of all arms outside it.

    Args:
        members: Shape (num_groups, A); a group that is empty or has all arms gets NaN.

    Returns:
        Float array `(num_groups, A)`.
    """
    inside = members.sum(axis=1, keepdims=True)
    outside = members.shape[1] - inside
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(members, 1 / inside, -1 / outside) + 0 * (1 / inside / outside)
