import numpy as np
import pytest

from keras_confusion.stats.moments import Moments, moments, pooled_moments


def test_groups_put_together_are_described_as_their_networks(rng):
    arms = [rng.normal(0.5 + number, 0.1, 2 + number) for number in range(5)]
    arms.append(np.empty(0))
    groups = np.array(
        [[1, 0, 0, 1, 0, 0], [1, 1, 1, 1, 1, 1], [0, 0, 1, 0, 0, 1]], bool
    )
    arm_moments = [moments(arm) for arm in arms]
    pooled = pooled_moments(
        groups,
        Moments(*(np.array(values) for values in zip(*arm_moments, strict=True))),
        np.array([np.abs(arm).max(initial=0) for arm in arms]),
    )
    for number, group in enumerate(groups):
        together = np.concatenate([arms[index] for index in np.flatnonzero(group)])
        assert pooled.n[number] == len(together)
        assert pooled.mean[number] == pytest.approx(together.mean(), rel=1e-14)
        assert pooled.sd[number] == pytest.approx(together.std(ddof=1), rel=1e-13)


def test_equal_arms_have_no_variance():
    # 0.1 + 0.2 is not quite 0.3.
    arm_moments = Moments(np.array([2, 3]), np.array([0.3, 0.1 + 0.2]), np.zeros(2))
    pooled = pooled_moments(np.array([[True, True]]), arm_moments, np.full(2, 0.3))
    assert pooled.sd.tolist() == [0]
    assert moments([0.3, 0.1 + 0.2]).sd == 0


def test_what_is_unknown_stays_in_its_group():
    arm_moments = Moments(
        np.array([2, 2, 1]), np.array([np.nan, 1, 3]), np.array([np.nan, 0.5, np.nan])
    )
    groups = np.array([[1, 1, 0], [0, 1, 1], [0, 0, 1], [0, 0, 0]], bool)
    pooled = pooled_moments(groups, arm_moments, np.array([np.nan, 1, 3]))
    assert np.isnan(pooled.mean).tolist() == [True, False, False, True]
    assert np.isnan(pooled.sd).tolist() == [True, False, True, True]
    assert pooled.n.tolist() == [4, 3, 1, 0]
