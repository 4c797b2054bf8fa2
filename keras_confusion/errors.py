"""Errors of modules that import TensorFlow, told by modules that do not."""


class NonFiniteLossError(RuntimeError):
    """Training went to NaN or infinity; the message says in which epoch."""


class DeviceMemoryError(RuntimeError):
    """Networks do not fit into the memory of the device; the message says what does."""
