"""What a shell offers where Tab was pressed, by argcomplete.

    eval "$(register-python-argcomplete keras-confusion)"

lets a shell ask. It starts the command with the line in the environment.
"""

import argparse
import os
from collections.abc import Callable

import argcomplete


def complete(
    parser: argparse.ArgumentParser, find_command: Callable[[str], Callable | None]
) -> None:
    """Answers the shell, and ends the process.

    Args:
        parser: Which reads the command's name.
        find_command: Returns the `main` of a command; `None` if there is none.
    """
    line = os.environ["COMP_LINE"][: int(os.environ["COMP_POINT"])]
    # With a letter more, the last word, which may be empty, is the completed one.
    finished = f"{line}x".split()[1:-1]
    run = find_command(finished[0]) if finished else None
    if run is not None:
        # Of the line's words, the second is the program now.
        os.environ["_ARGCOMPLETE"] = "2"
        # The first thing that a command does; nothing comes after it.
        argparse.ArgumentParser.parse_args = _answer  # type: ignore
        run([])
    _answer(parser)


def _answer(parser: argparse.ArgumentParser, *_, **__) -> None:
    argcomplete.autocomplete(parser)
