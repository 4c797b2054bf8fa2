import numpy as np
import pandas as pd
import pytest

from benchmarks.speed import head_cost
from benchmarks.validity import (
    confused_features,
    known_features,
    learned_features,
    planted_truth,
)
from keras_confusion.datasets import planted
from keras_confusion.stats import discriminability

PAIRS = [(0, 1), (0, 2), (1, 2), (2, 3), (0, 3), (1, 3)]


def cells(**changes):
    """One planted, one rival and two control cells by features, none found."""
    table = pd.DataFrame(
        {
            "reading": "features",
            "test": "paired",
            "kind": [planted.PLANTED, planted.RIVAL, planted.CONTROL, planted.CONTROL],
            "difference": [-0.3, 0.0, 0.1, -0.1],
            "p_value": [0.2, 0.3, 0.04, 0.5],
            "q_value": [0.4, 0.5, 0.3, 0.6],
            "truth": [-0.4, 0.0, 0.0, 0.0],
        }
    )
    return table.assign(**changes)


def test_scores_count_what_is_found_in_the_right_direction():
    (row,) = known_features.score(cells())
    assert (row["planted_found"], row["rival_found"], row["control_found"]) == (0, 0, 0)
    assert row["control_false_at_5"] == 0.5
    assert row["share_of_truth"] == pytest.approx(0.75)
    (row,) = known_features.score(cells(q_value=[0.01, 0.01, 0.2, 0.01]))
    assert (row["planted_found"], row["rival_found"], row["control_found"]) == (1, 1, 1)
    (row,) = known_features.score(cells(q_value=0.01, difference=[0.3, 0.0, 0.1, -0.1]))
    assert row["planted_found"] == 0


def test_what_comes_again_in_other_data_sets_is_no_chance(rng):
    """Two control cells of which one gains in all five data sets."""
    parts = []
    for seed in range(5):
        parts.append(
            cells(
                test="moderated",
                seed=seed,
                class_a=0,
                class_b=[1, 1, 1, 2],
                target=[2, 3, 4, 4],
                q_value=[0.01, 0.5, 0.01, 0.5],
                difference=[-0.3, 0.0, 0.02, 0.0] + rng.normal(0, 1e-3, 4),
            )
        )
    row = known_features.recurrence(pd.concat(parts))
    assert (row["found"], row["gains"], row["cells"]) == (5, 5, 2)
    assert row["mean_found"] == pytest.approx(0.02, abs=2e-3)
    assert row["mean_planted"] == pytest.approx(0.3, abs=2e-3)
    assert row["correlation"] == pytest.approx(1)
    assert row["across"] == 1
    assert "5 controls were found" in learned_features._recurrence_sentence(row)


def test_truth_is_what_a_target_loses_with_its_shape(rng):
    d = discriminability.matrices(rng.uniform(1, 3, 45), 10)
    # Crosses are 2 and 3: where discs 0 and 1 are confused, 2 loses d'(2, 3), one of
    # the seven that its value is the mean of.
    found = known_features._loss_of_shape(d, (0, 1, 2))
    assert found == pytest.approx(-d[2, 3] / 7, rel=1e-5)


def test_contrast_is_that_of_pairs_with_and_without_a_class(rng):
    changes = rng.normal(size=(len(PAIRS), 4))
    with_other = [changes[1, 3], changes[2, 3]]
    assert confused_features._contrast(changes, PAIRS, 3, 2) == pytest.approx(
        np.mean(with_other) - changes[0, 3]
    )


def test_classes_that_are_left_out_are_never_given():
    logits = np.array([[5.0, 1, 0], [5, 0, 1], [0, 1, 0], [9, 0, 1]])
    labels = np.array([1, 2, 2, 0])
    np.testing.assert_allclose(
        confused_features._accuracies(logits, labels, (0,)), [0, 1, 0.5]
    )


def test_auc_of_two_classes_is_read_off_what_is_kept(rng):
    d_primes = [rng.normal(1, 1, 6) for _ in range(3)]
    auc = confused_features._auc(pd.Series(d_primes), 1, 3)
    # (0,1) (0,2) (0,3) (1,2) (1,3) (2,3)
    assert auc.shape == (3,)
    assert ((auc > 0.5) == (np.stack(d_primes)[:, 4] > 0)).all()


@pytest.mark.slow
def test_the_command_answers_end_to_end(tmp_path, monkeypatch):
    for module in (confused_features, planted_truth):
        monkeypatch.setattr(module, "FOLDER", tmp_path)
    found = learned_features.measure(("planted", "confused"), quick=True, workers=1)
    scores = pd.DataFrame(found["planted"]["scores"])
    assert set(scores["reading"]) == {"total", "features", "readout"}
    assert (scores["planted"] == 4).all()
    (row,) = found["confused"]
    # Half of both labels are swapped: the last layer cannot tell 3 from 8.
    assert row["own last layer"]["mean"] < row["features"]["mean"]
    assert row["features"]["n"] == 2
    text = learned_features.report(found, {"machine": "this one"})
    assert "| digits | 3, 8 |" in text
    assert "- machine: this one" in text
    assert text.count("\n| features |") == 3


@pytest.mark.slow
def test_every_step_of_a_network_is_timed():
    found = head_cost.measure("digits", epochs=1, rounds=2)
    assert list(found) == list(head_cost.STEPS)
    for seconds in found.values():
        assert seconds.shape == (2,)
        assert (seconds > 0).all()
