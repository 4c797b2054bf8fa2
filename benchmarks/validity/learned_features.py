"""Does d' by the right last layer show what features learned, and nothing else?

    python -m benchmarks.validity.learned_features --out learned_features.md
    python -m benchmarks.validity.learned_features --only planted text

asks four questions to studies of its own, which are kept in studies/benchmarks: a
command that is run again trains only what is missing.

- planted: five data sets in which it is known what is learned from what: which of the
  planted relations every reading finds, how large they are against the truth, and what
  it finds at rivals and controls, where there is nothing.
- text: the same for the generated reviews, in which four relations of 24 are planted.
- digits: how many cells of a small and easy test set have a test at all.
- confused: can a network that confuses a and b tell them apart? By its own last layer,
  and by one that is fitted to the right labels on its features; beside them the same of
  baselines, and of networks that were not trained at all.
- readout: how much of the differences of accuracies on CIFAR-10 (those of
  docs/results/confusion_cifar10) comes with untouched features and swapped last layers.
"""

import argparse
import json
import pathlib
import sys

import scipy.stats

from benchmarks import timing
from benchmarks.validity import confused_features, known_features, planted_truth
from keras_confusion.comparisons import findings as comparison_findings
from keras_confusion.datasets import planted
from keras_confusion.execution import runtime

PARTS = ("planted", "text", "digits", "confused", "readout")


def measure(parts=PARTS, *, quick: bool = False, workers: int | None = None) -> dict:
    """Answers the questions; the keys are the parts."""
    runtime.start_tensorflow(threads=1)
    found: dict = {}
    if "planted" in parts:
        num_datasets = 1 if quick else planted_truth.NUM_DATASETS
        repeats = planted_truth.QUICK_REPEATS if quick else planted_truth.REPEATS
        epochs = planted_truth.QUICK_EPOCHS if quick else planted_truth.EPOCHS
        cells, directories = known_features.planted_cells(
            num_datasets, repeats, epochs, workers
        )
        found["planted"] = {
            "num_datasets": num_datasets,
            "repeats": repeats,
            "scores": known_features.score(cells),
            "choices": known_features.choices(directories, known_features.planted_kind),
        }
        if num_datasets > 1:
            found["planted"]["recurrence"] = known_features.recurrence(cells)
    if "text" in parts:
        repeats = 2 if quick else 10
        cells, directory = known_features.text_cells(repeats, workers)
        found["text"] = {
            "repeats": repeats,
            "scores": known_features.score(cells),
            "choices": known_features.choices([directory], known_features.text_kind),
        }
    if "digits" in parts:
        directory = confused_features.confused_study("digits", workers, quick=quick)
        found["digits"] = {
            "choices": known_features.choices([directory], known_features.digits_kind)
        }
    if "confused" in parts:
        names = ("digits",) if quick else tuple(confused_features.CONFUSED)
        found["confused"] = [
            row
            for name in names
            for row in confused_features.confused_pairs(name, workers, quick=quick)
        ]
    if "readout" in parts and not quick:
        found["readout"] = confused_features.readout_of_accuracies()
    return found


def report(found: dict, header: dict[str, str]) -> str:
    """What `measure` returned as Markdown."""
    lines = ["# What the features learned", ""]
    lines += [f"- {key}: {value}" for key, value in header.items()]
    if "planted" in found:
        part = found["planted"]
        lines += [
            "",
            "## Planted truth",
            "",
            f"{part['num_datasets']} data sets, {part['repeats']} repeats of a pair "
            "and as many baselines (5 of them with readout). Found is q <= 0.05 within "
            "a data set, reading and test; planted relations count where they fall. In "
            "brackets Wilson's 95 % interval. Share of truth: the sum of all planted "
            "differences against what is lost where d' of the two variants of the "
            "target's shape falls to 0.",
            "",
            *_score_table(part["scores"]),
            "",
            *(
                [_recurrence_sentence(part["recurrence"])]
                if "recurrence" in part
                else []
            ),
            *_choice_table(part["choices"]),
        ]
    if "text" in found:
        part = found["text"]
        lines += [
            "",
            "## Generated reviews",
            "",
            f"One data set, the text model, {part['repeats']} repeats of a pair and as "
            "many baselines.",
            "",
            *_score_table(part["scores"]),
            *_choice_table(part["choices"]),
        ]
    if "digits" in found:
        lines += [
            "",
            "## Digits",
            "",
            "3 pairs of the digits, 5 repeats: the truth is not known, all cells are "
            "counted as controls.",
            *_choice_table(found["digits"]["choices"]),
        ]
    if "confused" in found:
        lines += [
            "",
            "## Can a network tell apart what it confused?",
            "",
            "AUC of a against b on test images: mean (sd between networks, n).",
            "",
            "| data set | a, b | confused, own last layer | confused features, right "
            "last layer | baseline features, right last layer | untrained features, "
            "right last layer |",
            "|---|---|---|---|---|---|",
        ]
        for row in found["confused"]:
            cells = [
                f"{value['mean']:.3f} ({value['sd']:.3f}, {value['n']})"
                for value in list(row.values())[2:]
            ]
            lines.append(f"| {row['dataset']} | {row['pair']} | {' | '.join(cells)} |")
    if "readout" in found:
        lines += ["", "## Accuracies by untouched features", ""]
        for row in found["readout"]:
            lines.append(
                f"`{row['response']}`, target x class ({row['cells']} cells): the "
                "correlation of the study's differences with those of swapped last "
                f"layers on {row['n_networks']} untouched networks is "
                f"{row['correlation']:.2f} (95 % {row['low']:.2f} to "
                f"{row['high']:.2f}); sd over cells {row['total_sd']:.2f} and "
                f"{row['readout_sd']:.2f} points. The largest of the study:"
            )
            lines += [
                "",
                "| target | class confused | study | readout |",
                "|---|---|---|---|",
            ]
            lines += [
                f"| {cell['target']} | {cell['class']} | {cell['total']:+.1f} | "
                f"{cell['readout']:+.1f} |"
                for cell in row["strongest"]
            ]
            lines.append("")
    return "\n".join(lines).rstrip() + "\n"


def _recurrence_sentence(row: dict) -> str:
    return (
        f"Features, {comparison_findings.TITLES[comparison_findings.DEFAULT_TEST]}: "
        f"{row['found']} controls were found, {row['gains']} of them gains, by "
        f"{row['mean_found']:.3f} d' on average (planted relations: "
        f"{row['mean_planted']:.3f}). They are no chance: over the {row['cells']} "
        "controls that are in all data sets, two data sets correlate by "
        f"{row['correlation']:.2f} on average, and {row['across']} have p <= 0.05 by a "
        "t-test over data sets."
    )


def _score_table(scores: list[dict]) -> list[str]:
    has_truth = "share_of_truth" in scores[0]
    lines = [
        "| reading | test | planted found | mean of the planted | "
        + ("share of truth | rivals found | " if has_truth else "")
        + "controls found | controls with p <= 0.05 |",
        "|---|---|---|---|---|---|" + ("---|---|" if has_truth else ""),
    ]
    for row in scores:
        cells = [
            row["reading"],
            row["test"],
            _count(row, planted.PLANTED),
            f"{row['planted_mean']:+.3f}",
        ]
        if has_truth:
            cells += [
                f"{100 * row['share_of_truth']:.0f} %",
                _count(row, planted.RIVAL),
            ]
        cells += [
            _count(row, planted.CONTROL),
            f"{100 * row['control_false_at_5']:.1f} %",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def _choice_table(rows: list[dict]) -> list[str]:
    lines = [
        "",
        "Features, paired, by the rule for AUCs near 1 (one image more told right and "
        "one wrong, or cut off half an image or half an image pair from 1) and what is "
        "taken off the changes of a network:",
        "",
        "| rule | taken off | cells with a test | planted found | rivals found | "
        "controls found |",
        "|---|---|---|---|---|---|",
    ]
    for row in rows:
        counts = [
            f"{row[f'{kind}_found']} of {row[kind]}"
            for kind in (planted.PLANTED, planted.RIVAL, planted.CONTROL)
        ]
        tested = f"{row['tested']} of {row['cells']}"
        lines.append(
            f"| {row['rule']} | {row['centre']} | {tested} | {' | '.join(counts)} |"
        )
    return lines


def _count(row: dict, kind: str) -> str:
    found, total = row[f"{kind}_found"], row[kind]
    interval = scipy.stats.binomtest(found, total).proportion_ci(method="wilson")
    return (
        f"{found} of {total} ({100 * interval.low:.0f} to {100 * interval.high:.0f} %)"
    )


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--workers", type=int, metavar="N")
    parser.add_argument("--out", type=pathlib.Path, metavar="FILE.md")
    options = parser.parse_args()
    found = measure(options.only, quick=options.quick, workers=options.workers)
    text = report(found, timing.header())
    print(text)
    if options.out is not None:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(text)
        options.out.with_suffix(".json").write_text(json.dumps(found, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
