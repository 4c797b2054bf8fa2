import json
import zipfile

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_confusion.models import loading, model_files
from keras_confusion.models.loading import Meaning
from keras_confusion.models.saving import ModelFolderError

SHAPE = (8, 8, 1)
LAYERS = keras.layers
NAMED = {"format_version": 1, "class_names": ["x", "y", "z"], "input_range": [0, 255]}


def network(*end, scale=None, gain=1.0, num_outputs=3):
    """The same weights whatever the end is; `gain` is that of the logits."""
    keras.utils.set_random_seed(1)
    model = keras.Sequential(
        [
            keras.Input(SHAPE),
            *([] if scale is None else [scale]),
            LAYERS.Conv2D(4, 3, activation="relu"),
            LAYERS.Flatten(),
            LAYERS.Dense(num_outputs),
            *end,
        ]
    )
    dense = next(layer for layer in reversed(model.layers) if layer.weights)
    dense.set_weights([gain * weights for weights in dense.get_weights()])
    return model


@pytest.fixture
def images():
    return tf.constant(np.random.default_rng(0).random((5, *SHAPE), np.float32))


def saved(model, folder, kind):
    if kind == "file":
        model.save(folder / "model.keras")
        return folder / "model.keras"
    model.export(folder / "theirs", verbose=False)
    return folder / "theirs"


@pytest.mark.parametrize("kind", ["file", "folder"])
@pytest.mark.parametrize(
    ("end", "answers", "tolerance"),
    [
        ([], "logits", 1e-5),
        ([LAYERS.Softmax()], "probabilities", 1e-4),
        ([LAYERS.Softmax(dtype="bfloat16")], "probabilities", 0.03),
        ([LAYERS.Activation("sigmoid")], "sigmoids", 1e-4),
        # Cannot be undone.
        ([LAYERS.ReLU()], "rectified", None),
    ],
)
def test_answers_become_logits(tmp_path, images, kind, end, answers, tolerance):
    probe = loading.load_probe(saved(network(*end), tmp_path, kind))
    assert probe.answers == answers
    assert any(answers[:6] in told or "ReLU" in told for told in probe.assumed)
    if tolerance is not None:
        expected = tf.nn.softmax(network()(images))
        np.testing.assert_allclose(probe.predict(images), expected, atol=tolerance)


@pytest.mark.parametrize(
    "end", [[LAYERS.Softmax()], [LAYERS.Activation("softmax")], "dense", "operation"]
)
def test_saturated_softmax_of_a_keras_file_has_a_gradient(tmp_path, images, end):
    logits = network(gain=3000.0)
    if end == "dense":
        model = network(gain=3000.0)
        last = LAYERS.Dense(3, activation="softmax")
        model = keras.Model(model.inputs[0], last(model.layers[-1].input))
        last.set_weights(logits.layers[-1].get_weights())
    elif end == "operation":
        model = network(gain=3000.0)
        model = keras.Model(model.inputs[0], keras.ops.softmax(model.outputs[0]))
    else:
        model = network(*end, gain=3000.0)
    assert (model(images).numpy() == 0).any()
    probe = loading.load_probe(saved(model, tmp_path, "file"))
    np.testing.assert_allclose(probe.logits(images), logits(images), rtol=1e-3, atol=1)
    with tf.GradientTape() as tape:
        tape.watch(images)
        loss = tf.nn.sparse_softmax_cross_entropy_with_logits(
            tf.argmin(model(images), axis=1), probe.logits(images)
        )
    assert (np.abs(tape.gradient(loss, images)).max(axis=(1, 2, 3)) > 0).all()


@pytest.mark.parametrize("kind", ["file", "folder"])
@pytest.mark.parametrize("end", [[], [LAYERS.Activation("sigmoid")]])
def test_one_output_is_that_of_the_second_of_two_classes(tmp_path, images, kind, end):
    probe = loading.load_probe(
        saved(network(*end, num_outputs=1), tmp_path, kind),
        meaning=Meaning(class_names=["cat", "dog"]),
    )
    assert probe.class_names == ("cat", "dog")
    dog = tf.sigmoid(network(num_outputs=1)(images))[:, 0]
    expected = np.stack([1 - dog, dog], axis=1)
    np.testing.assert_allclose(probe.predict(images), expected, atol=1e-5)


def test_range_of_a_keras_file_is_found_and_told(tmp_path, images):
    path = saved(network(scale=LAYERS.Rescaling(1 / 255)), tmp_path, "file")
    probe = loading.load_probe(path)
    assert probe.input_range == (0, 255)
    assert "from 0 to 255 (as its layers expect them; --input-r" in probe.assumed[0]
    np.testing.assert_allclose(probe.logits(images), network()(images), atol=1e-5)


def test_range_of_a_saved_model_is_assumed_and_told(tmp_path, images):
    path = saved(network(scale=LAYERS.Rescaling(1 / 255)), tmp_path, "folder")
    assert "from 0 to 1 (assumed" in loading.load_probe(path).assumed[0]
    probe = loading.load_probe(path, meaning=Meaning(input_range=(0, 255)))
    np.testing.assert_allclose(probe.logits(images), network()(images), atol=1e-5)
    assert not any("from 0 to" in told for told in probe.assumed)


def test_what_a_user_says_counts(tmp_path, images):
    path = saved(network(LAYERS.Softmax()), tmp_path, "file")
    meaning = Meaning((0, 255), ["a", "b", "c"], "logits")
    probe = loading.load_probe(path, meaning=meaning)
    assert not probe.assumed
    assert (probe.class_names, probe.answers) == (("a", "b", "c"), "logits")
    expected = network(LAYERS.Softmax())(255 * images)
    np.testing.assert_allclose(probe.logits(images), expected, atol=1e-5)
    with pytest.raises(ModelFolderError, match="3 classes.*--class-names.*Received: 2"):
        loading.load_probe(path, meaning=Meaning(class_names=["a", "b"]))
    with pytest.raises(ValueError, match=r"black below white.*Received: \(1, 0\)"):
        Meaning(input_range=(1, 0))
    with pytest.raises(ValueError, match="`answers` to be one of.*Received: 'softmax'"):
        Meaning(answers="softmax")


@pytest.mark.parametrize("where", ["beside", "beside, and its path", "inside", "file"])
def test_model_json_is_read_wherever_it_lies(tmp_path, where):
    if where == "file":
        path = saved(network(), tmp_path, "file")
    elif where == "inside":
        network().export(tmp_path / "m", verbose=False)
        path = tmp_path / "m"
    else:
        network().export(tmp_path / "saved_model", verbose=False)
        path = tmp_path if where == "beside" else tmp_path / "saved_model"
    folder = path if where == "inside" else tmp_path
    (folder / "model.json").write_text(json.dumps(NAMED))
    probe = loading.load_probe(path)
    assert probe.class_names == ("x", "y", "z")
    assert probe.input_range == (0, 255)


def test_model_json_of_other_programs_is_left_alone_and_told(tmp_path):
    path = saved(network(), tmp_path, "folder")
    (path / "model.json").write_text('{"format": "layers-model"}')
    assert "is of another program" in loading.load_probe(path).assumed[0]
    (tmp_path / "js").mkdir()
    (tmp_path / "js" / "model.json").write_text('{"format": "layers-model"}')
    with pytest.raises(ModelFolderError, match=r"js, whose model.json is of another"):
        loading.load_probe(tmp_path / "js")


def test_advice_on_the_version_of_model_json_works(tmp_path):
    path, names = saved(network(), tmp_path, "file"), {"class_names": ["x", "y", "z"]}
    (tmp_path / "model.json").write_text(json.dumps(names))
    with pytest.raises(ModelFolderError, match='Received: none. Add "format_version":'):
        loading.load_probe(path)
    (tmp_path / "model.json").write_text(json.dumps({"format_version": 1, **names}))
    assert loading.load_probe(path).class_names == ("x", "y", "z")


def test_advice_on_files_of_the_former_format_works(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    network().save("theirs.h5")
    with pytest.raises(ModelFolderError, match="former format.*`keras.saving") as error:
        loading.load_probe("theirs.h5")
    advice = str(error.value).split("`")[1]
    eval(advice)
    assert loading.load_probe("theirs.keras").answers == "logits"
    network().save_weights("theirs.weights.h5")
    with pytest.raises(ModelFolderError, match="weights without their layers"):
        loading.load_probe("theirs.weights.h5")


def test_files_of_keras_2_are_refused_with_the_true_reason(tmp_path):
    source = saved(network(), tmp_path, "file")
    path = tmp_path / "keras_2.keras"
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(path, "w") as new:
        for name in old.namelist():
            content = old.read(name)
            if name == "metadata.json":
                content = b'{"keras_version": "2.15.0"}'
            if name == "config.json":
                # As Keras 2 wrote functional models.
                content = json.dumps(
                    {
                        "module": "keras.src.engine.functional",
                        "class_name": "Functional",
                        "config": {"name": "model", "layers": ["long"] * 200},
                        "registered_name": "Functional",
                    }
                ).encode()
            new.writestr(name, content)
    message = (
        "fails with: Could not deserialize class 'Functional'.*written by Keras 2.15.0,"
        r" and Keras 3.*Use that Keras for `model.export\('folder'\)`, and probe"
    )
    with pytest.raises(ModelFolderError, match=message) as error:
        loading.load_probe(path)
    assert "long" not in str(error.value)


def test_models_whose_weights_are_not_numbers_are_refused(tmp_path):
    model = network()
    kernel, bias = model.layers[0].get_weights()
    kernel[0, 0] = np.nan
    model.layers[0].set_weights([kernel, bias])
    for kind in ("file", "folder"):
        with pytest.raises(ModelFolderError, match="of whose.*weights 4 are NaN"):
            loading.load_probe(saved(model, tmp_path, kind))


def test_what_is_no_model_is_called_by_its_name(tmp_path):
    (tmp_path / "notes.txt").touch()
    for name, message in (("no", "does not exist"), ("notes.txt", "kind of file")):
        with pytest.raises(ModelFolderError, match=message):
            loading.load_probe(tmp_path / name)


def test_what_loading_trusts_its_maker_with_is_told_by_kind(tmp_path, caplog):
    file, folder = tmp_path / "model.keras", tmp_path / "saved_model"
    file.touch()
    folder.mkdir()
    model_files.warn_of_trust(file)
    model_files.warn_of_trust(folder)
    of_file, of_folder = caplog.messages
    assert of_file.startswith(f"{file} is built by Keras in its safe mode")
    assert of_folder.startswith(f"{folder} is a SavedModel, a program of TensorFlow's")
