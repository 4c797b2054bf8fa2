"""Studies of any size without training: networks' answers are drawn."""

import pathlib
import time

import numpy as np

from keras_confusion.confusion import network_files
from keras_confusion.confusion import store as confusion_store

MOST_PAIRS = 45
ACCURACY = 0.7


def spread_pairs(num_classes: int) -> list[tuple[int, int]]:
    """All pairs of up to ten classes, or 45 that are spread over more."""
    num_pairs = min(MOST_PAIRS, num_classes * (num_classes - 1) // 2)
    step = min(max(num_classes // num_pairs, 1), 2)
    pairs = set()
    for number in range(num_pairs):
        offset, first = divmod(number * step, num_classes)
        second = (first + 1 + offset) % num_classes
        pairs.add((min(first, second), max(first, second)))
    return sorted(pairs)


def write_study(
    directory: pathlib.Path,
    *,
    num_networks: int,
    num_classes: int = 10,
    num_test: int = 10_000,
) -> float:
    """Writes a study as a finished one is written, and returns the seconds of that.

    Seven of ten answers are right, the others drawn, so that files are about as large
    as those of trained networks. As many repeats as the networks are enough for, the
    rest of them in the baseline.

    Args:
        directory: The study's folder; new or empty.
        num_networks: More than the pairs of `spread_pairs`.
        num_classes: Number of classes, at least 3.
        num_test: Test examples.

    Returns:
        Seconds for writing the networks, without drawing their answers.
    """
    pairs = spread_pairs(num_classes)
    repeats = max(int(num_networks / (len(pairs) + len(pairs) ** 0.5)), 1)
    baseline_repeats = num_networks - repeats * len(pairs)
    if baseline_repeats < 1:
        raise ValueError(
            f"Expected more networks than {len(pairs)} pairs. Received: {num_networks}."
        )
    rng = np.random.default_rng(0)
    test_labels = np.arange(num_test) % num_classes
    confusion_store.open_study(
        directory,
        {
            "settings": {
                "dataset": "generated",
                "pairs": pairs,
                "repeats": repeats,
                "baseline_repeats": baseline_repeats,
                "epochs": 1,
                "recipe": "annealed",
            },
            "class_names": [f"class {k}" for k in range(num_classes)],
            "dataset_fingerprint": "0",
            "provenance": {},
        },
        test_labels,
    )
    seconds = 0.0
    for pair, number in [
        (None, baseline_repeats),
        *((pair, repeats) for pair in pairs),
    ]:
        for repeat in range(number):
            row = _row(rng, pair, repeat, test_labels, num_classes, len(pairs))
            start = time.perf_counter()
            confusion_store.write_network(directory, row, num_classes=num_classes)
            seconds += time.perf_counter() - start
    return seconds


def _row(rng, pair, repeat, test_labels, num_classes, num_pairs) -> dict:
    num_test = len(test_labels)
    is_right = rng.random(num_test) < ACCURACY
    first = np.where(is_right, test_labels, rng.integers(num_classes, size=num_test))
    # Three different labels: steps from the first, the second of them past the first.
    one = rng.integers(1, num_classes, num_test)
    other = rng.integers(1, num_classes - 1, num_test)
    other += other >= one
    without_pair = rng.uniform(-2, -1, (num_pairs if pair is None else 1, num_classes))
    return {
        "arm": network_files.arm_name(pair),
        "class_a": None if pair is None else pair[0],
        "class_b": None if pair is None else pair[1],
        "repeat": repeat,
        # The arms of a repeat share it, as in a trained study.
        "seed": repeat,
        "recipe": "annealed",
        "epochs": 1,
        "attempt": 0,
        "failed": False,
        "note": "",
        "seconds": 1.0,
        "epoch_losses": [0.5],
        "final_training_loss": 0.5,
        "predictions": first,
        "second_labels": (first + one) % num_classes,
        "third_labels": (first + other) % num_classes,
        "log2_probability": rng.uniform(-2, -1, num_classes),
        "log2_probability_without_pair": without_pair.ravel(),
    }
