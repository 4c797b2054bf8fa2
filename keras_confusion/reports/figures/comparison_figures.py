"""Pictures of the comparisons of a confusion study, drawn with Matplotlib."""

import dataclasses

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from keras_confusion.comparisons import findings as comparison_findings
from keras_confusion.reports.figures import heat_maps
from keras_confusion.reports.figures.heat_maps import Measure
from keras_confusion.reports.figures.style import (
    MAX_LENGTH,
    MIN_WIDTH,
    span,
    style_of_width,
)

# Of panels beside each other, which have titles and a caption under all of them.
MIN_PANEL = 3.7
MAX_UPRIGHT_NAME = 3
# A cell's side, while there is room, and the room for all classes if there is not.
CELL, MAX_SIDE = 0.32, 13.0
# More pairs have no names and no cells of their own: see `heat_maps.name_blocks`.
MAX_PAIRS_NAMED = 160
MAX_PAIR_COLUMNS = 3000


MEASURES = {
    "difference": Measure("difference_points", "difference, percentage points"),
    "t": Measure("t", comparison_findings.TITLES[comparison_findings.DEFAULT_TEST]),
    "bits": Measure("kl_bits", "kl_bits, gained by not confusing", sign=-1),
}


READING_MEASURES = {
    "difference": Measure(
        "difference", "difference of d′\n(orange: T is told apart worse)"
    ),
    "t": MEASURES["t"],
}


def target_by_class(
    table: pd.DataFrame,
    measure: str,
    class_names,
    order,
    *,
    test=comparison_findings.DEFAULT_TEST,
) -> Figure:
    """Heat map of every target T by every class C, responses or readings on one scale.

    Args:
        table: As `target_by_class.target_by_class` or `by_reading` return it.
        measure: A key of `MEASURES`, or for readings of `READING_MEASURES`.
        class_names: Names in the order of the labels.
        order: Labels in the order of rows and columns.
        test: One of `findings.TESTS`, which differences and marks are by.

    Returns:
        A Matplotlib figure.
    """
    num_classes, table = len(class_names), comparison_findings.with_test(table, test)
    cell = min(CELL, MAX_SIDE / num_classes)
    size = 2.6 + cell * num_classes
    cells = heat_maps.Cells.by_panel(
        table,
        _measure(measure, test, table),
        columns=range(num_classes),
        num_classes=num_classes,
    )
    width = len(cells) * size
    with matplotlib.rc_context(style_of_width(width)):
        figure = Figure(figsize=(width + 0.6, size + 0.7), layout="constrained")
        axes = figure.subplots(1, len(cells), sharey=True, squeeze=False)[0]
        grid = np.ix_(order, order)
        heat_maps.draw(
            figure,
            axes,
            {key: panel.arranged(grid) for key, panel in cells.items()},
            cell,
        )
        names = [class_names[label] for label in order]
        upright = max(map(len, names)) <= MAX_UPRIGHT_NAME
        for axis in axes:
            heat_maps.name_cells(axis.xaxis, names, cell, 0 if upright else 45)
            axis.set_xlabel("class C that is confused")
        heat_maps.name_cells(axes[0].yaxis, names, cell)
        axes[0].set_ylabel("target class T")
        figure.suptitle(
            "What confusing class C does to class T, beside what it does to everybody"
            if "reading" in table
            else "What confusing class C does to class T"
        )
        figure.supxlabel(_caption(table, test), fontsize="small", color="0.35")
    return figure


def target_by_pair(
    table: pd.DataFrame,
    measure: str,
    class_names,
    order,
    *,
    test=comparison_findings.DEFAULT_TEST,
) -> Figure:
    """Heat map of every target T by every confused pair; see `target_by_class`.

    The pair's own classes are left grey: what they lose dwarfs everything else. Of many
    pairs only significant cells have a colour, and pairs stand in blocks of a class.
    """
    num_classes, is_reading = len(class_names), "reading" in table
    tell = (
        comparison_findings.with_test
        if is_reading
        else comparison_findings.third_classes
    )
    third = tell(table, test)
    rank = {label: position for position, label in enumerate(order)}
    pairs = sorted(
        table[["class_a", "class_b"]].drop_duplicates().itertuples(index=False),
        key=lambda pair: sorted((rank[pair[0]], rank[pair[1]])),
    )
    pairs = [(int(a), int(b)) for a, b in pairs]
    cells = {
        response: panel.arranged(list(order))
        for response, panel in heat_maps.Cells.by_panel(
            third,
            _measure(measure, test, table),
            columns=pairs,
            num_classes=num_classes,
        ).items()
    }
    many = len(pairs) > MAX_PAIRS_NAMED
    # Beside each other while that is not wider than it is high.
    beside = len(pairs) <= num_classes and not many
    across, down = (len(cells), 1) if beside else (1, len(cells))
    cell, together = 0.22, 1
    width = max(3.2 + cell * len(pairs) * across, MIN_WIDTH, MIN_PANEL * across)
    if many:
        together = -(-len(pairs) // MAX_PAIR_COLUMNS)
        cells = {
            key: panel.largest_significant(together) for key, panel in cells.items()
        }
        width, cell = 24.0, 0.0
    row = min(0.22, 0.7 * MAX_SIDE / num_classes)
    with matplotlib.rc_context(style_of_width(width if many else MIN_WIDTH)):
        figure = Figure(
            figsize=(min(width, MAX_LENGTH), 2.8 + row * num_classes * down),
            layout="constrained",
        )
        axes = figure.subplots(
            down, across, sharex=True, sharey=True, squeeze=False
        ).ravel()
        heat_maps.draw(figure, axes, cells, cell)
        for axis in axes[:1] if beside else axes:
            heat_maps.name_cells(
                axis.yaxis, [class_names[label] for label in order], row
            )
            axis.set_ylabel("target class T")
        if many:
            heat_maps.name_blocks(
                axes,
                [min(pair, key=rank.__getitem__) for pair in pairs],
                class_names,
                inches=(width - 4) / len(pairs),
                together=together,
            )
            axes[-1].set_xlabel(
                "confused pair, in blocks of one of its classes: a block has the "
                "pairs with the classes after it, in the order of the rows"
            )
        else:
            names = [
                " – ".join(
                    class_names[label] for label in sorted(pair, key=rank.__getitem__)
                )
                for pair in pairs
            ]
            for axis in axes if beside else axes[-1:]:
                axis.set_xticks(range(len(pairs)), names, rotation=90)
                axis.set_xlabel("confused pair")
        figure.suptitle(
            "What confusing a pair does to third classes"
            + (", beside what it does to everybody" if is_reading else "")
        )
        caption = _caption(third, test, mark="Coloured" if many else "●")
        if together > 1:
            caption += f"  A column: {together} pairs, the largest of them."
        figure.supxlabel(caption, fontsize="small", color="0.35")
    return figure


def _measure(name: str, test: str, table: pd.DataFrame) -> Measure:
    measure = (READING_MEASURES if "reading" in table else MEASURES)[name]
    if name == "t":
        return dataclasses.replace(measure, label=comparison_findings.TITLES[test])
    return measure


def _caption(table: pd.DataFrame, test: str, mark: str = "●") -> str:
    """What marks and numbers mean, and how many networks stand behind a cell."""
    readout = ""
    if "reading" in table:
        readout_rows = table[table["reading"] == "readout"]
        if len(readout_rows) < len(table):
            table = table[table["reading"] != "readout"]
        if len(readout_rows):
            num = readout_rows["paired_n"].max()
            readout = f"  Readout: paired t of {num} baselines."

    cell = (
        f"A cell: {span(table['n_confused'])} confused against "
        f"{span(table['n_comparison'])} networks"
    )
    if test == comparison_findings.PAIRED:
        correlation = comparison_findings.correlation_within_repeats(table)
        cell += f" in {span(table['paired_n'])} repeats, correlation {correlation:.2f}"
    if test == comparison_findings.MODERATED:
        cell += f" (n = {span(table['moderated_n'])})"
    return (
        f"{mark} significant ({comparison_findings.TITLES[test]}, "
        f"Benjamini–Hochberg q ≤ {comparison_findings.SIGNIFICANCE}).  "
        f"Grey: not defined.  {cell}.{readout}"
    )
