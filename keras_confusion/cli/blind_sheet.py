r"""Can a person read the prototypes of a study? A sheet without labels, and its score.

    keras-confusion blind-sheet studies/prototypes --out sheets/mine
    keras-confusion blind-sheet --score sheets/mine/answers.csv

The first command lays class prototypes and real test images out in any order, each with
nothing but a number. Look at sheet_1.png, write the name of a class beside every number
of answers.csv, guess or leave it empty where you see nothing, and do not open the key.
The second one says how many were right, of each kind of image, with an exact 95 %
interval, and what was taken for what.

Studies must be of the same data, each perhaps with another --parametrization.
"""

import argparse

from keras_confusion.cli import arguments


def parse_arguments(given=None, *, prog: str | None = None) -> argparse.Namespace:
    """Reads the command line; see `main`."""
    parser = arguments.command_parser(__doc__, "blind-sheet", prog)
    parser.add_argument(
        "studies", nargs="*", metavar="STUDY", help="folders of prototype studies"
    )
    parser.add_argument("--out", metavar="DIR", help="a new folder for the sheet")
    parser.add_argument(
        "--images",
        type=int,
        default=30,
        metavar="N",
        help="images of each kind, fewer where there are fewer (default: 30)",
    )
    parser.add_argument(
        "--seed", type=int, default=0, help="decides which images (default: 0)"
    )
    parser.add_argument("--data-dir", help="TensorFlow Datasets' directory")
    parser.add_argument(
        "--score", metavar="ANSWERS.csv", help="the answers, filled in, beside the key"
    )
    options = parser.parse_args(given)
    makes_one = bool(options.studies) and options.out is not None
    if makes_one == (options.score is not None):
        parser.error("a STUDY and --out DIR, or --score ANSWERS.csv, are needed")
    if options.images < 1:
        parser.error("--images must be at least 1")
    return options


def make_sheet(options: argparse.Namespace) -> int:
    """Writes a sheet and says what to do with it.

    Args:
        options: As `parse_arguments` returns them.

    Returns:
        0.
    """
    from keras_confusion.execution import runtime

    runtime.start_tensorflow()
    from keras_confusion.reports import blind_sheet

    images, class_names = blind_sheet.images_of_studies(
        options.studies, data_dir=options.data_dir, seed=options.seed
    )
    *sheets, answers = blind_sheet.write(
        options.out,
        images,
        class_names,
        num_images=options.images,
        seed=options.seed,
    )
    print(f"Look at:     {', '.join(map(str, sheets))}")
    print(f"Fill in:     {answers}")
    print(f"Then run:    keras-confusion blind-sheet --score {answers}")
    return 0


def print_score(answers) -> int:
    """Prints what answers were worth.

    Args:
        answers: The file.

    Returns:
        0.
    """
    from keras_confusion.reports import blind_sheet

    print(blind_sheet.text(*blind_sheet.score(answers)))
    return 0


def main(given=None, *, prog: str | None = None) -> int:
    """Runs the command.

    Args:
        given: Its words; `None` takes those of the process.
        prog: How it was called, for --help; `None` takes the name of the script.

    Returns:
        The exit code, see `exit_codes.exit_code`.
    """
    options = parse_arguments(given, prog=prog)
    # Only now: --help should not wait for TensorFlow.
    from keras_confusion.cli import exit_codes

    if options.score is not None:
        return exit_codes.exit_code(print_score, options.score, resumes=False)
    return exit_codes.exit_code(make_sheet, options, resumes=False)
