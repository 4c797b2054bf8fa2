import itertools

import numpy as np
import pandas as pd
import pytest

from keras_confusion.comparisons import planted_findings
from keras_confusion.datasets import planted


def described(settings):
    return {"settings": settings, "class_names": list(planted.CLASS_NAMES)}


PAIRS = list(itertools.combinations(range(10), 2))


def by_pair(**found):
    """Third classes of all pairs; `found` has (difference, q) by "target a b"."""
    rows = []
    for response in ("accuracy", "accuracy_without_pair"):
        for (a, b), target in itertools.product(PAIRS, range(10)):
            points, q_value = found.get(f"{response} {target} {a} {b}", (0.1, 0.9))
            rows.append(
                {
                    "response": response,
                    "family": "members" if target in (a, b) else "third",
                    "class_a": a,
                    "class_b": b,
                    "target": target,
                    "target_name": planted.CLASS_NAMES[target],
                    "class_a_name": planted.CLASS_NAMES[a],
                    "class_b_name": planted.CLASS_NAMES[b],
                    "difference_points": points,
                    "q_value": q_value,
                }
            )
    return pd.DataFrame(rows)


@pytest.mark.parametrize(
    ("name", "known"), [("planted", True), ("planted:3", True), ("cifar10", False)]
)
def test_only_studies_of_planted_images_have_a_truth(name, known):
    settings = {"dataset": name, "corruption": "swap", "fraction": 0.5}
    assert planted_findings.is_planted(described(settings)) is known


@pytest.mark.parametrize(
    ("corruption", "fraction", "known"),
    [
        ("merge", 0.5, True),
        # The classes of a pair can still be told apart, or are not confused at all.
        ("swap", 0.2, False),
        ("one_way", 0.5, False),
        ("null", 0.2, False),
    ],
)
def test_the_truth_is_that_of_pairs_that_cannot_be_told_apart(
    corruption, fraction, known
):
    settings = {"dataset": "planted", "corruption": corruption, "fraction": fraction}
    assert planted_findings.is_planted(described(settings)) is known


def test_every_cell_stands_beside_its_truth():
    table = planted_findings.truth_table(
        {"target_by_pair": by_pair(**{"accuracy_without_pair 2 0 1": (-20.0, 0.01)})},
        "welch",
    )
    assert len(table) == 360
    row = table.set_index(["target", "class_a", "class_b"]).loc[2, 0, 1]
    assert row["kind"] == planted.PLANTED
    assert row["target_name"] == "fine_cross"
    assert row["accuracy_without_pair_points"] == -20
    assert row["accuracy_without_pair_found"]
    assert not row["accuracy_found"]
    assert table["accuracy_without_pair_found"].sum() == 1


def test_what_was_found_is_told():
    accuracy_cells = by_pair(
        **{
            "accuracy_without_pair 2 0 1": (-20.0, 0.01),
            "accuracy_without_pair 3 0 1": (-20.0, 0.20),
            # The wrong way.
            "accuracy_without_pair 6 4 5": (20.0, 0.01),
            "accuracy_without_pair 0 4 5": (1.0, 0.04),
            "accuracy_without_pair 8 0 9": (1.0, 0.04),
            "accuracy 9 0 8": (5.0, 0.01),
            "accuracy 9 1 8": (-5.0, 0.01),
        }
    )
    # One of the planted relations and no control by features.
    third = accuracy_cells[
        (accuracy_cells["response"] == "accuracy")
        & (accuracy_cells["family"] == "third")
    ]
    is_cell = (third["target"] == 7) & (third["class_a"] == 4) & (third["class_b"] == 5)
    feature_cells = third.drop(columns=["response", "family"]).assign(
        reading="features",
        difference=np.where(is_cell, -0.5, 0.01),
        q_value=np.where(is_cell, 0.001, 0.9),
    )
    table = planted_findings.truth_table(
        {"target_by_pair": accuracy_cells, "discriminability_by_pair": feature_cells},
        "welch",
    )
    assert table["features_found"].sum() == 1
    text = planted_findings.truth_text(table)
    assert "accuracy_without_pair found 1 of 4 planted relations" in text
    assert "features (d') found 1 of 4 planted relations, and something at 0 of" in text
    controls = (table["kind"] == planted.CONTROL).sum()
    assert f"at 1 of {controls} controls and 1 of 16 rivals" in text
    assert "accuracy rose at 1 of 16 rivals" in text
