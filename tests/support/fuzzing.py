"""Fuzzing with hypothesis: what is common to all readers that strangers' files reach.

A target takes an input and does with it what the package would do. It says whether the
input was accepted or refused with a message of ours; anything else is a defect.
"""

import collections
import dataclasses
import json
import warnings
from collections.abc import Callable

import hypothesis
import hypothesis.errors
from hypothesis import strategies as st

ACCEPTED, REFUSED = "accepted", "refused"


@dataclasses.dataclass(frozen=True)
class Target:
    """Something that reads what strangers wrote.

    Args:
        name: What is read.
        strategy: Draws inputs.
        check: Reads one; returns `ACCEPTED` or `REFUSED`, and raises for a defect.
        speed: Inputs that tests take, relative to other targets.
    """

    name: str
    strategy: st.SearchStrategy
    check: Callable[[object], str]
    speed: float = 1.0


def run(target: Target, num_examples: int, seed: int | None = None) -> dict[str, int]:
    """Feeds a target with inputs.

    Args:
        target: What reads them.
        num_examples: About how many.
        seed: Of the inputs; `None` for those that are always the same.

    Returns:
        How many were accepted and refused, by `ACCEPTED` and `REFUSED`.

    Raises:
        Exception: Whatever a defect raised, of the smallest input that shows it.
    """
    counts: collections.Counter[str] = collections.Counter()

    @hypothesis.settings(
        max_examples=num_examples,
        deadline=None,
        derandomize=seed is None,
        database=None,
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    @hypothesis.given(target.strategy)
    def feed(value):
        counts[target.check(value)] += 1

    if seed is not None:
        feed = hypothesis.seed(seed)(feed)
    with warnings.catch_warnings():
        # Of inputs that take a megabyte to print.
        warnings.simplefilter("ignore", hypothesis.errors.HypothesisWarning)
        feed()
    assert set(counts) <= {ACCEPTED, REFUSED}
    return dict(counts)


# --- What strangers write

SCRIPT = "<img src=x onerror=alert(1)>"
NASTY_TEXTS = [
    "",
    SCRIPT,
    "<script>alert(1)</script>",
    "javascript:alert(1)",
    "../../../../etc/passwd",
    "/etc/passwd",
    "..\\..\\x",
    "a\x00b",
    "\x1b[31mred",
    "line\nline",
    "\u2028",
    "\ud800",
    "\u202egnp",
    "=HYPERLINK(1)",
    "$\\frac{1}{0}$",
    "$x",
    "%s{0}{x}",
    "w" * 201,
    "w" * 10**6,
    "NaN",
    "-0",
    "1e999",
    "__class__",
]
texts = st.one_of(
    st.sampled_from(NASTY_TEXTS), st.text(st.characters(codec=None), max_size=20)
)
NUMBERS = [
    *(0, 1, -1, 2, 3, 255, 256, 2**15, 2**16, 2**31, 2**63, 2**64, 10**9, 10**30),
    *(0.5, -0.0, 1e-320, 1e300, float("nan"), float("inf"), float("-inf"), True),
]
numbers = st.one_of(st.sampled_from(NUMBERS), st.integers(), st.floats())
json_values = st.recursive(
    st.one_of(st.none(), st.booleans(), numbers, texts),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(texts, inner, max_size=4)
    ),
    max_leaves=8,
)
NASTY_JSON = [
    b"",
    b"null",
    b"[]",
    b"{",
    b"[" * 100_000,
    b'{"a":' * 100_000,
    b'{"format_version": 1, "format_version": 1}',
    b"\xff\xfe{}",
    b"\xef\xbb\xbf{}",
    b'{"format_version": ' + b"9" * 5000 + b"}",
    b'{"format_version": 1e999}',
    b'{"format_version": 1, "a": NaN}',
]


def _paths(value, path=()):
    """The places of everything within a JSON value."""
    yield path
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _paths(item, (*path, key))
    elif isinstance(value, list):
        for index, item in enumerate(value[:6]):
            yield from _paths(item, (*path, index))


def _changed(value, path, change):
    if not path:
        return change(value)
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[path[0]] = _changed(copy[path[0]], path[1:], change)
    return copy


_GONE = object()


def _without_gone(value):
    if isinstance(value, dict):
        return {k: _without_gone(v) for k, v in value.items() if v is not _GONE}
    if isinstance(value, list):
        return [_without_gone(item) for item in value if item is not _GONE]
    return value


@st.composite
def mutated(draw, valid):
    """A valid JSON value in which something is another value, twice, or gone."""
    value = valid
    for _ in range(draw(st.integers(1, 3))):
        path = draw(st.sampled_from(list(_paths(value))))
        change = draw(
            st.one_of(
                st.just(lambda _: _GONE),
                json_values.map(lambda new: lambda _: new),
                st.just(lambda old: old * 2 if isinstance(old, list | str) else old),
            )
        )
        value = _without_gone(_changed(value, path, change))
        if not isinstance(value, dict | list):
            break
    return None if value is _GONE else value


def json_bytes(value) -> bytes:
    """JSON as Python writes it, with NaN and half characters."""
    return json.dumps(value, default=str).encode()


def json_files(valid) -> st.SearchStrategy[bytes]:
    """JSON files: mutations of a valid one, others, and no JSON at all."""
    return st.one_of(
        mutated(valid).map(json_bytes),
        byte_mutations(json_bytes(valid)),
        json_values.map(json_bytes),
        st.sampled_from(NASTY_JSON),
        st.binary(max_size=50),
    )


@st.composite
def byte_mutations(draw, valid: bytes):
    """A valid file, cut off, or with some of its bytes changed or repeated."""
    content = bytearray(valid)
    for _ in range(draw(st.integers(1, 4))):
        place = draw(st.integers(0, max(len(content) - 1, 0)))
        kind = draw(st.sampled_from(["byte", "cut", "repeat", "insert", "big"]))
        if kind == "byte" and content:
            content[place] = draw(st.integers(0, 255))
        elif kind == "cut":
            del content[place:]
        elif kind == "repeat":
            content[place:place] = content[place : place + draw(st.integers(1, 64))]
        elif kind == "insert":
            content[place:place] = draw(st.binary(max_size=8))
        else:
            content[place : place + 4] = draw(
                st.sampled_from([b"\xff\xff\xff\xff", b"\xff\xff\xff\x7f", b"\0\0\0\0"])
            )
    return bytes(content)
