"""A confusion study: networks of every arm and repeat, trained or taken up again.

An arm is the baseline (labels untouched) or a pair of classes that are confused. Every
network is one independent shard: a worker process gets the settings and the network's
place in the plan, trains it, and writes its row. What is on disk is not trained again.
"""

import dataclasses
import functools
import pathlib
import signal
import time
from collections.abc import Callable, Iterator

import joblib
from joblib.externals.loky.process_executor import TerminatedWorkerError

from keras_confusion import responses, results, runtime, study_plan
from keras_confusion.progress import Progress
from keras_confusion.study_plan import StudyPlan, StudySettings

# Modules that import TensorFlow are imported in the functions that need them: a worker
# process reads this module before it has started TensorFlow.

MAX_ATTEMPTS = 2
# Crashed workers (out of memory, killed) in a row without a finished network.
MAX_CRASHES = 3


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
        data_dir: Where TensorFlow Datasets keeps its data.
        on_network: Called in this process with every network's row: first those
            already on disk, then each new one as it is finished.
        **settings: The fields of `StudySettings`.

    Returns:
        A `StudySummary`.

    Raises:
        ValueError: If a setting does not make sense.
        results.StudyFolderError: If the folder holds something else.
        OSError: If results cannot be written, or data cannot be fetched.
    """
    directory = pathlib.Path(directory)
    study_settings = StudySettings(**settings)
    study_plan.check_settings(study_settings)
    if workers is not None and workers < 1:
        raise ValueError(f"Expected `workers` of at least 1. Received: {workers}.")
    # With a single worker this process is the one that trains.
    runtime.start_tensorflow(threads=1 if workers == 1 else None)
    workers = workers or runtime.default_num_workers()
    plan = StudyPlan.make(study_settings, directory, data_dir)
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except FileExistsError as error:
        raise NotADirectoryError(f"{directory} is a file, not a folder.") from error
    with results.locked(directory):
        results.open_study(directory, plan.description(), plan.dataset.test.labels)
        return _run(plan, workers, on_network)


def train_network(plan: StudyPlan, pair, repeat: int) -> dict:
    """Trains one network and returns its row, without writing it.

    A network whose loss is not finite is trained once more from other seeds.
    """
    from keras_confusion import training

    trainer, notes = plan.trainer, []
    start = time.perf_counter()
    for attempt in range(MAX_ATTEMPTS):
        seeds = study_plan.network_seeds(plan.settings.seed, repeat, pair, attempt)
        try:
            epoch_losses = trainer.train(
                initialisation_seed=seeds["initialisation_seed"],
                order_seed=seeds["order_seed"],
                corrupt=_corruption(plan, pair, seeds["corruption_seed"]),
            )
            break
        except training.NonFiniteLossError as error:
            notes.append(f"Attempt {attempt + 1} failed: {error}")
            epoch_losses = None
    row = {
        "arm": results.arm_name(pair),
        "class_a": None if pair is None else pair[0],
        "class_b": None if pair is None else pair[1],
        "repeat": repeat,
        **seeds,
        "recipe": plan.settings.recipe,
        "epochs": plan.settings.epochs,
        "attempt": attempt,
        "failed": epoch_losses is None,
        "note": " ".join(notes),
        "seconds": time.perf_counter() - start,
    }
    if epoch_losses is None:
        return row
    return {
        **row,
        "epoch_losses": epoch_losses,
        "final_training_loss": epoch_losses[-1],
        **responses.summarise_logits(
            trainer.test_logits(),
            plan.dataset.test.labels,
            plan.pairs if pair is None else [pair],
        ),
    }


def _corruption(plan: StudyPlan, pair, seed):
    from keras_confusion import corruption

    if pair is None:
        return None
    return functools.partial(
        corruption.corrupt_labels,
        transition=study_plan.transition_of(
            plan.settings, plan.dataset.num_classes, pair
        ),
        seed=seed,
        true_labels=plan.dataset.train.labels,
    )


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
                    raise
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


def _missing(planned, taken) -> list[tuple[tuple[int, int] | None, int]]:
    return [
        (pair, repeat)
        for pair, repeat in planned
        if (results.arm_name(pair), repeat) not in taken
    ]


def _train_all(plan: StudyPlan, networks, workers: int) -> Iterator[dict]:
    """Yields the row of every network as it is finished, in any order."""
    if workers == 1:
        for pair, repeat in networks:
            yield _train_and_write(plan, pair, repeat)
        return
    bare = dataclasses.replace(plan)  # without a trainer
    parallel = joblib.Parallel(
        n_jobs=workers, backend="loky", batch_size=1, return_as="generator_unordered"
    )
    yield from parallel(
        joblib.delayed(_train_in_worker)(bare, pair, repeat)
        for pair, repeat in networks
    )


def _train_in_worker(plan: StudyPlan, pair, repeat: int) -> dict:
    # Ctrl-C reaches every process of the terminal; the parent handles it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    runtime.start_tensorflow(threads=1)
    return _train_and_write(_plan_of_this_process(plan), pair, repeat)


@functools.lru_cache(maxsize=1)
def _plan_of_this_process(plan: StudyPlan) -> StudyPlan:
    """Keeps the data set and the compiled loop from one network to the next."""
    return plan


def _train_and_write(plan: StudyPlan, pair, repeat: int) -> dict:
    row = train_network(plan, pair, repeat)
    results.write_network(plan.directory, row, num_classes=plan.dataset.num_classes)
    return row
