"""SIGTERM, as clusters and containers send it before they kill: leave cleanly, soon.

The handler of a signal runs in Python's main thread, which may be inside an operation
of TensorFlow for as long as that takes. So a thread looks on, woken by the signal
itself, and ends the process where the main thread has not within some seconds. Files
are written under temporary names: nothing is lost but the work in flight.
"""

import contextlib
import os
import signal
import socket
import sys
import threading
from collections.abc import Iterator

EXIT_TERMINATED = 128 + signal.SIGTERM
# Slurm leaves 30 s between SIGTERM and SIGKILL, Kubernetes the same, Docker 10 s.
SECONDS_TO_LEAVE = 6


class Terminated(KeyboardInterrupt):
    """SIGTERM has come; whoever cleans up after Ctrl-C does so after it as well."""


@contextlib.contextmanager
def leaving_on_sigterm(message: str) -> Iterator[None]:
    """Raises `Terminated` in this block on SIGTERM, and sees to it that it is left.

    Once the signal came, the process ends with `EXIT_TERMINATED` within
    `SECONDS_TO_LEAVE`, also where it has left the block and does not end by itself.
    Does nothing outside of the main thread, which alone handles signals, and where
    SIGTERM is ignored.

    Args:
        message: What to say on standard error of a process that is ended hard.
    """
    in_main_thread = threading.current_thread() is threading.main_thread()
    if not in_main_thread or signal.getsignal(signal.SIGTERM) is signal.SIG_IGN:
        yield
        return
    woken, waker = socket.socketpair()
    waker.setblocking(False)
    has_come, is_left = threading.Event(), threading.Event()

    def watch() -> None:
        # A byte for each signal that Python handles: its number.
        while (number := woken.recv(1)[0]) != signal.SIGTERM:
            if number == 0:
                return
        woken.close()
        if not is_left.wait(SECONDS_TO_LEAVE):
            _end_hard(message)
        # Threads, workers and libraries have their say when a process ends.
        threading.Event().wait(SECONDS_TO_LEAVE / 2)
        _end_hard("")

    def terminate(number, frame) -> None:
        # Whoever sends it again would interrupt the clean-up.
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        has_come.set()
        raise Terminated

    watcher = threading.Thread(target=watch, daemon=True, name="termination")
    former = signal.signal(signal.SIGTERM, terminate)
    former_waker = signal.set_wakeup_fd(waker.fileno(), warn_on_full_buffer=False)
    watcher.start()
    try:
        yield
    except BaseException as error:
        # Whatever else went wrong on the way out, or made of it.
        if has_come.is_set() and not isinstance(error, Terminated):
            raise Terminated from error
        raise
    finally:
        is_left.set()
        signal.set_wakeup_fd(former_waker)
        if not has_come.is_set():
            signal.signal(signal.SIGTERM, former)
            waker.send(b"\0")
            watcher.join()
            woken.close()
        waker.close()
    if has_come.is_set():
        raise Terminated


def _end_hard(message: str) -> None:
    if message:
        with contextlib.suppress(OSError):
            os.write(sys.stderr.fileno(), f"\n{message}\n".encode())
    os._exit(EXIT_TERMINATED)
