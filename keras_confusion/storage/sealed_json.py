"""JSON files that say by a checksum whether they are as they were written.

The checksum is a key of the file itself. Files without it, written by hand or by
earlier versions, are taken as they are: who changes a file by hand deletes the key.
"""

import hashlib
import json
import pathlib

from keras_confusion.storage import checks
from keras_confusion.storage.files import write_atomically

SEAL = "description_sha256"


class DamagedFileError(ValueError):
    """A file is not as it was written; the message is the reason alone."""


def write(path: pathlib.Path, description: dict) -> None:
    """Writes a description, JSON types, with its checksum."""
    sealed = {**_unsealed(description), SEAL: _digest(description)}
    text = json.dumps(sealed, indent=2)
    write_atomically(path, lambda file: file.write(text.encode() + b"\n"))


def read(path: pathlib.Path) -> dict:
    """Reads a description, without its checksum.

    Raises:
        DamagedFileError: If it is not valid JSON, or not as it was written.
        OSError: If there is no such file, or it cannot be read.
    """
    return _read(path)[0]


def is_sealed(path: pathlib.Path) -> bool:
    """Whether a description has a checksum; raises as `read`."""
    return _read(path)[1]


def _read(path: pathlib.Path) -> tuple[dict, bool]:
    try:
        stored = checks.read_json(path)
    except ValueError as error:
        raise DamagedFileError(str(error)) from error
    description = _unsealed(stored)
    if SEAL in stored and stored[SEAL] != _digest(description):
        raise DamagedFileError(
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
