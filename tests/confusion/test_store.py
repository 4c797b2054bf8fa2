import pathlib

import numpy as np
import pandas as pd
import pytest

from keras_confusion.confusion import compaction, network_files
from keras_confusion.confusion import store as confusion_store
from keras_confusion.storage import study_folder

DESCRIPTION = {
    "settings": {"epochs": 6, "pairs": [(0, 1)]},
    "class_names": ["a", "b", "c"],
    "dataset_fingerprint": "1234",
    "provenance": {"commit": None},
}


def network(pair, repeat, predictions=(0, 1, 2)):
    return {
        "arm": network_files.arm_name(pair),
        "class_a": pair and pair[0],
        "class_b": pair and pair[1],
        "repeat": repeat,
        "seed": 2**63 - 1,
        "failed": False,
        "note": "",
        "predictions": np.array(predictions),
        "second_labels": np.array(predictions),
        "third_labels": np.array(predictions),
        "epoch_losses": [1.5, 0.5],
        "final_training_loss": 0.5,
        "seconds": 1.0,
    }


@pytest.fixture
def study(tmp_path):
    confusion_store.open_study(tmp_path, DESCRIPTION, [0, 1, 2])
    return tmp_path


def test_networks_are_read_as_written_baseline_first(study):
    confusion_store.write_network(study, network((0, 2), 10), num_classes=3)
    confusion_store.write_network(study, network((0, 1), 2), num_classes=3)
    confusion_store.write_network(study, network(None, 0, [2, 1, 0]), num_classes=3)
    networks = confusion_store.read_networks(study)
    assert networks["arm"].tolist() == ["baseline", "0-1", "0-2"]
    assert networks["repeat"].tolist() == [0, 2, 10]
    assert networks["class_a"].isna().tolist() == [True, False, False]
    assert networks["seed"].tolist() == [2**63 - 1] * 3
    np.testing.assert_array_equal(networks["predictions"][0], [2, 1, 0])
    assert networks["predictions"][0].dtype == np.uint8


def test_row_says_when_it_was_finished(study):
    row = confusion_store.write_network(study, network((0, 1), 0), num_classes=3)
    (written,) = confusion_store.read_networks(study)["finished_at"]
    # Kept to the millisecond.
    assert abs(row["finished_at"] - written).total_seconds() < 0.001


def test_a_plain_parquet_reader_reads_the_folder(study):
    confusion_store.write_network(study, network((0, 1), 0), num_classes=3)
    confusion_store.write_network(study, network(None, 0), num_classes=3)
    networks = pd.read_parquet(study / "networks")
    assert sorted(networks["arm"]) == ["0-1", "baseline"]


def test_more_than_256_classes_keep_their_labels(study):
    row = network((0, 1), 0, predictions=[0, 255, 999])
    confusion_store.write_network(study, row, num_classes=1000)
    assert confusion_store.read_networks(study)["predictions"][0].tolist() == [
        0,
        255,
        999,
    ]


def test_failed_network_is_a_row_without_answers(study):
    failed = {
        key: network(None, 0)[key]
        for key in ("arm", "class_a", "class_b", "repeat", "seed", "note")
    }
    confusion_store.write_network(study, failed | {"failed": True}, num_classes=3)
    row = confusion_store.read_networks(study).iloc[0]
    assert row["failed"]
    assert row["predictions"] is None


def test_same_study_opens_again_and_keeps_its_labels(study):
    confusion_store.open_study(study, DESCRIPTION, [2, 2, 2])
    assert confusion_store.read_test_labels(
        study_folder.StudyFolder.open(study)
    ).tolist() == [0, 1, 2]


def test_study_from_before_a_setting_goes_on_with_what_it_had(study):
    def asked(**settings):
        return DESCRIPTION | {"settings": DESCRIPTION["settings"] | settings}

    confusion_store.open_study(study, asked(shared_seeds=True), [0, 1, 2])
    confusion_store.write_network(study, network(None, 0), num_classes=3)
    with pytest.raises(
        study_folder.StudyFolderError,
        match="shared_seeds: True in the folder, False asked for",
    ):
        confusion_store.open_study(study, asked(shared_seeds=False), [0, 1, 2])
    # A study with its own seeds says so, and is no study with shared ones.
    own = study / "own"
    confusion_store.open_study(own, asked(shared_seeds=False), [0, 1, 2])
    confusion_store.write_network(own, network(None, 0), num_classes=3)
    with pytest.raises(
        study_folder.StudyFolderError,
        match="shared_seeds: False in the folder, True asked for",
    ):
        confusion_store.open_study(own, asked(shared_seeds=True), [0, 1, 2])


def test_setting_that_is_in_one_of_both_only_is_a_difference(tmp_path):
    decayed = DESCRIPTION | {
        "settings": DESCRIPTION["settings"] | {"weight_decay": 0.1}
    }
    for name, first, second, message in (
        ("with", decayed, DESCRIPTION, "weight_decay: 0.1 in the folder, None asked"),
        ("without", DESCRIPTION, decayed, "weight_decay: None in .* 0.1 asked"),
    ):
        confusion_store.open_study(tmp_path / name, first, [0, 1, 2])
        confusion_store.write_network(tmp_path / name, network(None, 0), num_classes=3)
        confusion_store.open_study(tmp_path / name, first, [0, 1, 2])
        with pytest.raises(study_folder.StudyFolderError, match=message):
            confusion_store.open_study(tmp_path / name, second, [0, 1, 2])


def test_settings_of_a_start_that_trained_nothing_do_not_bind(study):
    other = DESCRIPTION | {"settings": DESCRIPTION["settings"] | {"epochs": 7}}
    opened = confusion_store.open_study(study, other, [2, 1, 0])
    assert opened.settings["epochs"] == 7
    assert confusion_store.read_test_labels(opened).tolist() == [2, 1, 0]
    confusion_store.write_network(study, network(None, 0), num_classes=3)
    with pytest.raises(study_folder.StudyFolderError, match="epochs: 7 in the folder"):
        confusion_store.open_study(study, DESCRIPTION, [0, 1, 2])
    # Damaged networks are results, too.
    (file,) = (study / "networks").iterdir()
    file.rename(file.with_name(file.name + compaction.DAMAGED_SUFFIX))
    with pytest.raises(study_folder.StudyFolderError, match="epochs: 7 in the folder"):
        confusion_store.open_study(study, DESCRIPTION, [0, 1, 2])


def test_study_is_a_confusion_study(study):
    opened = study_folder.StudyFolder.open(study, kind=confusion_store.KIND)
    assert opened.class_names == ["a", "b", "c"]
    with pytest.raises(study_folder.StudyFolderError, match="a confusion study"):
        study_folder.StudyFolder.open(study, kind="prototypes")


def test_study_that_was_killed_at_its_beginning_is_begun_again(tmp_path):
    (tmp_path / "networks").mkdir()
    np.save(tmp_path / "test_labels.npy", [7])
    confusion_store.open_study(tmp_path, DESCRIPTION, [0, 1, 2])
    assert confusion_store.read_test_labels(
        study_folder.StudyFolder.open(tmp_path)
    ).tolist() == [0, 1, 2]


def test_networks_without_their_study_are_refused(study):
    confusion_store.write_network(study, network(None, 0), num_classes=3)
    (study / "study.json").unlink()
    (study / ".study.json.copy").unlink()
    with pytest.raises(study_folder.StudyFolderError, match="networks"):
        confusion_store.open_study(study, DESCRIPTION, [0, 1, 2])


def test_damaged_network_is_named(study):
    confusion_store.write_network(study, network(None, 0), num_classes=3)
    path = confusion_store.network_path(study, None, 0)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(study_folder.StudyFolderError, match=path.name):
        confusion_store.read_networks(study)


def test_files_of_killed_writers_are_cleared(study):
    left_over = study / "networks" / ".0-1-00000.parquet.99.tmp"
    left_over.write_bytes(b"half")
    confusion_store.open_study(study, DESCRIPTION, [0, 1, 2])
    assert not left_over.exists()
    assert confusion_store.read_networks(study).empty


def test_package_names_are_there():
    import keras_confusion

    for name in keras_confusion.__all__:
        assert callable(getattr(keras_confusion, name))
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        keras_confusion.nothing  # noqa: B018
    assert pathlib.Path(keras_confusion.__file__).exists()
