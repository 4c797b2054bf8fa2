"""The same bits again: by other numbers of workers, after a stop, in new processes."""

import os
import pathlib
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pytest

from keras_confusion.confusion import store as confusion_store
from keras_confusion.confusion import study as confusion_study
from keras_confusion.prototypes import store as prototype_store
from tests.robustness import determinism
from tests.support import docs_commands

SCRIPTS = pathlib.Path(__file__).parents[2] / "scripts"
CONFUSION = "--pairs 3-8 --repeats 4 --baseline-repeats 4 --epochs 1"
NUM_NETWORKS = 8
PROTOTYPES = (
    "--epochs 2 --intervals 50 100 --inits 1 --prototype-learning-rate 0.1 "
    "--loss-threshold 0.5 --max-iterations 20 --no-boundaries --augment"
)


def command(script, directory, *options):
    return [
        *(sys.executable, str(SCRIPTS / script), "--deterministic"),
        *(*options, "--out", str(directory)),
    ]


def run(script, directory, *options, **environment):
    subprocess.run(
        command(script, directory, *options),
        check=True,
        capture_output=True,
        env={**os.environ, **environment},
    )


def stop_when(condition, script, directory, *options):
    """Runs a command until there is something, and kills it."""
    process = subprocess.Popen(
        command(script, directory, *options),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 300
    try:
        while not condition():
            assert time.monotonic() < deadline
            assert process.poll() is None
            time.sleep(0.05)
    finally:
        process.kill()
        process.wait()


def bits(directory):
    """All that networks say, floats as the bits that they are."""
    networks = confusion_store.read_networks(directory).drop(
        columns=["seconds", "finished_at"]
    )
    for column in ("log2_probability", "log2_probability_without_pair", "epoch_losses"):
        networks[column] = [values.tobytes() for values in networks[column]]
    networks["final_training_loss"] = networks["final_training_loss"].map(float.hex)
    return networks


@pytest.mark.slow
def test_confusion_study_has_the_same_bits_again(tmp_path):
    """By one worker, and by two that were killed half-way and one that went on."""
    script, stopped = "run_confusion_study.py", tmp_path / "stopped"
    run(script, tmp_path / "one", *CONFUSION.split(), "--workers", "1")
    stop_when(
        lambda: len(list(stopped.glob("networks/*"))) >= NUM_NETWORKS // 2,
        *(script, stopped, *CONFUSION.split(), "--workers", "2"),
    )
    assert len(list(stopped.glob("networks/*"))) < NUM_NETWORKS
    run(script, stopped, *CONFUSION.split(), "--workers", "1")
    first = bits(tmp_path / "one")
    assert len(first) == NUM_NETWORKS
    pd.testing.assert_frame_equal(bits(stopped), first)
    # Not because everything is the same: other repeats have other bits.
    assert first["final_training_loss"].nunique() == NUM_NETWORKS


@pytest.mark.slow
def test_prototype_study_has_the_same_bits_again(digits, tmp_path):
    script, stopped = "run_prototype_study.py", tmp_path / "stopped"
    few = {}
    for name, split in (("train", digits.train), ("test", digits.test)):
        images, labels = split.arrays()
        few[f"x_{name}"] = images[labels < 3]
        few[f"y_{name}"] = labels[labels < 3]
    np.savez(tmp_path / "few.npz", **few)
    options = [*PROTOTYPES.split(), "--dataset", str(tmp_path / "few.npz")]
    run(script, tmp_path / "whole", *options)
    stop_when(
        lambda: (stopped / "models" / "50" / "model.json").exists(),
        *(script, stopped, *options),
    )
    run(script, stopped, *options)
    first, again = (
        prototype_store.read_prototype_study(directory).drop_vars(
            ["seconds", "network"]
        )
        for directory in (tmp_path / "whole", stopped)
    )
    assert first["finished"].all()
    for name, values in first.data_vars.items():
        np.testing.assert_array_equal(values, again[name], err_msg=name)


@pytest.mark.slow
def test_classifier_has_the_same_bits_again(tmp_path):
    import keras

    weights = []
    for name in ("one", "two"):
        options = ("--epochs", "2", "--augment")
        run("train_classifier.py", tmp_path / name, *options)
        model = keras.saving.load_model(tmp_path / name / "model.keras")
        weights.append(model.get_weights())
    for one, two in zip(*weights, strict=True):
        np.testing.assert_array_equal(one, two)


def test_packed_networks_are_refused(tmp_path):
    with pytest.raises(ValueError, match="one network at a time"):
        confusion_study.run_confusion_study(
            tmp_path / "study",
            workers=1,
            deterministic=True,
            networks_per_program=2,
            pairs=["3-8"],
        )
    assert not (tmp_path / "study").exists()


def write_networks(directory, *, changed):
    """Two networks; the second one has so many answers that others do not have."""
    (directory / "networks").mkdir(parents=True)
    for repeat in range(2):
        labels = np.arange(20) % 4
        # Of the second network alone.
        labels[: changed * repeat] += 4
        row = {
            "arm": "baseline",
            "class_a": None,
            "class_b": None,
            "repeat": repeat,
            "seed": repeat,
            "failed": False,
            "final_training_loss": 2.0 + changed * repeat / 100,
            "predictions": labels,
            "log2_probability": [-1.0] * 4,
        }
        confusion_store.write_network(directory, row, num_classes=10)


def test_benchmark_counts_what_is_not_the_same(tmp_path):
    for name, changed in (("one", 0), ("other", 3)):
        write_networks(tmp_path / name, changed=changed)
    found = determinism.compare(tmp_path / "one", tmp_path / "other")
    assert found == {
        "networks": 2,
        "same_bits": 1,
        "answers": 40,
        "other_answers": 3,
        "largest_loss": pytest.approx(0.015),
    }
    text = determinism.table([{"dtype": "float32", "run": "again", **found}])
    assert "| float32 | again | 1 of 2 | 3 of 40 (7.50%) | 1.5e-02 |" in text


def test_benchmark_runs_what_it_compares(tmp_path, monkeypatch):
    """Without training: what is run, and what comes of its folders."""
    commands = []

    def run_made_up(words, *, env, **options):
        python, script, *arguments = words
        assert python == sys.executable
        given = docs_commands.parse(
            str(pathlib.Path(script).relative_to(SCRIPTS.parent)), arguments, words
        )
        commands.append((given, env))
        # Another seed has other answers, and so has a machine without oneDNN.
        changed = given.seed + ("TF_ENABLE_ONEDNN_OPTS" in env)
        write_networks(pathlib.Path(given.out), changed=changed)

    monkeypatch.setattr(determinism.subprocess, "run", run_made_up)
    monkeypatch.delenv("TF_ENABLE_ONEDNN_OPTS", raising=False)
    rows = determinism.measure(tmp_path, dtypes=("mixed_bfloat16",))
    answers = {row["run"]: row["other_answers"] for row in rows}
    assert answers == {
        "the same again": 0,
        "3 workers": 0,
        "oneDNN without AMX and bfloat16": 0,
        "without oneDNN": 1,
        "another seed": 1,
    }
    assert {row["dtype"] for row in rows} == {"mixed_bfloat16"}
    assert all(
        given.deterministic and given.pairs == ["3-8", "4-9"] for given, _ in commands
    )
    assert [given.workers for given, _ in commands] == [1, 1, 3, 1, 1, 1]
    limits = [env.get("ONEDNN_MAX_CPU_ISA") for _, env in commands]
    assert limits == [None, None, None, "AVX512_CORE", None, None]
