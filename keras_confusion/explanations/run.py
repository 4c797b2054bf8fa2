"""From a study's folder to an explained generalization.

The networks of a pair and of the baseline are trained again (`retraining`) and compared
unit by unit (`result`).
"""

from typing import TYPE_CHECKING

import pandas as pd

from keras_confusion.confusion import network_checks
from keras_confusion.confusion import store as confusion_store
from keras_confusion.confusion.plan import StudyPlan
from keras_confusion.execution import runtime
from keras_confusion.execution.progress import Progress
from keras_confusion.explanations import retraining
from keras_confusion.explanations.retraining import RetrainedNetwork
from keras_confusion.storage.study_folder import StudyFolder

if TYPE_CHECKING:
    from keras_confusion.explanations import result

# Modules that import TensorFlow are imported in the functions that need them.

# Columns needed to choose the networks.
_WHICH = ["arm", "repeat", "seed", "failed"]


def explain_generalization(
    directory,
    *,
    target: str,
    pair: str,
    repeats: int = 3,
    units: int = 6,
    dataset: str | None = None,
    data_dir=None,
    model: str | None = None,
) -> "result.Explanation":
    """Finds the units behind a generalization.

    Args:
        directory: The folder of a confusion study, which may still be running: a string
            or path, or an opened `StudyFolder`.
        target: Name or label of the target class.
        pair: A confused pair of the study, "a-b", in any order.
        repeats: Most repeats whose networks are trained again.
        units: How many units are shown.
        dataset: See `retraining.plan_of_study`.
        data_dir: Where TensorFlow Datasets keeps its data.
        model: See `retraining.plan_of_study`.

    Returns:
        A `result.Explanation`; `explanation_report.write_explanation` writes it.

    Raises:
        ValueError: If a class, the pair or a number makes no sense, no repeat has both
            networks, or the study's model has no units that can be told apart.
        StudyFolderError: If the folder holds no confusion study, its data set has
            changed, or another process explains it.
    """
    for name, value in (("repeats", repeats), ("units", units)):
        if value < 1:
            raise ValueError(f"Expected `{name}` of at least 1. Received: {value}.")
    folder = confusion_store.open_to_read(directory)
    label, labels = retraining.resolve_target_and_pair(folder.description, target, pair)
    rows = _paired_rows(folder, labels, repeats)
    # In one thread, as the study's workers: networks come out the same.
    deterministic = bool(folder.settings.get("deterministic"))
    runtime.start_tensorflow(threads=1, deterministic=deterministic)
    from keras_confusion.explanations import explained_model, result

    with retraining.locked(folder.path):
        plan = retraining.plan_of_study(folder, data_dir, model=model, dataset=dataset)
        # What is wrong with the model shows before any training.
        explained = explained_model.ExplainedModel(plan)
        retrained = _retrain(plan, rows, labels)
        progress = _ImageProgress()
        try:
            return result.explain(
                explained,
                retrained,
                label,
                labels,
                num_units=units,
                on_progress=progress.show,
            )
        finally:
            progress.close()


def _paired_rows(folder: StudyFolder, pair, most: int):
    """`retraining.paired_rows` of a study of any size: only those rows are kept."""
    some = list(confusion_store.iterate_networks(folder.path, columns=_WHICH))
    about = pd.concat(some) if some else confusion_store.read_networks(folder.path)
    wanted = {
        (row["arm"], row["repeat"])
        for both in retraining.paired_rows(about, pair, most)
        for row in both
    }
    test_labels, kept = confusion_store.read_test_labels(folder), []
    for networks in confusion_store.iterate_networks(folder.path):
        keys = zip(networks["arm"], networks["repeat"], strict=True)
        some = networks[[key in wanted for key in keys]]
        network_checks.check_networks(
            some, folder.description, test_labels=test_labels, source=folder.path
        )
        kept.append(some)
    return retraining.paired_rows(pd.concat(kept), pair, most)


def _retrain(
    plan: StudyPlan, rows, pair
) -> list[tuple[RetrainedNetwork, RetrainedNetwork]]:
    """Trains the baseline and the confused network of every repeat again."""
    in_order = [row for repeat_rows in rows for row in repeat_rows]
    is_kept = [retraining.is_kept(plan, row) for row in in_order]
    num_done = sum(is_kept)
    progress = Progress(len(in_order), done=num_done, unit="networks")
    retrained = []
    try:
        for row, kept in zip(in_order, is_kept, strict=True):
            retrained.append(retraining.retrained_network(plan, row, pair))
            if not kept:
                num_done += 1
                progress.show(num_done)
    finally:
        progress.close()
    return list(zip(retrained[::2], retrained[1::2], strict=True))


class _ImageProgress:
    """A progress bar that learns how many images there are with the first."""

    def __init__(self):
        self._progress: Progress | None = None

    def show(self, num_done: int, num_images: int) -> None:
        if self._progress is None:
            self._progress = Progress(num_images, done=0, unit="images")
        self._progress.show(num_done)

    def close(self) -> None:
        if self._progress is not None:
            self._progress.close()
