"""The confusion poster's findings on CIFAR-10, held against a study of all its pairs.

    python -m benchmarks.validity.poster_comparison docs/results/confusion_cifar10 \
        --out docs/results/confusion_cifar10/README.md --figure blocks.png

reads a study's folder and answers the poster point by point: cars, trucks and frogs;
animals and vehicles; birds and dogs; how much is competition; bits; power. For both
responses and by all tests. Where the page that --out names has the two marker comments
its text between them is replaced, and nothing else; a page that is not there is made.
Nothing is trained, and TensorFlow is not needed; some seconds.
"""

import argparse
import pathlib
import sys

from benchmarks.validity import (
    null_networks,
    poster_figure,
    poster_points,
    poster_report,
)
from benchmarks.validity.poster_points import BY_CLASS, BY_PAIR, Measured
from benchmarks.validity.poster_statistics import tables_of_repeats
from keras_confusion.comparisons import target_by_class, target_by_pair
from keras_confusion.confusion import store as confusion_store
from keras_confusion.datasets import class_pairs
from keras_confusion.storage import study_folder

BEGIN = "<!-- begin: python -m benchmarks.validity.poster_comparison -->"
END = "<!-- end: python -m benchmarks.validity.poster_comparison -->"


def read(directory: pathlib.Path) -> tuple[dict, Measured]:
    """Reads a study and compares its networks.

    Args:
        directory: The folder of a finished study of all pairs of CIFAR-10's classes.

    Returns:
        The study's description, see `StudyFolder`, and the study.

    Raises:
        ValueError: If classes, pairs or repeats are not enough for the comparison.
        study_folder.StudyFolderError: If the folder holds no study.
    """
    folder = confusion_store.open_to_read(directory)
    class_names = folder.class_names
    named = {*poster_points.VEHICLES, *poster_points.VANISHED, "frog"}
    if missing := sorted(named - set(class_names)):
        raise ValueError(
            f"Expected the classes of CIFAR-10. Received: a study without {missing}. "
            "Use a study of --dataset cifar10."
        )
    pairs = folder.settings["pairs"]
    if not class_pairs.has_all_pairs(pairs, len(class_names)):
        raise ValueError(
            f"Expected all pairs of classes. Received: "
            f"{len(pairs)} pairs. Use --pairs all."
        )
    responses = null_networks.read_responses(directory)
    return folder.description, measure(responses, class_names)


def measure(study, class_names) -> Measured:
    """Compares the networks of a study, and of each of its repeats.

    Args:
        study: `responses.StudyResponses`.
        class_names: Names in the order of the labels.

    Raises:
        ValueError: If fewer than two repeats are complete.
    """
    repeats = tables_of_repeats(study, class_names)
    if len(repeats) < 2:
        raise ValueError(
            "Expected two repeats or more with all arms and the baseline. "
            f"Received: {len(repeats)}. Use --repeats 2 or more, and let the study end."
        )

    def third(table):
        return table[table["family"] == "third"].reset_index(drop=True)

    by_class = target_by_class.target_by_class(study, class_names)
    by_pair = target_by_pair.target_by_pair(study, class_names)
    return Measured(
        list(class_names),
        study,
        {BY_CLASS: by_class, BY_PAIR: third(by_pair)},
        {
            BY_CLASS: [tables["class"] for tables in repeats],
            BY_PAIR: [third(tables["pair"]) for tables in repeats],
        },
    )


def insert(page: str, text: str) -> str:
    """Puts a text between the markers of a page.

    Raises:
        ValueError: If the page has not each marker once, in order.
    """
    begin, end = page.find(BEGIN), page.find(END)
    if page.count(BEGIN) != 1 or page.count(END) != 1 or end < begin:
        raise ValueError(
            f"Expected the lines\n    {BEGIN}\n    {END}\neach once in the page. "
            f"Received: {page.count(BEGIN)} and {page.count(END)} of them, or in the "
            "wrong order. Add them where the text is to stand, or name a new file."
        )
    return page[: begin + len(BEGIN)] + "\n" + text + page[end:]


def main(given=None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.validity.poster_comparison",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("study", type=pathlib.Path, metavar="STUDY")
    parser.add_argument("--out", type=pathlib.Path, metavar="FILE.md")
    parser.add_argument("--figure", type=pathlib.Path, metavar="FILE.png")
    options = parser.parse_args(given)
    try:
        description, measured = read(options.study)
        text = poster_report.fragment(description, measured)
        if options.out is not None:
            page = f"{BEGIN}\n{END}\n"
            if options.out.exists():
                page = options.out.read_text()
            page = insert(page, text)
    except (ValueError, study_folder.StudyFolderError) as error:
        parser.error(str(error))
    print(text)
    if options.out is not None:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(page)
    if options.figure is not None:
        options.figure.parent.mkdir(parents=True, exist_ok=True)
        figure = poster_figure.draw(measured, poster_points.blocks(measured))
        figure.savefig(options.figure, dpi=poster_figure.DPI)
    return 0


if __name__ == "__main__":
    sys.exit(main())
