import doctest

import numpy as np
import pytest
import scipy.stats

from keras_confusion.stats import sensitivity, t_tests


def test_examples():
    assert doctest.testmod(sensitivity).failed == 0


@pytest.mark.parametrize("df", [2, 4, 20, 300])
@pytest.mark.parametrize("alpha", [0.05, 0.05 / 90])
@pytest.mark.parametrize("power", [0.8, 0.95])
def test_smallest_effect_is_found_so_often(df, alpha, power):
    effect = sensitivity.smallest_effect(0.5, df, alpha=alpha, power=power)
    rng = np.random.default_rng(0)
    scale = np.sqrt(rng.chisquare(df, 200_000) / df)
    t = (rng.normal(size=scale.shape) + effect / 0.5) / scale
    found = np.mean(t > scipy.stats.t.ppf(1 - alpha / 2, df))
    assert found == pytest.approx(power, abs=0.005)


def test_as_many_repeats_as_are_needed_and_no_more():
    effect, error, repeats, df = 1.0, 0.9, 4, 9.0
    needed = sensitivity.repeats_needed(effect, error=error, df=df, repeats=repeats)

    def smallest(number):
        return sensitivity.smallest_effect(
            error * np.sqrt(repeats / number), df * (number - 1) / (repeats - 1)
        )

    assert smallest(needed) <= effect < smallest(needed - 1)
    assert needed > repeats
    most = sensitivity.repeats_needed(1e-9, error=error, df=df, repeats=repeats)
    assert most == sensitivity.MOST_REPEATS
    assert sensitivity.repeats_needed(99, error=error, df=df, repeats=repeats) == 2


def test_equivalence_is_the_90_percent_interval():
    rng = np.random.default_rng(1)
    cells = rng.normal(0.3, 1, (400, 12))
    difference = cells.mean(axis=1)
    error = scipy.stats.sem(cells, axis=1)
    p_values = sensitivity.equivalence_p_values(difference, error, 11, 0.8)
    half = scipy.stats.t.ppf(0.95, 11) * error
    is_within = (difference - half > -0.8) & (difference + half < 0.8)
    np.testing.assert_array_equal(p_values <= 0.05, is_within)
    assert 0 < is_within.sum() < len(cells)


def test_an_effect_on_the_bound_is_seldom_excluded():
    rng = np.random.default_rng(2)
    cells = rng.normal(1.0, 1, (20_000, 12))
    p_values = sensitivity.equivalence_p_values(
        cells.mean(axis=1), scipy.stats.sem(cells, axis=1), 11, 1.0
    )
    assert 0.045 < np.mean(p_values <= 0.05) < 0.055
    # Over many cells, those that are excluded by their q-values are fewer still.
    q_values = [t_tests.benjamini_hochberg(p) for p in p_values.reshape(200, 100)]
    assert np.mean(np.array(q_values) <= 0.05) < 0.005


def test_intervals_of_selected_cells_cover_what_they_should():
    rng = np.random.default_rng(3)
    missed, missed_plainly, shown = 0.0, 0.0, 0
    for _ in range(400):
        truth = np.where(np.arange(60) < 15, rng.normal(0, 2.5, 60), 0)
        estimates = truth + rng.normal(size=60)
        q_values = t_tests.benjamini_hochberg(2 * scipy.stats.norm.sf(abs(estimates)))
        is_found = q_values <= 0.05
        if not is_found.any():
            continue
        level = sensitivity.selected_confidence(is_found.sum(), 60)
        half = scipy.stats.norm.ppf((1 + level) / 2)
        away = np.abs(estimates - truth)[is_found]
        missed += np.mean(away > half)
        missed_plainly += np.mean(away > scipy.stats.norm.ppf(0.975))
        shown += 1
    # A false coverage rate counts studies that show nothing as missing nothing.
    assert missed / 400 < 0.05 < missed_plainly / 400
    assert shown > 300


def test_shrunken_estimates_are_nearer_to_the_truth():
    rng = np.random.default_rng(4)
    truth = rng.normal(0, 0.5, 5000)
    estimates = truth + rng.normal(size=5000)
    shrunken = sensitivity.shrunken(estimates, 1.0)
    assert np.mean((shrunken - truth) ** 2) < 0.3 * np.mean((estimates - truth) ** 2)
    np.testing.assert_allclose(shrunken, estimates * 0.2, rtol=0.15)
    # Where there is less than noise, nothing is left.
    assert (sensitivity.shrunken([0.1, -0.2, 0.3], 1.0) == 0).all()
    assert np.isnan(sensitivity.shrunken([np.nan, 2.0], [1.0, 1.0])[0])
