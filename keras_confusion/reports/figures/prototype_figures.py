"""Pictures of what a prototype study measures: trends, quality, slices, boundaries.

C is drawn in orange, R in purple, magnitudes on cividis. Bands and bars are ± one
standard deviation over the initialisations of one network.
"""

import math
from collections.abc import Mapping

import matplotlib
import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.figure import Figure

from keras_confusion.prototypes import tables as prototype_tables
from keras_confusion.prototypes.dissimilarity import Kind
from keras_confusion.reports.figures.style import (
    ACCENT,
    MISSING_COLOR,
    MUTED,
    STYLE,
    span,
)

MAGNITUDES = "cividis"
MAX_SLICES = 12
MAX_CLASSES_WITH_NUMBERS = 12
MAX_NAMES = 50
MAX_PANELS_ABREAST = 5
CHEBYSHEV_PERCENT = 100 / 9
_CAPTION = {"fontsize": 8, "color": "0.35"}
_MATRIX_COLORS = {"c": ACCENT, "r": MUTED}
_MATRIX_LABELS = {
    "c": "C: one origin, different targets (inter-class)",
    "r": "R: one target, different origins (intra-class)",
}
# Of every kind of matrix: its letter, what a slice holds fixed, what it compares, and
# the axis of what is fixed.
_SLICES = {"inter": ("C", "origin", "target", 1), "intra": ("R", "target", "origin", 0)}


def trends_figure(trends: Mapping[str, pd.DataFrame]) -> Figure:
    """Mean and standard deviation of C and R over the training (poster, section 7).

    Args:
        trends: By name of a data set, tables as `tables.trends` returns them.

    Returns:
        A Matplotlib figure, one row per data set: means, standard deviations, accuracy.
    """
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(11, 1.6 + 2.9 * len(trends)), layout="constrained")
        grid = figure.subplots(
            len(trends), 3, width_ratios=[3, 3, 2.4], sharex=True, squeeze=False
        )
        for axes, (name, table) in zip(grid, trends.items(), strict=True):
            for axis, statistic in zip(axes, ("mean", "sd"), strict=False):
                for matrix, color in _MATRIX_COLORS.items():
                    label = _MATRIX_LABELS[matrix]
                    _line(axis, table, f"{statistic}_{matrix}", color, label)
                axis.set_ylim(bottom=0)
            axes[0].set_ylabel("mean dissimilarity")
            axes[1].set_ylabel("sd of dissimilarities")
            _accuracy_line(axes[2], table)
            axes[0].set_title(name, loc="left", fontweight="bold")
        for axis in grid[-1]:
            axis.set_xlabel("percent of training")
        lines, labels = grid[0, 0].get_legend_handles_labels()
        figure.legend(lines, labels, loc="outside upper center", ncols=2, frameon=False)
        figure.supxlabel(
            _initialisations(pd.concat(trends.values()))
            + "  Middle: sd over the cells of a matrix, mean over the initialisations.",
            **_CAPTION,
        )
    return figure


def quality_figure(trends: pd.DataFrame) -> Figure:
    """Data-free quality beside the measured accuracy, over the training.

    Args:
        trends: As `tables.trends` returns it.

    Returns:
        A Matplotlib figure of four panels: M_g, M_adv, cosines, test accuracy.
    """
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(9, 6), layout="constrained")
        axes = figure.subplots(2, 2, sharex=True)
        _line(axes[0, 0], trends, "m_g", ACCENT)
        axes[0, 0].set_title("M_g: class prototypes are apart")
        axes[0, 0].set_ylabel("1 − Σ cosines / n²")
        _line(axes[0, 1], trends, "m_adv", ACCENT)
        axes[0, 1].set_title("M_adv: what an attack moves")
        axes[0, 1].set_ylabel("1 − mean cosine")
        cosines = axes[1, 0]
        _line(cosines, trends, "within_cosine_mean", MUTED, "of one target")
        _line(cosines, trends, "between_cosine_mean", ACCENT, "of two targets")
        cosines.set_title("Cosines of prototypes")
        cosines.set_ylabel("mean cosine")
        cosines.legend(frameon=False)
        _accuracy_line(axes[1, 1], trends)
        axes[1, 1].set_title("Measured with data: test accuracy")
        for axis in axes[1]:
            axis.set_xlabel("percent of training")
        figure.suptitle("Quality of the network without data, from its prototypes")
        figure.supxlabel(
            f"{_initialisations(trends)}  Of these, M_g is defined for "
            f"{span(trends['m_g_n'])}, M_adv for {span(trends['m_adv_n'])}.\n"
            "Vertical axes do not begin at 0.",
            **_CAPTION,
        )
    return figure


def outliers_figure(outliers: pd.DataFrame) -> Figure:
    """Share of outliers over the training, by both definitions (poster, section 8).

    Args:
        outliers: As `tables.outliers` returns it.

    Returns:
        A Matplotlib figure, a panel for C and one for R, with the largest share that
        "pooled" can have.
    """
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(9, 3.9), layout="constrained")
        axes = figure.subplots(1, 2, sharey=True)
        for axis, matrix in zip(axes, _MATRIX_LABELS, strict=True):
            color = _MATRIX_COLORS[matrix]
            for definition, fill in (("of_means", "white"), ("pooled", color)):
                rows = outliers.query(
                    f"matrix == '{matrix.upper()}' and definition == '{definition}'"
                )
                axis.errorbar(
                    *(rows["interval"], rows["percent"], rows["percent_sd"]),
                    **{"fmt": "o-", "mfc": fill, "lw": 1, "capsize": 2},
                    color=color,
                    label=definition,
                )
            axis.axhline(CHEBYSHEV_PERCENT, color="0.4", lw=1, ls="--")
            axis.set_title(_MATRIX_LABELS[matrix])
            axis.legend(loc="upper left", ncols=2, frameon=False)
            axis.set_xlabel("percent of training")
            _over_training(axis, rows)
        # Room for the legends.
        top = max(axes[0].get_ylim()[1], CHEBYSHEV_PERCENT)
        axes[0].set_ylim(0, 1.2 * top)
        axes[0].set_ylabel("outliers, percent")
        figure.suptitle("Outliers among the dissimilarities, |z| > 3")
        figure.supxlabel(
            "z against the mean and sd of all values (pooled), or of the means of the "
            "arrays [k, j, :] (of_means).\n"
            f"Dashed: {CHEBYSHEV_PERCENT:.1f} %, the most that pooled outliers can be "
            f"(Chebyshev).  {_initialisations(outliers, 'Bars')}",
            **_CAPTION,
        )
    return figure


def slices(study: xr.Dataset, interval_index: int, kind: Kind) -> Figure:
    """C by origin, or R by target, as heat maps, averaged over the initialisations.

    Args:
        study: A prototype study, see `prototypes.tables`.
        interval_index: Position of the interval, from 0.
        kind: "inter" for C, "intra" for R.

    Returns:
        A Matplotlib figure, one heat map per class on one scale. Of many classes, the
        mean over all slices and the `MAX_SLICES` slices with the largest means.

    Raises:
        ValueError: If no initialisation is finished at that interval.
    """
    letter, fixed, compared, fixed_axis = _SLICES[kind]
    matrix = prototype_tables.mean_matrix(study, interval_index, kind)
    matrix = np.moveaxis(matrix, fixed_axis, 0)
    names = study["target"].values.tolist()
    num_classes = len(names)
    matrix[:, range(num_classes), range(num_classes)] = np.nan
    maps = {k: matrix[k] for k in range(num_classes)}
    if num_classes > MAX_SLICES:
        means = np.array([_mean(values) for values in matrix])
        # NaN last.
        largest = np.argsort(-means)[:MAX_SLICES].tolist()
        maps = {None: _mean(matrix, axis=0)} | {k: matrix[k] for k in largest}
    limits = _limits(list(maps.values()))
    with matplotlib.rc_context(STYLE):
        figure, axes = _panels(num_classes)
        for axis, (k, values) in zip(axes, maps.items(), strict=True):
            image = _heat_map(axis, values, limits)
            name = f"all {fixed}s" if k is None else f"{fixed} {names[k]}"
            axis.set_title(f"{name}, mean {_mean(values):#.2g}", fontsize=9)
            _name_axes(axis, names)
        bar = figure.colorbar(image, ax=axes, shrink=0.7, pad=0.02)
        bar.set_label("dissimilarity, 1 − cosine")
        bar.outline.set_visible(False)
        figure.suptitle(
            f"{letter} at {float(study['interval'][interval_index]):g} % of training: "
            f"prototypes with one {fixed} and two {compared}s"
        )
        selection = ""
        if num_classes > MAX_SLICES:
            selection = f"Right: the {MAX_SLICES} {fixed}s with the largest means.  "
        number = int(study["finished"].isel(interval=interval_index).sum())
        figure.supxlabel(
            f"A panel: one {fixed}, and the mean of its values.  Both axes: {compared}."
            f"  {selection}Averaged over the initialisations of one network, n = "
            f"{number}.\nGrey: a prototype and itself, or not defined.",
            **_CAPTION,
        )
    return figure


def boundaries_figure(boundaries: pd.DataFrame) -> Figure:
    """How far the boundary of two classes is from the target's prototype.

    Args:
        boundaries: As `tables.boundaries` returns it.

    Returns:
        A Matplotlib figure of two heat maps, targets down and origins across: mean and
        standard deviation over the intervals.
    """
    names = list(dict.fromkeys(boundaries["target"]))
    panels = {"to_target": "mean over", "to_target_sd": "sd over"}
    with matplotlib.rc_context(STYLE):
        side = min(max(0.5 * len(names), 4.0), 8.0)
        figure = Figure(figsize=(2 * side + 2.6, side + 1.9), layout="compressed")
        axes = figure.subplots(1, 2, sharey=True)
        for axis, (column, title) in zip(axes, panels.items(), strict=True):
            table = boundaries.pivot(index="target", columns="origin", values=column)
            values = table.reindex(index=names, columns=names).to_numpy(float)
            limits = _limits(values)
            image = _heat_map(axis, values, limits)
            _name_axes(axis, names)
            if len(names) <= MAX_CLASSES_WITH_NUMBERS:
                _write_numbers(axis, values, limits)
            axis.set_title(f"{title} {span(boundaries['to_target_n'])} intervals")
            axis.set_xlabel("origin")
            bar = figure.colorbar(image, ax=axis, shrink=0.8, pad=0.02)
            bar.outline.set_visible(False)
        axes[0].set_ylabel("target")
        figure.suptitle("Dissimilarity of boundary prototypes to the target's own")
        figure.supxlabel(
            "1 − cosine, averaged over the initialisations of one network.  Grey: no "
            "boundary, or not defined (an sd needs two intervals).\n"
            f"{100 * boundaries['share_converged'].mean():.1f} % of the boundary "
            "prototypes converged; the others are left out.",
            **_CAPTION,
        )
    return figure


def _line(axis, table, column: str, color: str, label: str | None = None) -> None:
    """A mean over the intervals with its band of ± sd."""
    mean, sd = table[column], table[f"{column}_sd"]
    axis.plot(table["interval"], mean, "o-", color=color, ms=4, lw=1.5, label=label)
    axis.fill_between(
        table["interval"], mean - sd, mean + sd, color=color, alpha=0.2, lw=0
    )
    _over_training(axis, table)


def _accuracy_line(axis, table) -> None:
    axis.plot(table["interval"], table["test_accuracy"], "o-", color="0.35", ms=3, lw=1)
    axis.set_ylabel("test accuracy")
    _over_training(axis, table)


def _over_training(axis, table) -> None:
    axis.set_xticks(table["interval"].unique())
    axis.grid(axis="y", color="0.9")
    axis.set_axisbelow(True)


def _initialisations(table: pd.DataFrame, mark: str = "Bands") -> str:
    """How many initialisations stand behind a value, for a caption."""
    number = span(table["n_initialisations"])
    if number == "1":
        return "One initialisation of one network: no standard deviations."
    return f"{mark}: ± sd over n = {number} initialisations of one network."


def _panels(num_classes: int) -> tuple[Figure, list]:
    """A panel per class; of many, a large one and `MAX_SLICES` small ones."""
    if num_classes > MAX_SLICES:
        figure = Figure(figsize=(14.5, 8.2), layout="constrained")
        grid = figure.add_gridspec(4, 6, width_ratios=[1.6, 1.6, 1.6, 1, 1, 1])
        small = [grid[row, column] for row in range(4) for column in (3, 4, 5)]
        axes = [figure.add_subplot(place) for place in (grid[:, :3], *small)]
        for axis in axes[1:]:
            axis.tick_params(labelbottom=False, labelleft=False)
        return figure, axes
    rows = math.ceil(num_classes / MAX_PANELS_ABREAST)
    columns = math.ceil(num_classes / rows)
    size = (2.3 * columns + 2.0, 2.5 * rows + 1.5)
    figure = Figure(figsize=size, layout="compressed")
    axes = list(figure.subplots(rows, columns, squeeze=False).flat)
    for position, axis in enumerate(axes):
        is_lowest = position + columns >= num_classes
        axis.tick_params(labelbottom=is_lowest, labelleft=position % columns == 0)
        if position >= num_classes:
            axis.remove()
    return figure, axes[:num_classes]


def _limits(values) -> tuple[float, float]:
    """Least and largest of what is defined."""
    values = np.asarray(values)
    values = values[np.isfinite(values)]
    return (values.min(), values.max()) if values.size else (0.0, 1.0)


def _heat_map(axis, values, limits):
    """Magnitudes between the limits, grey where there are none."""
    colormap = matplotlib.colormaps[MAGNITUDES].with_extremes(bad=MISSING_COLOR)
    values = np.ma.masked_invalid(values)
    image = axis.imshow(values, cmap=colormap, vmin=limits[0], vmax=limits[1])
    axis.tick_params(length=0)
    for spine in axis.spines.values():
        spine.set_visible(False)
    return image


def _name_axes(axis, names) -> None:
    """Names on both axes; of many classes, every few."""
    step = math.ceil(len(names) / MAX_NAMES)
    axis.set_xticks(range(0, len(names), step), names[::step], rotation=90)
    axis.set_yticks(range(0, len(names), step), names[::step])
    axis.tick_params(labelsize=7)


def _write_numbers(axis, values, limits) -> None:
    decimals = 3 if limits[1] < 0.1 else 2
    for row, column in np.argwhere(np.isfinite(values)):
        value = values[row, column]
        color = "white" if value < np.mean(limits) else "black"
        text = f"{value:.{decimals}f}"
        axis.text(column, row, text, ha="center", va="center", fontsize=7.5, c=color)


def _mean(values: np.ndarray, axis=None):
    """Mean of what is defined, NaN where nothing is."""
    defined = ~np.isnan(values)
    number = defined.sum(axis=axis)
    total = np.where(defined, values, 0).sum(axis=axis)
    return total / np.where(number > 0, number, np.nan)
