import errno
import json
import os
import socket
import subprocess
import sys

import pytest

from keras_confusion.errors import StudyFolderError, StudyLockedError
from keras_confusion.storage import locks

HOLD = """
import pathlib, sys, time
from keras_confusion.storage import locks
with locks.locked(pathlib.Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def holder(tmp_path):
    """A process that holds the folder."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_second_process_is_told_who_is_there(tmp_path, holder):
    with (
        pytest.raises(
            StudyLockedError,
            match=f"process {holder.pid} on {socket.gethostname()}, since 20..-",
        ),
        locks.locked(tmp_path),
    ):
        pytest.fail("locked twice")


def test_lock_of_a_killed_process_is_free(tmp_path, holder):
    holder.kill()
    holder.wait()
    # It could not take its name away; what is there is of the next one, and then gone.
    file = tmp_path / locks.HOLDER
    assert json.loads(file.read_text())["pid"] == holder.pid
    with locks.locked(tmp_path):
        assert json.loads(file.read_text())["pid"] == os.getpid()
    assert not file.exists()


@pytest.mark.parametrize("replaced", [False, True])
def test_process_notices_that_its_folder_is_gone(tmp_path, replaced):
    folder, moved = tmp_path / "study", tmp_path / "moved"
    folder.mkdir()
    with locks.locked(folder) as hold:
        hold.check()
        folder.rename(moved)
        with pytest.raises(StudyFolderError, match="removed or moved meanwhile"):
            hold.check()
        if replaced:
            folder.mkdir()
            with locks.locked(folder) as other:
                other.check()
                with pytest.raises(StudyFolderError, match="another process writes"):
                    hold.check()
        moved.rename(tmp_path / "elsewhere")
    # What is said of the other's folder stays the other's.
    assert not (folder / locks.HOLDER).exists()


def test_first_process_leaves_the_name_of_the_second(tmp_path):
    folder = tmp_path / "study"
    folder.mkdir()
    first = locks.locked(folder)
    first.__enter__()
    folder.rename(tmp_path / "moved")
    folder.mkdir()
    with locks.locked(folder) as second:
        first.__exit__(None, None, None)
        second.check()


def test_holder_that_does_not_say_who_it_is(tmp_path, holder):
    for content in (None, "{", "[]", "{}"):
        file = tmp_path / locks.HOLDER
        file.unlink(missing_ok=True)
        if content is not None:
            file.write_text(content)
        with (
            pytest.raises(StudyLockedError, match=r"in \S+\. Wait for it"),
            locks.locked(tmp_path),
        ):
            pytest.fail("locked twice")


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP])
def test_file_system_without_locks_is_told_and_used(
    number, tmp_path, monkeypatch, capsys
):
    fcntl = pytest.importorskip("fcntl")

    def no_locks(file, operation):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", no_locks)
    with locks.locked(tmp_path):
        assert "has no locks (flock)" in capsys.readouterr().err
    assert not (tmp_path / locks.HOLDER).exists()


def test_lock_that_is_not_implemented_is_told(tmp_path, monkeypatch, capsys):
    def acquire(self, timeout):
        raise NotImplementedError

    # As some versions of filelock say it.
    monkeypatch.setattr(locks.filelock.FileLock, "acquire", acquire)
    with locks.locked(tmp_path):
        assert str(tmp_path) in capsys.readouterr().err
