import json

import keras
import numpy as np
import pytest

from keras_confusion import errors
from keras_confusion.models import loading
from keras_confusion.training import trained_model
from keras_confusion.training.intervals import interval_epochs
from keras_confusion.training.settings import ClassifierSettings


def build_tiny(*, input_shape, num_classes, seed):
    inputs = keras.Input(input_shape)
    hidden = keras.layers.AveragePooling2D(4)(inputs)
    hidden = keras.layers.BatchNormalization(momentum=0.5)(hidden)
    hidden = keras.layers.Flatten()(hidden)
    initializer = keras.initializers.GlorotUniform(seed)
    dense = keras.layers.Dense(num_classes, kernel_initializer=initializer)
    return keras.Model(inputs, dense(hidden))


def build_diverging(**arguments):
    tiny = build_tiny(**arguments)
    return keras.Model(tiny.input, keras.layers.Rescaling(1e38)(tiny.output))


SETTINGS = ClassifierSettings(
    model=build_tiny,
    recipe="momentum",
    epochs=2,
    batch_size=100,
    seed=5,
    dtype_policy="float32",
)


def train(dataset, settings=SETTINGS):
    recipe = settings.recipe_for(dataset.train.num_examples)
    (epochs,) = interval_epochs(
        dataset.train.labels,
        (100.0,),
        epochs=settings.epochs,
        batch_size=recipe.batch_size,
        seed=settings.seed,
    )
    trainer = settings.trainer(dataset)
    trainer.begin(recipe, sum(map(len, epochs)))
    return trained_model.train(trainer, epochs, unit="steps")


@pytest.fixture(scope="module")
def trained(digits):
    return train(digits)


@pytest.fixture(scope="module")
def folder(digits, trained, tmp_path_factory):
    return trained_model.save(
        trained,
        tmp_path_factory.mktemp("saved") / "tiny",
        dataset=digits,
        settings=SETTINGS,
        trained_percent=40.0,
    )


def test_accuracies_in_model_json_are_those_of_the_reloaded_model(folder, digits):
    description = json.loads((folder / "model.json").read_text())
    images, labels = digits.test.arrays()
    probabilities = loading.load_probe(folder).predict(images.astype(np.float32) / 255)
    answers = probabilities.argmax(axis=1)
    per_class = [np.mean(answers[labels == label] == label) for label in range(10)]
    label_probabilities = probabilities[np.arange(len(labels)), labels]
    assert description["test_accuracy"] == pytest.approx(np.mean(answers == labels))
    assert description["test_accuracy"] > 0.5
    np.testing.assert_allclose(description["test_class_accuracies"], per_class)
    assert len(set(per_class)) > 3
    assert description["test_loss"] == pytest.approx(
        -np.mean(np.log(label_probabilities)), rel=1e-4
    )


def test_model_json_says_how_the_model_was_trained(folder, digits, trained):
    description = json.loads((folder / "model.json").read_text())
    assert description["class_names"] == list(digits.class_names)
    assert description["dataset"] == "digits"
    assert {"commit", "keras", "tensorflow"} <= set(description["provenance"])
    how = description["training"]
    seconds = how.pop("seconds")
    assert seconds == pytest.approx(trained.seconds, abs=0.05)
    losses, accuracies = how.pop("epoch_losses"), how.pop("epoch_accuracies")
    assert losses == [report.loss for report in trained.reports]
    assert accuracies == [report.accuracy for report in trained.reports]
    assert losses[1] < losses[0]
    assert accuracies[1] > accuracies[0]
    settled = SETTINGS.description(digits.train.num_examples)
    assert how == {**settled, "trained_percent": 40.0}


def test_training_tells_of_every_epoch_and_of_its_end(digits, capsys):
    reports = train(digits).reports
    captured = capsys.readouterr()
    lines = captured.err.splitlines()
    assert captured.out == ""
    for number, report in enumerate(reports, start=1):
        assert (
            f"Epoch {number} of 2: loss {report.loss:.3f}, accuracy on training "
            f"images {report.accuracy:.3f}."
        ) in lines
    num_steps = sum(report.num_steps for report in reports)
    assert num_steps == 2 * (digits.train.num_examples // 100)
    assert any(f"{num_steps}/{num_steps} steps" in line for line in lines)


def test_training_that_fails_closes_its_progress_bar(digits, monkeypatch):
    closed = []
    monkeypatch.setattr(
        trained_model.Progress, "close", lambda progress: closed.append(progress)
    )
    settings = ClassifierSettings(
        model=build_diverging, recipe="tutorial", dtype_policy="float32"
    )
    with pytest.raises(errors.NonFiniteLossError):
        train(digits, settings)
    assert len(closed) == 1
