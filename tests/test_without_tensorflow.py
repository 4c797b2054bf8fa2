"""What must start without waiting seconds for TensorFlow, or before it is started."""

import subprocess
import sys

import pytest

from keras_confusion.cli import main

TENSORFLOW = {"tensorflow", "keras"}


def imported(code):
    """Which modules a new process has imported after some code."""
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport sys; print(*sys.modules)"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


@pytest.mark.parametrize(
    ("modules", "forbidden"),
    [
        ("keras_confusion", TENSORFLOW | {"pandas", "scipy", "matplotlib"}),
        ("keras_confusion.prototypes.dissimilarity", TENSORFLOW | {"pandas", "scipy"}),
        (
            "keras_confusion.stats.bits keras_confusion.stats.moments "
            "keras_confusion.stats.t_tests keras_confusion.stats.moderated "
            "keras_confusion.stats.discriminability",
            TENSORFLOW | {"pandas", "matplotlib"},
        ),
        # In one process, as each starts without TensorFlow if all of them do. A worker
        # process reads its module before TensorFlow is started.
        (
            "keras_confusion.storage.study_folder keras_confusion.storage.checks "
            "keras_confusion.confusion.store keras_confusion.prototypes.store "
            "keras_confusion.confusion.study keras_confusion.prototypes.study "
            "keras_confusion.comparisons.responses "
            "keras_confusion.comparisons.target_by_pair "
            "keras_confusion.comparisons.tables keras_confusion.comparisons.by_reading "
            "keras_confusion.reports.study_report "
            "keras_confusion.reports.confusion_report "
            "keras_confusion.reports.prototype_report "
            "keras_confusion.reports.readings_report "
            "keras_confusion.reports.blind_sheet "
            "keras_confusion.confusion.worker "
            "keras_confusion.cli.commands keras_confusion.cli.exit_codes",
            TENSORFLOW,
        ),
        ("tb_plugin.loader", {*TENSORFLOW, "keras_confusion"}),
        ("tb_plugin.demo", {*TENSORFLOW, "keras_confusion"}),
        # Ctrl-C is settled before what takes time to import.
        ("keras_confusion.__main__", TENSORFLOW | {"numpy", "argparse"}),
    ],
)
def test_starts_without(modules, forbidden):
    found = imported(f"import {', '.join(modules.split())}")
    assert set(modules.split()) <= found
    assert not found & forbidden


@pytest.mark.parametrize("command", main.COMMANDS)
def test_help_of_a_command_starts_without(command):
    code = f"""
import contextlib, io
from keras_confusion.cli import main
with contextlib.suppress(SystemExit), contextlib.redirect_stdout(io.StringIO()) as told:
    main.main([{command!r}, '--help'])
assert 'usage: keras-confusion {command}' in told.getvalue()"""
    found = imported(code)
    others = {module for module, _ in main.COMMANDS.values()}
    others.remove(main.COMMANDS[command][0])
    assert main.COMMANDS[command][0] in found
    assert not found & (TENSORFLOW | others | {"pandas", "scipy", "matplotlib"})


def test_what_is_forbidden_would_be_seen(tmp_path):
    (tmp_path / "keras.py").touch()
    (tmp_path / "late.py").write_text("def call():\n    import keras\n")
    there = f"import sys; sys.path.insert(0, {str(tmp_path)!r})\nimport late\n"
    assert not imported(there) & TENSORFLOW
    assert imported(f"{there}late.call()") & TENSORFLOW == {"keras"}
