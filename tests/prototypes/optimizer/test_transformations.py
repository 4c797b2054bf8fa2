import math

import numpy as np
import pytest
import scipy.ndimage
import tensorflow as tf

from keras_confusion.prototypes.optimizer import transformations
from keras_confusion.prototypes.optimizer.transformations import transform


@pytest.fixture
def images(rng):
    return rng.random((3, 8, 12, 2)).astype(np.float32)


def moved(images, *shares):
    drawn = np.broadcast_to(np.float32(shares), (len(images), 4))
    return transform(tf.constant(images), tf.constant(drawn)).numpy()


def test_nothing_drawn_is_nothing_moved(images):
    np.testing.assert_allclose(moved(images, 0, 0, 0, 0), images, atol=1e-6)


def test_whole_pixels_are_shifted_and_edges_reflected(images):
    # An eighth of 8 and of 12 pixels: 1 down, 1.5 to the right.
    down = moved(images, 0, 1, 0, 0)
    np.testing.assert_allclose(down[:, 1:], images[:, :-1], atol=1e-6)
    np.testing.assert_allclose(down[:, 0], images[:, 1], atol=1e-6)
    left = moved(images, -2 / 3, 0, 0, 0)
    np.testing.assert_allclose(left[:, :, :-1], images[:, :, 1:], atol=1e-5)
    np.testing.assert_allclose(left[:, :, -1], images[:, :, -2], atol=1e-5)


@pytest.mark.parametrize(
    "shares", [(0.3, -0.7, 0.5, 0.2), (1, 1, 1, 1), (-1, 0.4, -1, -1)]
)
def test_affine_map_is_that_of_scipy(images, shares):
    right, down, angle, scale = shares
    angle, factor = math.radians(10) * angle, 1.1**-scale
    matrix = factor * np.array(
        [
            [math.cos(angle), -math.sin(angle)],
            [math.sin(angle), math.cos(angle)],
        ]
    )
    size = np.array(images.shape[1:3])
    centre = (size - 1) / 2
    offset = centre - matrix @ centre - np.array([down, right]) * size / 8
    expected = np.stack(
        [
            [
                scipy.ndimage.affine_transform(
                    image[..., channel], matrix, offset, order=1, mode="mirror"
                )
                for channel in range(2)
            ]
            for image in images
        ]
    )
    np.testing.assert_allclose(
        moved(images, *shares), np.moveaxis(expected, 1, -1), atol=1e-4
    )


def test_gradient_is_the_transpose(images, rng):
    # Linear in the image: <weights, T x> = <T' weights, x>.
    drawn = tf.constant(rng.uniform(-1, 1, (3, 4)).astype(np.float32))
    weights = rng.standard_normal(images.shape).astype(np.float32)
    variable = tf.Variable(images)
    with tf.GradientTape() as tape:
        value = tf.reduce_sum(weights * transform(variable, drawn))
    gradient = tape.gradient(value, variable)
    gradient = tf.convert_to_tensor(gradient).numpy()
    assert (gradient * images).sum() == pytest.approx(float(value), rel=1e-4)


def test_every_image_has_a_map_of_its_own(images, rng):
    drawn = rng.uniform(-1, 1, (3, 4)).astype(np.float32)
    together = transform(tf.constant(images), tf.constant(drawn)).numpy()
    for number in range(3):
        alone = moved(images[[number]], *drawn[number])
        np.testing.assert_array_equal(together[[number]], alone)


def test_draws_are_a_function_of_the_seed():
    drawn = transformations.draws((1, 2, 3), 500)
    assert drawn.shape == (500, 4)
    np.testing.assert_array_equal(drawn, transformations.draws((1, 2, 3), 500))
    np.testing.assert_array_equal(drawn[:10], transformations.draws((1, 2, 3), 10))
    assert np.any(drawn != transformations.draws((1, 2, 4), 500))
    np.testing.assert_allclose(drawn.mean(axis=0), 0, atol=0.1)
    np.testing.assert_allclose(drawn.std(axis=0), 3**-0.5, atol=0.05)
