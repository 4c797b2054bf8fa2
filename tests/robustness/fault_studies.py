"""Small studies to do damage to, and whether they came out as the undisturbed ones.

A fault is survived when its message is clear, nothing was believed that was half there,
and the same command ends with the results of the study that nothing befell: every row
there once and the same in every column but those of time, every array and every network
the same bit for bit.
"""

import contextlib
import dataclasses
import json
import os
import pathlib
import subprocess
import sys
import time
from collections.abc import Callable

import numpy as np
import pandas as pd
import psutil

from benchmarks.timing import ROOT
from keras_confusion.confusion import store as confusion_store
from keras_confusion.errors import StudyFolderError
from keras_confusion.prototypes import store as prototype_store

SECONDS_TO_WAIT = 300
_OF_TIME = ["seconds", "finished_at"]


@dataclasses.dataclass(frozen=True)
class Trial:
    """A fault that was tried once.

    Args:
        fault: What was done.
        lost: Rows, or parts, of the undisturbed study that are not there at the end.
        redone: What was done again because of the fault, in words.
        failures: What should have been, and was not.
    """

    fault: str
    lost: int = 0
    redone: str = ""
    failures: tuple[str, ...] = ()


class Expectations:
    """Collects what should have been, and was not."""

    def __init__(self) -> None:
        self.failures: list[str] = []

    def expect(self, is_so, text: str) -> None:
        """Notes a text where something is not as it should be."""
        if not is_so:
            self.failures.append(text)

    def expect_error(
        self, done: subprocess.CompletedProcess, *words: str, code: int = 1
    ) -> None:
        """An exit code, a message with words in it, and no traceback."""
        told = done.stderr[-400:].replace("\n", " ")
        self.expect(
            done.returncode == code, f"exit code {done.returncode}, not {code}: {told}"
        )
        self.expect("Traceback" not in done.stderr, f"a traceback: {told}")
        for word in words:
            self.expect(word in done.stderr, f"no {word!r} in: {told}")


@dataclasses.dataclass(frozen=True)
class Study:
    """A study that a script runs.

    Args:
        name: What it is called in tables.
        script: Name of the script.
        options: Of its command line.
    """

    name: str
    script: str
    options: tuple[str, ...]

    @property
    def is_confusion(self) -> bool:
        """Whether it is a confusion study; a prototype study if not."""
        return self.script == "run_confusion_study.py"

    def command(self, directory: pathlib.Path) -> list[str]:
        """Its command line."""
        return script(self.script, *self.options, "--out", directory)

    def run(self, directory: pathlib.Path, **options) -> subprocess.CompletedProcess:
        """Runs it, or what is missing of it."""
        return run(self.command(directory), **options)

    def undisturbed(self, directory: pathlib.Path) -> pathlib.Path:
        """Runs all of it."""
        done = self.run(directory)
        if done.returncode:
            raise RuntimeError(f"{self.name} failed:\n{done.stderr}")
        return directory

    def progress(self, directory: pathlib.Path) -> int:
        """Networks, or parts, that are there. Fast, and while it is running."""
        if self.is_confusion:
            return len(list(directory.glob("networks/*.parquet")))
        store = directory / prototype_store.STORE
        return len(list(store.glob("finished/c/*/*")))

    def difference(
        self, directory: pathlib.Path, undisturbed: pathlib.Path
    ) -> tuple[int, list[str]]:
        """How many rows or parts are lost, and every other difference in words.

        Raises:
            StudyFolderError: If something is damaged.
        """
        if self.is_confusion:
            return _networks_difference(directory, undisturbed)
        return _prototypes_difference(directory, undisturbed)

    def outcome(
        self, directory: pathlib.Path, undisturbed: pathlib.Path
    ) -> tuple[int, list[str]]:
        """The same; what is damaged is a difference, with everything lost."""
        try:
            return self.difference(directory, undisturbed)
        except (StudyFolderError, OSError) as error:
            return self.progress(undisturbed), [f"in the end: {error}"]


def confusion_study(repeats: int, *, workers: int = 2) -> Study:
    """Two pairs and the baseline, on the digits."""
    count = str(repeats)
    return Study(
        f"confusion study, {workers} worker{'s' if workers > 1 else ''}",
        "run_confusion_study.py",
        (
            *("--pairs", "3-8", "4-9", "--repeats", count),
            *("--baseline-repeats", count, "--epochs", "1", "--workers", str(workers)),
        ),
    )


def prototype_study(inits: int, *, interval_of: str = "data") -> Study:
    """The poster's CNN at three intervals, on the digits."""
    return Study(
        "prototype study",
        "run_prototype_study.py",
        (
            *("--dataset", "digits", "--model", "cnn", "--epochs", "4"),
            *("--intervals", "40", "70", "100", "--interval-of", interval_of),
            *("--inits", str(inits), "--inits-at-a-time", "1", "--no-boundaries"),
            *("--prototype-learning-rate", "0.2", "--prototype-dtype", "float32"),
        ),
    )


def script(name: str, *arguments) -> list[str]:
    """The command line of one of the project's scripts."""
    return [sys.executable, str(ROOT / "scripts" / name), *map(str, arguments)]


def run(command: list[str], **options) -> subprocess.CompletedProcess:
    """Runs a command to its end, at the latest after `SECONDS_TO_WAIT`."""
    return subprocess.run(
        command,
        **{
            "capture_output": True,
            "text": True,
            "check": False,
            "timeout": SECONDS_TO_WAIT,
            "cwd": ROOT,
            **options,
        },
    )


def start(command: list[str], **options) -> subprocess.Popen:
    """Starts a command in a process group of its own."""
    return subprocess.Popen(
        command,
        **{
            "stdout": subprocess.DEVNULL,
            "stderr": subprocess.DEVNULL,
            "start_new_session": True,
            "cwd": ROOT,
            **options,
        },
    )


def wait_until(is_so: Callable[[], object], seconds: float = SECONDS_TO_WAIT) -> bool:
    """Waits for something; whether it came in time."""
    deadline = time.monotonic() + seconds
    while not is_so():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def workers_of(process: subprocess.Popen) -> list[psutil.Process]:
    """The worker processes of a study."""
    try:
        children = psutil.Process(process.pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []
    return [child for child in children if "loky" in _command_of(child)]


def _command_of(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""


def is_running(process: psutil.Process) -> bool:
    """Whether a process is there and not only waiting for its parent to look."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def stop(process: subprocess.Popen) -> None:
    """Ends a process of `start` and its children, whatever state they are in."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, 9)
    process.wait()


def modified(paths) -> dict[pathlib.Path, int]:
    """When files were written, by their paths, in nanoseconds."""
    return {path: path.stat().st_mtime_ns for path in paths}


def _networks_difference(directory, undisturbed) -> tuple[int, list[str]]:
    networks, expected = (
        confusion_store.read_networks(folder).drop(columns=_OF_TIME)
        for folder in (directory, undisturbed)
    )
    keys, expected_keys = (
        pd.MultiIndex.from_frame(frame[["arm", "repeat"]])
        for frame in (networks, expected)
    )
    lost = len(expected_keys.difference(keys))
    differences = []
    if keys.has_duplicates:
        differences.append(f"{keys.duplicated().sum()} rows twice")
    try:
        pd.testing.assert_frame_equal(networks, expected)
    except AssertionError as error:
        differences.append(f"other rows: {' '.join(str(error).split())[:200]}")
    return lost, differences


def _prototypes_difference(directory, undisturbed) -> tuple[int, list[str]]:
    study, expected = map(
        prototype_store.read_prototype_study, (directory, undisturbed)
    )
    finished = study["finished"].values
    lost = int((expected["finished"].values & ~finished).sum())
    differences = [
        f"other values in {name}"
        for name in set(expected) - {"seconds"}
        if not np.array_equal(
            study[name].values,
            expected[name].values,
            equal_nan=expected[name].dtype.kind == "f",
        )
    ]
    for folder in sorted((undisturbed / "models").iterdir()):
        digests = [
            json.loads((models / folder.name / "model.json").read_text())[
                "weights_sha256"
            ]
            for models in (directory / "models", undisturbed / "models")
        ]
        if digests[0] != digests[1]:
            differences.append(f"another network at {folder.name} %")
    return lost, differences
