"""Numbers and verdicts of the comparison with the poster, as text."""

import math

from benchmarks.validity.poster_statistics import Interval
from keras_confusion.comparisons.findings import SIGNIFICANCE, TESTS


def number(value: float) -> str:
    """Three digits; a dash where there is none."""
    if not math.isfinite(value):
        return "–"
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"


def probability(value: float) -> str:
    """A p- or q-value; a dash where there is no test."""
    if not math.isfinite(value):
        return "–"
    return f"{value:.3f}" if value >= 0.001 else f"{value:.0e}"


def interval(found: Interval, *, sign: bool = True) -> str:
    """An estimate with its interval, two decimals."""
    plus = "+" if sign else ""
    return (
        f"{found.estimate:{plus}.2f} ({found.low:{plus}.2f} to {found.high:{plus}.2f})"
    )


def points(row) -> str:
    """The difference of a row of `comparisons` with its interval."""
    return (
        f"{row['difference_points']:+.2f} ({row['ci_low_points']:+.2f} to "
        f"{row['ci_high_points']:+.2f})"
    )


def cell_verdict(cells: list[dict], response: str) -> str:
    """What the tests say of both directions of two classes.

    Args:
        cells: Rows of `poster_points.of_classes` of the two classes.
        response: One of `responses.RESPONSES`.

    Returns:
        "yes" if a cost is found in a direction and no gain in either, "no, gains" the
        other way round, "both" or "not shown"; then each direction.
    """
    costs, gains, told = [], [], []
    of_response = [row for row in cells if row["response"] == response]
    for target in dict.fromkeys(row["target_name"] for row in of_response):
        rows = [row for row in of_response if row["target_name"] == target]
        found = [row for row in rows if row["q_value"] <= SIGNIFICANCE]
        costs += [row for row in found if row["difference_points"] < 0]
        gains += [row for row in found if row["difference_points"] > 0]
        by = ", ".join(row["test"] for row in found) or "no test"
        told.append(f"{target} {rows[0]['difference_points']:+.1f} ({by})")
    word = {
        (False, False): "not shown",
        (True, False): "yes",
        (False, True): "no, gains",
        (True, True): "costs and gains",
    }[bool(costs), bool(gains)]
    return f"{word}: {'; '.join(told)}"


def found_in_words(of_response: dict) -> str:
    """How many of a comparison's tests found something, by test."""
    return ", ".join(
        f"{of_response['found'][test]} of {of_response['num'][test]} {test}"
        for test in TESTS
    )


def standard_deviation(variance: float) -> str:
    """The square root of a variance; of an estimate below 0, no spread is seen."""
    return f"{math.sqrt(variance):.2f}" if variance > 0 else "0 (estimate below 0)"
