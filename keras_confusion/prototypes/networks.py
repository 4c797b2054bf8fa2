"""The one network of a prototype study, from interval to interval of its training.

A network that is damaged on disk is set aside and trained again. On the machine that
trained it, it comes out bit for bit the same, and what was made of it stands; if not,
what depends on it is made again as well.
"""

import logging
import pathlib

import numpy as np

from keras_confusion.execution.progress import Verbose
from keras_confusion.models import model_description
from keras_confusion.prototypes import store as prototype_store
from keras_confusion.prototypes.plan import PrototypePlan
from keras_confusion.storage import files, sealed_json, study_folder
from keras_confusion.storage.locks import Hold
from keras_confusion.training import intervals as training_intervals

_log = logging.getLogger(__name__)

# Modules that import TensorFlow are imported in the functions that need them.

# A network that was saved and rebuilt rounds differently on another machine.
_LARGEST_ACCURACY_ERROR = 0.01
_OPTIMIZER_HASH = "optimizer_sha256"


class IntervalNetworks:
    """Trains, saves and reads the networks of a study.

    Args:
        plan: The study's plan.
        verbose: Whether progress is shown, see `progress.Progress`.
    """

    def __init__(self, plan: PrototypePlan, verbose: Verbose):
        from keras_confusion.models import saving
        from keras_confusion.prototypes.optimizer import drafting, objectives

        self.plan, self._verbose = plan, verbose
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
            drafting.fold_batch_normalization(classifier, dtype="bfloat16")
        # The interval whose weights the trainer holds.
        self._at: int | None = None

    @property
    def has_draft(self) -> bool:
        """Whether images are optimised in bfloat16 first."""
        return self.plan.settings.settled_prototype_dtype() == "bfloat16"

    @property
    def was_mended(self) -> bool:
        """Whether a network of the study was set aside, by this process or before."""
        return any(
            files.was_set_aside(self._folder(interval))
            for interval in range(len(self.plan.settings.intervals))
        )

    def set_damaged_aside(self) -> None:
        """Sets all networks aside that are damaged. Call it before the first `train`.

        They are read by more than the training of the next.
        """
        for interval in range(len(self.plan.settings.intervals)):
            folder = self._folder(interval)
            if folder.exists() and (damage := model_description.find_damage(folder)):
                self._set_aside(interval, damage)

    def train(self, interval: int, hold: Hold) -> bool:
        """Trains and saves the network of one interval, unless it is there.

        Raises:
            study_folder.StudyFolderError: If it went on from another network than the
                one before it, and none was damaged.
        """
        if self._folder(interval).exists() and self._follows(interval):
            return False
        self._go_on_after(interval, hold)
        self._train_and_save(interval, hold)
        return True

    def classifier(self, interval: int):
        """The network of an interval, as the model function builds it today."""
        classifier = self._trainer.classifier()
        classifier.load_weights(self._folder(interval) / "model.keras")
        return classifier

    def _folder(self, interval: int) -> pathlib.Path:
        percentage = self.plan.settings.intervals[interval]
        return prototype_store.model_directory(self.plan.directory, percentage)

    def _set_aside(self, interval: int, reason: str) -> None:
        aside = files.set_aside(self._folder(interval))
        _log.warning(
            f"{reason} The network is trained again; what is left of it is now "
            f"{aside.name}."
        )

    def _follows(self, interval: int) -> bool:
        """Whether the network on disk went on from the one before it on disk."""
        folder = self._folder(interval)
        description = sealed_json.read(folder / model_description.DESCRIPTION)
        if description["trained_from"] == self._network_before(interval):
            return True
        if not self.was_mended:
            raise study_folder.StudyFolderError(
                f"Expected the network in {folder} to go on from the interval "
                "before. Received: one that went on from another network, which "
                f"was since replaced. Delete {folder} to train it again."
            )
        reason = f"{folder} went on from a damaged network, which came out otherwise."
        self._set_aside(interval, reason)
        return False

    def _train_and_save(self, interval: int, hold: Hold) -> None:
        """Trains the interval that the trainer is ready for; keeps what it gives.

        A network that is there already is replaced if it is another one.
        """
        from keras_confusion.models import saving
        from keras_confusion.training import trained_model

        plan, settings = self.plan, self.plan.settings
        percentage, folder = settings.intervals[interval], self._folder(interval)
        trained = trained_model.train(
            self._trainer,
            plan.interval_epochs[interval],
            unit=f"steps of training to {percentage:g} %",
            verbose=self._verbose,
        )
        self._at = interval
        hold.check()
        state = {}
        if settings.interval_of == "steps":
            state[_OPTIMIZER_HASH] = self._save_optimizer(interval)
        if folder.exists():
            description = sealed_json.read(folder / model_description.DESCRIPTION)
            weights = saving.weights_digest(trained.classifier)
            if weights == description["weights_sha256"]:
                return
            self._set_aside(interval, f"{folder} comes out otherwise on this machine.")
        trained_model.save(
            trained,
            folder,
            dataset=plan.dataset,
            settings=settings,
            trained_percent=percentage,
            trained_from=self._network_before(interval),
            **state,
        )

    def _go_on_after(self, interval: int, hold: Hold) -> None:
        """Brings weights and optimiser to where the interval begins."""
        plan, trainer = self.plan, self._trainer
        if plan.settings.interval_of == "data":
            if interval > 0 and self._at != interval - 1:
                trainer.take_weights(self._read_model(interval - 1))
            num_steps = sum(map(len, plan.interval_epochs[interval]))
            trainer.begin(plan.recipe, num_steps, part=interval)
            return
        at = -1 if self._at is None else self._at
        readable = [
            k for k in range(at + 1, interval) if self._optimizer_state(k) is not None
        ]
        if readable or at == -1:
            num_steps = training_intervals.total_steps(
                plan.dataset.train.num_examples,
                epochs=plan.settings.epochs,
                batch_size=plan.recipe.batch_size,
            )
        if readable:
            at = readable[-1]
            trainer.take_weights(self._read_model(at))
            trainer.begin(plan.recipe, num_steps)
            trainer.take_state(self._optimizer_state(at))
        elif at == -1:
            trainer.begin(plan.recipe, num_steps)
        # Those in between have no optimiser state any more: again, to come by it.
        for between in range(at + 1, interval):
            percentage = plan.settings.intervals[between]
            _log.warning(
                f"The optimiser state at {percentage:g} % of the training is not there "
                "or damaged: it is trained again."
            )
            self._train_and_save(between, hold)

    def _network_before(self, interval: int) -> int | None:
        if interval == 0:
            return None
        return prototype_store.read_network_number(
            self.plan.directory, self.plan.settings.intervals[interval - 1]
        )

    def _read_model(self, interval: int):
        """The network of an interval, if it is the one that was tested."""
        from keras_confusion.training import evaluation

        folder = self._folder(interval)
        classifier = self.classifier(interval)
        description = sealed_json.read(folder / model_description.DESCRIPTION)
        saved = description["test_accuracy"]
        accuracy = evaluation.test_classifier(classifier, self.plan.dataset).accuracy
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

    def _save_optimizer(self, interval: int) -> str:
        """Returns the sha256 of the file."""
        state, file = self._trainer.optimizer_state(), self._optimizer_file(interval)
        files.write_atomically(file, lambda opened: np.savez(opened, *state))
        if interval > 1:
            # The one before the last: the last is needed if this one's model is not
            # saved any more.
            self._optimizer_file(interval - 2).unlink(missing_ok=True)
        return files.sha256(file)

    def _optimizer_state(self, interval: int) -> list[np.ndarray] | None:
        """The state after an interval; `None` if it, or its network, is not there."""
        folder, file = self._folder(interval), self._optimizer_file(interval)
        if not file.is_file() or model_description.find_damage(folder):
            return None
        description = sealed_json.read(folder / model_description.DESCRIPTION)
        digest = files.sha256(file)
        if description.get(_OPTIMIZER_HASH, digest) != digest:
            return None
        with np.load(file, allow_pickle=False) as state:
            return [state[name] for name in state.files]
