"""A forest plot of a study's strongest findings, features beside competition."""

import textwrap

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from keras_confusion.comparisons import findings as comparison_findings
from keras_confusion.reports.figures import style as figure_style

MOST_ROWS = 12
_MOST_LETTERS = 34
_ROW = 0.42
# By what is shown: its name in the legend, colour and marker.
_LEARNED = {
    "features": ("features: what was learned", figure_style.ACCENT, "o"),
    "total": ("total", "0.45", "s"),
    "readout": ("readout: the last layer alone", figure_style.MUTED, "^"),
}
_MEASURED = {
    "accuracy_without_pair": ("without the pair", "0.45", "s"),
    "accuracy": ("accuracy, with competition", "#1b7837", "D"),
}


def draw(
    all_tables: dict[str, pd.DataFrame], *, test: str, most: int = MOST_ROWS
) -> Figure:
    """The strongest cells, the largest effect first, with 95 % intervals.

    Args:
        all_tables: As `confusion_tables.study_tables`: target x class where there is
            one, else target x pair. Cells are chosen by d' of *features*; where no
            network has it, by accuracy without the pair.
        test: One of `findings.TESTS`.
        most: Cells that are shown at most: those with q <= 0.05, or, if there are
            fewer, those with the smallest p-values; a quarter of them, if there are so
            many, have q <= 0.05 by accuracy alone, which is competition.

    Returns:
        A Matplotlib figure: a row a cell, on the left the readings of d', on the right
        the accuracies in points; filled where q <= 0.05.
    """
    kind = "class" if "target_by_class" in all_tables else "pair"
    points = comparison_findings.with_test(all_tables[f"target_by_{kind}"], test)
    if "family" in points:
        points = points[points["family"] == "third"]
    keys = ["target", "class"] if kind == "class" else ["target", "class_a", "class_b"]
    panels = [(points, "response", _MEASURED, "_points")]
    chosen_by = points[points["response"] == "accuracy_without_pair"]
    difference = "difference_points"
    if f"discriminability_by_{kind}" in all_tables:
        learned = comparison_findings.with_test(
            all_tables[f"discriminability_by_{kind}"], test
        )
        panels.insert(0, (learned, "reading", _LEARNED, ""))
        of_features = learned[learned["reading"] == "features"]
        if len(of_features):
            chosen_by, difference = of_features, "difference"
    tested = chosen_by[chosen_by["q_value"].notna()]
    num_found = int((tested["q_value"] <= comparison_findings.SIGNIFICANCE).sum())
    # All cells with the same q are as significant: their t says which is first.
    order = np.lexsort((-tested["t"].abs(), tested["q_value"]))
    competing = _found_by_accuracy_alone(tested, points, keys)[: most // 4]
    others = [row for row in order if row not in competing]
    shown = tested.iloc[[*competing, *others[: most - len(competing)]]]
    shown = shown.sort_values(difference, kind="stable")
    num_shown = int((shown["q_value"] <= comparison_findings.SIGNIFICANCE).sum())
    rank = {
        key: row
        for row, key in enumerate(shown[keys].itertuples(index=False, name=None))
    }
    height = 1.9 + _ROW * max(len(rank), 2)
    with matplotlib.rc_context(figure_style.STYLE):
        figure = Figure(figsize=(5.0 + 3.4 * len(panels), height), layout="constrained")
        axes = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
        for axis, (table, column, styles, unit) in zip(axes, panels, strict=True):
            _draw_panel(axis, table, column, styles, unit, keys, rank)
        axes[0].set_yticks(
            range(len(rank)), [_name(row) for _, row in shown.iterrows()]
        )
        axes[0].set_ylim(max(len(rank), 1) - 0.5, -0.5)
        what = "features" if difference == "difference" else "accuracy without the pair"
        figure.suptitle(
            f"{num_found} of {len(tested)} cells found by {what}"
            + ("" if num_found else ": the strongest of them")
            + (f", {num_shown} of them" if num_found > num_shown else "")
        )
        figure.supxlabel(
            f"Lines: 95 % intervals of each cell ({comparison_findings.TITLES[test]}, "
            f"at most {shown['n_confused'].max():.0f} confused networks). "
            f"Filled: q ≤ {comparison_findings.SIGNIFICANCE} over all cells "
            "(Benjamini–Hochberg).",
            fontsize="small",
            color="0.35",
        )
    return figure


def _found_by_accuracy_alone(tested, points, keys) -> list[int]:
    """Numbers of rows that only the accuracy finds, the most significant one first."""
    limit = comparison_findings.SIGNIFICANCE
    accuracy = points[(points["response"] == "accuracy") & (points["q_value"] <= limit)]
    evidence = dict(
        zip(
            _keys(accuracy, keys),
            zip(accuracy["q_value"], -accuracy["t"].abs(), strict=True),
            strict=True,
        )
    )
    cells = list(_keys(tested, keys))
    is_found = (tested["q_value"] <= limit).tolist()
    rows = [
        row for row, cell in enumerate(cells) if cell in evidence and not is_found[row]
    ]
    return sorted(rows, key=lambda row: evidence[cells[row]])


def _draw_panel(axis, table, column, styles, unit, keys, rank) -> None:
    drawn = [name for name in styles if name in set(table[column])]
    for number, name in enumerate(drawn):
        title, colour, marker = styles[name]
        rows = table[table[column] == name]
        rows = rows.assign(place=[rank.get(key, -1) for key in _keys(rows, keys)])
        rows = rows[rows["place"] >= 0]
        places = rows["place"] + 0.24 * (number - (len(drawn) - 1) / 2)
        axis.hlines(
            places, rows[f"ci_low{unit}"], rows[f"ci_high{unit}"], color=colour, lw=1.2
        )
        is_found = (rows["q_value"] <= comparison_findings.SIGNIFICANCE).to_numpy(bool)
        for found in (True, False):
            axis.plot(
                rows[f"difference{unit}"].to_numpy(float)[is_found == found],
                places[is_found == found],
                marker,
                ms=5,
                color=colour,
                mfc=colour if found else "white",
            )
        # In the legend each stands once, filled.
        axis.plot([], [], marker, ms=5, color=colour, label=title)
    axis.axvline(0, color="0.6", lw=0.8, zorder=0)
    is_points = bool(unit)
    axis.set_xlabel(
        "← loses     percentage points     gains →"
        if is_points
        else "← told apart worse     d′     better →"
    )
    axis.tick_params(axis="y", length=0)
    axis.legend(
        frameon=False, loc="lower left", bbox_to_anchor=(0, 1), fontsize="small"
    )


def _keys(rows: pd.DataFrame, columns: list[str]):
    return rows[columns].itertuples(index=False, name=None)


def _name(row: pd.Series) -> str:
    """For example "truck, automobile confused"."""
    confused = (
        row["class_name"]
        if "class_name" in row
        else f"{row['class_a_name']} and {row['class_b_name']}"
    )
    text = f"{row['target_name']}, where {confused} is confused"
    if "class_a_name" in row:
        text = f"{row['target_name']}, where {confused} are confused"
    return "\n".join(textwrap.wrap(text, _MOST_LETTERS))
