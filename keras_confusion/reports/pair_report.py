"""A probed pair of classes -> pictures, arrays, tables, TensorBoard, a text."""

import json
import pathlib
import shutil
from collections.abc import Sequence

import numpy as np
import pandas as pd

from keras_confusion.prototypes import pair as prototype_pair
from keras_confusion.prototypes.pair import COMPARISONS, ProbedPair
from keras_confusion.reports.figures import pair_figures
from keras_confusion.reports.report_files import Report, ReportFiles
from keras_confusion.reports.tensorboard import sprites
from keras_confusion.reports.tensorboard.event_writer import RunWriter
from keras_confusion.storage import files as storage_files
from keras_confusion.storage import study_folder
from tb_plugin import metadata

KIND = "probe"
_DESCRIPTION = "probe.json"
_ARRAYS = "prototypes.npz"
_FOLDERS = ("figures", "images", "tables", "events")
# Single images are enlarged by a whole number to about so many pixels.
_IMAGE_PIXELS = 256
_MOST_INITIALISATIONS_IN_TEXT = 8


def check_folder(directory: pathlib.Path) -> None:
    """Refuses a folder that holds anything but an earlier probe.

    Raises:
        study_folder.StudyFolderError: If there is something else, or a link leads out
            of it.
    """
    storage_files.check_links(directory)
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
        probed: What `pair.probe_pair` returned.
        description: What `probe.json` says besides the classes, JSON types.

    Returns:
        A `Report`.

    Raises:
        study_folder.StudyFolderError: See `check_folder`.
    """
    check_folder(directory)
    directory.mkdir(parents=True, exist_ok=True)
    # First, so that a folder that is left half-written can be told from others.
    first, second = pair_figures.names_of_pair(probed)
    text = json.dumps(
        {"kind": KIND, "format_version": 1, "from": first, "to": second, **description},
        indent=2,
    )
    storage_files.write_atomically(
        directory / _DESCRIPTION, lambda file: file.write(text.encode() + b"\n")
    )
    for name in _FOLDERS:
        shutil.rmtree(directory / name, ignore_errors=True)
    storage_files.write_atomically(
        directory / _ARRAYS,
        lambda file: np.savez(file, **arrays(probed)),  # type: ignore[arg-type]
    )
    _write_images_and_scalars(directory, probed)
    with ReportFiles(directory) as files:
        files.table("prototypes", probed.measures)
        if probed.dissimilarities is not None:
            files.table("dissimilarities", probed.dissimilarities)
            summary = prototype_pair.dissimilarity_summary(probed)
            files.table("dissimilarities_summary", summary)
        files.figure("pair", pair_figures.pair_figure(probed), step=0)
        if probed.frames:
            files.figure("way", pair_figures.way_figure(probed), step=0)
    return Report(
        text=findings_text(probed, description.get("assumed", ())),
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
        image_measures = probed.measures[probed.measures["image"] == name]
        values |= {name: probed.images[name], f"{name}_logits": answers.logits}
        if answers.features is not None:
            values[f"{name}_features"] = answers.features
        for column in ("loss", "iterations", "converged"):
            values[f"{name}_{column}"] = image_measures[column].to_numpy()
    return values


def findings_text(probed: ProbedPair, assumed: Sequence[str] = ()) -> str:
    """The measures of every initialisation, and the dissimilarities, as tables.

    Args:
        probed: What `pair.probe_pair` returned.
        assumed: What was assumed of the classifier, see `probe.Probe`.
    """
    first, second = pair_figures.names_of_pair(probed)
    titles = pair_figures.image_titles(probed)
    ways = pair_figures.image_ways(probed)
    measures = probed.measures
    table = pd.DataFrame(
        {
            "optimised": measures["image"].map(ways),
            "loss": measures["loss"].map("{:.5f}".format),
            "iterations": measures["iterations"],
            "converged": np.where(measures["converged"], "yes", "NO"),
            "predicted": measures["predicted"]
            + measures["probability"].map(" {:.3f}".format),
            f"p({first})": measures["probability_from"].map("{:.3f}".format),
            f"p({second})": measures["probability_to"].map("{:.3f}".format),
        }
    )
    table.index = measures["image"].map(titles).rename(None)
    blocks = [
        f"Initialisation {initialisation}\n{part.to_string()}"
        for initialisation, part in table.groupby(measures["initialisation"].to_numpy())
    ]
    if probed.dissimilarities is not None:
        blocks.append(
            "Dissimilarities d(x, y) = 1 - cos(g(x), g(y)) of features\n"
            + _dissimilarity_table(probed, probed.dissimilarities)
        )
    text = "\n\n".join(blocks)
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
    if failed:
        text += _likely_causes(probed)
    if assumed:
        text += "".join(f"{sentence}\n" for sentence in assumed)
    if probed.dissimilarities is None:
        text += (
            "The model offers no features, what goes into its last layer: there are no "
            "dissimilarities.\n"
        )
    return text


def _likely_causes(probed: ProbedPair) -> str:
    """Why images did not converge, as far as it can be seen; or nothing."""
    text, measures = "", probed.measures
    starts = probed.noise | dict.fromkeys(
        ("boundary", "intermediary"), probed.images["p_from"]
    )
    stands_still = np.zeros(len(measures), bool)
    for name, start in starts.items():
        is_same = (probed.images[name] == start).all(axis=(1, 2, 3))
        stands_still[measures["image"] == name] = is_same
    stands_still &= ~measures["converged"].to_numpy()
    if stands_still.any():
        text += (
            f"{stands_still.sum()} of them did not move at all, as answers have no "
            "gradient there: a softmax or sigmoid at the model's end is saturated. Use "
            "the model without it, or its .keras file, of which it can be taken off.\n"
        )
    if not (measures["converged"] & (measures["iterations"] > 0)).any():
        text += (
            "No image converged on its way. Likely causes: the model expects other "
            "images (--input-range), its answers are not what they were taken for "
            "(--answers), or images were given up too early (--max-iterations, "
            "--learning-rate).\n"
        )
    return text


def _write_images_and_scalars(directory: pathlib.Path, probed: ProbedPair) -> None:
    (directory / "images").mkdir()
    events = RunWriter(directory / metadata.PROBE_RUN)
    every = {f"noise_{name}": images for name, images in probed.noise.items()}
    for name, images in (every | probed.images).items():
        for initialisation, image in enumerate(images):
            # So that its pixels can be seen.
            times = max(1, _IMAGE_PIXELS // max(image.shape[:2]))
            png = sprites.png(sprites.levels(image), times=times)
            storage_files.write_atomically(
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


def _dissimilarity_table(probed: ProbedPair, table: pd.DataFrame) -> str:
    titles = pair_figures.image_titles(probed)
    columns = [prototype_pair.comparison_column(*images) for images in COMPARISONS]
    shown = table[columns].head(_MOST_INITIALISATIONS_IN_TEXT).T
    shown.columns = [f"init {k}" for k in shown.columns]
    summary = prototype_pair.dissimilarity_summary(probed).set_index("comparison")
    summary = summary.loc[columns]
    shown = shown.join(summary[["mean", "sd"]])
    shown.index = [f"d({titles[one]}, {titles[other]})" for one, other in COMPARISONS]
    counts = summary["n"].map("{:.0f}".format)
    # Text stands two spaces apart, numbers only one.
    table = shown.map("{:.3f}".format, na_action="ignore").astype(object)
    return table.assign(n=counts.to_numpy()).to_string(na_rep="-")
