"""What other networks make of a study's prototypes: a table, as a file and as text."""

import pathlib
from collections.abc import Sequence

import pandas as pd

from keras_confusion.storage.files import write_atomically
from keras_confusion.storage.study_folder import StudyFolder

FILE = "readability.csv"
# Of a row of the text: what it is, its column and its format.
_LINES = (
    ("test accuracy of the network", "test_accuracy", "{:.3f}"),
    ("class prototypes", "num_prototypes", "{:.0f}"),
    ("images that did not converge", "num_not_converged", "{:.0f}"),
    ("judged as their class, share", "transfer", "{:.2f}"),
    ("  by the judge that does least", "transfer_lowest", "{:.2f}"),
    ("  with mean probability", "probability", "{:.2f}"),
    ("P judged as its target, share", "p_transfer", "{:.2f}"),
    ("  with mean probability", "p_probability", "{:.2f}"),
    ("  and probability of its origin", "p_origin_probability", "{:.2f}"),
    ("distance that P travelled", "distance", "{:.2f}"),
    ("  until the network sees its target", "cross_over", "{:.2f}"),
    ("origin of P found by pixels, share", "retrieval_pixels", "{:.2f}"),
    ("  by features", "retrieval_features", "{:.2f}"),
    ("diversity of class prototypes", "diversity", "{:.2f}"),
    ("high frequencies of pixels from grey", "high_frequency", "{:.2f}"),
    ("updates of an image", "mean_iterations", "{:.0f}"),
)


def write(folder: StudyFolder, table: pd.DataFrame) -> pathlib.Path:
    """Writes `tables/readability.csv` into a study's folder.

    Args:
        folder: The study's.
        table: As `readability.of_study` returns it.

    Returns:
        The file.
    """
    file = folder.path / "tables" / FILE
    file.parent.mkdir(exist_ok=True)
    write_atomically(file, lambda path: table.to_csv(path, index=False))
    return file


def text(table: pd.DataFrame, judges: Sequence[str]) -> str:
    """The table for a terminal, one column for every interval of the training."""
    rows = {}
    for title, column, form in _LINES:
        # Without judges, or a network without features, some are not known.
        if column in table and table[column].notna().any():
            rows[title, column] = table[column].map(form.format, na_action="ignore")
    shown = pd.DataFrame(
        list(rows.values()), index=[title for title, _ in rows], dtype=object
    )
    shown.columns = [f"{at:g} %" for at in table["interval"]]
    lines = [shown.to_string(na_rep="-"), ""]
    if judges:
        lines += [
            f"Judges: {', '.join(judges)}. By chance they take one image in K for its "
            "class, of K classes."
        ]
    return "\n".join(lines)
