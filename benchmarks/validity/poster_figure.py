"""The poster's picture under both responses, with the two blocks; for a talk."""

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from benchmarks.validity import poster_statistics
from benchmarks.validity.poster_study import BY_CLASS, Measured
from keras_confusion.comparisons.responses import RESPONSES
from keras_confusion.reports.figures import heat_maps
from keras_confusion.reports.figures import style as figure_style

DPI = 150
_MEASURE = heat_maps.Measure(
    "difference_points", "accuracy of T, percentage points:\nC confused minus not"
)


def draw(measured: Measured) -> Figure:
    """Target x class in the order vehicles, animals; below it all splits of classes.

    Returns:
        A Matplotlib figure: above, differences on one scale, blocks outlined; below,
        the contrast of every split of the classes into four and six, the true one
        marked.
    """
    names, vehicles = measured.class_names, measured.vehicles
    order = vehicles + [k for k in range(len(names)) if k not in vehicles]
    cells, tests = {}, []
    for response in RESPONSES:
        panel = heat_maps.Cells.by_panel(
            measured.rows(BY_CLASS, response),
            _MEASURE,
            columns=range(len(names)),
            num_classes=len(names),
        )[response]
        tests.append(poster_statistics.split_test(panel.values, vehicles))
        cells[response] = panel.arranged(np.ix_(order, order))
    with matplotlib.rc_context(figure_style.STYLE):
        figure = Figure(figsize=(10.4, 7.4), layout="constrained")
        maps, splits = figure.subplots(
            2, len(cells), sharey="row", height_ratios=(3.4, 1)
        )
        heat_maps.draw(figure, maps, cells, 0.4)
        for axis in maps:
            for start, stop in ((0, len(vehicles)), (len(vehicles), len(order))):
                corner, size = (start - 0.5, start - 0.5), stop - start
                block = Rectangle(
                    corner, size, size, fill=False, ec="black", lw=2, clip_on=False
                )
                axis.add_patch(block)
            labels = [names[k] for k in order]
            axis.set_xticks(range(len(order)), labels, rotation=45, ha="right")
            axis.set_xlabel("class C that is confused")
        maps[0].set_yticks(range(len(order)), labels)
        maps[0].set_ylabel("target class T")
        widest = max(np.abs(test.contrasts).max() for test in tests)
        for axis, test in zip(splits, tests, strict=True):
            _splits(axis, test, np.linspace(-widest, widest, 42))
        splits[0].set_ylabel("splits")
        figure.suptitle("Animals and vehicles: what confusing class C does to class T")
    return figure


def _splits(axis, test: poster_statistics.SplitTest, bins: np.ndarray) -> None:
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
