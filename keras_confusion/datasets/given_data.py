"""Data that is given in memory: kept in the study's folder, and read from there.

A study that is resumed, explained or run by other processes needs its data again. So
arrays and tf.data sets become the study's own `.npz` file, as one that a user saves.
"""

import os
import pathlib
from collections.abc import Mapping

import numpy as np
import psutil

from keras_confusion.storage import files

FILE = "data.npz"
_REQUIRED = ("x_train", "y_train", "x_test", "y_test")
_WORDS = (
    "the name or path of a data set, ((x_train, y_train), (x_test, y_test)) as "
    "keras.datasets.*.load_data() returns it, two tf.data.Datasets (train, test) of "
    "(image, label), or a dict of x_train, y_train, x_test, y_test and class_names"
)


def path_of(dataset, directory: pathlib.Path) -> str:
    """The name or path of a data set; data in memory is kept in a folder first.

    Args:
        dataset: A name or path, which is returned; or `((x_train, y_train), (x_test,
            y_test))`; or a pair of `tf.data.Dataset`s of (image, label), in batches or
            not, that are read once, in their order; or a mapping of these four names
            to arrays, with `class_names` if wanted. Images and labels as in an `.npz`
            file of `loading.load_dataset`.
        directory: The study's folder, where `data.npz` is written.

    Raises:
        ValueError: If it is none of these, a tf.data set is endless or larger than
            memory, or the folder holds other data.
        OSError: If the file cannot be written.
    """
    if isinstance(dataset, str | os.PathLike):
        return os.fspath(dataset)
    arrays = _arrays(dataset)
    path = directory / FILE
    if path.exists():
        _check_same(arrays, path)
        return str(path)
    directory.mkdir(parents=True, exist_ok=True)
    files.write_atomically(
        path, lambda file: np.savez(file, allow_pickle=False, **arrays)
    )
    return str(path)


def _arrays(dataset) -> dict[str, np.ndarray]:
    if isinstance(dataset, Mapping):
        unknown = set(dataset) - {*_REQUIRED, "class_names"}
        missing = set(_REQUIRED) - set(dataset)
        if unknown or missing:
            raise ValueError(f"Expected {_WORDS}. Received: the keys {list(dataset)}.")
        return {name: np.asarray(values) for name, values in dataset.items()}
    if not isinstance(dataset, tuple | list) or len(dataset) != 2:
        raise ValueError(f"Expected {_WORDS}. Received: {type(dataset).__name__}.")
    found = {}
    for part, split in zip(("train", "test"), dataset, strict=True):
        if hasattr(split, "element_spec"):
            split = _read(split, part)
        if not isinstance(split, tuple | list) or len(split) != 2:
            raise ValueError(
                f"Expected {_WORDS}. Received: {type(split).__name__} for the {part} "
                "examples."
            )
        found[f"x_{part}"], found[f"y_{part}"] = map(np.asarray, split)
    return found


def _read(split, part: str) -> tuple[np.ndarray, np.ndarray]:
    """All examples of a tf.data set."""
    spec = split.element_spec
    if not isinstance(spec, tuple) or len(spec) != 2:
        raise ValueError(
            f"Expected a tf.data.Dataset of (image, label) for the {part} examples. "
            f"Received: one of {spec}. Use .map(lambda ...: (image, label))."
        )
    if split.cardinality() == -1:
        raise ValueError(
            f"Expected a tf.data.Dataset with an end for the {part} examples. "
            "Received: an endless one. Leave out .repeat()."
        )
    # A label of a single example is one number.
    is_batched = spec[1].shape.rank != 0
    images, labels, size = [], [], 0
    available = psutil.virtual_memory().available
    for image, label in split.as_numpy_iterator():
        images.append(image)
        labels.append(label)
        size += image.nbytes
        # Twice: in pieces, and put together.
        if 2 * size > available:
            raise ValueError(
                f"Expected {part} examples that fit in memory. Received: more than "
                f"{size / 1e9:.1f} GB where {available / 1e9:.1f} GB are free. Use a "
                "folder of images and streaming=True."
            )
    if not images:
        raise ValueError(f"Expected {part} examples. Received: an empty tf.data set.")
    join = np.concatenate if is_batched else np.stack
    return join(images), join(labels)


def _check_same(arrays: dict[str, np.ndarray], path: pathlib.Path) -> None:
    with np.load(path, allow_pickle=False) as stored:
        is_same = set(stored.files) == set(arrays) and all(
            np.array_equal(stored[name], values) for name, values in arrays.items()
        )
    if not is_same:
        raise ValueError(
            f"Expected the data that the study in {path.parent} began with. Received: "
            "others. Use another folder."
        )
