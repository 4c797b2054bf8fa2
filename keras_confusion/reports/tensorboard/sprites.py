"""Images as pixels and PNG files. Needs neither TensorFlow nor Matplotlib."""

import io
from collections.abc import Iterable

import numpy as np
from PIL import Image

MISSING_GREY = 224
# Below, nothing can be told of an image any more.
MIN_CELL = 4


def levels(images: np.ndarray) -> np.ndarray:
    """What a screen shows of images.

    Args:
        images: Float array `(..., channels)` in [0, 1]; values outside are clipped,
            NaN, an image that is not there, becomes light grey.

    Returns:
        uint8 array `(..., 3)`, or `(..., 1)`, grey, of other numbers of channels: their
        mean.
    """
    if images.shape[-1] != 3:
        images = images.mean(axis=-1, keepdims=True)
    shown = np.round(255 * np.clip(images, 0, 1))
    return np.where(np.isnan(images), MISSING_GREY, shown).astype(np.uint8)


def png(pixels: np.ndarray, *, times: int = 1) -> bytes:
    """A PNG file of pixels.

    Args:
        pixels: uint8 `(height, width, channels)`, of 1 or 3 channels.
        times: How many times as high and as wide a pixel is drawn.
    """
    grey_or_colour = pixels[..., 0] if pixels.shape[-1] == 1 else pixels
    image = Image.fromarray(grey_or_colour)
    size = (times * image.width, times * image.height)
    file = io.BytesIO()
    image.resize(size, Image.Resampling.NEAREST).save(file, format="PNG")
    return file.getvalue()


def grid(rows: np.ndarray) -> np.ndarray:
    """Joins images without gaps.

    Args:
        rows: `(rows, columns, height, width, channels)`.

    Returns:
        `(rows * height, columns * width, channels)`.
    """
    num_rows, num_columns, height, width, channels = rows.shape
    return rows.swapaxes(1, 2).reshape(num_rows * height, num_columns * width, channels)


def cell_side(num_images: int, side: int, *, max_pixels: int) -> int:
    """Longer side of an image in an overview, pixels.

    Args:
        num_images: Images in a row of the overview.
        side: Longer side of the images in full size.
        max_pixels: Longer side of the overview, unless images would be smaller than
            `MIN_CELL`.
    """
    return min(side, max(MIN_CELL, max_pixels // num_images))


def overview_and_rows(rows: Iterable[np.ndarray], cell: int) -> list[bytes]:
    """PNG files of a grid of images.

    Args:
        rows: Rows of images `(columns, height, width, channels)` in [0, 1], taken one
            after the other: only what they become is kept.
        cell: Longer side of an image in the overview, see `cell_side`.

    Returns:
        The overview; if its images are smaller than in full size, also each row.
    """
    small, full = [], []
    for images in rows:
        height, width = images.shape[1:3]
        side = max(height, width)
        if cell < side:
            full.append(png(grid(levels(images)[None])))
            size = [max(1, round(length * cell / side)) for length in (height, width)]
            images = shrink(images, *size)
        small.append(levels(images))
    return [png(grid(np.stack(small))), *full]


def shrink(images: np.ndarray, height: int, width: int) -> np.ndarray:
    """Makes images smaller; a pixel is the mean over its area in full size.

    Pillow's `BOX` gives each pixel to one of them as a whole: 32 pixels made 31 would
    be all but one of them, as they were.

    Args:
        images: Float array `(num_images, full height, full width, channels)`.
        height: Rows of pixels of the result.
        width: Columns of pixels of the result.

    Returns:
        Float array `(num_images, height, width, channels)`.
    """
    down = _area_weights(images.shape[1], height)
    across = _area_weights(images.shape[2], width)
    return np.einsum("ay,kyxc,bx->kabc", down, images, across, optimize=True)


def _area_weights(full: int, small: int) -> np.ndarray:
    """The share of every full pixel in every small one, `(small, full)`."""
    edges = np.arange(small + 1)[:, None] * full / small
    pixels = np.arange(full)
    overlap = np.minimum(edges[1:], pixels + 1) - np.maximum(edges[:-1], pixels)
    return np.clip(overlap, 0, None) * small / full
