#!/usr/bin/env python3
"""What does a classifier think its classes look like, and how does that change?

    python scripts/run_prototype_study.py --dataset digits --out studies/prototypes

trains one network on 25, 40, ... 100 % of the digits; after each interval it optimises
images into class prototypes, drags each to every other class, finds the boundaries
between them, and compares their features (matrices C and R). The same command again
takes an interrupted study up where it was stopped. See README.md for times and
expected numbers.
"""

import argparse
import sys

from keras_confusion.cli import arguments


def parse_arguments(given=None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    arguments.add_classifier_arguments(parser)
    study = parser.add_argument_group("intervals")
    study.add_argument(
        "--intervals",
        type=float,
        nargs="+",
        default=[25, 40, 60, 70, 80, 90, 100],
        metavar="P",
        help="percentages of the training (default: 25 40 60 70 80 90 100)",
    )
    study.add_argument(
        "--interval-of",
        choices=("data", "steps"),
        default="data",
        help="data: one network goes on training on growing parts of every class; "
        "steps: it is looked at during one training (default: %(default)s)",
    )
    images = parser.add_argument_group("prototypes")
    images.add_argument(
        "--inits",
        type=int,
        default=5,
        metavar="N",
        help="initialisations of the images (default: %(default)s)",
    )
    images.add_argument(
        "--start",
        choices=("previous", "noise"),
        default="previous",
        help="class prototypes go on from the interval before, or begin afresh "
        "(default: %(default)s)",
    )
    arguments.add_image_optimizer_arguments(
        images, learning_rate="--prototype-learning-rate"
    )
    images.add_argument(
        "--no-boundaries",
        dest="boundaries",
        action="store_false",
        help="make no boundary prototypes, which take as long as the others",
    )
    images.add_argument(
        "--frames",
        type=int,
        default=0,
        metavar="N",
        help="pictures kept of every prototype's way (default: none)",
    )
    images.add_argument(
        "--prototype-dtype",
        choices=("auto", "float32", "bfloat16"),
        default="auto",
        help="bfloat16: images are optimised in it and finished in float32, which "
        "decides; auto: that where the machine computes in it",
    )
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

    options["intervals"] = tuple(options["intervals"])
    if options["image_size"] is not None:
        options["image_size"] = tuple(options["image_size"])
    directory = options.pop("out") or (
        f"studies/prototypes_{pathlib.Path(options['dataset']).stem}"
    )
    return exit_codes.exit_code(commands.run_prototype_study, directory, **options)


if __name__ == "__main__":
    sys.exit(main())
