import json
import subprocess
import sys

import keras
import numpy as np
import pytest

import keras_confusion
from keras_confusion.callbacks import live_prototypes
from keras_confusion.callbacks.prototype_callback import PrototypeCallback
from keras_confusion.models.image_statistics import ImageStatistics
from tb_plugin import metadata
from tests.support import live_models
from tests.support.plugin_site import PluginSite

RUN = metadata.PROTOTYPES_RUN
# Without a graph, which takes long to make.
QUICK = {"epochs": 1, "run_eagerly": True}


def description(found):
    (text,) = found[metadata.TAG_STUDY][0]
    return json.loads(text)


def column(found, name):
    """A measure over the moments, by their number."""
    at = description(found)["trends"].index(name)
    return {step: row[at] for step, row in found[metadata.TAG_TRENDS].items()}


# Nothing of a training changes.


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("sequential", {}),
        pytest.param("residual", {}, marks=pytest.mark.slow),
        pytest.param("Subclassed", {}, marks=pytest.mark.slow),
        pytest.param("mixed", {}, marks=pytest.mark.slow),
        pytest.param("rescaling", {"white": 255}, marks=pytest.mark.slow),
        pytest.param("sequential", {"jit_compile": True}, marks=pytest.mark.slow),
    ],
)
def test_the_training_is_the_same_bit_for_bit(kind, options, tmp_path, caplog):
    build = getattr(live_models, kind)
    is_changed, callback = live_models.is_changed_by_callback(
        build, tmp_path, **options
    )
    assert callback.error is None
    assert len(callback.seconds) == 2
    assert not is_changed
    told = "0 to 255, as its layers expect them" in caplog.text
    assert told == (kind == "rescaling")


def test_a_callback_that_changes_something_would_be_seen():
    class Draws(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            keras.random.uniform((1,))

    plain, _ = live_models.train(live_models.dense, [], **QUICK)
    other, _ = live_models.train(live_models.dense, [Draws()], **QUICK)
    assert plain != other


ON_TWO_DEVICES = """
import os, sys
os.environ["KERAS_BACKEND"] = "tensorflow"
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "2"
import keras, tensorflow as tf
(device,) = tf.config.list_physical_devices("CPU")
tf.config.set_logical_device_configuration(
    device, [tf.config.LogicalDeviceConfiguration()] * 2
)
# Gradients of both devices are added in any order.
tf.config.experimental.enable_op_determinism()
from tests.support import live_models

mirrored = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
assert mirrored.num_replicas_in_sync == 2

changed, callback = live_models.is_changed_by_callback(
    live_models.residual, sys.argv[1], scope=mirrored.scope
)
print(changed, callback.error, len(callback.seconds))
"""


@pytest.mark.slow
def test_mirrored_over_two_devices(tmp_path, read_plugin_data):
    done = subprocess.run(
        [sys.executable, "-c", ON_TWO_DEVICES, tmp_path],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout == "False None 2\n"
    assert list(read_plugin_data(tmp_path, RUN)[metadata.TAG_TRENDS]) == [0, 1]


# What is logged.


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A log directory, its callback, and the model after two trainings."""
    directory = tmp_path_factory.mktemp("logs")
    callback = PrototypeCallback(
        directory / "mine",
        ["ant", "bee", "cow", "<b>"],
        # So early, networks are not sure of anything.
        loss_threshold=0.5,
        max_iterations=300,
    )
    _, model = live_models.train(
        live_models.dense, [callback], epochs=3, run_eagerly=True
    )
    seconds = callback.seconds
    images, labels = live_models.examples()
    # Another training of the same model, which is continued, without validation.
    model.fit(
        *(images, labels), epochs=4, initial_epoch=2, callbacks=[callback], verbose=0
    )
    return directory, callback, model, seconds


def test_the_plugin_shows_every_moment(trained, read_plugin_data):
    directory, callback, _, seconds = trained
    assert callback.error is None
    found = read_plugin_data(directory / "mine", RUN)
    about = description(found)
    assert set(about) == set(metadata.PROTOTYPE_KEYS)
    assert about["class_names"] == ["ant", "bee", "cow", "<b>"]
    assert about["intervals"] == [33.33, 66.67, 100]
    assert about["image_shape"] == [8, 8, 3]
    assert about["settings"]["accuracy_of"] == "validation"
    assert len(seconds) == 3
    # Of the last training, which has one more moment.
    assert callback.prototypes["interval"].values.tolist() == [100]
    assert callback.prototypes["image"].dims[2:4] == ("target", "origin")
    assert callback.prototypes["converged"].values.all()
    not_converged = column(found, "num_not_converged")
    assert not_converged[2] == 0
    assert 0 < column(found, "mean_c")[2] < 1
    assert 0 < column(found, "m_g")[2] < 1
    assert found[f"{metadata.PREFIX_C}0"][2].shape == (4, 4, 4)
    assert len(found[f"{metadata.PREFIX_IMAGES}0"][2]) == 1
    site = PluginSite(directory)
    studies = site.get("studies").json["studies"]
    assert [study["name"] for study in studies] == ["mine", "mine/fit_2"]
    assert not any(study["error"] for study in studies)
    assert studies[0]["progress"]["num_done"] == 3
    for route in ("cells", "image", "matrix"):
        part = {"run": f"mine/{RUN}", "interval": 2, "init": 0}
        answer = site.get(f"prototypes/{route}", {**part, "matrix": "c", "index": 1})
        assert answer.status_code == 200


def test_another_training_is_logged_beside_the_first(trained, read_plugin_data):
    directory, callback, _, _ = trained
    found = read_plugin_data(directory / "mine" / "fit_2", RUN)
    about = description(found)
    assert about["intervals"] == [25, 50, 75, 100]
    assert about["settings"]["accuracy_of"] == "training"
    # It went on from the end of the second epoch.
    assert list(found[metadata.TAG_TRENDS]) == [2, 3]
    assert np.isfinite(list(column(found, "test_accuracy").values())).all()
    # The model was known already: nothing to compile.
    assert len(callback.seconds) == 2


def test_the_shown_accuracy_is_that_of_the_validation(tmp_path, read_plugin_data):
    class Epochs(keras.callbacks.Callback):
        accuracies = []

        def on_epoch_end(self, epoch, logs=None):
            self.accuracies.append(logs["val_accuracy"])

    callbacks = [PrototypeCallback(tmp_path, intermediary=False), Epochs()]
    live_models.train(live_models.dense, callbacks, run_eagerly=True)
    found = read_plugin_data(tmp_path, RUN)
    assert list(column(found, "test_accuracy").values()) == Epochs.accuracies


def test_between_epochs_and_of_a_hundred_classes(tmp_path, read_plugin_data):
    images, labels = live_models.examples(100)
    model = keras.Sequential(
        [
            keras.Input(live_models.SHAPE),
            keras.layers.Flatten(),
            keras.layers.Dense(32, activation="relu", name="hidden"),
            keras.layers.Dense(100),
        ]
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("adam", loss, metrics=["accuracy"], run_eagerly=True)
    callback = PrototypeCallback(tmp_path, at=(30, 50, 100), features="hidden")
    model.fit(images, labels, epochs=1, callbacks=[callback], verbose=0)
    assert callback.error is None
    assert live_prototypes.MOST_INTERMEDIARY_CLASSES < 100
    found = read_plugin_data(tmp_path, RUN)
    assert list(found[metadata.TAG_TRENDS]) == [0, 1, 2]
    assert column(found, "num_prototypes")[2] == 100
    assert callback.prototypes["image"].shape == (1, 1, 100, *live_models.SHAPE)
    cells = found[f"{metadata.PREFIX_CELLS}0"][2]
    assert cells.shape == (100, 100, 4)
    loss_of, predicted = cells[..., 0], cells[..., 3]
    assert np.isfinite(np.diag(loss_of)).all()
    assert np.isfinite(loss_of).sum() == (predicted >= 0).sum() == 100
    assert f"{metadata.PREFIX_C}0" not in found
    part = {"run": RUN, "interval": 2, "init": 0, "matrix": "r", "index": 1}
    answer = PluginSite(tmp_path).get("prototypes/matrix", part)
    assert answer.status_code == 404
    assert "there is no R of these prototypes" in answer.text


# What goes wrong is told, and ends nothing.


def test_an_error_is_told_once_and_the_training_goes_on(tmp_path, caplog):
    callback = PrototypeCallback(tmp_path, ["one", "two"])
    left, _ = live_models.train(
        live_models.dense, [callback], epochs=3, run_eagerly=True
    )
    (told,) = [record.getMessage() for record in caplog.records]
    assert told == (
        "The training goes on without prototypes: Expected `class_names` of 4 classes, "
        "no two alike. Received: 2. Use one name for each output of the model, in "
        "order."
    )
    assert isinstance(callback.error, ValueError)
    assert callback.prototypes is None
    assert "accuracy" in left[-1]


def test_a_full_disk_or_any_other_error_is_told(tmp_path, caplog):
    (tmp_path / "file").touch()
    callback = PrototypeCallback(tmp_path / "file" / "logs")
    live_models.train(live_models.dense, [callback], **QUICK)
    assert isinstance(callback.error, OSError)
    assert caplog.text.count("goes on without prototypes") == 1


def test_images_that_the_model_does_not_expect_are_told(tmp_path, caplog):
    images, _ = live_models.examples(white=255)
    callback = PrototypeCallback(tmp_path, example_batch=images)
    live_models.train(live_models.dense, [callback], **QUICK)
    assert "`example_batch` from 0 to 25" in caplog.text
    assert "Use `input_range=`" in caplog.text


def test_readable_prototypes_have_the_statistics_of_the_example(tmp_path):
    images, _ = live_models.examples(white=255)
    callback = PrototypeCallback(
        tmp_path,
        example_batch=np.tile(images, (3, 1, 1, 1)),
        input_range=(0, 255),
        parametrization="maco",
        intermediary=False,
    )
    live_models.train(live_models.dense, [callback], **QUICK)
    assert callback.error is None
    made = callback.prototypes.image.values.reshape(-1, *images.shape[1:])
    # Before the sigmoid the spectrum is that of the examples, up to a factor; first and
    # last column are of real images only if they are symmetric.
    known = ImageStatistics.of_images(np.float32(images) / 255)
    inner = np.log(made / (1 - made)) @ np.linalg.inv(known.colours).T
    magnitudes = np.abs(np.fft.rfft2(inner, axes=(1, 2)))
    factors = (magnitudes / known.spectrum)[:, :, 1:-1]
    middle = np.median(factors, axis=(1, 2, 3), keepdims=True)
    np.testing.assert_allclose(factors / middle, 1, atol=0.01)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"parametrization": "maco"}, "at least 100 training images.*Received: none"),
        (
            {"parametrization": "maco", "example_batch": np.zeros((8, 4, 4, 3))},
            "at least 100 training images.*Received: 8",
        ),
        ({"every": 2, "at": (100,)}, "Leave one of them out"),
        ({"every": 0}, "`every` to be a number of epochs"),
        ({"initialisations": 0}, "`initialisations` of at least 1"),
    ],
)
def test_arguments_that_make_no_sense_are_refused_before_the_training(
    options, message, tmp_path
):
    with pytest.raises(ValueError, match=message):
        keras_confusion.PrototypeCallback(tmp_path, **options)
