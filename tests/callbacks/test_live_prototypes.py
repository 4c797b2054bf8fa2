import dataclasses
import math

import numpy as np
import pytest
import tensorflow as tf

from keras_confusion.callbacks import live_prototypes
from keras_confusion.callbacks.live_prototypes import LivePrototypes, LiveSettings
from keras_confusion.models.image_statistics import ImageStatistics
from keras_confusion.models.probe import Probe
from keras_confusion.prototypes import dissimilarity, tables

SHAPE = (4, 4, 3)
NAMES = ("a", "b", "c")


@pytest.fixture
def probe(rng):
    """A linear classifier, whose features are half of the pixels."""
    kernel = tf.constant(rng.normal(size=(math.prod(SHAPE), 3)), tf.float32)
    flat = (-1, math.prod(SHAPE))

    def logits(images):
        return tf.reshape(images, flat) @ kernel

    return Probe(logits, lambda x: tf.reshape(x, flat)[:, :24], SHAPE, NAMES, "test")


def test_every_time_is_an_interval_of_a_prototype_study(probe):
    study = LivePrototypes(probe, LiveSettings(initialisations=2)).make(50.0, 0.7)
    table = tables.by_initialisation(study)
    assert table["interval"].tolist() == [50, 50]
    assert table["test_accuracy"].tolist() == [0.7, 0.7]
    assert (table["num_not_converged"] == 0).all()
    features = study["features"].values[0, 1]
    c = dissimilarity.trend(dissimilarity.inter_class(features), "inter")
    assert table["mean_c"][1] == pytest.approx(float(c.mean))
    assert study["target"].values.tolist() == list(NAMES)
    # Each is taken for its target by more than 99 %.
    assert study["loss"].max() < 0.01
    assert np.isnan(table["m_adv"]).all()


def test_class_prototypes_go_on_from_those_before(probe):
    live = LivePrototypes(probe, LiveSettings())
    first, second = live.make(50.0, np.nan), live.make(100.0, np.nan)
    each = np.arange(3)
    before = first["image"].values[0, 0, each, each]
    np.testing.assert_array_equal(second["start"].values[0, 0], before)
    # They are done already.
    np.testing.assert_array_equal(second["iterations"].values[0, 0, each, each], 0)


@pytest.mark.parametrize("intermediary", [True, False])
def test_readable_prototypes_begin_afresh_every_time(probe, intermediary):
    settings = LiveSettings(parametrization="fourier", intermediary=intermediary)
    live = LivePrototypes(probe, settings)
    first, second = live.make(50.0, np.nan), live.make(100.0, np.nan)
    np.testing.assert_array_equal(first["image"], second["image"])
    assert first["iterations"].max() == 128
    assert "parameters" not in first


def test_statistics_of_the_images_are_those_of_the_probe(probe):
    settings = LiveSettings(parametrization="maco", intermediary=False)
    with pytest.raises(ValueError, match="mean spectrum of the training images"):
        LivePrototypes(probe, settings)
    images = np.random.default_rng(0).random((20, *probe.input_shape))
    known = ImageStatistics.of_images(images)
    live = LivePrototypes(dataclasses.replace(probe, image_statistics=known), settings)
    assert live.optimizer.parametrization.statistics is known
    assert live.make(100.0, np.nan)["iterations"].min() == 128


def test_of_many_classes_only_class_prototypes_are_made(probe):
    study = LivePrototypes(probe, LiveSettings(intermediary=False)).make(100.0, 0.5)
    assert study["image"].dims == (
        *("interval", "initialisation", "target", "height", "width", "channel"),
    )
    (row,) = tables.by_initialisation(study).to_dict("records")
    features = study["features"].values[0, 0]
    assert row["m_g"] == pytest.approx(float(dissimilarity.separation(features)))
    assert (row["num_prototypes"], row["num_not_converged"]) == (3, 0)
    assert np.isnan(row["mean_c"])
    assert np.isnan(row["mean_iterations_intermediary"])
    limit = live_prototypes.MOST_INTERMEDIARY_CLASSES
    assert LiveSettings().makes_intermediary(limit)
    assert not LiveSettings().makes_intermediary(limit + 1)
    assert LiveSettings(intermediary=True).makes_intermediary(limit + 1)


def test_long_steps_grow_with_the_size_of_images():
    assert LiveSettings().optimizer((28, 28, 1)).learning_rate == 1
    assert LiveSettings().optimizer((64, 64, 3)).learning_rate == 2
    assert LiveSettings(learning_rate=0.1).optimizer((8, 8, 1)).learning_rate == 0.1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"initialisations": 0}, "`initialisations` of at least 1"),
        ({"input_range": (1, 0)}, "black below white. Received: .1, 0.. Use"),
        ({"loss_threshold": 0}, "`loss_threshold` above 0"),
        ({"max_iterations": -1}, "`max_iterations` of 0 or more"),
    ],
)
def test_settings_that_make_no_sense_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        LiveSettings(**options)
