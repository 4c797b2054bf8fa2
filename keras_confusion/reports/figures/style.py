"""Colours, sizes, fonts and words that all figures share."""

from typing import Any

ACCENT = "#b35806"
MUTED = "#542788"
# Inches.
MIN_WIDTH = 7.5
MAX_LENGTH = 40.0
# Of a picture that is wider letters are larger, as it is seen from farther away.
WIDE = 18.0
# Text as text in SVG: it can be searched, and the file is the same in every run.
STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    # Names of classes are text, whatever signs are in them.
    "text.parse_math": False,
    "svg.hashsalt": "keras-confusion",
    "font.size": 9,
    "axes.titlesize": 10,
    "figure.titlesize": 12,
    "axes.spines.top": False,
    "axes.spines.right": False,
}

MISSING_COLOR = "0.88"


def style_of_width(width: float) -> Any:
    """`STYLE` with larger letters in a picture that is many inches wide."""
    larger = max(width / WIDE, 1.0)
    sizes = {name: larger * STYLE[name] for name in STYLE if name.endswith("size")}
    return STYLE | sizes


def span(values, digits: str = "") -> str:
    """The least and the greatest of values, such as "3 to 5"; once if they are equal.

    Args:
        values: Array or column of numbers.
        digits: How each is written, as in a format string.
    """
    low, high = f"{values.min():{digits}}", f"{values.max():{digits}}"
    return low if low == high else f"{low} to {high}"
