import gzip

import numpy as np
import pandas as pd
import pytest

from keras_confusion.reports import report_files


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
