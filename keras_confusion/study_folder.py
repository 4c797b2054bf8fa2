"""The folder of a study, of either kind: who may write, and whose results are in it.

Files are written under a temporary name and renamed, so that no crash leaves half a
file; `study.json` says what study it is, and a folder with other settings is refused.
"""

import contextlib
import json
import os
import pathlib
from collections.abc import Callable, Collection, Iterator, Mapping
from types import MappingProxyType
from typing import Any

import filelock

FORMAT_VERSION = 1
_FIRST_KIND = "confusion"


class StudyFolderError(RuntimeError):
    """A study folder cannot be used as asked; the message says why and what to do."""


class StudyLockedError(StudyFolderError):
    """Another process is writing to the study."""


@contextlib.contextmanager
def locked(directory: pathlib.Path) -> Iterator[None]:
    """Holds the folder for one writing process; the lock dies with the process.

    Raises:
        StudyLockedError: If another process holds it.
    """
    lock = filelock.FileLock(directory / ".lock")
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout as error:
        raise StudyLockedError(
            f"Another process is writing to the study in {directory}. "
            "Wait for it, stop it, or use another --out."
        ) from error
    try:
        yield
    finally:
        lock.release()


def write_atomically(path: pathlib.Path, write: Callable) -> None:
    """Writes a file under a temporary name and renames it when it is whole.

    Args:
        path: Where the file goes; an existing one is replaced.
        write: Called with a binary file that is open for writing.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with open(temporary, "wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def open_folder(
    directory: pathlib.Path,
    description: dict,
    *,
    begin: Callable[[], None],
    beginnings: Collection[str],
    added_settings: Mapping[str, Any] = MappingProxyType({}),
    growing: Collection[str] = (),
) -> None:
    """Creates the study's folder, or checks that the one there is the same study.

    Args:
        directory: The study's folder; made if missing.
        description: "kind" of study, "settings" (a flat dict), "class_names",
            "dataset_fingerprint" and "provenance" (not compared), all JSON types.
        begin: Called to fill a new folder before `study.json` is written.
        beginnings: Names of what `begin` makes: left by a process that was killed in
            it, they do not make the folder somebody else's.
        added_settings: Settings that older studies do not name, and what they had.
        growing: Names of settings that count something of which there may be more than
            before: `study.json` is written anew with the larger number.

    Raises:
        StudyFolderError: If the folder holds another study (every difference is
            named), or holds other files.
    """
    study_file = directory / "study.json"
    if study_file.exists():
        stored = read_description(directory, kind=description["kind"])
        stored["settings"] = {**added_settings, **stored["settings"]}
        _check_same(directory, stored, description, growing)
        settings = description["settings"]
        asked = {name: settings[name] for name in growing if name in settings}
        grown = stored["settings"] | asked
        if grown != stored["settings"]:
            _write_description(study_file, stored | {"settings": grown})
        return
    strangers = {
        path.name for path in directory.glob("*") if not path.name.startswith(".")
    }
    if strangers - set(beginnings):
        raise StudyFolderError(
            f"Expected {directory} to be empty or to hold a study. Received: "
            f"{', '.join(sorted(strangers)[:5])}. Use another --out."
        )
    directory.mkdir(parents=True, exist_ok=True)
    begin()
    _write_description(study_file, {"format_version": FORMAT_VERSION, **description})


def _write_description(study_file: pathlib.Path, description: dict) -> None:
    text = json.dumps(description, indent=2)
    write_atomically(study_file, lambda file: file.write(text.encode() + b"\n"))


def _check_same(
    directory: pathlib.Path, stored: dict, asked: dict, growing: Collection[str]
) -> None:
    asked = json.loads(json.dumps(asked))
    differences = [
        f"  {key}: {stored['settings'].get(key)!r} in the folder, {value!r} asked for"
        for key, value in asked["settings"].items()
        if stored["settings"].get(key) != value
        and not (key in growing and stored["settings"][key] < value)
    ]
    for key in ("class_names", "dataset_fingerprint"):
        if stored[key] != asked[key]:
            differences.append(f"  {key}: the data set is not the same any more")
    if differences:
        raise StudyFolderError(
            f"{directory} holds a study with other settings:\n"
            + "\n".join(differences)
            + "\nUse another --out, or the settings in the folder to go on with it."
        )


def read_description(directory: pathlib.Path, *, kind: str | None = None) -> dict:
    """Reads `study.json`.

    Args:
        directory: The study's folder.
        kind: The kind of study that it must be; `None` takes any.

    Raises:
        StudyFolderError: If it is missing, unreadable, of another version or kind.
    """
    study_file = pathlib.Path(directory) / "study.json"
    if not study_file.exists():
        raise StudyFolderError(
            f"Expected a study in {directory}. Received: a folder without study.json. "
            "Use the --out of the script that ran the study."
        )
    try:
        description = json.loads(study_file.read_text())
    except ValueError as error:
        raise StudyFolderError(f"{study_file} is not valid JSON: {error}") from error
    if description.get("format_version") != FORMAT_VERSION:
        raise StudyFolderError(
            f"Expected format_version {FORMAT_VERSION} in {study_file}. Received: "
            f"{description.get('format_version')!r}. Use a version of keras-confusion "
            "that writes it."
        )
    # The first studies did not say: there was one kind.
    description.setdefault("kind", _FIRST_KIND)
    if kind is not None and description["kind"] != kind:
        raise StudyFolderError(
            f"Expected a {kind} study in {directory}. Received: a "
            f"{description['kind']} study. Use another folder."
        )
    return description
