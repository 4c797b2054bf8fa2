"""Where the commands of the documentation are.

A command is a line of a block of code, or a span of code that begins with a program. A
block is one without a language or of `sh`; what a program prints is `text`, and only
lines of it that begin with `python` or `keras-confusion` are commands. What is none of
these, and no listing of files, is an error: nothing is passed over.
"""

import dataclasses
import pathlib
import re
from collections.abc import Iterator

ROOT = pathlib.Path(__file__).parents[2]
PAGES = [
    *(ROOT / "README.md", ROOT / "CONTRIBUTING.md"),
    ROOT / "benchmarks" / "README.md",
    *(ROOT / "saved_models" / "README.md", ROOT / "tb_plugin" / "http_api.md"),
    *sorted((ROOT / "docs").glob("*.md")),
]
# Records of long runs: their commands are parsed, and not run again.
RECORDS = sorted((ROOT / "docs" / "results").rglob("*.md"))

_SHELL, _OUTPUT, _PYTHON, _DATA = ("", "sh", "bash"), ("text",), ("python",), ("json",)
_PROGRAM = re.compile(
    r"(\w+=\S* +)*(\.venv/bin/)?"
    r"((python3?|make|tensorboard|pip|cp|mkdir|sbatch|srun|ray|dask) +\S"
    # `keras-confusion study` alone is a name.
    r"|keras-confusion +\S+ +\S)"
)
_SCRIPT = re.compile(r"scripts/\w+\.py +\S")
# "study.json     settings": a path or several, and after two spaces what they are.
_PATH = r"[\w<>*]*[/.*][\w<>*/.]*"
_LISTED = re.compile(rf"(?!\.){_PATH}(, {_PATH})*(  +\S.*)?")
_FENCE = re.compile(r" *```(.*)")
_SPAN = re.compile(r"(?<!`)`([^`]+)`(?!`)")


class DocumentationError(AssertionError):
    """A command in the documentation that cannot work, or that no test knows."""


@dataclasses.dataclass(frozen=True)
class Item:
    """Something on a page that is run.

    Args:
        page: The page.
        line: Number of its line, from 1.
        kind: "command", "python" (a block) or "options" (a span such as `--width 8`).
        text: The code.
    """

    page: pathlib.Path
    line: int
    kind: str
    text: str

    def __str__(self):
        return f"{self.page.relative_to(ROOT)}:{self.line}: {self.text}"


def items(page: pathlib.Path, text: str | None = None) -> list[Item]:
    """Everything on a page that is run, from top to bottom.

    Args:
        page: The page.
        text: What is on it; `None` reads it.

    Raises:
        DocumentationError: If there is a block of a kind that is not known.
    """
    text = page.read_text() if text is None else text
    found, prose = [], []
    for number, language, lines in _blocks(text):
        if language is None:
            prose.append((number, "\n".join(lines)))
        elif language in _PYTHON:
            found.append(Item(page, number, "python", "\n".join(lines)))
        elif language in _SHELL and not _is_listing(lines):
            found += [
                Item(page, n, "command", c) for n, c in commands_in(number, lines)
            ]
        elif language in _OUTPUT:
            found += [
                Item(page, n, "command", command)
                for n, command in commands_in(number, lines)
                if command.startswith(("python ", "keras-confusion "))
            ]
        elif language not in (*_SHELL, *_DATA):
            raise DocumentationError(
                f"{page}:{number}: Expected a block of sh, text, python or json. "
                f"Received: {language!r}."
            )
    for number, paragraph in prose:
        for span in _SPAN.finditer(paragraph):
            line = number + paragraph.count("\n", 0, span.start())
            code = " ".join(span.group(1).split())
            if _PROGRAM.match(code) or _SCRIPT.match(code):
                found.append(Item(page, line, "command", code))
            elif code.startswith("--"):
                found.append(Item(page, line, "options", code))
        bare = re.sub(_SPAN, "", paragraph)
        if naked := re.search(r"^(python3?|pip|\.venv/bin/\w+) [-.\w/]+", bare, re.M):
            raise DocumentationError(
                f"{page}: {naked.group()!r} is not marked as code."
            )
    return sorted(found, key=lambda item: item.line)


def _blocks(text: str) -> Iterator[tuple[int, str | None, list[str]]]:
    """Yields the first line's number, the language (`None`: prose) and the lines."""
    language: str | None = None
    start, block = 1, []
    for number, line in enumerate([*text.split("\n"), ""], 1):
        fence = _FENCE.fullmatch(line)
        in_fence = language is not None and language != "indented"
        if fence and in_fence:
            yield start, language, block
            language, start, block = None, number + 1, []
        elif fence:
            yield start, None if language is None else "", block
            language, start, block = fence.group(1).strip(), number + 1, []
        elif in_fence:
            block.append(line)
        elif line.startswith("    ") and (
            language == "indented" or _ends_paragraph(block)
        ):
            if language is None:
                yield start, None, block
                language, start, block = "indented", number, []
            block.append(line[4:])
        elif line.strip() or language is None:
            if language == "indented":
                yield start, "", block
                language, start, block = None, number, []
            block.append(line)
        else:
            block.append("")
    if language not in (None, "indented"):
        raise DocumentationError(f"The block of line {start} has no end.")
    yield start, None if language is None else "", block


def _ends_paragraph(lines: list[str]) -> bool:
    """Whether an indented line after these begins a block of code."""
    return not lines or not lines[-1].strip() or lines[-1].startswith("#")


def _is_listing(lines: list[str]) -> bool:
    """Whether a block shows files, each with what it is."""
    base = [line for line in lines if line.strip() and not line.startswith("  ")]
    return all(_LISTED.fullmatch(line) for line in base) and "  " in "".join(lines)


def commands_in(number: int, lines: list[str]) -> Iterator[tuple[int, str]]:
    """Yields the line and text of every command, with continued lines in one."""
    start, joined = number, ""
    for offset, line in enumerate(lines):
        joined += line.strip()
        if joined.endswith("\\"):
            joined = joined[:-1]
            continue
        if joined and not joined.startswith("#"):
            yield start, joined
        start, joined = number + offset + 1, ""
