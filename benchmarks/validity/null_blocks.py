"""How often the test of arms in blocks finds something where there is nothing.

    python -m benchmarks.validity.null_blocks --out studies/null_blocks.md

runs null studies of all 45 pairs of the digits, three repeats each, in which every
network, the baseline's too, has a fifth of its labels wrong at random, and counts small
p-values of `--test blocks` beside those of the other tests. Every study is a folder in
studies/benchmarks: a command that is run again trains only what is missing.
"""

import argparse
import json
import pathlib
import sys

import pandas as pd
import scipy.stats

from benchmarks import timing
from keras_confusion.comparisons import findings as comparison_findings
from keras_confusion.comparisons import study_results, target_by_class, target_by_pair
from keras_confusion.execution import runtime

NUM_STUDIES, REPEATS, EPOCHS = 6, 3, 4
FRACTION = 0.2
LEVELS = (0.05, 0.01, 0.001)
FOLDER = timing.ROOT / "studies" / "benchmarks"
CONFIDENCE = 0.95


def run_study(seed: int, *, epochs: int, workers=None) -> pathlib.Path:
    """Trains one null study, or what is missing of it; returns its folder."""
    from keras_confusion.confusion import study as confusion_study

    directory = FOLDER / f"null-digits-{seed}-{REPEATS}x{epochs}"
    confusion_study.run_confusion_study(
        directory,
        dataset="digits",
        corruption="null",
        fraction=FRACTION,
        repeats=REPEATS,
        # As many as of an arm: what is tested here is not Welch's test.
        baseline_repeats=REPEATS,
        epochs=epochs,
        seed=seed,
        workers=workers,
    )
    return directory


def tests_of(directory: pathlib.Path) -> pd.DataFrame:
    """One row per comparison, response, test and cell: `p_value` and `q_value`."""
    study = study_results.read_study(directory)
    names, responses = study.class_names, study.responses
    by_pair = target_by_pair.target_by_pair(responses, names)
    tables = {
        "target x pair": by_pair[by_pair["family"] == "third"],
        "target x class": target_by_class.target_by_class(responses, names),
    }
    return pd.concat(
        [
            comparison_findings.with_test(table, test)[
                ["response", "p_value", "q_value"]
            ].assign(comparison=name, test=test)
            for name, table in tables.items()
            for test in comparison_findings.TESTS
        ]
    )


def measure(
    quick: bool = False, *, num_studies: int = NUM_STUDIES, workers: int | None = None
) -> list[dict]:
    """Runs the studies and counts.

    Args:
        quick: Takes two studies of one epoch.
        num_studies: Independent studies.
        workers: Processes that train.

    Returns:
        A row per comparison, response and test: `tests`, and for every level the share
        of p-values below it with an interval that takes studies for the units;
        `any_q`, studies with a q-value of 0.05 or less, and `studies`.
    """
    runtime.start_tensorflow(threads=1)
    num_studies, epochs = (2, 1) if quick else (num_studies, EPOCHS)
    tests = pd.concat(
        [
            tests_of(run_study(seed, epochs=epochs, workers=workers)).assign(study=seed)
            for seed in range(num_studies)
        ]
    )
    rows = []
    keys = ["comparison", "response", "test"]
    for key, group in tests.groupby(keys, sort=False):
        made = group[group["p_value"].notna()]
        row: dict = {**dict(zip(keys, key, strict=True)), "tests": len(made)}
        for level in LEVELS:
            shares = (made["p_value"] <= level).groupby(made["study"]).mean()
            half = scipy.stats.sem(shares) * scipy.stats.t.ppf(
                (1 + CONFIDENCE) / 2, len(shares) - 1
            )
            mean = float(shares.mean())
            row[f"share_{level}"] = [mean, max(mean - half, 0.0), mean + half]
        lowest = made.groupby("study")["q_value"].min()
        row["any_q"] = int((lowest <= comparison_findings.SIGNIFICANCE).sum())
        row["studies"] = num_studies
        rows.append(row)
    return rows


def report(rows: list[dict], header: dict[str, str]) -> str:
    """The counts as Markdown."""
    lines = ["# Null studies: arms in blocks", ""]
    lines += [f"- {name}: {value}" for name, value in header.items()]
    lines += [
        "",
        f"{rows[0]['studies']} null studies of the digits, 45 pairs x {REPEATS} "
        f"repeats, {100 * FRACTION:.0f} % of the labels of every network wrong at "
        "random. Shares of p-values, with 95 % intervals (Student's t over studies).",
        "",
        "| comparison | response | test | tests | "
        + " | ".join(f"p <= {level}" for level in LEVELS)
        + " | studies with any q <= 0.05 |",
        "|---|---|---|---|" + "---|" * (len(LEVELS) + 1),
    ]
    for row in rows:
        shares = [
            f"{mean:.4f} ({low:.4f} to {high:.4f})"
            for mean, low, high in (row[f"share_{level}"] for level in LEVELS)
        ]
        lines.append(
            f"| {row['comparison']} | {row['response']} | {row['test']} | "
            f"{row['tests']:,} | {' | '.join(shares)} | {row['any_q']} of "
            f"{row['studies']} |"
        )
    return "\n".join(lines) + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--studies", type=int, default=NUM_STUDIES, metavar="N")
    parser.add_argument("--workers", type=int, metavar="N")
    parser.add_argument("--out", type=pathlib.Path, metavar="FILE.md")
    options = parser.parse_args()
    rows = measure(options.quick, num_studies=options.studies, workers=options.workers)
    text = report(rows, timing.header())
    print(text)
    if options.out is not None:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(text)
        options.out.with_suffix(".json").write_text(json.dumps(rows, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
