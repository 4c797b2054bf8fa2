"""Which models can be packed: those whose layers keep networks apart."""

import keras
import numpy as np

# Work on every channel, or every number, on its own.
_UNCHANGED = (
    keras.layers.Add,
    keras.layers.AveragePooling2D,
    keras.layers.BatchNormalization,
    keras.layers.GlobalAveragePooling2D,
    keras.layers.GlobalMaxPooling2D,
    keras.layers.LeakyReLU,
    keras.layers.MaxPooling2D,
    keras.layers.ReLU,
    keras.layers.Rescaling,
    keras.layers.ZeroPadding2D,
)
_ACTIVATIONS = (
    "elu",
    "gelu",
    "leaky_relu",
    "linear",
    "relu",
    "relu6",
    "selu",
    "sigmoid",
    "silu",
    "softplus",
    "tanh",
)


class PackingError(ValueError):
    """A model cannot be packed; the message names the layer and what to do."""


def check_model(model: keras.Model) -> None:
    """Raises `PackingError` if a layer of the model cannot be packed."""
    # Keras' own classes: a subclass may compute anything in its `call`.
    is_graph = type(model).__module__.startswith("keras.")
    shape = model.input_shape if is_graph else ()
    if is_graph and model.inputs[0].dtype == "int32":
        raise PackingError(
            f"Expected a model of images. Received: {model.name}, of token sequences. "
            "Use --networks-per-program 1."
        )
    if not isinstance(shape, tuple) or len(shape) != 4 or None in shape[1:]:
        raise PackingError(
            "Expected a Sequential or functional model of one tensor of images, of a "
            f"fixed size. Received: {type(model).__name__}. "
            "Use --networks-per-program 1."
        )
    # Of a functional model those that are no layers too, such as `x + y`.
    for layer in getattr(model, "operations", model.layers):
        reason = _why_not(layer)
        if reason:
            raise PackingError(
                f"Expected layers that keep networks apart. Received: {layer.name}, "
                f"{reason}. Use --networks-per-program 1."
            )
    for layer in model.get_config()["layers"]:
        if len(layer.get("inbound_nodes", ())) > 1:
            raise PackingError(
                "Expected layers that are called once. Received: "
                f"{layer['config']['name']}, called more often. "
                "Use --networks-per-program 1."
            )


def _why_not(layer: keras.layers.Layer) -> str | None:
    """Why a layer cannot be packed; `None` if it can."""
    kinds = (
        keras.layers.Activation,
        keras.layers.Conv2D,
        keras.layers.Dense,
        keras.layers.Flatten,
        keras.layers.InputLayer,
        *_UNCHANGED,
    )
    if type(layer) not in kinds:
        return f"a {type(layer).__name__}"
    # By identity: a function of the user's may have the name of one of Keras'.
    activation = getattr(layer, "activation", None)
    known = [keras.activations.get(name) for name in _ACTIVATIONS]
    if activation is not None and not any(activation is one for one in known):
        name = getattr(activation, "__name__", type(activation).__name__)
        return f"with activation {name!r}"
    config = layer.get_config()
    not_default = {
        "data_format": (None, "channels_last"),
        "groups": (None, 1),
        "dilation_rate": (None, (1, 1), 1),
        "keepdims": (None, False),
        "lora_rank": (None,),
    }
    if type(layer) is keras.layers.Rescaling and np.ndim(layer.scale) + np.ndim(
        layer.offset
    ):
        return "with a scale or an offset for each channel"
    if (
        type(layer) is keras.layers.Add
        and len({tensor.shape for tensor in layer.input}) > 1
    ):
        return "a sum of different shapes"
    for name, usual in not_default.items():
        if config.get(name) not in usual:
            return f"with {name}={config[name]!r}"
    if type(layer) is keras.layers.Dense and len(layer.input.shape) != 2:
        return "a Dense of more than one axis"
    if isinstance(layer, keras.layers.BatchNormalization) and layer.axis not in (
        -1,
        len(layer.input.shape) - 1,
    ):
        return f"with axis={layer.axis}"
    for name, value in config.items():
        if name.endswith(("_regularizer", "_constraint")) and value is not None:
            return f"with a {name}"
    return None
