"""Prototypes of one network, some initialisations at a time, in this process or others.

Of many classes one initialisation takes long, and small convolutions hardly gain from
more than one thread: with several initialisations every core gets a process.
"""

import contextlib
import dataclasses
import functools
import os
import pathlib
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from keras_confusion.errors import WorkersKilledError
from keras_confusion.execution import backends, runtime
from keras_confusion.execution.progress import Progress
from keras_confusion.prototypes import store as prototype_store
from keras_confusion.prototypes.networks import IntervalNetworks
from keras_confusion.prototypes.plan import PrototypePlan

# Modules that import TensorFlow are imported in the functions that need them: a worker
# process reads this module before it has started TensorFlow.

_SECONDS_BETWEEN_LOOKS = 1.0


@dataclasses.dataclass(frozen=True, eq=False)
class Task:
    """What is made together.

    Args:
        plan: The study's plan.
        interval: Number of the interval, from 0.
        inits: Initialisations.
        start: What each begins as, see `grid.probe_classifier`.
    """

    plan: PrototypePlan
    interval: int
    inits: tuple[int, ...]
    start: np.ndarray


@dataclasses.dataclass(frozen=True, eq=False)
class Made:
    """What was made of a task.

    Args:
        inits: Its initialisations.
        values: See `grid.probe_classifier`; the first axis is theirs.
        seconds: Time of each.
    """

    inits: tuple[int, ...]
    values: dict[str, np.ndarray]
    seconds: float


def make_all(
    tasks: Sequence[Task],
    networks: IntervalNetworks,
    *,
    workers: int,
    progress: Progress,
    num_before: int,
) -> Iterator[Made]:
    """Does tasks of one interval, each in a worker if there are several of both.

    Args:
        tasks: At least one.
        networks: The study's.
        workers: Processes.
        progress: Shows the number of images.
        num_before: Images that were there before.

    Yields:
        What was made, in any order.

    Raises:
        WorkersKilledError: If a worker was killed.
    """
    with _counted(len(tasks), progress, num_before) as counts:
        if workers == 1 or len(tasks) == 1:
            probe = _probe(networks, tasks[0].interval)
            for number, task in enumerate(tasks):
                yield _make(probe, task, functools.partial(_note, counts, number))
            return
        # A plan without its data, which every process reads for itself.
        arguments = [
            (
                dataclasses.replace(task, plan=dataclasses.replace(task.plan)),
                os.getpid(),
                counts,
                number,
            )
            for number, task in enumerate(tasks)
        ]
        with backends.connect(backends.LOKY, workers=min(workers, len(tasks))) as found:
            try:
                yield from found.run(make_in_worker, arguments)
            except backends.WorkerDiedError as error:
                raise WorkersKilledError(
                    "A worker process was killed, probably as memory ran out. Use "
                    "fewer --workers; what is finished is kept."
                ) from error


def make_in_worker(task: Task, parent: int, counts: pathlib.Path, number: int) -> Made:
    """Does a task in a process of its own.

    Args:
        task: What is made.
        parent: Number of the process that waits.
        counts: See `_counted`.
        number: The task's, from 0.
    """
    runtime.end_with(parent)
    plan = task.plan
    runtime.start_tensorflow(threads=1, deterministic=plan.settings.deterministic)
    # Another network has another number.
    percentage = plan.settings.intervals[task.interval]
    network = prototype_store.read_network_number(plan.directory, percentage)
    key = str(plan.directory), task.interval, network
    if key not in _probes:
        _probes.clear()
        _probes[key] = _probe(IntervalNetworks(plan, verbose=0), task.interval)
    return _make(_probes[key], task, functools.partial(_note, counts, number))


# The network that this process has loaded: to trace it takes seconds.
_probes: dict[tuple[str, int, int], object] = {}


def _probe(networks: IntervalNetworks, interval: int):
    from keras_confusion.models import loading
    from keras_confusion.prototypes.optimizer import drafting

    plan = networks.plan
    percentage = plan.settings.intervals[interval]
    probe = loading.load_probe(
        prototype_store.model_directory(plan.directory, percentage), is_own=True
    )
    if networks.has_draft:
        probe = drafting.with_draft(probe, networks.classifier(interval))
    return probe


def _make(probe, task: Task, on_progress: Callable[[int], None]) -> Made:
    from keras_confusion.prototypes import grid

    begun = time.perf_counter()
    values = grid.probe_classifier(
        probe,
        task.start,
        task.plan.probing,
        seeds=np.array([task.plan.image_seed(init) for init in task.inits]),
        on_progress=on_progress,
    )
    seconds = (time.perf_counter() - begun) / len(task.inits)
    return Made(task.inits, values, seconds)


@contextlib.contextmanager
def _counted(
    num_tasks: int, progress: Progress, num_before: int
) -> Iterator[pathlib.Path]:
    """A file in which every task notes how many images it has done; they are shown."""
    with tempfile.TemporaryDirectory() as folder:
        file = pathlib.Path(folder) / "counts"
        counts = np.memmap(file, np.int64, "w+", shape=(num_tasks,))
        is_over = threading.Event()

        def show():
            while not is_over.wait(_SECONDS_BETWEEN_LOOKS):
                progress.show(num_before + int(counts.sum()))

        thread = threading.Thread(target=show, daemon=True)
        thread.start()
        try:
            yield file
        finally:
            is_over.set()
            thread.join()
            progress.show(num_before + int(counts.sum()))


def _note(counts: pathlib.Path, number: int, done: int) -> None:
    np.memmap(counts, np.int64, "r+")[number] = done
