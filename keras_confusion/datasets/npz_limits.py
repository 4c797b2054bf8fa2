"""What an `.npz` file promises, before any of its arrays is read.

An `.npz` file is a zip archive of `.npy` files, each with a header that says shape and
type. A file of a few kilobytes can promise terabytes, in its headers or compressed.
"""

import math
import os
import pathlib
import zipfile
from collections.abc import Collection

import numpy as np
import psutil

# Of all arrays in memory. A file may promise more if it is not much smaller itself.
MAX_BYTES = 2**30
MAX_RATIO = 100
_KINDS = "biufUS"


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
