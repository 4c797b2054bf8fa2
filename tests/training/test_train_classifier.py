import json
import pathlib
import re
import runpy
import subprocess
import sys

import keras
import numpy as np
import pytest

from keras_confusion.cli import commands, exit_codes
from keras_confusion.models import loading

SCRIPT = pathlib.Path(__file__).parents[2] / "scripts" / "train_classifier.py"


def run(*arguments, **options):
    return subprocess.run(
        [sys.executable, SCRIPT, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        **options,
    )


def read_description(directory):
    return json.loads((directory / "model.json").read_text())


def assert_saved_models_are_so_accurate(directory, dataset, accuracy):
    images, labels = dataset.test.arrays()
    for path in (directory, directory / "model.keras"):
        answers = loading.load_probe(path).predict(images.astype(np.float32) / 255)
        assert np.mean(answers.argmax(axis=1) == labels) == pytest.approx(accuracy)


@pytest.mark.slow
def test_script_trains_saves_and_says_how_good_the_model_is(digits, tmp_path, capsys):
    directory = tmp_path / "models" / "digits"
    done = run("--epochs", 2, "--batch-size", 16, "--seed", 3, "--out", directory)
    assert done.returncode == 0, done.stderr
    description = read_description(directory)
    accuracy = description["test_accuracy"]
    first, *classes, last = done.stdout.splitlines()
    assert f"Test accuracy {accuracy:.4f}" in first
    assert f"(cross-entropy {description['test_loss']:.3f})" in first
    assert classes == [
        f"  {accuracy:.3f}  {name}"
        for accuracy, name in zip(
            description["test_class_accuracies"], digits.class_names, strict=True
        )
    ]
    assert str(directory) in last
    assert "Epoch 2 of 2" in done.stderr
    assert accuracy > 0.7
    how = description["training"]
    asked = {"epochs": 2, "batch_size": 16, "seed": 3, "recipe": "annealed"}
    assert asked.items() <= how.items()
    assert how["trained_percent"] == 100

    assert_saved_models_are_so_accurate(directory, digits, accuracy)

    # The same again, shorter: replaces it, and leaves nothing else.
    code = commands.train_classifier(directory, epochs=1, seed=4)
    assert code == commands.EXIT_OK
    again = read_description(directory)
    assert again["training"]["seed"] == 4
    assert len(again["training"]["epoch_losses"]) == 1
    assert f"Test accuracy {again['test_accuracy']:.4f}" in capsys.readouterr().out
    assert [path.name for path in (tmp_path / "models").iterdir()] == ["digits"]
    assert sorted(path.name for path in directory.iterdir()) == [
        "image_statistics.npz",
        "model.json",
        "model.keras",
        "saved_model",
    ]
    assert_saved_models_are_so_accurate(directory, digits, again["test_accuracy"])


def test_help_says_the_exact_command_without_waiting_for_tensorflow():
    code = """
import runpy, sys
script = sys.argv[1]
sys.argv = [script, "--help"]
try:
    runpy.run_path(script, run_name="__main__")
except SystemExit:
    sys.exit("tensorflow" in sys.modules)
"""
    command = [sys.executable, "-c", code, SCRIPT]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0
    assert "python scripts/train_classifier.py --dataset digits --out" in done.stdout


def run_in_here(monkeypatch, *arguments):
    """The script in this process; its exit code."""
    monkeypatch.setattr(sys, "argv", [str(SCRIPT), *map(str, arguments)])
    with pytest.raises(SystemExit) as exited:
        runpy.run_path(str(SCRIPT), run_name="__main__")
    return exited.value.code


def test_unknown_recipe_is_one_line_of_usage(tmp_path, monkeypatch, capsys):
    code = run_in_here(monkeypatch, "--recipe", "fast", "--out", tmp_path / "model")
    assert code == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert re.search(r"invalid choice: 'fast'.*momentum", last)
    assert not list(tmp_path.iterdir())


def test_script_refuses_what_makes_no_sense_in_one_line(tmp_path, monkeypatch, capsys):
    code = run_in_here(monkeypatch, "--width", 8, "--out", tmp_path / "model")
    assert code == 1
    told = capsys.readouterr()
    (line,) = told.err.splitlines()
    assert line.startswith("Error: Expected no `width` for the 'cnn' model")
    assert told.out == ""
    assert not list(tmp_path.iterdir())


def subclassed(**_):
    """Has no inputs and outputs from which its features could be cut."""

    class Subclassed(keras.Model):
        def __init__(self):
            super().__init__()
            self.dense = keras.layers.Dense(10)

        def call(self, images):
            return self.dense(keras.ops.mean(images, axis=(1, 2)))

    return Subclassed()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"dataset": "digitz"}, "The closest are: digits"),
        ({"epochs": 0}, "Expected `epochs` of at least 1"),
        ({"recipe": "fast"}, "Expected `recipe` to be one of"),
        ({"model": "vgg"}, "Expected a model of"),
        ({"image_size": (8, 8)}, "Expected images of at least 18 pixels"),
        ({"model": subclassed}, "Expected a Sequential or functional model"),
    ],
)
def test_errors_come_before_the_training_in_one_line(
    settings, message, tmp_path, capsys
):
    directory = tmp_path / "model"
    code = exit_codes.exit_code(commands.train_classifier, directory, **settings)
    captured = capsys.readouterr()
    assert code == 1
    *told, line = captured.err.splitlines()
    assert line.startswith("Error: ")
    assert message in line
    # Of a user's model, which images it is given.
    assert all("gets images from 0 to 1 " in one for one in told)
    assert captured.out == ""
    assert not list(tmp_path.iterdir())


def test_a_model_in_the_folder_outlives_an_error(tmp_path):
    directory = tmp_path / "model"
    directory.mkdir()
    (directory / "model.json").write_text("{}")
    assert exit_codes.exit_code(commands.train_classifier, directory, epochs=0) == 1
    assert (directory / "model.json").read_text() == "{}"
