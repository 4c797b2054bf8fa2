"""A progress bar on a terminal or in a notebook; elsewhere lines, or nothing."""

import sys
import warnings
from typing import Literal, TextIO

import tqdm

with warnings.catch_warnings():
    # In a notebook without ipywidgets the bar is drawn with letters, as on a terminal.
    warnings.simplefilter("ignore", category=tqdm.TqdmWarning)
    import tqdm.auto

SECONDS_BETWEEN_LINES = 10.0
# As Keras' own `verbose`; "auto" is 1 where somebody looks, and 0 elsewhere.
Verbose = Literal["auto", 0, 1]
VERBOSE: tuple[Verbose, ...] = ("auto", 0, 1)


def check_verbose(verbose: Verbose) -> None:
    """Raises `ValueError` for what is not one of `VERBOSE`."""
    if verbose not in VERBOSE:
        raise ValueError(
            f"Expected `verbose` to be one of {VERBOSE}. Received: {verbose!r}."
        )


def _in_notebook() -> bool:
    """Whether what is written comes to a cell of a notebook; tqdm asks the same."""
    return "ipykernel.zmqshell" in sys.modules


class Progress:
    """Counts finished networks, with rate and time left.

    Args:
        total: How many there are in all.
        done: How many are done already; they do not count for the rate.
        unit: What is counted, in the plural.
        verbose: 1 always shows how far it is, 0 only notes; "auto" is 1 on a terminal
            and in a notebook, and 0 elsewhere.
        stream: Where to write; standard error by default, as it is not a result.
    """

    def __init__(
        self,
        total: int,
        *,
        done: int,
        unit: str,
        verbose: Verbose = 1,
        stream: TextIO | None = None,
    ):
        self._stream = sys.stderr if stream is None else stream
        counts = " {n_fmt}/{total_fmt} " + unit + "{postfix}"
        counts += " [{elapsed} elapsed, {remaining} left]"
        options = {
            "total": total,
            "initial": done,
            "file": self._stream,
            # The rate since the start: workers finish in bursts.
            "smoothing": 0,
            "miniters": 1,
        }
        is_watched = self._stream.isatty() or _in_notebook()
        if verbose == 0 or (verbose == "auto" and not is_watched):
            self._bar = tqdm.tqdm(**options, disable=True)
        elif is_watched:
            form = "{percentage:3.0f}%|{bar}|" + counts
            self._bar = tqdm.auto.tqdm(**options, bar_format=form, dynamic_ncols=True)
        else:
            self._bar = _Lines(**options, bar_format="{percentage:3.0f}%" + counts)

    def show(self, done: int) -> None:
        """Shows that so many are done by now."""
        minutes = self._bar.format_dict["elapsed"] / 60
        if minutes > 0:
            rate = (done - self._bar.initial) / minutes
            self._bar.set_postfix_str(f"{rate:.1f} a minute", refresh=False)
        self._bar.update(done - self._bar.n)

    def note(self, message: str) -> None:
        """Writes a message without breaking the bar."""
        self._bar.write(message, file=self._stream)

    def close(self) -> None:
        """Leaves the bar as it stands and goes to the next line."""
        self._bar.close()


class _Lines(tqdm.tqdm):
    """Lines in place of a bar, where nothing can be written over."""

    # No thread that looks after bars.
    monitor_interval = 0
    last_print_n: int

    def __init__(self, **options):
        seconds = SECONDS_BETWEEN_LINES
        super().__init__(**options, mininterval=seconds, delay=seconds)

    @staticmethod
    def status_printer(file):
        """How tqdm writes."""
        return lambda line: print(line, file=file, flush=True)

    @classmethod
    def write(cls, s, file=None, end="\n", nolock=False):
        """A line of its own."""
        print(s, file=file, end=end, flush=True)

    def close(self):
        """Writes what came after the last line."""
        if self.n > self.last_print_n:
            self.last_print_n = self.n
            self.refresh()
