import numpy as np
import pytest

from benchmarks.speed import callback_cost


@pytest.mark.slow
def test_both_trainings_are_timed_and_are_the_same():
    # It raises an error where they are not.
    found = callback_cost.measure(width=2, rounds=1)
    assert list(found) == [callback_cost.PLAIN, callback_cost.WATCHED]
    assert all(values.shape == (2, 2) for values in found.values())
    assert np.concatenate([*found.values()]).min() > 0
