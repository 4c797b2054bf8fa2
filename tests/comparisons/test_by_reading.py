import itertools
import statistics

import numpy as np
import pytest
import scipy.stats

from keras_confusion.comparisons import by_reading, readings
from keras_confusion.stats import discriminability

NAMES = ["cat", "dog", "car", "ship", "tree", "bird"]
NUM_CLASSES = len(NAMES)
EVERYBODY = NUM_CLASSES
# So many that no d' is shrunken.
NUM_IMAGES = np.full(NUM_CLASSES, 10**9)
PAIRS = list(itertools.combinations(range(NUM_CLASSES), 2))
REPEATS, NUM_BASELINE, NUM_READOUT = 4, 7, 3
READINGS = ("total", "features", "readout")
TESTS = ("", "paired_", "moderated_")
# Values are kept as float32.
ATOL = 2e-6
TABLES = {
    "pair": by_reading.readings_by_pair,
    "class": by_reading.readings_by_class,
}


def row(pair, repeat, **columns):
    network_row = {
        "failed": False,
        "class_a": None if pair is None else pair[0],
        "class_b": None if pair is None else pair[1],
        "repeat": repeat,
        "seed": 100 + repeat,
        "discriminability": None,
        "features_discriminability": None,
        "readout_discriminability": None,
    }
    return network_row | columns


def without_every_pair(d_primes):
    """The readout column of heads that say what `d_primes` say."""
    kept = discriminability.shrunken(d_primes, np.full(NUM_CLASSES, 10**9))
    d = discriminability.matrices(kept, NUM_CLASSES)
    means = [discriminability.without_pair(d, pair) for pair in PAIRS]
    return np.concatenate(means).astype(np.float32)


def collected(rows):
    collector = readings.ReadingCollector(np.full(NUM_CLASSES, 10**9), pairs=PAIRS)
    for network_row in rows:
        collector.add(network_row)
    return collector.studies()


def networks(rng, *, effect=None, noise=0.1, repeats=0.3):
    """Rows of all pairs: a level of every two classes, repeats, effects, noise.

    Args:
        rng: Draws levels, repeats and noise.
        effect: Gives for a pair what is added to every d' of its networks, by features
            and all the more by their own last layer; `None` adds nothing.
        noise: Standard deviation of every d'.
        repeats: What networks of a repeat have in common.
    """
    level = rng.uniform(1.5, 2.5, len(PAIRS))
    repeat_effects = rng.normal(0, repeats, (NUM_BASELINE, len(PAIRS)))
    rows = []
    for pair in (None, *PAIRS):
        for repeat in range(NUM_BASELINE if pair is None else REPEATS):
            added = 0 if pair is None or effect is None else effect(pair)
            total, features, swapped = (
                level
                + repeat_effects[repeat]
                + times * added
                + rng.normal(0, noise, len(PAIRS))
                for times in (1.5, 1, 0)
            )
            network_row = row(
                pair,
                repeat,
                discriminability=total.astype(np.float32),
                features_discriminability=features.astype(np.float32),
            )
            if pair is None and repeat < NUM_READOUT:
                network_row["readout_discriminability"] = without_every_pair(swapped)
            rows.append(network_row)
    return rows


def confusing_cat_costs_car(pair):
    """Half a d' of car against all others, in networks that confuse cat."""
    is_lost = [2 in two and 0 in pair and 2 not in pair for two in PAIRS]
    return -0.5 * np.array(is_lost)


def mean(values):
    values = list(values)
    return sum(values) / len(values)


def means_of(network_row, column, pair):
    """Written out: the mean d' of every target of a network, without a pair."""
    d_prime_by_two = dict(zip(PAIRS, network_row[column].tolist(), strict=True))
    outside = [k for k in range(NUM_CLASSES) if k not in pair]
    return {
        target: mean(
            d_prime_by_two[min(target, k), max(target, k)]
            for k in outside
            if k != target
        )
        for target in outside
    }


class Values:
    """Written out: values of networks by arm and repeat, of one reading.

    Args:
        rows: Of a study.
        reading: "total" or "features".
    """

    def __init__(self, rows, reading):
        names = {"total": "discriminability", "features": "features_discriminability"}
        self._column = names[reading]
        self._rows = {
            (
                network_row["class_a"],
                network_row["class_b"],
                network_row["repeat"],
            ): network_row
            for network_row in rows
        }

    def arm(self, pair, target):
        return self._values(pair, pair, REPEATS, target)

    def baseline(self, pair, target):
        return self._values((None, None), pair, NUM_BASELINE, target)

    def less_own_baseline(self, pair, target):
        return np.subtract(
            self.arm(pair, target), self.baseline(pair, target)[:REPEATS]
        )

    def _means(self, arm, pair, repeats):
        return [
            means_of(self._rows[*arm, repeat], self._column, pair)
            for repeat in range(repeats)
        ]

    def _values(self, arm, pair, repeats, target):
        """Changes from the baseline less their median; the median for everybody."""
        baseline = self._means((None, None), pair, NUM_BASELINE)
        return relative(self._means(arm, pair, repeats), baseline, target)


def relative(networks, baseline, target):
    found = []
    for means in networks:
        changes = {
            k: means[k] - mean(baseline_means[k] for baseline_means in baseline)
            for k in means
        }
        everybody = statistics.median(changes.values())
        found.append(everybody if target == EVERYBODY else changes[target] - everybody)
    return found


def cell(table, **where):
    for column, value in where.items():
        table = table[table[column] == value]
    assert len(table) == 1
    return table.iloc[0]


def arms_of(target, label):
    """Pairs with a class and without, none of them with the target."""
    outside = [pair for pair in PAIRS if target not in pair]
    return (
        [pair for pair in outside if label in pair],
        [pair for pair in outside if label not in pair],
    )


def test_planted_effects_are_those_that_come_out():
    # Without noise, of networks that confuse cat and another but car: car loses 0.5
    # against all 3 others outside of the pair, each of those 0.5 against one of 3. The
    # median of the four changes is -0.5 / 3, which is everybody's; car's is 1 / 3 more.
    rows = networks(
        np.random.default_rng(1), effect=confusing_cat_costs_car, noise=0, repeats=0
    )
    studies = {"features": collected(rows)["features"]}
    everybodys, cars = -0.5 / 3, -1 / 3
    for table in by_reading.readings_by_pair(studies, NAMES):
        assert (table["paired_n"] == REPEATS).all()
        for _, found in table.iterrows():
            expected = 0.0
            if found["class_a"] == 0 and found["class_b"] != 2:
                expected = {2: cars, None: everybodys}.get(found.get("target"), 0.0)
            assert found["paired_difference"] == pytest.approx(expected, abs=ATOL)
    cells, everybody = by_reading.readings_by_class(studies, NAMES)
    for _, found in cells.iterrows():
        expected = cars if (found["target"], found["class"]) == (2, 0) else 0.0
        if found["target"] == 2 and found["class"] != 0:
            # Cat is in one of four arms with the class, in three of six without.
            expected = cars / 4 - cars * 3 / 6
        assert found["paired_difference"] == pytest.approx(expected, abs=ATOL)
    for _, found in everybody.iterrows():
        # Of the five arms of cat one confuses car, which loses nothing then.
        expected = everybodys * 4 / 5
        if found["class"] == 2:
            expected = 0 - everybodys * 4 / 10
        elif found["class"] != 0:
            expected = everybodys / 5 - everybodys * 3 / 10
        assert found["paired_difference"] == pytest.approx(expected, abs=ATOL)


@pytest.fixture(scope="module")
def rows():
    return networks(np.random.default_rng(3), effect=confusing_cat_costs_car)


@pytest.fixture(scope="module")
def studies(rows):
    return collected(rows)


@pytest.fixture(scope="module")
def by_pair(studies):
    return by_reading.readings_by_pair(studies, NAMES)


@pytest.fixture(scope="module")
def by_class(studies):
    return by_reading.readings_by_class(studies, NAMES)


@pytest.mark.parametrize("reading", ["total", "features"])
def test_pairs_are_compared_with_the_baseline_without_the_pair(rows, by_pair, reading):
    cells, everybody = by_pair
    values = Values(rows, reading)
    for pair in PAIRS:
        where = {"reading": reading, "class_a": pair[0], "class_b": pair[1]}
        for target in range(NUM_CLASSES + 1):
            if target in pair:
                continue
            found = (
                cell(everybody, **where)
                if target == EVERYBODY
                else cell(cells, target=target, **where)
            )
            confused, baseline = (
                values.arm(pair, target),
                values.baseline(pair, target),
            )
            assert found["difference"] == pytest.approx(
                mean(confused) - mean(baseline), abs=ATOL
            )
            assert found["n_confused"] == REPEATS
            assert found["n_comparison"] == NUM_BASELINE
            welch = scipy.stats.ttest_ind(confused, baseline, equal_var=False)
            paired = scipy.stats.ttest_rel(confused, baseline[:REPEATS])
            for prefix, test in (("", welch), ("paired_", paired)):
                interval = test.confidence_interval()
                for name, expected in (
                    ("t", test.statistic),
                    ("p_value", test.pvalue),
                    ("ci_low", interval.low),
                    ("ci_high", interval.high),
                ):
                    # Rounding of values is a larger share of a small p-value.
                    assert found[prefix + name] == pytest.approx(
                        expected, rel=5e-3 if name == "p_value" else 1e-3, abs=ATOL
                    )
            differences = values.less_own_baseline(pair, target)
            assert found["paired_n"] == found["moderated_n"] == REPEATS
            assert found["paired_difference"] == pytest.approx(
                differences.mean(), abs=ATOL
            )
            # Baseline networks of other repeats count at most as much as the own ones.
            own, others = mean(baseline[:REPEATS]), mean(baseline[REPEATS:])
            moved = found["moderated_difference"] - differences.mean()
            share_of_others = moved / (own - others)
            assert -1e-3 <= share_of_others <= 1 - REPEATS / NUM_BASELINE + 1e-3


@pytest.mark.parametrize("reading", ["total", "features"])
def test_classes_are_compared_by_their_arms_within_repeats(rows, by_class, reading):
    cells, everybody = by_class
    values = Values(rows, reading)
    for target in range(NUM_CLASSES + 1):
        for label in set(range(NUM_CLASSES)) - {target}:
            where = {"reading": reading, "class": label}
            found = (
                cell(everybody, **where)
                if target == EVERYBODY
                else cell(cells, target=target, **where)
            )
            with_class, without = (
                np.array([values.less_own_baseline(pair, target) for pair in arms])
                for arms in arms_of(target, label)
            )
            in_repeats = [mean(list(group)) for group in (with_class, without)]
            difference = np.subtract(*in_repeats)
            test = scipy.stats.ttest_rel(*in_repeats)
            assert found["paired_n"] == REPEATS
            assert found["paired_difference"] == pytest.approx(
                difference.mean(), abs=ATOL
            )
            assert found["paired_t"] == pytest.approx(test.statistic, rel=1e-3)
            assert found["paired_p_value"] == pytest.approx(test.pvalue, rel=1e-3)
            # All baseline networks are the level of independent ones.
            levels = [
                mean(
                    mean(values.arm(pair, target)) - mean(values.baseline(pair, target))
                    for pair in arms
                )
                for arms in arms_of(target, label)
            ]
            assert found["difference"] == pytest.approx(levels[0] - levels[1], abs=ATOL)


@pytest.mark.parametrize("target", [2, EVERYBODY])
def test_classes_agree_with_least_squares(rows, by_class, target):
    cells, everybody = by_class
    values, label = Values(rows, "features"), 0
    outside = [pair for pair in PAIRS if target not in pair]
    centred = np.array([values.less_own_baseline(pair, target) for pair in outside])
    # A column a repeat, and one of whether the class is confused.
    design = [
        [*np.eye(REPEATS)[repeat], label in pair]
        for pair in outside
        for repeat in range(REPEATS)
    ]
    coefficients, *_ = np.linalg.lstsq(np.array(design, float), centred.ravel())
    where = {"reading": "features", "class": label}
    if target == EVERYBODY:
        found = cell(everybody, **where)
    else:
        found = cell(cells, target=target, **where)
    assert found["paired_difference"] == pytest.approx(coefficients[-1], abs=ATOL)
    assert found["paired_difference"] < -0.1


def test_readout_is_the_paired_test_alone(rows, by_pair, by_class):
    for table in (*by_pair, *by_class):
        readout_rows = table[table["reading"] == "readout"]
        assert len(readout_rows)
        assert (readout_rows["paired_n"] == NUM_READOUT).all()
        for test in ("", "moderated_"):
            for name in ("difference", "ci_low", "ci_high", "t", "p_value", "q_value"):
                np.testing.assert_array_equal(
                    readout_rows[test + name], readout_rows[f"paired_{name}"]
                )
            assert (readout_rows[f"{test}df"] == NUM_READOUT - 1).all()
            assert (readout_rows[f"{test}reason"] == "").all()
        assert (readout_rows["moderated_n"] == NUM_READOUT).all()
        assert readout_rows.filter(like="hedges_g").isna().all(axis=None)
        others = table[table["reading"] != "readout"]
        assert others.filter(like="hedges_g").notna().all(axis=None)
        assert (others["p_value"] != others["paired_p_value"]).all()


def test_readout_compares_swapped_heads_with_the_right_one(rows, by_pair):
    cells, _ = by_pair
    pair, target = (1, 4), 3
    found = cell(
        cells, reading="readout", class_a=pair[0], class_b=pair[1], target=target
    )
    outside = [k for k in range(NUM_CLASSES) if k not in pair]
    right, swapped = [], []
    for network_row in rows[:NUM_READOUT]:
        right.append(means_of(network_row, "features_discriminability", pair))
        means = network_row["readout_discriminability"].reshape(-1, NUM_CLASSES)
        pair_means = means[PAIRS.index(pair)].tolist()
        swapped.append({k: pair_means[k] for k in outside})
    swapped, right = (relative(values, right, target) for values in (swapped, right))
    test = scipy.stats.ttest_rel(swapped, right)
    assert found["difference"] == pytest.approx(np.subtract(swapped, right).mean())
    assert found["t"] == pytest.approx(test.statistic, rel=1e-4)
    assert found["p_value"] == pytest.approx(test.pvalue, rel=1e-4)
    assert found["ci_low"] == pytest.approx(test.confidence_interval().low, rel=1e-4)


@pytest.mark.parametrize("test", TESTS)
def test_q_values_are_those_of_the_cells_of_a_reading_alone(by_pair, by_class, test):
    for table in (*by_pair, *by_class):
        assert list(table["reading"].unique()) == list(READINGS)
        for _, reading_rows in table.groupby("reading"):
            np.testing.assert_allclose(
                reading_rows[f"{test}q_value"],
                scipy.stats.false_discovery_control(reading_rows[f"{test}p_value"]),
            )


def test_every_cell_and_everybody_is_there_once(by_pair, by_class):
    num_pairs = len(PAIRS)
    cells, everybody = by_pair
    keys = ["reading", "class_a", "class_b"]
    assert len(cells) == 3 * num_pairs * (NUM_CLASSES - 2)
    assert not cells.duplicated([*keys, "target"]).any()
    assert not cells["target"].isin([EVERYBODY]).any()
    assert (cells["target"] != cells["class_a"]).all()
    assert (cells["target"] != cells["class_b"]).all()
    assert len(everybody) == 3 * num_pairs
    assert not everybody.duplicated(keys).any()
    cells, everybody = by_class
    assert len(cells) == 3 * NUM_CLASSES * (NUM_CLASSES - 1)
    assert not cells.duplicated(["reading", "class", "target"]).any()
    assert set(cells["class"]) == set(range(NUM_CLASSES))
    assert len(everybody) == 3 * NUM_CLASSES
    assert sorted(everybody["class"].unique()) == list(range(NUM_CLASSES))
    for table in (*by_pair, *by_class):
        # Nothing of shares of images, and nothing in percentage points.
        assert not [c for c in table if c.endswith(("_bits", "_points"))]
        assert not {"response", "family"} & set(table)
    for _, everybody in (by_pair, by_class):
        assert not {"target", "target_name"} & set(everybody)


def rows_without_effect(rng):
    """Every arm is the baseline of its repeat, and swapped heads are the right one."""
    found = []
    for repeat in range(REPEATS):
        d_primes = {
            "discriminability": rng.normal(2, 0.5, len(PAIRS)).astype(np.float32),
            "features_discriminability": rng.normal(2, 0.5, len(PAIRS)).astype(
                np.float32
            ),
        }
        swapped = without_every_pair(d_primes["features_discriminability"])
        baseline = row(None, repeat, readout_discriminability=swapped, **d_primes)
        found += [baseline, *(row(pair, repeat, **d_primes) for pair in PAIRS)]
    return found


@pytest.mark.parametrize("kind", TABLES)
def test_arm_that_is_its_baseline_differs_by_nothing(rng, kind):
    for table in TABLES[kind](collected(rows_without_effect(rng)), NAMES):
        assert list(table["reading"].unique()) == list(READINGS)
        assert (table["paired_difference"] == 0.0).all()
        # Of classes, means are those of several arms: the last digit of float64.
        for test in ("", "moderated_"):
            differences = table[f"{test}difference"].abs()
            assert differences.max() <= (0.0 if kind == "pair" else 1e-15)


@pytest.mark.parametrize("kind", TABLES)
def test_rounding_is_not_tested(rng, kind):
    for table in TABLES[kind](collected(rows_without_effect(rng)), NAMES):
        # Differences of nothing have no variance within repeats.
        assert table["paired_p_value"].isna().all()
        assert (table["paired_reason"] != "").all()
        network_rows = table[table["reading"] != "readout"]
        assert (network_rows["p_value"] > 0.999).all()
        assert network_rows["moderated_p_value"].isna().all()


def test_what_everybody_loses_is_no_finding_of_any_target(rows):
    constant, label = 0.7, 3

    def moved(network_row):
        if network_row["class_a"] is None or label not in (
            network_row["class_a"],
            network_row["class_b"],
        ):
            return network_row
        columns = ("discriminability", "features_discriminability")
        return network_row | {
            name: network_row[name] - np.float32(constant) for name in columns
        }

    before, after = (
        collected(rows),
        collected([moved(network_row) for network_row in rows]),
    )
    for kind, compare in TABLES.items():
        (cells, everybody), (cells_after, everybody_after) = (
            compare(studies, NAMES) for studies in (before, after)
        )
        for test in TESTS:
            column = f"{test}difference"
            np.testing.assert_allclose(cells_after[column], cells[column], atol=1e-6)
            changes = everybody_after[column] - everybody[column]
            if kind == "pair":
                is_label = (everybody["class_a"] == label) | (
                    everybody["class_b"] == label
                )
                expected = np.where(is_label, -constant, 0)
            else:
                # Of other classes one of five arms, against four of ten without.
                others = -constant * (1 / 5 - 4 / 10)
                expected = np.where(everybody["class"] == label, -constant, others)
            expected = np.where(everybody["reading"] == "readout", 0, expected)
            np.testing.assert_allclose(changes, expected, atol=1e-6)


def test_studies_of_few_networks_say_why_there_is_no_test(rng):
    rows = [network_row for network_row in networks(rng) if network_row["repeat"] == 0]
    for compare in TABLES.values():
        for table in compare(collected(rows), NAMES):
            for test in TESTS:
                assert table[f"{test}q_value"].isna().all()
                assert (table[f"{test}reason"] != "").all()
            is_paired = table["reading"].isin(("total", "features"))
            assert table.loc[is_paired, "paired_difference"].notna().all()
