"""Parquet files of trained networks: what a row is, and what a damaged file is.

A file has one network and its name, or many of them, see `compaction`.

Every row has a checksum, by which a changed bit is found. Parquet's own checksums cover
pages and neither dictionaries nor the file's footer. One that is a column of its own
covers what a row says, whatever file it lies in, and stays with the row when files are
merged.
"""

import pathlib
import re
import zlib
from collections.abc import Iterator
from typing import TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.parquet

from keras_confusion.confusion.answers import LABEL_COLUMNS
from keras_confusion.storage.study_folder import StudyFolderError

CHECKSUM = "checksum"
_NONE = -1

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
        # 0; 1 where the first attempt failed and the network was trained again.
        ("attempt", pa.int8()),
        ("failed", pa.bool_()),
        ("note", pa.string()),
        # Nats, the mean over each epoch.
        ("epoch_losses", pa.list_(pa.float32())),
        ("final_training_loss", pa.float64()),
        ("seconds", pa.float64()),
        ("finished_at", pa.timestamp("ms", tz="UTC")),
        # The three most probable labels of every test example, null if failed.
        *((name, pa.list_(pa.uint8())) for name in LABEL_COLUMNS),
        # Mean log2-probability of the true class, per class (K).
        ("log2_probability", pa.list_(pa.float32())),
        # The same over the classes outside the pair: (K) for an arm, (pairs x K) row by
        # row for a baseline network; NaN for the classes of the pair.
        ("log2_probability_without_pair", pa.list_(pa.float32())),
        # Mean probability of the true class, in the same two ways.
        ("probability", pa.list_(pa.float32())),
        ("probability_without_pair", pa.list_(pa.float32())),
        # d' of every two classes by the network's own last layer, and by one that was
        # fitted to the right labels on its features, see `discriminability`: in the
        # order of `np.triu_indices(K, 1)`. Of confused networks of more than
        # `MAX_MATRIX_CLASSES` classes only the mean without their pair, (K).
        ("discriminability", pa.list_(pa.float32())),
        ("features_discriminability", pa.list_(pa.float32())),
        # Of some baseline networks: the mean d' without a pair, by last layers that
        # were fitted to the swapped labels of each pair, (pairs x K) row by row.
        ("readout_discriminability", pa.list_(pa.float32())),
        # The study that it was trained for, see `study_description.digest`, and the
        # version of this package with its commit.
        ("study", pa.string()),
        ("code", pa.string()),
        # Of all columns before it, see `checksums`.
        (CHECKSUM, pa.int64()),
    ]
)
# Of more classes a matrix of all would outgrow what else there is of a network.
MAX_MATRIX_CLASSES = 32
# What is read of them: all but the checksum.
COLUMNS = [name for name in SCHEMA.names if name != CHECKSUM]
# What the first rows had. No row lacks one of these; any later column may be missing.
# Where such a column is empty it does not count, so that old rows keep their checksums
# in a table that has it.
_FIRST_COLUMNS = (
    *("arm", "class_a", "class_b", "repeat", "seed", "initialisation_seed"),
    *("order_seed", "corruption_seed", "recipe", "epochs", "attempt", "failed", "note"),
    *("epoch_losses", "final_training_loss", "seconds", "finished_at"),
    *(*LABEL_COLUMNS, "log2_probability", "log2_probability_without_pair"),
)
ADDED_COLUMNS = tuple(name for name in COLUMNS if name not in _FIRST_COLUMNS)
COMPRESSION = "zstd"
# Of files of many networks: how many.
_MERGED_NAME = re.compile(r"merged-\d+-(\d+)\.parquet")
BASELINE = "baseline"
Key: TypeAlias = tuple[str, int]


# What reading a file raises that is not as it was written.
PARQUET_ERRORS = (OSError, pa.ArrowException, UnicodeDecodeError, MemoryError)


class DamagedFileError(StudyFolderError):
    """A file of networks is not as it was written; the message names it.

    Args:
        path: The file.
        reason: What is wrong with it.
    """

    def __init__(self, path: pathlib.Path, reason: str):
        super().__init__(
            f"{path} is damaged ({reason}). Run the study again: it sets the file "
            "aside, and only what was lost with it is trained again."
        )
        self.path, self.reason = path, reason

    def __reduce__(self) -> tuple:
        return DamagedFileError, (self.path, self.reason)


def network_schema(num_classes: int) -> pa.Schema:
    """`SCHEMA` with the smallest label type that holds the classes."""
    if num_classes <= 256:
        return SCHEMA
    schema = SCHEMA
    for name in LABEL_COLUMNS:
        field = pa.field(name, pa.list_(pa.uint16()))
        schema = schema.set(schema.get_field_index(name), field)
    return schema


def iterate_file(path: pathlib.Path) -> Iterator[pa.Table]:
    """Reads one file of networks by its row groups, checksums of rows not looked at.

    Raises:
        DamagedFileError: If it cannot be read, or does not hold what its name says.
        FileNotFoundError: If it is not there.
    """
    try:
        with pa.parquet.ParquetFile(path) as file:
            num_rows = 0
            for number in range(file.num_row_groups):
                table = read_row_group(path, file, number)
                num_rows += table.num_rows
                yield table
    except FileNotFoundError:
        raise
    except PARQUET_ERRORS as error:
        raise DamagedFileError(path, str(error)) from error
    name = _MERGED_NAME.fullmatch(path.name)
    if num_rows != (int(name[1]) if name else 1):
        raise DamagedFileError(path, f"{num_rows} rows")


def read_row_group(
    path: pathlib.Path, file: pa.parquet.ParquetFile, number: int
) -> pa.Table:
    """Reads a part of a file of networks, with all columns that there are today.

    Raises:
        DamagedFileError: As `iterate_file`.
    """
    try:
        table = file.read_row_group(number)
        _check_columns(path, table)
        return with_all_columns(table)
    except PARQUET_ERRORS as error:
        raise DamagedFileError(path, str(error)) from error


def with_all_columns(table: pa.Table) -> pa.Table:
    """Rows of any version with the columns of today, empty where they had none.

    Single values get the types of today; types of labels depend on their number.

    An empty column that was added later leaves a row's checksum as it was.
    """
    for name in ADDED_COLUMNS:
        if name not in table.column_names:
            field = SCHEMA.field(name)
            table = table.append_column(field, pa.nulls(table.num_rows, field.type))
    for name in COLUMNS:
        place, field = table.schema.get_field_index(name), SCHEMA.field(name)
        if not pa.types.is_list(field.type) and table.schema.types[place] != field.type:
            column = table.column(place).cast(field.type)
            table = table.set_column(place, name, column)
    checksum = [CHECKSUM] if CHECKSUM in table.schema.names else []
    return table.select([*COLUMNS, *checksum])


def is_merged(path: pathlib.Path) -> bool:
    """Whether a file is one of many networks, by its name."""
    return _MERGED_NAME.fullmatch(path.name) is not None


def _check_columns(path: pathlib.Path, table: pa.Table) -> None:
    """Raises an error if a file does not hold what its name says, in columns we know.

    Those of `ADDED_COLUMNS` may be missing.
    """
    for name in COLUMNS:
        if name not in table.column_names:
            if name in ADDED_COLUMNS:
                continue
            raise DamagedFileError(path, f"no column {name}")
        found_type = table.schema.field(name).type
        if not _same_kind(found_type, SCHEMA.field(name).type):
            raise DamagedFileError(path, f"column {name} of {found_type}")
    checksum = CHECKSUM
    if checksum in table.column_names and not pa.types.is_int64(
        table.schema.field(checksum).type
    ):
        raise DamagedFileError(path, f"column {checksum} of another type")
    if not is_merged(path) and [
        network_name(arm, repeat) for arm, repeat in network_keys(table)
    ] != [path.stem]:
        raise DamagedFileError(path, "the network of another file")


def arm_name(pair: tuple[int, int] | None) -> str:
    """The name of an arm: "baseline", or "3-5" for the classes 3 and 5."""
    return BASELINE if pair is None else f"{pair[0]}-{pair[1]}"


def network_name(arm: str, repeat: int) -> str:
    """What a network's files are called, without what they end in."""
    return f"{arm}-{repeat:05d}"


def _same_kind(one: pa.DataType, other: pa.DataType) -> bool:
    if pa.types.is_list(one) and pa.types.is_list(other):
        return _same_kind(one.value_type, other.value_type)
    # Not uint64, which no other integer can be put together with.
    return one == other or (
        pa.types.is_integer(one)
        and pa.types.is_integer(other)
        and not pa.types.is_uint64(one)
    )


def network_keys(table: pa.Table) -> list[Key]:
    """(arm, repeat) of every row: a study has each of them once."""
    columns = (table.column(name).to_pylist() for name in ("arm", "repeat"))
    return list(zip(*columns, strict=True))


def checksums(table: pa.Table) -> np.ndarray:
    """CRC-32 (that of zlib) of what each row says, in the order of its columns.

    Args:
        table: Columns of numbers, texts, times, and lists of numbers. `CHECKSUM` itself
            is left out.

    Returns:
        int64 array `(table.num_rows,)` of numbers from 0 to 2^32 - 1.
    """
    names = [name for name in table.column_names if name != CHECKSUM]
    is_list = {name: pa.types.is_list(table.schema.field(name).type) for name in names}
    added = [name for name in names if name in ADDED_COLUMNS and not is_list[name]]
    plain = table.select(
        [name for name in names if not is_list[name] and name not in added]
    )
    for index, field in enumerate(plain.schema):
        if pa.types.is_timestamp(field.type):
            column = plain.column(index).cast(pa.int64())
            plain = plain.set_column(index, field.name, column)
    texts = zip(*(column.to_pylist() for column in plain.columns), strict=True)
    sums = [zlib.crc32(repr(row).encode()) for row in texts]
    for name in added:
        values = table.column(name).to_pylist()
        sums = [
            before if value is None else zlib.crc32(repr(value).encode(), before)
            for before, value in zip(sums, values, strict=True)
        ]
    for name in names:
        if is_list[name]:
            null = b"" if name in ADDED_COLUMNS else b"null"
            sums = _add_lists(sums, table.column(name), null)
    return np.array(sums, np.int64)


def _add_lists(sums: list[int], column: pa.ChunkedArray, null: bytes) -> list[int]:
    """Goes on with checksums over the bytes of each row's list, or those for null."""
    lists = column.combine_chunks()
    if isinstance(lists, pa.ChunkedArray):
        lists = pa.concat_arrays(lists.chunks)
    offsets = lists.offsets.to_numpy()
    values = np.ascontiguousarray(lists.values.to_numpy(zero_copy_only=False))
    content = values.view(np.uint8).tobytes()
    size = values.itemsize
    is_null = lists.is_null().to_numpy(zero_copy_only=False)
    return [
        zlib.crc32(null if nothing else content[size * start : size * end], before)
        for before, nothing, start, end in zip(
            sums, is_null, offsets[:-1], offsets[1:], strict=True
        )
    ]


def add_checksums(table: pa.Table) -> pa.Table:
    """The table with its checksums in `CHECKSUM`, which it has in its schema."""
    place = table.schema.get_field_index(CHECKSUM)
    column = pa.array(checksums(table), pa.int64())
    return table.set_column(place, table.schema.field(place), column)


def intact(table: pa.Table) -> np.ndarray:
    """Which rows are as they were written, bool `(num_rows,)`.

    Rows from before there were checksums have none, and are taken as they are.
    """
    if CHECKSUM not in table.column_names:
        return np.ones(table.num_rows, bool)
    stored = table.column(CHECKSUM).fill_null(_NONE).to_numpy()
    return (stored == _NONE) | (stored == checksums(table))
