"""Many small images in one picture.

All images of a picture are one mosaic, so that a hundred classes take little memory.
"""

import math
import textwrap

import numpy as np
from matplotlib.patches import Rectangle

from keras_confusion.reports.figures.style import ACCENT
from keras_confusion.reports.tensorboard import sprites

CHARACTERS_AN_INCH = 14
CRISP_PIXELS = 800


def show(axis, rows, size) -> None:
    """Draws rows of images (column, height, width, channel) as one mosaic."""
    height, width = size
    mosaic = np.concatenate([_strip(np.asarray(row)) for row in rows])
    # Pixels stay squares, unless there are more of them than the picture has.
    is_small = max(mosaic.shape) <= CRISP_PIXELS
    axis.imshow(mosaic, interpolation="nearest" if is_small else "auto")
    # Gaps are between images only.
    axis.set_xlim(left=_centre(0, width) - width / 2)
    axis.set_ylim(top=_centre(0, height) - height / 2)
    for spine in axis.spines.values():
        spine.set_visible(False)


def _strip(images) -> np.ndarray:
    """A row of images in uint8 RGB, each with a white gap above and to its left."""
    num_images, height, width, _ = images.shape
    down, across = _gap(height), _gap(width)
    strip = np.full((num_images, height + down, width + across, 3), 255, np.uint8)
    strip[:, down:, across:] = sprites.levels(images)
    return strip.swapaxes(0, 1).reshape(height + down, -1, 3)


def _gap(length: int) -> int:
    """Pixels between two images."""
    return max(1, math.ceil(length / 16))


def _centre(number, length: int):
    """Where along an axis of the mosaic the image of that number has its centre."""
    return number * (length + _gap(length)) + _gap(length) + (length - 1) / 2


def ticks(axis, labels, length: int, **text) -> None:
    """Labels along an axis, one for each image."""
    axis.set_ticks([_centre(k, length) for k in range(len(labels))], labels, **text)


def add_caption(figure, text: str) -> None:
    """A caption below, in lines as long as the figure is wide."""
    lines = textwrap.wrap(text, int(CHARACTERS_AN_INCH * figure.get_figwidth()))
    figure.supxlabel("\n".join(lines), fontsize=8, color="0.35")


def frame_diagonal(axis, part) -> None:
    """Frames the class prototypes."""
    height, width = part.sizes["height"], part.sizes["width"]
    for k in range(part.sizes["target"]):
        corner = _centre(k, width) - width / 2, _centre(k, height) - height / 2
        axis.add_patch(
            Rectangle(
                corner,
                width,
                height,
                fill=False,
                ec=ACCENT,
                # Thinner than the gap between images.
                lw=min(2.5, max(0.7, 24 / part.sizes["target"])),
                clip_on=False,
            )
        )


def cross_out(axis, failed, size, image_width: float) -> None:
    """Marks images that did not converge; nothing where there are none."""
    height, width = size
    rows, columns = np.nonzero(failed)
    if len(rows):
        axis.plot(
            _centre(columns, width),
            _centre(rows, height),
            "X",
            ms=min(14, 72 * image_width * 0.6),
            mfc="white",
            mec="black",
            mew=0.8,
            gid="not converged",
        )
