"""Drafts: faster, less accurate copies of networks, on which images begin.

At inference a batch normalisation is one factor and one shift per channel. Where it
follows a convolution or dense layer, both go into that layer's kernel and bias: with
y = x * kernel + bias and s = gamma / sqrt(variance + epsilon),

    s * (y - mean) + beta = x * (s * kernel) + (s * (bias - mean) + beta).
"""

import collections
import dataclasses
from collections.abc import Callable, Iterator
from typing import TypeAlias

import keras
import numpy as np
import tensorflow as tf

from keras_confusion.models.probe import Probe
from keras_confusion.prototypes.optimizer.objectives import Objective

LogitsFunction: TypeAlias = Callable[[tf.Tensor], tf.Tensor]


DTYPES = ("float32", "bfloat16")
_LONGEST_REASON = 200


def fold_batch_normalization(
    model: keras.Model, *, dtype: str = "float32"
) -> keras.Model:
    """Copies a classifier, without the normalisations that other layers can take on.

    Args:
        model: A Sequential or functional classifier that has been built. It is left as
            it is.
        dtype: "float32" or "bfloat16": what layers compute in. From the last layer
            with weights on they compute in float32 in either case, as the digits of
            logits count.

    Returns:
        A functional model, for inference only. A layer whose output goes elsewhere
        too, or which has an activation before the normalisation, keeps it.

    Raises:
        ValueError: If the model is neither Sequential nor functional, has layers that
            cannot be made again from their configuration, or the type is unknown.
    """
    if dtype not in DTYPES:
        raise ValueError(
            f"Expected `dtype` to be one of {DTYPES}. Received: {dtype!r}."
        )
    try:
        return _copy(model, dtype, keeps_last=True)
    except (AttributeError, NotImplementedError, TypeError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise ValueError(
            "Expected a Sequential or functional model of layers that can be copied. "
            f"Received: {model.name}, which fails with: {reason[:_LONGEST_REASON]} "
            "Use float32."
        ) from error


def _copy(model: keras.Model, dtype: str, *, keeps_last: bool) -> keras.Model:
    # A Sequential model becomes a graph of layers, too.
    inputs, outputs = (
        tensors[0] if len(tensors) == 1 else tensors
        for tensors in (model.inputs, model.outputs)
    )
    graph = keras.Model(inputs, outputs, name=model.name)
    absorbed = _absorbed(graph)
    absorbing = {taker.name: norm for norm, taker in absorbed.items()}
    exact = _last_layers(graph) if keeps_last else set()

    def copy_layer(layer):
        if isinstance(layer, keras.Model):
            return _copy(layer, dtype, keeps_last=False)
        config = layer.get_config()
        # The weights of a normalisation that stays need float32.
        config["dtype"] = (
            "float32" if layer.name in exact or dtype == "float32" else f"mixed_{dtype}"
        )
        if layer.name in absorbing:
            config["use_bias"] = True
        return type(layer).from_config(config)

    def call_layer(layer, *args, **kwargs):
        return args[0] if layer.name in absorbed else layer(*args, **kwargs)

    copy = keras.models.clone_model(
        graph, clone_function=copy_layer, call_function=call_layer
    )
    for layer in graph.layers:
        if isinstance(layer, keras.Model) or layer.name in absorbed:
            continue
        weights = layer.get_weights()
        if layer.name in absorbing:
            weights = _with_normalization(
                weights, graph.get_layer(absorbing[layer.name])
            )
        if weights:
            copy.get_layer(layer.name).set_weights(weights)
    return copy


def _with_normalization(weights, norm) -> list[np.ndarray]:
    """Kernel and bias that do what a layer and the normalisation after it do."""
    kernel, bias = weights if len(weights) == 2 else (weights[0], 0.0)
    # In float64, to be rounded once.
    scale = 1 / np.sqrt(np.asarray(norm.moving_variance, np.float64) + norm.epsilon)
    if norm.scale:
        scale = scale * np.asarray(norm.gamma)
    shift = np.asarray(norm.beta) if norm.center else 0.0
    return [kernel * scale, (bias - np.asarray(norm.moving_mean)) * scale + shift]


def _absorbed(graph: keras.Model) -> dict[str, keras.layers.Layer]:
    """Normalisations by name, each with the layer that takes it on."""
    config = graph.get_config()
    calls = {layer["name"]: layer["inbound_nodes"] for layer in config["layers"]}
    uses = collections.Counter(keras.tree.flatten(config["output_layers"]))
    for nodes in calls.values():
        uses.update(_sources(nodes))
    absorbed = {}
    for layer in graph.layers:
        if not isinstance(layer, keras.layers.BatchNormalization):
            continue
        sources = list(_sources(calls[layer.name]))
        if len(calls[layer.name]) != 1 or len(sources) != 1:
            continue
        before = graph.get_layer(sources[0])
        if (
            type(before) in (keras.layers.Conv2D, keras.layers.Dense)
            and before.activation is keras.activations.linear
            and len(before.weights) == 1 + before.use_bias
            and len(calls[before.name]) == uses[before.name] == 1
            and layer.axis in (-1, len(before.output.shape) - 1)
            and getattr(before, "data_format", "channels_last") == "channels_last"
        ):
            absorbed[layer.name] = before
    return absorbed


def _sources(nodes) -> Iterator[str]:
    """Names of the layers whose outputs go into calls, in a functional config."""
    if isinstance(nodes, dict):
        if "keras_history" in nodes:
            yield nodes["keras_history"][0]
        nodes = list(nodes.values())
    if isinstance(nodes, list | tuple):
        for node in nodes:
            yield from _sources(node)


def _last_layers(graph: keras.Model) -> set[str]:
    """Names of the classification layer and of what comes after it."""
    names = [layer.name for layer in graph.layers]
    last = max(i for i, layer in enumerate(graph.layers) if layer.weights)
    return set(names[last:])


def with_draft(probe: Probe, model: keras.Model) -> Probe:
    """A `Probe` whose images are optimised on a copy in bfloat16 first.

    Args:
        probe: A probe that computes in float32. What it says stays what counts.
        model: The same classifier as a Sequential or functional Keras model.

    Raises:
        ValueError: If the model is of another kind, or its layers cannot be copied.
    """
    draft = fold_batch_normalization(model, dtype="bfloat16")
    logits = DraftedLogits(
        probe.logits, lambda images: tf.cast(draft(images, training=False), tf.float32)
    )
    return dataclasses.replace(probe, logits=logits)


@dataclasses.dataclass(frozen=True, eq=False)
class DraftedLogits:
    """A logits function, and a faster one that is nearly the same.

    Args:
        exact: Decides which images are done, and gives their logits and losses.
        draft: Images are optimised on it first, as far as it can tell.
        draft_objective: What it is asked for; `None` for the same as the exact one.
    """

    exact: LogitsFunction
    draft: LogitsFunction
    draft_objective: Objective | None = None

    def __call__(self, images: tf.Tensor) -> tf.Tensor:
        """The exact logits."""
        return self.exact(images)
