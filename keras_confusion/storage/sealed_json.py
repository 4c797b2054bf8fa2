"""JSON files that say by a checksum whether they are as they were written.

The checksum is a key of the file itself. Files without it, written by hand or by
earlier versions, are taken as they are: who changes a file by hand deletes the key.
"""

import collections
import hashlib
import json
import pathlib
from typing import Any

from keras_confusion.storage.checks import echo
from keras_confusion.storage.files import write_atomically

# Of the file: the pairs of 1,000 classes take 25 MB.
MAX_BYTES = 2**26
# Of lists and objects in each other.
MAX_LEVELS = 20

SEAL = "description_sha256"


class DamagedJSONError(ValueError):
    """A file is not as it was written; the message is the reason alone."""


def write(path: pathlib.Path, description: dict) -> None:
    """Writes a description, JSON types, with its checksum."""
    sealed = {**_unsealed(description), SEAL: _digest(description)}
    text = json.dumps(sealed, indent=2)
    write_atomically(path, lambda file: file.write(text.encode() + b"\n"))


def read(path: pathlib.Path) -> dict:
    """Reads a description, without its checksum.

    Raises:
        DamagedJSONError: If it is not valid JSON, or not as it was written.
        OSError: If there is no such file, or it cannot be read.
    """
    return _read(path)[0]


def is_sealed(path: pathlib.Path) -> bool:
    """Whether a description has a checksum; raises as `read`."""
    return _read(path)[1]


def _read(path: pathlib.Path) -> tuple[dict, bool]:
    try:
        stored = read_json(path)
    except ValueError as error:
        raise DamagedJSONError(str(error)) from error
    description = _unsealed(stored)
    if SEAL in stored and stored[SEAL] != _digest(description):
        raise DamagedJSONError(
            f"it is not as it was written; delete its {SEAL} if it was changed by hand"
        )
    return description, SEAL in stored


def _unsealed(description: dict) -> dict:
    return {key: value for key, value in description.items() if key != SEAL}


def _digest(description: dict) -> str:
    """Of what a description says, not of how it is laid out."""
    # Twice, as tuples become lists.
    content = json.loads(json.dumps(_unsealed(description)))
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


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
