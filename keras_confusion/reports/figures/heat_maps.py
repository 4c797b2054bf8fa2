"""Heat maps of targets by columns, responses or readings beside or under each other.

Signed measures are drawn on PuOr, symmetric about 0: orange where confusing costs the
target, purple where it gains. A dot marks a cell that is significant at the chosen q.
"""

import dataclasses

import matplotlib
import numpy as np
import pandas as pd

from keras_confusion.comparisons import findings as comparison_findings
from keras_confusion.comparisons import responses
from keras_confusion.comparisons import tables as comparison_tables
from keras_confusion.confusion.head_responses import READINGS
from keras_confusion.reports.figures.style import MISSING_COLOR

COLORMAP = "PuOr"
MAX_CLASSES_WITH_NUMBERS = 12
# Points: of the smallest names, and of cells that have room for a mark.
MIN_NAME, MIN_MARKED_CELL = 6.0, 5.0
# Of many cells: as large as a few of them are, so that the others keep some colour.
MANY_CELLS, LARGEST_SHOWN = 5000, 0.999
# Of panels: responses, and readings of d'.
_TITLES = {
    "accuracy": "accuracy\n(features + readout + competition)",
    "accuracy_without_pair": "accuracy_without_pair\n(features + readout)",
    "total": "total\n(confused features,\ntheir own last layer)",
    "features": "features\n(confused features,\nright last layer)",
    "readout": "readout\n(untouched features,\nswapped last layer)",
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


@dataclasses.dataclass(frozen=True)
class Cells:
    """One measure of one response.

    Args:
        values: `(targets, columns)`, NaN where there is none.
        significant: Where q is small enough, bool.
        num_tested: How many cells have a test.
        measure: What the values are.
    """

    values: np.ndarray
    significant: np.ndarray
    num_tested: int
    measure: Measure

    @staticmethod
    def by_panel(
        table: pd.DataFrame, measure: Measure, *, columns, num_classes: int
    ) -> dict[str, "Cells"]:
        """The cells of a table, by response or by reading."""
        cells = {}
        kind = "reading" if "reading" in table else "response"
        known = set(table[kind])
        for panel in (*responses.RESPONSES, *READINGS):
            if panel not in known:
                continue
            rows = table[table[kind] == panel]
            values, q_values = (
                comparison_tables.matrix(
                    rows, column, columns=columns, num_classes=num_classes
                )
                for column in (measure.column, "q_value")
            )
            num_tested = int(np.isfinite(q_values).sum())
            is_found = q_values <= comparison_findings.SIGNIFICANCE
            cells[panel] = Cells(values, is_found, num_tested, measure)
        return cells

    def arranged(self, index) -> "Cells":
        """With rows, or rows and columns, in another order."""
        return dataclasses.replace(
            self, values=self.values[index], significant=self.significant[index]
        )

    def largest_significant(self, together: int) -> "Cells":
        """Zero where nothing is significant; of columns side by side the largest."""
        values = np.where(self.significant, self.values, 0 * self.values)
        missing = -values.shape[1] % together
        values = np.pad(values, ((0, 0), (0, missing)), constant_values=np.nan)
        parts = values.reshape(len(values), -1, together)
        size = np.where(np.isnan(parts), -1, np.abs(parts))
        largest = size.argmax(axis=2)[..., None]
        return dataclasses.replace(
            self, values=np.take_along_axis(parts, largest, axis=2)[..., 0]
        )


def draw(figure, axes, cells: dict[str, Cells], cell: float) -> None:
    """One panel a response or reading, one scale; dots where significant.

    Args:
        figure: The figure.
        axes: Of the panels.
        cells: By response or reading.
        cell: A cell's width, inches; 0 for columns without cells of their own.
    """
    values = [
        panel_cells.values[np.isfinite(panel_cells.values)]
        for panel_cells in cells.values()
    ]
    limit, extend = _limit(np.abs(np.concatenate(values)))
    measure = next(iter(cells.values())).measure
    # The scale of orange to purple follows the difference, confused minus comparison.
    colormap = matplotlib.colormaps[COLORMAP + ("" if measure.sign > 0 else "_r")]
    colormap = colormap.with_extremes(bad=MISSING_COLOR)
    for axis, (panel, panel_cells) in zip(axes, cells.items(), strict=True):
        image = axis.imshow(
            np.ma.masked_invalid(panel_cells.values),
            cmap=colormap,
            vmin=-limit,
            vmax=limit,
            aspect="auto",
            interpolation="nearest",
        )
        if panel_cells.values.size <= MAX_CLASSES_WITH_NUMBERS**2:
            _write_numbers(axis, panel_cells.values, limit)
        rows, cols = np.nonzero(panel_cells.significant)
        if 72 * cell >= MIN_MARKED_CELL:
            # A corner, where the number leaves room; an edge, to be seen on dark cells.
            size = min(3.5, 0.25 * 72 * cell)
            axis.plot(
                cols + 0.32,
                rows - 0.32,
                "o",
                color="black",
                ms=size,
                mec="white",
                mew=0.17 * size,
            )
        axis.set_title(
            f"{_TITLES[panel]}\n"
            f"{len(rows):,} of {panel_cells.num_tested:,} tests at "
            f"q ≤ {comparison_findings.SIGNIFICANCE}"
        )
        axis.tick_params(length=0)
        for spine in axis.spines.values():
            spine.set_visible(False)
    bar = figure.colorbar(image, ax=axes, shrink=0.8, pad=0.02, extend=extend)
    bar.set_label(measure.label)
    bar.outline.set_visible(False)


def _limit(sizes: np.ndarray) -> tuple[float, str]:
    """The colour limit, and Matplotlib's `extend` for values outside it."""
    shown = sizes[sizes > 0]
    if not shown.size:
        return 1.0, "neither"
    if shown.size < MANY_CELLS:
        return float(shown.max()), "neither"
    return float(np.quantile(shown, LARGEST_SHOWN)), "both"


def name_cells(axis, names: list[str], cell: float, rotation: int = 0) -> None:
    """Labels every n-th row or column, as many as fit; `cell` in inches."""
    step = max(int(np.ceil(MIN_NAME / (72 * cell))), 1)
    axis.set_ticks(range(0, len(names), step), names[::step])
    axis.set_tick_params(labelsize=float(np.clip(60 * cell * step, MIN_NAME, 9)))
    if rotation:
        for text in axis.get_ticklabels():
            text.set(rotation=rotation, ha="right", rotation_mode="anchor")


def name_blocks(
    axes, column_class: list[int], class_names, *, inches: float, together: int
) -> None:
    """Names blocks of columns that have a class in common, where there is room.

    Args:
        axes: Panels with the same columns, one under the other.
        column_class: The class that every column has in common with its neighbours.
        class_names: Names in the order of the labels.
        inches: Width of a column.
        together: Columns that are drawn as one.
    """
    firsts = np.flatnonzero(np.diff(column_class, prepend=-1))
    centres = (firsts + np.append(firsts[1:], len(column_class)) - 1) / 2
    shown, last = [], -np.inf
    for number, centre in enumerate(centres):
        if (centre - last) * inches * 72 >= 1.3 * MIN_NAME:
            shown.append(number)
            last = centre
    axes[-1].set_xticks(
        [centres[number] / together for number in shown],
        [class_names[column_class[firsts[number]]] for number in shown],
        rotation=90,
        fontsize=MIN_NAME + 1,
    )
    for axis in axes:
        for first in firsts[1:]:
            axis.axvline(first / together - 0.5, color="0.75", lw=0.3)


def _write_numbers(axis, values, limit) -> None:
    """The value of every cell, so that colour does not stand alone."""
    # Points have one decimal, bits and d' as many as there is room for.
    decimals = 3 if limit < 0.2 else 2 if limit < 1 else 1
    for row, col in np.argwhere(np.isfinite(values)):
        value = values[row, col]
        # Minus signs of rounded zeros say nothing.
        text = f"{value:.{decimals}f}"
        text = "0" if float(text) == 0 else text.replace("-", "−")
        if decimals > 1:
            # There is no room for a zero that says nothing.
            text = text.replace("0.", ".", 1)
        axis.text(
            col,
            row,
            text,
            ha="center",
            va="center",
            fontsize=6.5,
            color="white" if abs(value) > 0.6 * limit else "0.2",
        )
