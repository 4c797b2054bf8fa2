"""What the features learned, in tables, sentences and pictures of a report."""

from collections.abc import Iterator

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from keras_confusion.comparisons import by_reading, null_results
from keras_confusion.comparisons.findings import SIGNIFICANCE, with_test
from keras_confusion.comparisons.responses import StudyResponses
from keras_confusion.reports.figures import comparison_figures, everybody_figure

NUM_FINDINGS = 8
_TITLE = (
    "What the features learned: d' by a last layer that is fitted to the right labels"
)


def reading_tables(
    readings: dict[str, StudyResponses], class_names, *, by_class: bool
) -> dict[str, pd.DataFrame]:
    """The tables of `by_reading`, by name.

    Args:
        readings: As `readings.ReadingCollector.studies` returns them.
        class_names: Names in the order of the labels.
        by_class: Whether all pairs were run, so that classes can be compared.
    """
    kinds = {"pair": by_reading.readings_by_pair}
    if by_class:
        kinds["class"] = by_reading.readings_by_class
    found = {}
    for kind, compare in kinds.items():
        cells, everybody = compare(readings, class_names)
        found[f"discriminability_by_{kind}"] = cells
        found[f"everybody_by_{kind}"] = everybody
    return found


def reading_lines(
    all_tables: dict[str, pd.DataFrame], num_networks: int, test: str
) -> list[str]:
    """What d' found, in sentences; none where no network has it.

    Args:
        all_tables: Of the report.
        num_networks: Networks that have results.
        test: One of `findings.TESTS`.
    """
    if "discriminability_by_pair" not in all_tables:
        return [
            "",
            "What the features learned is not known: there is no d' of networks of an "
            "earlier version, or of a model without features.",
        ]
    lines = ["", _TITLE]
    for kind, columns in (("pair", "pairs, third classes"), ("class", "classes")):
        if f"discriminability_by_{kind}" in all_tables:
            cells = with_test(all_tables[f"discriminability_by_{kind}"], test)
            everybody = with_test(all_tables[f"everybody_by_{kind}"], test)
            lines += _findings(columns, cells) + _everybody(everybody)
    return lines


def _findings(columns: str, cells: pd.DataFrame) -> list[str]:
    cells_by_reading = dict(list(cells.groupby("reading", sort=False)))
    lines = []
    for reading in ("features", "total", "readout"):
        if reading not in cells_by_reading:
            continue
        rows = cells_by_reading[reading]
        tested = rows[rows["q_value"].notna()]
        found = tested[tested["q_value"] <= SIGNIFICANCE]
        name = f"Target x {columns}" if reading == "features" else f"  {reading}"
        lines.append(
            f"  {name}: {len(found)} of {len(tested)} tests at q <= {SIGNIFICANCE}"
        )
        if reading == "features":
            if result := null_results.null_result(rows):
                lines.append(f"    {null_results.sentence(result)}")
            order = np.lexsort((-tested["t"].abs(), tested["q_value"]))
            ordered = tested.iloc[order]
            shown = ordered[: min(len(found), NUM_FINDINGS) or 1]
            prefix = "    " if len(found) else "    (not significant) "
            lines += [prefix + _sentence(row, cells) for _, row in shown.iterrows()]
    return lines


def _sentence(row: pd.Series, cells: pd.DataFrame) -> str:
    """A cell by its features, and what the other readings say of it."""
    same = cells["target"] == row["target"]
    for key in ("class", "class_a", "class_b"):
        if key in row:
            same &= cells[key] == row[key]
    others = [
        f"{other['reading']} {_signed(other['difference'])}"
        for _, other in cells[same].iterrows()
        if other["reading"] != "features"
    ]
    better = "worse" if row["difference"] < 0 else "better"
    return (
        f"{_confused(row)} confused, features tell {quoted(row['target_name'])} apart "
        f"{better}: {_signed(row['difference'])} d' (95 % CI "
        f"{_signed(row['ci_low'])} to {_signed(row['ci_high'])}), t = {row['t']:.1f}, "
        f"q = {row['q_value']:.2g}" + (f"; {', '.join(others)}" if others else "")
    )


def _everybody(table: pd.DataFrame) -> list[str]:
    """The strongest effect on everybody, by features."""
    rows = table[(table["reading"] == "features") & table["q_value"].notna()]
    if rows.empty:
        return []
    found = rows[rows["q_value"] <= SIGNIFICANCE]
    row = rows.loc[rows["t"].abs().idxmax()]
    return [
        f"    everybody, by features: {len(found)} of {len(rows)} at q <= "
        f"{SIGNIFICANCE}; most where {_confused(row)} are confused, "
        f"{_signed(row['difference'])} d' (95 % CI {_signed(row['ci_low'])} to "
        f"{_signed(row['ci_high'])}), q = {row['q_value']:.2g}"
    ]


def _confused(row: pd.Series) -> str:
    if "class_name" in row:
        return f"{quoted(row['class_name'])} and others"
    return f"{quoted(row['class_a_name'])} and {quoted(row['class_b_name'])}"


def _signed(value: float) -> str:
    """A d' with three decimals, or with one digit where these would all be 0."""
    return f"{value:+.3f}" if abs(value) >= 0.0005 else f"{value:+.0e}"


def quoted(class_name: str) -> str:
    """A class's name, quoted where it could be taken for a number of points."""
    return f"'{class_name}'" if class_name[:1].isdigit() else class_name


def reading_figures(
    all_tables: dict[str, pd.DataFrame], class_names, order, *, test: str
) -> Iterator[tuple[str, Figure]]:
    """Pictures of what there is of `reading_tables`, with their names."""
    for kind, draw in (
        ("class", comparison_figures.target_by_class),
        ("pair", comparison_figures.target_by_pair),
    ):
        if f"discriminability_by_{kind}" not in all_tables:
            continue
        cells = all_tables[f"discriminability_by_{kind}"]
        for measure in comparison_figures.READING_MEASURES:
            yield (
                f"discriminability_by_{kind}_{measure}",
                draw(cells, measure, class_names, order, test=test),
            )
    if "everybody_by_class" in all_tables:
        table = all_tables["everybody_by_class"]
        yield "everybody_by_class", everybody_figure.draw(table, test=test)
