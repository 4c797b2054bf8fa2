import keras
import numpy as np
import pytest

from keras_confusion.models import architectures, input_range, saving

SHAPE = (32, 32, 3)
LAYERS = keras.layers


class Subclassed(keras.Model):
    def __init__(self, scale):
        super().__init__()
        self.scale = scale
        self.convolution = LAYERS.Conv2D(4, 3)
        self.pooling = LAYERS.GlobalAveragePooling2D()
        self.dense = LAYERS.Dense(3)

    def call(self, images):
        return self.dense(self.pooling(self.convolution(self.scale(images))))


def functional(scale, dtype="float32"):
    inputs = keras.Input(SHAPE, dtype=dtype)
    hidden = LAYERS.Conv2D(4, 3)(scale(inputs))
    return keras.Model(inputs, LAYERS.Dense(3)(LAYERS.GlobalAveragePooling2D()(hidden)))


def standardise(images):
    mean = keras.ops.mean(images, (1, 2, 3), keepdims=True)
    return (images - mean) / (keras.ops.std(images, (1, 2, 3), keepdims=True) + 1e-5)


SCALES = [
    (lambda images: images, 1),
    (LAYERS.Rescaling(2.0, offset=-1.0), 1),
    (LAYERS.Normalization(mean=[0.5] * 3, variance=[0.05] * 3), 1),
    (LAYERS.BatchNormalization(), 1),
    (standardise, 1),
    (LAYERS.Rescaling(1 / 255), 255),
    (LAYERS.Rescaling(1 / 127.5, offset=-1), 255),
    (keras.Sequential([LAYERS.RandomFlip(), LAYERS.Rescaling(1 / 255)]), 255),
    (LAYERS.Normalization(mean=[120.0] * 3, variance=[60.0**2] * 3), 255),
    (LAYERS.Lambda(lambda images: images / 255), 255),
    (lambda images: images / 127.5 - 1, 255),
    # Colours less their means, as they are from 0 to 255: nothing is scaled.
    (keras.applications.vgg16.preprocess_input, 255),
    (LAYERS.Rescaling(1 / 65535), 65535),
]


@pytest.mark.parametrize(("scale", "white"), SCALES)
def test_range_is_found_by_what_layers_make_of_black_and_white(scale, white):
    plain, subclassed = functional(scale), Subclassed(scale)
    subclassed(np.zeros((1, *SHAPE), np.float32))
    nested = keras.Sequential([keras.Input(SHAPE), functional(scale)])
    for model in (plain, nested, subclassed):
        assert input_range.find_input_range(model, SHAPE) == (0, white)
        # It was only looked at.
        assert not any("call" in vars(layer) for layer in model.layers)


def test_layers_of_integers_take_0_to_255():
    for dtype in ("uint8", "int32"):
        model = functional(LAYERS.Rescaling(1 / 255), dtype)
        assert input_range.find_input_range(model, SHAPE) == (0, 255)


@pytest.mark.parametrize(
    ("name", "white"),
    [("EfficientNetB0", 255), ("MobileNetV3Small", 255), ("MobileNetV2", 1)],
)
def test_models_of_keras_applications(name, white):
    build = getattr(keras.applications, name)
    model = build(weights=None, input_shape=SHAPE, classes=3)
    assert input_range.find_input_range(model, SHAPE) == (0, white)


@pytest.mark.parametrize("name", ["cnn", "resnet18"])
def test_built_in_models_raise_no_false_alarm(name):
    # ResNet18 begins with Rescaling(2, -1).
    model = architectures.build_model(name, num_classes=3, seed=0)
    assert input_range.find_input_range(model, SHAPE) == (0, 1)


def test_later_layers_that_scale_do_not_count():
    model = functional(
        lambda images: LAYERS.Rescaling(1 / 255)(LAYERS.Conv2D(3, 1)(images))
    )
    assert input_range.find_input_range(model, SHAPE) == (0, 1)


@pytest.mark.parametrize("dtype", ["float32", "uint8"])
def test_built_model_takes_0_to_1_and_gives_what_the_function_gives(dtype):
    functions_model = functional(LAYERS.Rescaling(1 / 255), dtype)
    built = architectures.build_model(
        lambda **_: functions_model, num_classes=3, input_range=(0, 255)
    )
    levels = np.random.default_rng(0).integers(0, 256, (5, *SHAPE)).astype(np.uint8)
    images = levels.astype(np.float32) * np.float32(1 / 255)
    expected = functions_model(levels.astype(dtype))
    np.testing.assert_allclose(built(images), expected, atol=1e-5)
    # Features and classification layer are still told apart.
    features = saving.features_model(built)(images)
    kernel, bias = saving.classification_layer(built).get_weights()
    np.testing.assert_allclose(features @ kernel + bias, expected, atol=1e-5)


def test_model_of_0_to_1_is_left_as_it_is():
    model = functional(LAYERS.Rescaling(2, -1))
    assert input_range.of_unit_range(model, SHAPE, (0, 1)) is model
    assert input_range.inner_model(model) is None
