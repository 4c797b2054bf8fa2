"""The confusion poster's findings on CIFAR-10, held against a study of all its pairs.

    python -m benchmarks.validity.poster_comparison docs/results/confusion_cifar10 \
        --out docs/results/confusion_cifar10/README.md --figure blocks.png

reads a study's folder and makes the tables that answer the poster point by point: cars,
trucks and frogs; animals and vehicles; birds and dogs; how much is competition; bits;
power. For both responses and by all tests. Each table goes between its own two marker
comments in the page that --out names, whose sentences are written by hand
(`tests/benchmarks/test_poster_page.py` checks their numbers). Nothing is trained, and
TensorFlow is not needed; some seconds.
"""

import argparse
import pathlib
import re
import sys

from benchmarks.validity import (
    poster_blocks,
    poster_cells,
    poster_figure,
    poster_sizes,
    poster_study,
)
from benchmarks.validity.null_report import markdown
from benchmarks.validity.poster_study import Measured
from keras_confusion.storage import study_folder

# Each makes rows, dictionaries of text by the column's title.
TABLES = {
    "claimed cells": poster_cells.claimed_cells,
    "claimed pairs": poster_cells.claimed_pairs,
    "large t": poster_sizes.large_t,
    "block means": poster_blocks.block_means,
    "splits": poster_blocks.splits,
    "trees": poster_blocks.trees,
    "vanished cells": poster_cells.vanished_cells,
    "counts by df": poster_cells.counts_by_df,
    "variances": poster_cells.variances,
    "shares": poster_cells.shares,
    "bits": poster_sizes.bits,
    "power": poster_sizes.power,
}
MARKERS = "<!-- table: {} -->\n{}<!-- end -->\n"
_MARKED = re.compile(MARKERS.format("(.*)", "(?s:.*?)"))


def make_tables(measured: Measured) -> dict[str, list[dict]]:
    """The rows of every table, by its name."""
    return {name: make(measured) for name, make in TABLES.items()}


def fill(page: str, tables: dict[str, list[dict]]) -> str:
    """Writes every table between its markers of a page, and changes nothing else.

    Raises:
        ValueError: If the page does not have the markers of each table once.
    """
    named = _MARKED.findall(page)
    if sorted(named) != sorted(tables):
        raise ValueError(
            f"Expected the lines\n{MARKERS.format('NAME', '')}once in the page for "
            f"each of {sorted(tables)}. Received: {sorted(named)}. Add what is missing."
        )

    def write(found: re.Match) -> str:
        rows = tables[found[1]]
        return MARKERS.format(found[1], markdown(rows[0], map(dict.values, rows)))

    return _MARKED.sub(write, page)


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
        page = "\n".join(MARKERS.format(name, "") for name in TABLES)
        if options.out is not None:
            page = options.out.read_text()
        measured = poster_study.read(options.study)
        page = fill(page, make_tables(measured))
    except (ValueError, OSError, study_folder.StudyFolderError) as error:
        parser.error(str(error))
    if options.out is None:
        print(page)
    else:
        options.out.write_text(page)
    if options.figure is not None:
        options.figure.parent.mkdir(parents=True, exist_ok=True)
        poster_figure.draw(measured).savefig(options.figure, dpi=poster_figure.DPI)
    return 0


if __name__ == "__main__":
    sys.exit(main())
