"""Command-line options, most of them made from the fields of settings.

Imports nothing that --help would wait for.
"""

import argparse
import dataclasses
import typing
from typing import Any

from keras_confusion.prototypes.settings import PrototypeSettings
from keras_confusion.training.setting_fields import item_type, value_type


def command_parser(
    description: str | None, command: str, prog: str | None
) -> argparse.ArgumentParser:
    """The parser of a command, without options.

    Args:
        description: The docstring of its module, with `keras-confusion COMMAND` in its
            examples. Help shows there how the command was called.
        command: Its name.
        prog: How it was called; `None` is a script of this project.
    """
    parser = argparse.ArgumentParser(
        prog=prog, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    called = prog or f"python scripts/{parser.prog}"
    parser.description = (description or "").replace(
        f"keras-confusion {command}", called
    )
    return parser


def add_settings(
    parser: argparse.ArgumentParser, settings_class: type
) -> dict[str, Any]:
    """Adds an option for every setting that has one.

    Args:
        parser: Whose options they become.
        settings_class: A dataclass whose fields are `setting_fields.setting`.

    Returns:
        The groups of options by their titles.
    """
    groups: dict[str, Any] = {}
    for field in dataclasses.fields(settings_class):
        if (title := field.metadata["group"]) is None:
            continue
        if title not in groups:
            groups[title] = parser.add_argument_group(title)
        _add_setting(groups[title], field)
    groups["data"].add_argument("--data-dir", help="TensorFlow Datasets' directory")
    return groups


def add_image_optimizer_arguments(group: argparse._ActionsContainer) -> None:
    """Adds how images are optimised, as in a prototype study."""
    fields = {field.name: field for field in dataclasses.fields(PrototypeSettings)}
    _add_setting(group, fields["parametrization"])
    _add_setting(group, fields["transformations"])
    _add_setting(group, fields["steps"])
    _add_setting(group, fields["update_rule"])
    _add_setting(group, fields["prototype_learning_rate"], name="learning_rate")
    _add_setting(group, fields["loss_threshold"])
    _add_setting(group, fields["max_iterations"])


def _add_setting(
    group: argparse._ActionsContainer,
    field: dataclasses.Field,
    name: str | None = None,
) -> None:
    """Adds the option of a field, under another name if there is one."""
    about, kind = field.metadata, value_type(field)
    name = name or field.name
    option = about["option"] or f"--{name.replace('_', '-')}"
    if kind is bool:
        action = "store_false" if field.default else "store_true"
        group.add_argument(option, dest=name, action=action, help=about["help"])
        return
    several: dict[str, Any] = {}
    if typing.get_origin(kind) is tuple:
        kind, number = item_type(kind)
        several = {"nargs": number or "+"}
    elif kind is Any:
        kind = str
    elif kind not in (str, int, float):
        # One text, or a sequence of them.
        kind, several = str, {"nargs": "+"}
    group.add_argument(
        option,
        dest=name,
        type=kind,
        default=field.default,
        choices=about["choices"],
        metavar=about["metavar"],
        help=f"{about['help']} (default: {_default_text(field)})",
        **several,
    )


def _default_text(field: dataclasses.Field) -> str:
    if field.default is None:
        return field.metadata["unset"]
    if isinstance(field.default, tuple):
        return " ".join(f"{value:g}" for value in field.default)
    return str(field.default)


def add_test_argument(group: argparse._ActionsContainer) -> None:
    """Adds the option for the test that decides what is significant."""
    group.add_argument(
        "--test",
        choices=("moderated", "paired", "welch"),
        help="the test that decides what is significant: moderated, differences within "
        "repeats, whose networks share their seeds, with variances that the cells of a "
        "class share; paired, the same with every cell by itself; or welch, all "
        "networks as independent ones, as in the poster; the tables hold all three "
        "(default: moderated)",
    )
