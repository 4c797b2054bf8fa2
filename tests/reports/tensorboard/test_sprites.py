import io

import numpy as np
import pytest
from PIL import Image

from keras_confusion.reports.tensorboard import sprites


def pixels(png):
    return np.asarray(Image.open(io.BytesIO(png)))


def test_levels_by_hand():
    colours = np.array([[0, 0.5, 1], [-1, 2, np.nan]])
    expected = [[0, 128, 255], [0, 255, sprites.MISSING_GREY]]
    assert sprites.levels(colours).tolist() == expected
    assert sprites.levels(np.array([[0.2], [0.8]])).tolist() == [[51], [204]]
    # Four channels: their mean.
    assert sprites.levels(np.array([0, 0, 0.4, 0.4])).tolist() == [51]


@pytest.mark.parametrize(("channels", "mode"), [(1, "L"), (3, "RGB")])
def test_png_files_keep_every_pixel(rng, channels, mode):
    made = rng.integers(0, 256, (5, 7, channels), np.uint8)
    image = Image.open(io.BytesIO(sprites.png(made)))
    assert image.mode == mode
    np.testing.assert_array_equal(np.asarray(image).reshape(made.shape), made)


def test_enlarged_pixels_are_squares(rng):
    made = rng.integers(0, 256, (5, 7, 3), np.uint8)
    expected = np.kron(made, np.ones((4, 4, 1), np.uint8))
    np.testing.assert_array_equal(pixels(sprites.png(made, times=4)), expected)


def test_grid_has_images_where_they_belong(rng):
    images = rng.random((2, 3, 4, 5, 3))
    grid = sprites.grid(images)
    assert grid.shape == (8, 15, 3)
    np.testing.assert_array_equal(grid[4:8, 10:15], images[1, 2])


def test_shrunk_pixels_by_hand():
    image = np.array([[0, 3, 6], [6, 9, 12], [12, 15, 18.0]])[None, ..., None]
    # Three pixels become two: one and a half each, in both directions.
    across = np.array([[0 + 1.5, 1.5 + 6], [6 + 4.5, 4.5 + 12], [12 + 7.5, 7.5 + 18]])
    both = np.array([across[0] + across[1] / 2, across[1] / 2 + across[2]]) / 1.5**2
    np.testing.assert_allclose(sprites.shrink(image, 2, 2)[0, ..., 0], both)


def test_shrinking_by_a_whole_number_takes_the_mean_of_blocks(rng):
    images = rng.random((3, 8, 6, 3))
    blocks = images.reshape(3, 4, 2, 2, 3, 3).mean(axis=(2, 4))
    np.testing.assert_allclose(sprites.shrink(images, 4, 2), blocks)
    np.testing.assert_allclose(
        sprites.shrink(images, 5, 5).mean(axis=(1, 2)), images.mean(axis=(1, 2))
    )


@pytest.mark.parametrize(
    ("num_images", "side", "expected"),
    [
        (10, 32, 32),
        (37, 32, 32),
        (38, 32, 31),
        (100, 32, 12),
        (1000, 32, 4),
        (900, 3, 3),
    ],
)
def test_images_are_made_smaller_only_where_they_must(num_images, side, expected):
    assert sprites.cell_side(num_images, side, max_pixels=1200) == expected


def test_overview_of_few_images_is_all(rng):
    images = rng.random((3, 3, 6, 4, 3))
    (overview,) = sprites.overview_and_rows(images, cell=6)
    np.testing.assert_array_equal(
        pixels(overview)[12:18, 4:8], np.round(255 * images[2, 1])
    )


def test_small_overview_is_followed_by_rows_in_full_size(rng):
    images = rng.random((3, 3, 6, 4, 1))
    overview, *rows = sprites.overview_and_rows(iter(images), cell=3)
    assert len(rows) == 3
    assert pixels(overview).shape == (9, 6)
    blocks = images.reshape(3, 3, 3, 2, 2, 2).mean(axis=(3, 5))
    np.testing.assert_array_equal(
        pixels(overview)[6:9, 2:4], np.round(255 * blocks[2, 1])
    )
    np.testing.assert_array_equal(
        pixels(rows[2])[:, 4:8], np.round(255 * images[2, 1, ..., 0])
    )
