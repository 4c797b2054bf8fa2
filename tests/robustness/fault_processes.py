"""Other processes, signals and folders that cannot be written."""

import os
import pathlib
import shutil
import signal
import subprocess
import time
from collections.abc import Callable

from keras_confusion.cli import exit_codes
from tests.robustness import fault_disks, fault_studies
from tests.robustness.fault_studies import Expectations, Study, Trial

SECONDS_TO_LEAVE = 10


def all_processes(
    study: Study, undisturbed: pathlib.Path, directory: pathlib.Path
) -> list[Trial]:
    """A second process, SIGTERM in every phase, and a read-only folder.

    Args:
        study: The study.
        undisturbed: Its folder when nothing befalls it.
        directory: An empty folder.
    """
    return [
        second_process(study, undisturbed, directory / "second"),
        *(
            terminate(
                study,
                undisturbed,
                directory / f"{'all' if to_all else 'parent'}_{phase}",
                to_all=to_all,
                after=after,
            )
            for to_all in (False, True)
            for phase, after in enumerate((0, 1, 2))
        ),
        *read_only(study, undisturbed, directory / "read_only"),
    ]


def second_process(
    study: Study, undisturbed: pathlib.Path, directory: pathlib.Path
) -> Trial:
    """Starts a study twice in the same folder."""
    outcome = Expectations()
    first = fault_studies.start(study.command(directory))
    try:
        _wait_for_work(study, directory, first, 0)
        second = study.run(directory)
        outcome.expect_error(
            second, "Another process is writing", f"process {first.pid} on "
        )
        first.wait(fault_studies.SECONDS_TO_WAIT)
        outcome.expect(first.returncode == 0, f"the first ended with {first}")
    finally:
        fault_studies.stop(first)
    lost, differences = study.outcome(directory, undisturbed)
    return Trial(
        f"a second process in the folder, {study.name}",
        lost=lost,
        redone="nothing",
        failures=(*outcome.failures, *differences),
    )


def terminate(
    study: Study,
    undisturbed: pathlib.Path,
    directory: pathlib.Path,
    *,
    to_all: bool,
    after: int,
) -> Trial:
    """Sends SIGTERM in the middle of a study, and resumes it.

    Args:
        study: The study.
        undisturbed: Its folder when nothing befalls it.
        directory: A folder that is not there yet.
        to_all: Whether every process of the study gets it, as from Slurm, or the
            parent alone, as from Kubernetes.
        after: How many networks or parts are finished before; 0 for one that has just
            opened its folder.
    """
    outcome = Expectations()
    process = fault_studies.start(
        study.command(directory), stderr=subprocess.PIPE, text=True
    )
    try:
        _wait_for_work(study, directory, process, after)
        workers = fault_studies.workers_of(process)
        seconds, told = _terminate(process, to_all=to_all)
    finally:
        fault_studies.stop(process)
    _expect_clean(outcome, process, seconds, told)
    outcome.expect(
        fault_studies.wait_until(
            lambda: not any(map(fault_studies.is_running, workers)), 5
        ),
        "workers are left",
    )
    done = study.run(directory)
    outcome.expect(not done.returncode, f"then: {done.stderr[-300:]}")
    lost, differences = study.outcome(directory, undisturbed)
    whom = "to every process" if to_all else "to the parent alone"
    if not study.is_confusion:
        whom = "to the process group" if to_all else "to the process"
    return Trial(
        f"SIGTERM {whom}, {study.name}",
        lost=lost,
        redone="the work in flight",
        failures=(*outcome.failures, *differences),
    )


def terminate_command(
    name: str, command: list[str], is_ready: Callable[[], object], *, delay: float = 0
) -> Trial:
    """Sends SIGTERM to another script while it works.

    Args:
        name: Of the script, for tables.
        command: Its command line.
        is_ready: When it may be sent.
        delay: Seconds after that.
    """
    outcome = Expectations()
    process = fault_studies.start(command, stderr=subprocess.PIPE, text=True)
    try:
        fault_studies.wait_until(lambda: is_ready() or process.poll() is not None)
        time.sleep(delay)
        seconds, told = _terminate(process, to_all=False)
    finally:
        fault_studies.stop(process)
    _expect_clean(outcome, process, seconds, told)
    return Trial(
        f"SIGTERM to {name}",
        redone="all of it",
        failures=tuple(outcome.failures),
    )


def _terminate(process: subprocess.Popen, *, to_all: bool) -> tuple[float, str]:
    """Seconds until it has left, and what it said."""
    begun = time.monotonic()
    if to_all:
        os.killpg(process.pid, signal.SIGTERM)
    else:
        process.send_signal(signal.SIGTERM)
    try:
        _, told = process.communicate(timeout=3 * SECONDS_TO_LEAVE)
    except subprocess.TimeoutExpired:
        return float("inf"), ""
    return time.monotonic() - begun, told


def _expect_clean(outcome: Expectations, process, seconds: float, told: str) -> None:
    outcome.expect(
        seconds <= SECONDS_TO_LEAVE, f"{seconds:.1f} s until it had left: {told[-300:]}"
    )
    outcome.expect(
        process.returncode == exit_codes.EXIT_TERMINATED,
        f"exit code {process.returncode}: {told[-300:]}",
    )
    outcome.expect("Stopped. The same command" in told, f"told: {told[-300:]}")
    outcome.expect("Traceback" not in told, f"a traceback: {told[-600:]}")


def _wait_for_work(study: Study, directory, process, number: int) -> None:
    fault_studies.wait_until(
        lambda: (
            process.poll() is not None
            or (
                study.progress(directory) >= number
                and (directory / "study.json").exists()
            )
        )
    )


def read_only(
    study: Study, undisturbed: pathlib.Path, directory: pathlib.Path
) -> list[Trial]:
    """Begins, takes up and analyses a study in a folder that cannot be written."""
    directory.mkdir()
    finished, half = directory / "finished", directory / "half"
    for folder in (finished, half):
        shutil.copytree(undisturbed, folder)
    for path in sorted(half.glob("networks/*.parquet"))[::2]:
        path.unlink()
    for path in sorted(half.glob("prototypes.zarr/finished/c/2/*")):
        path.unlink()
    analysis = fault_studies.script("analyse_study.py", finished)
    commands = {
        "begun": study.command(directory / "new"),
        "resumed": study.command(half),
        "analysed": analysis,
    }
    trials = []
    for what, command in commands.items():
        outcome = Expectations()
        with fault_disks.read_only(directory):
            done = fault_studies.run(command)
        outcome.expect_error(done, "No permission to write", str(directory))
        trials.append(
            Trial(
                f"{what} in a read-only folder, {study.name}",
                redone="nothing",
                failures=tuple(outcome.failures),
            )
        )
    done = study.run(half)
    lost, differences = study.outcome(half, undisturbed)
    if done.returncode:
        differences.append(f"then: {done.stderr[-300:]}")
    trials[1] = Trial(
        trials[1].fault,
        lost=lost,
        redone="nothing",
        failures=(*trials[1].failures, *differences),
    )
    return trials
