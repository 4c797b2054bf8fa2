import dataclasses
import json
import math
import types

import pytest

from keras_confusion.execution import runtime
from keras_confusion.training import recipes
from keras_confusion.training.settings import ClassifierSettings, TrainingSettings


def build_tiny(*, input_shape, num_classes, seed):
    """A model function of a user."""
    import keras

    inputs = keras.Input(input_shape)
    hidden = keras.layers.Flatten()(inputs)
    initializer = keras.initializers.GlorotUniform(seed)
    dense = keras.layers.Dense(num_classes, kernel_initializer=initializer)
    return keras.Model(inputs, dense(hidden))


@pytest.mark.parametrize(
    ("model", "recipe", "expected"),
    [
        ("cnn", None, "annealed"),
        ("resnet18", None, "momentum"),
        (build_tiny, None, "annealed"),
        ("resnet18", "tutorial", "tutorial"),
        ("cnn", "momentum", "momentum"),
    ],
)
def test_recipe_is_that_of_the_model_unless_one_is_asked_for(model, recipe, expected):
    settings = TrainingSettings(model=model, recipe=recipe)
    for num_train in (1000, 50_000):
        assert settings.recipe_for(num_train) == recipes.find_recipe(
            expected, num_train=num_train
        )


def test_what_is_asked_for_replaces_what_the_recipe_has():
    settings = TrainingSettings(batch_size=5, learning_rate=0.25, weight_decay=0.0)
    assert settings.recipe_for(1000) == dataclasses.replace(
        recipes.find_recipe("annealed", num_train=1000),
        batch_size=5,
        learning_rate=0.25,
        weight_decay=0.0,
    )


def test_description_is_settled(monkeypatch):
    monkeypatch.setattr(runtime, "default_dtype_policy", lambda: "mixed_bfloat16")
    settings = TrainingSettings("cifar10", "resnet18", width=16, image_size=(32, 24))
    assert json.loads(json.dumps(settings.description(50_000))) == {
        "dataset": "cifar10",
        "model": "resnet18",
        "width": 16,
        "recipe": "momentum",
        "epochs": 12,
        "batch_size": 128,
        "learning_rate": 0.1,
        "weight_decay": 5e-3,
        "augment": False,
        "dtype_policy": "mixed_bfloat16",
        "image_size": [32, 24],
        "seed": 0,
        "deterministic": False,
    }
    asked = dataclasses.replace(settings, dtype_policy="float32", model=build_tiny)
    description = asked.description(1000)
    assert description["dtype_policy"] == "float32"
    assert description["model"] == f"{__name__}:build_tiny"
    assert description["recipe"] == "annealed"
    assert description["batch_size"] == 32
    json.dumps(description)


def test_trainer_is_the_one_of_the_settings(digits):
    settings = ClassifierSettings(
        model="resnet18", width=2, seed=3, dtype_policy="mixed_bfloat16"
    )
    trainer = settings.trainer(digits)
    classifier = trainer.classifier()
    kernel = classifier.get_weights()[0]
    assert kernel.shape == (3, 3, 3, 2)
    assert "bfloat16" in {layer.compute_dtype for layer in trainer._trained.layers}
    assert trainer.dataset is digits
    again = settings.trainer(digits).classifier().get_weights()[0]
    other = dataclasses.replace(settings, seed=4).trainer(digits).classifier()
    assert (kernel == again).all()
    assert (kernel != other.get_weights()[0]).any()
    # Without `width` a function that takes none is called without.
    tiny = ClassifierSettings(model=build_tiny, seed=3).trainer(digits)
    assert tiny.classifier().count_params() == 32 * 32 * 3 * 10 + 10


def test_augmentation_is_asked_of_the_trainer(digits):
    for augment in (False, True):
        settings = ClassifierSettings(model=build_tiny, augment=augment)
        trainer = settings.trainer(digits)
        trainer.begin(settings.recipe_for(1000), 1)
        batch = digits.train.labels[:20].argsort().reshape(1, 20)
        ((images, _),) = trainer._examples(batch)
        plain = digits.train.arrays()[0][batch[0]] / 255
        assert (abs(images - plain).numpy().max() > 0.1) == augment


def test_eps_has_a_usual_size_of_its_norm():
    assert ClassifierSettings().eps is None
    assert ClassifierSettings(adversarial="l2").eps == 0.5
    assert ClassifierSettings(adversarial="linf").eps == 8 / 255
    assert ClassifierSettings(adversarial="l2", eps=0.25).eps == 0.25
    with pytest.raises(ValueError, match=r"`eps` with `adversarial` only.*0\.1"):
        ClassifierSettings(eps=0.1)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"epochs": 0}, "`epochs` of at least 1. Received: 0"),
        ({"batch_size": 0}, "`batch_size` of at least 1. Received: 0"),
        ({"model": "resnet18", "width": 0}, "`width` of at least 1. Received: 0"),
        ({"learning_rate": 0.0}, "`learning_rate` above 0. Received: 0.0"),
        ({"learning_rate": math.nan}, "`learning_rate` above 0. Received: nan"),
        ({"weight_decay": -1e-3}, "`weight_decay` of 0 or more. Received: -0.001"),
        ({"weight_decay": math.nan}, "`weight_decay` of 0 or more. Received: nan"),
        ({"seed": -1}, "`seed` of 0 or more. Received: -1"),
        ({"width": 8}, "no `width` for the 'cnn' model.*Received: 8"),
        ({"dtype_policy": "float16"}, "'mixed_bfloat16'.*Received: 'float16'"),
    ],
)
def test_settings_that_make_no_sense_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        TrainingSettings(**changes)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"epochs": 1, "batch_size": 1, "learning_rate": 1e-9, "weight_decay": 0.0},
        {"model": "resnet18", "width": 1, "seed": 0},
        {"model": build_tiny, "width": 3, "dtype_policy": "mixed_bfloat16"},
    ],
)
def test_settings_at_their_limits_are_taken(changes):
    TrainingSettings(**changes)


def build_for_255(*, input_shape, num_classes, seed):
    """Scales images itself, as its layers say."""
    import keras

    tiny = build_tiny(input_shape=input_shape, num_classes=num_classes, seed=seed)
    return keras.Sequential(
        [keras.Input(input_shape), keras.layers.Rescaling(1 / 255), *tiny.layers[1:]]
    )


def build_probabilities(**options):
    import keras

    tiny = build_tiny(**options)
    return keras.Model(tiny.inputs[0], keras.ops.softmax(tiny.outputs[0]))


@pytest.mark.parametrize(
    ("model", "asked", "expected", "told"),
    [
        (build_tiny, None, (0, 1), "images from 0 to 1 (as its layers expect them;"),
        (build_for_255, None, (0, 255), "images from 0 to 255 (as its layers expect"),
        # What a user says counts.
        (build_for_255, (0, 1), (0, 1), "images from 0 to 1 (as asked for)"),
        (build_tiny, [0, 255], (0, 255), "images from 0 to 255 (as asked for)"),
    ],
)
def test_input_range_of_a_model_is_found_and_told(
    digits, caplog, model, asked, expected, told
):
    settings = TrainingSettings(model=model, input_range=asked).settled(digits)
    assert settings.input_range == expected
    assert told in caplog.text
    # Settled once.
    assert settings.settled(digits) == settings


def test_built_in_models_are_known(digits, caplog):
    settings = TrainingSettings(model="resnet18")
    assert settings.settled(digits) is settings
    assert not caplog.text


def test_models_that_give_no_logits_are_refused(digits):
    with pytest.raises(
        ValueError, match="answers with probabilities.*Use a last layer"
    ):
        TrainingSettings(model=build_probabilities).settled(digits)


def test_input_ranges_that_make_no_sense_are_refused():
    with pytest.raises(ValueError, match=r"black below white.*\(255, 0\). Use .* 0 2"):
        TrainingSettings(input_range=(255, 0))
    with pytest.raises(ValueError, match="`input_range` to be 2 numbers"):
        TrainingSettings(input_range=(255,))
    tokens = types.SimpleNamespace(vocabulary_size=9, name="reviews")
    with pytest.raises(ValueError, match="no `input_range` with token sequences"):
        TrainingSettings(model="text", input_range=(0, 255)).settled(tokens)
