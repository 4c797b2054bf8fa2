"""What a run keeps of its single networks, by whichever version it was written."""

import numpy as np

from tb_plugin import arrays, metadata, networks
from tb_plugin.event_data import Point
from tb_plugin.networks import Networks
from tb_plugin.study_run import StudyRun
from tb_plugin.study_text import DataError

_COUNTS = ("uint8", "uint16", "uint32")
_MAX_IMAGES = 2**32


def read_networks(run: StudyRun) -> Networks:
    """All networks of a run.

    Raises:
        DataError: If they make no sense.
    """
    tags = run.tags.tensors
    tag = metadata.TAG_NETWORKS
    if tag not in tags:
        tag = metadata.TAG_NETWORK
    if tag not in tags:
        return networks.check_networks([], run.study)

    def make():
        points = run.points(tag)
        if tag == metadata.TAG_NETWORK:
            points = _as_blocks(points, run.study)
        found = networks.check_networks(points, run.study)
        return 1000 + 48 * len(found.steps), found

    # A newer description makes networks of a deleted event file of those before it.
    key = run.name, "networks", tag, tags[tag], tags[metadata.TAG_STUDY]
    return run.events.cached(key, make)


def read_accuracies(
    run: StudyRun, all_networks: Networks, *, target: int, without_pair: bool
) -> np.ndarray:
    """One response of networks to one target.

    Args:
        run: Of a confusion study.
        all_networks: Some of `read_networks`, n of them.
        target: The target.
        without_pair: Whether each network's own pair is left out.

    Returns:
        float64 (n,), shares; NaN where there is none.

    Raises:
        DataError: If the data make no sense.
    """
    num_classes = len(run.study["class_names"])
    column = target + num_classes * without_pair
    if metadata.TAG_NETWORKS in run.tags.tensors:
        steps, values = _shares(run, column, target)
    else:
        points = run.points(metadata.TAG_NETWORK)
        column += len(metadata.NETWORK_COLUMNS)
        steps = np.array([point.step for point in points], np.int64)
        values = np.array([point.values[column] for point in points], np.float64)
    # A block that is just being written may be there by half.
    place = np.searchsorted(steps, all_networks.steps)
    place[place == len(steps)] = 0
    if not len(steps):
        return np.full(len(all_networks.steps), np.nan)
    return np.where(steps[place] == all_networks.steps, values[place], np.nan)


def _as_blocks(points: list[Point], study: dict) -> list[Point]:
    """Points of TAG_NETWORK, checked, as those of TAG_NETWORKS."""
    first = len(metadata.NETWORK_COLUMNS)
    shape = (first + 2 * len(study["class_names"]),)
    for point in points:
        arrays.check_array("a network", point.values, shape=shape, dtypes=("float64",))
        if not arrays.is_share(point.values[first:]):
            raise DataError("The accuracies of a network make no sense.")
    return [
        Point(point.step, point.wall_time, point.values[None, :first])
        for point in points
    ]


def accuracy_step(run: StudyRun, target: int) -> float | None:
    """One test image of the target as a share; None where their number was not kept.

    Raises:
        DataError: If the data make no sense.
    """
    if metadata.TAG_TEST_IMAGES not in run.tags.tensors:
        return None
    images = _test_images(run)[target]
    return 1 / images if images else None


def _test_images(run: StudyRun) -> np.ndarray:
    """The test images of every class, int64 (K,)."""
    images = run.newest(metadata.TAG_TEST_IMAGES)
    if images is None:
        raise DataError("Expected the numbers of test images. Received: none.")
    class_images = arrays.check_array(
        "the numbers of test images",
        images.values,
        shape=(len(run.study["class_names"]),),
        dtypes=("int64",),
    )
    if not arrays.is_whole(class_images, 0, _MAX_IMAGES):
        raise DataError("The numbers of test images make no sense.")
    return class_images


def _shares(run: StudyRun, column: int, target: int) -> tuple[np.ndarray, np.ndarray]:
    """Steps, and a column of TAG_CORRECT as shares of the target's test images."""
    num_classes = len(run.study["class_names"])
    most = _test_images(run)[target]
    points = run.points(metadata.TAG_CORRECT)
    dtype = points[0].values.dtype if points else np.dtype(np.uint8)
    steps, counts = networks.joined(
        "numbers of correct images",
        points,
        2 * num_classes,
        dtypes=(dtype.name,) if dtype.name in _COUNTS else _COUNTS,
        columns=slice(column, column + 1),
    )
    counts = counts[:, 0]
    known = counts != np.iinfo(counts.dtype).max
    if (counts[known] > most).any() or (known.any() and not most):
        raise DataError("Networks got more images right than there are.")
    shares = np.full(len(counts), np.nan)
    shares[known] = counts[known] / most
    return steps, shares
