"""A checksum for every row of a table, by which a changed bit is found.

Parquet's own checksums cover pages and neither dictionaries nor the file's footer. One
that is a column of its own covers what a row says, whatever file it lies in, and stays
with the row when files are merged.
"""

import zlib

import numpy as np
import pyarrow as pa

COLUMN = "checksum"
# Lists that the first rows had not. Where they are empty they do not count, so that old
# rows keep their sums in a table that has these columns.
ADDED_COLUMNS = (
    "probability",
    "probability_without_pair",
    "discriminability",
    "features_discriminability",
    "readout_discriminability",
)
_NONE = -1


def checksums(table: pa.Table) -> np.ndarray:
    """CRC-32 (that of zlib) of what each row says, in the order of its columns.

    Args:
        table: Columns of numbers, texts, times, and lists of numbers. `COLUMN` itself
            is left out.

    Returns:
        int64 array `(table.num_rows,)` of numbers from 0 to 2^32 - 1.
    """
    names = [name for name in table.column_names if name != COLUMN]
    is_list = {name: pa.types.is_list(table.schema.field(name).type) for name in names}
    plain = table.select([name for name in names if not is_list[name]])
    for index, field in enumerate(plain.schema):
        if pa.types.is_timestamp(field.type):
            column = plain.column(index).cast(pa.int64())
            plain = plain.set_column(index, field.name, column)
    texts = zip(*(column.to_pylist() for column in plain.columns), strict=True)
    sums = [zlib.crc32(repr(row).encode()) for row in texts]
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
    """The table with its checksums in `COLUMN`, which it has in its schema."""
    place = table.schema.get_field_index(COLUMN)
    column = pa.array(checksums(table), pa.int64())
    return table.set_column(place, table.schema.field(place), column)


def intact(table: pa.Table) -> np.ndarray:
    """Which rows are as they were written, bool `(num_rows,)`.

    Rows from before there were checksums have none, and are taken as they are.
    """
    if COLUMN not in table.column_names:
        return np.ones(table.num_rows, bool)
    stored = table.column(COLUMN).fill_null(_NONE).to_numpy()
    return (stored == _NONE) | (stored == checksums(table))
