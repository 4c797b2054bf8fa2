import io

import matplotlib
import numpy as np
import pytest
import xarray as xr

from keras_confusion.reports.figures import prototype_grids
from keras_confusion.reports.figures import style as figure_style
from keras_confusion.reports.tensorboard import sprites

SIZE, GAP = 6, 1


@pytest.fixture
def study(synthetic_study):
    return synthetic_study()


def drawn(figure) -> str:
    """The figure's SVG with text as text; PNG has to work too."""
    svg = io.StringIO()
    with matplotlib.rc_context(figure_style.STYLE):
        figure.savefig(svg, format="svg")
        figure.savefig(io.BytesIO(), format="png", dpi=50)
    return svg.getvalue()


def cell(axis, row, column):
    """An image of a mosaic, found by the ticks that name its row and column."""
    mosaic = axis.get_images()[0].get_array()
    x, y = axis.get_xticks()[column], axis.get_yticks()[row]
    top, left = round(y - (SIZE - 1) / 2), round(x - (SIZE - 1) / 2)
    return mosaic[top : top + SIZE, left : left + SIZE]


def levels(image):
    return np.round(255 * np.asarray(image)).astype(np.uint8)


def crossed_out(axis):
    """Positions of the marks, (row, column)."""
    lines = [line for line in axis.lines if line.get_gid() == "not converged"]
    if not lines:
        return set()
    columns = np.searchsorted(axis.get_xticks(), lines[0].get_xdata())
    rows = np.searchsorted(axis.get_yticks(), lines[0].get_ydata())
    return set(zip(rows.tolist(), columns.tolist(), strict=True))


def labels(axis):
    return [text.get_text() for text in axis.get_ticklabels()]


def test_the_grid_has_targets_down_and_origins_across(study):
    study["converged"][1, 0, 3, 1] = False
    figure = prototype_grids.prototype_grid(study, 1, 0)
    (axis,) = figure.axes
    for target in range(4):
        for origin in range(4):
            np.testing.assert_array_equal(
                cell(axis, target, origin), levels(study["image"][1, 0, target, origin])
            )
    assert crossed_out(axis) == {(3, 1)}
    # Framed: the class prototypes.
    assert len(axis.patches) == 4
    for k, frame in enumerate(axis.patches):
        centre = np.add(frame.get_xy(), SIZE / 2)
        np.testing.assert_allclose(centre, (axis.get_xticks()[k], axis.get_yticks()[k]))
    names = study["target"].values.tolist()
    assert labels(axis.xaxis) == labels(axis.yaxis) == names
    assert axis.get_xlabel().startswith("origin")
    assert axis.get_ylabel().startswith("target")
    svg = drawn(figure)
    assert "at 40 % of training (test accuracy 0.665)" in svg
    assert "× did not converge: 1 of 16 images" in svg


def test_one_channel_is_grey(synthetic_study):
    study = synthetic_study(image_shape=(SIZE, SIZE, 1))
    axis = prototype_grids.prototype_grid(study, 0, 0).axes[0]
    image = cell(axis, 1, 2)
    assert image.shape == (SIZE, SIZE, 3)
    for channel in range(3):
        np.testing.assert_array_equal(
            image[..., channel], levels(study["image"][0, 0, 1, 2, ..., 0])
        )
    drawn(prototype_grids.class_prototypes_over_intervals(study, 0))


def test_images_need_not_be_square(synthetic_study):
    study = synthetic_study(image_shape=(SIZE, 2 * SIZE, 3))
    figure = prototype_grids.prototype_grid(study, 0, 0)
    mosaic = figure.axes[0].get_images()[0].get_array()
    assert mosaic.shape == (4 * (SIZE + GAP), 4 * (2 * SIZE + GAP), 3)
    drawn(figure)


def test_what_is_not_finished_is_not_drawn(study):
    study["finished"][1, 0] = False
    with pytest.raises(ValueError, match="to be finished"):
        prototype_grids.prototype_grid(study, 1, 0)
    with pytest.raises(ValueError, match="to be finished"):
        prototype_grids.boundary_grid(study, 1, 0)
    figure = prototype_grids.class_prototypes_over_intervals(study, 0)
    assert labels(figure.axes[1].xaxis) == ["25 %\n0.550", "60 %\n0.780"]
    study["finished"][:, 0] = False
    with pytest.raises(ValueError, match="a finished interval"):
        prototype_grids.class_prototypes_over_intervals(study, 0)


def test_boundary_grid_has_nothing_on_its_diagonal(study):
    study["boundary_converged"][2, 1, 0, 3] = False
    figure = prototype_grids.boundary_grid(study, 2, 1)
    (axis,) = figure.axes
    assert (cell(axis, 1, 1) == sprites.MISSING_GREY).all()
    np.testing.assert_array_equal(
        cell(axis, 2, 0), levels(study["boundary_image"][2, 1, 2, 0])
    )
    assert crossed_out(axis) == {(0, 3)}
    svg = drawn(figure)
    assert "1 of 12 images" in svg
    assert "Boundary prototypes at 60 %" in svg


def test_class_prototypes_from_the_noise_to_the_end(study):
    study["converged"][1, 0, 2, 2] = False
    figure = prototype_grids.class_prototypes_over_intervals(study, 0)
    images, changes = figure.axes
    np.testing.assert_array_equal(cell(images, 3, 0), levels(study["start"][0, 0, 3]))
    for interval in range(3):
        np.testing.assert_array_equal(
            cell(images, 3, interval + 1), levels(study["image"][interval, 0, 3, 3])
        )
    assert crossed_out(images) == {(2, 2)}
    assert labels(images.xaxis) == [
        "start",
        "25 %\n0.550",
        "40 %\n0.665",
        "60 %\n0.780",
    ]
    # The study's prototypes go on from the previous interval: the noise is the first.
    differences = study["image"][:, 0, 3, 3].values - study["start"][0, 0, 3].values
    limit = np.quantile(np.abs(differences), prototype_grids.FULL_CONTRAST)
    for interval in range(3):
        expected = np.clip(0.5 + 0.5 * differences[interval] / limit, 0, 1)
        shown = cell(changes, 3, interval).astype(int)
        assert np.abs(shown - 255 * expected).max() <= 1
    assert labels(changes.yaxis)[3] == f"±{limit:#.2g}"
    caption = figure.get_supxlabel().replace("\n", " ")
    assert "did not converge: 1 of 12 images" in caption
    drawn(figure)


def test_changes_of_prototypes_that_begin_afresh_are_against_their_own_noise(study):
    rng = np.random.default_rng(1)
    study["start"][:] = rng.random(study["start"].shape, np.float32)
    figure = prototype_grids.class_prototypes_over_intervals(study, 0)
    changes = figure.axes[1]
    differences = (study["image"][:, 0, 1, 1] - study["start"][:, 0, 1]).values
    limit = np.quantile(np.abs(differences), prototype_grids.FULL_CONTRAST)
    expected = np.clip(0.5 + 0.5 * differences[2] / limit, 0, 1)
    assert np.abs(cell(changes, 1, 2).astype(int) - 255 * expected).max() <= 1


def test_prototypes_that_did_not_change_are_grey(study):
    study["image"][:, 0, 1, 1] = study["start"][0, 0, 1]
    study["start"][:, 0, 1] = study["start"][0, 0, 1]
    figure = prototype_grids.class_prototypes_over_intervals(study, 0)
    assert (cell(figure.axes[1], 1, 2) == 128).all()
    drawn(figure)


def test_a_hundred_classes_read_from_disk(synthetic_study, tmp_path):
    study = synthetic_study(
        num_classes=100, num_intervals=1, num_initialisations=1, num_features=2
    )
    study["image"][0, 0, 0, 99] = 0
    study.to_zarr(tmp_path / "study.zarr", consolidated=False, zarr_format=2)
    lazy = xr.open_zarr(tmp_path / "study.zarr", chunks=None, consolidated=False)
    figure = prototype_grids.prototype_grid(lazy, 0, 0)
    assert (cell(figure.axes[0], 0, 99) == 0).all()
    assert len(labels(figure.axes[0].xaxis)) == 100
    assert max(figure.get_size_inches()) < 16
    figure.savefig(io.BytesIO(), format="png", dpi=50)
    figure = prototype_grids.class_prototypes_over_intervals(lazy, 0)
    assert len(labels(figure.axes[0].yaxis)) == prototype_grids.MAX_ROWS
    caption = figure.get_supxlabel().replace("\n", " ")
    assert "The first 20 of 100 classes" in caption
    drawn(figure)


def test_changes_are_against_the_origin_and_rows_have_one_scale(study):
    figure = prototype_grids.change_grid(study, 1, 0)
    drawn(figure)
    (axis,) = figure.axes
    part = study.isel(interval=1, initialisation=0)
    image, start = part["image"].values, part["start"].values
    for k in range(4):
        changes = np.stack([image[k, j] - image[j, j] for j in range(4)])
        changes[k] = image[k, k] - start[k]
        scale = np.quantile(np.abs(changes), prototype_grids.FULL_CONTRAST)
        expected = np.round(255 * np.clip(0.5 + 0.5 * changes / scale, 0, 1))
        for j in range(4):
            received = cell(axis, k, j).astype(int)
            assert np.abs(received - expected[j]).max() <= 1
