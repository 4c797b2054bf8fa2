"""A study's run as one request sees it: its description, and its tags' newest data.

A study's event file is deleted and written again when the study is resumed.
TensorBoard may still hold the points of the deleted one; they are older than the
description, which a writer writes first, and are left out here.
"""

import functools

from tb_plugin import metadata
from tb_plugin.event_data import EventData, Point, Tags
from tb_plugin.study_text import (
    DataError,
    NotThereError,
    check_version,
    parse_study,
)


class StudyRun:
    """One run with TAG_STUDY.

    Args:
        events: Of the request.
        name: The run's.
        tags: Of the run, without an error, TAG_STUDY among them.
    """

    def __init__(self, events: EventData, name: str, tags: Tags):
        self.events, self.name, self.tags = events, name, tags

    @functools.cached_property
    def study(self) -> dict:
        """What the run is about, see `study_text.parse_study`.

        Raises:
            DataError: If it makes no sense, or a newer package wrote it.
        """
        series = self.tags.tensors[metadata.TAG_STUDY]
        check_version(series.plugin_content)
        key = self.name, "study", series.max_wall_time
        return self.events.cached(key, self._parse)

    def points(self, tag: str) -> list[Point]:
        """Returns a tag's points of this event file, steps rising; none without it.

        Raises:
            DataError: If TensorBoard cannot read them.
        """
        if tag not in self.tags.tensors:
            return []
        points = self.events.points(self.name, tag, self.tags.tensors[tag])
        by_step: dict[int, Point] = {}
        for point in points:
            known = by_step.get(point.step)
            if self._is_current(point.wall_time) and (
                known is None or point.wall_time >= known.wall_time
            ):
                by_step[point.step] = point
        return [by_step[step] for step in sorted(by_step)]

    def newest(self, tag: str) -> Point | None:
        """Returns a tag's newest point of this event file, if there is one.

        Raises:
            DataError: If TensorBoard cannot read it.
        """
        if tag not in self.tags.tensors:
            return None
        point = self.events.last_point(self.name, tag, self.tags.tensors[tag])
        if point is None or not self._is_current(point.wall_time):
            return None
        return point

    def file(self, tag: str, step: int, index: int) -> bytes | None:
        """Returns a file of a blob sequence, if it is there.

        Raises:
            DataError: If TensorBoard cannot read it.
            NotThereError: If TensorBoard still has that of a deleted event file: its
                Python loader keeps the first of each step.
        """
        files = self.events.files(self.name, tag).get(step)
        if files is None or index >= len(files.keys):
            return None
        if not self._is_current(files.wall_time):
            raise NotThereError(
                "the study was resumed, and TensorBoard has not noticed. "
                "Restart TensorBoard."
            )
        return self.events.blob(files.keys[index])

    def _is_current(self, wall_time: float) -> bool:
        return not wall_time < self._description.wall_time

    @functools.cached_property
    def _description(self) -> Point:
        tag = metadata.TAG_STUDY
        point = self.events.last_point(self.name, tag, self.tags.tensors[tag])
        if point is None:
            raise DataError("Expected a description of the study. Received: none.")
        return point

    def _parse(self) -> tuple[int, dict]:
        values = self._description.values
        if values.shape != (1,) or not isinstance(values[0], bytes):
            raise DataError(
                "Expected the description of the study to be one text. "
                f"Received: shape {values.shape}, type {values.dtype}."
            )
        # Python's objects take several times the text.
        return 10 * len(values[0]), parse_study(values[0])
