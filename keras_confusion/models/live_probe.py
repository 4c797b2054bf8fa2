"""A classifier that is being trained, as a probe of its weights as they are.

Nothing of it changes: it is called in a `keras.StatelessScope`, in which layers cannot
assign their variables, seeds of random numbers included, and no layer is made. The
functions are compiled once and read the weights anew whenever they are called.
"""

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import TypeAlias

import keras
import numpy as np
import tensorflow as tf

from keras_confusion.models import answers, input_range, watched_layers
from keras_confusion.models.probe import Probe

# A layer's name, or a function from images as the model takes them to features.
Features: TypeAlias = str | Callable[[tf.Tensor], tf.Tensor] | None

_MOST_COLOURS = 4
_MOST_NAMED = 20
_SAME = 0.02


def live_probe(
    model: keras.Model,
    input_shape: tuple[int, int, int],
    *,
    class_names: Sequence[str] | None = None,
    limits: tuple[float, float] | None = None,
    features: Features = None,
) -> Probe:
    """A `Probe` of a Keras model of any kind, whose weights may go on changing.

    Args:
        model: A classifier that has been built, Sequential, functional or subclassed.
        input_shape: (height, width, channels).
        class_names: One per class; `None` calls them 0, 1, ...
        limits: The values of black and white that the model expects; `None` finds them.
        features: The name of the layer whose output the features are, or a function
            from images, as the model takes them, to features; `None` takes what goes
            into the last layer with weights. They are flattened to `(batch, d)`.

    Returns:
        A `Probe`. Its `assumed` says, in sentences, what was assumed; its
        `feature_vectors` is `None` where there are none that can be used, and then the
        last of these sentences says why.

    Raises:
        ValueError: If the model does not classify images, has no gradient with respect
            to them, or the number of names is another one.
    """
    assumed = []
    if limits is None:
        with keras.StatelessScope(initialize_variables=False):
            limits = input_range.find_input_range(model, input_shape)
        if limits is None:
            assumed.append(
                "Images are given to the model from 0 to 1, as its layers show no "
                "other range (`input_range=` says otherwise)."
            )
        elif limits != input_range.UNIT_RANGE:
            assumed.append(
                f"Images are given to the model from {limits[0]:g} to {limits[1]:g}, "
                "as its layers expect them (`input_range=` says otherwise)."
            )
        limits = limits or input_range.UNIT_RANGE
    call = _Call(model, limits)
    num_outputs = _check_answers(call, input_shape)
    kind = answers.kind_of_answers(call, input_shape)
    if num_outputs == 1 and kind != answers.SIGMOIDS:
        raise ValueError(
            "Expected a model of at least two classes. Received: "
            f"{model.name} with one output. Use a last layer `Dense(num_classes)`, or "
            "`Dense(1, activation='sigmoid')` for two classes."
        )
    num_classes = max(num_outputs, 2)
    if kind not in answers.KINDS:
        assumed.append(
            f"The model answers with {answers.LOOKS[kind]}, which are taken for logits."
        )
    if class_names is None:
        class_names = list(map(str, range(num_classes)))
    if len(class_names) != num_classes or len(set(class_names)) != num_classes:
        raise ValueError(
            f"Expected `class_names` of {num_classes} classes, no two alike. Received: "
            f"{len(class_names)}. Use one name for each output of the model, in order."
        )
    compiled = tf.function(
        input_signature=[tf.TensorSpec((None, *input_shape), tf.float32)],
        # As Keras calls models in `fit`.
        autograph=False,
    )
    probe = Probe(
        logits=compiled(_Logits(call, kind, input_shape).compute),
        feature_vectors=None,
        input_shape=input_shape,
        class_names=tuple(map(str, class_names)),
        source=model.name,
        input_range=limits,
        answers=kind,
    )
    try:
        vectors = compiled(_Features(call, features, input_shape).compute)
        vectors(tf.constant(answers.example_images(input_shape)))
        probe = dataclasses.replace(probe, feature_vectors=vectors)
    # A model, or a function of features, may fail in any way.
    except Exception as error:
        reason = " ".join(str(error).split())
        assumed.append(f"There are no features, so no C, R and M_g: {reason[:500]}")
    return dataclasses.replace(probe, assumed=tuple(assumed))


def image_shape(model: keras.Model, shape: tuple | None = None) -> tuple[int, int, int]:
    """Height, width and channels of the images that a model was built for.

    Args:
        model: A model that has been built.
        shape: Of the images where it is known, `(height, width, channels)`.

    Raises:
        ValueError: If these are no images with their channels last, or not of one size.
    """
    found = shape
    if found is None:
        inputs = getattr(model, "inputs", None)
        if inputs:
            shapes = [tuple(tensor.shape) for tensor in inputs]
        else:
            # Of a subclassed model: what it was called with when it was built.
            shapes = list((model.get_build_config() or {}).values())
        if len(shapes) != 1 or not isinstance(shapes[0], list | tuple):
            raise ValueError(
                "Expected a model of one batch of images. Received: "
                f"{model.name} with inputs {shapes}. Use `example_batch=` with some of "
                "its images, if it takes one batch of them."
            )
        found = tuple(shapes[0][1:])
    if len(found) == 3 and None in found:
        raise ValueError(
            f"Expected a model of images of one size. Received: {model.name}, which "
            f"takes {found}. Use `example_batch=` with some of its images."
        )
    if len(found) != 3 or found[0] <= _MOST_COLOURS < found[2]:
        raise ValueError(
            "Expected a model of images (batch, height, width, channels). Received: "
            f"{model.name}, which takes (batch, {', '.join(map(str, found))}). Use the "
            "callback with classifiers of images, channels last."
        )
    height, width, channels = map(int, found)
    return height, width, channels


class _Call:
    """A model as a function of images in [0, 1] that changes nothing.

    Args:
        model: The model.
        limits: (black, white).
    """

    def __init__(self, model: keras.Model, limits: tuple[float, float]):
        self.model = model
        self._low, self._high = limits

    def scaled(self, images: tf.Tensor) -> tf.Tensor:
        """Images as the model takes them."""
        images = self._low + (self._high - self._low) * images
        if input_range.takes_integers(self.model):
            images = tf.cast(tf.round(images), input_range.input_dtype(self.model))
        return images

    def untouched(self, function: Callable, images: tf.Tensor):
        """What a function of the model's images gives."""
        with keras.StatelessScope(initialize_variables=False):
            return function(self.scaled(images))

    def __call__(self, images: tf.Tensor):
        """The model's answers, as they are."""
        return self.untouched(lambda given: self.model(given, training=False), images)


class _Logits:
    """A model's answers as logits, float32 `(batch, K)`.

    Args:
        call: The model.
        kind: What it answers with, a key of `answers.LOOKS`.
        input_shape: Of an image.
    """

    def __init__(self, call: _Call, kind: str, input_shape):
        self._call, self._kind = call, kind
        self._takes_inner = False
        if kind in (answers.PROBABILITIES, answers.SIGMOIDS):
            images = tf.constant(answers.example_images(input_shape))
            # Traced, as the other is; its numbers decide whether both are the same.
            plain, inner = tf.function(self._both, autograph=False)(images)
            self._takes_inner = inner is not None and np.allclose(
                tf.nn.softmax(inner), tf.nn.softmax(plain), atol=_SAME
            )

    def compute(self, images: tf.Tensor) -> tf.Tensor:
        plain, inner = self._both(images)
        return inner if self._takes_inner else plain

    def _both(self, images):
        """Logits from the answers, and those that went into the last softmax.

        Probabilities that have become 0 or 1 have no gradient any more; these have.
        Keras' softmax and sigmoid leave them at their results, for its own losses.
        """
        outputs = self._call(images)
        inner = getattr(outputs, "_keras_logits", None)
        plain = answers.to_logits(self._kind, lambda _: tf.cast(outputs, tf.float32))(
            images
        )
        if inner is not None:
            inner = answers.to_logits(
                answers.LOGITS, lambda _: tf.cast(inner, tf.float32)
            )(images)
        return plain, inner


class _Features:
    """A model's features, float32 `(batch, d)`.

    Args:
        call: The model.
        features: See `live_probe`.
        input_shape: Of an image.

    Raises:
        ValueError: If there is no such layer.
    """

    def __init__(self, call: _Call, features: Features, input_shape):
        self._call, self._features = call, features
        if features is None:
            self._layer = _last_layer(call, input_shape)
        elif isinstance(features, str):
            self._layer = _named_layer(call.model, features)

    def compute(self, images: tf.Tensor) -> tf.Tensor:
        if callable(self._features):
            values = self._call.untouched(self._features, images)
        else:
            values = self._watched(images)
        size = math.prod(values.shape[1:])
        return tf.reshape(tf.cast(values, tf.float32), (-1, size))

    def _watched(self, images: tf.Tensor):
        seen = []

        def note(layer, entering, outputs) -> None:
            seen.append(entering if self._features is None else outputs)

        with watched_layers.watched([self._layer], note):
            self._call(images)
        if not seen:
            raise ValueError(
                "Expected `features` to name a layer that images go through. Received: "
                f"{self._layer.name!r}, which the model does not call."
            )
        return seen[-1]


def _check_answers(call: _Call, input_shape) -> int:
    """How many answers a model gives to an image.

    Raises:
        ValueError: If it is no classifier, or images have no gradient.
    """
    images = tf.constant(answers.example_images(input_shape))
    outputs = call(images)
    shape = getattr(outputs, "shape", None)
    name = call.model.name
    if shape is None or len(shape) != 2:
        raise ValueError(
            "Expected a model with one output, of shape (batch, K). Received: "
            f"{name} with outputs {shape or type(outputs).__name__}. Use the callback "
            "with classifiers."
        )
    if not answers.has_gradient(call, input_shape):
        raise ValueError(
            "Expected a model with a gradient with respect to its images, which "
            f"prototypes follow. Received: {name}, in which it ends on the way, as "
            "where images become integers. Use an input layer of float32."
        )
    return int(shape[1])


def _last_layer(call: _Call, input_shape) -> keras.layers.Layer:
    """The layer with weights that is called last: the classification layer."""
    called = []
    weighted = [
        layer for layer in watched_layers.leaf_layers(call.model) if layer.weights
    ]
    with watched_layers.watched(weighted, lambda layer, *_: called.append(layer)):
        call(tf.constant(answers.example_images(input_shape)))
    if not called or called[-1] is called[0]:
        raise ValueError(
            "Expected a model with a layer before its last one with weights, which "
            f"features are taken from. Received: {call.model.name} without. Use "
            "`features=` with a layer's name or a function of images."
        )
    return called[-1]


def _named_layer(model: keras.Model, name: str) -> keras.layers.Layer:
    layers = list(watched_layers.all_layers(model))
    for layer in layers:
        if layer.name == name:
            return layer
    names = ", ".join(layer.name for layer in layers[-_MOST_NAMED:])
    raise ValueError(
        f"Expected `features` to be the name of a layer. Received: {name!r}. Use one "
        f"of: {names}."
    )
