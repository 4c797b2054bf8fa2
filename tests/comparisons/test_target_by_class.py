import dataclasses
import itertools

import numpy as np
import pytest

from keras_confusion.comparisons import target_by_class
from keras_confusion.comparisons.target_by_class import ArmGroups

NAMES = ["cat", "dog", "car", "ship"]


@pytest.fixture
def uneven(study, rng):
    """Arms of one network to six, in no order; one arm has none."""
    kept = rng.permutation(np.flatnonzero(rng.random(len(study.confused_pair)) < 0.6))
    kept = kept[study.confused_pair[kept] != 4]
    return dataclasses.replace(
        study,
        confused_pair=study.confused_pair[kept],
        confused_seed=study.confused_seed[kept],
        confused=study.confused.select(kept),
        confused_without_pair=study.confused_without_pair.select(kept),
    )


def groups_of(study, target, other):
    """Which networks are in the one group and in the other, by an obvious loop."""
    pairs = [study.pairs[index] for index in study.confused_pair]
    return (
        np.array([other in pair and target not in pair for pair in pairs]),
        np.array([other not in pair and target not in pair for pair in pairs]),
    )


def test_groups_of_uneven_arms_are_their_networks(uneven):
    table = target_by_class.target_by_class(uneven, NAMES)
    shifts = target_by_class.level_shifts(uneven)[uneven.confused_pair]
    values = {
        "accuracy": uneven.confused.accuracy,
        "accuracy_without_pair": uneven.confused_without_pair.accuracy - shifts,
    }
    assert len(table) == 24
    for row in table.to_dict("records"):
        target_values = values[row["response"]][:, row["target"]]
        groups = groups_of(uneven, row["target"], row["class"])
        for name, group in zip(("confused", "comparison"), groups, strict=True):
            some = target_values[group]
            assert row[f"n_{name}"] == len(some)
            if len(some) < 2:
                assert np.isnan(row[f"sd_{name}"])
                assert row["reason"] == "fewer than 2 networks in a group"
                continue
            assert row[f"mean_{name}"] == pytest.approx(some.mean(), rel=1e-13)
            assert row[f"sd_{name}"] == pytest.approx(some.std(ddof=1), rel=1e-12)


def test_repeats_of_uneven_arms_are_those_of_both_groups(uneven):
    table = target_by_class.target_by_class(uneven, NAMES)
    plain = table[table["response"] == "accuracy"]
    for row in plain.to_dict("records"):
        target_values = uneven.confused.accuracy[:, row["target"]]
        differences = []
        for seed in np.unique(uneven.confused_seed):
            means = [
                target_values[group & (uneven.confused_seed == seed)]
                for group in groups_of(uneven, row["target"], row["class"])
            ]
            if all(map(len, means)):
                differences.append(means[0].mean() - means[1].mean())
        assert row["paired_n"] == len(differences)
        expected = 100 * np.mean(differences) if differences else np.nan
        assert row["paired_difference_points"] == pytest.approx(expected, nan_ok=True)
    # Rows differ in the repeats that they have.
    assert plain["paired_n"].nunique() > 1


@pytest.mark.parametrize("by_networks", [True, False])
def test_levels_count_as_the_arms_do(uneven, rng, by_networks):
    levels = rng.random((len(uneven.pairs), 5))
    counts = np.bincount(uneven.confused_pair, minlength=len(uneven.pairs))
    if not by_networks:
        counts = np.ones_like(counts)
    for target, other in itertools.permutations(range(4), 2):
        arms = [target not in pair for pair in uneven.pairs]
        with_class = np.array([other in pair for pair in uneven.pairs])
        means = [
            np.average(levels[arms & group], axis=0, weights=counts[arms & group])
            if counts[arms & group].any()
            else 0
            for group in (with_class, ~with_class)
        ]
        found = ArmGroups(uneven).level_contrasts(
            target, levels, by_networks=by_networks
        )
        row = other - (other > target)
        np.testing.assert_allclose(found[row], means[0] - means[1], atol=1e-14)
