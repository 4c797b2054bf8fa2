"""`python -m keras_confusion`, and the start of the command `keras-confusion`."""

import sys

from keras_confusion.cli import startup


def main(prog: str = "keras-confusion") -> int:
    """Runs the command that the process was given; returns its exit code.

    Args:
        prog: How it was called, for --help.
    """
    # Before what takes time to import.
    startup.prepare()
    from keras_confusion.cli import main as commands

    return commands.main(prog=prog)


if __name__ == "__main__":
    sys.exit(main("python -m keras_confusion"))
