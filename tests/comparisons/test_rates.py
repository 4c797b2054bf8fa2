import itertools

import numpy as np
import pandas as pd
import pytest

from keras_confusion.comparisons import responses
from keras_confusion.comparisons.rates import (
    CountedRates,
    CountedRatesWithoutPairs,
    ListedRates,
)
from keras_confusion.confusion import answers as confusion_answers
from keras_confusion.confusion import network_files

NUM_CLASSES = 6
PAIRS = list(itertools.combinations(range(NUM_CLASSES), 2))
TEST_LABELS = np.arange(120) % NUM_CLASSES
NUM_BASELINE = 7


def networks(*, baseline=NUM_BASELINE, repeats=2, seed=3):
    """Rows in no order at all."""
    rng = np.random.default_rng(seed)
    rows = []
    for pair, count in [(None, baseline), *((pair, repeats) for pair in PAIRS)]:
        for repeat in range(count):
            logits = rng.normal(size=(len(TEST_LABELS), NUM_CLASSES))
            logits[np.arange(len(TEST_LABELS)), TEST_LABELS] += 1.5
            rows.append(
                {
                    "arm": network_files.arm_name(pair),
                    "class_a": pair and pair[0],
                    "class_b": pair and pair[1],
                    "repeat": repeat,
                    "seed": 100 + repeat,
                    "failed": False,
                    **confusion_answers.summarise_logits(
                        logits, TEST_LABELS, PAIRS if pair is None else [pair]
                    ),
                }
            )
    rng.shuffle(rows)
    return pd.DataFrame(rows).astype({"class_a": "Int16", "class_b": "Int16"})


def study_of(frame, **options):
    return responses.study_responses(
        frame, TEST_LABELS, num_classes=NUM_CLASSES, pairs=PAIRS, **options
    )


@pytest.fixture(scope="module")
def both():
    frame = networks()
    return study_of(frame), study_of(frame, single_networks=True)


def test_counts_are_shares_of_the_images():
    rates = CountedRates(
        hits=np.array([[3, 0, 9], [6, 5, 0]], np.uint8),
        false_positives=np.array([[5, 1, 4], [2, 0, 1]], np.uint8),
        log2_bits=np.array([[-1, -2, -3], [-4, -5, -6]], np.float32),
        images=np.array([10, 20, 30]),
    )
    chosen = rates.select([1])
    np.testing.assert_array_equal(chosen.accuracy, [[6 / 10, 5 / 20, 0]])
    np.testing.assert_array_equal(chosen.false_positive_rate, [[2 / 50, 0, 1 / 30]])
    assert chosen.log2_probability.dtype == np.float64
    np.testing.assert_array_equal(rates.accuracy_of(2), [9 / 30, 0])
    np.testing.assert_array_equal(rates.accuracy[:, 2], rates.accuracy_of(2))


def test_classes_that_are_left_out_have_no_response():
    one = np.ones((2, 3), np.uint8)
    rates = CountedRates(
        one, one, one.astype(np.float32), np.full(3, 4), np.array([[0, 1], [1, 2]])
    )
    expected = [[True, True, False], [False, True, True]]
    for field in ("accuracy", "false_positive_rate", "log2_probability"):
        np.testing.assert_array_equal(np.isnan(getattr(rates, field)), expected)
    # Images of the pair are not among the others.
    with np.errstate(divide="ignore"):
        assert np.isinf(rates.select([0]).false_positive_rate[0, 2])
    np.testing.assert_array_equal(rates.accuracy_of(2), [1 / 4, np.nan])


def test_counts_of_networks_are_their_responses(both):
    counted, listed = both
    without, every = counted.baseline_without_pair, listed.baseline_without_pair
    assert isinstance(without, CountedRatesWithoutPairs)
    assert isinstance(every, ListedRates)
    for index in range(len(PAIRS)):
        np.testing.assert_array_equal(
            without.accuracy_of_pair(index), every.accuracy_of_pair(index)
        )
    for target in range(NUM_CLASSES):
        np.testing.assert_array_equal(
            without.accuracy_of(target), every.accuracy_of(target)
        )
        some = [4, 0, 5]
        np.testing.assert_array_equal(
            without.accuracy_of(target, some), every.rates.accuracy[:, some, target]
        )
    for field in ("accuracy", "false_positive_rate", "log2_probability"):
        mean = without.mean(field)
        np.testing.assert_allclose(mean, every.mean(field), rtol=1e-14)
        is_member = np.array(
            [[k in pair for k in range(NUM_CLASSES)] for pair in PAIRS]
        )
        np.testing.assert_array_equal(np.isnan(mean), is_member)


def test_networks_are_in_order_whatever_order_they_come_in(both):
    counted, _ = both
    assert counted.confused_pair.tolist() == sorted(list(range(len(PAIRS))) * 2)
    assert counted.confused_seed.tolist() == [100, 101] * len(PAIRS)
    assert counted.baseline_seed.tolist() == list(range(100, 100 + NUM_BASELINE))
    again = networks().sample(frac=1, random_state=1)
    other = study_of([again[:5], again[5:]])
    np.testing.assert_array_equal(other.confused.hits, counted.confused.hits)
    np.testing.assert_array_equal(
        other.confused_without_pair.log2_probability,
        counted.confused_without_pair.log2_probability,
    )
    for field in ("accuracy", "false_positive_rate", "log2_probability"):
        np.testing.assert_array_equal(
            other.baseline_without_pair.mean(field),
            counted.baseline_without_pair.mean(field),
        )


def test_networks_may_come_later(both):
    frame = networks()
    collector = responses.ResponseCollector(
        TEST_LABELS, num_classes=NUM_CLASSES, pairs=PAIRS
    )
    rows = frame.to_dict("records")
    for row in rows[:20]:
        collector.add(row)
    early = collector.study()
    before = early.confused.hits.copy(), early.baseline_without_pair.accuracy_of(2)
    for row in rows[20:]:
        collector.add(row)
    np.testing.assert_array_equal(
        collector.study().confused.hits, both[0].confused.hits
    )
    # What was made before stays what it was.
    np.testing.assert_array_equal(early.confused.hits, before[0])
    np.testing.assert_array_equal(early.baseline_without_pair.accuracy_of(2), before[1])


def test_a_network_counts_once():
    frame = networks(repeats=1)
    with pytest.raises(ValueError, match="Expected every network once"):
        study_of([frame, frame[:1]])


def test_no_networks_have_no_means():
    none = study_of(networks(baseline=0))
    assert np.isnan(none.baseline_without_pair.mean("log2_probability")).all()
    assert none.baseline_without_pair.accuracy_of(1).shape == (len(PAIRS), 0)
    assert none.baseline_without_pair.accuracy_of_pair(1).shape == (0, NUM_CLASSES)
