"""The values of black and white that a model expects; ours are 0 and 1.

Many models scale images themselves: `Rescaling(1/255)` makes of 0..255 what their first
convolution needs, and of [0, 1] nearly nothing, without any error.
"""

import keras
import numpy as np

from keras_confusion.models import watched_layers

UNIT_RANGE = (0.0, 1.0)
# Of 8 and of 16 bits.
_INTEGER_RANGES = ((0.0, 255.0), (0.0, 65535.0))
# What enters the first layer with weights is of ordinary size if it spreads by more
# than this, and lies no further from 0 than so many times its spread.
_SMALLEST_SPREAD = 0.1
_LARGEST_DISTANCE = 10
_SCALED = "scaled_images"


def find_input_range(model: keras.Model, input_shape) -> tuple[float, float] | None:
    """Which values of black and white a model expects, where that can be found.

    What matters is what black and white become before they enter the first layer with
    weights, in whatever way. A model that expects [0, 1], or that scales nothing at
    all, gives that layer numbers of ordinary size from 0 and 1. One that expects 0..255
    does not.

    Args:
        model: A built Keras model of any kind, of images.
        input_shape: (height, width, channels).

    Returns:
        (black, white), or `None` if no range makes numbers of ordinary size.
    """
    is_integer = takes_integers(model)
    patterns = np.zeros((4, *input_shape), np.float32)
    # Black, white, and halves of both: some models standardise each image.
    patterns[1] = 1
    patterns[2, : (input_shape[0] + 1) // 2] = 1
    patterns[3, :, : (input_shape[1] + 1) // 2] = 1
    ranges = _INTEGER_RANGES if is_integer else (UNIT_RANGE, *_INTEGER_RANGES)
    for black, white in ranges:
        entering = _entering(model, black + (white - black) * patterns)
        if entering is None:
            break
        spread = np.ptp(entering, axis=0).max()
        distance = np.median(np.abs(entering.mean(axis=0)))
        if spread >= _SMALLEST_SPREAD and distance <= _LARGEST_DISTANCE * spread:
            return black, white
    return _INTEGER_RANGES[0] if is_integer else None


def takes_integers(model: keras.Model) -> bool:
    """Whether a model's input layer is one of integers, which cuts [0, 1] to 0."""
    return "int" in (input_dtype(model) or "")


def input_dtype(model: keras.Model) -> str | None:
    """The type of a model's images; `None` of a subclassed one, which takes any."""
    inputs = getattr(model, "inputs", None)
    return keras.backend.standardize_dtype(inputs[0].dtype) if inputs else None


def of_unit_range(
    model: keras.Model, input_shape, input_range: tuple[float, float]
) -> keras.Model:
    """A model of images in [0, 1] around one that expects other values.

    Args:
        model: A model of images from black to white.
        input_shape: (height, width, channels).
        input_range: (black, white).

    Returns:
        The same model where the range is [0, 1] and the images floating point; else a
        functional one of two parts, see `inner_model`.
    """
    if tuple(input_range) == UNIT_RANGE and not takes_integers(model):
        return model
    black, white = input_range
    inputs = keras.Input(tuple(input_shape))
    # Of a mixed policy, bfloat16 would lose digits that the model may need.
    scale = keras.layers.Rescaling(white - black, offset=black, dtype="float32")
    images = scale(inputs)
    if takes_integers(model):
        # Not cut off: 254.99 is 255.
        images = keras.ops.cast(keras.ops.round(images), input_dtype(model))
    return keras.Model(inputs, model(images), name=_SCALED)


def inner_model(model: keras.Model) -> keras.Model | None:
    """The model that `of_unit_range` built another one around; `None` of others."""
    return model.layers[-1] if model.name == _SCALED else None


def _entering(model: keras.Model, images: np.ndarray) -> np.ndarray | None:
    """What enters the first layer with weights, float32; `None` if not of images."""
    entered: list[np.ndarray] = []

    def note(layer, entering, outputs) -> None:
        entered.append(keras.ops.convert_to_numpy(entering).astype(np.float32))

    weighted = [
        layer
        for layer in watched_layers.leaf_layers(model)
        # Its weights are those of what images are divided by.
        if layer.weights and not isinstance(layer, keras.layers.Normalization)
    ]
    with watched_layers.watched(weighted, note):
        model(images, training=False)
    if not entered or len(entered[0]) != len(images):
        return None
    return entered[0]
