import numpy as np
import pandas as pd
import pytest

from keras_confusion.explanations import unit_changes
from keras_confusion.explanations.unit_uses import ReadUnits

NUM_CLASSES = 6
TARGET, PAIR = 2, (0, 4)


@pytest.fixture
def labels():
    return np.repeat(np.arange(NUM_CLASSES), 20)


@pytest.fixture
def baseline(rng, labels):
    """A unit for every class, two for the target, and a silent one."""
    classes = [*range(NUM_CLASSES), TARGET]
    noise = 0.2 * rng.random((len(labels), len(classes)))
    features = (labels[:, None] == classes) * rng.uniform(1, 3, (len(labels), 1))
    features = np.pad(features + noise, [(0, 0), (0, 1)])
    kernel = 0.7 * (np.array(classes)[:, None] == np.arange(NUM_CLASSES))
    return ReadUnits(features, np.pad(kernel, [(0, 1), (0, 0)]), np.zeros(NUM_CLASSES))


def compare(baseline, confused, labels):
    return unit_changes.compare_units(
        (baseline, confused), labels, target=TARGET, pair=PAIR
    )


def test_unit_that_carried_the_target_and_is_gone_is_found(baseline, labels):
    features = baseline.features.copy()
    features[:, 6] = 0
    confused = ReadUnits(features, baseline.kernel, baseline.bias)
    units, totals = compare(baseline, confused, labels)
    units.insert(0, "repeat", 3)
    ranked = unit_changes.rank_units(units)
    first = ranked.iloc[0]
    assert (first["rank"], first["unit"], first["fate"]) == (1, 6, "lost")
    assert pd.isna(first["unit_confused"])
    # It is the whole change, and nothing else moved.
    assert totals["change"] < -0.2
    assert first["change"] == pytest.approx(totals["change"])
    assert first["use_confused"] == 0
    np.testing.assert_allclose(ranked["change"][1:], 0, atol=1e-12)
    assert totals["sum_of_sizes"] == pytest.approx(-totals["change"])
    # The silent unit is nowhere.
    assert sorted(ranked["unit"]) == list(range(7))
    summary = unit_changes.concentration(ranked, 1).iloc[0]
    assert (summary["repeat"], summary["kept"], summary["lost"]) == (3, 6, 1)
    assert summary["top_share"] == pytest.approx(1)
    assert summary["num_for_half"] == 1


def test_unit_that_is_read_no_more_keeps_its_activation(baseline, labels):
    kernel = baseline.kernel.copy()
    kernel[6] = 0
    confused = ReadUnits(baseline.features, kernel, baseline.bias)
    units, totals = compare(baseline, confused, labels)
    row = units.set_index("unit").loc[6]
    assert row["fate"] == "kept"
    assert row["change_of_activation"] == pytest.approx(0)
    assert row["change_of_weights"] == pytest.approx(totals["change"])
    assert row["correlation"] == pytest.approx(1)
    assert row["activation_target_confused"] == row["activation_target_baseline"]
    # It says little of other classes; the noise is on all images.
    assert row["change_for_others"] < 0.1 * abs(row["change"])


def test_changes_add_up(rng, baseline, labels):
    features = baseline.features * rng.uniform(0, 2, baseline.features.shape)
    # Two units become others.
    features[:, [1, 3]] = rng.random((len(labels), 2))
    features = features[:, rng.permutation(8)]
    confused = ReadUnits(
        features, rng.normal(size=baseline.kernel.shape), rng.normal(size=NUM_CLASSES)
    )
    units, totals = compare(baseline, confused, labels)
    assert set(units["fate"]) == {"kept", "lost", "new"}
    assert units["change"].sum() + totals["change_of_biases"] == pytest.approx(
        totals["change"]
    )
    assert abs(totals["change_of_biases"]) > 0.01
    kept = units[units["fate"] == "kept"]
    np.testing.assert_allclose(
        kept["change_of_activation"] + kept["change_of_weights"], kept["change"]
    )
    assert units.loc[units["fate"] != "kept", "change_of_weights"].isna().all()
    # Each unit that is not silent once.
    assert sorted(units["unit"].dropna()) == list(range(7))
    assert len(set(units["unit_confused"].dropna())) == 7
    # Mean activations, of a and b, of the target, and of the three other classes.
    row = kept.iloc[0]
    means = [features[labels == k, row["unit_confused"]].mean() for k in range(6)]
    assert row["activation_a_confused"] == pytest.approx(means[PAIR[0]])
    assert row["activation_b_confused"] == pytest.approx(means[PAIR[1]])
    assert row["activation_target_confused"] == pytest.approx(means[TARGET])
    assert row["activation_others_confused"] == pytest.approx(
        np.mean([means[k] for k in (1, 3, 5)])
    )


def test_permuted_units_are_found_again(rng, baseline, labels):
    order = rng.permutation(8)
    confused = ReadUnits(
        baseline.features[:, order], baseline.kernel[order], baseline.bias
    )
    units, totals = compare(baseline, confused, labels)
    assert list(units["fate"]) == ["kept"] * 7
    np.testing.assert_array_equal(order[units["unit_confused"].astype(int)], range(7))
    np.testing.assert_allclose(units["change"], 0, atol=1e-12)
    assert totals["change"] == pytest.approx(0)


def test_units_keep_their_places_where_they_can():
    correlation = np.array(
        [
            # Like itself, and more like another: it stays.
            [0.6, 0.9, 0.0, 0.0],
            [0.0, 0.7, 0.0, 0.0],
            [0.9, 0.0, 0.1, 0.8],
            [0.0, 0.0, 0.3, 0.2],
        ]
    )
    np.testing.assert_array_equal(unit_changes.match_units(correlation), [0, 1, 3, 2])


def test_correlations(rng):
    first, second = rng.random((40, 3), np.float32), rng.random((40, 3), np.float32)
    second[:, 1] = 2
    found = unit_changes.correlations(first, second)
    expected = np.corrcoef(first, second[:, [0, 2]], rowvar=False)[:3, 3:]
    np.testing.assert_allclose(found[:, [0, 2]], expected, atol=1e-6)
    np.testing.assert_array_equal(found[:, 1], 0)


def test_concentration_of_each_repeat():
    units = pd.DataFrame(
        {
            "repeat": [0, 0, 0, 0, 1],
            "fate": ["kept", "kept", "lost", "new", "new"],
            "correlation": [0.9, 0.7, 0.1, 0.1, 0.2],
            "change": [1.0, -5.0, 2.0, -2.0, 0.0],
        }
    )
    first, second = unit_changes.concentration(units, 2).to_dict("records")
    assert first == {
        "repeat": 0,
        "kept": 2,
        "lost": 1,
        "new": 1,
        "kept_correlation": pytest.approx(0.8),
        "top_share": pytest.approx(0.7),
        "num_for_half": 1,
    }
    assert np.isnan(second["top_share"])
    assert second["num_for_half"] == 0
    ranked = unit_changes.rank_units(units)
    assert list(ranked["change"]) == [-5, 2, -2, 1, 0]
    assert list(ranked["rank"]) == [1, 2, 3, 4, 5]
