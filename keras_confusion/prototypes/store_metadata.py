"""Whether what describes the arrays of a zarr store can be what a study wrote.

zarr takes shapes, types and codecs from `zarr.json` as they are, and does what they
say: a few bytes can ask for terabytes, or for codecs that unpickle. So the files are
checked as text before zarr opens the store.
"""

import math
import pathlib
from collections.abc import Mapping
from typing import Any, Protocol

import numcodecs.zstd

from keras_confusion.errors import StudyFolderError
from keras_confusion.storage import sealed_json
from keras_confusion.storage.checks import echo, is_whole

# Of an array's values of one interval and initialisation, and of a chunk.
MAX_PART_BYTES = 2**32
_MAX_LENGTH = 10**6
_FILE = "zarr.json"
# Bytes of one value.
_TYPES = {
    "bool": 1,
    "uint8": 1,
    "int16": 2,
    "int32": 4,
    "float32": 4,
    "int64": 8,
    "float64": 8,
}
_AXES_OF_PARTS = 2
_CODECS = (
    (
        {"name": "bytes"},
        {"name": "bytes", "configuration": {}},
        {"name": "bytes", "configuration": {"endian": "little"}},
    ),
    ({"name": "zstd", "configuration": {"level": 0, "checksum": False}},),
    ({"name": "crc32c"}, {"name": "crc32c", "configuration": {}}),
)
_KEYS = {
    *("zarr_format", "node_type", "attributes", "shape", "data_type", "chunk_grid"),
    *("chunk_key_encoding", "codecs", "fill_value", "dimension_names"),
    "storage_transformers",
}
_NEEDED = {
    *("image", "loss", "iterations", "converged", "predicted", "features", "finished")
}
# Of a frame of zstd, RFC 8878 section 3.1.1: its first bytes, and how many bytes the
# size of the content and the number of a dictionary take.
_ZSTD = b"\x28\xb5\x2f\xfd"
_SIZE_BYTES, _DICTIONARY_BYTES = (0, 2, 4, 8), (0, 1, 2, 4)


def chunk_bytes(file: pathlib.Path) -> int:
    """Bytes that a chunk takes in memory, by the checked zarr.json of its array."""
    description = _read(file)
    sizes = description["chunk_grid"]["configuration"]["chunk_shape"]
    return math.prod(sizes) * _TYPES[description["data_type"]]


def is_chunk(content: bytes, num_bytes: int) -> bool:
    """Whether a file holds a compressed chunk, and no more than it should.

    Args:
        content: What zstd wrote, without a checksum of ours at its end.
        num_bytes: Of the chunk in memory.
    """
    if not content.startswith(_ZSTD) or len(content) < len(_ZSTD) + 1:
        return False
    flags = content[len(_ZSTD)]
    is_single = flags >> 5 & 1
    size = _SIZE_BYTES[flags >> 6] or is_single
    start = len(_ZSTD) + 1 + (not is_single) + _DICTIONARY_BYTES[flags & 3]
    promised = int.from_bytes(content[start : start + size], "little")
    # Two bytes count from 256 on.
    if size == 0 or promised + 256 * (size == 2) != num_bytes:
        return False
    try:
        return len(numcodecs.zstd.decompress(content)) == num_bytes
    except RuntimeError:
        # numcodecs raises RuntimeError for invalid frames.
        return False


class _Array(Protocol):
    """What is known of an array: names of its axes, and NumPy's name of its type."""

    @property
    def axes(self) -> tuple[str, ...]: ...
    @property
    def dtype(self) -> str: ...


def check_store(
    store: pathlib.Path, arrays: Mapping[str, _Array], lengths: Mapping[str, int]
) -> None:
    """Checks what describes a store and its arrays.

    Args:
        store: The folder of the store.
        arrays: All that a store may hold, by name; it need not hold all.
        lengths: Of axes of which it is known.

    Raises:
        StudyFolderError: If a file is missing or no description of such an array, axes
            of arrays do not fit together, or one is too large; the message names it.
    """
    try:
        _check_store(store, arrays, lengths)
    except ValueError as error:
        raise StudyFolderError(
            f"{store} cannot be read ({error}). Delete it and run the study again: "
            "prototypes are made again, networks are not."
        ) from error


def _check_store(store, arrays, lengths) -> None:
    group = _read(store / _FILE)
    # Nothing else may be said, such as how to decode arrays.
    if group != {"zarr_format": 3, "node_type": "group", "attributes": {}}:
        raise _refused(store / _FILE, "no plain group of zarr's format 3")
    found = dict(lengths)
    folders = {path.name: path for path in store.iterdir() if path.is_dir()}
    for name in sorted(folders.keys() | _NEEDED):
        if name not in arrays:
            raise _refused(store / name, "no array of a study")
        _check_array(store / name / _FILE, arrays[name], found)


def _check_array(file: pathlib.Path, array: _Array, lengths: dict[str, int]) -> None:
    """Checks one array; notes the lengths of its axes in `lengths`."""
    description: Any = _read(file)
    grid, keys = description.get("chunk_grid"), description.get("chunk_key_encoding")
    is_plain = (
        description.get("zarr_format") == 3
        and description.get("node_type") == "array"
        and description.get("data_type") == array.dtype
        and description.get("dimension_names") == list(array.axes)
        and not description.get("storage_transformers")
        and isinstance(grid, dict)
        and grid.get("name") == "regular"
        and isinstance(grid.get("configuration"), dict)
        and keys == {"name": "default", "configuration": {"separator": "/"}}
        and description.get("attributes") == {}
        and set(description) <= _KEYS
    )
    if not is_plain:
        raise _refused(file, f"no array of {array.dtype} with axes {array.axes}")
    shape, chunks = description.get("shape"), grid["configuration"].get("chunk_shape")
    for sizes in (shape, chunks):
        if not _are_sizes(sizes, len(array.axes)):
            raise _refused(file, f"shape {shape!a:.80} in chunks of {chunks!a:.80}")
    for axis, length in zip(array.axes, shape, strict=True):
        if lengths.setdefault(axis, length) != length:
            raise _refused(
                file, f"{length} along {axis}, where there are {lengths[axis]}"
            )
    size = _TYPES[array.dtype]
    largest = max(math.prod(shape[_AXES_OF_PARTS:]), math.prod(chunks)) * size
    if largest > MAX_PART_BYTES:
        raise _refused(
            file, f"a part of {largest} bytes, {MAX_PART_BYTES} are the most"
        )
    codecs = description.get("codecs")
    # In this order, as zarr writes them.
    if not isinstance(codecs, list) or not (
        2 <= len(codecs) <= len(_CODECS)
        and all(codec in fair for codec, fair in zip(codecs, _CODECS, strict=False))
    ):
        raise _refused(file, f"codecs {codecs!a:.80}")
    fill = description.get("fill_value")
    if not isinstance(fill, bool | int | float) and fill != "NaN":
        raise _refused(file, f"the fill value {echo(fill)}")


def _are_sizes(sizes: Any, number: int) -> bool:
    return (
        isinstance(sizes, list)
        and len(sizes) == number
        and all(is_whole(size, 1, _MAX_LENGTH) for size in sizes)
    )


def _read(file: pathlib.Path) -> dict:
    try:
        return sealed_json.read_json(file)
    except (ValueError, OSError) as error:
        raise _refused(file, str(error)) from error


def _refused(file: pathlib.Path, what: str) -> ValueError:
    return ValueError(f"{file}: {what}")
