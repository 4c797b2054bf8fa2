"""Features of networks that confused two classes, and of networks that did not.

Can a network that confuses a and b tell them apart by its features? And how much of the
differences of accuracies comes with untouched features and swapped last layers?
"""

import pathlib

import numpy as np
import pandas as pd
import scipy.special
import scipy.stats

from benchmarks import timing
from keras_confusion.confusion import network_files
from keras_confusion.confusion import store as confusion_store
from keras_confusion.confusion import study as confusion_study
from keras_confusion.confusion.plan import StudyPlan
from keras_confusion.confusion.settings import ConfusionSettings
from keras_confusion.explanations import retraining
from keras_confusion.models import architectures
from keras_confusion.stats import discriminability
from keras_confusion.storage.study_folder import StudyFolder
from keras_confusion.training import linear_heads

FOLDER = timing.ROOT / "studies" / "benchmarks"
CIFAR10_STUDY = timing.ROOT / "docs" / "results" / "confusion_cifar10"
# By data set: pairs that are confused, repeats, epochs.
CONFUSED = {
    "digits": (["3-8", "4-9", "1-7"], 5, 10),
    "cifar10": (["automobile-truck", "cat-dog", "deer-horse"], 3, 6),
}
# Of seeds that no other study has.
SEED = 1000
NUM_READOUTS, NUM_UNTRAINED = 2, 3


def confused_study(dataset: str, workers: int | None, *, quick: bool) -> pathlib.Path:
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
        verbose=1,
    )
    return directory


def confused_pairs(
    dataset: str, workers: int | None, *, quick: bool = False
) -> list[dict]:
    """AUC of a against b, by pair, of the networks that confuse them and of others."""
    directory = confused_study(dataset, workers, quick=quick)
    folder = StudyFolder.open(directory)
    networks, names = confusion_store.read_networks(directory), folder.class_names
    untrained = _untrained_d_primes(folder)
    rows = []
    for arm, arm_networks in networks.groupby("arm", sort=False):
        if arm == network_files.BASELINE:
            continue
        a, b = (int(arm_networks[column].iloc[0]) for column in ("class_a", "class_b"))
        baseline = networks[networks["arm"] == network_files.BASELINE]
        values = {
            "own last layer": _auc(arm_networks["discriminability"], a, b),
            "features": _auc(arm_networks["features_discriminability"], a, b),
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


def _untrained_d_primes(folder: StudyFolder) -> list[np.ndarray]:
    """Of networks as they begin, by right last layers on their features."""
    plan = retraining.plan_of_study(folder)
    trainer, labels = plan.trainer, plan.dataset.test.labels
    found = []
    for seed in range(NUM_UNTRAINED):
        trainer.model.set_weights(
            architectures.build_model(
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


def readout_of_accuracies() -> list[dict]:
    """Differences of accuracies by swapped last layers, beside those of the study."""
    from keras_confusion.training import trainer as training_trainer

    plan = StudyPlan.make(
        ConfusionSettings(dataset="cifar10", epochs=CONFUSED["cifar10"][-1]),
        FOLDER,
        None,
    )
    pairs, num_classes = plan.pairs, plan.dataset.num_classes
    test_labels = plan.dataset.test.labels
    changes = np.zeros((2, NUM_READOUTS, len(pairs), num_classes))
    for network in range(NUM_READOUTS):
        plan.trainer.train(
            [training_trainer.TrainingTask(SEED + network, SEED + network)]
        )
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
    target_changes = changes[:, target]
    return float(
        target_changes[is_third & has_other].mean()
        - target_changes[is_third & ~has_other].mean()
    )
