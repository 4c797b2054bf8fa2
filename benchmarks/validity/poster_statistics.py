"""What the poster's claims need beside `stats`: blocks, true effects, df, power.

All arrays are `(K, K)` of target class (rows) and confused class (columns), or cells in
the order of a table of `comparisons`.
"""

import itertools
from typing import NamedTuple

import numpy as np
import pandas as pd
import scipy.optimize
import scipy.stats

from benchmarks.validity import null_networks
from keras_confusion.comparisons import target_by_class, target_by_pair
from keras_confusion.comparisons.responses import StudyResponses

CONFIDENCE = 0.95


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


class SplitTest(NamedTuple):
    """The true split of the classes among all splits of the same sizes.

    Args:
        within: Mean of the cells whose classes are on the same side.
        across: Mean of the others.
        contrast: `within - across`.
        contrasts: Those of all splits, `(num_splits,)`, the true one too.
        rank: Place of the true split by the size of its contrast, 1 for the largest;
            of equal ones the last.
        p_value: `rank / num_splits`: two-sided and exact if classes are exchangeable.
        share_below: Share of splits whose contrast is no larger, the true one too.
    """

    within: float
    across: float
    contrast: float
    contrasts: np.ndarray
    rank: int
    p_value: float
    share_below: float


def same_side(side, num_classes: int) -> np.ndarray:
    """Which cells have both classes on one side, bool `(K, K)`, the diagonal not."""
    is_in = np.isin(np.arange(num_classes), list(side))
    return (is_in[:, None] == is_in) & ~np.eye(num_classes, dtype=bool)


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
        >>> test.within, round(test.across, 3), test.rank
        (1.3333333333333333, 1.667, 4)
    """
    num_classes, true_side = len(values), frozenset(side)
    off_diagonal = ~np.eye(num_classes, dtype=bool)
    found = {}
    for chosen in itertools.combinations(range(num_classes), len(true_side)):
        same = same_side(chosen, num_classes)
        across = values[off_diagonal & ~same].mean()
        found[frozenset(chosen)] = values[same].mean(), across
    within, across = found[true_side]
    contrasts = np.array([one - other for one, other in found.values()])
    # Equal splits are to be equal in spite of rounding.
    margin = 1e-9 * np.abs(contrasts).max()
    rank = int((np.abs(contrasts) >= abs(within - across) - margin).sum())
    return SplitTest(
        float(within),
        float(across),
        float(within - across),
        contrasts,
        rank,
        rank / len(contrasts),
        float((contrasts <= within - across + margin).mean()),
    )


def cell_weights(study: StudyResponses) -> np.ndarray:
    """Target x class as sums over arms, `(K, K, P)`, NaN-free and 0 on the diagonal.

    The difference of target T and class C is the sum over arms of the weight times the
    arm's mean response; arms count by their networks, as in `target_by_class`.
    """
    num_classes, num_pairs = len(study.prior), len(study.pairs)
    in_pair = np.zeros((num_classes, num_pairs), bool)
    for index, pair in enumerate(study.pairs):
        in_pair[list(pair), index] = True
    counts = np.bincount(study.confused_pair, minlength=num_pairs).astype(float)
    weights = np.zeros((num_classes, num_classes, num_pairs))
    for target in range(num_classes):
        for other in range(num_classes):
            if target != other:
                for group, sign in ((in_pair[other], 1), (~in_pair[other], -1)):
                    of_arm = counts * (group & ~in_pair[target])
                    weights[target, other] += sign * of_arm / of_arm.sum()
    return weights


def mean_of_cells(study: StudyResponses, response: str, share: np.ndarray) -> Interval:
    """A weighted sum of cells of target x class, with all networks as independent.

    Arms are fixed and networks drawn: the squared standard error is the sum over arms
    of the variance of their networks' part of the sum over their number, and of the
    baseline's as far as it centres, df by Satterthwaite (1946), Biometrics Bull. 2:110.

    Args:
        study: The responses of all networks.
        response: One of `responses.RESPONSES`.
        share: Weights of the cells, `(K, K)`.

    Returns:
        An `Interval` in percentage points; `n` networks.
    """
    # (P, K): what an arm's response of a target counts.
    weights = np.einsum("tc,tcp->pt", share, cell_weights(study))
    without_pair = response == "accuracy_without_pair"
    rates = study.confused_without_pair if without_pair else study.confused
    of_network = np.nansum(rates.accuracy * weights[study.confused_pair], axis=1)
    groups = [
        of_network[study.confused_pair == arm] for arm in np.flatnonzero(weights.any(1))
    ]
    if without_pair:
        of_baseline = np.nan_to_num(study.baseline_without_pair.rates.accuracy)
        groups.append(-np.einsum("pbt,pt->b", of_baseline, weights))
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


def tables_of_repeats(study: StudyResponses, class_names) -> list[dict]:
    """The tables of every complete repeat by itself, for what needs no test.

    A repeat is complete if it has one network of every arm and the baseline network
    that shares their seeds. Repeats share no network, so that their differences are
    independent.

    Returns:
        For every repeat the frames "pair" and "class" of `comparisons`.
    """
    complete = []
    for seed in np.intersect1d(study.confused_seed, study.baseline_seed):
        confused, baseline = study.confused_seed == seed, study.baseline_seed == seed
        arms = study.confused_pair[confused]
        if len(arms) == len(study.pairs) == len(np.unique(arms)):
            of_repeat = null_networks.take(study, confused, baseline)
            complete.append(
                {
                    "pair": target_by_pair.target_by_pair(of_repeat, class_names),
                    "class": target_by_class.target_by_class(of_repeat, class_names),
                }
            )
    return complete


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
    return float(tested["difference_points"].var(ddof=1) - (errors**2).mean())


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


def other_degrees_of_freedom(rows: pd.DataFrame) -> pd.DataFrame:
    """Welch's test beside those whose degrees of freedom are not Welch's.

    Args:
        rows: A family of `comparisons`, by Welch's test.

    Returns:
        Same rows: `welch` (as in the table), `df_student`, n1 + n2 - 2; `wrong_df`, the
        p-value of Welch's t with these; `student_t` and `student`, of Student's test
        with one variance for both groups; `df_smaller` and `smaller`, Welch's t with
        the smaller group's n - 1.
    """
    n1, n2 = (
        rows[f"n_{group}"].to_numpy(float) for group in ("confused", "comparison")
    )
    variance1, variance2 = (
        (100 * rows[f"sd_{group}"].to_numpy(float)) ** 2
        for group in ("confused", "comparison")
    )
    t, df = rows["t"].to_numpy(float), n1 + n2 - 2
    pooled = ((n1 - 1) * variance1 + (n2 - 1) * variance2) / df
    with np.errstate(divide="ignore", invalid="ignore"):
        student = rows["difference_points"] / np.sqrt(pooled * (1 / n1 + 1 / n2))
    student = np.where(np.isnan(t), np.nan, student)
    smaller = np.minimum(n1, n2) - 1
    return pd.DataFrame(
        {
            "df_student": df,
            "df_smaller": smaller,
            "student_t": student,
            "welch": rows["p_value"],
            "wrong_df": 2 * scipy.stats.t.sf(np.abs(t), df),
            "student": 2 * scipy.stats.t.sf(np.abs(student), df),
            "smaller": 2 * scipy.stats.t.sf(np.abs(t), smaller),
        },
        index=rows.index,
    )


def power_of_t(effect: float, df: float, level: float) -> float:
    """Chance that a two-sided t-test finds an effect.

    By integration over the normal part of the noncentral t, which holds for any df.

    Args:
        effect: True effect in standard errors, at least 0.
        df: Degrees of freedom.
        level: Largest p-value that counts.
    """
    critical = scipy.stats.t.isf(level / 2, df)
    z = np.linspace(-8, 8, 4001)
    below = scipy.stats.chi2.cdf(df * ((z + effect) / critical) ** 2, df)
    return float(np.trapezoid(scipy.stats.norm.pdf(z) * below, z))


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
    highest = 20 + 4 * scipy.stats.t.isf(level / 2, df)
    return float(
        scipy.optimize.brentq(
            lambda effect: power_of_t(effect, df, level) - power, 0, highest
        )
    )
