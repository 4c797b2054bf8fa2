"""Pictures of a study's networks, and of the classes that belong together."""

import matplotlib
import matplotlib.ticker
import numpy as np
import pandas as pd
import scipy.cluster.hierarchy
from matplotlib.figure import Figure

from keras_confusion import clustering
from keras_confusion.figures import ACCENT, MAX_LENGTH, MIN_WIDTH, MUTED, STYLE


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
    with matplotlib.rc_context(STYLE):
        figure = Figure(
            figsize=(MIN_WIDTH, min(1.4 + 0.2 * len(arms), MAX_LENGTH)),
            layout="constrained",
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


def class_dendrogram(
    tree: clustering.ClassTree, class_names, *, margin: float
) -> Figure:
    """Which classes belong together.

    Args:
        tree: As `clustering.class_tree` returns it.
        class_names: Names in the order of the labels.
        margin: Half the width of a typical 95 % interval of one cost, percentage
            points, so that joins are not taken for more than they are.

    Returns:
        A Matplotlib figure.
    """
    with matplotlib.rc_context(STYLE):
        figure = Figure(
            figsize=(MIN_WIDTH, 1.9 + 0.28 * len(class_names)), layout="constrained"
        )
        axis = figure.subplots()
        scipy.cluster.hierarchy.dendrogram(
            tree.linkage,
            labels=list(class_names),
            orientation="left",
            ax=axis,
            color_threshold=0,
            above_threshold_color=MUTED,
        )
        farthest = tree.linkage[:, 2].max() or 1.0
        costs = matplotlib.ticker.MaxNLocator(6).tick_values(
            tree.largest_cost - farthest, tree.largest_cost
        )
        costs = [cost for cost in costs if cost <= tree.largest_cost]
        axis.set_xticks(
            [tree.largest_cost - cost for cost in costs],
            [f"{cost:.3g}".replace("-", "−") for cost in costs],
        )
        axis.set_xlim(1.05 * farthest, -0.02 * farthest)
        axis.tick_params(axis="y", labelsize=9)
        axis.spines["left"].set_visible(False)
        axis.set_xlabel(
            "mean cost to one class of not learning the other, percentage points\n"
            f"(accuracy_without_pair; 95 % interval of one cost about ±{margin:.1f})"
        )
        axis.set_title("Classes that learn from each other")
    return figure
