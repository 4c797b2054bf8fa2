"""A confusion study: networks of every arm and repeat, trained or resumed.

An arm is the baseline (labels untouched) or a pair of classes that are confused. Every
network is one independent shard: a worker process gets the settings and the network's
place in the plan, trains it, and its row is written. What is on disk is not trained
again.
"""

import dataclasses
import logging
import pathlib
import time
from collections.abc import Callable, Iterator
from typing import Unpack

from keras_confusion.confusion import (
    compaction,
    network_files,
    study_description,
    worker,
)
from keras_confusion.confusion import networks as confusion_networks
from keras_confusion.confusion import plan as confusion_plan
from keras_confusion.confusion import store as confusion_store
from keras_confusion.confusion.plan import Network, StudyPlan
from keras_confusion.confusion.settings import ConfusionOptions, ConfusionSettings
from keras_confusion.datasets import given_data
from keras_confusion.errors import WorkersKilledError
from keras_confusion.execution import backends, runtime
from keras_confusion.execution.backends import Workers
from keras_confusion.execution.progress import Progress, Verbose, check_verbose
from keras_confusion.storage import locks
from keras_confusion.storage.locks import Hold
from keras_confusion.storage.study_folder import StudyFolder

_log = logging.getLogger(__name__)

# Crashed workers (out of memory, killed) in a row without a finished network.
MAX_CRASHES = 3
READOUT_BASELINES = 5
_NO_FEATURES = (
    "The model has no features that a last layer can be fitted to: what the features "
    "learned is left out. It takes a Sequential or functional Keras model whose last "
    "layer with weights has one input."
)


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
    settings: ConfusionSettings | None = None,
    *,
    workers: int | None = None,
    backend: str = backends.LOKY,
    address: str | None = None,
    networks_per_program: int | None = None,
    readout_baselines: int = READOUT_BASELINES,
    keep_logits: bool = False,
    data_dir=None,
    on_network: Callable[[dict], None] | None = None,
    verbose: Verbose = "auto",
    **options: Unpack[ConfusionOptions],
) -> StudySummary:
    """Runs a confusion study, or what is missing of it.

    `run_confusion_study("studies/digits", repeats=4)` is a whole study. The report
    (tables, figures, TensorBoard) is `study_report.write_report(directory)`.

    Args:
        directory: The study's folder, a string or path.
        settings: What decides the result; `None` takes the defaults.
        workers: Processes; `None` takes one per core, or one on a GPU, and on a cluster
            see `backends.connect`. On CPUs each computes in one thread, and results do
            not depend on their number.
        backend: One of `backends.BACKENDS`: where the processes are.
        address: Of a cluster, see `backends.connect`.
        networks_per_program: Networks that are packed into one program and trained at
            a time, each as it would be alone but for rounding. `None` takes one on
            CPUs, and on a GPU as many as fit; one where the model cannot be packed.
        readout_baselines: Baseline networks, the first ones, on whose features a last
            layer is fitted to the swapped labels of every pair, see `head_responses`;
            0 for none. Fewer than 2 do not say how sure the readout is.
        keep_logits: Keeps every network's answers to the test set, float16, so that a
            later measure needs no training; see `store.logits_path`.
        data_dir: Where TensorFlow Datasets keeps its data.
        on_network: Called in this process with every network's row: first those
            already on disk, then each new one as it is finished.
        verbose: 1 shows how far it is, 0 does not; "auto" does on a terminal and in a
            notebook.
        **options: Fields of `ConfusionSettings`, in the place of those in `settings`.

    Returns:
        A `StudySummary`.

    Raises:
        ValueError: If a setting does not make sense.
        study_folder.StudyFolderError: If the folder holds something else.
        OSError: If results cannot be written, or data cannot be fetched.
        errors.ClusterError: If a cluster cannot be used, or was lost.
        WorkersKilledError: If workers die again and again.
    """
    check_verbose(verbose)
    # Worker processes that are used again keep the working directory they had.
    directory = pathlib.Path(directory).absolute()
    if "dataset" in options:
        options["dataset"] = given_data.path_of(options["dataset"], directory)
    settings = dataclasses.replace(settings or ConfusionSettings(), **options)
    at_least_one = {"workers": workers, "networks_per_program": networks_per_program}
    for name, value in at_least_one.items():
        if value is not None and value < 1:
            raise ValueError(f"Expected `{name}` of at least 1. Received: {value}.")
    if settings.deterministic and networks_per_program not in (None, 1):
        raise ValueError(
            "Expected one network at a time in a deterministic study: in other company "
            f"a network has other last digits. Received: {networks_per_program} in a "
            "program."
        )
    if readout_baselines < 0:
        raise ValueError(
            f"Expected `readout_baselines` of 0 or more. Received: {readout_baselines}."
        )
    backends.check_backend(backend, address)
    # Where others compute, this machine's GPUs are theirs, or nobody's.
    runtime.start_tensorflow(
        threads=1,
        gpus=backend == backends.LOKY,
        deterministic=settings.deterministic,
    )
    with backends.connect(backend, address=address, workers=workers) as found:
        plan = StudyPlan.make(
            settings,
            directory,
            data_dir,
            networks_per_program=networks_per_program,
            readout_baselines=readout_baselines,
            keep_logits=keep_logits,
            machine=found.ask(runtime.this_machine) if found.is_cluster else None,
        )
        if not found.is_cluster:
            plan.check_memory(found.number)
        description = study_description.describe(plan)
        try:
            directory.mkdir(parents=True, exist_ok=True)
        except FileExistsError as error:
            raise NotADirectoryError(f"{directory} is a file, not a folder.") from error
        with locks.locked(directory) as hold:
            folder = confusion_store.open_study(
                directory, description, plan.dataset.test.labels
            )
            plan = dataclasses.replace(plan, study=folder.description["digest"])
            if not plan.has_features:
                _log.warning(_NO_FEATURES)
            return _run(plan, folder, found, hold, on_network, verbose)


def _run(
    plan: StudyPlan,
    folder: StudyFolder,
    workers: Workers,
    hold: Hold,
    on_network,
    verbose: Verbose,
) -> StudySummary:
    start = time.perf_counter()
    planned = plan.networks()
    damage: list[str] = []
    compaction.mend_networks(plan.directory, damage.append)
    compaction.set_strangers_aside(folder, damage.append)
    compaction.merge_networks(plan.directory)
    taken: dict[tuple[str, int], dict] = {}

    def take(row: dict) -> None:
        keys = ("arm", "class_a", "class_b", "repeat", "note", "failed")
        taken[row["arm"], row["repeat"]] = {key: row[key] for key in keys}
        if on_network is not None:
            on_network(row)

    def take_from_disk() -> None:
        for networks in confusion_store.iterate_networks(plan.directory):
            for row in networks.to_dict("records"):
                if (row["arm"], row["repeat"]) not in taken:
                    take(row)

    take_from_disk()
    num_before, crashes = len(taken), 0
    num_merged = num_before
    progress = Progress(len(planned), done=num_before, unit="networks", verbose=verbose)
    for text in damage:
        progress.note(text)
    try:
        while missing := _missing(planned, taken):
            try:
                for row in _train_all(plan, missing, workers, hold):
                    crashes = 0
                    take(row)
                    progress.show(len(taken))
                    if len(taken) - num_merged >= compaction.NETWORKS_A_FILE:
                        compaction.merge_networks(plan.directory)
                        num_merged = len(taken)
                    if row["note"]:
                        progress.note(f"{describe_network(plan, row)}: {row['note']}")
            except backends.WorkerDiedError:
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
    hold.check()
    planned_keys = ((network_files.arm_name(pair), repeat) for pair, repeat in planned)
    noted = [taken[key] for key in planned_keys if taken[key]["note"]]
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
    if row["arm"] == network_files.BASELINE:
        return f"baseline, repeat {row['repeat']}"
    names = plan.dataset.class_names
    a, b = names[int(row["class_a"])], names[int(row["class_b"])]
    return f"{a}-{b}, repeat {row['repeat']}"


def _missing(planned, taken) -> list[Network]:
    return [
        (pair, repeat)
        for pair, repeat in planned
        if (network_files.arm_name(pair), repeat) not in taken
    ]


def _train_all(
    plan: StudyPlan, networks, workers: Workers, hold: Hold
) -> Iterator[dict]:
    """Yields the row of every network when it is written, in any order."""
    packs = confusion_plan.packs(networks, plan.networks_per_program)
    in_here = runtime.num_gpus() or runtime.is_single_threaded()
    if workers.number == 1 and in_here and not workers.is_cluster:
        for pack in packs:
            rows = confusion_networks.train_networks(plan, pack)
            hold.check()
            yield from worker.write(plan, rows)
        return
    assignment = worker.assign(plan, hold, is_cluster=workers.is_cluster)
    for rows, is_written in workers.run(
        worker.train, ((assignment, pack) for pack in packs)
    ):
        if not is_written:
            hold.check()
            rows = worker.write(plan, rows)
        yield from rows
