"""kill -9 at random moments, many times in a row."""

import pathlib
import signal
import subprocess

import numpy as np

from tests.robustness import fault_studies
from tests.robustness.fault_studies import Expectations, Study, Trial

# A study is left alone this long at most before it is killed, seconds: about what it
# takes to start.
LONGEST_START = 12
# And so long at most after something was finished.
LONGEST_WORK = 2


def kill_parent(
    study: Study,
    undisturbed: pathlib.Path,
    directory: pathlib.Path,
    *,
    rounds: int,
    seed: int,
) -> list[Trial]:
    """Kills a study `rounds` times in a row, each time after it was resumed.

    Half of the kills come at any moment from the start of the process on, half at any
    moment after it finished something. A study that ends before is followed by another
    one in a new folder; all of them must equal the undisturbed one.

    Args:
        study: The study.
        undisturbed: Its folder when nothing befalls it.
        directory: An empty folder.
        rounds: Kills.
        seed: Of the moments.
    """
    rng = np.random.default_rng(seed)
    fault = f"kill -9 of the {study.name}"
    if study.is_confusion:
        fault = f"kill -9 of the parent, {study.name}"
    trials: list[Trial] = []
    folder, num_folders, kills = directory / "0", 1, 0
    while len(trials) < rounds:
        before = study.progress(folder)
        process = fault_studies.start(study.command(folder))
        if kills % 2:
            fault_studies.wait_until(
                lambda before=before, process=process, folder=folder: (
                    study.progress(folder) > before or process.poll() is not None
                )
            )
            patience = rng.uniform(0, LONGEST_WORK)
        else:
            patience = rng.uniform(0, LONGEST_START)
        kills += 1
        try:
            process.wait(patience)
        except subprocess.TimeoutExpired:
            workers = fault_studies.workers_of(process)
            process.kill()
            process.wait()
            outcome = Expectations()
            outcome.expect(
                fault_studies.wait_until(
                    lambda workers=workers: (
                        not any(map(fault_studies.is_running, workers))
                    ),
                    15,
                ),
                "workers outlive their parent",
            )
            trials.append(Trial(fault, failures=tuple(outcome.failures)))
            continue
        finally:
            fault_studies.stop(process)
        # It was faster than the moment.
        trials = _ended(study, folder, undisturbed, process.returncode, trials)
        folder, num_folders = directory / str(num_folders), num_folders + 1
    done = study.run(folder)
    return _ended(study, folder, undisturbed, done.returncode, trials)


def kill_worker(
    study: Study,
    undisturbed: pathlib.Path,
    directory: pathlib.Path,
    *,
    rounds: int,
    seed: int,
) -> list[Trial]:
    """Kills one of the workers of a confusion study, again and again.

    Each time after a network was finished, as three deaths without any are taken for a
    lack of memory and end the study. Arguments as for `kill_parent`.
    """
    rng = np.random.default_rng(seed)
    fault = f"kill -9 of a worker, {study.name}"
    trials: list[Trial] = []
    folder, num_folders = directory / "0", 0
    while len(trials) < rounds:
        folder, num_folders = directory / str(num_folders), num_folders + 1
        process = fault_studies.start(study.command(folder), stderr=subprocess.PIPE)
        this_study = 0
        while len(trials) + this_study < rounds and process.poll() is None:
            before = study.progress(folder)
            fault_studies.wait_until(
                lambda before=before, process=process, folder=folder: (
                    study.progress(folder) > before or process.poll() is not None
                )
            )
            try:
                process.wait(rng.uniform(0, LONGEST_WORK))
            except subprocess.TimeoutExpired:
                workers = [
                    worker
                    for worker in fault_studies.workers_of(process)
                    if fault_studies.is_running(worker)
                ]
                if workers:
                    rng.choice(np.array(workers, object)).send_signal(signal.SIGKILL)
                    this_study += 1
        try:
            told = process.communicate(timeout=fault_studies.SECONDS_TO_WAIT)[1]
        finally:
            fault_studies.stop(process)
        outcome = Expectations()
        if this_study:
            outcome.expect(b"worker process was killed" in told, "it was not told")
        trials += [Trial(fault)] * this_study
        if this_study and outcome.failures:
            trials[-1] = Trial(fault, failures=tuple(outcome.failures))
        trials = _ended(study, folder, undisturbed, process.returncode, trials)
    return trials


def _ended(study, folder, undisturbed, code, trials: list[Trial]) -> list[Trial]:
    """What became of a study is the outcome of the last of its kills."""
    if not trials:
        return trials
    failures = list(trials[-1].failures)
    if code:
        failures.append(f"exit code {code} at the end")
    lost, differences = study.outcome(folder, undisturbed)
    last = Trial(
        trials[-1].fault,
        lost=lost,
        redone="the work in flight",
        failures=(*failures, *differences),
    )
    return [*trials[:-1], last]
