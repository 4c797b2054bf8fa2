"""One writing process a study, and who it is."""

import contextlib
import datetime
import errno
import json
import logging
import os
import pathlib
import socket
import warnings
from collections.abc import Iterator

import filelock

from keras_confusion.errors import StudyLockedError
from keras_confusion.storage.files import write_atomically

_log = logging.getLogger(__name__)

LOCK = ".lock"
HOLDER = ".lock_holder.json"
# What flock says where the file system, or the server of a network one, has none.
_NO_LOCKS = (errno.ENOSYS, errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP)


@contextlib.contextmanager
def locked(directory: pathlib.Path) -> Iterator[None]:
    """Holds the folder for one writing process; the lock dies with the process.

    Between machines it holds as far as the file system passes `flock` on: Linux's NFS
    client does so from version 4, and from 3 with a lock daemon. Where there are no
    locks at all this is said on standard error, and nothing is held.

    Raises:
        StudyLockedError: If another process holds it; the message says which.
        OSError: If the folder cannot be written.
    """
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
    try:
        _write_holder(directory)
        yield
    finally:
        with contextlib.suppress(FileNotFoundError):
            (directory / HOLDER).unlink()
        lock.release()


def _tell_of_no_locks(directory: pathlib.Path) -> None:
    _log.warning(
        f"The file system of {directory} has no locks (flock): see to it that no "
        "other process writes to this study."
    )


def _write_holder(directory: pathlib.Path) -> None:
    holder = {
        "pid": os.getpid(),
        "host": socket.gethostname(),
        "since": datetime.datetime.now().astimezone().isoformat(timespec="seconds"),
    }
    text = json.dumps(holder)
    write_atomically(directory / HOLDER, lambda file: file.write(text.encode()))


def _describe_holder(directory: pathlib.Path) -> str:
    """For example ": process 17 on node3, since 2026-11-26T04:39:16+00:00"."""
    try:
        holder = json.loads((directory / HOLDER).read_text())
        return f": process {holder['pid']} on {holder['host']}, since {holder['since']}"
    except (OSError, ValueError, KeyError, TypeError):
        # It holds the lock and has not said yet who it is, or was there before it was
        # said.
        return ""
