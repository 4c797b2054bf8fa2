import errno
import pathlib
import resource
import subprocess
import sys

import numpy as np
import pytest

import keras_confusion
from keras_confusion import errors
from keras_confusion.cli import commands, exit_codes
from keras_confusion.confusion import plan as confusion_plan
from keras_confusion.confusion import settings as confusion_settings
from keras_confusion.confusion import store as confusion_store
from keras_confusion.confusion import study as confusion_study
from keras_confusion.confusion import study_description
from keras_confusion.datasets import class_pairs
from keras_confusion.storage import study_folder
from tests.support import docs_commands

SCRIPTS = pathlib.Path(__file__).parents[2] / "scripts"


def run(script, *arguments, **options):
    return subprocess.run(
        [sys.executable, SCRIPTS / script, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        **options,
    )


def seconds_of_children():
    """In which they computed; a busy machine has them wait besides."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


@pytest.mark.parametrize("script", sorted(path.name for path in SCRIPTS.glob("*.py")))
def test_help_does_not_wait_for_tensorflow(script):
    before = seconds_of_children()
    # Lists every module that is imported.
    command = [sys.executable, "-X", "importtime", SCRIPTS / script, "--help"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert seconds_of_children() - before < 1
    assert done.returncode == 0
    # The docstring: what it shows and the exact command.
    assert f"python scripts/{script}" in done.stdout
    modules = {line.split("|")[-1].strip() for line in done.stderr.splitlines()}
    assert "argparse" in modules
    assert "tensorflow" not in modules


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (study_folder.StudyFolderError("Not a study."), "Error: Not a study."),
        (errors.NonFiniteLossError("The loss was nan."), "Error: The loss was nan."),
        (errors.DeviceMemoryError("No room."), "Error: No room."),
        (
            OSError(errno.ENOSPC, "No space left on device", "networks/0-1.parquet"),
            "No room to write networks/0-1.parquet",
        ),
        (
            PermissionError(errno.EACCES, "Permission denied", "/studies"),
            "No permission to write /studies",
        ),
        (NotADirectoryError("x is a file, not a folder."), "x is a file"),
    ],
)
def test_errors_become_one_message_and_an_exit_code(error, expected, capsys):
    def fail():
        raise error

    assert exit_codes.exit_code(fail) == 1
    captured = capsys.readouterr()
    assert expected in captured.err
    assert captured.out == ""


def test_values_that_this_package_refuses_become_a_message(capsys):
    code = exit_codes.exit_code(class_pairs.resolve_pairs, [], ["cat", "dog"])
    assert code == 1
    assert "Error: Expected at least one pair." in capsys.readouterr().err


def test_values_that_a_package_within_refuses_become_a_message(capsys):
    path = pathlib.Path(keras_confusion.__file__).parent / "some" / "package.py"
    refuse = {}
    exec(compile("def refuse(): raise ValueError('No.')", path, "exec"), refuse)
    assert exit_codes.exit_code(refuse["refuse"]) == 1
    assert "Error: No." in capsys.readouterr().err


def test_defects_keep_their_traceback():
    with pytest.raises(KeyError):
        exit_codes.exit_code({}.__getitem__, "a defect")
    # A ValueError too, where it is somebody else's.
    with pytest.raises(ValueError, match="invalid literal"):
        exit_codes.exit_code(lambda: int("seven"))


def test_tensorboard_is_named_so_that_it_starts(tmp_path, monkeypatch):
    environment = tmp_path / ".venv" / "bin"
    environment.mkdir(parents=True)
    (environment / "tensorboard").write_text("")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "executable", str(environment / "python"))
    monkeypatch.setenv("PATH", str(tmp_path))
    assert commands._tensorboard() == ".venv/bin/tensorboard"
    (environment / "tensorboard").chmod(0o755)
    monkeypatch.setenv("PATH", str(environment))
    assert commands._tensorboard() == "tensorboard"


def test_reader_that_goes_away_is_no_error(tmp_path):
    code = (
        "import sys\n"
        "from keras_confusion.cli import exit_codes\n"
        "def talk():\n"
        "    for _ in range(100_000): print('a finding')\n"
        "    return 0\n"
        "sys.exit(exit_codes.exit_code(talk))"
    )
    talker = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    talker.stdout.readline()
    talker.stdout.close()
    assert talker.stderr.read() == b""
    talker.stderr.close()
    assert talker.wait() == 1


def test_ctrl_c_says_how_to_go_on(capsys):
    def stop():
        raise KeyboardInterrupt

    assert exit_codes.exit_code(stop) == 130
    assert "The same command goes on" in capsys.readouterr().err
    assert exit_codes.exit_code(stop, resumes=False) == 130
    assert "The same command begins again" in capsys.readouterr().err


def test_script_refuses_what_makes_no_sense(tmp_path):
    options = ("--dataset", "digitz", "--out", tmp_path / "study")
    done = run("run_confusion_study.py", *options)
    assert done.returncode == 1
    # Nothing else: TensorFlow, which has started, is quiet.
    (line,) = done.stderr.splitlines()
    assert line.startswith("Error: ")
    assert "The closest are: digits" in line
    assert not (tmp_path / "study").exists()


def test_pair_of_one_class_becomes_a_message(tmp_path, capsys):
    options = ["--pairs", "3-3", "--out", str(tmp_path / "study")]
    script = str(SCRIPTS / "run_confusion_study.py")
    assert docs_commands.run_main(script, options) == 1
    error = capsys.readouterr().err
    assert error.startswith("Error: Expected pairs of two different classes")
    assert not (tmp_path / "study").exists()


def test_analysing_nothing_is_an_error(tmp_path, capsys):
    for directory in (tmp_path, tmp_path / "missing"):
        script = str(SCRIPTS / "analyse_study.py")
        assert docs_commands.run_main(script, [str(directory)]) == 1
        assert "without study.json" in capsys.readouterr().err


@pytest.mark.slow
def test_full_disk_leaves_nothing_half_written(tmp_path):
    # Every file that grows past a limit fails, as on a full disk. The limit lies below
    # a network's row; study.json and the test labels are there.
    limit = 3_500
    settings = {"pairs": ["3-8"], "repeats": 1, "epochs": 1}
    plan = confusion_plan.StudyPlan.make(
        confusion_settings.ConfusionSettings(**settings), tmp_path / "study", None
    )
    confusion_store.open_study(
        tmp_path / "study", study_description.describe(plan), plan.dataset.test.labels
    )
    done = run(
        "run_confusion_study.py",
        *("--pairs", "3-8", "--repeats", "1", "--epochs", "1", "--workers", "1"),
        *("--out", tmp_path / "study"),
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
    )
    assert done.returncode == 1
    assert "No room to write" in done.stderr
    assert "Traceback" not in done.stderr
    assert list((tmp_path / "study" / "networks").iterdir()) == []
    labels = confusion_store.read_test_labels(
        study_folder.StudyFolder.open(tmp_path / "study")
    )
    assert np.bincount(labels).min() > 50
    # With room the same study goes on.
    confusion_study.run_confusion_study(tmp_path / "study", workers=1, **settings)
    assert len(confusion_store.read_networks(tmp_path / "study")) == 2


def test_full_disk_without_a_name_is_looked_for(capsys, monkeypatch):
    def fail():
        raise OSError(errno.ENOSPC, "No space left on device")

    assert exit_codes.exit_code(fail) == 1
    assert "No room to write a file (No space" in capsys.readouterr().err
    monkeypatch.setattr(exit_codes, "_LITTLE_BYTES", 2**62)
    assert exit_codes.exit_code(fail) == 1
    assert "No room to write to /dev/shm, which worker" in capsys.readouterr().err
