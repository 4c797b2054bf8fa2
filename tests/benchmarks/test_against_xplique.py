import json

import keras
import numpy as np
import pytest
import tensorflow as tf

from benchmarks import timing
from benchmarks.validity import against_xplique
from tests.benchmarks.test_readability import colour_probe, dataset

__all__ = ["dataset"]


def colours(order):
    images = np.zeros((3, 6, 6, 3), np.float32)
    images[np.arange(3), :, :, order] = 1
    return images


def test_rows_count_images_and_compare_times():
    makers = {
        against_xplique.OURS: (lambda seed: colours([0, 1, 2]), 3),
        # Right from the first seed only.
        "other": (lambda seed: colours([0, 1, 2] if seed == 0 else [1, 2, 0]), 2),
    }
    rows, pictures = against_xplique.measure(
        makers, colour_probe(), {"same": colour_probe(), "opposite": colour_probe(-1)}
    )
    mine, other = rows
    assert (mine["n"], other["n"]) == (9, 6)
    assert (mine["transfer"], mine["transfer_lowest"]) == (0.5, 0)
    # Where two classes tie for the opposite one, it says the first: right once in six.
    assert other["transfer"] == pytest.approx((1 / 2 + 1 / 6) / 2)
    assert other["sure"] == 0.5
    assert mine["ratio"] == 1
    assert other["ratio"] == pytest.approx(other["seconds"] / mine["seconds"])
    np.testing.assert_array_equal(pictures["other"], colours([0, 1, 2]))
    lines = against_xplique.report(rows, {"cores": "2"}).splitlines()
    assert lines[-2].startswith("| fourier | 9 | 0.50 | 0.00 | ")


def test_our_transformations_move_every_image_by_its_own_map(rng):
    image = rng.random((1, 8, 8, 3), np.float32)
    first, second = against_xplique.our_transformations(tf.repeat(image, 2, axis=0))
    assert np.abs(first - second).max() > 0.01
    assert np.abs(first - image[0]).max() > 0.01


def test_xplique_makes_what_it_is_asked_for(dataset):
    pytest.importorskip("xplique")
    # A network that sees the class of a colour.
    image = keras.Input((6, 6, 3))
    colour = keras.layers.GlobalAveragePooling2D()(image)
    logits = keras.layers.Dense(3, kernel_initializer="identity")(colour)
    makers = against_xplique.makers_of(
        colour_probe(), keras.Model(image, logits), dataset, nb_steps=30
    )
    for name, (make, _) in makers.items():
        images = make(1)
        assert images.shape == (3, 6, 6, 3), name
        assert 0 <= images.min() < images.max() <= 1
        if name.startswith("xplique: fourier"):
            assert images.mean(axis=(1, 2)).argmax(axis=-1).tolist() == [0, 1, 2]
        np.testing.assert_array_equal(make(1), images)


def test_page_shows_the_table_that_was_measured():
    folder = timing.ROOT / "docs" / "results" / "readable"
    found = json.loads((folder / "against_xplique.json").read_text())
    page = (folder / "README.md").read_text()
    text = against_xplique.report(found["rows"], found["machine"])
    assert text[text.index("| images") :].strip() in page
    assert found["machine"]["commit"] in page
