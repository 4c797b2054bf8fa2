"""Arms against other arms, with repeats as blocks.

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

from keras_confusion.bits import FloatArray
from keras_confusion.stats import ROUNDING

FEW_BLOCKS = "fewer than 2 repeats with all arms"
FEW_ARMS = "too few arms without the target"
# The mean of a few other arms is moved by what one of them does.
MIN_ARMS = 10
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
    df: int
    p_value: FloatArray
    reason: str


def compare_arms(
    responses: ArrayLike,
    weights: ArrayLike,
    *,
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
        confidence: Level of the intervals, in (0, 1).
        min_arms: Arms that there must be, at least 2.

    Returns:
        A `BlockComparison`. With fewer than 2 repeats or `min_arms` arms, or no
        residual variance, fields from `ci_low` on are NaN and `reason` says why.

    Example:
        >>> responses, weights = [[1, 2], [2, 4], [3, 3]], [[-0.5, -0.5, 1]]
        >>> result = compare_arms(responses, weights, min_arms=3)
        >>> result.difference.tolist(), result.df, round(float(result.t[0]), 4)
        ([0.75], 2, 1.2247)
    """
    responses = np.asarray(responses, np.float64)
    weights = np.asarray(weights, np.float64)
    num_arms, num_repeats = responses.shape
    nothing = np.full(len(weights), np.nan)
    difference = nothing
    if num_arms and num_repeats:
        difference = weights @ responses.mean(axis=1)
    df = (num_arms - 1) * (num_repeats - 1)

    def untested(reason: str) -> BlockComparison:
        return BlockComparison(
            num_repeats, difference, nothing, nothing, nothing, df, nothing, reason
        )

    if num_repeats < 2:
        return untested(FEW_BLOCKS)
    if num_arms < min_arms:
        return untested(FEW_ARMS)
    residuals = (
        responses
        - responses.mean(axis=1, keepdims=True)
        - responses.mean(axis=0, keepdims=True)
        + responses.mean()
    )
    sd = np.sqrt((residuals**2).sum() / df)
    if not sd > ROUNDING * np.abs(responses).max():
        return untested(NO_RESIDUAL)
    error = sd * np.sqrt((weights**2).sum(axis=1) / num_repeats)
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


def one_against_others(num_arms: int) -> FloatArray:
    """Weights `(A, A)` of every arm against the mean of all others."""
    return (np.eye(num_arms) * num_arms - 1) / max(num_arms - 1, 1)


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
