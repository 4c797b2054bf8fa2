"""What a worker process of a confusion study does, on this machine or another.

It gets the plan once a run, reads the data once, compiles once, and trains one pack
of networks after the other. A row is written by the worker where it has the study's
folder, so that it survives the end of the process that waits for it; where it has not,
the row is sent back and written there.
"""

import dataclasses
import os
import socket
import threading
from collections.abc import Sequence

from keras_confusion.confusion import networks as confusion_networks
from keras_confusion.confusion import store as confusion_store
from keras_confusion.confusion.plan import Network, StudyPlan
from keras_confusion.errors import ClusterError
from keras_confusion.execution import runtime
from keras_confusion.storage import locks
from keras_confusion.storage.locks import Hold

# Modules that import TensorFlow are imported in the functions that need them: a worker
# process reads this module before it has started TensorFlow.


@dataclasses.dataclass(frozen=True)
class Assignment:
    """What the workers of a run get; small, as it comes with every task.

    Args:
        run: A name that no other run has, see `locks.Hold`.
        plan: The study's plan, without a trainer.
        fingerprint: Of the study's data set.
        versions: Of the packages that decide results, by name.
        parent: Number of the process that waits, where its end is the worker's; `None`
            where a cluster decides.
    """

    run: str
    plan: StudyPlan
    fingerprint: str
    versions: dict[str, str]
    parent: int | None


def assign(plan: StudyPlan, hold: Hold, *, is_cluster: bool) -> Assignment:
    """What the workers get of a run that holds the study's folder."""
    return Assignment(
        run=hold.run,
        plan=dataclasses.replace(plan),
        fingerprint=plan.dataset.fingerprint,
        versions=_versions(),
        parent=None if is_cluster else os.getpid(),
    )


# The run that this process works for, with its data and its compiled loop. Plans cannot
# be compared: a model function comes as a new one with every task.
_current: dict[str, Assignment] = {}
# Workers of a cluster may be threads of one process.
_one_at_a_time = threading.Lock()


def train(
    assignment: Assignment, networks: Sequence[Network]
) -> tuple[list[dict], bool]:
    """Trains networks in a worker.

    Args:
        assignment: Of `assign`.
        networks: At most as many as the plan has in a program.

    Returns:
        Their rows, and whether they are written.

    Raises:
        ClusterError: If this machine would train other networks than the one that asks.
    """
    with _one_at_a_time:
        if assignment.run not in _current:
            if assignment.parent is not None:
                runtime.end_with(assignment.parent)
            deterministic = assignment.plan.settings.deterministic
            runtime.start_tensorflow(threads=1, deterministic=deterministic)
            _check_same(assignment)
            if deterministic:
                _check_single_threaded()
            _current.clear()
            _current[assignment.run] = assignment
        plan = _current[assignment.run].plan
        rows = confusion_networks.train_networks(plan, networks)
        if not locks.is_held(plan.directory, assignment.run):
            return rows, False
        return write(plan, rows), True


def write(plan: StudyPlan, rows: Sequence[dict]) -> list[dict]:
    """Writes rows to the study's folder; with the time at which that was."""
    num_classes = plan.dataset.num_classes
    return [
        confusion_store.write_network(plan.directory, row, num_classes=num_classes)
        for row in rows
    ]


def _check_same(assignment: Assignment) -> None:
    here = {**_versions(), "data set": assignment.plan.dataset.fingerprint}
    asked = {**assignment.versions, "data set": assignment.fingerprint}
    different = [
        f"{name} {asked[name]} there, {value} here"
        for name, value in here.items()
        if value != asked[name]
    ]
    if different:
        raise ClusterError(
            f"Expected the worker on {socket.gethostname()} to have what the study is "
            f"run with. Received: {'; '.join(different)}. Install the same versions, "
            "and name the same data with --data-dir."
        )


def _check_single_threaded() -> None:
    """Raises an error where TensorFlow ran before in this process, on more threads."""
    if not (runtime.num_gpus() or runtime.is_single_threaded()):
        raise ClusterError(
            "Expected TensorFlow on one thread for a deterministic study. Received: a "
            f"worker on {socket.gethostname()} in which it runs on more. Start new "
            "workers."
        )


def _versions() -> dict[str, str]:
    import keras
    import tensorflow as tf

    import keras_confusion

    return {
        "keras_confusion": keras_confusion.__version__,
        "keras": keras.__version__,
        "tensorflow": tf.__version__,
    }
