"""How the scripts end: exit codes, signals, and errors as messages."""

import errno
import os
import pathlib
import sys
import traceback
from collections.abc import Callable

import keras_confusion
from keras_confusion import errors
from keras_confusion.cli import termination

EXIT_OK = 0
EXIT_ERROR = 1
EXIT_INTERRUPTED = 130
EXIT_TERMINATED = termination.EXIT_TERMINATED


def exit_code(
    command: Callable[..., int], *args, resumes: bool = True, **options
) -> int:
    """Runs a command; errors that a user can mend become one message.

    Args:
        command: A function of `commands`.
        *args: Its arguments.
        resumes: Whether the same command, run again, keeps what was finished.
        **options: Its keyword arguments.

    Returns:
        The command's own exit code, 1 after such an error, 130 after Ctrl-C, 143 after
        SIGTERM, see `termination`. Other exceptions are defects and keep their
        traceback.
    """
    then = "goes on with what is missing" if resumes else "begins anew"
    stopped = f"Stopped. The same command {then}."
    try:
        with termination.leaving_on_sigterm(stopped):
            return command(*args, **options)
    except KeyboardInterrupt as error:
        print(f"\n{stopped}", file=sys.stderr)
        is_terminated = isinstance(error, termination.Terminated)
        return EXIT_TERMINATED if is_terminated else EXIT_INTERRUPTED
    except BrokenPipeError:
        # Who reads the output has had enough, such as `head`; Python would fail once
        # more when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_ERROR
    except (
        errors.StudyFolderError,
        errors.WorkersKilledError,
        errors.ClusterError,
        errors.DeviceMemoryError,
        errors.NonFiniteLossError,
    ) as error:
        print(f"Error: {error}", file=sys.stderr)
    except ValueError as error:
        if not _is_ours(error):
            raise
        print(f"Error: {error}", file=sys.stderr)
    except OSError as error:
        print(f"Error: {_explain(error)}", file=sys.stderr)
    return EXIT_ERROR


def _is_ours(error: Exception) -> bool:
    """Whether this package raised the error itself, knowing what it says."""
    frames = traceback.extract_tb(error.__traceback__)
    package = pathlib.Path(keras_confusion.__file__).parent
    return pathlib.Path(frames[-1].filename).is_relative_to(package)


def _explain(error: OSError) -> str:
    """Says what a user can do about an error of the file system."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return (
            f"No room to write {error.filename or 'a file'} ({error.strerror}). "
            "Nothing is half-written; make room and run the same command again."
        )
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return (
            f"No permission to write {error.filename or 'a file'} ({error.strerror}). "
            "Use another --out, or a copy of the folder that can be written."
        )
    return str(error)
