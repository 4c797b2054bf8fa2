import doctest

import numpy as np
import pytest
import scipy.special
import sklearn.metrics
from hypothesis import given, settings
from hypothesis import strategies as st

from keras_confusion import discriminability

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


def test_without_a_pair_by_hand():
    d = discriminability.matrices(np.array([1.0, 2, 3, 4, 5, 6, 7, 8, 9, 10]), 5)
    # (0,1) 1  (0,2) 2  (0,3) 3  (0,4) 4  (1,2) 5  (1,3) 6  (1,4) 7  (2,3) 8
    # (2,4) 9  (3,4) 10
    found = discriminability.without_pair(d, (0, 1))
    np.testing.assert_allclose(found, [np.nan, np.nan, 8.5, 9, 9.5])
    np.testing.assert_allclose(
        discriminability.relative(found), [np.nan, np.nan, -0.5, 0, 0.5, 9]
    )


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
        off_diagonal = ~np.eye(num_classes, dtype=bool)[-1]
        d[:, -1, off_diagonal] = d[:, off_diagonal, -1] = np.nan
    pairs = np.transpose(np.triu_indices(num_classes, 1))
    quick = discriminability.RelativeDPrimes(d)
    found = np.stack(
        [quick.values(pairs, target) for target in range(num_classes + 1)], axis=-1
    )
    for index, pair in enumerate(pairs):
        slow = discriminability.relative(discriminability.without_pair(d, pair))
        if num_classes - without_images > 3:
            np.testing.assert_allclose(found[index], slow, atol=1e-9)
        else:
            # Of three classes nothing is left to tell a target from.
            assert np.isnan(found[index]).all() or np.isnan(slow[:, :-1]).any()


def test_networks_are_chosen_by_index_or_mask(rng):
    d = discriminability.matrices(rng.normal(2, 1, (4, 15)), 6)
    quick = discriminability.RelativeDPrimes(d)
    chosen = quick.values(PAIRS, 3, np.array([2, 0]))
    np.testing.assert_array_equal(chosen, quick.values(PAIRS, 3)[:, [2, 0]])
    assert np.isnan(chosen[3]).all()
    assert np.isfinite(chosen[:3]).all()


def test_relative_values_of_a_network_add_up_to_nothing(rng):
    d = discriminability.matrices(rng.normal(2, 1, (4, 15)), 6)
    found = discriminability.relative(discriminability.without_pair(d, (1, 2)))
    np.testing.assert_allclose(np.nansum(found[:, :-1], axis=1), 0, atol=1e-12)


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
