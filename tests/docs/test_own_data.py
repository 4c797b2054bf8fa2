"""Runs the code of docs/own_data_and_model.md, as it stands there."""

import pathlib
import re
import runpy
import subprocess
import sys

import numpy as np
import pytest

from keras_confusion.confusion import store as confusion_store
from keras_confusion.execution import runtime

PAGE = pathlib.Path(__file__).parents[2] / "docs" / "own_data_and_model.md"
# "`name.py`, more words:" on one line, and a block of Python.
BLOCK = re.compile(r"^`(\w+\.py)`[^\n]*:\n\n```python\n(.*?)```", re.M | re.S)
IMAGE_FILES, MODEL_FILE = ("study.py",), "my_model.py"
TEXT_FILES = ("my_text_model.py", "text_study.py")


def blocks():
    return dict(BLOCK.findall(PAGE.read_text()))


def write_files(folder, names):
    for name in names:
        (folder / name).write_text(blocks()[name])


def write_data(folder):
    """Small arrays: three kinds of stripes, and three kinds of sentences."""
    rng = np.random.default_rng(0)
    labels = np.arange(72) % 3
    images = rng.integers(0, 120, (72, 8, 8, 1), dtype=np.uint8)
    for image, label in zip(images, labels, strict=True):
        image[:: 1 + label] += 100
    np.savez(folder / "arrays.npz", images=images, labels=labels)
    (folder / "my_data.py").write_text(
        "import numpy as np\n"
        "arrays = np.load('arrays.npz')\n"
        "x_train, x_test = arrays['images'][:48], arrays['images'][48:]\n"
        "y_train, y_test = arrays['labels'][:48], arrays['labels'][48:]\n"
    )
    (folder / "my_texts.py").write_text(
        "texts = ['We saw a cat.', 'We heard a dog!', 'We met a cow'] * 24\n"
        "train_texts, test_texts = texts[:48], texts[48:]\n"
        "y_train, y_test = [0, 1, 2] * 16, [0, 1, 2] * 8\n"
    )


def test_every_block_is_run_here():
    assert PAGE.read_text().count("```python") == len(blocks())
    assert set(blocks()) == {*IMAGE_FILES, *TEXT_FILES, MODEL_FILE}


@pytest.mark.parametrize(("names", "most"), [(IMAGE_FILES, 12), (TEXT_FILES, 20)])
def test_the_files_are_short(names, most):
    lines = "".join(blocks()[name] for name in names).splitlines()
    assert sum(bool(line.strip()) for line in lines) <= most


def assert_study_is_whole(study, dataset, printed):
    # 3 pairs, 4 repeats, and 4 times the square root of 3 of the baseline.
    networks = confusion_store.read_networks(study)
    assert len(networks) == 3 * 4 + 7
    assert not networks["failed"].any()
    assert f"{dataset}: 19 networks, 10 epochs" in printed
    assert (study / "tables" / "target_by_pair.csv").exists()


@pytest.mark.slow
def test_the_files_of_texts_run(tmp_path, monkeypatch, capsys):
    # Here, not in worker processes, which would take long to start.
    monkeypatch.setattr(runtime, "default_num_workers", lambda: 1)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    write_data(tmp_path)
    write_files(tmp_path, TEXT_FILES)
    runpy.run_path(str(tmp_path / TEXT_FILES[1]), run_name="__main__")
    printed = capsys.readouterr().out
    assert_study_is_whole(tmp_path / "studies" / "texts", "my_texts.npz", printed)


@pytest.mark.slow
def test_a_script_of_arrays_and_a_model_runs_in_worker_processes(tmp_path):
    write_data(tmp_path)
    write_files(tmp_path, IMAGE_FILES)
    done = subprocess.run(
        [sys.executable, IMAGE_FILES[0]],
        cwd=tmp_path,
        check=True,
        timeout=300,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert_study_is_whole(tmp_path / "studies" / "mine", "data.npz", done.stdout)
