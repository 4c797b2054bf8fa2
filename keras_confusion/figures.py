"""Pictures of a confusion study, drawn with Matplotlib.

Signed measures are drawn on PuOr, symmetric about 0: orange where confusing costs the
target, purple where it gains. A dot marks a cell that is significant at the chosen q.
"""

import dataclasses
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from keras_confusion import responses, significance, tables

COLORMAP = "PuOr"
MISSING_COLOR = "0.88"
ACCENT = "#b35806"
MUTED = "#542788"
SIGNIFICANCE = significance.SIGNIFICANCE
# Inches.
MIN_WIDTH = 7.5
MAX_LENGTH = 40.0
MAX_UPRIGHT_NAME = 3
MAX_CLASSES_WITH_NUMBERS = 12
_RESPONSE_TITLES = {
    "accuracy": "accuracy\n(learned + competition)",
    "accuracy_without_pair": "accuracy_without_pair\n(learned)",
}
# Text as text in SVG: it can be searched, and the file is the same in every run.
STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    # Names of classes are text, whatever signs are in them.
    "text.parse_math": False,
    "svg.hashsalt": "keras-confusion",
    "font.size": 9,
    "axes.titlesize": 10,
    "figure.titlesize": 12,
    "axes.spines.top": False,
    "axes.spines.right": False,
}


@dataclasses.dataclass(frozen=True)
class Measure:
    """A column of the tables and how it is named in a picture.

    Args:
        column: The column.
        label: Its name with unit.
        sign: -1 where positive means that confusing costs, so that colours agree.
    """

    column: str
    label: str
    sign: int = 1


MEASURES = {
    "difference": Measure("difference_points", "difference, percentage points"),
    "t": Measure("t", significance.TITLES[significance.WELCH]),
    "bits": Measure("kl_bits", "kl_bits, gained by not confusing", sign=-1),
}


def target_by_class(
    table: pd.DataFrame, measure: str, class_names, order, *, test="welch"
) -> Figure:
    """Heat map of every target T by every class C, both responses on one scale.

    Args:
        table: As `comparisons.target_by_class` returns it.
        measure: A key of `MEASURES`.
        class_names: Names in the order of the labels.
        order: Labels in the order of rows and columns.
        test: One of `significance.TESTS`, which differences and marks are by.

    Returns:
        A Matplotlib figure.
    """
    num_classes, table = len(class_names), significance.told_by(table, test)
    size = 2.6 + 0.32 * num_classes
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(2 * size + 0.6, size + 0.7), layout="constrained")
        axes = figure.subplots(1, 2, sharey=True)
        grid = np.ix_(order, order)
        _heat_maps(
            figure,
            axes,
            table,
            _measure(measure, test),
            columns=range(num_classes),
            num_classes=num_classes,
            arrange=lambda values: values[grid],
        )
        names = [class_names[label] for label in order]
        for axis in axes:
            if max(map(len, names)) > MAX_UPRIGHT_NAME:
                axis.set_xticks(range(num_classes), names, rotation=45, ha="right")
            else:
                axis.set_xticks(range(num_classes), names)
            axis.set_xlabel("class C that is confused")
        axes[0].set_yticks(range(num_classes), names)
        axes[0].set_ylabel("target class T")
        figure.suptitle("What confusing class C does to class T")
        figure.supxlabel(_caption(table, test), fontsize=8, color="0.35")
    return figure


def target_by_pair(
    table: pd.DataFrame, measure: str, class_names, order, *, test="welch"
) -> Figure:
    """Heat map of every target T by every confused pair; see `target_by_class`.

    The pair's own classes are left grey: what they lose dwarfs everything else.
    """
    num_classes, table = len(class_names), significance.told_by(table, test)
    rank = {label: position for position, label in enumerate(order)}
    pairs = sorted(
        {
            (int(a), int(b))
            for a, b in zip(table["class_a"], table["class_b"], strict=True)
        },
        key=lambda pair: sorted((rank[pair[0]], rank[pair[1]])),
    )
    third = table[table["family"] == "third"]
    # Beside each other while that is not wider than it is high.
    beside = len(pairs) <= num_classes
    across, down = (2, 1) if beside else (1, 2)
    width = max(3.2 + 0.22 * len(pairs) * across, MIN_WIDTH)
    height = 2.8 + 0.22 * num_classes * down
    with matplotlib.rc_context(STYLE):
        figure = Figure(
            figsize=(min(width, MAX_LENGTH), min(height, MAX_LENGTH)),
            layout="constrained",
        )
        axes = figure.subplots(down, across, sharex=True, sharey=True)
        _heat_maps(
            figure,
            axes,
            third,
            _measure(measure, test),
            columns=pairs,
            num_classes=num_classes,
            arrange=lambda values: values[list(order)],
        )
        for axis in axes[:1] if beside else axes:
            names = [class_names[label] for label in order]
            axis.set_yticks(range(num_classes), names)
            axis.set_ylabel("target class T")
        names = [
            " – ".join(
                class_names[label] for label in sorted(pair, key=rank.__getitem__)
            )
            for pair in pairs
        ]
        for axis in axes if beside else axes[1:]:
            axis.set_xticks(range(len(pairs)), names, rotation=90)
            axis.set_xlabel("confused pair")
        figure.suptitle("What confusing a pair does to third classes")
        figure.supxlabel(_caption(third, test), fontsize=8, color="0.35")
    return figure


def _heat_maps(
    figure, axes, table, measure: Measure, *, columns, num_classes, arrange
) -> None:
    """One panel a response, one scale, one colour bar; dots where significant."""
    values, significant, tested = {}, {}, {}
    for response in responses.RESPONSES:
        rows = table[table["response"] == response]
        cells = {
            column: arrange(
                tables.matrix(rows, column, columns=columns, num_classes=num_classes)
            )
            for column in (measure.column, "q_value")
        }
        values[response] = cells[measure.column]
        significant[response] = cells["q_value"] <= SIGNIFICANCE
        tested[response] = np.isfinite(cells["q_value"]).sum()
    finite = np.concatenate([v[np.isfinite(v)] for v in values.values()])
    limit = np.abs(finite).max() if finite.size else 1.0
    # The scale of orange to purple follows the difference, confused minus comparison.
    colormap = matplotlib.colormaps[COLORMAP + ("" if measure.sign > 0 else "_r")]
    colormap = colormap.with_extremes(bad=MISSING_COLOR)
    for axis, response in zip(axes, responses.RESPONSES, strict=True):
        image = axis.imshow(
            np.ma.masked_invalid(values[response]),
            cmap=colormap,
            vmin=-(limit or 1.0),
            vmax=limit or 1.0,
            aspect="auto",
        )
        if values[response].size <= MAX_CLASSES_WITH_NUMBERS**2:
            _write_numbers(axis, values[response], limit)
        rows, cols = np.nonzero(significant[response])
        # A corner, where the number leaves room; an edge, to be seen on dark cells.
        axis.plot(
            cols + 0.32, rows - 0.32, "o", color="black", ms=3.5, mec="white", mew=0.6
        )
        axis.set_title(
            f"{_RESPONSE_TITLES[response]}\n"
            f"{len(rows)} of {tested[response]} tests at q ≤ {SIGNIFICANCE}"
        )
        axis.tick_params(length=0)
        for spine in axis.spines.values():
            spine.set_visible(False)
    bar = figure.colorbar(image, ax=axes, shrink=0.8, pad=0.02)
    bar.set_label(measure.label)
    bar.outline.set_visible(False)


def _write_numbers(axis, values, limit) -> None:
    """The value of every cell, so that colour does not stand alone."""
    decimals = 3 if limit < 0.2 else 1
    for row, col in np.argwhere(np.isfinite(values)):
        value = values[row, col]
        # Minus signs of rounded zeros say nothing.
        text = f"{value:.{decimals}f}".replace("-", "−")
        if float(text.replace("−", "-")) == 0:
            text = "0"
        axis.text(
            col,
            row,
            text,
            ha="center",
            va="center",
            fontsize=6.5,
            color="white" if abs(value) > 0.6 * limit else "0.2",
        )


def _measure(name: str, test: str) -> Measure:
    measure = MEASURES[name]
    if name == "t":
        return dataclasses.replace(measure, label=significance.TITLES[test])
    return measure


def _caption(table: pd.DataFrame, test: str) -> str:
    """What marks and numbers mean, and how many networks stand behind a cell."""

    def span(column) -> str:
        low, high = table[column].min(), table[column].max()
        return f"{low}" if low == high else f"{low} to {high}"

    cell = (
        f"A cell: {span('n_confused')} confused against {span('n_comparison')} networks"
    )
    if test == significance.PAIRED:
        correlation = significance.correlation_within_repeats(table)
        cell += f" in {span('paired_n')} repeats, correlation {correlation:.2f}"
    if test == significance.BLOCKS:
        cell += f" in {span('blocks_n')} repeats"
    return (
        f"● significant ({significance.TITLES[test]}, Benjamini–Hochberg "
        f"q ≤ {SIGNIFICANCE}).  Grey: not defined.  {cell}."
    )
