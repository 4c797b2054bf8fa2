"""Can a person read prototypes? A sheet without labels, and what answers were worth.

A sheet mixes prototypes and real images and gives each nothing but a number. Who has
filled in `answers.csv` learns how many were right, of each kind of image: real images
say what can be expected of any, chance is one in K.

    sheet_1.png, ...        the images, 100 on each
    answers.csv             number, answer: to be filled in with names of classes
    key_do_not_open.json    what they are
"""

import pathlib
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from scipy import stats

from keras_confusion.prototypes import store as prototype_store
from keras_confusion.reports.figures import numbered_images
from keras_confusion.storage import sealed_json
from keras_confusion.storage.files import write_atomically
from keras_confusion.storage.study_folder import StudyFolderError

ANSWERS = "answers.csv"
KEY = "key_do_not_open.json"
REAL = "real test images"
IMAGES_A_SHEET = 100
_CONFIDENCE = 0.95


def images_of_studies(
    directories: Sequence, *, data_dir=None, seed: int = 0
) -> tuple[dict[str, np.ndarray], list[str]]:
    """Class prototypes of studies, and as many real images of the same classes.

    Args:
        directories: Folders of prototype studies of the same data. Of each the last
            interval with a finished initialisation is taken; images that did not
            converge, too.
        data_dir: Where TensorFlow Datasets keeps its data.
        seed: Decides which real images are taken.

    Returns:
        By kind of image: float32 `(n, K, height, width, channels)` in [0, 1]; and the
        names of the classes. A kind is a parametrisation and the study's folder, or
        `REAL`.

    Raises:
        ValueError: If the studies are of other classes or images.
        StudyFolderError: If a folder holds no prototype study or nothing finished, or
            the data set that is here is not the study's.
    """
    images: dict[str, np.ndarray] = {}
    folders = [prototype_store.open_to_read(directory) for directory in directories]
    for folder in folders:
        finished = np.argwhere(prototype_store.finished_parts(folder.path))
        if not len(finished):
            raise StudyFolderError(
                f"Expected prototypes in {folder.path}. Received: none that are "
                "finished. Run the study first."
            )
        interval = finished[-1, 0]
        name = folder.settings.get("parametrization", "pixels")
        images[f"{name}, {folder.path}"] = np.stack(
            [
                prototype_store.read_class_images(folder.path, interval, initialisation)
                for initialisation in finished[finished[:, 0] == interval, 1]
            ]
        )
    first, *others = folders
    shapes = {made.shape[1:] for made in images.values()}
    if len(shapes) > 1 or any(f.class_names != first.class_names for f in others):
        raise ValueError(
            "Expected studies of the same classes and images. Received: "
            f"{', '.join(str(f.path) for f in folders)}. Use a sheet for each."
        )
    images[REAL] = _real_images(first, data_dir, max(map(len, images.values())), seed)
    return images, first.class_names


def _real_images(folder, data_dir, number: int, seed: int) -> np.ndarray:
    """Test images of a study, `(n, K, height, width, channels)`, n at most `number`."""
    # They import TensorFlow, for which a score need not wait.
    from keras_confusion.datasets import loading as dataset_loading
    from keras_confusion.datasets.labelled_dataset import to_unit_range

    dataset = dataset_loading.load_dataset(
        folder.settings["dataset"],
        data_dir=data_dir,
        image_size=folder.settings.get("image_size"),
    )
    if dataset.fingerprint != folder.description["dataset_fingerprint"]:
        raise StudyFolderError(
            f"Expected the data set of the study in {folder.path}. Received: "
            f"{dataset.name}, with other images or labels. Use --data-dir to say where "
            "its data are."
        )
    pixels, labels = dataset.test.arrays()
    order = np.random.default_rng(seed).permutation(len(labels))
    of_class = [order[labels[order] == k] for k in range(dataset.num_classes)]
    number = min(number, *map(len, of_class))
    return np.stack([to_unit_range(pixels[of[:number]]) for of in of_class], axis=1)


def write(
    out,
    images: Mapping[str, np.ndarray],
    class_names: Sequence[str],
    *,
    num_images: int = 30,
    seed: int = 0,
) -> list[pathlib.Path]:
    """Writes a sheet, a file for the answers, and the key.

    Args:
        out: A folder; made if missing.
        images: By kind of image: float array `(n, K, height, width, channels)` in
            [0, 1], as many as there are of every class.
        class_names: K names.
        num_images: How many of each kind are drawn, fewer where there are fewer.
            Classes are drawn, too: they need not come equally often.
        seed: Decides which, and their order.

    Returns:
        The files, without the key.

    Raises:
        ValueError: If there is a sheet already.
    """
    out = pathlib.Path(out)
    if (out / KEY).exists() or (out / ANSWERS).exists():
        raise ValueError(
            f"Expected a folder without a sheet. Received: {out}, which has one, "
            "perhaps with answers. Use another --out."
        )
    generator = np.random.default_rng(seed)
    cells, pixels = [], []
    for kind, of_kind in images.items():
        places = generator.permutation(of_kind.shape[0] * of_kind.shape[1])
        for place in places[:num_images]:
            which, label = divmod(int(place), of_kind.shape[1])
            cells.append({"kind": kind, "class": class_names[label]})
            pixels.append(of_kind[which, label])
    order = generator.permutation(len(cells))
    shown = np.stack(pixels)[order]
    numbers = np.arange(1, len(cells) + 1)
    out.mkdir(parents=True, exist_ok=True)
    key = {"class_names": [*class_names], "cells": [cells[place] for place in order]}
    sealed_json.write(out / KEY, key)
    files: list[pathlib.Path] = []
    for first in range(0, len(shown), IMAGES_A_SHEET):
        part = slice(first, first + IMAGES_A_SHEET)
        figure = numbered_images.numbered_images(
            shown[part], numbers[part].tolist(), class_names
        )
        files.append(out / f"sheet_{len(files) + 1}.png")
        write_atomically(files[-1], _save(figure))
    blank = pd.DataFrame({"number": numbers, "answer": ""})
    files.append(out / ANSWERS)
    write_atomically(files[-1], lambda file: blank.to_csv(file, index=False))
    return files


def _save(figure):
    return lambda file: figure.savefig(
        file, format="png", dpi=numbered_images.DPI, metadata={"Software": None}
    )


def score(answers) -> tuple[pd.DataFrame, pd.DataFrame]:
    """How many answers are right.

    Args:
        answers: The file that was filled in, beside its key.

    Returns:
        One row per kind of image: kind, n, right, unanswered, which are not right;
        share, with its exact 95 % confidence interval, share_low and share_high
        (Clopper and Pearson, 1934); chance, 1 / K. And one row per kind, class and
        answer: kind, class, answer, n; an answer of "" was not given.

    Raises:
        ValueError: If an answer is the name of no class, numbers are missing, or one
            of the files is damaged.
        OSError: If one of the files is missing.
    """
    path = pathlib.Path(answers)
    try:
        key = sealed_json.read(path.with_name(KEY))
        # As text: a class may be called 3, or NA.
        given = pd.read_csv(
            path, dtype=str, keep_default_na=False, encoding="utf-8-sig"
        )
    except ValueError as error:
        raise ValueError(
            f"Expected answers and their key. Received: {path}, {error}. Use the files "
            "that came with the sheet."
        ) from error
    cells = pd.DataFrame(key["cells"], index=range(1, len(key["cells"]) + 1))
    # By upper and lower case nobody should fail.
    names = {name.strip().casefold(): name for name in key["class_names"]} | {"": ""}
    if not {"number", "answer"} <= {*given.columns} or sorted(given["number"]) != (
        sorted(map(str, cells.index))
    ):
        raise ValueError(
            f"Expected a column `number` from 1 to {len(cells)} and a column `answer` "
            f"in {path}. Received: columns {', '.join(given.columns)}, {len(given)} "
            "rows. Use the file that came with the sheet, and leave answers empty that "
            "you do not know."
        )
    said = given["answer"].str.strip().str.casefold()
    if unknown := [*given["answer"][~said.isin(names)]]:
        raise ValueError(
            f"Expected answers among {', '.join(key['class_names'][:20])}. Received: "
            f"{', '.join(unknown[:5])}, in {path}."
        )
    cells["answer"] = said.map(names).set_axis(given["number"].astype(int))
    rows = []
    for kind, of_kind in cells.groupby("kind", sort=False):
        right = int((of_kind["answer"] == of_kind["class"]).sum())
        test = stats.binomtest(right, len(of_kind))
        interval = test.proportion_ci(_CONFIDENCE, method="exact")
        rows.append(
            {
                "kind": kind,
                "n": len(of_kind),
                "right": right,
                "unanswered": int((of_kind["answer"] == "").sum()),
                "share": right / len(of_kind),
                "share_low": interval.low,
                "share_high": interval.high,
                "chance": 1 / len(key["class_names"]),
            }
        )
    confusions = cells.groupby(["kind", "class", "answer"]).size()
    return (
        pd.DataFrame(rows).sort_values("kind", ignore_index=True),
        confusions.rename("n").reset_index(),
    )


def text(scores: pd.DataFrame, confusions: pd.DataFrame) -> str:
    """What a person read, for a terminal."""
    shown = pd.DataFrame(
        {
            "": scores["kind"],
            "n": scores["n"],
            "right": scores["right"],
            "unanswered": scores["unanswered"],
            "share": scores["share"].map("{:.2f}".format),
            "95 % interval": [
                f"{low:.2f} to {high:.2f}"
                for low, high in zip(
                    scores["share_low"], scores["share_high"], strict=True
                )
            ],
        }
    )
    lines = [shown.to_string(index=False), ""]
    lines += [f"By chance: {scores['chance'].iloc[0]:.2f}."]
    wrong = confusions[confusions["class"] != confusions["answer"]]
    for kind, of_kind in wrong.groupby("kind"):
        taken = [
            f"{row['class']} for {row['answer'] or 'nothing'} ({row['n']})"
            for _, row in of_kind.sort_values("n", ascending=False).iterrows()
        ]
        lines += ["", f"{kind}, taken for another class: {', '.join(taken)}."]
    return "\n".join(lines)
