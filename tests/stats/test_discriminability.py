import doctest

import numpy as np
import pytest
import scipy.special
import sklearn.metrics
from hypothesis import given, settings
from hypothesis import strategies as st

from keras_confusion.stats import discriminability

NUM_CLASSES = 6
PAIRS = np.array([(0, 1), (0, 4), (2, 5), (3, 4)])


def logits_and_labels(rng, num_images=240, *, decimals=None):
    labels = rng.integers(0, NUM_CLASSES, num_images)
    logits = rng.normal(size=(num_images, NUM_CLASSES)) * 2
    logits[np.arange(num_images), labels] += 1.5
    return (logits if decimals is None else logits.round(decimals)), labels


def test_examples_in_docstrings_run():
    result = doctest.testmod(discriminability)
    assert result.attempted >= 1
    assert result.failed == 0


def test_golden_number():
    # One image of class 1 of two beats both of class 0, the other ties with one of
    # them: (1 + 1 + 0.5 + 1) / 4 = 0.875, of which probit is 1.1503 (any table).
    logits = [[0, 0], [0, -1], [0, 0], [0, 2]]
    found = discriminability.d_primes(logits, [0, 0, 1, 1])
    np.testing.assert_allclose(found, [1.1503], atol=5e-5)


@pytest.mark.parametrize("decimals", [None, 0])
def test_agrees_with_counting_every_two_images_and_with_scikit_learn(rng, decimals):
    # With whole numbers a third of all comparisons are ties.
    logits, labels = logits_and_labels(rng, decimals=decimals)
    d = discriminability.matrices(
        discriminability.d_primes(logits, labels), NUM_CLASSES
    )
    for a in range(NUM_CLASSES):
        for b in range(NUM_CLASSES):
            if a == b:
                assert d[a, b] == 0
                continue
            score = logits[:, a] - logits[:, b]
            wins = 0.0
            for one in score[labels == a]:
                for other in score[labels == b]:
                    wins += (one > other) + 0.5 * (one == other)
            auc = wins / ((labels == a).sum() * (labels == b).sum())
            here = (labels == a) | (labels == b)
            assert auc == pytest.approx(
                sklearn.metrics.roc_auc_score(labels[here] == a, score[here])
            )
            assert d[a, b] == pytest.approx(scipy.special.ndtri(auc))


def test_temperature_and_class_offsets_change_nothing(rng):
    logits, labels = logits_and_labels(rng)
    found = discriminability.d_primes(logits, labels)
    for other in (
        0.5 * logits,
        2 * logits,
        logits + rng.normal(size=NUM_CLASSES) * 5,
        # A softmax takes the same number from all logits of an image.
        logits + rng.normal(size=(len(logits), 1)),
        scipy.special.log_softmax(logits, axis=1),
    ):
        np.testing.assert_allclose(
            discriminability.d_primes(other, labels), found, atol=1e-9
        )


def test_perfect_separation_is_half_an_image_pair_away_from_it():
    logits = np.repeat(np.eye(3) * 9, 10, axis=0)
    found = discriminability.d_primes(logits, np.repeat(np.arange(3), 10))
    np.testing.assert_allclose(found, scipy.special.ndtri(1 - 0.5 / 100))
    swapped = discriminability.d_primes(-logits, np.repeat(np.arange(3), 10))
    np.testing.assert_allclose(swapped, -found)


def test_shrunken_by_laplaces_rule():
    # AUC 0.9 over 8 images: 8.2 of 10, of which probit is 0.9154; all of 98 of 98:
    # 0.99, 2.3263 (any table).
    found = discriminability.shrunken(
        scipy.special.ndtri([0.9, 0.1, 1 - 1e-12]), [8, 1000, 8]
    )
    np.testing.assert_allclose(found[:2], [0.9154, -0.9154], atol=5e-5)
    (perfect,) = discriminability.shrunken([7.0], [98, 98])
    assert perfect == pytest.approx(2.3263, abs=5e-5)
    assert np.isnan(discriminability.shrunken([np.nan], [10, 0])).all()


@given(
    values=st.lists(st.floats(-6, 6), min_size=2, max_size=2),
    num_images=st.integers(1, 10_000),
)
def test_shrunken_keeps_order_and_sign(values, num_images):
    counts = np.full(2, num_images)
    one, other = (
        float(discriminability.shrunken([value], counts)[0]) for value in values
    )
    assert (one <= other) or values[0] > values[1]
    assert abs(one) <= abs(values[0]) + 1e-6
    assert one * values[0] >= 0
    (opposite,) = discriminability.shrunken([-values[0]], counts)
    assert opposite == pytest.approx(-one, abs=1e-5)


def test_without_a_pair_by_hand():
    d = discriminability.matrices(np.array([1.0, 2, 3, 4, 5, 6, 7, 8, 9, 10]), 5)
    # (0,1) 1  (0,2) 2  (0,3) 3  (0,4) 4  (1,2) 5  (1,3) 6  (1,4) 7  (2,3) 8
    # (2,4) 9  (3,4) 10
    found = discriminability.without_pair(d, (0, 1))
    np.testing.assert_allclose(found, [np.nan, np.nan, 8.5, 9, 9.5])


def test_everybody_is_the_median_and_the_rest_is_what_is_left():
    changes = np.array([[np.nan, -1.0, 0.5, np.nan, 0.25], [1, np.nan, np.nan, 3, 4]])
    np.testing.assert_allclose(
        discriminability.relative(changes),
        [[np.nan, -1.25, 0.25, np.nan, 0, 0.25], [-2, np.nan, np.nan, 0, 1, 3]],
    )


def test_large_loss_of_few_targets_moves_no_other():
    changes = np.zeros(8)
    changes[[2, 3]] = -0.5
    np.testing.assert_array_equal(discriminability.relative(changes)[:-1], changes)


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), num_known=st.integers(0, 7))
def test_median_of_what_is_known(seed, num_known):
    values = np.random.default_rng(seed).normal(size=(3, 7))
    values[:, num_known:] = np.nan
    expected = np.full(3, np.nan)
    if num_known:
        expected = np.nanmedian(values, axis=-1)
    np.testing.assert_allclose(discriminability.median_of_known(values), expected)


@settings(max_examples=50, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    num_classes=st.integers(3, 8),
    without_images=st.booleans(),
)
def test_sums_made_once_agree_with_means_of_what_is_left(
    seed, num_classes, without_images
):
    rng = np.random.default_rng(seed)
    num_pairs = discriminability.num_class_pairs(num_classes)
    d = discriminability.matrices(rng.normal(2, 1, (3, num_pairs)), num_classes)
    if without_images:
        others = np.arange(num_classes - 1)
        d[:, -1, others] = d[:, others, -1] = np.nan
    quick = discriminability.WithoutPairs(d)
    pairs = np.transpose(np.triu_indices(num_classes, 1))
    by_target = [quick.target_means(target, pairs) for target in range(num_classes)]
    for index, (a, b) in enumerate(pairs):
        pair_means = quick.means_without(a, b)
        for target in range(num_classes):
            left = [
                d[:, target, k]
                for k in range(num_classes - without_images)
                if k not in (a, b, target)
            ]
            is_there = target not in (a, b) and not (
                without_images and target == num_classes - 1
            )
            slow = np.mean(left, axis=0) if left and is_there else np.full(3, np.nan)
            np.testing.assert_allclose(pair_means[:, target], slow, rtol=1e-5)
            # The same bits, whichever way it is asked for, and for one network alone.
            np.testing.assert_array_equal(
                by_target[target][index], pair_means[:, target]
            )
        one = discriminability.without_pair(d[1], (a, b))
        np.testing.assert_array_equal(one, pair_means[1])


def test_networks_are_chosen_by_index_or_mask(rng):
    d = discriminability.matrices(rng.normal(2, 1, (4, 15)), 6)
    quick = discriminability.WithoutPairs(d)
    whole = quick.target_means(3, PAIRS)
    for chosen in (np.array([2, 0]), np.array([True, False, True, False])):
        found = quick.target_means(3, PAIRS, chosen)
        np.testing.assert_array_equal(found, whole[:, chosen])
    assert np.isnan(whole[3]).all()
    assert np.isfinite(whole[:3]).all()


def test_classes_without_logits_or_images_have_no_d_prime(rng):
    logits, labels = logits_and_labels(rng)
    logits[:, 2] = np.nan
    d = discriminability.matrices(
        discriminability.d_primes(logits, np.where(labels == 5, 0, labels)), NUM_CLASSES
    )
    is_known = ~np.isin(np.arange(NUM_CLASSES), (2, 5))
    off_diagonal = ~np.eye(NUM_CLASSES, dtype=bool)
    np.testing.assert_array_equal(
        np.isfinite(d)[off_diagonal], np.outer(is_known, is_known)[off_diagonal]
    )
