"""A study of the planted images beside the truth."""

import pandas as pd

from keras_confusion.comparisons import findings as comparison_findings
from keras_confusion.confusion.settings import HALF
from keras_confusion.datasets import planted

_CELL = ["class_a", "class_b", "target"]


def is_planted(description: dict) -> bool:
    """Whether the truth about a study, by its `study.json`, is known.

    It is that of the planted images where nothing can be learned about the one class of
    a pair against the other: not where nothing is confused, nor where labels still say
    on average which of the two it is.
    """
    settings = description["settings"]
    if planted.seed_of(settings["dataset"]) is None:
        return False
    if tuple(description["class_names"]) != planted.CLASS_NAMES:
        return False
    corruption = settings.get("corruption")
    return corruption == "merge" or (
        corruption == "swap" and settings.get("fraction") == HALF
    )


def truth_table(all_tables: dict[str, pd.DataFrame], test: str) -> pd.DataFrame:
    """What is true, and what was found.

    Args:
        all_tables: `target_by_pair` of `comparisons` and, where there is one,
            `discriminability_by_pair` of `by_reading`.
        test: One of `findings.TESTS`.

    Returns:
        One row per third class and pair of the study, with names, `kind` of
        `planted.Cell`, and for both responses `<response>_points`, `<response>_q_value`
        and `<response>_found`, whether q is 0.05 or less by the test; for readings
        `<reading>_difference` in d', `<reading>_q_value` and `<reading>_found`.
    """
    truth = pd.DataFrame(
        [(*cell.pair, cell.target, cell.kind) for cell in planted.truth()],
        columns=[*_CELL, "kind"],
    )
    told = comparison_findings.with_test(all_tables["target_by_pair"], test)
    third = told[told["family"] == "third"]
    names = ["target_name", "class_a_name", "class_b_name"]
    table = third[[*_CELL, *names]].drop_duplicates().merge(truth, on=_CELL)
    parts = [(third, "response", "difference_points", "points")]
    if "discriminability_by_pair" in all_tables:
        cells = comparison_findings.with_test(
            all_tables["discriminability_by_pair"], test
        )
        parts.append((cells, "reading", "difference", "difference"))
    for cells, kind, difference, unit in parts:
        for name, rows in cells.groupby(kind):
            columns = rows[_CELL].assign(
                **{
                    f"{name}_{unit}": rows[difference],
                    f"{name}_q_value": rows["q_value"],
                    f"{name}_found": rows["q_value"]
                    <= comparison_findings.SIGNIFICANCE,
                }
            )
            table = table.merge(columns, on=_CELL)
    return table


def truth_text(table: pd.DataFrame) -> str:
    """What was found of what is true, in sentences.

    Args:
        table: As `truth_table` returns it.
    """
    kind_cells = {kind: table["kind"] == kind for kind in table["kind"].unique()}

    def count(kind: str, where) -> str:
        cells = kind_cells.get(kind, where & False)
        return f"{int((where & cells).sum())} of {int(cells.sum())}"

    lines = []
    for name, title, difference in (
        ("features", "features (d')", "features_difference"),
        (
            "accuracy_without_pair",
            "accuracy_without_pair",
            "accuracy_without_pair_points",
        ),
    ):
        if difference in table:
            found, falls = table[f"{name}_found"], table[difference] < 0
            lines.append(
                f"{title} found {count(planted.PLANTED, found & falls)} planted "
                f"relations, and something at {count(planted.CONTROL, found)} controls "
                f"and {count(planted.RIVAL, found)} rivals, where nothing was planted"
            )
    rises = table["accuracy_points"] > 0
    moved = count(planted.RIVAL, table["accuracy_found"] & rises)
    return (
        f"The truth is known: {'; '.join(lines)}; accuracy rose at {moved} rivals, by "
        "competition alone (tables/planted_truth.csv)."
    )
