"""Whether a zarr store is as it was written: checksums of chunks, copies of metadata.

Chunks end with a CRC-32C, zarr's codec `crc32c`, of what is compressed; every zarr
implementation checks it when it decodes. Here it is checked without, and chunks that
are missing are found. Stores without the codec, of earlier versions, are read
unchecked. The first two axes of every array are those of its parts.
"""

import itertools
import json
import pathlib
from collections.abc import Collection, Iterable, Iterator

import google_crc32c
import numpy as np
from zarr.abc.codec import BytesBytesCodec
from zarr.codecs import Crc32cCodec, ZstdCodec
from zarr.storage import LocalStore

from keras_confusion.errors import StudyFolderError
from keras_confusion.prototypes import store_metadata
from keras_confusion.storage import files, sealed_json

FINISHED = "finished"
_CHECKSUM_BYTES = 4
_METADATA = "zarr.json"


def codecs() -> tuple[BytesBytesCodec, ...]:
    """How chunks are compressed and checked, see `zarr.create_array`."""
    return ZstdCodec(), Crc32cCodec()


def _metadata_copy(store: pathlib.Path) -> pathlib.Path:
    return store.with_name(f".{store.name}.metadata.json")


def keep_metadata(store: pathlib.Path, final: pathlib.Path) -> None:
    """Keeps a copy of what describes the arrays, beside the store.

    Args:
        store: The folder of the store.
        final: What it will be called.
    """
    texts = {
        str(file.relative_to(store)): file.read_text()
        for file in sorted(store.rglob(_METADATA))
    }
    sealed_json.write(_metadata_copy(final), texts)


def mend_metadata(store: pathlib.Path) -> list[pathlib.Path]:
    """Writes descriptions of arrays again that are damaged or missing.

    Returns:
        The files. None for a store of earlier versions, of which there is no copy, or
        where the copy is damaged.
    """
    copy = _metadata_copy(store)
    try:
        texts = sealed_json.read(copy) if copy.is_file() else {}
    except sealed_json.DamagedJSONError:
        return []
    mended = []
    for name, text in texts.items():
        file, content = store / name, text.encode()
        if not file.exists() or file.read_bytes() != content:
            file.parent.mkdir(parents=True, exist_ok=True)
            files.write_atomically(
                file, lambda opened, content=content: opened.write(content)
            )
            mended.append(file)
    return mended


def damaged_chunks(
    store: pathlib.Path, part: tuple[int, int], names: Collection[str]
) -> list[pathlib.Path]:
    """Chunks of a finished part that are missing, or not as they were written.

    Args:
        store: The folder of the store.
        part: Place on the first two axes.
        names: Of the arrays that are looked at.

    Returns:
        Their files.
    """
    return [
        file
        for name in names
        if has_checksums(store / name)
        for file in _chunk_files(store / name, part)
        if not file.exists() or not is_intact(file.read_bytes())
    ]


def has_checksums(array: pathlib.Path) -> bool:
    """Whether the chunks of an array have checksums."""
    metadata = json.loads((array / _METADATA).read_text())
    return any(codec["name"] == "crc32c" for codec in metadata["codecs"])


def chunk_file(array: pathlib.Path, place: Iterable[int]) -> pathlib.Path:
    """The file of a chunk."""
    return array.joinpath("c", *map(str, place))


def _chunk_files(array: pathlib.Path, part: tuple[int, int]) -> Iterator[pathlib.Path]:
    metadata = json.loads((array / _METADATA).read_text())
    sizes = metadata["chunk_grid"]["configuration"]["chunk_shape"]
    counts = [-(-n // size) for n, size in zip(metadata["shape"], sizes, strict=True)]
    for place in itertools.product(*map(range, counts[2:])):
        yield chunk_file(array, (*part, *place))


def is_intact(chunk) -> bool:
    """Whether the bytes of a chunk fit to the checksum at their end."""
    content = np.frombuffer(chunk, np.uint8)
    if len(content) < _CHECKSUM_BYTES:
        return False
    checksum = google_crc32c.value(content[:-_CHECKSUM_BYTES].tobytes())
    return checksum.to_bytes(4, "little") == content[-_CHECKSUM_BYTES:].tobytes()


class CheckedStore(LocalStore):
    """A zarr store whose damaged or missing chunks are an error that names them.

    Args:
        root: The folder of the store.
        read_only: As for `LocalStore`.
    """

    def __init__(self, root, *, read_only: bool = True):
        super().__init__(root, read_only=read_only)
        self._checksums: dict[str, bool] = {}
        self._sizes: dict[str, int] = {}

    async def get(self, key, prototype=None, byte_range=None):
        """Reads one file; see `LocalStore.get`.

        Raises:
            StudyFolderError: If it is a chunk that is damaged, or that is missing of a
                part that is finished.
        """
        found = await super().get(key, prototype, byte_range)
        name, _, place = key.partition("/c/")
        if place and byte_range is None and self._has_checksums(name):
            if found is not None:
                if not is_intact(found.to_bytes()):
                    raise self._damaged(key, "is damaged")
            elif self._is_finished(place) and name != FINISHED:
                raise self._damaged(key, "is missing")
        if place and byte_range is None and found is not None:
            content = found.to_bytes()
            if self._has_checksums(name):
                content = content[:-_CHECKSUM_BYTES]
            # Checksums are right in what somebody made up.
            if not store_metadata.is_chunk(content, self._chunk_bytes(name)):
                raise self._damaged(key, "is no chunk of its array")
        return found

    def _chunk_bytes(self, name: str) -> int:
        if name not in self._sizes:
            self._sizes[name] = store_metadata.chunk_bytes(self.root / name / _METADATA)
        return self._sizes[name]

    def _has_checksums(self, name: str) -> bool:
        if name not in self._checksums:
            self._checksums[name] = has_checksums(self.root / name)
        return self._checksums[name]

    def _is_finished(self, place: str) -> bool:
        """Whether the part of a chunk counts, whose flag is a chunk."""
        return (self.root / FINISHED / "c" / "/".join(place.split("/")[:2])).exists()

    def _damaged(self, key: str, what: str) -> StudyFolderError:
        return StudyFolderError(
            f"{self.root / key} {what}. Run the study again: only what was lost with "
            "it is made again."
        )
