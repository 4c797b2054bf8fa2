"""Are p-values what they say? Statistics of studies in which nothing happens."""

from collections.abc import Iterable, Iterator

import numpy as np
import pandas as pd
import scipy.stats

from benchmarks.validity import null_networks
from keras_confusion.comparisons import by_reading, target_by_class, target_by_pair
from keras_confusion.comparisons import findings as comparison_findings
from keras_confusion.comparisons.responses import StudyResponses

CONFIDENCE = 0.95
LEVELS = (0.05, 0.01, 0.001)
NUM_RESAMPLES = 1000
BY_PAIR, BY_CLASS = "target x pair", "target x class"


def cells(studies: Iterable, class_names) -> pd.DataFrame:
    """Every test of every study, by all tests.

    Args:
        studies: Pairs of a `StudyResponses` and of readings of d' (or none), as
            `null_networks.small_studies`, without a network in common.
        class_names: Names in the order of the labels.

    Returns:
        One row per study, comparison, response, test and cell: `p_value`, `q_value`,
        `difference`, `variance` (the squared standard error that the test takes, of
        that difference), `correlation` within repeats, `target`. Beside the two
        responses of `responses` there are the mean log2-probabilities, and d' by the
        readings. Of pairs, third classes.
    """
    parts = []
    for number, (study, readings) in enumerate(studies):
        for comparison, response, table in _tables(study, readings, class_names):
            points = "_points" if "difference_points" in table else ""
            for test in comparison_findings.TESTS:
                told = comparison_findings.with_test(table, test)
                difference = told[f"difference{points}"]
                parts.append(
                    pd.DataFrame(
                        {
                            "study": number,
                            "comparison": comparison,
                            "response": response,
                            "test": test,
                            "target": told["target"],
                            "p_value": told["p_value"],
                            "q_value": told["q_value"],
                            "difference": difference,
                            "variance": (difference / told["t"]) ** 2,
                            "correlation": told["paired_correlation"],
                        }
                    )
                )
    return pd.concat(parts, ignore_index=True)


def _tables(
    study: StudyResponses, readings: dict[str, StudyResponses], class_names
) -> Iterator[tuple[str, str, pd.DataFrame]]:
    """Comparison, response and cells."""
    for name, response_study in (
        ("accuracy", study),
        ("log2_probability", null_networks.log2_probability_study(study)),
    ):
        by_pair = target_by_pair.target_by_pair(response_study, class_names)
        tables = {
            BY_PAIR: by_pair[by_pair["family"] == "third"],
            BY_CLASS: target_by_class.target_by_class(response_study, class_names),
        }
        for comparison, table in tables.items():
            for response, rows in table.groupby("response", sort=False):
                yield comparison, str(response).replace("accuracy", name), rows
    if readings:
        for comparison, compare in (
            (BY_PAIR, by_reading.readings_by_pair),
            (BY_CLASS, by_reading.readings_by_class),
        ):
            table, _ = compare(readings, class_names)
            for reading, rows in table.groupby("reading", sort=False):
                yield comparison, f"d' of {reading}", rows


def calibration(tests: pd.DataFrame, *, seed: int = 0) -> dict[str, float]:
    """How the p-values of one comparison, response and test are distributed.

    Args:
        tests: Rows of `cells`.
        seed: Of the draw of one cell a study, and of the bootstrap.

    Returns:
        `studies` and `tests`, how many; `ks` and `ks_p_value`, Kolmogorov and Smirnov's
        test that p-values are uniform, of one cell a study, as those are independent;
        `share_0.05` and `share_0.01` of all tests, with intervals that take studies for
        the units; `one_0.05` and so on of one cell a study with the exact binomial
        interval; `any_q`, the share of studies with any q <= 0.05; `variance_ratio`,
        the mean of the squared standard errors over the mean of the squared
        differences, whose expectation is 0; `lowest_target` and `highest_target`, the
        share of p <= 0.05 of single targets.
    """
    rng = np.random.default_rng(seed)
    made = tests[tests["p_value"].notna()]
    one = made.sample(frac=1, random_state=rng.integers(2**31)).drop_duplicates("study")
    uniform = scipy.stats.kstest(one["p_value"], "uniform")
    found: dict[str, float] = {
        "studies": len(one),
        "tests": len(made),
        "untested": len(tests) - len(made),
        "ks": float(uniform.statistic),
        "ks_p_value": float(uniform.pvalue),
    }
    for level in LEVELS:
        found |= _named(f"one_{level}", _binomial(one["p_value"] <= level))
        by_study = (made["p_value"] <= level).groupby(made["study"])
        shares = by_study.mean().to_numpy()
        half = scipy.stats.sem(shares) * scipy.stats.t.ppf(
            (1 + CONFIDENCE) / 2, len(shares) - 1
        )
        mean = float(shares.mean())
        interval = mean, max(mean - float(half), 0.0), mean + float(half)
        found |= _named(f"share_{level}", interval)
    by_target = (made["p_value"] <= LEVELS[0]).groupby(made["target"]).mean()
    found |= {"lowest_target": by_target.min(), "highest_target": by_target.max()}
    any_found = (
        made.groupby("study")["q_value"].min() <= comparison_findings.SIGNIFICANCE
    )
    found |= _named("any_q", _binomial(any_found))
    squares = made["difference"] ** 2
    sums = pd.DataFrame({"variance": made["variance"], "square": squares})
    sums = sums.groupby(made["study"]).sum().to_numpy()
    drawn = sums[rng.integers(len(sums), size=(NUM_RESAMPLES, len(sums)))].sum(axis=1)
    tails = np.array([1 - CONFIDENCE, 1 + CONFIDENCE]) / 2
    low, high = np.quantile(drawn[:, 0] / drawn[:, 1], tails)
    variance, square = sums.sum(axis=0)
    ratio = float(variance / square), float(low), float(high)
    return found | _named("variance_ratio", ratio)


def correlations(study: StudyResponses, field: str) -> dict[str, dict[str, float]]:
    """What networks of one repeat have in common.

    Covariances of arms over the repeats, summed over pairs of arms and over targets,
    over the sum of their variances: the correlation if it is the same for all.

    Args:
        study: Networks of repeats with shared seeds; repeats that lack an arm or the
            baseline are left out.
        field: Of `responses.Rates`.

    Returns:
        By response, `arms` (an arm with another), `baseline` (an arm with the
        baseline), `lowest` and `highest` of `arms` over targets, and `repeats`.
    """
    num_pairs, num_classes = len(study.pairs), len(study.prior)
    seeds = [
        seed
        for seed in study.baseline_seed
        if (study.confused_seed == seed).sum() == num_pairs
    ]
    seed_row = {seed: row for row, seed in enumerate(seeds)}
    confused = np.full((2, len(seeds), num_pairs, num_classes), np.nan)
    both = [
        getattr(rates.select(slice(None)), field)
        for rates in (study.confused, study.confused_without_pair)
    ]
    for network, seed in enumerate(study.confused_seed):
        if seed in seed_row:
            place = seed_row[seed], study.confused_pair[network]
            for response, values in enumerate(both):
                confused[response, *place] = values[network]
    position = [int(np.flatnonzero(study.baseline_seed == seed)[0]) for seed in seeds]
    plain = getattr(study.baseline, field)[position]
    without_pair = getattr(study.baseline_without_pair.rates, field)
    baseline = np.stack(
        [
            np.repeat(plain[:, None], num_pairs, axis=1),
            np.swapaxes(without_pair[:, position], 0, 1),
        ]
    )
    found = {}
    for response, name in enumerate((field, f"{field}_without_pair")):
        sums = np.array(
            [
                _covariances(
                    confused[response, :, outside, target],
                    baseline[response, :, outside, target],
                )
                for target in range(num_classes)
                for outside in [[target not in pair for pair in study.pairs]]
            ]
        )
        target_correlations = sums[:, 0] / sums[:, 1]
        between, within, to_baseline, within_baseline = sums.sum(axis=0)
        found[name] = {
            "arms": between / within,
            "baseline": to_baseline / np.sqrt(within * within_baseline),
            "lowest": target_correlations.min(),
            "highest": target_correlations.max(),
            "repeats": len(seeds),
        }
    return found


def _covariances(arms: np.ndarray, baseline: np.ndarray) -> list[float]:
    """Means over arms `(A, n)`: between arms, variance, to the baseline, its own."""
    covariance = np.cov(arms)
    num_arms = len(arms)
    within = np.trace(covariance) / num_arms
    between = (covariance.sum() - np.trace(covariance)) / num_arms / (num_arms - 1)
    deviations = baseline - baseline.mean(axis=1, keepdims=True)
    freedom = arms.shape[1] - 1
    to_baseline = (arms * deviations).sum() / freedom / num_arms
    return [between, within, to_baseline, (deviations**2).sum() / freedom / num_arms]


def expected_variance_ratio(
    comparison: str, correlation: float, n_confused: int, n_comparison: int
) -> float:
    """What Welch's squared standard error is of the true one, of plain responses.

    With variance s^2 of all networks and correlation r within a repeat, of which both
    groups of a pair have the smaller number k, the difference of the means has the
    variance s^2 (1/n1 + 1/n2 - 2 r k / (n1 n2)); Welch's leaves out the last term. In
    target x class all repeats are in both groups alike, and what they share is gone:
    (1 - r) of Welch's.
    """
    if comparison == BY_CLASS:
        return 1 / (1 - correlation)
    assumed = 1 / n_confused + 1 / n_comparison
    shared = 2 * correlation * min(n_confused, n_comparison)
    return assumed / (assumed - shared / (n_confused * n_comparison))


def expected_share(variance_ratio: float, level: float) -> float:
    """Share of p-values at most `level`, of many networks with a normal response."""
    bound = scipy.stats.norm.isf(level / 2) * np.sqrt(variance_ratio)
    return float(2 * scipy.stats.norm.sf(bound))


def _binomial(found) -> tuple[float, float, float]:
    """A share and its exact interval (Clopper & Pearson 1934, Biometrika 26:404)."""
    test = scipy.stats.binomtest(int(np.sum(found)), len(found))
    interval = test.proportion_ci(CONFIDENCE)
    return float(np.mean(found)), float(interval.low), float(interval.high)


def named_share(name: str, found: np.ndarray) -> dict[str, float]:
    """The share of what was found, as `name`, with its exact interval."""
    return _named(name, _binomial(found))


def _named(name: str, values: tuple[float, float, float]) -> dict[str, float]:
    value, low, high = values
    return {name: value, f"{name}_low": low, f"{name}_high": high}
