import numpy as np
import pytest

from keras_confusion.prototypes.optimizer import frames


def image(value):
    return np.full((1, 1, 1), value, np.float32)


def test_evenly_spaced_frames_by_hand():
    def numbered(count):
        return np.arange(count, dtype=np.float32).reshape(-1, 1, 1, 1)

    ways = [numbered(9), numbered(6), numbered(2), numbered(1)]
    picked = frames.evenly_spaced_frames(ways, 5)
    assert picked.shape == (4, 5, 1, 1, 1)
    np.testing.assert_array_equal(
        picked[..., 0, 0, 0],
        # Of six frames: 0, 1.25, 2.5 (to even), 3.75, 5.
        [[0, 2, 4, 6, 8], [0, 1, 2, 4, 5], [0, 0, 0, 1, 1], [0, 0, 0, 0, 0]],
    )
    with pytest.raises(ValueError, match="at least 2"):
        frames.evenly_spaced_frames(ways, 1)


@pytest.mark.parametrize("num_calls", [5, 31, 32, 40, 1000])
def test_frames_are_few_and_evenly_spaced_between_the_first_and_the_last(num_calls):
    way = frames.Frames(image(0))
    for call in range(1, num_calls + 1):
        way.add(image(call), is_last=call == num_calls)
    kept = np.ravel(way.kept)
    assert kept[0] == 0
    assert kept[-1] == num_calls
    assert len(kept) == len(set(kept)) <= frames.MOST_FRAMES + 1
    steps = np.diff(kept)
    assert len(set(steps[:-1])) <= 1
    assert steps[-1] <= 2 * steps[0]
    if num_calls < frames.MOST_FRAMES:
        assert (steps == 1).all()


def test_image_that_stands_still_has_one_frame():
    way = frames.Frames(image(3))
    way.add(image(3), is_last=False)
    way.add(image(3), is_last=True)
    assert len(way.kept) == 1
