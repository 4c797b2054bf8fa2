"""The files of a saved model: are they as they were written? Needs no TensorFlow.

`model.json` holds a checksum of itself and the sha256 of every other file. Models
without them, of earlier versions or described by hand, are taken as they are.
"""

import pathlib

from keras_confusion.storage import files, sealed_json

DESCRIPTION = "model.json"
HASHES = "files_sha256"


def hashes(directory: pathlib.Path) -> dict[str, str]:
    """Hex sha256 of every file in a folder by its path in it, but of `model.json`."""
    return {
        file.relative_to(directory).as_posix(): files.sha256(file)
        for file in sorted(directory.rglob("*"))
        if file.is_file() and file.relative_to(directory).as_posix() != DESCRIPTION
    }


def find_damage(directory: pathlib.Path, *, below: str = "") -> str | None:
    """Says what is wrong with a saved model.

    Args:
        directory: Its folder, with `model.json`.
        below: Only files whose path in the folder begins with it are looked at.

    Returns:
        A sentence that names the first file that is damaged or missing; `None` if all
        are as they were written.
    """
    description_file = directory / DESCRIPTION
    if not description_file.is_file():
        return f"{description_file} is missing."
    try:
        description = sealed_json.read(description_file)
    except sealed_json.DamagedFileError as error:
        return f"{description_file} is damaged ({error})."
    for name, digest in description.get(HASHES, {}).items():
        if not name.startswith(below):
            continue
        file = directory / name
        if not file.is_file():
            return f"{file} is missing."
        if files.sha256(file) != digest:
            return f"{file} is damaged: its sha256 is not that in {DESCRIPTION}."
    return None
