import dataclasses
import itertools
import tracemalloc

import numpy as np
import pytest

from keras_confusion.comparisons import findings as comparison_findings
from keras_confusion.comparisons import (
    group_statistics,
    moderated_cells,
    target_by_class,
    target_by_pair,
)
from keras_confusion.comparisons.rates import ListedRates, Rates
from keras_confusion.comparisons.responses import StudyResponses

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
    found = third[third["moderated_q_value"] <= 0.05]
    assert [(*row,) for row in found[["target", "class_a", "class_b"]].to_numpy()] == [
        (2, 0, 5)
    ]
    row = found.iloc[0]
    # There are no other baseline networks than those of the repeats.
    assert row["moderated_difference_points"] == pytest.approx(-20, abs=2)
    assert row["moderated_difference_points"] == pytest.approx(
        row["paired_difference_points"]
    )
    # Its own 2 degrees of freedom, and at most twice as many of the other arms.
    assert 2 < row["moderated_df"] <= 6
    assert row["moderated_n"] == REPEATS
    told = comparison_findings.with_test(third, "moderated").loc[row.name]
    assert told["p_value"] == row["moderated_p_value"]
    assert told["df"] == row["moderated_df"]


def test_classes_share_the_effect_of_their_arms():
    table = target_by_class.target_by_class(study_of(), NAMES)
    rows = table[(table["target"] == 2) & (table["response"] == "accuracy")]
    class_differences = rows.set_index("class")["moderated_difference_points"]
    # One of five arms with the class, against ten without.
    assert class_differences[[0, 5]].to_numpy() == pytest.approx([-4, -4], abs=1)
    assert class_differences[[1, 3, 4, 6]].abs().max() < 4
    # Means of all networks are compared as Welch compares them.
    np.testing.assert_allclose(
        class_differences, rows.set_index("class")["difference_points"]
    )


def test_targets_in_the_pair_have_a_test_of_their_accuracy_alone():
    table = target_by_pair.target_by_pair(study_of(), NAMES)
    members = table[table["family"] == "members"]
    is_plain = members["response"] == "accuracy"
    plain, without_pair = members[is_plain], members[~is_plain]
    np.testing.assert_allclose(
        plain["moderated_difference_points"], plain["paired_difference_points"]
    )
    assert plain["moderated_p_value"].notna().all()
    assert without_pair["moderated_p_value"].isna().all()
    assert set(without_pair["moderated_reason"]) == {group_statistics.IN_PAIR}


def test_repeats_that_an_arm_lacks_are_left_out_of_it_alone():
    study = study_of(missing=[((0, 1), 1)])
    table = target_by_pair.target_by_pair(study, NAMES)
    third = table[table["family"] == "third"]
    is_arm = (third["class_a"] == 0) & (third["class_b"] == 1)
    assert set(third[is_arm]["moderated_n"]) == {2}
    assert set(third[~is_arm]["moderated_n"]) == {3}


def test_networks_with_their_own_seeds_are_compared_as_independent_ones():
    study = study_of(shared=False)
    table = target_by_pair.target_by_pair(study, NAMES)
    third = table[table["family"] == "third"]
    assert set(third["moderated_n"]) == {REPEATS}
    np.testing.assert_allclose(
        third["moderated_difference_points"], third["difference_points"]
    )
    # The level's degrees of freedom are few: there are three baseline networks.
    assert third["moderated_df"].between(2, 10).all()
    table = target_by_class.target_by_class(study, NAMES)
    for column in ("difference_points", "t", "df", "p_value", "reason"):
        assert (table[f"moderated_{column}"] == table[column]).all()
    assert (table["moderated_n"] == table["n_confused"]).all()


@pytest.mark.parametrize("response", ["accuracy", "accuracy_without_pair"])
def test_more_baseline_networks_make_intervals_shorter(response):
    few = study_of()
    rng = np.random.default_rng(5)
    levels = few.baseline_without_pair.rates.accuracy - few.baseline.accuracy
    more = 0.6 + rng.normal(0, 0.05, (40, NUM_CLASSES))
    baseline = np.concatenate([few.baseline.accuracy, more])
    rates = Rates(baseline, 0 * baseline, baseline)
    without_pair = baseline[None] + levels[:, :1]
    many = dataclasses.replace(
        few,
        baseline_seed=np.arange(REPEATS + 40),
        baseline=rates,
        baseline_without_pair=ListedRates(Rates(*[without_pair] * 3)),
    )

    def of_study(study):
        table = target_by_pair.target_by_pair(study, NAMES, responses=[response])
        return table[table["family"] == "third"]

    few_cells, many_cells = of_study(few), of_study(many)
    # Repeats differ by 0.05 and the noise within them is 0.01: others tell little, and
    # the means stay near those of pairs.
    np.testing.assert_allclose(
        many_cells["moderated_difference_points"],
        few_cells["paired_difference_points"],
        atol=1,
    )
    widths = [
        (cells["moderated_ci_high_points"] - cells["moderated_ci_low_points"]).mean()
        for cells in (few_cells, many_cells)
    ]
    assert widths[1] < 1.1 * widths[0]
    # Where nothing is shared, they count as much as the repeats' own.
    apart = [
        of_study(dataclasses.replace(study, confused_seed=study.confused_seed + 1000))
        for study in (few, many)
    ]
    widths = [
        (cells["moderated_ci_high_points"] - cells["moderated_ci_low_points"]).mean()
        for cells in apart
    ]
    assert widths[1] < 0.85 * widths[0]


def test_levels_of_all_baseline_networks_count_alike_for_classes():
    study = study_of()
    # Repeats 0 and 1 have confused networks; the baseline of repeat 2 is another one.
    kept = study.confused_seed < 2
    study = dataclasses.replace(
        study,
        confused_pair=study.confused_pair[kept],
        confused_seed=study.confused_seed[kept],
        confused=study.confused.select(kept),
        confused_without_pair=study.confused_without_pair.select(kept),
    )
    more = study.baseline_without_pair.rates.accuracy[:, [2, 2]].copy()
    more[:, 1] += 0.01
    levels = np.concatenate(
        [study.baseline_without_pair.rates.accuracy[:, :2], more], axis=1
    )
    study = dataclasses.replace(
        study,
        baseline_seed=np.arange(4),
        baseline_without_pair=ListedRates(Rates(levels, levels, levels)),
    )
    groups = target_by_class.ArmGroups(study)
    own = moderated_cells.own_baseline(study)
    found = groups.moderated_without_pair(study, 2, own, levels[:, :, 2])
    plain = study.confused_without_pair.accuracy[:, 2]
    expected = groups.differences(2, plain).mean(axis=1) - groups.level_contrasts(
        2, levels[:, :, 2], by_networks=False
    ).mean(axis=1)
    np.testing.assert_allclose(found.difference, expected)


def test_own_baseline_is_that_of_the_repeat_and_the_pair():
    study = study_of()
    own = moderated_cells.own_baseline(study)
    values = np.stack(
        [
            moderated_cells.less_own_baseline(study, target, own)
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
    moderated_cells.by_pair(
        study,
        lambda target: values[:, target],
        lambda target: np.zeros((len(pairs), REPEATS)),
    )
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    # Arms x networks are 7 MB; in a study of 100 classes, 1.6 GB.
    assert peak < 4_000_000
