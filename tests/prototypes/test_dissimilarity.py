import doctest
import time
from dataclasses import fields

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.spatial.distance import cdist
from sklearn.metrics.pairwise import cosine_distances

from keras_confusion.prototypes import dissimilarity

MATRICES = {"inter": dissimilarity.inter_class, "intra": dissimilarity.intra_class}

# P[0, 0] = (1, 0), P[0, 1] = (3, 4), P[1, 0] = (0, 2), P[1, 1] = (4, 3), as
# (target, origin); their lengths are 1, 5, 2 and 5.
FEATURES = np.array([[[1.0, 0.0], [3.0, 4.0]], [[0.0, 2.0], [4.0, 3.0]]])


@st.composite
def prototype_features(draw, *, low=0.0):
    """Feature vectors with a direction, float32 or float64, of any magnitude."""
    n, d = draw(st.integers(2, 4)), draw(st.integers(1, 4))
    dtype = draw(st.sampled_from([np.float32, np.float64]))
    elements = st.floats(low, 1, width=32)
    array = draw(hnp.arrays(dtype, (n, n, d), elements=elements))
    assume(np.abs(array).max(axis=-1).all())
    return array


matrices = st.integers(2, 4).flatmap(
    lambda n: hnp.arrays(np.float64, (n, n, n), elements=st.floats(0, 1))
)


def tolerance(array):
    return {"rtol": 0, "atol": 20 * np.finfo(array.dtype).eps}


def without_selves(matrix, kind):
    """Zeros in the cells that compare a prototype with itself."""
    matrix = np.array(matrix)
    for k, j, i in np.ndindex(matrix.shape):
        if i == (k if kind == "inter" else j):
            matrix[k, j, i] = 0
    return matrix


def others(matrix, kind):
    """All other cells, one list per array [k, j, :]."""
    n = len(matrix)
    return [
        [matrix[k, j, i] for i in range(n) if i != (k if kind == "inter" else j)]
        for k in range(n)
        for j in range(n)
    ]


def random_features(*shape, seed=0, dtype=np.float64):
    return np.random.default_rng(seed).random(shape, dtype=dtype)


# Golden numbers


def test_inter_class_golden_by_hand():
    # Origin 0: d(P[0, 0], P[1, 0]) = 1 - (1*0 + 0*2) / (1*2) = 1.
    # Origin 1: d(P[0, 1], P[1, 1]) = 1 - (3*4 + 4*3) / (5*5) = 1 - 24/25.
    expected = [[[0, 1], [0, 1 / 25]], [[1, 0], [1 / 25, 0]]]
    np.testing.assert_allclose(dissimilarity.inter_class(FEATURES), expected)


def test_intra_class_golden_by_hand():
    # Target 0: d(P[0, 0], P[0, 1]) = 1 - (1*3 + 0*4) / (1*5) = 2/5.
    # Target 1: d(P[1, 0], P[1, 1]) = 1 - (0*4 + 2*3) / (2*5) = 2/5.
    expected = [[[0, 0.4], [0.4, 0]], [[0, 0.4], [0.4, 0]]]
    np.testing.assert_allclose(dissimilarity.intra_class(FEATURES), expected)


def test_opposite_features_golden():
    # (1, 0) against (-1, 0) is a cosine of -1; against (0, -2) of 0.
    features = [[[1, 0], [-1, 0]], [[0, -2], [0, -1]]]
    C, R = (matrix(features) for matrix in MATRICES.values())
    assert R.tolist() == [[[0, 2], [2, 0]], [[0, 0], [0, 0]]]
    assert C.tolist() == [[[0, 1], [0, 1]], [[1, 0], [1, 0]]]


def test_trend_golden_by_hand():
    C = dissimilarity.trend(dissimilarity.inter_class(FEATURES), "inter")
    # Cells 1, 1/25, 1, 1/25: mean 0.52, and every deviation is 0.48.
    assert C.mean == pytest.approx(0.52)
    assert C.sd == pytest.approx(0.48)
    assert (C.num_values, C.num_undefined) == (4, 0)
    R = dissimilarity.trend(dissimilarity.intra_class(FEATURES), "intra")
    assert R.mean == pytest.approx(0.4)
    assert R.sd == pytest.approx(0, abs=1e-15)


def test_outliers_golden_by_hand():
    # Three classes, arrays of two cells. All 0.5 but for the two of the first array.
    matrix = without_selves(np.full((3, 3, 3), 0.5), "intra")
    matrix[0, 0, 1:] = 0.1, 0.3
    # Pooled: 16 cells of 0.5, mean 8.4/18 = 0.46667; sum of squares 16*0.0333^2 +
    # 0.3667^2 + 0.1667^2 = 0.18, sd sqrt(0.18/18) = 0.1. z: 0.333, -3.667, -1.667.
    share = dissimilarity.outliers(matrix, "intra")
    assert share == pytest.approx(1 / 18)
    assert dissimilarity.outliers(matrix, "intra", threshold=1.5) == pytest.approx(
        2 / 18
    )
    assert dissimilarity.outliers(matrix, "intra", threshold=3.7) == 0
    # Array means: eight of 0.5, one of 0.2: mean 4.2/9 = 0.46667, sum of squares
    # 8*0.0333^2 + 0.2667^2 = 0.08, sd sqrt(0.08/9) = 0.0943. z: 0.354, -3.889, -1.768.
    array_means = {"definition": "of_means"}
    assert dissimilarity.outliers(
        matrix, "intra", threshold=3.8, **array_means
    ) == pytest.approx(1 / 18)
    assert dissimilarity.outliers(matrix, "intra", threshold=3.9, **array_means) == 0
    assert dissimilarity.outliers(
        matrix, "intra", threshold=0.3, **array_means
    ) == pytest.approx(1)


def test_separation_golden_by_hand():
    # cos((1, 0), (4, 3)) = 0.8, twice, over 2^2: 1 - 1.6/4.
    assert dissimilarity.separation([[1, 0], [4, 3]]) == pytest.approx(0.6)
    # All alike: 1 - 6/9. All orthogonal: 1.
    assert dissimilarity.separation(np.ones((3, 2))) == pytest.approx(1 / 3)
    assert dissimilarity.separation(np.eye(3)) == pytest.approx(1)
    # Opposite: 1 + 2/4.
    assert dissimilarity.separation([[1, 0], [-1, 0]]) == pytest.approx(1.5)


def test_adversarial_agreement_golden_by_hand():
    # cos((1, 0), (3, 4)) = 0.6 and cos((4, 3), (4, 3)) = 1: 1 - 0.8.
    M_adv = dissimilarity.adversarial_agreement([[1, 0], [4, 3]], [[3, 4], [4, 3]])
    assert M_adv == pytest.approx(0.2)
    same = random_features(3, 5)
    assert dissimilarity.adversarial_agreement(same, 2 * same) == pytest.approx(0)
    assert dissimilarity.adversarial_agreement(same, -same) == pytest.approx(2)


def test_class_cosines_golden_by_hand():
    result = dissimilarity.class_cosines(FEATURES)
    # Both classes' own pair has cosine 3/5.
    assert result.within_mean == pytest.approx(0.6)
    assert result.within_variance == pytest.approx(0, abs=1e-15)
    # (1, 0) with (0, 2) and (4, 3): 0 and 0.8; (3, 4) with them: 0.8 and 24/25.
    assert result.between_mean == pytest.approx(0.64)
    # Squares 0, 0.64, 0.64, 0.9216: mean 0.5504, less 0.4096.
    assert result.between_variance == pytest.approx(0.1408)
    assert result.num_undefined == 0


# The poster's example: targets and origins red, blue, purple, orange, pink


def test_poster_colours():
    P = random_features(5, 5, 3)
    red, blue = 0, 1
    C, R = dissimilarity.inter_class(P), dissimilarity.intra_class(P)
    p_red_blue = P[red, blue][None]
    # C_{1,2}: p_{r,b} with {p_{r,b}, p_{b,b}, p_{p,b}, p_{o,b}, p_{i,b}}, the column of
    # the same origin (section 5; section 6 prints R's set for both).
    same_origin = cdist(p_red_blue, P[:, blue], "cosine")[0]
    np.testing.assert_allclose(C[red, blue], same_origin, atol=1e-15)
    # R_{1,2}: p_{r,b} with {p_{r,r}, p_{r,b}, p_{r,p}, p_{r,o}, p_{r,i}}.
    same_target = cdist(p_red_blue, P[red], "cosine")[0]
    np.testing.assert_allclose(R[red, blue], same_target, atol=1e-15)
    assert C[red, blue, red] == 0
    assert R[red, blue, blue] == 0
    assert not np.allclose(C[red, blue], R[red, blue])


# Properties


@given(prototype_features())
def test_non_negative_features_lie_in_0_1(features):
    for matrix in MATRICES.values():
        values = matrix(features)
        assert values.dtype == features.dtype
        assert values.min() >= 0
        assert values.max() <= 1


@given(prototype_features(low=-1.0))
def test_any_features_lie_in_0_2(features):
    for matrix in MATRICES.values():
        values = matrix(features)
        assert values.min() >= 0
        assert values.max() <= 2


@given(prototype_features(low=-1.0))
def test_symmetry_and_exact_self_comparisons(features):
    C, R = dissimilarity.inter_class(features), dissimilarity.intra_class(features)
    np.testing.assert_allclose(C, C.transpose(2, 1, 0), **tolerance(C))
    np.testing.assert_allclose(R, R.transpose(0, 2, 1), **tolerance(R))
    for a in range(len(features)):
        assert (C[a, :, a] == 0).all()
        assert (R[:, a, a] == 0).all()


@given(prototype_features(), st.data())
def test_positive_scaling_changes_nothing(features, data):
    scales = hnp.arrays(features.dtype, features.shape[:2], elements=st.integers(1, 99))
    scaled = features * data.draw(scales)[..., None]
    for matrix in MATRICES.values():
        values = matrix(features)
        np.testing.assert_allclose(matrix(scaled), values, **tolerance(values))


@pytest.mark.parametrize("scale", [1e-44, 1e-30, 1e30, 3e38])
def test_tiny_and_huge_features_have_a_direction(scale):
    features = np.array(FEATURES > 0, np.float32)
    for matrix in MATRICES.values():
        values = matrix(features * np.float32(scale))
        np.testing.assert_allclose(values, matrix(features), atol=1e-6)


@given(prototype_features(), st.data())
def test_permuting_classes_permutes_the_matrices(features, data):
    order = np.array(data.draw(st.permutations(range(len(features)))))
    permuted = features[np.ix_(order, order)]
    for matrix in MATRICES.values():
        values = matrix(features)
        expected = values[np.ix_(order, order, order)]
        np.testing.assert_allclose(matrix(permuted), expected, **tolerance(values))


@given(matrices, st.sampled_from(["inter", "intra"]), st.sampled_from([1.5, 2, 3]))
def test_pooled_outliers_obey_chebyshev(matrix, kind, threshold):
    share = dissimilarity.outliers(
        without_selves(matrix, kind), kind, threshold=threshold
    )
    assert np.isnan(share) or 0 <= share <= 1 / threshold**2


@pytest.mark.parametrize("kind", ["inter", "intra"])
def test_of_means_outliers_exceed_chebyshev(kind):
    # Every array holds 0.1 and 0.9 in equal numbers, one has slightly more of all: the
    # values are far from means that are close together.
    n = 7
    matrix = np.zeros((n, n, n))
    for k, j in np.ndindex(n, n):
        cells = [i for i in range(n) if i != (k if kind == "inter" else j)]
        matrix[k, j, cells] = np.tile([0.1, 0.9], n // 2) + 0.01 * (k == j == 0)
    assert dissimilarity.outliers(matrix, kind) == 0
    assert dissimilarity.outliers(matrix, kind, definition="of_means") == 1


# Agreement with obvious loops and other libraries


@pytest.mark.parametrize("library", [cosine_distances, cdist])
def test_matrices_equal_triple_loop_and_libraries(library):
    P = random_features(4, 4, 6) - 0.3
    options = {"metric": "cosine"} if library is cdist else {}
    C, R = np.empty((4, 4, 4)), np.empty((4, 4, 4))
    for k, j, i in np.ndindex(4, 4, 4):
        for matrix, x in [(C, P[i, j]), (R, P[k, i])]:
            y = P[k, j]
            matrix[k, j, i] = 1 - x @ y / np.sqrt((x @ x) * (y @ y))
    np.testing.assert_allclose(dissimilarity.inter_class(P), C, atol=1e-14)
    np.testing.assert_allclose(dissimilarity.intra_class(P), R, atol=1e-14)
    for a in range(4):
        column, row = P[:, a], P[a]
        expected = library(column, column, **options)
        np.testing.assert_allclose(C[:, a, :], expected, atol=1e-14)
        np.testing.assert_allclose(R[a], library(row, row, **options), atol=1e-14)


@pytest.mark.parametrize("kind", ["inter", "intra"])
def test_trend_and_outliers_equal_loops(kind):
    matrix = MATRICES[kind](random_features(6, 6, 8) ** 4)
    arrays = others(matrix, kind)
    values = np.concatenate(arrays)
    result = dissimilarity.trend(matrix, kind)
    assert result.mean == pytest.approx(np.mean(values))
    assert result.sd == pytest.approx(np.std(values))
    assert result.num_values == len(values) == 6 * 6 * 5
    for definition, sample in [
        ("pooled", values),
        ("of_means", [np.mean(array) for array in arrays]),
    ]:
        z = (values - np.mean(sample)) / np.std(sample)
        share = dissimilarity.outliers(
            matrix, kind, definition=definition, threshold=1.7
        )
        assert share == pytest.approx(np.mean(np.abs(z) > 1.7))
        assert 0 < share < 1


@pytest.mark.parametrize("d", [3, 60])
def test_class_cosines_and_separation_equal_loops(d):
    # As many features as cells or fewer, and more: two ways to sum.
    P = random_features(4, 4, d) - 0.2
    cosines = {"within": [], "between": []}
    images = list(np.ndindex(4, 4))
    for number, (k, j) in enumerate(images):
        for i, other in images[:number]:
            cos = 1 - cdist(P[k, j][None], P[i, other][None], "cosine")[0, 0]
            cosines["within" if i == k else "between"].append(cos)
    result = dissimilarity.class_cosines(P)
    for name, values in cosines.items():
        assert getattr(result, f"{name}_mean") == pytest.approx(np.mean(values))
        assert getattr(result, f"{name}_variance") == pytest.approx(np.var(values))
    # 4 targets with 4*3/2 pairs each, of 16*15/2 in all.
    assert (len(cosines["within"]), len(cosines["between"])) == (24, 96)
    p = P[range(4), range(4)]
    cosine_sum = sum(
        p[i] @ p[j] / np.linalg.norm(p[i]) / np.linalg.norm(p[j])
        for i, j in np.ndindex(4, 4)
        if i != j
    )
    assert dissimilarity.separation(p) == pytest.approx(1 - cosine_sum / 16)
    attacked = random_features(4, d, seed=1)
    mean = np.mean(
        [cdist(p[i : i + 1], attacked[i : i + 1], "cosine") for i in (0, 1, 2, 3)]
    )
    assert dissimilarity.adversarial_agreement(p, attacked) == pytest.approx(mean)


# Vectors without direction


@pytest.mark.parametrize("bad", [0.0, np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_vectors_without_direction_are_nan_and_counted(bad, dtype):
    features = random_features(3, 3, 4, dtype=dtype)
    features[0, 1] = 0
    features[0, 1, 2] = bad
    assert dissimilarity.count_undefined(features) == 1
    whole = random_features(3, 3, 4, dtype=dtype)
    for kind, matrix in MATRICES.items():
        values = matrix(features)
        touched = np.zeros((3, 3, 3), dtype=bool)
        for k, j, i in np.ndindex(3, 3, 3):
            other = (i, j) if kind == "inter" else (k, i)
            touched[k, j, i] = (0, 1) in ((k, j), other)
        assert touched.sum() == 5
        np.testing.assert_array_equal(np.isnan(values), touched)
        np.testing.assert_allclose(values[~touched], matrix(whole)[~touched], atol=1e-6)
        result = dissimilarity.trend(values, kind)
        # Of the five cells one compares the vector with itself.
        assert (result.num_values, result.num_undefined) == (14, 4)
        kept = np.array(others(values, kind)).ravel()
        assert result.mean == pytest.approx(np.nanmean(kept), rel=1e-5)
        assert result.sd == pytest.approx(np.nanstd(kept), rel=1e-5)
        for definition in ("pooled", "of_means"):
            share = dissimilarity.outliers(
                values, kind, definition=definition, threshold=1
            )
            # A share of the 14 that are defined.
            assert (share * 14) % 1 == pytest.approx(0, abs=1e-5)
            assert 0 < share < 1


def test_class_cosines_leave_vectors_without_direction_out():
    features = np.array(FEATURES)
    features[0, 1] = 0
    result = dissimilarity.class_cosines(features)
    # Left: (0, 2) with (4, 3), 0.6; (1, 0) with both, 0 and 0.8.
    assert result.within_mean == pytest.approx(0.6)
    assert result.between_mean == pytest.approx(0.4)
    assert result.between_variance == pytest.approx(0.16)
    assert result.num_undefined == 1


def test_quality_is_nan_where_a_class_has_no_direction():
    p, attacked = random_features(2, 3, 4), random_features(2, 3, 4, seed=1)
    p[0, 1] = 0
    for M in (
        dissimilarity.separation(p),
        dissimilarity.adversarial_agreement(p, attacked),
        dissimilarity.adversarial_agreement(attacked, p),
    ):
        np.testing.assert_array_equal(np.isnan(M), [True, False])


def test_nothing_defined_is_nan_everywhere():
    features = np.zeros((3, 3, 2))
    assert dissimilarity.count_undefined(features) == 9
    for kind, matrix in MATRICES.items():
        values = matrix(features)
        assert np.isnan(values).all()
        result = dissimilarity.trend(values, kind)
        assert (result.num_values, result.num_undefined) == (0, 18)
        assert np.isnan([result.mean, result.sd]).all()
        assert np.isnan(dissimilarity.outliers(values, kind))
        assert np.isnan(dissimilarity.outliers(values, kind, definition="of_means"))
    result = dissimilarity.class_cosines(features)
    assert np.isnan([getattr(result, f.name) for f in fields(result)[:4]]).all()
    assert result.num_undefined == 9


@pytest.mark.parametrize("definition", ["pooled", "of_means"])
def test_no_spread_has_no_outliers_to_speak_of(definition):
    matrix = without_selves(np.full((3, 3, 3), 0.1), "inter")
    assert np.isnan(dissimilarity.outliers(matrix, "inter", definition=definition))
    # Equal but for rounding: all of the others would be far from the mean.
    matrix[0, 0, 1] = np.nextafter(0.1, 1)
    assert np.isnan(dissimilarity.outliers(matrix, "inter", definition=definition))


# Leading axes, types, speed


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_leading_axes_equal_slices_and_keep_the_type(dtype):
    features = random_features(2, 3, 4, 4, 5, dtype=dtype)
    features[1, 2, 0, 3] = 0
    p, attacked = features[..., 0, :, :], features[..., 1, :, :] + dtype(0.1)
    C, R = dissimilarity.inter_class(features), dissimilarity.intra_class(features)
    calls = [
        (dissimilarity.inter_class, (features,)),
        (dissimilarity.intra_class, (features,)),
        (dissimilarity.count_undefined, (features,)),
        (dissimilarity.separation, (p,)),
        (dissimilarity.adversarial_agreement, (p, attacked)),
        (dissimilarity.class_cosines, (features,)),
        (lambda m: dissimilarity.trend(m, "inter"), (C,)),
        (lambda m: dissimilarity.trend(m, "intra"), (R,)),
        (lambda m: dissimilarity.outliers(m, "inter", threshold=1.5), (C,)),
        (lambda m: dissimilarity.outliers(m, "intra", definition="of_means"), (R,)),
    ]
    for function, arguments in calls:
        together = as_arrays(function(*arguments))
        for index in np.ndindex(2, 3):
            alone = as_arrays(function(*(a[index] for a in arguments)))
            for whole, part in zip(together, alone, strict=True):
                assert whole.shape[:2] == (2, 3)
                assert whole.dtype == part.dtype
                assert whole.dtype in (dtype, np.int64)
                np.testing.assert_allclose(whole[index], part, atol=1e-6)


def as_arrays(result):
    if isinstance(result, np.ndarray | np.generic):
        return [np.asarray(result)]
    return [np.asarray(getattr(result, field.name)) for field in fields(result)]


def test_integers_and_half_precision_are_widened():
    for dtype, expected in [(np.int64, np.float64), (np.float16, np.float32)]:
        C = dissimilarity.inter_class(FEATURES.astype(dtype))
        assert C.dtype == expected
        np.testing.assert_allclose(C[0, 0], [0, 1])


def test_features_are_left_as_they_are():
    features = np.array(FEATURES)
    features[0, 0] = 0
    before = features.copy()
    dissimilarity.inter_class(features)
    dissimilarity.intra_class(features)
    dissimilarity.class_cosines(features)
    np.testing.assert_array_equal(features, before)


def test_hundred_classes_are_fast_and_stay_float32():
    features = random_features(100, 100, 512, dtype=np.float32)
    start = time.perf_counter()
    C, R = dissimilarity.inter_class(features), dissimilarity.intra_class(features)
    elapsed_seconds = time.perf_counter() - start
    assert elapsed_seconds < 10  # both, each in under five
    for values in (C, R):
        assert values.dtype == np.float32
        assert values.flags.c_contiguous
        assert values.nbytes == 4_000_000
        assert values.min() == 0
    expected = cosine_distances(features[:, 7].astype(np.float64))
    np.testing.assert_allclose(C[:, 7, :], expected, atol=2e-6)


# What is refused


@pytest.mark.parametrize(
    "features",
    [
        np.ones(3),
        np.ones((2, 3)),
        np.ones((2, 3, 4)),
        np.ones((1, 1, 4)),
        np.ones((2, 2, 0)),
        np.full((2, 2, 2), 1j),
        np.full((2, 2, 2), "a"),
    ],
)
def test_features_are_refused(features):
    for function in (
        *MATRICES.values(),
        dissimilarity.count_undefined,
        dissimilarity.class_cosines,
    ):
        with pytest.raises(ValueError, match=r"n, n, d\).*Received: .* Use "):
            function(features)


def test_class_features_are_refused():
    for features in (np.ones(3), np.ones((1, 3)), np.ones((2, 0))):
        with pytest.raises(ValueError, match=r"\(\.\.\., n, d\).*Received"):
            dissimilarity.separation(features)
    with pytest.raises(ValueError, match=r"one shape.*\(2, 3\) and \(3, 3\)"):
        dissimilarity.adversarial_agreement(np.ones((2, 3)), np.ones((3, 3)))


def test_matrices_of_another_shape_or_kind_are_refused():
    C = dissimilarity.inter_class(random_features(3, 3, 4))
    for matrix, kind in [
        (C, "intra"),
        (dissimilarity.intra_class(random_features(3, 3, 4)), "inter"),
        (C, "both"),
        (C[0], "inter"),
        (C[:2], "inter"),
        (np.zeros((1, 1, 1)), "inter"),
        (np.zeros((2, 2, 2), int), "inter"),
        (0.5, "inter"),
    ]:
        for function in (dissimilarity.trend, dissimilarity.outliers):
            with pytest.raises(ValueError, match="Expected floats.*Received: .*Use "):
                function(matrix, kind)


@pytest.mark.parametrize(
    "options",
    [{"definition": "mean"}, {"threshold": 0}, {"threshold": np.nan}],
)
def test_outlier_options_are_refused(options):
    C = dissimilarity.inter_class(random_features(3, 3, 4))
    with pytest.raises(ValueError, match="Expected `definition`.*Received"):
        dissimilarity.outliers(C, "inter", **options)


# The module


def test_examples_in_docstrings_run():
    result = doctest.testmod(dissimilarity)
    assert result.attempted >= 14
    assert result.failed == 0
