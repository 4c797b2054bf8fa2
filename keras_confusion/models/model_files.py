"""Opens files of models that others made: `.keras` files and SavedModels.

Whatever is wrong with them becomes one sentence.
"""

import dataclasses
import json
import logging
import math
import pathlib
import zipfile
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

from keras_confusion.models import archive_checks
from keras_confusion.models.saving import ModelFolderError, features_model

_log = logging.getLogger(__name__)

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

# Of red, green, blue and opacity; the first axis of images that has no more, while the
# last has, is that of the channels.
_MOST_COLOURS = 4
# Of one image: as many as in 4096 x 4096 pixels in colour and opacity.
_MOST_IMAGE_VALUES = 2**26

_LEGACY_SUFFIXES = (".h5", ".hdf5")
_SAVED_MODEL_FILE = "saved_model.pb"
# Before the reason itself, and what Keras prints of a model after it.
_BEFORE_REASON = "Exception encountered: "
_AFTER_REASON = (" Full object config:", " config={")
_LONGEST_REASON = 1000


@dataclasses.dataclass(frozen=True, eq=False)
class Endpoint:
    """A function that a model offers.

    Args:
        function: From a batch of images as the model takes them to its outputs.
        images: What its images are.
        model: The Keras model that it asks; `None` of a SavedModel.
    """

    function: Callable[[tf.Tensor], tf.Tensor]
    images: tf.TensorSpec
    model: keras.Model | None = None


def attempt(source: pathlib.Path, action: Callable):
    """Does something with a model; whatever goes wrong in it becomes one sentence."""
    try:
        return action()
    except ModelFolderError:
        raise
    # A damaged file, or a model that others made, fails in any way.
    except Exception as error:
        raise ModelFolderError(
            f"Expected a model that can be loaded and asked. Received: {source}, which "
            f"fails with: {_reason(error)}{_of_keras_2(source)}"
        ) from error


def _reason(error: Exception) -> str:
    """What went wrong, without the model that Keras prints before and after it."""
    reason = " ".join(str(error).split()) or type(error).__name__
    reason = reason.rpartition(_BEFORE_REASON)[2]
    for printed in _AFTER_REASON:
        reason = reason.partition(printed)[0]
    return reason[:_LONGEST_REASON]


def _of_keras_2(path: pathlib.Path) -> str:
    """Why Keras 3 fails where Keras 2 does not, and what to do; or nothing."""
    try:
        with zipfile.ZipFile(path) as archive:
            version = json.loads(archive.read("metadata.json"))["keras_version"]
    except (OSError, zipfile.BadZipFile, KeyError, ValueError, TypeError):
        # Not a file of Keras', or too damaged to say: the reason is told already.
        return ""
    if not str(version).startswith("2."):
        return ""
    return (
        f" It was written by Keras {version!s:.20}, and Keras {keras.__version__} "
        "cannot read all of such files. Use that Keras for `model.export('folder')`, "
        "and probe the folder."
    )


def warn_of_trust(path: pathlib.Path) -> None:
    """Prints to stderr what loading a model trusts its maker with.

    Args:
        path: A `.keras` file, or a folder of a SavedModel.
    """
    text = _KERAS_FILE if path.is_file() else _SAVED_MODEL
    _log.warning(text.format(path))


def is_saved_model(directory: pathlib.Path) -> bool:
    """Whether a folder is a SavedModel."""
    return (directory / _SAVED_MODEL_FILE).is_file()


def check_is_no_legacy_file(path: pathlib.Path) -> None:
    """Refuses HDF5 files, of Keras' former format."""
    if path.suffix not in _LEGACY_SUFFIXES or not path.is_file():
        return
    if path.name.endswith(".weights.h5"):
        raise ModelFolderError(
            f"Expected a whole model. Received: {path}, weights without their layers. "
            "Build the model, load the weights with `model.load_weights`, and use "
            "`model.save('model.keras')`."
        )
    raise ModelFolderError(
        f"Expected a .keras file or a SavedModel folder. Received: {path}, of Keras' "
        "former format, whose contents cannot be checked before they are loaded. If "
        "you trust it, use `keras.saving.load_model("
        f"{path.name!r}, compile=False).save({path.with_suffix('.keras').name!r})`, "
        "and probe that file."
    )


def open_keras_file(
    path: pathlib.Path, max_bytes: int | None
) -> tuple[Endpoint, Endpoint | None]:
    """The classifier of a `.keras` file, and its features if it has any.

    Args:
        path: The file.
        max_bytes: See `archive_checks.check_keras_file`.

    Raises:
        ModelFolderError: If it cannot be loaded.
    """
    attempt(path, lambda: archive_checks.check_keras_file(path, max_bytes=max_bytes))
    model = attempt(
        path, lambda: keras.saving.load_model(path, compile=False, safe_mode=True)
    )
    inputs, outputs = attempt(path, lambda: (model.inputs, model.outputs))
    _check_one_of_each(path, inputs, outputs)
    _check_weights(path, model.weights)
    images = tf.TensorSpec(inputs[0].shape, inputs[0].dtype)
    serve = Endpoint(lambda images: model(images, training=False), images, model)
    try:
        features = features_model(model)
    except ModelFolderError:
        return serve, None
    return serve, Endpoint(lambda images: features(images, training=False), images)


def open_saved_model(directory: pathlib.Path) -> tuple[Endpoint, Endpoint | None]:
    """The classifier of a SavedModel, and its features if it offers them.

    Raises:
        ModelFolderError: If it cannot be loaded, or has no signature for it.
    """
    loaded = attempt(directory, lambda: tf.saved_model.load(str(directory)))
    names = list(getattr(loaded, "signatures", ()))
    name = next((name for name in ("serve", "serving_default") if name in names), None)
    if name is None:
        raise ModelFolderError(
            "Expected a SavedModel with a signature 'serve' or 'serving_default'. "
            f"Received: {directory} with {names}."
        )
    serve = _signature(loaded, name, directory)
    _check_weights(directory, loaded.signatures[name].variables)
    if "features" not in names:
        return serve, None
    return serve, _signature(loaded, "features", directory)


def _signature(loaded, name: str, directory: pathlib.Path) -> Endpoint:
    """A signature as a function of one tensor."""
    signature = loaded.signatures[name]
    inputs = signature.structured_input_signature[1]
    outputs = list(signature.structured_outputs)
    _check_one_of_each(directory, list(inputs), outputs)
    ((argument, images),) = inputs.items()
    # Through `loaded`: a signature alone does not keep its variables alive.
    return Endpoint(
        lambda images: loaded.signatures[name](**{argument: images})[outputs[0]], images
    )


def _check_weights(source: pathlib.Path, variables) -> None:
    """Refuses weights that are no numbers, which a ReLU may hide from the answers."""
    floats = [
        variable.numpy().astype(np.float32)
        for variable in variables
        if tf.as_dtype(variable.dtype).is_floating
    ]
    num_wrong = sum(int((~np.isfinite(values)).sum()) for values in floats)
    if num_wrong:
        raise ModelFolderError(
            f"Expected weights that are finite numbers. Received: {source}, of whose "
            f"{sum(values.size for values in floats)} weights {num_wrong} are NaN or "
            "infinite. Use a copy from before its training failed."
        )


def _check_one_of_each(source: pathlib.Path, inputs, outputs) -> None:
    if len(inputs) != 1 or len(outputs) != 1:
        raise ModelFolderError(
            "Expected a model with one input and one output. Received: "
            f"{source} with {len(inputs)} inputs and {len(outputs)} outputs."
        )


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
