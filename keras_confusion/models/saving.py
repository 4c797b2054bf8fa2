"""Trained classifiers on disk, to be trained on and to be probed.

    saved_models/<name>/model.keras    the Keras model, to train on
    saved_models/<name>/saved_model/   endpoints `serve(images) -> logits` and
                                       `features(images) -> (n, d)`
    saved_models/<name>/image_statistics.npz
                                       colours and mean spectrum of the training images
    saved_models/<name>/model.json     class names, input shape and range, data set,
                                       accuracy, how it was trained, and checksums of
                                       all files, see `model_description`

Features are what goes into the last layer that has weights.
"""

import contextlib
import errno
import hashlib
import json
import pathlib
import shutil
from collections.abc import Iterator

import keras
import numpy as np
import tensorflow as tf

from keras_confusion.models import input_range, model_description
from keras_confusion.models.image_statistics import FILE as STATISTICS_FILE
from keras_confusion.models.image_statistics import ImageStatistics
from keras_confusion.storage import files, sealed_json

FORMAT_VERSION = 1
_CONTENTS = ("model.keras", "saved_model", "model.json", STATISTICS_FILE)
# What TensorFlow's errors say of the file system's.
_TENSORFLOW_ERRORS = {
    errno.ENOSPC: "No space left on device",
    errno.EDQUOT: "Disk quota exceeded",
    errno.EROFS: "Read-only file system",
    errno.EACCES: "Permission denied",
}


class ModelFolderError(ValueError):
    """A saved model cannot be used as asked; the message says what is missing."""


def check_folder(directory) -> None:
    """Refuses a folder that a model cannot be saved in, or that holds something else.

    Raises:
        ModelFolderError: If there is anything but an earlier model.
        OSError: If nothing can be written there.
    """
    directory = pathlib.Path(directory).absolute()
    if directory.is_dir() and _holds_other_things(directory):
        raise ModelFolderError(
            f"Expected {directory} to be new or to hold a saved model only. Received: "
            f"{', '.join(sorted(path.name for path in directory.iterdir())[:5])}. Use "
            "another --out."
        )
    if directory.exists() and not directory.is_dir():
        raise NotADirectoryError(f"{directory} is a file, not a folder.")
    directory.parent.mkdir(parents=True, exist_ok=True)
    _restore(directory)
    # Now, and not after a training of hours.
    shutil.rmtree(_partial(directory), ignore_errors=True)
    _partial(directory).mkdir(exist_ok=True)
    _partial(directory).rmdir()


def _holds_other_things(directory: pathlib.Path) -> bool:
    held = {path.name for path in directory.iterdir()}
    if held - set(_CONTENTS):
        return True
    description_file = directory / "model.json"
    if not description_file.exists():
        return bool(held)
    try:
        description = json.loads(description_file.read_text())
    except ValueError:
        return True
    return "format_version" not in description or "class_names" not in description


def _partial(directory: pathlib.Path) -> pathlib.Path:
    return directory.with_name(f".{directory.name}.partial")


def save_model(
    model: keras.Model,
    directory,
    *,
    image_statistics: ImageStatistics | None = None,
    **description,
) -> pathlib.Path:
    """Saves a classifier for training on and for probing.

    Args:
        model: A Keras model from images in [0, 1] to logits `(batch, K)` whose last
            layer is the classification layer.
        directory: The folder to write; replaced when all of the new one is written.
        image_statistics: `ImageStatistics.of_images` of training images: with it the
            prototypes of `maco` can be made from the folder alone, and those of
            `fourier` have the colours of the data.
        **description: What `model.json` says; JSON types. `class_names`, one name per
            class, is needed; `dataset`, `test_accuracy` and `training` are customary.

    Returns:
        The folder.

    Raises:
        ModelFolderError: If `class_names` does not fit the model, the model has no
            layer before its last, or the folder holds something else.
    """
    directory = pathlib.Path(directory).absolute()
    partial = _partial(directory)
    check_folder(directory)
    class_names = list(description.get("class_names", ()))
    num_classes = model.output_shape[-1]
    if len(class_names) != num_classes:
        raise ModelFolderError(
            f"Expected `class_names` with one name for each of {num_classes} outputs. "
            f"Received: {len(class_names)} names."
        )
    features = features_model(model)
    with _as_os_errors(directory), _removed_on_error(partial):
        partial.mkdir(parents=True)
        model.save(partial / "model.keras")
        _export(model, features, partial / "saved_model")
        if image_statistics is not None:
            image_statistics.write(partial)
        _describe(model, features, partial, description | {"class_names": class_names})
    _replace(directory, partial)
    return directory


def _describe(model, features, partial: pathlib.Path, description: dict) -> None:
    sealed_json.write(
        partial / model_description.DESCRIPTION,
        {
            "format_version": FORMAT_VERSION,
            **description,
            "input_shape": list(model.input_shape[1:]),
            "input_range": [0.0, 1.0],
            "num_features": features.output_shape[-1],
            "num_parameters": model.count_params(),
            "weights_sha256": weights_digest(model),
            model_description.HASHES: model_description.hashes(partial),
        },
    )


@contextlib.contextmanager
def _as_os_errors(directory: pathlib.Path) -> Iterator[None]:
    """A full disk is an OSError with a name, whoever of the libraries meets it."""
    try:
        yield
    except OSError as error:
        # HDF5 has words of its own, and not always a number.
        if error.errno is None and "No space left" in str(error):
            raise OSError(
                errno.ENOSPC, "No space left on device", str(directory)
            ) from error
        raise files.with_name(error, directory) from error
    except tf.errors.OpError as error:
        for number, text in _TENSORFLOW_ERRORS.items():
            if text in str(error):
                raise OSError(number, text, str(directory)) from error
        raise


@contextlib.contextmanager
def _removed_on_error(partial: pathlib.Path) -> Iterator[None]:
    try:
        yield
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise


def _former(directory: pathlib.Path) -> pathlib.Path:
    return directory.with_name(f".{directory.name}.former")


def _replace(directory: pathlib.Path, partial: pathlib.Path) -> None:
    """Puts a finished folder in the place of a former one, which is there till then."""
    former = _former(directory)
    if directory.exists():
        shutil.rmtree(former, ignore_errors=True)
        directory.rename(former)
    partial.rename(directory)
    shutil.rmtree(former, ignore_errors=True)


def _restore(directory: pathlib.Path) -> None:
    """Brings back what a process that was killed had put aside."""
    former = _former(directory)
    if former.exists():
        if directory.exists():
            shutil.rmtree(former)
        else:
            former.rename(directory)


def weights_digest(model: keras.Model) -> str:
    """Hex sha256 of all weights in their order: which network it is."""
    digest = hashlib.sha256()
    for weights in model.get_weights():
        digest.update(np.ascontiguousarray(weights).tobytes())
    return digest.hexdigest()


def features_model(model: keras.Model) -> keras.Model:
    """The part of a classifier before its last layer, flattened to `(batch, d)`.

    Raises:
        ModelFolderError: If the model's last layer does not have a single input.
    """
    if (inner := input_range.inner_model(model)) is not None:
        scaled = model.operations[-2].output
        return keras.Model(model.inputs[0], features_model(inner)(scaled))
    try:
        last = classification_layer(model)
        if isinstance(last, keras.Model):
            raise ValueError("its last layer is a model itself")
        before_last = last.input
        if len(before_last.shape) > 2:
            before_last = keras.layers.Flatten()(before_last)
        return keras.Model(model.inputs[0], before_last)
    except (AttributeError, ValueError, StopIteration) as error:
        raise ModelFolderError(
            "Expected a Sequential or functional model whose last layer is the "
            f"classification layer. Received: {model.name} ({error})."
        ) from error


def classification_layer(model: keras.Model) -> keras.layers.Layer:
    """The last layer that has weights.

    Not an activation that stands by itself: logits go into it.

    Raises:
        StopIteration: If there is none.
    """
    layers = (input_range.inner_model(model) or model).layers
    return next(layer for layer in reversed(layers) if layer.weights)


def num_features(model: keras.Model) -> int | None:
    """How many features a classifier has; `None` if they cannot be told apart."""
    try:
        return features_model(model).output_shape[-1]
    except ModelFolderError:
        return None


def _export(model, features, directory) -> None:
    specification = [
        tf.TensorSpec((None, *model.input_shape[1:]), tf.float32, name="images")
    ]
    archive = keras.export.ExportArchive()
    archive.add_endpoint(
        "serve",
        lambda images: tf.cast(model(images, training=False), tf.float32),
        input_signature=specification,
    )
    archive.add_endpoint(
        "features",
        lambda images: tf.cast(features(images, training=False), tf.float32),
        input_signature=specification,
    )
    archive.write_out(str(directory), verbose=False)
