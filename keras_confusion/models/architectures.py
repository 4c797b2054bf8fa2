"""Classifiers by name, and any function that returns a Keras model."""

import importlib
import inspect
from collections.abc import Callable

import keras
import numpy as np

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
    **options,
) -> keras.Model:
    """Builds a fresh classifier whose initial weights are a function of the seed.

        keras_confusion.build_model("cnn", num_classes=10)

    is the poster's network for CIFAR-10.

    Args:
        model: A name ("cnn", "resnet18", or "text" for token sequences),
            "package.module:function", or a function that takes the keyword arguments
            `input_shape`, `num_classes` and `seed`, and `vocabulary_size` with token
            sequences. It returns a Keras model from images in [0, 1], or from int32
            tokens, to logits.
        num_classes: Number of classes, K.
        input_shape: (height, width, channels), by default that of the poster's images,
            or (length,) of token sequences.
        seed: Integer, 0 to 2**32 - 1; `None` lets the operating system draw one, so
            that every model is another.
        vocabulary_size: Number of different tokens; None for images.
        dtype_policy: "float32" or "mixed_bfloat16", in force while the function runs.
        **options: More arguments for the function, such as `width` of "resnet18".

    Returns:
        A `keras.Model` with input `(batch, *input_shape)` and output `(batch, K)`.

    Raises:
        ValueError: If the name is unknown, the model is not for such data, or its
            output is not `(batch, K)`.
    """
    if seed is None:
        seed = int(np.random.SeedSequence().generate_state(1)[0])
    has_tokens = vocabulary_size is not None
    if (
        isinstance(model, str)
        and model in _BUILDERS
        and (model == "text") != has_tokens
    ):
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
    _check_arguments(build, model_name(model), {**given, **options})
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
    # Builds a model that has not seen an example yet; a subclassed one has no
    # `output_shape`.
    inputs = keras.KerasTensor(
        (None, *input_shape), dtype="int32" if has_tokens else "float32"
    )
    outputs = built(inputs)
    expected, received = (None, num_classes), tuple(outputs.shape)
    if received != expected:
        raise ValueError(
            f"Expected a model whose output has shape (batch, {num_classes}), one "
            f"logit for each of the data set's {num_classes} classes. Received: "
            f"{model_name(model)} with output shape {received}. "
            "Use a last layer `Dense(num_classes)` without activation."
        )
    return built


def model_name(model: str | ModelFunction) -> str:
    """The name under which a study records its model."""
    if isinstance(model, str):
        return model
    return f"{model.__module__}:{model.__qualname__}"


def _check_arguments(build: ModelFunction, name: str, arguments: dict) -> None:
    try:
        inspect.signature(build).bind(**arguments)
    except TypeError as error:
        raise ValueError(
            f"Expected a function with the arguments {', '.join(arguments)}. Received: "
            f"{name} ({error}). Use a function that takes them by name."
        ) from error
    except ValueError:
        # A function in C that does not tell its arguments.
        return


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
        return getattr(importlib.import_module(module_name), function_name)
    except (ImportError, AttributeError) as error:
        raise ValueError(
            f"Expected 'package.module:function' to name a function that Python can "
            f"import. Received: {name!r} ({error})."
        ) from error
