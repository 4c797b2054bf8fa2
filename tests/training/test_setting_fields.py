import argparse
import dataclasses
import inspect
import math
import pathlib
import typing

import pytest

from keras_confusion.cli import arguments
from keras_confusion.confusion import settings as confusion_settings
from keras_confusion.confusion.settings import ConfusionOptions, ConfusionSettings
from keras_confusion.confusion.study import run_confusion_study
from keras_confusion.prototypes import settings as prototype_settings
from keras_confusion.prototypes.optimizer import update_rules
from keras_confusion.prototypes.settings import PrototypeOptions, PrototypeSettings
from keras_confusion.prototypes.study import run_prototype_study
from keras_confusion.training import recipes
from keras_confusion.training.settings import (
    ClassifierOptions,
    ClassifierSettings,
    TrainingOptions,
    TrainingSettings,
)

CLASSES = [ConfusionSettings, PrototypeSettings, ClassifierSettings]
FILE = pathlib.Path("study.json")
# Not settable by an option.
IN_PYTHON_ONLY = {
    ConfusionSettings: {"augment"},
    PrototypeSettings: {"boundary_learning_rate", "gap_tolerance"},
    ClassifierSettings: set(),
}


def fields(settings_class):
    return {field.name: field for field in dataclasses.fields(settings_class)}


@pytest.mark.parametrize(
    ("options", "settings_class"),
    [
        (TrainingOptions, TrainingSettings),
        (ClassifierOptions, ClassifierSettings),
        (ConfusionOptions, ConfusionSettings),
        (PrototypeOptions, PrototypeSettings),
    ],
)
def test_keyword_arguments_are_the_fields(options, settings_class):
    types = {name: field.type for name, field in fields(settings_class).items()}
    assert typing.get_type_hints(options) == types


@pytest.mark.parametrize(
    ("run", "options"),
    [
        (run_confusion_study, ConfusionOptions),
        (run_prototype_study, PrototypeOptions),
    ],
)
def test_studies_take_the_keyword_arguments(run, options, tmp_path):
    keywords = inspect.signature(run).parameters["options"]
    assert keywords.annotation == typing.Unpack[options]
    with pytest.raises(TypeError, match="unexpected keyword argument 'epoch'"):
        run(tmp_path / "study", epoch=1)
    with pytest.raises(ValueError, match="`epochs` of at least 1. Received: 0"):
        run(tmp_path / "study", epochs=0)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("settings_class", CLASSES)
def test_every_setting_has_an_option_with_its_default(settings_class):
    parser = argparse.ArgumentParser()
    arguments.add_settings(parser, settings_class)
    options = vars(parser.parse_args([]))
    assert options.pop("data_dir") is None
    missing = IN_PYTHON_ONLY[settings_class]
    assert set(options) == set(fields(settings_class)) - missing
    assert settings_class(**options) == settings_class()
    assert "None" not in parser.format_help()


def test_options_give_what_python_takes():
    parser = argparse.ArgumentParser()
    arguments.add_settings(parser, PrototypeSettings)
    words = "--intervals 50 99.5 --image-size 18 20 --no-boundaries --augment"
    chosen = PrototypeSettings(
        **{
            name: value
            for name, value in vars(parser.parse_args(words.split())).items()
            if name != "data_dir"
        }
    )
    assert chosen == PrototypeSettings(
        intervals=(50.0, 99.5), image_size=(18, 20), boundaries=False, augment=True
    )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"epochs": 2.0}, "`epochs` to be a whole number. Received: 2.0"),
        ({"epochs": True}, "`epochs` to be a whole number. Received: True"),
        ({"epochs": None}, "`epochs` to be a whole number. Received: None"),
        ({"seed": 2**63}, r"`seed` in \[0, 9223372036854775807\]"),
        ({"learning_rate": math.inf}, "`learning_rate` in .* Received: inf"),
        ({"learning_rate": "fast"}, "`learning_rate` to be a number"),
        ({"augment": 1}, "`augment` to be true or false. Received: 1"),
        ({"image_size": (18,)}, "`image_size` to be 2 numbers"),
        ({"image_size": (18, 0)}, "`image_size` of at least 1"),
        ({"image_size": 18}, "`image_size` to be 2 numbers. Received: 18"),
    ],
)
def test_values_that_fields_do_not_allow(changes, message):
    with pytest.raises(ValueError, match=f"^Expected {message}"):
        TrainingSettings(**changes)


def test_augmenting_confusion_study_is_refused():
    with pytest.raises(ValueError, match="no `augment` in a confusion study"):
        ConfusionSettings(augment=True)


@pytest.mark.parametrize(
    ("check", "name", "value"),
    [
        (confusion_settings.check_stored, "dataset", "a\x1b[31m"),
        (confusion_settings.check_stored, "model", None),
        (confusion_settings.check_stored, "epochs", 10**10),
        (confusion_settings.check_stored, "repeats", 1.5),
        (confusion_settings.check_stored, "learning_rate", 10**400),
        (confusion_settings.check_stored, "weight_decay", math.nan),
        (confusion_settings.check_stored, "deterministic", "no"),
        (confusion_settings.check_stored, "corruption", ["swap"]),
        (confusion_settings.check_stored, "image_size", [1] * 3),
        (confusion_settings.check_stored, "pairs", [[0, 3]]),
        (confusion_settings.check_stored, "pairs", "all"),
        (prototype_settings.check_stored, "intervals", [50, 40]),
        (prototype_settings.check_stored, "intervals", list(range(1, 1002))),
        (prototype_settings.check_stored, "intervals", "all"),
        (prototype_settings.check_stored, "prototype_dtype", "float16"),
        (prototype_settings.check_stored, "boundary_learning_rate", 0),
        (prototype_settings.check_stored, "gap_tolerance", {}),
        (prototype_settings.check_stored, "loss_threshold", "low"),
    ],
)
def test_file_with_what_no_study_can_have(check, name, value):
    description = {"settings": {name: value}, "class_names": ["a", "b", "c"]}
    with pytest.raises(ValueError, match=r"(?s)study\.json.*Received") as error:
        check(description, FILE)
    assert len(str(error.value)) < 400
    # What is not known is left alone.
    description["settings"] = {f"{name}_of_a_newer_version": value}
    check(description, FILE)


def test_new_setting_is_stored_where_it_is_not_at_its_default():
    usual = confusion_settings.to_store(ConfusionSettings(), {"pairs": [[0, 1]]})
    assert tuple(usual) == confusion_settings.ALWAYS_STORED
    assert usual["pairs"] == [[0, 1]]
    decayed = confusion_settings.to_store(ConfusionSettings(weight_decay=0.1), {})
    assert list(decayed) == [*usual, "weight_decay"]
    assert ConfusionSettings(weight_decay=0.1).recipe_for(100).weight_decay == 0.1


def test_choices_are_those_of_the_functions_that_use_them():
    names = fields(PrototypeSettings)
    assert names["update_rule"].metadata["choices"] == update_rules.UPDATE_RULES
    for name in names["recipe"].metadata["choices"]:
        assert recipes.find_recipe(name, num_train=100).name == name
    with pytest.raises(ValueError) as error:  # noqa: PT011
        recipes.find_recipe("", num_train=100)
    for name in names["recipe"].metadata["choices"]:
        assert repr(name) in str(error.value)
