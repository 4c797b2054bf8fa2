"""Options that several scripts share. Imports nothing that --help would wait for."""

import argparse


def add_data_arguments(parser: argparse.ArgumentParser) -> argparse._ArgumentGroup:
    """Adds what decides which images there are; returns the group."""
    data = parser.add_argument_group("data")
    data.add_argument(
        "--dataset",
        default="digits",
        metavar="NAME",
        help="digits, planted or planted:SEED (generated images in which it is known "
        "what is learned from what), reviews (generated texts, for --model text), a "
        "TensorFlow Datasets name (cifar10, cifar100, ...), a folder of class folders, "
        "or an .npz file (default: %(default)s)",
    )
    data.add_argument("--data-dir", help="TensorFlow Datasets' directory")
    data.add_argument(
        "--image-size",
        type=int,
        nargs=2,
        metavar=("HEIGHT", "WIDTH"),
        help="resize images",
    )
    return data


def add_classifier_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds what decides how one network is trained."""
    add_data_arguments(parser)
    training = parser.add_argument_group("training")
    training.add_argument(
        "--model",
        default="cnn",
        help="cnn, resnet18, or package.module:function (default: %(default)s)",
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
        help="Adam with cosine decay, gradient descent with momentum and cosine decay, "
        "or Adam at a constant rate (default: momentum for resnet18, else annealed)",
    )
    training.add_argument(
        "--epochs",
        type=int,
        default=12,
        metavar="N",
        help="passes over the training data (default: %(default)s)",
    )
    training.add_argument("--batch-size", type=int, metavar="N")
    training.add_argument("--learning-rate", type=float, metavar="R")
    training.add_argument("--weight-decay", type=float, metavar="D")
    training.add_argument(
        "--augment", action="store_true", help="flip and move training images"
    )
    add_dtype_argument(training)
    add_deterministic_argument(training)
    training.add_argument("--seed", type=int, default=0, metavar="S")


def add_dtype_argument(group: argparse._ArgumentGroup) -> None:
    """Adds the type in which networks are trained."""
    group.add_argument(
        "--dtype",
        dest="dtype_policy",
        choices=("auto", "float32", "mixed_bfloat16"),
        default="auto",
        help="auto: mixed_bfloat16 where the machine computes in it",
    )


def add_deterministic_argument(group: argparse._ArgumentGroup) -> None:
    """Adds whether the same bits must come out again."""
    group.add_argument(
        "--deterministic",
        action="store_true",
        help="the same command gives the same bits again on the same machine, however "
        "often it is stopped and by however many workers; slower on a GPU",
    )


def add_test_argument(group: argparse._ActionsContainer) -> None:
    """Adds the option for the test that decides what is significant."""
    group.add_argument(
        "--test",
        choices=("welch", "paired", "blocks"),
        help="the test that decides what is significant: welch, all networks as "
        "independent ones; paired, the differences within repeats, whose networks "
        "share their seeds; or blocks, the same with the noise estimated from all "
        "arms, for few repeats; the tables hold all three (default: welch)",
    )


def add_image_optimizer_arguments(
    group: argparse._ArgumentGroup, *, learning_rate: str
) -> None:
    """Adds how images are optimised; `learning_rate` is the name of that option."""
    group.add_argument(
        "--update-rule",
        choices=("normalized", "sgd", "adam"),
        default="normalized",
        help="boundaries have a rule of their own (default: %(default)s)",
    )
    group.add_argument(
        learning_rate,
        type=float,
        metavar="R",
        help="of the images (default: 0.01, and 0.1 from 100 classes on)",
    )
    group.add_argument(
        "--loss-threshold",
        type=float,
        default=0.01,
        metavar="L",
        help="cross-entropy below which an image is done (default: %(default)s)",
    )
    group.add_argument(
        "--max-iterations",
        type=int,
        default=2000,
        metavar="N",
        help="updates after which an image is given up (default: %(default)s)",
    )
