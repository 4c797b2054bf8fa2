"""Loads saved classifiers to probe them, without the code that built them.

Gradients flow through a reloaded SavedModel, so that images can be optimised on it.

Models that others made are probed too. What their inputs mean cannot be seen: they are
given images in [0, 1] unless a model.json says otherwise, which can be written by hand
beside their saved_model/ folder, such as

    {"format_version": 1, "class_names": ["cat", "dog"], "input_range": [0, 255]}
"""

import dataclasses
import logging
import math
import pathlib
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

from keras_confusion.models import (
    archive_checks,
    model_description,
)
from keras_confusion.models.probe import Probe
from keras_confusion.models.saving import ModelFolderError, features_model
from keras_confusion.storage import checks, sealed_json

_log = logging.getLogger(__name__)

# Of red, green, blue and opacity; the first axis of images that has no more, while the
# last has, is that of the channels.
_MOST_COLOURS = 4
# Of one image: as many as in 4096 x 4096 pixels in colour and opacity.
_MOST_IMAGE_VALUES = 2**26

_KERAS_FILE = (
    "{} is built by Keras in its safe mode, which refuses layers that hold Python "
    "code; its layers and sizes are still those that whoever made it chose. Use it "
    "only if you trust them."
)
_SAVED_MODEL = (
    "{} is a SavedModel, a program of TensorFlow's: whoever made it can have it read "
    "and write your files while it is asked. Use it only if you would run a program of "
    "theirs."
)

_EXAMPLE_IMAGES = 4
# Softmax outputs are turned back into logits; this far from 0 they lose their order.
_SMALLEST_PROBABILITY = 1e-30
_LONGEST_REASON = 200


def load_probe(
    path,
    *,
    image_size: tuple[int, int] | None = None,
    max_bytes: int | None = None,
    is_own: bool = False,
) -> Probe:
    """Loads a classifier to probe it.

    A folder of `save_model`, a SavedModel folder or a `.keras` file. Loading a model
    runs what is in it: take it only from those whose programs you would run. What that
    means is printed to stderr.

    Args:
        path: A string or path.
        image_size: (height, width), for a model that takes images of any size.
        max_bytes: See `archive_checks.check_keras_file`.
        is_own: Whether this process's own study made the model: then nothing is
            printed.

    Returns:
        A `Probe`. Of models without a `model.json`, `class_names` are "0", "1", ...;
        outputs that sum to 1 are taken for probabilities, all others for logits.

    Raises:
        ModelFolderError: If there is no model, it cannot be loaded, does not classify
            images, or has no gradient with respect to them.
    """
    path = pathlib.Path(path)
    description: dict = {}
    if path.exists() and not is_own:
        warn_of_trust(path)
    if path.is_file() and path.suffix == ".keras":
        serve, features = _keras_file(path, max_bytes)
    elif (path / "model.json").exists():
        description = _checked_description(path / "model.json")
        # Only files below saved_model/ are loaded, so only they are verified.
        if damage := model_description.find_damage(path, below="saved_model/"):
            raise ModelFolderError(
                f"Expected a model as it was saved. Received: {damage} Use a copy of "
                "yours, or save it again."
            )
        serve, features = _saved_model(path / "saved_model")
    elif (path / "saved_model.pb").exists():
        serve, features = _saved_model(path)
    else:
        raise ModelFolderError(
            "Expected a folder with model.json, a SavedModel folder or a .keras file. "
            f"Received: {path}."
        )
    probe = Probe(
        logits=_image_function(serve, description),
        feature_vectors=None
        if features is None
        else _image_function(features, description),
        input_shape=image_shape(serve.images, image_size, path),
        class_names=(),
        source=str(path),
    )
    return _attempt(path, lambda: _tried_out(probe, description))


@dataclasses.dataclass(frozen=True, eq=False)
class _Endpoint:
    """A function that a model offers, and what images it takes."""

    function: Callable[[tf.Tensor], tf.Tensor]
    images: tf.TensorSpec


def _attempt(source: pathlib.Path, action: Callable):
    """Does something with a model; whatever goes wrong in it becomes one sentence."""
    try:
        return action()
    except ModelFolderError:
        raise
    # A damaged file, or a model that others made, fails in any way.
    except Exception as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ModelFolderError(
            f"Expected a model that can be loaded and asked. Received: {source}, which "
            f"fails with: {reason[:_LONGEST_REASON]}"
        ) from error


def _checked_description(file: pathlib.Path) -> dict:
    description = _attempt(file, lambda: sealed_json.read_json(file))
    try:
        model_description.check_probed(description, file)
    except ValueError as error:
        raise ModelFolderError(str(error)) from error
    return description


def _keras_file(
    path: pathlib.Path, max_bytes: int | None
) -> tuple[_Endpoint, _Endpoint | None]:
    _attempt(path, lambda: archive_checks.check_keras_file(path, max_bytes=max_bytes))
    model = _attempt(
        path, lambda: keras.saving.load_model(path, compile=False, safe_mode=True)
    )
    inputs, outputs = _attempt(path, lambda: (model.inputs, model.outputs))
    _check_one_of_each(path, inputs, outputs)
    images = tf.TensorSpec(inputs[0].shape, inputs[0].dtype)
    serve = _Endpoint(lambda images: model(images, training=False), images)
    try:
        features = features_model(model)
    except ModelFolderError:
        return serve, None
    return serve, _Endpoint(lambda images: features(images, training=False), images)


def _saved_model(directory: pathlib.Path) -> tuple[_Endpoint, _Endpoint | None]:
    loaded = _attempt(directory, lambda: tf.saved_model.load(str(directory)))
    names = list(getattr(loaded, "signatures", ()))
    name = next((name for name in ("serve", "serving_default") if name in names), None)
    if name is None:
        raise ModelFolderError(
            "Expected a SavedModel with a signature 'serve' or 'serving_default'. "
            f"Received: {directory} with {names}."
        )
    serve = _signature(loaded, name, directory)
    if "features" not in names:
        return serve, None
    return serve, _signature(loaded, "features", directory)


def _signature(loaded, name: str, directory: pathlib.Path) -> _Endpoint:
    """A signature as a function of one tensor."""
    signature = loaded.signatures[name]
    inputs = signature.structured_input_signature[1]
    outputs = list(signature.structured_outputs)
    _check_one_of_each(directory, list(inputs), outputs)
    ((argument, images),) = inputs.items()
    # Through `loaded`: a signature alone does not keep its variables alive.
    return _Endpoint(
        lambda images: loaded.signatures[name](**{argument: images})[outputs[0]], images
    )


def _check_one_of_each(source: pathlib.Path, inputs, outputs) -> None:
    if len(inputs) != 1 or len(outputs) != 1:
        raise ModelFolderError(
            "Expected a model with one input and one output. Received: "
            f"{source} with {len(inputs)} inputs and {len(outputs)} outputs."
        )


def _image_function(
    endpoint: _Endpoint, description: dict
) -> Callable[[tf.Tensor], tf.Tensor]:
    """An endpoint as a function of any number of images in [0, 1], to float32."""
    low, high = description.get("input_range", (0, 1))
    batch_size = endpoint.images.shape[0]

    def call(images):
        images = tf.cast(low + (high - low) * images, endpoint.images.dtype)
        if batch_size is None:
            return tf.cast(endpoint.function(images), tf.float32)
        # It takes so many images at a time, no fewer: the last batch is filled up.
        count = tf.shape(images)[0]
        filled = tf.pad(images, [[0, -count % batch_size], [0, 0], [0, 0], [0, 0]])
        outputs = tf.map_fn(
            lambda batch: tf.cast(endpoint.function(batch), tf.float32),
            tf.reshape(filled, (-1, batch_size, *images.shape[1:])),
            fn_output_signature=tf.float32,
        )
        return tf.reshape(outputs, (-1, outputs.shape[-1]))[:count]

    return call


def _tried_out(probe: Probe, description: dict) -> Probe:
    """Asks a model about some images: has it classes, a gradient, probabilities?"""
    rng = np.random.default_rng(0)
    images = tf.constant(rng.random((_EXAMPLE_IMAGES, *probe.input_shape), np.float32))
    with tf.GradientTape() as tape:
        tape.watch(images)
        outputs = probe.logits(images)
    most = checks.MAX_CLASSES
    if len(outputs.shape) != 2 or not 2 <= outputs.shape[1] <= most:
        raise ModelFolderError(
            "Expected a model with one output per class, (batch, K) with K of at least "
            f"2 and at most {most}. Received: {probe.source} with outputs "
            f"{tuple(outputs.shape)}."
        )
    if tape.gradient(outputs, images) is None:
        raise ModelFolderError(
            "Expected a model with a gradient with respect to its images. Received: "
            f"{probe.source}, in which it ends on the way."
        )
    if probe.feature_vectors is not None:
        probe.features(images)
    class_names = description.get(
        "class_names", list(map(str, range(outputs.shape[1])))
    )
    if len(class_names) != outputs.shape[1]:
        raise ModelFolderError(
            f"Expected one name for each of {outputs.shape[1]} classes in model.json. "
            f"Received: {len(class_names)} in {probe.source}."
        )
    probe = dataclasses.replace(probe, class_names=tuple(map(str, class_names)))
    values = outputs.numpy()
    if (values < 0).any() or not np.allclose(values.sum(axis=1), 1, atol=1e-3):
        return probe
    probability_function = probe.logits
    return dataclasses.replace(
        probe,
        logits=lambda images: tf.math.log(
            tf.maximum(probability_function(images), _SMALLEST_PROBABILITY)
        ),
    )


def warn_of_trust(path: pathlib.Path) -> None:
    """Prints to stderr what loading a model trusts its maker with.

    Args:
        path: A `.keras` file, or a folder of a SavedModel.
    """
    text = _KERAS_FILE if path.is_file() else _SAVED_MODEL
    _log.warning(text.format(path))


def image_shape(
    images: tf.TensorSpec, image_size: tuple[int, int] | None, source
) -> tuple[int, int, int]:
    """Height, width and channels of a model's images.

    Args:
        images: What its input is.
        image_size: (height, width), for a model that takes images of any size.
        source: Where it is from, for messages.

    Raises:
        ModelFolderError: If it takes no images in floating point with their channels
            last, none of that size, or too large ones.
    """
    _, height, width, channels = images.shape if images.shape.rank == 4 else 4 * [None]
    if channels is None or not images.dtype.is_floating:
        raise ModelFolderError(
            "Expected a model of images (batch, height, width, channels) in floating "
            "point, as other numbers have no gradient. Received: "
            f"{source} with {images.dtype.name} inputs {images.shape}."
        )
    if height is None or width is None:
        if image_size is None:
            raise ModelFolderError(
                f"Expected an image size for {source}, which takes images of any. "
                "Received: none. Use --image-size HEIGHT WIDTH."
            )
        height, width = height or image_size[0], width or image_size[1]
    if image_size is not None and tuple(image_size) != (height, width):
        raise ModelFolderError(
            f"Expected images of {height} x {width}, the size {source} takes. "
            f"Received: {image_size[0]} x {image_size[1]}."
        )
    if height <= _MOST_COLOURS < channels:
        raise ModelFolderError(
            "Expected images with their channels last. Received: "
            f"{source} with inputs {images.shape}, channels first as it seems."
        )
    if math.prod((height, width, channels)) > _MOST_IMAGE_VALUES:
        raise ModelFolderError(
            f"Expected images of at most {_MOST_IMAGE_VALUES} values. Received: "
            f"{source} with {height} x {width} x {channels}."
        )
    return height, width, channels
