"""Colours, sizes, fonts and words that all figures share."""

from typing import Any

from matplotlib import font_manager

# Matplotlib's own font has no signs of East Asia; of these, those that are installed.
_EAST_ASIA = (
    *("Noto Sans CJK JP", "Noto Sans JP", "IPAexGothic", "IPAGothic", "TakaoGothic"),
    *("VL Gothic", "Noto Sans CJK SC", "Noto Sans CJK KR", "WenQuanYi Zen Hei"),
    *("WenQuanYi Micro Hei", "Droid Sans Fallback", "NanumGothic"),
    *("Hiragino Sans", "Yu Gothic", "Meiryo", "MS Gothic", "Microsoft YaHei"),
    *("PingFang SC", "Malgun Gothic", "Arial Unicode MS"),
)


def font_families() -> list[str]:
    """The fonts of figures: each gives the signs that those before it lack."""
    installed = set(font_manager.get_font_names())
    return ["DejaVu Sans", *[name for name in _EAST_ASIA if name in installed]]


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
    "font.family": font_families(),
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
