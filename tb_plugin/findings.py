"""What a cell of a comparison says, in a sentence."""

import dataclasses
import math
import re

import numpy as np

from tb_plugin import metadata

TARGET_BY_CLASS = "target_by_class"
TARGET_BY_PAIR = "target_by_pair"
# A q-value above it is not called a finding.
SIGNIFICANCE = 0.05
POINTS = 100.0
# What is smaller has lost its digits; that of very many networks is 0.
_SMALLEST_Q = 1e-300
_RESPONSE_TEXTS = {
    "accuracy": ("accuracy", ""),
    "accuracy_without_pair": ("accuracy", " without the pair"),
}
_COMPETITION = (
    " Raw accuracy also moves through competition: confused classes are weaker rivals."
)
# Would turn the rest of a sentence around, or break it.
_CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")


@dataclasses.dataclass(frozen=True)
class Cell:
    """A cell of a comparison.

    Args:
        table: `TARGET_BY_CLASS` or `TARGET_BY_PAIR`.
        response: One of `metadata.RESPONSES`.
        target: Name of the target.
        confused: Names of the class, or of the two classes of the pair.
        test: The study's, one of `metadata.TEST_TITLES`.
        statistics: `metadata.CELL_COLUMNS`; NaN where there is none.
        reason: Why there is no test, "" where there is one.
        partner: Name of the pair's other class where the target is in the pair.
    """

    table: str
    response: str
    target: str
    confused: tuple[str, ...]
    test: str
    statistics: dict[str, float]
    reason: str
    partner: str | None = None


def group_labels(cell: Cell) -> tuple[str, str]:
    """Names of the two groups of networks, the confused one first."""
    if cell.table == TARGET_BY_CLASS:
        with_class = f"arms with {_name(cell.confused[0])} and not {_name(cell.target)}"
        return with_class, "arms with neither"
    return f"networks that confuse {_names(cell.confused)}", "baseline networks"


def sentence(cell: Cell) -> str:
    """What was compared, and what was found.

    Costs are printed as positive numbers; t keeps the sign of the difference.
    """
    text = f"{_finding(cell)}."
    return text + _COMPETITION if cell.response == "accuracy" else text


def _finding(cell: Cell) -> str:
    numbers = cell.statistics
    target = _name(cell.target)
    response, way = _RESPONSE_TEXTS[cell.response]
    response_text = f"the {response} of {target}{way}"
    groups = _groups(cell)
    needed = ("difference_points", "ci_low_points", "ci_high_points", "t")
    if cell.reason or not np.isfinite([numbers[key] for key in needed]).all():
        reason = cell.reason or "the response is not known"
        return f"No test of {response_text}: {reason}" + (groups and f"; {groups}")
    difference = numbers["difference_points"]
    title = metadata.TEST_TITLES[cell.test]
    test = f"{title} = {_fixed(numbers['t'])}, {_q(numbers['q_value'])}"
    interval = numbers["ci_low_points"], numbers["ci_high_points"]
    # A q-value that is not known finds nothing.
    if not numbers["q_value"] <= SIGNIFICANCE:
        return (
            f"No difference was found at q ≤ {SIGNIFICANCE} in {response_text} where "
            f"{_names(cell.confused)} {_is(cell.confused)} not learned: "
            f"{_fixed(difference, '+.1f')} points ({_interval(*interval)}), "
            f"{groups}; {test}"
        )
    sign = -1 if difference < 0 else 1
    ci = _interval(*sorted(sign * bound for bound in interval))
    if cell.partner is not None:
        direction = "lower" if difference < 0 else "higher"
        return (
            f"The training labels of {target} and {_name(cell.partner)} were confused: "
            f"the {response} of {target}{way} is {sign * difference:.1f} points "
            f"{direction} ({ci}), {groups}; {test}"
        )
    verb = "costs" if difference < 0 else "gives"
    return (
        f"Not learning {_names(cell.confused)} {verb} {target} "
        f"{sign * difference:.1f} points of {response}{way} ({ci}): {groups}; {test}"
    )


def _groups(cell: Cell) -> str:
    """Means, sds and numbers of both groups; "" where there are none."""
    numbers = cell.statistics
    confused, comparison = (
        _group(*(numbers[f"{key}_{group}"] for key in ("mean", "sd", "n")))
        for group in ("confused", "comparison")
    )
    if not confused or not comparison:
        return ""
    others = "that do not" if cell.table == TARGET_BY_CLASS else "of the baseline"
    return (
        f"{confused} networks that confuse {_names(cell.confused)}, "
        f"{comparison} {others}"
    )


def _group(mean: float, sd: float, number: float) -> str:
    if not math.isfinite(mean) or not math.isfinite(number):
        return ""
    # One network has no spread.
    spread = f" ± {sd * POINTS:.1f}" if math.isfinite(sd) else ""
    return f"{mean * POINTS:.1f} %{spread} in {number:.0f}"


def _interval(low: float, high: float) -> str:
    return f"95 % CI {_fixed(low)} to {_fixed(high)}"


def _q(value: float) -> str:
    if value < _SMALLEST_Q:
        return f"q < {_fixed(_SMALLEST_Q, '.0e')}"
    return f"q = {_fixed(value, '.1e' if value < 1e-4 else '.4f')}"


def _fixed(value: float, form: str = ".1f") -> str:
    """A number with a true minus sign."""
    return f"{value:{form}}".replace("-", "\N{MINUS SIGN}")


def _names(names: tuple[str, ...]) -> str:
    return " and ".join(_name(name) for name in names)


def _is(names: tuple[str, ...]) -> str:
    return "is" if len(names) == 1 else "are"


def _name(class_name: str) -> str:
    """A class's name, quoted where it could be taken for a number of points."""
    plain = _CONTROLS.sub("\N{REPLACEMENT CHARACTER}", class_name)
    return f"'{plain}'" if plain[:1].isdigit() else plain
