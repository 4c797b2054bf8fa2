"""What made a result: versions, machine and commit, for the record."""

import functools
import importlib.metadata
import os
import pathlib
import platform
import shutil
import subprocess

import keras_confusion

_VERSIONED = ("tensorflow", "keras", "numpy", "scipy", "tensorflow-datasets")


def provenance() -> dict:
    """Returns versions, machine and commit, all JSON types."""
    versions = {name: importlib.metadata.version(name) for name in _VERSIONED}
    return {
        "keras_confusion": keras_confusion.__version__,
        "commit": _commit(),
        "python": platform.python_version(),
        **versions,
        "processor": platform.processor() or platform.machine(),
        "num_cores": os.cpu_count(),
    }


def code_version() -> str:
    """For example "0.2.0 (1a2b3c4d5e6f)": version and, of a checkout, commit."""
    commit = _commit()
    return keras_confusion.__version__ + (f" ({commit[:12]})" if commit else "")


@functools.cache
def _commit() -> str | None:
    """The commit of the checkout that this package runs from, if it does."""
    package = pathlib.Path(keras_confusion.__file__)
    if shutil.which("git") is None:
        return None

    def git(*arguments) -> str:
        done = subprocess.run(
            ["git", *arguments],
            cwd=package.parent,
            capture_output=True,
            text=True,
            check=False,
        )
        return done.stdout.strip()

    # A package in site-packages may lie in somebody else's checkout.
    return git("rev-parse", "HEAD") or None if git("ls-files", package.name) else None
