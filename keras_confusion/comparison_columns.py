"""All statistics of two groups of networks, as columns of a table.

One row per class of the arrays; differences in percentage points.
"""

import dataclasses
from typing import Any, TypeAlias

import numpy as np

from keras_confusion import stats
from keras_confusion.responses import Rates

POINTS = 100.0
NO_PAIRS = "no networks of both groups share their seeds"

# Part of a table: arrays `(num_rows,)`, or one value for all rows, by column.
Columns: TypeAlias = dict[str, Any]


def compare_rates(
    confused: Rates, comparison: Rates, *, prior, images, level=None
) -> Columns:
    """Compares two groups of networks as independent ones.

    Args:
        confused: Responses `(num_confused, classes)`.
        comparison: Responses `(num_comparison, classes)`.
        prior: Share of each class among the test images, `(classes,)`.
        images: Test images of each class, `(classes,)`.
        level: See `stats.compare`, `(classes, num_level)`.

    Returns:
        The columns of `stats.Comparison`, `difference` and its interval in percentage
        points, and the bits.
    """
    record = stats.compare(confused.accuracy.T, comparison.accuracy.T, level=level)
    sd_comparison = record.sd_comparison
    if level is not None and level.shape[-1] > 1:
        # The error of the level counts with the comparison's, as in `stats.compare`.
        of_level = level.var(axis=-1, ddof=1) / level.shape[-1]
        sd_comparison = np.sqrt(sd_comparison**2 + record.n_comparison * of_level)
    in_points = {"difference", "ci_low", "ci_high"}
    columns: Columns = {}
    for field in dataclasses.fields(record):
        values = np.asarray(getattr(record, field.name))
        if field.name in in_points:
            columns[f"{field.name}_points"] = POINTS * values
        else:
            columns[field.name] = values
    # Centring can lift a class that is nearly always right above its ceiling.
    p = np.clip(record.mean_comparison, 0, 1)
    q = np.clip(record.mean_confused, 0, 1)
    smaller = np.minimum(record.n_confused, record.n_comparison)
    columns["kl_bits"] = stats.kl_bits(
        p, q, resolution=0.5 / np.maximum(smaller * images, 1)
    )
    columns["kl_noise_floor_bits"] = stats.kl_noise_floor_bits(
        p,
        sd_confused=record.sd_confused,
        n_confused=record.n_confused,
        # Of shares, at most 1; a level from few networks can be worse than that.
        sd_comparison=np.minimum(sd_comparison, 1),
        n_comparison=record.n_comparison,
    )
    columns["entropy_bits"] = stats.entropy_bits(p, q)
    columns["mutual_information_bits"] = stats.mutual_information_bits(
        p, _mean_rate(comparison.false_positive_rate), prior=prior
    ) - stats.mutual_information_bits(
        q, _mean_rate(confused.false_positive_rate), prior=prior
    )
    columns["log_likelihood_bits"] = stats.log_likelihood_bits(
        mean_over_networks(comparison.log2_probability),
        mean_over_networks(confused.log2_probability),
    )
    return columns


def paired_columns(confused, confused_repeat, comparison, comparison_repeat) -> Columns:
    """Compares two groups of networks within repeats; see `stats.compare_paired`.

    Where a repeat has several networks in a group their mean stands for it.

    Args:
        confused: Values `(num_confused, classes)`.
        confused_repeat: `(num_confused,)`, the same number for networks of one repeat.
        comparison: Values `(num_comparison, classes)`.
        comparison_repeat: `(num_comparison,)`.

    Returns:
        The columns of `stats.PairedComparison`, named `paired_*`. NaN and a reason if
        fewer than two repeats have networks in both groups, as where every network
        has its own seeds.
    """
    repeats = np.intersect1d(confused_repeat, comparison_repeat)

    def by_repeat(values, of_repeat):
        means = [values[of_repeat == repeat].mean(axis=0) for repeat in repeats]
        return np.array(means).reshape(len(repeats), values.shape[1]).T

    record = stats.compare_paired(
        by_repeat(confused, confused_repeat), by_repeat(comparison, comparison_repeat)
    )
    return {
        "paired_n": record.n,
        "paired_difference_points": np.asarray(record.difference) * POINTS,
        "paired_ci_low_points": np.asarray(record.ci_low) * POINTS,
        "paired_ci_high_points": np.asarray(record.ci_high) * POINTS,
        "paired_t": record.t,
        "paired_p_value": record.p_value,
        "paired_correlation": record.correlation,
        "paired_reason": record.reason if len(repeats) else NO_PAIRS,
    }


def mean_over_networks(values: np.ndarray) -> np.ndarray:
    """Mean over the first axis; NaN without a warning where there is no network."""
    if len(values) == 0:
        return np.full(values.shape[1:], np.nan)
    return values.mean(axis=0)


def _mean_rate(values: np.ndarray) -> np.ndarray:
    """Mean over networks of centred rates, brought back into [0, 1]."""
    return np.clip(mean_over_networks(values), 0, 1)
