"""Tables and figures of a report, as files and for TensorBoard."""

import dataclasses
import io
import pathlib
from types import TracebackType

import matplotlib
import pandas as pd
from matplotlib.figure import Figure

from keras_confusion import figures, study_folder
from keras_confusion.summaries import RunWriter
from tb_plugin import metadata

FIGURE_DPI = 150


@dataclasses.dataclass(frozen=True)
class Report:
    """What `report.write_report` made.

    Args:
        text: What was found, for a terminal.
        table_files: CSV files.
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

    def table(self, name: str, table: pd.DataFrame) -> None:
        """Writes `tables/<name>.csv`."""
        path = self._directory / "tables" / f"{name}.csv"
        text = table.to_csv(index=False)
        study_folder.write_atomically(path, lambda file: file.write(text.encode()))
        self.table_files.append(path)

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
        with matplotlib.rc_context(figures.STYLE):
            figure.savefig(picture, format=suffix, dpi=FIGURE_DPI, metadata=date)
        study_folder.write_atomically(
            path.with_suffix(f".{suffix}"),
            lambda file, picture=picture: file.write(picture.getvalue()),
        )
    return picture.getvalue()
