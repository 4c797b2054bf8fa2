"""An explained generalization -> tables, a figure, TensorBoard, a text."""

import pathlib
import re

import numpy as np
import pandas as pd

from keras_confusion.comparisons import by_reading, study_results, target_by_pair
from keras_confusion.comparisons import findings as comparison_findings
from keras_confusion.explanations import retraining
from keras_confusion.explanations.result import Explanation
from keras_confusion.explanations.retraining import FOLDER
from keras_confusion.explanations.unit_uses import NETWORKS
from keras_confusion.reports.figures import unit_figures
from keras_confusion.reports.figures.style import span
from keras_confusion.reports.figures.unit_figures import class_names_of, unit_name
from keras_confusion.reports.report_files import Report, write_figure
from keras_confusion.reports.tensorboard.event_writer import RunWriter
from keras_confusion.storage.files import write_atomically
from keras_confusion.storage.study_folder import StudyFolder
from tb_plugin import metadata

_FIGURE = "units"
_LONGEST_NAME = 40


def write_explanation(
    directory: pathlib.Path, explanation: Explanation, finding: dict
) -> Report:
    """Writes what was found about a target and a pair, in place of earlier.

    Args:
        directory: The study's folder.
        explanation: As `result.explain` returns it.
        finding: As `study_finding` returns it.

    Returns:
        A `Report`.

    Raises:
        StudyLockedError: If another process writes explanations.
    """
    with retraining.locked(directory):
        return _write(directory, explanation, finding)


def _write(directory: pathlib.Path, explanation: Explanation, finding: dict) -> Report:
    name = folder_name(explanation.target, explanation.pair, explanation.class_names)
    folder = directory / FOLDER / name
    folder.mkdir(parents=True, exist_ok=True)
    tables = {"units": explanation.units, "repeats": explanation.repeats}
    for table_name, table in tables.items():
        text = table.to_csv(index=False)
        write_atomically(
            folder / f"{table_name}.csv",
            lambda file, text=text: file.write(text.encode()),
        )
    figure = unit_figures.units_figure(explanation)
    picture = write_figure(folder / f"{_FIGURE}.png", figure)
    # A run of its own: the report's is rewritten by whoever runs the study.
    events = RunWriter(directory / metadata.EXPLANATIONS_RUN / name)
    events.image(metadata.PREFIX_FIGURE + _FIGURE, picture, len(explanation.repeats))
    events.close()
    return Report(
        text=explanation_text(explanation, finding),
        table_files=[folder / f"{table_name}.csv" for table_name in tables],
        figure_files=[folder / f"{_FIGURE}.png"],
    )


def folder_name(target: int, pair: tuple[int, int], class_names) -> str:
    """For example "bird_without_cat-deer"; labels for names that make no file names."""
    names = [
        class_names[label]
        if re.fullmatch(r"\w[\w.]*", class_names[label])
        and len(class_names[label]) <= _LONGEST_NAME
        else f"class{label}"
        for label in (target, *pair)
    ]
    return f"{names[0]}_without_{names[1]}-{names[2]}"


def study_finding(folder: StudyFolder, target: int, pair: tuple[int, int]) -> dict:
    """The study's own word about a target and a pair.

    Args:
        folder: The study's folder.
        target: Label of the target class.
        pair: Labels (a, b), a < b.

    Returns:
        The row of `target_by_pair.target_by_pair` for accuracy_without_pair, and as
        `readings` those of `by_reading.readings_by_pair`, if there are any, by the
        default test.
    """
    study = study_results.read_study(folder)

    def rows_of_cell(table: pd.DataFrame) -> list[dict]:
        is_wanted = (
            (table["target"] == target)
            & (table["class_a"] == pair[0])
            & (table["class_b"] == pair[1])
        )
        told = comparison_findings.with_test(
            table[is_wanted], comparison_findings.DEFAULT_TEST
        )
        return told.to_dict("records")

    table = target_by_pair.target_by_pair(
        study.responses, study.class_names, responses=("accuracy_without_pair",)
    )
    (row,) = rows_of_cell(table)
    readings: list[dict] = []
    if study.readings:
        cells, _ = by_reading.readings_by_pair(study.readings, study.class_names)
        readings = rows_of_cell(cells)
    return row | {"readings": readings}


def explanation_text(explanation: Explanation, finding: dict) -> str:
    """What was found, in sentences."""
    target, first, second = class_names_of(explanation)
    table = explanation.repeats
    sizes, sizes_for_others = (
        _mean_and_sd(table[column], sign="")
        for column in ("sum_of_sizes", "sum_of_sizes_for_others")
    )
    lines = [
        f"What {target} had from {first} and {second}, in the layer before the "
        f"classification layer; n = {_count(len(table), 'repeat')}.",
        _equality(table),
        "",
        f"Log-probability of {target} among the classes other than {first} and "
        f"{second}: {table['log2_probability_baseline'].mean():.3f} → "
        f"{table['log2_probability_confused'].mean():.3f} bits, a change of "
        f"{_mean_and_sd(table['change'])}; of the other third classes' "
        f"{_mean_and_sd(table['change_for_others'])}.",
        *_agreement(explanation, finding),
        *_reading_lines(target, finding["readings"]),
        f"Units of a repeat: {span(table['kept'])} kept (median correlation "
        f"{span(table['kept_correlation'], '.2f')}), {span(table['lost'])} lost, "
        f"{span(table['new'])} new.",
        f"Sizes of all changes add up to {sizes} for {target}, and to "
        f"{sizes_for_others} for the other third "
        f"classes. Of those for {target} the largest {len(explanation.shown)} of a "
        f"repeat carry {100 * table['top_share'].mean():.0f} %, "
        f"{span(table['num_for_half'])} carry half.",
    ]
    if table["sum_of_sizes"].mean() <= table["sum_of_sizes_for_others"].mean():
        lines.append(
            "That is no more than for the others: much of what changes in a unit is "
            f"not about {target} in particular."
        )
    lines += ["", f"Units whose use for {target} changed most:"]
    lines += [
        line
        for unit in explanation.shown
        for line in _unit_lines(unit.row, (target, first, second))
    ]
    return "\n".join([*lines, ""])


def _equality(table: pd.DataFrame) -> str:
    shares = table[[f"equal_predictions_{name}" for name in NETWORKS]].to_numpy()
    if (shares == 1).all():
        return "Retrained networks give every test image the label that was recorded."
    return (
        f"Warning: retrained networks give only {100 * shares.min():.1f} % to "
        f"{100 * shares.max():.1f} % of the test images the label that the study "
        "recorded. They are other networks of the same kind, as the study was trained "
        "by other code or on another machine."
    )


def _agreement(explanation: Explanation, finding: dict) -> list[str]:
    """What the study says without the pair, and whether these networks agree."""
    target = class_names_of(explanation)[0]
    repeats = explanation.repeats
    in_these = 100 * (
        repeats["accuracy_without_pair_confused"]
        - repeats["accuracy_without_pair_baseline"]
    )
    points, bits = finding["difference_points"], -finding["log_likelihood_bits"]
    lines = [
        f"accuracy_without_pair of {target}: {_mean_and_sd(in_these, 'points', '.1f')} "
        "in these networks."
    ]
    low, high = finding["ci_low_points"], finding["ci_high_points"]
    said = (
        f"In the whole study {_signed(bits)} bits and {_signed(points, '.1f')} points"
    )
    if np.isnan(low):
        return [*lines, f"{said}, without a test: {finding['reason']}."]
    said += (
        f" (95 % CI {_signed(low, '.1f')} to {_signed(high, '.1f')}, "
        f"q = {finding['q_value']:.3f} by the "
        f"{comparison_findings.TITLES[comparison_findings.DEFAULT_TEST]}, "
        f"{finding['n_confused']} against "
        f"{finding['n_comparison']} networks)"
    )
    if not finding["q_value"] <= comparison_findings.SIGNIFICANCE:
        said += ", which can be chance: there may be nothing to explain"
    agrees = np.sign(repeats["change"].mean()) == np.sign(points)
    way = "the same way" if agrees else "THE OTHER WAY"
    return [*lines, f"{said}. These networks' log-probability moves {way}."]


def _reading_lines(target: str, readings: list[dict]) -> list[str]:
    """What the study says by d', for each reading that it has."""
    parts = [
        f"{row['reading']} {_signed(row['difference'])} (95 % CI "
        f"{_signed(row['ci_low'])} to {_signed(row['ci_high'])}, q = "
        f"{row['q_value']:.3f})"
        for row in readings
        if not np.isnan(row["ci_low"])
    ]
    if not parts:
        return []
    return [
        f"d' of {target} in the whole study, beside what the pair does to everybody: "
        f"{'; '.join(parts)}. Only features are what units can explain."
    ]


def _unit_lines(row: pd.Series, names: tuple[str, str, str]) -> list[str]:
    """A unit in two lines."""
    uses = (
        f"{_signed(row['use_baseline'])} → {_signed(row['use_confused'])} bits, a "
        f"change of {_signed(row['change'])}"
    )
    others = f"for the other third classes ±{row['change_for_others']:.3f}"
    parts = ""
    if row["fate"] == "kept":
        parts = (
            f" (what it responds to {_signed(row['change_of_activation'])}, how it is "
            f"read {_signed(row['change_of_weights'])}; r = {row['correlation']:.2f})"
        )
    means = [
        f"{name}: {_from_to(row, group)}"
        for name, group in zip(
            (*names, "others"), ("target", "a", "b", "others"), strict=True
        )
    ]
    return [
        f"  repeat {row['repeat']}, {unit_name(row)}: {uses}{parts}; {others}.",
        f"    Mean activation on {'; '.join(means)}.",
    ]


def _from_to(row: pd.Series, group: str) -> str:
    values = [row[f"activation_{group}_{name}"] for name in NETWORKS]
    return " → ".join("-" if np.isnan(value) else f"{value:.1f}" for value in values)


def _signed(value: float, digits: str = ".3f") -> str:
    return f"{value:+{digits}}"


def _mean_and_sd(values, unit: str = "bits", digits: str = ".3f", sign="+") -> str:
    values = np.asarray(values, float)
    text = f"{values.mean():{sign}{digits}} {unit}"
    if len(values) > 1:
        text += f" (sd {values.std(ddof=1):{digits}})"
    return text


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" + ("s" if number > 1 else "")
