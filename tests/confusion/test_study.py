import contextlib
import io
import json
import os
import pathlib
import signal
import subprocess
import sys
import time

import keras
import numpy as np
import pandas as pd
import psutil
import pytest
import tensorflow as tf

from keras_confusion import errors
from keras_confusion.cli import commands, exit_codes
from keras_confusion.comparisons import group_statistics
from keras_confusion.confusion import plan as confusion_plan
from keras_confusion.confusion import settings as confusion_settings
from keras_confusion.confusion import store as confusion_store
from keras_confusion.confusion import study as confusion_study
from keras_confusion.confusion import study_description
from keras_confusion.storage import study_folder
from keras_confusion.training import trainer as training_trainer
from tests.support import docs_commands
from tests.support.small_networks import linear, small

SCRIPT = pathlib.Path(__file__).parents[2] / "scripts" / "run_confusion_study.py"
SETTINGS = {
    "pairs": ["3-8", "4-9"],
    "repeats": 2,
    "baseline_repeats": 3,
    "epochs": 1,
}
NUM_NETWORKS = 2 * 2 + 3
OPTIONS = "--pairs 3-8 4-9 --repeats 2 --baseline-repeats 3 --epochs 1"
# What may differ between two runs of the same study.
CHANGING = ["seconds", "finished_at"]


def command(directory, *options):
    return [
        sys.executable,
        str(SCRIPT),
        *OPTIONS.split(),
        "--out",
        str(directory),
        *options,
    ]


def comparable(directory):
    return confusion_store.read_networks(directory).drop(columns=CHANGING)


def run_here(directory, *options):
    """Runs the script in this process, which has TensorFlow already."""
    stdout, stderr = io.StringIO(), io.StringIO()
    script, *arguments = command(directory, *options, "--workers", "1")[1:]
    with contextlib.redirect_stdout(stdout), contextlib.redirect_stderr(stderr):
        code = docs_commands.run_main(script, arguments)
    return subprocess.CompletedProcess(
        arguments, code, stdout.getvalue(), stderr.getvalue()
    )


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    """A whole study, and what the script said."""
    directory = tmp_path_factory.mktemp("study") / "uninterrupted"
    done = run_here(directory)
    assert done.returncode == 0, done.stderr
    return directory, done


def test_every_network_of_the_plan_is_there_once(uninterrupted):
    networks = confusion_store.read_networks(uninterrupted[0])
    assert len(networks) == NUM_NETWORKS
    assert networks["arm"].value_counts().to_dict() == {
        "baseline": 3,
        "3-8": 2,
        "4-9": 2,
    }
    assert not networks["failed"].any()
    for answers in networks["predictions"]:
        assert len(answers) == len(
            confusion_store.read_test_labels(
                study_folder.StudyFolder.open(uninterrupted[0])
            )
        )


def test_arms_of_a_repeat_share_seeds_of_weights_and_order(uninterrupted):
    networks = confusion_store.read_networks(uninterrupted[0])
    for _, repeat in networks.groupby("repeat"):
        for column in ("seed", "initialisation_seed", "order_seed"):
            assert repeat[column].nunique() == 1
    assert networks["seed"].nunique() == 3
    assert networks["initialisation_seed"].nunique() == 3
    confused = networks[networks["arm"] != "baseline"]
    assert confused["corruption_seed"].nunique() == len(confused)
    assert networks.loc[networks["arm"] == "baseline", "corruption_seed"].isna().all()


def test_confused_classes_lose_about_half(uninterrupted):
    arms = pd.read_csv(uninterrupted[0] / "tables" / "arms.csv").set_index("arm")
    baseline = arms.loc["baseline", "mean_accuracy"]
    assert baseline > 0.6
    for arm in ("3-8", "4-9"):
        assert arms.loc[arm, "mean_accuracy_members"] < 0.75 * baseline


def test_script_ends_with_findings_files_and_tensorboard(uninterrupted):
    directory, done = uninterrupted
    assert "What the features learned: d'" in done.stdout
    assert "Baseline accuracy" in done.stdout
    assert done.stdout.rstrip().endswith(f"tensorboard --logdir {directory}")
    for line in done.stdout.splitlines():
        if line.strip().endswith(".png"):
            assert pathlib.Path(line.split()[-1]).stat().st_size > 10_000
    tables = {path.stem for path in (directory / "tables").glob("*.csv")}
    assert tables == {
        "arms",
        "class_correlations",
        "classes",
        "discriminability_by_pair",
        "everybody_by_pair",
        "findings",
        "networks",
        "target_by_pair",
    }


def test_progress_is_shown(uninterrupted):
    assert f"{NUM_NETWORKS}/{NUM_NETWORKS} networks" in uninterrupted[1].stderr
    assert "a minute" in uninterrupted[1].stderr


def workers_of(parent):
    children = psutil.Process(parent).children()
    return [child for child in children if "loky" in " ".join(child.cmdline())]


def is_running(process):
    return process.is_running() and process.status() != psutil.STATUS_ZOMBIE


def wait_for_networks(directory, number, process):
    deadline = time.monotonic() + 120
    while len(list(directory.glob("networks/*.parquet"))) < number:
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.02)


def those_also_in(networks, others):
    """Networks whose arm and repeat others have too."""
    keys = set(zip(others["arm"], others["repeat"], strict=True))
    also = [
        key in keys for key in zip(networks["arm"], networks["repeat"], strict=True)
    ]
    return networks[also].reset_index(drop=True)


@pytest.mark.slow
def test_workers_die_with_a_killed_parent_and_the_same_command_goes_on(
    uninterrupted, tmp_path
):
    directory = tmp_path / "killed"
    # More than the uninterrupted study has: not all are done when the workers are dead.
    more = ("--repeats", "5", "--baseline-repeats", "5")
    process = subprocess.Popen(
        command(directory, "--workers", "2", *more), stderr=subprocess.DEVNULL
    )
    wait_for_networks(directory, 2, process)
    workers = workers_of(process.pid)
    assert len([worker for worker in workers if is_running(worker)]) >= 2
    process.send_signal(signal.SIGKILL)
    process.wait()
    deadline = time.monotonic() + 15
    while any(is_running(worker) for worker in workers):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    before = {
        path: path.stat().st_mtime_ns for path in directory.glob("networks/*.parquet")
    }
    assert 2 <= len(before) < 3 * 5
    assert len(confusion_store.read_networks(directory)) == len(before)
    # As a writer leaves it that is killed between writing and renaming.
    half = directory / "networks" / ".4-9-00001.parquet.1.tmp"
    half.write_bytes(b"half")
    # One worker, in the process itself: other than before.
    done = run_here(directory, *more)
    assert done.returncode == 0, done.stderr
    assert f"{3 * 5 - len(before)} of {3 * 5} networks trained" in done.stderr
    assert not half.exists()
    for path, modified in before.items():
        assert path.stat().st_mtime_ns == modified
    networks = comparable(directory)
    assert len(networks) == 3 * 5
    at_once = comparable(uninterrupted[0])
    pd.testing.assert_frame_equal(those_also_in(networks, at_once), at_once)


@pytest.mark.slow
def test_killed_worker_is_replaced_and_ctrl_c_stops_cleanly(uninterrupted, tmp_path):
    directory = tmp_path / "stopped"
    process = subprocess.Popen(
        command(directory, "--workers", "2", "--repeats", "50"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # A process group of its own, which gets the signal as from a terminal; also
        # where these tests are a shell's background job, whose children ignore it.
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    wait_for_networks(directory, 1, process)
    workers_of(process.pid)[-1].kill()
    # More than both workers can have had at hand.
    wait_for_networks(directory, 6, process)
    os.killpg(process.pid, signal.SIGINT)
    _, told = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "A worker process was killed" in told
    assert "The same command goes on with what is missing" in told
    # Neither tracebacks nor messages of TensorFlow, whose processes these are.
    for line in told.splitlines():
        assert not line or any(
            words in line for words in ("networks", "was killed", "goes on")
        )
    # Workers are killed where they are: a temporary file may be left, which the next
    # start clears; every network that has its name is whole.
    networks = comparable(directory)
    assert all(len(answers) == 599 for answers in networks["predictions"])
    # By whichever worker, they are those of a study that nobody disturbed.
    at_once = comparable(uninterrupted[0])
    both = those_also_in(networks, at_once)
    assert len(both) >= 5
    pd.testing.assert_frame_equal(both, those_also_in(at_once, both))


def test_same_command_on_a_finished_study_trains_nothing(uninterrupted):
    directory, _ = uninterrupted
    rows = []
    summary = confusion_study.run_confusion_study(
        directory, workers=1, on_network=rows.append, **SETTINGS
    )
    assert summary.num_trained == 0
    assert summary.num_networks == len(rows) == NUM_NETWORKS


def test_other_settings_are_refused_and_nothing_is_touched(uninterrupted):
    directory, _ = uninterrupted
    before = {path: path.stat().st_mtime_ns for path in directory.rglob("*.parquet")}
    with pytest.raises(study_folder.StudyFolderError) as error:
        confusion_study.run_confusion_study(
            directory, workers=1, **(SETTINGS | {"epochs": 2, "seed": 1})
        )
    assert "epochs: 1 in the folder, 2 asked for" in str(error.value)
    assert "seed: 0 in the folder, 1 asked for" in str(error.value)
    assert before == {
        path: path.stat().st_mtime_ns for path in directory.rglob("*.parquet")
    }


def test_a_study_can_be_given_more_repeats_and_not_fewer(tmp_path):
    directory = tmp_path / "study"
    asked = SETTINGS | {"model": small, "workers": 1}
    fewer = asked | {"repeats": 1, "baseline_repeats": 1}
    first = confusion_study.run_confusion_study(directory, **fewer)
    assert first.num_trained == 3
    more = confusion_study.run_confusion_study(directory, **asked)
    assert more.num_trained == NUM_NETWORKS - 3
    # The result is that of the study that was asked for at once.
    confusion_study.run_confusion_study(tmp_path / "at_once", **asked)
    pd.testing.assert_frame_equal(
        comparable(directory), comparable(tmp_path / "at_once")
    )
    stored, at_once = (
        study_folder.StudyFolder.open(folder).settings
        for folder in (directory, tmp_path / "at_once")
    )
    assert stored == at_once
    with pytest.raises(study_folder.StudyFolderError, match="repeats: 2 in the folder"):
        confusion_study.run_confusion_study(directory, **fewer)


@pytest.fixture
def run_null_study(undrawn, capsys):
    """A function that runs a null study of small networks as the script does."""

    def run(directory, **options):
        settings = SETTINGS | {"pairs": ["3-8", "9-4"], "model": small, "workers": 1}
        code = exit_codes.exit_code(
            commands.run_confusion_study,
            directory,
            corruption="null",
            **settings | options,
        )
        return code, capsys.readouterr()

    return run


def test_null_study_with_own_seeds(tmp_path, run_null_study):
    code, said = run_null_study(tmp_path / "study", shared_seeds=False, epochs=4)
    assert code == 0
    assert "A null study" in said.out
    assert "Test: moderated t: networks with own seeds" in said.out
    networks = confusion_store.read_networks(tmp_path / "study")
    assert len(networks) == NUM_NETWORKS
    # Nobody's labels are touched, and no two networks are the same.
    assert networks["corruption_seed"].isna().all()
    assert networks["final_training_loss"].nunique() == NUM_NETWORKS
    arms = pd.read_csv(tmp_path / "study/tables/arms.csv").set_index("arm")
    assert (arms["mean_accuracy_members"].drop("baseline") > 0.6).all()
    by_pair = pd.read_csv(tmp_path / "study/tables/target_by_pair.csv")
    third = by_pair[by_pair["family"] == "third"]
    assert (third["paired_n"] == 0).all()
    assert third["paired_q_value"].isna().all()
    assert set(third["paired_reason"]) == {group_statistics.NO_PAIRS}
    assert third["q_value"].notna().any()
    settings = json.loads((tmp_path / "study/study.json").read_text())["settings"]
    assert (settings["fraction"], settings["shared_seeds"]) == (0.0, False)


def test_null_study_with_noise_corrupts_the_baseline_too(tmp_path, run_null_study):
    code, said = run_null_study(tmp_path / "study", fraction=0.3, test="paired")
    assert code == 0
    assert "A null study" in said.out
    assert "Test: paired t within repeats" in said.out
    networks = confusion_store.read_networks(tmp_path / "study")
    assert networks["seed"].nunique() == 3
    assert networks["corruption_seed"].nunique() == NUM_NETWORKS
    # A third of the labels of all classes is wrong: cross-entropy says so.
    assert networks["final_training_loss"].min() > 1
    for _, repeat in networks.groupby("repeat"):
        assert repeat["final_training_loss"].nunique() == len(repeat)


def test_paired_test_of_own_seeds_is_refused_before_training(tmp_path, run_null_study):
    code, said = run_null_study(tmp_path / "study", shared_seeds=False, test="paired")
    assert code == 1
    assert "Use another --test" in said.err
    assert not (tmp_path / "study").exists()


@pytest.mark.slow
def test_local_model_in_worker_processes(tmp_path):
    builds = tmp_path / "builds"
    builds.mkdir()

    def counted(*, input_shape, num_classes, seed):
        (builds / f"{os.getpid()}-{time.monotonic_ns()}").write_text(str(seed))
        return small(input_shape=input_shape, num_classes=num_classes, seed=seed)

    settings = SETTINGS | {"pairs": ["3-8"], "repeats": 4, "baseline_repeats": 4}
    confusion_study.run_confusion_study(
        tmp_path / "study", workers=2, model=counted, **settings
    )
    assert len(confusion_store.read_networks(tmp_path / "study")) == 8
    in_workers = [
        b for b in builds.iterdir() if not b.name.startswith(f"{os.getpid()}-")
    ]
    # One traced model a worker, and the initial weights of each repeat at most.
    assert len([b for b in in_workers if b.read_text() == "0"]) == len(
        {b.name.split("-")[0] for b in in_workers}
    )


def test_streaming_study(tmp_path):
    settings = SETTINGS | {"pairs": ["3-8"], "repeats": 1, "baseline_repeats": 1}
    confusion_study.run_confusion_study(
        tmp_path, workers=1, streaming=True, model=small, **settings
    )
    networks = confusion_store.read_networks(tmp_path)
    assert networks["final_training_loss"].between(0.05, 2.3).all()
    assert json.loads((tmp_path / "study.json").read_text())["settings"]["streaming"]


def nested(*, input_shape, num_classes, seed):
    """Cannot be packed."""
    inner = linear(input_shape=input_shape, num_classes=num_classes, seed=seed)
    return keras.Sequential([keras.Input(input_shape), inner])


def normalised_first(*, input_shape, num_classes, seed):
    """Every layer can be packed, the model cannot."""
    model = linear(input_shape=input_shape, num_classes=num_classes, seed=seed)
    normalisation = keras.layers.BatchNormalization()
    return keras.Sequential([keras.Input(input_shape), normalisation, *model.layers])


def sometimes_infinite(*, input_shape, num_classes, seed):
    """Overflows for the weights of some repeats."""
    model = linear(input_shape=input_shape, num_classes=num_classes, seed=seed)
    scale = 1e38 if seed in BAD_SEEDS else 1.0
    kernel, bias = model.get_weights()
    model.set_weights([kernel * scale, bias])
    return model


BAD_SEEDS: set[int] = set()


@pytest.fixture
def bad_seeds():
    yield BAD_SEEDS
    BAD_SEEDS.clear()


def initialisation_seed(repeat, attempt):
    settings = confusion_settings.ConfusionSettings()
    seeds = confusion_settings.network_seeds(settings, repeat, None, attempt)
    return seeds["initialisation_seed"]


def test_network_that_diverges_is_trained_once_more(tmp_path, bad_seeds):
    bad_seeds.add(initialisation_seed(0, attempt=0))
    settings = SETTINGS | {"pairs": ["3-8"], "repeats": 1, "baseline_repeats": 2}
    summary = confusion_study.run_confusion_study(
        tmp_path, workers=1, model=sometimes_infinite, **settings
    )
    networks = confusion_store.read_networks(tmp_path)
    assert networks["attempt"].tolist() == [1, 0, 1]
    assert not networks["failed"].any()
    assert "Attempt 1 failed: The training loss was" in networks["note"][0]
    assert summary.failed == []
    assert summary.retried == ["baseline, repeat 0", "3-8, repeat 0"]


def test_network_that_diverges_twice_is_recorded_as_failed(tmp_path, bad_seeds):
    bad_seeds |= {initialisation_seed(1, attempt) for attempt in (0, 1)}
    settings = SETTINGS | {"pairs": ["3-8"], "repeats": 2, "baseline_repeats": 3}
    summary = confusion_study.run_confusion_study(
        tmp_path, workers=1, model=sometimes_infinite, **settings
    )
    assert summary.failed == ["baseline, repeat 1", "3-8, repeat 1"]
    networks = confusion_store.read_networks(tmp_path)
    assert networks["failed"].tolist() == [False, True, False, False, True]
    again = confusion_study.run_confusion_study(
        tmp_path, workers=1, model=sometimes_infinite, **settings
    )
    assert again.num_trained == 0
    assert again.failed == summary.failed


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"pairs": ["3-3"]}, "two different classes.*'3-3'"),
        ({"pairs": ["3-eleven"]}, "'eleven' is not a class. Classes: 0, 1, 2"),
        ({"pairs": ["3"]}, "'3'"),
        ({"pairs": ["3-8", "8-3"]}, "each pair once"),
        ({"pairs": []}, "at least one pair"),
        ({"repeats": 0}, "`repeats` of at least 1"),
        ({"baseline_repeats": 0}, "`baseline_repeats` of at least 1"),
        ({"epochs": 0}, "`epochs` of at least 1"),
        ({"workers": 0}, "`workers` of at least 1"),
        ({"batch_size": 0}, "`batch_size` of at least 1"),
        ({"learning_rate": 0.0}, "`learning_rate` above 0"),
        ({"fraction": 1.5}, r"`fraction` in \[0, 1\].*1.5"),
        ({"seed": -1}, "`seed` of 0 or more"),
        ({"width": 8}, "no `width` for the 'cnn' model.*Received: 8.*'resnet18'"),
        ({"model": "resnet18", "width": 0}, "`width` of at least 1. Received: 0"),
        ({"dataset": "reviews"}, "of token sequences.*'cnn'. Use --model text"),
        ({"corruption": "shuffle"}, "'swap', 'one_way', 'merge', 'null'"),
        ({"corruption": "null"}, "networks that differ.*Use --own-seeds"),
        ({"corruption": "one_way", "pairs": ["8-3"]}, "in the order.*Use 3-8"),
        ({"corruption": "merge", "fraction": 0.3}, "no `fraction` with `merge`"),
        ({"dtype_policy": "float64"}, "'auto', 'float32'"),
        ({"recipe": "fast"}, r"'momentum', 'tutorial'"),
        ({"model": "vgg"}, r"\['cnn', 'resnet18', 'text'\]"),
    ],
)
def test_settings_that_make_no_sense_are_refused(tmp_path, settings, message):
    with pytest.raises(ValueError, match=message):
        confusion_study.run_confusion_study(tmp_path / "study", **settings)
    assert not (tmp_path / "study").exists()


def test_model_with_the_wrong_number_of_outputs_is_refused(tmp_path):
    def seven(*, input_shape, num_classes, seed):
        return linear(input_shape=input_shape, num_classes=7, seed=seed)

    with pytest.raises(ValueError, match=r"10 classes.*output shape \(None, 7\)"):
        confusion_study.run_confusion_study(tmp_path, workers=1, model=seven)


def unseeded_weights(*, input_shape, num_classes, seed):
    return linear(input_shape=input_shape, num_classes=num_classes, seed=None)


def unseeded_dropout(*, input_shape, num_classes, seed):
    model = linear(input_shape=input_shape, num_classes=num_classes, seed=seed)
    return keras.Sequential(
        [keras.Input(input_shape), keras.layers.Dropout(0.1), model]
    )


@pytest.mark.parametrize("model", [unseeded_weights, unseeded_dropout])
def test_model_that_ignores_its_seed_is_refused(tmp_path, model):
    with pytest.raises(ValueError, match=f"a function of `seed`.*{model.__name__}"):
        confusion_study.run_confusion_study(tmp_path, workers=1, model=model)


def test_two_classes_are_too_few(tmp_path):
    images = np.zeros((8, 20, 20, 1), np.uint8)
    labels = np.arange(8) % 2
    data = tmp_path / "two.npz"
    np.savez(data, x_train=images, y_train=labels, x_test=images, y_test=labels)
    with pytest.raises(ValueError, match="at least 3 classes.* with 2"):
        confusion_study.run_confusion_study(tmp_path / "study", dataset=str(data))


def test_a_file_in_place_of_the_folder_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(NotADirectoryError, match="is a file"):
        confusion_study.run_confusion_study(tmp_path / "file")


def test_default_number_of_baseline_networks_is_dunnetts(tmp_path):
    settings = confusion_settings.ConfusionSettings(repeats=50)
    plan = confusion_plan.StudyPlan.make(settings, tmp_path, None)
    # 50 repeats of 45 pairs: 50 * sqrt(45).
    assert plan.baseline_repeats == 335
    assert len(plan.networks()) == 335 + 50 * 45
    assert len(set(plan.networks())) == len(plan.networks())


# A null study has none of a pair: it has wrong labels in all arms alike.
@pytest.mark.parametrize(
    "corruption", [name for name in confusion_settings.CORRUPTIONS if name != "null"]
)
def test_every_corruption_has_its_matrix(corruption):
    settings = confusion_settings.ConfusionSettings(
        corruption=corruption, fraction=None if corruption == "merge" else 0.25
    )
    transition = confusion_settings.transition_of(settings, 3, (0, 2))
    expected = {
        "swap": [[0.75, 0, 0.25], [0, 1, 0], [0.25, 0, 0.75]],
        "one_way": [[0.75, 0, 0.25], [0, 1, 0], [0, 0, 1]],
        "merge": [[1, 0, 0], [0, 1, 0], [1, 0, 0]],
    }
    np.testing.assert_allclose(transition, expected[corruption])


def test_packs_share_a_repeat_and_gather_what_is_left_over():
    networks = [(None, repeat) for repeat in range(6)]
    networks += [((0, b), repeat) for repeat in range(2) for b in range(1, 5)]
    packs = confusion_plan.packs(networks, 3)
    assert sorted(sum(packs, []), key=str) == sorted(networks, key=str)
    assert all(1 <= len(pack) <= 3 for pack in packs)
    repeats = [{repeat for _, repeat in pack} for pack in packs]
    # Five arms of the first two repeats: three and two. Then the baseline only.
    assert [len(pack) for pack in packs] == [3, 2, 3, 2, 3, 1]
    assert repeats[:4] == [{0}, {0}, {1}, {1}]
    assert all(len(pack) == 1 for pack in confusion_plan.packs(networks, 1))


def test_packed_study_is_the_study(tmp_path, capsys):
    """Three networks a program: packs of one repeat, and one of what is left."""
    settings = SETTINGS | {"dtype_policy": "float32", "model": small, "workers": 1}
    confusion_study.run_confusion_study(tmp_path / "alone", **settings)
    capsys.readouterr()
    confusion_study.run_confusion_study(
        tmp_path / "packed", networks_per_program=3, verbose=1, **settings
    )
    assert f"{NUM_NETWORKS}/{NUM_NETWORKS} networks" in capsys.readouterr().err
    packed, alone = (comparable(tmp_path / name) for name in ("packed", "alone"))
    exact = ["arm", "repeat", "seed", "order_seed", "corruption_seed", "failed", "note"]
    pd.testing.assert_frame_equal(packed[exact], alone[exact])
    np.testing.assert_allclose(
        packed["final_training_loss"], alone["final_training_loss"], rtol=5e-3
    )
    agreement = [
        np.mean(a == b)
        for a, b in zip(packed["predictions"], alone["predictions"], strict=True)
    ]
    assert min(agreement) > 0.97
    assert np.mean(alone["predictions"][0] == alone["predictions"][1]) < 0.97
    # Packed or not, it is one study: what is missing is trained the other way.
    packed_network = confusion_store.network_path(tmp_path / "packed", (3, 8), 1)
    packed_network.unlink()
    again = confusion_study.run_confusion_study(tmp_path / "packed", **settings)
    assert again.num_trained == 1


@pytest.mark.slow
def test_packed_study_in_worker_processes(tmp_path):
    summary = confusion_study.run_confusion_study(
        tmp_path,
        workers=2,
        networks_per_program=4,
        model=small,
        **SETTINGS | {"dtype_policy": "float32"},
    )
    assert summary.num_trained == NUM_NETWORKS
    networks = confusion_store.read_networks(tmp_path)
    assert not networks["failed"].any()
    assert networks[["arm", "repeat"]].drop_duplicates().shape[0] == NUM_NETWORKS


def test_one_network_of_a_pack_diverges(tmp_path, bad_seeds):
    bad_seeds.add(initialisation_seed(1, attempt=0))
    settings = SETTINGS | {"pairs": ["3-8"], "repeats": 1, "baseline_repeats": 3}
    summary = confusion_study.run_confusion_study(
        tmp_path,
        workers=1,
        networks_per_program=4,
        model=sometimes_infinite,
        **settings,
    )
    networks = confusion_store.read_networks(tmp_path)
    assert networks["attempt"].tolist() == [0, 1, 0, 0]
    assert not networks["failed"].any()
    assert summary.retried == ["baseline, repeat 1"]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"networks_per_program": 0}, "`networks_per_program` of at least 1"),
        ({"networks_per_program": 2, "streaming": True}, "--networks-per-program 1"),
        ({"networks_per_program": 2, "model": nested}, "a Sequential.*program 1"),
        ({"networks_per_program": 2, "model": normalised_first}, "gamma comes first"),
    ],
)
def test_packs_that_make_no_sense_are_refused(tmp_path, settings, message):
    with pytest.raises(ValueError, match=message):
        confusion_study.run_confusion_study(tmp_path / "study", **settings)
    assert not (tmp_path / "study").exists()


def test_networks_that_fit_are_asked_of_a_gpu_only(tmp_path, monkeypatch):
    def plan(model="cnn", **settings):
        return confusion_plan.StudyPlan.make(
            confusion_settings.ConfusionSettings(model=model, **settings),
            tmp_path,
            None,
            networks_per_program=None,
        )

    assert plan().networks_per_program == 1
    monkeypatch.setattr(confusion_plan.runtime, "gpu_memory_bytes", lambda: 80 * 2**30)
    assert plan().networks_per_program == 46
    assert plan(pairs=["3-8", "4-9"]).networks_per_program == 3
    assert plan(model=nested).networks_per_program == 1
    assert plan(model=normalised_first).networks_per_program == 1
    assert plan(streaming=True).networks_per_program == 1


def test_a_device_without_room_is_told_what_fits(tmp_path, monkeypatch):
    def no_room(self, tasks):
        raise tf.errors.ResourceExhaustedError(None, None, "Out of memory.\nDetails")

    monkeypatch.setattr(training_trainer.Trainer, "train", no_room)
    settings = SETTINGS | {"model": small, "workers": 1}
    with pytest.raises(
        errors.DeviceMemoryError, match="Out of memory. Use --networks-per-program 2;"
    ):
        confusion_study.run_confusion_study(
            tmp_path, networks_per_program=4, **settings
        )
    with pytest.raises(errors.DeviceMemoryError, match="a smaller --batch-size"):
        confusion_study.run_confusion_study(tmp_path, **settings)


def test_width_is_that_of_every_network_and_part_of_the_study(tmp_path):
    def plan(**settings):
        chosen = confusion_settings.ConfusionSettings(
            pairs=["3-8"], epochs=1, **settings
        )
        return confusion_plan.StudyPlan.make(chosen, tmp_path, None)

    narrow = plan(model="resnet18", width=2)
    # 8 times the width of the first stage.
    assert narrow.trainer.model.layers[-1].input.shape == (None, 16)
    # Building a network of the model's own width takes long.
    assert study_description.describe(plan())["settings"]["width"] is None
    own_width, before_width = (study_description.describe(narrow) for _ in range(2))
    own_width["settings"]["width"] = None
    assert before_width["settings"].pop("width") == 2
    labels = narrow.dataset.test.labels
    confusion_store.open_study(tmp_path, before_width, labels)
    (tmp_path / "networks" / "3-8-00000.parquet").touch()
    # A study that says nothing of a width has the model's.
    confusion_store.open_study(tmp_path, own_width, labels)
    with pytest.raises(study_folder.StudyFolderError, match="width: None .* 2 asked"):
        confusion_store.open_study(tmp_path, study_description.describe(narrow), labels)
