"""What `benchmarks.validity.variance` measured, as Markdown."""

import math
import pathlib

from benchmarks import tables
from benchmarks.validity.variance_networks import CHOSEN, FACTORS, LAST, PAIR

THIRD, WITHOUT_PAIR = "accuracy, third classes", "accuracy_without_pair, third classes"
MEMBERS, OVERALL = "accuracy, the pair's classes", "accuracy over all classes"
_TITLES = {
    THIRD: "`accuracy` of third classes",
    WITHOUT_PAIR: "`accuracy_without_pair` of third classes",
    MEMBERS: "`accuracy` of the pair's own classes",
    OVERALL: "Accuracy over all classes",
}
# Weights of the cells whose components are shown.
SHOWN_WEIGHTS = (LAST, CHOSEN)


def report(found: dict, *, picture: pathlib.Path | None) -> str:
    """The report.

    Args:
        found: As `variance.measure` returns it.
        picture: The figure's file, or `None`.
    """
    settings, names = found["settings"], found["class_names"]
    levels = settings["levels"]
    confused = " and ".join(names[label] for label in PAIR)
    made_by = found["provenance"]
    same = sum(check["same_bits"] for check in found["checks"])
    lines = [
        "# Variance between networks that should be the same",
        "",
        f"    python -m benchmarks.validity.variance --dataset {settings['dataset']} "
        "--out FILE.md",
        "",
        f"- Design: {' x '.join(f'{levels} {factor}s' for factor in FACTORS)} for each "
        f"schedule, {levels**3} networks a cell, one for every combination.",
        f"- Networks: {settings['dataset']}, {settings['epochs']} epochs, "
        f"{settings['dtype_policy']}, the labels of half of {confused} swapped.",
        "- Schedules: `annealed`, cosine decay of Adam's rate to 0; `constant`, the "
        "constant rate of `tutorial` in batches as large as those of `annealed`.",
        "- Weights: those of the last step, exponential moving averages with a time "
        "constant of 5, 10 or 20 % of the steps (`weight_averages`), and the mean "
        "over the last quarter of the steps. 10 % was settled before any network was "
        "trained. Averages were taken beside the training.",
        f"- Trained again: {same} of {len(found['checks'])} networks gave logits of "
        "the same bits, without any averages or with the library's own. So training "
        "is deterministic, and averages beside it do not change it.",
        f"- A network takes {found['processor_seconds']:.1f} seconds of one core, the "
        f"median of those {len(found['checks'])}.",
        f"- TensorFlow {made_by['tensorflow']}, Keras {made_by['keras']}, Python "
        f"{made_by['python']}, {made_by['processor']}.",
    ]
    if picture is not None:
        lines += ["", f"![Variance components by cell]({picture.name})"]
    for response in _TITLES:
        lines += ["", f"## {_TITLES[response]}", ""]
        cells = [cell for cell in found["cells"] if cell["response"] == response]
        lines += _totals(cells)
        lines += ["", "Components, points²:", ""]
        lines += _components(cells, found["effects"])
    lines += ["", "## How to read it", "", *_notes()]
    return "\n".join(lines) + "\n"


def interval(values, *, floor: float = -math.inf) -> str:
    """For example "3.1 (2 to 4.5)", or "3.1" where there is no interval."""
    estimate, low, high = (max(value, floor) for value in values)
    text = tables.number(estimate)
    if math.isnan(values[1]):
        return text
    return f"{text} ({tables.number(low)} to {tables.number(high)})"


def _totals(cells: list[dict]) -> list[str]:
    lines = [
        "| schedule | weights | accuracy, % | sd, points | variance, times the first "
        "row's | networks for 0.5 points | core-minutes |",
        "|---|---|---|---|---|---|---|",
    ]
    for cell in cells:
        columns = (
            cell["schedule"],
            cell["weights"],
            f"{cell['accuracy']:.1f}",
            interval(cell["sd"]),
            interval(cell["variance_ratio"]),
            interval(cell["networks_needed"]),
            tables.number(cell["core_minutes_needed"][0]),
        )
        lines.append(f"| {' | '.join(columns)} |")
    return lines


def _components(cells: list[dict], effects: list[str]) -> list[str]:
    shown = [cell for cell in cells if cell["weights"] in SHOWN_WEIGHTS]
    heads = [f"{cell['schedule']}, {cell['weights']}" for cell in shown]
    lines = [
        f"| | {' | '.join(heads)} |",
        "|---|" + "---|" * len(heads),
    ]
    for place, effect in enumerate(effects):
        estimates = [
            interval(cell["components"][place], floor=0)
            + ("*" if cell["components"][place][0] < 0 else "")
            for cell in shown
        ]
        lines.append(f"| {effect} | {' | '.join(estimates)} |")
    totals = [interval(cell["variance"]) for cell in shown]
    lines.append(f"| **all** | {' | '.join(totals)} |")
    shares = [
        f"{100 * max(cell['shared'], 0):.0f} %" + ("*" if cell["shared"] < 0 else "")
        for cell in shown
    ]
    lines.append(
        f"| share of initialisation, order and both together | {' | '.join(shares)} |"
    )
    return lines


def _notes() -> list[str]:
    return [
        "- A component is the variance that one factor, or a combination of factors, "
        "adds to the accuracy of a class; means over the classes. Their sum is the "
        "variance of networks that are new in everything. Training in one thread is "
        "deterministic, so that what is left, the last component, is the interaction "
        "of all three factors and not noise.",
        "- Estimates are from expected mean squares of crossed random factors, and are "
        "unbiased. Those below 0, where chance has it so, are shown as 0 and marked *; "
        "sums count them as they are, and so does the JSON.",
        "- Intervals are 95 %: of components Student's t over the classes, of "
        "variances, their ratios and what follows from them the jackknife of the "
        "logarithm over the classes. They take the classes for independent, which "
        "competing classes are not quite: in simulations of this design with rivals "
        "they hold the truth 88 to 93 times in 100. Two classes, or the one number "
        "over all classes, are too few for an interval.",
        "- `sd` is the root of the mean variance of a class's accuracy; the mean of n "
        "networks has the standard error sd / sqrt(n), and n = (sd / 0.5)² gives 0.5 "
        "points.",
        "- The share of initialisation, order and both together is what falls out of "
        "differences within a repeat, whose networks have both in common.",
    ]
