"""Runs the commands of the documentation, made small, in a folder of their own."""

import dataclasses
import json
import os
import pathlib
import re
import shutil
import subprocess
import time
import urllib.request

import keras
import numpy as np

from tests.docs import test_own_data
from tests.support import docs_commands, docs_pages, tensorboard_process
from tests.support.docs_pages import DocumentationError, Item
from tests.support.plugin_site import PluginSite

SECONDS_TO_LOAD = 60

# As TensorFlow Datasets has them.
_CIFAR10_CLASSES = "airplane automobile bird cat deer dog frog horse ship truck"
# What is asked for -> a small file with the same classes. Others are small already.
_SMALL_DATA = {"digits": "digits.npz", "cifar10": "cifar10.npz"}
# With four of the classes, of which prototypes are made from each to each.
_FEW_CLASSES = {"digits": "few/digits.npz", "cifar10": "few/cifar10.npz"}
_KEPT_DATA = ("reviews", "planted", "path/to/folder", "arrays.npz", "my_data.npz")
_ALL_PAIRS = {"digits": ("2-4", "3-8"), "cifar10": ("cat-dog", "automobile-cat")}
# By program: options that always get these values, and others that get them if given.
_CONFUSION, _PROTOTYPES = (
    "scripts/run_confusion_study.py",
    "scripts/run_prototype_study.py",
)
_TRAIN, _PROBE = "scripts/train_classifier.py", "scripts/probe_saved_model.py"
_EXPLAIN = "scripts/explain_generalization.py"
_JUDGE = "scripts/judge_prototypes.py"
_ALWAYS: dict[str, dict[str, str]] = {
    _CONFUSION: {"--repeats": "2", "--baseline-repeats": "2", "--epochs": "1"},
    _PROTOTYPES: {"--inits": "1", "--epochs": "1", "--max-iterations": "2"},
    _TRAIN: {"--epochs": "1"},
    _PROBE: {"--inits": "1", "--max-iterations": "2"},
    _EXPLAIN: {"--repeats": "1", "--units": "1"},
    _JUDGE: {},
    "scripts/make_blind_sheet.py": {},
    "docs/write_commands.py": {"--out": "commands.md"},
    "-m docs.draw_architecture": {"--out": "architecture.svg"},
    "-m benchmarks": {"--only": "d", "--rounds": "1", "--quick": ""},
    "-m tb_plugin.demo": {},
    "scripts/analyse_study.py": {},
    "scripts/plan_study.py": {"--comparison": "pair", "--response": "total"},
}
_IF_GIVEN = {"--width": "4", "--frames": "2", "--workers": "1"}
# Benchmarks take minutes however small; each is run by its own test.
_BENCHMARK = re.compile(r"-m (?:benchmarks\.\w+|tests\.robustness)\.(\w+)")
# These need another machine, a browser, or minutes: only their arguments are checked.
_ONLY_PARSED = (
    *("-m benchmarks.speed.training_speed", "-m benchmarks.speed.prototype_speed"),
    *("-m benchmarks.speed.first_paint", "-m benchmarks.validity.weight_averages"),
)
# Programs of clusters are run by tests/execution/test_backends.py, and keras-confusion
# without a command by tests/cli/test_main.py.
_NOT_RUN = {*[".", "pip", "sbatch", "srun", "ray", "dask", "python", "keras-confusion"]}
# A study that a file on a page makes, and a command that makes the same.
_MADE_BY_FILES = {
    "studies/mine": f"python {_CONFUSION} --dataset my_data.npz --model my_model:build "
    "--out studies/mine"
}
_MADE = ("study", "prototypes")
_STUDY = "studies/planted"
_PLACES = re.compile(r"(studies|models|probes|sheets|saved_models|demo_logdir)(/|$)")


class Place:
    """A folder in which commands are run, each once, and each study trained once.

    Args:
        directory: An empty folder.
    """

    def __init__(self, directory: pathlib.Path):
        self.directory = directory
        self._done: dict[tuple[str, ...], str] = {}
        # Folders that are copies -> what they are copies of.
        self._copied: dict[str, str] = {}
        # Whether there was a TensorBoard, and a ResNet18, which takes long to compile.
        self._has_tensorboard = self._has_deep = False
        shutil.copytree(docs_pages.ROOT / "saved_models", directory / "saved_models")
        (directory / "docs").symlink_to(docs_pages.ROOT / "docs")
        write_data(directory)

    def run(self, item: Item) -> None:
        """Runs a command, and before it those that make what it reads.

        Raises:
            DocumentationError: If it fails, or no command makes what it reads.
        """
        words = docs_commands.words_of(item.text)
        program, *arguments = words
        if program == "make":
            if arguments[0] in _MADE:
                for made in docs_commands.made_by_make(item):
                    if docs_commands.words_of(made.text)[1].startswith("scripts/"):
                        self.run(made)
        elif program == "tensorboard":
            self._once(tuple(words), item, self._look, *arguments)
        elif program in ("cp", "mkdir"):
            self._once(tuple(words), item, self._run_shell, words)
        elif program == "python" and arguments[0] == "-c":
            exec(compile(arguments[1], "-c", "exec"), {})
        # Tests are run by tests no more than packages are installed.
        elif program == "python" and not {"pip", "pytest"} & {*arguments[:2]}:
            self._run_python(item, arguments)
        elif program not in _NOT_RUN:
            raise DocumentationError(f"{item}: no test runs {program!r}.")

    def run_block(self, item: Item, names: dict) -> None:
        """Runs a block of Python; `names` are those of the blocks before it."""
        code = re.sub(r"\brepeats=\d+", "repeats=2", item.text)
        code = re.sub(r"\bepochs=\d+", "epochs=1", code)
        if not re.search(r"\brun_\w+_study\(", code):
            self._need(item, re.findall(r'"(\w+/[\w/]+)"', code))
        exec(compile(code, str(item), "exec"), names)

    def _run_python(self, item: Item, arguments: list[str]) -> None:
        target, given = docs_commands.target_of(arguments)
        if target in docs_commands.PAGE_FILES:
            if target not in (*test_own_data.IMAGE_FILES, *test_own_data.TEXT_FILES):
                raise DocumentationError(f"{item}: no test runs this file.")
        elif target in _ONLY_PARSED:
            docs_commands.parse(target, given, item)
        elif benchmark := _BENCHMARK.fullmatch(target):
            name = benchmark.group(1)
            call = re.compile(rf"^[^#\"]*\b{name}\.(?:measure|main)\(", re.MULTILINE)
            tests = (docs_pages.ROOT / "tests").rglob("test_*.py")
            if not any(
                test.name == f"test_{name}.py" or call.search(test.read_text())
                for test in tests
            ):
                raise DocumentationError(f"{item}: no test runs {name}.")
        else:
            small = smaller(target, given, item)
            if "resnet18" in small and (target, *small) not in self._done:
                small = self._deep_once(target, small)
            self._once((target, *small), item, self._run_small, target, small)

    def _deep_once(self, target: str, arguments: list[str]) -> list[str]:
        """The same with the small model, but for the first training of a classifier.

        Prototypes of a ResNet18 are made by probe_saved_model.py on the same pages.
        """
        if target == _TRAIN and not self._has_deep:
            self._has_deep = True
            return arguments
        options = options_of(arguments) | {"--model": ["cnn"]}
        options.pop("--width", None)
        return words_of_options(options)

    def _run_small(self, item: Item, target: str, arguments: list[str]) -> None:
        out = output_of(target, arguments)
        growing = {_without_repeats(key) for key in self._forget(out) if out}
        if growing - {_without_repeats((target, *arguments))}:
            shutil.rmtree(self.directory / out)
        self._need(item, [word for word in arguments if word != out])
        if same := self._same(target, arguments):
            shutil.rmtree(self.directory / out, ignore_errors=True)
            shutil.copytree(self.directory / same, self.directory / out)
            self._copied[out] = self._copied.get(same, same)
            return
        if code := docs_commands.run_main(target, arguments):
            raise DocumentationError(f"{item} ended with {code}, as {arguments}.")

    def _same(self, target: str, arguments: list[str]) -> str | None:
        """The folder that the same command wrote, but for its --out.

        A study that is there already would go on; a classifier is replaced.
        """
        out = output_of(target, arguments)
        if target not in (_CONFUSION, _PROTOTYPES, _TRAIN) or out is None:
            return None
        if target != _TRAIN and (self.directory / out).exists():
            return None
        asked = _without_place(arguments)
        for (done, *others), written in self._done.items():
            if done == target and _without_place(others) == asked:
                return written
        return None

    def _forget(self, out: str | None) -> list[tuple[str, ...]]:
        """Forgets the commands that wrote a folder, and returns them."""
        self._copied = {
            copy: origin
            for copy, origin in self._copied.items()
            if out not in (copy, origin)
        }
        keys = [key for key, written in self._done.items() if written == out]
        for key in keys:
            del self._done[key]
        return keys

    def _once(self, key: tuple[str, ...], item: Item, run, *arguments) -> None:
        # What is done with a folder need not be done with a copy of it.
        if tuple(self._copied.get(word, word) for word in key) not in self._done:
            run(item, *arguments)
            self._done[key] = output_of(key[0], list(key[1:])) or ""

    def _need(self, item: Item, words: list[str]) -> None:
        """Runs the documented commands that make the folders among `words`."""
        for path in words:
            there = self.directory / path
            if not _PLACES.match(path) or there.is_file():
                continue
            if there.exists() and os.listdir(there):
                continue
            if path == "studies":
                path = _STUDY
            if path in _MADE_BY_FILES:
                maker = dataclasses.replace(item, text=_MADE_BY_FILES[path])
            elif (maker := self._maker(path)) is None:
                raise DocumentationError(
                    f"{item}: no command on any page makes {path}."
                )
            self.run(maker)

    def _maker(self, path: str) -> Item | None:
        pages = [*docs_pages.PAGES, docs_pages.RECORDS[0]]
        found = [item for page in pages for item in docs_pages.items(page)]
        for item in found:
            if item.kind != "command":
                continue
            makes = [item]
            words = docs_commands.words_of(item.text)
            if words[0] == "make" and words[1] in _MADE:
                makes = docs_commands.made_by_make(item)
            for made in makes:
                program, *arguments = docs_commands.words_of(made.text)
                if program != "python" or arguments[0] == "-c":
                    continue
                target, given = docs_commands.target_of(arguments)
                if target in _ALWAYS and output_of(target, given) == path:
                    return made
        return None

    def _run_shell(self, item: Item, words: list[str]) -> None:
        self._need(item, [re.sub("/networks.*", "", word) for word in words[1:-1]])
        done = subprocess.run(
            " ".join(words), shell=True, cwd=self.directory, check=False
        )
        if done.returncode:
            raise DocumentationError(f"{item} ended with {done.returncode}.")
        # What is written there now is another study, with which a command goes on.
        self._forget(words[-1].removesuffix("/networks"))

    def _look(self, item: Item, *arguments: str) -> None:
        """TensorBoard starts, answers, and the plugin shows every study, whole.

        A real one starts once; then the plugin is asked without it.
        """
        at = arguments.index("--logdir")
        logdir = self.directory / arguments[at + 1]
        self._need(item, [arguments[at + 1]])
        if self._has_tensorboard:
            studies = PluginSite(logdir).get("studies").json["studies"]
        else:
            studies = _studies_of_tensorboard(logdir)
            self._has_tensorboard = True
        if not studies or any(study["error"] for study in studies):
            raise DocumentationError(f"{item}: TensorBoard shows {studies}.")


def _studies_of_tensorboard(logdir: pathlib.Path) -> list[dict]:
    with tensorboard_process.tensorboard(logdir) as address:
        route = f"{address}data/plugin/keras_confusion/studies"
        deadline = time.monotonic() + SECONDS_TO_LOAD
        while time.monotonic() < deadline:
            with urllib.request.urlopen(route) as answer:
                studies = json.load(answer)["studies"]
            if studies:
                break
            time.sleep(0.2)
    return studies


def smaller(target: str, given: list[str], item: object) -> list[str]:
    """The arguments of a small run; those given are parsed first, as they are.

    Args:
        target: As `docs_commands.main_of` takes it.
        given: The arguments on the page.
        item: Named in errors.

    Raises:
        DocumentationError: If the program's parser refuses them, or no test knows the
            program or the data set.
    """
    docs_commands.parse(target, given, item)
    if target not in _ALWAYS:
        raise DocumentationError(f"{item}: no test makes {target!r} small.")
    if "--help" in given:
        return given
    if target == _JUDGE:
        # The study's own network: others have more classes than small data.
        given = [given[0], f"{given[0]}/models/100"]
    options = options_of(given)
    if target in (_CONFUSION, _PROTOTYPES, _TRAIN):
        name = options.get("--dataset", ["digits"])[0]
        if name not in _SMALL_DATA and name not in _KEPT_DATA:
            raise DocumentationError(f"{item}: no test has data for {name!r}.")
        options["--dataset"] = [_SMALL_DATA.get(name, name)]
        if target == _CONFUSION and options.get("--pairs", ["all"]) == ["all"]:
            options["--pairs"] = [*_ALL_PAIRS.get(name, ("0-1",))]
        if target == _PROTOTYPES:
            options["--intervals"] = ["100"]
            options["--dataset"] = [_FEW_CLASSES.get(name, name)]
    # A cluster is what execution/test_backends.py has, and no process can go back from
    # deterministic operations: see tests/robustness/test_determinism.py.
    for name in ("--data-dir", "--backend", "--address", "--deterministic"):
        options.pop(name, None)
    if target == "-m benchmarks":
        # Subject d has none.
        options.pop("--dataset", None)
    repeats = options.get("--repeats", [""])[0]
    options |= {name: [value] for name, value in _ALWAYS[target].items()}
    if target == _CONFUSION and repeats == "2":
        # A page grows a study from there.
        options["--repeats"] = ["1"]
    options |= {name: [_IF_GIVEN[name]] for name in options.keys() & _IF_GIVEN}
    if target == "-m benchmarks":
        # In one order: the same ones are run once.
        options = dict(sorted(options.items()))
    # DIR, FOLDER, STUDY: any study.
    return [
        _STUDY if re.fullmatch("[A-Z]{3,}", word) else word
        for word in words_of_options(options)
    ]


def _without_repeats(key: tuple[str, ...]) -> tuple[str, ...]:
    """A command without what a study may have more of."""
    return tuple(re.sub(r"--repeats \d+", "", " ".join(key)).split())


def _without_place(arguments: list[str]) -> dict[str, list[str]]:
    """The options of a study, in any order, that do not say where it is made."""
    options = options_of(arguments)
    return {name: options[name] for name in options.keys() - {"--out", "--workers"}}


def options_of(given: list[str]) -> dict[str, list[str]]:
    """Values by the name of the option; those before any option by ""."""
    options: dict[str, list[str]] = {"": []}
    for word in given:
        if word.startswith("--"):
            name, options[word] = word, []
        else:
            options[name if len(options) > 1 else ""].append(word)
    return options


def words_of_options(options: dict[str, list[str]]) -> list[str]:
    """The command line that `options_of` reads so."""
    words = [word for name, values in options.items() for word in (name, *values)]
    return [word for word in words if word]


def output_of(target: str, arguments: list[str]) -> str | None:
    """The folder or file that a command writes; `None` if there is no such thing."""
    options = options_of(arguments)
    if target == "-m tb_plugin.demo":
        return options[""][0]
    if "--out" in options:
        return options["--out"][0]
    stem = pathlib.Path(options.get("--dataset", ["digits"])[0]).stem
    if "--help" in options:
        return None
    if target == _TRAIN:
        return f"models/{stem}_{options.get('--model', ['cnn'])[0]}"
    named = {_CONFUSION: f"studies/{stem}", _PROTOTYPES: f"studies/prototypes_{stem}"}
    return named.get(target)


def write_data(directory: pathlib.Path) -> None:
    """The data sets that the pages name, with a few random images each."""
    rng = np.random.default_rng(0)

    def write(name, class_names, size=20):
        labels = np.tile(np.arange(len(class_names)), 8)
        images = rng.integers(0, 256, (len(labels), size, size, 3), dtype=np.uint8)
        np.savez(
            directory / name,
            x_train=images,
            y_train=labels,
            x_test=images,
            y_test=labels,
            class_names=class_names,
        )

    write("cifar10.npz", _CIFAR10_CLASSES.split(" "))
    write("digits.npz", list("0123456789"))
    (directory / "few").mkdir()
    write("few/cifar10.npz", ["automobile", "cat", "dog", "truck"])
    write("few/digits.npz", list("3489"))
    write("arrays.npz", ["a", "b", "c"])
    write("my_data.npz", ["a", "b", "c"])
    test_own_data.write_files(directory, ["my_model.py", "my_text_model.py"])
    for part in ("train", "test"):
        for name in ("ant", "bee", "cow"):
            folder = directory / "path" / "to" / "folder" / part / name
            folder.mkdir(parents=True)
            for number in range(4):
                image = rng.integers(0, 256, (20, 20, 3), dtype=np.uint8)
                keras.utils.save_img(folder / f"{number}.png", image)
