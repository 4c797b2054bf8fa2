"""How the commands end: exit codes, signals, and errors as messages.

A terminal sends SIGINT on Ctrl-C, clusters and containers SIGTERM before they kill. The
handler of a signal runs in Python's main thread, which may be inside an operation of
TensorFlow for as long as that takes, or in an import that makes another error of it. So
a thread looks on, woken by the signal itself, and ends the process where the main
thread has not within some seconds. Files are written under temporary names: nothing is
lost but the work in flight.
"""

import contextlib
import errno
import logging
import os
import pathlib
import shutil
import signal
import socket
import sys
import tempfile
import threading
import traceback
from collections.abc import Callable, Iterator

import keras_confusion
from keras_confusion import errors

EXIT_OK = 0
EXIT_ERROR = 1
EXIT_INTERRUPTED = 128 + signal.SIGINT
EXIT_TERMINATED = 128 + signal.SIGTERM
_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_SHARED_MEMORY = "/dev/shm"
_LITTLE_BYTES = 1_000_000
# Slurm leaves 30 s between SIGTERM and SIGKILL, Kubernetes the same, Docker 10 s.
SECONDS_TO_LEAVE = 6


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
        SIGTERM. Other exceptions are defects and keep their
        traceback.
    """
    show_warnings()
    then = "goes on with what is missing" if resumes else "begins again"
    stopped = f"Stopped. The same command {then}."
    try:
        with leaving_on_signals(stopped):
            return command(*args, **options)
    except KeyboardInterrupt as error:
        print(f"\n{stopped}", file=sys.stderr)
        return error.exit_code if isinstance(error, Stopped) else EXIT_INTERRUPTED
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


def show_warnings() -> None:
    """Has warnings of the package go to stderr as they are, whoever else logs."""
    log = logging.getLogger(keras_confusion.__name__)
    log.addHandler(logging.lastResort or logging.NullHandler())
    log.propagate = False


def _is_ours(error: Exception) -> bool:
    """Whether this package raised the error itself, knowing what it says."""
    frames = traceback.extract_tb(error.__traceback__)
    package = pathlib.Path(keras_confusion.__file__).parent
    return pathlib.Path(frames[-1].filename).is_relative_to(package)


def _explain(error: OSError) -> str:
    """Says what a user can do about an error of the file system."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return (
            f"No room to write {error.filename or _full_place()} ({error.strerror}). "
            "Nothing is half-written; make room and run the same command again."
        )
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return (
            f"No permission to write {error.filename or 'a file'} ({error.strerror}). "
            "Use another --out, or a copy of the folder that can be written."
        )
    return str(error)


def _full_place() -> str:
    """Where a file may have been that an error does not name."""
    places = [_SHARED_MEMORY, tempfile.gettempdir(), os.getcwd()]
    full = [
        place
        for place in places
        if os.path.isdir(place) and shutil.disk_usage(place).free < _LITTLE_BYTES
    ]
    if _SHARED_MEMORY in full:
        return (
            f"to {_SHARED_MEMORY}, which worker processes need (--workers 1 does not)"
        )
    return f"to {full[0]}" if full else "a file"


class Stopped(KeyboardInterrupt):
    """A signal has come; whoever cleans up after Ctrl-C does so after any.

    Args:
        number: Of the signal.
    """

    def __init__(self, number: int):
        super().__init__()
        self.exit_code = 128 + number


@contextlib.contextmanager
def leaving_on_signals(message: str) -> Iterator[None]:
    """Raises `Stopped` in this block on SIGINT and SIGTERM, and has it left.

    Once a signal came, the process ends with 128 and its number within
    `SECONDS_TO_LEAVE`, also where it has left the block and does not end by itself; at
    once where SIGINT comes again. Does nothing outside of the main thread, which alone
    handles signals, and nothing about a signal that is ignored.

    Args:
        message: What to say on standard error of a process that is ended hard.
    """
    in_main_thread = threading.current_thread() is threading.main_thread()
    handled = [
        number for number in _SIGNALS if signal.getsignal(number) is not signal.SIG_IGN
    ]
    if not in_main_thread or not handled:
        yield
        return
    woken, waker = socket.socketpair()
    waker.setblocking(False)
    is_left = threading.Event()
    came: list[int] = []

    def watch() -> None:
        # A byte for each signal that Python handles: its number.
        while (number := woken.recv(1)[0]) not in handled:
            if number == 0:
                return
        if not is_left.wait(SECONDS_TO_LEAVE):
            _end_hard(message, number)
        # Threads, workers and libraries have their say when a process ends.
        threading.Event().wait(SECONDS_TO_LEAVE / 2)
        _end_hard("", number)

    def stop(number, frame) -> None:
        # Whoever sends it again would interrupt the clean-up; but who presses Ctrl-C
        # again does not want to wait for it.
        for other in handled:
            signal.signal(other, signal.SIG_IGN)
        if number == signal.SIGINT:
            signal.signal(number, lambda number, frame: _end_hard(message, number))
        came.append(number)
        raise Stopped(number)

    watcher = threading.Thread(target=watch, daemon=True, name="signals")
    former = {number: signal.signal(number, stop) for number in handled}
    former_waker = signal.set_wakeup_fd(waker.fileno(), warn_on_full_buffer=False)
    watcher.start()
    try:
        yield
    except BaseException as error:
        # Whatever else went wrong on the way out, or made of it.
        if came and not isinstance(error, Stopped):
            raise Stopped(came[0]) from error
        raise
    finally:
        is_left.set()
        signal.set_wakeup_fd(former_waker)
        if not came:
            for number, handler in former.items():
                signal.signal(number, handler)
            waker.send(b"\0")
            watcher.join()
            woken.close()
        waker.close()
    if came:
        raise Stopped(came[0])


def _end_hard(message: str, number: int) -> None:
    if message:
        with contextlib.suppress(OSError):
            os.write(sys.stderr.fileno(), f"\n{message}\n".encode())
    os._exit(128 + number)
