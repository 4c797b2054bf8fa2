"""A progress bar on a terminal, a line now and then elsewhere."""

import sys
import time
from typing import TextIO

import tqdm

SECONDS_BETWEEN_LINES = 10.0


class Progress:
    """Counts finished networks, with rate and time left.

    Args:
        total: How many there are in all.
        done: How many are done already; they do not count for the rate.
        unit: What is counted, in the plural.
        stream: Where to write; standard error by default, as it is not a result.
    """

    def __init__(
        self, total: int, *, done: int, unit: str, stream: TextIO | None = None
    ):
        self._stream = sys.stderr if stream is None else stream
        self._total = total
        self._initial = self._done = done
        self._format = (
            "{percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt} "
            + unit
            + "{postfix} [{elapsed} elapsed, {remaining} left]"
        )
        self._start = self._last_line = time.monotonic()
        self._bar = None
        if self._stream.isatty():
            self._bar = tqdm.tqdm(
                total=total,
                initial=done,
                bar_format=self._format,
                file=self._stream,
                dynamic_ncols=True,
                # The rate since the start: workers finish in bursts.
                smoothing=0,
            )

    def show(self, done: int) -> None:
        """Shows that so many are done by now."""
        self._done = done
        if self._bar is not None:
            self._bar.set_postfix_str(self._rate(), refresh=False)
            self._bar.update(done - self._bar.n)
        elif (
            done == self._total
            or time.monotonic() - self._last_line >= SECONDS_BETWEEN_LINES
        ):
            self._last_line = time.monotonic()
            self._write_line()

    def note(self, message: str) -> None:
        """Writes a message without breaking the bar."""
        if self._bar is not None:
            self._bar.write(message, file=self._stream)
        else:
            print(message, file=self._stream, flush=True)

    def close(self) -> None:
        """Leaves the bar as it stands and goes to the next line."""
        if self._bar is not None:
            self._bar.close()

    def _rate(self) -> str:
        minutes = (time.monotonic() - self._start) / 60
        return f"{(self._done - self._initial) / minutes:.1f} a minute"

    def _write_line(self) -> None:
        line = tqdm.tqdm.format_meter(
            self._done,
            self._total,
            self._last_line - self._start,
            initial=self._initial,
            postfix=self._rate(),
            bar_format=self._format.replace("|{bar}|", ""),
        )
        print(line, file=self._stream, flush=True)
