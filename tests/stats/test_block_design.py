import doctest
import tracemalloc

import numpy as np
import pytest
import scipy.stats

from keras_confusion.stats import block_design


def by_least_squares(responses, weights):
    """t of a contrast from the two-way additive model, fitted by least squares."""
    num_arms, num_repeats = responses.shape
    arm, repeat = (axis.ravel() for axis in np.indices(responses.shape))
    columns = [arm == index for index in range(num_arms)]
    columns += [repeat == index for index in range(1, num_repeats)]
    design = np.stack(columns, axis=1).astype(float)
    estimates, *_ = np.linalg.lstsq(design, responses.ravel(), rcond=None)
    df = responses.size - design.shape[1]
    residuals = responses.ravel() - design @ estimates
    covariance = np.linalg.inv(design.T @ design) * (residuals @ residuals) / df
    contrast = np.concatenate([weights, np.zeros(num_repeats - 1)])
    t = contrast @ estimates / np.sqrt(contrast @ covariance @ contrast)
    return t, df, 2 * scipy.stats.t.sf(abs(t), df)


def one_against_others(num_arms):
    """Weights of every arm against the mean of all others."""
    return (np.eye(num_arms) * num_arms - 1) / (num_arms - 1)


def test_example():
    assert doctest.testmod(block_design).failed == 0


def test_agrees_with_least_squares():
    generator = np.random.default_rng(0)
    responses = generator.normal(size=(12, 4)) + generator.normal(size=4) * 3
    members = np.array([[True] * 3 + [False] * 9, [False] * 5 + [True] * 7])
    weights = np.concatenate(
        [
            one_against_others(12),
            block_design.group_against_others(members),
        ]
    )
    np.testing.assert_allclose(weights.sum(axis=1), 0, atol=1e-12)
    found = block_design.compare_arms(responses, weights)
    for row, *row_statistics in zip(
        weights, found.t, found.df, found.p_value, strict=True
    ):
        assert row_statistics == pytest.approx(by_least_squares(responses, row))
    inside = (found.ci_low < 0) & (found.ci_high > 0)
    np.testing.assert_array_equal(inside, found.p_value > 0.05)


def test_difference_from_the_baseline_is_that_of_a_treatment():
    # By least squares the baseline is one more arm, and adds to what is known of the
    # noise; here the noise is that of the arms.
    generator = np.random.default_rng(5)
    responses = generator.normal(size=(40, 4)) + generator.normal(size=4) * 3
    found = block_design.compare_with_baseline(responses[1:], responses[0])
    weights = np.zeros(40)
    weights[[0, 7]] = -1, 1
    t, df, _ = by_least_squares(responses, weights)
    assert df - found.df[6] == 3
    assert found.t[6] == pytest.approx(t, rel=0.05)
    assert found.difference[6] == pytest.approx((responses[7] - responses[0]).mean())


def test_what_other_arms_do_does_not_count_against_the_baseline():
    generator = np.random.default_rng(0)
    shares = []
    for _ in range(400):
        responses = generator.normal(0, 1.4, (36, 3))
        responses[:8] += 7
        baseline = generator.normal(0, 1.4, 3)
        found = block_design.compare_with_baseline(responses, baseline)
        assert (found.p_value[:8] < 0.05).mean() > 0.7
        shares.append((found.p_value[8:] <= 0.05).mean())
    assert np.mean(shares) == pytest.approx(0.05, abs=0.02)


def test_a_study_of_100_classes_needs_little_memory():
    num_arms = 4851
    responses = np.random.default_rng(6).normal(size=(num_arms, 3))
    tracemalloc.start()
    block_design.compare_with_baseline(responses, responses)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    # (A, A) weights of float64 are 188 MB.
    assert peak < 10_000_000


def test_what_repeats_share_does_not_count():
    generator = np.random.default_rng(1)
    responses = generator.normal(size=(15, 3))
    weights = one_against_others(15)
    shifted = responses + np.array([0.0, 50.0, -20.0])
    before, after = (
        block_design.compare_arms(values, weights) for values in (responses, shifted)
    )
    np.testing.assert_allclose(before.t, after.t)
    np.testing.assert_allclose(before.difference, after.difference)


def test_levels_are_taken_away_and_their_error_counts():
    generator = np.random.default_rng(2)
    responses = generator.normal(size=(12, 4))
    levels = generator.normal(size=(12, 6)) + np.linspace(0, 5, 12)[:, None]
    weights = block_design.group_against_others(np.arange(12)[None] < 4)
    plain = block_design.compare_arms(responses, weights)
    found = block_design.compare_arms(
        responses + levels.mean(axis=1, keepdims=True),
        weights,
        level_contrasts=weights @ levels,
    )
    np.testing.assert_allclose(found.difference, plain.difference)
    # The squares of both standard errors add up, by Welch and Satterthwaite.
    arm_error = (plain.difference / plain.t) ** 2
    level_error = (weights @ levels).var(axis=1, ddof=1) / 6
    error = np.sqrt(arm_error + level_error)
    np.testing.assert_allclose(found.t, plain.difference / error)
    df = error**4 / (arm_error**2 / plain.df + level_error**2 / 5)
    np.testing.assert_allclose(found.df, df)


def test_p_values_are_uniform_where_levels_are_estimated():
    generator = np.random.default_rng(4)
    weights = block_design.group_against_others(np.arange(36)[None] < 8)
    true_levels = generator.normal(size=(36, 1))
    # Of one network, arms of the group go up and down together.
    together = (np.arange(36) < 8)[:, None] * 1.5
    p_values = [
        block_design.compare_arms(
            generator.normal(size=(36, 3)) + true_levels,
            weights,
            level_contrasts=weights
            @ (true_levels + together * generator.normal(size=(1, 10))),
        ).p_value[0]
        for _ in range(1500)
    ]
    assert scipy.stats.kstest(p_values, "uniform").pvalue > 0.01


@pytest.mark.parametrize("num_repeats", [2, 3, 10])
def test_p_values_are_uniform_where_nothing_happens(num_repeats):
    generator = np.random.default_rng(num_repeats)
    p_values = []
    for _ in range(2000):
        repeat_effects = generator.normal(size=num_repeats)
        responses = generator.normal(size=(37, num_repeats)) + repeat_effects
        found = block_design.compare_with_baseline(responses[1:], responses[0])
        # One arm of each drawn study: the p-values are independent.
        p_values.append(found.p_value[0])
    assert scipy.stats.kstest(p_values, "uniform").pvalue > 0.01
    assert np.mean(np.array(p_values) <= 0.01) < 0.02


def test_a_few_repeats_find_what_welch_does_not():
    generator = np.random.default_rng(3)
    found = 0
    for _ in range(200):
        responses, baseline = generator.normal(size=(36, 3)), generator.normal(size=3)
        responses[0] += 5
        result = block_design.compare_with_baseline(responses, baseline)
        found += result.p_value[0] < 1e-3
    # Five sd with 70 degrees of freedom; a paired test of three has 2.
    assert found > 180


@pytest.mark.parametrize(
    ("responses", "reason"),
    [
        (np.zeros((12, 0)), block_design.FEW_BLOCKS),
        (np.random.default_rng(0).normal(size=(12, 1)), block_design.FEW_BLOCKS),
        (np.random.default_rng(0).normal(size=(2, 4)), block_design.FEW_ARMS),
        # Arms and repeats add up to everything.
        (np.arange(12.0)[:, None] + np.arange(3.0), block_design.NO_RESIDUAL),
    ],
)
def test_no_test_where_the_noise_is_not_known(responses, reason):
    weights = one_against_others(len(responses))
    for found in (
        block_design.compare_arms(responses, weights),
        block_design.compare_with_baseline(responses, responses),
    ):
        assert found.reason == reason
        assert np.isnan(found.p_value).all()
        assert np.isnan(found.ci_low).all()


def test_a_group_of_all_or_no_arms_is_no_contrast():
    members = np.array([[True] * 10, [False] * 10, [True] + [False] * 9])
    weights = block_design.group_against_others(members)
    assert np.isnan(weights[:2]).all()
    np.testing.assert_allclose(weights[2], [1, *[-1 / 9] * 9])
