import numpy as np
import pytest
import scipy.special

from keras_confusion.explanations import unit_uses
from keras_confusion.explanations.unit_uses import ReadUnits

NUM_CLASSES, NUM_UNITS = 5, 7


def network(rng, labels):
    features = np.maximum(rng.normal(0.3, 1, (len(labels), NUM_UNITS)), 0)
    kernel = rng.normal(0, 1.5, (NUM_UNITS, NUM_CLASSES))
    return ReadUnits(features, kernel, rng.normal(0, 0.5, NUM_CLASSES))


@pytest.fixture
def labels(rng):
    return rng.permutation(np.repeat(np.arange(NUM_CLASSES), 6))


@pytest.fixture
def networks(rng, labels):
    return network(rng, labels), network(rng, labels)


def test_one_unit_that_tells_two_classes_apart():
    # z = (h, 0): the integral along the way is known, that of the logistic function.
    baseline = ReadUnits(np.array([[2.0]]), np.array([[1.0, 0.0]]), np.zeros(2))
    confused = ReadUnits(np.array([[0.5]]), np.array([[1.0, 0.0]]), np.zeros(2))
    found = unit_uses.class_uses((baseline, confused), np.array([0]), 0, [0, 1])
    log_probabilities = np.log2(scipy.special.expit([2.0, 0.5]))
    np.testing.assert_allclose(found.log_probability, log_probabilities)
    slope = (log_probabilities[1] - log_probabilities[0]) / (0.5 - 2.0)
    np.testing.assert_allclose(found.uses, slope * np.array([[2.0], [0.5]]))


def test_changes_of_uses_add_up_to_that_of_the_log_probability(networks, labels):
    for label, among in ((0, [0, 2, 3, 4]), (3, [0, 3]), (2, range(5))):
        found = unit_uses.class_uses(networks, labels, label, among)
        for read_units, log_probability in zip(
            networks, found.log_probability, strict=True
        ):
            logits = (read_units.features @ read_units.kernel + read_units.bias)[
                labels == label
            ][:, among]
            column = list(among).index(label)
            expected = scipy.special.log_softmax(logits, axis=1)[:, column].mean()
            assert log_probability == pytest.approx(expected / np.log(2))
        (change,) = np.diff(found.log_probability)
        parts = np.diff(found.uses.sum(axis=1) + found.bias_uses)
        assert abs(change) > 0.1
        np.testing.assert_allclose(parts, change, rtol=1e-9)


def test_uses_agree_with_a_slow_loop(networks, labels):
    label, among = 1, [1, 3, 4]
    expected = np.zeros((2, NUM_UNITS))
    times = (np.arange(20_000) + 0.5) / 20_000
    images = np.flatnonzero(labels == label)
    for image in images:
        first, second = (
            (read_units.features[image] @ read_units.kernel + read_units.bias)[among]
            for read_units in networks
        )
        shares = scipy.special.softmax(
            first + times[:, None] * (second - first), axis=1
        ).mean(axis=0)
        gradient = dict(zip(among, np.array([1, 0, 0]) - shares, strict=True))
        for number, read_units in enumerate(networks):
            for unit in range(NUM_UNITS):
                for k in among:
                    expected[number, unit] += (
                        read_units.features[image, unit]
                        * gradient[k]
                        * read_units.kernel[unit, k]
                    ) / (len(images) * np.log(2))
    found = unit_uses.class_uses(networks, labels, label, among)
    np.testing.assert_allclose(found.uses, expected, rtol=1e-6)


def test_what_a_unit_says_for_all_classes_alike_is_no_use(networks, labels):
    changed = networks[0].kernel.copy()
    changed[2] += 10
    # A class that is left out does not count at all.
    changed[3, 0] += 10
    among = [1, 2, 3, 4]
    shifted = ReadUnits(networks[0].features, changed, networks[0].bias)
    np.testing.assert_allclose(
        unit_uses.class_uses((shifted, networks[1]), labels, 2, among).uses,
        unit_uses.class_uses(networks, labels, 2, among).uses,
        atol=1e-9,
    )


def test_class_means(rng, labels):
    features = rng.random((len(labels), 3))
    means = unit_uses.class_means(features, labels, NUM_CLASSES + 1)
    for label in range(NUM_CLASSES):
        np.testing.assert_allclose(means[label], features[labels == label].mean(axis=0))
    assert np.isnan(means[NUM_CLASSES]).all()
