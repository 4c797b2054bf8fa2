"""A probed pair of classes -> pictures, arrays, tables, TensorBoard, a text."""

import io
import json
import pathlib
import shutil

import matplotlib
import matplotlib.image
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from keras_confusion import mosaics, pair_probe, study_folder
from keras_confusion.event_files import RunWriter
from keras_confusion.figures import ACCENT, MUTED, STYLE
from keras_confusion.pair_probe import COMPARISONS, IMAGES, ProbedPair
from keras_confusion.prototype_images import FULL_CONTRAST
from keras_confusion.report_files import Report, ReportFiles
from tb_plugin import metadata

KIND = "probe"
_DESCRIPTION = "probe.json"
_ARRAYS = "prototypes.npz"
_FOLDERS = ("figures", "images", "tables", "events")
# Single images are enlarged by a whole number to about so many pixels.
_IMAGE_PIXELS = 256
MAX_ROWS = 6
_MOST_INITIALISATIONS_IN_TEXT = 8
_OTHERS = "0.75"
# Inches; and parts of an image's width.
_IMAGE_SIZE = 1.05
_SPACER = 0.25
_CHARACTERS_AT_SIZE_1 = 150.0
_LONGEST_HEADING = 13
# Probabilities of both classes that differ by less are written as a tie.
_TIE = 0.01


def check_folder(directory: pathlib.Path) -> None:
    """Refuses a folder that holds anything but an earlier probe.

    Raises:
        study_folder.StudyFolderError: If there is something else.
    """
    if not directory.exists():
        return
    if not directory.is_dir():
        raise study_folder.StudyFolderError(
            f"Expected a folder. Received: the file {directory}. Use another --out."
        )
    held = {path.name for path in directory.iterdir() if path.name[0] != "."}
    strangers = held
    if _is_probe(directory / _DESCRIPTION):
        strangers = held - {_DESCRIPTION, _ARRAYS, *_FOLDERS}
    if strangers:
        raise study_folder.StudyFolderError(
            f"Expected {directory} to be empty or to hold an earlier probe only. "
            f"Received: {', '.join(sorted(strangers)[:5])}. Use another --out."
        )


def write_pair_report(
    directory: pathlib.Path, probed: ProbedPair, description: dict
) -> Report:
    """Writes everything that can be said of a pair of classes, in place of earlier.

    Args:
        directory: The folder, see `check_folder`.
        probed: What `pair_probe.probe_pair` returned.
        description: What `probe.json` says besides the classes, JSON types.

    Returns:
        A `Report`.

    Raises:
        study_folder.StudyFolderError: See `check_folder`.
    """
    check_folder(directory)
    directory.mkdir(parents=True, exist_ok=True)
    # First, so that a folder that is left half-written can be told from others.
    first, second = _names(probed)
    text = json.dumps(
        {"kind": KIND, "format_version": 1, "from": first, "to": second, **description},
        indent=2,
    )
    study_folder.write_atomically(
        directory / _DESCRIPTION, lambda file: file.write(text.encode() + b"\n")
    )
    for name in _FOLDERS:
        shutil.rmtree(directory / name, ignore_errors=True)
    study_folder.write_atomically(
        directory / _ARRAYS,
        lambda file: np.savez(file, **arrays(probed)),  # type: ignore[arg-type]
    )
    _write_images_and_scalars(directory, probed)
    with ReportFiles(directory) as files:
        files.table("prototypes", probed.measures)
        if probed.dissimilarities is not None:
            files.table("dissimilarities", probed.dissimilarities)
            files.table("dissimilarities_summary", dissimilarity_summary(probed))
        files.figure("pair", pair_figure(probed), step=0)
        if probed.frames:
            files.figure("way", way_figure(probed), step=0)
    return Report(
        text=findings_text(probed),
        table_files=files.table_files,
        figure_files=files.figure_files,
    )


def arrays(probed: ProbedPair) -> dict[str, np.ndarray]:
    """What `prototypes.npz` holds: `<image>`, `<image>_logits`, `<image>_loss`, ..."""
    values = {
        "labels": np.array(probed.labels),
        "class_names": np.array(probed.class_names),
    }
    values |= {f"noise_{name}": images for name, images in probed.noise.items()}
    values |= {f"frames_{name}": images for name, images in probed.frames.items()}
    for name, answers in probed.answers.items():
        of_image = probed.measures[probed.measures["image"] == name]
        values |= {name: probed.images[name], f"{name}_logits": answers.logits}
        if answers.features is not None:
            values[f"{name}_features"] = answers.features
        for column in ("loss", "iterations", "converged"):
            values[f"{name}_{column}"] = of_image[column].to_numpy()
    return values


def dissimilarity_summary(probed: ProbedPair) -> pd.DataFrame:
    """Mean and sd (ddof = 1) of every dissimilarity over the initialisations.

    Returns:
        One row per comparison with columns comparison, mean, sd, n; only
        initialisations in which both images converged count.

    Raises:
        ValueError: If there are none, as the classifier has no features.
    """
    if probed.dissimilarities is None:
        raise ValueError(
            "Expected dissimilarities. Received: none. Use a classifier with features."
        )
    table = probed.dissimilarities.drop(columns="initialisation")
    summary = pd.DataFrame(
        {"mean": table.mean(), "sd": table.std(), "n": table.count()}
    )
    return summary.rename_axis("comparison").reset_index()


def findings_text(probed: ProbedPair) -> str:
    """The measures of every initialisation, and the dissimilarities, as tables."""
    first, second = _names(probed)
    titles = _titles(probed)
    ways = _ways(probed)
    header = ["image", "optimised", "loss", "iterations", "converged", "predicted", ""]
    header += [f"p({first})", f"p({second})"]
    blocks = []
    for initialisation, part in probed.measures.groupby("initialisation"):
        rows = [
            [
                titles[row["image"]],
                ways[row["image"]],
                f"{row['loss']:.5f}",
                f"{row['iterations']}",
                "yes" if row["converged"] else "NO",
                row["predicted"],
                f"{row['probability']:.3f}",
                f"{row['probability_from']:.3f}",
                f"{row['probability_to']:.3f}",
            ]
            for row in part.to_dict("records")
        ]
        blocks.append((f"Initialisation {initialisation}", [header, *rows]))
    if probed.dissimilarities is not None:
        blocks.append(
            (
                "Dissimilarities d(x, y) = 1 - cos(g(x), g(y)) of features",
                _dissimilarity_rows(probed, probed.dissimilarities),
            )
        )
    text = "\n\n".join(f"{title}\n{_aligned(rows)}" for title, rows in blocks)
    text += (
        "\n\nThe loss of a boundary is the cross-entropy toward half and half, less "
        "its minimum log 2.\n"
    )
    failed = int((~probed.measures["converged"]).sum())
    if failed:
        text += (
            f"{failed} of {len(probed.measures)} images did not converge; they are "
            "left out of dissimilarities.\n"
        )
    if probed.dissimilarities is None:
        text += (
            "The model offers no features, what goes into its last layer: there are no "
            "dissimilarities.\n"
        )
    return text


def pair_figure(probed: ProbedPair) -> Figure:
    """The images of a pair, one initialisation a row, and how they came about.

    Returns:
        A Matplotlib figure: at the left noise, p[from], boundary, P[to, from] and
        p[to], with the classifier's answer below each; at the right what the optimiser
        changed, on grey.
    """
    titles = _titles(probed)
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
                of_image = measures[measures["image"] == name].iloc[0]
                right[column].set_xlabel(f"{of_image['iterations']} iterations")
                if not of_image["converged"]:
                    _cross_out(left[column + 1])
        first, second = _names(probed)
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
            means = dissimilarity_summary(probed).set_index("comparison")["mean"]
            caption += "  Mean dissimilarity of features: " + ", ".join(
                f"{titles[one]} and {titles[other]} "
                f"{means[pair_probe.comparison_column(one, other)]:.2f}"
                for one, other in COMPARISONS[:3]
            )
            caption += "."
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
    titles, ways = _titles(probed), _ways(probed)
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
        first, second = _names(probed)
        figure.suptitle(f"The way of {titles['p_from']} and {titles['intermediary']}")
        mosaics.add_caption(
            figure,
            f"Initialisation 0.  Bars: orange is the probability of {first}, purple of "
            f"{second}, grey of all others.  Changes since the original: grey is none, "
            f"full contrast from ±{scale:#.2g} on (pixels are 0 to 1).",
        )
    return figure


def _write_images_and_scalars(directory: pathlib.Path, probed: ProbedPair) -> None:
    (directory / "images").mkdir()
    events = RunWriter(directory / metadata.PROBE_RUN)
    every = {f"noise_{name}": images for name, images in probed.noise.items()}
    for name, images in (every | probed.images).items():
        for initialisation, image in enumerate(images):
            png = _png(image)
            study_folder.write_atomically(
                directory / "images" / f"{initialisation}_{name}.png",
                lambda file, png=png: file.write(png),
            )
            events.image(metadata.PREFIX_PROBE_IMAGE + name, png, initialisation)
    scalars = [
        (prefix + row["image"], row[column], row["initialisation"])
        for row in probed.measures.to_dict("records")
        for prefix, column in (
            (metadata.PREFIX_PROBE_LOSS, "loss"),
            (metadata.PREFIX_PROBE_ITERATIONS, "iterations"),
        )
    ]
    if probed.dissimilarities is not None:
        scalars += [
            (metadata.PREFIX_PROBE_DISSIMILARITY + name, value, initialisation)
            for name, values in probed.dissimilarities.items()
            if name != "initialisation"
            for initialisation, value in enumerate(values)
        ]
    for tag, value, initialisation in scalars:
        if np.isfinite(value):
            events.scalar(tag, value, initialisation)
    events.close()


def _is_probe(file: pathlib.Path) -> bool:
    try:
        return json.loads(file.read_text())["kind"] == KIND
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _names(probed: ProbedPair) -> tuple[str, str]:
    first, second = (probed.class_names[label] for label in probed.labels)
    return first, second


def _titles(probed: ProbedPair) -> dict[str, str]:
    first, second = _names(probed)
    return {
        "p_from": f"p[{first}]",
        "boundary": "boundary",
        "intermediary": f"P[{second}, {first}]",
        "p_to": f"p[{second}]",
    }


def _ways(probed: ProbedPair) -> dict[str, str]:
    """What every image began as and was optimised toward."""
    first, second = _names(probed)
    return {
        "p_from": f"noise → {first}",
        "boundary": f"p[{first}] → tie",
        "intermediary": f"p[{first}] → {second}",
        "p_to": f"noise → {second}",
    }


def _dissimilarity_rows(probed: ProbedPair, table: pd.DataFrame) -> list[list[str]]:
    titles = _titles(probed)
    summary = dissimilarity_summary(probed).set_index("comparison")
    shown = range(min(len(table), _MOST_INITIALISATIONS_IN_TEXT))
    rows = [["", *(f"init {k}" for k in shown), "mean", "sd", "n"]]
    for first, second in COMPARISONS:
        column = pair_probe.comparison_column(first, second)
        of_all = summary.loc[column]
        values = [*table[column].iloc[shown], of_all["mean"], of_all["sd"]]
        rows.append(
            [
                f"d({titles[first]}, {titles[second]})",
                *("-" if np.isnan(value) else f"{value:.3f}" for value in values),
                f"{of_all['n']:.0f}",
            ]
        )
    return rows


def _aligned(rows: list[list[str]]) -> str:
    """Rows as lines; columns of numbers to the right, others to the left."""
    columns = list(zip(*rows, strict=True))
    lines = [
        [
            text.rjust(max(map(len, column)))
            if column[-1].replace(".", "").replace("-", "").isdigit()
            else text.ljust(max(map(len, column)))
            for text in column
        ]
        for column in columns
    ]
    return "\n".join("  " + "  ".join(row).rstrip() for row in zip(*lines, strict=True))


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
    axis.imshow(_rgb(image), interpolation="nearest")


def _answer(axis, probed: ProbedPair, answers, index) -> None:
    """A bar of both classes' probabilities below an image, and the class on top."""
    shares = pair_probe.probabilities(answers)[index]
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


def _rgb(image: np.ndarray) -> np.ndarray:
    """A picture `(height, width, 3)`, uint8; grey where there are no three colours."""
    if image.shape[-1] != 3:
        image = np.repeat(image.mean(axis=-1, keepdims=True), 3, axis=-1)
    return np.round(255 * np.clip(image, 0, 1)).astype(np.uint8)


def _png(image: np.ndarray) -> bytes:
    """A PNG file, enlarged so that its pixels can be seen."""
    times = max(1, _IMAGE_PIXELS // max(image.shape[:2]))
    pixels = np.kron(_rgb(image), np.ones((times, times, 1), np.uint8))
    file = io.BytesIO()
    matplotlib.image.imsave(file, pixels, format="png")
    return file.getvalue()
