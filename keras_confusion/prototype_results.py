"""A prototype study on disk: its networks, and their prototypes with named axes.

    study.json            settings, class names, versions, commit
    models/<interval>/    the network after so many percent of its training
    prototypes.zarr       images, features, losses, ..., see `ARRAYS`
    events/               TensorBoard's event files; tables/ and figures/: the report

`prototypes.zarr` grows by parts, one interval and initialisation each. A part counts
when `finished` says so, which is written last: what a killed process left is written
over. xarray reads it without this package; `read_study` adds names and accuracies.
"""

import dataclasses
import json
import pathlib
from collections.abc import Collection
from typing import Any

import numpy as np
import xarray as xr
import zarr

from keras_confusion import study_folder

KIND = "prototypes"
STORE = "prototypes.zarr"
_PART = ("interval", "initialisation")
_CELL = (*_PART, "target", "origin")
_IMAGE = ("height", "width", "channel")


@dataclasses.dataclass(frozen=True)
class Array:
    """One array of the store.

    Args:
        axes: Names of its axes.
        dtype: NumPy's name of its type.
        fill: What is there before a part is written.
    """

    axes: tuple[str, ...]
    dtype: str = "float32"
    fill: Any = np.nan


ARRAYS = {
    # P[target, origin], in [0, 1]; class prototypes on the diagonal.
    "image": Array((*_CELL, *_IMAGE)),
    # Cross-entropy toward the target, nats, of the finished image.
    "loss": Array(_CELL),
    "iterations": Array(_CELL, "int32", 0),
    "converged": Array(_CELL, "bool", False),
    # The most probable label.
    "predicted": Array(_CELL, "int16", -1),
    "features": Array((*_CELL, "feature")),
    # What the class prototypes of the interval began as.
    "start": Array((*_PART, "target", *_IMAGE)),
    # On the way from the first image to the last, 0 to 255.
    "frames": Array((*_CELL, "frame", *_IMAGE), "uint8", 0),
    # Where target and origin tie at the top; nothing on the diagonal.
    "boundary_image": Array((*_CELL, *_IMAGE)),
    # Logit of the target minus that of the origin.
    "boundary_gap": Array(_CELL),
    # Cross-entropy toward one half each, less its minimum, nats.
    "boundary_loss": Array(_CELL),
    "boundary_iterations": Array(_CELL, "int32", 0),
    "boundary_converged": Array(_CELL, "bool", False),
    "boundary_features": Array((*_CELL, "feature")),
    # The class prototypes after a DeepFool attack.
    "adversarial_image": Array((*_PART, "target", *_IMAGE)),
    "adversarial_features": Array((*_PART, "target", "feature")),
    "adversarial_predicted": Array((*_PART, "target"), "int16", -1),
    "adversarial_fooled": Array((*_PART, "target"), "bool", False),
    "seconds": Array(_PART, "float64"),
    # Of which network: the first 15 digits of its `weights_sha256`.
    "network": Array(_PART, "int64", 0),
    "finished": Array(_PART, "bool", False),
}


def open_study(
    directory: pathlib.Path,
    description: dict,
    sizes: dict,
    *,
    left_out: Collection[str] = (),
) -> None:
    """Creates the study's folder, or checks that the one there is the same study.

    Args:
        directory: The study's folder; made if missing.
        description: See `study_folder.open_folder`.
        sizes: Length of every axis in `ARRAYS`.
        left_out: Names of `ARRAYS` that this study does not hold.

    Raises:
        study_folder.StudyFolderError: As `study_folder.open_folder`.
    """
    store = directory / STORE
    study_folder.open_folder(
        directory,
        {"kind": KIND, **description},
        begin=lambda: None,
        beginnings=(),
    )
    if not store.exists():
        partial = directory / f".{STORE}.partial"
        _create_store(partial, sizes, left_out)
        partial.rename(store)


def _create_store(path: pathlib.Path, sizes: dict, left_out) -> None:
    group = zarr.open_group(path, mode="w")
    for name, array in ARRAYS.items():
        if name in left_out:
            continue
        # A chunk is a part, or one target's row of it: of 100 classes 1.2 MB of images.
        whole = set(array.axes) - set(_PART)
        if len(whole) > 2:
            whole -= {"target"}
        group.create_array(
            name,
            shape=tuple(sizes[axis] for axis in array.axes),
            dtype=array.dtype,
            chunks=tuple(sizes[axis] if axis in whole else 1 for axis in array.axes),
            fill_value=array.fill,
            dimension_names=array.axes,
        )


def write_part(
    directory: pathlib.Path, interval: int, initialisation: int, values: dict
) -> None:
    """Writes the prototypes of one interval and initialisation.

    Args:
        directory: The study's folder.
        interval: Number of the interval, from 0.
        initialisation: Number of the initialisation, from 0.
        values: An array for every name of `ARRAYS` but `finished`, without the first
            two axes. Arrays that the study does not hold are left out.
    """
    for name, value in values.items():
        if (directory / STORE / name).exists():
            _open(directory, name)[interval, initialisation] = value
    _open(directory, "finished")[interval, initialisation] = True


def finished_parts(directory: pathlib.Path) -> np.ndarray:
    """Which parts are whole: bool `(interval, initialisation)`."""
    return np.asarray(_open(directory, "finished")[:])


def _open(directory: pathlib.Path, name: str) -> zarr.Array:
    return zarr.open_array(directory / STORE / name, mode="r+")


def model_directory(directory: pathlib.Path, percentage: float) -> pathlib.Path:
    """Where the network of a training interval is kept."""
    return directory / "models" / f"{percentage:g}"


def read_network_number(directory: pathlib.Path, percentage: float) -> int:
    """Which network `models/<interval>` holds, as in the array `network`."""
    file = model_directory(directory, percentage) / "model.json"
    return int(json.loads(file.read_text())["weights_sha256"][:15], 16)


def check_network(directory: pathlib.Path, interval: int, percentage: float) -> None:
    """Refuses prototypes of another network than the one in the study's folder.

    Raises:
        study_folder.StudyFolderError: If there are some.
    """
    finished = finished_parts(directory)[interval]
    numbers = np.asarray(_open(directory, "network")[interval])[finished]
    if np.any(numbers != read_network_number(directory, percentage)):
        raise study_folder.StudyFolderError(
            f"Expected prototypes of the network in "
            f"{model_directory(directory, percentage)}. Received: {directory / STORE} "
            "with those of another one. Delete it to make prototypes anew, or use "
            "another --out."
        )


def read_class_images(
    directory: pathlib.Path, interval: int, initialisation: int
) -> np.ndarray:
    """The class prototypes of one part, float32 `(target, height, width, channel)`."""
    images = _open(directory, "image")
    return np.stack(
        [
            np.asarray(images[interval, initialisation, k, k])
            for k in range(images.shape[2])
        ]
    )


def read_study(directory) -> xr.Dataset:
    """Reads a prototype study, finished or running.

    Args:
        directory: The study's folder, a string or path.

    Returns:
        A dataset with the variables of `ARRAYS`, read from disk when they are used,
        and `test_accuracy (interval)`, NaN for networks that are not trained yet.
        Coordinates are `interval` in percent of the training, `initialisation`, and
        the class names as `target` and `origin`:
        `study.image.sel(target="dog", origin="cat", interval=100)`.

    Raises:
        study_folder.StudyFolderError: If the folder holds no prototype study, or its
            arrays cannot be read.
    """
    directory = pathlib.Path(directory)
    description = study_folder.read_description(directory, kind=KIND)
    try:
        study = xr.open_zarr(directory / STORE, consolidated=False, chunks=None)
    except (OSError, ValueError, KeyError) as error:
        raise study_folder.StudyFolderError(
            f"{directory / STORE} cannot be read ({error}). Delete it and run the "
            "study again: prototypes are made anew, networks are not."
        ) from error
    percentages = description["settings"]["intervals"]
    accuracies = [
        _test_accuracy(model_directory(directory, percentage))
        for percentage in percentages
    ]
    return study.assign(test_accuracy=("interval", accuracies)).assign_coords(
        interval=np.asarray(percentages, float),
        initialisation=np.arange(study.sizes["initialisation"]),
        target=description["class_names"],
        origin=description["class_names"],
    )


def _test_accuracy(model_folder: pathlib.Path) -> float:
    description_file = model_folder / "model.json"
    if not description_file.exists():
        return np.nan
    return json.loads(description_file.read_text())["test_accuracy"]
