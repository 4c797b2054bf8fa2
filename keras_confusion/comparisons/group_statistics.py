"""All statistics of two groups of networks, as columns of a table.

One row per class of the arrays; differences in percentage points.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
import pandas as pd

from keras_confusion.comparisons.rates import Rates
from keras_confusion.stats import t_tests
from keras_confusion.stats.moments import Moments, moments

IN_PAIR = "the target is in the pair"
NO_PAIRS = "no networks of both groups share their seeds"
# What the column `reason` of both tables can say by any of the three tests; "" where
# there is a test.
REASONS = (
    "",
    t_tests.FEW_NETWORKS,
    t_tests.UNDEFINED_RESPONSE,
    t_tests.NO_VARIANCE,
    IN_PAIR,
    t_tests.FEW_REPEATS,
    t_tests.NO_VARIANCE_OF_DIFFERENCES,
    NO_PAIRS,
)
# Which q-values stand beside which p-values.
_CORRECTED = {
    "p_value": "q_value",
    "paired_p_value": "paired_q_value",
    "moderated_p_value": "moderated_q_value",
}

POINTS = 100.0

# Part of a table: arrays `(num_rows,)`, or one value for all rows, by column.
Columns: TypeAlias = dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Group:
    """Summary statistics of one or more groups of networks; arrays `(rows,)`.

    Args:
        accuracy: Their accuracies.
        false_positive_rate: Mean over networks.
        log2_probability: Mean over networks, bits.
    """

    accuracy: Moments
    false_positive_rate: np.ndarray
    log2_probability: np.ndarray


def joined(groups: Sequence[Group]) -> Group:
    """The rows of several groups under each other."""
    accuracy = [group.accuracy for group in groups]
    return Group(
        Moments(
            np.concatenate([np.broadcast_to(m.n, m.mean.shape) for m in accuracy]),
            np.concatenate([m.mean for m in accuracy]),
            np.concatenate([m.sd for m in accuracy]),
        ),
        np.concatenate([group.false_positive_rate for group in groups]),
        np.concatenate([group.log2_probability for group in groups]),
    )


def group_of(rates: Rates) -> Group:
    """Describes networks, `(num_networks, classes)`, by class."""
    return Group(
        moments(rates.accuracy.T),
        mean_over_networks(rates.false_positive_rate),
        mean_over_networks(rates.log2_probability),
    )


def compare_groups(
    confused: Group, comparison: Group, *, prior, images, level: Moments | None = None
) -> Columns:
    """Compares two groups of networks as independent ones.

    Args:
        confused: Of some rows.
        comparison: Of the same rows.
        prior: Share of each row's class among the test images.
        images: Test images of each row's class.
        level: See `t_tests.compare`, of every row.

    Returns:
        The columns of `t_tests.Comparison`, `difference` and its interval in percentage
        points, and the bits.
    """
    record = t_tests.compare_moments(
        confused.accuracy, comparison.accuracy, level=level
    )
    sd_comparison = record.sd_comparison
    if level is not None and np.min(level.n) > 1:
        # The error of the level counts with the comparison's, as in `t_tests.compare`.
        level_variance = level.sd**2 / level.n
        sd_comparison = np.sqrt(sd_comparison**2 + record.n_comparison * level_variance)
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
    columns["kl_bits"] = t_tests.kl_bits(
        p, q, resolution=0.5 / np.maximum(smaller * images, 1)
    )
    columns["kl_noise_floor_bits"] = t_tests.kl_noise_floor_bits(
        p,
        sd_confused=record.sd_confused,
        n_confused=record.n_confused,
        # Of shares, at most 1; a level from few networks can be worse than that.
        sd_comparison=np.minimum(sd_comparison, 1),
        n_comparison=record.n_comparison,
    )
    columns["entropy_bits"] = t_tests.entropy_bits(p, q)
    columns["mutual_information_bits"] = t_tests.mutual_information_bits(
        p, np.clip(comparison.false_positive_rate, 0, 1), prior=prior
    ) - t_tests.mutual_information_bits(
        q, np.clip(confused.false_positive_rate, 0, 1), prior=prior
    )
    columns["log_likelihood_bits"] = t_tests.log_likelihood_bits(
        comparison.log2_probability, confused.log2_probability
    )
    return columns


class RepeatMeans:
    """Means over the networks of every repeat.

    Args:
        network_repeat: int array `(num_networks,)`, the same number for networks of one
            repeat.
        repeats: int array, sorted, the repeats that are wanted.
    """

    def __init__(self, network_repeat: np.ndarray, repeats: np.ndarray):
        order = np.argsort(network_repeat, kind="stable")
        order = order[np.isin(network_repeat[order], repeats)]
        first = np.searchsorted(network_repeat[order], repeats)
        counts = np.diff(np.append(first, len(order)))
        self.known = counts > 0
        self._order, self._first = order, first[self.known]
        self._counts = counts[self.known][:, None]

    def means(self, values: np.ndarray) -> np.ndarray:
        """Means of values `(num_networks, classes)`, `(classes, repeats)`.

        Repeats that are not `known` are NaN.
        """
        means = np.full((values.shape[1], len(self.known)), np.nan)
        if len(self._first):
            sums = np.add.reduceat(values[self._order], self._first, axis=0)
            means[:, self.known] = (sums / self._counts).T
        return means


def paired_columns(confused, confused_repeat, comparison, comparison_repeat) -> Columns:
    """Compares two groups of networks within repeats; see `t_tests.compare_paired`.

    Where a repeat has several networks in a group their mean stands for it.

    Args:
        confused: Values `(num_confused, classes)`.
        confused_repeat: `(num_confused,)`, the same number for networks of one repeat.
        comparison: Values `(num_comparison, classes)`.
        comparison_repeat: `(num_comparison,)`.

    Returns:
        The columns of `t_tests.PairedComparison`, named `paired_*`. NaN and a reason if
        fewer than two repeats have networks in both groups, as where every network
        has its own seeds.
    """
    repeats = np.intersect1d(confused_repeat, comparison_repeat)
    confused_means = RepeatMeans(confused_repeat, repeats).means(confused)
    comparison_means = RepeatMeans(comparison_repeat, repeats).means(comparison)
    return compare_repeats(
        confused_means, comparison_means, np.ones(confused_means.shape, bool)
    )


def compare_repeats(
    confused: np.ndarray, comparison: np.ndarray, known: np.ndarray
) -> Columns:
    """Compares two groups repeat by repeat.

    Args:
        confused: Means of every repeat, `(rows, repeats)`.
        comparison: Those of the same repeats.
        known: Which repeats each row has in both groups, bool `(rows, repeats)`.

    Returns:
        As `paired_columns`.
    """
    if known.all():
        return _compare_repeats(confused, comparison)
    columns: Columns = {}
    patterns, row_pattern = np.unique(known, axis=0, return_inverse=True)
    for number, repeats in enumerate(patterns):
        rows = np.flatnonzero(row_pattern.ravel() == number)
        found = _compare_repeats(
            confused[np.ix_(rows, repeats)], comparison[np.ix_(rows, repeats)]
        )
        for name, values in found.items():
            kind = object if name == "paired_reason" else np.asarray(values).dtype
            columns.setdefault(name, np.empty(len(known), kind))[rows] = values
    return columns


def _compare_repeats(confused: np.ndarray, comparison: np.ndarray) -> Columns:
    record = t_tests.compare_paired(confused, comparison)
    return {
        "paired_n": record.n,
        "paired_difference_points": np.asarray(record.difference) * POINTS,
        "paired_ci_low_points": np.asarray(record.ci_low) * POINTS,
        "paired_ci_high_points": np.asarray(record.ci_high) * POINTS,
        "paired_t": record.t,
        "paired_p_value": record.p_value,
        "paired_correlation": record.correlation,
        "paired_reason": record.reason if confused.shape[-1] else NO_PAIRS,
    }


def mean_over_networks(values: np.ndarray) -> np.ndarray:
    """Mean over the first axis; NaN without a warning where there is no network."""
    if len(values) == 0:
        return np.full(values.shape[1:], np.nan)
    return values.mean(axis=0)


class ComparisonTable:
    """A table that rows are put into; frames of each part would take most of the time.

    Args:
        num_rows: How many rows there will be.
    """

    def __init__(self, num_rows: int):
        self._num_rows, self._filled = num_rows, 0
        self._columns: dict[str, np.ndarray] = {}

    def append(self, part: Columns, num_rows: int) -> None:
        """Adds rows, of which each column has an array or one value for all."""
        if not self._columns:
            for name, values in part.items():
                kind = np.asarray(values).dtype
                # Other parts may have longer texts.
                kind = np.dtype(object) if kind.kind == "U" else kind
                self._columns[name] = np.empty(self._num_rows, kind)
        rows = slice(self._filled, self._filled + num_rows)
        for name, values in part.items():
            self._columns[name][rows] = values
        self._filled += num_rows

    def frame(self) -> pd.DataFrame:
        """The table."""
        return pd.DataFrame(self._columns, copy=False)


def with_q_values(table: pd.DataFrame, family: list[str]) -> pd.DataFrame:
    """Puts the q-values of all tests beside their p-values."""
    for p_value, q_value in _CORRECTED.items():
        q_values = table.groupby(family)[p_value].transform(
            lambda p_values: t_tests.benjamini_hochberg(p_values.to_numpy(float))
        )
        table.insert(table.columns.get_loc(p_value) + 1, q_value, q_values)
    return table
