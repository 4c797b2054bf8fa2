"""A prototype study on disk: its networks, and their prototypes with named axes.

    study.json            settings, class names, versions, commit
    models/<interval>/    the network after so many percent of its training
    prototypes.zarr       images, features, losses, ..., see `ARRAYS`
    events/               TensorBoard's event files; tables/ and figures/: the report

`prototypes.zarr` grows by parts, one interval and initialisation each. A part counts
when `finished` says so, which is written last: what a killed process left is written
over. xarray reads it without this package; `read_prototype_study` adds names and
accuracies.
Chunks have checksums, see `store_checks`: damage is an error for who reads them, and
`mend_store` has the study make anew what was lost.
"""

import dataclasses
import itertools
import pathlib
from collections.abc import Collection
from typing import Any

import numpy as np
import xarray as xr
import zarr

from keras_confusion import notices
from keras_confusion.models import model_description
from keras_confusion.prototypes import store_checks, store_metadata
from keras_confusion.storage import files, study_folder

KIND = "prototypes"
STORE = "prototypes.zarr"
# What studies had that were begun before they said so in `study.json`.
_ADDED_SETTINGS = {"deterministic": False}
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
        added_settings=_ADDED_SETTINGS,
    )
    if not store.exists():
        partial = directory / f".{STORE}.partial"
        _create_store(partial, sizes, left_out)
        store_checks.keep_metadata(partial, store)
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
            compressors=store_checks.codecs(),
        )


def write_part(
    directory: pathlib.Path, interval: int, initialisation: int, values: dict
) -> None:
    """Writes the prototypes of one interval and initialisation.

    Args:
        directory: The study's folder.
        interval: Number of the interval, from 0.
        initialisation: Number of the initialisation, from 0.
        values: Arrays by names of `ARRAYS` but `finished`, without the first two axes.
            Those that the study does not hold are left out, those that are not given
            hold nothing but fill values.

    Raises:
        OSError: If there is no room; what is there of the part does not count.
    """
    store = directory / STORE
    try:
        for name in sorted(set(ARRAYS) - {"finished"}):
            if (store / name).exists():
                value = values.get(name, ARRAYS[name].fill)
                _open(directory, name)[interval, initialisation] = value
        _open(directory, "finished")[interval, initialisation] = True
    except OSError as error:
        raise files.with_name(error, store) from error


def forget_part(directory: pathlib.Path, interval: int, initialisation: int) -> None:
    """Has a part made anew: it counts as finished no more."""
    _open(directory, "finished")[interval, initialisation] = False


def mend_store(directory: pathlib.Path) -> None:
    """Forgets the parts of the store that are damaged, and tells which.

    Descriptions of arrays are written anew. Call it while the folder is locked.
    """
    store = directory / STORE
    for file in store_checks.mend_metadata(store):
        notices.tell(f"{file} was damaged; it is written anew.")
    percentages = study_folder.read_description(directory)["settings"]["intervals"]
    names = [name for name in ARRAYS if (store / name).exists()]
    inits = range(_open(directory, "finished").shape[1])
    for part in itertools.product(range(len(percentages)), inits):
        flag = store_checks.chunk_file(store / "finished", part)
        if not flag.exists():
            continue
        if damaged := store_checks.damaged_chunks(store, part, names):
            notices.tell(
                f"{damaged[0]} is damaged: the prototypes of initialisation {part[1]} "
                f"at {percentages[part[0]]:g} % are made anew."
            )
            flag.unlink()


def finished_parts(directory: pathlib.Path) -> np.ndarray:
    """Which parts are whole: bool `(interval, initialisation)`."""
    return np.asarray(_open(directory, "finished")[:])


def _open(directory: pathlib.Path, name: str) -> zarr.Array:
    # A chunk that is missing is a damaged one, and not one of nothing but fill values;
    # but those of `finished` are there where a part is.
    config = {"array.write_empty_chunks": name != store_checks.FINISHED}
    with zarr.config.set(config):
        return zarr.open_array(directory / STORE / name, mode="r+")


def model_directory(directory: pathlib.Path, percentage: float) -> pathlib.Path:
    """Where the network of a training interval is kept."""
    return directory / "models" / f"{percentage:g}"


def read_network_number(directory: pathlib.Path, percentage: float) -> int:
    """Which network `models/<interval>` holds, as in the array `network`."""
    file = model_directory(directory, percentage) / "model.json"
    description = model_description.read_of_study(file, "weights_sha256")
    return int(description["weights_sha256"][:15], 16)


def check_network(
    directory: pathlib.Path, interval: int, percentage: float, *, was_mended: bool
) -> None:
    """Looks for prototypes of another network than the one in the study's folder.

    Args:
        directory: The study's folder.
        interval: Number of the interval, from 0.
        percentage: The interval's.
        was_mended: Whether a network of the study was trained anew as it was damaged:
            prototypes of the damaged one are then made anew, and told.

    Raises:
        study_folder.StudyFolderError: If there are some for another reason.
    """
    finished = finished_parts(directory)[interval]
    numbers = np.asarray(_open(directory, "network")[interval])
    is_other = finished & (numbers != read_network_number(directory, percentage))
    if not is_other.any():
        return
    if not was_mended:
        raise study_folder.StudyFolderError(
            f"Expected prototypes of the network in "
            f"{model_directory(directory, percentage)}. Received: {directory / STORE} "
            "with those of another one. Delete it to make prototypes anew, or use "
            "another --out."
        )
    notices.tell(
        f"Prototypes at {percentage:g} % are made anew, as the network that was "
        "damaged came out otherwise."
    )
    for init in np.flatnonzero(is_other).tolist():
        forget_part(directory, interval, init)


def forget_other_starts(
    directory: pathlib.Path, interval: int, percentage: float
) -> None:
    """Forgets prototypes that did not start from those of the interval before.

    For studies whose class prototypes do. They may have been made anew since, after
    damage; those that came out the same are the start that they were.
    """
    for init in np.flatnonzero(finished_parts(directory)[interval]).tolist():
        start = np.asarray(_open(directory, "start")[interval, init])
        before = read_class_images(directory, interval - 1, init)
        if not np.array_equal(start, before):
            notices.tell(
                f"Prototypes of initialisation {init} at {percentage:g} % are made "
                "anew, as those that they start from came out otherwise."
            )
            forget_part(directory, interval, init)


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


def read_prototype_study(directory) -> xr.Dataset:
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
    num_classes = len(description["class_names"])
    lengths = {
        "interval": len(description["settings"]["intervals"]),
        "target": num_classes,
        "origin": num_classes,
    }
    store_metadata.check_store(directory / STORE, ARRAYS, lengths)
    try:
        store = store_checks.CheckedStore(directory / STORE)
        study = xr.open_zarr(store, consolidated=False, chunks=None)
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
    description = model_description.read_of_study(description_file, "test_accuracy")
    return description["test_accuracy"]
