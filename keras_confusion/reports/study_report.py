"""A study of either kind, finished or running -> tables, figures, TensorBoard, text."""

import contextlib

from keras_confusion.comparisons import findings as comparison_findings
from keras_confusion.confusion import store as confusion_store
from keras_confusion.errors import StudyLockedError
from keras_confusion.prototypes import store as prototype_store
from keras_confusion.reports import confusion_report, prototype_report
from keras_confusion.reports.report_files import Report
from keras_confusion.reports.tensorboard import confusion_events, prototype_events
from keras_confusion.storage import files
from keras_confusion.storage.checks import echo
from keras_confusion.storage.study_folder import StudyFolder, StudyFolderError

# The settings that reports and event files are made from.
_NEEDED: dict[str, tuple[str, ...]] = {
    confusion_store.KIND: (
        *("dataset", "pairs", "repeats", "baseline_repeats", "epochs", "recipe"),
    ),
    prototype_store.KIND: ("dataset", "model", "width", "intervals"),
}


def write_report(directory, *, test: str | None = None) -> Report:
    """Writes everything that can be said of the results in a study's folder.

    `tables/*.csv`, `figures/*.png` and `.svg`, and a log for TensorBoard. Nothing is
    trained or optimised; an earlier report is replaced.

    Args:
        directory: As of `write_tables_and_figures`.
        test: As of `write_tables_and_figures`.

    Returns:
        A `Report`.

    Raises:
        ValueError: If there is no such test, or the study has none.
        StudyFolderError: If the folder holds no study or no result yet, or a file
            cannot be read.
    """
    folder = _open_complete(directory)
    # A study that is running writes its own events, or will.
    with contextlib.suppress(StudyLockedError):
        rewrite_events(folder, test=test)
    return write_tables_and_figures(folder, test=test)


def write_tables_and_figures(directory, *, test: str | None = None) -> Report:
    """Writes the report of a study whose events are written.

    Args:
        directory: The study's folder, a string or path, or an opened `StudyFolder`.
        test: Which test decides the findings of a confusion study, one of
            `findings.TESTS`; `None` takes `findings.DEFAULT_TEST`.

    Returns:
        A `Report`.

    Raises:
        ValueError: If there is no such test, or the study has none.
        StudyFolderError: If the folder holds no study or no result yet, or a file
            cannot be read.
    """
    folder = _open_complete(directory)
    if folder.kind == confusion_store.KIND:
        return confusion_report.write_confusion_report(
            folder, test=test or comparison_findings.DEFAULT_TEST
        )
    _check_no_test(folder, test)
    return prototype_report.write_prototype_report(folder)


def rewrite_events(directory, *, test: str | None = None) -> None:
    """Writes the event files of a study again, from its results.

    Args:
        directory: The study's folder, a string or path, or an opened `StudyFolder`.
        test: As of `write_report`.

    Raises:
        ValueError: If there is no such test, or the study has none.
        StudyLockedError: If the study is running; it writes its own.
        StudyFolderError: If the folder holds no study, or a file cannot be read.
    """
    folder = _open_complete(directory)
    if folder.kind == confusion_store.KIND:
        chosen = test or comparison_findings.DEFAULT_TEST
        with folder.locked():
            confusion_events.write_confusion_summaries(folder, chosen)
        return
    _check_no_test(folder, test)
    with folder.locked():
        prototype_events.write_prototype_summaries(folder)


def _check_no_test(folder: StudyFolder, test: str | None) -> None:
    if test is not None:
        raise ValueError(
            f"Expected a {confusion_store.KIND} study for a choice of the test. "
            f"Received: test={test!r} for the {folder.kind} study in {folder.path}, "
            "which has none. Use no --test."
        )


def _open_complete(directory) -> StudyFolder:
    """The folder of a study to write a report into.

    Its `study.json` says all that one is made from, and no link leads out of it.
    """
    folder = StudyFolder.open(directory)
    files.check_links(folder.path)
    if folder.kind not in _NEEDED:
        raise StudyFolderError(
            f"Expected a study of {' or '.join(_NEEDED)} in {folder.path}. Received: "
            f"{echo(folder.kind)}. Use another folder."
        )
    needed = _NEEDED[folder.kind]
    missing = [name for name in needed if name not in folder.settings]
    if missing:
        raise StudyFolderError(
            f"Expected the settings {', '.join(needed)} in the study.json of "
            f"{folder.path}. Received: none of {', '.join(missing)}. "
            "Use the file that keras-confusion wrote."
        )
    return folder
