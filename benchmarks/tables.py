"""Rows of results as Markdown."""

from collections.abc import Container, Iterable

# Longer remarks are notes below the table.
_LONGEST_IN_PLACE = 20
_COLUMNS = ("contender", "quantity", "median", "smallest to largest", "n")


def document(header: dict[str, str], sections: Iterable[tuple[str, str]]) -> str:
    """A whole report: what it was measured on, then sections of title and text."""
    lines = ["# Benchmark results", ""]
    lines += [f"- {name}: {value}" for name, value in header.items()]
    for title, text in sections:
        lines += ["", f"## {title}", text.rstrip("\n")]
    return "\n".join(lines) + "\n"


def table(
    rows: list[dict], *, reference: str | None = None, without_ratio: Container = ()
) -> str:
    """One Markdown table of a subject's rows.

    Args:
        rows: Dictionaries with the keys of `timing.ROW_KEYS`.
        reference: A contender: every other one's median is also given as a multiple
            of that of the reference for the same quantity and unit.
        without_ratio: Quantities of which no multiple is given.

    Returns:
        The table, with long remarks as numbered notes below.
    """
    base = {
        (row["quantity"], row["unit"]): row["median"]
        for row in rows
        if row["contender"] == reference and row["quantity"] not in without_ratio
    }
    columns = [*_COLUMNS, *(["ratio"] if base else []), "note"]
    notes: list[str] = []
    lines = [
        "| " + " | ".join(columns) + " |",
        "|" + "---|" * len(columns),
    ]
    for row in rows:
        remark = row["remark"]
        is_short = len(remark) <= _LONGEST_IN_PLACE
        if not is_short and remark not in notes:
            notes.append(remark)
        cells = [
            row["contender"],
            row["quantity"],
            f"{number(row['median'])} {row['unit']}".strip(),
            f"{number(row['minimum'])} to {number(row['maximum'])}",
            str(row["n"]),
        ]
        if base:
            cells.append(_ratio(row, base))
        cells.append(remark if is_short else f"({notes.index(remark) + 1})")
        escaped = [cell.replace("|", "\\|") for cell in cells]
        lines.append("| " + " | ".join(escaped) + " |")
    if reference is not None and base:
        lines += ["", f"Ratios are to {reference}."]
    if notes:
        lines += ["", *(f"{place}. {note}" for place, note in enumerate(notes, 1))]
    return "\n".join(lines) + "\n"


def number(value: float) -> str:
    """Three significant digits, and all digits left of the point."""
    if value != value:
        return "unknown"
    if abs(value) >= 100:
        return f"{value:,.0f}"
    if 0 < abs(value) < 1e-4:
        return f"{value:.2e}"
    text = f"{value:.3g}"
    return f"{value:.6f}".rstrip("0")[:8] if "e" in text else text


def _ratio(row: dict, base: dict) -> str:
    to = base.get((row["quantity"], row["unit"]))
    if not to or row["median"] != row["median"]:
        return ""
    ratio = row["median"] / to
    return f"{ratio:.2f}" if ratio >= 0.1 else number(ratio)
