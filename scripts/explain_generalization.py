#!/usr/bin/env python3
r"""Which units did a class have from two others that it is not confused with?

    python scripts/explain_generalization.py studies/digits --target 9 --pair 2-4

takes a finding of a confusion study apart: it trains the baseline network and the
network that confuses the pair again, as no study keeps weights, for some repeats;
finds the units before the classification layer whose use for the target changed most;
and shows what each responds to: an image that is optimised to excite it, the test
images that excite it most, and its mean activation by class.

It writes units.csv, repeats.csv, units.png and units.svg to STUDY/explanations/, with
the weights, so that the next call trains only what is new. In one thread, networks of a
study that was trained on this machine come out bit for bit the same.
"""

from keras_confusion.cli import startup

if __name__ == "__main__":
    # Before what takes time to import.
    startup.prepare()

import argparse
import sys


def parse_arguments(given=None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "directory", metavar="STUDY", help="the folder of a confusion study"
    )
    parser.add_argument(
        "--target",
        required=True,
        metavar="CLASS",
        help="class whose recognition is explained, by name or label",
    )
    parser.add_argument(
        "--pair",
        required=True,
        metavar="A-B",
        help="pair of classes that the study confused, in any order",
    )
    parser.add_argument(
        "--repeats",
        type=int,
        default=3,
        metavar="N",
        help="repeats to train again, at most those of the study "
        "(default: %(default)s)",
    )
    parser.add_argument(
        "--units",
        type=int,
        default=6,
        metavar="N",
        help="units to show (default: %(default)s)",
    )
    parser.add_argument(
        "--dataset",
        metavar="PATH",
        help="where the study's folder of images or .npz file is now (default: where "
        "it was)",
    )
    parser.add_argument("--data-dir", help="TensorFlow Datasets' directory")
    parser.add_argument(
        "--model",
        metavar="PACKAGE.MODULE:FUNCTION",
        help="the study's own model function, if it has one: naming it allows that it "
        "is imported and called",
    )
    return parser.parse_args(given)


def main() -> int:
    options = vars(parse_arguments())
    # Only now: --help should not wait for TensorFlow.
    from keras_confusion.cli import commands, exit_codes

    directory = options.pop("directory")
    return exit_codes.exit_code(commands.explain_generalization, directory, **options)


if __name__ == "__main__":
    sys.exit(main())
