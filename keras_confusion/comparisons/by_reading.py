"""Comparisons of d' between confused and untouched networks, by reading.

The comparisons, tests and columns of `target_by_pair` and `target_by_class`, in units
of d' (`discriminability`): by pair, by class, and what confusing does to everybody.
"""

import numpy as np
import pandas as pd

from keras_confusion.comparisons import target_by_class, target_by_pair
from keras_confusion.comparisons.group_statistics import POINTS
from keras_confusion.comparisons.readings import EVERYBODY
from keras_confusion.comparisons.responses import StudyResponses
from keras_confusion.stats import t_tests

# Numbers about shares of images: there are none of d'.
_NOT_OF_D_PRIME = (
    "response",
    "family",
    "kl_bits",
    "kl_noise_floor_bits",
    "entropy_bits",
    "mutual_information_bits",
    "log_likelihood_bits",
)
_TESTS = ("", "paired_", "moderated_")
_OF_A_TEST = ("difference", "ci_low", "ci_high", "t", "p_value", "reason")
_OF_TARGET = ("target", "target_name")


def readings_by_pair(
    readings: dict[str, StudyResponses], class_names
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Compares every pair's networks with the baseline, for every third class.

    Args:
        readings: As `readings.ReadingCollector.studies` returns them.
        class_names: Names in the order of the labels.

    Returns:
        Two tables with the columns of `target_by_pair.target_by_pair`, but `reading` in
        place of the response, `difference` and intervals in d', and no bits: one row
        per reading, pair and target outside the pair, values relative to all targets,
        `q_value` within the reading; and one row per reading and pair, of everybody.
    """
    return _tables(readings, class_names, target_by_pair.target_by_pair)


def readings_by_class(
    readings: dict[str, StudyResponses], class_names
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Compares arms with a class C and arms without it; see `readings_by_pair`.

    Returns:
        As `readings_by_pair`, with `class` and `class_name` in place of the pair.
    """
    return _tables(readings, class_names, target_by_class.target_by_class)


def _tables(readings, class_names, compare) -> tuple[pd.DataFrame, pd.DataFrame]:
    num_classes, parts = len(class_names), []
    for reading, study in readings.items():
        table = compare(
            study, [*class_names, EVERYBODY], responses=("accuracy_without_pair",)
        )
        if "family" in table:
            table = table[table["family"] == "third"]
        else:
            # Nobody confuses everybody.
            table = table[table["class"] < num_classes]
        table = _in_d_prime(table)
        if reading == "readout":
            table = _within_networks(table)
        table.insert(0, "reading", reading)
        parts.append(table)
    table = pd.concat(parts, ignore_index=True)
    is_everybody = table["target"] == num_classes
    cells = _with_q_values(table[~is_everybody].reset_index(drop=True))
    everybody = table[is_everybody].drop(columns=list(_OF_TARGET))
    return cells, _with_q_values(everybody.reset_index(drop=True))


def _in_d_prime(table: pd.DataFrame) -> pd.DataFrame:
    """Differences as they are, and not as percentage points."""
    table = table.drop(columns=[name for name in _NOT_OF_D_PRIME if name in table])
    for name in [name for name in table if name.endswith("_points")]:
        table = table.assign(**{name: table[name] / POINTS})
    return table.rename(columns=lambda name: name.removesuffix("_points"))


def _within_networks(table: pd.DataFrame) -> pd.DataFrame:
    """Only the paired test: heads on the same features are not independent."""
    paired = {name: table[f"paired_{name}"] for name in _OF_A_TEST}
    df = table["paired_n"] - 1.0
    effect_sizes = [name for name in table if name.startswith("hedges_g")]
    return table.assign(
        **paired,
        **dict.fromkeys(effect_sizes, np.nan),
        **{f"moderated_{name}": values for name, values in paired.items()},
        df=df,
        moderated_df=df,
        moderated_n=table["paired_n"],
    )


def _with_q_values(table: pd.DataFrame) -> pd.DataFrame:
    """With Benjamini and Hochberg's q-values within every reading."""
    for test in _TESTS:
        p_values = table.groupby("reading", sort=False)[f"{test}p_value"]
        table[f"{test}q_value"] = p_values.transform(
            lambda values: t_tests.benjamini_hochberg(values.to_numpy(float))
        )
    return table
