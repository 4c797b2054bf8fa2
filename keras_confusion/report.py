"""A study of either kind, finished or running -> tables, figures, TensorBoard, text."""

from keras_confusion import (
    confusion_report,
    prototype_report,
    prototype_results,
    results,
    study_folder,
)
from keras_confusion.report_files import Report

_WRITERS = {
    results.KIND: confusion_report.write_confusion_report,
    prototype_results.KIND: prototype_report.write_prototype_report,
}


def write_report(directory) -> Report:
    """Writes everything that can be said of the results in a study's folder.

    `tables/*.csv`, `figures/*.png` and `.svg`, and the figures for TensorBoard. Nothing
    is trained or optimised; an earlier report is replaced.

    Args:
        directory: The study's folder, a string or path.

    Returns:
        A `Report`.

    Raises:
        study_folder.StudyFolderError: If the folder holds no study or no result yet,
            or a file cannot be read.
    """
    return _WRITERS[study_folder.read_description(directory)["kind"]](directory)
