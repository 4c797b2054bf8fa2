"""A prototype study: one network at several times of its training, and its prototypes.

What is on disk is not done again: neither the network after an interval of its
training, nor the prototypes of an interval and initialisation; unless it is damaged,
with a warning.
"""

import dataclasses
import pathlib
import time
from typing import Unpack

import numpy as np

from keras_confusion.datasets import given_data
from keras_confusion.execution import runtime
from keras_confusion.execution.progress import Progress, Verbose, check_verbose
from keras_confusion.prototypes import mending, parts, taken_networks
from keras_confusion.prototypes import store as prototype_store
from keras_confusion.prototypes.networks import IntervalNetworks
from keras_confusion.prototypes.plan import PrototypePlan
from keras_confusion.prototypes.settings import PrototypeOptions, PrototypeSettings
from keras_confusion.storage import locks
from keras_confusion.storage.locks import Hold

# Modules that import TensorFlow are imported in the functions that need them.

_IMAGES_ON_A_CPU, _IMAGES_ON_A_GPU = 100, 1000
# Intermediary prototypes that keep a processor's batches full; more of them together
# would only be lost together.
_ENOUGH_IMAGES = 5 * _IMAGES_ON_A_CPU


class Listener:
    """Is told what a study has finished; the methods do nothing here."""

    def network(self, percentage: float) -> None:
        """The network of an interval is trained, or was, and in `models/`."""

    def interval(self, percentage: float) -> None:
        """All prototypes of an interval are made, or were."""


@dataclasses.dataclass(frozen=True)
class PrototypeSummary:
    """What `run_prototype_study` did.

    Args:
        directory: The study's folder.
        num_trained: Intervals trained by this call.
        num_parts: Intervals x initialisations of prototypes made by this call.
        num_all_parts: The same of the whole study.
        seconds: Time of this call.
    """

    directory: pathlib.Path
    num_trained: int
    num_parts: int
    num_all_parts: int
    seconds: float


def run_prototype_study(
    directory,
    settings: PrototypeSettings | None = None,
    *,
    data_dir=None,
    networks_of=None,
    workers: int | None = None,
    inits_at_a_time: int | None = None,
    images_at_a_time: int | None = None,
    listener: Listener | None = None,
    verbose: Verbose = "auto",
    **options: Unpack[PrototypeOptions],
) -> PrototypeSummary:
    """Runs a prototype study, or what is missing of it.

    `run_prototype_study("studies/prototypes")` is a whole study of the digits. The
    report (tables, figures, TensorBoard) is `study_report.write_report(directory)`.

    Args:
        directory: The study's folder, a string or path.
        settings: What decides the result; `None` takes the defaults.
        data_dir: Where TensorFlow Datasets keeps its data.
        networks_of: The folder of a study of the same networks: they are copied
            instead of trained, so that its images and those of this study can be
            compared.
        workers: Processes that make the prototypes of initialisations which are not
            made together; `None` takes one per core, or one on a GPU.
        inits_at_a_time: Initialisations that are optimised and written together;
            `None` takes as many as fill the batches (of ten classes five, of a
            hundred one), or all of them on a GPU.
        images_at_a_time: Images in one batch; `None` takes 100, or 1,000 on a GPU. The
            result of an image depends on neither of the two.
        listener: Is told of everything that is finished.
        verbose: 1 shows how far it is, 0 does not; "auto" does on a terminal and in a
            notebook.
        **options: Fields of `PrototypeSettings`, in the place of those in `settings`.

    Returns:
        A `PrototypeSummary`.

    Raises:
        ValueError: If a setting does not make sense.
        study_folder.StudyFolderError: If the folder holds something else, or
            `networks_of` other networks.
        OSError: If results cannot be written, or data cannot be fetched.
        errors.WorkersKilledError: If a worker process was killed.
    """
    check_verbose(verbose)
    start = time.perf_counter()
    directory = pathlib.Path(directory).absolute()
    for name, value in (
        ("workers", workers),
        ("inits_at_a_time", inits_at_a_time),
        ("images_at_a_time", images_at_a_time),
    ):
        if value is not None and value < 1:
            raise ValueError(f"Expected `{name}` of at least 1. Received: {value}.")
    if "dataset" in options:
        options["dataset"] = given_data.path_of(options["dataset"], directory)
    settings = dataclasses.replace(settings or PrototypeSettings(), **options)
    runtime.start_tensorflow(deterministic=settings.deterministic)
    from keras_confusion.datasets import loading

    has_gpu = runtime.num_gpus() > 0
    plan = PrototypePlan(
        settings,
        directory,
        None if data_dir is None else str(data_dir),
        images_at_a_time or (_IMAGES_ON_A_GPU if has_gpu else _IMAGES_ON_A_CPU),
    )
    loading.tell(plan.dataset)
    plan = dataclasses.replace(plan, settings=plan.settings.settled(plan.dataset))
    networks = IntervalNetworks(plan, verbose)
    enough = (
        settings.inits if has_gpu else _ENOUGH_IMAGES // plan.dataset.num_classes**2
    )
    inits_at_a_time = inits_at_a_time or max(enough, 1)
    workers = workers or runtime.default_num_workers()
    description = plan.description()
    taken = (
        taken_networks.finished_networks(networks_of, description)
        if networks_of is not None
        else []
    )
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except FileExistsError as error:
        raise NotADirectoryError(f"{directory} is a file, not a folder.") from error
    listener = listener or Listener()
    num_trained = num_parts = 0
    with locks.locked(directory) as hold:
        folder = prototype_store.open_study(
            directory,
            description,
            plan.sizes(networks.num_features),
            left_out=plan.left_out,
        )
        mending.mend_store(folder)
        if taken:
            taken_networks.take(folder, taken)
        networks.set_damaged_aside()
        for interval, percentage in enumerate(plan.settings.intervals):
            num_trained += networks.train(interval, hold)
            listener.network(percentage)
            num_parts += _make_prototypes(
                networks, interval, inits_at_a_time, workers, hold, verbose
            )
            listener.interval(percentage)
    return PrototypeSummary(
        directory=directory,
        num_trained=num_trained,
        num_parts=num_parts,
        num_all_parts=len(plan.settings.intervals) * plan.settings.inits,
        seconds=time.perf_counter() - start,
    )


def _make_prototypes(
    networks: IntervalNetworks,
    interval: int,
    inits_at_a_time: int,
    workers: int,
    hold: Hold,
    verbose: Verbose,
) -> int:
    """Makes the prototypes of an interval that are missing; of how many inits."""
    from keras_confusion.prototypes import grid

    plan = networks.plan
    percentage = plan.settings.intervals[interval]
    mending.check_network(
        plan.directory, interval, percentage, was_mended=networks.was_mended
    )
    if plan.goes_on and interval > 0:
        mending.forget_other_starts(plan.directory, interval, percentage)
    finished = prototype_store.finished_parts(plan.directory)[interval]
    groups = np.split(
        np.arange(plan.settings.inits),
        range(inits_at_a_time, plan.settings.inits, inits_at_a_time),
    )
    # Together as the first time, though some of a group may be there: in other company
    # images have other last digits.
    groups = [group for group in groups if not finished[group].all()]
    if not groups:
        return 0
    network = prototype_store.read_network_number(plan.directory, percentage)
    tasks = [
        parts.Task(
            plan,
            interval,
            inits=tuple(group.tolist()),
            start=np.stack([_start(plan, interval, init) for init in group.tolist()]),
        )
        for group in groups
    ]
    one = grid.num_images(plan.start(0), plan.probing)
    num_before = one * (plan.settings.inits - sum(map(len, groups)))
    progress = Progress(
        one * plan.settings.inits,
        done=num_before,
        unit=f"prototypes at {percentage:g} %",
        verbose=verbose,
    )
    try:
        for made in parts.make_all(
            tasks, networks, workers=workers, progress=progress, num_before=num_before
        ):
            hold.check()
            for number, init in enumerate(made.inits):
                if finished[init]:
                    continue
                part = {name: value[number] for name, value in made.values.items()}
                about = {"seconds": made.seconds, "network": network}
                prototype_store.write_part(
                    plan.directory, interval, init, {**part, **about}
                )
    finally:
        progress.close()
    return int((~finished).sum())


def _start(plan: PrototypePlan, interval: int, init: int) -> np.ndarray:
    """What the class prototypes of an interval and initialisation begin as."""
    if plan.goes_on and interval > 0:
        return prototype_store.read_class_parameters(plan.directory, interval - 1, init)
    return plan.start(init)
