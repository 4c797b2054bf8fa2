"""Forgets prototypes that are damaged or no longer fit, so that they are made again."""

import itertools
import logging
import pathlib

import numpy as np

from keras_confusion.prototypes import store as prototype_store
from keras_confusion.prototypes import store_checks
from keras_confusion.storage.study_folder import StudyFolder, StudyFolderError

_log = logging.getLogger(__name__)


def forget_part(directory: pathlib.Path, interval: int, initialisation: int) -> None:
    """Marks a part as unfinished, so that it is computed again."""
    prototype_store.open_array(directory, "finished")[interval, initialisation] = False


def mend_store(folder: StudyFolder) -> None:
    """Forgets the parts of the store that are damaged, and tells which.

    Descriptions of arrays are written again. Call it while the folder is locked.
    """
    store = folder.path / prototype_store.STORE
    for file in store_checks.mend_metadata(store):
        _log.warning(f"{file} was damaged; it is written again.")
    percentages = folder.settings["intervals"]
    names = [name for name in prototype_store.ARRAYS if (store / name).exists()]
    inits = range(prototype_store.open_array(folder.path, "finished").shape[1])
    for part in itertools.product(range(len(percentages)), inits):
        flag = store_checks.chunk_file(store / "finished", part)
        if not flag.exists():
            continue
        if damaged := store_checks.damaged_chunks(store, part, names):
            _log.warning(
                f"{damaged[0]} is damaged: the prototypes of initialisation {part[1]} "
                f"at {percentages[part[0]]:g} % are made again."
            )
            flag.unlink()


def check_network(
    directory: pathlib.Path, interval: int, percentage: float, *, was_mended: bool
) -> None:
    """Looks for prototypes of another network than the one in the study's folder.

    Args:
        directory: The study's folder.
        interval: Number of the interval, from 0.
        percentage: The interval's.
        was_mended: Whether a network of the study was trained again as it was damaged:
            prototypes of the damaged one are then made again, with a warning.

    Raises:
        StudyFolderError: If there are some for another reason.
    """
    finished = prototype_store.finished_parts(directory)[interval]
    made_with = prototype_store.open_array(directory, "network")
    number = prototype_store.read_network_number(directory, percentage)
    # Those of an unfinished part may be damaged: nothing is read of them.
    others = [
        init
        for init in np.flatnonzero(finished).tolist()
        if made_with[interval, init] != number
    ]
    if not others:
        return
    if not was_mended:
        raise StudyFolderError(
            "Expected prototypes of the network in "
            f"{prototype_store.model_directory(directory, percentage)}. Received: "
            f"{directory / prototype_store.STORE} with those of another one. Delete it "
            "to make prototypes again, or use another --out."
        )
    _log.warning(
        f"Prototypes at {percentage:g} % are made again, as the network that was "
        "damaged came out otherwise."
    )
    for init in others:
        forget_part(directory, interval, init)


def forget_other_starts(
    directory: pathlib.Path, interval: int, percentage: float
) -> None:
    """Forgets prototypes that did not start from those of the interval before.

    For studies whose class prototypes do. They may have been made again since, after
    damage; those that came out the same are the start that they were.
    """
    for init in np.flatnonzero(
        prototype_store.finished_parts(directory)[interval]
    ).tolist():
        start = np.asarray(
            prototype_store.open_array(directory, "start")[interval, init]
        )
        before = prototype_store.read_class_images(directory, interval - 1, init)
        if not np.array_equal(start, before):
            _log.warning(
                f"Prototypes of initialisation {init} at {percentage:g} % are made "
                "again, as those that they start from came out otherwise."
            )
            forget_part(directory, interval, init)
