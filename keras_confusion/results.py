"""A confusion study on disk: one row per trained network.

    study.json            settings, class names, versions, commit
    test_labels.npy       int32 (num_test,), the true labels of the test examples
    networks/*.parquet    one row per trained network, see `SCHEMA`
    events/               TensorBoard's event files; tables/ and figures/: the report

Everything but `study.json`, `test_labels.npy` and `networks/` can be rebuilt.
"""

import datetime
import pathlib

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet
from numpy.typing import ArrayLike

from keras_confusion.study_folder import (
    StudyFolderError,
    open_folder,
    write_atomically,
)
from keras_confusion.study_settings import ADDED_SETTINGS

KIND = "confusion"
BASELINE = "baseline"

# Types of the label columns depend on the number of classes, see `network_schema`.
SCHEMA = pa.schema(
    [
        pa.field("arm", pa.string(), nullable=False),
        # Null for the baseline.
        ("class_a", pa.int16()),
        ("class_b", pa.int16()),
        pa.field("repeat", pa.int32(), nullable=False),
        # `seed` belongs to the repeat, or to the network in a study with own seeds;
        # the other seeds are derived from it.
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


def open_study(
    directory: pathlib.Path, description: dict, test_labels: ArrayLike
) -> None:
    """Creates the study's folder, or checks that the one there is the same study.

    Args:
        directory: The study's folder; made if missing.
        description: See `study_folder.open_folder`.
        test_labels: Integer array of shape `(num_test,)`.

    Raises:
        StudyFolderError: As `study_folder.open_folder`.
    """

    def begin() -> None:
        (directory / "networks").mkdir(parents=True, exist_ok=True)
        write_atomically(
            directory / "test_labels.npy",
            lambda file: np.save(file, np.asarray(test_labels, np.int32)),
        )

    # Rows without study.json are somebody's results; an empty folder is a beginning.
    has_rows = any((directory / "networks").glob("*.parquet"))
    open_folder(
        directory,
        {"kind": KIND, **description},
        begin=begin,
        beginnings=() if has_rows else ("test_labels.npy", "networks"),
        added_settings=ADDED_SETTINGS,
        # Networks are the same however many there are of an arm.
        growing=("repeats", "baseline_repeats"),
    )
    for left_over in (directory / "networks").glob(".*.tmp"):
        left_over.unlink()


def read_test_labels(directory: pathlib.Path) -> np.ndarray:
    """Reads the true labels of the test examples, int32 `(num_test,)`."""
    return np.load(pathlib.Path(directory) / "test_labels.npy", allow_pickle=False)


def write_network(directory: pathlib.Path, row: dict, *, num_classes: int) -> dict:
    """Writes one network's row; keys are the columns of `SCHEMA`.

    Returns:
        The row with `finished_at`.
    """
    pair = None if row["class_a"] is None else (row["class_a"], row["class_b"])
    row = {"finished_at": datetime.datetime.now(datetime.UTC), **row}
    table = pa.Table.from_pylist([row], schema=network_schema(num_classes))
    write_atomically(
        network_path(directory, pair, row["repeat"]),
        lambda file: pa.parquet.write_table(table, file, compression="zstd"),
    )
    return row


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
