"""The tutorial runs, says what is true, and shows what it gives."""

import ast
import json
import re
import time
import urllib.request

import nbformat
import pytest
from IPython.core.inputtransformer2 import TransformerManager

import keras_confusion
from tests.support import docs_notebook
from tests.support.docs_notebook import TUTORIAL

MOST_BYTES = 1_000_000
SECONDS_TO_LOAD = 60
OF_A_MACHINE = re.compile(r"(?<![\w.])/(?:work|tmp|root|home|usr|opt|Users)\b|C:\\")
NOTEBOOK = nbformat.read(TUTORIAL, as_version=4)
CODE = [cell for cell in NOTEBOOK.cells if cell.cell_type == "code"]
PROSE = "\n".join(c.source for c in NOTEBOOK.cells if c.cell_type == "markdown")


def kinds_of(cell) -> list[str]:
    """What a cell shows: types of its values, and that it printed."""
    kinds = [
        "text" if output.output_type == "stream" else kind
        for output in cell.outputs
        for kind in output.get("data", {"text": ""})
    ]
    return sorted(set(kinds))


# As it is committed.


def test_every_cell_was_run_in_this_order():
    assert [cell.execution_count for cell in CODE] == list(range(1, len(CODE) + 1))
    assert all(cell.outputs for cell in CODE)


def test_outputs_are_of_this_code():
    made_by = NOTEBOOK.metadata["outputs_of"]
    assert made_by == docs_notebook.digest(NOTEBOOK), (
        "Run: python -m tests.support.docs_notebook"
    )


def test_outputs_are_small_and_of_no_machine():
    assert TUTORIAL.stat().st_size < MOST_BYTES
    texts = [
        str(value)
        for cell in CODE
        for output in cell.outputs
        for value in (output.get("text", ""), *output.get("data", {}).values())
        if "iVBOR" not in str(value)[:100]
    ]
    assert not [text for text in texts if OF_A_MACHINE.search(text)]
    kept = NOTEBOOK.metadata.keys() | {key for c in CODE for key in c.metadata}
    assert kept == {"kernelspec", "language_info", "outputs_of"}
    assert not [o for cell in CODE for o in cell.outputs if o.output_type == "error"]


def test_every_cell_is_python_with_names_that_exist():
    transform = TransformerManager().transform_cell
    trees = [ast.parse(transform(cell.source)) for cell in CODE]
    used = {
        node.attr
        for tree in trees
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id == "keras_confusion"
    }
    used |= set(re.findall(r"`keras_confusion\.(\w+)`", PROSE))
    assert {"run_confusion_study", "open_study", "PrototypeCallback"} <= used
    assert used <= set(keras_confusion.__all__)


def test_links_lead_somewhere():
    targets = re.findall(r"\]\(([^)\s#]+)(?:#[^)]*)?\)", PROSE)
    assert len(targets) > 5
    for target in targets:
        assert (TUTORIAL.parent / target).is_file(), target


# As it runs here.


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tutorial")
    with docs_notebook.executed(folder) as notebook:
        yield notebook, folder


@pytest.mark.slow
def test_it_shows_what_is_committed(run):
    notebook, _ = run
    docs_notebook.clean(notebook)
    ran = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [kinds_of(cell) for cell in ran] == [kinds_of(cell) for cell in CODE]


@pytest.mark.slow
def test_what_it_says_of_the_study_is_true(run):
    _, folder = run
    study = keras_confusion.open_study(folder / "place" / "tutorial" / "study")
    truth = study.tables["planted_truth"]
    kinds = dict(list(truth.groupby("kind")))
    planted, (_, rival) = kinds["planted"], next(kinds["rival"].iterrows())
    # "Both planted relations were found by features."
    assert planted["features_found"].tolist() == [True, True]
    assert (planted["features_difference"] < -0.1).all()
    # "Accuracy misses what the features show."
    assert not planted["accuracy_found"].any()
    # "Rises a lot ... its features are as good as before."
    assert rival["target_name"] == "thick_ring"
    assert rival["accuracy_found"]
    assert rival["accuracy_points"] > 8
    assert not rival["features_found"]
    # "Nothing, or next to nothing, at controls and rivals."
    assert kinds["control"]["features_found"].sum() <= 1
    # "Confusing the discs costs the crosses more than that."
    lines = study.report().splitlines()
    line = next(line for line in lines if "80 % power" in line)
    smallest = float(re.search(r"effect of ([\d.]+) d'", line)[1])
    assert smallest < planted["features_difference"].abs().min()
    # "6 against 6", "18 networks": readout, which is not shown, has fewer.
    cells = study.tables["discriminability_by_pair"].query("reading == 'features'")
    assert (cells[["n_confused", "n_comparison"]] == 6).all(axis=None)
    assert len(study.networks) == 18


@pytest.mark.slow
def test_tensorboard_shows_the_study_and_the_prototypes(run):
    notebook, folder = run
    (process,) = docs_notebook.tensorboards(folder)
    shown = "".join(
        output.data.get("text/html", "")
        for cell in notebook.cells
        if "%tensorboard" in cell.source
        for output in cell.outputs
        if "data" in output
    )
    assert "iframe" in shown
    assert str(process["port"]) in shown
    address = f"http://localhost:{process['port']}/data/plugin/keras_confusion/studies"
    deadline, studies = time.monotonic() + SECONDS_TO_LOAD, []
    while len(studies) < 2 and time.monotonic() < deadline:
        with urllib.request.urlopen(address, timeout=30) as answer:
            studies = json.load(answer)["studies"]
        time.sleep(0.5)
    assert {study["kind"] for study in studies} == {"confusion", "prototypes"}
    assert all(study["error"] is None for study in studies)
