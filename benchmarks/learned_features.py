"""Does d' by the right last layer show what features learned, and nothing else?

    python -m benchmarks.learned_features --out learned_features.md
    python -m benchmarks.learned_features --only planted text

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
import functools
import itertools
import json
import pathlib
import sys
import warnings

import numpy as np
import pandas as pd
import scipy.special
import scipy.stats

from benchmarks import planted_truth, timing
from keras_confusion import (
    confusion_study,
    discriminability,
    discriminability_tables,
    linear_heads,
    models,
    planted,
    results,
    retraining,
    reviews,
    runtime,
    significance,
    stats,
    study_folder,
    study_reading,
)
from keras_confusion.study_plan import StudyPlan
from keras_confusion.study_settings import StudySettings

FOLDER = timing.ROOT / "studies" / "benchmarks"
PARTS = ("planted", "text", "digits", "confused", "readout")
CIFAR10_STUDY = timing.ROOT / "docs" / "results" / "confusion_cifar10"
# By data set: pairs that are confused, repeats, epochs. Of seeds that no study has.
CONFUSED = {
    "digits": (["3-8", "4-9", "1-7"], 5, 10),
    "cifar10": (["automobile-truck", "cat-dog", "deer-horse"], 3, 6),
}
SEED = 1000
# Of d', float32.
ROUNDING = 1e-6
NUM_READOUTS, NUM_UNTRAINED = 2, 3


def planted_cells(
    num_datasets: int, repeats: int, epochs: int, workers: int | None
) -> tuple[pd.DataFrame, list[pathlib.Path]]:
    """Cells of target x pair of all planted data sets, and the studies' folders.

    `kind` is of `planted.Cell`. `truth` is what a target can lose: where nothing tells
    the two variants of its shape apart any more, their d' falls to 0, and all else
    stays.
    """
    parts, directories = [], []
    for seed in range(num_datasets):
        directory = planted_truth.run_study(
            seed,
            repeats=repeats,
            epochs=epochs,
            num_others=planted_truth.NUM_OTHER_PAIRS,
            workers=workers,
        )
        directories.append(directory)
        cells = _cells(directory)
        d = _mean_d_prime(directory)
        places = list(
            zip(cells["class_a"], cells["class_b"], cells["target"], strict=True)
        )
        parts.append(
            cells.assign(
                seed=seed,
                kind=[planted_kind((a, b), target) for a, b, target in places],
                truth=[_loss_of_shape(d, place) for place in places],
            )
        )
    return pd.concat(parts, ignore_index=True), directories


@functools.cache
def _planted_kinds() -> dict[tuple[int, int, int], str]:
    return {(*cell.pair, cell.target): cell.kind for cell in planted.truth()}


def planted_kind(pair: tuple[int, int], target: int) -> str:
    """What is true of a cell of the planted images, see `planted.Cell`."""
    return _planted_kinds()[*pair, target]


def text_kind(pair: tuple[int, int], target: int) -> str:
    """What is true of a cell of the reviews, praise and panning being confused."""
    # Films and books are judged by the same words, meals and hotels by their own.
    topics = {pair[0] // 2, target // 2}
    return planted.PLANTED if topics == {0, 1} else planted.CONTROL


def digits_kind(pair: tuple[int, int], target: int) -> str:
    """Nothing is known of the digits: all cells are counted as controls."""
    return planted.CONTROL


def _loss_of_shape(d: np.ndarray, place: tuple[int, int, int]) -> float:
    """Relative d' that a target loses with what tells its shape's variants apart."""
    a, b, target = place
    without = d.copy()
    other = target ^ 1
    without[target, other] = without[other, target] = 0
    change = np.subtract(
        *(discriminability.without_pair(of, (a, b)) for of in (without, d))
    )
    return float(discriminability.relative(change)[target])


def text_cells(repeats: int, workers: int | None) -> tuple[pd.DataFrame, pathlib.Path]:
    """Cells of target x pair of the generated reviews, with `kind`; the folder."""
    directory = FOLDER / f"features-reviews-{repeats}"
    confusion_study.run_confusion_study(
        directory,
        dataset="reviews",
        model="text",
        # Praise and panning of every topic, and the settings of
        # docs/own_data_and_model.md.
        pairs=[(2 * topic, 2 * topic + 1) for topic in range(len(reviews.TOPICS))],
        repeats=repeats,
        baseline_repeats=repeats,
        epochs=30,
        batch_size=16,
        learning_rate=0.005,
        seed=SEED,
        workers=workers,
    )
    cells = _cells(directory)
    places = zip(cells["class_a"], cells["class_b"], cells["target"], strict=True)
    return cells.assign(
        kind=[text_kind((a, b), target) for a, b, target in places]
    ), directory


def _cells(directory: pathlib.Path) -> pd.DataFrame:
    """Target x pair by d', every test in its rows."""
    study = study_reading.read_study(directory)
    cells, _ = discriminability_tables.target_by_pair(study.readings, study.class_names)
    tests = [
        significance.told_by(cells, test).assign(test=test)
        for test in significance.TESTS
    ]
    return pd.concat(tests, ignore_index=True)


def _mean_d_prime(directory: pathlib.Path) -> np.ndarray:
    """Mean d' of the baselines by the right last layer, `(K, K)`."""
    networks = results.read_networks(directory)
    baseline = networks[networks["arm"] == results.BASELINE]
    d = np.stack(baseline["features_discriminability"].to_list())
    num_images = _num_images(directory)
    d = discriminability.shrunken(d, num_images).mean(axis=0)
    return discriminability.matrices(d, len(num_images))


def _num_images(directory: pathlib.Path) -> np.ndarray:
    labels = results.read_test_labels(directory)
    return np.bincount(labels, minlength=len(_class_names(directory)))


def _class_names(directory: pathlib.Path) -> list[str]:
    return study_folder.read_description(directory)["class_names"]


def choices(directories, kinds_of) -> list[dict]:
    """What other ways to make one value of all d' would find, paired within repeats.

    Args:
        directories: Studies.
        kinds_of: Gives for a pair and a target what is true of it.

    Returns:
        A row per rule for AUCs near 1 ("one image more", as it is, or cut off) and what
        is taken off a network's changes ("median", as it is, "mean" or "nothing").
    """
    rows = []
    for rule, centre in itertools.product(RULES, CENTRES):
        tests = pd.concat(
            [_choice(directory, kinds_of, rule, centre) for directory in directories]
        )
        found = tests["q_value"] <= significance.SIGNIFICANCE
        falls = tests["difference"] < 0
        row: dict = {
            "rule": rule,
            "centre": centre,
            "cells": len(tests),
            "tested": int(tests["p_value"].notna().sum()),
        }
        for kind in (planted.PLANTED, planted.RIVAL, planted.CONTROL):
            here = tests["kind"] == kind
            hit = found & falls if kind == planted.PLANTED else found
            row |= {kind: int(here.sum()), f"{kind}_found": int((hit & here).sum())}
        rows.append(row)
    return rows


def _cut_off(d_primes: np.ndarray, num_images: np.ndarray) -> np.ndarray:
    """AUCs at most half an image from 0 and 1, as rates of 1 (Macmillan and Kaplan)."""
    rows, columns = np.triu_indices(len(num_images), 1)
    fewer = np.minimum(num_images[rows], num_images[columns])
    limits = scipy.special.ndtri(1 - 0.5 / fewer)
    return np.clip(d_primes, -limits, limits)


RULES = {
    "one image more": discriminability.shrunken,
    "half an image": _cut_off,
    "half an image pair": lambda d_primes, num_images: d_primes,
}
CENTRES = {
    "median": np.median,
    "mean": np.mean,
    "nothing": lambda changes, axis: np.zeros(len(changes)),
}


def _choice(directory: pathlib.Path, kinds_of, rule: str, centre: str) -> pd.DataFrame:
    networks, num_images = results.read_networks(directory), _num_images(directory)
    values = np.stack(networks["features_discriminability"].to_list())
    d = discriminability.matrices(RULES[rule](values, num_images), len(num_images))
    is_baseline = (networks["arm"] == results.BASELINE).to_numpy(bool)
    without_pairs = discriminability.WithoutPairs(d)
    parts = []
    for arm, of_arm in networks[~is_baseline].groupby("arm"):
        a, b = (int(of_arm[name].iloc[0]) for name in ("class_a", "class_b"))
        targets = np.delete(np.arange(len(num_images)), [a, b])
        means = without_pairs.of_pair(a, b)[:, targets]
        changes = means - means[is_baseline].mean(axis=0)
        changes -= CENTRES[centre](changes, axis=1)[:, None]
        in_arm = (networks["arm"] == arm).to_numpy(bool)
        # Both in the order of the repeats, which they share.
        differences = changes[in_arm] - changes[is_baseline][: in_arm.sum()]
        with np.errstate(invalid="ignore"), warnings.catch_warnings():
            # Of differences that are all the same there is no test.
            warnings.simplefilter("ignore", RuntimeWarning)
            p_values = scipy.stats.ttest_1samp(differences, 0).pvalue
        is_constant = np.ptp(differences, axis=0) < ROUNDING
        parts.append(
            pd.DataFrame(
                {
                    "kind": [kinds_of((a, b), int(target)) for target in targets],
                    "difference": differences.mean(axis=0),
                    "p_value": np.where(is_constant, np.nan, p_values),
                }
            )
        )
    table = pd.concat(parts, ignore_index=True)
    return table.assign(q_value=stats.benjamini_hochberg(table["p_value"].to_numpy()))


def score(cells: pd.DataFrame) -> list[dict]:
    """Findings of every reading and test by what is true of the cells."""
    rows = []
    for (reading, test), of in cells.groupby(["reading", "test"], sort=False):
        found = of["q_value"] <= significance.SIGNIFICANCE
        falls = of["difference"] < 0
        row = {"reading": reading, "test": test}
        for kind in (planted.PLANTED, planted.RIVAL, planted.CONTROL):
            here = of["kind"] == kind
            hit = found & falls if kind == planted.PLANTED else found
            row |= {
                kind: int(here.sum()),
                f"{kind}_found": int((hit & here).sum()),
                f"{kind}_mean": float(of["difference"][here].mean()),
                f"{kind}_false_at_5": float((of["p_value"][here] <= 0.05).mean()),
            }
        if "truth" in of:
            here = of["kind"] == planted.PLANTED
            share = of["difference"][here].sum() / of["truth"][here].sum()
            row["share_of_truth"] = float(share)
        rows.append(row)
    return rows


def _confused_study(dataset: str, workers: int | None, *, quick: bool) -> pathlib.Path:
    pairs, repeats, epochs = CONFUSED[dataset]
    if quick:
        pairs, repeats, epochs = pairs[:1], 2, 1
    directory = FOLDER / f"features-{dataset}-{repeats}x{epochs}"
    confusion_study.run_confusion_study(
        directory,
        dataset=dataset,
        pairs=pairs,
        repeats=repeats,
        baseline_repeats=repeats,
        epochs=epochs,
        seed=SEED,
        readout_baselines=0,
        workers=workers,
    )
    return directory


def confused_pairs(
    dataset: str, workers: int | None, *, quick: bool = False
) -> list[dict]:
    """AUC of a against b, by pair, of the networks that confuse them and of others."""
    directory = _confused_study(dataset, workers, quick=quick)
    networks, names = results.read_networks(directory), _class_names(directory)
    untrained = _untrained_d_primes(directory)
    rows = []
    for arm, of_arm in networks.groupby("arm", sort=False):
        if arm == results.BASELINE:
            continue
        a, b = (int(of_arm[column].iloc[0]) for column in ("class_a", "class_b"))
        baseline = networks[networks["arm"] == results.BASELINE]
        values = {
            "own last layer": _auc(of_arm["discriminability"], a, b),
            "features": _auc(of_arm["features_discriminability"], a, b),
            "baseline": _auc(baseline["features_discriminability"], a, b),
            "untrained": _auc(untrained, a, b),
        }
        rows.append(
            {
                "dataset": dataset,
                "pair": f"{names[a]}, {names[b]}",
                **{
                    name: {
                        "mean": float(np.mean(auc)),
                        "sd": float(np.std(auc, ddof=1)),
                        "n": len(auc),
                    }
                    for name, auc in values.items()
                },
            }
        )
    return rows


def _auc(d_primes, a: int, b: int) -> np.ndarray:
    d_primes = np.stack(list(d_primes))
    num_classes = round((1 + np.sqrt(1 + 8 * d_primes.shape[1])) / 2)
    return scipy.special.ndtr(discriminability.matrices(d_primes, num_classes)[:, a, b])


def _untrained_d_primes(directory: pathlib.Path) -> list[np.ndarray]:
    """Of networks as they begin, by right last layers on their features."""
    plan = retraining.plan_of_study(directory)
    trainer, labels = plan.trainer, plan.dataset.test.labels
    found = []
    for seed in range(NUM_UNTRAINED):
        trainer.model.set_weights(
            models.build_model(
                plan.settings.model, seed=seed, **plan.dataset.model_arguments
            ).get_weights()
        )
        heads = _heads(trainer, plan)
        found.append(
            discriminability.d_primes(
                heads.test_logits(plan.dataset.train.labels), labels
            )
        )
    return found


def _heads(trainer, plan) -> linear_heads.LinearHeads:
    train, _, test = trainer.features(0)
    return linear_heads.LinearHeads(train, test, plan.dataset.num_classes)


def readout_of_accuracies(workers: int | None) -> list[dict]:
    """Differences of accuracies by swapped last layers, beside those of the study."""
    from keras_confusion import training

    plan = StudyPlan.make(
        StudySettings(dataset="cifar10", epochs=CONFUSED["cifar10"][-1]), FOLDER, None
    )
    pairs, num_classes = plan.pairs, plan.dataset.num_classes
    test_labels = plan.dataset.test.labels
    changes = np.zeros((2, NUM_READOUTS, len(pairs), num_classes))
    for network in range(NUM_READOUTS):
        plan.trainer.train([training.TrainingTask(SEED + network, SEED + network)])
        heads = _heads(plan.trainer, plan)
        right = heads.test_logits(plan.dataset.train.labels)
        for index, pair in enumerate(pairs):
            given = plan.given_labels(pair, SEED + network)
            swapped = heads.test_logits(given)
            for response, left_out in enumerate(((), pair)):
                changes[response, network, index] = np.subtract(
                    *(_accuracies(z, test_labels, left_out) for z in (swapped, right))
                )
    table = pd.read_csv(CIFAR10_STUDY / "tables" / "target_by_class.csv")
    rows = []
    for response, by_readout in zip(
        ("accuracy", "accuracy_without_pair"), changes, strict=True
    ):
        cells = table[table["response"] == response]
        readout = [
            100 * _contrast(by_readout.mean(axis=0), pairs, target, other)
            for target, other in zip(cells["target"], cells["class"], strict=True)
        ]
        total = cells["difference_points"].to_numpy()
        correlation = scipy.stats.pearsonr(total, readout)
        interval = correlation.confidence_interval()
        strongest = np.argsort(-np.abs(total))[:5]
        rows.append(
            {
                "response": response,
                "n_networks": NUM_READOUTS,
                "cells": len(cells),
                "correlation": float(correlation.statistic),
                "low": float(interval.low),
                "high": float(interval.high),
                "total_sd": float(np.std(total, ddof=1)),
                "readout_sd": float(np.std(readout, ddof=1)),
                "strongest": [
                    {
                        "target": cells["target_name"].iloc[cell],
                        "class": cells["class_name"].iloc[cell],
                        "total": float(total[cell]),
                        "readout": float(readout[cell]),
                    }
                    for cell in strongest
                ],
            }
        )
    return rows


def _accuracies(logits: np.ndarray, test_labels: np.ndarray, left_out) -> np.ndarray:
    logits = logits.copy()
    logits[:, list(left_out)] = -np.inf
    is_right = logits.argmax(axis=1) == test_labels
    return np.array([is_right[test_labels == k].mean() for k in range(logits.shape[1])])


def _contrast(changes: np.ndarray, pairs, target: int, other: int) -> float:
    """Mean change of a target over the pairs with a class less that over the others."""
    is_third = np.array([target not in pair for pair in pairs])
    has_other = np.array([other in pair for pair in pairs])
    of_target = changes[:, target]
    return float(
        of_target[is_third & has_other].mean() - of_target[is_third & ~has_other].mean()
    )


def measure(parts=PARTS, *, quick: bool = False, workers: int | None = None) -> dict:
    """Answers the questions; the keys are the parts."""
    runtime.start_tensorflow(threads=1)
    found: dict = {}
    if "planted" in parts:
        num_datasets = 1 if quick else planted_truth.NUM_DATASETS
        repeats = planted_truth.QUICK_REPEATS if quick else planted_truth.REPEATS
        epochs = planted_truth.QUICK_EPOCHS if quick else planted_truth.EPOCHS
        cells, directories = planted_cells(num_datasets, repeats, epochs, workers)
        found["planted"] = {
            "num_datasets": num_datasets,
            "repeats": repeats,
            "scores": score(cells),
            "choices": choices(directories, planted_kind),
        }
    if "text" in parts:
        repeats = 2 if quick else 10
        cells, directory = text_cells(repeats, workers)
        found["text"] = {
            "repeats": repeats,
            "scores": score(cells),
            "choices": choices([directory], text_kind),
        }
    if "digits" in parts:
        directory = _confused_study("digits", workers, quick=quick)
        found["digits"] = {"choices": choices([directory], digits_kind)}
    if "confused" in parts:
        names = ("digits",) if quick else tuple(CONFUSED)
        found["confused"] = [
            row for name in names for row in confused_pairs(name, workers, quick=quick)
        ]
    if "readout" in parts and not quick:
        found["readout"] = readout_of_accuracies(workers)
    return found


def report(found: dict, header: dict[str, str]) -> str:
    """What `measure` returned as Markdown."""
    lines = ["# What the features learned", ""]
    lines += [f"- {key}: {value}" for key, value in header.items()]
    if "planted" in found:
        of = found["planted"]
        lines += [
            "",
            "## Planted truth",
            "",
            f"{of['num_datasets']} data sets, {of['repeats']} repeats of a pair and as "
            "many baselines (5 of them with readout). Found is q <= 0.05 within a data "
            "set, reading and test; planted relations count where they fall. In "
            "brackets Wilson's 95 % interval. Share of truth: the sum of all planted "
            "differences against what is lost where d' of the two variants of the "
            "target's shape falls to 0.",
            "",
            *_score_table(of["scores"]),
            *_choice_table(of["choices"]),
        ]
    if "text" in found:
        of = found["text"]
        lines += [
            "",
            "## Generated reviews",
            "",
            f"One data set, the text model, {of['repeats']} repeats of a pair and as "
            "many baselines.",
            "",
            *_score_table(of["scores"]),
            *_choice_table(of["choices"]),
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
