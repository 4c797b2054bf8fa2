"""How answers are written: strict JSON, little-endian float32, CSV."""

import csv
import io
import json
import math
from collections.abc import Iterable, Sequence

import numpy as np

# A spreadsheet takes cells that begin with these for formulas, and runs them.
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


def json_text(value) -> str:
    """Writes JSON in which everything that is not a number is null.

    TensorBoard's own writer makes strings like "NaN" of them.

    Args:
        value: Dicts, lists, strings, numbers (NumPy's too), booleans and None.
    """
    return json.dumps(_plain(value), allow_nan=False)


def _plain(value):
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, np.ndarray | np.generic):
        return _plain(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def float32_bytes(values: np.ndarray) -> bytes:
    """Writes an array as little-endian float32 in C order; NaN for infinities."""
    with np.errstate(over="ignore"):
        small = np.asarray(values).astype("<f4")
    small[np.isinf(small)] = np.nan
    return small.tobytes(order="C")


def csv_text(header: Sequence[str], rows: Iterable[Sequence]) -> str:
    """Writes a table; NaN, infinities and None are empty.

    Args:
        header: Names of the columns.
        rows: Texts and numbers. Texts that a spreadsheet would run get a "'" in front.
    """
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\r\n")
    writer.writerow([_csv_cell(name) for name in header])
    writer.writerows([_csv_cell(value) for value in row] for row in rows)
    return file.getvalue()


def _csv_cell(value):
    if isinstance(value, str):
        return f"'{value}" if value.startswith(_FORMULA_STARTS) else value
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
