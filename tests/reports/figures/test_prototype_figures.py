import io

import matplotlib
import numpy as np
import pandas as pd
import pytest

from keras_confusion.prototypes import tables as prototype_tables
from keras_confusion.reports.figures import prototype_figures
from keras_confusion.reports.figures import style as figure_style


@pytest.fixture(scope="module")
def study(synthetic_study):
    return synthetic_study()


@pytest.fixture(scope="module")
def table(study):
    return prototype_tables.by_initialisation(study)


def drawn(figure) -> str:
    """The figure's SVG with text as text; PNG has to work too."""
    svg = io.StringIO()
    with matplotlib.rc_context(figure_style.STYLE):
        figure.savefig(svg, format="svg")
        figure.savefig(io.BytesIO(), format="png", dpi=50)
    return svg.getvalue()


def heat_maps(figure):
    return [axis for axis in figure.axes if axis.get_images()]


def line(axis, label):
    found = [line for line in axis.lines if line.get_label().startswith(label)]
    assert len(found) == 1
    return found[0]


def test_trends_show_means_of_both_matrices_and_their_spread(table):
    trends = prototype_tables.trends(table)
    figure = prototype_figures.trends_figure({"cifar10": trends, "cifar100": trends})
    assert len(figure.axes) == 6
    means, sds, accuracy = figure.axes[:3]
    for matrix in "cr":
        for axis, statistic in ((means, "mean"), (sds, "sd")):
            drawn_line = line(axis, matrix.upper())
            np.testing.assert_allclose(
                drawn_line.get_ydata(), trends[f"{statistic}_{matrix}"]
            )
            assert drawn_line.get_xdata().tolist() == [25, 40, 60]
    band = means.collections[0].get_paths()[0].vertices[:, 1]
    mean, sd = trends["mean_c"], trends["mean_c_sd"]
    assert band.max() == pytest.approx((mean + sd).max())
    assert means.get_ylim()[0] == 0
    np.testing.assert_allclose(accuracy.lines[0].get_ydata(), trends["test_accuracy"])
    svg = drawn(figure)
    assert "cifar100" in svg
    assert "percent of training" in svg
    assert "mean dissimilarity" in svg
    assert "± sd over n = 2 initialisations of one network" in svg


def test_one_initialisation_is_drawn_without_bands(synthetic_study):
    study = synthetic_study(num_intervals=1, num_initialisations=1)
    table = prototype_tables.by_initialisation(study)
    trends = prototype_tables.trends(table)
    for figure in (
        prototype_figures.trends_figure({"digits": trends}),
        prototype_figures.quality_figure(trends),
        prototype_figures.outliers_figure(prototype_tables.outliers(table)),
    ):
        assert "One initialisation of one network" in drawn(figure)
    boundaries = prototype_tables.boundaries(
        prototype_tables.boundary_prototypes(study)
    )
    svg = drawn(prototype_figures.boundaries_figure(boundaries))
    assert "an sd needs two intervals" in svg


def test_quality(table):
    trends = prototype_tables.trends(table)
    figure = prototype_figures.quality_figure(trends)
    columns = ("m_g", "m_adv", "within_cosine_mean", "test_accuracy")
    for axis, column in zip(figure.axes, columns, strict=True):
        np.testing.assert_allclose(axis.lines[0].get_ydata(), trends[column])
    between = line(figure.axes[2], "of two targets")
    np.testing.assert_allclose(between.get_ydata(), trends["between_cosine_mean"])
    drawn(figure)


def test_outliers_lie_under_a_visible_bound(table):
    outliers = prototype_tables.outliers(table)
    figure = prototype_figures.outliers_figure(outliers)
    for axis, matrix in zip(figure.axes, "CR", strict=True):
        points = {
            container.get_label(): container.lines[0].get_ydata()
            for container in axis.containers
        }
        assert list(points) == ["of_means", "pooled"]
        for definition, percent in points.items():
            rows = outliers[
                (outliers["matrix"] == matrix) & (outliers["definition"] == definition)
            ]
            np.testing.assert_allclose(percent.astype(float), rows["percent"])
        bounds = [line for line in axis.lines if line.get_linestyle() == "--"]
        assert bounds[0].get_ydata()[0] == pytest.approx(100 / 9)
        assert axis.get_ylim()[1] > 100 / 9
    assert "11.1 %" in drawn(figure)


@pytest.mark.parametrize("num_classes", [3, 7, 11, 12])
def test_slices_are_one_heat_map_a_class_on_one_scale(synthetic_study, num_classes):
    study = synthetic_study(num_classes=num_classes, image_shape=(1, 1, 1))
    figure = prototype_figures.slices(study, 1, "intra")
    panels = heat_maps(figure)
    assert len(panels) == num_classes
    matrix = prototype_tables.mean_matrix(study, 1, "intra")
    others = ~np.eye(num_classes, dtype=bool)
    shown = [panel.get_images()[0] for panel in panels]
    for k, image in enumerate(shown):
        values = image.get_array()
        np.testing.assert_allclose(values[others], matrix[k][others])
        # A prototype is not compared with itself.
        assert values.mask.diagonal().all()
        assert image.get_cmap().name == "cividis"
        assert f" class {k}, mean 0." in panels[k].get_title()
    limits = {image.get_clim() for image in shown}
    assert limits == {(matrix[:, others].min(), matrix[:, others].max())}
    for position, panel in enumerate(panels):
        has_names = panel.xaxis.get_tick_params()["labelbottom"]
        columns = panel.get_subplotspec().get_gridspec().ncols
        assert has_names == (position + columns >= num_classes)
    if num_classes == 7:
        drawn(figure)


def test_slices_of_c_have_one_origin_each(study):
    figure = prototype_figures.slices(study, 2, "inter")
    matrix = prototype_tables.mean_matrix(study, 2, "inter")
    values = heat_maps(figure)[3].get_images()[0].get_array()
    assert values[0, 1] == matrix[0, 3, 1]
    svg = drawn(figure)
    assert "C at 60 % of training: prototypes with one origin and two targets" in svg
    assert "initialisations of one network, n = 2." in svg


def test_slices_leave_out_what_did_not_converge(synthetic_study):
    study = synthetic_study()
    study["converged"][1, :, 0, 2] = False
    study["converged"][1, :, :, 1] = False
    panels = heat_maps(prototype_figures.slices(study, 1, "inter"))
    values = [panel.get_images()[0].get_array() for panel in panels]
    assert values[1].mask.all()
    assert panels[1].get_title() == "origin class 1, mean nan"
    assert values[2].mask.sum() == 4 + 3 + 3


def test_of_many_classes_the_largest_slices_are_shown(synthetic_study):
    study = synthetic_study(
        num_classes=20, num_intervals=1, num_initialisations=1, image_shape=(1, 1, 1)
    )
    # Nothing of this origin converged: it is not among the largest.
    study["converged"][0, 0, :, 4] = False
    figure = prototype_figures.slices(study, 0, "inter")
    panels = heat_maps(figure)
    assert len(panels) == 1 + prototype_figures.MAX_SLICES
    matrix = prototype_tables.mean_matrix(study, 0, "inter")
    matrix[range(20), :, range(20)] = np.nan
    others = np.delete(np.arange(20), 4)
    largest = others[np.argsort(-np.nanmean(matrix[:, others], axis=(0, 2)))][:12]
    names = [panel.get_title().split(",")[0] for panel in panels]
    assert names[0] == "all origins"
    assert names[1:] == [f"origin class {k}" for k in largest]
    assert "Right: the 12 origins" in figure.get_supxlabel().replace("\n", " ")


def test_boundaries(study):
    table = prototype_tables.boundaries(prototype_tables.boundary_prototypes(study))
    figure = prototype_figures.boundaries_figure(table)
    mean, sd = heat_maps(figure)[:2]
    row = table[(table["target"] == "class 2") & (table["origin"] == "class 0")].iloc[0]
    for axis, column in ((mean, "to_target"), (sd, "to_target_sd")):
        image = axis.get_images()[0]
        assert image.get_array()[2, 0] == pytest.approx(row[column])
        assert image.get_array().mask.sum() == 4
        assert image.get_clim() == (table[column].min(), table[column].max())
        assert len(axis.texts) == 12
    svg = drawn(figure)
    assert "mean over 3 intervals" in svg
    assert "100.0 % of the boundary prototypes converged" in svg
    assert [text.get_text() for text in mean.get_yticklabels()][0] == "class 0"


def test_a_hundred_classes(synthetic_study):
    study = synthetic_study(
        num_classes=100,
        num_intervals=2,
        num_initialisations=1,
        image_shape=(1, 1, 1),
        num_features=16,
    )
    figure = prototype_figures.slices(study, 1, "intra")
    assert heat_maps(figure)[0].get_images()[0].get_array().shape == (100, 100)
    figure.savefig(io.BytesIO(), format="png", dpi=50)
    table = prototype_tables.boundaries(prototype_tables.boundary_prototypes(study))
    figure = prototype_figures.boundaries_figure(table)
    assert not figure.axes[0].texts
    figure.savefig(io.BytesIO(), format="png", dpi=50)


def test_nothing_is_left_in_pyplot_or_in_the_settings(table):
    before = dict(matplotlib.rcParams)
    trends = prototype_tables.trends(table)
    prototype_figures.quality_figure(trends)
    assert dict(matplotlib.rcParams) == before
    assert isinstance(trends, pd.DataFrame)
