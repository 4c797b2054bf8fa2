"""Rebuilds the tables, figures and TensorBoard data of a study, without training.

    keras-confusion analyse studies/digits

It reads `study.json`, `test_labels.npy` and `networks/` and nothing else; a study that
is still running can be analysed too. A few seconds for a study of 200 networks.
"""

import argparse

from keras_confusion.cli import arguments


def parse_arguments(given=None, *, prog: str | None = None) -> argparse.Namespace:
    """Reads the command line; see `main`."""
    parser = arguments.command_parser(__doc__, "analyse", prog)
    parser.add_argument("directory", help="the study's folder")
    arguments.add_test_argument(parser)
    return parser.parse_args(given)


def main(given=None, *, prog: str | None = None) -> int:
    """Runs the command.

    Args:
        given: Its words; `None` takes those of the process.
        prog: How it was called, for --help; `None` takes the name of the script.

    Returns:
        The exit code, see `exit_codes.exit_code`.
    """
    options = parse_arguments(given, prog=prog)
    from keras_confusion.cli import commands, exit_codes

    return exit_codes.exit_code(
        commands.analyse_study, options.directory, test=options.test
    )
