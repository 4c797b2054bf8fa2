"""Ctrl-C while a script starts, which takes seconds of imports: one line, and 130.

Imports nothing that takes time; `exit_codes` takes over when the work begins.
"""

import os
import signal

_MESSAGE = b"\nStopped before it began.\n"


def end_on_ctrl_c() -> None:
    """Has Ctrl-C end this process from now on, with one line and exit code 130.

    Python's own handler would raise an exception in the middle of an import: a
    traceback, or whatever the import makes of it.
    """

    def end(number, frame) -> None:
        os.write(2, _MESSAGE)
        os._exit(128 + number)

    # Where it is ignored, as in a shell's background job, it stays so.
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, end)
