"""Networks that a study takes from another one, to look at the same in another way.

The two studies then differ in how their images are made, and in nothing else.
"""

import dataclasses
import pathlib
import shutil

from keras_confusion.models import model_description
from keras_confusion.prototypes import store as prototype_store
from keras_confusion.prototypes.settings import ADDED_SETTINGS
from keras_confusion.storage import study_comparison
from keras_confusion.storage.study_folder import StudyFolder, StudyFolderError
from keras_confusion.training.settings import TrainingSettings

# Modules that import TensorFlow are imported in the functions that need them.

_OF_TRAINING = {field.name for field in dataclasses.fields(TrainingSettings)} | {
    "intervals",
    "interval_of",
}


def finished_networks(directory, description: dict) -> list[pathlib.Path]:
    """Looks for the networks that a study would train, in the folder of another one.

    Args:
        directory: The folder of the other study.
        description: What `study.json` says of the study that is asked for, see
            `StudyFolder.begin_or_resume`.

    Returns:
        Their folders, one per interval.

    Raises:
        StudyFolderError: If the other study trained other networks (every difference is
            named), has not finished them, or one is damaged.
    """
    from keras_confusion.training import identity

    other = prototype_store.open_to_read(directory)
    different = study_comparison.different(
        _without_images(other.description),
        _without_images(description),
        ADDED_SETTINGS,
        (),
        identity.differences,
    )
    if different:
        raise StudyFolderError(
            f"Expected {other.path} to have the networks that are asked for. Received "
            "a study with others:\n" + "\n".join(f"  {line}" for line in different)
        )
    folders = [
        prototype_store.model_directory(other.path, percentage)
        for percentage in other.settings["intervals"]
    ]
    for folder in folders:
        if damage := model_description.find_damage(folder):
            raise StudyFolderError(
                f"Expected all networks of {other.path}. Received: {damage} Run that "
                "study first, until its networks are trained."
            )
    return folders


def take(study: StudyFolder, networks: list[pathlib.Path]) -> None:
    """Copies networks into a study; those that it has already stay.

    Args:
        study: The study, whose folder is locked.
        networks: See `finished_networks`.
    """
    for percentage, source in zip(study.settings["intervals"], networks, strict=True):
        folder = prototype_store.model_directory(study.path, percentage)
        if folder.exists():
            continue
        partial = folder.with_name(f".{folder.name}.partial")
        shutil.rmtree(partial, ignore_errors=True)
        shutil.copytree(source, partial)
        partial.rename(folder)


def _without_images(description: dict) -> dict:
    """The description, with the settings that decide the networks and no others."""
    settings = description["settings"].items()
    return description | {
        "settings": {name: value for name, value in settings if name in _OF_TRAINING}
    }
