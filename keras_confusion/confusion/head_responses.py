"""What a trained network can tell apart: by its last layer, and by its features.

For every network d' of every two classes (`discriminability`), twice:

    total      by the network's own last layer
    features   by a last layer that is fitted to the right labels on its features

and for some baseline networks

    readout    by last layers that are fitted to the swapped labels of every pair, on
               features that learned from the right ones

A confused network differs from the baseline by its features and by its last layer;
`features` changes the one alone, `readout` the other.
"""

from collections.abc import Callable, Sequence

import numpy as np

from keras_confusion.confusion.network_files import MAX_MATRIX_CLASSES
from keras_confusion.datasets.class_pairs import Pair
from keras_confusion.stats import discriminability

READINGS = ("total", "features", "readout")


def d_prime_column(
    logits: np.ndarray, test_labels: np.ndarray, pair: Pair | None
) -> np.ndarray:
    """What is kept of a network's d'.

    Args:
        logits: `(num_test, K)`.
        test_labels: int array `(num_test,)`.
        pair: The confused pair; `None` for the baseline.

    Returns:
        Float array: all d' `(K * (K - 1) / 2,)`, or of a confused network of more than
        `MAX_MATRIX_CLASSES` classes their mean without the pair `(K,)`.
    """
    num_classes = logits.shape[1]
    found = discriminability.d_primes(logits, test_labels)
    if pair is None or num_classes <= MAX_MATRIX_CLASSES:
        return found
    return _without_pair(found, test_labels, pair, num_classes)


def readout(
    logits_of_pair: Callable[[Pair], np.ndarray],
    test_labels: np.ndarray,
    pairs: Sequence[Pair],
) -> np.ndarray:
    """The mean d' without each pair by heads that are fitted to its swapped labels.

    Args:
        logits_of_pair: Gives for a pair the logits `(num_test, K)` of such a head.
        test_labels: int array `(num_test,)`.
        pairs: The study's pairs, P of them.

    Returns:
        Float array `(P * K,)`, pair by pair; NaN for the classes of the pair.
    """
    found = []
    for pair in pairs:
        logits = logits_of_pair(pair)
        d_primes = discriminability.d_primes(logits, test_labels)
        found.append(_without_pair(d_primes, test_labels, pair, logits.shape[1]))
    return np.concatenate(found)


def _without_pair(
    d_primes: np.ndarray, test_labels: np.ndarray, pair: Pair, num_classes: int
) -> np.ndarray:
    num_images = np.bincount(test_labels, minlength=num_classes)
    # As float32, in which other rows keep them, so that the same d' give the same bits.
    kept = discriminability.shrunken(d_primes.astype(np.float32), num_images)
    d = discriminability.matrices(kept, num_classes)
    return discriminability.without_pair(d, pair)
