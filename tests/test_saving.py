import json
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_confusion import models, saving

NAMES = [str(digit) for digit in range(10)]


@pytest.fixture(scope="module")
def saved(digits_classifier, tmp_path_factory):
    return saving.save_model(
        digits_classifier,
        tmp_path_factory.mktemp("saved") / "digits",
        class_names=NAMES,
        dataset="digits",
        test_accuracy=0.94,
    )


@pytest.fixture(scope="module")
def images(digits):
    return digits.test.arrays()[0][:20].astype(np.float32) / 255


def test_reloaded_model_is_the_live_one(saved, digits_classifier, images):
    live, probe = saving.probe_of(digits_classifier, NAMES), saving.load_probe(saved)
    np.testing.assert_allclose(
        probe.logits(tf.constant(images)), live.logits(tf.constant(images)), atol=1e-5
    )
    np.testing.assert_allclose(probe.features(images), live.features(images), atol=1e-5)
    np.testing.assert_allclose(probe.predict(images), live.predict(images), atol=1e-5)
    assert probe.input_shape == (32, 32, 3)
    assert probe.class_names == tuple(NAMES)


def test_reloaded_model_has_the_same_input_gradient(saved, digits_classifier, images):
    def gradient(probe):
        inputs = tf.constant(images)
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            outputs = probe.logits(inputs)[:, 3]
        return tape.gradient(outputs, inputs).numpy()

    received = gradient(saving.load_probe(saved))
    live = gradient(saving.probe_of(digits_classifier, NAMES))
    assert np.abs(live).max() > 1e-3
    np.testing.assert_allclose(received, live, atol=1e-5)


def test_features_are_what_goes_into_the_last_layer(digits_classifier, images):
    probe = saving.probe_of(digits_classifier, NAMES)
    features = probe.features(images)
    kernel, bias = digits_classifier.layers[-1].get_weights()
    assert features.shape == (20, 64)
    assert (features >= 0).all()
    np.testing.assert_allclose(
        features @ kernel + bias, probe.logits(tf.constant(images)), atol=1e-4
    )


def test_saved_folder_says_what_it_holds(saved):
    description = json.loads((saved / "model.json").read_text())
    assert description["class_names"] == NAMES
    assert description["input_shape"] == [32, 32, 3]
    assert description["num_features"] == 64
    assert description["num_parameters"] == 122_570
    assert description["test_accuracy"] == 0.94
    model = keras.saving.load_model(saved / "model.keras")
    assert model.count_params() == 122_570


def test_probing_needs_neither_the_model_code_nor_keras_layers(saved):
    code = (
        "import sys, numpy as np, tensorflow as tf\n"
        "loaded = tf.saved_model.load(sys.argv[1])\n"
        "images = tf.zeros((2, 32, 32, 3))\n"
        "assert loaded.serve(images).shape == (2, 10)\n"
        "assert loaded.features(images).shape == (2, 64)\n"
        "assert 'keras_confusion' not in sys.modules\n"
    )
    command = [sys.executable, "-c", code, str(saved / "saved_model")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_batch_normalisation_is_off_in_what_is_saved(tmp_path):
    model = models.build_model(
        "resnet18",
        num_classes=3,
        input_shape=(16, 16, 1),
        seed=0,
        width=2,
        dtype_policy="mixed_bfloat16",
    )
    images = np.random.default_rng(0).random((4, 16, 16, 1), np.float32)
    expected = model(images, training=False).numpy()
    saving.save_model(model, tmp_path / "resnet", class_names=["a", "b", "c"])
    for path in (tmp_path / "resnet", tmp_path / "resnet" / "model.keras"):
        probe = saving.load_probe(path)
        np.testing.assert_allclose(
            probe.logits(tf.constant(images)), expected, atol=2e-2
        )
        features = probe.features(images)
        assert features.shape == (4, 16)
        assert features.dtype == np.float32


def test_saving_again_replaces_the_folder(tmp_path):
    def model(seed):
        return models.build_model(
            "cnn", num_classes=3, input_shape=(18, 18, 1), seed=seed
        )

    for seed in (1, 2):
        saving.save_model(model(seed), tmp_path / "cnn", class_names=["a", "b", "c"])
    assert [path.name for path in tmp_path.iterdir()] == ["cnn"]
    images = np.random.default_rng(0).random((4, 18, 18, 1), np.float32)
    np.testing.assert_allclose(
        saving.load_probe(tmp_path / "cnn").logits(tf.constant(images)),
        model(2)(images),
        atol=1e-5,
    )


@pytest.fixture
def strangers_model():
    """One channel, other size, softmax, exported without features."""
    inputs = keras.Input((12, 10, 1))
    outputs = keras.layers.Dense(4, activation="softmax")(
        keras.layers.Flatten()(inputs)
    )
    return keras.Model(inputs, outputs)


def test_strangers_saved_model_is_probed_as_far_as_it_goes(strangers_model, tmp_path):
    strangers_model.export(tmp_path / "theirs", verbose=False)
    probe = saving.load_probe(tmp_path / "theirs")
    images = np.random.default_rng(0).random((3, 12, 10, 1), np.float32)
    # Probabilities are not taken through softmax twice.
    np.testing.assert_allclose(
        probe.predict(images), strangers_model(images), atol=1e-5
    )
    assert probe.class_names == ("0", "1", "2", "3")
    with pytest.raises(saving.ModelFolderError, match="only classifies.*save_model"):
        probe.features(images)


def test_strangers_keras_file_has_features_too(strangers_model, tmp_path):
    strangers_model.save(tmp_path / "theirs.keras")
    probe = saving.load_probe(tmp_path / "theirs.keras")
    images = np.random.default_rng(0).random((3, 12, 10, 1), np.float32)
    np.testing.assert_allclose(
        probe.predict(images), strangers_model(images), atol=1e-5
    )
    assert probe.features(images).shape == (3, 120)


def test_images_of_another_shape_are_refused(saved):
    with pytest.raises(ValueError, match=r"\(n, 32, 32, 3\).*\(2, 28, 28, 1\)"):
        saving.load_probe(saved).predict(np.zeros((2, 28, 28, 1)))


def test_folders_without_a_model_are_refused(tmp_path, saved):
    with pytest.raises(saving.ModelFolderError, match="Expected a folder with"):
        saving.load_probe(tmp_path)
    newer = tmp_path / "newer"
    newer.mkdir()
    (newer / "model.json").write_text('{"format_version": 99}')
    with pytest.raises(saving.ModelFolderError, match="Received: 99"):
        saving.load_probe(newer)


def test_class_names_that_do_not_fit_are_refused(digits_classifier, tmp_path):
    with pytest.raises(saving.ModelFolderError, match="10 outputs. Received: 2"):
        saving.save_model(digits_classifier, tmp_path / "x", class_names=["a", "b"])
    assert not list(tmp_path.iterdir())
