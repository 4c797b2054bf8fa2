import functools
import gzip
import logging
import warnings

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from keras_confusion.reports import report_files
from keras_confusion.reports.figures import style


@pytest.fixture
def table():
    rng = np.random.default_rng(0)
    values = {"name": ["a,b", "c", ""] * 5, "value": rng.normal(size=15)}
    return pd.DataFrame(values)


def written(directory, *tables, **options):
    with report_files.ReportFiles(directory) as files:
        return [files.table("numbers", table, **options) for table in tables][-1]


def test_tables_are_written_in_parts(tmp_path, table, monkeypatch):
    monkeypatch.setattr(report_files, "ROWS_A_PART", 4)
    path = written(tmp_path, table)
    assert path == tmp_path / "tables" / "numbers.csv"
    assert path.read_text() == table.to_csv(index=False)
    assert written(tmp_path, table[:0]).read_text() == "name,value\n"


def test_large_tables_are_compressed(tmp_path, table, monkeypatch):
    monkeypatch.setattr(report_files, "MAX_PLAIN_CELLS", 29)
    path = written(tmp_path, table)
    assert path == tmp_path / "tables" / "numbers.csv.gz"
    assert gzip.decompress(path.read_bytes()).decode() == table.to_csv(index=False)
    first = path.read_bytes()
    assert written(tmp_path, table).read_bytes() == first
    pd.testing.assert_frame_equal(pd.read_csv(path, keep_default_na=False), table)
    # Only one of both is there, that of the last report.
    written(tmp_path, table[:9])
    assert [path.name for path in (tmp_path / "tables").iterdir()] == ["numbers.csv"]
    written(tmp_path, iter([table[:9], table[9:]]), num_cells=30)
    (path,) = (tmp_path / "tables").iterdir()
    assert gzip.decompress(path.read_bytes()).decode() == table.to_csv(index=False)


def test_a_table_that_breaks_off_leaves_the_earlier_one(tmp_path, table):
    path = written(tmp_path, table)

    def parts():
        yield table[:3]
        raise OSError("no room")

    with pytest.raises(OSError, match="no room"):
        written(tmp_path, parts(), num_cells=6)
    assert path.read_text() == table.to_csv(index=False)
    assert len(list((tmp_path / "tables").iterdir())) == 1


def test_signs_that_no_font_has_are_told_once(tmp_path, caplog, monkeypatch):
    monkeypatch.setattr(report_files, "_tell_of_missing_signs", _fresh_cache())
    # Of a script that is older than Unicode's fonts: Linear B.
    figure = Figure()
    figure.text(0.5, 0.5, "\U00010000\U00010001 a")
    with caplog.at_level(logging.WARNING, "keras_confusion"):
        for number in range(2):
            report_files.write_figure(tmp_path / f"{number}.png", figure)
    assert len(caplog.messages) == 1
    assert "signs that no installed font has" in caplog.messages[0]


def _fresh_cache():
    return functools.cache(report_files._tell_of_missing_signs.__wrapped__)


def test_other_warnings_of_figures_stay_warnings(tmp_path):
    class Warned(Figure):
        def savefig(self, *args, **kwargs):
            warnings.warn("something else", stacklevel=2)

    with pytest.warns(UserWarning, match="something else"):
        report_files.write_figure(tmp_path / "a.png", Warned())


def test_east_asian_signs_come_from_fonts_that_are_installed(monkeypatch):
    installed = ["DejaVu Sans", "IPAGothic", "Comic Neue"]
    monkeypatch.setattr(style.font_manager, "get_font_names", lambda: installed)
    assert style.font_families() == ["DejaVu Sans", "IPAGothic"]
