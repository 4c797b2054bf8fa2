"""What a function of the user's takes, and what the model it returns gives."""

import inspect
from collections.abc import Callable

import keras


def check_arguments(build: Callable, name: str, arguments: dict) -> None:
    """Raises `ValueError` for a function that does not take its arguments."""
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


def check_output(
    built: keras.Model, name: str, input_shape, num_classes: int, has_tokens: bool
) -> None:
    """Builds a model that has seen no example yet, and refuses a wrong output.

    A subclassed model has no `output_shape`.

    Args:
        built: What the function returned.
        name: The function's, for messages.
        input_shape: (height, width, channels), or (length,) of token sequences.
        num_classes: Number of classes, K.
        has_tokens: Whether examples are token sequences.

    Raises:
        ValueError: If it is not one tensor `(batch, K)`, or the model cannot be given
            such examples.
    """
    inputs = keras.KerasTensor(
        (None, *input_shape), dtype="int32" if has_tokens else "float32"
    )
    try:
        outputs = built(inputs)
    except ValueError as error:
        raise ValueError(
            f"Expected a model of examples of shape {tuple(input_shape)}, as the data "
            f"set holds them. Received: {name}, which fails with: "
            f"{' '.join(str(error).split())} Use the `input_shape` that the function "
            "is given."
        ) from error
    if not isinstance(outputs, keras.KerasTensor):
        shapes = keras.tree.map_structure(lambda output: tuple(output.shape), outputs)
        raise ValueError(
            f"Expected a model with one output, logits (batch, {num_classes}). "
            f"Received: {name} with {type(outputs).__name__} of outputs {shapes}. "
            "Use `keras.Model(model.inputs[0], logits)`, with the one tensor of logits."
        )
    expected, received = (None, num_classes), tuple(outputs.shape)
    if received != expected:
        raise ValueError(
            f"Expected a model whose output has shape (batch, {num_classes}), one "
            f"logit for each of the data set's {num_classes} classes. Received: "
            f"{name} with output shape {received}. "
            "Use a last layer `Dense(num_classes)` without activation."
        )
