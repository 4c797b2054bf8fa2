"""One convolution of many networks, in four forms, and which is fastest here.

Activations of M networks are `(batch, height, width, M * channels)`, one network's
channels after the other's, and kernels `(M, height, width, in, out)`. All forms compute
the same; which is fastest depends on the device, and on the sizes.
"""

import functools
import time
from collections.abc import Callable

import numpy as np
import tensorflow as tf

_TIMED_CALLS = 5


def ordinary(inputs, kernels, strides, padding: str):
    """All networks see the same images: one convolution with M times the filters.

    Args:
        inputs: `(batch, height, width, in)`, shared by the networks.
        kernels: `(M, kernel height, kernel width, in, out)`.
        strides: (vertical, horizontal).
        padding: "VALID" or "SAME".

    Returns:
        `(batch, new height, new width, M * out)`.
    """
    return tf.nn.conv2d(inputs, _side_by_side(kernels), strides, padding)


def grouped(inputs, kernels, strides, padding: str):
    """One convolution with a group for each network; `inputs` have M * in channels.

    Otherwise as `ordinary`, and so are the next three.
    """
    return tf.nn.conv2d(inputs, _side_by_side(kernels), strides, padding)


def looped(inputs, kernels, strides, padding: str):
    """One convolution after the other."""
    num_networks = kernels.shape[0]
    network_inputs = tf.split(inputs, num_networks, axis=-1)
    return tf.concat(
        [
            tf.nn.conv2d(network_inputs[network], kernels[network], strides, padding)
            for network in range(num_networks)
        ],
        axis=-1,
    )


def shifted(inputs, kernels, strides, padding: str):
    """A batched matrix product for each position in the kernel, summed in float32."""
    total = None
    for row, column, window in _windows(inputs, kernels, strides, padding):
        product = tf.einsum("bhwmi,mio->bhwmo", window, kernels[:, row, column])
        product = tf.cast(product, tf.float32)
        total = product if total is None else total + product
    return _merge_channels(tf.cast(total, inputs.dtype))


def patches(inputs, kernels, strides, padding: str):
    """One batched matrix product over patches (im2col)."""
    windows = [window for *_, window in _windows(inputs, kernels, strides, padding)]
    num_networks, height, width, num_in, num_out = kernels.shape
    flat = tf.reshape(kernels, (num_networks, height * width * num_in, num_out))
    products = tf.einsum("bhwmi,mio->bhwmo", tf.concat(windows, axis=-1), flat)
    return _merge_channels(products)


FORMS: dict[str, Callable] = {
    form.__name__: form for form in (grouped, looped, shifted, patches)
}


@functools.cache
def fastest_form(
    input_shape: tuple[int, int, int, int],
    kernel_shape: tuple[int, int, int, int, int],
    strides: tuple[int, int],
    padding: str,
    dtype: str,
    *,
    compiled: bool,
) -> str:
    """Times every form, forward and backward, on random numbers.

    Args:
        input_shape: (batch, height, width, M * in).
        kernel_shape: (M, kernel height, kernel width, in, out).
        strides: (vertical, horizontal).
        padding: "VALID" or "SAME".
        dtype: "float32" or "bfloat16".
        compiled: Whether XLA compiles the forms.

    Returns:
        The name of a form in `FORMS`.

    Raises:
        RuntimeError: If the device can compute none of them.
    """
    seconds = time_forms(
        input_shape, kernel_shape, strides, padding, dtype, compiled=compiled
    )
    fastest = min(seconds, key=lambda name: seconds[name])
    if seconds[fastest] == float("inf"):
        raise RuntimeError(
            "Expected a device that computes a packed convolution in one of the forms "
            f"{sorted(seconds)}. Received: none works for inputs {input_shape} and "
            f"kernels {kernel_shape} in {dtype}. Use --networks-per-program 1."
        )
    return fastest


def time_forms(
    input_shape, kernel_shape, strides, padding: str, dtype: str, *, compiled: bool
) -> dict[str, float]:
    """Seconds of one forward and backward pass by every form; see `fastest_form`.

    Infinite for a form that the device cannot compute, or not in its memory.
    """
    rng = np.random.default_rng(0)
    inputs, kernels = (
        tf.cast(tf.constant(rng.standard_normal(shape, np.float32)), dtype)
        for shape in (input_shape, kernel_shape)
    )
    return {
        name: _time(form, inputs, kernels, strides, padding, compiled)
        for name, form in FORMS.items()
    }


def _time(form, inputs, kernels, strides, padding, compiled) -> float:
    @tf.function(jit_compile=compiled)
    def there_and_back(inputs, kernels):
        with tf.GradientTape() as tape:
            tape.watch((inputs, kernels))
            # Squares, so that the gradient needs the outputs.
            total = tf.reduce_sum(form(inputs, kernels, strides, padding) ** 2)
        input_gradient, kernel_gradient = tape.gradient(total, (inputs, kernels))
        # Numbers that depend on everything, and take no time to fetch.
        return tf.reduce_sum(input_gradient) + tf.reduce_sum(kernel_gradient)

    fastest = float("inf")
    try:
        there_and_back(inputs, kernels).numpy()
    except tf.errors.OpError:
        return fastest
    for _ in range(_TIMED_CALLS):
        start = time.perf_counter()
        there_and_back(inputs, kernels).numpy()
        fastest = min(fastest, time.perf_counter() - start)
    return fastest


def _side_by_side(kernels):
    """`(M, h, w, in, out)` to `(h, w, in, M * out)`."""
    num_networks, height, width, num_in, num_out = kernels.shape
    return tf.reshape(
        tf.transpose(kernels, (1, 2, 3, 0, 4)),
        (height, width, num_in, num_networks * num_out),
    )


def _merge_channels(outputs):
    """`(batch, h, w, M, out)` to `(batch, h, w, M * out)`."""
    _, height, width, num_networks, num_out = outputs.shape
    return tf.reshape(outputs, (-1, height, width, num_networks * num_out))


def _windows(inputs, kernels, strides, padding: str):
    """Yields (row, column, what the kernel sees there, `(batch, h, w, M, in)`)."""
    num_networks, *kernel_sizes, num_in, _ = kernels.shape
    sizes = inputs.shape[1:3]
    if padding == "SAME":
        margins = [
            max((-(-size // stride) - 1) * stride + kernel_size - size, 0)
            for size, kernel_size, stride in zip(
                sizes, kernel_sizes, strides, strict=True
            )
        ]
        before_and_after = [[margin // 2, margin - margin // 2] for margin in margins]
        inputs = tf.pad(inputs, [[0, 0], *before_and_after, [0, 0]])
        sizes = inputs.shape[1:3]
    by_network = tf.reshape(inputs, (-1, *sizes, num_networks, num_in))
    # How far the last window lies from the first.
    reach = [
        (size - kernel_size) // stride * stride + 1
        for size, kernel_size, stride in zip(sizes, kernel_sizes, strides, strict=True)
    ]
    for row in range(kernel_sizes[0]):
        for column in range(kernel_sizes[1]):
            window = by_network[
                :,
                row : row + reach[0] : strides[0],
                column : column + reach[1] : strides[1],
            ]
            yield row, column, window
