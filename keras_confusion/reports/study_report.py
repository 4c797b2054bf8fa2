"""A study of either kind, finished or running -> tables, figures, TensorBoard, text."""

import pathlib

from keras_confusion.comparisons import findings as comparison_findings
from keras_confusion.confusion import store as confusion_store
from keras_confusion.prototypes import store as prototype_store
from keras_confusion.reports import confusion_report, prototype_report
from keras_confusion.reports.report_files import Report
from keras_confusion.reports.tensorboard import confusion_events, prototype_events
from keras_confusion.storage import study_folder
from keras_confusion.storage.checks import echo

# The settings that reports and event files are made from.
_NEEDED: dict[str, tuple[str, ...]] = {
    confusion_store.KIND: (
        *("dataset", "pairs", "repeats", "baseline_repeats", "epochs", "recipe"),
    ),
    prototype_store.KIND: ("dataset", "model", "width", "intervals"),
}


def write_report(directory, *, test: str | None = None) -> Report:
    """Writes everything that can be said of the results in a study's folder.

    `tables/*.csv`, `figures/*.png` and `.svg`, and the figures for TensorBoard. Nothing
    is trained or optimised; an earlier report is replaced.

    Args:
        directory: The study's folder, a string or path.
        test: Which test the findings of a confusion study are told by, one of
            `findings.TESTS`; `None` takes Welch's.

    Returns:
        A `Report`.

    Raises:
        ValueError: If there is no such test, or the study has none.
        study_folder.StudyFolderError: If the folder holds no study or no result yet,
            or a file cannot be read.
    """
    kind = _complete_kind(directory)
    if kind == confusion_store.KIND:
        return confusion_report.write_confusion_report(
            directory, test=test or comparison_findings.WELCH
        )
    if test is not None:
        raise ValueError(
            f"Expected a {confusion_store.KIND} study for a choice of the test. "
            f"Received: test={test!r} for the {kind} study in {directory}, which "
            "has none. Use no --test."
        )
    return prototype_report.write_prototype_report(directory)


def rewrite_events(directory) -> None:
    """Writes the event files of a study again, from its results.

    Args:
        directory: The study's folder, a string or path.

    Raises:
        study_folder.StudyLockedError: If the study is running; it writes its own.
        study_folder.StudyFolderError: If the folder holds no study, or a file cannot
            be read.
    """
    directory = pathlib.Path(directory)
    write = {
        confusion_store.KIND: confusion_events.write_confusion_summaries,
        prototype_store.KIND: prototype_events.write_prototype_summaries,
    }[_complete_kind(directory)]
    with study_folder.locked(directory):
        write(directory)


def _complete_kind(directory) -> str:
    """The kind of a study whose `study.json` says all that a report is made from."""
    description = study_folder.read_description(directory)
    kind, settings = description["kind"], description["settings"]
    if kind not in _NEEDED:
        raise study_folder.StudyFolderError(
            f"Expected a study of {' or '.join(_NEEDED)} in {directory}. Received: "
            f"{echo(kind)}. Use another folder."
        )
    missing = [name for name in _NEEDED[kind] if name not in settings]
    if missing:
        raise study_folder.StudyFolderError(
            f"Expected the settings {', '.join(_NEEDED[kind])} in the study.json of "
            f"{directory}. Received: none of {', '.join(missing)}. "
            "Use the file that keras-confusion wrote."
        )
    return kind
