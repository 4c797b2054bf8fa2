"""What the scripts print, and how they end."""

import errno
import os
import pathlib
import shlex
import shutil
import sys
import traceback
from collections.abc import Callable

from keras_confusion import confusion_study, report, results, summaries

EXIT_OK = 0
EXIT_ERROR = 1
EXIT_INTERRUPTED = 130


def exit_code(command: Callable[..., int], *args, **options) -> int:
    """Runs a command; errors that a user can mend become one message.

    Returns:
        The command's own exit code, 1 after such an error, 130 after Ctrl-C. Other
        exceptions are defects and keep their traceback.
    """
    try:
        return command(*args, **options)
    except KeyboardInterrupt:
        print(
            "\nStopped. The same command goes on with what is missing.",
            file=sys.stderr,
        )
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        # Who reads the output has had enough, such as `head`; Python would fail once
        # more when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_ERROR
    except (results.StudyFolderError, confusion_study.WorkersKilledError) as error:
        print(f"Error: {error}", file=sys.stderr)
    except ValueError as error:
        if not _is_ours(error):
            raise
        print(f"Error: {error}", file=sys.stderr)
    except OSError as error:
        print(f"Error: {_explain(error)}", file=sys.stderr)
    return EXIT_ERROR


def run_study(directory, *, workers=None, data_dir=None, **settings) -> int:
    """Runs a study with a progress bar, writes the report and prints it.

    Returns:
        0, or 1 if a network has no result.
    """
    directory = pathlib.Path(directory)
    writer = summaries.StudySummaries(directory)
    try:
        summary = confusion_study.run_confusion_study(
            directory,
            workers=workers,
            data_dir=data_dir,
            on_network=writer.add_network,
            **settings,
        )
    finally:
        writer.close()
    print(
        f"{summary.num_trained} of {summary.num_networks} networks trained in "
        f"{summary.seconds / 60:.1f} minutes.\n",
        file=sys.stderr,
    )
    _print_report(directory)
    for title, networks in (
        ("Trained a second time after a loss that was not finite", summary.retried),
        ("FAILED twice, without a result", summary.failed),
    ):
        if networks:
            print(f"{title}: {'; '.join(networks)}.")
    return EXIT_ERROR if summary.failed else EXIT_OK


def analyse_study(directory) -> int:
    """Rebuilds everything in a study's folder that is not a result, and prints it."""
    directory = pathlib.Path(directory)
    results.read_description(directory)
    try:
        with results.locked(directory):
            writer = summaries.StudySummaries(directory)
            for row in results.read_networks(directory).to_dict("records"):
                writer.add_network(row)
            writer.close()
    except results.StudyLockedError:
        print("The study is running: its scalars are left to it.", file=sys.stderr)
    _print_report(directory)
    return EXIT_OK


def _print_report(directory: pathlib.Path) -> None:
    made = report.write_report(directory)
    print(made.text)
    print(f"Tables:      {directory}/tables/*.csv ({len(made.table_files)} files)")
    print("Figures:     " + "\n             ".join(map(str, made.figure_files)))
    print(f"TensorBoard: {_tensorboard()} --logdir {shlex.quote(str(directory))}")


def _tensorboard() -> str:
    """How to start TensorBoard from here; `make study` activates no environment."""
    beside_python = pathlib.Path(sys.executable).with_name("tensorboard")
    if shutil.which("tensorboard") or not beside_python.exists():
        return "tensorboard"
    if beside_python.is_relative_to(pathlib.Path.cwd()):
        beside_python = beside_python.relative_to(pathlib.Path.cwd())
    return shlex.quote(str(beside_python))


def _is_ours(error: Exception) -> bool:
    """Whether this package raised the error itself, knowing what it says."""
    frames = traceback.extract_tb(error.__traceback__)
    return pathlib.Path(frames[-1].filename).parent == pathlib.Path(__file__).parent


def _explain(error: OSError) -> str:
    """Says what a user can do about an error of the file system."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return (
            f"No room to write {error.filename or 'a file'} ({error.strerror}). "
            "Nothing is half-written; make room and run the same command again."
        )
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return (
            f"No permission to write {error.filename or 'a file'} ({error.strerror}). "
            "Use another --out."
        )
    return str(error)
