"""A study of either kind, finished or running -> tables, figures, TensorBoard, text."""

from keras_confusion import (
    confusion_report,
    description_checks,
    prototype_report,
    results,
    significance,
    study_folder,
)
from keras_confusion.report_files import Report


def write_report(directory, *, test: str | None = None) -> Report:
    """Writes everything that can be said of the results in a study's folder.

    `tables/*.csv`, `figures/*.png` and `.svg`, and the figures for TensorBoard. Nothing
    is trained or optimised; an earlier report is replaced.

    Args:
        directory: The study's folder, a string or path.
        test: Which test the findings of a confusion study are told by, one of
            `significance.TESTS`; `None` takes Welch's.

    Returns:
        A `Report`.

    Raises:
        ValueError: If there is no such test, or the study has none.
        study_folder.StudyFolderError: If the folder holds no study or no result yet,
            or a file cannot be read.
    """
    description = study_folder.read_description(directory)
    description_checks.check_complete(description, directory)
    kind = description["kind"]
    if kind == results.KIND:
        return confusion_report.write_confusion_report(
            directory, test=test or significance.WELCH
        )
    if test is not None:
        raise ValueError(
            f"Expected a {results.KIND} study for a choice of the test. Received: "
            f"test={test!r} for the {kind} study in {directory}, which has none. "
            "Use no --test."
        )
    return prototype_report.write_prototype_report(directory)
