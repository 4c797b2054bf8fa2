"""What a running confusion study shows in TensorBoard. Needs no TensorFlow.

Event files hold nothing that is not in the study's folder already, so that they are
deleted and written anew whenever a study is taken up or a report is made.
"""

import collections
import functools
import pathlib

import numpy as np

from keras_confusion import results, study_folder
from keras_confusion.summaries import RunWriter
from tb_plugin import metadata


class StudySummaries:
    """Writes a running study's progress and accuracies as scalars.

    Args:
        directory: The study's folder, with `study.json` when the first network is
            added. Then scalars of an earlier process are deleted: add every network
            on disk first.
    """

    def __init__(self, directory):
        self._directory = pathlib.Path(directory)
        self._steps: collections.Counter[str] = collections.Counter()
        self._num_done = self._num_failed = 0

    def add_network(self, row: dict) -> None:
        """Adds one finished network, a row of `results.SCHEMA`."""
        self._num_done += 1
        self._num_failed += bool(row["failed"])
        scalars = {
            metadata.TAG_NETWORKS_DONE: self._num_done,
            metadata.TAG_NETWORKS_FAILED: self._num_failed,
            metadata.TAG_SECONDS: row["seconds"],
        }
        if not row["failed"]:
            scalars[metadata.TAG_TRAINING_LOSS] = row["final_training_loss"]
        for tag, value in scalars.items():
            self._writer.scalar(tag, value, self._num_done)
        if not row["failed"]:
            self._add_accuracies(row)
        # What TensorBoard shows is never behind.
        self._writer.flush()

    def _add_accuracies(self, row: dict) -> None:
        test_labels, class_names = self._study
        right = np.asarray(row["predictions"]) == test_labels
        if row["arm"] == results.BASELINE:
            self._count(metadata.TAG_BASELINE_ACCURACY, right.mean())
            for label, name in enumerate(class_names):
                of_class = right[test_labels == label]
                if of_class.size:
                    self._count(metadata.PREFIX_BASELINE_CLASS + name, of_class.mean())
        else:
            a, b = class_names[int(row["class_a"])], class_names[int(row["class_b"])]
            self._count(metadata.TAG_CONFUSED_ACCURACY, right.mean())
            self._count(f"{metadata.PREFIX_ARM_ACCURACY}{a}-{b}", right.mean())

    def close(self) -> None:
        """Writes what is still held back."""
        if self._num_done:
            self._writer.close()

    def _count(self, tag: str, value) -> None:
        self._steps[tag] += 1
        self._writer.scalar(tag, value, self._steps[tag])

    @functools.cached_property
    def _study(self) -> tuple[np.ndarray, list[str]]:
        return (
            results.read_test_labels(self._directory),
            study_folder.read_description(self._directory)["class_names"],
        )

    @functools.cached_property
    def _writer(self) -> RunWriter:
        return RunWriter(self._directory / metadata.TRAINING_RUN)
