import numpy as np
import pandas as pd
import pytest
import xarray as xr

from keras_confusion.prototypes import dissimilarity
from keras_confusion.prototypes import tables as prototype_tables

PERCENT = [25.0, 40.0, 60.0, 70.0, 80.0, 90.0, 100.0]
# Unit vectors whose cosines are known: 3-4-5 triangles.
E1, E2, A, B = [1, 0], [0, 1], [0.6, 0.8], [0.8, 0.6]


@pytest.fixture
def study(synthetic_study):
    return synthetic_study()


@pytest.fixture
def hand_study(synthetic_study):
    """Three classes, two features, one part; features are unit vectors.

    P[target, origin], targets down:  e1 a  b
                                      a  e2 e2
                                      b  b  e1
    """
    study = synthetic_study(
        num_classes=3, num_intervals=1, num_initialisations=1, num_features=2
    )
    study["features"][0, 0] = [[E1, A, B], [A, E2, E2], [B, B, E1]]
    return study


def row_of(table, **where):
    for column, value in where.items():
        table = table[table[column] == value]
    assert len(table) == 1
    return table.iloc[0]


# Cosines by hand: e1 e2 0, e1 a 0.6, e1 b 0.8, e2 a 0.8, e2 b 0.6, a b 0.96.
# C, same origin: {e1 a, e1 b, a b}, {a e2, a b, e2 b}, {b e2, b e1, e2 e1}.
C_PAIRS = [0.4, 0.2, 0.04, 0.2, 0.04, 0.4, 0.4, 0.2, 1.0]
# R, same target: {e1 a, e1 b, a b}, {a e2, a e2, e2 e2}, {b b, b e1, b e1}.
R_PAIRS = [0.4, 0.2, 0.04, 0.2, 0.2, 0.0, 0.0, 0.2, 0.2]


def test_by_initialisation_by_hand(hand_study):
    hand_study["adversarial_features"][0, 0] = [A, E2, B]
    hand_study["iterations"][0, 0] = [[10, 1, 2], [3, 20, 4], [5, 6, 30]]
    hand_study["predicted"][0, 0, 0, 1] = 2
    table = prototype_tables.by_initialisation(hand_study)
    assert len(table) == 1
    row = table.iloc[0]
    expected = {
        "interval": 25.0,
        "initialisation": 0,
        "mean_c": np.mean(C_PAIRS),  # 0.32
        "sd_c": np.std(C_PAIRS),
        "mean_r": np.mean(R_PAIRS),  # 0.16
        "sd_r": np.std(R_PAIRS),
        "outliers_c_pooled": 0.0,
        "outliers_r_pooled": 0.0,
        # Class prototypes e1, e2, e1: cosines 0, 1, 0, each pair twice.
        "m_g": 1 - 2 / 9,
        # e1 a 0.6, e2 e2 1, e1 b 0.8.
        "m_adv": 0.2,
        "num_adversarial": 3,
        "within_cosine_mean": 1 - np.mean(R_PAIRS),
        "within_cosine_variance": np.var(R_PAIRS),
        "num_prototypes": 9,
        "num_not_converged": 0,
        "num_undefined": 0,
        "num_misclassified": 1,
        "mean_iterations_class": 20.0,
        "mean_iterations_intermediary": 3.5,
        "test_accuracy": 0.55,
    }
    for name, value in expected.items():
        assert row[name] == pytest.approx(value, abs=1e-6), name


def test_what_did_not_converge_or_has_no_direction_is_left_out_and_counted(hand_study):
    hand_study["converged"][0, 0, 0, 1] = False
    hand_study["features"][0, 0, 2, 1] = 0
    hand_study["adversarial_features"][0, 0] = [A, E2, B]
    row = prototype_tables.by_initialisation(hand_study).iloc[0]
    # Without a (target 0, origin 1) and b (target 2, origin 1).
    assert row["mean_c"] == pytest.approx(np.mean([0.4, 0.2, 0.04, 0.4, 0.2, 1.0]))
    assert row["mean_r"] == pytest.approx(np.mean([0.2, 0.2, 0.2, 0.0, 0.2]))
    assert (row["num_not_converged"], row["num_undefined"]) == (1, 1)
    assert row["num_prototypes"] == 9
    assert row["m_g"] == pytest.approx(1 - 2 / 9)
    table = prototype_tables.prototypes(hand_study)
    assert len(table) == 9
    assert table["converged"].sum() == 8


def test_quality_where_class_prototypes_did_not_converge(hand_study):
    hand_study["adversarial_features"][0, 0] = [A, E2, B]
    hand_study["converged"][0, 0, 0, 0] = False
    row = prototype_tables.by_initialisation(hand_study).iloc[0]
    assert np.isnan(row["m_g"])
    assert row["m_adv"] == pytest.approx(0.1)
    assert row["num_adversarial"] == 2
    hand_study["adversarial_fooled"][0, 0, 1] = False
    row = prototype_tables.by_initialisation(hand_study).iloc[0]
    assert np.isnan(row["m_adv"])
    assert row["num_adversarial"] == 1


def test_matrices_agree_with_loops(study):
    study["converged"][2, 1, 0, 3] = False
    row = row_of(
        prototype_tables.by_initialisation(study), interval=60.0, initialisation=1
    )
    features = study["features"][2, 1].values.astype(float)
    features[0, 3] = np.nan
    inter, intra = [], []
    for k in range(4):
        for j in range(4):
            x = features[k, j] / np.linalg.norm(features[k, j])
            for i in range(4):
                y, z = features[i, j], features[k, i]
                if i != k:
                    inter.append(1 - x @ y / np.linalg.norm(y))
                if i != j:
                    intra.append(1 - x @ z / np.linalg.norm(z))
    assert np.isnan(inter).sum() == 6
    assert row["mean_c"] == pytest.approx(np.nanmean(inter), rel=1e-4)
    assert row["sd_c"] == pytest.approx(np.nanstd(inter), rel=1e-3)
    assert row["mean_r"] == pytest.approx(np.nanmean(intra), rel=1e-4)
    assert row["sd_r"] == pytest.approx(np.nanstd(intra), rel=1e-3)


def test_only_what_is_finished(study):
    study["finished"][:] = [[True, True], [True, False], [False, False]]
    # What is not computed yet.
    for name in study.data_vars:
        if study[name].dtype.kind == "f" and name != "test_accuracy":
            study[name][1, 1] = np.nan
            study[name][2] = np.nan
    table = prototype_tables.by_initialisation(study)
    parts = list(zip(table["interval"], table["initialisation"], strict=True))
    assert parts == [(25.0, 0), (25.0, 1), (40.0, 0)]
    trends = prototype_tables.trends(table)
    assert trends["interval"].tolist() == [25.0, 40.0]
    assert trends["n_initialisations"].tolist() == [2, 1]
    assert len(prototype_tables.prototypes(study)) == 3 * 16
    boundary = prototype_tables.boundary_prototypes(study)
    assert len(boundary) == 3 * 12
    assert (prototype_tables.boundaries(boundary)["to_target_n"] == 2).all()
    change = prototype_tables.first_to_last(table)
    assert (change["n_initialisations"] == 1).all()
    with pytest.raises(ValueError, match="none finished"):
        prototype_tables.mean_matrix(study, 2, "inter")
    study["finished"][:] = False
    with pytest.raises(ValueError, match="none finished"):
        prototype_tables.by_initialisation(study)


def test_trends_by_hand():
    table = pd.DataFrame(
        {
            "interval": [25.0, 25.0, 100.0, 100.0],
            "initialisation": [0, 1, 0, 1],
            "mean_c": [0.1, 0.3, 0.5, 0.4],
            "m_g": [0.8, np.nan, 0.9, 0.7],
            "test_accuracy": [0.6, 0.6, 0.8, 0.8],
        }
    )
    trends = prototype_tables.trends(table)
    first, last = trends.iloc[0], trends.iloc[1]
    assert list(trends.columns[:3]) == [
        "interval",
        "test_accuracy",
        "n_initialisations",
    ]
    assert first["mean_c"] == pytest.approx(0.2)
    assert first["mean_c_sd"] == pytest.approx(0.02**0.5)
    assert first["mean_c_n"] == 2
    assert first["m_g"] == 0.8
    assert np.isnan(first["m_g_sd"])
    assert first["m_g_n"] == 1
    assert last["mean_c_sd"] == pytest.approx(0.005**0.5)
    assert last["test_accuracy"] == 0.8


def test_one_initialisation_has_no_sd(synthetic_study):
    study = synthetic_study(num_initialisations=1)
    table = prototype_tables.by_initialisation(study)
    trends = prototype_tables.trends(table)
    assert trends["mean_c"].notna().all()
    assert trends["mean_c_sd"].isna().all()
    assert prototype_tables.outliers(table)["percent_sd"].isna().all()
    assert prototype_tables.first_to_last(table)["change_sd"].isna().all()
    boundary = prototype_tables.boundary_prototypes(study)
    assert prototype_tables.boundary_trends(boundary)["mean_to_target_sd"].isna().all()


def test_first_to_last_by_hand():
    table = pd.DataFrame(
        {
            "interval": [25.0, 60.0, 100.0] * 3,
            "initialisation": np.repeat([0, 1, 2], 3),
            "mean_c": [0.1, 0.9, 0.4, 0.2, 0.9, 0.1, 0.3, 0.9, np.nan],
            "sd_c": [0.1, 0.1, 0.2] * 3,
            "mean_r": [0.1, 0.1, 0.1] * 3,
            "sd_r": [0.3, 0.1, 0.2] * 3,
        }
    )
    result = prototype_tables.first_to_last(table)
    row = row_of(result, measure="mean_c")
    assert (row["first_interval"], row["last_interval"]) == (25.0, 100.0)
    # The third initialisation is not defined at the end: 0.1 -> 0.4, 0.2 -> 0.1.
    assert row["first"] == pytest.approx(0.15)
    assert row["last"] == pytest.approx(0.25)
    assert row["change"] == pytest.approx(0.1)
    assert row["change_sd"] == pytest.approx(0.08**0.5)
    assert (row["num_rising"], row["n_initialisations"]) == (1, 2)
    rising = result.set_index("measure")["num_rising"]
    assert (rising["sd_c"], rising["mean_r"], rising["sd_r"]) == (3, 0, 0)


def test_outliers_are_tidy_and_in_percent(study):
    table = prototype_tables.by_initialisation(study)
    table["outliers_r_of_means"] = [0.1, 0.3] * 3
    tidy = prototype_tables.outliers(table)
    assert len(tidy) == 3 * 2 * 2
    row = row_of(tidy, interval=40.0, matrix="R", definition="of_means")
    assert row["percent"] == pytest.approx(20)
    assert row["percent_sd"] == pytest.approx(200**0.5)
    assert row["n_initialisations"] == 2
    pooled = tidy[tidy["definition"] == "pooled"]
    assert (pooled["percent"] <= 100 / 9).all()


def test_mean_matrix_leaves_out_what_is_undefined_in_one_initialisation(study):
    whole = dissimilarity.inter_class(study["features"].values)[1]
    mean = prototype_tables.mean_matrix(study, 1, "inter")
    np.testing.assert_allclose(mean, whole.mean(axis=0), atol=1e-6)
    study["converged"][1, 0, 2, 3] = False
    mean = prototype_tables.mean_matrix(study, 1, "inter")
    np.testing.assert_allclose(mean[2, 3], whole[1, 2, 3], atol=1e-6)
    study["converged"][1, :, 2, 3] = False
    mean = prototype_tables.mean_matrix(study, 1, "inter")
    assert np.isnan(mean[2, 3]).all()
    assert np.isnan(mean).sum() == 4 + 3
    intra = prototype_tables.mean_matrix(study, 1, "intra")
    assert np.nanmax(intra[:, range(4), range(4)]) == 0


def test_prototypes_name_what_the_network_sees(study):
    study["predicted"][0, 1, 2, 3] = 0
    study["loss"][0, 1, 2, 3] = 1.5
    study["iterations"][0, 1, 2, 3] = 5000
    table = prototype_tables.prototypes(study)
    assert len(table) == 3 * 2 * 16
    where = {"interval": 25.0, "initialisation": 1, "origin": "class 3"}
    row = row_of(table, target="class 2", **where)
    assert (row["loss"], row["iterations"]) == (1.5, 5000)
    assert row["predicted"] == "class 0"
    assert (table["predicted"] != table["target"]).sum() == 1


def test_boundaries_by_hand(hand_study):
    # Class prototypes are e1, e2, e1.
    boundary = hand_study["boundary_features"]
    boundary[0, 0, 0, 1] = A
    boundary[0, 0, 1, 2] = B
    hand_study["boundary_gap"][0, 0, 0, 1] = -0.25
    hand_study["boundary_converged"][0, 0, 2, 0] = False
    table = prototype_tables.boundary_prototypes(hand_study)
    assert len(table) == 6
    row = row_of(table, target="class 0", origin="class 1")
    assert row["to_target"] == pytest.approx(0.4)
    assert row["to_origin"] == pytest.approx(0.2)
    assert row["absolute_gap"] == 0.25
    row = row_of(table, target="class 1", origin="class 2")
    assert row["to_target"] == pytest.approx(0.4)
    assert row["to_origin"] == pytest.approx(0.2)
    pairs = prototype_tables.boundaries(table)
    row = row_of(pairs, target="class 2", origin="class 0")
    assert np.isnan(row["to_target"])
    assert (row["to_target_n"], row["share_converged"]) == (0, 0)
    # One interval.
    row = row_of(pairs, target="class 0", origin="class 1")
    assert np.isnan(row["to_target_sd"])
    assert row["mean_absolute_gap"] == 0.25
    trends = prototype_tables.boundary_trends(table).iloc[0]
    assert trends["share_converged"] == pytest.approx(5 / 6)
    assert trends["mean_to_origin"] == pytest.approx(table["to_origin"].mean())
    assert trends["sd_to_origin"] == pytest.approx(table["to_origin"].std(ddof=0))


def test_boundaries_average_initialisations_before_intervals(study):
    # One missing: the interval counts as much as the others.
    study["boundary_converged"][0, 0, 1, 2] = False
    table = prototype_tables.boundary_prototypes(study)
    row = row_of(prototype_tables.boundaries(table), target="class 1", origin="class 2")
    boundary = study["boundary_features"].values
    features = study["features"].values
    distances = np.full((3, 2), np.nan)
    for interval in range(3):
        for initialisation in range(2):
            x = boundary[interval, initialisation, 1, 2]
            y = features[interval, initialisation, 1, 1]
            distances[interval, initialisation] = 1 - x @ y / np.sqrt(x @ x * (y @ y))
    means = [distances[0, 1], distances[1].mean(), distances[2].mean()]
    assert row["to_target"] == pytest.approx(np.mean(means), rel=1e-4)
    assert row["to_target_sd"] == pytest.approx(np.std(means, ddof=1), rel=1e-3)
    assert row["to_target_n"] == 3
    assert row["share_converged"] == pytest.approx(5 / 6)
    # A class prototype that did not converge has no distance.
    study["converged"][1, 0, 2, 2] = False
    table = prototype_tables.boundary_prototypes(study)
    missing = table[table["to_target"].isna()]
    assert set(missing["target"]) == {"class 1", "class 2"}
    assert len(missing) == 1 + 3
    trends = prototype_tables.boundary_trends(table)
    assert trends["n_initialisations"].tolist() == [2, 2, 2]
    assert (trends["mean_to_target_sd"] > 0).all()


def test_a_lazily_read_study_gives_the_same_tables(study, tmp_path):
    study.to_zarr(tmp_path / "study.zarr", consolidated=False, zarr_format=2)
    lazy = xr.open_zarr(tmp_path / "study.zarr", chunks=None, consolidated=False)
    for function in (
        prototype_tables.by_initialisation,
        prototype_tables.prototypes,
        prototype_tables.boundary_prototypes,
    ):
        pd.testing.assert_frame_equal(
            function(lazy), function(study), check_dtype=False
        )


def test_a_hundred_classes(synthetic_study):
    study = synthetic_study(
        num_classes=100,
        num_intervals=2,
        num_initialisations=1,
        image_shape=(1, 1, 1),
        num_features=32,
    )
    table = prototype_tables.by_initialisation(study)
    assert table["num_prototypes"].tolist() == [10000, 10000]
    # The classes of the synthetic study come apart.
    change = prototype_tables.first_to_last(table).set_index("measure")["change"]
    assert change["mean_c"] > 0
    boundary = prototype_tables.boundary_prototypes(study)
    assert len(prototype_tables.boundaries(boundary)) == 9900
    assert prototype_tables.mean_matrix(study, 0, "intra").shape == (100, 100, 100)
