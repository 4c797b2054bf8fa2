"""The report of `power_per_hour`, as Markdown."""

from collections.abc import Sequence

INTRODUCTION = """\
Effect and noise are of relative d' by *features*: the effect is that of a question's
relation, a mean over its cells; the noise is the standard deviation of a network beside
its arm and repeat. In brackets 95 % intervals, by the jackknife over networks. z² an
hour is (effect / noise)² over the processor's seconds of a network, against the first
row; above 1 the same finding takes less time. Noise variance, of all ten targets, is
against the last weights of the same networks. Single images: the share of it that would
halve with twice as many test images."""


def report(rows: Sequence[dict], header: dict[str, str]) -> str:
    """What `power_per_hour.measure` returned as Markdown."""
    lines = ["# What finds an effect soonest?", ""]
    lines += [f"- {key}: {value}" for key, value in header.items()]
    lines += ["", *INTRODUCTION.splitlines()]
    for question in dict.fromkeys(row["question"] for row in rows):
        of_question = [row for row in rows if row["question"] == question]
        lines += ["", f"## {question[0].upper()}{question[1:]}", ""]
        lines += _table(of_question)
        if "study" in of_question[0]:
            lines += ["", *_study_table(of_question)]
    return "\n".join(lines) + "\n"


def _table(rows: Sequence[dict]) -> list[str]:
    lines = [
        "| design | tested by | networks | accuracy, % | effect, d' | noise | s | "
        "z² an hour | noise variance | single images, % |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        cells = [
            row["design"],
            row["way"],
            str(row["num_networks"]),
            f"{100 * row['accuracy']:.1f}",
            _interval(row["effect"], 3),
            f"{row['noise']:.4f}",
            f"{row['seconds']:.1f}",
            _interval(row["per_hour"], 2),
            _interval(row["noise_ratio"], 2),
            _interval([100 * share for share in row["interaction"]], 0),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def _study_table(rows: Sequence[dict]) -> list[str]:
    lines = [
        "A study of all 45 pairs that finds both cells among 90 (q ≤ 0.05, each with a",
        "power of 80 %), with the effect and noise above, on two cores:",
        "",
        "| design | tested by | z² a repeat | repeats | networks | minutes |",
        "|---|---|---|---|---|---|",
    ]
    for row in rows:
        study = row["study"]
        cells = [
            row["design"],
            row["way"],
            _interval(study["z_squared"], 1),
            _interval(study["repeats"], 0),
            _interval(study["networks"], 0),
            _interval(study["minutes"], 0),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def _interval(numbers: Sequence[float], digits: int) -> str:
    """Estimate and interval; without one where there is none."""
    estimate, low, high = (f"{number:,.{digits}f}" for number in numbers)
    if "nan" in (low, high):
        return estimate
    return f"{estimate} ({low} to {high})"
