r"""Which units did a class have from two others that it is not confused with?

    keras-confusion explain studies/digits --target 9 --pair 2-4

takes a finding of a confusion study apart: it trains the baseline network and the
network that confuses the pair again, as no study keeps weights, for some repeats;
finds the units before the classification layer whose use for the target changed most;
and shows what each responds to: an image that is optimised to excite it, the test
images that excite it most, and its mean activation by class.

It writes units.csv, repeats.csv, units.png and units.svg to STUDY/explanations/, with
the weights, so that the next call trains only what is new. In one thread, networks of a
study that was trained on this machine come out bit for bit the same.
"""

import argparse

from keras_confusion.cli import arguments


def parse_arguments(given=None, *, prog: str | None = None) -> argparse.Namespace:
    """Reads the command line; see `main`."""
    parser = arguments.command_parser(__doc__, "explain", prog)
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


def main(given=None, *, prog: str | None = None) -> int:
    """Runs the command.

    Args:
        given: Its words; `None` takes those of the process.
        prog: How it was called, for --help; `None` takes the name of the script.

    Returns:
        The exit code, see `exit_codes.exit_code`.
    """
    options = vars(parse_arguments(given, prog=prog))
    # Only now: --help should not wait for TensorFlow.
    from keras_confusion.cli import commands, exit_codes

    directory = options.pop("directory")
    return exit_codes.exit_code(commands.explain_generalization, directory, **options)
