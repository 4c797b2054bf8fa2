r"""What does a trained classifier see in two classes, and what lies between them?

    keras-confusion probe saved_models/digits_cnn --from 3 --to 8 \
        --out probes/3_to_8

optimises noise into the prototypes of both classes, drags the one to the other class
(P[8, 3]) and to the boundary of both, prints losses and dissimilarities for every
initialisation, and writes pictures, arrays, tables and a TensorBoard logdir. It takes
models of this project, SavedModels that others exported, and .keras files.

What the images and answers of models mean that others made is found where it can be,
else assumed, and told. Options say otherwise, and so does a model.json beside the
.keras file or the saved_model/ folder:
{"format_version": 1, "class_names": ["cat", "dog"], "input_range": [0, 255]}
Loading a model runs what is in it: probe only models from those whom you trust.
"""

import argparse

from keras_confusion.cli import arguments


def parse_arguments(given=None, *, prog: str | None = None) -> argparse.Namespace:
    """Reads the command line; see `main`."""
    parser = arguments.command_parser(__doc__, "probe", prog)
    parser.add_argument(
        "model",
        metavar="MODEL",
        help="a folder of saved_models/, a SavedModel folder, or a .keras file",
    )
    parser.add_argument(
        "--from",
        dest="from_class",
        required=True,
        metavar="CLASS",
        help="class that the intermediary prototype starts from, by name or label",
    )
    parser.add_argument(
        "--to",
        dest="to_class",
        required=True,
        metavar="CLASS",
        help="class that it is optimised toward",
    )
    parser.add_argument(
        "--out",
        required=True,
        metavar="DIR",
        help="folder to write; an earlier probe in it is replaced",
    )
    parser.add_argument(
        "--inits",
        type=int,
        default=3,
        metavar="N",
        help="initialisations, each from noise of its own (default: %(default)s)",
    )
    parser.add_argument("--seed", type=int, default=0, metavar="S")
    parser.add_argument(
        "--frames",
        type=int,
        default=0,
        metavar="N",
        help="pictures of the way from the original to the final image (default: none)",
    )
    parser.add_argument(
        "--image-size",
        type=int,
        nargs=2,
        metavar=("HEIGHT", "WIDTH"),
        help="for a model that takes images of any size",
    )
    meaning = parser.add_argument_group("what the model means")
    meaning.add_argument(
        "--input-range",
        type=float,
        nargs=2,
        metavar=("BLACK", "WHITE"),
        help="values of black and white that it expects, such as 0 255 (default: those "
        "of model.json, else found where the layers show them, else 0 1)",
    )
    meaning.add_argument(
        "--class-names",
        nargs="+",
        metavar="NAME",
        help="names of its classes in their order (default: those of model.json, else "
        "0 1 2 ...)",
    )
    meaning.add_argument(
        "--answers",
        choices=("logits", "probabilities", "sigmoids"),
        help="what it answers with; sigmoids are probabilities of each class for "
        "itself, or of one of two classes (default: found by its answers)",
    )
    images = parser.add_argument_group("optimiser")
    arguments.add_image_optimizer_arguments(images)
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

    for name in ("image_size", "input_range"):
        if options[name] is not None:
            options[name] = tuple(options[name])
    return exit_codes.exit_code(commands.probe_saved_model, resumes=False, **options)
