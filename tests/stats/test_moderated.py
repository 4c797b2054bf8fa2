"""Moderated t-tests, against limma 3.54.1 and by what they promise.

The numbers of limma are those of R:

    library(limma)
    fitFDist(c(1.0, 0.1, 5.0, 0.6, 2.0, 30.0), c(2, 4, 4, 3, 8, 1))
    eBayes(lmFit(y, rep(1, 4)))  # with the rows of DIFFERENCES in y
"""

import doctest

import numpy as np
import pytest
import scipy.stats

from keras_confusion.stats import moderated, t_tests

DIFFERENCES = np.array(
    [
        [1.2, 0.7, 2.1, 1.9],
        [-0.3, 0.4, 0.1, -0.2],
        [3.1, 1.0, 0.2, 2.2],
        [0.5, 0.6, 0.55, 0.7],
        [-1.0, 2.0, -3.0, 1.5],
    ]
)


def test_examples():
    assert doctest.testmod(moderated).failed == 0


@pytest.mark.parametrize(
    ("df", "expected"),
    [
        (4, (0.8420835223, 1.319178537)),
        ([2, 4, 4, 3, 8, 1], (0.9657070013, 1.233409991)),
    ],
)
def test_prior_is_limmas(df, expected):
    found = moderated.variance_prior([1.0, 0.1, 5.0, 0.6, 2.0, 30.0], df)
    np.testing.assert_allclose(found, expected, rtol=1e-8)


def test_tests_are_limmas():
    found = moderated.compare_moderated(DIFFERENCES)
    t = [5.030909229, 0, 2.870643164, 6.624760814, -0.1226961803]
    p = [0.007710070461, 1, 0.046491948718, 0.002882215347, 0.908374924121]
    np.testing.assert_allclose(found.t, t, rtol=1e-8, atol=1e-12)
    np.testing.assert_allclose(found.p_value, p, rtol=1e-8)
    np.testing.assert_allclose(found.df, 3.923538, rtol=1e-6)
    # The interval is that of the same t: it has 0 on its edge at p = 0.05.
    half = scipy.stats.t.ppf(0.975, found.df) * found.difference / found.t
    others = np.array([0, 2, 3, 4])
    np.testing.assert_allclose(
        (found.difference - found.ci_low)[others], np.abs(half[others])
    )


def test_one_cell_alone_is_students_test():
    found = moderated.compare_moderated(DIFFERENCES[:1])
    expected = scipy.stats.ttest_1samp(DIFFERENCES[0], 0)
    assert found.t[0] == pytest.approx(expected.statistic)
    assert found.p_value[0] == pytest.approx(expected.pvalue)
    assert found.df[0] == 3


def test_alike_cells_count_at_most_twice_the_own_networks():
    rng = np.random.default_rng(0)
    found = moderated.compare_moderated(rng.normal(size=(200, 4)))
    np.testing.assert_array_equal(found.df, 3 + moderated.MOST_PRIOR * 3)
    # Two cells hardly say what they have in common: an eighth of that.
    alike = np.array([[0, 1, 2, 3.0], [1, 2, 3, 4.5]])
    np.testing.assert_array_equal(moderated.compare_moderated(alike).df, 3 + 6 / 8)
    # limma's only bound is what the other cells have.
    unbounded = moderated.compare_moderated(alike, most_prior=np.inf)
    np.testing.assert_array_equal(unbounded.df, 3 + 3)


@pytest.mark.parametrize("num_cells", [2, 3, 4, 6, 9])
def test_p_values_of_few_cells_are_uniform(num_cells):
    rng = np.random.default_rng(4)
    sd = np.sqrt(4 / rng.chisquare(6, (3000, num_cells, 1)))
    cells = sd * rng.normal(size=(3000, num_cells, 4))
    p_values = [moderated.compare_moderated(study).p_value for study in cells]
    assert 0.04 <= np.mean(np.array(p_values) <= 0.05) <= 0.06


def test_level_of_others_is_welchs_second_group():
    rng = np.random.default_rng(1)
    own, others = rng.normal(size=(1, 6)), rng.normal(size=9)
    found = moderated.compare_moderated(
        own, level=others.mean(), level_variance=others.var(ddof=1) / 9, level_df=8
    )
    expected = t_tests.compare(own[0], others)
    for field in ("difference", "t", "df", "p_value", "ci_low", "ci_high"):
        assert getattr(found, field)[0] == pytest.approx(getattr(expected, field))


def test_p_values_of_nothing_are_uniform():
    rng = np.random.default_rng(2)
    # 36 cells with different noise, in 500 studies of 3 repeats.
    sd = np.sqrt(8 / rng.chisquare(8, (500, 36, 1)))
    p_values = [
        moderated.compare_moderated(cells).p_value
        for cells in sd * rng.normal(size=(500, 36, 3))
    ]
    share = np.mean(np.array(p_values) <= 0.05)
    assert 0.035 <= share <= 0.055
    share = np.mean(np.array(p_values) <= 0.001)
    assert share <= 0.0015


def test_shares_of_few_images_vary_at_least_by_their_rounding():
    rng = np.random.default_rng(5)
    step = 0.04
    # Differences of two shares whose truth moves by less than an image.
    truth = rng.uniform(0.4, 0.6, (2000, 1)) + rng.normal(0, 0.005, (2000, 2))
    differences = np.diff(np.rint(truth / step) * step, axis=1)
    assert differences.var() == pytest.approx(step**2 / 6, rel=0.15)
    # A cell that shows less by chance is not believed.
    cells = np.array([[0.04, 0.04, 0.0399, 0.04], [0.0, 0.04, -0.04, 0.04]])
    found = moderated.compare_moderated(cells, step=step)
    least = np.sqrt(step**2 / 6 / 4)
    assert found.difference[0] / found.t[0] >= least
    assert found.p_value[0] > moderated.compare_moderated(cells).p_value[0]


def test_why_there_is_no_test():
    cells = np.array([[1, np.nan, np.nan], [2, 2, 2], [1, 2, np.inf], [0.3, 0.1, 0.2]])
    found = moderated.compare_moderated(cells)
    assert found.reason.tolist() == [
        t_tests.FEW_NETWORKS,
        t_tests.NO_VARIANCE_OF_DIFFERENCES,
        t_tests.UNDEFINED_RESPONSE,
        "",
    ]
    assert np.isnan(found.t[:3]).all()
    assert found.n.tolist() == [1, 3, 3, 3]
    # A cell without a test says nothing of the others.
    assert found.p_value[3] == pytest.approx(scipy.stats.ttest_1samp(cells[3], 0)[1])
    nothing = moderated.compare_moderated(np.zeros((4, 0)))
    assert set(nothing.reason) == {t_tests.FEW_NETWORKS}


def test_share_of_the_own_baseline_is_the_best():
    rng = np.random.default_rng(3)
    rho, own, others = 0.4, 4, 12
    shared = np.sqrt(rho) * rng.normal(size=(200_000, own))
    confused = shared + np.sqrt(1 - rho) * rng.normal(size=shared.shape)
    baseline = shared + np.sqrt(1 - rho) * rng.normal(size=shared.shape)
    rest = rng.normal(size=(len(shared), others)).mean(axis=1)
    best = float(moderated.own_share(own, others, rho))

    def variance(share):
        mean = confused.mean(axis=1) - share * baseline.mean(axis=1)
        return (mean - (1 - share) * rest).var()

    assert variance(best) < min(variance(best - 0.1), variance(best + 0.1))
    # 1 is the paired difference, and no correlation counts all networks alike.
    assert variance(best) < 0.9 * min(variance(1), variance(own / (own + others)))
    assert moderated.own_share(own, others, 0.0) == own / (own + others)
    assert moderated.own_share(own, 1, 0.4) == 1
    assert moderated.own_share(own, others, np.nan) == 1


def test_correlation_is_found():
    rng = np.random.default_rng(4)
    repeats = 0.6 * rng.normal(size=(1, 400))
    responses = repeats + 0.8 * rng.normal(size=(12, 400)) + np.arange(12.0)[:, None]
    found = moderated.correlation_within_repeats(responses, 1.0)
    assert found == pytest.approx(0.36, abs=0.02)
    # Gaps change little, and one arm or repeat does not know it.
    responses[rng.random(responses.shape) < 0.2] = np.nan
    found = moderated.correlation_within_repeats(responses, 1.0)
    assert found == pytest.approx(0.36, abs=0.02)
    assert np.isnan(moderated.correlation_within_repeats(responses[:1], 1.0))
    assert np.isnan(moderated.correlation_within_repeats(responses[:, :1], 1.0))
    assert moderated.correlation_within_repeats([[1, 2], [2, 4]], 0.1) == 0
