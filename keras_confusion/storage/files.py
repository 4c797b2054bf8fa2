"""Files that are there whole or not at all, and what to do with damaged ones."""

import hashlib
import os
import pathlib
import uuid
from collections.abc import Callable

from keras_confusion.errors import StudyFolderError

_BYTES_AT_A_TIME = 1 << 20
DAMAGED = "damaged"


def check_links(directory: pathlib.Path) -> None:
    """Raises `StudyFolderError` if a link in a folder leads out of it.

    The folder itself may be a link. Call it before anything in the folder is written,
    renamed or removed, by this package or another: what a stranger's folder links to is
    not the stranger's to change.

    Args:
        directory: The folder; one that is not there has no links.
    """
    root = os.path.realpath(directory)
    folders = [root]
    while folders:
        try:
            entries = list(os.scandir(folders.pop()))
        except (FileNotFoundError, NotADirectoryError):
            # Of a temporary folder that is renamed, or what is no folder (yet).
            continue
        for entry in entries:
            if entry.is_symlink():
                target = os.path.realpath(entry.path)
                if os.path.commonpath([root, target]) != root:
                    raise StudyFolderError(
                        f"Expected {directory} to hold its own files, as they are "
                        f"replaced. Received: {os.path.relpath(entry.path, root)}, a "
                        f"link that leads out of it, to {target}. Remove the link. To "
                        "keep results on another disk, move the whole folder there "
                        "and make that one a link, or mount a folder in its place "
                        "(mount --bind)."
                    )
            elif entry.is_dir():
                folders.append(entry.path)


def write_atomically(path: pathlib.Path, write: Callable) -> None:
    """Writes a file under a temporary name and renames it when it is whole.

    Args:
        path: Where the file goes; an existing one is replaced.
        write: Called with a binary file that is open for writing.

    Raises:
        OSError: If it cannot be written; `filename` is always its name.
    """
    # Processes of several machines may share the folder, and their numbers.
    temporary = path.with_name(f".{path.name}.{os.getpid()}-{uuid.uuid4().hex}.tmp")
    try:
        with open(temporary, "wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise with_name(error, path) from error
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def with_name(error: OSError, path: pathlib.Path) -> OSError:
    """The same error with the name of the file, which a failing write does not know."""
    if error.errno is None:
        return error
    return OSError(error.errno, error.strerror, str(path))


def remove_left_overs(directory: pathlib.Path) -> None:
    """Removes what killed processes left of `write_atomically` in a folder.

    Only for the process that holds the lock of the folder.
    """
    for left_over in directory.glob(".*.tmp"):
        # A folder of that name is not this package's.
        if not left_over.is_dir():
            left_over.unlink(missing_ok=True)


def set_aside(path: pathlib.Path) -> pathlib.Path:
    """Renames a damaged file or folder, so that nothing takes it for whole.

    Returns:
        Its new name: that of before with `.damaged`, and a number from the second on.
    """
    number, aside = 1, path.with_name(f"{path.name}.{DAMAGED}")
    while aside.exists():
        number += 1
        aside = path.with_name(f"{path.name}.{DAMAGED}-{number}")
    path.rename(aside)
    return aside


def was_set_aside(path: pathlib.Path) -> bool:
    """Whether something of this name was set aside."""
    return path.with_name(f"{path.name}.{DAMAGED}").exists()


def sha256(path: pathlib.Path) -> str:
    """Hex sha256 of a file."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(_BYTES_AT_A_TIME):
            digest.update(block)
    return digest.hexdigest()
