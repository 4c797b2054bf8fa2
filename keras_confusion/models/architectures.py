"""Classifiers by name, and any function that returns a Keras model."""

import functools
import importlib
from collections.abc import Callable

import keras
import numpy as np

from keras_confusion.models import input_range as model_input_range
from keras_confusion.models import model_functions
from keras_confusion.models.fresh_copy import FreshCopy

_MIN_SIDE = 18


def cnn(*, input_shape, num_classes: int, seed: int) -> keras.Model:
    """The confusion poster's network: three convolutions and two dense layers.

    With 32x32x3 images and 10 classes it has the poster's layer shapes and 122,570
    parameters.

    Args:
        input_shape: (height, width, channels), at least 18 pixels a side.
        num_classes: Number of classes, K.
        seed: Integer from which the initial weights of every layer are drawn.

    Returns:
        A `keras.Sequential` from images in [0, 1] to logits of shape `(batch, K)`.

    Raises:
        ValueError: If the images are too small for the layers.
    """
    if min(input_shape[:2]) < _MIN_SIDE:
        raise ValueError(
            f"Expected images of at least {_MIN_SIDE} pixels a side for the 'cnn' "
            f"model. Received: input_shape={tuple(input_shape)}. "
            "Use a larger image size."
        )
    layer_seeds = iter(np.random.SeedSequence(seed).generate_state(5).tolist())

    def glorot():
        return keras.initializers.GlorotUniform(seed=next(layer_seeds))

    def convolution(filters):
        return keras.layers.Conv2D(
            filters, 3, activation="relu", kernel_initializer=glorot()
        )

    return keras.Sequential(
        [
            keras.Input(tuple(input_shape)),
            convolution(32),
            keras.layers.MaxPooling2D(),
            convolution(64),
            keras.layers.MaxPooling2D(),
            convolution(64),
            keras.layers.Flatten(),
            keras.layers.Dense(64, activation="relu", kernel_initializer=glorot()),
            # Logits stay float32 under a mixed policy: the loss needs the digits.
            keras.layers.Dense(
                num_classes, kernel_initializer=glorot(), dtype="float32"
            ),
        ]
    )


def resnet18(
    *, input_shape, num_classes: int, seed: int, width: int = 64
) -> keras.Model:
    """ResNet18 for small images: 3x3 stem, no first pooling, two blocks a stage.

    He et al. (2015), arXiv 1512.03385, section 4.2, with the stages of ResNet18. With
    width 64 and 10 classes it has 11,173,962 trainable parameters, and 512 features
    before the classification layer.

    Args:
        input_shape: (height, width, channels), at least 8 pixels a side.
        num_classes: Number of classes, K.
        seed: Integer from which the initial weights of every layer are drawn.
        width: Channels of the first stage; each of the other three doubles them.

    Returns:
        A functional `keras.Model` from images in [0, 1] to logits of shape
        `(batch, K)`.

    Raises:
        ValueError: If the images are too small or the width is not positive.
    """
    if min(input_shape[:2]) < 8 or width < 1:
        raise ValueError(
            "Expected images of at least 8 pixels a side and a width of at least 1 for "
            f"the 'resnet18' model. Received: input_shape={tuple(input_shape)}, "
            f"width={width}."
        )
    seeds = (int(draw) for draw in _seed_stream(seed))

    def convolution(filters, kernel_size=3, strides=1):
        return keras.layers.Conv2D(
            filters,
            kernel_size,
            strides,
            padding="same",
            use_bias=False,
            kernel_initializer=keras.initializers.HeNormal(seed=next(seeds)),
        )

    def normalization():
        # Keras' own momentum of 0.99 needs longer trainings than studies have.
        return keras.layers.BatchNormalization(momentum=0.9, epsilon=1e-5)

    def block(images, filters, strides):
        shortcut = images
        if strides > 1 or images.shape[-1] != filters:
            shortcut = normalization()(convolution(filters, 1, strides)(images))
        images = normalization()(convolution(filters, 3, strides)(images))
        images = keras.layers.ReLU()(images)
        images = normalization()(convolution(filters)(images))
        return keras.layers.ReLU()(keras.layers.Add()([images, shortcut]))

    inputs = keras.Input(tuple(input_shape))
    images = keras.layers.Rescaling(2.0, offset=-1.0)(inputs)
    images = keras.layers.ReLU()(normalization()(convolution(width)(images)))
    for stage in range(4):
        for index in range(2):
            strides = 2 if stage > 0 and index == 0 else 1
            images = block(images, width * 2**stage, strides)
    features = keras.layers.GlobalAveragePooling2D()(images)
    logits = keras.layers.Dense(
        num_classes,
        kernel_initializer=keras.initializers.GlorotUniform(seed=next(seeds)),
        dtype="float32",
    )(features)
    return keras.Model(inputs, logits, name="resnet18")


def text(
    *, input_shape, num_classes: int, seed: int, vocabulary_size: int
) -> keras.Model:
    """A small network for short texts: embeddings of words, and of three in a row.

    The sentence network of Kim (2014), arXiv 1408.5882, with one width of filters, few
    channels, and the mean over the text in place of the maximum.

    Args:
        input_shape: (length,), the tokens of a text.
        num_classes: Number of classes, K.
        seed: Integer from which the initial weights of every layer are drawn.
        vocabulary_size: Number of different tokens.

    Returns:
        A `keras.Sequential` from int32 tokens in 0..vocabulary_size-1 to logits of
        shape `(batch, K)`.
    """
    seeds = (int(draw) for draw in _seed_stream(seed))

    def glorot():
        return keras.initializers.GlorotUniform(seed=next(seeds))

    return keras.Sequential(
        [
            keras.Input(tuple(input_shape), dtype="int32"),
            keras.layers.Embedding(
                vocabulary_size,
                16,
                embeddings_initializer=keras.initializers.RandomUniform(
                    seed=next(seeds)
                ),
            ),
            keras.layers.Conv1D(
                32,
                3,
                padding="same",
                activation="relu",
                kernel_initializer=glorot(),
            ),
            keras.layers.GlobalAveragePooling1D(),
            keras.layers.Dense(
                num_classes, kernel_initializer=glorot(), dtype="float32"
            ),
        ]
    )


def _seed_stream(seed: int):
    """Endless seeds of layers."""
    generator = np.random.default_rng(seed)
    while True:
        yield generator.integers(2**32)


ModelFunction = Callable[..., keras.Model]

_BUILDERS: dict[str, ModelFunction] = {"cnn": cnn, "resnet18": resnet18, "text": text}


def build_model(
    model: str | ModelFunction,
    *,
    num_classes: int,
    input_shape=(32, 32, 3),
    seed: int | None = None,
    vocabulary_size: int | None = None,
    dtype_policy: str = "float32",
    input_range: tuple[float, float] | None = None,
    **options,
) -> keras.Model:
    """Builds a fresh classifier whose initial weights are a function of the seed.

        keras_confusion.build_model("cnn", num_classes=10)

    is the poster's network for CIFAR-10.

    Args:
        model: A name ("cnn", "resnet18", or "text" for token sequences),
            "package.module:function", or a function that takes the keyword arguments
            `input_shape`, `num_classes` and `seed`, and `vocabulary_size` with token
            sequences. It returns a Keras model from images, or from int32 tokens, to
            logits.
        num_classes: Number of classes, K.
        input_shape: (height, width, channels), by default that of the poster's images,
            or (length,) of token sequences.
        seed: Integer, 0 to 2**32 - 1; `None` lets the operating system draw one, so
            that every model is another.
        vocabulary_size: Number of different tokens; None for images.
        dtype_policy: "float32" or "mixed_bfloat16", in force while the function runs.
        input_range: (black, white): the values that the function's model expects of
            images. `None` is (0, 1); see `input_range.find_input_range`.
        **options: More arguments for the function, such as `width` of "resnet18".

    Returns:
        A `keras.Model` with input `(batch, *input_shape)`, of images in [0, 1] whatever
        the function's model expects, and output `(batch, K)`.

    Raises:
        ValueError: If the name is unknown, the model is not for such data, or it does
            not have one output `(batch, K)`.
    """
    _check_is_function(model)
    if seed is None:
        seed = int(np.random.SeedSequence().generate_state(1)[0])
    has_tokens = vocabulary_size is not None
    if is_built_in(model) and (model == "text") != has_tokens:
        data = "token sequences" if has_tokens else "images"
        known = sorted(name for name in _BUILDERS if (name == "text") == has_tokens)
        raise ValueError(
            f"Expected a model of {data}, as the data set holds them. Received: "
            f"{model!r}. Use --model {' or '.join(known)}, or a function of yours."
        )
    build = model if callable(model) else _find_builder(model)
    given = {"input_shape": input_shape, "num_classes": num_classes, "seed": seed}
    if has_tokens:
        given["vocabulary_size"] = vocabulary_size
    model_functions.check_arguments(build, model_name(model), {**given, **options})
    policy_before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(dtype_policy)
    try:
        built = build(**given, **options)
    finally:
        keras.config.set_dtype_policy(policy_before)
    if not isinstance(built, keras.Model):
        raise ValueError(
            f"Expected {model_name(model)} to return a `keras.Model`. "
            f"Received: {type(built).__name__}."
        )
    model_functions.check_output(
        built, model_name(model), input_shape, num_classes, has_tokens
    )
    if has_tokens:
        return built
    return model_input_range.of_unit_range(
        built, input_shape, input_range or model_input_range.UNIT_RANGE
    )


def is_built_in(model: str | ModelFunction) -> bool:
    """Whether it is the name of a model of this module's."""
    return isinstance(model, str) and model in _BUILDERS


def model_name(model: str | ModelFunction) -> str:
    """The name under which a study records its model."""
    if isinstance(model, str):
        return model
    if isinstance(model, FreshCopy):
        return f"keras.Model:{model.name}"
    if isinstance(model, functools.partial):
        given = [*map(repr, model.args)]
        given += [f"{name}={value!r}" for name, value in model.keywords.items()]
        return f"{model_name(model.func)}({', '.join(given)})"
    named = model if hasattr(model, "__qualname__") else type(model)
    return f"{named.__module__}:{named.__qualname__}"


def _check_is_function(model) -> None:
    if isinstance(model, keras.layers.Layer):
        raise ValueError(
            "Expected a function that returns a Keras model, so that every network "
            f"begins with weights of its own. Received: the built model {model.name}. "
            "Use `def build(*, input_shape, num_classes, seed)` with the lines that "
            "build it, and `keras.utils.set_random_seed(seed)` before them."
        )
    if not isinstance(model, str) and not callable(model):
        raise ValueError(
            "Expected the name of a model, or a function that returns one. Received: "
            f"{type(model).__name__}. Use one of {sorted(_BUILDERS)}, "
            "'package.module:function', or the function itself."
        )


def _find_builder(name: str) -> ModelFunction:
    if name in _BUILDERS:
        return _BUILDERS[name]
    module_name, colon, function_name = name.partition(":")
    if not colon:
        raise ValueError(
            f"Expected a model of {sorted(_BUILDERS)} or 'package.module:function'. "
            f"Received: {name!r}."
        )
    try:
        found = getattr(importlib.import_module(module_name), function_name)
    except (ImportError, AttributeError) as error:
        raise ValueError(
            f"Expected 'package.module:function' to name a function that Python can "
            f"import. Received: {name!r} ({error})."
        ) from error
    _check_is_function(found)
    return found
