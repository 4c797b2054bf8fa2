r"""Can others read the prototypes of a study: networks that did not make them?

    keras-confusion judge studies/prototypes saved_models/cifar10_cnn \
        saved_models/cifar10_resnet18_width12

asks the judges, classifiers of the same classes, what they take every prototype for,
and measures how far intermediary prototypes travelled and what of their origin is left.
It prints a table with a row for every interval of the training, and writes it into the
study's folder. With no judges it measures what needs none.

The study's networks and the judges are loaded, which runs what is in them: take only
those whose makers you trust.
"""

import argparse

from keras_confusion.cli import arguments


def parse_arguments(given=None, *, prog: str | None = None) -> argparse.Namespace:
    """Reads the command line; see `main`."""
    parser = arguments.command_parser(__doc__, "judge", prog)
    parser.add_argument("directory", metavar="STUDY", help="the study's folder")
    parser.add_argument(
        "judges",
        nargs="*",
        metavar="MODEL",
        help="as for keras-confusion probe: a folder of saved_models/, a SavedModel "
        "folder, or a .keras file",
    )
    return parser.parse_args(given)


def judge_study(directory, *, judges) -> int:
    """Prints and writes what judges make of a study's prototypes.

    Args:
        directory: The study's folder.
        judges: Paths of saved classifiers, see `loading.load_probe`.

    Returns:
        0.
    """
    from keras_confusion.execution import runtime
    from keras_confusion.storage.study_folder import StudyFolder

    folder = StudyFolder.open(directory)
    runtime.start_tensorflow()
    from keras_confusion.models import loading
    from keras_confusion.prototypes import readability
    from keras_confusion.reports import readability_report

    probes = {str(path): loading.load_probe(path) for path in judges}
    table = readability.of_study(folder, probes)
    file = readability_report.write(folder, table)
    print(readability_report.text(table, list(probes)))
    print(f"Table:       {file}")
    return 0


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
    from keras_confusion.cli import exit_codes

    return exit_codes.exit_code(judge_study, resumes=False, **options)
