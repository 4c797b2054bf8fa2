"""Pictures made of a prototype study's images.

All images of a picture are one mosaic, so that a hundred classes take little memory.
"""

import math
import textwrap

import matplotlib
import numpy as np
import xarray as xr
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.patches import Rectangle

from keras_confusion.figures import ACCENT, MIN_WIDTH, STYLE

# Inches.
MIN_GRID, MAX_GRID = 5.0, 12.0
ROW_HEIGHT = 0.62
PANEL_GAP = 0.1
MAX_ROWS = 20
MISSING_GREY = 224
# A change is drawn at full contrast where it is among the largest of its class.
FULL_CONTRAST = 0.995
CHARACTERS_AN_INCH = 14


def prototype_grid(
    study: xr.Dataset, interval_index: int, initialisation: int
) -> Figure:
    """The grid P of class prototypes and intermediary prototypes (poster, section 4).

    Args:
        study: A prototype study, see `prototype_tables`.
        interval_index: Position of the interval, from 0.
        initialisation: Position of the initialisation, from 0.

    Returns:
        A Matplotlib figure: targets down, origins across, class prototypes framed,
        images that did not converge crossed out.

    Raises:
        ValueError: If that interval and initialisation are not finished.
    """
    part = _finished_part(study, interval_index, initialisation)
    images, converged = part["image"], part["converged"].values
    num_failed = int((~converged).sum())
    figure = _grid(
        part,
        images,
        failed=~converged,
        title=f"Prototypes P[target, origin] {_when(part)}",
        xlabel="origin: the class whose prototype the image began as",
        ylabel="target: the class that it was optimised toward",
        caption="Framed: class prototypes, optimised from noise or from the previous "
        f"interval's.  Initialisation {int(part['initialisation'])}.  "
        f"× did not converge: {num_failed} of {converged.size} images.",
    )
    _frame_diagonal(figure.axes[0], part)
    return figure


def boundary_grid(
    study: xr.Dataset, interval_index: int, initialisation: int
) -> Figure:
    """The grid of boundary prototypes, where two classes tie (poster, section 9).

    Args and errors as `prototype_grid`.

    Returns:
        A Matplotlib figure: targets down, origins across, the diagonal grey.
    """
    part = _finished_part(study, interval_index, initialisation)
    off_diagonal = ~np.eye(part.sizes["target"], dtype=bool)
    failed = ~part["boundary_converged"].values & off_diagonal
    return _grid(
        part,
        part["boundary_image"],
        failed=failed,
        title=f"Boundary prototypes {_when(part)}",
        xlabel="origin",
        ylabel="target",
        caption="Images to which the network gives target and origin the same "
        "probability, and no other class a larger one.  Initialisation "
        f"{int(part['initialisation'])}.  × did not converge: {int(failed.sum())} of "
        f"{off_diagonal.sum()} images.",
    )


def class_prototypes_over_intervals(study: xr.Dataset, initialisation: int) -> Figure:
    """How class prototypes train: from the first noise to the last interval.

    The poster's "Original -> Final". A prototype that began as noise looks like noise;
    what the optimiser added to it is drawn beside it.

    Args:
        study: A prototype study, see `prototype_tables`.
        initialisation: Position of the initialisation, from 0.

    Returns:
        A Matplotlib figure with one row per class, the first `MAX_ROWS` of them, and
        two panels: the images, and their difference to the noise they came from.

    Raises:
        ValueError: If no interval is finished for that initialisation.
    """
    finished = np.flatnonzero(study["finished"].isel(initialisation=initialisation))
    if not finished.size:
        raise ValueError(
            f"Expected a finished interval of initialisation {initialisation}. "
            "Received: none. Compute its prototypes first."
        )
    num_classes = study.sizes["target"]
    shown = slice(0, MAX_ROWS)
    parts = [
        study.isel(interval=interval, initialisation=initialisation, target=shown)
        for interval in finished
    ]
    images, changes = _growth(parts)
    # One scale a class: changes of different intervals can be compared.
    limits = np.quantile(np.abs(changes), FULL_CONTRAST, axis=(1, 2, 3, 4))
    scale = np.where(limits > 0, limits, 1)[:, None, None, None, None]
    names = [str(name) for name in parts[0]["target"].values]
    num_rows, num_columns = images.shape[:2]
    height, width = images.shape[2:4]
    row_height = max(ROW_HEIGHT, 2.4 / num_rows)
    image_width = row_height * width / height
    with matplotlib.rc_context(STYLE):
        figure = Figure(
            figsize=(
                max(2.2 + image_width * (2 * num_columns - 1), MIN_WIDTH),
                1.9 + row_height * num_rows,
            ),
            layout=ConstrainedLayoutEngine(compress=True, w_pad=PANEL_GAP),
        )
        before, after = figure.subplots(
            1, 2, width_ratios=[num_columns, num_columns - 1]
        )
        _show(before, images, (height, width))
        _show(after, 0.5 + 0.5 * changes / scale, (height, width))
        headings = [_heading(part) for part in parts]
        _ticks(before.xaxis, ["start", *headings], width)
        _ticks(after.xaxis, headings, width)
        _ticks(before.yaxis, names, height)
        _ticks(after.yaxis, [f"±{limit:#.2g}" for limit in limits], height)
        after.yaxis.tick_right()
        for axis in (before, after):
            axis.xaxis.tick_top()
            axis.tick_params(length=0)
        before.set_title("class prototypes")
        after.set_title("changes since the start")
        converged = np.stack(
            [np.diagonal(part["converged"].values) for part in parts], axis=1
        )
        # The first column is the start.
        failed = np.pad(~converged, ((0, 0), (1, 0)))
        _cross_out(before, failed, (height, width), image_width)
        figure.suptitle("How class prototypes train")
        caption = (
            "Headings: percent of training, test accuracy.  Changes, against what an "
            "image began as: grey is none, lighter is added, darker is taken away, "
            "colour by colour; at the right, the change of a pixel (0 to 1) that is "
            "drawn at full contrast, the "
            f"{100 * FULL_CONTRAST:g}th percentile of the row.  "
            f"Initialisation {int(parts[0]['initialisation'])}.  × did not converge: "
            f"{failed.sum()} of {converged.size} images."
        )
        if num_rows < num_classes:
            caption += f"  The first {num_rows} of {num_classes} classes."
        _add_caption(figure, caption)
    return figure


def _finished_part(study, interval_index, initialisation) -> xr.Dataset:
    part = study.isel(interval=interval_index, initialisation=initialisation)
    if not part["finished"]:
        raise ValueError(
            f"Expected interval {interval_index} of initialisation {initialisation} "
            "to be finished. Received: an unfinished one. Compute its prototypes first."
        )
    return part


def _when(part) -> str:
    """For example "at 25 % of training (test accuracy 0.61)"."""
    accuracy = float(part["test_accuracy"])
    return (
        f"at {float(part['interval']):g} % of training (test accuracy {accuracy:.3f})"
    )


def _heading(part) -> str:
    return f"{float(part['interval']):g} %\n{float(part['test_accuracy']):.3f}"


def _growth(parts) -> tuple[np.ndarray, np.ndarray]:
    """Images (class, start and intervals, ...), their changes (class, intervals, ...).

    A change is against the noise that the image came from, through the intervals.
    """
    columns, changes, noise = [], [], None
    for part in parts:
        start = part["start"].values
        labels = xr.DataArray(range(part.sizes["target"]), dims="class")
        image = part["image"].isel(target=labels, origin=labels)
        image = image.transpose("class", "height", "width", "channel").values
        if noise is None:
            columns.append(start)
        if noise is None or not np.array_equal(start, columns[-1]):
            noise = start
        columns.append(image)
        changes.append(image - noise)
    return np.stack(columns, axis=1), np.stack(changes, axis=1)


def _grid(part, images, *, failed, title, xlabel, ylabel, caption) -> Figure:
    """Targets down, origins across; targets are read one after the other."""
    names = [str(name) for name in part["target"].values]
    num_classes = len(names)
    height, width = part.sizes["height"], part.sizes["width"]
    side = min(max(0.72 * num_classes, MIN_GRID), MAX_GRID)
    image_width = side / num_classes
    fontsize = min(9.0, 0.8 * 72 * image_width)
    # Inches, roughly.
    name_length = max(map(len, names)) * fontsize / 110
    is_narrow = name_length > image_width
    below = 1.2 + (name_length if is_narrow else 0)
    with matplotlib.rc_context(STYLE):
        figure = Figure(
            figsize=(side + 0.5 + name_length, side * height / width + below),
            layout="compressed",
        )
        axis = figure.subplots()
        rows = (images.isel(target=k).values for k in range(num_classes))
        _show(axis, rows, (height, width))
        _ticks(axis.xaxis, names, width, fontsize=fontsize)
        _ticks(axis.yaxis, names, height, fontsize=fontsize)
        if is_narrow:
            axis.tick_params(axis="x", rotation=90)
        axis.tick_params(length=0)
        _cross_out(axis, failed, (height, width), image_width)
        figure.suptitle(title)
        axis.set_xlabel(xlabel)
        axis.set_ylabel(ylabel)
        _add_caption(figure, caption)
    return figure


def _show(axis, rows, size) -> None:
    """Draws rows of images (column, height, width, channel) as one mosaic."""
    height, width = size
    mosaic = np.concatenate([_strip(np.asarray(row)) for row in rows])
    axis.imshow(mosaic)
    # Gaps are between images only.
    axis.set_xlim(left=_centre(0, width) - width / 2)
    axis.set_ylim(top=_centre(0, height) - height / 2)
    for spine in axis.spines.values():
        spine.set_visible(False)


def _strip(images) -> np.ndarray:
    """A row of images in uint8 RGB, each with a white gap above and to its left.

    One channel is shown in grey, and so are other numbers of channels but three: their
    mean. Images that are not there, NaN, become light grey.
    """
    num_images, height, width, channels = images.shape
    if channels != 3:
        images = images.mean(axis=-1, keepdims=True)
    levels = np.round(255 * np.clip(images, 0, 1))
    levels = np.where(np.isnan(images), MISSING_GREY, levels)
    down, across = _gap(height), _gap(width)
    strip = np.full((num_images, height + down, width + across, 3), 255, np.uint8)
    strip[:, down:, across:] = levels
    return strip.swapaxes(0, 1).reshape(height + down, -1, 3)


def _gap(length: int) -> int:
    """Pixels between two images."""
    return max(1, math.ceil(length / 16))


def _centre(number, length: int):
    """Where along an axis of the mosaic the image of that number has its centre."""
    return number * (length + _gap(length)) + _gap(length) + (length - 1) / 2


def _ticks(axis, labels, length: int, **text) -> None:
    axis.set_ticks([_centre(k, length) for k in range(len(labels))], labels, **text)


def _add_caption(figure, text: str) -> None:
    """A caption below, in lines as long as the figure is wide."""
    lines = textwrap.wrap(text, int(CHARACTERS_AN_INCH * figure.get_figwidth()))
    figure.supxlabel("\n".join(lines), fontsize=8, color="0.35")


def _frame_diagonal(axis, part) -> None:
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


def _cross_out(axis, failed, size, image_width: float) -> None:
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
