import json
import shutil
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_confusion.models import architectures, loading, saving
from keras_confusion.models import probe as model_probe

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
    live, probe = (
        model_probe.probe_of(digits_classifier, NAMES),
        loading.load_probe(saved),
    )
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

    received = gradient(loading.load_probe(saved))
    live = gradient(model_probe.probe_of(digits_classifier, NAMES))
    assert np.abs(live).max() > 1e-3
    np.testing.assert_allclose(received, live, atol=1e-5)


def numerical_and_own_changes(probe, images):
    """Changes of a loss along random directions: measured, and by the gradient."""
    targets = np.arange(len(images)) % len(probe.class_names)

    def loss(images):
        return tf.nn.sparse_softmax_cross_entropy_with_logits(
            targets, probe.logits(images)
        )

    images = tf.constant(images)
    with tf.GradientTape() as tape:
        tape.watch(images)
        total = tf.reduce_sum(loss(images))
    gradient = tape.gradient(total, images)
    directions = tf.random.stateless_normal((4, *images.shape), seed=(1, 2))
    # Mixed with the gradient: across it the change drowns in float32.
    scale = tf.norm(gradient) / tf.norm(directions[0])
    changes = []
    for direction in [gradient, *(gradient + 3 * scale * d for d in directions)]:
        step = 0.02 * direction / tf.norm(direction)
        change = tf.reduce_sum(loss(images + step) - loss(images - step)) / 2
        changes.append((change, tf.reduce_sum(gradient * step)))
    return np.transpose(changes)


def test_gradient_of_a_reloaded_model_is_the_numerical_one(saved, images):
    probe = loading.load_probe(saved)
    noise = np.random.default_rng(0).random(images[:4].shape, np.float32)
    for at in (images[:4], noise):
        numerical, own = numerical_and_own_changes(probe, at)
        assert (numerical > 0).all()
        np.testing.assert_allclose(own, numerical, rtol=0.02)


def test_features_are_what_goes_into_the_last_layer(digits_classifier, images):
    probe = model_probe.probe_of(digits_classifier, NAMES)
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


@pytest.mark.slow
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


def normalised(*, input_shape, num_classes, seed):
    layers = [
        keras.layers.Conv2D(4, 3),
        keras.layers.BatchNormalization(),
        keras.layers.GlobalAveragePooling2D(),
        keras.layers.Dense(num_classes),
    ]
    return keras.Sequential([keras.Input(input_shape), *layers])


def test_batch_normalisation_is_off_in_what_is_saved(tmp_path):
    model = architectures.build_model(
        normalised,
        num_classes=3,
        input_shape=(16, 16, 1),
        seed=0,
        dtype_policy="mixed_bfloat16",
    )
    images = np.random.default_rng(0).random((4, 16, 16, 1), np.float32)
    expected = model(images, training=False).numpy()
    assert np.abs(model(images, training=True) - expected).max() > 0.1
    saving.save_model(model, tmp_path / "saved", class_names=["a", "b", "c"])
    for path in (tmp_path / "saved", tmp_path / "saved" / "model.keras"):
        probe = loading.load_probe(path)
        np.testing.assert_allclose(
            probe.logits(tf.constant(images)), expected, atol=2e-2
        )
        features = probe.features(images)
        assert features.shape == (4, 4)
        assert features.dtype == np.float32


def test_saving_again_replaces_the_folder(tmp_path):
    def model(seed):
        return architectures.build_model(
            "cnn", num_classes=3, input_shape=(18, 18, 1), seed=seed
        )

    for seed in (1, 2):
        saving.save_model(model(seed), tmp_path / "cnn", class_names=["a", "b", "c"])
    assert [path.name for path in tmp_path.iterdir()] == ["cnn"]
    images = np.random.default_rng(0).random((4, 18, 18, 1), np.float32)
    np.testing.assert_allclose(
        loading.load_probe(tmp_path / "cnn").logits(tf.constant(images)),
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
    probe = loading.load_probe(tmp_path / "theirs")
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
    probe = loading.load_probe(tmp_path / "theirs.keras")
    images = np.random.default_rng(0).random((3, 12, 10, 1), np.float32)
    np.testing.assert_allclose(
        probe.predict(images), strangers_model(images), atol=1e-5
    )
    assert probe.features(images).shape == (3, 120)


def test_images_of_another_shape_are_refused(saved):
    with pytest.raises(ValueError, match=r"\(n, 32, 32, 3\).*\(2, 28, 28, 1\)"):
        loading.load_probe(saved).predict(np.zeros((2, 28, 28, 1)))


def test_folders_without_a_model_are_refused(tmp_path, saved):
    with pytest.raises(saving.ModelFolderError, match="Expected a folder with"):
        loading.load_probe(tmp_path)
    newer = tmp_path / "newer"
    newer.mkdir()
    (newer / "model.json").write_text('{"format_version": 99}')
    with pytest.raises(saving.ModelFolderError, match="Received: 99"):
        loading.load_probe(newer)


def test_class_names_that_do_not_fit_are_refused(digits_classifier, tmp_path):
    with pytest.raises(saving.ModelFolderError, match="10 outputs. Received: 2"):
        saving.save_model(digits_classifier, tmp_path / "x", class_names=["a", "b"])
    assert not list(tmp_path.iterdir())


class Linear(tf.Module):
    """Logits or what else `outputs` makes of them, from 0 to `largest` in the images.

    Args:
        shape: Of the images, with the batch.
        dtype: Of the images.
        outputs: From images, weights to outputs.
    """

    def __init__(self, shape, *, dtype=tf.float32, largest=1.0, outputs=None):
        super().__init__()
        self.weights = tf.Variable(
            np.random.default_rng(0).normal(size=(shape[-1], 3)).astype(np.float32)
        )

        specification = tf.TensorSpec(shape, dtype, name="pictures")

        @tf.function(input_signature=[specification], autograph=False)
        def classify(pictures):
            colours = tf.reduce_mean(
                tf.cast(pictures, tf.float32) / largest, axis=[1, 2]
            )
            logits = 10 * colours @ self.weights
            return logits if outputs is None else outputs(logits)

        self.classify = classify


def save_module(module, directory, name="serving_default"):
    tf.saved_model.save(module, str(directory), signatures={name: module.classify})
    return directory


def expected_logits(module, images):
    return 10 * images.mean(axis=(1, 2)) @ module.weights.numpy()


@pytest.mark.parametrize(
    ("shape", "image_size"),
    [
        ((None, 6, 5, 3), None),
        # One image at a time, and four: the last batch is filled up.
        ((1, 6, 5, 3), None),
        ((4, 6, 5, 3), None),
        ((None, None, None, 3), (6, 5)),
        ((None, None, 5, 3), (6, 5)),
        ((None, 6, 5, 3), (6, 5)),
        ((None, 6, 5, 13), None),
    ],
)
def test_modules_of_others_are_probed(shape, image_size, tmp_path):
    module = Linear(shape)
    probe = loading.load_probe(save_module(module, tmp_path), image_size=image_size)
    assert probe.input_shape == (6, 5, shape[-1])
    images = np.random.default_rng(0).random((5, *probe.input_shape), np.float32)
    np.testing.assert_allclose(
        probe.logits(tf.constant(images)), expected_logits(module, images), rtol=1e-4
    )
    numerical, own = numerical_and_own_changes(probe, images)
    np.testing.assert_allclose(own, numerical, rtol=0.02)


@pytest.mark.parametrize("dtype", [tf.float64, tf.float16])
def test_other_floats_are_probed(dtype, tmp_path):
    module = Linear((None, 6, 5, 3), dtype=dtype)
    probe = loading.load_probe(save_module(module, tmp_path))
    images = np.random.default_rng(0).random((2, 6, 5, 3), np.float32)
    received = probe.logits(tf.constant(images))
    assert received.dtype == tf.float32
    np.testing.assert_allclose(received, expected_logits(module, images), atol=0.05)


def test_range_and_names_can_be_written_by_hand(tmp_path):
    module = Linear((None, 6, 5, 3), largest=255.0, outputs=tf.nn.softmax)
    save_module(module, tmp_path / "saved_model")
    (tmp_path / "model.json").write_text(
        '{"format_version": 1, "class_names": ["a", "b", "c"], "input_range": [0, 255]}'
    )
    probe = loading.load_probe(tmp_path)
    assert probe.class_names == ("a", "b", "c")
    images = np.random.default_rng(0).random((2, 6, 5, 3), np.float32)
    np.testing.assert_allclose(
        probe.predict(images),
        tf.nn.softmax(expected_logits(module, images)),
        rtol=1e-3,
    )
    numerical, own = numerical_and_own_changes(probe, images)
    np.testing.assert_allclose(own, numerical, rtol=0.02)


def rounded(logits):
    return tf.cast(tf.cast(logits, tf.int32), tf.float32)


@pytest.mark.parametrize(
    ("shape", "options", "message"),
    [
        ((None, 6, 5, 3), {"dtype": tf.uint8}, "floating point.*uint8"),
        ((None, None, None, 3), {}, "Use --image-size"),
        ((None, 3, 32, 32), {}, "channels last.*channels first"),
        ((None, 6, 5, 3), {"outputs": lambda x: x[:, None]}, "one output per class"),
        ((None, 6, 5, 3), {"outputs": rounded}, "gradient with respect to"),
        ((None, 6, 5, 3), {"outputs": lambda x: (x, x)}, "1 inputs and 2 outputs"),
    ],
)
def test_modules_that_cannot_be_probed_say_why(shape, options, message, tmp_path):
    save_module(Linear(shape, **options), tmp_path)
    with pytest.raises(saving.ModelFolderError, match=message) as caught:
        loading.load_probe(tmp_path)
    assert "\n" not in str(caught.value)


def test_other_image_size_than_the_models_is_refused(tmp_path):
    save_module(Linear((None, 6, 5, 3)), tmp_path)
    with pytest.raises(saving.ModelFolderError, match="6 x 5.*Received: 6 x 6"):
        loading.load_probe(tmp_path, image_size=(6, 6))


def test_unknown_signatures_are_named(tmp_path):
    save_module(Linear((None, 6, 5, 3)), tmp_path, name="predict")
    with pytest.raises(saving.ModelFolderError, match=r"'serve'.*\['predict'\]"):
        loading.load_probe(tmp_path)


def keras_model(**options):
    inputs = keras.Input((6, 5, 1), **options)
    hidden = keras.layers.Dense(7)(keras.layers.Flatten()(inputs))
    outputs = keras.layers.Activation("softmax")(keras.layers.Dense(4)(hidden))
    return keras.Model(inputs, outputs)


def test_keras_model_that_ends_in_an_activation(tmp_path):
    model = keras_model()
    model.save(tmp_path / "model.keras")
    probe = loading.load_probe(tmp_path / "model.keras")
    images = np.random.default_rng(0).random((3, 6, 5, 1), np.float32)
    np.testing.assert_allclose(probe.predict(images), model(images), atol=1e-5)
    # What goes into the last layer with weights, not into the softmax.
    assert probe.features(images).shape == (3, 7)


def test_keras_models_that_cannot_be_probed_say_why(tmp_path):
    two = [keras.Input((6, 5, 1)), keras.Input((6, 5, 1))]
    both = keras.layers.Flatten()(keras.layers.Add()(two))
    image = keras.Input((6, 5, 1))
    flat = keras.layers.Flatten()(image)
    strangers = {
        "floating point.*uint8": keras_model(dtype="uint8"),
        "2 inputs and 1 outputs": keras.Model(two, keras.layers.Dense(3)(both)),
        "1 inputs and 2 outputs": keras.Model(image, [flat, flat]),
        r"batch, height.*\(None, 9\)": keras.Sequential(
            [keras.Input((9,)), keras.layers.Dense(3)]
        ),
    }
    for message, model in strangers.items():
        model.save(tmp_path / "model.keras")
        with pytest.raises(saving.ModelFolderError, match=message):
            loading.load_probe(tmp_path / "model.keras")


@pytest.mark.parametrize(
    ("damaged", "contents"),
    [
        ("saved_model/saved_model.pb", b"damaged"),
        ("saved_model/variables/variables.index", b"damaged"),
        ("saved_model/variables/variables.data-00000-of-00001", b""),
        ("model.json", b"{"),
        ("model.json", b"[]"),
        ("model.json", b'{"format_version": 1, "input_range": [1, 0]}'),
        ("model.json", b'{"format_version": 1, "class_names": ["cat", "dog"]}'),
        ("model.json", b'{"format_version": 1, "class_names": 10}'),
    ],
)
def test_damaged_folders_are_one_sentence(damaged, contents, saved, tmp_path):
    folder = tmp_path / "damaged"
    shutil.copytree(saved, folder)
    (folder / damaged).write_bytes(contents)
    with pytest.raises(saving.ModelFolderError, match="Received: ") as caught:
        loading.load_probe(folder)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 500


def test_keras_files_that_cannot_be_loaded_are_one_sentence(tmp_path):
    unsafe = keras.Sequential([keras.Input((6, 5, 1)), keras.layers.Lambda(abs)])
    unsafe.save(tmp_path / "unsafe.keras")
    (tmp_path / "damaged.keras").write_bytes(b"damaged")
    for name in ("unsafe", "damaged"):
        with pytest.raises(saving.ModelFolderError, match="fails with") as caught:
            loading.load_probe(tmp_path / f"{name}.keras")
        assert "\n" not in str(caught.value)


def test_keras_model_of_any_size_and_of_one_image_at_a_time(tmp_path):
    for shape, size in (((None, None, None, 3), (9, 8)), ((1, 9, 8, 3), None)):
        inputs = keras.Input(batch_shape=shape)
        hidden = keras.layers.Conv2D(4, 3)(inputs)
        pooled = keras.layers.GlobalAveragePooling2D()(hidden)
        keras.Model(inputs, keras.layers.Dense(3)(pooled)).save(tmp_path / "any.keras")
        probe = loading.load_probe(tmp_path / "any.keras", image_size=size)
        images = np.random.default_rng(0).random((3, 9, 8, 3), np.float32)
        alone = [probe.features(image[None])[0] for image in images]
        np.testing.assert_allclose(probe.features(images), alone, atol=1e-5)
        assert np.shape(alone) == (3, 4)


def test_folders_with_other_things_are_not_replaced(digits_classifier, tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(saving.ModelFolderError, match=r"Received: thesis\.tex"):
        saving.save_model(digits_classifier, tmp_path, class_names=NAMES)
    assert (tmp_path / "thesis.tex").read_text() == "years of work"
    (tmp_path / "empty").mkdir()
    saving.save_model(digits_classifier, tmp_path / "empty", class_names=NAMES)
    assert (tmp_path / "empty" / "model.json").exists()
    # A model.json of somebody else, such as TensorFlow.js writes.
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    (theirs / "model.json").write_text('{"format": "layers-model"}')
    with pytest.raises(saving.ModelFolderError, match=r"Received: model\.json"):
        saving.save_model(digits_classifier, theirs, class_names=NAMES)
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError):
        saving.check_folder(tmp_path / "file")
    with pytest.raises(OSError, match="file"):
        saving.check_folder(tmp_path / "file" / "model")
