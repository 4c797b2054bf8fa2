"""A confusion study on disk: one row per trained network.

    study.json            settings, class names, versions, commit
    test_labels.npy       int32 (num_test,), the true labels of the test examples
    networks/*.parquet    one row per trained network, a file each, and files of many;
                          see `network_files` and `compaction`
    logits/*.npz          answers to the test set, where a study keeps them
    events/               TensorBoard's event files; tables/ and figures/: the report

Everything but `study.json`, `test_labels.npy` and `networks/` can be rebuilt.
"""

import datetime
import hashlib
import logging
import os
import pathlib
from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet
from numpy.typing import ArrayLike

from keras_confusion.confusion import network_checks, network_files
from keras_confusion.confusion.network_files import (
    COLUMNS,
    SCHEMA,
    DamagedFileError,
    arm_name,
    network_name,
    network_schema,
)
from keras_confusion.confusion.settings import ADDED_SETTINGS, GROWING, check_stored
from keras_confusion.datasets import given_data
from keras_confusion.storage import files
from keras_confusion.storage.files import write_atomically
from keras_confusion.storage.study_folder import (
    StudyFolder,
    StudyFolderError,
)

_log = logging.getLogger(__name__)

KIND = "confusion"
# In memory, of networks that are read together.
BATCH_BYTES = 64_000_000
# What `study.json` says of `test_labels.npy`.
_LABELS_DIGEST = "test_labels_sha256"


def network_path(
    directory: pathlib.Path, pair: tuple[int, int] | None, repeat: int
) -> pathlib.Path:
    """Where one network's row is kept."""
    return directory / "networks" / f"{network_name(arm_name(pair), repeat)}.parquet"


def logits_path(
    directory: pathlib.Path, pair: tuple[int, int] | None, repeat: int
) -> pathlib.Path:
    """Where one network's answers to the test set are, if the study keeps them.

    An `.npz` file of float16 logits `(num_test, K)`: `total` by the network's own last
    layer and, of models with features, `features`, see `head_responses`.
    """
    return directory / "logits" / f"{network_name(arm_name(pair), repeat)}.npz"


def open_study(
    directory: pathlib.Path, description: dict, test_labels: ArrayLike
) -> StudyFolder:
    """Creates the study's folder, or checks that the one there is the same study.

    Args:
        directory: The study's folder; made if missing.
        description: See `StudyFolder.begin_or_resume`.
        test_labels: Integer array of shape `(num_test,)`.

    Raises:
        StudyFolderError: As `StudyFolder.begin_or_resume`.
    """
    from keras_confusion.training import identity

    labels = np.asarray(test_labels, np.int32)

    def begin() -> None:
        (directory / "networks").mkdir(parents=True, exist_ok=True)
        _write_labels(directory, labels)

    # Rows without study.json are somebody's results; an empty folder is a beginning.
    has_rows = any((directory / "networks").glob("*.parquet*"))
    folder = StudyFolder.begin_or_resume(
        directory,
        {"kind": KIND, **description, _LABELS_DIGEST: _digest(labels)},
        begin=begin,
        beginnings=() if has_rows else ("test_labels.npy", "networks", given_data.FILE),
        check_settings=check_stored,
        added_settings=ADDED_SETTINGS,
        growing=GROWING,
        has_results=has_rows,
        differences=identity.differences,
    )
    _mend_labels(folder, labels)
    for name in ("networks", "logits"):
        files.remove_left_overs(directory / name)
    return folder


def open_to_read(directory: StudyFolder | str | os.PathLike[str]) -> StudyFolder:
    """Opens the folder of a confusion study to read it, and checks its settings.

    Args:
        directory: The study's folder, a string or path, or an opened `StudyFolder`.

    Raises:
        StudyFolderError: As `StudyFolder.open`.
    """
    return StudyFolder.open(directory, kind=KIND, check_settings=check_stored)


def read_test_labels(folder: StudyFolder) -> np.ndarray:
    """Reads the true labels of the test examples, int32 `(num_test,)`.

    Raises:
        StudyFolderError: If they are missing, or damaged, as far as can be said: by a
            checksum where `study.json` has one.
    """
    file, labels = folder.path / "test_labels.npy", np.empty(0, np.int32)
    try:
        labels = network_checks.read_labels(file)
        reason = "they are not as they were written"
    except (OSError, ValueError, EOFError, SyntaxError) as error:
        reason = str(error)
    expected = folder.description.get(_LABELS_DIGEST)
    if not len(labels) or (expected is not None and _digest(labels) != expected):
        raise StudyFolderError(
            f"{file} is damaged ({reason}). Run the study again: it writes the labels "
            "again, from the data set."
        )
    return labels


def _write_labels(directory: pathlib.Path, labels: np.ndarray) -> None:
    write_atomically(directory / "test_labels.npy", lambda file: np.save(file, labels))


def _mend_labels(folder: StudyFolder, labels: np.ndarray) -> None:
    """Writes labels again that are damaged; the data set is known to be the same."""
    file = folder.path / "test_labels.npy"
    has_digest = _LABELS_DIGEST in folder.description
    try:
        if np.array_equal(read_test_labels(folder), labels) or has_digest:
            return
        reason = f"{file} has other labels than the data set, which are to be there."
    except StudyFolderError as error:
        reason = str(error)
    if file.exists():
        files.set_aside(file)
    _write_labels(folder.path, labels)
    _log.warning(f"{reason} This is done.")


def _digest(labels: np.ndarray) -> str:
    """Hex sha256 of labels."""
    content = f"{labels.dtype.str} {labels.shape}".encode() + labels.tobytes()
    return hashlib.sha256(content).hexdigest()


def write_network(directory: pathlib.Path, row: dict, *, num_classes: int) -> dict:
    """Writes one network's row; keys are the columns of `SCHEMA`.

    `logits`, arrays by the names of `head_responses.READINGS`, are written to a file of
    their own first: a row that is there is a network that is done.

    Returns:
        The row with `finished_at`, without `logits`.
    """
    pair = None if row["class_a"] is None else (row["class_a"], row["class_b"])
    row = {"finished_at": datetime.datetime.now(datetime.UTC), **row}
    if logits := row.pop("logits", None):
        path = logits_path(directory, pair, row["repeat"])
        path.parent.mkdir(exist_ok=True)
        # What is too large for float16 becomes infinite, and stays the largest.
        with np.errstate(over="ignore"):
            halved = {
                name: values.astype(np.float16) for name, values in logits.items()
            }
        write_atomically(path, lambda file: np.savez(file, **halved))
    table = pa.Table.from_pylist([row], schema=network_schema(num_classes))
    table = network_files.add_checksums(table)
    write_atomically(
        network_path(directory, pair, row["repeat"]),
        lambda file: pa.parquet.write_table(
            table, file, compression=network_files.COMPRESSION
        ),
    )
    return row


def read_networks(directory: pathlib.Path) -> pd.DataFrame:
    """Reads every trained network, in the order of arm and repeat.

    All of them are in memory together: `iterate_networks` for studies of any size.

    Returns:
        A frame with the columns `COLUMNS`; `class_a` and `class_b` are nullable
        integers, list columns hold NumPy arrays.

    Raises:
        DamagedFileError: If a file is damaged; the message names it.
    """
    networks = list(iterate_networks(directory))
    if not networks:
        return _to_pandas(SCHEMA.empty_table().select(COLUMNS))
    order = ["class_a", "class_b", "repeat"]
    return pd.concat(networks, ignore_index=True).sort_values(
        order, na_position="first", ignore_index=True
    )


def iterate_networks(
    directory: pathlib.Path, columns: Sequence[str] | None = None
) -> Iterator[pd.DataFrame]:
    """Reads every trained network once, some at a time.

    Networks that a running study finishes meanwhile may be among them.

    Args:
        directory: The study's folder.
        columns: Of `COLUMNS`; `None` takes all.

    Yields:
        Frames as `read_networks` returns them, with networks in no order that is
        promised, of about `BATCH_BYTES` at most.

    Raises:
        DamagedFileError: If a file is damaged; the message names it.
    """
    seen: set[network_files.Key] = set()
    batch: list[pa.Table] = []
    num_bytes = 0
    for path, table in _iterate_tables(directory):
        keys = network_files.network_keys(table)
        is_new = np.array([key not in seen for key in keys], bool)
        seen.update(keys)
        if not network_files.intact(table).all():
            raise DamagedFileError(path, "a row is not as it was written")
        table = table.select(COLUMNS if columns is None else list(columns))
        batch.append(table if is_new.all() else table.filter(is_new))
        num_bytes += table.nbytes
        if num_bytes >= BATCH_BYTES:
            yield _to_pandas(pa.concat_tables(batch, promote_options="permissive"))
            batch, num_bytes = [], 0
    if any(part.num_rows for part in batch):
        yield _to_pandas(pa.concat_tables(batch, promote_options="permissive"))


def _iterate_tables(
    directory: pathlib.Path,
) -> Iterator[tuple[pathlib.Path, pa.Table]]:
    """All files by their names, those of many networks by parts."""
    networks, done = pathlib.Path(directory) / "networks", set()
    while True:
        is_complete = True
        for path in sorted(networks.glob("*.parquet")):
            if path in done:
                continue
            try:
                yield from ((path, table) for table in network_files.iterate_file(path))
            except FileNotFoundError:
                # Merged by a running study since the folder was listed.
                is_complete = False
            done.add(path)
        if is_complete:
            return


def _to_pandas(table: pa.Table) -> pd.DataFrame:
    return table.to_pandas(types_mapper=_PANDAS_TYPES.get)


_PANDAS_TYPES = {pa.int16(): pd.Int16Dtype(), pa.int64(): pd.Int64Dtype()}
