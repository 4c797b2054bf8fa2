import numpy as np
import pytest
import tensorflow as tf

from keras_confusion.models.image_statistics import ImageStatistics
from keras_confusion.prototypes.optimizer import parametrizations
from keras_confusion.prototypes.optimizer.parametrizations import parametrization

SHAPES = [(8, 8, 3), (7, 5, 1), (6, 9, 3)]


def statistics_of(shape, rng):
    return ImageStatistics.of_images(rng.random((30, *shape)))


def made(name, shape, rng):
    return parametrization(name, shape, statistics_of(shape, rng))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", parametrizations.NAMES)
def test_starts_are_images_of_the_shape_and_follow_the_seed(name, shape, rng):
    chosen = made(name, shape, rng)
    start = chosen.start(3, 4)
    assert start.shape == (4, *chosen.shape)
    assert start.dtype == np.float32
    images = chosen.images(tf.constant(start)).numpy()
    assert images.shape == (4, *shape)
    assert images.min() >= 0
    assert images.max() <= 1
    assert np.ptp(images, axis=(1, 2, 3)).min() > 0
    np.testing.assert_array_equal(start, chosen.start(3, 4))
    assert np.any(start != chosen.start(4, 4))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", parametrizations.NAMES)
def test_gradients_are_the_numerical_ones(name, shape, rng):
    chosen = made(name, shape, rng)
    start = chosen.start(0, 1)
    weights = rng.standard_normal(shape).astype(np.float32)

    def value(parameters):
        images = chosen.images(tf.constant(parameters, tf.float32))
        return float(tf.reduce_sum(tf.cast(images, tf.float64) * weights))

    variable = tf.Variable(start)
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(chosen.images(variable) * weights)
    gradient = tape.gradient(loss, variable).numpy()
    for _ in range(5):
        direction = rng.standard_normal(start.shape)
        direction /= np.linalg.norm(direction)
        step = 1e-2
        numerical = (
            value(start + step * direction) - value(start - step * direction)
        ) / (2 * step)
        assert (gradient * direction).sum() == pytest.approx(
            numerical, rel=0.02, abs=0.02
        )


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", ["pixels", "fourier"])
def test_known_image_is_reached(name, shape, rng):
    # As lucid tests its parametrisations.
    chosen = made(name, shape, rng)
    image = rng.uniform(0.2, 0.8, shape).astype(np.float32)
    assert distance_after_descent(chosen, image) < 0.02


def test_image_of_the_given_magnitudes_is_reached(rng):
    # `maco` has no others: one that phases of its own have made.
    chosen = made("maco", (8, 8, 1), rng)
    image = chosen.images(tf.constant(chosen.start(1, 1)))[0]
    start = chosen.start(1, 1) + rng.normal(0, 0.5, (1, *chosen.shape))
    assert distance_after_descent(chosen, image, start) < 0.02


def distance_after_descent(chosen, image, start=None):
    """Root mean square of what is left after 400 steps of Adam."""
    variable = tf.Variable(np.float32(chosen.start(0, 1) if start is None else start))
    moments = [np.zeros(variable.shape), np.zeros(variable.shape)]
    for step in range(1, 401):
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean((chosen.images(variable)[0] - image) ** 2)
        gradient = tape.gradient(loss, variable).numpy()
        moments[0] = 0.9 * moments[0] + 0.1 * gradient
        moments[1] = 0.99 * moments[1] + 0.01 * gradient**2
        mean, variance = moments[0] / (1 - 0.9**step), moments[1] / (1 - 0.99**step)
        rate = 0.05 * (1 - step / 401)
        variable.assign_sub(rate * mean / (np.sqrt(variance) + 1e-12))
    return float(loss) ** 0.5


def test_phases_change_no_magnitude(rng):
    shape = (8, 8, 1)
    chosen = made("maco", shape, rng)
    values = np.log(1 / chosen.images(tf.constant(chosen.start(0, 3))).numpy() - 1)
    magnitudes = np.abs(np.fft.rfft2(values[..., 0], axes=(1, 2)))
    expected = chosen.statistics.spectrum[..., 0].copy()
    ratios = magnitudes[:, 1:, 1:-1] / expected[1:, 1:-1]
    # Where a frequency is its own mirror image only the real part counts.
    np.testing.assert_allclose(
        ratios / ratios.mean(axis=(1, 2), keepdims=True), 1, rtol=1e-3
    )


def test_low_frequencies_begin_stronger_than_high_ones():
    fourier = parametrization("fourier", (32, 32, 1))
    images = fourier.images(tf.constant(fourier.start(0, 200))).numpy()[..., 0]
    power = (np.abs(np.fft.rfft2(images - images.mean(), axes=(1, 2))) ** 2).mean(0)
    assert power[0, 2] / power[0, 8] == pytest.approx(16, rel=0.3)


def test_what_is_not_known_is_refused():
    with pytest.raises(ValueError, match="mean spectrum"):
        parametrization("maco", (8, 8, 3))
    with pytest.raises(ValueError, match="'wavelets'"):
        parametrization("wavelets", (8, 8, 3))
