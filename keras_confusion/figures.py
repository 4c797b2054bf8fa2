"""Pictures of a confusion study, drawn with Matplotlib.

Signed measures are drawn on PuOr, symmetric about 0: orange where confusing costs the
target, purple where it gains. A dot marks a cell that is significant at the chosen q.
"""

import dataclasses

import matplotlib
import numpy as np
import pandas as pd
import scipy.cluster.hierarchy
from matplotlib.figure import Figure

from keras_confusion import tables

COLORMAP = "PuOr"
MISSING_COLOR = "0.88"
ACCENT = "#b35806"
MUTED = "#542788"
SIGNIFICANCE = 0.05
_RESPONSE_TITLES = {
    "accuracy": "accuracy\n(learned + competition)",
    "accuracy_without_pair": "accuracy_without_pair\n(learned)",
}
# Text as text in SVG: it can be searched, and the file is the same in every run.
_STYLE = {
    "svg.fonttype": "none",
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
    "t": Measure("t", "Welch's t"),
    "bits": Measure("kl_bits", "kl_bits, gained by not confusing", sign=-1),
}


def target_by_class(table: pd.DataFrame, measure: str, class_names, order) -> Figure:
    """Heat map of every target T by every class C, both responses on one scale.

    Args:
        table: As `tables.target_by_class` returns it.
        measure: A key of `MEASURES`.
        class_names: Names in the order of the labels.
        order: Labels in the order of rows and columns.

    Returns:
        A Matplotlib figure.
    """
    num_classes = len(class_names)
    size = 2.6 + 0.32 * num_classes
    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=(2 * size + 0.6, size + 0.7), layout="constrained")
        axes = figure.subplots(1, 2, sharey=True)
        grid = np.ix_(order, order)
        _heat_maps(
            figure,
            axes,
            table,
            MEASURES[measure],
            columns=range(num_classes),
            num_classes=num_classes,
            arrange=lambda values: values[grid],
        )
        names = [class_names[label] for label in order]
        for axis in axes:
            axis.set_xticks(range(num_classes), names, rotation=45, ha="right")
            axis.set_xlabel("class C that is confused")
        axes[0].set_yticks(range(num_classes), names)
        axes[0].set_ylabel("target class T")
        figure.suptitle("What confusing class C does to class T")
    return figure


def target_by_pair(table: pd.DataFrame, measure: str, class_names, order) -> Figure:
    """Heat map of every target T by every confused pair; see `target_by_class`.

    The pair's own classes are left grey: what they lose dwarfs everything else.
    """
    num_classes = len(class_names)
    rank = {label: position for position, label in enumerate(order)}
    pairs = sorted(
        {
            (int(a), int(b))
            for a, b in zip(table["class_a"], table["class_b"], strict=True)
        },
        key=lambda pair: sorted((rank[pair[0]], rank[pair[1]])),
    )
    third = table[table["family"] == "third"]
    width = min(3.2 + 0.22 * len(pairs), 40)
    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=(width, 2.6 + 0.44 * num_classes), layout="constrained")
        axes = figure.subplots(2, 1, sharex=True)
        _heat_maps(
            figure,
            axes,
            third,
            MEASURES[measure],
            columns=pairs,
            num_classes=num_classes,
            arrange=lambda values: values[list(order)],
        )
        for axis in axes:
            names = [class_names[label] for label in order]
            axis.set_yticks(range(num_classes), names)
            axis.set_ylabel("target class T")
        names = [
            " – ".join(class_names[label] for label in sorted(pair, key=rank.get))
            for pair in pairs
        ]
        axes[1].set_xticks(range(len(pairs)), names, rotation=90)
        axes[1].set_xlabel("confused pair")
        figure.suptitle("What confusing a pair does to third classes")
    return figure


def accuracy_by_arm(networks: pd.DataFrame) -> Figure:
    """Accuracy over the test set of every single network, arm by arm.

    Args:
        networks: As `tables.networks_table` returns it.

    Returns:
        A Matplotlib figure: a dot per network, a bar for mean ± sd, arms by mean.
    """
    done = networks[~networks["failed"]]
    arms = done.groupby("arm")["accuracy"].agg(["mean", "std", "count"])
    arms = arms.sort_values("mean")
    is_baseline = arms.index == "baseline"
    names = {
        row.arm: "baseline"
        if row.arm == "baseline"
        else f"{row.class_a_name} – {row.class_b_name}"
        for row in done.itertuples()
    }
    with matplotlib.rc_context(_STYLE):
        figure = Figure(
            figsize=(6.5, min(1.4 + 0.2 * len(arms), 40)), layout="constrained"
        )
        axis = figure.subplots()
        for position, (arm, summary) in enumerate(arms.iterrows()):
            color = ACCENT if is_baseline[position] else MUTED
            values = done.loc[done["arm"] == arm, "accuracy"]
            axis.plot(
                values,
                [position] * len(values),
                "o",
                color=color,
                alpha=0.35,
                ms=4,
                mew=0,
            )
            axis.errorbar(
                summary["mean"],
                position,
                xerr=0 if np.isnan(summary["std"]) else summary["std"],
                fmt="|",
                color=color,
                ms=9,
                lw=1.5,
            )
        labels = [
            f"{names[arm]}  (n = {count})" for arm, count in arms["count"].items()
        ]
        axis.set_yticks(range(len(arms)), labels)
        for text, baseline in zip(axis.get_yticklabels(), is_baseline, strict=True):
            text.set_color(ACCENT if baseline else "black")
        axis.set_ylim(-0.8, len(arms) - 0.2)
        axis.grid(axis="x", color="0.9")
        axis.set_axisbelow(True)
        axis.set_xlabel("accuracy on the test set, all classes")
        axis.set_title("Every network: one dot each, mean ± sd of the arm")
    return figure


def class_dendrogram(linkage: np.ndarray, class_names) -> Figure:
    """Which classes belong together; see `clustering.class_linkage`."""
    with matplotlib.rc_context(_STYLE):
        figure = Figure(
            figsize=(6.5, 1.6 + 0.28 * len(class_names)), layout="constrained"
        )
        axis = figure.subplots()
        scipy.cluster.hierarchy.dendrogram(
            linkage,
            labels=list(class_names),
            orientation="left",
            ax=axis,
            color_threshold=0,
            above_threshold_color=MUTED,
        )
        axis.tick_params(axis="y", labelsize=9)
        axis.spines["left"].set_visible(False)
        axis.set_xlabel("distance: largest cost − cost of this join, percentage points")
        axis.set_title(
            "Classes that learn from each other\n"
            "(cost to one of not learning the other, accuracy_without_pair)"
        )
    return figure


def _heat_maps(
    figure, axes, table, measure: Measure, *, columns, num_classes, arrange
) -> None:
    """One panel a response, one scale, one colour bar; dots where significant."""
    values, significant = {}, {}
    for response in tables.RESPONSES:
        rows = table[table["response"] == response]
        cells = {
            column: arrange(
                tables.matrix(rows, column, columns=columns, num_classes=num_classes)
            )
            for column in (measure.column, "q_value")
        }
        values[response] = cells[measure.column]
        significant[response] = cells["q_value"] <= SIGNIFICANCE
    finite = np.concatenate([v[np.isfinite(v)] for v in values.values()])
    limit = np.abs(finite).max() if finite.size else 1.0
    # The scale of orange to purple follows the difference, confused minus comparison.
    colormap = matplotlib.colormaps[COLORMAP + ("" if measure.sign > 0 else "_r")]
    colormap = colormap.with_extremes(bad=MISSING_COLOR)
    for axis, response in zip(axes, tables.RESPONSES, strict=True):
        image = axis.imshow(
            np.ma.masked_invalid(values[response]),
            cmap=colormap,
            vmin=-(limit or 1.0),
            vmax=limit or 1.0,
            aspect="auto",
        )
        rows, cols = np.nonzero(significant[response])
        axis.plot(cols, rows, "o", color="black", ms=2.5, mew=0)
        count = np.isfinite(values[response]).sum()
        axis.set_title(
            f"{_RESPONSE_TITLES[response]}\n"
            f"{len(rows)} of {count} cells at q ≤ {SIGNIFICANCE}"
        )
        axis.tick_params(length=0)
        for spine in axis.spines.values():
            spine.set_visible(False)
    bar = figure.colorbar(image, ax=axes, shrink=0.8, pad=0.02)
    bar.set_label(measure.label)
    bar.outline.set_visible(False)
