import json
import subprocess
import sys

import pytest

from keras_confusion import errors
from keras_confusion.storage import locks, sealed_json, study_folder
from keras_confusion.storage.files import write_atomically
from keras_confusion.storage.study_folder import StudyFolder

DESCRIPTION = {
    "kind": "tea",
    "settings": {"epochs": 6, "pairs": [(0, 1)], "rate": None},
    "class_names": ["a", "b", "c"],
    "dataset_fingerprint": "1234",
    "provenance": {"commit": None},
}


def open_folder(directory, description=DESCRIPTION, *, begun=None, beginnings=()):
    """Opens a folder; what it holds goes to `begun` when it is begun."""

    def begin():
        names = sorted(path.name for path in directory.iterdir())
        (begun if begun is not None else []).append(names)

    StudyFolder.begin_or_resume(
        directory, description, begin=begin, beginnings=beginnings
    )


@pytest.fixture
def study(tmp_path):
    directory = tmp_path / "study"
    open_folder(directory)
    return directory


def test_new_folder_is_begun_before_it_says_what_it_is(tmp_path):
    begun = []
    open_folder(tmp_path / "new" / "study", begun=begun)
    assert begun == [[]]
    description = StudyFolder.open(tmp_path / "new" / "study").description
    # As JSON has it.
    assert description == json.loads(json.dumps(DESCRIPTION)) | {"format_version": 1}


def test_data_may_lie_elsewhere_and_be_named_otherwise(tmp_path, monkeypatch):
    def asked(dataset, **more):
        settings = DESCRIPTION["settings"] | {"dataset": str(dataset)}
        return DESCRIPTION | {"settings": settings} | more

    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    open_folder(tmp_path / "old", asked("data"))
    for same in ("data/", "./data", tmp_path / "data"):
        open_folder(tmp_path / "old", asked(same))
    with pytest.raises(study_folder.StudyFolderError, match="dataset: .* 'other' ask"):
        open_folder(tmp_path / "old", asked("other"))
    # With an identity the data are known by what they are.
    open_folder(tmp_path / "new", asked("data", identity={"data": 1}))
    open_folder(tmp_path / "new", asked("other", identity={"data": 1}))
    assert StudyFolder.open(tmp_path / "new").settings["dataset"] == "other"


def test_older_study_gets_an_identity_that_binds_from_then_on(tmp_path):
    def resume(identity):
        return StudyFolder.begin_or_resume(
            tmp_path,
            DESCRIPTION | {"identity": identity, "digest": "1f"},
            begin=lambda: None,
            beginnings=(),
            differences=lambda stored, here: ["ink"] if stored != here else [],
        )

    open_folder(tmp_path)
    assert resume({"tea": "green"}).description["digest"] == "1f"
    with pytest.raises(study_folder.StudyFolderError, match="\n  ink\n"):
        resume({"tea": "black"})


def test_folder_whose_beginning_fails_is_not_a_study(tmp_path):
    def fail():
        (tmp_path / "half").mkdir()
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        StudyFolder.begin_or_resume(
            tmp_path, DESCRIPTION, begin=fail, beginnings=["half"]
        )
    with pytest.raises(study_folder.StudyFolderError, match="without study.json"):
        StudyFolder.open(tmp_path)
    # It may be begun again.
    begun = []
    open_folder(tmp_path, begun=begun, beginnings=["half"])
    assert begun == [["half"]]
    assert (tmp_path / "study.json").exists()


def test_same_study_opens_again_and_keeps_its_provenance(study):
    begun = []
    again = DESCRIPTION | {"provenance": {"commit": "other"}}
    open_folder(study, again, begun=begun)
    assert begun == []
    assert StudyFolder.open(study).description["provenance"] == {"commit": None}


def test_study_with_results_opens_again(study):
    (study / "results").mkdir()
    open_folder(study)
    assert (study / "results").exists()


def test_other_settings_are_refused_with_every_difference(study):
    other = DESCRIPTION | {
        "settings": {"epochs": 8, "pairs": [[0, 2]], "rate": None, "new": 1},
        "dataset_fingerprint": "5678",
    }
    before = (study / "study.json").read_text()
    with pytest.raises(study_folder.StudyFolderError) as error:
        open_folder(study, other)
    assert str(error.value).splitlines()[1:-1] == [
        "  epochs: 6 in the folder, 8 asked for",
        "  pairs: [[0, 1]] in the folder, [[0, 2]] asked for",
        "  new: None in the folder, 1 asked for",
        "  dataset_fingerprint: the data set is not the same any more",
    ]
    with pytest.raises(study_folder.StudyFolderError, match="class_names: the data"):
        open_folder(study, DESCRIPTION | {"class_names": ["a", "c", "b"]})
    assert (study / "study.json").read_text() == before


def test_images_that_are_read_otherwise_by_now_are_told(study):
    other = DESCRIPTION | {"dataset_fingerprint": "1234 decoded by Pillow"}
    with pytest.raises(study_folder.StudyFolderError, match=r"other pixels.*analyse_"):
        open_folder(study, other)
    # What there is can be read.
    assert StudyFolder.open(study).description["dataset_fingerprint"] == "1234"
    with pytest.raises(study_folder.StudyFolderError, match="not the same any more"):
        open_folder(study, DESCRIPTION | {"dataset_fingerprint": "12345"})


def test_study_of_another_kind_is_refused(study):
    with pytest.raises(
        study_folder.StudyFolderError, match="a coffee study.*Received: a tea study"
    ):
        open_folder(study, DESCRIPTION | {"kind": "coffee"})
    with pytest.raises(
        study_folder.StudyFolderError, match="a coffee study.*Received: a tea study"
    ):
        StudyFolder.open(study, kind="coffee")
    assert StudyFolder.open(study, kind="tea").kind == "tea"


def test_an_opened_folder_is_not_read_again(study):
    opened = StudyFolder.open(str(study))
    (study / "study.json").unlink()
    assert StudyFolder.open(opened, kind="tea") is opened
    assert opened.path == study
    assert opened.class_names == ["a", "b", "c"]
    with pytest.raises(
        study_folder.StudyFolderError, match="a coffee study.*Received: a tea study"
    ):
        StudyFolder.open(opened, kind="coffee")


def test_a_folder_that_is_begun_or_resumed_says_what_is_stored(tmp_path):
    options = {"begin": list, "beginnings": (), "growing": ("epochs",)}
    begun = StudyFolder.begin_or_resume(tmp_path, DESCRIPTION, **options)
    assert begun.description == StudyFolder.open(tmp_path).description
    larger = DESCRIPTION | {"settings": DESCRIPTION["settings"] | {"epochs": 9}}
    resumed = StudyFolder.begin_or_resume(tmp_path, larger, **options)
    assert resumed.settings["epochs"] == 9
    assert resumed.description == StudyFolder.open(tmp_path).description


def test_an_opened_folder_can_be_held(study):
    with (
        StudyFolder.open(study).locked(),
        pytest.raises(errors.StudyLockedError, match="Another process"),
        locks.locked(study),
    ):
        pass


def test_study_from_before_there_were_kinds_is_one_of_confusion(study):
    file = study / "study.json"
    description = sealed_json.read(file)
    del description["kind"]
    file.write_text(json.dumps(description))
    read = StudyFolder.open(study, kind="confusion").description
    assert read["kind"] == "confusion"


def test_a_folder_with_other_files_is_refused_and_left_alone(tmp_path):
    (tmp_path / "thesis.tex").write_text("...")
    begun = []
    with pytest.raises(study_folder.StudyFolderError, match="thesis.tex"):
        open_folder(tmp_path, begun=begun, beginnings=["networks"])
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]
    assert begun == []


def test_hidden_files_and_beginnings_are_nobodys(tmp_path):
    for name in (".DS_Store", ".lock", "networks"):
        (tmp_path / name).write_text("")
    begun = []
    open_folder(tmp_path, begun=begun, beginnings=["networks"])
    assert begun == [[".DS_Store", ".lock", "networks"]]


def test_damaged_newer_and_missing_descriptions_are_refused(study, tmp_path):
    text = json.dumps(DESCRIPTION | {"format_version": 99})
    (study / "study.json").write_text(text)
    with pytest.raises(study_folder.StudyFolderError, match="Received: 99"):
        StudyFolder.open(study)
    (study / "study.json").write_text('{"format_')
    with pytest.raises(study_folder.StudyFolderError, match="not valid JSON"):
        StudyFolder.open(study)
    (study / ".study.json.copy").write_text("{")
    with pytest.raises(study_folder.StudyFolderError, match="not valid JSON"):
        open_folder(study)
    assert (study / "study.json").read_text() == '{"format_'
    for missing in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(study_folder.StudyFolderError, match="without study.json"):
            StudyFolder.open(missing)


def test_file_is_replaced_when_it_is_whole(tmp_path):
    path = tmp_path / "table.csv"
    path.write_bytes(b"old")

    def write(file):
        file.write(b"new")
        assert path.read_bytes() == b"old"

    write_atomically(path, write)
    assert path.read_bytes() == b"new"
    assert [file.name for file in tmp_path.iterdir()] == ["table.csv"]


@pytest.mark.parametrize("error", [OSError("disk full"), KeyboardInterrupt()])
def test_failing_write_leaves_the_old_file_and_nothing_else(tmp_path, error):
    path = tmp_path / "table.csv"
    write_atomically(path, lambda file: file.write(b"old"))

    def fail(file):
        file.write(b"half of the new")
        raise error

    with pytest.raises(type(error)):
        write_atomically(path, fail)
    assert path.read_bytes() == b"old"
    assert [file.name for file in tmp_path.iterdir()] == ["table.csv"]


def test_second_process_is_told_that_the_folder_is_in_use(tmp_path):
    code = (
        "import sys, pathlib; from keras_confusion.storage import locks\n"
        "with locks.locked(pathlib.Path(sys.argv[1])): pass"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    with locks.locked(tmp_path):
        second = subprocess.run(command, capture_output=True, text=True, check=False)
    assert second.returncode != 0
    assert "Another process is writing" in second.stderr
    assert subprocess.run(command, check=False).returncode == 0


@pytest.mark.parametrize("content", [None, b"", b"{", "half", "other settings"])
def test_damaged_description_is_mended_by_a_run_and_named_by_a_reader(
    content, study, capsys
):
    file = study / "study.json"
    whole = file.read_bytes()
    if content == "half":
        content = whole[: len(whole) // 2]
    if content == "other settings":
        content = whole.replace(b'"epochs": 6', b'"epochs": 7')
        assert content != whole
    if content is None:
        file.unlink()
    else:
        file.write_bytes(content)
    with pytest.raises(
        study_folder.StudyFolderError,
        match=r"study\.json is damaged \(.*Run the study again: it is mended",
    ):
        StudyFolder.open(study)
    assert not file.exists() if content is None else file.read_bytes() == content
    begun = []
    open_folder(study, begun=begun)
    assert file.read_bytes() == whole
    assert begun == []
    assert f"Mended {file} from its copy" in capsys.readouterr().err
    aside = study / "study.json.damaged"
    assert aside.exists() == (content is not None)
    if content is not None:
        assert aside.read_bytes() == content
    open_folder(study)
    assert capsys.readouterr().err == ""


def test_description_whose_copy_is_damaged_too_is_refused_and_left(study):
    whole = (study / ".study.json.copy").read_bytes()
    damaged = whole.replace(b'"epochs": 6', b'"epochs": 7')
    for name in ("study.json", ".study.json.copy"):
        (study / name).write_bytes(damaged)
    for attempt in (open_folder, StudyFolder.open):
        with pytest.raises(
            study_folder.StudyFolderError, match="Its copy is of no use either"
        ):
            attempt(study)
    assert (study / "study.json").read_bytes() == damaged


def test_copy_that_is_damaged_is_written_anew(study):
    copy = study / ".study.json.copy"
    whole = copy.read_bytes()
    for content in (b"", whole[:9]):
        copy.write_bytes(content)
        open_folder(study)
        assert copy.read_bytes() == whole
    copy.unlink()
    open_folder(study)
    assert copy.read_bytes() == whole


def test_study_of_before_there_were_checksums_is_given_one(study):
    description = sealed_json.read(study / "study.json")
    (study / "study.json").write_text(json.dumps(description))
    (study / ".study.json.copy").unlink()
    assert StudyFolder.open(study).description == description
    open_folder(study)
    assert sealed_json.is_sealed(study / "study.json")
    assert sealed_json.read(study / ".study.json.copy") == description


def test_copy_grows_with_the_study(study):
    grown = DESCRIPTION | {"settings": DESCRIPTION["settings"] | {"epochs": 9}}
    StudyFolder.begin_or_resume(
        study, grown, begin=list, beginnings=(), growing=("epochs",)
    )
    (study / "study.json").unlink()
    open_folder(study, grown)
    assert StudyFolder.open(study).settings["epochs"] == 9


def test_left_overs_of_killed_writers_go(study):
    (study / ".study.json.17-ab.tmp").write_bytes(b"half")
    open_folder(study)
    assert not list(study.glob("*.tmp"))
