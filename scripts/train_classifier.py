#!/usr/bin/env python3
"""Trains one classifier and saves it for probing.

    python scripts/train_classifier.py --dataset digits --out saved_models/digits_cnn

trains the poster's CNN on scikit-learn's handwritten digits in seconds (test accuracy
0.96). With several GPUs the batches are divided among them. `saved_models/README.md`
has the commands of the models that are shipped.
"""

from keras_confusion.cli import startup

if __name__ == "__main__":
    # Before what takes time to import.
    startup.prepare()

import argparse
import sys

from keras_confusion.cli import arguments
from keras_confusion.training.settings import TrainingSettings


def parse_arguments(given=None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    arguments.add_settings(parser, TrainingSettings)
    parser.add_argument(
        "--out",
        metavar="DIR",
        help="the model's folder (default: models/NAME OF THE DATA SET_MODEL)",
    )
    return parser.parse_args(given)


def main() -> int:
    options = vars(parse_arguments())
    # Only now: --help should not wait for what training needs.
    import pathlib

    from keras_confusion.cli import commands, exit_codes

    directory = options.pop("out") or (
        f"models/{pathlib.Path(options['dataset']).stem}_"
        f"{options['model'].rpartition(':')[2]}"
    )
    return exit_codes.exit_code(
        commands.train_classifier, directory, resumes=False, **options
    )


if __name__ == "__main__":
    sys.exit(main())
