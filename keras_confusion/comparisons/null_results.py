"""What it means that nothing was found, and how large is what was found.

For a table of `comparisons` as one test has it: the smallest effect that would have
been found, how many cells exclude effects beyond a bound, and for the cells that were
found, intervals and estimates that allow for their having been selected.
"""

import dataclasses

import numpy as np
import pandas as pd
import scipy.special

from keras_confusion.comparisons.findings import SIGNIFICANCE
from keras_confusion.stats import sensitivity, t_tests

# Percentage points of accuracy, and d': a small and a moderate effect.
BOUNDS_POINTS, BOUNDS_D_PRIME = (1.0, 2.0), (0.05, 0.1)
POWER = 0.8
_POINTS = {
    "difference": "difference_points",
    "ci_low": "ci_low_points",
    "ci_high": "ci_high_points",
}
_PLACES = ("response", "reading", "target", "target_name", "class", "class_name")
_PAIR = ("class_a", "class_b", "class_a_name", "class_b_name")


@dataclasses.dataclass(frozen=True)
class NullResult:
    """What a table of one response or reading could show, in its unit.

    Args:
        unit: "points" or "d'".
        cells: Cells with a test.
        found: Those with q <= 0.05.
        error: Median standard error of a difference.
        df: Its median degrees of freedom.
        smallest_effect: An effect in one cell, and in no other, that was found with a
            probability of 80 %.
        bounds: A smaller and a larger effect.
        excluded: Cells that exclude effects beyond each bound, by two one-sided tests
            with q <= 0.05 over the cells.
        repeats: Repeats of the study.
        repeats_needed: Those for a smallest effect of each bound.
    """

    unit: str
    cells: int
    found: int
    error: float
    df: float
    smallest_effect: float
    bounds: tuple[float, float]
    excluded: tuple[int, int]
    repeats: int
    repeats_needed: tuple[int, int]


def null_result(table: pd.DataFrame) -> NullResult | None:
    """Describes the cells of one response or reading.

    Args:
        table: As `findings.with_test` returns it, rows of one response or reading.

    Returns:
        A `NullResult`, `None` if no cell has a test.
    """
    tested = table[table["q_value"].notna()]
    if tested.empty:
        return None
    difference, error, df = _numbers(tested)
    is_points = "difference_points" in table
    bounds = BOUNDS_POINTS if is_points else BOUNDS_D_PRIME
    usual_error, usual_df = float(np.median(error)), float(np.median(df))
    alpha = SIGNIFICANCE / len(tested)
    repeats = int(max(tested["paired_n"].max(), tested["moderated_n"].max()))
    if not tested["paired_n"].max():
        repeats = int(tested["n_confused"].min())
    excluded, needed = [], []
    for bound in bounds:
        p_values = sensitivity.equivalence_p_values(difference, error, df, bound)
        q_values = t_tests.benjamini_hochberg(p_values)
        excluded.append(int((q_values <= SIGNIFICANCE).sum()))
        needed.append(
            sensitivity.repeats_needed(
                bound,
                error=usual_error,
                df=usual_df,
                repeats=repeats,
                alpha=alpha,
                power=POWER,
            )
        )
    return NullResult(
        "points" if is_points else "d'",
        len(tested),
        int((tested["q_value"] <= SIGNIFICANCE).sum()),
        usual_error,
        usual_df,
        sensitivity.smallest_effect(usual_error, usual_df, alpha=alpha, power=POWER),
        bounds,
        (excluded[0], excluded[1]),
        repeats,
        (needed[0], needed[1]),
    )


def sentence(result: NullResult) -> str:
    """For example "One cell's effect of 1.9 points is found with 80 % power; ..."."""
    unit, (small, large) = result.unit, result.bounds
    one = "1 point" if unit == "points" and small == 1 else f"{small:g} {unit}"
    needed = result.repeats_needed[0]
    least = "more than " if needed >= sensitivity.MOST_REPEATS else "about "
    return (
        f"One cell's effect of {result.smallest_effect:.2g} {unit} is found with 80 % "
        f"power; effects beyond {large:g} {unit} are excluded in {result.excluded[1]} "
        f"of {result.cells} cells, beyond {small:g} in {result.excluded[0]}; "
        f"{one} would need {least}{needed:,} repeats (here {result.repeats})"
    )


def found_cells(tables: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """The findings of all tables, with what their selection does to them.

    Args:
        tables: As `findings.with_test` returns them, by name; each with a column
            `response` or `reading`.

    Returns:
        One row per cell with q <= 0.05: the table, response or reading, names, the
        difference with its 95 % interval, its unit, t, df, p and q, and
        `selected_ci_low`, `selected_ci_high`, an interval whose false coverage rate is
        5 % over all findings of the response, and `shrunken_difference`; see
        `stats.sensitivity`.
    """
    parts = [
        _found_of(name, rows)
        for name, table in tables.items()
        for _, rows in table.groupby(
            "reading" if "reading" in table else "response", sort=False
        )
    ]
    return pd.concat(parts, ignore_index=True)


def _found_of(name: str, table: pd.DataFrame) -> pd.DataFrame:
    tested = table[table["q_value"].notna()]
    difference, error, df = _numbers(tested)
    is_found = (tested["q_value"] <= SIGNIFICANCE).to_numpy()
    found = tested[is_found]
    columns = [key for key in (*_PLACES, *_PAIR) if key in found]
    is_points = "difference_points" in table
    told = found[columns].assign(
        unit="points" if is_points else "d'",
        **{key: found[points if is_points else key] for key, points in _POINTS.items()},
        **{key: found[key] for key in ("t", "df", "p_value", "q_value")},
    )
    told.insert(0, "table", name)
    if len(found):
        level = sensitivity.selected_confidence(len(found), len(tested), SIGNIFICANCE)
        half = error * scipy.special.stdtrit(df, (1 + level) / 2)
        told["selected_ci_low"] = (difference - half)[is_found]
        told["selected_ci_high"] = (difference + half)[is_found]
        told["shrunken_difference"] = sensitivity.shrunken(difference, error)[is_found]
    return told


def _numbers(tested: pd.DataFrame) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Differences, their standard errors and degrees of freedom."""
    points = "_points" if "difference_points" in tested else ""
    low, high, difference, df = (
        tested[column].to_numpy(np.float64)
        for column in (
            f"ci_low{points}",
            f"ci_high{points}",
            f"difference{points}",
            "df",
        )
    )
    error = (high - low) / 2 / scipy.special.stdtrit(df, 0.975)
    return difference, error, df
