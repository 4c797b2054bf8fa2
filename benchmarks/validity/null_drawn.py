"""Null studies of any size whose networks are normal random numbers."""

from collections.abc import Iterator

import numpy as np

from benchmarks.validity.null_statistics import BY_CLASS, BY_PAIR
from keras_confusion.comparisons import findings as comparison_findings
from keras_confusion.comparisons import target_by_class, target_by_pair
from keras_confusion.comparisons.rates import ListedRates, Rates
from keras_confusion.comparisons.responses import StudyResponses


def drawn_studies(
    num_studies: int,
    *,
    correlation: float,
    repeats: int,
    baseline_repeats: int,
    num_classes: int = 10,
    own_seeds: bool = False,
    seed: int = 0,
) -> Iterator[StudyResponses]:
    """Studies of normal responses: what networks of a repeat share, and their own.

    Args:
        num_studies: How many.
        correlation: Of the networks of one repeat, 0 to 1.
        repeats: Networks of every arm.
        baseline_repeats: Baseline networks.
        num_classes: Number of classes; all of their pairs are arms.
        own_seeds: Whether networks know of no repeat: no correlation then.
        seed: Of all draws.
    """
    pairs = [(a, b) for a in range(num_classes) for b in range(a + 1, num_classes)]
    members = np.array([[k in pair for k in range(num_classes)] for pair in pairs])
    for study in range(num_studies):
        rng = np.random.default_rng((seed, study))
        shape = (max(repeats, baseline_repeats), len(pairs) + 1, num_classes)
        network_values = rng.normal(0, np.sqrt(1 - correlation), shape)
        network_values += rng.normal(
            0, np.sqrt(correlation), (shape[0], 1, num_classes)
        )
        # Without a pair other images count: one in ten is decided by other rivals.
        pair_values = np.sqrt(0.9) * network_values + rng.normal(0, np.sqrt(0.1), shape)
        level = rng.normal(0, 2, (len(pairs), num_classes))
        baseline_values = np.sqrt(0.9) * network_values[
            :baseline_repeats, -1
        ] + rng.normal(0, np.sqrt(0.1), (len(pairs), baseline_repeats, num_classes))
        pair = np.repeat(np.arange(len(pairs)), repeats)
        confused = np.swapaxes(network_values[:repeats, :-1], 0, 1)
        without_pair = np.swapaxes(pair_values[:repeats, :-1], 0, 1) + level[:, None]
        repeat, baseline_repeat = np.arange(repeats), np.arange(baseline_repeats)
        confused_seed = np.tile(repeat, len(pairs))
        if own_seeds:
            confused_seed = baseline_repeats + np.arange(len(confused_seed))
        yield StudyResponses(
            pairs=pairs,
            confused_pair=pair,
            confused_seed=confused_seed,
            baseline_seed=baseline_repeat,
            confused=_rates(confused.reshape(-1, num_classes)),
            confused_without_pair=_rates(
                np.where(
                    members[pair],
                    np.nan,
                    without_pair.reshape(-1, num_classes),
                )
            ),
            baseline=_rates(network_values[:baseline_repeats, -1]),
            baseline_without_pair=ListedRates(
                _rates(
                    np.where(members[:, None], np.nan, baseline_values + level[:, None])
                )
            ),
            prior=np.full(num_classes, 1 / num_classes),
            test_images_per_class=np.full(num_classes, 1000),
        )


def independent_p_values(
    study: StudyResponses,
) -> dict[tuple[str, str, str], np.ndarray]:
    """P-values of a drawn study that are independent: one of every target.

    Returns:
        By comparison, response and test a float array `(K,)`: of target T the pair of
        the two classes after it, or the class after it.
    """
    num_classes = len(study.prior)
    names = [str(label) for label in range(num_classes)]
    by_pair = target_by_pair.target_by_pair(study, names)
    by_class = target_by_class.target_by_class(study, names)
    after = {
        tuple(sorted(((k + 1) % num_classes, (k + 2) % num_classes))): k
        for k in range(num_classes)
    }
    row_pairs = zip(by_pair["class_a"], by_pair["class_b"], strict=True)
    before = np.array([after.get(pair, -1) for pair in row_pairs])
    chosen = {
        BY_PAIR: by_pair[by_pair["target"] == before],
        BY_CLASS: by_class[by_class["class"] == (by_class["target"] + 1) % num_classes],
    }
    return {
        (comparison, str(response), test): rows["p_value"].to_numpy(float)
        for comparison, table in chosen.items()
        for test in comparison_findings.TESTS
        for response, rows in comparison_findings.with_test(table, test).groupby(
            "response"
        )
    }


def _rates(deviations: np.ndarray) -> Rates:
    """Accuracies about 0.6 whose networks have a sd of 0.01."""
    return Rates(
        accuracy=0.6 + 0.01 * deviations,
        false_positive_rate=0.05 + 0 * deviations,
        log2_probability=-1 + 0 * deviations,
    )
