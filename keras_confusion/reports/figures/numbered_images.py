"""Images with nothing but numbers."""

import textwrap
from collections.abc import Sequence

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from keras_confusion.reports.figures.style import STYLE
from keras_confusion.reports.tensorboard import sprites

DPI = 100
COLUMNS = 10
# Screen pixels: of the shorter side of an image at least, and around it.
MIN_SIDE, GAP, NUMBER_HEIGHT, LINE_HEIGHT = 128, 20, 26, 24
FONT_SIZE = 12
_CHARACTER_WIDTH = 9.5


def numbered_images(
    images: np.ndarray, numbers: Sequence[int], class_names: Sequence[str]
) -> Figure:
    """A sheet of images, a number above each, and the names of all classes below.

    Args:
        images: float array `(n, height, width, channels)` in [0, 1].
        numbers: Of each image.
        class_names: What the images may show.

    Returns:
        A Matplotlib figure. Saved with `DPI`, every pixel of an image is a square of
        the same number of pixels of the screen.
    """
    times = -(-MIN_SIDE // min(images.shape[1:3]))
    shown = np.broadcast_to(
        sprites.levels(images), (*images.shape[:3], 3)
    ).repeat(times, axis=1).repeat(times, axis=2)  # fmt: skip
    height, width = shown.shape[1:3]
    rows = -(-len(shown) // COLUMNS)
    step_down, step_across = height + NUMBER_HEIGHT + GAP, width + GAP
    across = COLUMNS * step_across + GAP
    names = textwrap.wrap(
        f"Classes: {', '.join(class_names)}", int((across - 2 * GAP) / _CHARACTER_WIDTH)
    )
    down = rows * step_down + (len(names) + 1) * LINE_HEIGHT
    sheet = np.full((down, across, 3), 255, np.uint8)
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(across / DPI, down / DPI), dpi=DPI)
        axis = figure.add_axes((0, 0, 1, 1))
        axis.set_axis_off()
        for place, (image, number) in enumerate(zip(shown, numbers, strict=True)):
            row, column = divmod(place, COLUMNS)
            top, left = row * step_down + NUMBER_HEIGHT, column * step_across + GAP
            sheet[top : top + height, left : left + width] = image
            axis.text(
                left + width / 2,
                top - 4,
                str(number),
                ha="center",
                va="bottom",
                fontsize=FONT_SIZE,
                fontweight="bold",
            )
        axis.text(GAP, rows * step_down, "\n".join(names), va="top", fontsize=FONT_SIZE)
        axis.imshow(sheet, interpolation="nearest", aspect="auto")
    return figure
