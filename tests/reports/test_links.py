"""A stranger's folder with links that lead out of it: nothing there is touched."""

import pathlib
import shutil

import pytest

from keras_confusion.cli import commands, exit_codes
from keras_confusion.errors import StudyFolderError
from keras_confusion.explanations import retraining
from keras_confusion.storage import files, locks

STUDY = pathlib.Path(__file__).parents[1] / "fixtures" / "confusion_study_of_367166e"


@pytest.fixture
def victim(tmp_path):
    """A user's folder, with names that a study has."""
    folder = tmp_path / "victim"
    for name in ("training", "report"):
        (folder / name).mkdir(parents=True)
        (folder / name / "events.out").write_text("mine")
    for name in ("arms.csv", "target_by_pair_t.png", "file"):
        (folder / name).write_text("mine")
    return folder


@pytest.fixture
def study(tmp_path):
    return shutil.copytree(STUDY, tmp_path / "study")


def contents(folder):
    return {path: path.read_text() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    ("name", "target"),
    [
        ("events", ""),
        ("tables", ""),
        ("figures", ""),
        ("networks/more", ""),
        ("events/report", "report"),
        (".lock", "file"),
        (".lock_holder.json", "file"),
    ],
)
def test_analysis_refuses_links_that_lead_out(study, victim, name, target, capsys):
    before = contents(victim)
    link = study / name
    link.parent.mkdir(exist_ok=True)
    link.symlink_to(victim / target)
    assert exit_codes.exit_code(commands.analyse_study, study) == 1
    told = capsys.readouterr().err
    assert f"Received: {name}, a link that leads out of it, to {victim}" in told
    assert "mount --bind" in told
    assert contents(victim) == before
    # The advice: without the link.
    link.unlink()
    assert exit_codes.exit_code(commands.analyse_study, study) == 0
    assert contents(victim) == before


def test_folder_itself_may_be_a_link_and_links_may_stay_in_it(study, tmp_path):
    link = tmp_path / "link"
    link.symlink_to(study)
    (study / "last.csv").symlink_to("tables/arms.csv")
    (study / "again").symlink_to(study)
    files.check_links(link)
    assert exit_codes.exit_code(commands.analyse_study, link) == 0
    assert (study / "tables" / "arms.csv").exists()


def test_whatever_writes_refuses_them(study, victim):
    (study / "explanations").symlink_to(victim)
    with (
        pytest.raises(StudyFolderError, match="explanations, a link"),
        retraining.locked(study),
    ):
        pytest.fail("locked")
    with (
        pytest.raises(StudyFolderError, match="explanations, a link"),
        locks.locked(study),
    ):
        pytest.fail("locked")
    assert not (study / locks.LOCK).exists()


def test_probe_refuses_them(victim, tmp_path, capsys):
    out = tmp_path / "probe"
    out.mkdir()
    (out / ".images").symlink_to(victim)
    assert (
        exit_codes.exit_code(
            commands.probe_saved_model, "model", from_class="0", to_class="1", out=out
        )
        == 1
    )
    assert ".images, a link" in capsys.readouterr().err
