"""What a running prototype study shows in TensorBoard. Needs no TensorFlow."""

import functools
import pathlib
from collections.abc import Sequence

import numpy as np
import pandas as pd
import xarray as xr

from keras_confusion.models import model_description
from keras_confusion.prototypes import store as prototype_store
from keras_confusion.prototypes import tables as prototype_tables
from keras_confusion.prototypes.dissimilarity import Kind
from keras_confusion.reports.tensorboard import sprites
from keras_confusion.reports.tensorboard.event_writer import RunWriter, strict_json
from keras_confusion.storage.study_folder import StudyFolder
from tb_plugin import metadata

# The plugin shows no longer rows of images.
MAX_ROW_PIXELS = metadata.MAX_PICTURE_SIDE
_IMAGE = ("height", "width", "channel")
# Of images that were not made, in the order of `metadata.IMAGE_COLUMNS`.
_MISSING = (np.nan, 0, 0, -1)
_MATRICES: dict[str, Kind] = {metadata.PREFIX_C: "inter", metadata.PREFIX_R: "intra"}


class TrainingSummaries:
    """Writes the curves of a training: scalars for TensorBoard's own dashboard.

    Args:
        directory: The log directory; what an earlier process wrote there is deleted.
    """

    def __init__(self, directory: pathlib.Path):
        self._run = RunWriter(directory / metadata.TRAINING_RUN)

    def add_epoch(self, number: int, loss: float, accuracy: float) -> None:
        """Adds the loss, and the accuracy on the training data, of one epoch.

        Args:
            number: Of the epoch, from 1.
            loss: Mean over the epoch.
            accuracy: The same, a share.
        """
        self._run.scalar(metadata.TAG_EPOCH_LOSS, loss, number)
        self._run.scalar(metadata.TAG_EPOCH_ACCURACY, accuracy, number)
        self._run.flush()

    def add_test(
        self, percentage: float, accuracy: float, class_accuracies: dict[str, float]
    ) -> None:
        """Adds the accuracy on test data after so much of the training.

        Args:
            percentage: Of the training.
            accuracy: A share.
            class_accuracies: That of single classes, by their names.
        """
        step = round(percentage)
        self._run.scalar(metadata.TAG_TEST_ACCURACY, accuracy, step)
        for name, value in class_accuracies.items():
            tag = metadata.PREFIX_TEST_ACCURACY_OF_CLASS + name
            self._run.scalar(tag, value, step)
        self._run.flush()

    def close(self) -> None:
        """Writes what is still held back."""
        self._run.close()


class ImageSummaries:
    """Writes the prototypes of a network for the plugin, as its training goes on.

    Args:
        directory: The log directory; what an earlier process wrote there is deleted.
        intervals: When prototypes will be made, percent of the training, rising.
        settings: What was asked for, names to JSON values; shown beside the rest.
    """

    def __init__(
        self, directory: pathlib.Path, intervals: Sequence[float], settings: dict
    ):
        self._intervals, self._settings = list(intervals), settings
        self._run = RunWriter(directory / metadata.PROTOTYPES_RUN)
        self._is_described = False

    def add(self, study: xr.Dataset, interval: int) -> None:
        """Adds one interval, its parts that are finished; after those before it.

        Args:
            study: A prototype study, see `prototypes.tables`, at this interval. It may
                lack features, so that nothing is known of C and R, and `origin`, if
                there are class prototypes only.
            interval: Its number in `intervals`, from 0.
        """
        table = prototype_tables.by_initialisation(study)
        trends = prototype_tables.trends(table)
        # Where an array lies tells of which part it is.
        measures = table.drop(columns=["interval", "initialisation"])
        (row,) = trends.to_dict("records")
        for name in metadata.PROTOTYPE_MEASURES:
            tag = metadata.PREFIX_PROTOTYPES + name
            self._run.scalar(tag, row[name], round(row["interval"]))
        if not self._is_described:
            text = strict_json(self._describe(study, measures, trends))
            self._run.text(metadata.TAG_STUDY, text, step=0)
            self._is_described = True
        for part in prototype_store.finished(study):
            self._add_part(part, interval)
        all_measures = np.full(
            (study.sizes["initialisation"], measures.shape[1]), np.nan
        )
        all_measures[table["initialisation"]] = measures.to_numpy(np.float64)
        self._run.tensor(metadata.TAG_MEASURES, all_measures, interval)
        self._run.tensor(metadata.TAG_TRENDS, trends.to_numpy(np.float64)[0], interval)
        self._run.flush()

    def close(self) -> None:
        """Writes what is still held back."""
        self._run.close()

    def _describe(
        self, study: xr.Dataset, measures: pd.DataFrame, trends: pd.DataFrame
    ) -> dict:
        """What the study is about, with the keys of `metadata.PROTOTYPE_KEYS`."""
        height, width, channels = (study.sizes[axis] for axis in _IMAGE)
        return {
            "kind": metadata.KIND_PROTOTYPES,
            "class_names": study["target"].values.tolist(),
            "intervals": self._intervals,
            "num_initialisations": study.sizes["initialisation"],
            # Other numbers of channels are drawn in grey.
            "image_shape": [height, width, channels if channels == 3 else 1],
            "num_frames": study.sizes["frame"] if _has_frames(study) else 0,
            "image_scale": _cell_side(study) / max(height, width),
            "measures": list(measures),
            "trends": list(trends),
            "network": _network(study, self._intervals),
            "settings": self._settings,
        }

    def _add_part(self, part: xr.Dataset, interval: int) -> None:
        """Adds the prototypes of one interval and initialisation."""
        number, num_classes = int(part["initialisation"]), part.sizes["target"]
        columns = [
            _with_origins(part[name].values, fill)
            if _lacks_origins(part)
            else part[name]
            for name, fill in zip(metadata.IMAGE_COLUMNS, _MISSING, strict=True)
        ]
        self._run.tensor(
            f"{metadata.PREFIX_CELLS}{number}",
            np.stack(columns, axis=-1).astype(np.float32),
            interval,
        )
        if "features" in part and not _lacks_origins(part):
            is_small = num_classes <= metadata.MAX_FULL_CLASSES
            for prefix, kind in _MATRICES.items():
                self._run.tensor(
                    f"{prefix}{number}",
                    prototype_store.matrix(part, kind).astype(
                        np.float32 if is_small else np.float16
                    ),
                    interval,
                )
        rows = (_row_of_images(part, k) for k in range(num_classes))
        self._run.blobs(
            f"{metadata.PREFIX_IMAGES}{number}",
            sprites.overview_and_rows(rows, _cell_side(part)),
            interval,
        )
        if _has_frames(part):
            frames = (part["frames"].isel(target=k).values for k in range(num_classes))
            self._run.blobs(
                f"{metadata.PREFIX_FRAMES}{number}",
                # Of origins and frames.
                [
                    sprites.png(sprites.grid(sprites.levels(target_frames / 255)))
                    for target_frames in frames
                ],
                interval,
            )


class PrototypeSummaries:
    """Writes the training and the prototypes of a running study.

    Scalars for TensorBoard's own dashboard, the rest for the plugin. All but the steps
    of epochs is read from the study's folder.

    Args:
        directory: The study's folder, which may be begun after this, or an opened
            `StudyFolder`. With the first network it is opened, and what an earlier
            process wrote is deleted.
    """

    def __init__(self, directory):
        self._directory = directory
        self._num_epochs = 0

    def add_network(self, percentage: float) -> None:
        """Adds the network of one interval: its accuracies and the loss by epoch."""
        folder = prototype_store.model_directory(self._folder.path, percentage)
        description = model_description.read_of_study(
            folder / "model.json",
            *("class_names", "test_accuracy", "test_class_accuracies", "training"),
        )
        accuracies = description["test_class_accuracies"]
        self._training.add_test(
            percentage,
            description["test_accuracy"],
            dict(zip(description["class_names"], accuracies, strict=True)),
        )
        training = description["training"]
        for loss, accuracy in zip(
            training["epoch_losses"], training["epoch_accuracies"], strict=True
        ):
            self._num_epochs += 1
            self._training.add_epoch(self._num_epochs, loss, accuracy)

    def add_prototypes(self, percentage: float) -> None:
        """Adds one interval, its parts that are finished; after those before it."""
        study = prototype_store.read_prototype_study(self._folder)
        interval = study["interval"].values.tolist().index(percentage)
        study = study.isel(interval=[interval])
        if study["finished"].values.any():
            self._prototypes.add(study, interval)

    def close(self) -> None:
        """Writes what is still held back."""
        for name in ("_training", "_prototypes"):
            if name in vars(self):
                getattr(self, name).close()

    @functools.cached_property
    def _folder(self) -> StudyFolder:
        return prototype_store.open_to_read(self._directory)

    @functools.cached_property
    def _training(self) -> TrainingSummaries:
        return TrainingSummaries(self._folder.path)

    @functools.cached_property
    def _prototypes(self) -> ImageSummaries:
        settings = dict(self._folder.settings)
        intervals = settings.pop("intervals")
        return ImageSummaries(self._folder.path, intervals, settings)


def _network(study: xr.Dataset, intervals: list[float]) -> str:
    """The network at the first interval, see `metadata.PROTOTYPE_KEYS`."""
    if "network" not in study or study["interval"].values[0] != intervals[0]:
        return ""
    number = study["network"].values[study["finished"].values][0]
    return f"{number:015x}"


def _lacks_origins(study: xr.Dataset) -> bool:
    """Whether there are class prototypes only."""
    return "origin" not in study["image"].dims


def _with_origins(values: np.ndarray, fill: float) -> np.ndarray:
    """What is known of class prototypes, on the diagonal of `(target, origin)`."""
    square = np.full((len(values), len(values)), fill, np.float32)
    np.fill_diagonal(square, values)
    return square


def _row_of_images(part: xr.Dataset, target: int) -> np.ndarray:
    """The images of one target `(origin, height, width, channel)`; NaN for none."""
    images = part["image"].isel(target=target).values
    if not _lacks_origins(part):
        return images
    row = np.full((part.sizes["target"], *images.shape), np.nan, np.float32)
    row[target] = images
    return row


def _cell_side(study: xr.Dataset) -> int:
    """Longer side of an image in the overview, pixels."""
    return sprites.cell_side(
        study.sizes["target"],
        max(study.sizes["height"], study.sizes["width"]),
        max_pixels=metadata.MAX_OVERVIEW_PIXELS,
    )


def _has_frames(study: xr.Dataset) -> bool:
    """Whether frames are shown; those of many classes would be too many."""
    return "frames" in study and study.sizes["target"] <= metadata.MAX_FULL_CLASSES


def write_prototype_summaries(folder: StudyFolder) -> None:
    """Writes the event files of a prototype study again, from its store."""
    writer = PrototypeSummaries(folder)
    study = prototype_store.read_prototype_study(folder)
    for percentage in study["interval"].values[study["test_accuracy"].notnull()]:
        writer.add_network(float(percentage))
        writer.add_prototypes(float(percentage))
    writer.close()
