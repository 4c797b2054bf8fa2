"""A picture of what confusing a class does to all other classes together."""

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from keras_confusion.comparisons import findings as comparison_findings
from keras_confusion.confusion.head_responses import READINGS
from keras_confusion.reports.figures import style as figure_style

_COLOURS = {
    "total": "0.45",
    "features": figure_style.ACCENT,
    "readout": figure_style.MUTED,
}
_MARKERS = {"total": "s", "features": "o", "readout": "^"}
_ROW, _MOST_INCHES = 0.42, 24.0


def draw(table: pd.DataFrame, *, test: str) -> Figure:
    """Mean d' of everybody where a class is confused, against where it is not.

    Args:
        table: The second of `by_reading.readings_by_class`.
        test: One of `findings.TESTS`.

    Returns:
        A Matplotlib figure: a row per class, the largest loss by features first, and a
        point with its 95 % interval per reading; filled where q <= 0.05.
    """
    table = comparison_findings.with_test(table, test)
    readings = [name for name in READINGS if name in set(table["reading"])]
    first = "features" if "features" in readings else readings[0]
    first_differences = table[table["reading"] == first].set_index("class")[
        "difference"
    ]
    rank = {
        label: row for row, label in enumerate(first_differences.sort_values().index)
    }
    height = min(1.5 + _ROW * len(rank), _MOST_INCHES)
    with matplotlib.rc_context(figure_style.STYLE):
        figure = Figure(figsize=(figure_style.MIN_WIDTH, height), layout="constrained")
        axis = figure.subplots()
        for number, reading in enumerate(readings):
            rows = table[table["reading"] == reading]
            places = rows["class"].map(rank) + 0.22 * (number - (len(readings) - 1) / 2)
            middle = rows["difference"].to_numpy(float)
            is_found = (rows["q_value"] <= comparison_findings.SIGNIFICANCE).to_numpy(
                bool
            )
            colour, marker = _COLOURS[reading], _MARKERS[reading]
            axis.hlines(places, rows["ci_low"], rows["ci_high"], color=colour, lw=1.2)
            for found in (True, False):
                axis.plot(
                    middle[is_found == found],
                    places[is_found == found],
                    marker,
                    ms=5,
                    color=colour,
                    mfc=colour if found else "white",
                )
            # In the legend every reading stands once, filled.
            axis.plot([], [], marker, ms=5, color=colour, label=reading)
        axis.axvline(0, color="0.6", lw=0.8, zorder=0)
        names = table.drop_duplicates("class").set_index("class")["class_name"]
        axis.set_yticks(range(len(rank)), [names[label] for label in rank])
        axis.set_ylim(len(rank) - 0.5, -0.5)
        axis.set_xlabel(
            "← worse     mean d′ of all other classes, difference     better →"
        )
        axis.set_ylabel("class C that is confused")
        axis.tick_params(axis="y", length=0)
        axis.legend(frameon=False, loc="upper left", bbox_to_anchor=(1, 1))
        axis.set_title("What confusing class C does to everybody")
        num = int(np.nanmax(table["paired_n"]))
        figure.supxlabel(
            f"Lines: 95 % intervals ({comparison_findings.TITLES[test]}, {num} "
            "repeats).  "
            f"Filled: Benjamini–Hochberg q ≤ {comparison_findings.SIGNIFICANCE}.",
            fontsize="small",
            color="0.35",
        )
    return figure
