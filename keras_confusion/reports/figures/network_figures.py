"""Pictures of a study's networks, and of the classes that belong together."""

import matplotlib
import matplotlib.ticker
import numpy as np
import pandas as pd
import scipy.cluster.hierarchy
from matplotlib.figure import Figure

from keras_confusion.comparisons import clustering
from keras_confusion.reports.figures.style import (
    ACCENT,
    MAX_LENGTH,
    MIN_WIDTH,
    MUTED,
    STYLE,
)

# More arms are a curve; of them only so many at both ends have names.
MAX_ARMS_NAMED = 190
ARMS_AT_AN_END = 15
# Inches for the rows of all classes; points of the smallest names.
MAX_TREE, SMALLEST_NAME = 18.0, 6.0


def accuracy_by_arm(networks: pd.DataFrame) -> Figure:
    """Accuracy over the test set of every single network, arm by arm.

    Args:
        networks: As `tables.networks_table` returns it.

    Returns:
        A Matplotlib figure: a dot per network, a bar for mean ± sd, arms by mean. Of
        many arms those with the lowest and highest means, and all means as a curve.
    """
    done = networks[~networks["failed"]]
    by_arm = done.groupby("arm")
    arms = by_arm["accuracy"].agg(["mean", "std", "count", "min", "max"])
    names = by_arm[["class_a_name", "class_b_name"]].first()
    arms["name"] = names["class_a_name"] + " – " + names["class_b_name"]
    arms.loc[arms.index == "baseline", "name"] = "baseline"
    arms = arms.sort_values("mean")
    values = {arm: accuracies.to_numpy() for arm, accuracies in by_arm["accuracy"]}
    many = len(arms) > MAX_ARMS_NAMED
    with matplotlib.rc_context(STYLE):
        if many:
            figure = _many_arms(arms, values)
        else:
            figure = Figure(
                figsize=(MIN_WIDTH, min(1.4 + 0.2 * len(arms), MAX_LENGTH)),
                layout="constrained",
            )
            axis = figure.subplots()
            _draw_arms(axis, arms, values)
            axis.set_xlabel("accuracy on the test set, all classes")
            axis.set_title("Every network: one dot each, mean ± sd of the arm")
    return figure


def _draw_arms(axis, arms: pd.DataFrame, values: dict[str, np.ndarray]) -> None:
    """Every network of some arms, a row each."""
    is_baseline = arms.index == "baseline"
    for position, (arm, summary) in enumerate(arms.iterrows()):
        color = ACCENT if is_baseline[position] else MUTED
        axis.plot(
            values[arm],
            [position] * len(values[arm]),
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
        f"{name}  (n = {count:,})"
        for name, count in zip(arms["name"], arms["count"], strict=True)
    ]
    axis.set_yticks(range(len(arms)), labels)
    for text, baseline in zip(axis.get_yticklabels(), is_baseline, strict=True):
        text.set_color(ACCENT if baseline else "black")
    axis.set_ylim(-0.8, len(arms) - 0.2)
    axis.grid(axis="x", color="0.9")
    axis.set_axisbelow(True)


def _many_arms(arms: pd.DataFrame, values: dict[str, np.ndarray]) -> Figure:
    """All arms' means in order, and the arms at both ends."""
    figure = Figure(
        figsize=(2 * MIN_WIDTH, 5.5 + 0.2 * ARMS_AT_AN_END), layout="constrained"
    )
    axes = figure.subplot_mosaic(
        [["all", "all"], ["lowest", "highest"]],
        height_ratios=[4, 1 + 0.2 * ARMS_AT_AN_END],
    )
    rank, axis = np.arange(len(arms)), axes["all"]
    spread = arms["std"].fillna(0)
    axis.fill_between(
        rank, arms["min"], arms["max"], color="0.9", lw=0, label="lowest to highest"
    )
    axis.fill_between(
        rank,
        arms["mean"] - spread,
        arms["mean"] + spread,
        color=MUTED,
        alpha=0.35,
        lw=0,
        label="mean ± sd of the arm",
    )
    axis.plot(rank, arms["mean"], color=MUTED, lw=1.5, label="mean of the arm")
    if "baseline" in arms.index:
        baseline = arms.loc["baseline"]
        axis.axhline(
            baseline["mean"],
            color=ACCENT,
            lw=1.2,
            label=f"baseline (n = {baseline['count']:,})",
        )
        if baseline["count"] > 1:
            for side in (-1, 1):
                axis.axhline(
                    baseline["mean"] + side * baseline["std"],
                    color=ACCENT,
                    lw=0.8,
                    ls="--",
                    label=None if side < 0 else "baseline, ± sd",
                )
    axis.set_xlim(-0.005 * len(arms), 1.005 * len(arms))
    axis.set_xlabel(f"{len(arms):,} arms in the order of their means")
    axis.set_ylabel("accuracy on the test set,\nall classes")
    axis.grid(axis="y", color="0.9")
    axis.set_axisbelow(True)
    axis.legend(frameon=False, ncols=5, loc="upper left")
    axis.margins(y=0.12)
    axis.set_title("Accuracy of every arm")
    for end, some in (
        ("lowest", arms.head(ARMS_AT_AN_END)),
        ("highest", arms.tail(ARMS_AT_AN_END)),
    ):
        _draw_arms(axes[end], some, values)
        axes[end].set_title(f"The {len(some)} {end}: a dot a network, mean ± sd")
        axes[end].set_xlabel("accuracy on the test set, all classes")
    ends = [axes[end].get_xlim() for end in ("lowest", "highest")]
    for end in ("lowest", "highest"):
        axes[end].set_xlim(min(low for low, _ in ends), max(high for _, high in ends))
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
        row = min(0.28, MAX_TREE / len(class_names))
        figure = Figure(
            figsize=(MIN_WIDTH, 1.9 + row * len(class_names)), layout="constrained"
        )
        axis = figure.subplots()
        scipy.cluster.hierarchy.dendrogram(
            tree.linkage,
            labels=list(class_names),
            orientation="left",
            ax=axis,
            no_labels=72 * row < SMALLEST_NAME,
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
        axis.tick_params(axis="y", labelsize=min(9, 55 * row))
        axis.spines["left"].set_visible(False)
        # One network an arm has no interval.
        sure = f"; 95 % interval of one cost about ±{margin:.1f}"
        axis.set_xlabel(
            "mean cost to one class of not learning the other, percentage points\n"
            f"(accuracy_without_pair{sure if np.isfinite(margin) else ''})"
        )
        axis.set_title("Classes that learn from each other")
    return figure
