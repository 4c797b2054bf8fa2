import numpy as np
import pytest
import tensorflow as tf

from keras_confusion.datasets import labelled_dataset
from keras_confusion.explanations import unit_images
from keras_confusion.models import probe as model_probe
from keras_confusion.prototypes.optimizer import image_optimizer, objectives
from keras_confusion.prototypes.optimizer import settings as optimizer_settings


def test_objective_is_what_is_left_of_what_is_asked():
    activations = tf.constant([[0.25, 9.0], [7.0, 1.0], [0.0, 3.0]])
    losses, misses = objectives.unit_activation(activations, tf.constant([0, 1, 0]))
    np.testing.assert_allclose(losses, [0.75, 0, 1])
    np.testing.assert_allclose(misses, 0)


def test_objective_raises_the_activation_of_its_unit_alone(rng):
    start = rng.random((2, 4, 4, 1), np.float32)

    def activations(images):
        return tf.reduce_mean(images, axis=(2, 3))[:, :2]

    made = image_optimizer.optimize_images(
        activations,
        start,
        np.array([0, 1]),
        optimizer_settings.OptimizerSettings(learning_rate=0.3, loss_threshold=0.05),
        objective=objectives.unit_activation,
    )
    assert made.converged.all()
    before = activations(start).numpy()
    assert (made.logits.diagonal() > 0.95).all()
    np.testing.assert_allclose(made.logits[0, 1], before[0, 1], rtol=1e-6)


@pytest.fixture(scope="module")
def made(digits, digits_classifier):
    probe = model_probe.probe_of(digits_classifier, digits.class_names)
    images, _ = digits.test.arrays()
    strongest = probe.features(labelled_dataset.to_unit_range(images)).max(axis=0)
    # The most active ones, and one that is taken for silent.
    units = np.argsort(-strongest)[:3]
    asked = strongest[units].copy()
    asked[1] = 0
    return probe, units, strongest, unit_images.unit_images(probe, units, asked)


def test_images_excite_their_units_more_than_test_images(made):
    probe, units, strongest, found = made
    active = [0, 2]
    reached = probe.features(found.images[active])[[0, 1], units[active]]
    np.testing.assert_allclose(
        found.shares[active], reached / strongest[units[active]], rtol=1e-5
    )
    assert (found.shares[active] > 1).all()
    assert found.images[active].min() >= 0
    assert found.images[active].max() <= 1
    assert np.isnan(found.images[1]).all()
    assert np.isnan(found.shares[1])


def test_images_are_smooth(made):
    _, _, _, found = made
    image = found.images[0]
    noise = np.random.default_rng(0).random(image.shape)

    def roughness(values):
        return np.diff(values, axis=1).std() / values.std()

    assert roughness(image) < 0.6 * roughness(noise)


def test_sleeping_units_get_a_start_that_wakes_them():
    number = unit_images._STARTS_A_CONTRAST
    activations = np.zeros((3 * number, 3))
    activations[[5, 6, number + 7], 0] = 1, 2, 9  # awake from the faintest on
    activations[2 * number + 4, 1] = 1
    chosen = unit_images._choose(activations)
    assert list(chosen[:2]) == [6, 2 * number + 4]
    assert chosen[2] >= 2 * number
