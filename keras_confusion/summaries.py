"""The only writer of TensorBoard data. Needs TensorBoard, not TensorFlow.

Event files hold nothing that is not in the study's folder already, so that they are
deleted and written anew whenever a study is taken up or a report is made.
"""

import collections
import functools
import pathlib
import shutil
import struct
import time

import numpy as np
from tensorboard.compat.proto import event_pb2, summary_pb2
from tensorboard.plugins.image import metadata as image_metadata
from tensorboard.plugins.scalar import metadata as scalar_metadata
from tensorboard.summary.writer import event_file_writer
from tensorboard.util import tensor_util

from keras_confusion import results
from tb_plugin import metadata

FLUSH_SECONDS = 5


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
        test_labels, class_names = self._study
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
        if row["failed"]:
            return
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
            results.read_description(self._directory)["class_names"],
        )

    @functools.cached_property
    def _writer(self) -> "_RunWriter":
        return _RunWriter(self._directory / metadata.TRAINING_RUN)


def write_figures(directory, figure_files, *, num_networks: int) -> None:
    """Puts PNG files into the image dashboard.

    Args:
        directory: The study's folder.
        figure_files: Paths of PNG files; the tag is the name without suffix.
        num_networks: Networks that the figures show, the step.
    """
    writer = _RunWriter(pathlib.Path(directory) / metadata.REPORT_RUN)
    for path in figure_files:
        tag = metadata.PREFIX_FIGURE + path.stem
        writer.image(tag, path.read_bytes(), num_networks)
    writer.close()


class _RunWriter:
    """The one event file of a run; an earlier one is deleted."""

    def __init__(self, run_directory: pathlib.Path):
        if run_directory.exists():
            shutil.rmtree(run_directory)
        run_directory.mkdir(parents=True)
        self._writer = event_file_writer.EventFileWriter(
            str(run_directory), flush_secs=FLUSH_SECONDS
        )

    def scalar(self, tag: str, value: float, step: int) -> None:
        self._add(
            tag,
            tensor_util.make_tensor_proto(np.float32(value)),
            step,
            scalar_metadata.create_summary_metadata(
                display_name=None, description=None
            ),
        )

    def image(self, tag: str, png: bytes, step: int) -> None:
        # Width and height lie at a fixed place of every PNG file.
        width, height = struct.unpack(">II", png[16:24])
        self._add(
            tag,
            tensor_util.make_tensor_proto([str(width), str(height), png], dtype=object),
            step,
            image_metadata.create_summary_metadata(display_name=None, description=None),
        )

    def _add(self, tag, tensor, step, summary_metadata) -> None:
        value = summary_pb2.Summary.Value(
            tag=tag, tensor=tensor, metadata=summary_metadata
        )
        self._writer.add_event(
            event_pb2.Event(
                wall_time=time.time(),
                step=step,
                summary=summary_pb2.Summary(value=[value]),
            )
        )

    def close(self) -> None:
        self._writer.close()
