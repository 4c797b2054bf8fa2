"""Settings as dataclass fields: default, bounds and help of each stand in one place.

`setting` declares a field. From it come the command-line option (`cli.arguments`), the
check of a value given in Python (`check`), and that of a value in a file
(`check_stored`).
"""

import dataclasses
import types
import typing
from typing import Any

from keras_confusion.storage.checks import TEXT, echo, require

LARGEST = 10**9
MOST_ITEMS = 1000


def setting(
    default: Any,
    help: str,
    *,
    group: str | None = None,
    option: str | None = None,
    metavar: str | tuple[str, ...] | None = None,
    unset: str | None = None,
    choices: tuple[str, ...] | None = None,
    above: float | None = None,
    minimum: float | None = None,
    maximum: float = LARGEST,
) -> Any:
    """A field of a dataclass of settings.

    Its annotation is `bool`, `int`, `float`, `str`, a tuple of numbers, or `Any` for
    what is text in files and more in Python; `| None` allows `None`.

    Args:
        default: Its value where none is given.
        help: What it does, as `--help` prints it.
        group: Title of the options among which it is shown; `None` gives it no option.
        option: Name of the option; `None` takes "--" and the field's name.
        metavar: What stands for the value in `--help`.
        unset: What happens without a value, if the default is `None`.
        choices: All values there are.
        above: A number must be larger.
        minimum: A number, or each of a tuple, must be at least as large.
        maximum: And at most as large.
    """
    metadata = {
        "help": help,
        "group": group,
        "option": option,
        "metavar": metavar,
        "unset": unset,
        "choices": choices,
        "above": above,
        "minimum": minimum,
        "maximum": maximum,
    }
    return dataclasses.field(default=default, metadata=metadata)


def with_default(settings_class: type, name: str, default: Any) -> Any:
    """A field of a base class with another default."""
    (field,) = (f for f in dataclasses.fields(settings_class) if f.name == name)
    return dataclasses.field(default=default, metadata=field.metadata)


def value_type(field: dataclasses.Field) -> Any:
    """A field's type without `None`."""
    kinds = typing.get_args(field.type)
    if types.NoneType not in kinds:
        return field.type
    return next(kind for kind in kinds if kind is not types.NoneType)


def item_type(kind: Any) -> tuple[type, int | None]:
    """Type of a tuple's items and their number, `None` for any."""
    items = typing.get_args(kind)
    return items[0], None if ... in items else len(items)


def check(settings: Any) -> None:
    """Raises `ValueError` for a value that its field does not allow."""
    for field in dataclasses.fields(settings):
        value = getattr(settings, field.name)
        if expected := _expected(field, value):
            raise ValueError(
                f"Expected `{field.name}` {expected}. Received: {echo(value)}."
            )


def check_stored(settings_class: type, stored: dict, file: Any) -> None:
    """Checks settings in a file; names that are no fields are left alone.

    Args:
        settings_class: The dataclass.
        stored: Values from JSON by the names of fields, some or all.
        file: Where they are from, for messages.

    Raises:
        ValueError: If a value is not one that its field allows.
    """
    for field in dataclasses.fields(settings_class):
        if field.name not in stored:
            continue
        value = stored[field.name]
        if value_type(field) in (str, Any) and field.metadata["choices"] is None:
            require(file, f"the setting {field.name!r}", value, TEXT)
        if expected := _expected(field, value):
            raise ValueError(
                f"Expected `{field.name}` {expected} in {file}. Received: "
                f"{echo(value)}. Use the file that keras-confusion wrote."
            )


def _expected(field: dataclasses.Field, value: Any) -> str:
    """What a wrong value should be, in words; nothing for a right one."""
    kind, about = value_type(field), field.metadata
    if value is None and field.type != kind:
        return ""
    if about["choices"] is not None:
        is_right = value in about["choices"]
        return "" if is_right else f"to be one of {about['choices']}"
    if kind is bool:
        return "" if type(value) is bool else "to be true or false"
    if kind in (int, float):
        return _expected_number(kind, value, about)
    if typing.get_origin(kind) is not tuple:
        return ""
    item, number = item_type(kind)
    if not isinstance(value, list | tuple) or len(value) != (number or len(value)):
        return f"to be {number or 'a list of'} numbers"
    if not 0 < len(value) <= MOST_ITEMS:
        return f"to be 1 to {MOST_ITEMS} numbers"
    wrong = (_expected_number(item, one, about) for one in value)
    return next(filter(None, wrong), "")


def _expected_number(kind: type, value: Any, about: typing.Mapping[str, Any]) -> str:
    if not (type(value) is int or (kind is float and isinstance(value, float))):
        return "to be a whole number" if kind is int else "to be a number"
    above, minimum, maximum = about["above"], about["minimum"], about["maximum"]
    # NaN fails every comparison.
    if above is not None and not value > above:
        return f"above {above}"
    if minimum is not None and not value >= minimum:
        return "of 0 or more" if minimum == 0 else f"of at least {minimum}"
    if not value <= maximum:
        lowest = above if minimum is None else minimum
        return f"in [{lowest}, {maximum}]"
    return ""
