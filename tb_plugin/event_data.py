"""The only reader of what TensorBoard keeps of event files.

Event files come from strangers, and TensorBoard's loaders raise nearly anything when
they are malformed: here it becomes a `DataError`, of one run, with the reason.
"""

import collections
import dataclasses
import functools
import threading
from collections.abc import Callable, Hashable
from typing import Any

import numpy as np
from tensorboard.data import provider

from tb_plugin import metadata, tensor_limits
from tb_plugin.study_text import MAX_CLASSES, DataError

CACHE_BYTES = 2**28
MAX_BLOB_BYTES = 2**26
# All of them: TensorBoard takes 0 for none.
_ALL_POINTS = 10**6
# Of a tag at a step: the overview, and a picture of each class.
_MAX_FILES = 1 + MAX_CLASSES
_MAX_REASON_LENGTH = 300


@dataclasses.dataclass(frozen=True)
class Point:
    """An array at a step of a tag; `wall_time` in seconds since 1970."""

    step: int
    wall_time: float
    values: np.ndarray


@dataclasses.dataclass(frozen=True)
class Files:
    """Keys of the files at a step of a tag; `wall_time` in seconds since 1970."""

    wall_time: float
    keys: list[str]


@dataclasses.dataclass(frozen=True)
class Series:
    """What is known of a tag without reading it."""

    max_step: int
    max_wall_time: float
    plugin_content: bytes


@dataclasses.dataclass(frozen=True)
class Tags:
    """The plugin's tags of a run, or why they cannot be listed."""

    tensors: dict[str, Series] = dataclasses.field(default_factory=dict)
    blobs: dict[str, Series] = dataclasses.field(default_factory=dict)
    error: DataError | None = None


class Cache:
    """The latest arrays, up to so many bytes. Threads may share it."""

    def __init__(self, max_bytes: int = CACHE_BYTES):
        self._max_bytes, self._num_bytes = max_bytes, 0
        self._values: collections.OrderedDict[Hashable, tuple[int, Any]]
        self._values = collections.OrderedDict()
        self._lock = threading.Lock()

    def __contains__(self, key: Hashable) -> bool:
        with self._lock:
            return key in self._values

    def get(self, key: Hashable, make: Callable[[], tuple[int, Any]]):
        """Returns the value of a key.

        Args:
            key: Of the same data, always the same.
            make: Returns the value's size in bytes and the value. Two threads may both
                call it: no lock is held, as it may take long.
        """
        with self._lock:
            if key in self._values:
                self._values.move_to_end(key)
                return self._values[key][1]
        size, value = make()
        with self._lock:
            if size <= self._max_bytes and key not in self._values:
                self._values[key] = size, value
                self._num_bytes += size
                while self._num_bytes > self._max_bytes:
                    _, (freed, _) = self._values.popitem(last=False)
                    self._num_bytes -= freed
        return value


class EventData:
    """What one request sees of the runs of an experiment.

    Args:
        data_provider: TensorBoard's.
        cache: Of earlier requests.
        context: The request's.
        experiment_id: The request's.
    """

    def __init__(self, data_provider, cache: Cache, context, experiment_id: str):
        self._provider = data_provider
        self._cache = cache
        self._context = context
        self._experiment_id = experiment_id
        self._kinds = (
            ("tensors", data_provider.list_tensors),
            ("blobs", data_provider.list_blob_sequences),
        )

    def runs(self) -> dict[str, Tags]:
        """Returns the tags of all runs that have some, by the name of the run."""
        try:
            return self._list(None, self._kinds)
        except DataError:
            # One bad tag has TensorBoard's Python loader refuse to list any run.
            return self._list_one_by_one()

    def tags(self, run: str) -> Tags:
        """Returns the tensors' tags of a run, none if there is no such run.

        Every call to TensorBoard's data server takes 40 ms: files are not listed.

        Raises:
            DataError: If TensorBoard cannot list them.
        """
        return self._list([run], self._kinds[:1]).get(run, Tags())

    def points(self, run: str, tag: str, series: Series) -> list[Point]:
        """Returns all points of a tag, as TensorBoard has them.

        Raises:
            DataError: If TensorBoard cannot read them.
        """
        return self._read(run, tag, series, _ALL_POINTS)

    def last_point(self, run: str, tag: str, series: Series) -> Point | None:
        """Returns the point that came last; the others are not even decoded."""
        points = self._read(run, tag, series, 1)
        return points[-1] if points else None

    def files(self, run: str, tag: str) -> dict[int, Files]:
        """Returns the files of a tag, by step.

        Raises:
            DataError: If TensorBoard cannot list them.
        """
        what, chosen = _chosen(run, tag)
        listed = self._ask(
            what, self._provider.list_blob_sequences, run_tag_filter=chosen
        )
        about = listed.get(run, {}).get(tag)
        if about is None or about.max_length is None:
            return {}
        # TensorBoard's Python loader makes a key for each file that a shape promises.
        if about.max_length > _MAX_FILES:
            raise DataError(f"Expected at most {_MAX_FILES} files in {what}.")

        def read():
            sequences = self._ask(
                what,
                self._provider.read_blob_sequences,
                downsample=_ALL_POINTS,
                run_tag_filter=chosen,
            )
            files = {
                datum.step: Files(
                    datum.wall_time, [reference.blob_key for reference in datum.values]
                )
                for datum in sequences.get(run, {}).get(tag, [])
            }
            return 200 * sum(1 + len(one.keys) for one in files.values()), files

        key = run, tag, about.max_step, about.max_wall_time, about.max_length
        return self.cached(key, read)

    def blob(self, key: str) -> bytes:
        """Returns a file.

        Raises:
            DataError: If TensorBoard cannot read it, or it is no file of a fair size.
        """
        content = self._call("a file", self._provider.read_blob, blob_key=key)
        if not isinstance(content, bytes) or len(content) > MAX_BLOB_BYTES:
            raise DataError(f"Expected a file of at most {MAX_BLOB_BYTES} bytes.")
        return content

    def cached(self, key: Hashable, make: Callable[[], tuple[int, Any]]):
        """Returns what was made of data, see `Cache.get`; raises what `make` does."""
        return self._cache.get((self._experiment_id, key), make)

    def read_ahead(self, runs: dict[str, Tags], tag: str, *, newest: bool) -> None:
        """Reads a tag of many runs at once, for `last_point` or `points`.

        Of hundreds of runs one call each would take a minute.

        Args:
            runs: The runs, with their tags.
            tag: The tag.
            newest: Whether the newest point is enough.
        """
        downsample = 1 if newest else _ALL_POINTS
        keys = {
            run: _key(run, tag, tags.tensors[tag], downsample)
            for run, tags in runs.items()
            if tag in tags.tensors
        }
        missing = [
            run
            for run, key in keys.items()
            if (self._experiment_id, key) not in self._cache
        ]
        if len(missing) < 2:
            return
        try:
            tensors = self._ask(
                tag,
                self._provider.read_tensors,
                downsample=downsample,
                run_tag_filter=provider.RunTagFilter(runs=missing, tags=[tag]),
            )
        except DataError:
            # Of one of them. Each is read by itself then, and tells its own reason.
            return
        for run in missing:
            points = _points(tensors.get(run, {}).get(tag, []))
            self.cached(keys[run], functools.partial(_sized, points, tag))

    def _read(self, run: str, tag: str, series: Series, downsample: int) -> list[Point]:
        def read():
            what, chosen = _chosen(run, tag)
            try:
                tensors = self._ask(
                    what,
                    self._provider.read_tensors,
                    downsample=downsample,
                    run_tag_filter=chosen,
                )
            except DataError as error:
                if isinstance(error.__cause__, tensor_limits.TooLargeError):
                    return 200, _too_large(what)
                raise
            return _sized(_points(tensors.get(run, {}).get(tag, [])), what)

        found = self.cached(_key(run, tag, series, downsample), read)
        if isinstance(found, str):
            raise DataError(found)
        return found

    def _list(self, runs: list[str] | None, kinds) -> dict[str, Tags]:
        found: dict[str, Tags] = {}
        for kind, function in kinds:
            listed = self._ask(
                "the plugin's tags",
                function,
                run_tag_filter=provider.RunTagFilter(runs=runs, tags=None),
            )
            for run, tags in listed.items():
                series = getattr(found.setdefault(run, Tags()), kind)
                for tag, about in tags.items():
                    # None of a tag without a point.
                    if about.max_step is not None:
                        series[tag] = Series(
                            about.max_step, about.max_wall_time, about.plugin_content
                        )
        return found

    def _list_one_by_one(self) -> dict[str, Tags]:
        runs = self._call(
            "runs", self._provider.list_runs, experiment_id=self._experiment_id
        )
        found = {}
        for run in (run.run_name for run in runs):
            try:
                found.update(self._list([run], self._kinds))
            except DataError as error:
                found[run] = Tags(error=error)
        return found

    def _ask(self, what: str, function, **arguments):
        return self._call(
            what,
            function,
            experiment_id=self._experiment_id,
            plugin_name=metadata.PLUGIN_NAME,
            **arguments,
        )

    def _call(self, what: str, function, **arguments):
        try:
            with tensor_limits.at_most(CACHE_BYTES):
                return function(self._context, **arguments)
        # KeyError, ValueError, TypeError, gRPC's: what a loader raises depends on what
        # is in the file. Nothing but this call is inside, and the reason is passed on.
        except Exception as error:
            raise DataError(f"TensorBoard cannot read {what}: {_why(error)}") from error


def _chosen(run: str, tag: str) -> tuple[str, provider.RunTagFilter]:
    """A tag of a run, in words and for TensorBoard."""
    chosen = provider.RunTagFilter(runs=[run], tags=[tag])
    return f"{tag} of run {run!r}", chosen


def _key(run: str, tag: str, series: Series, downsample: int) -> Hashable:
    return run, tag, series.max_step, series.max_wall_time, downsample


def _points(data) -> list[Point]:
    return [Point(datum.step, datum.wall_time, datum.numpy) for datum in data]


def _sized(points: list[Point], what: str) -> tuple[int, list[Point] | str]:
    """Points and their size; of too many a text instead, so that they are read once.

    TensorBoard expands a single number to any shape that a tensor promises.
    """
    # Beside the numbers, what Python keeps of an object.
    size = sum(point.values.nbytes + 200 for point in points)
    if size > CACHE_BYTES:
        return 200, _too_large(what)
    return size, points


def _too_large(what: str) -> str:
    return f"Expected at most {CACHE_BYTES} bytes in {what}. Received: more."


def _why(error: Exception) -> str:
    # The text of gRPC's errors goes on for lines.
    details = error.details() if hasattr(error, "details") else error
    return f"{type(error).__name__}: {details}"[:_MAX_REASON_LENGTH]
