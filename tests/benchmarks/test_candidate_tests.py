import numpy as np
import pytest

from benchmarks.validity import candidate_tests

RESPONSES = np.array(
    [
        [70.34, 68.87, 68.89, 69.75],
        [69.26, 68.83, 69.75, 71.31],
        [68.02, 66.99, 68.63, 68.52],
    ]
)
BASELINE = np.array([68.63, 67.93, 70.11, 69.84, 72.16, 70.81, 68.25, 69.61, 70.18])


def test_mixed_model_agrees_with_statsmodels():
    difference, squared_error, df, _ = candidate_tests.mixed_model(
        RESPONSES[None], BASELINE[None]
    )
    # statsmodels 0.14, mixedlm("y ~ C(arm)", groups=repeat), REML: the fixed effects,
    # and their error (X' V^-1 X)^-1 with its variances 0.4442 and 1.0747. A correlation
    # is one of 99 here.
    np.testing.assert_allclose(difference[0], [0.1604, 0.4854, -1.2621], atol=0.002)
    np.testing.assert_allclose(np.sqrt(squared_error[0]), 0.45175, rtol=0.005)
    assert df[0].tolist() == [9, 9, 9]


def test_welch_of_the_fewer_has_welchs_t():
    difference, squared_error, df, p_value = candidate_tests.welch_of_the_fewer(
        RESPONSES[None], BASELINE[None]
    )
    error = np.sqrt(RESPONSES[2].var(ddof=1) / 4 + BASELINE.var(ddof=1) / 9)
    assert difference[0, 2] == pytest.approx(RESPONSES[2].mean() - BASELINE.mean())
    assert np.sqrt(squared_error[0, 2]) == pytest.approx(error)
    assert (df == 3).all()
    assert p_value[0, 2] > 0.005


def test_permutations_find_an_arm_that_differs_and_nothing_else():
    rng = np.random.default_rng(3)
    found = []
    for effect in (0, 3):
        p_values = []
        for _ in range(60):
            responses, baseline = rng.normal(size=(2, 9, 4)), rng.normal(size=(2, 8))
            # What a repeat has in common says nothing of arms.
            shared = 5 * rng.normal(size=8)
            responses, baseline = responses + shared[:4], baseline + shared
            responses[:, 0] += effect
            p_values.append(
                candidate_tests.permutation_p_value(responses, baseline, rng, 39)
            )
        found.append(np.mean(np.array(p_values) <= 0.05))
    assert found[0] <= 0.15
    assert found[1] >= 0.95
