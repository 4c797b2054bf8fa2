import numpy as np
import pandas as pd
import pytest
import scipy.stats

from keras_confusion import responses, stats, tables
from keras_confusion.responses import Rates

NAMES = ["cat", "dog", "car", "ship"]
PAIRS = [(0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)]
REPEATS = 6
NUM_BASELINE = 9


def rates(rng, *shape):
    return Rates(
        accuracy=rng.uniform(0.4, 0.9, shape),
        false_positive_rate=rng.uniform(0.01, 0.2, shape),
        log2_probability=rng.uniform(-2, -0.5, shape),
    )


def blank_members(rates, pair_of_row):
    for row, pair in enumerate(pair_of_row):
        for values in (
            rates.accuracy,
            rates.false_positive_rate,
            rates.log2_probability,
        ):
            values[row][..., list(PAIRS[pair])] = np.nan
    return rates


@pytest.fixture
def study(rng):
    confused_pair = np.repeat(np.arange(len(PAIRS)), REPEATS)
    return responses.StudyResponses(
        pairs=PAIRS,
        confused_pair=confused_pair,
        confused_repeat=np.tile(np.arange(REPEATS), len(PAIRS)),
        baseline_repeat=np.arange(NUM_BASELINE),
        confused=rates(rng, len(confused_pair), 4),
        confused_without_pair=blank_members(
            rates(rng, len(confused_pair), 4), confused_pair
        ),
        baseline=rates(rng, NUM_BASELINE, 4),
        baseline_without_pair=blank_members(
            rates(rng, len(PAIRS), NUM_BASELINE, 4), range(len(PAIRS))
        ),
        prior=np.array([0.4, 0.2, 0.2, 0.2]),
        test_images_per_class=np.array([40, 20, 20, 20]),
    )


def cell(table, **where):
    for column, value in where.items():
        table = table[table[column] == value]
    assert len(table) == 1
    return table.iloc[0]


@pytest.mark.parametrize("response", tables.RESPONSES)
def test_target_by_pair_is_scipys_test_of_that_cell(study, response):
    table = tables.target_by_pair(study, NAMES)
    assert len(table) == 2 * len(PAIRS) * 4
    row = cell(table, response=response, class_a=1, class_b=3, target=2)
    in_arm = study.confused_pair == PAIRS.index((1, 3))
    if response == "accuracy":
        confused, comparison = study.confused, study.baseline
    else:
        confused = study.confused_without_pair
        comparison = tables._select(study.baseline_without_pair, PAIRS.index((1, 3)))
    confused_values = confused.accuracy[in_arm, 2]
    test = scipy.stats.ttest_ind(
        confused_values, comparison.accuracy[:, 2], equal_var=False
    )
    p, q = comparison.accuracy[:, 2].mean(), confused_values.mean()
    assert row["target_name"] == "car"
    assert row["family"] == "third"
    assert (row["n_confused"], row["n_comparison"]) == (REPEATS, NUM_BASELINE)
    assert row["difference_points"] == pytest.approx(100 * (q - p))
    assert row["ci_low_points"] == pytest.approx(100 * test.confidence_interval().low)
    assert row["t"] == pytest.approx(test.statistic)
    assert row["df"] == pytest.approx(test.df)
    assert row["p_value"] == pytest.approx(test.pvalue)
    assert row["kl_bits"] == pytest.approx(stats.kl_bits(p, q))
    assert row["entropy_bits"] == pytest.approx(stats.entropy_bits(p, q))
    assert row["mutual_information_bits"] == pytest.approx(
        stats.mutual_information_bits(
            p, comparison.false_positive_rate[:, 2].mean(), prior=0.2
        )
        - stats.mutual_information_bits(
            q, confused.false_positive_rate[in_arm, 2].mean(), prior=0.2
        )
    )
    assert row["log_likelihood_bits"] == pytest.approx(
        comparison.log2_probability[:, 2].mean()
        - confused.log2_probability[in_arm, 2].mean()
    )
    paired = scipy.stats.ttest_rel(confused_values, comparison.accuracy[:REPEATS, 2])
    assert row["paired_n"] == REPEATS
    assert row["paired_t"] == pytest.approx(paired.statistic)
    assert row["paired_p_value"] == pytest.approx(paired.pvalue)


def test_q_values_are_within_declared_families(study):
    table = tables.target_by_pair(study, NAMES)
    for (response, family), rows in table.groupby(["response", "family"]):
        if (response, family) == ("accuracy_without_pair", "members"):
            assert rows["q_value"].isna().all()
            assert set(rows["reason"]) == {tables.IN_PAIR}
        else:
            expected = scipy.stats.false_discovery_control(rows["p_value"])
            np.testing.assert_allclose(rows["q_value"], expected)
    assert table.groupby(["response", "family"]).ngroups == 4


def test_target_by_class_pools_the_arms_that_the_design_says(study):
    table = tables.target_by_class(study, NAMES)
    assert len(table) == 2 * 4 * 3
    row = cell(table, response="accuracy", target=3, **{"class": 0})
    arm_pairs = [PAIRS[index] for index in study.confused_pair]
    confused = [0 in pair and 3 not in pair for pair in arm_pairs]
    comparison = [0 not in pair and 3 not in pair for pair in arm_pairs]
    assert (row["n_confused"], row["n_comparison"]) == (2 * REPEATS, REPEATS)
    test = scipy.stats.ttest_ind(
        study.confused.accuracy[confused, 3],
        study.confused.accuracy[comparison, 3],
        equal_var=False,
    )
    assert row["t"] == pytest.approx(test.statistic)
    # Within a repeat two confused networks stand against one.
    by_repeat = [
        study.confused.accuracy[confused, 3].reshape(2, REPEATS).mean(axis=0),
        study.confused.accuracy[comparison, 3],
    ]
    assert row["paired_n"] == REPEATS
    assert row["paired_t"] == pytest.approx(scipy.stats.ttest_rel(*by_repeat).statistic)


def test_levels_of_pairs_do_not_pass_for_effects(study, rng):
    # Leaving out different pairs gives different levels, in both groups alike.
    level = rng.uniform(0.4, 0.8, (len(PAIRS), 4))
    noise = rng.normal(0, 0.001, study.confused.accuracy.shape)
    study.baseline_without_pair.accuracy[:] = level[:, None, :]
    study.confused_without_pair.accuracy[:] = level[study.confused_pair] + noise
    for index, pair in enumerate(PAIRS):
        study.baseline_without_pair.accuracy[index][:, pair] = np.nan
        study.confused_without_pair.accuracy[
            np.ix_(study.confused_pair == index, pair)
        ] = np.nan
    table = tables.target_by_class(study, NAMES)
    rows = table[table["response"] == "accuracy_without_pair"]
    assert rows["difference_points"].abs().max() < 0.2
    assert rows["sd_confused"].max() < 0.003
    # ... and p and q stay shares that bits can be computed of.
    for target, mean in rows.groupby("target")["mean_comparison"]:
        outside = [i for i, pair in enumerate(PAIRS) if target not in pair]
        assert mean.mean() == pytest.approx(level[outside, target].mean(), abs=0.003)


def test_no_baseline_for_pairs_that_were_not_run(study):
    few = responses.StudyResponses(
        **{
            **vars(study),
            "confused_pair": study.confused_pair[:REPEATS],
            "confused_repeat": study.confused_repeat[:REPEATS],
            "confused": tables._select(study.confused, slice(REPEATS)),
            "confused_without_pair": tables._select(
                study.confused_without_pair, slice(REPEATS)
            ),
        }
    )
    table = tables.target_by_pair(few, NAMES)
    missing = table[table["class_a"] == 2]
    assert (missing["n_confused"] == 0).all()
    assert missing["p_value"].isna().all()
    assert "fewer than 2 networks in a group" in set(missing["reason"])
    by_class = tables.target_by_class(few, NAMES)
    assert by_class["p_value"].isna().all()


def test_matrix_puts_every_cell_in_its_place(study):
    by_pair = tables.target_by_pair(study, NAMES)
    by_pair = by_pair[by_pair["response"] == "accuracy"]
    values = tables.matrix(by_pair, "t", columns=PAIRS, num_classes=4)
    assert values.shape == (4, 6)
    row = cell(by_pair, class_a=1, class_b=2, target=3)
    assert values[3, 3] == row["t"]
    by_class = tables.target_by_class(study, NAMES)
    by_class = by_class[by_class["response"] == "accuracy"]
    values = tables.matrix(by_class, "t", columns=range(4), num_classes=4)
    assert np.isnan(np.diag(values)).all()
    assert values[3, 0] == cell(by_class, target=3, **{"class": 0})["t"]


def test_tables_of_networks_arms_and_classes(study):
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
    per_network = tables.networks_table(networks, study, NAMES)
    assert np.isnan(per_network.loc[3, "accuracy"])
    np.testing.assert_allclose(
        per_network.loc[4, "accuracy"], study.baseline.accuracy[3] @ study.prior
    )
    last = per_network.iloc[-1]
    assert last["class_a_name"] == "car"
    assert last["accuracy_ship"] == study.confused.accuracy[-1, 3]
    assert (
        last["accuracy_without_pair_cat"]
        == (study.confused_without_pair.accuracy[-1, 0])
    )
    arms = tables.arms(networks, study, NAMES).set_index("arm")
    assert arms.loc["baseline", "n"] == NUM_BASELINE
    assert arms.loc["baseline", "num_failed"] == 1
    of_arm = study.confused.accuracy[study.confused_pair == 5]
    assert arms.loc["2-3", "mean_accuracy_members"] == pytest.approx(
        of_arm[:, 2:].mean()
    )
    assert arms.loc["2-3", "mean_accuracy_third"] == pytest.approx(of_arm[:, :2].mean())
    classes = tables.classes(study, NAMES)
    np.testing.assert_allclose(
        classes["sd_accuracy"], study.baseline.accuracy.std(axis=0, ddof=1)
    )
