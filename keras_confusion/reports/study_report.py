"""A study of either kind, finished or running -> tables, figures, TensorBoard, text."""

import pathlib

from keras_confusion.comparisons import findings as comparison_findings
from keras_confusion.confusion import store as confusion_store
from keras_confusion.prototypes import store as prototype_store
from keras_confusion.reports import confusion_report, prototype_report
from keras_confusion.reports.report_files import Report
from keras_confusion.reports.tensorboard import confusion_events, prototype_events
from keras_confusion.storage import checks, study_folder


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
    description = study_folder.read_description(directory)
    checks.check_complete(description, directory)
    kind = description["kind"]
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
    description = study_folder.read_description(directory)
    checks.check_complete(description, directory)
    write = {
        confusion_store.KIND: confusion_events.write_confusion_summaries,
        prototype_store.KIND: prototype_events.write_prototype_summaries,
    }[description["kind"]]
    with study_folder.locked(directory):
        write(directory)
