"""The only writer of TensorBoard's event files. Needs TensorBoard, not TensorFlow."""

import contextlib
import json
import math
import pathlib
import re
import shutil
import socket
import struct
import time
from collections.abc import Iterator

import numpy as np
from tensorboard.compat.proto import (
    event_pb2,
    summary_pb2,
    tensor_pb2,
    tensor_shape_pb2,
    types_pb2,
)
from tensorboard.compat.tensorflow_stub import dtypes
from tensorboard.plugins.image import metadata as image_metadata
from tensorboard.plugins.scalar import metadata as scalar_metadata
from tensorboard.summary.writer import record_writer
from tensorboard.util import tensor_util

from keras_confusion.storage import files
from tb_plugin import metadata

_PREFIX = "events.out.tfevents."


def _shape(sizes: tuple[int, ...]) -> tensor_shape_pb2.TensorShapeProto:
    return tensor_shape_pb2.TensorShapeProto(
        dim=[tensor_shape_pb2.TensorShapeProto.Dim(size=size) for size in sizes]
    )


def _strings(*values: bytes) -> tensor_pb2.TensorProto:
    """A tensor of rank 1; `make_tensor_proto` would go through fixed-width bytes."""
    return tensor_pb2.TensorProto(
        dtype=types_pb2.DT_STRING,
        tensor_shape=_shape((len(values),)),
        string_val=values,
    )


def _plugin_metadata(data_class) -> summary_pb2.SummaryMetadata:
    """TensorBoard keeps nothing of a plugin's data without a data class."""
    return summary_pb2.SummaryMetadata(
        plugin_data=summary_pb2.SummaryMetadata.PluginData(
            plugin_name=metadata.PLUGIN_NAME, content=metadata.plugin_content()
        ),
        data_class=data_class,
    )


def strict_json(value) -> str:
    """JSON that every reader takes: floats that are not finite become null."""
    return json.dumps(_finite(value), allow_nan=False)


def _finite(value):
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def _file_name(earlier: str) -> str:
    """A new name for an event file, which sorts after an earlier one.

    TensorBoard knows files by their names and sorts by them: never the same twice, and
    in the order of time, also where the clock was set back.
    """
    seconds, rest = divmod(time.time_ns(), 10**9)
    # Ten digits, as clocks that were never set begin at 0.
    stamp = f"{seconds:010d}.{rest:09d}"
    before = earlier.removeprefix(_PREFIX)
    if stamp > before:
        return f"{_PREFIX}{stamp}.{socket.gethostname()}"
    found = re.match(r"(\d{10})\.(\d{9})\.", before)
    if not found:
        return f"{earlier}.{stamp}"
    seconds, rest = divmod(int(found[1]) * 10**9 + int(found[2]) + 1, 10**9)
    return f"{_PREFIX}{seconds:010d}.{rest:09d}.{socket.gethostname()}"


class RunWriter:
    """The one event file of a run; earlier ones are deleted.

    Every method raises an OSError with the file's name if it cannot be written.
    TensorBoard's own `EventFileWriter` imports TensorFlow, and writes in a thread that
    keeps a full disk to itself.
    """

    def __init__(self, run_directory: pathlib.Path):
        if run_directory.is_symlink():
            raise NotADirectoryError(f"{run_directory} is a link, not a folder.")
        earlier = sorted(path.name for path in run_directory.glob("*tfevents*"))
        self.path = run_directory / _file_name(earlier[-1] if earlier else "")
        try:
            if run_directory.exists():
                shutil.rmtree(run_directory)
            run_directory.mkdir(parents=True)
            self._file = open(self.path, "wb")  # noqa: SIM115
        except OSError as error:
            raise files.with_name(error, self.path) from error
        self._records = record_writer.RecordWriter(self._file)
        self._write(event_pb2.Event(file_version="brain.Event:2"))
        # Has TensorBoard's Python loader forget what it read of an earlier file.
        start = event_pb2.SessionLog(status=event_pb2.SessionLog.START)
        self._write(event_pb2.Event(step=0, session_log=start))

    def scalar(self, tag: str, value: float, step: int) -> None:
        """Adds one point of a curve."""
        self._add(
            tag,
            tensor_util.make_tensor_proto(np.float32(value)),
            step,
            scalar_metadata.create_summary_metadata(
                display_name=None, description=None
            ),
        )

    def image(self, tag: str, png: bytes, step: int) -> None:
        """Adds a picture, a PNG file."""
        # Width and height lie at a fixed place of every PNG file.
        width, height = struct.unpack(">II", png[16:24])
        self._add(
            tag,
            _strings(str(width).encode(), str(height).encode(), png),
            step,
            image_metadata.create_summary_metadata(display_name=None, description=None),
        )

    def tensor(self, tag: str, values: np.ndarray, step: int) -> None:
        """Adds an array for the plugin. Steps of a tag must rise."""
        values = np.ascontiguousarray(values)
        # As bytes: `make_tensor_proto` writes float16 number by number, which takes
        # TensorBoard many times as long to read.
        proto = tensor_pb2.TensorProto(
            dtype=dtypes.as_dtype(values.dtype).as_datatype_enum,
            tensor_shape=_shape(values.shape),
            tensor_content=values.astype(values.dtype.newbyteorder("<")).tobytes(),
        )
        self._add(tag, proto, step, _plugin_metadata(summary_pb2.DATA_CLASS_TENSOR))

    def text(self, tag: str, value: str, step: int) -> None:
        """Adds a text for the plugin, a string tensor of shape (1,)."""
        self._add(
            tag,
            _strings(value.encode()),
            step,
            _plugin_metadata(summary_pb2.DATA_CLASS_TENSOR),
        )

    def blobs(self, tag: str, values: list[bytes], step: int) -> None:
        """Adds files for the plugin, a blob sequence."""
        self._add(
            tag,
            _strings(*values),
            step,
            _plugin_metadata(summary_pb2.DATA_CLASS_BLOB_SEQUENCE),
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
        with self._named():
            self._records.write(event.SerializeToString())

    def flush(self) -> None:
        """Lets TensorBoard see what was added."""
        with self._named():
            self._records.flush()

    def close(self) -> None:
        """Ends the file."""
        with self._named():
            self._records.close()

    @contextlib.contextmanager
    def _named(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise files.with_name(error, self.path) from error
