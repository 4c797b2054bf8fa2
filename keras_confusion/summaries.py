"""The only writer of TensorBoard data. Needs TensorBoard, not TensorFlow.

Event files hold nothing that is not in the study's folder already, so that they are
deleted and written anew whenever a study is taken up or a report is made.
"""

import collections
import functools
import pathlib
import shutil
import socket
import struct
import time

import numpy as np
from tensorboard.compat.proto import (
    event_pb2,
    summary_pb2,
    tensor_pb2,
    tensor_shape_pb2,
    types_pb2,
)
from tensorboard.plugins.image import metadata as image_metadata
from tensorboard.plugins.scalar import metadata as scalar_metadata
from tensorboard.summary.writer import record_writer
from tensorboard.util import tensor_util

from keras_confusion import results
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


def _strings(*values: bytes) -> tensor_pb2.TensorProto:
    """A tensor of rank 1; `make_tensor_proto` would go through fixed-width bytes."""
    shape = tensor_shape_pb2.TensorShapeProto(
        dim=[tensor_shape_pb2.TensorShapeProto.Dim(size=len(values))]
    )
    return tensor_pb2.TensorProto(
        dtype=types_pb2.DT_STRING, tensor_shape=shape, string_val=values
    )


class _RunWriter:
    """The one event file of a run; an earlier one is deleted.

    TensorBoard's own `EventFileWriter` imports TensorFlow, and writes in a thread that
    keeps a full disk to itself.
    """

    def __init__(self, run_directory: pathlib.Path):
        if run_directory.exists():
            shutil.rmtree(run_directory)
        run_directory.mkdir(parents=True)
        name = f"events.out.tfevents.{int(time.time())}.{socket.gethostname()}"
        self._file = open(run_directory / name, "wb")  # noqa: SIM115
        self._records = record_writer.RecordWriter(self._file)
        self._write(event_pb2.Event(file_version="brain.Event:2"))

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
            _strings(str(width).encode(), str(height).encode(), png),
            step,
            image_metadata.create_summary_metadata(display_name=None, description=None),
        )

    def _add(self, tag, tensor, step, summary_metadata) -> None:
        value = summary_pb2.Summary.Value(
            tag=tag, tensor=tensor, metadata=summary_metadata
        )
        self._write(
            event_pb2.Event(step=step, summary=summary_pb2.Summary(value=[value]))
        )

    def _write(self, event: event_pb2.Event) -> None:
        event.wall_time = time.time()
        self._records.write(event.SerializeToString())

    def flush(self) -> None:
        self._records.flush()

    def close(self) -> None:
        self._records.close()
