"""Checks of arrays and pictures that came out of event files."""

import struct

import numpy as np

from tb_plugin import metadata
from tb_plugin.study_text import DataError

_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
# The signature, then the length and the name of the first chunk, then two sides.
_PNG_START = struct.Struct(">8sI4sII")


def check_array(
    what: str, values: np.ndarray, *, shape: tuple[int, ...], dtypes: tuple[str, ...]
) -> np.ndarray:
    """Returns an array that is what it should be.

    Raises:
        DataError: If shape or type are others.
    """
    if values.shape != shape or values.dtype.name not in dtypes:
        raise DataError(
            f"Expected {what} to have shape {shape} and type {' or '.join(dtypes)}. "
            f"Received: {values.shape}, {values.dtype.name}."
        )
    return values


def is_whole(values: np.ndarray, low: int, high: int) -> bool:
    """Whether all numbers are whole and within `low` and `high`; none is NaN."""
    with np.errstate(invalid="ignore"):
        fine = (values >= low) & (values <= high) & (values == np.round(values))
    return bool(fine.all())


def is_within(values: np.ndarray, low: float, high: float) -> bool:
    """Whether all numbers are within `low` and `high`; none is NaN."""
    with np.errstate(invalid="ignore"):
        return bool(((values >= low) & (values <= high)).all())


def is_share(values: np.ndarray) -> bool:
    """Whether all numbers are within [0, 1] or NaN."""
    with np.errstate(invalid="ignore"):
        return not bool(((values < 0) | (values > 1)).any())


def png_size(content: bytes) -> tuple[int, int]:
    """Returns width and height of a picture, pixels.

    Raises:
        DataError: If it is no PNG file, or a picture that no browser would show.
    """
    if len(content) < _PNG_START.size:
        raise DataError("Expected a PNG file. Received: too few bytes.")
    signature, length, name, width, height = _PNG_START.unpack_from(content)
    if signature != _PNG_SIGNATURE or length != 13 or name != b"IHDR":
        raise DataError("Expected a PNG file. Received: something else.")
    longest, most = metadata.MAX_PICTURE_SIDE, metadata.MAX_PICTURE_PIXELS
    if not (0 < width <= longest and 0 < height <= longest and width * height <= most):
        raise DataError(
            f"Expected a picture of at most {longest} pixels a side and {most} in all. "
            f"Received: {width} x {height}."
        )
    return width, height
