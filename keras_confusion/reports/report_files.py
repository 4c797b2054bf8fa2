"""Tables and figures of a report, as files and for TensorBoard."""

import contextlib
import dataclasses
import functools
import gzip
import io
import logging
import pathlib
import warnings
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import BinaryIO

import matplotlib
import pandas as pd
from matplotlib.figure import Figure

from keras_confusion.reports.figures import style as figure_style
from keras_confusion.reports.tensorboard.event_writer import RunWriter
from keras_confusion.storage.files import write_atomically
from tb_plugin import metadata

_log = logging.getLogger(__name__)

FIGURE_DPI = 150
# Of a table that is written as it is, about 90 MB; larger ones are compressed.
MAX_PLAIN_CELLS = 5_000_000
# Rows that are written together.
ROWS_A_PART = 10_000
# Higher levels take far longer, and digits get little smaller.
_GZIP_LEVEL = 1


@dataclasses.dataclass(frozen=True)
class Report:
    """What `study_report.write_report` made.

    Args:
        text: What was found, for a terminal.
        table_files: CSV files, large ones compressed.
        figure_files: PNG files; each has an SVG beside it.
    """

    text: str
    table_files: list[pathlib.Path]
    figure_files: list[pathlib.Path]


class ReportFiles:
    """Writes tables and figures into a study's folder, in place of earlier ones.

    A context manager: figures are in TensorBoard's images when it is left.

    Args:
        directory: The study's folder.
    """

    def __init__(self, directory: pathlib.Path):
        self._directory = directory
        self.table_files: list[pathlib.Path] = []
        self.figure_files: list[pathlib.Path] = []
        for name in ("tables", "figures"):
            (directory / name).mkdir(exist_ok=True)

    def __enter__(self) -> "ReportFiles":
        self._events = RunWriter(self._directory / metadata.REPORT_RUN)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._events.close()

    def table(
        self,
        name: str,
        table: pd.DataFrame | Iterable[pd.DataFrame],
        *,
        num_cells: int | None = None,
    ) -> pathlib.Path:
        """Writes `tables/<name>.csv`, or `<name>.csv.gz` if it has many cells.

        Args:
            name: Name of the file.
            table: The table, or its rows in parts.
            num_cells: Rows times columns; to be given with parts.

        Returns:
            The file.
        """
        if isinstance(table, pd.DataFrame):
            num_cells, parts = table.size, _parts(table)
        else:
            parts = iter(table)
        folder = self._directory / "tables"
        names = [f"{name}.csv", f"{name}.csv.gz"]
        if num_cells is not None and num_cells > MAX_PLAIN_CELLS:
            names.reverse()
        path = folder / names[0]
        write_atomically(path, lambda file: _write_csv(file, path, parts))
        # Of an earlier report, when the study was smaller or larger.
        (folder / names[1]).unlink(missing_ok=True)
        self.table_files.append(path)
        return path

    def figure(
        self, name: str, figure: Figure, *, step: int, tag: str | None = None
    ) -> None:
        """Writes `figures/<name>.png` and `.svg`, and shows it in TensorBoard.

        Args:
            name: Name of the files.
            figure: A Matplotlib figure.
            step: TensorBoard's step.
            tag: TensorBoard's tag; `None` takes the name.
        """
        path = self._directory / "figures" / f"{name}.png"
        picture = write_figure(path, figure)
        self.figure_files.append(path)
        self._events.image(metadata.PREFIX_FIGURE + (tag or name), picture, step)
        self._events.flush()


def _parts(table: pd.DataFrame) -> Iterator[pd.DataFrame]:
    """Rows of a table, some at a time; of an empty one its header."""
    for first in range(0, max(len(table), 1), ROWS_A_PART):
        yield table.iloc[first : first + ROWS_A_PART]


def _write_csv(
    file: BinaryIO, path: pathlib.Path, parts: Iterable[pd.DataFrame]
) -> None:
    """Writes a table part by part, compressed if the path says so."""
    with contextlib.ExitStack() as stack:
        write = file.write
        if path.suffix == ".gz":
            # Neither a name nor a time in it: the same table is the same file.
            write = stack.enter_context(
                gzip.GzipFile("", "wb", _GZIP_LEVEL, fileobj=file, mtime=0)
            ).write
        for number, part in enumerate(parts):
            write(part.to_csv(index=False, header=number == 0).encode())


@contextlib.contextmanager
def _telling_of_missing_signs() -> Iterator[None]:
    """Has one line say what Matplotlib says of every sign that no font has."""
    with warnings.catch_warnings(record=True) as caught:
        # Others are as they were, also where they are errors.
        warnings.filterwarnings("always", "Glyph .* missing from font")
        yield
    for warning in caught:
        if str(warning.message).startswith("Glyph "):
            _tell_of_missing_signs()
        else:
            warnings.warn_explicit(
                warning.message, warning.category, warning.filename, warning.lineno
            )


@functools.cache
def _tell_of_missing_signs() -> None:
    _log.warning(
        "Names in figures have signs that no installed font has: they are drawn as "
        "boxes. Install one that has them, such as Noto Sans CJK, and write the report "
        "again (analyse_study)."
    )


def write_figure(path: pathlib.Path, figure: Figure) -> bytes:
    """Writes a figure as a PNG file, and as an SVG file beside it.

    Args:
        path: Of the PNG file.
        figure: A Matplotlib figure.

    Returns:
        The PNG file.
    """
    for suffix in ("svg", "png"):
        picture = io.BytesIO()
        # A date would make every picture another file.
        date = {"Date": None} if suffix == "svg" else None
        # How SVG files are written is looked up when they are saved.
        with matplotlib.rc_context(figure_style.STYLE), _telling_of_missing_signs():
            figure.savefig(picture, format=suffix, dpi=FIGURE_DPI, metadata=date)
        write_atomically(
            path.with_suffix(f".{suffix}"),
            lambda file, picture=picture: file.write(picture.getvalue()),
        )
    return picture.getvalue()
