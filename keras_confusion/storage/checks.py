"""Checks of what came out of a file: of single values, and of what `study.json` says.

Folders come from strangers, too. Whatever passes has the types and ranges that the rest
of the package counts on; limits are far above what any study needs, and keep a file
from taking the machine's memory. A check is a function that says whether a value is
right, and what was expected, in words.
"""

import collections
import math
import pathlib
import unicodedata
from collections.abc import Callable
from typing import Any, TypeAlias

from keras_confusion.errors import StudyFolderError

MAX_NAME_LENGTH = 200
MAX_TEXT_LENGTH = 4096
MAX_SEED = 2**63 - 1
_MAX_COUNT = 10**9
_MAX_ECHO = 80
# Labels are kept as int16.
MAX_CLASSES = 2**15 - 1
MAX_INTERVALS = 1000
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
BOOL: Check = (lambda value: type(value) is bool, "true or false")
COUNT = whole(1, _MAX_COUNT)
FROM_0 = whole(0, _MAX_COUNT)
AMOUNT = number(0, 1e9)
# Infinity and NaN, too.
ANY_NUMBER: Check = (
    lambda value: type(value) is float or is_whole(value, -MAX_SEED, MAX_SEED),
    "a number",
)
SHARE = number(0, 1)
NUMBERS = list_of(number(-1e300, 1e300), 10**6)
DIGEST: Check = (is_digest, "a sha256 of 64 hexadecimal digits")


def check_study(description: dict, file: pathlib.Path) -> None:
    """Checks what `study.json` says, of any kind of study.

    Args:
        description: As `read_json` returns it, with its "kind".
        file: Its path, for messages.

    Raises:
        StudyFolderError: If something is missing, or is not what it should be.
    """
    try:
        _check_study(description, file)
    except ValueError as error:
        raise StudyFolderError(str(error)) from error


def _check_study(description: dict, file: pathlib.Path) -> None:
    kind = description.get("kind")
    require(file, "kind", kind, TEXT)
    check_class_names(description.get("class_names"), file)
    require(file, "settings", description.get("settings"), OBJECT)
    settings: dict = description["settings"]
    for name, value in settings.items():
        require(file, "the name of a setting", name, NAME)
        if name in _SETTINGS:
            require(file, f"the setting {name!r}", value, _SETTINGS[name])
    for name, check in _STUDY.items():
        if name in description:
            require(file, name, description[name], check)
    if "pairs" in settings:
        _check_pairs(settings["pairs"], len(description["class_names"]), file)


def check_complete(description: dict, directory: pathlib.Path) -> None:
    """Checks that `study.json` says all that a report is made from.

    Args:
        description: What `study.json` says, see `StudyFolder`.
        directory: The study's folder, for messages.

    Raises:
        StudyFolderError: If the kind of study is none that has reports, or a setting is
            missing.
    """
    kind, settings = description["kind"], description["settings"]
    if kind not in _NEEDED:
        raise StudyFolderError(
            f"Expected a study of {' or '.join(_NEEDED)} in {directory}. Received: "
            f"{echo(kind)}. Use another folder."
        )
    missing = [name for name in _NEEDED[kind] if name not in settings]
    if missing:
        raise StudyFolderError(
            f"Expected the settings {', '.join(_NEEDED[kind])} in the study.json of "
            f"{directory}. Received: none of {', '.join(missing)}. "
            "Use the file that keras-confusion wrote."
        )


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


def _check_pairs(pairs, num_classes: int, file) -> None:
    most = math.comb(num_classes, 2)
    if not isinstance(pairs, list) or not 0 < len(pairs) <= most:
        number = len(pairs) if isinstance(pairs, list) else echo(pairs)
        raise ValueError(
            f"Expected 1 to {most} pairs of {num_classes} classes in {file}. "
            f"Received: {number}. Use the file that keras-confusion wrote."
        )
    for pair in pairs:
        if not (
            isinstance(pair, list)
            and len(pair) == 2
            and all(is_whole(label, 0, num_classes - 1) for label in pair)
            and pair[0] < pair[1]
        ):
            raise ValueError(
                f"Expected pairs of labels [a, b], a < b, below {num_classes} in "
                f"{file}. Received: {echo(pair)}. Use the file that keras-confusion "
                "wrote."
            )
    if len({(a, b) for a, b in pairs}) < len(pairs):
        raise ValueError(
            f"Expected each pair once in {file}. Received: one twice. "
            "Use the file that keras-confusion wrote."
        )


def _are_intervals(value) -> bool:
    return (
        isinstance(value, list)
        and 0 < len(value) <= MAX_INTERVALS
        and all(is_number(percent, 0, 100) for percent in value)
        and all(a < b for a, b in zip(value, value[1:], strict=False))
    )


# What reports and summaries read, by the kind of study.
_NEEDED: dict[str, tuple[str, ...]] = {
    "confusion": (
        *("dataset", "pairs", "repeats", "baseline_repeats", "epochs", "recipe"),
    ),
    "prototypes": ("dataset", "model", "width", "intervals"),
}
_SETTINGS: dict[str, Check] = {
    "dataset": TEXT,
    "model": TEXT,
    "recipe": TEXT,
    "corruption": TEXT,
    "dtype_policy": TEXT,
    "interval_of": TEXT,
    "start": TEXT,
    "update_rule": TEXT,
    "repeats": FROM_0,
    "baseline_repeats": FROM_0,
    "epochs": COUNT,
    "batch_size": optional(COUNT),
    "width": optional(COUNT),
    "learning_rate": optional(ANY_NUMBER),
    "weight_decay": optional(AMOUNT),
    "fraction": optional(SHARE),
    "seed": whole(0, MAX_SEED),
    "shared_seeds": BOOL,
    "streaming": BOOL,
    "augment": BOOL,
    "boundaries": BOOL,
    "image_size": optional(list_of(COUNT, 2)),
    "inits": COUNT,
    "frames": FROM_0,
    "max_iterations": COUNT,
    "prototype_learning_rate": optional(AMOUNT),
    "intervals": (
        _are_intervals,
        f"a list of 1 to {MAX_INTERVALS} rising numbers from 0 to 100",
    ),
}
_STUDY: dict[str, Check] = {
    "dataset_fingerprint": TEXT,
    "num_train": FROM_0,
    "num_test": FROM_0,
    "image_shape": list_of(COUNT, 3),
    "provenance": OBJECT,
}
