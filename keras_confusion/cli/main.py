"""`keras-confusion`: finds the command that its first word names, and runs it.

Only that command's module is imported: --help waits for no other.
"""

import argparse
import importlib
import os
import sys

import keras_confusion

# By name: the module whose `main` it is, and what it does. The last is the plugin's
# own, which knows nothing of this package.
COMMANDS = {
    "study": (
        "keras_confusion.cli.study",
        "Which class learns from which? Runs a confusion study.",
    ),
    "prototypes": (
        "keras_confusion.cli.prototypes",
        "What does a network think its classes look like?",
    ),
    "analyse": (
        "keras_confusion.cli.analyse",
        "Makes the report of a study again, without training.",
    ),
    "explain": (
        "keras_confusion.cli.explain",
        "Shows the units behind a finding of a confusion study.",
    ),
    "train": (
        "keras_confusion.cli.train",
        "Trains one classifier and saves it, to be probed.",
    ),
    "probe": (
        "keras_confusion.cli.probe",
        "Shows what a saved classifier sees in two classes.",
    ),
    "judge": (
        "keras_confusion.cli.judge",
        "Asks other networks what they take the prototypes of a study for.",
    ),
    "blind-sheet": (
        "keras_confusion.cli.blind_sheet",
        "Has a person look at the prototypes of a study without labels.",
    ),
    "plan": (
        "keras_confusion.cli.plan",
        "Says how many repeats a confusion study needs.",
    ),
    "demo": (
        "tb_plugin.demo",
        "Writes two recorded studies to look at in TensorBoard.",
    ),
}


def main(given=None, *, prog: str = "keras-confusion") -> int:
    """Runs a command.

    Args:
        given: Its name and its words; `None` takes those of the process.
        prog: How this was called, for --help.

    Returns:
        The command's exit code; 2 without a command, as for one that there is not.
    """
    words = list(sys.argv[1:] if given is None else given)
    parser = _parser(prog)
    if "_ARGCOMPLETE" in os.environ:
        from keras_confusion.cli import completion

        completion.complete(parser, _find)
    if not words:
        parser.print_help(sys.stderr)
        return 2
    command = parser.parse_args(words[:1]).command
    return _find(command)(words[1:], prog=f"{prog} {command}")


def _find(command: str):
    """The `main` of a command; `None` if there is none of that name."""
    if command not in COMMANDS:
        return None
    return importlib.import_module(COMMANDS[command][0]).main


def _parser(prog: str) -> argparse.ArgumentParser:
    """Reads the first word and nothing else."""
    lines = [f"  {name:<12}{sentence}" for name, (_, sentence) in COMMANDS.items()]
    parser = argparse.ArgumentParser(
        prog=prog,
        usage=f"{prog} [-h] [--version] COMMAND ...",
        description="What did an image classifier learn about one class from another,\n"
        "and what does it think a class looks like?",
        epilog="\n".join(["commands:", *lines])
        + f"\n\n{prog} COMMAND --help shows the options of a command.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    version = f"keras-confusion {keras_confusion.__version__}"
    parser.add_argument("--version", action="version", version=version)
    # They are in the epilog, each with what it does.
    parser.add_argument(
        "command", choices=COMMANDS, metavar="COMMAND", help=argparse.SUPPRESS
    )
    return parser
