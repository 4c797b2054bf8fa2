"""What `model.json` may say, and whether a model's files are as they were written.

Saved models come from strangers, too. `model.json` holds a checksum of itself and the
sha256 of every other file. Models without them, of earlier versions or described by
hand, are taken as they are. Needs no TensorFlow.
"""

import pathlib
from collections.abc import Collection

from keras_confusion.errors import StudyFolderError
from keras_confusion.storage import files, sealed_json
from keras_confusion.storage.checks import (
    COUNT,
    DIGEST,
    MAX_CLASSES,
    MAX_TEXT_LENGTH,
    NUMBERS,
    OBJECT,
    SHARE,
    Check,
    check_class_names,
    echo,
    is_digest,
    is_number,
    is_printable,
    list_of,
    number,
    optional,
    require,
    whole,
)

DESCRIPTION = "model.json"
HASHES = "files_sha256"

FORMAT_VERSION = 1
_MAX_FILES = 10_000
_LARGEST_PIXEL = 1e6


def check_model(
    description: dict, file: pathlib.Path, *, needed: Collection[str] = ()
) -> None:
    """Checks what `model.json` says beside the version of its format.

    Args:
        description: As `read_json` returns it.
        file: Its path, for messages.
        needed: Names that must be there.

    Raises:
        ValueError: If something is missing, or is not what it should be.
    """
    for name in needed:
        if name not in description:
            raise ValueError(
                f"Expected {name!r} in {file}. Received: none. Use a model.json that "
                "keras-confusion wrote."
            )
    for name, check in _MODEL.items():
        if name in description:
            require(file, name, description[name], check)
    if "class_names" in description:
        check_class_names(description["class_names"], file)
        accuracies = description.get("test_class_accuracies")
        if accuracies is not None and len(accuracies) != len(
            description["class_names"]
        ):
            raise ValueError(
                f"Expected one of test_class_accuracies per class in {file}. "
                f"Received: {len(accuracies)}. Use a model.json that keras-confusion "
                "wrote."
            )
    training = description.get("training", {})
    if "training" in needed and not {"epoch_losses", "epoch_accuracies"} <= set(
        training
    ):
        raise ValueError(
            f"Expected the losses and accuracies of epochs in {file}. Received: none. "
            "Use a model.json that keras-confusion wrote."
        )
    for name in ("epoch_losses", "epoch_accuracies"):
        if name in training:
            require(file, name, training[name], NUMBERS)
    if len(training.get("epoch_losses", ())) != len(
        training.get("epoch_accuracies", ())
    ):
        raise ValueError(
            f"Expected as many epoch_losses as epoch_accuracies in {file}. Received: "
            "different numbers. Use a model.json that keras-confusion wrote."
        )


def read_of_study(file: pathlib.Path, *needed: str) -> dict:
    """Reads the `model.json` of a network of a study.

    Args:
        file: Its path.
        *needed: Names that must be there.

    Raises:
        StudyFolderError: If it is damaged, or not what it should be.
        OSError: If it cannot be read.
    """
    try:
        description = sealed_json.read(file)
    except sealed_json.DamagedJSONError as error:
        raise StudyFolderError(
            f"{file} is damaged ({error}). Run the study again: only what was lost "
            "with it is made again."
        ) from error
    try:
        check_model(description, file, needed=needed)
    except ValueError as error:
        raise StudyFolderError(str(error)) from error
    return description


def is_ours(description: dict) -> bool:
    """Whether a `model.json` says anything that ours say; others have theirs."""
    return not {"format_version", "class_names", "input_range"}.isdisjoint(description)


def check_probed(description: dict, file: pathlib.Path) -> None:
    """Checks what is needed to probe a model, which may be written by hand.

    Args:
        description: As `read_json` returns it.
        file: Its path, for messages.

    Raises:
        ValueError: If the version of the format is another one, or something is not
            what it should be.
    """
    version = description.get("format_version")
    if version is None:
        raise ValueError(
            f"Expected format_version {FORMAT_VERSION} in {file}. Received: none. Add "
            f'"format_version": {FORMAT_VERSION}.'
        )
    if version != FORMAT_VERSION:
        raise ValueError(
            f"Expected format_version {FORMAT_VERSION} in {file}. Received: "
            f"{echo(version)}. Use a version of keras-confusion that writes it."
        )
    limits = description.get("input_range", [0, 1])
    if not (
        isinstance(limits, list)
        and len(limits) == 2
        and all(is_number(limit, -_LARGEST_PIXEL, _LARGEST_PIXEL) for limit in limits)
        and limits[0] < limits[1]
    ):
        raise ValueError(
            f"Expected `input_range` in {file} to be the values of black and white, "
            f"such as [0, 255]. Received: {limits!a:.80}."
        )
    check_model(description, file)


def _are_hashes(value) -> bool:
    """Whether it says the hashes of files in a folder, and of none outside."""
    return (
        isinstance(value, dict)
        and len(value) <= _MAX_FILES
        and all(
            is_printable(name, MAX_TEXT_LENGTH)
            and not name.startswith("/")
            and not {"", ".", ".."} & set(name.replace("\\", "/").split("/"))
            and is_digest(digest)
            for name, digest in value.items()
        )
    )


_MODEL: dict[str, Check] = {
    "test_accuracy": SHARE,
    "test_class_accuracies": list_of(SHARE, MAX_CLASSES),
    "test_loss": number(0, 1e300),
    "training": OBJECT,
    "weights_sha256": DIGEST,
    "files_sha256": (_are_hashes, "the sha256 of files in the folder"),
    "trained_from": optional(whole(0, 2**60)),
    "input_shape": list_of(COUNT, 3),
}


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
    except sealed_json.DamagedJSONError as error:
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
