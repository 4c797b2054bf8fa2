"""What TAG_STUDY says, checked: nothing in an event file can be trusted."""

import json
import math
from collections.abc import Callable

from tb_plugin import metadata

MAX_BYTES = 2**20
MIN_CLASSES, MAX_CLASSES = 2, 1000
MAX_NAME_LENGTH = 200
MAX_TEXT_LENGTH = 1000
MAX_COLUMNS = 500
MAX_INTERVALS = 1000
MAX_LEVELS = 20
# Of an image, pixels.
MAX_SIDE = 8192
_MAX_COUNT = 10**7


class DataError(ValueError):
    """Data that make no sense, or that a newer package wrote.

    Args:
        text: What is wrong, for whoever looks at the study.
        reason: "malformed" or "newer".
    """

    def __init__(self, text: str, *, reason: str = "malformed"):
        super().__init__(text)
        self.reason = reason


class NotThereError(Exception):
    """What was asked for is not there, or not yet."""


def check_version(plugin_content: bytes) -> None:
    """Checks the version of the contract that a tag was written by.

    Raises:
        DataError: If there is none, or a newer one.
    """
    content = _load_json(plugin_content, "The metadata of the study")
    version = content.get("version") if isinstance(content, dict) else None
    if version is None or not _is_int(version, 1, _MAX_COUNT):
        raise DataError(
            "Expected the metadata of the study to have a version. Received: none."
        )
    if version > metadata.SCHEMA_VERSION:
        raise DataError(
            f"The study was written in version {version} of the format, and this "
            f"plugin reads version {metadata.SCHEMA_VERSION}. Update the package: "
            "pip install --upgrade keras_confusion",
            reason="newer",
        )


def parse_study(text: bytes) -> dict:
    """Returns what a run is about.

    Args:
        text: JSON in UTF-8.

    Returns:
        A dict with the keys of `metadata.CONFUSION_KEYS` or `PROTOTYPE_KEYS`; others
        are left out. Without a `test` it is `metadata.EARLIER_TEST`, without a
        `network` "".

    Raises:
        DataError: If anything is missing or makes no sense.
    """
    study = _load_json(text, "The description of the study")
    if not isinstance(study, dict):
        raise DataError("Expected the description of the study to be a JSON object.")
    kind = study.get("kind")
    keys: tuple[str, ...]
    if kind == metadata.KIND_CONFUSION:
        keys, checks = metadata.CONFUSION_KEYS, _CONFUSION_CHECKS
        study = {"test": metadata.EARLIER_TEST} | study
    elif kind == metadata.KIND_PROTOTYPES:
        keys, checks = metadata.PROTOTYPE_KEYS, _PROTOTYPE_CHECKS
        study = {"network": ""} | study
    else:
        raise DataError(
            f"Expected kind {metadata.KIND_CONFUSION!r} or "
            f"{metadata.KIND_PROTOTYPES!r}. Received: {str(kind)[:50]!r}."
        )
    for key in keys:
        if key != "kind" and not (key in study and checks[key](study)):
            raise DataError(
                f"The description of the study: {key!r} is missing or makes no sense."
            )
    return {key: study[key] for key in keys}


def _load_json(text: bytes, what: str):
    if len(text) > MAX_BYTES:
        raise DataError(f"{what} is longer than {MAX_BYTES} bytes.")
    try:
        return json.loads(text.decode(), parse_constant=lambda _: None)
    # Brackets in brackets in brackets end in a RecursionError.
    except (ValueError, RecursionError) as error:
        raise DataError(f"{what} is not JSON.") from error


def _is_int(value, low: int, high: int) -> bool:
    return type(value) is int and low <= value <= high


def _is_text(value, max_length: int) -> bool:
    """Whether a string can be written as UTF-8: a lone surrogate cannot."""
    return (
        isinstance(value, str)
        and len(value) <= max_length
        and not any("\ud800" <= character <= "\udfff" for character in value)
    )


def _are_texts(values, max_number: int, max_length: int) -> bool:
    return (
        isinstance(values, list)
        and len(values) <= max_number
        and all(_is_text(value, max_length) for value in values)
    )


def _class_names(study) -> bool:
    names = study["class_names"]
    return _are_texts(names, MAX_CLASSES, MAX_NAME_LENGTH) and len(names) >= MIN_CLASSES


def _pairs(study) -> bool:
    pairs, num_classes = study["pairs"], len(study["class_names"])
    if not isinstance(pairs, list) or len(pairs) > math.comb(num_classes, 2):
        return False
    for pair in pairs:
        if not isinstance(pair, list) or len(pair) != 2:
            return False
        if not all(_is_int(label, 0, num_classes - 1) for label in pair):
            return False
        if pair[0] >= pair[1]:
            return False
    return len({tuple(pair) for pair in pairs}) == len(pairs)


def _columns(key: str) -> Callable[[dict], bool]:
    def check(study) -> bool:
        names = study[key]
        if not _are_texts(names, MAX_COLUMNS, MAX_NAME_LENGTH):
            return False
        return len(set(names)) == len(names)

    return check


def _intervals(study) -> bool:
    values = study["intervals"]
    if not isinstance(values, list) or not 1 <= len(values) <= MAX_INTERVALS:
        return False
    if not all(type(value) in (int, float) and 0 <= value <= 100 for value in values):
        return False
    return all(a < b for a, b in zip(values, values[1:], strict=False))


def _image_shape(study) -> bool:
    shape = study["image_shape"]
    if not isinstance(shape, list) or len(shape) != 3:
        return False
    sides = all(_is_int(side, 1, MAX_SIDE) for side in shape[:2])
    return sides and _is_int(shape[2], 1, 3) and shape[2] != 2


def _image_scale(study) -> bool:
    scale = study["image_scale"]
    return type(scale) in (int, float) and 0 < scale <= 1


def _settings(study) -> bool:
    return isinstance(study["settings"], dict) and _is_shallow(study["settings"])


def _is_shallow(value, levels: int = MAX_LEVELS) -> bool:
    """Whether few lists and dicts are in each other; Python's stack is not deep."""
    if not isinstance(value, dict | list):
        return True
    items = value.values() if isinstance(value, dict) else value
    return levels > 0 and all(_is_shallow(item, levels - 1) for item in items)


# In the order of the keys: later ones rely on earlier ones.
_CONFUSION_CHECKS: dict[str, Callable[[dict], bool]] = {
    "class_names": _class_names,
    "pairs": _pairs,
    "num_planned": lambda study: _is_int(study["num_planned"], 0, _MAX_COUNT),
    "columns": lambda study: (
        _columns("columns")(study)
        and set(metadata.CELL_COLUMNS) - metadata.ADDED_COLUMNS <= {*study["columns"]}
    ),
    "reasons": lambda study: _are_texts(study["reasons"], MAX_COLUMNS, MAX_TEXT_LENGTH),
    "has_all_pairs": lambda study: type(study["has_all_pairs"]) is bool,
    # What a dict is asked for must be hashable.
    "test": lambda study: study["test"] in tuple(metadata.TEST_TITLES),
    "settings": _settings,
}
_PROTOTYPE_CHECKS: dict[str, Callable[[dict], bool]] = {
    "class_names": _class_names,
    "intervals": _intervals,
    "num_initialisations": lambda study: _is_int(study["num_initialisations"], 1, 1000),
    "image_shape": _image_shape,
    "num_frames": lambda study: _is_int(study["num_frames"], 0, 1000),
    "image_scale": _image_scale,
    "measures": _columns("measures"),
    "trends": _columns("trends"),
    "network": lambda study: _is_text(study["network"], MAX_NAME_LENGTH),
    "settings": _settings,
}
