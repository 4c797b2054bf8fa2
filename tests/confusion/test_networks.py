"""Which networks have failed, what a row says of its study, and whose folder it is."""

import json
import shutil

import keras
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet
import pytest

from keras_confusion.confusion import compaction, network_files
from keras_confusion.confusion import store as confusion_store
from keras_confusion.confusion import study as confusion_study
from keras_confusion.confusion.networks import ENOUGH_STEPS, _failure
from keras_confusion.datasets import loading as dataset_loading
from keras_confusion.errors import StudyFolderError
from keras_confusion.reports import study_report
from keras_confusion.storage import locks
from keras_confusion.storage.study_folder import StudyFolder


class OtherAnswers(keras.layers.Layer):
    """Changes what a network answers after its training."""

    def __init__(self, answers):
        super().__init__()
        self._answers = answers

    def call(self, logits, training=False):
        return logits if training else self._answers(logits)


def model_that_answers(answers):
    def build(*, input_shape, num_classes, seed):
        layers = [keras.Input(input_shape), keras.layers.Flatten()]
        initializer = keras.initializers.GlorotUniform(seed=seed)
        layers.append(keras.layers.Dense(num_classes, kernel_initializer=initializer))
        if answers is not None:
            layers.append(OtherAnswers(answers))
        return keras.Sequential(layers)

    return build


# Figures are looked at elsewhere.
pytestmark = pytest.mark.usefixtures("undrawn")
PERCEPTRON = model_that_answers(None)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    path = tmp_path_factory.mktemp("data") / "data.npz"
    labels = np.arange(36) % 3
    images = np.random.default_rng(0).integers(0, 60, (36, 6, 6, 1))
    images = (images + 60 * labels[:, None, None, None]).astype(np.uint8)
    np.savez(path, x_train=images, y_train=labels, x_test=images, y_test=labels)
    return path


def run(directory, data, **options):
    settings = {
        "pairs": ["0-1"],
        "repeats": 2,
        "baseline_repeats": 2,
        "epochs": 2,
        "model": PERCEPTRON,
        "workers": 1,
        "readout_baselines": 0,
    }
    return confusion_study.run_confusion_study(
        directory, dataset=str(data), **(settings | options)
    )


@pytest.fixture(scope="module")
def study(data, tmp_path_factory):
    directory = tmp_path_factory.mktemp("networks") / "study"
    run(directory, data)
    return directory


@pytest.fixture
def copy(study, tmp_path):
    return shutil.copytree(study, tmp_path / "copy")


@pytest.mark.parametrize(
    ("answers", "words"),
    [
        (
            lambda logits: keras.ops.where(logits > 0, logits, np.nan),
            r"Answers to \d+ of 36 test examples were not finite",
        ),
        (
            lambda logits: keras.ops.where(logits > 0, logits, -np.inf),
            r"Answers to \d+ of 36 test examples were not finite",
        ),
        (
            lambda logits: 0 * logits + np.array([1.0, 3.0, 2.0], np.float32),
            "It gave one answer to all 36 test examples: 1.",
        ),
    ],
    ids=["nan", "infinite", "dead"],
)
def test_network_that_gives_no_answers_has_failed(data, tmp_path, answers, words):
    summary = run(tmp_path, data, repeats=1, model=model_that_answers(answers))
    assert summary.failed == [
        "baseline, repeat 0",
        "0-1, repeat 0",
        "baseline, repeat 1",
    ]
    networks = confusion_store.read_networks(tmp_path)
    assert networks["failed"].all()
    assert networks["predictions"].isna().all()
    assert networks["note"].str.contains(f"Attempt 2 failed: {words}").all()


def test_network_that_answers_has_not_failed(data):
    logits = np.zeros((4, 3))
    logits[range(4), [0, 0, 0, 2]] = 1
    assert _failure(np.array([1.0]), logits, data, 1000) is None
    assert "epoch 2 of 2" in _failure(np.array([1.0, np.nan]), logits, data, 1)


def test_one_answer_after_few_steps_is_no_failure(data):
    dataset = dataset_loading.load_dataset(str(data))
    logits = np.random.default_rng(0).random((4, 3)) + [0, 0, 5]
    assert _failure(np.array([1.0]), logits, dataset, ENOUGH_STEPS - 1) is None
    assert "one answer to all 4" in _failure(
        np.array([1.0]), logits, dataset, ENOUGH_STEPS
    )
    # Answers that do not depend on the example at all are no answers.
    assert "one answer to all 4" in _failure(
        np.array([1.0]), np.ones((4, 3)), dataset, 1
    )


def test_report_says_how_many_failed_in_which_arm(copy, data):
    (path,) = (copy / "networks").glob("0-1-00001.parquet")
    row = pa.parquet.read_table(path).to_pylist()[0]
    lists = {name: None for name, value in row.items() if isinstance(value, list)}
    confusion_store.write_network(copy, row | lists | {"failed": True}, num_classes=3)
    text = study_report.write_report(copy).text
    assert (
        "1 networks failed and are left out, which can bias the arms that lack them: "
        "1 of 2 in arm '0'-'1'." in " ".join(text.split())
    )


def test_report_says_how_many_labels_are_wrong(study, copy):
    text = " ".join(study_report.write_report(copy).text.split())
    # Half of 12 and of 12.
    assert "In a confused network 12 of 36 training labels are wrong." in text
    assert StudyFolder.open(study).description["labels_changed"] == [12, 12]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"fraction": 0.05}, "a fraction of 0.05 of few training examples (12 of 0, "),
        ({"corruption": "one_way", "fraction": 0.05}, "12 of 0, 12 of 1"),
        (
            {"corruption": "null", "fraction": 0.05},
            "12 of 0, 12 of 1, 12 of 2",
        ),
    ],
)
def test_study_in_which_nothing_is_confused_is_refused(data, tmp_path, options, words):
    with pytest.raises(ValueError, match="no label changes") as error:
        run(tmp_path / "study", data, **options)
    assert words in str(error.value)
    assert not (tmp_path / "study").exists()


def test_row_says_its_study_and_the_code(study):
    networks = confusion_store.read_networks(study)
    assert set(networks["study"]) == {StudyFolder.open(study).description["digest"]}
    (code,) = set(networks["code"])
    assert code.startswith("0.")
    study_report.write_report(study)
    table = pd.read_csv(study / "tables" / "networks.csv")
    assert set(table["code"]) == {code}


def test_report_says_that_versions_differ(copy):
    assert "same version" not in study_report.write_report(copy).text
    (path,) = (copy / "networks").glob("0-1-00001.parquet")
    row = pa.parquet.read_table(path).to_pylist()[0]
    confusion_store.write_network(copy, row | {"code": "9.9 (abc)"}, num_classes=3)
    text = " ".join(study_report.write_report(copy).text.split())
    assert "by the same version of keras-confusion: 0." in text
    assert "9.9 (abc) (tables/networks.csv)" in text


def take_rows(source, target):
    for path in (source / "networks").glob("*.parquet"):
        shutil.copy(path, target / "networks" / path.name)


@pytest.mark.parametrize("merged", [False, True])
@pytest.mark.parametrize("has_names", [False, True])
def test_rows_of_another_study_are_set_aside_and_named(
    study, data, tmp_path, merged, has_names, capsys
):
    other, directory = tmp_path / "other", tmp_path / "study"
    run(other, data, seed=1)
    shutil.copytree(study, directory)
    (directory / "networks" / "0-1-00001.parquet").unlink()
    own = confusion_store.read_networks(directory)
    shutil.copy(other / "networks" / "0-1-00001.parquet", directory / "networks")
    if not has_names:
        without_names(directory)
    if merged:
        compaction.merge_networks(directory, networks_a_file=4)
    with pytest.raises(StudyFolderError, match="which is of another study"):
        study_report.write_report(directory)
    summary = run(directory, data)
    assert summary.num_trained == 1
    told = capsys.readouterr().err
    assert "has networks of another study (1)" in told
    assert compaction.STRANGER_SUFFIX in told
    expected = confusion_store.read_networks(study)
    networks = confusion_store.read_networks(directory)
    assert len(own) == 3
    for name in ("seed", "final_training_loss"):
        assert networks[name].tolist() == expected[name].tolist()
    study_report.write_report(directory)


def without_names(directory):
    """Rows as they were before they said their study."""
    for path in (directory / "networks").glob("*.parquet"):
        table = pa.parquet.read_table(path).drop_columns(["study", "code"])
        pa.parquet.write_table(network_files.add_checksums(table), path)
    description = json.loads((directory / "study.json").read_text())
    assert "digest" in description


@pytest.mark.parametrize("options", [{"epochs": 3}, {"recipe": "tutorial"}])
def test_rows_of_other_epochs_or_recipe_are_no_rows_of_the_study(
    study, data, tmp_path, options
):
    other, directory = tmp_path / "other", shutil.copytree(study, tmp_path / "study")
    run(other, data, **options)
    take_rows(other, directory)
    without_names(directory)
    with pytest.raises(StudyFolderError, match="which is of another study"):
        study_report.write_report(directory)
    assert run(directory, data).num_trained == 4


def test_edited_model_and_edited_data_are_refused(copy, data, tmp_path):
    rows = {path.name for path in (copy / "networks").iterdir()}
    with pytest.raises(StudyFolderError, match="the model has other layers"):
        run(copy, data, model=renamed(model_that_answers(lambda logits: logits)))
    edited = tmp_path / "data.npz"
    arrays = dict(np.load(data))
    np.savez(edited, **arrays | {"x_train": 255 - arrays["x_train"]})
    with pytest.raises(StudyFolderError, match="the data set has other pixels"):
        run(copy, edited)
    assert {path.name for path in (copy / "networks").iterdir()} == rows
    # The same pixels elsewhere are the same data.
    moved = shutil.copy(data, tmp_path / "moved.npz")
    assert run(copy, moved).num_trained == 0
    assert StudyFolder.open(copy).settings["dataset"] == str(moved)


def renamed(build):
    """A function with the name of the study's own."""

    def model(**arguments):
        return build(**arguments)

    model.__module__ = PERCEPTRON.__module__
    model.__qualname__ = PERCEPTRON.__qualname__
    return model


def test_study_stops_when_its_folder_becomes_anothers(data, tmp_path):
    directory, moved = tmp_path / "study", tmp_path / "moved"

    def replace(row):
        if moved.exists():
            return
        directory.rename(moved)
        directory.mkdir()
        locks._write_holder(locks.Hold(directory, "another"))

    with pytest.raises(StudyFolderError, match="not the folder any more in which"):
        run(directory, data, on_network=replace)
    assert {path.name for path in directory.iterdir()} == {locks.HOLDER}
    assert len(confusion_store.read_networks(moved)) == 1
