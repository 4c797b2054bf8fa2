#!/usr/bin/env python3
"""A sheet without labels: `keras-confusion blind-sheet`, from a checkout."""

from keras_confusion.cli import startup

if __name__ == "__main__":
    # Before what takes time to import.
    startup.prepare()

import sys

from keras_confusion.cli.blind_sheet import main, parse_arguments

__all__ = ["main", "parse_arguments"]

if __name__ == "__main__":
    sys.exit(main())
