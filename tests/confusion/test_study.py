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
from keras_confusion.comparisons import group_statistics
from keras_confusion.confusion import plan as confusion_plan
from keras_confusion.confusion import settings as confusion_settings
from keras_confusion.confusion import store as confusion_store
from keras_confusion.confusion import study as confusion_study
from keras_confusion.confusion import study_description
from keras_confusion.storage import study_folder
from keras_confusion.training import trainer as training_trainer

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


@pytest.fixture(scope="session")
def uninterrupted(tmp_path_factory):
    """A whole study by two worker processes, and what the script said."""
    directory = tmp_path_factory.mktemp("study") / "uninterrupted"
    done = subprocess.run(
        command(directory, "--workers", "2"), capture_output=True, text=True, check=True
    )
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
        "classes",
        "discriminability_by_pair",
        "everybody_by_pair",
        "networks",
        "target_by_pair",
    }


def test_tensorflow_stays_quiet(uninterrupted):
    for line in uninterrupted[1].stderr.splitlines():
        assert not line or "networks" in line
    assert f"{NUM_NETWORKS}/{NUM_NETWORKS} networks" in uninterrupted[1].stderr
    assert "a minute" in uninterrupted[1].stderr


@pytest.mark.slow
def test_killed_and_resumed_equals_uninterrupted(uninterrupted, tmp_path):
    directory = tmp_path / "killed"
    # One worker in the process itself: other than in the uninterrupted study.
    process = subprocess.Popen(
        command(directory, "--workers", "1"), stderr=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 120
    while len(list(directory.glob("networks/*.parquet"))) < 2:
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    before = {
        path: path.stat().st_mtime_ns for path in directory.glob("networks/*.parquet")
    }
    assert 2 <= len(before) < NUM_NETWORKS
    # As a writer leaves it that is killed between writing and renaming.
    (directory / "networks" / ".4-9-00001.parquet.1.tmp").write_bytes(b"half")
    subprocess.run(
        command(directory, "--workers", "1"), capture_output=True, check=True
    )
    for path, modified in before.items():
        assert path.stat().st_mtime_ns == modified
    pd.testing.assert_frame_equal(comparable(directory), comparable(uninterrupted[0]))


def workers_of(parent):
    children = psutil.Process(parent).children()
    return [child for child in children if "loky" in " ".join(child.cmdline())]


def is_running(process):
    return process.is_running() and process.status() != psutil.STATUS_ZOMBIE


@pytest.mark.slow
def test_workers_die_with_a_killed_parent(tmp_path):
    directory = tmp_path / "orphans"
    process = subprocess.Popen(
        command(directory, "--workers", "2", "--repeats", "90"),
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 120
    while not list(directory.glob("networks/*.parquet")):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    workers = workers_of(process.pid)
    assert len([worker for worker in workers if is_running(worker)]) >= 2
    process.kill()
    process.wait()
    deadline = time.monotonic() + 15
    while any(is_running(worker) for worker in workers):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    confusion_store.read_networks(directory)


@pytest.mark.slow
def test_interrupted_by_ctrl_c_stops_cleanly(tmp_path):
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
    deadline = time.monotonic() + 120
    while not list(directory.glob("networks/*.parquet")):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "The same command goes on with what is missing" in errors
    assert "Traceback" not in errors
    # Workers are killed where they are: a temporary file may be left, which the next
    # start clears; every network that has its name is whole.
    networks = confusion_store.read_networks(directory)
    assert all(len(answers) == 599 for answers in networks["predictions"])


@pytest.mark.slow
def test_killed_worker_is_replaced(tmp_path, uninterrupted):
    directory = tmp_path / "worker_killed"
    process = subprocess.Popen(
        command(directory, "--workers", "2"), stderr=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 120
    while not list(directory.glob("networks/*.parquet")):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    workers_of(process.pid)[-1].kill()
    _, errors = process.communicate(timeout=180)
    assert process.returncode == 0, errors
    assert "A worker process was killed" in errors
    pd.testing.assert_frame_equal(comparable(directory), comparable(uninterrupted[0]))


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


def test_a_study_can_be_given_more_repeats_and_not_fewer(tmp_path, uninterrupted):
    directory = tmp_path / "study"
    fewer = SETTINGS | {"repeats": 1, "baseline_repeats": 1}
    first = confusion_study.run_confusion_study(directory, workers=1, **fewer)
    assert first.num_trained == 3
    more = confusion_study.run_confusion_study(directory, workers=1, **SETTINGS)
    assert more.num_trained == NUM_NETWORKS - 3
    # The result is that of the study that was asked for at once.
    pd.testing.assert_frame_equal(comparable(directory), comparable(uninterrupted[0]))
    stored, at_once = (
        study_folder.StudyFolder.open(folder).settings
        for folder in (directory, uninterrupted[0])
    )
    assert stored == at_once
    with pytest.raises(study_folder.StudyFolderError, match="repeats: 2 in the folder"):
        confusion_study.run_confusion_study(directory, workers=1, **fewer)


def test_null_arms_equal_their_baseline(tmp_path):
    # With no label changed an arm is the baseline of its repeat, bit for bit: whatever
    # moves a confused arm is its labels and nothing else.
    confusion_study.run_confusion_study(
        tmp_path, workers=1, fraction=0.0, **(SETTINGS | {"baseline_repeats": 2})
    )
    networks = confusion_store.read_networks(tmp_path)
    for _, repeat in networks.groupby("repeat"):
        baseline, *arms = repeat["predictions"]
        assert len(arms) == 2
        for arm in arms:
            np.testing.assert_array_equal(arm, baseline)
    assert np.any(networks["predictions"][0] != networks["predictions"][1])


def run_null_study(directory, *options):
    pairs = "--pairs 3-8 9-4 --repeats 2 --baseline-repeats 3 --epochs 1 --workers 1"
    return subprocess.run(
        [
            *(sys.executable, str(SCRIPT), *pairs.split()),
            *("--corruption", "null", "--out", str(directory), *options),
        ],
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.slow
def test_null_study_with_own_seeds(tmp_path):
    done = run_null_study(tmp_path / "study", "--own-seeds")
    assert "A null study" in done.stdout, done.stderr
    assert "No correlation within repeats" in done.stdout
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


def test_null_study_with_noise_corrupts_the_baseline_too(tmp_path):
    done = run_null_study(tmp_path / "study", "--fraction", "0.3", "--test", "paired")
    assert "A null study" in done.stdout, done.stderr
    assert "Test: paired t within repeats" in done.stdout
    networks = confusion_store.read_networks(tmp_path / "study")
    assert networks["seed"].nunique() == 3
    assert networks["corruption_seed"].nunique() == NUM_NETWORKS
    # A third of the labels of all classes is wrong: cross-entropy says so.
    assert networks["final_training_loss"].min() > 1
    for _, repeat in networks.groupby("repeat"):
        assert repeat["final_training_loss"].nunique() == len(repeat)


def test_paired_test_of_own_seeds_is_refused_before_training(tmp_path):
    done = run_null_study(tmp_path / "study", "--own-seeds", "--test", "paired")
    assert done.returncode != 0
    assert "Use --test welch" in done.stderr
    assert not (tmp_path / "study").exists()


@pytest.mark.slow
def test_local_model_in_worker_processes(tmp_path):
    builds = tmp_path / "builds"
    builds.mkdir()

    def counted(*, input_shape, num_classes, seed):
        (builds / f"{os.getpid()}-{time.monotonic_ns()}").write_text(str(seed))
        return linear(input_shape=input_shape, num_classes=num_classes, seed=seed)

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
    confusion_study.run_confusion_study(tmp_path, workers=1, streaming=True, **settings)
    networks = confusion_store.read_networks(tmp_path)
    assert networks["final_training_loss"].between(0.05, 2.3).all()
    assert json.loads((tmp_path / "study.json").read_text())["settings"]["streaming"]


def linear(*, input_shape, num_classes, seed):
    initializer = keras.initializers.GlorotUniform(seed)
    return keras.Sequential(
        [
            keras.Input(input_shape),
            keras.layers.Flatten(),
            keras.layers.Dense(num_classes, kernel_initializer=initializer),
        ]
    )


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


@pytest.mark.slow
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


@pytest.mark.slow
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


@pytest.mark.slow
def test_packed_study_is_the_study(tmp_path):
    """Three networks a program: packs of one repeat, and one of what is left."""
    settings = SETTINGS | {"dtype_policy": "float32"}
    confusion_study.run_confusion_study(tmp_path / "alone", workers=1, **settings)
    packed_command = command(
        tmp_path / "packed", "--workers", "1", "--dtype", "float32"
    )
    done = subprocess.run(
        [*packed_command, "--networks-per-program", "3"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert f"{NUM_NETWORKS}/{NUM_NETWORKS} networks" in done.stderr
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
    again = confusion_study.run_confusion_study(
        tmp_path / "packed", workers=1, **settings
    )
    assert again.num_trained == 1


@pytest.mark.slow
def test_packed_study_in_worker_processes(tmp_path):
    summary = confusion_study.run_confusion_study(
        tmp_path,
        workers=2,
        networks_per_program=4,
        **SETTINGS | {"dtype_policy": "float32"},
    )
    assert summary.num_trained == NUM_NETWORKS
    networks = confusion_store.read_networks(tmp_path)
    assert not networks["failed"].any()
    assert networks[["arm", "repeat"]].drop_duplicates().shape[0] == NUM_NETWORKS


@pytest.mark.slow
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
    with pytest.raises(
        errors.DeviceMemoryError, match="Out of memory. Use --networks-per-program 2;"
    ):
        confusion_study.run_confusion_study(
            tmp_path, workers=1, networks_per_program=4, **SETTINGS
        )
    with pytest.raises(errors.DeviceMemoryError, match="a smaller --batch-size"):
        confusion_study.run_confusion_study(tmp_path, workers=1, **SETTINGS)


def test_width_is_that_of_every_network_and_part_of_the_study(tmp_path):
    def plan(**settings):
        chosen = confusion_settings.ConfusionSettings(
            pairs=["3-8"], epochs=1, **settings
        )
        return confusion_plan.StudyPlan.make(chosen, tmp_path, None)

    narrow = plan(model="resnet18", width=2)
    # 8 times the width of the first stage.
    assert narrow.trainer.model.layers[-1].input.shape == (None, 16)
    before_width = study_description.describe(plan(model="resnet18"))
    labels = narrow.dataset.test.labels
    assert before_width["settings"].pop("width") is None
    confusion_store.open_study(tmp_path, before_width, labels)
    (tmp_path / "networks" / "3-8-00000.parquet").touch()
    # A study that says nothing of a width has the model's.
    again = study_description.describe(plan(model="resnet18"))
    confusion_store.open_study(tmp_path, again, labels)
    with pytest.raises(study_folder.StudyFolderError, match="width: None .* 2 asked"):
        confusion_store.open_study(tmp_path, study_description.describe(narrow), labels)
