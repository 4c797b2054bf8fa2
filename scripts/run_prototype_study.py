#!/usr/bin/env python3
"""What does a classifier think its classes look like, and how does that change?

    python scripts/run_prototype_study.py --dataset digits --out studies/prototypes

trains one network on 25, 40, ... 100 % of the digits; after each interval it optimises
images into class prototypes, drags each to every other class, finds the boundaries
between them, and compares their features (matrices C and R). The same command
resumes an interrupted study. See README.md for times and expected numbers.
"""

from keras_confusion.cli import startup

if __name__ == "__main__":
    # Before what takes time to import.
    startup.prepare()

import argparse
import sys

from keras_confusion.cli import arguments
from keras_confusion.prototypes.settings import PrototypeSettings


def parse_arguments(given=None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    images = arguments.add_settings(parser, PrototypeSettings)["prototypes"]
    images.add_argument(
        "--inits-at-a-time",
        type=int,
        metavar="N",
        help="initialisations that are made and written together (default: as many as "
        "fill the batches, or all on a GPU)",
    )
    images.add_argument(
        "--images-at-a-time",
        type=int,
        metavar="N",
        help="images in one batch (default: 100, or 1000 on a GPU)",
    )
    parser.add_argument(
        "--out",
        metavar="DIR",
        help="the study's folder (default: studies/prototypes_NAME OF THE DATA SET)",
    )
    return parser.parse_args(given)


def main() -> int:
    options = vars(parse_arguments())
    # Only now: --help should not wait for what training needs.
    import pathlib

    from keras_confusion.cli import commands, exit_codes

    directory = options.pop("out") or (
        f"studies/prototypes_{pathlib.Path(options['dataset']).stem}"
    )
    return exit_codes.exit_code(commands.run_prototype_study, directory, **options)


if __name__ == "__main__":
    sys.exit(main())
