"""Stacked bars of variance components, for `benchmarks.validity.variance`."""

import matplotlib
from matplotlib.figure import Figure

from benchmarks.validity.variance_report import SHOWN_WEIGHTS, THIRD, WITHOUT_PAIR
from keras_confusion.reports.figures import style as figure_style

DPI = 150
# Okabe and Ito's colours for single factors, paler ones for what they do together.
COLORS = ("#0072b2", "#e69f00", "#009e73", "#9ecae1", "#a1d9c9", "#f7d794", "0.75")
TITLES = {
    THIRD: "accuracy\n(features + readout + competition)",
    WITHOUT_PAIR: "accuracy_without_pair\n(features + readout)",
}


def draw(found: dict) -> Figure:
    """What the variance of every cell is made of, in points squared and in percent.

    Args:
        found: As `variance.measure` returns it.

    Returns:
        A Matplotlib figure.
    """
    with matplotlib.rc_context(figure_style.STYLE):
        figure = Figure(figsize=(10, 5.6), layout="constrained")
        rows = figure.subplots(len(TITLES), 2, sharey=True, sharex="col")
        for (absolute, relative), response in zip(rows, TITLES, strict=True):
            cells = [
                cell
                for cell in found["cells"]
                if cell["response"] == response and cell["weights"] in SHOWN_WEIGHTS
            ]
            _bars(absolute, cells, found["effects"], relative=False)
            _bars(relative, cells, found["effects"], relative=True)
            absolute.set_ylabel(TITLES[response])
        rows[0, 0].invert_yaxis()
        rows[0, 0].margins(x=0.22)
        rows[0, 0].set_title("variance and sd")
        rows[0, 1].set_title("what it is made of")
        rows[-1, 0].set_xlabel("variance, points²")
        rows[-1, 1].set_xlabel("share of the variance, %")
        handles, labels = rows[0, 0].get_legend_handles_labels()
        figure.legend(
            handles, labels, loc="outside lower center", ncols=4, frameon=False
        )
        levels = found["settings"]["levels"]
        figure.suptitle(
            "What makes a third class's accuracy differ between networks  "
            f"(mean over classes, {levels**3} networks a bar)"
        )
    return figure


def _bars(axis, cells: list[dict], effects: list[str], *, relative: bool) -> None:
    names = [f"{cell['schedule']},\n{cell['weights']}" for cell in cells]
    # Estimates below 0 are drawn as 0.
    parts = [[max(one[0], 0.0) for one in cell["components"]] for cell in cells]
    if relative:
        parts = [[100 * one / (sum(part) or 1.0) for one in part] for part in parts]
    ends = [0.0] * len(cells)
    for place, (effect, color) in enumerate(zip(effects, COLORS, strict=True)):
        widths = [part[place] for part in parts]
        axis.barh(
            names,
            widths,
            left=ends,
            color=color,
            edgecolor="white",
            linewidth=0.5,
            label=effect.replace(" x ", " × "),
        )
        ends = [end + width for end, width in zip(ends, widths, strict=True)]
    axis.tick_params(axis="y", length=0)
    if relative:
        axis.set_xlim(0, 100)
        return
    for name, end, cell in zip(names, ends, cells, strict=True):
        axis.annotate(
            f"sd {cell['sd'][0]:.2g} points",
            (end, name),
            xytext=(4, 0),
            textcoords="offset points",
            va="center",
            color="0.3",
        )
