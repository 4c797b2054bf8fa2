"""The folder of a study, of either kind: whose results are in it.

`study.json` says what study it is, and a folder with other settings is refused. It has
a checksum and a copy, so that damage is found, and mended when the study is run again.
"""

import contextlib
import dataclasses
import logging
import os
import pathlib
from collections.abc import Callable, Collection, Mapping
from types import MappingProxyType
from typing import Any, TypeAlias

from keras_confusion.errors import StudyFolderError
from keras_confusion.storage import checks, files, sealed_json, study_comparison
from keras_confusion.storage.locks import Hold, locked
from keras_confusion.storage.study_comparison import Differences

_log = logging.getLogger(__name__)

FORMAT_VERSION = 1
DESCRIPTION = "study.json"
_COPY = ".study.json.copy"
_FIRST_KIND = "confusion"
SettingsCheck: TypeAlias = Callable[[dict, pathlib.Path], None]
# What says of a study what its networks and its data are; studies from before that get
# it when they are resumed.
_IDENTITY = ("identity", "digest")


@dataclasses.dataclass(frozen=True, eq=False)
class StudyFolder:
    """An opened folder of a study.

    Whoever reads a study opens its folder once and hands it down, so that all that is
    said of the study comes from one `study.json`. What needs a path alone takes that.

    Args:
        path: The folder.
        description: What `study.json` said when the folder was opened.
    """

    path: pathlib.Path
    description: dict = dataclasses.field(repr=False)

    @classmethod
    def open(
        cls,
        directory: "StudyFolder | str | os.PathLike[str]",
        *,
        kind: str | None = None,
        check_settings: SettingsCheck | None = None,
    ) -> "StudyFolder":
        """Opens the folder of a study that was begun, to read it.

        Args:
            directory: The study's folder; one that is open is not read again.
            kind: The kind of study that it must be; `None` takes any.
            check_settings: Of that kind: takes the description and its file, and raises
                `ValueError` for a setting that no study can have. The stores of both
                kinds give theirs, see their `open_to_read`.

        Raises:
            StudyFolderError: If `study.json` is missing, damaged, of another version or
                kind, or says what no study can say.
        """
        if isinstance(directory, StudyFolder):
            folder = directory
            _check_kind(folder.path, folder.kind, kind)
        else:
            path = pathlib.Path(directory)
            folder = cls(path, _read_description(path, kind))
        if check_settings is not None:
            try:
                check_settings(folder.description, folder.path / DESCRIPTION)
            except ValueError as error:
                raise StudyFolderError(str(error)) from error
        return folder

    @classmethod
    def begin_or_resume(
        cls,
        directory: pathlib.Path,
        description: dict,
        *,
        begin: Callable[[], None],
        beginnings: Collection[str],
        check_settings: SettingsCheck | None = None,
        added_settings: Mapping[str, Any] = MappingProxyType({}),
        growing: Collection[str] = (),
        has_results: bool = True,
        differences: Differences = lambda stored, here: [],
    ) -> "StudyFolder":
        """Creates the study's folder, or checks that the one there is the same study.

        Args:
            directory: The study's folder; made if missing.
            description: "kind" of study, "settings" (a flat dict), "class_names",
                "dataset_fingerprint", "identity", and what is not compared, all JSON
                types. "dataset" of the settings is compared as a place, and with an
                identity not at all: data may lie elsewhere.
            begin: Called to fill a new folder before `study.json` is written.
            beginnings: Names of what `begin` makes: left by a process that was killed
                in it, they do not make the folder somebody else's.
            check_settings: See `open`.
            added_settings: Settings that older studies do not name, and what they had.
            growing: Names of settings that count something of which there may be more
                than before: `study.json` is written again with the larger number.
            has_results: Whether there is something in the folder that was trained;
                settings of a start that failed before that do not bind.
            differences: Compares two identities, see `training.identity`.

        A damaged `study.json` is set aside and written again from its copy, which is
        told. Call it while the folder is `locked`.

        Raises:
            StudyFolderError: If the folder holds another study (every difference is
                named), holds other files, or its `study.json` is damaged and the copy
                too.
        """
        _mend(directory)
        if (directory / DESCRIPTION).exists():
            stored = cls.open(
                directory, kind=description["kind"], check_settings=check_settings
            ).description
            different = study_comparison.different(
                stored, description, added_settings, growing, differences
            )
            if not different:
                _resume(directory, stored, description, added_settings, growing)
            elif has_results:
                raise _other_study(directory, different)
            else:
                _write_new(directory, description, begin)
        else:
            _begin(directory, description, begin, beginnings)
        return cls.open(directory)

    @property
    def kind(self) -> str:
        """The kind of study."""
        return self.description["kind"]

    @property
    def settings(self) -> dict:
        """The study's settings."""
        return self.description["settings"]

    @property
    def class_names(self) -> list[str]:
        """Names in the order of the labels."""
        return self.description["class_names"]

    def locked(self) -> contextlib.AbstractContextManager[Hold]:
        """Holds the folder for one writing process, see `locks.locked`."""
        return locked(self.path)


def _resume(
    directory: pathlib.Path,
    stored: dict,
    asked: dict,
    added_settings: Mapping[str, Any],
    growing: Collection[str],
) -> None:
    """Lets a study grow, and has it say what only later ones say from the beginning."""
    newer = {
        name: asked["settings"][name]
        for name in (*growing, "dataset")
        if name in asked["settings"]
    }
    said = {name: asked[name] for name in _IDENTITY if name in asked}
    settings = {**added_settings, **stored["settings"], **newer}
    now = said | stored | {"settings": settings}
    if now != stored or not _is_kept_safe(directory):
        _write_description(directory, now)
    files.remove_left_overs(directory)


def _begin(
    directory: pathlib.Path,
    description: dict,
    begin: Callable[[], None],
    beginnings: Collection[str],
) -> None:
    """Makes the folder of a new study, in a place where there is nothing else."""
    strangers = {
        path.name for path in directory.glob("*") if not path.name.startswith(".")
    }
    if strangers - set(beginnings):
        raise StudyFolderError(
            f"Expected {directory} to be empty or to hold a study. Received: "
            f"{', '.join(sorted(strangers)[:5])}. Use another --out."
        )
    _write_new(directory, description, begin)


def _write_new(
    directory: pathlib.Path, description: dict, begin: Callable[[], None]
) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    begin()
    _write_description(directory, {"format_version": FORMAT_VERSION, **description})


def _write_description(directory: pathlib.Path, description: dict) -> None:
    # Whatever comes between the two, one of them is whole and of this study.
    for name in (DESCRIPTION, _COPY):
        sealed_json.write(directory / name, description)


def _is_kept_safe(directory: pathlib.Path) -> bool:
    """Whether `study.json` has a checksum, and a copy that says the same."""
    study_file = directory / DESCRIPTION
    return sealed_json.is_sealed(study_file) and sealed_json.read(
        study_file
    ) == _read_copy(directory)


def _read_copy(directory: pathlib.Path) -> dict | None:
    """The copy of `study.json`; `None` if there is none that can be trusted."""
    copy = directory / _COPY
    try:
        if copy.is_file() and sealed_json.is_sealed(copy):
            return sealed_json.read(copy)
    except sealed_json.DamagedJSONError:
        # It is written again as soon as `study.json` is known to be whole.
        pass
    return None


def _mend(directory: pathlib.Path) -> None:
    """Writes a `study.json` that is damaged or gone again from its copy."""
    study_file, reason = directory / DESCRIPTION, "it is missing"
    if study_file.exists():
        try:
            sealed_json.read(study_file)
            return
        except sealed_json.DamagedJSONError as error:
            reason = str(error)
    copy = _read_copy(directory)
    if copy is None:
        if study_file.exists():
            raise _damaged(directory, reason)
        return
    aside = ""
    if study_file.exists():
        aside = f" The damaged one is now {files.set_aside(study_file).name}."
    sealed_json.write(study_file, copy)
    _log.warning(f"Mended {study_file} from its copy: {reason}.{aside}")


def _damaged(directory: pathlib.Path, reason: str) -> StudyFolderError:
    study_file = directory / DESCRIPTION
    if _read_copy(directory) is None:
        instead = (
            "Its copy is of no use either: restore it from a backup of yours, or use "
            "another --out."
        )
    else:
        instead = "Run the study again: it is mended from its copy."
    return StudyFolderError(f"{study_file} is damaged ({reason}). {instead}")


def _other_study(directory: pathlib.Path, different: list[str]) -> StudyFolderError:
    return StudyFolderError(
        f"{directory} holds a study with other settings:\n"
        + "\n".join(f"  {line}" for line in different)
        + "\nUse another --out, or the settings in the folder to go on with it."
    )


def _read_description(directory: pathlib.Path, kind: str | None) -> dict:
    study_file = directory / DESCRIPTION
    if not study_file.exists():
        if _read_copy(directory) is not None:
            raise _damaged(directory, "it is missing")
        raise StudyFolderError(
            f"Expected a study in {directory}. Received: a folder without study.json. "
            "Use the --out of the script that ran the study."
        )
    try:
        description = sealed_json.read(study_file)
    except sealed_json.DamagedJSONError as error:
        raise _damaged(directory, str(error)) from error
    if description.get("format_version") != FORMAT_VERSION:
        raise StudyFolderError(
            f"Expected format_version {FORMAT_VERSION} in {study_file}. Received: "
            f"{description.get('format_version')!r}. Use a version of keras-confusion "
            "that writes it."
        )
    # The first studies did not say: there was one kind.
    description.setdefault("kind", _FIRST_KIND)
    _check_kind(directory, description["kind"], kind)
    try:
        checks.check_study(description, study_file)
    except ValueError as error:
        raise StudyFolderError(str(error)) from error
    return description


def _check_kind(directory: pathlib.Path, stored: str, asked: str | None) -> None:
    if asked is not None and stored != asked:
        raise StudyFolderError(
            f"Expected a {asked} study in {directory}. Received: a {stored} study. "
            "Use another folder."
        )
