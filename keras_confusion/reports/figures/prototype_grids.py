"""Pictures made of a prototype study's images."""

import matplotlib
import numpy as np
import xarray as xr
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from keras_confusion.reports.figures import mosaics
from keras_confusion.reports.figures.style import MIN_WIDTH, STYLE

# Inches.
MIN_GRID, MAX_GRID = 5.0, 12.0
ROW_HEIGHT = 0.62
# Of a column, whose heading must fit; of rows of tall images.
MIN_COLUMN, MAX_ROW_HEIGHT = 0.55, 3.0
# Of a grid, beside which its label must fit.
MIN_GRID_HEIGHT = 3.4
PANEL_GAP = 0.1
MAX_ROWS = 20
# A change is drawn at full contrast where it is among the largest of its class.
FULL_CONTRAST = 0.995


def prototype_grid(
    study: xr.Dataset, interval_index: int, initialisation: int
) -> Figure:
    """The grid P of class prototypes and intermediary prototypes (poster, section 4).

    Args:
        study: A prototype study, see `prototypes.tables`.
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
    mosaics.frame_diagonal(figure.axes[0], part)
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


def change_grid(study: xr.Dataset, interval_index: int, initialisation: int) -> Figure:
    """What the optimiser did to every image of the grid P.

    Prototypes look like the noise they came from; the change shows what the network
    wanted of the target class.

    Args and errors as `prototype_grid`.

    Returns:
        A Matplotlib figure: P[k, j] less its origin's class prototype, and of class
        prototypes, framed, what they began as at that interval. Grey is no change; a
        row has one scale.
    """
    part = _finished_part(study, interval_index, initialisation)
    labels = xr.DataArray(range(part.sizes["target"]), dims="origin")
    class_images = part["image"].isel(target=labels, origin=labels).drop_vars("target")
    began = xr.where(
        np.eye(part.sizes["target"], dtype=bool)[:, :, None, None, None],
        part["start"].expand_dims(origin=part["origin"], axis=1),
        class_images.expand_dims(target=part["target"]),
    ).transpose(*part["image"].dims)
    changes = part["image"] - began
    pixels = [axis for axis in changes.dims if axis != "target"]
    limits = np.abs(changes).quantile(FULL_CONTRAST, pixels).drop_vars("quantile")
    figure = _grid(
        part,
        0.5 + 0.5 * changes / limits.where(limits > 0, 1),
        failed=~part["converged"].values,
        title=f"What was changed in the prototypes {_when(part)}",
        xlabel="origin: the class whose prototype was changed",
        ylabel="target: the class that it was changed to",
        caption="P[target, origin] less the class prototype of the origin; framed: a "
        "class prototype less what it began as at this interval.  Grey is no change, "
        "lighter is added, darker is taken away, colour by colour.  Full contrast, the "
        f"{100 * FULL_CONTRAST:g}th percentile of a row: a pixel changed by "
        f"{float(limits.min()):#.2g} to {float(limits.max()):#.2g} of 1.  "
        f"Initialisation {int(part['initialisation'])}.",
    )
    mosaics.frame_diagonal(figure.axes[0], part)
    return figure


def class_prototypes_over_intervals(study: xr.Dataset, initialisation: int) -> Figure:
    """How class prototypes train: from the first noise to the last interval.

    The poster's "Original -> Final". A prototype that began as noise looks like noise;
    what the optimiser added to it is drawn beside it.

    Args:
        study: A prototype study, see `prototypes.tables`.
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
    row_height = max(ROW_HEIGHT, 2.4 / num_rows, MIN_COLUMN * height / width)
    row_height = min(row_height, MAX_ROW_HEIGHT)
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
        mosaics.show(before, images, (height, width))
        mosaics.show(after, 0.5 + 0.5 * changes / scale, (height, width))
        headings = [_heading(part) for part in parts]
        mosaics.ticks(before.xaxis, ["start", *headings], width)
        mosaics.ticks(after.xaxis, headings, width)
        mosaics.ticks(before.yaxis, names, height)
        mosaics.ticks(after.yaxis, [f"±{limit:#.2g}" for limit in limits], height)
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
        mosaics.cross_out(before, failed, (height, width), image_width)
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
        mosaics.add_caption(figure, caption)
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
    # Neither too flat nor too high.
    side = max(side, MIN_GRID_HEIGHT * width / height)
    side = min(side, 2 * MAX_GRID * max(width / height, 0.25))
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
        mosaics.show(axis, rows, (height, width))
        mosaics.ticks(axis.xaxis, names, width, fontsize=fontsize)
        mosaics.ticks(axis.yaxis, names, height, fontsize=fontsize)
        if is_narrow:
            axis.tick_params(axis="x", rotation=90)
        axis.tick_params(length=0)
        mosaics.cross_out(axis, failed, (height, width), image_width)
        figure.suptitle(title)
        axis.set_xlabel(xlabel)
        axis.set_ylabel(ylabel)
        mosaics.add_caption(figure, caption)
    return figure
