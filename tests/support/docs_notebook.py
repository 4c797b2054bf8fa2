"""Runs the tutorial, whose outputs are committed.

    python -m tests.support.docs_notebook

runs it in an empty folder and writes the outputs into docs/tutorial.ipynb.
"""

import contextlib
import hashlib
import json
import os
import pathlib
import re
import signal
import sys
import tempfile
from collections.abc import Iterator

import nbclient
import nbformat

from tests.support.docs_pages import ROOT

TUTORIAL = ROOT / "docs" / "tutorial.ipynb"
SECONDS_A_CELL = 1800
# What TensorFlow says of a machine when it is imported.
_NATIVE = re.compile("WARNING: All log messages before absl|[IWE]0000 ")


@contextlib.contextmanager
def executed(folder: pathlib.Path) -> Iterator[nbformat.NotebookNode]:
    """Runs the tutorial from its first cell to its last.

    Yields the notebook with outputs while the kernel lives; what it started is stopped
    then.

    Args:
        folder: An empty folder, in which it runs.

    Raises:
        nbclient.exceptions.CellExecutionError: If a cell has an error.
    """
    notebook = nbformat.read(TUTORIAL, as_version=4)
    place, temporary = folder / "place", folder / "temporary"
    place.mkdir()
    temporary.mkdir()
    programs = pathlib.Path(sys.executable).parent
    environment = {
        **os.environ,
        # The code beside this notebook, also from another working directory.
        "PYTHONPATH": f"{ROOT}{os.pathsep}{os.environ.get('PYTHONPATH', '')}",
        # TensorBoard is started by its name, as from a virtual environment in use.
        "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
        # TensorBoard says here what runs.
        "TMPDIR": str(temporary),
        "TF_CPP_MIN_LOG_LEVEL": "3",
    }
    client = nbclient.NotebookClient(
        notebook,
        timeout=SECONDS_A_CELL,
        kernel_name="python3",
        record_timing=False,
        coalesce_streams=True,
        store_widget_state=False,
        resources={"metadata": {"path": str(place)}},
    )
    try:
        with client.setup_kernel(env=environment):
            for index, cell in enumerate(notebook.cells):
                client.execute_cell(cell, index)
            yield notebook
    finally:
        for process in tensorboards(folder):
            with contextlib.suppress(ProcessLookupError):
                os.kill(process["pid"], signal.SIGTERM)


def tensorboards(folder: pathlib.Path) -> list[dict]:
    """What TensorBoard says of each of its processes: `pid`, `port`, ..."""
    files = (folder / "temporary" / ".tensorboard-info").glob("pid-*.info")
    return [json.loads(file.read_text()) for file in files]


def _text(output: nbformat.NotebookNode) -> str:
    return output.get("text", "")


def digest(notebook: nbformat.NotebookNode) -> str:
    """Tells by what code outputs were made."""
    code = [cell.source for cell in notebook.cells if cell.cell_type == "code"]
    return hashlib.sha256("\0".join(code).encode()).hexdigest()


def clean(notebook: nbformat.NotebookNode) -> None:
    """Leaves of the outputs what a reader sees, and nothing of this machine."""
    for cell in notebook.cells:
        cell.metadata = nbformat.NotebookNode()
        if "outputs" in cell:
            cell.outputs = [o for o in cell.outputs if not _NATIVE.match(_text(o))]
        for output in cell.get("outputs", []):
            for name in ("metadata", "transient"):
                if name in output:
                    output[name] = nbformat.NotebookNode()
    notebook.metadata.language_info = {"name": "python"}
    notebook.metadata.outputs_of = digest(notebook)


def main() -> None:
    """Runs the tutorial and keeps the outputs."""
    with (
        tempfile.TemporaryDirectory() as folder,
        executed(pathlib.Path(folder)) as notebook,
    ):
        clean(notebook)
        nbformat.write(notebook, TUTORIAL)


if __name__ == "__main__":
    main()
