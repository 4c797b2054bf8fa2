"""What a running confusion study shows in TensorBoard. Needs no TensorFlow.

Event files hold nothing that is not in the study's folder already, so that they are
deleted and written again whenever a study is resumed or a report is made.
"""

import collections
import functools
import time

import numpy as np

from keras_confusion.comparisons import findings as comparison_findings
from keras_confusion.comparisons import responses
from keras_confusion.confusion import network_checks, network_files
from keras_confusion.confusion import store as confusion_store
from keras_confusion.reports.tensorboard import confusion_snapshots
from keras_confusion.reports.tensorboard.event_writer import RunWriter, strict_json
from keras_confusion.storage.study_folder import StudyFolder
from tb_plugin import metadata


class StudySummaries:
    """Writes a running study's networks, and comparisons as far as they can be made.

    Scalars for TensorBoard's own dashboard, the rest for the plugin.

    Args:
        directory: The study's folder, which may be begun after this, or an opened
            `StudyFolder`. With the first network it is opened, and what an earlier
            process wrote is deleted: add every network on disk first.
        test: Which test the study is told by, one of `findings.TESTS`.

    Raises:
        ValueError: If there is no such test.
    """

    def __init__(self, directory, test: str = comparison_findings.DEFAULT_TEST):
        comparison_findings.check_test(test)
        self._directory, self._test = directory, test
        self._block = NetworkBlock()
        self._num_done = 0
        self._num_failed = 0

    def add_network(self, row: dict) -> None:
        """Adds one finished network, each once, a row of `network_files.COLUMNS`."""
        self._num_done += 1
        self._collector.add(row)
        self._num_failed += bool(row["failed"])
        self._block.mean(metadata.TAG_SECONDS, row["seconds"], self._num_done)
        if not row["failed"]:
            loss = row["final_training_loss"]
            self._block.mean(metadata.TAG_TRAINING_LOSS, loss, self._num_done)
        self._add_accuracies(row)
        is_snapshot_due = self._schedule.is_due(self._num_done)
        if is_snapshot_due or self._block_schedule.is_due(self._num_done):
            self._write_block()
        if is_snapshot_due:
            self._add_snapshot()
            self._writer.flush()

    def _write_block(self) -> None:
        """Writes the networks since the last block, and shows them."""
        if self._num_done == self._block.num_written:
            return
        writer = self._writer
        writer.scalar(metadata.TAG_NETWORKS_DONE, self._num_done, self._num_done)
        writer.scalar(metadata.TAG_NETWORKS_FAILED, self._num_failed, self._num_done)
        self._block.write(writer, self._num_done)
        self._block_schedule.written(self._num_done)
        writer.flush()

    def _add_accuracies(self, row: dict) -> None:
        """Adds the accuracies of a network, for TensorBoard and for the plugin."""
        num_classes, pair = len(self._class_names), -1
        pairs = self._pairs if self._has_baseline_cells else []
        if row["arm"] != network_files.BASELINE:
            pairs = [[int(row["class_a"]), int(row["class_b"])]]
            pair = self._number_of_pair[tuple(pairs[0])]
        accuracy = own = np.full(num_classes, np.nan)
        if not row["failed"]:
            accuracy, without_pairs = responses.network_accuracies(
                row, self._test_labels, num_classes=num_classes, pairs=pairs
            )
            self._add_scalars(row, accuracy)
            if pair >= 0:
                own = without_pairs[0]
            elif self._has_baseline_cells:
                self._writer.tensor(
                    metadata.TAG_BASELINE_WITHOUT_PAIR,
                    without_pairs.astype(np.float32),
                    self._num_done,
                )
        self._block.add(
            confusion_snapshots.network(row, pair),
            confusion_snapshots.correct_images(
                np.stack([accuracy, own]), self._test_images
            ),
        )

    def _add_scalars(self, row: dict, accuracy: np.ndarray) -> None:
        names, count = self._class_names, self._block.count
        is_baseline = row["arm"] == network_files.BASELINE
        overall_accuracy = np.mean(np.asarray(row["predictions"]) == self._test_labels)
        groups = metadata.TAG_BASELINE_ACCURACY, metadata.TAG_CONFUSED_ACCURACY
        count(groups[not is_baseline], overall_accuracy)
        if len(self._pairs) > metadata.MAX_PAIR_CURVES:
            return
        if is_baseline:
            for name, class_accuracy in zip(names, accuracy, strict=True):
                # A class without test images has none.
                if np.isfinite(class_accuracy):
                    count(metadata.PREFIX_BASELINE_CLASS + name, class_accuracy)
        else:
            a, b = names[int(row["class_a"])], names[int(row["class_b"])]
            count(f"{metadata.PREFIX_ARM_ACCURACY}{a}-{b}", overall_accuracy)

    def _add_snapshot(self) -> None:
        """Compares the networks that were added, and no others."""
        begun = time.monotonic()
        arrays = confusion_snapshots.snapshot(
            self._folder.description, self._collector.study(), self._test
        )
        for tag, array in arrays.items():
            self._writer.tensor(tag, array, self._num_done)
        self._schedule.made(
            self._num_done,
            num_bytes=sum(array.nbytes for array in arrays.values()),
            seconds=time.monotonic() - begun,
        )

    def close(self) -> None:
        """Compares all networks again, if some were added, and ends the file."""
        if not self._num_done:
            return
        try:
            self._write_block()
            if self._num_done > self._schedule.num_networks:
                self._add_snapshot()
        finally:
            self._writer.close()

    @functools.cached_property
    def _folder(self) -> StudyFolder:
        return confusion_store.open_to_read(self._directory)

    @functools.cached_property
    def _test_labels(self) -> np.ndarray:
        return confusion_store.read_test_labels(self._folder)

    @functools.cached_property
    def _test_images(self) -> np.ndarray:
        return np.bincount(self._test_labels, minlength=len(self._class_names))

    @functools.cached_property
    def _collector(self) -> responses.ResponseCollector:
        return responses.ResponseCollector(
            self._test_labels, num_classes=len(self._class_names), pairs=self._pairs
        )

    @property
    def _class_names(self) -> list[str]:
        return self._folder.class_names

    @property
    def _pairs(self) -> list[list[int]]:
        return self._folder.settings["pairs"]

    @functools.cached_property
    def _number_of_pair(self) -> dict[tuple[int, ...], int]:
        return {tuple(pair): number for number, pair in enumerate(self._pairs)}

    @functools.cached_property
    def _has_baseline_cells(self) -> bool:
        return confusion_snapshots.has_baseline_cells(self._folder.description)

    @functools.cached_property
    def _schedule(self) -> confusion_snapshots.Schedule:
        # Made with the first network.
        return confusion_snapshots.Schedule()

    @functools.cached_property
    def _block_schedule(self) -> confusion_snapshots.BlockSchedule:
        return confusion_snapshots.BlockSchedule(len(self._class_names))

    @functools.cached_property
    def _writer(self) -> RunWriter:
        writer = RunWriter(self._folder.path / metadata.TRAINING_RUN)
        study = confusion_snapshots.describe(self._folder.description, self._test)
        writer.text(metadata.TAG_STUDY, strict_json(study), step=0)
        writer.tensor(metadata.TAG_TEST_IMAGES, self._test_images, 0)
        return writer


def write_confusion_summaries(
    folder: StudyFolder, test: str = comparison_findings.DEFAULT_TEST
) -> None:
    """Writes the event files of a confusion study again, from its rows.

    Args:
        folder: The study's folder.
        test: As of `StudySummaries`.

    Raises:
        ValueError: If there is no such test.
    """
    writer = StudySummaries(folder, test)
    test_labels = confusion_store.read_test_labels(folder)
    for networks in confusion_store.iterate_networks(folder.path):
        network_checks.check_networks(
            networks, folder.description, test_labels=test_labels, source=folder.path
        )
        for row in networks.to_dict("records"):
            writer.add_network(row)
    writer.close()


class NetworkBlock:
    """Takes networks until it is written, and is empty again then."""

    def __init__(self):
        self.num_written = 0
        self._networks: list[np.ndarray] = []
        self._correct: list[np.ndarray] = []
        # Of each tag: values, and the step of the last one.
        self._values: dict[str, list[float]] = collections.defaultdict(list)
        self._steps: collections.Counter[str] = collections.Counter()

    def add(self, network: np.ndarray, correct: np.ndarray) -> None:
        """Adds one network.

        Args:
            network: A row of `metadata.TAG_NETWORKS`.
            correct: A row of `metadata.TAG_CORRECT`.
        """
        self._networks.append(network)
        self._correct.append(correct)

    def mean(self, tag: str, value: float, step: int) -> None:
        """Adds a value to a curve that gets the mean of a block, at its last step."""
        self._values[tag].append(float(value))
        self._steps[tag] = step

    def count(self, tag: str, value: float) -> None:
        """The same of a curve whose step counts its values."""
        self.mean(tag, value, self._steps[tag] + 1)

    def write(self, writer: RunWriter, num_networks: int) -> None:
        """Writes the block, whose last network is that of this number."""
        for tag, values in self._values.items():
            writer.scalar(tag, float(np.mean(values)), self._steps[tag])
        # First what the others refer to.
        writer.tensor(metadata.TAG_CORRECT, np.stack(self._correct), num_networks)
        writer.tensor(metadata.TAG_NETWORKS, np.stack(self._networks), num_networks)
        self._values.clear()
        self._networks.clear()
        self._correct.clear()
        self.num_written = num_networks
