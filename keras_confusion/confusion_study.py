"""A confusion study: networks of every arm and repeat, trained or taken up again.

An arm is the baseline (labels untouched) or a pair of classes that are confused. Every
network is one independent shard: a worker process gets the settings and the network's
place in the plan, trains it, and writes its row. What is on disk is not trained again.
"""

import dataclasses
import functools
import os
import pathlib
import signal
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence

import joblib
from joblib.externals.loky.process_executor import TerminatedWorkerError

from keras_confusion import (
    results,
    runtime,
    study_folder,
    study_networks,
    study_plan,
)
from keras_confusion.progress import Progress
from keras_confusion.study_plan import Network, StudyPlan
from keras_confusion.study_settings import StudySettings, check_settings

# Modules that import TensorFlow are imported in the functions that need them: a worker
# process reads this module before it has started TensorFlow.

# Crashed workers (out of memory, killed) in a row without a finished network.
MAX_CRASHES = 3
SECONDS_BETWEEN_LOOKS = 0.5


class WorkersKilledError(RuntimeError):
    """Worker processes die again and again; the message says what to try."""


@dataclasses.dataclass(frozen=True)
class StudySummary:
    """What `run_confusion_study` did.

    Args:
        directory: The study's folder.
        num_trained: Networks trained by this call.
        num_networks: Networks of the whole study.
        failed: Notes of networks that have no result, after a second attempt.
        retried: Notes of networks that needed a second attempt.
        seconds: Time of this call's training.
    """

    directory: pathlib.Path
    num_trained: int
    num_networks: int
    failed: list[str]
    retried: list[str]
    seconds: float


def run_confusion_study(
    directory,
    *,
    workers: int | None = None,
    networks_per_program: int | None = None,
    data_dir=None,
    on_network: Callable[[dict], None] | None = None,
    **settings,
) -> StudySummary:
    """Runs a confusion study, or what is missing of it.

    `run_confusion_study("studies/digits", repeats=4)` is a whole study. The report
    (tables, figures, TensorBoard) is `report.write_report(directory)`.

    Args:
        directory: The study's folder, a string or path.
        workers: Processes; `None` takes one per core, or one on a GPU. On CPUs each
            computes in one thread, and results do not depend on their number.
        networks_per_program: Networks that are packed into one program and trained at
            a time, each as it would be alone but for rounding. `None` takes one on
            CPUs, and on a GPU as many as fit; one where the model cannot be packed.
        data_dir: Where TensorFlow Datasets keeps its data.
        on_network: Called in this process with every network's row: first those
            already on disk, then each new one as it is finished.
        **settings: The fields of `StudySettings`.

    Returns:
        A `StudySummary`.

    Raises:
        ValueError: If a setting does not make sense.
        study_folder.StudyFolderError: If the folder holds something else.
        OSError: If results cannot be written, or data cannot be fetched.
    """
    # Worker processes that are used again keep the working directory they had.
    directory = pathlib.Path(directory).absolute()
    study_settings = StudySettings(**settings)
    check_settings(study_settings)
    at_least_one = {"workers": workers, "networks_per_program": networks_per_program}
    for name, value in at_least_one.items():
        if value is not None and value < 1:
            raise ValueError(f"Expected `{name}` of at least 1. Received: {value}.")
    runtime.start_tensorflow(threads=1)
    workers = workers or runtime.default_num_workers()
    plan = StudyPlan.make(
        study_settings, directory, data_dir, networks_per_program=networks_per_program
    )
    plan.check_memory(workers)
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except FileExistsError as error:
        raise NotADirectoryError(f"{directory} is a file, not a folder.") from error
    with study_folder.locked(directory):
        results.open_study(directory, plan.description(), plan.dataset.test.labels)
        return _run(plan, workers, on_network)


def _run(plan: StudyPlan, workers: int, on_network) -> StudySummary:
    start = time.perf_counter()
    planned = plan.networks()
    taken: dict[tuple[str, int], dict] = {}

    def take(row: dict) -> None:
        keys = ("arm", "class_a", "class_b", "repeat", "note", "failed")
        taken[row["arm"], row["repeat"]] = {key: row[key] for key in keys}
        if on_network is not None:
            on_network(row)

    def take_from_disk() -> None:
        for row in results.read_networks(plan.directory).to_dict("records"):
            if (row["arm"], row["repeat"]) not in taken:
                take(row)

    take_from_disk()
    num_before, crashes = len(taken), 0
    progress = Progress(len(planned), done=num_before, unit="networks")
    try:
        while missing := _missing(planned, taken):
            try:
                for row in _train_all(plan, missing, workers):
                    crashes = 0
                    take(row)
                    progress.show(len(taken))
                    if row["note"]:
                        progress.note(f"{describe_network(plan, row)}: {row['note']}")
            except TerminatedWorkerError:
                crashes += 1
                if crashes == MAX_CRASHES:
                    raise WorkersKilledError(
                        f"Worker processes were killed {MAX_CRASHES} times without "
                        "finishing a network, probably as memory ran out. Use fewer "
                        "--workers, or --streaming; what is finished is kept."
                    ) from None
                progress.note(
                    "A worker process was killed (by the system when memory runs "
                    "out?). Its network is trained again."
                )
                # Other workers may have finished networks that never came back.
                take_from_disk()
    finally:
        progress.close()
    noted = [row for row in taken.values() if row["note"]]
    return StudySummary(
        directory=plan.directory,
        num_trained=len(taken) - num_before,
        num_networks=len(planned),
        failed=[describe_network(plan, row) for row in noted if row["failed"]],
        retried=[describe_network(plan, row) for row in noted if not row["failed"]],
        seconds=time.perf_counter() - start,
    )


def describe_network(plan: StudyPlan, row: dict) -> str:
    """For example "cat-dog, repeat 2"."""
    if row["arm"] == results.BASELINE:
        return f"baseline, repeat {row['repeat']}"
    names = plan.dataset.class_names
    a, b = names[int(row["class_a"])], names[int(row["class_b"])]
    return f"{a}-{b}, repeat {row['repeat']}"


def _missing(planned, taken) -> list[Network]:
    return [
        (pair, repeat)
        for pair, repeat in planned
        if (results.arm_name(pair), repeat) not in taken
    ]


def _train_all(plan: StudyPlan, networks, workers: int) -> Iterator[dict]:
    """Yields the row of every network as it is finished, in any order."""
    packs = study_plan.packs(networks, plan.networks_per_program)
    if workers == 1 and (runtime.num_gpus() or runtime.is_single_threaded()):
        for pack in packs:
            yield from _train_and_write(plan, pack)
        return
    parallel = joblib.Parallel(
        # joblib trains in this process for n_jobs=1; where TensorFlow has more than one
        # thread here, one task at a time goes to another process instead.
        n_jobs=max(workers, 2),
        pre_dispatch=1 if workers == 1 else "2*n_jobs",
        backend="loky",
        batch_size=1,
        return_as="generator_unordered",
    )
    bare = dataclasses.replace(plan)  # without a trainer
    study = uuid.uuid4().hex
    for rows in parallel(
        joblib.delayed(_train_in_worker)(study, os.getpid(), bare, pack)
        for pack in packs
    ):
        yield from rows


# In a worker: the plan of the study that it works for, with its data and its compiled
# loop. Plans cannot be compared: a model function comes as a new one with every task.
_plan_of_study: dict[str, StudyPlan] = {}


def _train_in_worker(
    study: str, parent: int, plan: StudyPlan, networks: Sequence[Network]
) -> list[dict]:
    if study not in _plan_of_study:
        # Ctrl-C reaches every process of the terminal; the parent handles it.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        _watch(parent)
        runtime.start_tensorflow(threads=1)
        _plan_of_study.clear()
        _plan_of_study[study] = plan
    return _train_and_write(_plan_of_study[study], networks)


@functools.cache
def _watch(parent: int) -> None:
    """Ends this process when its parent is gone, killed and unable to say so."""

    def watch():
        while os.getppid() == parent:
            time.sleep(SECONDS_BETWEEN_LOOKS)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _train_and_write(plan: StudyPlan, networks: Sequence[Network]) -> list[dict]:
    return [
        results.write_network(plan.directory, row, num_classes=plan.dataset.num_classes)
        for row in study_networks.train_networks(plan, networks)
    ]
