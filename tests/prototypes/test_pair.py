import dataclasses

import keras
import numpy as np
import pytest
import scipy.spatial.distance
import tensorflow as tf

from keras_confusion.models import architectures
from keras_confusion.models import probe as model_probe
from keras_confusion.prototypes import grid
from keras_confusion.prototypes import images as prototype_images
from keras_confusion.prototypes import pair as prototype_pair
from keras_confusion.prototypes.optimizer.parametrizations import Pixels

LABELS = FIRST, SECOND = 3, 8
SETTINGS = prototype_pair.PairSettings(inits=2, learning_rate=0.3)
NAMES = tuple(f"digit {label}" for label in range(10))


@pytest.fixture(scope="module")
def probe(digits_classifier):
    return model_probe.probe_of(digits_classifier, NAMES)


@pytest.fixture(scope="module")
def probed(probe):
    settings = dataclasses.replace(SETTINGS, frames=4)
    return prototype_pair.probe_pair(probe, LABELS, settings)


def rows(probed, name):
    return probed.measures[probed.measures["image"] == name]


def test_measures_are_what_the_classifier_says_of_the_images(probe, probed):
    targets = {"p_from": FIRST, "intermediary": SECOND, "p_to": SECOND}
    for name in prototype_pair.IMAGES:
        table, images = rows(probed, name), probed.images[name]
        p = probe.predict(images).astype(float)
        assert images.min() >= 0
        assert images.max() <= 1
        if name == "boundary":
            # Cross-entropy toward half and half, less log 2.
            loss = -np.log(p[:, FIRST] * p[:, SECOND]) / 2 - np.log(2)
            gap = np.log(p[:, SECOND] / p[:, FIRST])
            assert (np.abs(gap) < 0.01).all()
            np.testing.assert_allclose(table["gap"], gap, atol=1e-3)
        else:
            loss = -np.log(p[:, targets[name]])
            assert (table["predicted"] == NAMES[targets[name]]).all()
        np.testing.assert_allclose(table["loss"], loss, atol=1e-5)
        np.testing.assert_allclose(table["probability"], p.max(axis=1), atol=1e-5)
        np.testing.assert_allclose(table["probability_from"], p[:, FIRST], atol=1e-5)
        np.testing.assert_allclose(table["probability_to"], p[:, SECOND], atol=1e-5)
        assert table["converged"].all()
        assert (table["loss"] < 0.01).all()
        assert (table["iterations"] > 0).all()
        assert list(table["initialisation"]) == [0, 1]


def test_intermediary_and_boundary_are_those_of_a_study(probe, probed):
    # A study makes those of all pairs of classes.
    class_images = prototype_images.starts([0], 10, Pixels((32, 32, 3)))
    class_images[0, FIRST] = probed.images["p_from"][0]
    optimizer = SETTINGS.optimizer(probe)
    rate = grid.ProbingSettings.boundary_learning_rate
    boundary_settings = dataclasses.replace(optimizer, learning_rate=rate)
    for name, make, settings in (
        ("intermediary", prototype_images.intermediary_prototypes, optimizer),
        ("boundary", prototype_images.boundary_prototypes, boundary_settings),
    ):
        made = make(probe, class_images, settings)
        assert (
            rows(probed, name)["iterations"].iloc[0]
            == (made.iterations[0, SECOND, FIRST])
        )
        np.testing.assert_allclose(
            probed.images[name][0], made.images[0, SECOND, FIRST], atol=2e-3
        )


def test_dissimilarities_are_those_of_scipy(probe, probed):
    features = {
        name: probe.features(probed.images[name]) for name in prototype_pair.IMAGES
    }
    for first, second in prototype_pair.COMPARISONS:
        expected = [
            scipy.spatial.distance.cosine(*pair)
            for pair in zip(features[first], features[second], strict=True)
        ]
        column = prototype_pair.comparison_column(first, second)
        np.testing.assert_allclose(probed.dissimilarities[column], expected, atol=1e-5)
        assert min(expected) > 0


def test_ways_begin_and_end_where_they_should(probed):
    starts = probed.noise | {"intermediary": probed.images["p_from"]}
    for name in ("p_from", "p_to", "intermediary"):
        frames = probed.frames[name]
        assert frames.shape == (2, 4, 32, 32, 3)
        np.testing.assert_array_equal(frames[:, 0], starts[name])
        np.testing.assert_array_equal(frames[:, -1], probed.images[name])
        answers = probed.answers_to_frames[name]
        np.testing.assert_allclose(
            answers.logits[:, -1], probed.answers[name].logits, atol=1e-3
        )
    assert not np.array_equal(starts["p_from"], starts["p_to"])


def test_result_is_a_function_of_the_seed(probe, probed):
    again = prototype_pair.probe_pair(probe, LABELS, SETTINGS)
    for name in prototype_pair.IMAGES:
        np.testing.assert_array_equal(again.images[name], probed.images[name])
    assert not again.frames
    other = prototype_pair.probe_pair(
        probe, LABELS, dataclasses.replace(SETTINGS, seed=1)
    )
    for name in prototype_pair.IMAGES:
        assert np.any(other.images[name] != probed.images[name])


def test_class_prototypes_do_not_depend_on_the_pair(probe, probed):
    back = prototype_pair.probe_pair(probe, (SECOND, FIRST), SETTINGS)
    for name, same in (("p_from", "p_to"), ("p_to", "p_from")):
        np.testing.assert_array_equal(back.noise[name], probed.noise[same])
        np.testing.assert_allclose(back.images[name], probed.images[same], atol=2e-3)


def test_images_that_did_not_converge_have_no_dissimilarity(probe):
    settings = dataclasses.replace(SETTINGS, max_iterations=12)
    short = prototype_pair.probe_pair(probe, LABELS, settings)
    converged = short.measures.pivot(
        index="initialisation", columns="image", values="converged"
    )
    assert not converged.to_numpy().all()
    for first, second in prototype_pair.COMPARISONS:
        column = prototype_pair.comparison_column(first, second)
        np.testing.assert_array_equal(
            short.dissimilarities[column].notna(), converged[first] & converged[second]
        )


def test_progress_counts_all_images(probe):
    seen = []
    settings = dataclasses.replace(SETTINGS, max_iterations=1)
    prototype_pair.probe_pair(probe, LABELS, settings, on_progress=seen.append)
    assert seen == sorted(seen)
    assert seen[-1] == prototype_pair.num_images(settings) == 8


def test_classes_are_found_by_name_or_label():
    names = ["cat", "dog", "0"]
    assert prototype_pair.resolve_pair(("dog", "cat"), names) == (1, 0)
    assert prototype_pair.resolve_pair(("1", "2"), names) == (1, 2)
    # Names go before labels.
    assert prototype_pair.resolve_pair(("0", "cat"), names) == (2, 0)
    with pytest.raises(ValueError, match="'cow'. Classes: cat, dog, 0"):
        prototype_pair.resolve_pair(("cat", "cow"), names)
    with pytest.raises(ValueError, match="two different classes.*'dog' and '1'"):
        prototype_pair.resolve_pair(("dog", "1"), names)
    with pytest.raises(ValueError, match=r"97, 98, 99, \.\.\. \(1000 in all\)"):
        prototype_pair.resolve_pair(("x", "y"), [str(k) for k in range(1000)])


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"inits": 0}, "`inits` of at least 1"),
        ({"seed": -1}, "`seed` of at least 0"),
        ({"frames": 1}, "`frames` of 0, or of at least 2"),
        ({"loss_threshold": 0.5}, "no third class"),
        ({"update_rule": "newton"}, "'newton'"),
        ({"learning_rate": 0.0}, "`learning_rate` above 0"),
    ],
)
def test_settings_that_make_no_sense_are_refused(setting, message, probe):
    with pytest.raises(ValueError, match=message):
        prototype_pair.probe_pair(
            probe, LABELS, dataclasses.replace(SETTINGS, **setting)
        )


def test_learning_rate_is_the_posters():
    settings = prototype_pair.PairSettings()
    assert settings.optimizer(probe_of(10)).learning_rate == 0.01
    assert settings.optimizer(probe_of(100)).learning_rate == 0.1
    assert SETTINGS.optimizer(probe_of(100)).learning_rate == 0.3


def probe_of(num_classes):
    names = tuple(map(str, range(num_classes)))
    return model_probe.Probe(tf.identity, None, (8, 8, 1), names, "nothing")


def test_images_of_a_bfloat16_model_are_judged_as_they_were_optimised(
    digits_classifier,
):
    # Asked again, eagerly or in another batch, it gives other digits.
    model = architectures.build_model(
        "cnn", num_classes=10, seed=0, dtype_policy="mixed_bfloat16"
    )
    for layer in model.layers:
        layer.dtype_policy = keras.DTypePolicy("mixed_bfloat16")
    model.set_weights(digits_classifier.get_weights())
    probe = model_probe.probe_of(model, NAMES)
    probed = prototype_pair.probe_pair(probe, LABELS, SETTINGS)
    prototypes = probed.measures[probed.measures["image"] != "boundary"]
    assert (prototypes["loss"] < 0.01).all()
    assert prototypes["converged"].all()
    for name in ("p_from", "p_to"):
        given = probed.answers[name]
        asked = grid.ask(probe, probed.images[name]).logits
        np.testing.assert_allclose(given.logits, asked, atol=0.3)
