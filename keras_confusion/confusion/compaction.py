"""Files of many networks, and what to do about damaged ones.

Workers write one file a network, without coordination; hundreds of thousands of files
are slow to list, copy and open. The process that runs a study merges
them, `NETWORKS_A_FILE` at a time. A killed process leaves a network in one file or in
two, never in none: what is in a merged file counts once and is deleted elsewhere.
"""

import contextlib
import pathlib
from collections.abc import Callable, Iterable, Iterator
from typing import BinaryIO

import pyarrow as pa
import pyarrow.parquet

from keras_confusion.confusion import network_checks, network_files
from keras_confusion.confusion import store as confusion_store
from keras_confusion.storage.files import write_atomically
from keras_confusion.storage.study_folder import StudyFolder

NETWORKS_A_FILE = 4096
# Baseline networks of many classes have large rows: fewer of them make a file.
_BYTES_A_FILE = 256_000_000
# Rows that are written, and read, together: in memory, before compression.
_BYTES_A_GROUP = confusion_store.BATCH_BYTES // 4
DAMAGED_SUFFIX = ".damaged"
STRANGER_SUFFIX = ".other-study"
# What says whose network it is.
_ABOUT = (
    *("arm", "class_a", "class_b", "repeat", "seed", "attempt", "recipe", "epochs"),
    "study",
)


def merge_networks(
    directory: pathlib.Path, *, networks_a_file: int = NETWORKS_A_FILE
) -> int:
    """Merges files of single networks, where there are enough of them.

    Only for the one process that runs the study. Files of other networks may be
    written, and all be read, at the same time.

    Args:
        directory: The study's folder.
        networks_a_file: Networks of a merged file; fewer are left as they are.

    Returns:
        Number of networks that were merged.

    Raises:
        StudyFolderError: If a file is damaged; the message names it.
        OSError: If there is no room.
    """
    networks = directory / "networks"
    in_merged: set[network_files.Key] = set()
    for path in _merged_files(networks):
        for table in network_files.iterate_file(path):
            in_merged.update(network_files.network_keys(table))
    single = []
    for path in _single_files(networks):
        arm, _, repeat = path.stem.rpartition("-")
        if repeat.isdigit() and (arm, int(repeat)) in in_merged:
            # Left by a process that was killed after it had merged them.
            path.unlink()
        else:
            single.append(path)
    num_merged = 0
    for paths in _whole_files(single, networks_a_file):
        tables = (table for path in paths for table in network_files.iterate_file(path))
        write_merged(directory, tables, num_networks=len(paths))
        for path in paths:
            path.unlink()
        num_merged += len(paths)
    return num_merged


def _whole_files(
    single: Iterable[pathlib.Path], networks_a_file: int
) -> Iterator[list[pathlib.Path]]:
    """Puts files together that are enough for a merged one."""
    paths: list[pathlib.Path] = []
    num_bytes = 0
    for path in single:
        paths.append(path)
        num_bytes += path.stat().st_size
        if len(paths) == networks_a_file or num_bytes >= _BYTES_A_FILE:
            yield paths
            paths, num_bytes = [], 0


def write_merged(
    directory: pathlib.Path, tables: Iterable[pa.Table], *, num_networks: int
) -> pathlib.Path:
    """Writes one file of many networks.

    Args:
        directory: The study's folder.
        tables: Rows with the columns of `network_files.SCHEMA`; those without a
            checksum are given one.
        num_networks: How many rows these are.

    Returns:
        The file.
    """
    networks = directory / "networks"
    number = 1 + max(
        (int(path.name.split("-")[1]) for path in _merged_files(networks)), default=-1
    )
    path = networks / f"merged-{number:05d}-{num_networks}.parquet"

    def write(file: BinaryIO) -> None:
        with contextlib.ExitStack() as stack:
            writer = None
            for group in _grouped(tables):
                if writer is None:
                    writer = stack.enter_context(
                        pa.parquet.ParquetWriter(
                            file, group.schema, compression=network_files.COMPRESSION
                        )
                    )
                writer.write_table(group, row_group_size=group.num_rows)

    write_atomically(path, write)
    return path


def _grouped(tables: Iterable[pa.Table]) -> Iterator[pa.Table]:
    """Rows in tables of about `_BYTES_A_GROUP`, all with a checksum."""
    group: list[pa.Table] = []
    num_bytes = 0
    for table in tables:
        if network_files.CHECKSUM not in table.column_names:
            nothing = pa.nulls(table.num_rows, pa.int64())
            table = table.append_column(network_files.CHECKSUM, nothing)
        if table.column(network_files.CHECKSUM).null_count:
            table = network_files.add_checksums(table)
        group.append(table)
        num_bytes += table.nbytes
        if num_bytes >= _BYTES_A_GROUP:
            yield pa.concat_tables(group).combine_chunks()
            group, num_bytes = [], 0
    if group:
        yield pa.concat_tables(group).combine_chunks()


def mend_networks(directory: pathlib.Path, on_damage: Callable[[str], None]) -> None:
    """Sets damaged files aside, and keeps the networks in them that are intact.

    Only for the one process that runs the study. A damaged file is renamed, with
    `DAMAGED_SUFFIX` after its name, so that it does not count and can be looked at.

    Args:
        directory: The study's folder.
        on_damage: Called with a sentence about every damaged file.
    """
    networks = directory / "networks"
    for path in [*_merged_files(networks), *_single_files(networks)]:
        reason = _problem(path)
        if not reason:
            continue
        # The network of a file of its own is lost; what its name says may be wrong.
        tables = _intact_rows(path) if network_files.is_merged(path) else []
        num_kept = sum(table.num_rows for table in tables)
        if num_kept:
            write_merged(directory, tables, num_networks=num_kept)
        aside = path.with_name(path.name + DAMAGED_SUFFIX)
        path.replace(aside)
        on_damage(
            f"{path} is damaged ({reason}). It was renamed to {aside.name}; "
            + (f"{num_kept} networks of it are intact and kept, " if num_kept else "")
            + "what was lost is trained again."
        )


def set_strangers_aside(folder: StudyFolder, tell: Callable[[str], None]) -> None:
    """Sets networks aside that were trained for another study.

    Only for the one process that runs the study. Their file is renamed, with
    `STRANGER_SUFFIX` after its name; the study's own networks in it are kept.

    Args:
        folder: The study's folder, without damaged files.
        tell: Called with a sentence about every such file.
    """
    networks = folder.path / "networks"
    for path in [*_merged_files(networks), *_single_files(networks)]:
        own, num_strangers = [], 0
        for table in network_files.iterate_file(path):
            about = [name for name in _ABOUT if name in table.column_names]
            is_own = network_checks.belong(
                table.select(about).to_pandas(), folder.description
            )
            own.append(table.filter(is_own))
            num_strangers += int((~is_own).sum())
        if num_strangers == 0:
            continue
        num_kept = sum(table.num_rows for table in own)
        if num_kept:
            write_merged(folder.path, own, num_networks=num_kept)
        aside = path.with_name(path.name + STRANGER_SUFFIX)
        path.replace(aside)
        tell(
            f"{path} has networks of another study ({num_strangers}): other seeds, "
            f"recipe or epochs. It was renamed to {aside.name}"
            + (f"; the {num_kept} of this study are kept." if num_kept else ".")
        )


def _problem(path: pathlib.Path) -> str:
    """What is wrong with a file of networks, or ""."""
    try:
        for table in network_files.iterate_file(path):
            if not network_files.intact(table).all():
                return "a row is not as it was written"
    except network_files.DamagedFileError as error:
        return error.reason
    return ""


def _intact_rows(path: pathlib.Path) -> list[pa.Table]:
    """What can still be read of a damaged file."""
    tables = []
    with (
        contextlib.suppress(*network_files.PARQUET_ERRORS),
        pa.parquet.ParquetFile(path) as f,
    ):
        for number in range(f.num_row_groups):
            with contextlib.suppress(network_files.DamagedFileError):
                table = network_files.read_row_group(path, f, number)
                tables.append(table.filter(network_files.intact(table)))
    return [table for table in tables if table.num_rows]


def _merged_files(networks: pathlib.Path) -> list[pathlib.Path]:
    return sorted(networks.glob("merged-*.parquet"))


def _single_files(networks: pathlib.Path) -> list[pathlib.Path]:
    paths = networks.glob("*.parquet")
    return sorted(path for path in paths if not path.name.startswith("merged-"))
