"""A prototype study on disk: its networks, and their prototypes with named axes.

    study.json            settings, class names, versions, commit
    models/<interval>/    the network after so many percent of its training
    prototypes.zarr       images, features, losses, ..., see `ARRAYS`
    events/               TensorBoard's event files; tables/ and figures/: the report

`prototypes.zarr` grows by parts, one interval and initialisation each. A part counts
when `finished` says so, which is written last: what a killed process left is written
over. xarray reads it without this package; `read_prototype_study` adds names and
accuracies. Chunks have checksums, see `store_checks`: reading damage is an error, and
`mending.mend_store` has the study compute again what was lost.

An image that did not converge is no prototype: its features count as undefined.
"""

import dataclasses
import os
import pathlib
import shutil
from collections.abc import Collection, Iterator
from typing import Any

import numpy as np
import xarray as xr
import zarr

from keras_confusion.datasets import given_data
from keras_confusion.models import model_description
from keras_confusion.prototypes import dissimilarity, store_checks, store_metadata
from keras_confusion.prototypes.dissimilarity import FloatArray, Kind
from keras_confusion.prototypes.settings import ADDED_SETTINGS, check_stored
from keras_confusion.storage import files
from keras_confusion.storage.study_folder import StudyFolder, StudyFolderError

_COMPARE = {"inter": dissimilarity.inter_class, "intra": dissimilarity.intra_class}

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
    # Of the class prototypes, where these are not computed from their pixels.
    "parameters": Array((*_PART, "target", "row", "column", "coefficient")),
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
) -> StudyFolder:
    """Creates the study's folder, or checks that the one there is the same study.

    Args:
        directory: The study's folder; made if missing.
        description: See `StudyFolder.begin_or_resume`.
        sizes: Length of every axis in `ARRAYS`.
        left_out: Names of `ARRAYS` that this study does not hold.

    Raises:
        StudyFolderError: As `StudyFolder.begin_or_resume`.
    """
    from keras_confusion.training import identity

    store = directory / STORE

    def begin() -> None:
        if store.exists():
            # Of a start that failed before anything was trained.
            shutil.rmtree(store)

    folder = StudyFolder.begin_or_resume(
        directory,
        {"kind": KIND, **description},
        begin=begin,
        beginnings=(given_data.FILE,),
        check_settings=check_stored,
        added_settings=ADDED_SETTINGS,
        has_results=(directory / "models").exists()
        or (store / "finished" / "c").exists(),
        differences=identity.differences,
    )
    if not store.exists():
        partial = directory / f".{STORE}.partial"
        _create_store(partial, sizes, left_out)
        store_checks.keep_metadata(partial, store)
        partial.rename(store)
    return folder


def open_to_read(directory: StudyFolder | str | os.PathLike[str]) -> StudyFolder:
    """Opens the folder of a prototype study to read it, and checks its settings.

    Args:
        directory: The study's folder, a string or path, or an opened `StudyFolder`.

    Raises:
        StudyFolderError: As `StudyFolder.open`.
    """
    return StudyFolder.open(directory, kind=KIND, check_settings=check_stored)


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
                open_array(directory, name)[interval, initialisation] = value
        open_array(directory, "finished")[interval, initialisation] = True
    except OSError as error:
        raise files.with_name(error, store) from error


def finished_parts(directory: pathlib.Path) -> np.ndarray:
    """Which parts are whole: bool `(interval, initialisation)`."""
    return np.asarray(open_array(directory, "finished")[:])


def open_array(directory: pathlib.Path, name: str) -> zarr.Array:
    """One of `ARRAYS` of a study, to be read and written."""
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


def read_class_parameters(
    directory: pathlib.Path, interval: int, initialisation: int
) -> np.ndarray:
    """What the class prototypes of one part are computed from.

    Returns:
        float32 `(target, row, column, coefficient)`; of pixels their images.
    """
    if (directory / STORE / "parameters").exists():
        parameters = open_array(directory, "parameters")
        return np.asarray(parameters[interval, initialisation])
    return read_class_images(directory, interval, initialisation)


def read_class_images(
    directory: pathlib.Path, interval: int, initialisation: int
) -> np.ndarray:
    """The class prototypes of one part, float32 `(target, height, width, channel)`."""
    images = open_array(directory, "image")
    return np.stack(
        [
            np.asarray(images[interval, initialisation, k, k])
            for k in range(images.shape[2])
        ]
    )


def read_prototype_study(directory) -> xr.Dataset:
    """Reads a prototype study, finished or running.

    Args:
        directory: The study's folder, a string or path, or an opened `StudyFolder`.

    Returns:
        A dataset with the variables of `ARRAYS`, read from disk when they are used,
        and `test_accuracy (interval)`, NaN for networks that are not trained yet.
        Coordinates are `interval` in percent of the training, `initialisation`, and
        the class names as `target` and `origin`:
        `study.image.sel(target="dog", origin="cat", interval=100)`.

    Raises:
        StudyFolderError: If the folder holds no prototype study, or its arrays cannot
            be read.
    """
    folder = open_to_read(directory)
    names, percentages = folder.class_names, folder.settings["intervals"]
    path = folder.path / STORE
    lengths = {
        "interval": len(percentages),
        "target": len(names),
        "origin": len(names),
    }
    store_metadata.check_store(path, ARRAYS, lengths)
    try:
        store = store_checks.CheckedStore(path)
        study = xr.open_zarr(store, consolidated=False, chunks=None)
    except (OSError, ValueError, KeyError) as error:
        raise StudyFolderError(
            f"{path} cannot be read ({error}). Delete it and run the "
            "study again: prototypes are made again, networks are not."
        ) from error
    accuracies = [
        _test_accuracy(model_directory(folder.path, percentage))
        for percentage in percentages
    ]
    return study.assign(test_accuracy=("interval", accuracies)).assign_coords(
        interval=np.asarray(percentages, float),
        initialisation=np.arange(study.sizes["initialisation"]),
        target=names,
        origin=names,
    )


def _test_accuracy(model_folder: pathlib.Path) -> float:
    description_file = model_folder / "model.json"
    if not description_file.exists():
        return np.nan
    description = model_description.read_of_study(description_file, "test_accuracy")
    return description["test_accuracy"]


def finished(study: xr.Dataset) -> Iterator[xr.Dataset]:
    """What is finished, one interval and initialisation after the other.

    Args:
        study: A prototype study, see `prototypes.tables`.

    Raises:
        ValueError: If nothing is finished.
    """
    is_finished = study["finished"].values
    if not is_finished.any():
        raise ValueError(
            "Expected a finished interval and initialisation. Received: none "
            "finished. Wait for the first, or go on with the study."
        )
    for interval, initialisation in np.argwhere(is_finished).tolist():
        yield study.isel(interval=interval, initialisation=initialisation)


def converged_features(part: xr.Dataset, prefix: str = "") -> FloatArray:
    """Features (target, origin, feature), NaN for images that did not converge."""
    return part[f"{prefix}features"].where(part[f"{prefix}converged"]).values


def matrix(part: xr.Dataset, kind: Kind) -> FloatArray:
    """C or R of one interval and initialisation.

    Args:
        part: A prototype study at one interval and initialisation.
        kind: "inter" for C, "intra" for R.

    Returns:
        Shape (n, n, n) as in `dissimilarity`: C[k, j, i] compares the targets k and i
        of origin j, R[k, j, i] the origins j and i of target k; NaN where one of the
        two images did not converge.
    """
    return compare(converged_features(part), kind)


def compare(features: FloatArray, kind: Kind) -> FloatArray:
    """C or R of features (target, origin, feature), see `matrix`."""
    return _COMPARE[kind](features)
