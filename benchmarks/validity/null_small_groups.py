"""Welch's test of few networks against many, where nothing happens."""

import math

import numpy as np

from benchmarks.validity import null_statistics
from keras_confusion.comparisons import findings as comparison_findings
from keras_confusion.stats import t_tests

# Networks of an arm. The baseline has as many, or what Dunnett's rule gives 45 pairs.
REPEATS = (3, 4, 6, 8, 10, 20, 50)
NUM_PAIRS = 45
# Third classes of 45 pairs of ten classes.
TESTS_OF_A_FAMILY = 360
LEVELS = (0.05, 0.01, 0.001)


def rows(num_families: int, *, seed: int = 0) -> list[dict]:
    """Normal responses of independent networks, all tests independent.

    Args:
        num_families: Families of tests that are drawn for every pair of sizes.
        seed: Of the draws.

    Returns:
        A row per sizes and test: `excess_0.05` and so on, the share of p-values at most
        that over what it should be, and `any_q`, the share of families with any
        q <= 0.05 with its exact interval. The paired test has as many repeats as an arm
        has networks.
    """
    found = []
    for repeats in REPEATS:
        for baseline in (repeats, round(repeats * math.sqrt(NUM_PAIRS))):
            rng = np.random.default_rng((seed, repeats, baseline))
            shape = (num_families, TESTS_OF_A_FAMILY)
            confused = rng.normal(size=(*shape, repeats))
            comparison = rng.normal(size=(*shape, baseline))
            paired = t_tests.compare_paired(confused, comparison[..., :repeats])
            for test, p_values in (
                (
                    comparison_findings.WELCH,
                    t_tests.compare(confused, comparison).p_value,
                ),
                (comparison_findings.PAIRED, paired.p_value),
            ):
                if test == comparison_findings.PAIRED and baseline > repeats:
                    # The other baselines are not looked at.
                    continue
                smallest = [t_tests.benjamini_hochberg(p).min() for p in p_values]
                any_found = np.array(smallest) <= comparison_findings.SIGNIFICANCE
                shares = {
                    f"excess_{level}": float((p_values <= level).mean() / level)
                    for level in LEVELS
                }
                found.append(
                    {
                        "repeats": repeats,
                        "baseline_repeats": baseline,
                        "test": test,
                        **shares,
                        **null_statistics.named_share("any_q", any_found),
                    }
                )
    return found
