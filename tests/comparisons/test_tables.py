import dataclasses

import numpy as np
import pandas as pd
import pytest
import scipy.stats

from keras_confusion.comparisons import tables as comparison_tables
from keras_confusion.comparisons import target_by_class, target_by_pair
from keras_confusion.comparisons.rates import Rates
from keras_confusion.comparisons.study_results import Study

NAMES = ["cat", "dog", "car", "ship"]
PAIRS = [(0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)]
REPEATS = 6
NUM_BASELINE = 9


def cell(table, **where):
    for column, value in where.items():
        table = table[table[column] == value]
    assert len(table) == 1
    return table.iloc[0]


def test_matrix_puts_every_cell_in_its_place(study):
    by_pair = target_by_pair.target_by_pair(study, NAMES)
    by_pair = by_pair[by_pair["response"] == "accuracy"]
    values = comparison_tables.matrix(by_pair, "t", columns=PAIRS, num_classes=4)
    assert values.shape == (4, 6)
    row = cell(by_pair, class_a=1, class_b=2, target=3)
    assert values[3, 3] == row["t"]
    by_class = target_by_class.target_by_class(study, NAMES)
    by_class = by_class[by_class["response"] == "accuracy"]
    values = comparison_tables.matrix(by_class, "t", columns=range(4), num_classes=4)
    assert np.isnan(np.diag(values)).all()
    assert values[3, 0] == cell(by_class, target=3, **{"class": 0})["t"]


def test_tables_of_networks_arms_and_classes(study, monkeypatch):
    rows = [
        {
            "arm": arm,
            "class_a": pair and pair[0],
            "class_b": pair and pair[1],
            "repeat": repeat,
            "seed": 1,
            "recipe": "annealed",
            "epochs": 2,
            "attempt": 0,
            "failed": False,
            "note": "",
            "final_training_loss": 0.5,
            "seconds": 2.0,
            "finished_at": None,
            "study": None,
            "code": "0.2.0",
        }
        for arm, pair, count in [
            ("baseline", None, NUM_BASELINE),
            *((f"{a}-{b}", (a, b), REPEATS) for a, b in PAIRS),
        ]
        for repeat in range(count)
    ]
    # One more that failed: it must shift no other row.
    rows.insert(3, rows[0] | {"failed": True, "repeat": 99})
    networks = pd.DataFrame(rows).astype({"class_a": "Int16", "class_b": "Int16"})
    whole = Study({"class_names": NAMES}, networks, study, {})
    monkeypatch.setattr(comparison_tables, "_NETWORKS_A_PART", 7)
    per_network = comparison_tables.networks_table(whole)
    parts = list(comparison_tables.networks_with_classes(whole, per_network))
    assert [len(part) for part in parts] == [7, 7, 7, 7, 7, 7, 4]
    assert np.isnan(per_network.loc[3, "accuracy"])
    np.testing.assert_allclose(
        per_network.loc[4, "accuracy"], study.baseline.accuracy[3] @ study.prior
    )
    last = parts[-1].iloc[-1]
    assert last["accuracy"] == per_network["accuracy"].iloc[-1]
    assert last["class_a_name"] == "car"
    assert last["accuracy_ship"] == study.confused.accuracy[-1, 3]
    assert (
        last["accuracy_without_pair_cat"]
        == (study.confused_without_pair.accuracy[-1, 0])
    )
    arms = comparison_tables.arms(whole, per_network).set_index("arm")
    assert arms.loc["baseline", "n"] == NUM_BASELINE
    assert arms.loc["baseline", "num_failed"] == 1
    arm_accuracy = study.confused.accuracy[study.confused_pair == 5]
    assert arms.loc["2-3", "mean_accuracy_members"] == pytest.approx(
        arm_accuracy[:, 2:].mean()
    )
    assert arms.loc["2-3", "mean_accuracy_third"] == pytest.approx(
        arm_accuracy[:, :2].mean()
    )
    classes = comparison_tables.classes(study, NAMES)
    np.testing.assert_allclose(
        classes["sd_accuracy"], study.baseline.accuracy.std(axis=0, ddof=1)
    )


def test_class_correlations_are_pearsons_over_the_baseline(study):
    table = comparison_tables.class_correlations(study, NAMES)
    assert len(table) == 6
    accuracy = study.baseline.accuracy
    row = cell(table, class_a_name="dog", class_b_name="ship")
    expected = scipy.stats.pearsonr(accuracy[:, 1], accuracy[:, 3])
    interval = expected.confidence_interval(0.95)
    assert row["n"] == NUM_BASELINE
    assert row["correlation"] == pytest.approx(expected.statistic)
    assert row["p_value"] == pytest.approx(expected.pvalue)
    assert row["ci_low"] == pytest.approx(interval.low)
    assert row["ci_high"] == pytest.approx(interval.high)
    q_values = scipy.stats.false_discovery_control(table["p_value"])
    np.testing.assert_allclose(table["q_value"], q_values)


def test_classes_without_variance_or_of_few_networks_do_not_correlate(study):
    accuracy = study.baseline.accuracy.copy()
    accuracy[:, 2] = 0.5
    rates = Rates(accuracy, accuracy, accuracy)
    table = comparison_tables.class_correlations(
        dataclasses.replace(study, baseline=rates), NAMES
    )
    without_car = (table["class_a"] != 2) & (table["class_b"] != 2)
    assert table["correlation"].notna().equals(without_car)
    assert table["q_value"].notna().equals(without_car)
    few = dataclasses.replace(study, baseline=rates.select(slice(3)))
    table = comparison_tables.class_correlations(few, NAMES)
    assert table["correlation"].isna().all()
    assert set(table["n"]) == {3}
