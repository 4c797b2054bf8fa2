"""Networks that an explanation trained again: where they are kept, and which it is."""

import dataclasses
import hashlib
import json
import pathlib
import zipfile

import numpy as np
import pandas as pd

from keras_confusion.confusion import network_files
from keras_confusion.confusion.plan import StudyPlan
from keras_confusion.confusion.settings import to_store
from keras_confusion.storage import study_folder

FOLDER = "explanations"
_NETWORKS = "networks"
_SEEDS = ("initialisation_seed", "order_seed", "corruption_seed")


def path(plan: StudyPlan, row: dict) -> pathlib.Path:
    """Where the network of a row is kept."""
    name = f"{network_files.network_name(row['arm'], row['repeat'])}.npz"
    return plan.directory / FOLDER / _NETWORKS / name


def key(plan: StudyPlan, row: dict) -> str:
    """What decides the weights: a study that was begun again has others."""
    # Without defaults, so that a setting that is new here changes no key.
    usual = {field.name: field.default for field in dataclasses.fields(plan.settings)}
    settings = {
        name: value
        for name, value in to_store(plan.settings, {}).items()
        if name not in ("pairs", "repeats", "baseline_repeats", "seed")
        and value != usual[name]
    }
    decisive = [settings, seeds(row), row["arm"], plan.dataset.fingerprint]
    return hashlib.sha256(json.dumps(decisive).encode()).hexdigest()


def seeds(row: dict) -> dict:
    """Seeds of a row, `None` where it has none."""
    return {name: None if pd.isna(row[name]) else int(row[name]) for name in _SEEDS}


def read(file: pathlib.Path, key: str) -> dict[str, np.ndarray] | None:
    """Arrays without the key; `None` if the file is missing or of another network."""
    if not file.exists():
        return None
    try:
        with open(file, "rb") as opened, np.load(opened, allow_pickle=False) as kept:
            arrays = {name: kept[name] for name in kept.files}
        is_same = str(arrays.pop("key")) == key
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise study_folder.StudyFolderError(
            f"{file} cannot be read ({error}). Delete it: the network is trained again."
        ) from error
    return arrays if is_same else None
