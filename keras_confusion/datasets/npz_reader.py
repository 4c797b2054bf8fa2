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

from keras_confusion.datasets.labelled_dataset import MAX_SIDE, MAX_TOKEN
from keras_confusion.datasets.readers import DatasetContents, resized_array
from keras_confusion.storage.checks import MAX_CLASSES

# Of all arrays in memory. A file may promise more if it is not much smaller itself.
MAX_BYTES = 2**30
MAX_RATIO = 100
_KINDS = "biufUS"

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
    required = ("x_train", "y_train", "x_test", "y_test")
    names = (*required, "class_names")
    try:
        check_archive(path, names, max_bytes=max_bytes)
        # np.load leaves a file open that it opened itself and could not read.
        with open(path, "rb") as file, np.load(file, allow_pickle=False) as archive:
            arrays = {key: archive[key] for key in names if key in archive.files}
            if "class_names" in arrays:
                # Bytes that are no text raise a ValueError.
                texts = np.atleast_1d(arrays["class_names"]).astype(str)
                arrays["class_names"] = texts.reshape(-1)
    except _UNREADABLE_NPZ as error:
        raise ValueError(
            "Expected an .npz file of plain arrays. "
            f"Received: {path} ({error}). "
            "Use np.savez_compressed with x_train, y_train, x_test and y_test."
        ) from error
    missing = [key for key in required if key not in arrays]
    if missing:
        raise ValueError(
            f"Expected the arrays {', '.join(required)}. "
            f"Received: {path} without {', '.join(missing)}. "
            "Use np.savez_compressed with all four."
        )
    x_train, x_test = (_npz_examples(arrays, key) for key in ("x_train", "x_test"))
    y_train, y_test = (
        _npz_labels(arrays, key, len(examples))
        for key, examples in (("y_train", x_train), ("y_test", x_test))
    )
    for what, train, test in (
        ("shape", x_train.shape[1:], x_test.shape[1:]),
        ("type", x_train.dtype, x_test.dtype),
    ):
        if train != test:
            raise ValueError(
                f"Expected training and test examples of one {what}. "
                f"Received: x_train {train} and x_test {test}. "
                f"Use the same {what} for both."
            )
    if "class_names" in arrays:
        class_names = tuple(arrays["class_names"].tolist())
    else:
        num_classes = max(int(y_train.max()), int(y_test.max())) + 1
        class_names = tuple(str(k) for k in range(num_classes))
    # Tokens have no size to change: `loading.load_dataset` says so.
    if image_size is not None and x_train.ndim > 2:
        x_train = resized_array(x_train, image_size)
        x_test = resized_array(x_test, image_size)
    return DatasetContents(class_names, x_train, y_train, x_test, y_test)


def _npz_examples(arrays, key):
    """Return images `[n, h, w, c]` or token sequences `[n, length]`."""
    examples = arrays[key]
    if examples.ndim not in (2, 3, 4) or 0 in examples.shape:
        raise ValueError(
            f"Expected {key} of shape [n, h, w] or [n, h, w, c] for images, or "
            "[n, length] for token sequences, not empty. "
            f"Received: {list(examples.shape)}. Use one image or sequence per row."
        )
    if examples.ndim == 2:
        return _npz_tokens(examples, key)
    return _npz_images(examples, key)


def _npz_tokens(tokens, key):
    """Return token sequences `[n, length]`, int32."""
    # Small types are what flattened images have, and floats what tables have.
    if tokens.dtype not in (np.int32, np.int64):
        raise ValueError(
            f"Expected {key} of shape [n, length] to hold tokens of type int32 or "
            f"int64. Received: {tokens.dtype}. Use {key}.astype('int32') for tokens, "
            "and the shape [n, h, w] or [n, h, w, c] for images."
        )
    if tokens.min() < 0 or tokens.max() > MAX_TOKEN:
        raise ValueError(
            f"Expected tokens of {key} in 0..{MAX_TOKEN}. "
            f"Received: {tokens.min()} to {tokens.max()}. "
            "Use the places of words in a vocabulary, padded with 0."
        )
    return tokens.astype(np.int32)


def _npz_images(images, key):
    """Return images `[n, h, w, c]`, uint8 or float32."""
    if images.ndim == 3:
        images = images[..., None]
    if max(images.shape[1:]) > MAX_SIDE:
        raise ValueError(
            f"Expected images in {key} of at most {MAX_SIDE} pixels a side. "
            f"Received: {list(images.shape)}. Use smaller images."
        )
    if images.dtype == np.uint8:
        return images
    if images.dtype.kind != "f":
        raise ValueError(
            f"Expected {key} of type uint8 (0..255) or float ([0, 1]). "
            f"Received: {images.dtype}. Use {key}.astype('uint8')."
        )
    # The comparison is false for NaN, which therefore counts as outside.
    if not (images.min() >= 0 and images.max() <= 1):
        raise ValueError(
            f"Expected floats of {key} in [0, 1]. "
            f"Received: {images.min():g} to {images.max():g}. "
            f"Use {key} / 255, or uint8 images."
        )
    return images.astype(np.float32)


def _npz_labels(arrays, key, num_examples):
    """Return labels `[n]`."""
    labels = arrays[key]
    if labels.shape not in ((num_examples,), (num_examples, 1)):
        raise ValueError(
            f"Expected {key} of shape [{num_examples}] or [{num_examples}, 1], "
            "one label per example. "
            f"Received: {list(labels.shape)}. Use integer labels, not one-hot rows."
        )
    if labels.dtype.kind not in "iu":
        raise ValueError(
            f"Expected integer labels in {key}. "
            f"Received: {labels.dtype}. Use {key}.astype('int64')."
        )
    if labels.max() >= MAX_CLASSES:
        raise ValueError(
            f"Expected labels in {key} below {MAX_CLASSES}. "
            f"Received: {labels.max()}. Use labels that count classes from 0."
        )
    return labels.reshape(-1).astype(np.int64)


def check_archive(
    path: pathlib.Path, names: Collection[str], *, max_bytes: int | None = None
) -> None:
    """Refuses an archive that promises too much, or what only pickle could read.

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
        version = np.lib.format.read_magic(file)
        read_header = {
            (1, 0): np.lib.format.read_array_header_1_0,
            (2, 0): np.lib.format.read_array_header_2_0,
        }.get(version)
        if read_header is None:
            raise ValueError(f"{member.filename} has version {version}")
        shape, _, dtype = read_header(file)
        if dtype.hasobject:
            raise ValueError(f"{member.filename} needs pickle, which is not read")
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
