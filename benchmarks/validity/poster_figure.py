"""The poster's picture under both responses, with the two blocks; for a talk."""

import matplotlib
import matplotlib.patches
import numpy as np
from matplotlib.figure import Figure

from benchmarks.validity.poster_points import Measured
from keras_confusion.comparisons.findings import PAIRED, SIGNIFICANCE
from keras_confusion.reports.figures import heat_maps
from keras_confusion.reports.figures import style as figure_style

DPI = 150
_TITLES = {
    "accuracy": "accuracy: learned + competition",
    "accuracy_without_pair": "accuracy_without_pair: learned",
}


def draw(measured: Measured, blocks: list[dict]) -> Figure:
    """Target x class in the order vehicles, animals; below it all splits of classes.

    Args:
        measured: The study.
        blocks: As `poster_points.blocks` returns it.

    Returns:
        A Matplotlib figure: above, differences on one scale, blocks outlined; below,
        the contrast of every split of the classes into four and six, the true one
        marked.
    """
    names, vehicles = measured.class_names, measured.vehicles
    order = vehicles + [k for k in range(len(names)) if k not in vehicles]
    with matplotlib.rc_context(figure_style.STYLE):
        figure = Figure(figsize=(10.4, 7.4), layout="constrained")
        maps, splits = figure.subplots(
            2, len(blocks), sharey="row", height_ratios=(3.4, 1)
        )
        limit = max(
            np.nanmax(np.abs(measured.matrix(row["response"], "difference_points")))
            for row in blocks
        )
        for axis, row in zip(maps, blocks, strict=True):
            image = _heat_map(axis, measured, row, order, limit)
        maps[0].set_yticks(range(len(order)), [names[k] for k in order])
        maps[0].set_ylabel("target class T")
        bar = figure.colorbar(image, ax=maps, shrink=0.85, pad=0.01)
        bar.set_label("accuracy of T, percentage points:\nC confused minus not")
        bar.outline.set_visible(False)
        widest = max(np.abs(row["points"].contrasts).max() for row in blocks)
        bins = np.linspace(-widest, widest, 42)
        for axis, row in zip(splits, blocks, strict=True):
            _splits(axis, row, bins)
        splits[0].set_ylabel("splits")
        repeats = len(measured.repeats["target x class"])
        figure.suptitle("Animals and vehicles: what confusing class C does to class T")
        figure.supxlabel(
            f"● q ≤ {SIGNIFICANCE}, Welch's t, {len(order) * (len(order) - 1)} tests; "
            f"intervals: paired t, 95 %, n = {repeats} repeats of "
            f"{len(measured.study.pairs)} pairs.",
            fontsize=8,
            color="0.35",
        )
    return figure


def _heat_map(axis, measured: Measured, row: dict, order: list[int], limit: float):
    grid = np.ix_(order, order)
    values = measured.matrix(row["response"], "difference_points")[grid]
    colormap = matplotlib.colormaps[heat_maps.COLORMAP].with_extremes(
        bad=figure_style.MISSING_COLOR
    )
    image = axis.imshow(
        np.ma.masked_invalid(values),
        cmap=colormap,
        vmin=-limit,
        vmax=limit,
        aspect="auto",
    )
    for down, right in np.argwhere(np.isfinite(values)):
        value = values[down, right]
        text = f"{value:.1f}".replace("-", "−")
        axis.text(
            right,
            down,
            "0" if text.strip("−") == "0.0" else text,
            ha="center",
            va="center",
            fontsize=7.5,
            color="white" if abs(value) > 0.6 * limit else "0.2",
        )
    found = measured.matrix(row["response"], "q_value")[grid] <= SIGNIFICANCE
    down, right = np.nonzero(found)
    axis.plot(
        right + 0.34, down - 0.33, "o", color="black", ms=3.8, mec="white", mew=0.6
    )
    num_vehicles = len(measured.vehicles)
    for start, length in ((0, num_vehicles), (num_vehicles, len(order) - num_vehicles)):
        axis.add_patch(
            matplotlib.patches.Rectangle(
                (start - 0.5, start - 0.5),
                length,
                length,
                fill=False,
                ec="black",
                lw=2,
                clip_on=False,
            )
        )
    names = [measured.class_names[k] for k in order]
    axis.set_xticks(range(len(order)), names, rotation=45, ha="right")
    axis.set_xlabel("class C that is confused")
    axis.tick_params(length=0)
    for spine in axis.spines.values():
        spine.set_visible(False)
    within, across = (_mean(row, part) for part in ("within", "across"))
    axis.set_title(f"{_TITLES[row['response']]}\nsame block {within}, other {across}")
    return image


def _mean(row: dict, part: str) -> str:
    interval = row["intervals"][part, PAIRED]
    half = interval.high - interval.estimate
    return f"{interval.estimate:+.2f} ± {half:.2f}".replace("-", "−")


def _splits(axis, row: dict, bins: np.ndarray) -> None:
    test = row["points"]
    axis.hist(test.contrasts, bins=bins, color="0.75")
    axis.axvline(test.contrast, color=figure_style.ACCENT, lw=2)
    # Left of the line if that is far on the right, else at the right edge.
    beside = test.contrast > bins.max() / 2
    axis.annotate(
        f"animals | vehicles\nplace {test.rank} of {len(test.contrasts)}\n"
        f"p = {test.p_value:.3f}",
        (test.contrast if beside else bins.max(), 0.94),
        xycoords=("data", "axes fraction"),
        xytext=(-6, 0),
        textcoords="offset points",
        ha="right",
        va="top",
        color=figure_style.ACCENT,
    )
    axis.axvline(0, color="0.5", lw=0.6)
    axis.set_xlabel("same block minus other, points: every split into 4 and 6 classes")
