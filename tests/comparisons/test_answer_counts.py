import itertools

import numpy as np
import pytest

from keras_confusion.comparisons import answer_counts

NUM_CLASSES = 6
PAIRS = np.array(list(itertools.combinations(range(NUM_CLASSES), 2)))


def answers(seed, num_test=300):
    """Labels in order, and the true ones, often right."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(NUM_CLASSES, size=num_test).astype(np.uint8)
    scores = rng.normal(size=(num_test, NUM_CLASSES))
    scores[np.arange(num_test), labels] += 1.5
    return np.argsort(-scores, axis=1)[:, :3].T.astype(np.uint8), labels


def test_counts_by_hand():
    # True 0: given 0, and 1 before 0, and 1 and 2 before 0; true 3: given 1, then 0.
    top = np.array([[0, 1, 1, 1], [3, 0, 2, 0], [1, 2, 0, 2]])
    labels = np.array([0, 0, 0, 3])
    hits, others = answer_counts.count_answers(top[0], labels, 4)
    assert hits.tolist() == [1, 0, 0, 0]
    assert others.tolist() == [0, 3, 0, 0]
    hits, others = answer_counts.count_without_pair(top, labels, (1, 2), 4)
    assert hits.tolist() == [3, 0, 0, 0]
    assert others.tolist() == [1, 0, 0, 0]
    # The image of 3 does not count.
    hits, others = answer_counts.count_without_pair(top, labels, (1, 3), 4)
    assert hits.tolist() == [2, 0, 0, 0]
    assert others.tolist() == [0, 0, 1, 0]


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("pairs", [PAIRS, PAIRS[[3, 8]], PAIRS[:0]])
def test_counts_of_all_pairs_are_those_of_each(seed, pairs):
    top, labels = answers(seed)
    numbers = answer_counts.pair_table(pairs, NUM_CLASSES)
    hits = answer_counts.counts_of_pairs(
        answer_counts.pair_hits(top, labels, numbers), pairs
    )
    wrong = answer_counts.counts_of_pairs(
        answer_counts.pair_false_positives(top, labels, numbers), pairs
    )
    assert hits.shape == wrong.shape == (len(pairs), NUM_CLASSES)
    for row, pair in enumerate(pairs):
        outside = ~np.isin(np.arange(NUM_CLASSES), pair)
        expected = answer_counts.count_without_pair(top, labels, pair, NUM_CLASSES)
        np.testing.assert_array_equal(hits[row, outside], expected[0][outside])
        np.testing.assert_array_equal(wrong[row, outside], expected[1][outside])
