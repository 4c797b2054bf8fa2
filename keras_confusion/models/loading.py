"""Loads saved classifiers to probe them, without the code that built them.

Gradients flow through a reloaded SavedModel, so that images can be optimised on it.

Models that others made are probed too. What their images and answers mean is said by
whoever probes them, by a model.json, or found where it can be; else it is assumed. What
was found or assumed is told. A model.json lies beside the .keras file or the
saved_model/ folder, or in the folder itself, and can be written by hand:

    {"format_version": 1, "class_names": ["cat", "dog"], "input_range": [0, 255]}
"""

import dataclasses
import logging
import pathlib
from collections.abc import Callable, Sequence

import numpy as np
import tensorflow as tf

from keras_confusion.models import (
    answers,
    image_statistics,
    input_range,
    model_description,
    model_files,
)
from keras_confusion.models.model_files import Endpoint
from keras_confusion.models.probe import Probe
from keras_confusion.models.saving import ModelFolderError
from keras_confusion.storage import checks, sealed_json

_log = logging.getLogger(__name__)

_DESCRIPTION = model_description.DESCRIPTION


@dataclasses.dataclass(frozen=True)
class Meaning:
    """What a model's images and answers mean; `None` is found, or assumed and told.

    Args:
        input_range: The values of black and white that it expects.
        class_names: One per class.
        answers: One of `answers.KINDS`.

    Raises:
        ValueError: If a value makes no sense with any model.
    """

    input_range: tuple[float, float] | None = None
    class_names: Sequence[str] | None = None
    answers: str | None = None

    def __post_init__(self):
        limits = self.input_range
        if limits is not None and not (len(limits) == 2 and limits[0] < limits[1]):
            raise ValueError(
                "Expected `input_range` of two numbers, black below white. Received: "
                f"{limits}. Use for example 0 255."
            )
        if self.answers not in (None, *answers.KINDS):
            raise ValueError(
                f"Expected `answers` to be one of {answers.KINDS}. Received: "
                f"{self.answers!r}."
            )


def load_probe(
    path,
    *,
    image_size: tuple[int, int] | None = None,
    meaning: Meaning | None = None,
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
        meaning: What you know of the model; it counts more than what a `model.json`
            says and what is found.
        max_bytes: See `archive_checks.check_keras_file`.
        is_own: Whether this process's own study made the model: then nothing is
            printed.

    Returns:
        A `Probe`; its `assumed` says what was neither said nor in a `model.json`. Of a
        model with one output, class 1 is what it is for, and class 0 is not that.

    Raises:
        ModelFolderError: If there is no model, it cannot be loaded, does not classify
            images, has no gradient with respect to them, or answers with NaN.
    """
    path, meaning = pathlib.Path(path), meaning or Meaning()
    model_files.check_is_no_legacy_file(path)
    is_keras_file = path.is_file() and path.suffix == ".keras"
    directory = path / "saved_model"
    if not model_files.is_saved_model(directory):
        directory = path
    description, assumed = _description(path)
    if not is_keras_file and not model_files.is_saved_model(directory):
        raise ModelFolderError(
            f"Expected a folder with {_DESCRIPTION} and saved_model/, a SavedModel "
            f"folder or a .keras file. Received: {path}"
            f"{_what_else(path, is_foreign=bool(assumed))}."
        )
    if not is_own:
        model_files.warn_of_trust(path)
    if is_keras_file:
        serve, features = model_files.open_keras_file(path, max_bytes)
    else:
        serve, features = model_files.open_saved_model(directory)
    shape = model_files.image_shape(serve.images, image_size, path)
    limits, told = model_files.attempt(
        path, lambda: _settled_range(serve, shape, meaning, description)
    )
    opened = Probe(
        logits=_image_function(serve, limits),
        feature_vectors=None if features is None else _image_function(features, limits),
        input_shape=shape,
        class_names=(),
        source=str(path),
        input_range=limits,
        assumed=(*assumed, *told),
        image_statistics=image_statistics.read(_folder(path), shape),
    )
    probe = model_files.attempt(
        path, lambda: _tried_out(opened, serve, meaning, description)
    )
    if not is_own:
        for sentence in probe.assumed:
            _log.warning(sentence)
    return probe


def _description(path: pathlib.Path) -> tuple[dict, tuple[str, ...]]:
    """What the model.json of a model says, and what is to be told of it."""
    candidates = (path / _DESCRIPTION, _folder(path) / _DESCRIPTION)
    file = next((file for file in candidates if file.is_file()), None)
    if file is None:
        return {}, ()
    description = model_files.attempt(file, lambda: sealed_json.read_json(file))
    if not model_description.is_ours(description):
        return {}, (f"{file} is not read, as it is of another program.",)
    try:
        model_description.check_probed(description, file)
    except ValueError as error:
        raise ModelFolderError(str(error)) from error
    # Only the files that are loaded are verified.
    loaded = path.name if path.suffix == ".keras" else "saved_model/"
    for below in (loaded, image_statistics.FILE):
        if damage := model_description.find_damage(file.parent, below=below):
            raise ModelFolderError(
                f"Expected a model as it was saved. Received: {damage} Use a copy of "
                "yours, or save it again."
            )
    return description, ()


def _folder(path: pathlib.Path) -> pathlib.Path:
    """Where a model's model.json is, or would be."""
    if path.name == "saved_model" or path.suffix == ".keras":
        return path.parent
    return path


def _what_else(path: pathlib.Path, *, is_foreign: bool) -> str:
    """What a path without a model is."""
    if not path.exists():
        return ", which does not exist"
    if path.is_file():
        return ", another kind of file"
    if is_foreign:
        return f", whose {_DESCRIPTION} is of another program, such as TensorFlow.js"
    return ", without a model"


def _settled_range(
    serve: Endpoint, shape, meaning: Meaning, description: dict
) -> tuple[tuple[float, float], list[str]]:
    """The values of black and white, and what is to be told of them."""
    limits = meaning.input_range or description.get("input_range")
    if limits is not None:
        return (float(limits[0]), float(limits[1])), []
    found = None
    # One that takes so many images at a time takes no others.
    if serve.model is not None and serve.images.shape[0] is None:
        found = input_range.find_input_range(serve.model, shape)
    black, white = found or input_range.UNIT_RANGE
    why = (
        "assumed, as the model does not show it"
        if found is None
        else ("as its layers expect them")
    )
    return (black, white), [
        f"Images are given to the model as numbers from {black:g} to {white:g} ({why}; "
        "--input-range says otherwise)."
    ]


def _image_function(
    endpoint: Endpoint, limits: tuple[float, float]
) -> Callable[[tf.Tensor], tf.Tensor]:
    """An endpoint as a function of any number of images in [0, 1], to float32."""
    low, high = limits
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


def _tried_out(
    probe: Probe, serve: Endpoint, meaning: Meaning, description: dict
) -> Probe:
    """Asks a model about some images: has it classes, a gradient, logits?"""
    images = tf.constant(answers.example_images(probe.input_shape))
    outputs = probe.logits(images)
    most = checks.MAX_CLASSES
    if len(outputs.shape) != 2 or not 1 <= outputs.shape[1] <= most:
        raise ModelFolderError(
            "Expected a model with one output per class, (batch, K) with K of at most "
            f"{most}, or with one of two classes, (batch, 1). Received: {probe.source} "
            f"with outputs {tuple(outputs.shape)}."
        )
    if not answers.has_gradient(probe.logits, probe.input_shape):
        raise ModelFolderError(
            "Expected a model with a gradient with respect to its images. Received: "
            f"{probe.source}, in which it ends on the way."
        )
    if not np.isfinite(outputs).all():
        raise ModelFolderError(
            "Expected a model that answers images with finite numbers. Received: "
            f"{probe.source}, which answers with NaN or infinite ones. Use a copy "
            "whose weights are whole, or --input-range if it expects other images."
        )
    if probe.feature_vectors is not None:
        probe.features(images)
    assumed, classify = list(probe.assumed), probe.logits
    kind = meaning.answers
    if kind is None:
        kind = answers.kind_of_answers(classify, probe.input_shape)
        taken_for = kind if kind in answers.KINDS else answers.LOGITS
        assumed.append(
            f"It answers with {answers.LOOKS[kind]} (taken for {taken_for}; --answers "
            "says otherwise)."
        )
    logits = answers.to_logits(kind, classify)
    if kind in (answers.PROBABILITIES, answers.SIGMOIDS) and serve.model is not None:
        logits = _before_activation(probe, serve, logits, images) or logits
    num_classes = max(outputs.shape[1], 2)
    names = meaning.class_names or description.get("class_names")
    if names is None:
        names = list(map(str, range(num_classes)))
        assumed.append(
            f"Its classes are called 0 to {num_classes - 1}, as it does not name them "
            "(--class-names says otherwise)."
        )
    if len(set(names)) != num_classes:
        raise ModelFolderError(
            f"Expected one name for each of {num_classes} classes in model.json or "
            f"--class-names, no two alike. Received: {len(names)} for {probe.source}."
        )
    return dataclasses.replace(
        probe,
        logits=logits,
        class_names=tuple(map(str, names)),
        answers=kind,
        assumed=tuple(assumed),
    )


def _before_activation(
    probe: Probe, serve: Endpoint, logits: Callable, images: tf.Tensor
) -> Callable | None:
    """Logits that go into the softmax or sigmoid at a Keras model's end.

    Probabilities that have become 0 or 1 have no gradient any more; these have.

    Returns:
        `None` if they cannot be told apart.
    """
    expected = tf.nn.softmax(logits(images))
    model = answers.without_activation(serve.model)
    if model is None:
        return None
    inner = answers.to_logits(
        answers.LOGITS,
        _image_function(
            Endpoint(lambda images: model(images, training=False), serve.images),
            probe.input_range,
        ),
    )
    is_same = np.allclose(tf.nn.softmax(inner(images)), expected, atol=0.02)
    return inner if is_same else None
