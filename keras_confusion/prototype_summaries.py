"""What a running prototype study shows in TensorBoard. Needs no TensorFlow."""

import functools
import json
import pathlib

from keras_confusion import prototype_results, prototype_tables
from keras_confusion.summaries import RunWriter
from tb_plugin import metadata


class PrototypeSummaries:
    """Writes the training and the prototypes of a running study as scalars.

    Every scalar but those of epochs is read from the study's folder.

    Args:
        directory: The study's folder. Scalars of an earlier process are deleted when
            the first network is reported.
    """

    def __init__(self, directory):
        self._directory = pathlib.Path(directory)
        self._num_epochs = 0

    def add_network(self, percentage: float) -> None:
        """Adds the network of one interval: its accuracies and the loss by epoch."""
        folder = prototype_results.model_directory(self._directory, percentage)
        description = json.loads((folder / "model.json").read_text())
        step = round(percentage)
        self._training.scalar(
            metadata.TAG_TEST_ACCURACY, description["test_accuracy"], step
        )
        accuracies = description["test_class_accuracies"]
        for name, accuracy in zip(description["class_names"], accuracies, strict=True):
            tag = metadata.PREFIX_TEST_ACCURACY_OF_CLASS + name
            self._training.scalar(tag, accuracy, step)
        training = description["training"]
        for loss, accuracy in zip(
            training["epoch_losses"], training["epoch_accuracies"], strict=True
        ):
            self._num_epochs += 1
            self._training.scalar(metadata.TAG_EPOCH_LOSS, loss, self._num_epochs)
            self._training.scalar(
                metadata.TAG_EPOCH_ACCURACY, accuracy, self._num_epochs
            )
        self._training.flush()

    def add_prototypes(self, percentage: float) -> None:
        """Adds the measures of one interval, from the parts that are finished."""
        study = prototype_results.read_study(self._directory)
        study = study.sel(interval=[percentage])
        if not study["finished"].values.any():
            return
        table = prototype_tables.by_initialisation(study)
        (row,) = prototype_tables.trends(table).to_dict("records")
        for name in metadata.PROTOTYPE_MEASURES:
            tag = metadata.PREFIX_PROTOTYPES + name
            self._prototypes.scalar(tag, row[name], round(percentage))
        self._prototypes.flush()

    def close(self) -> None:
        """Writes what is still held back."""
        for name in ("_training", "_prototypes"):
            if name in vars(self):
                getattr(self, name).close()

    @functools.cached_property
    def _training(self) -> RunWriter:
        return RunWriter(self._directory / metadata.TRAINING_RUN)

    @functools.cached_property
    def _prototypes(self) -> RunWriter:
        return RunWriter(self._directory / metadata.PROTOTYPES_RUN)
