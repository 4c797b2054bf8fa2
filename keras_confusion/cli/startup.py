"""The first moments of a command, before anything that takes time to import.

`exit_codes` takes over when the work begins.
"""

import io
import os
import signal
import sys
from typing import Any

_MESSAGE = b"\nStopped before it began.\n"


def prepare() -> None:
    """Settles how Ctrl-C ends this process, and where its words go.

    Ctrl-C ends it with one line and exit code 130. Python's own handler would raise an
    exception in the middle of an import: a traceback, or whatever the import makes of
    it. Messages that nobody can receive are lost, and never cost a result.
    """
    _open_standard_streams()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # What a terminal's encoding lacks, such as an arrow, is a question mark.
            stream.reconfigure(errors="replace")
    sys.stderr = _Messages(sys.stderr)

    def end(number, frame) -> None:
        os.write(2, _MESSAGE)
        os._exit(128 + number)

    # Where it is ignored, as in a shell's background job, it stays so.
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, end)


def _open_standard_streams() -> None:
    """Opens those to nowhere that were closed: other files would take their numbers."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            # The lowest number that is free, as those below are open by now.
            number = os.open(os.devnull, os.O_RDWR)
            stream = open(number, mode, closefd=False)  # noqa: SIM115
            setattr(sys, name, stream)


class _Messages(io.TextIOBase):
    """Standard error that may be full, or of a terminal that is gone."""

    def __init__(self, stream: Any):
        self._stream = stream

    def write(self, text: str) -> int:
        """Writes what can be written; there is nobody to tell of the rest."""
        try:
            return self._stream.write(text)
        except OSError:
            return len(text)

    def flush(self) -> None:
        """Brings out what can be brought out."""
        try:
            self._stream.flush()
        except OSError:
            return

    def isatty(self) -> bool:
        """Whether it is a terminal."""
        return self._stream.isatty()

    def fileno(self) -> int:
        """Number of the file."""
        return self._stream.fileno()
