"""Trains networks of a study again, because studies do not store weights.

A network is a function of its seeds, so that it can be trained again. Weights are kept
in `explanations/networks/*.npz` in the study's folder, beside the labels that the
network gave when it was trained, to be compared with those that the study recorded.
"""

import contextlib
import dataclasses
import pathlib
from collections.abc import Iterator

import numpy as np
import pandas as pd

from keras_confusion import errors
from keras_confusion.confusion import answers as confusion_answers
from keras_confusion.confusion import network_files, study_description
from keras_confusion.confusion.plan import StudyPlan
from keras_confusion.confusion.settings import (
    ADDED_SETTINGS,
    ALWAYS_STORED,
    ConfusionSettings,
)
from keras_confusion.datasets import class_pairs
from keras_confusion.explanations import kept_networks
from keras_confusion.storage import files, locks, study_folder

# Modules that import TensorFlow are imported in the functions that need them.

FOLDER = kept_networks.FOLDER
# The target, the pair, and a class that the target can be taken for.
MIN_CLASSES = 4
_MOST_PAIRS_NAMED = 50
# A Keras model that was copied, and a function of a script or notebook.
_GIVEN_IN_PYTHON = ("keras.Model:", "__main__:")


@dataclasses.dataclass(frozen=True, eq=False)
class RetrainedNetwork:
    """A network that was trained again.

    Args:
        arm: Its arm, see `network_files.arm_name`.
        repeat: Its repeat.
        weights: Of all variables, as `keras.Model.get_weights` orders them.
        predictions: int array `(num_test,)`, the most probable labels.
        winners: int array `(num_test,)`, the most probable labels outside the pair
            that is explained.
        equal_predictions: Share of the test images that are given the label that the
            study recorded, 0 to 1. It is 1 on the machine of the study.
    """

    arm: str
    repeat: int
    weights: list[np.ndarray]
    predictions: np.ndarray
    winners: np.ndarray
    equal_predictions: float


def plan_of_study(
    folder: study_folder.StudyFolder,
    data_dir=None,
    *,
    model: str | None = None,
    dataset: str | None = None,
) -> StudyPlan:
    """The plan by which a study was run, one network at a time.

    Args:
        folder: Of a confusion study.
        data_dir: Where TensorFlow Datasets keeps its data.
        model: The study's "package.module:function", if it has one: it is imported and
            called only if it is given here, as folders come from strangers, too.
        dataset: Where the study's data lie now; `None` for where they lay.

    Raises:
        study_folder.StudyFolderError: If a setting is missing or makes no sense, the
            model is code that was not allowed, or the data set that is here is not the
            study's.
    """
    stored, directory = folder.settings, folder.path
    if dataset is not None:
        stored = stored | {"dataset": str(dataset)}
    settings = _settings(stored, directory)
    if stored["model"].startswith(_GIVEN_IN_PYTHON):
        raise study_folder.StudyFolderError(
            f"Expected a model that can be built again. Received: {stored['model']}, "
            f"which the study in {directory} was given in Python. Use a function in a "
            "file, package.module:function, as the model of a study."
        )
    if ":" in stored["model"] and stored["model"] != model:
        raise study_folder.StudyFolderError(
            f"Expected leave to import the model of the study in {directory}, which is "
            f"code. Received: {stored['model']}. Use --model {stored['model']} if you "
            "know and trust it."
        )
    plan = StudyPlan(
        settings=settings,
        directory=directory,
        data_dir=None if data_dir is None else str(data_dir),
        pairs=tuple((int(a), int(b)) for a, b in stored["pairs"]),
        baseline_repeats=stored["baseline_repeats"],
        dtype_policy=stored["dtype_policy"],
    )
    different = []
    if plan.dataset.fingerprint != folder.description["dataset_fingerprint"]:
        different = [
            "the data set has other images or labels, or was read otherwise by the "
            "version that ran the study"
        ]
    elif "identity" in folder.description:
        from keras_confusion.training import identity

        different = identity.differences(
            folder.description["identity"], study_description.identity_of(plan)
        )
    if different:
        raise study_folder.StudyFolderError(
            f"Expected the data set and the model that the study in {directory} was "
            f"trained with. Received: {settings.dataset}; {', '.join(different)}. Use "
            "--dataset or --data-dir to say where its data are, or run the study again "
            "with another --out."
        )
    return plan


def _settings(stored: dict, directory: pathlib.Path) -> ConfusionSettings:
    """Settings of `study.json`, which must be all there are, and none unknown."""
    known = {field.name for field in dataclasses.fields(ConfusionSettings)}
    needed = set(ALWAYS_STORED) - ADDED_SETTINGS.keys()
    wrong = (needed - stored.keys()) | (stored.keys() - known)
    if wrong:
        raise study_folder.StudyFolderError(
            f"Expected the settings of a study in {directory}, every one of them. "
            f"Received: {', '.join(sorted(wrong)):.200} missing or unknown. Use the "
            "version of keras-confusion that ran it."
        )
    try:
        return ConfusionSettings(**stored)
    except ValueError as error:
        raise study_folder.StudyFolderError(
            f"The settings of the study in {directory} make no sense. {error}"
        ) from error


def resolve_target_and_pair(
    description: dict, target: str, pair: str
) -> tuple[int, tuple[int, int]]:
    """Turns what a user asks to be explained into labels.

    Args:
        description: Of the study, see `StudyFolder`.
        target: Name or label of the target class.
        pair: "a-b", by names or labels, in any order.

    Returns:
        The target, and the pair (a, b), a < b.

    Raises:
        ValueError: If a class is unknown, the study has no such pair, the target is in
            it, or there are fewer than `MIN_CLASSES` classes.
    """
    names = description["class_names"]
    if len(names) < MIN_CLASSES:
        raise ValueError(
            "Expected classes to choose from, and others to compare with, beside the "
            f"target and the pair. Received: a study of {len(names)} classes. Use one "
            f"of at least {MIN_CLASSES}."
        )
    label = class_pairs.resolve_class(target, names)
    ((first, second),) = class_pairs.resolve_pairs([pair], names)
    pairs = [(int(a), int(b)) for a, b in description["settings"]["pairs"]]
    if (first, second) not in pairs:
        named = [f"{names[a]}-{names[b]}" for a, b in pairs]
        more = len(named) - _MOST_PAIRS_NAMED
        if more > 0:
            named = [*named[:_MOST_PAIRS_NAMED], f"... ({len(pairs)} in all)"]
        raise ValueError(
            f"Expected a pair that the study confused. Received: {pair!r}. Pairs: "
            f"{', '.join(named)}."
        )
    if label in (first, second):
        raise ValueError(
            "Expected a target outside the pair, as its own labels are the ones that "
            f"are confused. Received: target {names[label]} and pair {pair!r}. Use a "
            "third class."
        )
    return label, (first, second)


def paired_rows(
    networks: pd.DataFrame, pair: tuple[int, int], most: int
) -> list[tuple[dict, dict]]:
    """Rows of a baseline network and of the pair's arm, of one repeat each.

    Args:
        networks: As `store.read_networks` returns it.
        pair: Labels (a, b), a < b.
        most: Most repeats that are taken, the first ones.

    Returns:
        A list of (baseline row, confused row). Both of a repeat share their initial
        weights and the order of images.

    Raises:
        ValueError: If there is no repeat with both networks.
    """
    done = networks[~networks["failed"].astype(bool)]
    # A network that was trained a second time has other seeds than its repeat.
    rows_by_arm = {
        arm: {(row["repeat"], row["seed"]): row for row in rows.to_dict("records")}
        for arm, rows in done.groupby("arm")
    }
    baseline = rows_by_arm.get(network_files.BASELINE, {})
    confused = rows_by_arm.get(network_files.arm_name(pair), {})
    both = sorted(set(baseline) & set(confused))
    if not both:
        raise ValueError(
            "Expected a repeat in which the baseline and the pair are both trained, "
            f"from the same seeds. Received: {len(baseline)} baseline networks and "
            f"{len(confused)} networks of the pair, none of which share them. Use "
            "another pair, or let the study go on; one with --own-seeds has no such "
            "repeats."
        )
    return [(baseline[key], confused[key]) for key in both[:most]]


def retrained_network(
    plan: StudyPlan,
    row: dict,
    pair: tuple[int, int],
) -> RetrainedNetwork:
    """Trains a network of a study again, or reads what an earlier call kept.

    Args:
        plan: See `plan_of_study`.
        row: The network's row, of `paired_rows`.
        pair: The pair that is explained, left out for `winners`.

    Raises:
        study_folder.StudyFolderError: If a kept file cannot be read.
        NonFiniteLossError: If the training loss is not finite this time.
    """
    path = kept_networks.path(plan, row)
    key = kept_networks.key(plan, row)
    kept = kept_networks.read(path, key)
    if kept is None:
        kept = _train(plan, row)
        path.parent.mkdir(parents=True, exist_ok=True)
        arrays = kept | {"key": np.array(key)}
        files.write_atomically(path, lambda file: np.savez(file, **arrays))  # type: ignore[arg-type]
    labels = np.stack([kept[name] for name in confusion_answers.LABEL_COLUMNS])
    recorded = np.asarray(row["predictions"])
    return RetrainedNetwork(
        arm=row["arm"],
        repeat=int(row["repeat"]),
        weights=[kept[f"weights_{k}"] for k in range(len(kept) - len(labels))],
        predictions=labels[0],
        winners=confusion_answers.winners_without_pair(labels, pair),
        equal_predictions=float(np.mean(labels[0] == recorded)),
    )


def is_kept(plan: StudyPlan, row: dict) -> bool:
    """Whether a network need not be trained any more."""
    return (
        kept_networks.read(kept_networks.path(plan, row), kept_networks.key(plan, row))
        is not None
    )


@contextlib.contextmanager
def locked(directory: pathlib.Path) -> Iterator[None]:
    """Holds a study's explanations for one process; the study itself may go on.

    Half-written files of a process that was killed are deleted.

    Raises:
        errors.StudyLockedError: If another process holds them.
        errors.StudyFolderError: If a link in the study's folder leads out of it.
    """
    files.check_links(directory)
    folder = directory / FOLDER
    folder.mkdir(exist_ok=True)
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(locks.locked(folder))
        except errors.StudyLockedError as error:
            raise errors.StudyLockedError(
                f"Another process is writing explanations to {folder}. Wait for it, or "
                "stop it."
            ) from error
        for left_over in folder.glob("*/.*.tmp"):
            left_over.unlink()
        yield


def _train(plan: StudyPlan, row: dict) -> dict[str, np.ndarray]:
    from keras_confusion import errors
    from keras_confusion.training import trainer as training_trainer

    seeds = kept_networks.seeds(row)
    pair = None
    if row["arm"] != network_files.BASELINE:
        pair = int(row["class_a"]), int(row["class_b"])
    task = training_trainer.TrainingTask(
        seeds["initialisation_seed"],
        seeds["order_seed"],
        plan.given_labels(pair, seeds["corruption_seed"]),
    )
    losses = plan.trainer.train([task])
    if not np.isfinite(losses).all():
        raise errors.NonFiniteLossError(
            f"The training loss of {row['arm']}, repeat {row['repeat']}, was not "
            "finite, as it was in the study. Use the machine of the study."
        )
    answers = confusion_answers.summarise_logits(
        plan.trainer.test_logits()[0], plan.dataset.test.labels, plan.pairs[:1]
    )
    columns = confusion_answers.LABEL_COLUMNS
    kept = {name: answers[name].astype(np.uint16) for name in columns}
    for k, values in enumerate(plan.trainer.model.get_weights()):
        kept[f"weights_{k}"] = values
    return kept
