"""A study of the planted images beside the truth."""

import pandas as pd

from keras_confusion import planted, significance
from keras_confusion.study_settings import HALF

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


def truth_table(by_pair: pd.DataFrame, test: str) -> pd.DataFrame:
    """What is true, and what was found.

    Args:
        by_pair: As `comparisons.target_by_pair` returns it.
        test: One of `significance.TESTS`.

    Returns:
        One row per third class and pair of the study, with names, `kind` of
        `planted.Cell`, and for both responses `<response>_points`, `<response>_q_value`
        and `<response>_found`, whether q is 0.05 or less by the test.
    """
    truth = pd.DataFrame(
        [(*cell.pair, cell.target, cell.kind) for cell in planted.truth()],
        columns=[*_CELL, "kind"],
    )
    told = significance.told_by(by_pair, test)
    third = told[told["family"] == "third"]
    names = ["target_name", "class_a_name", "class_b_name"]
    table = third[[*_CELL, *names]].drop_duplicates().merge(truth, on=_CELL)
    for response, rows in third.groupby("response"):
        found = rows["q_value"] <= significance.SIGNIFICANCE
        columns = rows[_CELL].assign(
            **{
                f"{response}_points": rows["difference_points"],
                f"{response}_q_value": rows["q_value"],
                f"{response}_found": found,
            }
        )
        table = table.merge(columns, on=_CELL)
    return table


def truth_text(table: pd.DataFrame) -> str:
    """What was found of what is true, in sentences.

    Args:
        table: As `truth_table` returns it.
    """
    found = table["accuracy_without_pair_found"]
    of_kind = {kind: table["kind"] == kind for kind in table["kind"].unique()}

    def count(kind: str, where) -> str:
        cells = of_kind.get(kind, found & False)
        return f"{int((where & cells).sum())} of {int(cells.sum())}"

    falls = table["accuracy_without_pair_points"] < 0
    rises = table["accuracy_points"] > 0
    moved = count(planted.RIVAL, table["accuracy_found"] & rises)
    return (
        "The truth is known: accuracy_without_pair found "
        f"{count(planted.PLANTED, found & falls)} planted relations, and something at "
        f"{count(planted.CONTROL, found)} controls and {count(planted.RIVAL, found)} "
        f"rivals, where there is nothing; accuracy rose at {moved} rivals, by "
        "competition alone (tables/planted_truth.csv)."
    )
