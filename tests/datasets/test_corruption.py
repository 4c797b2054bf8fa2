import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from keras_confusion.datasets import corruption


def examples(true_labels):
    """A data set of (index, image, label), as a training split has it."""
    true_labels = np.asarray(true_labels, np.int32)
    images = np.arange(len(true_labels), dtype=np.float32)[:, None]
    index = np.arange(len(true_labels), dtype=np.int64)
    return tf.data.Dataset.from_tensor_slices((index, images, true_labels))


def labels_by_index(dataset):
    found = sorted((int(i), int(y)) for i, *_, y in dataset.as_numpy_iterator())
    return [label for _, label in found]


def test_swap_matrix():
    # By hand: half of class 0 is called 2, half of class 2 is called 0.
    np.testing.assert_array_equal(
        corruption.swap(3, 0, 2), [[0.5, 0, 0.5], [0, 1, 0], [0.5, 0, 0.5]]
    )


def test_one_way_and_merge_and_noise_matrices():
    np.testing.assert_allclose(
        corruption.one_way(3, 1, 0, fraction=0.25),
        [[1, 0, 0], [0.25, 0.75, 0], [0, 0, 1]],
    )
    np.testing.assert_array_equal(
        corruption.merge(3, 0, 2), [[1, 0, 0], [0, 1, 0], [1, 0, 0]]
    )
    np.testing.assert_allclose(
        corruption.uniform_noise(3, 0.3),
        [[0.7, 0.15, 0.15], [0.15, 0.7, 0.15], [0.15, 0.15, 0.7]],
    )


@given(
    counts=st.lists(st.integers(0, 41), min_size=3, max_size=5),
    pair=st.permutations(range(3)).map(lambda order: tuple(order[:2])),
    seed=st.integers(0, 2**63 - 1),
)
@settings(max_examples=60, deadline=None)
def test_exactly_half_rounded_down_changes_sides(counts, pair, seed):
    num_classes = len(counts)
    true = np.random.default_rng(0).permutation(np.repeat(range(num_classes), counts))
    given_labels = corruption.given_labels(
        true, corruption.swap(num_classes, *pair), seed
    )
    a, b = pair
    assert np.sum((true == a) & (given_labels == b)) == counts[a] // 2
    assert np.sum((true == b) & (given_labels == a)) == counts[b] // 2
    outside = ~np.isin(true, pair)
    np.testing.assert_array_equal(given_labels[outside], true[outside])
    assert set(given_labels[~outside]) <= set(pair)


@given(
    weights=st.lists(
        st.lists(st.floats(0, 1), min_size=4, max_size=4).filter(lambda w: sum(w) > 0),
        min_size=4,
        max_size=4,
    ),
    seed=st.integers(0, 1000),
)
@settings(max_examples=60, deadline=None)
def test_exact_counts_are_within_one_of_any_matrix(weights, seed):
    transition = np.array(weights)
    transition /= transition.sum(axis=1, keepdims=True)
    true = np.tile(np.arange(4), 25)
    given_labels = corruption.given_labels(true, transition, seed)
    counts = np.array(
        [
            [np.sum((true == t) & (given_labels == g)) for g in range(4)]
            for t in range(4)
        ]
    )
    assert np.all(np.abs(counts - 25 * transition) < 1 + 1e-6)
    assert np.all(counts[transition == 0] == 0)


def test_random_assignment_follows_the_rate_on_average():
    true = np.repeat(np.arange(4), 5000)
    noise = corruption.uniform_noise(4, 0.3)
    given_labels = corruption.given_labels(true, noise, 5, assignment="random")
    # 5000 draws: sd of a share of 0.3 is 0.0065; five of them.
    for label in range(4):
        wrong = np.mean(given_labels[true == label] != label)
        assert abs(wrong - 0.3) < 0.033
    exact = corruption.given_labels(true, noise, 5)
    assert np.mean(exact != true) == 0.3
    assert np.any(exact != given_labels)


@given(seed=st.integers(0, 2**32), shuffle_seed=st.integers(0, 1000))
@settings(max_examples=4, deadline=None)
def test_labels_do_not_depend_on_epoch_or_shuffle(seed, shuffle_seed):
    true = np.tile(np.arange(3), 21)
    dataset = corruption.corrupt_labels(
        examples(true), corruption.swap(3, 0, 1), seed, true_labels=true
    )
    expected = labels_by_index(dataset)
    shuffled = dataset.shuffle(64, seed=shuffle_seed, reshuffle_each_iteration=True)
    assert labels_by_index(dataset) == expected
    assert labels_by_index(shuffled) == expected
    assert labels_by_index(shuffled) == expected
    assert expected != true.tolist()


def test_other_seed_gives_other_examples_the_wrong_label():
    true = np.tile(np.arange(3), 40)
    transition = corruption.swap(3, 0, 1)
    one, two = (corruption.given_labels(true, transition, seed) for seed in (1, 2))
    assert np.any(one != two)
    np.testing.assert_array_equal(one, corruption.given_labels(true, transition, 1))


def test_labels_are_read_from_the_dataset_where_not_given():
    true = np.tile(np.arange(3), 21)
    transition = corruption.swap(3, 0, 1)
    shuffled = examples(true).shuffle(64, seed=3)
    read = corruption.corrupt_labels(shuffled, transition, 7)
    told = corruption.corrupt_labels(examples(true), transition, 7, true_labels=true)
    assert labels_by_index(read) == labels_by_index(told)


def test_images_and_element_types_stay_as_they_are():
    dataset = examples([0, 1, 2, 0, 1, 2])
    corrupted = corruption.corrupt_labels(dataset, corruption.swap(3, 0, 1), 0)
    assert corrupted.element_spec == dataset.element_spec
    for before, after in zip(dataset, corrupted, strict=True):
        assert before[0] == after[0]
        np.testing.assert_array_equal(before[1], after[1])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: corruption.swap(3, 1, 1), "two different classes"),
        (lambda: corruption.swap(3, 0, 3), "classes from 0 to 2"),
        (lambda: corruption.swap(3, 0, 1, fraction=1.5), r"`fraction` in \[0, 1\]"),
        (lambda: corruption.uniform_noise(3, -0.1), r"`rate` in \[0, 1\]"),
        (lambda: corruption.uniform_noise(1, 0.1), "at least 2 classes"),
        (
            lambda: corruption.given_labels([0, 1], [[1, 0], [0.5, 0.4]], 0),
            "row 1 sums to 0.9",
        ),
        (lambda: corruption.given_labels([0], [[1, 0]], 0), "square matrix"),
        (lambda: corruption.given_labels([0], [[2, -1], [0, 1]], 0), "0 or more"),
        (lambda: corruption.given_labels([0, 2], np.eye(2), 0), "labels from 0 to 1"),
        (
            lambda: corruption.given_labels([0], np.eye(2), 0, assignment="half"),
            "'exact', 'random'",
        ),
    ],
)
def test_errors_name_what_is_wrong(call, message):
    with pytest.raises(ValueError, match=message):
        call()


IMAGES = np.arange(12, dtype=np.float32)[:, None]
LABELS = np.arange(12) % 3


@pytest.mark.parametrize(
    "labels",
    [
        LABELS,
        LABELS[:, None].astype(np.uint8),
        np.eye(3, dtype=np.float32)[LABELS],
        np.eye(3, dtype=np.int64)[LABELS],
        LABELS.astype(np.float32),
    ],
    ids=["numbers", "column", "one-hot", "one-hot integers", "floats"],
)
def test_labels_of_other_forms_are_given_in_the_same_form(labels):
    dataset = tf.data.Dataset.from_tensor_slices((IMAGES, labels)).enumerate()
    transition = corruption.swap(3, 0, 1)
    expected = corruption.given_labels(LABELS, transition, 5)
    for known in (None, labels):
        corrupted = corruption.corrupt_labels(dataset, transition, 5, true_labels=known)
        assert corrupted.element_spec == dataset.element_spec
        found = [example for _, example in corrupted.as_numpy_iterator()]
        np.testing.assert_array_equal([image for image, _ in found], IMAGES)
        given_labels = np.array([label for _, label in found])
        if labels.shape == (12, 3):
            np.testing.assert_array_equal(given_labels.sum(axis=1), 1)
            given_labels = given_labels.argmax(axis=1)
        assert given_labels.ravel().tolist() == expected.tolist()


def enumerated(labels):
    return tf.data.Dataset.from_tensor_slices((IMAGES, labels)).enumerate()


@pytest.mark.parametrize(
    ("dataset", "message"),
    [
        (IMAGES, r"Received: ndarray\. Use .*from_tensor_slices\(\(x, y\)\)\.enum"),
        ({"x": IMAGES}, "Received: dict"),
        (
            tf.data.Dataset.from_tensor_slices((IMAGES, LABELS)),
            r"Use dataset\.enumerat",
        ),
        (enumerated(LABELS).batch(4), "before `batch`"),
        (enumerated(np.array(["a"] * 12)), "Received: elements"),
        (enumerated(np.eye(4)[LABELS]), "Received: elements"),
        (enumerated(np.full((12, 3), 1 / 3)), r"one-hot rows \(n, 3\).*float64"),
        (enumerated(LABELS + 0.5), "integers of shape"),
    ],
)
def test_elements_of_other_forms_are_refused(dataset, message):
    with pytest.raises(ValueError, match=message):
        corruption.corrupt_labels(dataset, corruption.swap(3, 0, 1), 0)


def test_the_advice_for_arrays_works():
    dataset = tf.data.Dataset.from_tensor_slices((IMAGES, LABELS)).enumerate()
    corrupted = corruption.corrupt_labels(dataset, corruption.swap(3, 0, 1), 0)
    assert sorted(int(label) for _, (_, label) in corrupted) == sorted(LABELS)


def test_indices_that_come_twice_are_refused():
    with pytest.raises(ValueError, match="each once"):
        corruption.corrupt_labels(
            examples([0, 1, 2]).repeat(2), corruption.swap(3, 0, 1), 0
        )
