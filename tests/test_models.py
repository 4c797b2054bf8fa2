import keras
import numpy as np
import pytest

from keras_confusion import models


def shape_and_parameters(model):
    return [(tuple(layer.output.shape), layer.count_params()) for layer in model.layers]


def test_cnn_has_the_posters_layers():
    model = models.build_model("cnn", num_classes=10, input_shape=(32, 32, 3), seed=0)
    # The confusion poster, "model architecture"; the shapes of the Keras tutorial
    # network that it shows.
    assert shape_and_parameters(model) == [
        ((None, 30, 30, 32), 896),
        ((None, 15, 15, 32), 0),
        ((None, 13, 13, 64), 18_496),
        ((None, 6, 6, 64), 0),
        ((None, 4, 4, 64), 36_928),
        ((None, 1024), 0),
        ((None, 64), 65_600),
        ((None, 10), 650),
    ]
    assert model.count_params() == 122_570


def test_output_is_logits():
    model = models.build_model("cnn", num_classes=4, input_shape=(18, 18, 1), seed=0)
    logits = model(np.random.default_rng(0).random((5, 18, 18, 1), np.float32)).numpy()
    assert logits.shape == (5, 4)
    assert not np.allclose(logits.sum(axis=1), 1)
    assert (logits < 0).any()


def test_weights_are_a_function_of_the_seed():
    def weights(seed):
        built = models.build_model(
            "cnn", num_classes=3, input_shape=(18, 18, 1), seed=seed
        )
        return np.concatenate([weight.ravel() for weight in built.get_weights()])

    np.testing.assert_array_equal(weights(1), weights(1))
    assert np.any(weights(1) != weights(2))


def test_layers_of_one_shape_start_from_different_weights():
    model = models.build_model("cnn", num_classes=64, input_shape=(32, 32, 3), seed=0)
    hidden, output = (layer.kernel.numpy() for layer in model.layers[-2:])
    assert np.any(hidden[:64] != output)


def test_mixed_policy_keeps_float32_logits_and_leaves_the_global_policy_alone():
    before = keras.config.dtype_policy()
    model = models.build_model(
        "cnn",
        num_classes=3,
        input_shape=(18, 18, 1),
        seed=0,
        dtype_policy="mixed_bfloat16",
    )
    assert keras.config.dtype_policy() == before
    assert model.layers[0].compute_dtype == "bfloat16"
    assert model.layers[0].kernel.dtype == "float32"
    assert model(np.zeros((1, 18, 18, 1), np.float32)).dtype == "float32"


def linear(*, input_shape, num_classes, seed):
    return keras.Sequential(
        [
            keras.Input(input_shape),
            keras.layers.Flatten(),
            keras.layers.Dense(
                num_classes, kernel_initializer=keras.initializers.GlorotUniform(seed)
            ),
        ]
    )


def test_any_function_serves_as_a_model():
    model = models.build_model(linear, num_classes=3, input_shape=(8, 8, 1), seed=3)
    assert model.output_shape == (None, 3)
    assert models.model_name(linear).endswith("test_models:linear")


def test_functions_are_found_by_name():
    model = models.build_model(
        "keras_confusion.models:cnn", num_classes=3, input_shape=(18, 18, 1), seed=0
    )
    assert model.output_shape == (None, 3)


@pytest.mark.parametrize(
    ("model", "shape", "message"),
    [
        ("resnet999", (32, 32, 3), r"Expected a model of \['cnn'\]"),
        ("keras_confusion.models:nothing", (32, 32, 3), "that Python can import"),
        ("no.such.package:function", (32, 32, 3), "that Python can import"),
        ("cnn", (8, 8, 1), "at least 18 pixels"),
        (
            lambda **options: linear(**(options | {"num_classes": 7})),
            (8, 8, 1),
            r"output has shape \(batch, 3\).*Received: .*\(None, 7\)",
        ),
        (lambda **options: 42, (8, 8, 1), "to return a `keras.Model`.*int"),
    ],
)
def test_errors_name_what_is_wrong(model, shape, message):
    with pytest.raises(ValueError, match=message):
        models.build_model(model, num_classes=3, input_shape=shape, seed=0)
