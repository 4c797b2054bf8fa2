import json
import pathlib
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from keras_confusion import results, study_folder

DESCRIPTION = {
    "settings": {"epochs": 6, "pairs": [(0, 1)]},
    "class_names": ["a", "b", "c"],
    "dataset_fingerprint": "1234",
    "provenance": {"commit": None},
}


def network(pair, repeat, predictions=(0, 1, 2)):
    return {
        "arm": results.arm_name(pair),
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
    results.open_study(tmp_path, DESCRIPTION, [0, 1, 2])
    return tmp_path


def test_networks_are_read_as_written_baseline_first(study):
    results.write_network(study, network((0, 2), 10), num_classes=3)
    results.write_network(study, network((0, 1), 2), num_classes=3)
    results.write_network(study, network(None, 0, [2, 1, 0]), num_classes=3)
    networks = results.read_networks(study)
    assert networks["arm"].tolist() == ["baseline", "0-1", "0-2"]
    assert networks["repeat"].tolist() == [0, 2, 10]
    assert networks["class_a"].isna().tolist() == [True, False, False]
    assert networks["seed"].tolist() == [2**63 - 1] * 3
    np.testing.assert_array_equal(networks["predictions"][0], [2, 1, 0])
    assert networks["predictions"][0].dtype == np.uint8


def test_a_plain_parquet_reader_reads_the_folder(study):
    results.write_network(study, network((0, 1), 0), num_classes=3)
    results.write_network(study, network(None, 0), num_classes=3)
    networks = pd.read_parquet(study / "networks")
    assert sorted(networks["arm"]) == ["0-1", "baseline"]


def test_more_than_256_classes_keep_their_labels(study):
    row = network((0, 1), 0, predictions=[0, 255, 999])
    results.write_network(study, row, num_classes=1000)
    assert results.read_networks(study)["predictions"][0].tolist() == [0, 255, 999]


def test_failed_network_is_a_row_without_answers(study):
    failed = {
        key: network(None, 0)[key]
        for key in ("arm", "class_a", "class_b", "repeat", "seed", "note")
    }
    results.write_network(study, failed | {"failed": True}, num_classes=3)
    row = results.read_networks(study).iloc[0]
    assert row["failed"]
    assert row["predictions"] is None


def test_same_study_opens_again_and_keeps_its_provenance(study):
    again = DESCRIPTION | {"provenance": {"commit": "other"}}
    results.open_study(study, again, [0, 1, 2])
    assert study_folder.read_description(study)["provenance"] == {"commit": None}
    assert results.read_test_labels(study).tolist() == [0, 1, 2]


def test_other_settings_are_refused_with_every_difference(study):
    other = DESCRIPTION | {
        "settings": {"epochs": 8, "pairs": [[0, 2]]},
        "dataset_fingerprint": "5678",
    }
    with pytest.raises(study_folder.StudyFolderError) as error:
        results.open_study(study, other, [0, 1, 2])
    message = str(error.value)
    assert "epochs: 6 in the folder, 8 asked for" in message
    assert "pairs: [[0, 1]] in the folder, [[0, 2]] asked for" in message
    assert "the data set is not the same" in message


def test_a_folder_with_other_files_is_refused_and_left_alone(tmp_path):
    (tmp_path / "thesis.tex").write_text("...")
    with pytest.raises(study_folder.StudyFolderError, match="thesis.tex"):
        results.open_study(tmp_path, DESCRIPTION, [0])
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_networks_without_their_study_are_refused(study):
    results.write_network(study, network(None, 0), num_classes=3)
    (study / "study.json").unlink()
    with pytest.raises(study_folder.StudyFolderError, match="networks"):
        results.open_study(study, DESCRIPTION, [0, 1, 2])


def test_damaged_files_are_named(study):
    results.write_network(study, network(None, 0), num_classes=3)
    path = results.network_path(study, None, 0)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(study_folder.StudyFolderError, match=path.name):
        results.read_networks(study)
    (study / "study.json").write_text('{"format_')
    with pytest.raises(study_folder.StudyFolderError, match="not valid JSON"):
        study_folder.read_description(study)


def test_newer_format_and_missing_study_are_refused(study, tmp_path_factory):
    text = json.dumps(DESCRIPTION | {"format_version": 99})
    (study / "study.json").write_text(text)
    with pytest.raises(study_folder.StudyFolderError, match="Received: 99"):
        study_folder.read_description(study)
    with pytest.raises(study_folder.StudyFolderError, match="without study.json"):
        study_folder.read_description(tmp_path_factory.mktemp("empty"))


def test_failing_write_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "table.csv"
    study_folder.write_atomically(path, lambda file: file.write(b"old"))

    def fail(file):
        file.write(b"half of the new")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        study_folder.write_atomically(path, fail)
    assert path.read_bytes() == b"old"
    assert [file.name for file in tmp_path.iterdir()] == ["table.csv"]


def test_files_of_killed_writers_are_cleared(study):
    left_over = study / "networks" / ".0-1-00000.parquet.99.tmp"
    left_over.write_bytes(b"half")
    results.open_study(study, DESCRIPTION, [0, 1, 2])
    assert not left_over.exists()
    assert results.read_networks(study).empty


def test_second_process_is_told_that_the_folder_is_in_use(tmp_path):
    code = (
        "import sys, pathlib; from keras_confusion import study_folder\n"
        "with study_folder.locked(pathlib.Path(sys.argv[1])): pass"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    with study_folder.locked(tmp_path):
        second = subprocess.run(command, capture_output=True, text=True, check=False)
    assert second.returncode != 0
    assert "Another process is writing" in second.stderr
    assert subprocess.run(command, check=False).returncode == 0


@pytest.mark.parametrize(
    "module", ["results", "responses", "tables", "stats", "report"]
)
def test_analysis_does_not_import_tensorflow(module):
    code = (
        f"import sys, keras_confusion.{module}; "
        "sys.exit('tensorflow' in sys.modules or 'keras' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_package_names_are_there():
    import keras_confusion

    for name in keras_confusion.__all__:
        assert callable(getattr(keras_confusion, name))
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        keras_confusion.nothing  # noqa: B018
    assert pathlib.Path(keras_confusion.__file__).exists()
