import dataclasses
import itertools

import numpy as np
import pytest
import scipy.stats

from benchmarks.validity import (
    null_calibration,
    null_drawn,
    null_networks,
    null_report,
    null_statistics,
)
from benchmarks.validity.null_statistics import BY_CLASS, BY_PAIR
from keras_confusion.comparisons import responses, target_by_pair

NAMES = list("abcde")


def p_values(studies):
    """Independent p-values by (comparison, response, test), NaN left out."""
    found: dict = {}
    for study in studies:
        for key, study_p_values in null_drawn.independent_p_values(study).items():
            found.setdefault(key, []).append(study_p_values)
    joined = {key: np.concatenate(parts) for key, parts in found.items()}
    return {key: values[np.isfinite(values)] for key, values in joined.items()}


@pytest.fixture(scope="module")
def own():
    """300 independent tests of each kind: 6 networks an arm against 14 of their own."""
    return p_values(
        null_drawn.drawn_studies(
            30, correlation=0, repeats=6, baseline_repeats=14, num_classes=10,
            own_seeds=True,
        )
    )  # fmt: skip


@pytest.fixture(scope="module")
def shared():
    """The same with seven tenths of the variance in common within repeats."""
    return p_values(
        null_drawn.drawn_studies(
            30, correlation=0.7, repeats=6, baseline_repeats=14, num_classes=10
        )
    )


def is_uniform(values):
    """By Kolmogorov and Smirnov, and by the number below 5 %."""
    assert len(values) == 300
    below = scipy.stats.binomtest(int((values <= 0.05).sum()), len(values), 0.05)
    return scipy.stats.kstest(values, "uniform").pvalue > 0.01 and below.pvalue > 0.01


CASES = list(itertools.product((BY_PAIR, BY_CLASS), responses.RESPONSES))


@pytest.mark.parametrize(("comparison", "response"), CASES)
def test_welch_is_calibrated_where_networks_have_their_own_seeds(
    own, comparison, response
):
    assert is_uniform(own[comparison, response, "welch"])
    # There is nothing to pair.
    assert len(own[comparison, response, "paired"]) == 0


@pytest.mark.parametrize(("comparison", "response"), CASES)
def test_paired_is_calibrated_where_they_share_them(shared, comparison, response):
    assert is_uniform(shared[comparison, response, "paired"])


@pytest.mark.parametrize("response", responses.RESPONSES)
def test_welch_of_shared_seeds_finds_too_little_and_never_too_much(shared, response):
    # Whole repeats are in both groups: 0.3 of the variance that Welch's test takes.
    by_class = shared[BY_CLASS, response, "welch"]
    assert not is_uniform(by_class)
    assert (by_class <= 0.05).mean() < 0.02
    by_pair = shared[BY_PAIR, response, "welch"]
    assert (by_pair <= 0.05).mean() < 0.05


def test_pairs_are_networks_of_one_repeat():
    # Correlated with the baseline of its own repeat, and of no other.
    study = next(
        null_drawn.drawn_studies(
            1, correlation=0.9, repeats=40, baseline_repeats=40, num_classes=5
        )
    )
    table = target_by_pair.target_by_pair(study, NAMES)
    plain = table[(table["response"] == "accuracy") & (table["family"] == "third")]
    assert plain["paired_correlation"].median() == pytest.approx(0.9, abs=0.05)
    shifted = dataclasses.replace(study, baseline_seed=np.roll(study.baseline_seed, 1))
    other = target_by_pair.target_by_pair(shifted, NAMES).loc[plain.index]
    assert abs(other["paired_correlation"].median()) < 0.3


@pytest.mark.parametrize(
    ("correlation", "arm", "baseline"), [(0.0, 8, 4), (0.6, 5, 12)]
)
def test_theory_is_what_is_drawn(correlation, arm, baseline):
    studies = null_drawn.drawn_studies(
        20, correlation=correlation, repeats=arm, baseline_repeats=baseline,
        num_classes=4, seed=3,
    )  # fmt: skip
    tests = null_statistics.cells(((study, {}) for study in studies), NAMES[:4])
    for comparison in (BY_PAIR, BY_CLASS):
        rows = tests[
            (tests["comparison"] == comparison)
            & (tests["response"] == "accuracy")
            & (tests["test"] == "welch")
        ]
        found = null_statistics.calibration(rows)
        expected = null_statistics.expected_variance_ratio(
            comparison, correlation, arm, baseline
        )
        assert found["variance_ratio_low"] < expected < found["variance_ratio_high"]
        paired = tests[
            (tests["comparison"] == comparison)
            & (tests["response"] == "accuracy")
            & (tests["test"] == "paired")
        ]
        ratio = null_statistics.calibration(paired)
        assert ratio["variance_ratio_low"] < 1 < ratio["variance_ratio_high"]


def test_expected_ratios_by_hand():
    ratio = null_statistics.expected_variance_ratio
    # Four against four, all of them pairs: 2/4 of 2/4 - 2 * 0.5 * 4 / 16.
    assert ratio(BY_PAIR, 0.5, 4, 4) == pytest.approx(2)
    # 1/50 + 1/335 = 77/3350; 2 * 0.5 / 335 = 10/3350 less.
    assert ratio(BY_PAIR, 0.5, 50, 335) == pytest.approx(77 / 67)
    assert ratio(BY_CLASS, 0.75, 4, 27) == pytest.approx(4)
    # 1.959964 * 2 = 3.919928 sd of a normal distribution.
    assert null_statistics.expected_share(4, 0.05) == pytest.approx(8.857e-5, rel=1e-3)
    assert null_statistics.expected_share(1, 0.05) == pytest.approx(0.05)


def test_correlations_are_those_that_were_drawn():
    (study,) = null_drawn.drawn_studies(
        1, correlation=0.6, repeats=150, baseline_repeats=200, num_classes=4
    )
    found = null_statistics.correlations(study, "accuracy")
    assert found["accuracy"]["repeats"] == 150
    for end in ("arms", "baseline"):
        assert found["accuracy"][end] == pytest.approx(0.6, abs=0.08)
        # Nine tenths of it without the pair, see `drawn_studies`.
        without = found["accuracy_without_pair"][end]
        assert without == pytest.approx(0.54, abs=0.08)
    assert found["accuracy"]["lowest"] < found["accuracy"]["arms"]


@pytest.mark.slow
def test_quick_calibration_from_training_to_report(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(null_networks, "FOLDER", tmp_path)
    monkeypatch.setitem(null_networks.TRAINING, "epochs", 2)
    monkeypatch.setattr(null_calibration, "QUICK_REPEATS", 6)
    monkeypatch.setattr(null_calibration, "QUICK_BASELINE_REPEATS", 12)
    monkeypatch.setattr(null_calibration, "QUICK_DESIGNS", ((3, 3), (3, 5)))
    monkeypatch.setattr(null_calibration, "QUICK_TEN_REPEATS", (4, 8))
    monkeypatch.setattr(null_calibration, "QUICK_TEN_DESIGNS", ((2, 4),))
    monkeypatch.setattr(null_calibration, "DRAWN_DESIGN", (5, 9))
    out = tmp_path / "made" / "null.md"
    options = ["--quick", "--workers", "1", "--out", str(out)]
    assert null_calibration.main(options) == 0
    text = out.read_text()
    assert text.strip() == capsys.readouterr().out.strip()
    for part in (
        "3 vs 3 (2 studies)",
        "confusion_cifar10",
        "paired t",
        "Drawn studies",
    ):
        assert part in text
    assert "nan" not in text
    # Small studies have no network in common and as many as they should.
    pool = null_networks.train_pool(
        "shared seeds", repeats=6, baseline_repeats=12, workers=1
    )
    studies = list(null_networks.small_studies(pool, 3, 6))
    assert len(studies) == 2
    for study, readings in studies:
        assert len(study.confused_seed) == 3 * 10
        assert len(study.baseline_seed) == 6
        assert set(study.confused_seed) < set(study.baseline_seed)
        assert not readings
    assert not set(studies[0][0].baseline_seed) & set(studies[1][0].baseline_seed)
    fewer = list(null_networks.small_studies(pool, 3, 2))
    assert [len(study.baseline_seed) for study, _ in fewer] == [2, 2]
    ten = null_networks.train_pool(
        null_networks.TEN_DIGITS, repeats=4, baseline_repeats=8, workers=1
    )
    study, readings = next(null_networks.small_studies(ten, 2, 4))
    for reading in (readings["features"], readings["total"]):
        np.testing.assert_array_equal(reading.confused_pair, study.confused_pair)
        np.testing.assert_array_equal(reading.baseline_seed, study.baseline_seed)
    assert "d' of features" in text


def test_tables_of_the_report():
    table = null_report.markdown(("a", "b"), [(1, "x"), (2, "y")])
    assert table == "| a | b |\n| --- | --- |\n| 1 | x |\n| 2 | y |\n"
