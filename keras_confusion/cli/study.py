"""Which class learns from which? Trains a confusion study and reports what it found.

    keras-confusion study --dataset digits --out studies/digits

trains the baseline and all 45 confused pairs of scikit-learn's handwritten digits, 4
repeats each. The same command resumes an interrupted study.
See README.md for times and expected numbers.
"""

import argparse

from keras_confusion.cli import arguments
from keras_confusion.confusion.settings import ConfusionSettings


def number_or_auto(text: str) -> int | None:
    """The number that a text is; `None` for auto."""
    return None if text == "auto" else int(text)


def parse_arguments(given=None, *, prog: str | None = None) -> argparse.Namespace:
    """Reads the command line; see `main`."""
    parser = arguments.command_parser(__doc__, "study", prog)
    groups = arguments.add_settings(parser, ConfusionSettings)
    study, training = groups["study"], groups["training"]
    arguments.add_test_argument(study)
    study.add_argument(
        "--readout-baselines",
        type=int,
        default=5,
        metavar="N",
        help="baseline networks on whose features a last layer is fitted to the "
        "swapped labels of every pair, to see what the last layer does alone; 0 for "
        "none (default: %(default)s)",
    )
    study.add_argument(
        "--keep-logits",
        action="store_true",
        help="keep every network's answers to the test set (float16, in logits/), so "
        "that a later measure needs no training",
    )
    training.add_argument(
        "--workers",
        type=int,
        metavar="N",
        help="processes (default: one per core or GPU of this machine or the cluster; "
        "one on a machine with GPUs)",
    )
    training.add_argument(
        "--networks-per-program",
        type=number_or_auto,
        default="auto",
        metavar="N",
        help="networks that are trained at a time, packed into one program: a number, "
        "or auto, one on CPUs and on a GPU as many as fit (default: auto)",
    )
    cluster = parser.add_argument_group("cluster")
    cluster.add_argument(
        "--backend",
        choices=("loky", "ray", "dask"),
        default="loky",
        help="where the processes are: on this machine, or a cluster (default: loky)",
    )
    cluster.add_argument(
        "--address",
        metavar="A",
        help="of the cluster: auto or ray://HOST:PORT; tcp://HOST:PORT or the file "
        "that Dask's scheduler wrote",
    )
    parser.add_argument(
        "--out",
        metavar="DIR",
        help="the study's folder (default: studies/NAME OF THE DATA SET)",
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

    options["pairs"] = "all" if options["pairs"] == ["all"] else options["pairs"]
    directory = options.pop("out") or (
        f"studies/{pathlib.Path(options['dataset']).stem}"
    )
    return exit_codes.exit_code(commands.run_confusion_study, directory, **options)
