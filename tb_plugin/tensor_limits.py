"""A limit on the arrays that TensorBoard makes of tensors, while the plugin reads them.

An event of a few bytes can promise any shape, and TensorBoard repeats its one number to
fill it before anybody else sees it. Its function that does so is given a look at the
promise first; outside of `at_most` it does what it always did.
"""

import contextlib
import functools
import math
import threading
from collections.abc import Iterator

from tensorboard.compat.tensorflow_stub import dtypes
from tensorboard.util import tensor_util

_state = threading.local()
# Texts are kept by reference.
_REFERENCE_BYTES = 8


class TooLargeError(ValueError):
    """Tensors promise more than is read."""


@contextlib.contextmanager
def at_most(num_bytes: int) -> Iterator[None]:
    """Refuses arrays of more bytes than this, taken together, in this thread.

    Raises:
        TooLargeError: Where TensorBoard is about to make them.
    """
    _state.num_left = num_bytes
    try:
        yield
    finally:
        _state.num_left = None


def _refuse_promises(tensor) -> None:
    num_left = getattr(_state, "num_left", None)
    if num_left is None:
        return
    sizes = [dimension.size for dimension in tensor.tensor_shape.dim]
    if min(sizes, default=0) < 0:
        raise TooLargeError("Expected a shape. Received: negative sizes.")
    dtype = dtypes.as_dtype(tensor.dtype)
    value_bytes = _REFERENCE_BYTES if dtype == dtypes.string else dtype.size
    _state.num_left = num_left - math.prod(sizes) * value_bytes
    if _state.num_left < 0:
        raise TooLargeError("Expected fewer numbers. Received: too many.")


def _looked_at(make_ndarray):
    @functools.wraps(make_ndarray)
    def make(tensor):
        _refuse_promises(tensor)
        return make_ndarray(tensor)

    return make


tensor_util.make_ndarray = _looked_at(tensor_util.make_ndarray)
