"""What goes into the layers of a model, and comes out, while it is called.

Works for models of any kind: a subclassed one has no graph to ask. Layers within a
`tf.function` of the model's own, or within a loop, give tensors that are of no use
outside of it.
"""

import contextlib
from collections.abc import Callable, Iterator

import keras

# What is told of a call: the layer, its first input, its output.
Note = Callable[[keras.layers.Layer, object, object], None]


def leaf_layers(model: keras.Model) -> Iterator[keras.layers.Layer]:
    """All layers, those of models within models too, but no such models."""
    return (layer for layer in all_layers(model) if not isinstance(layer, keras.Model))


def all_layers(model: keras.Model) -> Iterator[keras.layers.Layer]:
    """All layers, models within models and their layers too."""
    for layer in model.layers:
        yield layer
        if isinstance(layer, keras.Model):
            yield from all_layers(layer)


@contextlib.contextmanager
def watched(layers, note: Note) -> Iterator[None]:
    """Has layers tell of each of their calls, until the context ends."""
    with contextlib.ExitStack() as all_watched:
        for layer in layers:
            all_watched.enter_context(_watched(layer, note))
        yield


@contextlib.contextmanager
def _watched(layer: keras.layers.Layer, note: Note) -> Iterator[None]:
    call, is_own = layer.call, "call" in vars(layer)

    def noting_call(*args, **kwargs):
        outputs = call(*args, **kwargs)
        for tensor in keras.tree.flatten((args, kwargs))[:1]:
            note(layer, tensor, outputs)
        return outputs

    layer.call = noting_call
    try:
        yield
    finally:
        if is_own:
            layer.call = call
        else:
            del layer.call
