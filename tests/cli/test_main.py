import configparser
import importlib
import pathlib
import runpy
import subprocess
import sys

import pytest

import keras_confusion
from docs import write_commands
from keras_confusion.cli import main

ROOT = pathlib.Path(__file__).parents[2]
# The command, as a wheel's entry point starts it, and as a module.
INSTALLED = "import sys; from keras_confusion.__main__ import main; sys.exit(main())"
DOORS = {
    "keras-confusion": ["-c", INSTALLED],
    "python -m keras_confusion": ["-m", "keras_confusion"],
}


def run(door, *words):
    return subprocess.run(
        [sys.executable, *DOORS[door], *words],
        capture_output=True,
        text=True,
        check=False,
        env={"PYTHONPATH": str(ROOT), "COLUMNS": "80"},
    )


@pytest.mark.parametrize("door", DOORS)
def test_help_says_what_every_command_does_and_how_it_was_called(door):
    done = run(door, "--help")
    assert done.returncode == 0
    assert done.stderr == ""
    assert done.stdout.startswith(f"usage: {door} [-h] [--version] COMMAND ...\n")
    for name, (_, sentence) in main.COMMANDS.items():
        assert f"\n  {name:<12}{sentence}\n" in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 80
    done = run(door, "probe", "--help")
    assert done.returncode == 0
    assert done.stdout.startswith(f"usage: {door} probe [-h] --from CLASS")
    assert f"\n    {door} probe saved_models/digits_cnn --from 3" in done.stdout


def test_without_a_command_it_shows_which_there_are(capsys):
    assert main.main([]) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert "\n  plan        Says how many" in told.err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["serve"], "keras-confusion: error: argument COMMAND: invalid choice"),
        (["--studies"], "keras-confusion: error: "),
        (["study", "--epochs", "many"], "keras-confusion study: error: argument --ep"),
        (["demo"], "keras-confusion demo: error: the following arguments are req"),
    ],
)
def test_what_there_is_not_is_an_error_of_usage(words, message, capsys):
    with pytest.raises(SystemExit) as ended:
        main.main(words)
    assert ended.value.code == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert message in told.err


def test_version(capsys):
    with pytest.raises(SystemExit) as ended:
        main.main(["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out == f"keras-confusion {keras_confusion.__version__}\n"


def test_words_and_exit_code_are_those_of_the_command(tmp_path, capsys):
    assert main.main(["analyse", str(tmp_path)]) == 1
    told = capsys.readouterr()
    assert "without study.json" in told.err
    assert main.main(["demo", str(tmp_path / "logdir")]) == 0
    assert "tensorboard --logdir" in capsys.readouterr().out
    # A second one would replace it.
    assert main.main(["demo", str(tmp_path / "logdir")]) == 1
    assert "is there already" in capsys.readouterr().err


def test_ctrl_c_and_streams_are_settled_before_anything_else(monkeypatch):
    from keras_confusion import __main__

    calls = []
    monkeypatch.setattr(__main__.startup, "prepare", lambda: calls.append("prepare"))
    monkeypatch.setattr(main, "main", lambda *, prog: calls.append(prog) or 7)
    assert __main__.main() == 7
    assert calls == ["prepare", "keras-confusion"]


def test_entry_point_is_that_function():
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    entry = setup["options.entry_points"]["console_scripts"].split()
    assert entry == ["keras-confusion", "=", "keras_confusion.__main__:main"]


def test_scripts_are_doors_to_the_same_commands():
    doors = {name: door for name, (door, *_) in write_commands.COMMANDS.items()}
    assert doors.keys() == main.COMMANDS.keys()
    module_of = {name: module for name, (module, _) in main.COMMANDS.items()}
    assert doors.pop("demo") == f"-m {module_of['demo']}"
    scripts = {path.relative_to(ROOT).as_posix() for path in ROOT.glob("scripts/*.py")}
    assert scripts == {*doors.values()}
    for command, script in doors.items():
        names = runpy.run_path(str(ROOT / script))
        module = importlib.import_module(module_of[command])
        assert names["main"] is module.main
        assert names["parse_arguments"] is module.parse_arguments
