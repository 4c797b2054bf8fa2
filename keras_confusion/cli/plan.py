"""Says how many repeats a confusion study needs, from a small one that was run.

    keras-confusion plan studies/digits --effect 0.01
    keras-confusion plan cifar10 --effect 1 --response accuracy

The small study has the same data, model and epochs, and two repeats or more. For a
first guess without one, digits, planted, cifar10 and reviews are the names of studies
whose noise comes with the package. A few seconds.
"""

import argparse

from keras_confusion.cli import arguments


def parse_arguments(given=None, *, prog: str | None = None) -> argparse.Namespace:
    """Reads the command line; see `main`."""
    parser = arguments.command_parser(__doc__, "plan", prog)
    parser.add_argument(
        "source",
        metavar="FOLDER",
        help="the small study's folder, or digits, planted, cifar10 or reviews",
    )
    parser.add_argument(
        "--effect",
        type=float,
        required=True,
        help="the true effect on one cell that is to be found: d' for features and "
        "total, percentage points for accuracies",
    )
    parser.add_argument(
        "--response",
        choices=("features", "total", "accuracy_without_pair", "accuracy"),
        default="features",
        help="what is compared (default: features)",
    )
    parser.add_argument(
        "--comparison",
        choices=("class", "pair"),
        default="class",
        help="target x class, which needs all pairs, or target x pair (default: class)",
    )
    parser.add_argument(
        "--power",
        type=float,
        default=0.8,
        help="the share of studies that find it, above 0.5 (default: 0.8)",
    )
    parser.add_argument(
        "--num-pairs",
        type=int,
        metavar="N",
        help="pairs of the study (default: as many as the small one has)",
    )
    parser.add_argument(
        "--baseline-repeats",
        type=int,
        metavar="N",
        help="its networks without confusion (default: repeats x sqrt(pairs))",
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
    options = parse_arguments(given, prog=prog)
    from keras_confusion.cli import commands, exit_codes

    return exit_codes.exit_code(
        commands.plan_study,
        options.source,
        options.effect,
        response=options.response,
        comparison=options.comparison,
        power=options.power,
        num_pairs=options.num_pairs,
        baseline_repeats=options.baseline_repeats,
    )
