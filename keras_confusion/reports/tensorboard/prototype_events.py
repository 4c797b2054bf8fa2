"""What a running prototype study shows in TensorBoard. Needs no TensorFlow."""

import functools

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

_IMAGE = ("height", "width", "channel")
_MATRICES: dict[str, Kind] = {metadata.PREFIX_C: "inter", metadata.PREFIX_R: "intra"}


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
        self._is_described = False

    def add_network(self, percentage: float) -> None:
        """Adds the network of one interval: its accuracies and the loss by epoch."""
        folder = prototype_store.model_directory(self._folder.path, percentage)
        description = model_description.read_of_study(
            folder / "model.json",
            *("class_names", "test_accuracy", "test_class_accuracies", "training"),
        )
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
        """Adds one interval, its parts that are finished; after those before it."""
        study = prototype_store.read_prototype_study(self._folder)
        interval = study["interval"].values.tolist().index(percentage)
        study = study.isel(interval=[interval])
        if not study["finished"].values.any():
            return
        table = prototype_tables.by_initialisation(study)
        trends = prototype_tables.trends(table)
        # Where an array lies tells of which part it is.
        measures = table.drop(columns=["interval", "initialisation"])
        (row,) = trends.to_dict("records")
        for name in metadata.PROTOTYPE_MEASURES:
            tag = metadata.PREFIX_PROTOTYPES + name
            self._prototypes.scalar(tag, row[name], round(percentage))
        if not self._is_described:
            text = strict_json(self._describe(study, measures, trends))
            self._prototypes.text(metadata.TAG_STUDY, text, step=0)
            self._is_described = True
        for part in prototype_store.finished(study):
            self._add_part(part, interval)
        all_measures = np.full(
            (study.sizes["initialisation"], measures.shape[1]), np.nan
        )
        all_measures[table["initialisation"]] = measures.to_numpy(np.float64)
        self._prototypes.tensor(metadata.TAG_MEASURES, all_measures, interval)
        self._prototypes.tensor(
            metadata.TAG_TRENDS, trends.to_numpy(np.float64)[0], interval
        )
        self._prototypes.flush()

    def _describe(
        self, study: xr.Dataset, measures: pd.DataFrame, trends: pd.DataFrame
    ) -> dict:
        """What the study is about, with the keys of `metadata.PROTOTYPE_KEYS`."""
        settings = dict(self._folder.settings)
        height, width, channels = (study.sizes[axis] for axis in _IMAGE)
        return {
            "kind": metadata.KIND_PROTOTYPES,
            "class_names": self._folder.class_names,
            "intervals": settings.pop("intervals"),
            "num_initialisations": study.sizes["initialisation"],
            # Other numbers of channels are drawn in grey.
            "image_shape": [height, width, channels if channels == 3 else 1],
            "num_frames": study.sizes["frame"] if _has_frames(study) else 0,
            "image_scale": _cell_side(study) / max(height, width),
            "measures": list(measures),
            "trends": list(trends),
            "settings": settings,
        }

    def _add_part(self, part: xr.Dataset, interval: int) -> None:
        """Adds the prototypes of one interval and initialisation."""
        number, num_classes = int(part["initialisation"]), part.sizes["target"]
        columns = [part[name].values for name in metadata.IMAGE_COLUMNS]
        self._prototypes.tensor(
            f"{metadata.PREFIX_CELLS}{number}",
            np.stack(columns, axis=-1).astype(np.float32),
            interval,
        )
        is_small = num_classes <= metadata.MAX_FULL_CLASSES
        for prefix, kind in _MATRICES.items():
            self._prototypes.tensor(
                f"{prefix}{number}",
                prototype_store.matrix(part, kind).astype(
                    np.float32 if is_small else np.float16
                ),
                interval,
            )
        rows = (part["image"].isel(target=k).values for k in range(num_classes))
        self._prototypes.blobs(
            f"{metadata.PREFIX_IMAGES}{number}",
            sprites.overview_and_rows(rows, _cell_side(part)),
            interval,
        )
        if _has_frames(part):
            frames = (part["frames"].isel(target=k).values for k in range(num_classes))
            self._prototypes.blobs(
                f"{metadata.PREFIX_FRAMES}{number}",
                # Of origins and frames.
                [
                    sprites.png(sprites.grid(sprites.levels(target_frames / 255)))
                    for target_frames in frames
                ],
                interval,
            )

    def close(self) -> None:
        """Writes what is still held back."""
        for name in ("_training", "_prototypes"):
            if name in vars(self):
                getattr(self, name).close()

    @functools.cached_property
    def _folder(self) -> StudyFolder:
        return prototype_store.open_to_read(self._directory)

    @functools.cached_property
    def _training(self) -> RunWriter:
        return RunWriter(self._folder.path / metadata.TRAINING_RUN)

    @functools.cached_property
    def _prototypes(self) -> RunWriter:
        return RunWriter(self._folder.path / metadata.PROTOTYPES_RUN)


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
