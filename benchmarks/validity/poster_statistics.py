"""What the poster's claims need beside `stats`: blocks, true effects, df, power.

Matrices are `(K, K)`, target class (rows) by confused class (columns).
"""

import itertools
import math
from typing import NamedTuple

import numpy as np
import pandas as pd
import scipy.optimize
import scipy.stats

from keras_confusion.comparisons.responses import StudyResponses

CONFIDENCE = 0.95


def number(value: float) -> str:
    """Three digits; a dash where there is none."""
    if not math.isfinite(value):
        return "–"
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"


def probability(value: float) -> str:
    """A p- or q-value; a dash where there is no test."""
    if not math.isfinite(value):
        return "–"
    return f"{value:.3f}" if value >= 0.001 else f"{value:.0e}"


class Interval(NamedTuple):
    """An estimate with its 95 % interval, and the test that it is 0.

    `n` counts what is independent: networks, or repeats.
    """

    estimate: float
    low: float
    high: float
    t: float
    df: float
    p_value: float
    n: int

    @classmethod
    def from_row(cls, row) -> "Interval":
        """The difference of a row of `comparisons`, in points."""
        ends = row["ci_low_points"], row["ci_high_points"]
        test = row["t"], row["df"], row["p_value"], row["n_confused"]
        return cls(row["difference_points"], *ends, *test)

    def __format__(self, form: str) -> str:
        estimate, low, high = (format(value, form) for value in self[:3])
        return f"{estimate} ({low} to {high})"

    def test_columns(self) -> dict[str, str]:
        """The test, as columns of a table."""
        numbers = {"t": number(self.t), "df": number(self.df)}
        return {**numbers, "p": probability(self.p_value)}


class SplitTest(NamedTuple):
    """The true split of the classes among all splits of the same sizes.

    Args:
        within: Mean of the cells whose classes are on the same side.
        across: Mean of the others.
        contrasts: `within - across` of all splits, `(num_splits,)`.
        rank: Place of the true split by the size of its contrast, 1 for the largest;
            of equal ones the last.
        p_value: `rank / num_splits`: two-sided and exact if classes are exchangeable.
        share_below: Share of splits whose contrast is no larger, the true one too.
    """

    within: float
    across: float
    contrasts: np.ndarray
    rank: int
    p_value: float
    share_below: float

    @property
    def contrast(self) -> float:
        """That of the true split."""
        return self.within - self.across


def same_side(side, num_classes: int) -> np.ndarray:
    """Which cells have both classes on one side, bool `(K, K)`, the diagonal not."""
    is_in = np.isin(np.arange(num_classes), list(side))
    return (is_in[:, None] == is_in) & ~np.eye(num_classes, dtype=bool)


def all_splits(size: int, num_classes: int) -> np.ndarray:
    """`same_side` of every choice of `size` classes, `(num_splits, K, K)`."""
    sides = itertools.combinations(range(num_classes), size)
    return np.array([same_side(side, num_classes) for side in sides])


def split_test(values: np.ndarray, side) -> SplitTest:
    """Permutation test of two blocks of classes, over all splits of the same sizes.

    Pitman (1937), J. R. Stat. Soc. Suppl. 4:119. Rows and columns are relabelled
    together; with 4 of 10 classes there are 210 splits, so that p is at least 1/210.

    Args:
        values: Float array `(K, K)`; the diagonal is not read.
        side: The labels on one side of the true split.

    Returns:
        A `SplitTest`.

    Example:
        >>> values = np.array([[0, 3, 1, 1], [3, 0, 1, 1], [1, 1, 0, 2], [1, 1, 2, 0]])
        >>> test = split_test(values, [0])
        >>> round(test.within, 3), round(test.across, 3), test.rank
        (1.333, 1.667, 4)
    """
    off_diagonal = ~np.eye(len(values), dtype=bool)

    def means(same: np.ndarray) -> tuple[float, float]:
        return values[same].mean(), values[off_diagonal & ~same].mean()

    within, across = means(same_side(side, len(values)))
    found = [means(same) for same in all_splits(len(side), len(values))]
    contrasts = np.subtract(*np.array(found).T)
    # Equal splits are to be equal in spite of rounding.
    margin = 1e-9 * np.abs(contrasts).max()
    rank = int((np.abs(contrasts) >= abs(within - across) - margin).sum())
    share_below = float((contrasts <= within - across + margin).mean())
    return SplitTest(
        float(within),
        float(across),
        contrasts,
        rank,
        rank / len(contrasts),
        share_below,
    )


def adjusted_rand(same: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Hubert & Arabie's (1985) index of two groupings: 1 if equal, 0 by chance.

    Args:
        same: `same_side` of one grouping, `(K, K)`.
        others: Of others, `(..., K, K)`.

    Example:
        >>> halves = same_side([0, 1], 4)
        >>> others = np.array([halves, same_side([0, 2], 4)])
        >>> adjusted_rand(halves, others).round(1).tolist()
        [1.0, -0.5]
    """
    together = (same & others).sum(axis=(-2, -1))
    size, sizes = same.sum(), others.sum(axis=(-2, -1))
    expected = size * sizes / (len(same) * (len(same) - 1))
    return (together - expected) / ((size + sizes) / 2 - expected)


def mean_of_cells(study: StudyResponses, response: str, share: np.ndarray) -> Interval:
    """A weighted sum of cells of target x class, with all networks as independent.

    Arms are fixed and networks drawn: the squared standard error is the sum over arms
    of the variance of their networks' part of the sum over their number, and of the
    baseline's as far as it centres, df by Satterthwaite (1946), Biometrics Bull. 2:110.

    Args:
        study: The responses of all networks.
        response: One of `responses.RESPONSES`.
        share: Weights of the cells, `(K, K)`, 0 on the diagonal.

    Returns:
        An `Interval` in percentage points; `n` networks.
    """
    num_classes, num_pairs = len(study.prior), len(study.pairs)
    members = np.array([np.isin(range(num_classes), pair) for pair in study.pairs])
    counts = np.bincount(study.confused_pair, minlength=num_pairs)
    # (P, K): what an arm's mean response of a target counts. Arms with the confused
    # class are compared with those without it; arms with the target are in neither.
    weights = np.zeros((num_pairs, num_classes))
    for target, confused in np.argwhere(share):
        for group, sign in ((members[:, confused], 1), (~members[:, confused], -1)):
            networks = counts * (group & ~members[:, target])
            part = sign * networks / networks.sum()
            weights[:, target] += share[target, confused] * part
    without_pair = response == "accuracy_without_pair"
    rates = study.confused_without_pair if without_pair else study.confused
    sums = np.nansum(rates.accuracy * weights[study.confused_pair], axis=1)
    arms = np.flatnonzero(weights.any(axis=1))
    groups = [sums[study.confused_pair == arm] for arm in arms]
    if without_pair:
        baseline = np.nan_to_num(study.baseline_without_pair.rates.accuracy)
        groups.append(-np.einsum("pbt,pt->b", baseline, weights))
    estimate = 100 * sum(float(group.mean()) for group in groups)
    terms = np.array([1e4 * group.var(ddof=1) / len(group) for group in groups])
    freedom = np.array([len(group) - 1 for group in groups])
    df = terms.sum() ** 2 / (terms**2 / freedom).sum()
    return _interval(estimate, np.sqrt(terms.sum()), df, sum(map(len, groups)))


def mean_of_repeats(values: np.ndarray) -> Interval:
    """Mean of independent repeats by Student's t; `values` `(n,)` in points."""
    sem = values.std(ddof=1) / np.sqrt(len(values))
    return _interval(float(values.mean()), sem, len(values) - 1, len(values))


def _interval(estimate: float, error: float, df: float, n: int) -> Interval:
    half = error * scipy.stats.t.ppf((1 + CONFIDENCE) / 2, df)
    t = estimate / error
    p_value = 2 * scipy.stats.t.sf(abs(t), df)
    ends = float(estimate - half), float(estimate + half)
    return Interval(float(estimate), *ends, float(t), float(df), float(p_value), n)


def jackknife(whole: float, left_out: np.ndarray) -> Interval:
    """An estimate and its interval by Tukey's (1958) pseudo-values.

    Args:
        whole: The estimate.
        left_out: The estimates without each of `n` parts.
    """
    num = len(left_out)
    about = mean_of_repeats(num * whole - (num - 1) * left_out)
    low, high = (end + whole - about.estimate for end in (about.low, about.high))
    return about._replace(estimate=whole, low=low, high=high)


def true_variance(rows: pd.DataFrame) -> float:
    """Variance of the cells' differences beyond what their standard errors explain.

    Args:
        rows: Of one response, as `findings.with_test` gives them.

    Returns:
        Sample variance less the mean squared standard error, points squared; below 0
        where the errors alone would spread more.
    """
    tested = rows[rows["t"].notna()]
    errors = tested["difference_points"] / tested["t"]
    return tested["difference_points"].var(ddof=1) - (errors**2).mean()


def shared_variance(differences: np.ndarray) -> float:
    """Variance of what all repeats find: the mean covariance of two repeats over cells.

    Errors of different repeats are independent and leave it: no standard error is
    needed. The estimate is unbiased, and can be below 0.

    Args:
        differences: Float array `(repeats, cells)`, points.

    Example:
        >>> shared_variance(np.array([[0.0, 2.0, 4.0], [1.0, 2.0, 3.0]]))
        2.0
    """
    covariance = np.cov(differences)
    return float(covariance[~np.eye(len(covariance), dtype=bool)].mean())


def p_values_by_df(rows: pd.DataFrame) -> pd.DataFrame:
    """Welch's test beside those whose degrees of freedom are not Welch's.

    Args:
        rows: A family of `comparisons`, by Welch's test.

    Returns:
        Same rows, p-values: `welch` (as in the table); `wrong_df`, of Welch's t with
        n1 + n2 - 2; `student`, of Student's test with one variance for both groups;
        `smaller`, of Welch's t with the smaller group's n - 1.
    """
    groups = ("confused", "comparison")
    n1, n2 = (rows[f"n_{group}"].to_numpy(float) for group in groups)
    variance1, variance2 = (
        (100 * rows[f"sd_{group}"].to_numpy(float)) ** 2 for group in groups
    )
    t, df = np.abs(rows["t"].to_numpy(float)), n1 + n2 - 2
    pooled = ((n1 - 1) * variance1 + (n2 - 1) * variance2) / df
    with np.errstate(divide="ignore", invalid="ignore"):
        student = np.abs(rows["difference_points"]) / np.sqrt(
            pooled * (1 / n1 + 1 / n2)
        )
    student = np.where(np.isnan(t), np.nan, student)
    return pd.DataFrame(
        {
            "welch": rows["p_value"],
            "wrong_df": 2 * scipy.stats.t.sf(t, df),
            "student": 2 * scipy.stats.t.sf(student, df),
            "smaller": 2 * scipy.stats.t.sf(t, np.minimum(n1, n2) - 1),
        },
        index=rows.index,
    )


def smallest_effect(df: float, level: float, *, power: float = 0.8) -> float:
    """The true effect that a two-sided t-test finds with some power.

    Args:
        df: Degrees of freedom.
        level: Largest p-value that counts.
        power: Wanted chance.

    Returns:
        The effect in standard errors.

    Example:
        >>> round(smallest_effect(1e6, 0.05), 2)  # 1.96 + 0.84
        2.8
    """
    critical = scipy.stats.t.isf(level / 2, df)

    def lacking(effect: float) -> float:
        # With such power the other tail has nothing: not one in a million studies.
        return scipy.stats.nct.sf(critical, df, effect) - power

    return float(scipy.optimize.brentq(lacking, 0, 20 + 4 * critical))
