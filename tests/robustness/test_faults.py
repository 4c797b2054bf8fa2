"""Real faults, a few of each kind; `python -m tests.robustness.faults` tries many."""

import contextlib
import io
import os
import shutil
import subprocess
import sys

import pytest

from keras_confusion.confusion import store as confusion_store
from tests.robustness import (
    fault_clock,
    fault_damage,
    fault_disks,
    fault_kills,
    fault_processes,
    fault_studies,
    faults,
)
from tests.robustness.fault_studies import Trial
from tests.support import docs_commands, drawing

STUDY = fault_studies.confusion_study(repeats=2)
# The same where no process other than that of the script is looked at.
BY_ONE_WORKER = fault_studies.confusion_study(repeats=2, workers=1)
SEED = 1


def assert_survived(*trials):
    for trial in trials:
        assert trial.failures == (), trial
        assert trial.lost == 0, trial


def in_ci():
    return os.environ.get("CI", "").lower() == "true"


run_in_a_process = fault_studies.run


def run_in_here(command, **options):
    """`fault_studies.run` for tests of what a script does, and not of its process.

    It takes no 6 s to start TensorFlow. Of two workers a study becomes one of one
    worker, which has the same results.
    """
    python, script, *arguments = map(str, command)
    if python != sys.executable or not script.endswith(".py"):
        return run_in_a_process(command, **options)
    if "--workers" in arguments:
        arguments[arguments.index("--workers") + 1] = "1"
    output, said = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(said):
        code = docs_commands.run_main(script, arguments)
    return subprocess.CompletedProcess(
        command, code, output.getvalue(), said.getvalue()
    )


@pytest.fixture
def in_here(monkeypatch, undrawn):
    monkeypatch.setattr(fault_studies, "run", run_in_here)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("faults") / "undisturbed"
    with pytest.MonkeyPatch.context() as patch:
        drawing.leave_undrawn(patch)
        done = run_in_here(STUDY.command(folder))
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture
def mounting(request):
    """Where this process may not mount disks, the test is run by one that may."""
    if fault_disks.can_mount():
        return
    if not fault_disks.can_enter_namespace():
        if in_ci():
            pytest.fail("Neither root nor user namespaces, to mount small disks.")
        pytest.skip("Neither root nor user namespaces, to mount small disks.")
    test = [sys.executable, "-m", "pytest", "-q", request.node.nodeid]
    done = fault_studies.run(fault_disks.in_namespace(test))
    assert done.returncode == 0, done.stdout
    pytest.skip("Passed in a namespace of its own.")


@pytest.mark.slow
def test_differences_are_seen(tmp_path, undisturbed):
    # What all the others rely on.
    folder = shutil.copytree(undisturbed, tmp_path / "copy")
    assert STUDY.difference(folder, undisturbed) == (0, [])
    files = sorted((folder / "networks").glob("*.parquet"))
    files[0].unlink()
    lost, differences = STUDY.difference(folder, undisturbed)
    assert lost == 1
    assert len(differences) == 1
    row = confusion_store.read_networks(folder).iloc[0].to_dict()
    row |= {"arm": "3-8", "class_a": 3, "class_b": 8, "repeat": 7}
    confusion_store.write_network(folder, row, num_classes=10)
    assert STUDY.difference(folder, undisturbed)[0] == 1


def test_table_counts_what_was_tried_survived_and_lost():
    trials = [
        Trial("a fault", redone="a network"),
        Trial("a fault", redone="a network", failures=("no message",)),
        Trial("a fault", lost=3),
        Trial("another", redone="nothing"),
    ]
    assert faults.table(trials).splitlines()[2:] == [
        "| a fault | 3 | 1 | 3 | a network |",
        "| another | 1 | 1 | 0 | nothing |",
        "| all | 4 | 2 | 3 | |",
    ]


def test_kinds_of_damage(tmp_path, rng):
    content = bytes(range(100))
    for damage in fault_damage.KINDS.values():
        path = tmp_path / "file"
        path.write_bytes(content)
        damage(path, rng)
        assert not path.exists() or path.read_bytes() != content


@pytest.mark.slow
def test_damage_that_is_only_read_is_found(tmp_path, undisturbed, rng):
    for name in (
        sorted((undisturbed / "networks").iterdir())[3],
        undisturbed / "test_labels.npy",
        undisturbed / "study.json",
    ):
        trials = fault_damage.find(STUDY, undisturbed, tmp_path, name, rng, rounds=40)
        assert len(trials) == 40
        assert_survived(*trials)


@pytest.mark.slow
def test_damaged_network_is_trained_anew_by_the_same_command(
    in_here, tmp_path, undisturbed, rng
):
    file = sorted((undisturbed / "networks").iterdir())[-1]
    assert_survived(
        fault_damage.mend(
            STUDY, undisturbed, tmp_path, "bit flipped", [file], rng, copied=1
        )
    )


# confusion/test_study.py kills one half-way; here it may be before anything is there.
@pytest.mark.exhaustive
def test_parent_is_killed(in_here, tmp_path, undisturbed):
    trials = fault_kills.kill_parent(STUDY, undisturbed, tmp_path, rounds=1, seed=SEED)
    assert len(trials) == 1
    assert_survived(*trials)


@pytest.mark.slow
def test_disk_is_full_when_event_files_are_written(
    mounting, tmp_path, undisturbed, monkeypatch, undrawn
):
    full = tmp_path / "full"
    # A process, which might have more to say when it ends; then what goes on here.
    runs = iter([run_in_a_process])
    monkeypatch.setattr(
        fault_studies,
        "run",
        lambda command, **options: next(runs, run_in_here)(command, **options),
    )
    assert_survived(
        fault_disks.fill_while_writing(BY_ONE_WORKER, undisturbed, full, part="events")
    )


@pytest.mark.slow
def test_disk_is_full_when_a_classifier_is_saved(mounting, in_here, tmp_path):
    assert_survived(*fault_disks.classifier_disks(tmp_path, rounds=1, seed=SEED))


@pytest.mark.slow
def test_folder_is_read_only(mounting, in_here, tmp_path, undisturbed):
    trials = fault_processes.read_only(STUDY, undisturbed, tmp_path / "read_only")
    assert [trial.fault.split()[0] for trial in trials] == [
        "begun",
        "resumed",
        "analysed",
    ]
    assert_survived(*trials)


@pytest.mark.slow
def test_sigterm_to_every_process(in_here, tmp_path, undisturbed):
    assert_survived(
        fault_processes.terminate(
            STUDY, undisturbed, tmp_path / "all", to_all=True, after=1
        )
    )


@pytest.mark.slow
def test_sigterm_to_a_training(tmp_path):
    command = fault_studies.script(
        "train_classifier.py",
        *("--dataset", "digits", "--epochs", "500", "--out", tmp_path / "model"),
    )
    assert_survived(
        fault_processes.terminate_command(
            "train_classifier.py", command, lambda: True, delay=8
        )
    )
    assert list(tmp_path.iterdir()) == []


needs_faketime = pytest.mark.skipif(
    not fault_clock.is_there() and not in_ci(), reason="libfaketime is not installed"
)


@pytest.mark.slow
@needs_faketime
def test_clock_that_is_set_back_during_a_run(in_here, tmp_path):
    # Long enough for some networks after the clock was set back.
    study = fault_studies.confusion_study(repeats=4)
    undisturbed = study.undisturbed(tmp_path / "undisturbed")
    assert_survived(fault_clock.jump_back(study, undisturbed, tmp_path / "jump"))


@pytest.mark.slow
@needs_faketime
def test_clock_a_day_earlier(in_here, tmp_path, undisturbed):
    assert_survived(
        fault_clock.resume_earlier(BY_ONE_WORKER, undisturbed, tmp_path / "day", "true")
    )


@pytest.mark.parametrize(
    "damage",
    [
        # Of TensorBoard plugin/test_process.py shows it, too.
        pytest.param("truncated", marks=pytest.mark.exhaustive),
        pytest.param("bit flipped", marks=pytest.mark.slow),
    ],
)
def test_tensorboard_shows_what_comes_before_the_damage(damage, tmp_path, undisturbed):
    assert_survived(
        fault_clock.damaged_events(undisturbed, tmp_path / "events", damage, "false")
    )
