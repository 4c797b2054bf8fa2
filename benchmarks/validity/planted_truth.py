"""Does a confusion study find what was planted, and nothing else?

    python -m benchmarks.validity.planted_truth --out studies/planted_truth.md

runs a study of each of several independent data sets of
`keras_confusion.datasets.planted`, in which it is known what is learned from
what, and counts for every measure and test: the planted relations that were found
(q <= 0.05, and in the right direction), and how many of all findings are false. The
pairs of a study are the five pairs of variants and others drawn again for every
data set; --pairs all takes all 45. Networks are kept in studies/benchmarks: a
command that is run again trains only what is missing.
"""

import argparse
import json
import pathlib
import sys

import numpy as np
import pandas as pd
import scipy.stats

from benchmarks import timing
from keras_confusion.comparisons import findings as comparison_findings
from keras_confusion.comparisons import measures, study_results
from keras_confusion.datasets import planted
from keras_confusion.execution import runtime

NUM_DATASETS, REPEATS, EPOCHS, NUM_OTHER_PAIRS = 5, 10, 10, 3
QUICK_REPEATS, QUICK_EPOCHS = 2, 1
FOLDER = timing.ROOT / "studies" / "benchmarks"
CONFIDENCE = 0.95


def study_pairs(seed: int, num_others: int | None) -> list[tuple[int, int]]:
    """The pairs of variants, and others drawn for one data set; `None` takes all 45.

    All but one of the others hold a ring, so that there are rivals.
    """
    num_classes = len(planted.CLASS_NAMES)
    pairs = [(a, b) for a in range(num_classes) for b in range(a + 1, num_classes)]
    if num_others is None:
        return pairs
    variants = [(a, b) for a, b in pairs if a // 2 == b // 2]
    rings = [pair for pair in pairs if pair[1] >= 8 and pair not in variants]
    others = [pair for pair in pairs if pair not in variants + rings]
    generator = np.random.default_rng(seed)
    drawn = [
        candidates[index]
        for candidates, number in ((rings, num_others - 1), (others, 1))
        for index in generator.choice(len(candidates), number, replace=False)
    ]
    return sorted(variants + drawn)


def run_study(
    seed: int, *, repeats: int, epochs: int, num_others: int | None, workers=None
) -> pathlib.Path:
    """Trains the study of a data set, or what is missing of it; returns its folder."""
    from keras_confusion.confusion import study as confusion_study

    pairs = study_pairs(seed, num_others)
    directory = FOLDER / f"planted-{seed}-{len(pairs)}x{repeats}x{epochs}"
    confusion_study.run_confusion_study(
        directory,
        dataset=f"planted:{seed}",
        pairs=pairs,
        repeats=repeats,
        # As many as of an arm: Welch's test of few against many finds too much.
        baseline_repeats=repeats,
        epochs=epochs,
        workers=workers,
        verbose=1,
    )
    return directory


def tested_cells(directory: pathlib.Path) -> tuple[pd.DataFrame, np.ndarray]:
    """Every test of a study beside the truth, and the baseline's accuracies.

    Returns:
        `measures.target_by_pair_tests` with the column `kind` of `planted.Cell`, and
        accuracies `(num_baseline, K)`.
    """
    study = study_results.read_study(directory, single_networks=True).responses
    kinds = {(*cell.pair, cell.target): cell.kind for cell in planted.truth()}
    tests = measures.target_by_pair_tests(study)
    places = zip(tests["class_a"], tests["class_b"], tests["target"], strict=True)
    return tests.assign(kind=[kinds[place] for place in places]), (
        study.baseline.accuracy
    )


def score(tests: pd.DataFrame) -> pd.DataFrame:
    """Counts findings by response, measure and test.

    Args:
        tests: As `tested_cells` returns them, of one or several data sets.

    Returns:
        One row per response, measure and test: `tests`, how many were made (few arms
        cannot be compared in blocks); `planted` cells and `planted_found` of them,
        `rivals` and `rivals_moved` (found, upwards), and `false`: findings where
        nothing is to be found. Those are controls, and for `accuracy_without_pair`
        rivals too; where accuracy moves upwards at a rival it is right, and what is
        found at related cells is neither right nor false. `false_costs` are those
        that fall, as a planted relation does.
    """
    rows = []
    for key, group in tests.groupby(["response", "measure", "test"], sort=False):
        found = group["q_value"] <= comparison_findings.SIGNIFICANCE
        falls = group["difference"] < 0
        made = group["p_value"].notna()
        is_planted = group["kind"] == planted.PLANTED
        is_rival = group["kind"] == planted.RIVAL
        is_control = group["kind"] == planted.CONTROL
        is_null = is_control | is_rival
        if key[0] == "accuracy":
            is_null = is_control | (is_rival & falls)
        rows.append(
            {
                **dict(zip(("response", "measure", "test"), key, strict=True)),
                "tests": int(made.sum()),
                "planted": int(is_planted.sum()),
                "planted_found": int((found & falls & is_planted).sum()),
                "rivals": int(is_rival.sum()),
                "rivals_moved": int((found & ~falls & is_rival).sum()),
                "controls": int(is_control.sum()),
                "false": int((found & is_null).sum()),
                "false_costs": int((found & is_null & falls).sum()),
                "related_found": int(
                    (found & (group["kind"] == planted.RELATED)).sum()
                ),
                "planted_points": float(group["difference"][is_planted].mean() * 100),
                "rival_points": float(group["difference"][is_rival].mean() * 100),
                "control_points": float(group["difference"][is_control].mean() * 100),
                "false_at_5": float(
                    (group["p_value"][is_control & made] <= 0.05).mean()
                ),
            }
        )
    return pd.DataFrame(rows)


def measure(quick: bool = False, *, workers: int | None = None, **changes) -> dict:
    """Runs all studies and scores them.

    Args:
        quick: Takes two data sets, and few networks of one epoch.
        workers: Processes that train.
        **changes: `num_datasets`, `repeats`, `epochs`, `num_others`, to be others.

    Returns:
        `settings`, `baseline` (mean and sd of every class's accuracy over all
        networks of all data sets) and `scores`, rows of `score`.
    """
    runtime.start_tensorflow(threads=1)
    settings = {
        "num_datasets": 2 if quick else NUM_DATASETS,
        "repeats": QUICK_REPEATS if quick else REPEATS,
        "epochs": QUICK_EPOCHS if quick else EPOCHS,
        "num_others": 2 if quick else NUM_OTHER_PAIRS,
    } | changes
    tests, baselines = [], []
    for seed in range(settings["num_datasets"]):
        directory = run_study(
            seed,
            repeats=settings["repeats"],
            epochs=settings["epochs"],
            num_others=settings["num_others"],
            workers=workers,
        )
        study_tests, baseline = tested_cells(directory)
        tests.append(study_tests.assign(seed=seed))
        baselines.append(baseline)
    within = np.sqrt(np.mean([b.var(axis=0, ddof=1) for b in baselines], axis=0))
    return {
        "settings": settings | {"num_baseline": len(baselines[0])},
        "baseline": [
            {"class": name, "accuracy": float(accuracy), "sd": float(sd)}
            for name, accuracy, sd in zip(
                planted.CLASS_NAMES,
                np.mean([b.mean(axis=0) for b in baselines], axis=0),
                within,
                strict=True,
            )
        ],
        "scores": score(pd.concat(tests, ignore_index=True)).to_dict("records"),
    }


def report(found: dict, header: dict[str, str]) -> str:
    """The scores as Markdown."""
    settings, scores = found["settings"], pd.DataFrame(found["scores"])
    planted_cells = int(scores["planted"].iloc[0])
    lines = ["# Planted truth", "", *(f"- {k}: {v}" for k, v in header.items())]
    lines += [
        "",
        f"{settings['num_datasets']} independent data sets, {settings['repeats']} "
        f"repeats a pair, {settings['num_baseline']} baselines, {settings['epochs']} "
        f"epochs; {planted_cells} planted relations, "
        f"{scores['rivals'].iloc[0]} rival and {scores['controls'].iloc[0]} control "
        "cells. Found is q <= 0.05 within a data set, response, measure and test; the "
        "interval of the share found is Wilson's, 95 %. The share of false findings is "
        "of all findings at planted, rival and control cells; costs are those where "
        "something is lost, as at a planted relation.",
        "",
        "| response | measure | test | planted found | rivals moved | false findings | "
        "of them costs | controls with p <= 0.05 |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in found["scores"]:
        lines.append(_score_line(row))
    lines += ["", "Baseline, test accuracy of every class:", ""]
    lines += ["| class | mean | sd between networks |", "|---|---|---|"]
    lines += [
        f"| {row['class']} | {100 * row['accuracy']:.0f} % | "
        f"{100 * row['sd']:.1f} points |"
        for row in found["baseline"]
    ]
    first = scores[(scores["measure"] == "difference") & (scores["test"] == "welch")]
    lines += ["", "Mean difference of the accuracies, confused less baseline:", ""]
    lines += ["| response | planted | rivals | controls |", "|---|---|---|---|"]
    lines += [
        f"| {row['response']} | {row['planted_points']:+.1f} points | "
        f"{row['rival_points']:+.1f} | {row['control_points']:+.1f} |"
        for row in first.to_dict("records")
    ]
    return "\n".join(lines) + "\n"


def _score_line(row: dict) -> str:
    share = row["planted_found"] / row["planted"]
    counted = scipy.stats.binomtest(row["planted_found"], row["planted"])
    interval = counted.proportion_ci(CONFIDENCE, method="wilson")
    moved = row["rivals_moved"] if row["response"] == "accuracy" else 0
    findings = row["planted_found"] + moved + row["false"]
    share_false = f"{100 * row['false'] / findings:.1f} %" if findings else "none found"
    name = row["measure"]
    if name == "difference":
        name = "difference, kl_bits"
    if not row["tests"]:
        # Nothing was found, as nothing was tested.
        return f"| {row['response']} | {name} | {row['test']} | no test | | | | |"
    return (
        f"| {row['response']} | {name} | {row['test']} | {100 * share:.0f} % "
        f"({row['planted_found']} of {row['planted']}; {100 * interval.low:.0f} to "
        f"{100 * interval.high:.0f}) | {row['rivals_moved']} of {row['rivals']} | "
        f"{share_false} ({row['false']} of {findings}) | {row['false_costs']} | "
        f"{100 * row['false_at_5']:.1f} % |"
    )


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--workers", type=int, metavar="N")
    parser.add_argument(
        "--pairs", choices=("some", "all"), default="some", help="(default: some)"
    )
    parser.add_argument("--datasets", type=int, metavar="N", help="how many")
    parser.add_argument("--repeats", type=int, metavar="N", help="of every pair")
    parser.add_argument(
        "--others", type=int, metavar="N", help="pairs beside those of variants"
    )
    parser.add_argument("--out", type=pathlib.Path, metavar="FILE.md")
    options = parser.parse_args()
    asked = {
        "num_datasets": options.datasets,
        "repeats": options.repeats,
        "num_others": options.others,
    }
    changes = {name: value for name, value in asked.items() if value is not None}
    if options.pairs == "all":
        changes["num_others"] = None
    found = measure(options.quick, workers=options.workers, **changes)
    text = report(found, timing.header())
    print(text)
    if options.out is not None:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(text)
        rows = json.dumps(found, indent=1, allow_nan=True)
        options.out.with_suffix(".json").write_text(rows + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
