"""Trained classifiers on disk, and probing them without the code that built them.

    saved_models/<name>/model.keras    the Keras model, to train on
    saved_models/<name>/saved_model/   endpoints `serve(images) -> logits` and
                                       `features(images) -> (n, d)`
    saved_models/<name>/model.json     class names, input shape and range, data set,
                                       accuracy, and how it was trained

Features are what goes into the last layer. Gradients flow through a reloaded
SavedModel, so that images can be optimised on it.
"""

import dataclasses
import json
import pathlib
import shutil
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

from keras_confusion import study_folder

FORMAT_VERSION = 1
_EXAMPLE_IMAGES = 4
# Softmax outputs are turned back into logits; this far from 0 they lose their order.
_SMALLEST_PROBABILITY = 1e-30


class ModelFolderError(ValueError):
    """A saved model cannot be used as asked; the message says what is missing."""


def save_model(model: keras.Model, directory, **description) -> pathlib.Path:
    """Saves a classifier for training on and for probing.

    Args:
        model: A Keras model from images in [0, 1] to logits `(batch, K)` whose last
            layer is the classification layer.
        directory: The folder to write; replaced when all of the new one is written.
        **description: What `model.json` says; JSON types. `class_names`, one name per
            class, is needed; `dataset`, `test_accuracy` and `training` are customary.

    Returns:
        The folder.

    Raises:
        ModelFolderError: If `class_names` does not fit the model, or the model has no
            layer before its last.
    """
    directory = pathlib.Path(directory)
    class_names = list(description.get("class_names", ()))
    num_classes = model.output_shape[-1]
    if len(class_names) != num_classes:
        raise ModelFolderError(
            f"Expected `class_names` with one name for each of {num_classes} outputs. "
            f"Received: {len(class_names)} names."
        )
    features = features_model(model)
    partial = directory.with_name(f".{directory.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    model.save(partial / "model.keras")
    _export(model, features, partial / "saved_model")
    text = json.dumps(
        {
            "format_version": FORMAT_VERSION,
            **description,
            "class_names": class_names,
            "input_shape": list(model.input_shape[1:]),
            "input_range": [0.0, 1.0],
            "num_features": features.output_shape[-1],
            "num_parameters": model.count_params(),
        },
        indent=2,
    )
    study_folder.write_atomically(
        partial / "model.json", lambda file: file.write(text.encode() + b"\n")
    )
    if directory.exists():
        shutil.rmtree(directory)
    partial.rename(directory)
    return directory


def features_model(model: keras.Model) -> keras.Model:
    """The part of a classifier before its last layer, flattened to `(batch, d)`.

    Raises:
        ModelFolderError: If the model's last layer does not have a single input.
    """
    try:
        before_last = model.layers[-1].input
    except (AttributeError, ValueError, IndexError) as error:
        raise ModelFolderError(
            "Expected a Sequential or functional model whose last layer is the "
            f"classification layer. Received: {model.name} ({error})."
        ) from error
    if len(before_last.shape) > 2:
        before_last = keras.layers.Flatten()(before_last)
    return keras.Model(model.inputs, before_last)


@dataclasses.dataclass(frozen=True, eq=False)
class Probe:
    """A classifier to ask and to optimise images on.

    Args:
        logits: Differentiable function from a float32 tensor of images
            `(batch, *input_shape)` in [0, 1] to logits `(batch, K)`.
        feature_vectors: The same to features `(batch, d)`, or `None`.
        input_shape: (height, width, channels).
        class_names: One per class.
        source: Where it was loaded from.
    """

    logits: Callable[[tf.Tensor], tf.Tensor]
    feature_vectors: Callable[[tf.Tensor], tf.Tensor] | None
    input_shape: tuple[int, int, int]
    class_names: tuple[str, ...]
    source: str

    def predict(self, images) -> np.ndarray:
        """Returns the class probabilities of images, float32 `(n, K)`."""
        return tf.nn.softmax(self.logits(self._checked(images))).numpy()

    def features(self, images) -> np.ndarray:
        """Returns the feature vectors of images, float32 `(n, d)`.

        Raises:
            ModelFolderError: If the model was exported without them.
        """
        if self.feature_vectors is None:
            raise ModelFolderError(
                f"Expected a model with an endpoint `features`. Received: {self.source}"
                ", which only classifies. Use `saving.save_model` to export it anew; "
                "prototypes can be optimised without."
            )
        return tf.cast(self.feature_vectors(self._checked(images)), tf.float32).numpy()

    def _checked(self, images) -> tf.Tensor:
        images = tf.convert_to_tensor(images, tf.float32)
        if tuple(images.shape[1:]) != self.input_shape:
            raise ValueError(
                f"Expected images of shape (n, {', '.join(map(str, self.input_shape))})"
                f". Received: {tuple(images.shape)}."
            )
        return images


def probe_of(model: keras.Model, class_names) -> Probe:
    """A `Probe` of a Keras model that is in memory."""
    features = features_model(model)
    return Probe(
        logits=lambda images: tf.cast(model(images, training=False), tf.float32),
        feature_vectors=lambda images: features(images, training=False),
        input_shape=tuple(model.input_shape[1:]),
        class_names=tuple(class_names),
        source=model.name,
    )


def load_probe(path) -> Probe:
    """Loads a classifier to probe it.

    A folder of `save_model`, a SavedModel folder or a `.keras` file. Loading a model
    runs what is in it: take it only from those whose programs you would run.

    Args:
        path: A string or path.

    Returns:
        A `Probe`. Of models that others exported, `class_names` are "0", "1", ... and
        outputs that sum to 1 are taken for probabilities.

    Raises:
        ModelFolderError: If there is no model, or it does not classify images.
    """
    path = pathlib.Path(path)
    if path.is_file() and path.suffix == ".keras":
        model = keras.saving.load_model(path, compile=False, safe_mode=True)
        if len(model.input_shape) != 4 or None in model.input_shape[1:]:
            raise ModelFolderError(
                "Expected a model of images (batch, height, width, channels). "
                f"Received: {path} with input {model.input_shape}."
            )
        names = map(str, range(model.output_shape[-1]))
        probe = dataclasses.replace(probe_of(model, names), source=str(path))
        return _with_logits(probe)
    description_file = path / "model.json"
    if description_file.exists():
        description = json.loads(description_file.read_text())
        if description.get("format_version") != FORMAT_VERSION:
            raise ModelFolderError(
                f"Expected format_version {FORMAT_VERSION} in {description_file}. "
                f"Received: {description.get('format_version')!r}. Use a version of "
                "keras-confusion that writes it."
            )
        return _probe_of_saved_model(
            path / "saved_model", class_names=description["class_names"]
        )
    if (path / "saved_model.pb").exists():
        return _with_logits(_probe_of_saved_model(path))
    raise ModelFolderError(
        "Expected a folder with model.json, a SavedModel folder or a .keras file. "
        f"Received: {path}."
    )


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


def _probe_of_saved_model(directory, *, class_names=None) -> Probe:
    loaded = tf.saved_model.load(str(directory))
    signatures = loaded.signatures
    name = next((n for n in ("serve", "serving_default") if n in signatures), None)
    if name is None:
        raise ModelFolderError(
            "Expected a SavedModel with a signature 'serve' or 'serving_default'. "
            f"Received: {directory} with {sorted(signatures)}."
        )
    serve = _single(loaded, name, directory)
    (specification,) = signatures[name].structured_input_signature[1].values()
    shape = tuple(specification.shape[1:])
    if len(shape) != 3 or None in shape:
        raise ModelFolderError(
            "Expected a model of images (batch, height, width, channels) of one size. "
            f"Received: {directory} with input {tuple(specification.shape)}."
        )
    outputs = serve(tf.zeros((1, *shape)))
    if len(outputs.shape) != 2:
        raise ModelFolderError(
            "Expected a model with one output per class, (batch, K). "
            f"Received: {directory} with output {tuple(outputs.shape)}."
        )
    if class_names is None:
        class_names = map(str, range(outputs.shape[-1]))
    return Probe(
        logits=serve,
        feature_vectors=_single(loaded, "features", directory)
        if "features" in signatures
        else None,
        input_shape=shape,
        class_names=tuple(class_names),
        source=str(directory),
    )


def _single(loaded, name, directory) -> Callable[[tf.Tensor], tf.Tensor]:
    """A signature as a function of one tensor."""
    signature = loaded.signatures[name]
    inputs = list(signature.structured_input_signature[1])
    outputs = list(signature.structured_outputs)
    if len(inputs) != 1 or len(outputs) != 1:
        raise ModelFolderError(
            "Expected a signature with one input and one output. Received: "
            f"{directory} with inputs {inputs} and outputs {outputs}."
        )

    def call(images):
        # Through `loaded`: a signature alone does not keep its variables alive.
        return tf.cast(
            loaded.signatures[name](**{inputs[0]: images})[outputs[0]], tf.float32
        )

    return call


def _with_logits(probe: Probe) -> Probe:
    """Takes outputs that are probabilities back to logits."""
    images = np.random.default_rng(0).random((_EXAMPLE_IMAGES, *probe.input_shape))
    outputs = probe.logits(tf.constant(images, tf.float32)).numpy()
    are_shares = (outputs >= 0).all() and np.allclose(outputs.sum(axis=1), 1, atol=1e-3)
    if not are_shares:
        return probe
    of_probabilities = probe.logits
    return dataclasses.replace(
        probe,
        logits=lambda images: tf.math.log(
            tf.maximum(of_probabilities(images), _SMALLEST_PROBABILITY)
        ),
    )
