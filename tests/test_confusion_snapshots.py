import math

import pytest

from keras_confusion import confusion_snapshots
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
