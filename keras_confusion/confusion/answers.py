"""A network's answers on the test set, and what is kept of them.

The three most probable labels of every image are kept: whichever two classes are left
out, the most probable label outside them is among the three.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import scipy.special

from keras_confusion.datasets.class_pairs import Pair

NUM_KEPT_LABELS = 3
_DIGITS_LEFT = 1e-6

LABEL_COLUMNS = ("predictions", "second_labels", "third_labels")


def winners_without_pair(top_labels: np.ndarray, pair: Pair) -> np.ndarray:
    """The most probable label outside a pair.

    Args:
        top_labels: int array `(3, ...)`, the three most probable labels in order.
        pair: Two classes.

    Returns:
        int array `(...)`. Among three labels one is always outside.
    """
    first, second, third = top_labels
    second_or_third = np.where(is_in(second, pair), third, second)
    return np.where(is_in(first, pair), second_or_third, first)


def is_in(labels: np.ndarray, pair: Pair) -> np.ndarray:
    """Whether labels are of one of two classes, elementwise."""
    return (labels == pair[0]) | (labels == pair[1])


def top_labels(row: Mapping[str, Any]) -> np.ndarray:
    """The three most probable labels of every test image, `(3, num_test)`."""
    return np.stack([np.asarray(row[column]) for column in LABEL_COLUMNS])


def summarise_logits(
    logits: np.ndarray, test_labels: np.ndarray, pairs: Iterable[Pair]
) -> dict:
    """Returns what is kept of a network's answers.

    Args:
        logits: float array `(num_test, K)`, K at least 3.
        test_labels: int array `(num_test,)`.
        pairs: Pairs of classes to leave out in turn: an arm's own, or every pair of
            the study for a baseline network.

    Returns:
        The columns `predictions`, `second_labels`, `third_labels` (int arrays
        `(num_test,)`), `log2_probability` and `probability` `(K,)`, and
        `log2_probability_without_pair` and `probability_without_pair`
        `(len(pairs) * K,)`.
    """
    num_classes = logits.shape[1]
    logits = logits.astype(np.float64)
    top = np.argsort(-logits, axis=1, kind="stable")[:, :NUM_KEPT_LABELS]
    log_probabilities = scipy.special.log_softmax(logits, axis=1)
    true_log_probability = log_probabilities[np.arange(len(logits)), test_labels]

    def by_class(values: np.ndarray) -> np.ndarray:
        """Mean over the test images of every class."""
        counts = np.bincount(test_labels, minlength=num_classes)
        sums = np.bincount(test_labels, weights=values, minlength=num_classes)
        with np.errstate(invalid="ignore"):
            return sums / counts

    without_pairs = []
    for pair in pairs:
        nats = true_log_probability - _log_outside(log_probabilities, pair)
        means = np.stack([by_class(nats) / np.log(2), by_class(np.exp(nats))])
        means[:, list(pair)] = np.nan
        without_pairs.append(means)
    log2_without_pairs, probability_without_pairs = np.concatenate(
        without_pairs, axis=1
    )
    return {
        "predictions": top[:, 0],
        "second_labels": top[:, 1],
        "third_labels": top[:, 2],
        "log2_probability": by_class(true_log_probability) / np.log(2),
        "log2_probability_without_pair": log2_without_pairs,
        "probability": by_class(np.exp(true_log_probability)),
        "probability_without_pair": probability_without_pairs,
    }


def _log_outside(log_probabilities: np.ndarray, pair: Pair) -> np.ndarray:
    """Log of the probability of all classes outside a pair, nats, `(num_test,)`."""
    inside = np.exp(log_probabilities[:, list(pair)]).sum(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        outside = np.log1p(-inside)
    # Where the pair has nearly everything, 1 - inside has lost its digits.
    lost = inside > 1 - _DIGITS_LEFT
    others = np.delete(log_probabilities[lost], list(pair), axis=1)
    outside[lost] = scipy.special.logsumexp(others, axis=1)
    return outside
