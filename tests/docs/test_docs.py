"""Every command in the documentation is parsed, and run."""

import functools
import itertools
import re
import shlex
import subprocess
import sys

import pytest

from keras_confusion.cli import main
from keras_confusion.execution import runtime
from tests.support import docs_commands, docs_pages, docs_place
from tests.support.docs_pages import PAGES, RECORDS, ROOT, DocumentationError, Item

PAGE = ROOT / "docs" / "page.md"
# Their commands take no more than a few seconds together.
QUICK = ("http_api.md",)
# Where figures are drawn; tests/reports/ draws those of every kind of study.
DRAWN = (ROOT / "README.md", ROOT / "CONTRIBUTING.md")
# Blocks that are files: test_own_data.py runs the one's, and Slurm the other's.
NOT_RUN = ("own_data_and_model.md", "cluster.md")
# Options of programs that are not of this project.
SCREENSHOTS = ["--confusion", "a", "--prototypes", "b"]
FOREIGN_OPTIONS = ("--path_prefix",)
PROGRAMS = {
    "scripts/run_confusion_study.py": [],
    "scripts/run_prototype_study.py": [],
    "scripts/train_classifier.py": [],
    "scripts/analyse_study.py": ["study"],
    "scripts/plan_study.py": ["study", "--effect", "1"],
    "scripts/judge_prototypes.py": ["study"],
    "scripts/make_blind_sheet.py": shlex.split("study --out sheet"),
    "scripts/probe_saved_model.py": shlex.split("model --from 1 --to 2 --out probe"),
    "scripts/explain_generalization.py": shlex.split("study --target 1 --pair 2-3"),
    "-m benchmarks": [],
    "-m benchmarks.speed.head_cost": [],
    "-m benchmarks.speed.many_classes": [],
    "-m benchmarks.validity.against_xplique": [],
    "-m benchmarks.validity.learned_features": [],
    "-m benchmarks.validity.null_calibration": [],
    "-m benchmarks.validity.planted_truth": [],
    "-m benchmarks.validity.power_per_hour": [],
    "-m benchmarks.validity.poster_comparison": ["study"],
    "-m benchmarks.validity.readability": [],
    "-m benchmarks.validity.robustness": [],
    "-m benchmarks.validity.variance": [],
}


def name_of(page):
    return str(page.relative_to(ROOT))


def commands_of(page):
    return [item for item in docs_pages.items(page) if item.kind == "command"]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return docs_place.Place(tmp_path_factory.mktemp("docs"))


@pytest.mark.parametrize("page", [*PAGES, *RECORDS], ids=name_of)
def test_programs_take_every_command(page):
    for item in commands_of(page):
        docs_commands.check(item)


@pytest.mark.parametrize("page", [*PAGES, *RECORDS], ids=name_of)
def test_every_option_exists(page):
    for item in docs_pages.items(page):
        if item.kind == "options" and item.text not in FOREIGN_OPTIONS:
            assert takers_of(item), f"No program takes {item}."


def takers_of(item):
    """Programs that take a span of options; N and F stand for numbers, | for or."""
    words = shlex.split(re.sub(r"\b[NFRSW]\b", "1", item.text))
    if len(words) == 1:
        option = re.compile(rf"(?<!\S)\[?{words[0]}(?![\w-])")
        return [program for program in PROGRAMS if option.search(help_of(program))]
    ways = list(itertools.product(*[word.split("|") for word in words]))
    return [
        program
        for program, needed in PROGRAMS.items()
        if all(takes(program, [*needed, *way], item) for way in ways)
    ]


def takes(program, words, item):
    try:
        docs_commands.parse(program, words, item)
    except DocumentationError:
        return False
    return True


@functools.cache
def help_of(program):
    return docs_commands.parser_of(program, PROGRAMS[program]).format_help()


@pytest.mark.parametrize(
    "page",
    [
        pytest.param(page, marks=[] if page.name in QUICK else pytest.mark.slow)
        for page in PAGES
    ],
    ids=name_of,
)
def test_every_command_runs(page, place, monkeypatch, request):
    if page not in DRAWN:
        request.getfixturevalue("undrawn")
    # Here, not in worker processes, which would take long to start.
    monkeypatch.setattr(runtime, "default_num_workers", lambda: 1)
    monkeypatch.chdir(place.directory)
    monkeypatch.syspath_prepend(place.directory)
    names = {}
    for item in docs_pages.items(page):
        if item.kind == "command":
            place.run(item)
        elif item.kind == "python" and page.name not in NOT_RUN:
            place.run_block(item, names)


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (
            "python scripts/run_confusion_study.py --dataset cifar10 --pairs cat-doge",
            "ended with 1",
        ),
        ("python scripts/analyse_study.py studies/none", "makes studies/none"),
        ("cp -r docs/images no/such/folder/images", "ended with 1"),
        ("python -m benchmarks.speed.scaling", "no test runs scaling"),
        ("tensorboard --logdir studies/none", "makes studies/none"),
    ],
)
def test_commands_that_do_not_work_fail(command, message, place, monkeypatch):
    monkeypatch.chdir(place.directory)
    with pytest.raises(DocumentationError, match=message):
        place.run(Item(PAGE, 1, "command", command))


@pytest.mark.parametrize("is_real", [pytest.param(True, marks=pytest.mark.slow), False])
def test_tensorboard_without_a_study_fails(place, monkeypatch, is_real):
    monkeypatch.setattr(docs_place, "SECONDS_TO_LOAD", 0.1)
    monkeypatch.setattr(place, "_has_tensorboard", not is_real)
    with pytest.raises(DocumentationError, match=r"TensorBoard shows \[\]"):
        place.run(Item(PAGE, 1, "command", "tensorboard --logdir path"))


def test_every_page_is_looked_at():
    tracked = {ROOT / "README.md", *(ROOT / "docs").rglob("*.md")}
    tracked |= {*ROOT.glob("[!.]*/README.md"), *ROOT.glob("tb_plugin/*.md")}
    tracked |= {ROOT / "CONTRIBUTING.md"}
    assert tracked <= {*PAGES, *RECORDS}
    assert len(commands_of(ROOT / "README.md")) > 10


def test_commands_page_is_what_the_commands_print(tmp_path):
    path = ROOT / "docs" / "commands.md"
    code = ROOT / "docs" / "write_commands.py"
    subprocess.run([sys.executable, code, "--out", tmp_path / "page.md"], check=True)
    # Words: versions of Python break lines of --help in other places.
    assert path.read_text().split() == (tmp_path / "page.md").read_text().split(), (
        "Run: python docs/write_commands.py"
    )
    named = set(re.findall(r"^## ([\w-]+)$", path.read_text(), re.M))
    assert named == main.COMMANDS.keys()


def test_links_lead_somewhere():
    for page in PAGES:
        for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
            path, _, heading = target.partition("#")
            if path.startswith("http"):
                continue
            file = (page.parent / path).resolve() if path else page
            assert file.exists(), f"{page}: {target}"
            if heading:
                headings = re.findall(r"^#+ (.*)$", file.read_text(), re.M)
                slugs = [re.sub(r"[^\w -]", "", text.lower()) for text in headings]
                assert heading in [s.replace(" ", "-") for s in slugs], (
                    f"{page}: {target}"
                )


# How commands are found.


def test_blocks_spans_and_continued_lines():
    text = (
        "Text with `python a.py --b`, `make test`, `--width N` and `a.py`.\n"
        "# Heading\n    python b.py \\\n        --c\n\nText\n\n"
        "    study.json   settings\n    figures/*.png, *.svg\n\n"
        "- list\n    not code\n\n"
        "```\nmake x  # why\n# only a remark\n```\n"
        "```python\nprint()\n```\n```json\n{}\n```\n"
        "```text\nusage: python\n  python c.py\n```\n"
    )
    found = docs_pages.items(PAGE, text)
    assert [(item.line, item.kind, item.text) for item in found] == [
        (1, "command", "python a.py --b"),
        (1, "command", "make test"),
        (1, "options", "--width N"),
        (3, "command", "python b.py --c"),
        (15, "command", "make x  # why"),
        (19, "python", "print()"),
        (26, "command", "python c.py"),
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("```zsh\nls\n```\n", "Received: 'zsh'"),
        ("```\nls\n", "has no end"),
        ("Then\npython scripts/analyse_study.py studies\n", "not marked as code"),
    ],
)
def test_blocks_that_no_test_knows(text, message):
    with pytest.raises(DocumentationError, match=message):
        docs_pages.items(PAGE, text)


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("keras-confusion serve", "no test knows how to run 'keras-confusion'"),
        ("keras-confusion study --repeat-s 3", "--repeat-s"),
        ("python -m keras_confusion analyse", "required: directory"),
        ("keras-confusion demo a b", "unrecognized arguments: b"),
        ("python scripts/run_confusion_study.py --repeat-s 3", "--repeat-s"),
        ("python scripts/run_confusion_study.py --epochs many", "invalid int value"),
        ("python scripts/run_confusion_study.py --recipe adam", "invalid choice"),
        ("python scripts/analyse_study.py", "required: directory"),
        ("python scripts/no_script.py --epochs 1", "There is no scripts/no_script.py"),
        ("python -m benchmarks --only nothing", "invalid choice"),
        ("python -m pytest tests/test_fuzz.py", "no tests in tests/test_fuzz.py"),
        ("python -m pytest tests/stats --all", "no tests in --all"),
        ("python -m benchmarks.no_module", "There is no module benchmarks.no_module"),
        ("make no-target", "No rule to make target"),
        ('make study STUDY="--pear 1-2"', "--pear"),
        ("pip install '.[gpu]'", "has no such extra"),
        ("tensorboard studies", "not options of TensorBoard"),
        ("cp -r docs/no_folder studies", "nothing to copy"),
        ("python scripts/analyse_study.py a | head", "No test knows"),
        ("python scripts/analyse_study.py $STUDY", "No test knows"),
        ("sbatch other.sbatch", "does not show that file"),
        ("dask worker tcp://head:8786 --threads 1", "has no --threads"),
        ("ray begin --head", "There is no ray begin"),
    ],
)
def test_wrong_commands_are_refused(command, message):
    item = Item(ROOT / "docs" / "cluster.md", 1, "command", command)
    with pytest.raises(DocumentationError, match=re.escape(message)):
        docs_commands.check(item)


def test_small_commands_keep_their_options():
    given = (
        "--dataset cifar10 --pairs cat-dog bird-deer --repeats 50 --epochs 10 "
        "--model resnet18 --width 16 --data-dir somewhere --own-seeds --out studies/x"
    )
    small = docs_place.smaller("scripts/run_confusion_study.py", given.split(), "here")
    assert " ".join(small) == (
        "--dataset cifar10.npz --pairs cat-dog bird-deer --repeats 2 --epochs 1 "
        "--model resnet18 --width 4 --own-seeds --out studies/x --baseline-repeats 2"
    )


@pytest.mark.parametrize(
    ("target", "given", "message"),
    [
        ("scripts/run_confusion_study.py", ["--dataset", "x"], "no test has data for"),
        ("scripts/run_confusion_study.py", ["--pear", "1-2"], "--pear"),
        ("docs/take_screenshots.py", SCREENSHOTS, "no test makes"),
    ],
)
def test_what_cannot_be_made_small_is_refused(target, given, message):
    with pytest.raises(DocumentationError, match=message):
        docs_place.smaller(target, given, "here")
