"""What a classifier answers with, logits or something else: told by its answers.

Losses and image optimisers take the softmax of logits themselves. Whether a model has a
softmax of its own cannot be seen in its layers, which may be nested, subclassed or
written as operations. Its answers show it.
"""

from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

LOGITS, PROBABILITIES, SIGMOIDS = "logits", "probabilities", "sigmoids"
_SQUASHED, _RECTIFIED = "squashed", "rectified"
# What a user can say that a model answers with.
KINDS = (LOGITS, PROBABILITIES, SIGMOIDS)

# What answers of every kind look like.
LOOKS = {
    LOGITS: "numbers without bounds",
    PROBABILITIES: "probabilities: none is negative, and those of every image have the "
    "same sum, as after a softmax",
    SIGMOIDS: "numbers from 0 to 1, whatever the image, as after a sigmoid",
    _SQUASHED: "numbers from -1 to 1, whatever the image, as after a tanh",
    _RECTIFIED: "numbers that are never negative and often 0, as after a ReLU",
}

_NUM_EXAMPLES = 8
# Brings whatever has bounds to them.
_BRIGHTER = 1000
# Of sums of bfloat16 probabilities.
_SUM_TOLERANCE = 0.02
_NEARLY = 0.99


def example_images(input_shape, *, vocabulary_size: int | None = None) -> np.ndarray:
    """Some images that differ in much: noise on one colour each. Or token sequences.

    Args:
        input_shape: (height, width, channels), or (length,) of tokens.
        vocabulary_size: Number of different tokens; `None` for images.

    Returns:
        float32 `(n, *input_shape)` in [0, 1], always the same; or int32 tokens.
    """
    rng = np.random.default_rng(0)
    if vocabulary_size is not None:
        # Of one token each, and of many.
        shape = (_NUM_EXAMPLES, *input_shape)
        alike = np.resize(np.arange(vocabulary_size, dtype=np.int32), _NUM_EXAMPLES)
        mixed = rng.integers(0, vocabulary_size, shape, dtype=np.int32)
        return np.concatenate([np.broadcast_to(alike[:, None], shape), mixed])
    colours = rng.random((_NUM_EXAMPLES, 1, 1, input_shape[-1]), np.float32)
    shares = np.linspace(0, 1, _NUM_EXAMPLES, dtype=np.float32)[:, None, None, None]
    noise = rng.random((_NUM_EXAMPLES, *input_shape), np.float32)
    return shares * noise + (1 - shares) * colours


def kind_of_answers(
    classify: Callable, input_shape, *, vocabulary_size: int | None = None
) -> str:
    """What a classifier answers with, trained or not.

    Args:
        classify: From images `(n, *input_shape)`, in [0, 1] and far outside, or from
            tokens, to answers `(n, K)`.
        input_shape: See `example_images`.
        vocabulary_size: See `example_images`.

    Returns:
        A key of `LOOKS`. A log-softmax counts as logits, as its softmax is the same.
    """
    examples = example_images(input_shape, vocabulary_size=vocabulary_size)
    answers = _finite(classify(tf.constant(examples)))
    bright = answers
    if vocabulary_size is None:
        bright = _finite(classify(tf.constant(_BRIGHTER * (2 * examples - 1))))
    every = np.concatenate([answers, bright])
    is_one = np.abs(every.sum(axis=1) - 1) <= _SUM_TOLERANCE
    if len(np.unique(every, axis=0)) < 2 and not is_one.any():
        # Of a last layer that begins with zeros, a dead network, or nothing finite.
        return LOGITS
    if every.min() >= 0:
        sums = every.sum(axis=1)
        if every.shape[1] > 1 and np.ptp(sums) <= _SUM_TOLERANCE * sums.min():
            return PROBABILITIES
        if every.max() <= 1:
            return SIGMOIDS
        if ((every == 0).any(axis=1) & (every > 0).any(axis=1)).any():
            return _RECTIFIED
    elif np.abs(every).max() <= 1 and np.mean(np.abs(bright) > _NEARLY) > 0.5:
        return _SQUASHED
    return LOGITS


def check_logits(
    model: keras.Model, name: str, input_shape, *, vocabulary_size: int | None = None
) -> None:
    """Refuses a model to be trained that does not answer with logits.

    Args:
        model: The model with its initial weights, of images in [0, 1] or of tokens.
        name: Its name, for messages.
        input_shape: See `example_images`.
        vocabulary_size: See `example_images`.

    Raises:
        ValueError: If it answers with something else.
    """
    kind = kind_of_answers(
        lambda examples: model(examples, training=False),
        input_shape,
        vocabulary_size=vocabulary_size,
    )
    if kind != LOGITS:
        raise ValueError(
            "Expected a model that answers with logits, as the loss takes their "
            f"softmax itself. Received: {name}, which answers with {LOOKS[kind]}. Use "
            "a last layer without activation: `Dense(num_classes)`, and for "
            "keras.applications `classifier_activation=None`."
        )


def check_gradient(model: keras.Model, input_shape) -> None:
    """Refuses a model whose answers have no gradient with respect to its images.

    Raises:
        ValueError: If it has none.
    """
    if not has_gradient(lambda images: model(images, training=False), input_shape):
        raise ValueError(
            "Expected a model with a gradient with respect to its images, which "
            "prototypes follow. Received: one in which it ends on the way, as where "
            "images become integers. Use `keras.Input(input_shape)`, whose images are "
            "float32, and no layer that makes integers of them."
        )


def has_gradient(function: Callable, input_shape) -> bool:
    """Whether what a function gives has a gradient with respect to its images.

    It is traced and not computed: then TensorFlow leaves out the gradients of filters,
    which nobody asks for, and whose kernel for one image and few channels writes
    outside its memory on processors with AVX-512 (TensorFlow 2.21).

    Args:
        function: From a float32 tensor of images `(batch, *input_shape)` to a tensor.
        input_shape: Of an image.
    """
    found = []

    @tf.function(
        input_signature=[tf.TensorSpec((None, *input_shape), tf.float32)],
        autograph=False,
    )
    def trace(images):
        with tf.GradientTape() as tape:
            tape.watch(images)
            answers = function(images)
        found.append(tape.gradient(answers, images) is not None)
        return answers

    trace.get_concrete_function()
    return found[-1]


def without_activation(model: keras.Model) -> keras.Model | None:
    """A copy of a Keras model that ends before its last softmax or sigmoid.

    Args:
        model: A Sequential or functional model.

    Returns:
        The copy, with the same weights; `None` if the model does not end like this.
    """
    if not hasattr(model, "operations"):
        inputs, outputs = model.inputs, model.outputs
        model = keras.Model(inputs[0], outputs[0])
    last = model.operations[-1]
    if type(last).__name__ in ("Softmax", "Sigmoid"):
        return keras.Model(model.inputs[0], last.input)
    endings = (keras.activations.softmax, keras.activations.sigmoid)
    if getattr(last, "activation", None) not in endings:
        return None
    configuration = last.get_config() | {"activation": "linear"}
    linear = type(last).from_config(configuration)
    logits = linear(last.input)
    linear.set_weights(last.get_weights())
    return keras.Model(model.inputs[0], logits)


def to_logits(kind: str, classify: Callable) -> Callable[[tf.Tensor], tf.Tensor]:
    """A classifier's answers as logits, float32 `(n, K)`.

    Args:
        kind: A key of `LOOKS`. Only probabilities and sigmoids are changed; where they
            are exactly 0 or 1 their logits have no gradient.
        classify: From images to answers `(n, K)`, float32. A single answer is that of
            the second of two classes.
    """

    def logits(images):
        values = classify(images)
        if kind == PROBABILITIES:
            values = _log(values)
        elif kind == SIGMOIDS:
            values = _log(values) - _log(1 - values)
        if values.shape[-1] == 1:
            values = tf.concat([tf.zeros_like(values), values], axis=-1)
        return values

    return logits


def _log(shares: tf.Tensor) -> tf.Tensor:
    # Below they lose their order.
    return tf.math.log(tf.maximum(shares, 1e-30))


def _finite(answers) -> np.ndarray:
    """Those of images whose answers are all finite, float32 `(m, K)`."""
    values = np.asarray(tf.cast(answers, tf.float32))
    return values[np.isfinite(values).all(axis=1)]
