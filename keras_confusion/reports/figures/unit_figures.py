"""Pictures of the units behind a generalization."""

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from keras_confusion.explanations.result import (
    NUM_IMAGES,
    Explanation,
    ShownUnit,
    UnitLook,
)
from keras_confusion.explanations.unit_changes import MIN_CORRELATION
from keras_confusion.explanations.unit_uses import NETWORKS
from keras_confusion.reports.figures import mosaics
from keras_confusion.reports.figures.style import ACCENT, MUTED, STYLE

_GREY = "0.62"
_BASELINE_COLOR, _CONFUSED_COLOR = "0.25", ACCENT
# Inches: of a unit's row, of what stands above and below, and of the columns.
_ROW = 1.12
_MARGINS = 1.75
_WIDTHS = (1.25, 1.0, 2.9, 1.0, 2.9, 2.6)
_MOST_CLASSES_NAMED = 20
_LONGEST_NAME = 12


def units_figure(explanation: Explanation) -> Figure:
    """The units whose use changed most, a row each.

    Args:
        explanation: An `Explanation` that shows at least one unit.

    Returns:
        A Matplotlib figure: the change of use; for the baseline network and for the
        confused one the image that the optimiser made and the test images to which the
        unit responds most, of any class above and of the target below; and its mean
        activation on the images of every class.
    """
    shown = explanation.shown
    target, first, second = class_names_of(explanation)
    with matplotlib.rc_context(STYLE):
        figure = Figure(
            figsize=(sum(_WIDTHS), _ROW * len(shown) + _MARGINS),
            layout=ConstrainedLayoutEngine(w_pad=0.04, h_pad=0.03),
        )
        axes = figure.subplots(
            len(shown), len(_WIDTHS), width_ratios=_WIDTHS, squeeze=False
        )
        uses = [unit.row[f"use_{network}"] for unit in shown for network in NETWORKS]
        margin = 0.05 * (max(uses) - min(uses))
        limits = min(0, min(uses)) - margin, max(0, max(uses)) + margin
        for unit_axes, unit in zip(axes, shown, strict=True):
            _uses(unit_axes[0], unit, limits)
            for network in range(2):
                made, strongest = unit_axes[1 + 2 * network : 3 + 2 * network]
                look = unit.looks[network]
                if look is None:
                    _nothing(made, strongest, unit)
                    continue
                _made(made, look)
                is_first = network == 0 or unit.looks[0] is None
                _strongest(strongest, look, target if is_first else None)
            _activations(unit_axes[5], unit, explanation)
        # Names of classes once, where they are the same in every row.
        if len(explanation.class_names) <= _MOST_CLASSES_NAMED:
            for axis in axes[:-1, 5]:
                axis.set_xticklabels([])
        headings = [
            "use",
            "baseline",
            "strongest test images, baseline",
            "confused",
            "strongest test images, confused",
            "mean activation by class",
        ]
        for axis, heading in zip(axes[0], headings, strict=True):
            axis.set_title(heading, fontweight="bold")
        figure.suptitle(
            f"What {target} had from {first} and {second}: the "
            f"{len(shown)} units whose use for {target} changed most"
        )
        mosaics.add_caption(figure, _caption(explanation))
    return figure


def class_names_of(explanation: Explanation) -> tuple[str, str, str]:
    """Names of the target and of the pair."""
    names = explanation.class_names
    first, second = explanation.pair
    return names[explanation.target], names[first], names[second]


def _uses(axis, unit: ShownUnit, limits: tuple[float, float]) -> None:
    """Use before and after as two bars, and the change with its sign."""
    row = unit.row
    for height, network, color in (
        (1, "baseline", _BASELINE_COLOR),
        (0, "confused", _CONFUSED_COLOR),
    ):
        value = row[f"use_{network}"]
        axis.barh(height, value, 0.7, color=color)
    axis.plot([0, 0], [-0.5, 1.5], color="0.4", lw=0.8)
    axis.set(xlim=limits, ylim=(-0.6, 3.4), yticks=[])
    axis.spines["left"].set_visible(False)
    axis.tick_params(labelsize=7, length=2)
    number = f"repeat {row['repeat']}, " + unit_name(row)
    axis.text(0, 1.0, number, transform=axis.transAxes, va="top", fontsize=7.5)
    axis.text(
        0,
        0.83,
        f"{row['change']:+.2f} bits".replace("-", "−"),
        transform=axis.transAxes,
        va="top",
        fontweight="bold",
        color=MUTED if row["change"] > 0 else ACCENT,
    )


def unit_name(row) -> str:
    """For example "unit 3", "unit 3 → 5", "unit 3, lost" or "new unit 5"."""
    if row["fate"] == "new":
        return f"new unit {row['unit_confused']}"
    if row["fate"] == "lost":
        return f"unit {row['unit']}, lost"
    if row["unit"] == row["unit_confused"]:
        return f"unit {row['unit']}"
    return f"unit {row['unit']} → {row['unit_confused']}"


def _nothing(made, strongest, unit: ShownUnit) -> None:
    for axis in (made, strongest):
        axis.axis("off")
    highest = f"{unit.row['correlation']:.2f}".replace("-", "−")
    text = f"no counterpart\n(highest r = {highest})"
    place = {"ha": "center", "va": "center", "fontsize": 7.5, "color": "0.35"}
    made.text(0.5, 0.5, text, transform=made.transAxes, **place)


def _made(axis, look: UnitLook) -> None:
    axis.set(xticks=[], yticks=[])
    mosaics.show(axis, [look.image[None]], look.image.shape[:2])
    axis.set_xlabel(
        f"{look.share:.1f} × strongest", fontsize=7, color="0.35", labelpad=2
    )


def _strongest(axis, look: UnitLook, target: str | None) -> None:
    axis.set(xticks=[], yticks=[])
    size = look.image.shape[:2]
    mosaics.show(
        axis, [_filled(look.strongest), _filled(look.strongest_of_target)], size
    )
    if target is not None:
        mosaics.ticks(axis.yaxis, ["any", _short(target)], size[0], fontsize=7)
        axis.tick_params(length=0, pad=1)


def _filled(images: np.ndarray) -> np.ndarray:
    """As many images as there are places; white where a class has fewer."""
    missing = NUM_IMAGES - len(images)
    return np.pad(images, [(0, missing), (0, 0), (0, 0), (0, 0)], constant_values=1)


def _activations(axis, unit: ShownUnit, explanation: Explanation) -> None:
    """A bar for the baseline and a mark for the confused network, class by class."""
    names = explanation.class_names
    target, pair = explanation.target, explanation.pair
    means = [None if look is None else look.class_means for look in unit.looks]
    chosen = list(range(len(names)))
    if len(names) > _MOST_CLASSES_NAMED:
        others = [k for k in chosen if k not in (target, *pair)]
        most = next(
            network_means for network_means in means if network_means is not None
        )
        best = [others[k] for k in np.argsort(-most[others])]
        chosen = [target, *pair, *best[: _MOST_CLASSES_NAMED - 3]]
    colors = [MUTED if k == target else ACCENT if k in pair else _GREY for k in chosen]
    places = np.arange(len(chosen))
    if means[0] is not None:
        axis.bar(places, means[0][chosen], 0.75, color=colors)
    if means[1] is not None:
        mark = {"ms": 4, "mfc": "white", "mec": "black", "mew": 0.9}
        axis.plot(places, means[1][chosen], "D", clip_on=False, **mark)
    axis.set_xticks(
        places, [_short(names[k]) for k in chosen], rotation=90, fontsize=7.5
    )
    for label, k in zip(axis.get_xticklabels(), chosen, strict=True):
        label.set_color(MUTED if k == target else ACCENT if k in pair else "black")
    axis.tick_params(axis="y", labelsize=7)
    axis.tick_params(axis="x", length=0)
    axis.set_xlim(-0.7, len(chosen) - 0.3)
    low, high = axis.get_ylim()
    axis.set_ylim(min(low, 0) if low < 0 and _has_negative(means) else 0, 1.12 * high)
    if unit.row["fate"] == "kept":
        text = f"r = {unit.row['correlation']:.2f}"
        place = {"ha": "right", "va": "top", "fontsize": 7.5}
        axis.text(1, 1.06, text, transform=axis.transAxes, **place)


def _has_negative(means) -> bool:
    return any(
        network_means is not None and network_means.min() < 0 for network_means in means
    )


def _short(name: str) -> str:
    return name if len(name) <= _LONGEST_NAME else name[: _LONGEST_NAME - 1] + "…"


def _caption(explanation: Explanation) -> str:
    target, first, second = class_names_of(explanation)
    repeats = len(explanation.repeats)
    return (
        f"Use: what a unit adds to the log-probability of {target} among the classes "
        f"other than {first} and {second}, bits; dark: baseline network, orange: the "
        f"network in which {first} and {second} were confused, which started from the "
        f"same weights.  Rows: the largest changes among all units of {repeats} "
        f"repeat{'s' if repeats > 1 else ''}.  First image: made from noise to excite "
        "the unit; the number says how active the unit is on it, in terms of the "
        "strongest test image.  Bars: mean activation in the baseline network (purple: "
        f"{target}, orange: the pair); diamonds: in the confused network.  r: "
        "correlation of the unit's activations in both networks over the test images.  "
        f"Lost, new: without a counterpart of its own with r ≥ {MIN_CORRELATION}."
    )
