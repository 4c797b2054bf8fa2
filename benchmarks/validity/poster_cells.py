"""Tables of the cells that the poster names, of degrees of freedom and competition."""

import itertools

import numpy as np
import pandas as pd

from benchmarks.validity import poster_statistics
from benchmarks.validity.poster_statistics import Interval, number, probability
from benchmarks.validity.poster_study import BY_CLASS, BY_PAIR, FAMILIES, Measured
from keras_confusion.comparisons.findings import PAIRED, SIGNIFICANCE, TESTS, WELCH
from keras_confusion.comparisons.responses import RESPONSES
from keras_confusion.stats import t_tests

# Target and confused class, both ways.
CLAIMED = (
    *(("automobile", "truck"), ("truck", "automobile")),
    *(("automobile", "frog"), ("frog", "automobile")),
)
VANISHED = (("bird", "dog"), ("dog", "bird"))
# p-values of `poster_statistics.p_values_by_df`.
DF_TITLES = {
    "welch": "Welch's t, Welch's df",
    "wrong_df": "Welch's t, df = n1 + n2 − 2",
    "student": "Student's t, one variance, df = n1 + n2 − 2",
    "smaller": "Welch's t, df = smaller n − 1",
}


def cell_name(row) -> str:
    """For example "dog, cat confused"."""
    if "class_name" in row:
        return f"{row['target_name']}, {row['class_name']} confused"
    return f"{row['target_name']}, {row['class_a_name']}–{row['class_b_name']} confused"


def is_cell(rows: pd.DataFrame, target: str, confused: str) -> np.ndarray:
    """Which rows have a target and confuse a class, alone or in a pair."""
    columns = [c for c in ("class_name", "class_a_name", "class_b_name") if c in rows]
    is_target = rows["target_name"] == target
    return (is_target & (rows[columns] == confused).any(axis=1)).to_numpy()


def claimed_cells(measured: Measured) -> list[dict]:
    """Target x class of `CLAIMED`, by all tests."""
    table = []
    for cell, response, test in itertools.product(CLAIMED, RESPONSES, TESTS):
        rows = measured.rows(BY_CLASS, response, test)
        row = rows[is_cell(rows, *cell)].iloc[0]
        groups = f"{row['n_confused']} and {row['n_comparison']}"
        found = Interval.from_row(row)
        table.append(
            {
                "target": cell[0],
                "confused": cell[1],
                "response": f"`{response}`",
                "test": test,
                "n": groups if test == WELCH else f"{row[f'{test}_n']} repeats",
                "difference (95 % CI)": f"{found:+.2f}",
                **found.test_columns(),
                "q": probability(row["q_value"]),
                "`kl_bits`": f"{row['kl_bits']:+.5f}",
            }
        )
    return table


def claimed_pairs(measured: Measured) -> list[dict]:
    """Target x pair of `CLAIMED`: all pairs with the class, and the strongest."""
    table = []
    for cell, response in itertools.product(CLAIMED, RESPONSES):
        kept = is_cell(measured.rows(BY_PAIR, response), *cell)
        tests = [measured.rows(BY_PAIR, response, test)[kept] for test in TESTS]
        found = [(rows["q_value"] <= SIGNIFICANCE).sum() for rows in tests]
        points = measured.values(BY_PAIR, response, "difference_points")[:, kept]
        mean = poster_statistics.mean_of_repeats(points.mean(axis=1))
        rows = tests[0].sort_values("p_value")
        strongest = rows.iloc[0]
        table.append(
            {
                "target": cell[0],
                "C": cell[1],
                "response": f"`{response}`",
                "mean of pairs (95 % CI)": f"{mean:+.2f}",
                "p": probability(mean.p_value),
                "below 0": f"{(rows['difference_points'] < 0).sum()} of {len(rows)}",
                f"found {' / '.join(TESTS)}": " / ".join(map(str, found)),
                "strongest": f"{strongest['class_a_name']}–{strongest['class_b_name']}",
                "difference": f"{Interval.from_row(strongest):+.2f}",
                "t": number(strongest["t"]),
                "q": probability(strongest["q_value"]),
                "q paired": probability(strongest["paired_q_value"]),
            }
        )
    return table


def _by_df(measured: Measured, comparison: str, response: str) -> pd.DataFrame:
    """Cells with `p_values_by_df`, and their q-values as `q_*`."""
    rows = measured.rows(comparison, response)
    p_values = poster_statistics.p_values_by_df(rows)
    q_values = p_values.apply(lambda p: t_tests.benjamini_hochberg(p.to_numpy(float)))
    return rows.join(p_values).join(q_values.add_prefix("q_"))


def vanished_cells(measured: Measured) -> list[dict]:
    """`VANISHED` by three degrees of freedom; of pairs only the smallest p."""
    table = []
    for comparison, response in FAMILIES:
        rows = _by_df(measured, comparison, response)
        kept = is_cell(rows, *VANISHED[0]) | is_cell(rows, *VANISHED[1])
        rows = rows[kept].sort_values("p_value")
        for _, row in rows[: 2 if comparison == BY_CLASS else 1].iterrows():
            n1, n2 = row["n_confused"], row["n_comparison"]
            told = {
                "comparison": comparison,
                "response": f"`{response}`",
                "cell": cell_name(row),
                "n": f"{n1} and {n2}",
                "difference (95 % CI)": f"{Interval.from_row(row):+.2f}",
                "t": number(row["t"]),
                "df: Welch's; n1 + n2 − 2": f"{number(row['df'])}; {n1 + n2 - 2}",
            }
            for test in ("welch", "wrong_df", "student"):
                both = (probability(row[name]) for name in (test, f"q_{test}"))
                told[f"p; q: {DF_TITLES[test]}"] = "; ".join(both)
            table.append(told)
    return table


def counts_by_df(measured: Measured) -> list[dict]:
    """How many of all cells have p ≤ 0.05, and q ≤ 0.05, by degrees of freedom."""
    table = []
    for comparison, response in FAMILIES:
        rows = _by_df(measured, comparison, response)
        small = (rows[[*DF_TITLES, *(f"q_{test}" for test in DF_TITLES)]] <= 0.05).sum()
        table.append(
            {
                "comparison": comparison,
                "response": f"`{response}`",
                "tests": rows["t"].notna().sum(),
                **{
                    title: f"{small[test]}; {small[f'q_{test}']}"
                    for test, title in DF_TITLES.items()
                },
            }
        )
    return table


def variances(measured: Measured) -> list[dict]:
    """How much is found, and how far cells truly differ by three estimates."""
    table = []
    for comparison, response in FAMILIES:
        q_values = {
            test: measured.rows(comparison, response, test)["q_value"] for test in TESTS
        }
        differences = measured.rows(comparison, response)["difference_points"]
        found = [
            f"{value:+.3f} ({_root(value)})"
            for value in true_variances(measured, comparison, response).values()
        ]
        table.append(
            {
                "comparison": comparison,
                "response": f"`{response}`",
                f"q ≤ {SIGNIFICANCE}": ", ".join(
                    f"{(q <= SIGNIFICANCE).sum()} of {q.notna().sum()} {test}"
                    for test, q in q_values.items()
                ),
                # Of target x class it is 0 but for rounding, which has either sign.
                "mean": f"{differences.mean():+z.2f}",
                "sd of cells": f"{differences.std(ddof=1):.2f}",
                "true variance (sd): `welch`": found[0],
                "`paired`": found[1],
                "`repeats`": found[2],
            }
        )
    return table


def shares(measured: Measured) -> list[dict]:
    """Share of the true variance of `accuracy` that is gone without the pair.

    That is what competition explains. Intervals by the jackknife over targets.
    """
    num_classes, table = len(measured.class_names), []
    for comparison in (BY_CLASS, BY_PAIR):
        found = []
        for left_out in (None, *range(num_classes)):
            plain, left = (
                true_variances(measured, comparison, response, left_out)
                for response in RESPONSES
            )
            found.append([1 - left[estimate] / plain[estimate] for estimate in plain])
        whole, *rest = np.array(found)
        table.append(
            {
                "comparison": comparison,
                "targets": num_classes,
                **{
                    f"`{estimate}`": f"{poster_statistics.jackknife(*values):.2f}"
                    for estimate, *values in zip(
                        plain, whole, np.transpose(rest), strict=True
                    )
                },
            }
        )
    return table


def _root(variance: float) -> str:
    return f"{variance**0.5:.2f}" if variance > 0 else "0 (estimate below 0)"


def true_variances(measured: Measured, comparison, response, left_out=None) -> dict:
    """Three estimates of how far cells truly differ, points²; a target left out.

    "welch" and "paired" rely on the standard errors of the test, "repeats" does not.
    """
    found = {}
    for test in (WELCH, PAIRED):
        rows = measured.rows(comparison, response, test)
        kept = (rows["target"] != left_out).to_numpy()
        rows = rows.loc[kept, ["difference_points", "t"]]
        found[test] = poster_statistics.true_variance(rows)
    repeats = measured.values(comparison, response, "difference_points")
    found["repeats"] = poster_statistics.shared_variance(repeats[:, kept])
    return found
