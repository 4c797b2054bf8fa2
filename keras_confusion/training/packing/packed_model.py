"""Many networks as one Keras model, so that they train in one program.

A small network leaves a GPU idle between its many small operations. A pack of M
networks of one architecture is one model with M times the channels: pooling,
activations and batch normalisation are as they were, as each channel is on its own;
convolutions and dense layers keep the networks apart. Losses are summed over the
networks, and optimisers work weight by weight, so that each network trains as it would
alone.
"""

import functools
from collections.abc import Sequence

import keras
import numpy as np
import tensorflow as tf

from keras_confusion.training.packing import packed_convolutions
from keras_confusion.training.packing.packable import PackingError, check_model


def pack_model(
    model: keras.Model,
    num_networks: int,
    *,
    batch_size: int,
    shared_images: bool,
    form: str | None = None,
    compiled: bool = False,
) -> keras.Model:
    """Makes one model of many networks; its weights are set by `stack_values`.

    Args:
        model: A Sequential or functional model of convolutions, dense layers, batch
            normalisation, pooling, activations and sums, with the channels last.
        num_networks: Number of networks, M, at least 2.
        batch_size: Images a step, for which the forms of convolutions are timed.
        shared_images: Whether all networks are given the same images.
        form: A name in `packed_convolutions.FORMS` for every convolution but a first
            one of shared images; `None` takes for each the fastest on this device.
        compiled: Whether the model will be compiled by XLA; decides what is timed.

    Returns:
        A model from images `(batch, height, width, channels)`, or `(batch, height,
        width, M * channels)` where they are not shared, to logits `(batch, M * K)`.

    Raises:
        PackingError: If a layer cannot be packed.
    """
    check_model(model)
    height, width, channels = model.input_shape[1:]
    inputs = keras.Input(
        (height, width, channels if shared_images else num_networks * channels)
    )
    packed_layer = functools.partial(
        _packed_layer,
        num_networks=num_networks,
        batch_size=batch_size,
        form=form,
        compiled=compiled,
    )
    try:
        packed = keras.models.clone_model(
            model, input_tensors=inputs, clone_function=packed_layer
        )
    except PackingError:
        raise
    except ValueError as error:
        # Layers that do not fit together any more, such as a sum of shared images and
        # of what the networks made of them.
        raise PackingError(
            "Expected a model of which every path from the images begins with a "
            f"convolution or a dense layer. Received: {model.name} ({error})."
        ) from error
    _check_packed(model, packed, num_networks)
    return packed


def check_packing(model: keras.Model) -> None:
    """Raises `PackingError` if networks cannot be packed, of one repeat or several."""
    for shared_images in (True, False):
        pack_model(model, 2, batch_size=1, shared_images=shared_images, form="looped")


def stack_values(
    packed: keras.Model, values: Sequence[Sequence[np.ndarray]]
) -> list[np.ndarray]:
    """Values for `packed.variables` from those of every network.

    Args:
        packed: A model of `pack_model`.
        values: For each of its networks the values of the single model's variables.
    """
    return [
        np.stack(network_values).reshape(variable.shape)
        for variable, *network_values in zip(packed.variables, *values, strict=True)
    ]


def unpack_network(trained: keras.Model, single: keras.Model, network: int) -> None:
    """Gives a single model the values of one network of a pack.

    Args:
        trained: A model of `pack_model`, or the single model itself.
        single: The model that was packed.
        network: The network's place in the pack.
    """
    if trained is single:
        return
    for variable, packed in zip(single.variables, trained.variables, strict=True):
        network_values = packed.numpy().reshape(-1, *variable.shape)
        variable.assign(network_values[network])


def networks_that_fit(
    model: keras.Model, *, batch_size: int, memory_bytes: int, most: int
) -> int:
    """How many networks to pack, by the memory of their activations.

    Args:
        model: One network.
        batch_size: Images a step.
        memory_bytes: Memory of the device.
        most: Networks that there are to pack together.

    Returns:
        A number from 1 to `most`, such that packs are about equally full.
    """
    numbers = sum(
        int(np.prod(layer.output.shape[1:]))
        * tf.as_dtype(layer.compute_dtype or "float32").size
        for layer in model.layers
    )
    # Activations and gradients, each in two layouts, and patches of a convolution.
    bytes_a_network = 8 * batch_size * numbers + 16 * model.count_params()
    limit = max(1, int(memory_bytes / 2 // bytes_a_network))
    num_packs = -(-most // limit)
    return -(-most // num_packs)


class _PackedLayer(keras.layers.Layer):
    """Layers with kernels of M networks, without what they do with them.

    Args:
        layer: The layer of one network; it has been built.
        num_networks: Number of networks, M.
    """

    def __init__(self, layer, *, num_networks: int):
        super().__init__(name=layer.name, dtype=layer.dtype_policy)
        # Not the layer itself: Keras would count its weights among this one's.
        *_, self._num_in, self._num_out = layer.kernel.shape
        self._kernel_shape = (num_networks, *layer.kernel.shape)
        self._use_bias = layer.use_bias
        self._activation = layer.activation
        self._num_networks = num_networks

    def build(self, input_shape):
        """Adds kernels `(M, ..., in, out)` and biases `(M * out,)`."""
        if input_shape[-1] not in (self._num_in, self._num_networks * self._num_in):
            raise PackingError(
                f"Expected {self._num_in} channels or {self._num_networks} times as "
                f"many before {self.name}. Received: {input_shape[-1]}."
            )
        self._sees_shared = input_shape[-1] == self._num_in
        self.kernel = self.add_weight(name="kernel", shape=self._kernel_shape)
        if self._use_bias:
            self.bias = self.add_weight(
                name="bias", shape=(self._num_networks * self._num_out,)
            )

    def _finish(self, outputs):
        if self._use_bias:
            outputs = tf.nn.bias_add(outputs, tf.convert_to_tensor(self.bias))
        return self._activation(outputs)


class _PackedConvolution(_PackedLayer):
    """The convolutions of M networks.

    Args:
        layer: As for `_PackedLayer`.
        num_networks: As for `_PackedLayer`.
        batch_size: Images a step.
        form: A form's name, or `None` for the fastest.
        compiled: Whether XLA compiles it.
    """

    def __init__(self, layer, *, num_networks, batch_size, form, compiled):
        super().__init__(layer, num_networks=num_networks)
        self._strides, self._padding = layer.strides, layer.padding.upper()
        self._batch_size, self._form, self._compiled = batch_size, form, compiled

    def build(self, input_shape):
        """Adds the weights and settles the form."""
        super().build(input_shape)
        if self._sees_shared:
            self._convolve = packed_convolutions.ordinary
            return
        form = self._form or packed_convolutions.fastest_form(
            (self._batch_size, *input_shape[1:]),
            self._kernel_shape,
            self._strides,
            self._padding,
            self.compute_dtype,
            compiled=self._compiled,
        )
        self._convolve = packed_convolutions.FORMS[form]

    def call(self, inputs):
        """Computes `(batch, h, w, M * out)`."""
        kernels = tf.convert_to_tensor(self.kernel)
        return self._finish(
            self._convolve(inputs, kernels, self._strides, self._padding)
        )


class _PackedDense(_PackedLayer):
    """The dense layers of M networks."""

    def call(self, inputs):
        """Computes `(batch, M * out)`."""
        kernels = tf.convert_to_tensor(self.kernel)
        if self._sees_shared:
            outputs = tf.einsum("bi,mio->bmo", inputs, kernels)
        else:
            by_network = tf.reshape(inputs, (-1, self._num_networks, self._num_in))
            outputs = tf.einsum("bmi,mio->bmo", by_network, kernels)
        merged = tf.reshape(outputs, (-1, self._num_networks * self._num_out))
        return self._finish(merged)


class _PackedFlatten(keras.layers.Layer):
    """Flattens every network's activations on their own, one after the other.

    Args:
        layer: The layer of one network.
        num_networks: Number of networks, M.
    """

    def __init__(self, layer, *, num_networks):
        super().__init__(name=layer.name, dtype=layer.dtype_policy)
        self._channels = layer.input.shape[-1]
        self._num_networks = num_networks

    def call(self, inputs):
        """Computes `(batch, M * features)`, or `(batch, features)` of shared ones."""
        *sizes, channels = inputs.shape[1:]
        if channels == self._channels:
            return tf.reshape(inputs, (-1, int(np.prod(inputs.shape[1:]))))
        by_network = tf.reshape(
            inputs, (-1, *sizes, self._num_networks, channels // self._num_networks)
        )
        axes = range(by_network.shape.rank)
        network = by_network.shape.rank - 2
        moved = [0, network, *(axis for axis in axes[1:] if axis != network)]
        return tf.reshape(
            tf.transpose(by_network, moved), (-1, int(np.prod(inputs.shape[1:])))
        )


def _packed_layer(layer, *, num_networks: int, **convolution_options):
    """The layer of many networks in place of that of one."""
    if type(layer) is keras.layers.Conv2D:
        packed = _PackedConvolution(
            layer, num_networks=num_networks, **convolution_options
        )
    elif type(layer) is keras.layers.Dense:
        packed = _PackedDense(layer, num_networks=num_networks)
    elif type(layer) is keras.layers.Flatten:
        packed = _PackedFlatten(layer, num_networks=num_networks)
    else:
        packed = type(layer).from_config(layer.get_config())
    packed.trainable = layer.trainable
    return packed


def _check_packed(model, packed, num_networks: int) -> None:
    """Whether every variable is there once for each network."""
    counts = [
        (len(either_model.variables), len(either_model.trainable_variables))
        for either_model in (model, packed)
    ]
    if counts[0] != counts[1]:
        raise PackingError(
            "Expected variables of layers only, all of a layer trainable or none. "
            f"Received: {model.name} with other ones. Use --networks-per-program 1."
        )
    for one, many in zip(model.variables, packed.variables, strict=True):
        if int(np.prod(many.shape)) != num_networks * int(np.prod(one.shape)):
            raise PackingError(
                "Expected a model that has a convolution or a dense layer before any "
                f"other layer with weights. Received: {model.name}, in which "
                f"{one.path} comes first. Use --networks-per-program 1."
            )
    if packed.output_shape[-1] != num_networks * model.output_shape[-1]:
        raise PackingError(
            f"Expected a model with weights. Received: {model.name} without. "
            "Use --networks-per-program 1."
        )
