"""What `study.json` may say. Folders come from strangers, too.

Whatever passes has the types and ranges that the rest of the package counts on; limits
are far above what any study needs, and keep a file from taking the machine's memory.
"""

import collections
import json
import math
import pathlib
from typing import Any

from keras_confusion.errors import StudyFolderError
from keras_confusion.storage.value_checks import (
    AMOUNT,
    ANY_NUMBER,
    BOOL,
    COUNT,
    FROM_0,
    MAX_NAME_LENGTH,
    MAX_SEED,
    NAME,
    OBJECT,
    SHARE,
    TEXT,
    Check,
    echo,
    is_number,
    is_printable,
    is_whole,
    list_of,
    optional,
    require,
    whole,
)

# Of the file: the pairs of 1,000 classes take 25 MB.
MAX_BYTES = 2**26
# Of lists and objects in each other.
MAX_LEVELS = 20
# Labels are kept as int16.
MAX_CLASSES = 2**15 - 1
MAX_INTERVALS = 1000


def read_json(file: pathlib.Path) -> dict:
    """Reads a JSON object from a file.

    Args:
        file: Its path.

    Raises:
        ValueError: If it is too large, not JSON in UTF-8, not an object, too deeply
            nested, or says something twice; the message is the reason alone.
        OSError: If it cannot be read.
    """
    size = file.stat().st_size
    # A pipe would be waited for.
    if not file.is_file():
        raise ValueError("no ordinary file")
    if size > MAX_BYTES:
        raise ValueError(f"{size} bytes, where {MAX_BYTES} are the most")
    try:
        description = json.loads(
            file.read_bytes().decode(), object_pairs_hook=_without_repeats
        )
    # Brackets in brackets in brackets end in a RecursionError.
    except (ValueError, RecursionError) as error:
        raise ValueError(f"not valid JSON: {error}") from error
    if not isinstance(description, dict):
        raise ValueError(f"not a JSON object but {echo(description)}")
    if not _is_shallow(description):
        raise ValueError(f"lists and objects in more than {MAX_LEVELS} levels")
    return description


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
        description: As `study_folder.read_description` returns it.
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


def _without_repeats(items: list[tuple[str, Any]]) -> dict:
    found = dict(items)
    if len(found) < len(items):
        ((twice, _),) = collections.Counter(name for name, _ in items).most_common(1)
        raise ValueError(f"{echo(twice)} comes twice in one object")
    return found


def _is_shallow(value, levels: int = MAX_LEVELS) -> bool:
    if not isinstance(value, dict | list):
        return True
    items = value.values() if isinstance(value, dict) else value
    return levels > 0 and all(_is_shallow(item, levels - 1) for item in items)


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
