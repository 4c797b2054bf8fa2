"""Real TensorBoard processes for tests."""

import contextlib
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

SECONDS_TO_START = 120


class TensorBoard:
    """A TensorBoard process over a log directory, on a free port.

    Args:
        logdir: The log directory.
        *options: Of the command line.
        python: The interpreter that has TensorBoard.
    """

    def __init__(self, logdir, *options: str, python=sys.executable):
        self._lines: list[str] = []
        self._process = subprocess.Popen(
            [
                *(python, "-m", "tensorboard.main", "--logdir", str(logdir)),
                *("--port", "0", "--reload_interval", "1", *options),
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            # In a checkout Python would find what an old build says of the package.
            cwd=logdir,
            env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
        )
        # A pipe that nobody reads fills, and stops TensorBoard.
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        for line in self._process.stderr:
            self._lines.append(line)

    @property
    def pid(self) -> int:
        """Number of the process."""
        return self._process.pid

    @property
    def log(self) -> str:
        """What it wrote so far."""
        return "".join(self._lines[:])

    def wait(self) -> str:
        """Waits until it answers; its address, such as "http://localhost:6006/"."""
        deadline = time.monotonic() + SECONDS_TO_START
        while self._process.poll() is None and time.monotonic() < deadline:
            if found := re.search(r"http://localhost:\S+", self.log):
                return found.group()
            time.sleep(0.05)
        raise RuntimeError(f"TensorBoard did not start:\n{self.log}")

    def stop(self) -> None:
        """Ends it."""
        self._process.kill()
        self._process.wait()
        self._reader.join()
        self._process.stderr.close()


@contextlib.contextmanager
def tensorboard(logdir, *options: str, python=sys.executable) -> Iterator[str]:
    """Runs a TensorBoard, see `TensorBoard`; yields its address."""
    process = TensorBoard(logdir, *options, python=python)
    try:
        yield process.wait()
    finally:
        process.stop()
