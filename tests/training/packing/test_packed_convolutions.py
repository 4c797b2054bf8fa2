import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from keras_confusion.training.packing import packed_convolutions

NUM_NETWORKS, NUM_IN, NUM_OUT = 3, 2, 4


def draw(*shape, seed=0):
    return tf.constant(np.random.default_rng(seed).standard_normal(shape, np.float32))


def one_by_one(inputs, kernels, strides, padding):
    """The obvious loop, over networks that lie apart."""
    outputs = [
        tf.nn.conv2d(
            inputs[..., NUM_IN * n : NUM_IN * (n + 1)], kernels[n], strides, padding
        )
        for n in range(NUM_NETWORKS)
    ]
    return tf.concat(outputs, axis=-1)


@pytest.mark.parametrize("form", packed_convolutions.FORMS)
@settings(max_examples=25, deadline=None)
@given(
    size=st.tuples(st.integers(3, 7), st.integers(3, 7)),
    kernel=st.sampled_from([(1, 1), (3, 3), (2, 3)]),
    strides=st.sampled_from([(1, 1), (2, 2), (2, 1)]),
    padding=st.sampled_from(["VALID", "SAME"]),
)
def test_every_form_is_the_convolution_of_each_network(
    form, size, kernel, strides, padding
):
    inputs = draw(2, *size, NUM_NETWORKS * NUM_IN)
    kernels = draw(NUM_NETWORKS, *kernel, NUM_IN, NUM_OUT, seed=1)
    received = packed_convolutions.FORMS[form](inputs, kernels, strides, padding)
    expected = one_by_one(inputs, kernels, strides, padding)
    assert received.shape == expected.shape
    np.testing.assert_allclose(received, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("form", packed_convolutions.FORMS)
@pytest.mark.parametrize("strides", [(1, 1), (2, 2)])
def test_gradients_are_those_of_each_network(form, strides):
    weights = draw(2, 5, 5, NUM_NETWORKS * NUM_OUT, seed=2)[
        :, :: strides[0], :: strides[1]
    ]

    def gradients(convolve):
        inputs = tf.Variable(draw(2, 5, 5, NUM_NETWORKS * NUM_IN))
        kernels = tf.Variable(draw(NUM_NETWORKS, 3, 3, NUM_IN, NUM_OUT, seed=1))
        with tf.GradientTape() as tape:
            outputs = convolve(inputs, tf.convert_to_tensor(kernels), strides, "SAME")
            total = tf.reduce_sum(outputs * weights)
        return tape.gradient(total, (inputs, kernels))

    received = gradients(packed_convolutions.FORMS[form])
    for form_gradient, loop_gradient in zip(
        received, gradients(one_by_one), strict=True
    ):
        np.testing.assert_allclose(form_gradient, loop_gradient, rtol=1e-4, atol=1e-5)


def test_shared_images_go_through_the_kernels_of_all_networks():
    images = draw(2, 5, 5, NUM_IN)
    kernels = draw(NUM_NETWORKS, 3, 3, NUM_IN, NUM_OUT, seed=1)
    received = packed_convolutions.ordinary(images, kernels, (1, 1), "VALID")
    expected = one_by_one(
        tf.tile(images, (1, 1, 1, NUM_NETWORKS)), kernels, (1, 1), "VALID"
    )
    np.testing.assert_allclose(received, expected, rtol=1e-5, atol=1e-5)


def test_shifted_sums_in_float32():
    """Nine bfloat16 numbers that are rounded after each sum lose two digits."""
    inputs, kernels = draw(4, 9, 9, 3 * 64), draw(3, 3, 3, 64, 8, seed=1)
    exact = packed_convolutions.patches(inputs, kernels, (1, 1), "VALID")

    def error(form):
        rounded = form(
            tf.cast(inputs, tf.bfloat16), tf.cast(kernels, tf.bfloat16), (1, 1), "VALID"
        )
        return float(tf.reduce_mean(tf.abs(tf.cast(rounded, tf.float32) - exact)))

    patches_error = error(packed_convolutions.patches)
    assert error(packed_convolutions.shifted) < 1.3 * patches_error


@pytest.mark.parametrize("compiled", [False, True])
def test_the_fastest_form_is_the_one_with_the_least_time(monkeypatch, compiled):
    shapes = ((2, 6, 6, 6), (3, 3, 3, 2, 4), (1, 1), "VALID", "float32")
    seconds = packed_convolutions.time_forms(*shapes, compiled=compiled)
    assert set(seconds) == set(packed_convolutions.FORMS)
    assert all(0 < value < 10 for value in seconds.values())
    made_up = {"grouped": 3.0, "looped": 2.0, "shifted": 1.0, "patches": 4.0}
    monkeypatch.setattr(
        packed_convolutions, "time_forms", lambda *shapes, compiled: made_up
    )
    packed_convolutions.fastest_form.cache_clear()
    assert packed_convolutions.fastest_form(*shapes, compiled=compiled) == "shifted"
    packed_convolutions.fastest_form.cache_clear()


def test_a_form_that_the_device_cannot_compute_is_not_taken(monkeypatch):
    def fails(inputs, kernels, strides, padding):
        # Found while computing, as what a GPU's libraries cannot do.
        outputs = packed_convolutions.looped(inputs, kernels, strides, padding)
        return tf.debugging.check_numerics(outputs / 0.0, "not here")

    forms = {"grouped": fails, "looped": packed_convolutions.looped}
    monkeypatch.setattr(packed_convolutions, "FORMS", forms)
    shapes = ((2, 5, 5, 6), (3, 3, 3, 2, 4), (1, 1), "VALID", "float32")
    packed_convolutions.fastest_form.cache_clear()
    assert packed_convolutions.fastest_form(*shapes, compiled=False) == "looped"
    packed_convolutions.fastest_form.cache_clear()
    monkeypatch.setattr(packed_convolutions, "FORMS", {"grouped": fails})
    with pytest.raises(RuntimeError, match="none works.*--networks-per-program 1"):
        packed_convolutions.fastest_form(*shapes, compiled=False)
    packed_convolutions.fastest_form.cache_clear()
