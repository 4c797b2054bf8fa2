"""What does a classifier think its classes look like, and how does that change?

    keras-confusion prototypes --dataset digits --out studies/prototypes

trains one network on 25, 40, ... 100 % of the digits; after each interval it optimises
images into class prototypes, drags each to every other class, finds the boundaries
between them, and compares their features (matrices C and R). The same command
resumes an interrupted study. See README.md for times and expected numbers.
"""

import argparse

from keras_confusion.cli import arguments
from keras_confusion.prototypes.settings import PrototypeSettings


def parse_arguments(given=None, *, prog: str | None = None) -> argparse.Namespace:
    """Reads the command line; see `main`."""
    parser = arguments.command_parser(__doc__, "prototypes", prog)
    groups = arguments.add_settings(parser, PrototypeSettings)
    groups["training"].add_argument(
        "--networks-of",
        metavar="DIR",
        help="a finished study of the same networks: they are copied, not trained "
        "again, to compare two ways of making prototypes",
    )
    images = groups["prototypes"]
    images.add_argument(
        "--workers",
        type=int,
        metavar="N",
        help="processes, for initialisations that are not made together (default: one "
        "per core, or one on a GPU)",
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
        f"studies/prototypes_{pathlib.Path(options['dataset']).stem}"
    )
    return exit_codes.exit_code(commands.run_prototype_study, directory, **options)
