import json

import pytest

from benchmarks.speed import large_study
from keras_confusion.cli import commands
from keras_confusion.prototypes import store as prototype_store
from keras_confusion.reports import confusion_report, prototype_report, study_report
from keras_confusion.storage import sealed_json, study_folder
from tb_plugin import metadata


@pytest.fixture(params=["confusion", "prototypes"])
def directory(request, tmp_path, write_prototype_study):
    """The folder of a study of either kind."""
    if request.param == "prototypes":
        return write_prototype_study()
    large_study.write_large_study(
        tmp_path, num_classes=6, repeats=3, baseline_repeats=4, num_test=240
    )
    return tmp_path


@pytest.fixture
def no_figures(monkeypatch):
    """For tests of everything else."""
    for module in (confusion_report, prototype_report):
        monkeypatch.setattr(module, "_write_figures", lambda *_: None)


def test_a_report_reads_the_description_once(directory, study_json_reads, undrawn):
    study_report.write_report(directory)
    assert study_json_reads == [directory / "study.json"]


def test_an_analysis_reads_the_description_once(
    directory, study_json_reads, no_figures
):
    """Event files and the report."""
    assert commands.analyse_study(directory) == 0
    assert study_json_reads == [directory / "study.json"]


def test_event_files_are_by_the_test_that_was_asked_for(
    directory, no_figures, read_plugin_data
):
    if study_folder.StudyFolder.open(directory).kind == prototype_store.KIND:
        with pytest.raises(ValueError, match="Use no --test"):
            commands.analyse_study(directory, test="paired")
        return
    for test, expected in ((None, "moderated"), ("paired", "paired")):
        assert commands.analyse_study(directory, test=test) == 0
        found = read_plugin_data(directory, metadata.TRAINING_RUN)
        assert json.loads(found[metadata.TAG_STUDY][0][0])["test"] == expected


def test_a_report_is_shown_in_the_tab(directory, no_figures, read_plugin_data):
    """Also of a study that was run in Python, which writes no events."""
    study_report.write_report(directory)
    is_confusion = (directory / "networks").exists()
    run = metadata.TRAINING_RUN if is_confusion else metadata.PROTOTYPES_RUN
    assert metadata.TAG_STUDY in read_plugin_data(directory, run)


def test_a_report_of_a_running_study_leaves_its_events_alone(directory, no_figures):
    folder = study_folder.StudyFolder.open(directory)
    with folder.locked():
        assert study_report.write_report(directory).text
    assert not list(directory.glob("events/[!r]*"))


def test_a_report_says_what_the_folder_says_by_then(directory, no_figures):
    opened = study_folder.StudyFolder.open(directory)
    before = study_report.write_report(directory).text
    description = sealed_json.read(directory / "study.json")
    description["settings"]["dataset"] = "another one"
    (directory / "study.json").write_text(json.dumps(description))
    after = study_report.write_report(directory).text
    assert "another one" not in before
    assert after.startswith("another one")
    # A folder that is open says what it said when it was opened.
    assert study_report.write_report(opened).text == before
