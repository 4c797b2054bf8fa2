"""What a clone of the repository can probe at once."""

import json
import pathlib

import keras
import numpy as np
import pytest

from keras_confusion.datasets import loading as dataset_loading
from keras_confusion.datasets import tfds_reader
from keras_confusion.models import loading
from keras_confusion.prototypes import images as prototype_images
from keras_confusion.prototypes.optimizer.parametrizations import Pixels
from keras_confusion.prototypes.optimizer.settings import OptimizerSettings
from keras_confusion.training import evaluation

SAVED_MODELS = pathlib.Path(__file__).parents[2] / "saved_models"
NAMES = ["cifar10_cnn", "cifar10_resnet18_width12"]
MOST_BYTES = 6_000_000


def test_models_are_few_and_small():
    held = [path.name for path in SAVED_MODELS.iterdir() if path.is_dir()]
    assert sorted(held) == NAMES
    files = [path for path in SAVED_MODELS.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < MOST_BYTES


@pytest.mark.parametrize("name", NAMES)
def test_prototypes_of_two_classes_are_found_on_them(name):
    probe = loading.load_probe(SAVED_MODELS / name)
    assert probe.class_names[3] == "cat"
    noise = prototype_images.starts([0], 10, Pixels(probe.input_shape))[0]
    settings = OptimizerSettings(learning_rate=0.1)
    made = prototype_images.class_prototypes(probe, noise, settings)
    assert made.converged.mean() >= 0.9
    predicted = probe.predict(made.images).argmax(axis=1)
    np.testing.assert_array_equal(
        predicted[made.converged], np.flatnonzero(made.converged)
    )
    assert probe.features(made.images).any(axis=1).all()


@pytest.mark.parametrize("name", NAMES)
def test_description_says_how_to_train_them_anew(name):
    description = json.loads((SAVED_MODELS / name / "model.json").read_text())
    training = description["training"]
    width = "" if training["width"] is None else f" --width {training['width']}"
    command = (
        f"--dataset {training['dataset']} --model {training['model']}{width} --augment "
        f"--epochs {training['epochs']} --out saved_models/{name}"
    )
    assert training["augment"]
    assert command in (SAVED_MODELS / "README.md").read_text()
    makefile = (SAVED_MODELS.parent / "Makefile").read_text()
    assert command in " ".join(makefile.replace("\\\n", " ").split())
    accuracy = f"{description['test_accuracy']:.3f}"
    assert accuracy in (SAVED_MODELS / "README.md").read_text()


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_accuracy_is_what_the_description_says(name):
    try:
        dataset = dataset_loading.load_dataset("cifar10")
    except tfds_reader.DatasetUnavailableError:
        pytest.skip("CIFAR-10 is not on this machine")
    model = keras.saving.load_model(SAVED_MODELS / name / "model.keras", compile=False)
    description = json.loads((SAVED_MODELS / name / "model.json").read_text())
    tested = evaluation.test_classifier(model, dataset)
    assert tested.accuracy == pytest.approx(description["test_accuracy"], abs=1e-3)
