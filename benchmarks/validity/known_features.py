"""What each reading of d' finds where it is known what is learned from what.

The readings are *total*, *features* and *readout*, see docs/confusion_study.md. It is
known for the planted images and the generated reviews. For the digits it is not: all
their cells count as controls.
"""

import functools
import itertools
import pathlib
import warnings

import numpy as np
import pandas as pd
import scipy.special
import scipy.stats

from benchmarks.validity import planted_truth
from keras_confusion.comparisons import by_reading, study_results
from keras_confusion.comparisons import findings as comparison_findings
from keras_confusion.confusion import network_files
from keras_confusion.confusion import store as confusion_store
from keras_confusion.confusion import study as confusion_study
from keras_confusion.datasets import planted, reviews
from keras_confusion.stats import discriminability, t_tests
from keras_confusion.storage.study_folder import StudyFolder

# Of a seed that no other study has.
TEXT_SEED = 1000
# Of d', float32.
ROUNDING = 1e-6


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
        *(discriminability.without_pair(d_primes, (a, b)) for d_primes in (without, d))
    )
    return float(discriminability.relative(change)[target])


def text_cells(repeats: int, workers: int | None) -> tuple[pd.DataFrame, pathlib.Path]:
    """Cells of target x pair of the generated reviews, with `kind`; the folder."""
    directory = planted_truth.FOLDER / f"features-reviews-{repeats}"
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
        seed=TEXT_SEED,
        workers=workers,
        verbose=1,
    )
    cells = _cells(directory)
    places = zip(cells["class_a"], cells["class_b"], cells["target"], strict=True)
    return cells.assign(
        kind=[text_kind((a, b), target) for a, b, target in places]
    ), directory


def _cells(directory: pathlib.Path) -> pd.DataFrame:
    """Target x pair by d', every test in its rows."""
    study = study_results.read_study(directory)
    cells, _ = by_reading.readings_by_pair(study.readings, study.class_names)
    tests = [
        comparison_findings.with_test(cells, test).assign(test=test)
        for test in comparison_findings.TESTS
    ]
    return pd.concat(tests, ignore_index=True)


def _mean_d_prime(directory: pathlib.Path) -> np.ndarray:
    """Mean d' of the baselines by the right last layer, `(K, K)`."""
    networks = confusion_store.read_networks(directory)
    baseline = networks[networks["arm"] == network_files.BASELINE]
    d = np.stack(baseline["features_discriminability"].to_list())
    num_images = _num_images(directory)
    d = discriminability.shrunken(d, num_images).mean(axis=0)
    return discriminability.matrices(d, len(num_images))


def _num_images(directory: pathlib.Path) -> np.ndarray:
    folder = StudyFolder.open(directory)
    labels = confusion_store.read_test_labels(folder)
    return np.bincount(labels, minlength=len(folder.class_names))


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
        found = tests["q_value"] <= comparison_findings.SIGNIFICANCE
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
    networks, num_images = (
        confusion_store.read_networks(directory),
        _num_images(directory),
    )
    values = np.stack(networks["features_discriminability"].to_list())
    d = discriminability.matrices(RULES[rule](values, num_images), len(num_images))
    is_baseline = (networks["arm"] == network_files.BASELINE).to_numpy(bool)
    without_pairs = discriminability.WithoutPairs(d)
    parts = []
    for arm, arm_networks in networks[~is_baseline].groupby("arm"):
        a, b = (int(arm_networks[name].iloc[0]) for name in ("class_a", "class_b"))
        targets = np.delete(np.arange(len(num_images)), [a, b])
        means = without_pairs.means_without(a, b)[:, targets]
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
    return table.assign(q_value=t_tests.benjamini_hochberg(table["p_value"].to_numpy()))


def score(cells: pd.DataFrame) -> list[dict]:
    """Findings of every reading and test by what is true of the cells."""
    rows = []
    for (reading, test), group in cells.groupby(["reading", "test"], sort=False):
        found = group["q_value"] <= comparison_findings.SIGNIFICANCE
        falls = group["difference"] < 0
        row = {"reading": reading, "test": test}
        for kind in (planted.PLANTED, planted.RIVAL, planted.CONTROL):
            here = group["kind"] == kind
            hit = found & falls if kind == planted.PLANTED else found
            row |= {
                kind: int(here.sum()),
                f"{kind}_found": int((hit & here).sum()),
                f"{kind}_mean": float(group["difference"][here].mean()),
                f"{kind}_false_at_5": float((group["p_value"][here] <= 0.05).mean()),
            }
        if "truth" in group:
            here = group["kind"] == planted.PLANTED
            share = group["difference"][here].sum() / group["truth"][here].sum()
            row["share_of_truth"] = float(share)
        rows.append(row)
    return rows


def recurrence(cells: pd.DataFrame) -> dict:
    """What is found at controls by features: is it chance, or learning of no plan?

    Chance is another in every data set; what networks learn comes again.

    Args:
        cells: As `planted_cells`, of several data sets.

    Returns:
        By the default test: `found`, with the mean size of what was found there,
        `mean_found`, beside that of planted cells, `mean_planted`, and `gains` of them;
        of the `cells` controls that are in all data sets the mean `correlation` of two
        data sets, and `across`, those with p <= 0.05 by a t-test over data sets.
    """
    chosen = cells[
        (cells["reading"] == "features")
        & (cells["test"] == comparison_findings.DEFAULT_TEST)
    ]
    controls = chosen[chosen["kind"] == planted.CONTROL]
    found = controls[controls["q_value"] <= comparison_findings.SIGNIFICANCE]
    by_dataset = controls.pivot_table(
        index=["class_a", "class_b", "target"], columns="seed", values="difference"
    ).dropna()
    correlations = by_dataset.corr().to_numpy()
    pairs_of_datasets = np.triu_indices(len(correlations), 1)
    across = scipy.stats.ttest_1samp(by_dataset.to_numpy(), 0, axis=1).pvalue
    is_planted = chosen["kind"] == planted.PLANTED
    return {
        "found": len(found),
        "gains": int((found["difference"] > 0).sum()),
        "mean_found": float(found["difference"].abs().mean()),
        "mean_planted": float(chosen["difference"][is_planted].abs().mean()),
        "cells": len(by_dataset),
        "correlation": float(correlations[pairs_of_datasets].mean()),
        "across": int((across <= 0.05).sum()),
    }
