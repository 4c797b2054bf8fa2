"""A prototype study: one network at several times of its training, and its prototypes.

What is on disk is not done again: neither the network after an interval of its
training, nor the prototypes of an interval and initialisation.
"""

import dataclasses
import functools
import json
import pathlib
import time

import numpy as np

from keras_confusion import (
    prototype_plan,
    prototype_results,
    runtime,
    study_folder,
    training_intervals,
)
from keras_confusion.progress import Progress
from keras_confusion.prototype_plan import PrototypePlan, PrototypeSettings

# Modules that import TensorFlow are imported in the functions that need them.

# A network that was saved and rebuilt rounds differently on another machine.
_LARGEST_ACCURACY_ERROR = 0.01
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
    *,
    data_dir=None,
    inits_at_a_time: int | None = None,
    images_at_a_time: int | None = None,
    listener: Listener | None = None,
    **settings,
) -> PrototypeSummary:
    """Runs a prototype study, or what is missing of it.

    `run_prototype_study("studies/prototypes")` is a whole study of the digits. The
    report (tables, figures, TensorBoard) is `report.write_report(directory)`.

    Args:
        directory: The study's folder, a string or path.
        data_dir: Where TensorFlow Datasets keeps its data.
        inits_at_a_time: Initialisations that are optimised and written together;
            `None` takes as many as fill the batches (of ten classes five, of a
            hundred one), or all of them on a GPU.
        images_at_a_time: Images in one batch; `None` takes 100, or 1,000 on a GPU. The
            result of an image depends on neither of the two.
        listener: Is told of everything that is finished.
        **settings: The fields of `PrototypeSettings`.

    Returns:
        A `PrototypeSummary`.

    Raises:
        ValueError: If a setting does not make sense.
        study_folder.StudyFolderError: If the folder holds something else.
        OSError: If results cannot be written, or data cannot be fetched.
    """
    start = time.perf_counter()
    directory = pathlib.Path(directory).absolute()
    for name, value in (
        ("inits_at_a_time", inits_at_a_time),
        ("images_at_a_time", images_at_a_time),
    ):
        if value is not None and value < 1:
            raise ValueError(f"Expected `{name}` of at least 1. Received: {value}.")
    chosen = PrototypeSettings(**settings)
    prototype_plan.check_settings(chosen)
    runtime.start_tensorflow()
    has_gpu = runtime.num_gpus() > 0
    plan = PrototypePlan(
        chosen,
        directory,
        None if data_dir is None else str(data_dir),
        images_at_a_time or (_IMAGES_ON_A_GPU if has_gpu else _IMAGES_ON_A_CPU),
    )
    training = _Training(plan)
    enough = chosen.inits if has_gpu else _ENOUGH_IMAGES // plan.dataset.num_classes**2
    inits_at_a_time = inits_at_a_time or max(enough, 1)
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except FileExistsError as error:
        raise NotADirectoryError(f"{directory} is a file, not a folder.") from error
    listener = listener or Listener()
    num_trained = num_parts = 0
    with study_folder.locked(directory):
        prototype_results.open_study(
            directory,
            plan.description(),
            plan.sizes(training.num_features),
            left_out=plan.left_out,
        )
        for interval, percentage in enumerate(plan.settings.intervals):
            num_trained += training.train(interval)
            listener.network(percentage)
            num_parts += _make_prototypes(training, interval, inits_at_a_time)
            listener.interval(percentage)
    return PrototypeSummary(
        directory=directory,
        num_trained=num_trained,
        num_parts=num_parts,
        num_all_parts=len(plan.settings.intervals) * plan.settings.inits,
        seconds=time.perf_counter() - start,
    )


class _Training:
    """The one network of a study, from interval to interval.

    Args:
        plan: The study's plan.
    """

    def __init__(self, plan: PrototypePlan):
        from keras_confusion import folding, objectives, saving

        self.plan = plan
        self._trainer = plan.settings.trainer(plan.dataset)
        # What is wrong with settings or model shows here, before a folder is made.
        _ = plan.interval_epochs
        images, tolerance = plan.probing.images, plan.probing.gap_tolerance
        if plan.settings.boundaries:
            num_classes = plan.dataset.num_classes
            objectives.check_tie(num_classes, images.loss_threshold, tolerance)
        classifier = self._trainer.classifier()
        self.num_features = saving.features_model(classifier).output_shape[-1]
        if self.has_draft:
            folding.fold_batch_normalization(classifier, dtype="bfloat16")
        # The interval whose weights the trainer holds.
        self._at: int | None = None

    def train(self, interval: int) -> bool:
        """Trains and saves the network of one interval, unless it is there."""
        from keras_confusion import trained_models

        plan, settings = self.plan, self.plan.settings
        percentage = settings.intervals[interval]
        folder = prototype_results.model_directory(plan.directory, percentage)
        before = self._network_before(interval)
        if (folder / "model.json").exists():
            description = json.loads((folder / "model.json").read_text())
            if description["trained_from"] != before:
                raise study_folder.StudyFolderError(
                    f"Expected the network in {folder} to go on from the interval "
                    "before. Received: one that went on from another network, which "
                    f"was since replaced. Delete {folder} to train it anew."
                )
            return False
        self._go_on_after(interval)
        epochs = plan.interval_epochs[interval]
        trained = trained_models.train(
            self._trainer, epochs, unit=f"steps of training to {percentage:g} %"
        )
        if settings.interval_of == "steps":
            self._save_optimizer(interval)
        trained_models.save(
            trained,
            folder,
            dataset=plan.dataset,
            settings=settings,
            trained_percent=percentage,
            trained_from=before,
        )
        self._at = interval
        return True

    def _go_on_after(self, interval: int) -> None:
        """Brings weights and optimiser to where the interval begins."""
        plan, trainer = self.plan, self._trainer
        is_new = interval > 0 and self._at != interval - 1
        if is_new:
            trainer.take_weights(self._read_model(interval - 1))
        if plan.settings.interval_of == "data":
            num_steps = sum(map(len, plan.interval_epochs[interval]))
            trainer.begin(plan.recipe, num_steps, part=interval)
        elif interval == 0 or is_new:
            num_steps = training_intervals.total_steps(
                plan.dataset.train.num_examples,
                epochs=plan.settings.epochs,
                batch_size=plan.recipe.batch_size,
            )
            trainer.begin(plan.recipe, num_steps)
            if is_new:
                trainer.take_state(self._read_optimizer(interval - 1))

    def _network_before(self, interval: int) -> int | None:
        if interval == 0:
            return None
        return prototype_results.read_network_number(
            self.plan.directory, self.plan.settings.intervals[interval - 1]
        )

    @property
    def has_draft(self) -> bool:
        """Whether images are optimised in bfloat16 first."""
        return self.plan.settings.settled_prototype_dtype() == "bfloat16"

    def classifier(self, interval: int):
        """The network of an interval, as the model function builds it today."""
        percentage = self.plan.settings.intervals[interval]
        folder = prototype_results.model_directory(self.plan.directory, percentage)
        classifier = self._trainer.classifier()
        classifier.load_weights(folder / "model.keras")
        return classifier

    def _read_model(self, interval: int):
        """The same, if it is the one that was tested."""
        from keras_confusion import classifiers

        percentage = self.plan.settings.intervals[interval]
        folder = prototype_results.model_directory(self.plan.directory, percentage)
        classifier = self.classifier(interval)
        saved = json.loads((folder / "model.json").read_text())["test_accuracy"]
        accuracy = classifiers.test_classifier(classifier, self.plan.dataset).accuracy
        if abs(accuracy - saved) > _LARGEST_ACCURACY_ERROR:
            raise study_folder.StudyFolderError(
                f"Expected the network in {folder} to have its test accuracy of "
                f"{saved:.3f}. Received: {accuracy:.3f}, as the model is built now. "
                "Use the code that the study was begun with, or another --out."
            )
        return classifier

    def _optimizer_file(self, interval: int) -> pathlib.Path:
        percentage = self.plan.settings.intervals[interval]
        return self.plan.directory / f"optimizer_{percentage:g}.npz"

    def _save_optimizer(self, interval: int) -> None:
        state = self._trainer.optimizer_state()
        study_folder.write_atomically(
            self._optimizer_file(interval), lambda file: np.savez(file, *state)
        )
        if interval > 1:
            # The one before the last: the last is needed if this one's model is not
            # saved any more.
            self._optimizer_file(interval - 2).unlink(missing_ok=True)

    def _read_optimizer(self, interval: int) -> list[np.ndarray]:
        with np.load(self._optimizer_file(interval), allow_pickle=False) as state:
            return [state[name] for name in state.files]


def _make_prototypes(training: _Training, interval: int, inits_at_a_time: int) -> int:
    """Makes the prototypes of an interval that are missing; of how many inits."""
    from keras_confusion import probes, probing

    plan = training.plan
    finished = prototype_results.finished_parts(plan.directory)[interval]
    groups = np.split(
        np.arange(plan.settings.inits),
        range(inits_at_a_time, plan.settings.inits, inits_at_a_time),
    )
    # Together as the first time, though some of a group may be there: in other company
    # images have other last digits.
    groups = [group for group in groups if not finished[group].all()]
    percentage = plan.settings.intervals[interval]
    prototype_results.check_network(plan.directory, interval, percentage)
    if not groups:
        return 0
    network = prototype_results.read_network_number(plan.directory, percentage)
    probe = probes.load_probe(
        prototype_results.model_directory(plan.directory, percentage)
    )
    if training.has_draft:
        probe = probes.with_draft(probe, training.classifier(interval))
    one = probing.num_images(plan.noise(0), plan.probing)
    num_before = one * (plan.settings.inits - sum(map(len, groups)))
    progress = Progress(
        one * plan.settings.inits,
        done=num_before,
        unit=f"prototypes at {percentage:g} %",
    )
    try:
        for inits in groups:
            begun = time.perf_counter()
            values = probing.probe_classifier(
                probe,
                np.stack([_start(plan, interval, int(init)) for init in inits]),
                plan.probing,
                on_progress=functools.partial(_show, progress, num_before),
            )
            seconds = (time.perf_counter() - begun) / len(inits)
            for number, init in enumerate(inits.tolist()):
                if finished[init]:
                    continue
                part = {name: value[number] for name, value in values.items()}
                prototype_results.write_part(
                    plan.directory,
                    interval,
                    init,
                    {**part, "seconds": seconds, "network": network},
                )
            num_before += one * len(inits)
    finally:
        progress.close()
    return int((~finished).sum())


def _show(progress: Progress, num_before: int, number: int) -> None:
    progress.show(num_before + number)


def _start(plan: PrototypePlan, interval: int, init: int) -> np.ndarray:
    """What the class prototypes of an interval and initialisation begin as."""
    if plan.settings.start == "previous" and interval > 0:
        return prototype_results.read_class_images(plan.directory, interval - 1, init)
    return plan.noise(init)
