"""One writing process a study, and who it is."""

import contextlib
import dataclasses
import datetime
import errno
import json
import logging
import os
import pathlib
import socket
import uuid
import warnings
from collections.abc import Iterator

import filelock

from keras_confusion.errors import StudyFolderError, StudyLockedError
from keras_confusion.storage.files import check_links, write_atomically

_log = logging.getLogger(__name__)

LOCK = ".lock"
HOLDER = ".lock_holder.json"
# What flock says where the file system, or the server of a network one, has none.
_NO_LOCKS = (errno.ENOSYS, errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP)


@dataclasses.dataclass(frozen=True)
class Hold:
    """A folder that this process holds.

    Args:
        directory: The folder.
        run: A name that no other process has, which `.lock_holder.json` says.
    """

    directory: pathlib.Path
    run: str

    def check(self) -> None:
        """Raises `StudyFolderError` if the folder is not this process's any more.

        It may have been removed or moved, and another study begun in its place. Call
        it before something is written.
        """
        if not is_held(self.directory, self.run):
            raise StudyFolderError(
                f"{self.directory} is not the folder any more in which this run began: "
                "it was removed or moved meanwhile, or another process writes there. "
                "Nothing more is written. What is finished is where the folder is now; "
                "the same command begins a new study here."
            )


def is_held(directory: pathlib.Path, run: str) -> bool:
    """Whether the folder is there, and held by the run of this name."""
    try:
        holder = json.loads((directory / HOLDER).read_text())
        return isinstance(holder, dict) and holder.get("run") == run
    except (OSError, ValueError):
        # Not this machine's, not to be read, or somebody else's.
        return False


@contextlib.contextmanager
def locked(directory: pathlib.Path) -> Iterator[Hold]:
    """Holds the folder for one writing process; the lock dies with the process.

    Between machines it holds as far as the file system passes `flock` on: Linux's NFS
    client does so from version 4, and from 3 with a lock daemon. Where there are no
    locks at all this is said on standard error, and nothing is held.

    Yields:
        The `Hold`.

    Raises:
        StudyLockedError: If another process holds it; the message says which.
        StudyFolderError: If a link in it leads out of it.
        OSError: If the folder cannot be written.
    """
    check_links(directory)
    lock = filelock.FileLock(directory / LOCK)
    try:
        with warnings.catch_warnings():
            # Of filelock, where it tells of `flock` in its own words.
            warnings.simplefilter("error", UserWarning)
            lock.acquire(timeout=0)
    except filelock.Timeout as error:
        raise StudyLockedError(
            f"Another process is writing to the study in {directory}"
            f"{_describe_holder(directory)}. "
            "Wait for it, stop it, or use another --out."
        ) from error
    except (NotImplementedError, UserWarning):
        _tell_of_no_locks(directory)
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
        _tell_of_no_locks(directory)
    hold = Hold(directory, uuid.uuid4().hex)
    try:
        _write_holder(hold)
        yield hold
    finally:
        if is_held(directory, hold.run):
            (directory / HOLDER).unlink()
        lock.release()


def _tell_of_no_locks(directory: pathlib.Path) -> None:
    _log.warning(
        f"The file system of {directory} has no locks (flock): see to it that no "
        "other process writes to this study."
    )


def _write_holder(hold: Hold) -> None:
    holder = {
        "pid": os.getpid(),
        "host": socket.gethostname(),
        "since": datetime.datetime.now().astimezone().isoformat(timespec="seconds"),
        "run": hold.run,
    }
    text = json.dumps(holder)
    write_atomically(hold.directory / HOLDER, lambda file: file.write(text.encode()))


def _describe_holder(directory: pathlib.Path) -> str:
    """For example ": process 17 on node3, since 2026-11-26T04:39:16+00:00"."""
    try:
        holder = json.loads((directory / HOLDER).read_text())
        return f": process {holder['pid']} on {holder['host']}, since {holder['since']}"
    except (OSError, ValueError, KeyError, TypeError):
        # It holds the lock and has not said yet who it is, or was there before it was
        # said.
        return ""
