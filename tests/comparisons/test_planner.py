import itertools
import math

import numpy as np
import pandas as pd
import pytest

from keras_confusion.comparisons import findings as comparison_findings
from keras_confusion.comparisons import (
    network_noise,
    null_results,
    planner,
    study_results,
    target_by_class,
    target_by_pair,
)
from keras_confusion.comparisons.rates import ListedRates, Rates
from keras_confusion.comparisons.responses import StudyResponses
from keras_confusion.stats import sensitivity

NUM_CLASSES = 5
NAMES = [f"class{label}" for label in range(NUM_CLASSES)]
PAIRS = list(itertools.combinations(range(NUM_CLASSES), 2))
NOISE, SHARED, SECONDS = 0.02, 0.03, 6.0


def study_of(seed, repeats, *, effect=0.0):
    """All pairs; where class 1 is confused, class 0 loses by the effect."""
    rng = np.random.default_rng((7, seed))
    num_baseline = round(repeats * math.sqrt(len(PAIRS)))
    shared = rng.normal(0, SHARED, (num_baseline, NUM_CLASSES))
    arms = np.repeat(np.arange(len(PAIRS)), repeats)
    seeds = np.tile(np.arange(repeats), len(PAIRS))
    accuracy = 0.6 + shared[seeds] + rng.normal(0, NOISE, (len(arms), NUM_CLASSES))
    has_class = np.array([1 in PAIRS[arm] and 0 not in PAIRS[arm] for arm in arms])
    accuracy[has_class, 0] -= effect
    baseline = 0.6 + shared + rng.normal(0, NOISE, shared.shape)
    rates, base_rates = (Rates(v, 0 * v, v) for v in (accuracy, baseline))
    levels = np.broadcast_to(baseline, (len(PAIRS), *baseline.shape))
    responses = StudyResponses(
        pairs=PAIRS,
        confused_pair=arms,
        confused_seed=seeds,
        baseline_seed=np.arange(num_baseline),
        confused=rates,
        confused_without_pair=rates,
        baseline=base_rates,
        baseline_without_pair=ListedRates(Rates(levels, levels, levels)),
        prior=np.full(NUM_CLASSES, 0.2),
        test_images_per_class=np.full(NUM_CLASSES, 1000),
    )
    networks = pd.DataFrame({"seconds": [SECONDS] * (len(arms) + num_baseline)})
    return study_results.Study({"class_names": NAMES}, networks, responses, {})


@pytest.fixture
def plan(monkeypatch):
    def make(study, effect, **options):
        monkeypatch.setattr(study_results, "read_study", lambda directory: study)
        return planner.plan_study("small", effect, response="accuracy", **options)

    return make


@pytest.mark.parametrize("comparison", planner.COMPARISONS)
def test_repeats_are_those_of_an_upper_limit_of_the_noise(plan, comparison):
    found = plan(study_of(0, 4), 2.0, comparison=comparison)
    num_cells = NUM_CLASSES * (NUM_CLASSES - 1)
    if comparison == "pair":
        num_cells = len(PAIRS) * (NUM_CLASSES - 2)
    assert (found.unit, found.cells, found.seconds) == ("points", num_cells, SECONDS)
    assert found.estimated_repeats < found.repeats <= found.most_repeats
    # 3 degrees of freedom of each of 5 targets: the variance is at most 1.46 times it.
    assert found.repeats < 1.8 * found.estimated_repeats
    assert found.baseline_repeats == round(found.repeats * math.sqrt(10))
    assert found.networks == 10 * found.repeats + found.baseline_repeats
    assert found.minutes == pytest.approx(found.networks * SECONDS / 60)
    larger = plan(study_of(0, 4), 4.0, comparison=comparison)
    assert larger.repeats < found.repeats
    surer = plan(study_of(0, 4), 2.0, comparison=comparison, power=0.95)
    assert surer.repeats > found.repeats
    told = planner.sentence(found)
    assert told.startswith(
        f"An effect of 2 points on one of {num_cells} cells is found with 80 % power "
        f"by {found.repeats} repeats"
    )
    assert f"Fewest networks for it: {found.fewest_networks}, with --repeats " in told


def test_baseline_networks_take_the_place_of_repeats(plan):
    study = study_of(0, 4)
    few, usual, many = (
        plan(study, 2.0, comparison="pair", num_pairs=4, baseline_repeats=number)
        for number in (30, None, 500)
    )
    assert few.cells == 4 * (NUM_CLASSES - 2)
    assert usual.baseline_repeats == 2 * usual.repeats
    assert few.repeats >= usual.repeats > many.repeats
    assert usual.fewest_networks <= usual.networks
    # A study of those numbers finds it, one of fewer repeats does not.
    fewest = plan(
        study, 2.0, comparison="pair", num_pairs=4, baseline_repeats=usual.fewest[1]
    )
    assert fewest.repeats == usual.fewest[0]
    by_class = plan(study, 2.0, baseline_repeats=7)
    assert by_class.fewest == (by_class.repeats, by_class.repeats)


def test_error_of_the_formula_is_that_of_the_tests():
    errors = {"class": [], "pair": []}
    for seed in range(30):
        study = study_of(seed, 6)
        noise = network_noise.noise_of_study(study, "accuracy")
        assert noise.df == 5 * NUM_CLASSES
        predicted = {
            "class": noise.error_by_class(6),
            "pair": noise.error_by_pair(6, len(study.responses.baseline_seed)),
        }
        tables = {
            "class": target_by_class.target_by_class(
                study.responses, NAMES, responses=("accuracy",)
            ),
            "pair": target_by_pair.target_by_pair(
                study.responses, NAMES, responses=("accuracy",)
            ).query("family == 'third'"),
        }
        for name, table in tables.items():
            table = comparison_findings.with_test(table, "moderated")
            found = null_results.null_result(table).error
            errors[name].append(predicted[name] / found)
    for ratios in errors.values():
        assert np.mean(ratios) == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize("name", ["digits", "planted", "cifar10", "reviews"])
def test_pilots_that_come_with_the_package(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for response, noise in network_noise.pilots()[name].items():
        effect = 3 * np.sqrt(noise.variance_within)
        found = planner.plan_study(name, effect, response=response)
        assert 2 <= found.repeats < 20
        assert found.num_pairs == noise.num_classes * (noise.num_classes - 1) / 2
        assert found.minutes is None
        assert "a small study of your own says how long" in planner.sentence(found)
    with pytest.raises(ValueError, match="a response of"):
        planner.plan_study(name, 1.0, response="bits")


def test_study_that_was_planned_finds_the_effect(plan):
    effect = 0.02
    plans = [plan(study_of(seed, 4), 100 * effect).repeats for seed in range(60)]
    repeats = int(np.median(plans))
    num_found = 0
    for seed in range(200):
        table = target_by_class.target_by_class(
            study_of(1000 + seed, repeats, effect=effect).responses,
            NAMES,
            responses=("accuracy",),
        )
        table = comparison_findings.with_test(table, "moderated")
        cell = table[(table["target"] == 0) & (table["class"] == 1)].iloc[0]
        num_found += cell["q_value"] <= 0.05
    assert 0.78 <= num_found / 200 <= 0.98


def test_what_makes_no_sense_is_refused(plan):
    study = study_of(0, 4)
    with pytest.raises(ValueError, match="effect above 0"):
        plan(study, 0.0)
    with pytest.raises(ValueError, match="power between"):
        plan(study, 1.0, power=0.4)
    with pytest.raises(ValueError, match="comparison"):
        plan(study, 1.0, comparison="cells")
    with pytest.raises(ValueError, match="'features'"):
        planner.plan_study("small", 1.0)
    with pytest.raises(ValueError, match="two repeats"):
        plan(study_of(0, 1), 1.0)
    with pytest.raises(ValueError, match="all 10 pairs"):
        plan(study, 1.0, num_pairs=3)
    with pytest.raises(ValueError, match="1 to 10 pairs"):
        plan(study, 1.0, num_pairs=11)


def test_more_repeats_than_anybody_trains():
    table = planner.StudyPlan(
        effect=1.0,
        unit="points",
        power=null_results.POWER,
        cells=90,
        num_pairs=1,
        repeats=sensitivity.MOST_REPEATS,
        estimated_repeats=90_000,
        most_repeats=sensitivity.MOST_REPEATS,
        baseline_repeats=20_000,
        fewest=(sensitivity.MOST_REPEATS, 20_000),
        seconds=0.3,
    )
    assert "An effect of 1 point on one" in planner.sentence(table)
    assert "more than 100,000 repeats" in planner.sentence(table)
    assert "about 10 hours" in planner.sentence(table)
