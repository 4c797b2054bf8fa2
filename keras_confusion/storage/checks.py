"""Checks of what came out of a file: of single values, and of what all studies say.

Folders come from strangers, too. Whatever passes has the types and ranges that the rest
of the package counts on; limits are far above what any study needs, and keep a file
from taking the machine's memory. A check is a function that says whether a value is
right, and what was expected, in words.
"""

import collections
import pathlib
import unicodedata
from collections.abc import Callable
from typing import Any, TypeAlias

MAX_NAME_LENGTH = 200
MAX_TEXT_LENGTH = 4096
MAX_SEED = 2**63 - 1
_MAX_COUNT = 10**9
_MAX_ECHO = 80
# Labels are kept as int16.
MAX_CLASSES = 2**15 - 1
# Control characters, surrogate code points, and the ends of lines and paragraphs.
_UNPRINTABLE = ("Cc", "Cs", "Zl", "Zp")
_HEX_DIGITS = set("0123456789abcdef")

Check: TypeAlias = tuple[Callable[[Any], bool], str]


def require(file, name: str, value, check: Check) -> None:
    """Raises `ValueError` for a value in a file that is not right."""
    is_right, expected = check
    if not is_right(value):
        raise ValueError(
            f"Expected {name} in {file} to be {expected}. Received: {echo(value)}. "
            "Use the file that keras-confusion wrote."
        )


def echo(value) -> str:
    """A value as it may be printed: short, and without what a terminal would obey."""
    # Not the text of a huge list, most of which would be cut off.
    if isinstance(value, dict | list | tuple):
        return f"{type(value).__name__} of {len(value)}"
    text = ascii(value)
    return text if len(text) <= _MAX_ECHO else f"{text[:_MAX_ECHO]}..."


def is_printable(text: str, max_length: int) -> bool:
    """Whether a text is short, of one line, and can be written as UTF-8.

    Characters that a terminal would obey, such as those of colours, are not printable.
    Marks that join characters and set the direction of writing are: names of many
    languages need them.
    """
    return len(text) <= max_length and not any(
        unicodedata.category(character) in _UNPRINTABLE for character in text
    )


def is_whole(value, low: int, high: int) -> bool:
    """Whether it is an integer within a range, and no truth value."""
    return type(value) is int and low <= value <= high


def is_number(value, low: float, high: float) -> bool:
    """Whether it is a number within a range; NaN is not."""
    # Whole numbers of any length cannot become floats.
    return (type(value) is float or is_whole(value, -MAX_SEED, MAX_SEED)) and (
        low <= value <= high
    )


def whole(low: int, high: int) -> Check:
    """A check for integers within a range."""
    return lambda value: is_whole(value, low, high), f"a whole number {low} to {high}"


def number(low: float, high: float) -> Check:
    """A check for numbers within a range."""
    return lambda value: is_number(value, low, high), f"a number {low:g} to {high:g}"


def optional(check: Check) -> Check:
    """A check that lets null pass, too."""
    is_right, expected = check
    return lambda value: value is None or is_right(value), f"{expected}, or null"


def list_of(check: Check, most: int) -> Check:
    """A check for lists of so many at most."""
    is_right, expected = check
    return (
        lambda value: (
            isinstance(value, list) and len(value) <= most and all(map(is_right, value))
        ),
        f"a list of at most {most}, each {expected}",
    )


def is_digest(value) -> bool:
    """Whether it is the text of a sha256."""
    return isinstance(value, str) and len(value) == 64 and set(value) <= _HEX_DIGITS


TEXT: Check = (
    lambda value: isinstance(value, str) and is_printable(value, MAX_TEXT_LENGTH),
    f"a printable text of at most {MAX_TEXT_LENGTH} characters",
)
NAME: Check = (
    lambda value: isinstance(value, str) and is_printable(value, MAX_NAME_LENGTH),
    f"a printable text of at most {MAX_NAME_LENGTH} characters",
)
OBJECT: Check = (lambda value: isinstance(value, dict), "an object")
COUNT = whole(1, _MAX_COUNT)
FROM_0 = whole(0, _MAX_COUNT)
SHARE = number(0, 1)
NUMBERS = list_of(number(-1e300, 1e300), 10**6)
DIGEST: Check = (is_digest, "a sha256 of 64 hexadecimal digits")


def check_study(description: dict, file: pathlib.Path) -> None:
    """Checks what `study.json` of any kind of study says, but for its settings.

    Args:
        description: As `read_json` returns it, with its "kind".
        file: Its path, for messages.

    Raises:
        ValueError: If something is missing, or is not what it should be.
    """
    require(file, "kind", description.get("kind"), TEXT)
    check_class_names(description.get("class_names"), file)
    require(file, "settings", description.get("settings"), OBJECT)
    for name in description["settings"]:
        require(file, "the name of a setting", name, NAME)
    for name, check in _STUDY.items():
        if name in description:
            require(file, name, description[name], check)


def check_class_names(names, source) -> None:
    """Checks the names of classes, wherever they come from.

    Names may be any text of one line: HTML, paths and formulas are shown as the text
    that they are.

    Args:
        names: A sequence of strings.
        source: A file, folder or name, for messages.

    Raises:
        ValueError: If they are not `MAX_CLASSES` at most, distinct, printable, and of
            at most `MAX_NAME_LENGTH` characters.
    """
    if not isinstance(names, list | tuple) or not 0 < len(names) <= MAX_CLASSES:
        number = len(names) if isinstance(names, list | tuple) else echo(names)
        raise ValueError(
            f"Expected a list of 1 to {MAX_CLASSES} class names in {source}. "
            f"Received: {number}. Use one name per class."
        )
    for name in names:
        if not (isinstance(name, str) and is_printable(name, MAX_NAME_LENGTH)):
            raise ValueError(
                f"Expected class names of at most {MAX_NAME_LENGTH} printable "
                f"characters in {source}. Received: {echo(name)}. Use names of one "
                "line without control characters."
            )
    if len(set(names)) < len(names):
        ((twice, _),) = collections.Counter(names).most_common(1)
        raise ValueError(
            f"Expected distinct class names in {source}. "
            f"Received: {echo(twice)} twice. Use one name per class."
        )


_STUDY: dict[str, Check] = {
    "dataset_fingerprint": TEXT,
    "num_train": FROM_0,
    "num_test": FROM_0,
    "labels_changed": list_of(FROM_0, 2),
    "image_shape": list_of(COUNT, 3),
    "provenance": OBJECT,
}
