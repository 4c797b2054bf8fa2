"""Which test may be the default: simulated studies with the noise of real ones.

    python -m benchmarks.validity.simulated_studies --out studies/simulated.md

draws 600 studies of every kind in which nothing happens, 10,800 in all: all 45 pairs of
ten classes, 2 to 50 repeats that share their seeds, and the baseline networks that
`run_confusion_study` trains beside them. What varies is taken from two real studies:
the digits (trained here, kept in studies/benchmarks) and CIFAR-10 (the study of 147
networks). Every target has its own noise; arms differ in theirs as the real ones do
beyond chance; residuals are drawn from the real ones; repeats have in common what the
baseline varies more than an arm; accuracies stop at 1 and are shares of as many test
images. So targets near their ceiling and cells that share a baseline are in it.

Reported are the size of every test, how many studies have a finding, and the power
against an effect in one cell, beside that of a z-test that knows the true variance.
About five minutes on one core, after the digits.
"""

import argparse
import itertools
import json
import pathlib
import sys

import numpy as np
import scipy.stats

from benchmarks import tables, timing
from benchmarks.validity import candidate_tests, null_statistics
from benchmarks.validity.candidate_tests import Tested
from benchmarks.validity.simulated_noise import (
    NUM_CLASSES,
    PAIRS,
    DrawnStudy,
    Noise,
    arms_without,
    drawn_study,
    noises,
)
from keras_confusion.comparisons import moderated_cells
from keras_confusion.comparisons.findings import MODERATED, PAIRED, SIGNIFICANCE, WELCH
from keras_confusion.stats import moderated, t_tests

REPEATS = (2, 3, 4, 8, 20, 50)
LEVELS = (0.05, 0.01, 0.001)
NUM_STUDIES = 600
ORACLE = "z, true variance"
# Candidates that were not taken, see `candidate_tests`.
LIMMA, MIXED = "paired, limma", "mixed model"
WELCH_FEWER, PERMUTATION = "welch, df of the fewer", "permutation"
WHOLE, FEW = "whole study", "few pairs"
UNBOUNDED = "moderated, bound of many cells"
FEW_CELLS, FEW_REPEATS = (3, 4, 6, 9), (3, 4, 8)
BY_PAIR, BY_CLASS = null_statistics.BY_PAIR, null_statistics.BY_CLASS


def tests_of(study: DrawnStudy, noise: Noise) -> dict[tuple[str, str], Tested]:
    """Every test of every cell, by comparison and test."""
    return _by_pair(study, noise) | _by_class(study)


def _by_pair(study: DrawnStudy, noise: Noise) -> dict[tuple[str, str], Tested]:
    responses, baseline = study.responses, study.baseline
    num_arms, repeats = responses.shape[1:]
    levels = np.broadcast_to(
        baseline[:, None], (*responses.shape[:2], baseline.shape[1])
    )
    step = 1 / noise.images if noise.images else 0.0
    results = [
        moderated_cells.compare_arms(
            responses[target], levels[target], np.arange(repeats), step=step
        )
        for target in range(NUM_CLASSES)
    ]
    paired = t_tests.compare_paired(responses, levels[..., :repeats])
    # What could be known: variances, and how much of the own baseline to take.
    shared, arm = noise.repeat_sd[:, None] ** 2, noise.sd[:, None] ** 2
    num_others = baseline.shape[1] - repeats
    share = np.array(
        [
            moderated.own_share(repeats, num_others, float(rho))
            for rho in (shared / (shared + arm)).ravel()
        ]
    )[:, None]
    variance = (study.variances + share**2 * arm + (1 - share) ** 2 * shared) / repeats
    variance += (1 - share) ** 2 * (shared + arm) / num_others
    own, others = baseline[:, :repeats], baseline[:, repeats:]
    level = share * own.mean(axis=1, keepdims=True)
    level += (1 - share) * others.mean(axis=1, keepdims=True)
    return {
        (BY_PAIR, MODERATED): _stacked(results),
        (BY_PAIR, PAIRED): _tested(paired),
        (BY_PAIR, WELCH): _tested(t_tests.compare(responses, levels)),
        (BY_PAIR, LIMMA): candidate_tests.limma(responses, baseline),
        (BY_PAIR, MIXED): candidate_tests.mixed_model(responses, baseline),
        (BY_PAIR, WELCH_FEWER): candidate_tests.welch_of_the_fewer(responses, baseline),
        (BY_PAIR, ORACLE): _by_z(responses.mean(axis=2) - level, variance),
    }


def _by_class(study: DrawnStudy) -> dict[tuple[str, str], Tested]:
    differences, weights = [], []
    for target in range(NUM_CLASSES):
        pairs = PAIRS[arms_without(target)]
        classes = np.delete(np.arange(NUM_CLASSES), target)
        members = np.array([(pairs == label).any(axis=1) for label in classes])
        weights.append(
            np.where(members, 1 / members.sum(1)[0], -1 / (~members).sum(1)[0])
        )
        differences.append(weights[-1] @ study.responses[target])
    results = [moderated.compare_moderated(target) for target in differences]
    by_repeat = np.stack(differences)
    paired = t_tests.compare_paired(by_repeat, np.zeros_like(by_repeat))
    variance = np.stack(weights) ** 2 @ study.variances[..., None]
    variance = variance[..., 0] / study.responses.shape[2]
    return {
        (BY_CLASS, MODERATED): _stacked(results),
        (BY_CLASS, PAIRED): _tested(paired),
        (BY_CLASS, ORACLE): _by_z(by_repeat.mean(axis=2), variance),
    }


def _tested(result) -> Tested:
    difference, t, df, p_value = (
        np.asarray(getattr(result, name))
        for name in ("difference", "t", "df", "p_value")
    )
    with np.errstate(invalid="ignore"):
        return difference, (difference / t) ** 2, df, p_value


def _stacked(results: list) -> Tested:
    every = [_tested(result) for result in results]
    difference, variance, df, p_value = map(np.stack, zip(*every, strict=True))
    return difference, variance, df, p_value


def _by_z(difference: np.ndarray, variance: np.ndarray) -> Tested:
    p_value = 2 * scipy.stats.norm.sf(np.abs(difference) / np.sqrt(variance))
    return difference, variance, np.full(difference.shape, np.inf), p_value


def measure_kind(
    noise: Noise, repeats: int, num_studies: int, effects: tuple[float, ...], seed: int
) -> list[dict]:
    """A row per comparison and test: size, findings and power."""
    num_baseline = int(np.ceil(repeats * np.sqrt(len(PAIRS))))
    kept: dict[tuple[str, str], list[np.ndarray]] = {}
    powers: dict[tuple[str, str], list[np.ndarray]] = {}
    permutations = []
    for number in range(num_studies):
        rng = np.random.default_rng((seed, repeats, number))
        study = drawn_study(noise, repeats, num_baseline, rng)
        for key, (difference, variance, df, p_value) in tests_of(study, noise).items():
            kept.setdefault(key, []).append(p_value)
            with np.errstate(invalid="ignore", divide="ignore"):
                moved = np.abs(difference[..., None] - effects)
                moved /= np.sqrt(variance)[..., None]
            is_found = 2 * scipy.stats.t.sf(moved, df[..., None]) <= SIGNIFICANCE
            powers.setdefault(key, []).append(is_found.mean(axis=(0, 1)))
        permutations.append(
            candidate_tests.permutation_p_value(study.responses, study.baseline, rng)
        )
    described = {
        "networks": noise.name,
        "repeats": repeats,
        "baseline_repeats": num_baseline,
    }
    rows = []
    for key, studies in kept.items():
        p_values = np.stack(studies)
        q_values = [t_tests.benjamini_hochberg(p.ravel()) for p in p_values]
        smallest = np.array([np.nanmin(q, initial=1) for q in q_values])
        row = described | {
            "comparison": key[0],
            "test": key[1],
            "untested": float(np.isnan(p_values).mean()),
        }
        for level in LEVELS:
            by_study = np.nanmean(p_values <= level, axis=(1, 2))
            half = 1.96 * by_study.std(ddof=1) / np.sqrt(len(by_study))
            row[f"size_{level}"] = float(by_study.mean())
            row[f"size_{level}_half"] = float(half)
        by_target = (p_values <= SIGNIFICANCE).mean(axis=(0, 2))
        row["lowest_target"], row["highest_target"] = by_target.min(), by_target.max()
        row |= null_statistics.named_share("any_q", smallest <= SIGNIFICANCE)
        for effect, power in zip(effects, np.mean(powers[key], axis=0), strict=True):
            row[f"power_{effect}"] = float(power)
        rows.append(row)
    # It tells of a whole study that something happened, and not where.
    is_found = np.array(permutations) <= SIGNIFICANCE
    row = described | {"comparison": WHOLE, "test": PERMUTATION}
    return [*rows, row | null_statistics.named_share("found", is_found)]


def few_cells(noise: Noise, num_studies: int) -> list[dict]:
    """Size where a target has few cells, by the prior as it is and that of many."""
    rows = []
    for num_arms, repeats in itertools.product(FEW_CELLS, FEW_REPEATS):
        kept: dict[str, list] = {MODERATED: [], UNBOUNDED: []}
        for number in range(num_studies):
            rng = np.random.default_rng((99, repeats, number))
            study = drawn_study(noise, repeats, 2 * repeats, rng)
            for target in range(NUM_CLASSES):
                own = study.baseline[target, None, :repeats]
                differences = study.responses[target, :num_arms] - own
                bound = moderated.MOST_PRIOR / moderated.share_of_cells(num_arms)
                for name, most in (
                    (MODERATED, moderated.MOST_PRIOR),
                    (UNBOUNDED, bound),
                ):
                    found = moderated.compare_moderated(
                        differences, step=1 / noise.images, most_prior=most
                    )
                    kept[name].append(found.p_value)
        rows += [
            {
                "networks": noise.name,
                "repeats": repeats,
                "comparison": FEW,
                "test": name,
                "cells": num_arms,
                **{
                    f"size_{level}": float((np.array(p_values) <= level).mean())
                    for level in LEVELS[:2]
                },
            }
            for name, p_values in kept.items()
        ]
    return rows


def document(header: dict[str, str], rows: list[dict]) -> str:
    """The report, as Markdown."""
    sections = []
    for networks, comparison in dict.fromkeys(
        (row["networks"], row["comparison"])
        for row in rows
        if row["comparison"] not in (WHOLE, FEW)
    ):
        chosen = [
            row
            for row in rows
            if (row["networks"], row["comparison"]) == (networks, comparison)
        ]
        effects = [key for key in chosen[0] if key.startswith("power_")]
        unit = "" if "d'" in networks else " points"
        scale = 1 if "d'" in networks else 100
        titles = [
            f"power, {scale * float(key.removeprefix('power_')):g}{unit}"
            for key in effects
        ]
        columns = ["repeats", "test", *(f"p ≤ {level}" for level in LEVELS)]
        columns += ["by target, p ≤ 0.05", "studies with q ≤ 0.05", *titles]
        lines = [f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]
        for row in chosen:
            sizes = [
                f"{row[f'size_{level}']:.4f} ± {row[f'size_{level}_half']:.4f}"
                for level in LEVELS
            ]
            cells = [f"{row['repeats']}", row["test"], *sizes]
            cells.append(f"{row['lowest_target']:.3f} to {row['highest_target']:.3f}")
            low, high = row["any_q_low"], row["any_q_high"]
            cells.append(f"{row['any_q']:.3f} ({low:.3f} to {high:.3f})")
            cells += [f"{row[key]:.3f}" for key in effects]
            lines.append(f"| {' | '.join(cells)} |")
        sections.append((f"{networks}: {comparison}", "\n" + "\n".join(lines)))
    lines = ["| networks | repeats | p ≤ 0.05 |", "|---|---|---|"]
    for row in rows:
        if row["comparison"] == WHOLE:
            low, high = row["found_low"], row["found_high"]
            share = f"{row['found']:.3f} ({low:.3f} to {high:.3f})"
            lines.append(f"| {row['networks']} | {row['repeats']} | {share} |")
    sections.append(("Few pairs", "\n" + _few_table(rows)))
    title = "Does any arm differ? Permutation of arms within repeats"
    sections.append((title, "\n" + "\n".join(lines)))
    text = tables.document(header, sections)
    command = "python -m benchmarks.validity.simulated_studies"
    return text.replace(
        "# Benchmark results",
        f"# Simulated null studies\n\n`{command}`. ± and intervals: 95 %.",
        1,
    )


def _few_table(rows: list[dict]) -> str:
    lines = [
        "| networks | cells of a target | repeats | test | p ≤ 0.05 | p ≤ 0.01 |",
        "|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {row['networks']} | {row['cells']} | {row['repeats']} | {row['test']} | "
        f"{row['size_0.05']:.4f} | {row['size_0.01']:.4f} |"
        for row in rows
        if row["comparison"] == FEW
    ]
    return "\n".join(lines)


def main(given=None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.validity.simulated_studies",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--studies", type=int, default=NUM_STUDIES, metavar="N")
    parser.add_argument("--out", type=pathlib.Path, metavar="FILE.md")
    options = parser.parse_args(given)
    header = timing.header()
    kinds = noises()
    rows = [
        row
        for number, (noise, effects) in enumerate(kinds)
        for repeats in REPEATS
        for row in measure_kind(noise, repeats, options.studies, effects, number)
    ]
    # Of CIFAR-10, whose accuracies are far from their ceiling.
    rows += few_cells(kinds[0][0], options.studies // 2)
    text = document(header, rows)
    print(text)
    if options.out is not None:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(text)
        numbers = json.dumps({"header": header, "rows": rows}, indent=1)
        options.out.with_suffix(".json").write_text(numbers + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
