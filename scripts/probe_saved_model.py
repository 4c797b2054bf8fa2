#!/usr/bin/env python3
"""Probes a saved classifier: `keras-confusion probe`, from a checkout."""

from keras_confusion.cli import startup

if __name__ == "__main__":
    # Before what takes time to import.
    startup.prepare()

import sys

from keras_confusion.cli.probe import main, parse_arguments

__all__ = ["main", "parse_arguments"]

if __name__ == "__main__":
    sys.exit(main())
