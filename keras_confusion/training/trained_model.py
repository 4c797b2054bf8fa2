"""Trains a classifier with a progress bar, and saves it with what is known of it."""

import dataclasses
import functools
import pathlib
import time
from collections.abc import Sequence

import keras
import numpy as np

from keras_confusion.datasets import labelled_dataset
from keras_confusion.datasets import loading as dataset_loading
from keras_confusion.execution import provenance
from keras_confusion.execution.progress import Progress, Verbose
from keras_confusion.models import image_statistics, saving
from keras_confusion.training import classifier as training_classifier
from keras_confusion.training import intervals as training_intervals
from keras_confusion.training.evaluation import (
    TestResult,
    test_classifier,
    test_robustness,
)
from keras_confusion.training.settings import ClassifierSettings


@dataclasses.dataclass(frozen=True, eq=False)
class TrainedModel:
    """A classifier after its training, or a part of it.

    Args:
        classifier: The network, which computes in float32.
        tested: Its result on the test set.
        reports: One per epoch.
        seconds: Time of the training.
        robustness: What `evaluation.test_robustness` returned, if it was asked.
    """

    classifier: keras.Model
    tested: TestResult
    reports: list[training_classifier.EpochReport]
    seconds: float
    robustness: dict | None = None


def train(
    trainer: training_classifier.ClassifierTrainer,
    epochs: Sequence[np.ndarray],
    *,
    unit: str,
    verbose: Verbose = 1,
) -> TrainedModel:
    """Trains and tests a classifier; see `classifier.ClassifierTrainer.train`.

    Args:
        trainer: After its `begin`.
        epochs: For every epoch an integer array `(num_steps, batch_size)`.
        unit: What the progress bar counts.
        verbose: See `progress.Progress`.
    """
    start = time.perf_counter()
    progress = Progress(sum(map(len, epochs)), done=0, unit=unit, verbose=verbose)

    def tell(report: training_classifier.EpochReport) -> None:
        progress.note(
            f"Epoch {report.epoch} of {report.num_epochs}: loss {report.loss:.3f}, "
            f"accuracy on training images {report.accuracy:.3f}."
        )

    try:
        reports = trainer.train(epochs, on_step=progress.show, on_epoch=tell)
    finally:
        progress.close()
    seconds = time.perf_counter() - start
    classifier = trainer.classifier()
    tested = test_classifier(classifier, trainer.dataset)
    return TrainedModel(classifier, tested, reports, seconds)


def train_once(
    settings: ClassifierSettings,
    dataset: labelled_dataset.LabelledDataset,
    *,
    verbose: Verbose = 1,
) -> TrainedModel:
    """Trains new weights for all epochs, and tests them.

    Args:
        settings: How it is trained, settled.
        dataset: The data set.
        verbose: See `progress.Progress`.
    """
    recipe = settings.recipe_for(dataset.train.num_examples)
    (epochs,) = training_intervals.interval_epochs(
        dataset.train.labels,
        (100.0,),
        epochs=settings.epochs,
        batch_size=recipe.batch_size,
        seed=settings.seed,
    )
    trainer = settings.trainer(dataset)
    trainer.begin(recipe, sum(map(len, epochs)))
    return train(trainer, epochs, unit="steps", verbose=verbose)


def train_and_save(
    directory: pathlib.Path, settings: ClassifierSettings, *, data_dir=None
) -> tuple[TrainedModel, labelled_dataset.LabelledDataset]:
    """Trains a classifier with a progress bar, tests it and saves it.

    Args:
        directory: The folder of the saved model; replaced if it is one already.
        settings: How it is trained.
        data_dir: Where TensorFlow Datasets keeps its data.

    Returns:
        The trained classifier, and its data set.
    """
    saving.check_folder(directory)
    dataset = dataset_loading.load_dataset(
        settings.dataset, data_dir=data_dir, image_size=settings.image_size
    )
    settings = settings.settled(dataset)
    trained = train_once(settings, dataset)
    if settings.attack is not None:
        norm, eps = settings.attack
        trained = dataclasses.replace(
            trained,
            robustness=test_robustness(trained.classifier, dataset, norm=norm, eps=eps),
        )
    save(trained, directory, dataset=dataset, settings=settings)
    return trained, dataset


@functools.lru_cache(maxsize=1)
def statistics_of(
    dataset: labelled_dataset.LabelledDataset,
) -> image_statistics.ImageStatistics | None:
    """Statistics of the training images; `None` of token sequences."""
    if len(dataset.input_shape) != 3:
        return None
    number = image_statistics.num_images(dataset.input_shape)
    return image_statistics.ImageStatistics.of_images(dataset.train.sample(number))


def save(
    trained: TrainedModel,
    directory: pathlib.Path,
    *,
    dataset: labelled_dataset.LabelledDataset,
    settings: ClassifierSettings,
    trained_percent: float = 100.0,
    trained_from: int | None = None,
    **more,
) -> pathlib.Path:
    """Saves a classifier with its accuracies and how it was trained; see `saving`.

    Args:
        trained: What `train` returned.
        directory: The folder to write.
        dataset: The data set.
        settings: How it was trained.
        trained_percent: How much of a study's training that is.
        trained_from: The network that it went on from, see
            `store.read_network_number`; `None` for new weights.
        **more: What else `model.json` says; JSON types.
    """
    return saving.save_model(
        trained.classifier,
        directory,
        class_names=dataset.class_names,
        dataset=str(settings.dataset),
        test_accuracy=trained.tested.accuracy,
        test_class_accuracies=trained.tested.class_accuracies.tolist(),
        test_loss=trained.tested.loss,
        test_robustness=trained.robustness,
        training={
            **settings.description(dataset.train.num_examples),
            "trained_percent": trained_percent,
            "epoch_losses": [report.loss for report in trained.reports],
            "epoch_accuracies": [report.accuracy for report in trained.reports],
            "seconds": round(trained.seconds, 1),
        },
        trained_from=trained_from,
        provenance=provenance.provenance(),
        image_statistics=statistics_of(dataset),
        **more,
    )
