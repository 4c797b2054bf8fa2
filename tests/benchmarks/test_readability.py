import json

import numpy as np
import pytest
import tensorflow as tf

from benchmarks import timing
from benchmarks.validity import readability
from keras_confusion.datasets.labelled_dataset import LabelledDataset, Split
from keras_confusion.models.probe import Probe

NAMES = ("red", "green", "blue")
SHAPE = (6, 6, 3)


def colour_probe(sign=1.0):
    """A network that sees the class of a colour, or the opposite of it."""

    def means(images):
        return 30 * sign * tf.reduce_mean(images, axis=(1, 2))

    return Probe(means, means, SHAPE, NAMES, "colours")


@pytest.fixture(scope="module")
def dataset():
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(3), 8).astype(np.int32)
    images = rng.integers(0, 120, (24, *SHAPE), np.uint8)
    images[np.arange(24), :, :, labels] += 120
    return LabelledDataset(
        "colours", NAMES, Split(labels, images), Split(labels, images)
    )


@pytest.fixture(scope="module")
def made(dataset):
    return readability.rows_of(
        colour_probe(),
        colour_probe(-1),
        colour_probe(-1),
        {"one": colour_probe(), "two": colour_probe()},
        dataset,
        initialisations=2,
    )


def test_table_tells_readable_images_from_controls(made):
    rows = {row["images"]: row for row in made[0]}
    assert rows["real test images"]["transfer"] == 1
    assert rows["mean image of the class"]["num_prototypes"] == 3
    for name in ("poster: pixels until 0.01", "fourier", "maco"):
        assert rows[name]["transfer"] == 1
        assert rows[name]["distance"] > rows[name]["cross_over"] > 0
    assert rows["fourier, untrained network"]["transfer"] == 0


def test_page_and_pictures_have_a_row_for_each(made):
    rows, pictures = made
    text = readability.report(rows, {"one": 0.75}, {"cores": "2"})
    assert "- judge: one, accuracy 0.750" in text
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    assert len(lines) == 1 + len(rows)
    assert len({line.count("|") for line in lines}) == 1
    shown = {k: v for k, v in pictures.items() if not k.startswith("P, ")}
    figure = readability.sheet(shown, NAMES)
    assert len(figure.axes) == 3 * len(rows)
    figure = readability.square(pictures["P, fourier"], NAMES)
    assert len(figure.axes) == 9


def test_page_shows_the_table_that_was_measured():
    folder = timing.ROOT / "docs" / "results" / "readable"
    found = json.loads((folder / "table.json").read_text())
    page = (folder / "README.md").read_text()
    text = readability.report(found["rows"], found["judges"], found["machine"])
    assert text[text.index("| images") :] in page
    assert found["machine"]["commit"] in page
    for name, accuracy in found["judges"].items():
        assert f"{name} ({accuracy:.3f}" in page
