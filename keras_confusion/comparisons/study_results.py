"""From the folder of a confusion study, of any size, to its responses."""

import dataclasses

import numpy as np
import pandas as pd

from keras_confusion.comparisons import readings
from keras_confusion.comparisons.responses import ResponseCollector, StudyResponses
from keras_confusion.confusion import network_checks, network_files
from keras_confusion.confusion import store as confusion_store
from keras_confusion.confusion.answers import LABEL_COLUMNS

# What is read of a network beside its answers.
ABOUT = (
    "arm",
    "class_a",
    "class_b",
    "repeat",
    "seed",
    "recipe",
    "epochs",
    "attempt",
    "failed",
    "note",
    "final_training_loss",
    "seconds",
    "finished_at",
    "study",
    "code",
)
_ANSWERS = (
    *LABEL_COLUMNS,
    "log2_probability",
    "log2_probability_without_pair",
    *readings.COLUMNS,
)


@dataclasses.dataclass(frozen=True)
class Study:
    """A confusion study that was read.

    Args:
        description: What `study.json` says, see `StudyFolder`.
        networks: One row per network, failed ones too, with the columns `ABOUT`: the
            baseline first, then pair by pair, by repeat.
        responses: Of all networks that did not fail, in the same order.
        readings: Their d', by reading, see `readings`; networks from before it was
            kept, and models without features, have none.
    """

    description: dict
    networks: pd.DataFrame
    responses: StudyResponses
    readings: dict[str, StudyResponses]

    @property
    def class_names(self) -> list[str]:
        """Names in the order of the labels."""
        return self.description["class_names"]


def read_study(directory, *, single_networks: bool = False) -> Study:
    """Reads a study's networks, one after the other, and computes their responses.

    Args:
        directory: The study's folder, a string or path, or an opened `StudyFolder`.
        single_networks: See `responses.ResponseCollector`.

    Raises:
        StudyFolderError: If the folder holds no confusion study, or a file is damaged.
    """
    folder = confusion_store.open_to_read(directory)
    pairs, num_classes = folder.settings["pairs"], len(folder.class_names)
    test_labels = confusion_store.read_test_labels(folder)
    collector = ResponseCollector(
        test_labels,
        num_classes=num_classes,
        pairs=pairs,
        single_networks=single_networks,
    )
    num_images = np.bincount(test_labels, minlength=num_classes)
    reading_collector = readings.ReadingCollector(num_images, pairs=pairs)
    about = []
    for some in confusion_store.iterate_networks(
        folder.path, columns=[*ABOUT, *_ANSWERS]
    ):
        network_checks.check_networks(
            some, folder.description, test_labels=test_labels, source=folder.path
        )
        for row in some.to_dict("records"):
            collector.add(row)
            reading_collector.add(row)
        about.append(some[list(ABOUT)])
    if not about:
        about.append(confusion_store.read_networks(folder.path)[list(ABOUT)])
    networks = pd.concat(about, ignore_index=True)
    networks["failed"] = networks["failed"].astype(bool)
    number = {
        network_files.arm_name(tuple(pair)): index for index, pair in enumerate(pairs)
    }
    arms = networks["arm"].map(number).fillna(-1)
    order = np.lexsort((networks["repeat"].to_numpy(int), arms.to_numpy(int)))
    return Study(
        folder.description,
        networks.iloc[order].reset_index(drop=True),
        collector.study(),
        reading_collector.studies(),
    )
