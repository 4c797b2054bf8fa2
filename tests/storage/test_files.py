import errno
import os

import pytest

from keras_confusion.storage import files


def test_writers_with_the_same_number_on_other_machines_do_not_meet(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(os, "getpid", lambda: 17)
    path = tmp_path / "study.json"

    def write_both(file):
        file.write(b"ours")
        files.write_atomically(path, lambda other: other.write(b"theirs"))
        assert path.read_bytes() == b"theirs"

    files.write_atomically(path, write_both)
    assert path.read_bytes() == b"ours"
    assert list(tmp_path.iterdir()) == [path]


def test_full_disk_says_which_file(tmp_path):
    def fail(file):
        # As a write that fails: without a name.
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(OSError, match="No space left") as error:
        files.write_atomically(tmp_path / "rows.parquet", fail)
    assert error.value.errno == errno.ENOSPC
    assert error.value.filename == str(tmp_path / "rows.parquet")
    assert list(tmp_path.iterdir()) == []


def test_left_overs_of_killed_writers_are_removed_and_nothing_else(tmp_path):
    for name in (".rows.parquet.17-ab.tmp", "rows.parquet", ".lock", "mine.tmp"):
        (tmp_path / name).write_bytes(b"")
    files.remove_left_overs(tmp_path)
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"rows.parquet", ".lock", "mine.tmp"}


def test_what_was_set_aside_is_kept_under_a_name_of_its_own(tmp_path):
    path = tmp_path / "100"
    assert not files.was_set_aside(path)
    for content in ("first", "second", "third"):
        path.mkdir()
        (path / "content").write_text(content)
        files.set_aside(path)
        assert not path.exists()
        assert files.was_set_aside(path)
    for name, content in (
        ("100.damaged", "first"),
        ("100.damaged-2", "second"),
        ("100.damaged-3", "third"),
    ):
        assert (tmp_path / name / "content").read_text() == content


def test_left_overs_are_files_of_this_package(tmp_path):
    (tmp_path / ".x.tmp").write_text("half")
    (tmp_path / ".y.tmp").mkdir()
    files.remove_left_overs(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [".y.tmp"]
