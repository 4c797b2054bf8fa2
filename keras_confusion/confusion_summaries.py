"""What a running confusion study shows in TensorBoard. Needs no TensorFlow.

Event files hold nothing that is not in the study's folder already, so that they are
deleted and written anew whenever a study is taken up or a report is made.
"""

import collections
import functools
import pathlib
import time

import numpy as np

from keras_confusion import confusion_snapshots, responses, results, study_folder
from keras_confusion.summaries import RunWriter, strict_json
from tb_plugin import metadata


class StudySummaries:
    """Writes a running study's networks, and comparisons as far as they can be made.

    Scalars for TensorBoard's own dashboard, the rest for the plugin.

    Args:
        directory: The study's folder, with `study.json` when the first network is
            added. Then what an earlier process wrote is deleted: add every network on
            disk first.
    """

    def __init__(self, directory):
        self._directory = pathlib.Path(directory)
        self._steps: collections.Counter[str] = collections.Counter()
        self._added: set[tuple[str, int]] = set()
        self._num_failed = 0

    def add_network(self, row: dict) -> None:
        """Adds one finished network, a row of `results.SCHEMA` that is on disk."""
        self._added.add((row["arm"], row["repeat"]))
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
        self._add_accuracies(row)
        if self._schedule.is_due(self._num_done):
            self._add_snapshot()
        # What TensorBoard shows is never behind.
        self._writer.flush()

    @property
    def _num_done(self) -> int:
        return len(self._added)

    def _add_accuracies(self, row: dict) -> None:
        """Adds the accuracies of a network, for TensorBoard and for the plugin."""
        num_classes, pair = len(self._class_names), -1
        of_pairs = self._pairs if self._has_pair_cells else []
        if row["arm"] != results.BASELINE:
            of_pairs = [[int(row["class_a"]), int(row["class_b"])]]
            pair = self._pairs.index(of_pairs[0])
        accuracy = own = np.full(num_classes, np.nan)
        if not row["failed"]:
            accuracy, without_pairs = responses.network_accuracies(
                row, self._test_labels, num_classes=num_classes, pairs=of_pairs
            )
            self._add_scalars(row, accuracy)
            if pair >= 0:
                own = without_pairs[0]
            elif self._has_pair_cells:
                self._writer.tensor(
                    metadata.TAG_BASELINE_WITHOUT_PAIR,
                    without_pairs.astype(np.float32),
                    self._num_done,
                )
        self._writer.tensor(
            metadata.TAG_NETWORK,
            confusion_snapshots.network(row, pair, accuracy, own),
            self._num_done,
        )

    def _add_scalars(self, row: dict, accuracy: np.ndarray) -> None:
        names = self._class_names
        of_all = np.mean(np.asarray(row["predictions"]) == self._test_labels)
        if row["arm"] == results.BASELINE:
            self._count(metadata.TAG_BASELINE_ACCURACY, of_all)
            for name, of_class in zip(names, accuracy, strict=True):
                # A class without test images has none.
                if np.isfinite(of_class):
                    self._count(metadata.PREFIX_BASELINE_CLASS + name, of_class)
        else:
            a, b = names[int(row["class_a"])], names[int(row["class_b"])]
            self._count(metadata.TAG_CONFUSED_ACCURACY, of_all)
            self._count(f"{metadata.PREFIX_ARM_ACCURACY}{a}-{b}", of_all)

    def _add_snapshot(self) -> None:
        """Compares the networks that were added, and no others."""
        begun = time.monotonic()
        networks = results.read_networks(self._directory)
        keys = zip(networks["arm"], networks["repeat"], strict=True)
        arrays = confusion_snapshots.snapshot(
            self._description,
            self._test_labels,
            networks[[key in self._added for key in keys]],
        )
        for tag, array in arrays.items():
            self._writer.tensor(tag, array, self._num_done)
        self._schedule.made(
            self._num_done,
            num_bytes=sum(array.nbytes for array in arrays.values()),
            seconds=time.monotonic() - begun,
        )

    def close(self) -> None:
        """Compares all networks once more, if some were added, and ends the file."""
        if not self._added:
            return
        try:
            if self._num_done > self._schedule.num_networks:
                self._add_snapshot()
        finally:
            self._writer.close()

    def _count(self, tag: str, value) -> None:
        self._steps[tag] += 1
        self._writer.scalar(tag, value, self._steps[tag])

    @functools.cached_property
    def _description(self) -> dict:
        return study_folder.read_description(self._directory, kind=results.KIND)

    @functools.cached_property
    def _test_labels(self) -> np.ndarray:
        return results.read_test_labels(self._directory)

    @property
    def _class_names(self) -> list[str]:
        return self._description["class_names"]

    @property
    def _pairs(self) -> list[list[int]]:
        return self._description["settings"]["pairs"]

    @property
    def _has_pair_cells(self) -> bool:
        return confusion_snapshots.has_pair_cells(self._description)

    @functools.cached_property
    def _schedule(self) -> confusion_snapshots.Schedule:
        # Made with the first network: reading a study from disk takes time as well.
        return confusion_snapshots.Schedule()

    @functools.cached_property
    def _writer(self) -> RunWriter:
        writer = RunWriter(self._directory / metadata.TRAINING_RUN)
        study = confusion_snapshots.describe(self._description)
        writer.text(metadata.TAG_STUDY, strict_json(study), step=0)
        return writer
