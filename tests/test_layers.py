"""The rule that keeps the packages apart: imports go downward only."""

import ast
import pathlib

import pytest

import keras_confusion

ROOT = pathlib.Path(keras_confusion.__file__).parent
# From the top; packages of one line do not import each other. The order within a line
# is that of docs/images/architecture.svg.
LAYERS = (
    ("cli", "callbacks"),
    ("reports",),
    ("comparisons", "explanations"),
    ("confusion", "prototypes"),
    ("training",),
    ("models", "datasets"),
    ("storage", "execution"),
    ("stats", "errors"),
)
FLOOR = {name: floor for floor, names in enumerate(LAYERS) for name in names}
PURE = {"numpy", "scipy", "typing", "collections", "dataclasses", "functools", "math"}


def package_of(module):
    """The package, or module at the top, that a dotted name within ours lies in."""
    return module.split(".")[1] if "." in module else ""


def imports(source, name):
    """(line, dotted module) of all imports in a module, those in functions included."""
    for node in ast.walk(ast.parse(source, name)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name}:{node.lineno}: a relative import"
            if node.module == "keras_confusion":
                for alias in node.names:
                    yield node.lineno, f"keras_confusion.{alias.name}"
            else:
                yield node.lineno, node.module


def faults(source, name):
    """Imports of a module, named from the package's folder, that break the rule."""
    here = pathlib.PurePath(name).parts[0].removesuffix(".py")
    # Starts the command line, and nothing else.
    here = "cli" if here == "__main__" else here
    found = []
    for line, module in imports(source, name):
        top = module.split(".")[0]
        if top in ("benchmarks", "tests", "scripts"):
            found.append(f"{name}:{line} imports {module}")
        elif top == "tb_plugin":
            if here != "reports" or module != "tb_plugin":
                found.append(f"{name}:{line} imports {module}")
        elif top == "keras_confusion" and "." in module:
            there = package_of(module)
            if there not in FLOOR:
                # The package itself: its version.
                allowed = there == "__version__"
            else:
                allowed = there == here or FLOOR[there] > FLOOR[here]
            if not allowed:
                found.append(f"{name}:{line} imports {module}")
        elif here == "stats" and top not in PURE | {"keras_confusion"}:
            found.append(f"{name}:{line} imports {module}")
    return found


def modules():
    for path in sorted(ROOT.rglob("*.py")):
        yield path.relative_to(ROOT).as_posix(), path.read_text()


def test_imports_go_downward():
    found = [
        fault
        for name, source in modules()
        if name != "__init__.py"
        for fault in faults(source, name)
    ]
    assert not found, "\n".join(found)


def test_every_package_has_a_floor_and_says_what_it_is():
    tops = {path.name.removesuffix(".py") for path in ROOT.iterdir()}
    tops -= {"__init__", "__main__", "__pycache__", "py.typed"}
    assert tops == set(FLOOR)
    assert len(tops) + 1 <= 17
    for name, source in modules():
        tree = ast.parse(source)
        if name.endswith("/__init__.py"):
            # A submodule and a name of its own would hide each other.
            (docstring,) = tree.body
            assert isinstance(docstring.value, ast.Constant)
            assert "Imports" in docstring.value.value


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("from keras_confusion.reports import study_report", "confusion/study.py"),
        ("def f():\n    from keras_confusion import cli", "stats/bits.py"),
        ("def f():\n    import keras_confusion.training.trainer", "models/saving.py"),
        ("class A:\n    from keras_confusion.datasets import npz", "models/a/b.py"),
        ("from keras_confusion.explanations import run", "comparisons/tables.py"),
        ("import pandas", "stats/bits.py"),
        ("from tests import browser", "cli/commands.py"),
        ("from scripts import plan_study", "__main__.py"),
        ("from keras_confusion import __main__", "cli/main.py"),
        ("from tb_plugin import metadata", "comparisons/tables.py"),
        ("from keras_confusion import run_confusion_study", "models/saving.py"),
        ("from keras_confusion.callbacks import moments", "reports/links.py"),
    ],
)
def test_an_import_upward_is_found(source, name):
    assert len(faults(source, name)) == 1


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("from keras_confusion.stats import bits", "cli/commands.py"),
        ("from keras_confusion.cli import main", "__main__.py"),
        ("from keras_confusion import errors", "storage/files.py"),
        ("def f():\n    import tensorflow", "execution/runtime.py"),
        ("from tb_plugin import metadata", "reports/tensorboard/sprites.py"),
        ("import keras_confusion", "execution/provenance.py"),
    ],
)
def test_an_import_downward_is_none(source, name):
    assert faults(source, name) == []
