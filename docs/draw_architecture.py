r"""Draws docs/images/architecture.svg: the packages, and which imports which.

    python -m docs.draw_architecture

All of it is read from the source: floors are those of tests/test_layers.py, arrows the
imports, sentences the docstrings of the packages. An arrow that follows from others is
left out, as all of them would hide each other.
"""

import argparse
import ast
import collections
import dataclasses
import pathlib
import textwrap

import matplotlib
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch
from matplotlib.path import Path

from keras_confusion.reports.figures.style import STYLE
from tests.test_layers import FLOOR, LAYERS, ROOT, imports, modules, package_of

PICTURE = pathlib.Path(__file__).parent / "images" / "architecture.svg"
# No floor of the package: only the names that event files are written with.
PLUGIN = "tb_plugin"
_TENSORFLOW = {"tensorflow", "keras"}

# Inches.
_WIDTH, _MARGIN, _LANE = 12.0, 0.2, 0.45
_FULL, _HALF = 8.8, 4.2
_BOX_HEIGHT, _GAP, _TITLE, _CAPTION = 0.82, 0.4, 0.55, 0.45
_PLUGIN_WIDTH, _PLUGIN_HEIGHT = 2.0, 1.4
_LETTERS_AN_INCH = 14.5
_INK, _QUIET, _LINE = "0.1", "0.4", "0.35"
_PLAIN, _TINTED, _OUTSIDE = "#ffffff", "#ddd6ec", "#fde6cf"


@dataclasses.dataclass(frozen=True)
class Package:
    """A box of the picture.

    Args:
        name: Of the package, or of a module beside the packages.
        sentence: The first line of its docstring.
        num_modules: Modules in it and below it.
        parts: Names of the packages below it.
        has_tensorflow: Whether any of its modules imports TensorFlow or Keras.
    """

    name: str
    sentence: str
    num_modules: int
    parts: tuple[str, ...]
    has_tensorflow: bool


def packages() -> dict[str, Package]:
    """The packages by name, from top to bottom, and the plugin."""
    sources = collections.defaultdict(dict)
    for name, source in modules():
        sources[name.split("/")[0].removesuffix(".py")][name] = source
    plugin = ROOT.parent / PLUGIN
    sources[PLUGIN] = {
        path.relative_to(plugin.parent).as_posix(): path.read_text()
        for path in sorted(plugin.glob("*.py"))
    }
    return {name: _package(name, sources[name]) for name in (*FLOOR, PLUGIN)}


def _package(name: str, sources: dict[str, str]) -> Package:
    face = sources.get(f"{name}/__init__.py") or sources[f"{name}.py"]
    used = {
        module.split(".")[0]
        for path, source in sources.items()
        for _, module in imports(source, path)
    }
    return Package(
        name,
        ast.get_docstring(ast.parse(face)).split("\n")[0].replace("`", ""),
        sum(not path.endswith("__init__.py") for path in sources),
        tuple(
            path.split("/")[1]
            for path in sources
            if path.count("/") == 2 and path.endswith("/__init__.py")
        ),
        bool(used & _TENSORFLOW),
    )


def arrows() -> list[tuple[str, str]]:
    """(from, to) for packages of which one imports the other, all of them."""
    found = set()
    for name, source in modules():
        here = name.split("/")[0].removesuffix(".py")
        for _, module in imports(source, name):
            top = module.split(".")[0]
            there = package_of(module) if top == ROOT.name else top
            if here in FLOOR and there in {*FLOOR, PLUGIN} - {here}:
                found.add((here, there))
    order = [*FLOOR, PLUGIN]
    return sorted(found, key=lambda arrow: [order.index(name) for name in arrow])


def shown(every: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """The arrows that do not follow from others: the transitive reduction."""

    def reached(start, left_out):
        todo, found = [start], set()
        while todo:
            here = todo.pop()
            ends = {b for a, b in every if a == here and (a, b) != left_out} - found
            found |= ends
            todo += ends
        return found

    return [arrow for arrow in every if arrow[1] not in reached(arrow[0], arrow)]


def in_words() -> str:
    """Everything that the picture shows, which is kept in its file."""
    lines = [
        f"{one.name}: {_modules(one)}{', TensorFlow' * one.has_tensorflow}. "
        f"{_parts(one)}{one.sentence}"
        for one in packages().values()
    ]
    return "\n".join([*lines, *(f"{a} -> {b}" for a, b in shown(arrows())), _caption()])


def _modules(one: Package) -> str:
    return f"{one.num_modules} module{'s' * (one.num_modules != 1)}"


def _parts(one: Package) -> str:
    return "".join(f"{part}/ " for part in one.parts)


def _caption() -> str:
    every = arrows()
    return (
        "An arrow: imports. All of them point downward. One that follows from others "
        f"is left out: {len(shown(every))} of {len(every)} are drawn."
    )


@dataclasses.dataclass(frozen=True)
class _Box:
    left: float
    bottom: float
    width: float
    height: float = _BOX_HEIGHT

    @property
    def right(self) -> float:
        return self.left + self.width

    @property
    def top(self) -> float:
        return self.bottom + self.height

    @property
    def middle(self) -> float:
        return self.bottom + self.height / 2


def _places() -> dict[str, _Box]:
    """Where the boxes are: a floor of one package is as wide as one of two."""
    left, found = _MARGIN + _LANE, {}
    for floor, names in enumerate(LAYERS):
        if len(names) > 2:
            raise ValueError(
                f"Expected at most two packages on a floor. Received: {names}. "
                "Use narrower boxes."
            )
        bottom = _CAPTION + (len(LAYERS) - 1 - floor) * (_BOX_HEIGHT + _GAP)
        width = _FULL if len(names) == 1 else _HALF
        for column, name in enumerate(names):
            found[name] = _Box(left + column * (_FULL - _HALF), bottom, width)
    left = _WIDTH - _MARGIN - _PLUGIN_WIDTH
    bottom = found["reports"].bottom - _GAP - _PLUGIN_HEIGHT
    return found | {PLUGIN: _Box(left, bottom, _PLUGIN_WIDTH, _PLUGIN_HEIGHT)}


def draw() -> Figure:
    """Draws the picture."""
    height = _TITLE + _CAPTION + len(LAYERS) * (_BOX_HEIGHT + _GAP) - _GAP
    figure = Figure((_WIDTH, height))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, _WIDTH), ylim=(0, height))
    axes.axis("off")
    places = _places()
    axes.text(
        _MARGIN + _LANE,
        height - 0.2,
        "keras_confusion: what is in it, and what imports what",
        fontsize=15,
        weight="bold",
        va="top",
        color=_INK,
    )
    axes.text(_MARGIN + _LANE, 0.12, _caption(), fontsize=9.5, color=_QUIET)
    num_lanes = collections.Counter()
    for start, end in shown(arrows()):
        _draw_arrow(axes, start, end, places, num_lanes)
    for one in packages().values():
        _draw_box(axes, one, places[one.name])
    _draw_legend(axes, places)
    return figure


def _draw_box(axes, one: Package, box: _Box) -> None:
    is_outside = one.name == PLUGIN
    _draw_frame(axes, box, _OUTSIDE if is_outside else _fill(one))
    left, right = box.left + 0.14, box.right - 0.14
    axes.text(
        left, box.top - 0.13, one.name, fontsize=13, weight="bold", va="top", color=_INK
    )
    small = {"fontsize": 9.5, "va": "top", "linespacing": 1.25}
    lines = textwrap.wrap(one.sentence, int((box.width - 0.28) * _LETTERS_AN_INCH))
    about, y = _modules(one), box.top - 0.4
    if is_outside:
        axes.text(left, y, about, color=_QUIET, **small)
        y -= 0.26
    else:
        parts = ", ".join(f"{part}/" for part in one.parts)
        about = f"{parts} · {about}" if parts else about
        axes.text(right, box.top - 0.16, about, ha="right", color=_QUIET, **small)
    axes.text(left, y, "\n".join(lines), color=_INK, **small)


def _draw_frame(axes, box: _Box, color: str) -> None:
    axes.add_patch(
        FancyBboxPatch(
            (box.left, box.bottom),
            box.width,
            box.height,
            boxstyle="round,pad=0,rounding_size=0.09",
            facecolor=color,
            edgecolor=_LINE,
            linewidth=1.0,
            zorder=2,
        )
    )


def _fill(one: Package) -> str:
    return _TINTED if one.has_tensorflow else _PLAIN


def _draw_arrow(axes, start: str, end: str, places: dict[str, _Box], num_lanes) -> None:
    above, below = places[start], places[end]
    if end == PLUGIN:
        place = above.right + 0.1, above.middle + 0.08
        axes.text(*place, "metadata.py only", fontsize=9, color=_QUIET)
        x = below.left + below.width / 2
        points = [(above.right, above.middle), (x, above.middle), (x, below.top)]
    elif FLOOR[end] - FLOOR[start] == 1:
        points = _short(above, below)
    else:
        # Beside the floors between them, on the side of its end.
        columns = LAYERS[FLOOR[end]]
        sign = 1 if columns.index(end) == len(columns) - 1 else -1
        num_lanes[sign] += 1
        edge = [box.right if sign > 0 else box.left for box in (above, below)]
        x = edge[0] + sign * _LANE * (0.4 + 0.3 * num_lanes[sign])
        points = [
            (edge[0], above.middle),
            (x, above.middle),
            (x, below.middle),
            (edge[1], below.middle),
        ]
    axes.add_patch(
        FancyArrowPatch(
            path=_rounded(points),
            arrowstyle="-|>,head_length=5.5,head_width=2.8",
            linewidth=1.3,
            linestyle=(0, (4, 2.5)) if end == PLUGIN else "-",
            color=_LINE,
            shrinkA=0,
            shrinkB=0,
            joinstyle="miter",
            zorder=1,
        )
    )


def _short(above: _Box, below: _Box) -> list[tuple[float, float]]:
    """Straight down where one is over the other, slanted where not."""
    left, right = max(above.left, below.left), min(above.right, below.right)
    if left < right:
        start = end = (left + right) / 2
    elif above.left > below.left:
        start, end = above.left + above.width / 6, below.right - below.width / 6
    else:
        start, end = above.right - above.width / 6, below.left + below.width / 6
    return [(start, above.bottom), (end, below.top)]


def _rounded(points, radius: float = 0.12) -> Path:
    """A path through points that turns at right angles."""
    vertices, codes = [points[0]], [Path.MOVETO]
    for before, corner, after in zip(points, points[1:], points[2:], strict=False):
        vertices += [_toward(corner, before, radius), corner]
        vertices += [_toward(corner, after, radius)]
        codes += [Path.LINETO, Path.CURVE3, Path.CURVE3]
    return Path([*vertices, points[-1]], [*codes, Path.LINETO])


def _toward(point, other, length: float) -> tuple[float, float]:
    step = [(b > a) - (b < a) for a, b in zip(point, other, strict=True)]
    return tuple(a + length * sign for a, sign in zip(point, step, strict=True))


def _draw_legend(axes, places: dict[str, _Box]) -> None:
    left, y = places[PLUGIN].left, places["stats"].bottom + 0.6
    for color, text in (
        (_TINTED, "modules with\nTensorFlow or Keras"),
        (_PLAIN, "no such module"),
    ):
        _draw_frame(axes, _Box(left, y - 0.11, 0.3, 0.22), color)
        axes.text(left + 0.42, y, text, fontsize=9.5, va="center", color=_INK)
        y -= 0.42


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=pathlib.Path, default=PICTURE, metavar="FILE.svg")
    arguments = parser.parse_args()
    with matplotlib.rc_context(STYLE):
        draw().savefig(
            arguments.out, metadata={"Date": None, "Description": in_words()}
        )


if __name__ == "__main__":
    main()
