"""Which models can be packed: those whose layers keep networks apart."""

import keras

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
_ACTIVATIONS = {
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
}


class PackingError(ValueError):
    """A model cannot be packed; the message names the layer and what to do."""


def check_model(model: keras.Model) -> None:
    """Raises `PackingError` if a layer of the model cannot be packed."""
    is_graph = isinstance(model, keras.Sequential | keras.models.Model) and hasattr(
        model, "input_shape"
    )
    if not is_graph or len(model.input_shape) != 4:
        raise PackingError(
            "Expected a Sequential or functional model of images. Received: "
            f"{type(model).__name__}. Use --networks-per-program 1."
        )
    for layer in model.layers:
        reason = _why_not(layer)
        if reason:
            raise PackingError(
                f"Expected layers that keep networks apart. Received: {layer.name}, "
                f"{reason}. Use --networks-per-program 1."
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
    config = layer.get_config()
    activation = config.get("activation")
    not_default = {
        "data_format": (None, "channels_last"),
        "groups": (None, 1),
        "dilation_rate": (None, (1, 1), 1),
        "keepdims": (None, False),
        "lora_rank": (None,),
    }
    if type(layer) not in kinds:
        return f"a {type(layer).__name__}"
    if activation is not None and activation not in _ACTIVATIONS:
        return f"with activation {activation!r}"
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
