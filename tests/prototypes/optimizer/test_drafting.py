import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_confusion.models import architectures
from keras_confusion.prototypes.optimizer import drafting
from keras_confusion.prototypes.optimizer.drafting import fold_batch_normalization

SHAPE = (20, 20, 3)


def trained(model, rng):
    """Gives every weight and every moving statistic a value of its own."""
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            trained(layer, rng)
        elif isinstance(layer, keras.layers.BatchNormalization):
            size = layer.moving_mean.shape[0]
            drawn = {
                "gamma": rng.uniform(0.5, 1.5, size),
                "beta": rng.normal(0, 0.3, size),
                "moving_mean": rng.normal(0, 0.3, size),
                "moving_variance": rng.uniform(0.3, 3, size),
            }
            for variable in layer.variables:
                variable.assign(drawn[variable.path.split("/")[-1]])
        else:
            layer.set_weights(
                [w + rng.normal(0, 0.05, w.shape) for w in layer.get_weights()]
            )
    return model


def build(name, rng, **options):
    given = {"input_shape": SHAPE, "num_classes": 4, "seed": 0}
    return trained(architectures.build_model(name, **given, **options), rng)


def sequential(*layers):
    return keras.Sequential([keras.Input(SHAPE), *layers, keras.layers.Dense(4)])


def logits_and_gradient(model, images):
    images = tf.constant(images)
    targets = np.arange(len(images)) % 4
    with tf.GradientTape() as tape:
        tape.watch(images)
        logits = model(images, training=False)
        loss = tf.nn.sparse_softmax_cross_entropy_with_logits(targets, logits)
    return logits.numpy(), tape.gradient(loss, images).numpy()


def assert_same_function(model, copy, images):
    logits, gradient = logits_and_gradient(model, images)
    copy_logits, gradient_of_copy = logits_and_gradient(copy, images)
    np.testing.assert_allclose(copy_logits, logits, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(
        gradient_of_copy, gradient, rtol=1e-3, atol=1e-4 * np.abs(gradient).max()
    )


def num_normalizations(model):
    found = 0
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            found += num_normalizations(layer)
        found += isinstance(layer, keras.layers.BatchNormalization)
    return found


@pytest.fixture
def images(rng):
    return rng.random((6, *SHAPE), np.float32)


def test_one_channel_by_hand():
    # Kernel 3, no bias; mean 2, variance 3.99 + 0.01, gamma 5, beta 7: for pixels of 4
    # (12 - 2) / 2 * 5 + 7 = 32, by a kernel of 7.5 and a bias of 2.
    model = keras.Sequential(
        [
            keras.Input((1, 1, 1)),
            keras.layers.Conv2D(1, 1, use_bias=False),
            keras.layers.BatchNormalization(epsilon=0.01),
            keras.layers.Flatten(),
            keras.layers.Dense(1),
        ]
    )
    kernel, gamma, beta, mean, variance = [[[[3]]]], [5], [7], [2], [3.99]
    one, none = [[1]], [0]
    weights = [kernel, gamma, beta, mean, variance, one, none]
    model.set_weights([np.array(w, np.float32) for w in weights])
    copy = fold_batch_normalization(model)
    kernel, bias, *_ = copy.get_weights()
    np.testing.assert_allclose([kernel.item(), bias.item()], [7.5, 2])
    np.testing.assert_allclose(copy(np.full((1, 1, 1, 1), 4.0)), [[32]])


@pytest.mark.parametrize(("name", "options"), [("cnn", {}), ("resnet18", {"width": 4})])
def test_classifiers_of_this_package_stay_the_same_functions(
    name, options, rng, images
):
    model = build(name, rng, **options)
    before = [w.copy() for w in model.get_weights()]
    copy = fold_batch_normalization(model)
    assert num_normalizations(copy) == 0
    assert_same_function(model, copy, images)
    # The statistics count: with those of a new network the logits are others.
    fresh = architectures.build_model(
        name, input_shape=SHAPE, num_classes=4, seed=0, **options
    )
    assert np.abs(fresh(images) - copy(images)).max() > 0.1
    for left, was in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(left, was)


def test_bfloat16_is_near_and_its_logits_are_float32(rng, images):
    model = build("resnet18", rng, width=4)
    copy = fold_batch_normalization(model, dtype="bfloat16")
    computed = [layer.compute_dtype for layer in copy.layers[1:]]
    assert computed == ["bfloat16"] * (len(computed) - 1) + ["float32"]
    exact, gradient = logits_and_gradient(model, images)
    logits, gradient_of_copy = logits_and_gradient(copy, images)
    assert logits.dtype == np.float32
    assert np.any(logits != exact)
    # Eight binary digits, rounded in some twenty layers.
    assert np.abs(logits - exact).max() < 0.05 * np.abs(exact).max()
    for first, second in zip(gradient, gradient_of_copy, strict=True):
        cosine = np.sum(first * second) / (
            np.linalg.norm(first) * np.linalg.norm(second)
        )
        assert cosine > 0.9


def normalized_after_activation():
    return sequential(
        keras.layers.Conv2D(4, 3, activation="relu"),
        keras.layers.BatchNormalization(),
        keras.layers.Flatten(),
    )


def normalized_after_pooling():
    return sequential(
        keras.layers.MaxPooling2D(),
        keras.layers.BatchNormalization(),
        keras.layers.DepthwiseConv2D(3),
        keras.layers.BatchNormalization(),
        keras.layers.Flatten(),
    )


def normalized_along_rows():
    return sequential(
        keras.layers.Conv2D(4, 3, padding="same"),
        keras.layers.BatchNormalization(axis=1),
        keras.layers.Flatten(),
    )


def output_used_twice():
    inputs = keras.Input(SHAPE)
    convolved = keras.layers.Conv2D(4, 3)(inputs)
    normalized = keras.layers.BatchNormalization()(convolved)
    both = keras.layers.Concatenate()([convolved, normalized])
    outputs = keras.layers.Dense(4)(keras.layers.Flatten()(both))
    return keras.Model(inputs, outputs)


def output_used_in_a_nested_model():
    inputs = keras.Input(SHAPE)
    convolved = keras.layers.Conv2D(4, 3)(inputs)
    nested = keras.Sequential([keras.Input((18, 18, 4)), keras.layers.ReLU()])
    normalized = keras.layers.BatchNormalization()(convolved)
    both = keras.layers.Concatenate()([nested(convolved), normalized])
    outputs = keras.layers.Dense(4)(keras.layers.Flatten()(both))
    return keras.Model(inputs, outputs)


def convolution_called_twice():
    inputs = keras.Input(SHAPE)
    convolution = keras.layers.Conv2D(3, 3, padding="same")
    images = keras.layers.BatchNormalization()(convolution(inputs))
    images = keras.layers.BatchNormalization()(convolution(images))
    outputs = keras.layers.Dense(4)(keras.layers.Flatten()(images))
    return keras.Model(inputs, outputs)


def normalization_called_twice():
    inputs = keras.Input(SHAPE)
    normalization = keras.layers.BatchNormalization()
    images = normalization(keras.layers.Conv2D(3, 3, padding="same")(inputs))
    images = normalization(keras.layers.Conv2D(3, 3, padding="same")(images))
    outputs = keras.layers.Dense(4)(keras.layers.Flatten()(images))
    return keras.Model(inputs, outputs)


@pytest.mark.parametrize(
    ("build_model", "num_left"),
    [
        (normalized_after_activation, 1),
        (normalized_after_pooling, 2),
        (normalized_along_rows, 1),
        (output_used_twice, 1),
        (output_used_in_a_nested_model, 1),
        (convolution_called_twice, 2),
        (normalization_called_twice, 1),
    ],
)
def test_what_cannot_be_folded_is_left(build_model, num_left, rng, images):
    model = trained(build_model(), rng)
    copy = fold_batch_normalization(model)
    assert num_normalizations(copy) == num_left
    assert_same_function(model, copy, images)
    in_bfloat16 = fold_batch_normalization(model, dtype="bfloat16")
    exact = model(images, training=False)
    error = np.abs(in_bfloat16(images, training=False) - exact).max()
    assert 0 < error < 0.05 * np.abs(exact).max()


def test_dense_layers_groups_and_plain_normalizations_are_folded(rng, images):
    model = sequential(
        keras.layers.Conv2D(6, 3, groups=3),
        keras.layers.BatchNormalization(scale=False),
        keras.layers.ReLU(),
        keras.layers.Flatten(),
        keras.layers.Dense(5, use_bias=False),
        keras.layers.BatchNormalization(center=False),
        keras.layers.ReLU(),
    )
    trained(model, rng)
    copy = fold_batch_normalization(model)
    assert num_normalizations(copy) == 0
    assert_same_function(model, copy, images)


def test_nested_models_are_folded_too(rng, images):
    inputs = keras.Input(SHAPE)
    block = keras.Sequential(
        [
            keras.Input(SHAPE),
            keras.layers.Conv2D(3, 3, padding="same"),
            keras.layers.BatchNormalization(),
            keras.layers.ReLU(),
        ]
    )
    flat = keras.layers.Flatten()(block(block(inputs)))
    model = trained(keras.Model(inputs, keras.layers.Dense(4)(flat)), rng)
    copy = fold_batch_normalization(model)
    assert num_normalizations(copy) == 0
    assert_same_function(model, copy, images)


class Subclassed(keras.Model):
    def call(self, images):
        return images


def test_what_cannot_be_copied_is_refused(rng):
    with pytest.raises(ValueError, match="Sequential or functional.*Use float32"):
        fold_batch_normalization(Subclassed())
    with pytest.raises(ValueError, match="Sequential or functional"):
        fold_batch_normalization(keras.Sequential([keras.layers.Dense(2)]))
    with pytest.raises(ValueError, match="'float32', 'bfloat16'.*'float16'"):
        fold_batch_normalization(build("cnn", rng), dtype="float16")
    assert drafting.DTYPES == ("float32", "bfloat16")
