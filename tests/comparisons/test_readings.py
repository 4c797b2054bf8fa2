import itertools
import math
import statistics

import numpy as np
import pandas as pd
import pytest

from keras_confusion.comparisons import readings
from keras_confusion.confusion import network_files
from keras_confusion.stats import discriminability

NUM_CLASSES = 6
PAIRS = [(0, 1), (0, 4), (2, 5), (3, 4)]
REPEATS, NUM_BASELINE, NUM_READOUT = 3, 5, 2
D_PRIME_COLUMNS = {
    "total": "discriminability",
    "features": "features_discriminability",
}
# So many that no d' is shrunken.
NUM_IMAGES = 10**9
# Values are kept as float32.
ATOL = 2e-6


def seed_of(repeat):
    return 1000 + 7 * repeat


def drawn(rng, num_classes=NUM_CLASSES):
    num_d_primes = num_classes * (num_classes - 1) // 2
    return rng.normal(2, 0.5, num_d_primes).astype(np.float32)


def network(pair, repeat, **columns):
    a, b = (pd.NA, pd.NA) if pair is None else pair
    row = {
        "failed": False,
        "class_a": a,
        "class_b": b,
        "repeat": repeat,
        "seed": seed_of(repeat),
        "discriminability": None,
        "features_discriminability": None,
        "readout_discriminability": None,
    }
    return row | columns


def networks(rng, *, num_classes=NUM_CLASSES, pairs=PAIRS):
    """Rows of a study whose d' are drawn; the first baselines have a readout."""
    rows = [
        network(
            pair,
            repeat,
            discriminability=drawn(rng, num_classes),
            features_discriminability=drawn(rng, num_classes),
        )
        for pair in (None, *pairs)
        for repeat in range(NUM_BASELINE if pair is None else REPEATS)
    ]
    for row in rows[:NUM_READOUT]:
        readout = rng.normal(2, 0.5, (len(pairs), num_classes)).astype(np.float32)
        for pair_means, pair in zip(readout, pairs, strict=True):
            pair_means[list(pair)] = np.nan
        row["readout_discriminability"] = readout.ravel()
    return rows


def collected(rows, *, num_classes=NUM_CLASSES, pairs=PAIRS, num_images=None):
    if num_images is None:
        num_images = np.full(num_classes, NUM_IMAGES)
    collector = readings.ReadingCollector(num_images, pairs=pairs)
    for row in rows:
        collector.add(row)
    return collector.studies()


def mean(values):
    return sum(values) / len(values)


def means_without_pair(d_primes, pair, num_classes=NUM_CLASSES):
    """Written out: the mean d' of every target that has one, by target."""
    d_prime_by_two = dict(
        zip(itertools.combinations(range(num_classes), 2), d_primes, strict=True)
    )
    means = {}
    for target in set(range(num_classes)) - set(pair):
        known = [
            float(d_prime)
            for two, d_prime in d_prime_by_two.items()
            if target in two and not set(two) & set(pair) and not math.isnan(d_prime)
        ]
        if known:
            means[target] = mean(known)
    return means


def values_of(confused, baseline, num_classes=NUM_CLASSES):
    """Written out: what networks show of every target, everybody coming last.

    Args:
        confused: Of every confused network the means by target.
        baseline: Those of all baseline networks, of which changes are told.
        num_classes: Number of classes.

    Returns:
        Rows of the confused and of the baseline networks.
    """
    targets = baseline[0].keys()
    levels = {target: mean([means[target] for means in baseline]) for target in targets}

    def relative_values(means):
        changes = {target: means[target] - levels[target] for target in targets}
        everybody = statistics.median(changes.values())
        relative = [changes.get(k, math.nan) - everybody for k in range(num_classes)]
        return [*relative, everybody]

    return [relative_values(means) for means in confused], [
        relative_values(means) for means in baseline
    ]


def pair_of(row):
    is_baseline = row["class_a"] is pd.NA
    return None if is_baseline else (row["class_a"], row["class_b"])


def values_of_pair(rows, pair, column):
    """`values_of` the networks of a pair and the baseline."""
    confused, baseline = (
        [means_without_pair(row[column], pair) for row in rows if pair_of(row) == arm]
        for arm in (pair, None)
    )
    return values_of(confused, baseline)


def assert_same_studies(found, expected):
    assert list(found) == list(expected)
    for reading, study in found.items():
        other = expected[reading]
        for name in ("confused_pair", "confused_seed", "baseline_seed"):
            np.testing.assert_array_equal(getattr(study, name), getattr(other, name))
        np.testing.assert_array_equal(
            study.confused_without_pair.accuracy, other.confused_without_pair.accuracy
        )
        for target in range(len(study.prior)):
            np.testing.assert_array_equal(
                study.baseline_without_pair.accuracy_of(target),
                other.baseline_without_pair.accuracy_of(target),
            )


def test_golden_number():
    # Of 0 and 1, which are left out, whatever; then (2,3) 2, (2,4) 3 and (3,4) 4, and
    # 2, 3 and 4 have means of 2.5, 3 and 3.5.
    d_primes = np.array([1, 1, 1, 1, 1, 1, 1, 2, 3, 4], np.float32)
    # Of the confused network (2,3) is 1 and (2,4) is 0: means of 0.5, 2.5 and 2.
    confused = np.array([0, 0, 0, 0, 0, 0, 0, 1, 0, 4], np.float32)
    rows = [
        network(None, 0, features_discriminability=d_primes),
        network((0, 1), 0, features_discriminability=confused),
    ]
    study = collected(rows, num_classes=5, pairs=[(0, 1)])["features"]
    # Changes of -2, -0.5 and -1.5, the median of which is everybody's.
    np.testing.assert_allclose(
        study.confused_without_pair.accuracy,
        [[math.nan, math.nan, -0.5, 1, 0, -1.5]],
        atol=ATOL,
    )
    np.testing.assert_array_equal(
        study.baseline_without_pair.accuracy_of_pair(0),
        [[math.nan, math.nan, 0, 0, 0, 0]],
    )


def test_golden_number_of_few_images():
    # 50 images of 2 and of 3: AUCs of 0.9773 (d' 2), 0.99865 (3), 0.99997 (4) and
    # 0.8413 (1) become 0.9589, 0.97947, 0.98074 and 0.8282, d' of 1.738, 2.042, 2.069
    # and 0.947 (any table).
    baseline = np.array([1, 1, 1, 1, 1, 1, 1, 2, 3, 4], np.float32)
    confused = np.array([1, 1, 1, 1, 1, 1, 1, 3, 1, -5], np.float32)
    rows = [
        network(None, 0, features_discriminability=baseline),
        network((0, 1), 0, features_discriminability=confused),
    ]
    study = collected(
        rows, num_classes=5, pairs=[(0, 1)], num_images=[10**9, 10**9, 50, 50, 900]
    )["features"]
    # (2,3), (2,4) and (3,4): 1.738, 2.042 and 2.069; of the confused network 2.042,
    # 0.947 and, of -5, -2.070.
    changes = np.array([2.989 - 3.780, -0.028 - 3.807, -1.123 - 4.111]) / 2
    np.testing.assert_allclose(
        study.confused_without_pair.accuracy[0, 2:],
        [*(changes - changes[1]), changes[1]],
        atol=2e-3,
    )


@pytest.mark.parametrize("reading", D_PRIME_COLUMNS)
def test_values_are_those_of_a_plain_loop(rng, reading):
    rows, column = networks(rng), D_PRIME_COLUMNS[reading]
    study = collected(rows)[reading]
    assert study.pairs == PAIRS
    assert study.confused_pair.tolist() == np.repeat(range(4), REPEATS).tolist()
    assert study.confused_seed.tolist() == [seed_of(r) for r in range(REPEATS)] * 4
    assert study.baseline_seed.tolist() == [seed_of(r) for r in range(NUM_BASELINE)]
    for index, pair in enumerate(PAIRS):
        confused, baseline = values_of_pair(rows, pair, column)
        np.testing.assert_allclose(
            study.confused_without_pair.accuracy[study.confused_pair == index],
            confused,
            atol=ATOL,
        )
        without_pair = study.baseline_without_pair
        np.testing.assert_allclose(
            without_pair.accuracy_of_pair(index), baseline, atol=ATOL
        )
        for target in range(NUM_CLASSES + 1):
            np.testing.assert_allclose(
                without_pair.accuracy_of(target)[index],
                np.array(baseline)[:, target],
                atol=ATOL,
            )
            chosen = without_pair.accuracy_of(target, np.array([3, 1]))[index]
            np.testing.assert_allclose(
                chosen, np.array(baseline)[[3, 1], target], atol=ATOL
            )
        np.testing.assert_allclose(
            without_pair.mean("accuracy")[index],
            np.mean(baseline, axis=0),
            atol=ATOL,
        )


def test_both_readings_are_kept_apart(rng):
    studies = collected(networks(rng))
    total, features = (
        studies[reading].confused_without_pair.accuracy for reading in D_PRIME_COLUMNS
    )
    assert list(studies) == ["total", "features", "readout"]
    assert np.nanmin(np.abs(total - features)) > 1e-6


def test_networks_in_any_order_give_the_same(rng):
    rows = networks(rng)
    expected = collected(rows)
    order = rng.permutation(len(rows))
    assert (np.diff(order) < 0).sum() > 3
    shuffled = [rows[index] for index in order]
    assert_same_studies(collected(shuffled), expected)


@pytest.mark.parametrize("place", [0, 7])
def test_network_that_is_added_twice_is_refused(rng, place):
    rows = networks(rng)
    with pytest.raises(ValueError, match="every network once"):
        collected([*rows, rows[place]])


def test_row_without_a_column_is_left_out_of_that_reading_only(rng):
    rows = networks(rng)
    # A baseline and a confused network, each without one of both.
    places = {"total": 3, "features": NUM_BASELINE + 1}
    lacking = [dict(row) for row in rows]
    for reading, place in places.items():
        lacking[place][D_PRIME_COLUMNS[reading]] = None
    found = collected(lacking)
    assert found["total"].baseline_seed.tolist() == [seed_of(r) for r in (0, 1, 2, 4)]
    assert len(found["total"].confused_seed) == 4 * REPEATS
    assert len(found["features"].baseline_seed) == NUM_BASELINE
    assert found["features"].confused_seed.tolist() == [
        seed_of(r) for r in (0, 2, *[0, 1, 2] * 3)
    ]
    for reading, place in places.items():
        without = collected([*rows[:place], *rows[place + 1 :]])
        assert_same_studies({reading: found[reading]}, {reading: without[reading]})


def test_failed_networks_are_left_out(rng):
    rows = networks(rng)
    some_failed = [row | {"failed": row["repeat"] == 1} for row in rows]
    finished = [row for row in rows if row["repeat"] != 1]
    assert_same_studies(collected(some_failed), collected(finished))
    # What a failed network has is nothing.
    for row in some_failed:
        if row["failed"]:
            row |= dict.fromkeys(readings.COLUMNS)
    assert_same_studies(collected(some_failed), collected(finished))


def test_readout_pairs_swapped_heads_with_the_right_head_of_their_baseline(rng):
    rows = networks(rng)
    study = collected(rows)["readout"]
    seeds = [seed_of(repeat) for repeat in range(NUM_READOUT)]
    assert study.baseline_seed.tolist() == seeds
    assert study.confused_seed.tolist() == seeds * len(PAIRS)
    assert study.confused_pair.tolist() == np.repeat(range(4), NUM_READOUT).tolist()
    for index, pair in enumerate(PAIRS):
        right, swapped = [], []
        for row in rows[:NUM_READOUT]:
            right.append(means_without_pair(row["features_discriminability"], pair))
            readout = row["readout_discriminability"].reshape(len(PAIRS), NUM_CLASSES)
            means = enumerate(readout[index].tolist())
            swapped.append({k: value for k, value in means if k not in pair})
        swapped_values, right_values = values_of(swapped, right)
        np.testing.assert_allclose(
            study.confused_without_pair.accuracy[study.confused_pair == index],
            swapped_values,
            atol=ATOL,
        )
        np.testing.assert_allclose(
            study.baseline_without_pair.accuracy_of_pair(index), right_values, atol=ATOL
        )


def test_readout_is_paired_by_seed_whichever_baselines_have_it(rng):
    rows = networks(rng)
    for place, repeat in ((0, 4), (1, 2)):
        taken = rows[place]["readout_discriminability"]
        rows[place]["readout_discriminability"] = None
        rows[repeat]["readout_discriminability"] = taken
    study = collected(rows)["readout"]
    assert study.baseline_seed.tolist() == [seed_of(2), seed_of(4)]
    right = [
        means_without_pair(rows[repeat]["features_discriminability"], PAIRS[1])
        for repeat in (2, 4)
    ]
    np.testing.assert_allclose(
        study.baseline_without_pair.accuracy_of_pair(1),
        values_of([], right)[1],
        atol=ATOL,
    )


def test_no_readout_without_swapped_heads(rng):
    rows = networks(rng)
    for row in rows:
        row["readout_discriminability"] = None
    assert list(collected(rows)) == ["total", "features"]


@pytest.mark.parametrize("num_classes", [3, network_files.MAX_MATRIX_CLASSES + 1])
def test_means_of_many_classes_are_read_as_they_are_from_the_matrix(rng, num_classes):
    # Of three classes there are as many pairs as means: they are pairs.
    pairs = [(0, 1), (1, num_classes - 1)]
    rows = networks(rng, num_classes=num_classes, pairs=pairs)
    from_matrix = collected(rows, num_classes=num_classes, pairs=pairs)
    for row in rows:
        pair = pair_of(row)
        if num_classes == 3 or pair is None:
            continue
        for column in D_PRIME_COLUMNS.values():
            d = discriminability.matrices(row[column], num_classes)
            row[column] = discriminability.without_pair(d, pair).astype(np.float32)
            assert len(row[column]) == num_classes
    from_means = collected(rows, num_classes=num_classes, pairs=pairs)
    for reading in D_PRIME_COLUMNS:
        values = from_means[reading].confused_without_pair.accuracy
        assert values.shape == (2 * REPEATS, num_classes + 1)
        np.testing.assert_allclose(
            values, from_matrix[reading].confused_without_pair.accuracy, atol=ATOL
        )
    # Of three classes none is left to tell the third from.
    is_known = np.isfinite(values)
    assert is_known.sum() == (0 if num_classes == 3 else 2 * REPEATS * num_classes - 6)


def test_study_without_any_d_prime_has_no_reading(rng):
    rows = networks(rng)
    for row in rows:
        for column in readings.COLUMNS:
            row[column] = None
    assert collected(rows) == {}
    assert collected([]) == {}


def test_reading_needs_networks_of_both_groups(rng):
    rows = networks(rng)
    assert collected([row for row in rows if pair_of(row) is not None]) == {}
    # Swapped heads and right ones are of the same baseline networks.
    assert list(collected(rows[:NUM_BASELINE])) == ["readout"]
    assert collected(rows[NUM_READOUT:NUM_BASELINE]) == {}


def test_class_without_test_images_has_no_value_and_counts_in_none(rng):
    rows, without_images = networks(rng), 2
    has_none = [
        without_images in two for two in itertools.combinations(range(NUM_CLASSES), 2)
    ]
    for row in rows:
        for column in D_PRIME_COLUMNS.values():
            row[column][has_none] = np.nan
    num_images = np.full(NUM_CLASSES, NUM_IMAGES)
    num_images[without_images] = 0
    study = collected(rows, num_images=num_images)["features"]
    for index, pair in enumerate(PAIRS):
        confused, baseline = map(
            np.array, values_of_pair(rows, pair, "features_discriminability")
        )
        is_known = [k != without_images and k not in pair for k in range(NUM_CLASSES)]
        assert np.isfinite(confused).all(axis=0).tolist() == [*is_known, True]
        np.testing.assert_allclose(
            study.confused_without_pair.accuracy[study.confused_pair == index],
            confused,
            atol=ATOL,
        )
        by_target = [
            study.baseline_without_pair.accuracy_of(target)[index]
            for target in range(NUM_CLASSES + 1)
        ]
        for found in (
            study.baseline_without_pair.accuracy_of_pair(index),
            np.transpose(by_target),
        ):
            np.testing.assert_allclose(found, baseline, atol=ATOL)


def test_d_prime_is_shrunken_to_what_images_can_show(rng):
    rows = networks(rng)
    shrunken = [
        row
        | {
            name: discriminability.shrunken(row[name], np.full(NUM_CLASSES, 50))
            for name in D_PRIME_COLUMNS.values()
        }
        for row in rows
    ]
    collector = readings.ReadingCollector(np.full(NUM_CLASSES, 50), pairs=PAIRS)
    for row in rows:
        collector.add(row)
    found, expected = collector.studies(), collected(shrunken)
    for reading in D_PRIME_COLUMNS:
        np.testing.assert_allclose(
            found[reading].confused_without_pair.accuracy,
            expected[reading].confused_without_pair.accuracy,
            atol=ATOL,
        )
