"""Trains one classifier and saves it for probing.

    keras-confusion train --dataset digits --out saved_models/digits_cnn

trains the poster's CNN on scikit-learn's handwritten digits in seconds (test accuracy
0.96). With several GPUs the batches are divided among them. `saved_models/README.md`
has the commands of the models that come with the repository.
"""

import argparse

from keras_confusion.cli import arguments
from keras_confusion.training.settings import ClassifierSettings


def parse_arguments(given=None, *, prog: str | None = None) -> argparse.Namespace:
    """Reads the command line; see `main`."""
    parser = arguments.command_parser(__doc__, "train", prog)
    arguments.add_settings(parser, ClassifierSettings)
    parser.add_argument(
        "--out",
        metavar="DIR",
        help="the model's folder (default: models/NAME OF THE DATA SET_MODEL)",
    )
    return parser.parse_args(given)


def main(given=None, *, prog: str | None = None) -> int:
    """Runs the command.

    Args:
        given: Its words; `None` takes those of the process.
        prog: How it was called, for --help; `None` takes the name of the script.

    Returns:
        The exit code, see `exit_codes.exit_code`.
    """
    options = vars(parse_arguments(given, prog=prog))
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
