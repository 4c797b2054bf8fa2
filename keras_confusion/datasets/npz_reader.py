"""Reader of `.npz` files, of images or of token sequences.

An `.npz` file is a zip archive of `.npy` files, each with a header that says shape and
type. A file of a few kilobytes can promise terabytes, in its headers or compressed:
what it promises is checked before any of its arrays is read.
"""

import lzma
import math
import os
import pathlib
import tokenize
import zipfile
import zlib
from collections.abc import Collection

import numpy as np
import psutil

from keras_confusion.datasets.array_examples import checked_examples
from keras_confusion.datasets.array_labels import checked_labels
from keras_confusion.datasets.object_arrays import read_texts
from keras_confusion.datasets.readers import DatasetContents, resized_array

# Of all arrays in memory. A file may promise more if it is not much smaller itself.
MAX_BYTES = 2**30
MAX_RATIO = 100
_KINDS = "biufUS"
_REQUIRED = ("x_train", "y_train", "x_test", "y_test")
_LABELS = ("y_train", "y_test", "class_names")
_NAMES = (*_REQUIRED, "class_names")

# What reading raises: missing or cut off, no zip file, encrypted or of an unknown
# compression (RuntimeError), a header that Python cannot parse, out of memory.
_UNREADABLE_NPZ = (
    OSError,
    EOFError,
    ValueError,
    AttributeError,
    TypeError,
    KeyError,
    RuntimeError,
    MemoryError,
    OverflowError,
    SyntaxError,
    tokenize.TokenError,
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
)


def read_npz(path, image_size, max_bytes=None):
    """Read an `.npz` file in the layout of `keras.datasets`.

    Args:
        path: `pathlib.Path` of a file with x_train, y_train, x_test, y_test and
            optionally class_names.
        image_size: `(h, w)` to which images are resized; None keeps their size.
        max_bytes: Most bytes of all arrays, see `check_archive`.

    Returns:
        `DatasetContents` in memory: images, uint8 or float32 `[n, h, w, c]`, or token
        sequences, int32 `[n, length]`.

    Raises:
        ValueError: If the file cannot be read or an array is not what it should be.
    """
    try:
        check_archive(path, _NAMES, max_bytes=max_bytes)
        with zipfile.ZipFile(path) as archive:
            members = set(archive.namelist())
            arrays = {
                name: _read_array(archive, name)
                for name in _NAMES
                if f"{name}.npy" in members
            }
    except _UNREADABLE_NPZ as error:
        raise ValueError(
            "Expected an .npz file of plain arrays. "
            f"Received: {path} ({error}). "
            "Use np.savez_compressed with x_train, y_train, x_test and y_test."
        ) from error
    missing = [key for key in _REQUIRED if key not in arrays]
    if missing:
        raise ValueError(
            f"Expected the arrays {', '.join(_REQUIRED)}. "
            f"Received: {path} without {', '.join(missing)}. "
            "Use np.savez_compressed with all four."
        )
    _check_examples_first(arrays)
    x_train, x_test, notes = checked_examples(arrays["x_train"], arrays["x_test"])
    labels = checked_labels(
        arrays["y_train"],
        arrays["y_test"],
        arrays.get("class_names"),
        sizes=(len(x_train), len(x_test)),
    )
    # Tokens have no size to change: `loading.load_dataset` says so.
    if image_size is not None and x_train.ndim > 2:
        x_train = resized_array(x_train, image_size)
        x_test = resized_array(x_test, image_size)
    return DatasetContents(
        labels.class_names,
        x_train,
        labels.train,
        x_test,
        labels.test,
        (*notes, *labels.notes),
    )


def _check_examples_first(arrays) -> None:
    """Raises `ValueError` for images whose last axis counts them, as in MATLAB."""
    for x, y in (("x_train", "y_train"), ("x_test", "y_test")):
        images, num_examples = arrays[x], arrays[y].size
        if images.ndim > 2 and len(images) != num_examples == images.shape[-1]:
            raise ValueError(
                f"Expected {x} of shape [n, h, w, c], one image per label. Received: "
                f"{list(images.shape)} and {num_examples} labels. Use "
                "np.moveaxis(x, -1, 0) for x = x_train and x = x_test."
            )


def _read_array(archive: zipfile.ZipFile, name: str) -> np.ndarray:
    """Reads an array of an archive that was checked; bytes become texts."""
    with archive.open(f"{name}.npy") as file:
        shape, dtype = _read_header(file)
        if dtype.hasobject:
            if name not in _LABELS:
                raise ValueError(f"{name} holds objects: use np.stack, which is plain")
            try:
                return read_texts(file.read(), shape)
            except ValueError as error:
                raise ValueError(f"{name}: {error}") from error
    with archive.open(f"{name}.npy") as file:
        array = np.lib.format.read_array(file, allow_pickle=False)
    return np.char.decode(array, "utf-8") if array.dtype.kind == "S" else array


def check_archive(
    path: pathlib.Path, names: Collection[str], *, max_bytes: int | None = None
) -> None:
    """Refuses an archive that promises too much, or what is no array of values.

    Args:
        path: The file.
        names: Of the arrays that will be read; others are not looked at.
        max_bytes: Most bytes of all arrays in memory; `None` takes `MAX_BYTES`, or
            `MAX_RATIO` times the size of the file where that is more.

    Raises:
        ValueError: If it does, or holds an array twice, or a header does not fit to
            what is stored; the message is the reason alone.
        zipfile.BadZipFile: If it is no archive.
        OSError: If it cannot be read.
    """
    limit = max_bytes
    if limit is None:
        limit = max(MAX_BYTES, MAX_RATIO * os.stat(path).st_size)
    members = {f"{name}.npy" for name in names}
    total = 0
    with zipfile.ZipFile(path) as archive:
        seen: set[str] = set()
        for member in archive.infolist():
            if member.filename not in members:
                continue
            if member.filename in seen:
                raise ValueError(f"{member.filename} comes twice")
            seen.add(member.filename)
            total += _promised_bytes(archive, member)
    if total > limit:
        raise ValueError(
            f"its arrays take {total} bytes, where {limit} are the most: write it with "
            "np.savez, uncompressed, or give load_dataset a larger max_bytes"
        )
    free = psutil.virtual_memory().available
    if total > free:
        raise ValueError(f"its arrays take {total} bytes, and {free} are free")


def _promised_bytes(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> int:
    with archive.open(member) as file:
        shape, dtype = _read_header(file)
        if dtype == np.dtype(object):
            return member.file_size
        if dtype.kind not in _KINDS or dtype.itemsize == 0:
            raise ValueError(f"{member.filename} holds {dtype}")
        size = math.prod(shape) * dtype.itemsize
        # Negative sizes, too.
        if min(shape, default=0) < 0 or size != member.file_size - file.tell():
            raise ValueError(
                f"{member.filename} promises shape {shape} of {dtype} and does not "
                "hold it"
            )
    return size


def _read_header(file) -> tuple[tuple[int, ...], np.dtype]:
    version = np.lib.format.read_magic(file)
    read_header = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }.get(version)
    if read_header is None:
        raise ValueError(f"an array has version {version}")
    shape, _, dtype = read_header(file)
    return shape, dtype
