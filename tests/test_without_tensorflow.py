"""What must start without waiting seconds for TensorFlow, or before it is started."""

import subprocess
import sys

import pytest

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
        ("keras_confusion.dissimilarity", TENSORFLOW | {"pandas", "scipy"}),
        (
            "keras_confusion.bits keras_confusion.moments keras_confusion.stats "
            "keras_confusion.block_design keras_confusion.discriminability",
            TENSORFLOW | {"pandas", "matplotlib"},
        ),
        ("keras_confusion.study_folder keras_confusion.description_checks", TENSORFLOW),
        (
            "keras_confusion.results keras_confusion.prototype_results "
            "keras_confusion.confusion_study keras_confusion.prototype_study",
            TENSORFLOW,
        ),
        (
            "keras_confusion.responses keras_confusion.comparisons "
            "keras_confusion.tables keras_confusion.discriminability_tables",
            TENSORFLOW,
        ),
        (
            "keras_confusion.report keras_confusion.confusion_report "
            "keras_confusion.prototype_report keras_confusion.readings_report",
            TENSORFLOW,
        ),
        # A worker process reads it before TensorFlow is started.
        ("keras_confusion.study_worker", TENSORFLOW),
        ("keras_confusion.commands keras_confusion.command_line", TENSORFLOW),
        ("tb_plugin.loader", {*TENSORFLOW, "keras_confusion"}),
    ],
)
def test_starts_without(modules, forbidden):
    found = imported(f"import {', '.join(modules.split())}")
    assert set(modules.split()) <= found
    assert not found & forbidden


def test_what_is_forbidden_would_be_seen():
    assert "keras" in imported("import keras_confusion.models")
