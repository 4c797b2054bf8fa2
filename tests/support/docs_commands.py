"""Whether the commands of the documentation could be run: programs, options, values.

What no test knows how to run is an error: nothing is passed over.
"""

import argparse
import configparser
import contextlib
import dataclasses
import functools
import importlib.metadata
import importlib.util
import io
import os
import pathlib
import re
import runpy
import shlex
import subprocess
import sys
from collections.abc import Callable

from docs import write_commands
from tests.support.docs_pages import ROOT, DocumentationError, Item, commands_in

# What only a reader with a cluster installs.
_NOT_INSTALLED = {"dask-jobqueue"}
_TENSORBOARD_OPTIONS = {"--logdir", "--port", "--bind_all", "--path_prefix"}
# What a cluster sets, and what a page may set before a command.
_VARIABLES = {"SLURM_ARRAY_TASK_ID": "1", "SLURM_CPUS_PER_TASK": "1"}
_ENVIRONMENT = re.compile("(PYTHONPATH|CUDA_VISIBLE_DEVICES)=[.0-9]+")
# What make does besides; a reader need not type it.
_ONLY_IN_MAKE = {"touch", "rm", "cp", "ruff", "mypy", "#"}
_ONLY_MODULES_IN_MAKE = {"venv", "pytest", "sphinx"}


def words_of(command: str) -> list[str]:
    """Words of a command, without comment, environment and virtual environment.

    Those of `keras-confusion study` are those of its script.

    Raises:
        DocumentationError: If it has variables that nobody sets, or other programs in
            it.
    """
    for name, value in _VARIABLES.items():
        command = command.replace(f"${name}", value)
    words = shlex.split(command.removesuffix("&"), comments=True)
    if {"|", "&&", ";", ">"} & set(words) or (words[1:2] != ["-c"] and "$" in command):
        raise DocumentationError(f"No test knows how to run this: {command}")
    if _ENVIRONMENT.fullmatch(words[0]):
        words = words[1:]
    words[0] = words[0].removeprefix(".venv/bin/")
    if words[0].startswith("scripts/"):
        words = ["python", *words]
    if words[0] == "python3":
        words = ["python", *words[1:]]
    if words[:3] == ["python", "-m", "keras_confusion"]:
        words = ["keras-confusion", *words[3:]]
    program, *given = words
    if program == "keras-confusion" and given and given[0] in write_commands.COMMANDS:
        # tests/cli/test_main.py tests that both are one.
        door, *_ = write_commands.COMMANDS[given[0]]
        return ["python", *door.split(), *given[1:]]
    return words


def check(item: Item, *, by_make: bool = False) -> None:
    """Checks a command without running it: programs, options and their values.

    Args:
        item: A command.
        by_make: Whether make runs it.

    Raises:
        DocumentationError: If it cannot work, or is of a kind that is not known.
    """
    words = words_of(item.text)
    program, *arguments = words
    if program == "python":
        _check_python(item, arguments, by_make)
    elif program == "make":
        for made in made_by_make(item):
            check(made, by_make=True)
    elif program == "tensorboard":
        options = {word for word in arguments if word.startswith("-")}
        if "--logdir" not in options or not options <= _TENSORBOARD_OPTIONS:
            raise DocumentationError(f"{item}: not options of TensorBoard known here.")
    elif program == "pip":
        _check_pip(item, arguments)
    elif program == "cp" and not by_make:
        source = [word for word in arguments if word[0] != "-"][0]
        if source.startswith("docs/") and not (ROOT / source).exists():
            raise DocumentationError(f"{item}: nothing to copy.")
    elif program in ("ray", "dask", "srun"):
        _check_cluster(item, [word for word in words if word != "srun"])
    elif program == "sbatch":
        if f"`{arguments[-1]}`" not in item.page.read_text():
            raise DocumentationError(f"{item}: the page does not show that file.")
    elif words not in (
        ["keras-confusion"],
        ["keras-confusion", "--help"],
        [".", ".venv/bin/activate"],
        ["mkdir", "-p", "studies"],
    ) and not (by_make and program in _ONLY_IN_MAKE):
        raise DocumentationError(f"{item}: no test knows how to run {program!r}.")


def _check_cluster(item: Item, words: list[str]) -> None:
    """Checks options of Ray's and Dask's programs by what their --help says."""
    says = _help_of(*words[:2])
    for word in words[2:]:
        if word.startswith("-") and not re.search(rf"{word}\b", says):
            raise DocumentationError(f"{item}: {' '.join(words[:2])} has no {word}.")


@functools.cache
def _help_of(program: str, command: str) -> str:
    done = subprocess.run(
        [pathlib.Path(sys.executable).with_name(program), command, "--help"],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise DocumentationError(f"There is no {program} {command}: {done.stderr}")
    return done.stdout


def _check_python(item: Item, arguments: list[str], by_make: bool) -> None:
    if arguments[0] == "-c":
        compile(arguments[1], "-c", "exec")
    elif arguments[:2] == ["-m", "pip"]:
        _check_pip(item, arguments[2:])
    elif arguments[:2] == ["-m", "pytest"] and not by_make:
        _check_pytest(item, arguments[2:])
    elif not (
        by_make and arguments[0] == "-m" and arguments[1] in _ONLY_MODULES_IN_MAKE
    ):
        target, given = target_of(arguments)
        if target not in PAGE_FILES:
            parse(target, given, item)


# Written by a reader of docs/own_data_and_model.md, and run by test_own_data.py.
PAGE_FILES = ("study.py", "text_study.py")


def target_of(arguments: list[str]) -> tuple[str, list[str]]:
    """What Python is given: "-m module" or a file, and the arguments of it."""
    if arguments[0] == "-m":
        return f"-m {arguments[1]}", arguments[2:]
    return arguments[0], arguments[1:]


def _check_pip(item: Item, arguments: list[str]) -> None:
    what = [word for word in arguments[1:] if not word.startswith("-")]
    asked = re.fullmatch(r"([\w.-]+?)(\[([\w-]+)\])?", what[0] if what else "")
    if arguments[0] != "install" or len(what) != 1 or asked is None:
        raise DocumentationError(f"{item}: no test knows what is installed.")
    package, _, extra = asked.groups()
    if package in _NOT_INSTALLED and extra is None:
        return
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    extras = setup["options.extras_require"]
    if package != ".":
        extras = importlib.metadata.metadata(package).get_all("Provides-Extra", [])
    if extra is not None and extra not in extras:
        raise DocumentationError(f"{item}: {package} has no such extra.")


def _check_pytest(item: Item, arguments: list[str]) -> None:
    """Checks that the named tests exist; a marker is the only option there is."""
    if "-m" in arguments:
        at = arguments.index("-m")
        arguments = arguments[:at] + arguments[at + 2 :]
    for path in arguments:
        if not path.startswith("tests/") or not (ROOT / path).exists():
            raise DocumentationError(f"{item}: there are no tests in {path}.")


def made_by_make(item: Item) -> list[Item]:
    """The commands that make would run now, from `make --dry-run`."""
    # These tests may be run by make themselves, which tells its children.
    make_variables = {"MAKEFLAGS", "MAKELEVEL", "MFLAGS"}
    done = subprocess.run(
        ["make", "--dry-run", *words_of(item.text)[1:]],
        cwd=ROOT,
        env={name: os.environ[name] for name in os.environ.keys() - make_variables},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise DocumentationError(f"{item}: {done.stderr}")
    lines = done.stdout.splitlines()
    return [
        dataclasses.replace(item, text=command)
        for _, command in commands_in(0, lines)
        if not command.startswith("make: ")
    ]


class _Parsed(Exception):  # no error: how a parser and its answer get out
    def __init__(self, parser, namespace):
        self.parser, self.namespace = parser, namespace


@functools.cache
def main_of(target: str) -> Callable[[], int | None]:
    """The `main` function of a script (by its path) or of a module ("-m name")."""
    if target.startswith("-m "):
        name = target.removeprefix("-m ")
        try:
            found = importlib.util.find_spec(name)
        except ModuleNotFoundError:
            found = None
        if found is None:
            raise DocumentationError(f"There is no module {name}.")
        if found.submodule_search_locations is not None:
            name += ".__main__"
        return importlib.import_module(name).main
    if not (ROOT / target).is_file():
        raise DocumentationError(f"There is no {target}.")
    return runpy.run_path(str(ROOT / target))["main"]


def parse(target: str, arguments: list[str], item: object) -> argparse.Namespace:
    """Arguments as the program's own parser reads them, see `_parse`."""
    return _parse(target, arguments, item).namespace


def parser_of(target: str, arguments: list[str]) -> argparse.ArgumentParser:
    """The parser of a program, with arguments that it takes; see `_parse`."""
    return _parse(target, arguments, target).parser


def _parse(target: str, arguments: list[str], item: object) -> _Parsed:
    """Begins a program, and ends it when it has parsed its arguments.

    Args:
        target: As `main_of` takes it.
        arguments: The arguments.
        item: Named in errors.

    Raises:
        DocumentationError: If the parser refuses them.
    """
    parse_args = argparse.ArgumentParser.parse_args
    others = [argument for argument in arguments if argument != "--help"]

    def stop(self, given=None, namespace=None):
        raise _Parsed(self, parse_args(self, others))

    heard = io.StringIO()
    argparse.ArgumentParser.parse_args = stop
    try:
        with contextlib.redirect_stderr(heard), contextlib.redirect_stdout(heard):
            main_of(target)()
    except _Parsed as parsed:
        return parsed
    except SystemExit as refused:
        raise DocumentationError(f"{item}: {heard.getvalue()}") from refused
    finally:
        argparse.ArgumentParser.parse_args = parse_args
    raise DocumentationError(f"{item}: the program reads no arguments.")


def run_main(target: str, arguments: list[str]) -> int:
    """Runs a program in this process, as if from the command line; its exit code."""
    given = sys.argv
    sys.argv = [target, *arguments]
    try:
        return main_of(target)() or 0
    except SystemExit as ended:
        return ended.code or 0
    finally:
        sys.argv = given
