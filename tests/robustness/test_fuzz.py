"""The fuzzers themselves, and what no module may call."""

import ast
import pathlib

import pytest
from hypothesis import strategies as st

from tests.robustness import fuzz
from tests.support import fuzzing
from tests.support.fuzzing import ACCEPTED, REFUSED, Target

ROOT = pathlib.Path(__file__).parents[2]
PACKAGES = ("keras_confusion", "tb_plugin", "scripts")
FORBIDDEN_MODULES = {
    *("pickle", "cPickle", "_pickle", "cloudpickle", "dill", "shelve", "marshal"),
    *("yaml", "tarfile", "xmlrpc"),
}
# joblib.load, np.load without allow_pickle, ... by the last part of the name.
FORBIDDEN_CALLS = {"eval", "exec", "compile_command", "unpack_archive", "extractall"}


def _calls(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield node, ast.unparse(node.func)


def sources():
    return [
        path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))
    ]


def forbidden_in(tree) -> list[str]:
    """What a module imports or calls that runs code which is in data."""
    found = []
    for node in ast.walk(tree):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module or ""]
        found += [n for n in names if n.split(".")[0] in FORBIDDEN_MODULES]
    for node, name in _calls(tree):
        given = {word.arg: ast.unparse(word.value) for word in node.keywords}
        last = name.rpartition(".")[2]
        if name in ("eval", "exec") or last in FORBIDDEN_CALLS:
            found.append(name)
        if name == "joblib.load" or last in ("read_pickle", "to_pickle"):
            found.append(name)
        if name == "np.load" and given.get("allow_pickle") != "False":
            found.append(f"{name} without allow_pickle=False")
        if last == "load_model" and given.get("safe_mode") != "True":
            found.append(f"{name} without safe_mode=True")
        if last == "enable_unsafe_deserialization":
            found.append(name)
    return found


@pytest.mark.parametrize("path", sources(), ids=lambda path: path.stem)
def test_nothing_runs_code_that_is_in_data(path):
    assert forbidden_in(ast.parse(path.read_text())) == []


def test_saved_models_are_loaded_in_one_place():
    found = [
        path.name
        for path in sources()
        for _, name in _calls(ast.parse(path.read_text()))
        if name.endswith(("saved_model.load", "load_model", "TFSMLayer"))
    ]
    assert found == ["model_files.py"] * 2


@pytest.mark.parametrize(
    "text",
    [
        "import pickle",
        "from dill import loads",
        "np.load(path)",
        "np.load(path, allow_pickle=True)",
        "keras.saving.load_model(path)",
        "keras.saving.load_model(path, safe_mode=False)",
        "eval(text)",
        "archive.extractall()",
        "joblib.load(path)",
        "pd.read_pickle(path)",
    ],
)
def test_what_is_forbidden_is_found(text):
    assert len(forbidden_in(ast.parse(text))) == 1


def _only_small(number) -> str:
    if number > 5:
        raise RuntimeError(f"{number} is a defect")
    return ACCEPTED if number > 2 else REFUSED


def test_a_defect_is_counted_and_told(monkeypatch, capsys, tmp_path):
    targets = [
        Target("good", st.integers(0, 5), _only_small),
        Target("bad", st.integers(0, 100), _only_small),
    ]
    monkeypatch.setattr(fuzz, "all_targets", lambda: targets)
    monkeypatch.setattr(fuzz.resource, "setrlimit", lambda *_: None)
    monkeypatch.setattr(fuzz.timing, "header", lambda: {"machine": "made up"})
    out = tmp_path / "fuzz.md"
    assert fuzz.main(["--examples", "50", "--out", str(out)]) == 1
    rows = [line.split("|")[1:-1] for line in out.read_text().splitlines()[5:]]
    cells = {row[0].strip(): [cell.strip() for cell in row[1:]] for row in rows}
    assert cells["bad"][3] == "1"
    assert cells["good"][3] == "0"
    assert int(cells["good"][0]) == int(cells["good"][1]) + int(cells["good"][2]) > 3
    # The smallest input that shows it.
    assert "6 is a defect" in capsys.readouterr().err
    assert fuzz.main(["--examples", "50", "--only", "good"]) == 0


def test_time_is_kept(monkeypatch):
    counted = fuzzing.run(Target("t", st.integers(), lambda _: ACCEPTED), 20, seed=1)
    assert counted[ACCEPTED] >= 15
    monkeypatch.setattr(fuzz.time, "monotonic", iter(range(0, 10**6, 10)).__next__)
    options = fuzz.parse_arguments(["--seconds", "25"])
    row = fuzz.fuzz(Target("t", st.integers(), lambda _: ACCEPTED), options)
    # Of a clock that goes on by 10 s whenever it is looked at.
    assert row["inputs"] > _one_round()
    assert row["defects"] == 0


def _one_round() -> int:
    return fuzz._EXAMPLES_A_ROUND // 4
