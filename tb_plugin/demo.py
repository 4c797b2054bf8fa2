"""Writes a small log directory to look around in, in a second.

    python -m tb_plugin.demo demo_logdir
    tensorboard --logdir demo_logdir

It holds what TensorBoard reads of two real studies of scikit-learn's handwritten digits
(`make demo-data` made them): one of every pair of classes, one of prototypes.
"""

import argparse
import importlib.resources
import pathlib
import sys

from tb_plugin import metadata

# Of each recorded study: the folder that it gets, and its run.
_STUDIES = {
    "digits_confusion": metadata.TRAINING_RUN,
    "digits_prototypes": metadata.PROTOTYPES_RUN,
}
# The beginning of the name is what TensorBoard knows an event file by.
_EVENT_FILE = "events.out.tfevents.demo"
_CALL = "python -m tb_plugin.demo"


def write_demo(directory) -> list[pathlib.Path]:
    """Writes the demo's event files.

    Args:
        directory: The log directory, a string or path; made if missing.

    Returns:
        The event files.

    Raises:
        FileExistsError: If a file of the demo is there already. Nothing is written.
    """
    recorded = importlib.resources.files("tb_plugin") / "demo_data"
    paths = {
        name: pathlib.Path(directory) / name / run / _EVENT_FILE
        for name, run in _STUDIES.items()
    }
    for path in paths.values():
        if path.exists():
            raise FileExistsError(f"{path} is there already. Use another directory.")
    for name, path in paths.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes((recorded / f"{name}.tfevents").read_bytes())
    return list(paths.values())


def main(arguments=None, *, prog: str = _CALL) -> int:
    """Runs the command.

    Args:
        arguments: Its words; `None` takes those of the process.
        prog: How it was called, for --help.

    Returns:
        The exit code.
    """
    parser = argparse.ArgumentParser(
        prog=prog,
        description=(__doc__ or "").replace(_CALL, prog),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("directory", help="the log directory to write")
    directory = parser.parse_args(arguments).directory
    try:
        write_demo(directory)
    except OSError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1
    print(f"Wrote {directory}. Look at it: tensorboard --logdir {directory}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
