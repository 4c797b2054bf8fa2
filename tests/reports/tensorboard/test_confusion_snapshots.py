import math

import numpy as np
import pytest

from keras_confusion.reports.tensorboard import confusion_snapshots
from tb_plugin import metadata


class Clock:
    now = 100.0

    def __call__(self):
        return self.now


def test_snapshots_wait_for_networks_and_for_time():
    clock = Clock()
    schedule = confusion_snapshots.Schedule(clock)
    clock.now += 4.9
    assert not schedule.is_due(1)
    clock.now += 0.2
    assert schedule.is_due(1)
    schedule.made(100, num_bytes=1000, seconds=0.01)
    clock.now += 5.1
    # 5 % more networks.
    assert not schedule.is_due(104)
    assert schedule.is_due(105)
    schedule.made(105, num_bytes=1000, seconds=3.0)
    clock.now += 29
    assert not schedule.is_due(1000)
    clock.now += 2
    assert schedule.is_due(1000)
    assert not schedule.is_due(105)


def test_networks_are_written_one_by_one_until_they_are_many():
    clock = Clock()
    schedule = confusion_snapshots.BlockSchedule(10, clock)
    for number in (1, 2, 3000):
        assert schedule.is_due(number)
        schedule.written(number)
    assert not schedule.is_due(3000)
    assert not schedule.is_due(3029)
    assert schedule.is_due(3030)
    # A view of a study that trains slowly is not behind.
    clock.now += 4.9
    assert not schedule.is_due(3001)
    clock.now += 0.2
    assert schedule.is_due(3001)
    assert not schedule.is_due(3000)


def points_of(num_networks, *, num_classes, seconds):
    """How many blocks a study gets."""
    clock = Clock()
    schedule, number = confusion_snapshots.BlockSchedule(num_classes, clock), 0
    for network in range(1, num_networks + 1):
        clock.now += seconds
        if schedule.is_due(network):
            schedule.written(network)
            number += 1
    return number


def test_blocks_of_a_large_study_are_few():
    assert points_of(2500, num_classes=10, seconds=0.001) == 2500
    at_once = points_of(250_000, num_classes=100, seconds=0.001)
    # One by one, then a per cent at a time.
    assert at_once < 300 + math.log(250_000 / 300) / math.log(1.01)
    in_a_month = points_of(250_000, num_classes=100, seconds=10)
    assert at_once < in_a_month < 15_000


@pytest.mark.parametrize(
    ("images", "kind", "none"), [(254, "uint8", 255), (255, "uint16", 65_535)]
)
def test_correct_images_are_counted_exactly(images, kind, none):
    counts = np.array([[0, 3, images], [1, 0, 7]])
    shares = counts / images
    shares[1, 1] = np.nan
    found = confusion_snapshots.correct_images(shares, np.full(3, images))
    assert found.dtype.name == kind
    assert found.tolist() == [0, 3, images, 1, none, 7]


@pytest.mark.parametrize("num_classes", [10, 20, 45])
def test_snapshots_of_many_pairs_stay_small_together(num_classes):
    num_pairs = math.comb(num_classes, 2)
    num_columns = len(metadata.CELL_COLUMNS)
    num_bytes = 2 * num_pairs * num_classes * num_columns * 8
    clock = Clock()
    schedule, total = confusion_snapshots.Schedule(clock), 0
    for num_networks in range(1, 50 * num_pairs):
        clock.now += 10
        if schedule.is_due(num_networks):
            schedule.made(num_networks, num_bytes, seconds=0.1)
            total += num_bytes
    # What TensorBoard can read of one tag.
    assert total < 256 * 2**20
