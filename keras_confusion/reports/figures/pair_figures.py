"""Pictures of a probed pair of classes."""

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from keras_confusion.prototypes import pair as prototype_pair
from keras_confusion.prototypes.pair import COMPARISONS, IMAGES, ProbedPair
from keras_confusion.reports.figures import mosaics
from keras_confusion.reports.figures.prototype_grids import FULL_CONTRAST
from keras_confusion.reports.figures.style import ACCENT, MUTED, STYLE
from keras_confusion.reports.tensorboard import sprites

MAX_ROWS = 6
_OTHERS = "0.75"
# Inches; and parts of an image's width.
_IMAGE_SIZE = 1.05
_SPACER = 0.25
_CHARACTERS_AT_SIZE_1 = 150.0
_LONGEST_HEADING = 13
# Probabilities of both classes that differ by less are written as a tie.
_TIE = 0.01


def pair_figure(probed: ProbedPair) -> Figure:
    """The images of a pair, one initialisation a row, and how they came about.

    Returns:
        A Matplotlib figure: at the left noise, p[from], boundary, P[to, from] and
        p[to], with the classifier's answer below each; at the right what the optimiser
        changed, on grey.
    """
    titles = image_titles(probed)
    num_rows = min(len(probed.images["p_from"]), MAX_ROWS)
    changes = {name: probed.images[name] - _start(probed, name) for name in IMAGES}
    scale = _scale(changes.values())
    with matplotlib.rc_context(STYLE):
        figure, axes = _panels(probed, num_rows, 1 + len(IMAGES), len(IMAGES))
        for row in range(num_rows):
            left, right = axes[row, : 1 + len(IMAGES)], axes[row, 2 + len(IMAGES) :]
            left[0].set_ylabel(f"initialisation {row}")
            _show(left[0], probed.noise["p_from"][row])
            _answer(left[0], probed, probed.answers_to_noise["p_from"], row)
            measures = probed.measures[probed.measures["initialisation"] == row]
            for column, name in enumerate(IMAGES):
                _show(left[column + 1], probed.images[name][row])
                _answer(left[column + 1], probed, probed.answers[name], row)
                _show(right[column], 0.5 + 0.5 * changes[name][row] / scale)
                image_measures = measures[measures["image"] == name].iloc[0]
                right[column].set_xlabel(f"{image_measures['iterations']} iterations")
                if not image_measures["converged"]:
                    _cross_out(left[column + 1])
        first, second = names_of_pair(probed)
        origins = ["noise" if k in probed.noise else titles["p_from"] for k in IMAGES]
        headings = [titles[name] for name in IMAGES]
        if max(map(len, headings)) > _LONGEST_HEADING:
            headings = [heading.replace(", ", ",\n") for heading in headings]
        differences = [f"{k}\n− {j}" for k, j in zip(headings, origins, strict=True)]
        _set_titles(axes[0], ["noise", *headings, "", *differences])
        figure.suptitle(f"From {first} to {second}: what the classifier sees in each")
        caption = (
            "Left: images, with the classifier's answer below: orange is the "
            f"probability of {first}, purple of {second}, grey of all others.  "
            f"{titles['p_to']} has noise of its own.  Right: what the optimiser "
            "changed; grey is nothing, lighter is added, darker is taken away, colour "
            f"by colour, at full contrast from ±{scale:#.2g} on (pixels are 0 to 1)."
        )
        if probed.dissimilarities is not None:
            summary = prototype_pair.dissimilarity_summary(probed)
            means = summary.set_index("comparison")["mean"]
            defined = [
                f"{titles[one]} and {titles[other]} {mean:.2f}"
                for one, other in COMPARISONS[:3]
                if np.isfinite(
                    mean := means[prototype_pair.comparison_column(one, other)]
                )
            ]
            if defined:
                caption += f"  Mean dissimilarity of features: {', '.join(defined)}."
        if not probed.measures["converged"].all():
            caption += "  × did not converge."
        if num_rows < len(probed.images["p_from"]):
            caption += f"  The first {num_rows} initialisations."
        mosaics.add_caption(figure, caption)
    return figure


def way_figure(probed: ProbedPair) -> Figure:
    """How prototypes come about: frames from the original to the final image.

    Returns:
        A Matplotlib figure of the first initialisation: two rows for p[from] and two
        for P[to, from], the images with the classifier's answer, and what has changed.

    Raises:
        ValueError: If no frames were kept.
    """
    if not probed.frames:
        raise ValueError("Expected frames. Received: none. Use `frames` of at least 2.")
    titles, ways = image_titles(probed), image_ways(probed)
    shown = ("p_from", "intermediary")
    num_frames = probed.frames["p_from"].shape[1]
    frames = {name: probed.frames[name][0] for name in shown}
    changes = {name: frames[name] - frames[name][0] for name in shown}
    scale = _scale(changes.values())
    with matplotlib.rc_context(STYLE):
        figure, axes = _panels(probed, 2 * len(shown), num_frames, 0)
        for row, name in enumerate(shown):
            axes[2 * row, 0].set_ylabel(f"{titles[name]}\n{ways[name]}")
            axes[2 * row + 1, 0].set_ylabel("changes")
            for k in range(num_frames):
                _show(axes[2 * row, k], frames[name][k])
                _answer(
                    axes[2 * row, k], probed, probed.answers_to_frames[name], (0, k)
                )
                _show(axes[2 * row + 1, k], 0.5 + 0.5 * changes[name][k] / scale)
        _set_titles(axes[0], ["original", *[""] * (num_frames - 2), "final"])
        first, second = names_of_pair(probed)
        figure.suptitle(f"The way of {titles['p_from']} and {titles['intermediary']}")
        mosaics.add_caption(
            figure,
            f"Initialisation 0.  Bars: orange is the probability of {first}, purple of "
            f"{second}, grey of all others.  Changes since the original: grey is none, "
            f"full contrast from ±{scale:#.2g} on (pixels are 0 to 1).",
        )
    return figure


def names_of_pair(probed: ProbedPair) -> tuple[str, str]:
    """Names of the origin and of the target."""
    first, second = (probed.class_names[label] for label in probed.labels)
    return first, second


def image_titles(probed: ProbedPair) -> dict[str, str]:
    """Headings, by name of an image."""
    first, second = names_of_pair(probed)
    return {
        "p_from": f"p[{first}]",
        "boundary": "boundary",
        "intermediary": f"P[{second}, {first}]",
        "p_to": f"p[{second}]",
    }


def image_ways(probed: ProbedPair) -> dict[str, str]:
    """What every image began as and was optimised toward."""
    first, second = names_of_pair(probed)
    return {
        "p_from": f"noise → {first}",
        "boundary": f"p[{first}] → tie",
        "intermediary": f"p[{first}] → {second}",
        "p_to": f"noise → {second}",
    }


def _start(probed: ProbedPair, name: str) -> np.ndarray:
    """What an image began as."""
    if name in probed.noise:
        return probed.noise[name]
    return probed.images["p_from"]


def _scale(changes) -> float:
    """The change that is drawn at full contrast."""
    sizes = np.abs(np.stack(list(changes)))
    return float(np.quantile(sizes, FULL_CONTRAST)) or 1.0


def _panels(probed: ProbedPair, num_rows: int, num_left: int, num_right: int):
    """A figure with two blocks of images and its axes; a spacer stands between."""
    height, width = probed.images["p_from"].shape[1:3]
    spacers = [_SPACER] if num_right else []
    widths = [1.0] * num_left + spacers + [1.0] * num_right
    across = _IMAGE_SIZE * max(1.0, width / height)
    figure = Figure(
        figsize=(
            across * (sum(widths) + 0.1 * len(widths)) + 0.5,
            num_rows * (across * height / width + 0.35) + 1.5,
        ),
        layout=ConstrainedLayoutEngine(w_pad=0.03, h_pad=0.05),
    )
    axes = figure.subplots(num_rows, len(widths), width_ratios=widths, squeeze=False)
    for axis in axes.flat:
        axis.set(xticks=[], yticks=[])
        axis.spines[:].set_visible(False)
    return figure, axes


def _show(axis, image: np.ndarray) -> None:
    pixels = sprites.levels(image)
    # Of one channel, grey.
    axis.imshow(pixels, interpolation="nearest", cmap="gray", vmin=0, vmax=255)


def _answer(axis, probed: ProbedPair, answers, index) -> None:
    """A bar of both classes' probabilities below an image, and the class on top."""
    shares = prototype_pair.probabilities(answers)[index]
    first, second = probed.labels
    bar = axis.inset_axes((0, -0.1, 1, 0.06))
    bar.set(xlim=(0, 1), xticks=[], yticks=[])
    bar.axis("off")
    left = 0.0
    for share, color in (
        (shares[first], ACCENT),
        (1 - shares[first] - shares[second], _OTHERS),
        (shares[second], MUTED),
    ):
        bar.barh(0, share, left=left, color=color)
        left += share
    predicted = int(shares.argmax())
    color = {first: ACCENT, second: MUTED}.get(predicted, "0.4")
    text = f"{probed.class_names[predicted]}: {100 * shares[predicted]:.1f} %"
    if predicted in (first, second) and abs(shares[first] - shares[second]) < _TIE:
        color = "0.1"
        text = f"{100 * shares[first]:.1f} : {100 * shares[second]:.1f} %"
    axis.set_xlabel(text, labelpad=10, color=color, fontsize=_fitting(text, 9))


def _set_titles(axes, titles: list[str]) -> None:
    """Bold titles of one size."""
    longest = max("\n".join(titles).split("\n"), key=len)
    for axis, title in zip(axes, titles, strict=True):
        # Bold letters are wider.
        axis.set_title(title, fontweight="bold", fontsize=_fitting(longest + "--", 10))


def _fitting(text: str, fontsize: float) -> float:
    """A font size at which text is not much wider than an image."""
    return min(fontsize, _CHARACTERS_AT_SIZE_1 / len(text))


def _cross_out(axis) -> None:
    axis.plot(
        *(0.5, 0.5),
        "X",
        transform=axis.transAxes,
        ms=14,
        mfc="white",
        mec="black",
        mew=0.8,
        gid="not converged",
    )
