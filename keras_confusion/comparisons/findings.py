"""The three significance tests, and which one a report uses.

    moderated   the default: differences within repeats, all baseline networks counting,
                with variances that the cells of a target share
    paired      differences within repeats, every cell by itself
    welch       networks against networks, as if all were independent: the poster's

The tables of `comparisons` hold all three. The choice of the default rests on
`benchmarks/validity/simulated_studies.py`, and on no result of a study.
"""

import numpy as np
import pandas as pd

from keras_confusion.stats import discriminability

WELCH, PAIRED, MODERATED = "welch", "paired", "moderated"
TESTS = (MODERATED, PAIRED, WELCH)
TITLES = {MODERATED: "moderated t", PAIRED: "paired t", WELCH: "Welch's t"}
DEFAULT_TEST = MODERATED
# What is called a finding.
SIGNIFICANCE = 0.05
# From so many on Welch's p-values can be trusted whatever the other group.
ENOUGH_NETWORKS = 20

_TOLD = {
    "difference_points",
    "ci_low_points",
    "ci_high_points",
    "t",
    "df",
    "p_value",
    "q_value",
    "reason",
    "response",
    "family",
    "target",
    "target_name",
    "class_a",
    "class_b",
    "class_a_name",
    "class_b_name",
    "n_confused",
    "n_comparison",
    "kl_bits",
    "paired_n",
    "paired_correlation",
    "moderated_n",
}


def check_test(test: str) -> None:
    """Raises `ValueError` for a test that there is not."""
    if test not in TESTS:
        raise ValueError(f"Expected `test` to be one of {TESTS}. Received: {test!r}.")


def with_test(table: pd.DataFrame, test: str) -> pd.DataFrame:
    """A table of `comparisons` as one test has it.

    Args:
        table: As `target_by_pair` or `target_by_class` returns it, or those of
            `by_reading`.
        test: One of `TESTS`.

    Returns:
        For "welch" the table; for "paired" and "moderated" a copy in which the
        difference, its interval, `t`, `df`, `p_value`, `q_value` and `reason` are those
        of the test. Means, effect sizes and bits stay those of all networks.

    Raises:
        ValueError: If there is no such test.
    """
    check_test(test)
    if test == WELCH:
        return table
    told = {
        column: table[f"{test}_{column}"]
        for column in table
        if f"{test}_{column}" in table
    }
    if test == PAIRED:
        told["df"] = (table["paired_n"] - 1).where(table["paired_t"].notna())
    return table.assign(**told)


def third_classes(by_pair: pd.DataFrame, test: str) -> pd.DataFrame:
    """The rows of target x pair for classes outside the pair, with one test's columns.

    A copy of all columns is some hundred megabytes in a study of 100 classes.

    Args:
        by_pair: As `target_by_pair.target_by_pair` returns it.
        test: One of `TESTS`.

    Returns:
        Rows whose target is outside the pair, as `with_test` gives them, with the
        columns that sentences and pictures take.

    Raises:
        ValueError: If there is no such test.
    """
    check_test(test)
    columns = [
        column for column in by_pair if column in _TOLD or column.startswith(f"{test}_")
    ]
    return with_test(by_pair.loc[by_pair["family"] == "third", columns], test)


def correlation_within_repeats(table: pd.DataFrame) -> float:
    """Median over cells of what a repeat's groups have in common; NaN without pairs.

    Args:
        table: As in `with_test`, the rows that are reported.
    """
    known = table["paired_correlation"].to_numpy(np.float64)
    return float(discriminability.median_of_known(known))


def caution(table: pd.DataFrame, test: str) -> str:
    """What to know of Welch's test of few networks against many; "" elsewhere.

    The squared standard error of a few networks is sometimes far too small by chance,
    and Satterthwaite's degrees of freedom are those of the large group then: small
    p-values come too often (`benchmarks/validity/null_small_groups.py`).

    Args:
        table: As in `with_test`, the rows that are reported.
        test: One of `TESTS`.
    """
    tested = table[table["p_value"].notna()]
    if test != WELCH or tested.empty:
        return ""
    few, many = tested["n_confused"].min(), tested["n_comparison"].max()
    if few >= ENOUGH_NETWORKS or many < 2 * few:
        return ""
    return (
        f"Welch's test of {few} networks against {many} calls too much significant; "
        "--test moderated and --test paired do not, nor do "
        f"{ENOUGH_NETWORKS} repeats or more, nor groups of equal size."
    )


def describe_test(tables: dict[str, pd.DataFrame], test: str) -> str:
    """One line on the test, and on the correlation that it uses or leaves out.

    Args:
        tables: Rows of `comparisons`, by what they compare, for example "pairs".
        test: One of `TESTS`.
    """
    correlations = {
        name: correlation_within_repeats(table) for name, table in tables.items()
    }
    known = [
        f"{correlation:.2f} for target x {name}"
        for name, correlation in correlations.items()
        if correlation == correlation
    ]
    if test == MODERATED:
        num_own = max(int(table["moderated_n"].max()) for table in tables.values())
        kind = "differences within repeats" if known else "networks with own seeds"
        return (
            f"Test: {TITLES[test]}: {kind} (n = {num_own}), variances moderated by "
            "those of the target's other cells. (Welch's is --test welch.)"
        )
    num_repeats = max(int(table["paired_n"].max()) for table in tables.values())
    if not known:
        return (
            f"Test: {TITLES[test]}. No correlation within repeats: fewer than two of "
            "them have networks of both groups that share their seeds."
        )
    within = (
        f"correlation of the groups within repeats, median: {', '.join(known)} "
        f"(n = {num_repeats} repeats)"
    )
    if test == PAIRED:
        return f"Test: {TITLES[test]} within repeats, which uses the {within}."
    return f"Test: {TITLES[test]}, which leaves out the {within}."
