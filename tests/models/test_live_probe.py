import re

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_confusion.models import answers, live_probe
from tests.support import live_models

SHAPE = live_models.SHAPE


@pytest.fixture
def images(rng):
    return tf.constant(rng.random((5, *SHAPE), np.float32))


def sequential(*layers):
    return keras.Sequential([keras.Input(SHAPE), keras.layers.Flatten(), *layers])


def test_it_reads_the_weights_anew(images):
    model = live_models.residual()
    probe = live_probe.live_probe(model, SHAPE)
    features = keras.Model(model.inputs, model.layers[-1].input)
    for scale in (1, 2):
        model.set_weights([scale * weights for weights in model.get_weights()])
        expected = model(images, training=False)
        np.testing.assert_allclose(probe.logits(images), expected, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(
            probe.features(images), features(images, training=False), rtol=1e-5
        )
    assert probe.logits.experimental_get_tracing_count() == 1
    assert probe.assumed == ()


def test_nothing_of_a_subclassed_model_changes(images):
    model = live_models.Subclassed()
    model(images)
    before = [variable.numpy() for variable in model.variables]
    probe = live_probe.live_probe(model, live_probe.image_shape(model))
    probe.logits(images)
    # What goes into its last layer, though that was made first.
    assert probe.features(images).shape == (5, 4)
    for variable, value in zip(model.variables, before, strict=True):
        np.testing.assert_array_equal(variable.numpy(), value)
    assert model.losses == []


@pytest.mark.parametrize(
    ("end", "kind"),
    [
        ([keras.layers.Dense(3, activation="softmax")], answers.PROBABILITIES),
        ([keras.layers.Dense(3), keras.layers.Softmax()], answers.PROBABILITIES),
        ([keras.layers.Dense(1, activation="sigmoid")], answers.SIGMOIDS),
    ],
)
def test_logits_are_those_before_the_last_activation(end, kind, images):
    model = sequential(keras.layers.Dense(4), *end)
    probe = live_probe.live_probe(model, SHAPE)
    assert probe.answers == kind
    shares = model(images).numpy()
    if kind == answers.SIGMOIDS:
        shares = np.concatenate([1 - shares, shares], axis=1)
    np.testing.assert_allclose(probe.predict(images), shares, rtol=1e-4, atol=1e-6)
    # Probabilities of 0 and 1 have no gradient; the logits before them do.
    model.set_weights([100 * weights for weights in model.get_weights()])
    with tf.GradientTape() as tape:
        tape.watch(images)
        logits = probe.logits(images)
    assert np.abs(logits).max() > 100
    assert (np.abs(tape.gradient(logits, images)).max(axis=(1, 2, 3)) > 0).all()


def test_images_are_given_in_the_range_of_the_model(images):
    model = sequential(
        keras.layers.Rescaling(1 / 255), keras.layers.Dense(4), keras.layers.Dense(3)
    )
    probe = live_probe.live_probe(model, SHAPE, class_names="xyz")
    assert probe.input_range == (0, 255)
    (told,) = probe.assumed
    assert "from 0 to 255, as its layers expect them" in told
    np.testing.assert_allclose(probe.logits(images), model(255 * images), rtol=1e-4)
    asked = live_probe.live_probe(model, SHAPE, limits=(-1, 1))
    assert asked.assumed == ()
    np.testing.assert_allclose(
        asked.logits(images), model(2 * images - 1), rtol=1e-3, atol=1e-5
    )


def test_features_of_a_layer_or_a_function(images):
    model = sequential(
        keras.layers.Dense(6, name="hidden"),
        keras.layers.Dense(4),
        keras.layers.Dense(3),
    )
    hidden = keras.Model(model.inputs, model.get_layer("hidden").output)
    for features in ("hidden", hidden):
        probe = live_probe.live_probe(model, SHAPE, features=features)
        np.testing.assert_allclose(probe.features(images), hidden(images), rtol=1e-5)
    assert live_probe.live_probe(model, SHAPE).features(images).shape == (5, 4)


@pytest.mark.parametrize(
    ("layers", "features", "message"),
    [
        (
            [keras.layers.Dense(3)],
            None,
            "a layer before its last one .* Use `features=",
        ),
        ([keras.layers.Dense(3)], "hidden", "name of a layer. Received: 'hidden'. Use"),
        ([keras.layers.Dense(3)], lambda images: 1 / 0, "division by zero"),
    ],
)
def test_without_features_it_says_why_and_only_classifies(layers, features, message):
    probe = live_probe.live_probe(sequential(*layers), SHAPE, features=features)
    assert probe.feature_vectors is None
    (told,) = probe.assumed
    assert re.match(f"There are no features, so no C, R and M_g: .*{message}", told)


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ([keras.layers.Dense(1)], "at least two classes. Received: .* with one output"),
        ([keras.layers.Reshape((64, 3))], "one output, of shape .batch, K."),
        (
            [keras.layers.Lambda(tf.round), keras.layers.Dense(3)],
            "gradient with respect to its images",
        ),
    ],
)
def test_what_is_no_classifier_of_images_is_refused(layers, message):
    with pytest.raises(ValueError, match=f"Expected .*{message}.* Use"):
        live_probe.live_probe(sequential(*layers), SHAPE)


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        (
            (20,),
            r"images \(batch, height, width, channels\). Received: .* \(batch, 20\)",
        ),
        ((3, 32, 32), "channels last"),
        ((None, None, 3), "of one size. .* Use `example_batch=`"),
    ],
)
def test_what_are_no_images_is_refused(shape, message):
    inputs = keras.Input(shape)
    with pytest.raises(ValueError, match=message):
        live_probe.image_shape(keras.Model(inputs, inputs))


def test_the_shape_of_images_is_told_by_the_model_or_an_example():
    assert live_probe.image_shape(live_models.residual()) == SHAPE
    inputs = keras.Input((None, None, 3))
    model = keras.Model(inputs, inputs)
    assert live_probe.image_shape(model, (8, 6, 3)) == (8, 6, 3)
    two = keras.Model([inputs, keras.Input((2,))], inputs)
    with pytest.raises(ValueError, match="one batch of images"):
        live_probe.image_shape(two)
