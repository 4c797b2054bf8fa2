import doctest
import math
import warnings
from dataclasses import fields

import numpy as np
import pytest
import scipy.special
import scipy.stats
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from keras_confusion.comparisons import clustering
from keras_confusion.stats import bits, t_tests

FEW = "fewer than 2 networks in a group"
STILL = "no variance in a group"
UNDEFINED = "undefined response"
TESTED = [
    *("ci_low", "ci_high", "t", "df", "p_value"),
    *("hedges_g", "hedges_g_ci_low", "hedges_g_ci_high"),
]
PAIRED_TESTED = ["ci_low", "ci_high", "t", "df", "p_value"]

# R's data set `sleep`: hours of extra sleep of ten patients with two drugs.
SLEEP_1 = [0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0]
SLEEP_2 = [1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4]

# Accuracies on 1000 test images, so that nothing is closer than rounding allows.
rates = st.integers(0, 1000).map(lambda hits: hits / 1000)
groups = st.lists(rates, min_size=2, max_size=12)
p_families = hnp.arrays(np.float64, st.integers(1, 30), elements=st.floats(0, 1))


# Golden numbers


def test_compare_golden_by_hand():
    result = t_tests.compare([4, 7, 8, 6, 3, 2], [6, 8, 7, 10, 11, 9, 12])
    # Means 5 and 9; both sums of squares are 28, so the variances are 28/5 and 28/6.
    assert (result.n_confused, result.n_comparison) == (6, 7)
    assert (result.mean_confused, result.mean_comparison) == (5, 9)
    assert result.difference == -4
    assert result.sd_confused == pytest.approx(math.sqrt(28 / 5))
    assert result.sd_comparison == pytest.approx(math.sqrt(28 / 6))
    # Squared standard error 28/30 + 28/42 = 1.6, and t = -4 / sqrt(1.6).
    assert result.t == pytest.approx(-math.sqrt(10))
    # 1.6^2 / ((28/30)^2 / 5 + (28/42)^2 / 6)
    assert result.df == pytest.approx(10.31026253)
    # p and interval: R, t.test(c(4,7,8,6,3,2), c(6,8,7,10,11,9,12))
    assert result.p_value == pytest.approx(0.0097569702)
    assert (result.ci_low, result.ci_high) == pytest.approx((-6.8069434, -1.1930566))
    # m = 11: gamma(5.5) = 945/32 sqrt(pi), gamma(5) = 24; pooled variance 56/11.
    correction = 945 / 32 * math.sqrt(math.pi) / (24 * math.sqrt(5.5))
    g = correction * -4 / math.sqrt(56 / 11)
    margin = 1.959963985 * math.sqrt(13 / 42 + g**2 / 26)
    assert result.hedges_g == pytest.approx(g)
    assert result.hedges_g_ci_low == pytest.approx(g - margin)
    assert result.hedges_g_ci_high == pytest.approx(g + margin)
    assert result.reason == ""
    assert all(type(getattr(result, name)) is float for name in TESTED)
    # The normal quantile of 80 % is 1.281551566.
    narrow = t_tests.compare(
        [4, 7, 8, 6, 3, 2], [6, 8, 7, 10, 11, 9, 12], confidence=0.8
    )
    margin *= 1.281551566 / 1.959963985
    assert narrow.hedges_g_ci_high == pytest.approx(g + margin)


def test_compare_golden_r_sleep():
    result = t_tests.compare(SLEEP_1, SLEEP_2)
    # R's help page of t.test: t.test(extra ~ group, data = sleep)
    assert result.t == pytest.approx(-1.8608, abs=5e-5)
    assert result.df == pytest.approx(17.776, abs=5e-4)
    assert result.p_value == pytest.approx(0.07939, abs=5e-6)
    assert result.ci_low == pytest.approx(-3.3654832, abs=5e-8)
    assert result.ci_high == pytest.approx(0.2054832, abs=5e-8)


def test_compare_paired_golden_r_sleep():
    result = t_tests.compare_paired(SLEEP_1, SLEEP_2)
    # R's help page of t.test: t.test(sleep$extra ~ ..., paired = TRUE)
    assert (result.n, result.df) == (10, 9)
    assert result.difference == pytest.approx(-1.58)
    assert result.t == pytest.approx(-4.0621, abs=5e-5)
    assert result.p_value == pytest.approx(0.002833, abs=5e-7)
    assert result.ci_low == pytest.approx(-2.4598858, abs=5e-8)
    assert result.ci_high == pytest.approx(-0.7001142, abs=5e-8)


def test_compare_paired_golden_by_hand():
    result = t_tests.compare_paired([2, 4, 7], [1, 2, 4])
    # Differences 1, 2, 3. With two degrees of freedom p = 1 - t / sqrt(t^2 + 2).
    assert (result.difference, result.sd) == (2, 1)
    assert result.t == pytest.approx(math.sqrt(12))
    assert result.p_value == pytest.approx(1 - math.sqrt(12 / 14))
    # Sums of deviations, times nine: products 69, squares 114 and 42.
    assert result.correlation == pytest.approx(69 / math.sqrt(114 * 42))
    assert result.reason == ""


def test_benjamini_hochberg_golden():
    # R, p.adjust(c(0.52, 0.12, 0.0001, 0.03, 0.14), "BH")
    expected = [0.52, 0.175, 0.0005, 0.075, 0.175]
    q_values = t_tests.benjamini_hochberg([0.52, 0.12, 0.0001, 0.03, 0.14])
    np.testing.assert_allclose(q_values, expected)


def test_kl_bits_golden():
    # 0.7 * log2(0.7 / 0.61) + 0.3 * log2(0.3 / 0.39) = 0.138978 - 0.113550
    assert t_tests.kl_bits(0.70, 0.61) == pytest.approx(0.0254285, abs=1e-7)
    # 0.7 * log2(0.7 / 0.69) + 0.3 * log2(0.3 / 0.31) = 0.014531 - 0.014191
    assert t_tests.kl_bits(0.70, 0.69) == pytest.approx(0.0003393, abs=1e-7)
    # Certain against a fair coin: log2(1 / 0.5).
    assert t_tests.kl_bits(1.0, 0.5) == 1
    assert t_tests.kl_bits(0.0, 0.5) == -1
    assert t_tests.kl_bits(0.5, 1.0) == -math.inf
    assert t_tests.kl_bits(0.5, 0.0) == math.inf


def test_kl_bits_resolution_keeps_certain_groups_apart_but_finite():
    # Half an image of 50: 0.99 * log2(0.99 / 0.5) + 0.01 * log2(0.01 / 0.5)
    bits = t_tests.kl_bits([1.0, 1.0, 0.5], [0.5, 1.0, 0.0], resolution=0.01)
    assert bits[0] == pytest.approx(0.9192069, abs=1e-7)
    assert bits[1] == 0
    # 0.5 * log2(0.5 / 0.01) + 0.5 * log2(0.5 / 0.99) = 2.8219281 - 0.4927502
    assert bits[2] == pytest.approx(2.3291779, abs=1e-7)


def test_entropy_bits_golden():
    # H2(1/4) = 2 - 3/4 * log2(3) = 0.8112781; H2(1/2) = 1; H2(0) = H2(1) = 0.
    assert t_tests.entropy_bits(0.75, 0.5) == pytest.approx(1 - 0.8112781, abs=1e-7)
    assert t_tests.entropy_bits(0.5, 0.25) == pytest.approx(0.8112781 - 1, abs=1e-7)
    assert t_tests.entropy_bits([0, 1, 0.5], [1, 0.5, 0]).tolist() == [0, 1, -1]


def test_mutual_information_bits_golden():
    # H2(0.0997) - 0.1 * H2(0.70) - 0.9 * H2(0.033), by a calculator.
    comparison = t_tests.mutual_information_bits(0.70, 0.033, prior=0.1)
    assert comparison == pytest.approx(0.1916164, abs=1e-7)
    # H2(0.1001) - 0.1 * H2(0.65) - 0.9 * H2(0.039)
    confused = t_tests.mutual_information_bits(0.65, 0.039, prior=0.1)
    assert confused == pytest.approx(0.1619862, abs=1e-7)
    # A faultless group knows all, H2(0.1); so does one that is always wrong.
    entropy = 0.1 * math.log2(10) + 0.9 * math.log2(1 / 0.9)
    assert t_tests.mutual_information_bits(1, 0, prior=0.1) == pytest.approx(entropy)
    assert t_tests.mutual_information_bits(0, 1, prior=0.1) == pytest.approx(entropy)


def test_log_likelihood_bits_golden():
    # Probabilities 1/2 and 1/4 in two slices, against 1/4 and 1/4.
    assert t_tests.log_likelihood_bits([-1, -2], [-2, -2]).tolist() == [1, 0]
    assert math.isnan(t_tests.log_likelihood_bits(-math.inf, -math.inf))


def test_kl_noise_floor_bits_golden():
    # (0.0004 / 4 + 0.0016 / 16) / (2 * 0.25 * ln 2) = 0.0004 / ln 2
    floor = t_tests.kl_noise_floor_bits(
        0.5, sd_confused=0.02, n_confused=4, sd_comparison=0.04, n_comparison=16
    )
    assert floor == pytest.approx(0.0004 / math.log(2))


# Properties


@given(groups, groups)
def test_swapping_the_groups_flips_the_signs(confused, comparison):
    there = t_tests.compare(confused, comparison)
    back = t_tests.compare(comparison, confused)
    assume(there.reason == "")
    assert back.reason == ""
    for name in ("t", "difference", "hedges_g"):
        assert getattr(back, name) == pytest.approx(-getattr(there, name))
    assert (back.df, back.p_value) == pytest.approx((there.df, there.p_value))
    assert (back.ci_low, back.ci_high) == pytest.approx((-there.ci_high, -there.ci_low))
    assert back.hedges_g_ci_low == pytest.approx(-there.hedges_g_ci_high)


@given(groups, groups, st.integers(-5, 5))
def test_shifting_both_groups_leaves_the_test(confused, comparison, shift):
    result = t_tests.compare(confused, comparison)
    shifted = t_tests.compare(np.add(confused, shift), np.add(comparison, shift))
    assert shifted.reason == result.reason
    for name in TESTED:
        expected = pytest.approx(getattr(result, name), rel=1e-6, abs=1e-9, nan_ok=True)
        assert getattr(shifted, name) == expected


@given(st.lists(st.tuples(rates, rates), min_size=2, max_size=12), st.integers(-5, 5))
def test_paired_swaps_shifts_and_correlates(repeats, shift):
    confused, comparison = np.transpose(repeats)
    result = t_tests.compare_paired(confused, comparison)
    back = t_tests.compare_paired(comparison + shift, confused + shift)
    assert back.reason == result.reason
    assert back.t == pytest.approx(-result.t, rel=1e-6, abs=1e-9, nan_ok=True)
    if np.ptp(confused) and np.ptp(comparison):
        expected = np.corrcoef(confused, comparison)[0, 1]
        assert result.correlation == pytest.approx(expected, abs=1e-6)
        assert back.correlation == pytest.approx(expected, abs=1e-6)
    else:
        assert math.isnan(result.correlation)


@given(p_families, st.randoms())
def test_benjamini_hochberg_properties(p_values, random):
    q_values = t_tests.benjamini_hochberg(p_values)
    assert np.all(q_values >= p_values)
    assert np.all(q_values <= 1)
    order = np.argsort(p_values, kind="stable")
    assert np.all(np.diff(q_values[order]) >= 0)
    # A test that could not be made changes nothing, wherever it stands.
    position = random.randint(0, p_values.size)
    with_nan = t_tests.benjamini_hochberg(np.insert(p_values, position, np.nan))
    assert math.isnan(with_nan[position])
    np.testing.assert_array_equal(np.delete(with_nan, position), q_values)


@given(rates, rates)
def test_kl_bits_sign_and_size(p, q):
    bits = t_tests.kl_bits(p, q)
    assert np.sign(bits) == np.sign(p - q)
    nats = scipy.special.rel_entr([p, 1 - p], [q, 1 - q]).sum()
    assert abs(bits) == pytest.approx(nats / math.log(2), abs=1e-12)
    # Pinsker's inequality.
    assert abs(bits) * math.log(2) >= 2 * (p - q) ** 2 - 1e-12


def test_kl_bits_keeps_its_sign_where_rounding_exceeds_the_divergence():
    p = np.random.default_rng(3).random(1000)
    q = np.clip(p + 1e-9, 0, 1)
    assert np.all(t_tests.kl_bits(p, q) <= 0)
    assert np.all(t_tests.kl_bits(q, p) >= 0)


@given(rates, rates)
def test_entropy_bits_is_antisymmetric_and_blind_to_relabelling(p, q):
    bits = t_tests.entropy_bits(p, q)
    assert t_tests.entropy_bits(q, p) == -bits
    assert t_tests.entropy_bits(1 - p, q) == pytest.approx(bits, abs=1e-12)
    # Above 1/2, a better comparison group reads as a gain.
    if 0.5 <= q < p:
        assert bits > 0


@given(rates, rates, rates)
def test_mutual_information_bounds(true_positive_rate, false_positive_rate, prior):
    bits = t_tests.mutual_information_bits(
        true_positive_rate, false_positive_rate, prior=prior
    )
    assert 0 <= bits <= t_tests.entropy_bits(0, prior) + 1e-12
    blind = t_tests.mutual_information_bits(
        true_positive_rate, true_positive_rate, prior=prior
    )
    assert blind == pytest.approx(0, abs=1e-12)


# Agreement with slow obvious loops


def test_compare_stack_agrees_with_a_loop_over_slices():
    rng = np.random.default_rng(0)
    confused = rng.normal(0.6, 0.02, (3, 4, 9))
    comparison = rng.normal(0.62, 0.05, (4, 13))
    stack = t_tests.compare(confused, comparison, confidence=0.9)
    for i in range(3):
        for j in range(4):
            one = t_tests.compare(confused[i, j], comparison[j], confidence=0.9)
            for field in fields(one):
                value = getattr(stack, field.name)[i, j]
                expected = getattr(one, field.name)
                if field.name != "reason":
                    expected = pytest.approx(expected, rel=1e-10)
                assert value == expected
            slow = scipy.stats.ttest_ind(confused[i, j], comparison[j], equal_var=False)
            low, high = slow.confidence_interval(0.9)
            assert (one.t, one.p_value) == pytest.approx((slow.statistic, slow.pvalue))
            assert (one.df, one.ci_low, one.ci_high) == pytest.approx(
                (slow.df, low, high)
            )


def test_compare_paired_stack_agrees_with_a_loop_over_slices():
    rng = np.random.default_rng(1)
    confused = rng.normal(0.6, 0.02, (5, 1, 8))
    comparison = rng.normal(0.62, 0.05, (2, 8))
    stack = t_tests.compare_paired(confused, comparison, confidence=0.9)
    for i in range(5):
        for j in range(2):
            one = t_tests.compare_paired(confused[i, 0], comparison[j], confidence=0.9)
            for field in fields(one):
                value = getattr(stack, field.name)[i, j]
                expected = getattr(one, field.name)
                if field.name != "reason":
                    expected = pytest.approx(expected, rel=1e-10)
                assert value == expected
            slow = scipy.stats.ttest_1samp(confused[i, 0] - comparison[j], 0)
            low, high = slow.confidence_interval(0.9)
            assert (one.t, one.p_value) == pytest.approx((slow.statistic, slow.pvalue))
            assert (one.ci_low, one.ci_high) == pytest.approx((low, high))
            correlation = scipy.stats.pearsonr(confused[i, 0], comparison[j]).statistic
            assert one.correlation == pytest.approx(correlation)


def test_hedges_g_correction_of_many_networks_does_not_overflow():
    confused = np.tile([0.0, 1.0], 300)
    result = t_tests.compare(confused, confused + 1)
    # Hedges' approximation of the correction is exact to about 1 / m^3 here.
    expected = -(1 - 3 / (4 * 1198 - 1)) / result.sd_confused
    assert result.hedges_g == pytest.approx(expected, rel=1e-6)


def test_bits_broadcast_like_a_loop():
    p, q = np.linspace(0, 1, 5)[:, None], np.linspace(0, 1, 7)
    for reading in (
        lambda p, q: t_tests.kl_bits(p, q, resolution=0.01),
        t_tests.entropy_bits,
        lambda p, q: t_tests.mutual_information_bits(p, q, prior=0.1),
        t_tests.log_likelihood_bits,
        lambda p, sd: t_tests.kl_noise_floor_bits(
            p, sd_confused=sd, n_confused=3, sd_comparison=sd, n_comparison=4
        ),
    ):
        loop = [[float(reading(float(x), float(y))) for y in q] for x in p[:, 0]]
        np.testing.assert_allclose(reading(p, q), loop)


# What cannot be computed is NaN, with a reason


@pytest.mark.parametrize(
    ("confused", "comparison", "reason"),
    [
        ([], [], FEW),
        ([], [0.5, 0.6], FEW),
        ([0.5], [0.5, 0.6], FEW),
        ([0.5, 0.6], [np.nan], FEW),
        ([0.5, 0.5], [0.6, 0.6, 0.6], STILL),
        ([0.1, 0.1, 0.1], [0.1, 0.1, 0.3 - 0.2], STILL),
        ([0.0, 0.0], [0.0, 0.0], STILL),
        ([0.5, np.nan], [0.6, 0.7], UNDEFINED),
        ([0.5, 0.5], [0.6, np.nan], UNDEFINED),
        ([-1.0, -np.inf], [-np.inf, -2.0], UNDEFINED),
    ],
)
def test_compare_without_a_test(confused, comparison, reason):
    result = t_tests.compare(confused, comparison)
    assert result.reason == reason
    assert all(math.isnan(getattr(result, name)) for name in TESTED)
    assert result.n_confused == len(confused)
    if len(confused) == 0:
        assert math.isnan(result.mean_confused)
    if len(confused) < 2:
        assert math.isnan(result.sd_confused)


def test_one_constant_group_is_not_tested():
    result = t_tests.compare([1.0, 1.0, 1.0], [0.6, 0.8])
    assert result.reason == STILL
    assert result.sd_confused == 0
    assert math.isnan(result.t)
    assert result.difference == pytest.approx(0.3)


def test_why_a_constant_group_is_not_tested(rng):
    # Null comparisons near the ceiling: 60 test images, all networks alike.
    confused = rng.binomial(60, 0.985, (20_000, 4)) / 60
    comparison = rng.binomial(60, 0.985, (20_000, 27)) / 60
    result = t_tests.compare(confused, comparison)
    constant = result.reason == STILL
    assert 100 < constant.sum() < 2000
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        told = scipy.stats.ttest_ind(
            confused[constant], comparison[constant], axis=-1, equal_var=False
        )
    # More than half of what the test says of constant groups is false at 5 %...
    assert np.mean(told.pvalue < 0.05) > 0.5
    # ... while the groups that are tested keep to it.
    assert np.mean(result.p_value[~constant] < 0.05) < 0.06


def test_one_bad_slice_leaves_the_others():
    good = [0.5, 0.6, 0.8]
    other = [0.7, 0.6, 0.7, 0.8]
    result = t_tests.compare([good, [0.5, np.nan, 0.6], [0.5] * 3], [other])
    assert result.reason.tolist() == ["", UNDEFINED, STILL]
    assert np.isnan(result.t).tolist() == [False, True, True]
    assert result.t[0] == pytest.approx(t_tests.compare(good, other).t)


def test_no_slices_give_no_results():
    assert t_tests.compare(np.empty((0, 4)), np.empty((0, 5))).t.shape == (0,)
    assert t_tests.compare_paired(np.empty((0, 4)), np.empty(4)).reason.shape == (0,)


@pytest.mark.parametrize(
    ("confused", "comparison", "reason"),
    [
        ([], [], "fewer than 2 repeats"),
        ([0.5], [0.6], "fewer than 2 repeats"),
        ([0.5, np.nan], [0.6, 0.7], UNDEFINED),
        ([-np.inf, -1.0], [-np.inf, -2.0], UNDEFINED),
        # These differences are the same up to rounding, not a finding with a huge t.
        ([0.2, 0.3, 0.8], [0.1, 0.2, 0.7], "no variance in the differences"),
        ([0.1201, 0.5701], [0.12, 0.57], "no variance in the differences"),
        ([0.5, 0.5], [0.5, 0.5], "no variance in the differences"),
    ],
)
def test_compare_paired_without_a_test(confused, comparison, reason):
    result = t_tests.compare_paired(confused, comparison)
    assert result.reason == reason
    assert all(math.isnan(getattr(result, name)) for name in PAIRED_TESTED)
    assert result.n == len(confused)


def test_paired_correlation_outlives_the_test():
    same_step = t_tests.compare_paired([0.2, 0.3, 0.8], [0.1, 0.2, 0.7])
    assert same_step.correlation == pytest.approx(1)
    constant = t_tests.compare_paired([0.2, 0.3, 0.8], [0.1, 0.1, 0.1])
    assert constant.reason == ""
    assert math.isnan(constant.correlation)


def test_benjamini_hochberg_without_tests():
    assert t_tests.benjamini_hochberg([]).shape == (0,)
    assert np.isnan(t_tests.benjamini_hochberg([[np.nan], [np.nan]])).all()
    assert float(t_tests.benjamini_hochberg(0.03)) == 0.03
    family = np.array([[0.01, np.nan], [0.04, 0.03]])
    np.testing.assert_allclose(
        t_tests.benjamini_hochberg(family), [[0.03, np.nan], [0.04, 0.04]]
    )


def test_bits_propagate_nan():
    assert math.isnan(t_tests.kl_bits(np.nan, 0.5))
    assert math.isnan(t_tests.kl_bits(0.5, np.nan, resolution=0.01))
    assert math.isnan(t_tests.entropy_bits(0.5, np.nan))
    assert math.isnan(t_tests.mutual_information_bits(0.5, np.nan, prior=0.1))
    floor = t_tests.kl_noise_floor_bits(
        [0, 1, 0.5, 0.5, 0.5],
        sd_confused=[0.1, 0.1, np.nan, 0.1, 0.1],
        n_confused=[5, 5, 5, 1, 5],
        sd_comparison=0.1,
        n_comparison=[5, 5, 5, 5, 0],
    )
    assert np.isnan(floor).all()


# Errors


@pytest.mark.parametrize("test", [t_tests.compare, t_tests.compare_paired])
def test_tests_refuse_what_has_no_meaning(test):
    for confidence in (0, 1, 95, math.nan):
        with pytest.raises(ValueError, match=r"Expected `confidence`.*Received.*Use"):
            test([1, 2], [3, 5], confidence=confidence)
    with pytest.raises(ValueError, match=r"Expected networks.*Received.*Use"):
        test(0.5, [0.5, 0.6])
    with pytest.raises(ValueError, match=r"Expected networks.*Received.*Use"):
        test(np.ones((2, 4)), np.ones((3, 4)))


def test_paired_refuses_different_repeats():
    # One value would otherwise broadcast against all repeats.
    for comparison in ([0.5], [0.5, 0.6, 0.7]):
        with pytest.raises(ValueError, match=r"Expected the same repeats.*Use"):
            t_tests.compare_paired([0.5, 0.6], comparison)


@pytest.mark.parametrize("bad", [-0.01, 1.01, [0.5, 70], np.inf])
def test_shares_outside_their_range_are_refused(bad):
    counts = {"n_confused": 5, "n_comparison": 5}
    for call in (
        lambda: t_tests.benjamini_hochberg(bad),
        lambda: t_tests.kl_bits(bad, 0.5),
        lambda: t_tests.kl_bits(0.5, bad),
        lambda: t_tests.kl_bits(0.5, 0.5, resolution=bad),
        lambda: t_tests.entropy_bits(bad, 0.5),
        lambda: t_tests.entropy_bits(0.5, bad),
        lambda: t_tests.mutual_information_bits(bad, 0.5, prior=0.1),
        lambda: t_tests.mutual_information_bits(0.5, bad, prior=0.1),
        lambda: t_tests.mutual_information_bits(0.5, 0.5, prior=bad),
        lambda: t_tests.kl_noise_floor_bits(
            bad, sd_confused=0.1, sd_comparison=0.1, **counts
        ),
        lambda: t_tests.kl_noise_floor_bits(
            0.5, sd_confused=bad, sd_comparison=0.1, **counts
        ),
        lambda: t_tests.kl_noise_floor_bits(
            0.5, sd_confused=0.1, sd_comparison=bad, **counts
        ),
    ):
        with pytest.raises(ValueError, match=r"Expected `\w+` in .*Received.*Use"):
            call()
    with pytest.raises(ValueError, match=r"Expected `resolution` in \[0, 0.5\]"):
        t_tests.kl_bits(0.5, 0.5, resolution=0.6)


# Simulations: the test of the test


@pytest.fixture(scope="module")
def null_groups():
    # The smaller group has the larger sd, the hardest case for a pooled variance.
    rng = np.random.default_rng(20)
    return rng.normal(0.65, 0.06, (4000, 10)), rng.normal(0.65, 0.02, (4000, 40))


def test_p_values_are_uniform_under_the_null(null_groups):
    p_values = t_tests.compare(*null_groups).p_value
    assert scipy.stats.kstest(p_values, "uniform").pvalue > 0.01
    # The same check must be able to fail: Student's pooled test is not calibrated.
    pooled = scipy.stats.ttest_ind(*null_groups, axis=-1).pvalue
    assert scipy.stats.kstest(pooled, "uniform").pvalue < 1e-6


def test_intervals_cover_the_true_difference(null_groups):
    result = t_tests.compare(*null_groups)
    covered = np.mean((result.ci_low < 0) & (result.ci_high > 0))
    assert covered == pytest.approx(0.95, abs=0.011)


def test_pairing_calibrates_networks_that_share_seeds():
    rng = np.random.default_rng(21)
    shared = rng.normal(0.65, 0.02, (4000, 12))
    confused, comparison = shared + rng.normal(0, 0.02, (2, 4000, 12))
    paired = t_tests.compare_paired(confused, comparison)
    assert scipy.stats.kstest(paired.p_value, "uniform").pvalue > 0.01
    assert np.mean(paired.correlation) == pytest.approx(0.5, abs=0.03)
    # Welch's test takes the shared part for noise, and finds too little.
    welch = t_tests.compare(confused, comparison)
    assert scipy.stats.kstest(welch.p_value, "uniform").pvalue < 1e-6


def test_benjamini_hochberg_finds_few_false_families(null_groups):
    families = t_tests.compare(*null_groups).p_value.reshape(400, 10)
    found = [np.any(t_tests.benjamini_hochberg(f) <= 0.05) for f in families]
    # Three standard errors of a share of 0.05 among 400 families.
    assert np.mean(found) < 0.05 + 3 * math.sqrt(0.05 * 0.95 / 400)
    # Without the correction, 1 - 0.95^10 = 40 % of the families have a finding.
    assert np.mean(np.any(families <= 0.05, axis=1)) > 0.3


@pytest.mark.parametrize(("sd_confused", "n_confused"), [(0.014, 335), (0.06, 12)])
def test_kl_noise_floor_agrees_with_simulation(sd_confused, n_confused):
    rng = np.random.default_rng(22)
    confused = rng.normal(0.7, sd_confused, (4000, n_confused)).mean(axis=-1)
    comparison = rng.normal(0.7, 0.03, (4000, 50)).mean(axis=-1)
    floor = t_tests.kl_noise_floor_bits(
        0.7,
        sd_confused=sd_confused,
        n_confused=n_confused,
        sd_comparison=0.03,
        n_comparison=50,
    )
    simulated = np.abs(t_tests.kl_bits(comparison, confused)).mean()
    assert simulated == pytest.approx(floor, rel=0.15)


# The module as a whole


@pytest.mark.parametrize(
    ("module", "examples"), [(t_tests, 6), (bits, 8), (clustering, 4)]
)
def test_examples_in_docstrings_run(module, examples):
    result = doctest.testmod(module)
    assert result.attempted >= examples
    assert result.failed == 0
