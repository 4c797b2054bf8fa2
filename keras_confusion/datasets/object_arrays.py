"""Names in an array of Python objects, as pandas has them, read without pickle.

NumPy stores such arrays by pickle, a program that may do anything when it is run. It is
not run here: its instructions are read one by one, and only a list of texts is taken.
"""

import math
import pickletools
from typing import Any

import numpy as np

_MEMORISE = ("BINPUT", "LONG_BINPUT", "PUT")
_REMEMBER = ("BINGET", "LONG_BINGET", "GET")
_TEXTS = ("SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8", "UNICODE")
_LISTING = ("MARK", "FRAME", "APPEND", "APPENDS")


def read_texts(content: bytes, shape: tuple[int, ...]) -> np.ndarray:
    """Reads the texts of a stored array of objects.

    Args:
        content: What follows the header of the `.npy` file.
        shape: Of the header.

    Returns:
        An array of objects of this shape, all of them texts.

    Raises:
        ValueError: If it holds anything but texts; the message is the reason alone.
    """
    refusal = ValueError(
        "it needs pickle, which is not read: use .astype(str) for names, and np.stack "
        "for images of one size"
    )
    found: list[str] = []
    # Only texts are kept; what else was memorised is None.
    memory: dict[int, str | None] = {}
    text: str | None = None
    in_list = False
    try:
        argument: Any
        for code, argument, _ in pickletools.genops(content):
            if code.name == "MEMOIZE":
                memory[len(memory)] = text
                continue
            if code.name in _MEMORISE:
                memory[int(argument)] = text
                continue
            text = None
            if code.name in _TEXTS:
                text = argument
            elif code.name in _REMEMBER:
                text = memory[int(argument)]
            if not in_list:
                in_list = code.name == "EMPTY_LIST"
            elif text is not None:
                found.append(text)
            elif code.name == "TUPLE":
                break
            elif code.name not in _LISTING:
                raise refusal
    # What is cut off, or is no pickle at all.
    except (ValueError, KeyError) as error:
        raise refusal from error
    if len(found) != math.prod(shape):
        raise refusal
    # Not texts of NumPy, which take as much memory each as the longest.
    return np.array(found, dtype=object).reshape(shape)
