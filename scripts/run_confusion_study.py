#!/usr/bin/env python3
"""Which class learns from which? Trains a confusion study and reports what it found.

    python scripts/run_confusion_study.py --dataset digits --out studies/digits

trains the baseline and all 45 confused pairs of scikit-learn's handwritten digits, 4
repeats each. The same command again takes an interrupted study up where it was stopped.
See README.md for times and expected numbers.
"""

import argparse
import sys

from keras_confusion.cli import arguments


def number_or_auto(text: str) -> int | None:
    return None if text == "auto" else int(text)


def parse_arguments(given=None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    data = arguments.add_data_arguments(parser)
    data.add_argument(
        "--streaming",
        action="store_true",
        help="read images from disk in every epoch, for data that does not fit in "
        "memory",
    )
    study = parser.add_argument_group("study")
    study.add_argument(
        "--pairs",
        nargs="+",
        default=["all"],
        metavar="A-B",
        help="'all', or pairs by class name or label: 3-8 cat-dog (default: all)",
    )
    study.add_argument(
        "--repeats",
        type=int,
        default=4,
        metavar="N",
        help="networks per pair; the poster has 50 (default: %(default)s)",
    )
    study.add_argument(
        "--baseline-repeats",
        type=int,
        metavar="N",
        help="networks without confusion (default: repeats x sqrt(number of pairs))",
    )
    study.add_argument(
        "--corruption",
        choices=("swap", "one_way", "merge", "null"),
        default="swap",
        help="how a pair is confused; null treats every arm as the baseline, to see "
        "what chance finds (default: %(default)s)",
    )
    study.add_argument(
        "--fraction",
        type=float,
        metavar="F",
        help="share of a class that is given the wrong label; with null of all classes "
        "in all networks (default: 0.5, and 0 with null)",
    )
    study.add_argument(
        "--own-seeds",
        dest="shared_seeds",
        action="store_false",
        help="initial weights and order for every network, not for every repeat",
    )
    study.add_argument("--seed", type=int, default=0, metavar="S")
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
    training = parser.add_argument_group("training")
    training.add_argument(
        "--model",
        default="cnn",
        help="cnn, resnet18, text for token sequences, or package.module:function "
        "(default: %(default)s)",
    )
    training.add_argument(
        "--width",
        type=int,
        metavar="W",
        help="channels of resnet18's first stage (default: 64)",
    )
    training.add_argument(
        "--recipe",
        choices=("annealed", "momentum", "tutorial"),
        default="annealed",
        help="Adam with cosine decay, gradient descent with momentum and cosine decay, "
        "or Adam at a constant rate (default: %(default)s)",
    )
    training.add_argument(
        "--epochs", type=int, default=10, metavar="N", help="(default: %(default)s)"
    )
    training.add_argument("--batch-size", type=int, metavar="N")
    training.add_argument("--learning-rate", type=float, metavar="R")
    arguments.add_dtype_argument(training)
    arguments.add_deterministic_argument(training)
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


def main() -> int:
    options = vars(parse_arguments())
    # Only now: --help should not wait for what training needs.
    import pathlib

    from keras_confusion.cli import commands, exit_codes

    options["pairs"] = "all" if options["pairs"] == ["all"] else options["pairs"]
    if options["image_size"] is not None:
        options["image_size"] = tuple(options["image_size"])
    directory = options.pop("out") or (
        f"studies/{pathlib.Path(options['dataset']).stem}"
    )
    return exit_codes.exit_code(commands.run_confusion_study, directory, **options)


if __name__ == "__main__":
    sys.exit(main())
