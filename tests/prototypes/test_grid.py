import dataclasses
import pathlib

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_confusion.models import loading
from keras_confusion.models import probe as model_probe
from keras_confusion.prototypes import dissimilarity, grid
from keras_confusion.prototypes import images as prototype_images
from keras_confusion.prototypes.optimizer import drafting
from keras_confusion.prototypes.optimizer.parametrizations import Pixels
from keras_confusion.prototypes.optimizer.settings import OptimizerSettings

SHAPE = (4, 4, 1)
SETTINGS = grid.ProbingSettings(images=OptimizerSettings(learning_rate=0.3))


def logits(images):
    """Three classes: bright at the top, at the bottom, or nowhere."""
    top = tf.reduce_mean(images[:, :2], axis=(1, 2, 3))
    bottom = tf.reduce_mean(images[:, 2:], axis=(1, 2, 3))
    return 16 * tf.stack([top - bottom, bottom - top, 0.6 - top - bottom], axis=1)


def features(images):
    return tf.reshape(images, (-1, 16))


@pytest.fixture
def probe():
    return model_probe.Probe(
        logits, features, SHAPE, ("top", "bottom", "dark"), "a test"
    )


@pytest.fixture
def start():
    return prototype_images.starts([0, 1], 3, Pixels(SHAPE))


def test_answers_are_those_of_every_single_image(probe, rng):
    images = rng.random((3, 71, *SHAPE)).astype(np.float32)
    answers = grid.ask(probe, images)
    assert answers.features.shape == (3, 71, 16)
    targets = rng.integers(0, 3, (3, 71))
    losses = answers.cross_entropies(targets)
    for index in [(0, 0), (1, 40), (2, 70)]:
        image_logits = logits(images[index][None]).numpy()[0]
        np.testing.assert_allclose(answers.logits[index], image_logits, rtol=1e-5)
        assert answers.predicted[index] == image_logits.argmax()
        probabilities = np.exp(image_logits) / np.exp(image_logits).sum()
        expected = -np.log(probabilities[targets[index]])
        np.testing.assert_allclose(losses[index], expected, rtol=1e-4)
        np.testing.assert_array_equal(answers.features[index], images[index].ravel())


def test_all_images_are_counted_and_measured(probe, start):
    seen = []
    values = grid.probe_classifier(probe, start, SETTINGS, on_progress=seen.append)
    assert seen == sorted(seen)
    # Per start 3 of classes, 9 of P and 6 boundaries.
    assert seen[-1] == grid.num_images(start, SETTINGS) == 36
    assert values["converged"].all()
    np.testing.assert_array_equal(
        values["predicted"], np.broadcast_to(np.arange(3)[:, None], (2, 3, 3))
    )
    diagonal = np.arange(3)
    assert (values["iterations"][:, diagonal, diagonal] > 0).all()
    off_diagonal = ~np.eye(3, dtype=bool)
    assert values["boundary_converged"][:, off_diagonal].all()
    assert (np.abs(values["boundary_gap"][:, off_diagonal]) < 0.01).all()
    assert np.isnan(values["boundary_gap"][:, ~off_diagonal]).all()
    assert values["adversarial_fooled"].all()


def test_classifier_without_features_is_probed_without_them(probe, start):
    bare = dataclasses.replace(probe, feature_vectors=None)
    settings = dataclasses.replace(SETTINGS, boundaries=False)
    values = grid.probe_classifier(bare, start, settings)
    assert values["converged"].all()
    assert not any("features" in name or "boundary" in name for name in values)
    assert grid.num_images(start, settings) == 24


@pytest.mark.slow
def test_bfloat16_hardly_changes_dissimilarities():
    folder = pathlib.Path(__file__).parents[2] / "saved_models/cifar10_resnet18_width12"
    exact = loading.load_probe(folder)
    model = keras.saving.load_model(folder / "model.keras", compile=False)
    images = OptimizerSettings(learning_rate=0.1)
    settings = grid.ProbingSettings(images=images, boundaries=False)
    start = prototype_images.starts([0], 10, Pixels(exact.input_shape))
    means = []
    for probe in (exact, drafting.with_draft(exact, model)):
        values = grid.probe_classifier(probe, start, settings)
        assert values["converged"].all()
        features = values["features"]
        means.append(
            [
                dissimilarity.trend(dissimilarity.inter_class(features), "inter").mean,
                dissimilarity.trend(dissimilarity.intra_class(features), "intra").mean,
            ]
        )
    in_float32, in_bfloat16 = np.array(means)
    assert np.any(in_float32 != in_bfloat16)
    # Per matrix and initialisation; C is about 0.39 and R 0.06.
    np.testing.assert_allclose(in_bfloat16, in_float32, atol=0.005)
