import dataclasses
import itertools
import tracemalloc

import numpy as np
import pytest

from keras_confusion.comparisons import blocks as comparison_blocks
from keras_confusion.comparisons import findings as comparison_findings
from keras_confusion.comparisons import (
    group_statistics,
    target_by_class,
    target_by_pair,
)
from keras_confusion.comparisons.rates import ListedRates, Rates
from keras_confusion.comparisons.responses import StudyResponses
from keras_confusion.stats import block_design

NUM_CLASSES = 7
NAMES = [f"class{label}" for label in range(NUM_CLASSES)]
# (target, pair) whose accuracy falls whatever is left out, and by how much.
EFFECT = (2, (0, 5), -0.2)
REPEATS = 3


def study_of(seed=0, *, shared=True, missing=()):
    """All 21 pairs, three repeats that share a seed, and a baseline network of each.

    Leaving out a pair raises the level of the others by a number of its own.
    """
    generator = np.random.default_rng(seed)
    pairs = list(itertools.combinations(range(NUM_CLASSES), 2))
    repeat_effects = generator.normal(0, 0.05, (REPEATS, NUM_CLASSES))
    level = generator.uniform(0, 0.1, (len(pairs), NUM_CLASSES))

    def rates(accuracy):
        return Rates(accuracy, 0.1 - accuracy / 20, accuracy - 2)

    places = [
        (index, repeat)
        for index in range(len(pairs))
        for repeat in range(REPEATS)
        if (pairs[index], repeat) not in missing
    ]
    arms, repeats = np.array(places).T
    accuracy = 0.6 + repeat_effects[repeats]
    accuracy += generator.normal(0, 0.01, accuracy.shape)
    target, pair, effect = EFFECT
    accuracy[arms == pairs.index(pair), target] += effect
    baseline = 0.6 + repeat_effects + generator.normal(0, 0.01, repeat_effects.shape)
    without_pair = accuracy + level[arms]
    for row, arm in enumerate(arms):
        without_pair[row, list(pairs[arm])] = np.nan
    return StudyResponses(
        pairs=pairs,
        confused_pair=arms,
        confused_seed=repeats if shared else np.arange(len(arms)) + 100,
        baseline_seed=np.arange(REPEATS),
        confused=rates(accuracy),
        confused_without_pair=rates(without_pair),
        baseline=rates(baseline),
        baseline_without_pair=ListedRates(rates(baseline[None] + level[:, None])),
        prior=np.full(NUM_CLASSES, 1 / NUM_CLASSES),
        test_images_per_class=np.full(NUM_CLASSES, 100),
    )


@pytest.mark.parametrize("response", ["accuracy", "accuracy_without_pair"])
def test_three_repeats_find_what_is_there_and_nothing_else(response):
    table = target_by_pair.target_by_pair(study_of(), NAMES)
    third = table[(table["family"] == "third") & (table["response"] == response)]
    found = third[third["blocks_q_value"] <= 0.05]
    assert [(*row,) for row in found[["target", "class_a", "class_b"]].to_numpy()] == [
        (2, 0, 5)
    ]
    row = found.iloc[0]
    # Against the baseline of the same repeats, as the paired test.
    assert row["blocks_difference_points"] == pytest.approx(-20, abs=2)
    assert row["blocks_difference_points"] == row["paired_difference_points"]
    # 15 arms without the target.
    assert row["blocks_df"] == 14 * 2
    assert row["blocks_n"] == REPEATS
    told = comparison_findings.with_test(third, "blocks").loc[row.name]
    assert told["p_value"] == row["blocks_p_value"]
    assert told["df"] == row["blocks_df"]


def test_classes_share_the_effect_of_their_arms():
    table = target_by_class.target_by_class(study_of(), NAMES)
    rows = table[(table["target"] == 2) & (table["response"] == "accuracy")]
    class_differences = rows.set_index("class")["blocks_difference_points"]
    # One of five arms with the class, against ten without.
    assert class_differences[[0, 5]].to_numpy() == pytest.approx([-4, -4], abs=1)
    assert class_differences[[1, 3, 4, 6]].abs().max() < 4
    # Means of all networks are compared as Welch compares them.
    np.testing.assert_allclose(
        class_differences, rows.set_index("class")["difference_points"]
    )


def test_targets_in_the_pair_have_no_test():
    table = target_by_pair.target_by_pair(study_of(), NAMES)
    members = table[table["family"] == "members"]
    assert members["blocks_p_value"].isna().all()
    assert set(members["blocks_reason"]) == {group_statistics.IN_PAIR}


def test_repeats_that_lack_an_arm_are_left_out():
    study = study_of(missing=[((0, 1), 1)])
    table = target_by_pair.target_by_pair(study, NAMES)
    third = table[table["family"] == "third"]
    assert set(third[third["target"] == 3]["blocks_n"]) == {2}
    # Arms with the target are not compared: the gap does not count for these.
    assert set(third[third["target"] == 0]["blocks_n"]) == {3}


def test_networks_with_their_own_seeds_have_no_blocks():
    table = target_by_pair.target_by_pair(study_of(shared=False), NAMES)
    third = table[table["family"] == "third"]
    assert third["blocks_p_value"].isna().all()
    assert set(third["blocks_reason"]) == {block_design.FEW_BLOCKS}


def test_own_baseline_is_that_of_the_repeat_and_the_pair():
    study = study_of()
    own = comparison_blocks.own_baseline(study)
    values = np.stack(
        [
            comparison_blocks.less_own_baseline(study, target, own)
            for target in range(NUM_CLASSES)
        ],
        axis=1,
    )
    network = 5
    arm, repeat = study.confused_pair[network], study.confused_seed[network]
    expected = (
        study.confused_without_pair.accuracy[network]
        - study.baseline_without_pair.rates.accuracy[arm, repeat]
    )
    np.testing.assert_array_equal(values[network], expected)


def test_networks_with_their_own_seeds_take_no_room():
    num_arms, repeats = 300, 10
    pairs = list(itertools.combinations(range(25), 2))
    values = np.zeros((num_arms * repeats, 25))
    study = dataclasses.replace(
        study_of(),
        pairs=pairs,
        prior=np.full(25, 1 / 25),
        confused_pair=np.repeat(np.arange(num_arms), repeats),
        confused_seed=np.arange(num_arms * repeats),
    )
    tracemalloc.start()
    comparison_blocks.by_pair(
        study,
        lambda target: values[:, target],
        lambda target, networks: np.zeros((len(pairs), len(networks))),
    )
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    # Arms x networks are 7 MB; in a study of 100 classes, 1.6 GB.
    assert peak < 4_000_000
