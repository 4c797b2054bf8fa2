"""A confusion study on disk: one folder, written so that no crash leaves half a file.

    study.json            settings, class names, versions, commit
    test_labels.npy       int32 (num_test,), the true labels of the test examples
    networks/*.parquet    one row per trained network, see `SCHEMA`
    events/               TensorBoard's event files; tables/ and figures/: the report

Everything but `study.json`, `test_labels.npy` and `networks/` can be rebuilt.
"""

import contextlib
import datetime
import json
import os
import pathlib
from collections.abc import Callable, Iterator

import filelock
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet
from numpy.typing import ArrayLike

FORMAT_VERSION = 1
BASELINE = "baseline"

# Types of the label columns depend on the number of classes, see `network_schema`.
SCHEMA = pa.schema(
    [
        pa.field("arm", pa.string(), nullable=False),
        # Null for the baseline.
        ("class_a", pa.int16()),
        ("class_b", pa.int16()),
        pa.field("repeat", pa.int32(), nullable=False),
        # `seed` belongs to the repeat; the other seeds are derived from it.
        pa.field("seed", pa.int64(), nullable=False),
        ("initialisation_seed", pa.int64()),
        ("order_seed", pa.int64()),
        ("corruption_seed", pa.int64()),
        ("recipe", pa.string()),
        ("epochs", pa.int32()),
        # 0; 1 where the first attempt failed and the network was trained anew.
        ("attempt", pa.int8()),
        ("failed", pa.bool_()),
        ("note", pa.string()),
        # Nats, the mean over each epoch.
        ("epoch_losses", pa.list_(pa.float32())),
        ("final_training_loss", pa.float64()),
        ("seconds", pa.float64()),
        ("finished_at", pa.timestamp("ms", tz="UTC")),
        # The three most probable labels of every test example, null if failed.
        ("predictions", pa.list_(pa.uint8())),
        ("second_labels", pa.list_(pa.uint8())),
        ("third_labels", pa.list_(pa.uint8())),
        # Mean log2-probability of the true class, per class (K).
        ("log2_probability", pa.list_(pa.float32())),
        # The same over the classes outside the pair: (K) for an arm, (pairs x K) row by
        # row for a baseline network; NaN for the classes of the pair.
        ("log2_probability_without_pair", pa.list_(pa.float32())),
    ]
)
_LABEL_COLUMNS = ("predictions", "second_labels", "third_labels")


class StudyFolderError(RuntimeError):
    """A study folder cannot be used as asked; the message says why and what to do."""


class StudyLockedError(StudyFolderError):
    """Another process is writing to the study."""


def network_schema(num_classes: int) -> pa.Schema:
    """`SCHEMA` with the smallest label type that holds the classes."""
    if num_classes <= 256:
        return SCHEMA
    schema = SCHEMA
    for name in _LABEL_COLUMNS:
        field = pa.field(name, pa.list_(pa.uint16()))
        schema = schema.set(schema.get_field_index(name), field)
    return schema


def arm_name(pair: tuple[int, int] | None) -> str:
    """The name of an arm: "baseline", or "3-5" for the classes 3 and 5."""
    return BASELINE if pair is None else f"{pair[0]}-{pair[1]}"


def network_path(
    directory: pathlib.Path, pair: tuple[int, int] | None, repeat: int
) -> pathlib.Path:
    """Where one network's row is kept."""
    return directory / "networks" / f"{arm_name(pair)}-{repeat:05d}.parquet"


@contextlib.contextmanager
def locked(directory: pathlib.Path) -> Iterator[None]:
    """Holds the folder for one writing process; the lock dies with the process.

    Raises:
        StudyLockedError: If another process holds it.
    """
    lock = filelock.FileLock(directory / ".lock")
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout as error:
        raise StudyLockedError(
            f"Another process is writing to the study in {directory}. "
            "Wait for it, stop it, or use another --out."
        ) from error
    try:
        yield
    finally:
        lock.release()


def write_atomically(path: pathlib.Path, write: Callable) -> None:
    """Writes a file under a temporary name and renames it when it is whole.

    Args:
        path: Where the file goes; an existing one is replaced.
        write: Called with a binary file that is open for writing.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with open(temporary, "wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def open_study(
    directory: pathlib.Path, description: dict, test_labels: ArrayLike
) -> None:
    """Creates the study's folder, or checks that the one there is the same study.

    Args:
        directory: The study's folder; made if missing.
        description: "settings" (a flat dict), "class_names", "dataset_fingerprint" and
            "provenance" (not compared), all JSON types.
        test_labels: Integer array of shape `(num_test,)`.

    Raises:
        StudyFolderError: If the folder holds another study (every difference is
            named), or holds other files.
    """
    study_file = directory / "study.json"
    if not study_file.exists():
        strangers = [
            path.name for path in directory.glob("*") if not path.name.startswith(".")
        ]
        # test_labels.npy and no network: killed before study.json was written.
        has_networks = any((directory / "networks").glob("*.parquet"))
        if has_networks or set(strangers) - {"test_labels.npy", "networks"}:
            raise StudyFolderError(
                f"Expected {directory} to be empty or to hold a study. Received: "
                f"{', '.join(sorted(strangers)[:5])}. Use another --out."
            )
        (directory / "networks").mkdir(parents=True, exist_ok=True)
        write_atomically(
            directory / "test_labels.npy",
            lambda file: np.save(file, np.asarray(test_labels, np.int32)),
        )
        description = {"format_version": FORMAT_VERSION, **description}
        text = json.dumps(description, indent=2) + "\n"
        write_atomically(study_file, lambda file: file.write(text.encode()))
    else:
        _check_same(directory, read_description(directory), description)
    for left_over in (directory / "networks").glob(".*.tmp"):
        left_over.unlink()


def _check_same(directory: pathlib.Path, stored: dict, asked: dict) -> None:
    asked = json.loads(json.dumps(asked))
    differences = [
        f"  {key}: {stored['settings'].get(key)!r} in the folder, {value!r} asked for"
        for key, value in asked["settings"].items()
        if stored["settings"].get(key) != value
    ]
    for key in ("class_names", "dataset_fingerprint"):
        if stored[key] != asked[key]:
            differences.append(f"  {key}: the data set is not the same any more")
    if differences:
        raise StudyFolderError(
            f"{directory} holds a study with other settings:\n"
            + "\n".join(differences)
            + "\nUse another --out, or the settings in the folder to go on with it."
        )


def read_description(directory: pathlib.Path) -> dict:
    """Reads `study.json`.

    Raises:
        StudyFolderError: If it is missing, unreadable or of another version.
    """
    study_file = pathlib.Path(directory) / "study.json"
    if not study_file.exists():
        raise StudyFolderError(
            f"Expected a study in {directory}. Received: a folder without study.json. "
            "Use the --out of run_confusion_study.py."
        )
    try:
        description = json.loads(study_file.read_text())
    except ValueError as error:
        raise StudyFolderError(f"{study_file} is not valid JSON: {error}") from error
    if description.get("format_version") != FORMAT_VERSION:
        raise StudyFolderError(
            f"Expected format_version {FORMAT_VERSION} in {study_file}. Received: "
            f"{description.get('format_version')!r}. Use a version of keras-confusion "
            "that writes it."
        )
    return description


def read_test_labels(directory: pathlib.Path) -> np.ndarray:
    """Reads the true labels of the test examples, int32 `(num_test,)`."""
    return np.load(pathlib.Path(directory) / "test_labels.npy", allow_pickle=False)


def write_network(directory: pathlib.Path, row: dict, *, num_classes: int) -> None:
    """Writes one network's row; keys are the columns of `SCHEMA`."""
    pair = None if row["class_a"] is None else (row["class_a"], row["class_b"])
    row = {"finished_at": datetime.datetime.now(datetime.UTC), **row}
    table = pa.Table.from_pylist([row], schema=network_schema(num_classes))
    write_atomically(
        network_path(directory, pair, row["repeat"]),
        lambda file: pa.parquet.write_table(table, file, compression="zstd"),
    )


def read_networks(directory: pathlib.Path) -> pd.DataFrame:
    """Reads every trained network, in the order of arm and repeat.

    Returns:
        A frame with the columns of `SCHEMA`; `class_a` and `class_b` are nullable
        integers, list columns hold NumPy arrays.

    Raises:
        StudyFolderError: If a file cannot be read; the message names it.
    """
    tables = []
    for path in sorted((pathlib.Path(directory) / "networks").glob("*.parquet")):
        try:
            tables.append(pa.parquet.read_table(path))
        except (OSError, pa.ArrowException) as error:
            raise StudyFolderError(
                f"{path} cannot be read ({error}). Delete it and run the study "
                "again: only this network is trained anew."
            ) from error
    if not tables:
        return SCHEMA.empty_table().to_pandas(types_mapper=_PANDAS_TYPES.get)
    networks = pa.concat_tables(tables).to_pandas(types_mapper=_PANDAS_TYPES.get)
    order = ["class_a", "class_b", "repeat"]
    return networks.sort_values(order, na_position="first", ignore_index=True)


_PANDAS_TYPES = {pa.int16(): pd.Int16Dtype(), pa.int64(): pd.Int64Dtype()}
