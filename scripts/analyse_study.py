#!/usr/bin/env python3
"""Rebuilds the tables, figures and TensorBoard data of a study, without training.

    python scripts/analyse_study.py studies/digits

It reads `study.json`, `test_labels.npy` and `networks/` and nothing else; a study that
is still running can be analysed too. A few seconds for a study of 200 networks.
"""

from keras_confusion.cli import startup

if __name__ == "__main__":
    # Before what takes time to import.
    startup.prepare()

import argparse
import sys

from keras_confusion.cli import arguments


def parse_arguments(given=None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("directory", help="the study's folder")
    arguments.add_test_argument(parser)
    return parser.parse_args(given)


def main() -> int:
    options = parse_arguments()
    from keras_confusion.cli import commands, exit_codes

    return exit_codes.exit_code(
        commands.analyse_study, options.directory, test=options.test
    )


if __name__ == "__main__":
    sys.exit(main())
