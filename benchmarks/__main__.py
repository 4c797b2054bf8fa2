"""How fast everything is, beside what one would use otherwise, in one run.

    python -m benchmarks --out benchmarks.md
    python -m benchmarks --only a d --quick

measures one subject after the other, each in a process of its own, and writes one table
a subject under the machine, the versions and the commit, as Markdown and as JSON. What
a subject needs and does not find (a GPU, PyTorch, a data set) is left out, and said so.
"""

import argparse
import json
import os
import pathlib
import sys
import traceback

from benchmarks import tables, timing
from benchmarks.speed import subjects
from benchmarks.speed.subjects import SUBJECTS


def section(letter: str, measured: dict) -> tuple[str, str]:
    """Title and text of one subject in the report."""
    title = f"{letter}. {measured['title']}"
    if "error" in measured:
        return title, f"\nNot measured: {measured['error']}\n"
    table = tables.table(
        measured["rows"],
        reference=measured["reference"],
        without_ratio=measured["without_ratio"],
    )
    command = f"python -m benchmarks.speed.{measured['module']}"
    return title, f"\n{table}\n`{command}`, {measured['seconds'] / 60:.1f} minutes.\n"


def parse_arguments(given=None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--only",
        nargs="+",
        choices=SUBJECTS,
        default=[key for key, subject in SUBJECTS.items() if not subject.needs_disk],
        metavar="SUBJECT",
        help=f"some of {', '.join(SUBJECTS)}, see benchmarks/README.md (default: all "
        "but large and tensorboard)",
    )
    parser.add_argument(
        "--quick",
        action="store_true",
        help="a try of everything in a few minutes, with numbers that mean little",
    )
    parser.add_argument("--rounds", type=int, metavar="N", help="default: 5 or so")
    parser.add_argument("--dataset", metavar="NAME", help="default: cifar10")
    parser.add_argument("--data-dir", help="TensorFlow Datasets' directory")
    parser.add_argument(
        "--out",
        type=pathlib.Path,
        metavar="FILE.md",
        help="also write the tables there, and FILE.json beside it",
    )
    return parser.parse_args(given)


def main(given=None) -> int:
    arguments = parse_arguments(given)
    if arguments.data_dir is not None:
        # Read by TensorFlow Datasets, and inherited by every process.
        os.environ["TFDS_DATA_DIR"] = arguments.data_dir
    options = {"rounds": arguments.rounds, "dataset": arguments.dataset}
    header = timing.header()
    results, failed = {}, False
    for letter in arguments.only:
        subject = SUBJECTS[letter]
        if subject.needs_gpu and not timing.gpu():
            results[letter] = {"title": subject.module, "error": "no GPU here"}
            continue
        print(f"{letter}: {subject.module} ...", file=sys.stderr, flush=True)
        try:
            measured = subjects.in_own_process(
                subjects.measure, subject, arguments.quick, options
            )
        except Exception as error:
            # The other subjects are measured all the same.
            traceback.print_exc()
            measured = {"title": subject.module, "error": f"{error}"}
            failed = True
        results[letter] = measured
        print("\n".join(section(letter, measured)), flush=True)
        if arguments.out is not None:
            write(arguments.out, header, results)
    return int(failed)


def write(path: pathlib.Path, header: dict, results: dict) -> None:
    """Writes the report as Markdown, and all of its numbers as JSON beside it."""
    sections = [section(letter, measured) for letter, measured in results.items()]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(tables.document(header, sections))
    numbers = json.dumps({"header": header, "subjects": results}, indent=2)
    path.with_suffix(".json").write_text(numbers + "\n")


if __name__ == "__main__":
    sys.exit(main())
