import dataclasses
import itertools
import math

import numpy as np
import pandas as pd
import pytest

from keras_confusion.comparisons import findings as comparison_findings
from keras_confusion.comparisons import (
    null_results,
    planner,
    study_results,
    target_by_class,
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
    assert found.estimated_repeats < found.repeats
    # 3 degrees of freedom of each of 5 targets: the variance is at most 1.46 times it.
    assert found.repeats < 1.8 * found.estimated_repeats
    assert found.baseline_repeats == round(found.repeats * math.sqrt(10))
    assert found.networks == 10 * found.repeats + found.baseline_repeats
    assert found.minutes == pytest.approx(found.networks * SECONDS / 60)
    larger = plan(study_of(0, 4), 4.0, comparison=comparison)
    assert larger.repeats < found.repeats
    surer = plan(study_of(0, 4), 2.0, comparison=comparison, power=0.95)
    assert surer.repeats > found.repeats
    assert planner.sentence(found).startswith(
        f"An effect of 2 points on one of {num_cells} cells is found with 80 % power "
        f"by {found.repeats} repeats"
    )


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
    with pytest.raises(ValueError, match="a test of accuracy"):
        plan(study_of(0, 1), 1.0)
    few = dataclasses.replace(study.responses, pairs=PAIRS[:3])
    with pytest.raises(ValueError, match="all pairs"):
        plan(dataclasses.replace(study, responses=few), 1.0)


def test_more_repeats_than_anybody_trains():
    table = planner.StudyPlan(
        effect=1.0,
        unit="points",
        power=null_results.POWER,
        cells=90,
        repeats=sensitivity.MOST_REPEATS,
        estimated_repeats=90_000,
        baseline_repeats=1,
        networks=600,
        seconds=60.0,
    )
    assert "An effect of 1 point on one" in planner.sentence(table)
    assert "more than 100,000 repeats" in planner.sentence(table)
    assert "about 10 hours" in planner.sentence(table)
