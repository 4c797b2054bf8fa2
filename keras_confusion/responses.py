"""From a network's answers on the test set to its responses, per class.

Two responses for every target class T:

    accuracy                the most probable label is T
    accuracy_without_pair   the most probable label outside the confused pair is T

Confusing two classes makes both weaker rivals, which raises the plain accuracy of third
classes whether or not anything was learned from the pair. With the pair left out of the
comparison in both groups, that competition is gone.
"""

import dataclasses
from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd
import scipy.special

RESPONSES = ("accuracy", "accuracy_without_pair")
NUM_KEPT_LABELS = 3
_LABEL_COLUMNS = ("predictions", "second_labels", "third_labels")
_DIGITS_LEFT = 1e-6

Pair = Sequence[int]


@dataclasses.dataclass(frozen=True)
class Rates:
    """Responses of networks; arrays of shape `(..., num_classes)`.

    Args:
        accuracy: Share of a class's test images that are given the class, 0 to 1.
        false_positive_rate: Share of the other test images that are given the class.
        log2_probability: Mean log2-probability of the true class, bits, 0 or less.
    """

    accuracy: np.ndarray
    false_positive_rate: np.ndarray
    log2_probability: np.ndarray


@dataclasses.dataclass(frozen=True)
class StudyResponses:
    """All responses of a study's networks; failed networks are left out.

    Args:
        pairs: The study's pairs (a, b), in order; P of them.
        confused_pair: int array `(num_confused,)`, index into `pairs` per network.
        confused_seed: int array `(num_confused,)`, the seed of the repeat. Networks
            with the same one start from the same weights and see the same order.
        baseline_seed: int array `(num_baseline,)`.
        confused: Rates `(num_confused, K)` over all classes.
        confused_without_pair: Rates `(num_confused, K)`, the network's own pair left
            out; NaN for its two classes.
        baseline: Rates `(num_baseline, K)` over all classes.
        baseline_without_pair: Rates `(P, num_baseline, K)`, each pair left out.
        prior: Share of test images of each class, `(K,)`.
        test_images_per_class: int array `(K,)`.
    """

    pairs: list[tuple[int, int]]
    confused_pair: np.ndarray
    confused_seed: np.ndarray
    baseline_seed: np.ndarray
    confused: Rates
    confused_without_pair: Rates
    baseline: Rates
    baseline_without_pair: Rates
    prior: np.ndarray
    test_images_per_class: np.ndarray


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
        `(num_test,)`), `log2_probability` `(K,)` and `log2_probability_without_pair`
        `(len(pairs) * K,)`.
    """
    num_classes = logits.shape[1]
    logits = logits.astype(np.float64)
    top = np.argsort(-logits, axis=1, kind="stable")[:, :NUM_KEPT_LABELS]
    log_probabilities = scipy.special.log_softmax(logits, axis=1)
    of_true_class = log_probabilities[np.arange(len(logits)), test_labels]

    def mean_bits(nats: np.ndarray) -> np.ndarray:
        counts = np.bincount(test_labels, minlength=num_classes)
        sums = np.bincount(test_labels, weights=nats, minlength=num_classes)
        with np.errstate(invalid="ignore"):
            return sums / counts / np.log(2)

    without_pairs = []
    for pair in pairs:
        mean = mean_bits(of_true_class - _log_outside(log_probabilities, pair))
        mean[list(pair)] = np.nan
        without_pairs.append(mean)
    return {
        "predictions": top[:, 0],
        "second_labels": top[:, 1],
        "third_labels": top[:, 2],
        "log2_probability": mean_bits(of_true_class),
        "log2_probability_without_pair": np.concatenate(without_pairs),
    }


def study_responses(
    networks: pd.DataFrame,
    test_labels: np.ndarray,
    *,
    num_classes: int,
    pairs: Iterable[Pair],
) -> StudyResponses:
    """Computes all responses of a study.

    Args:
        networks: As `results.read_networks` returns it.
        test_labels: int array `(num_test,)`.
        num_classes: Number of classes, K.
        pairs: The study's pairs (a, b), in the order of `study.json`.

    Returns:
        `StudyResponses`.
    """
    plain_pairs = [(int(a), int(b)) for a, b in pairs]
    networks = networks[~networks["failed"].astype(bool)]
    is_baseline = networks["class_a"].isna().to_numpy(bool)
    baseline, confused = networks[is_baseline], networks[~is_baseline]
    baseline_top, confused_top = (
        _top_labels(group, len(test_labels)) for group in (baseline, confused)
    )
    pair_index = {pair: index for index, pair in enumerate(plain_pairs)}
    confused_pair = np.array(
        [
            pair_index[int(a), int(b)]
            for a, b in zip(confused["class_a"], confused["class_b"], strict=True)
        ],
        np.int64,
    )
    confused_log2 = _stack(confused["log2_probability_without_pair"], (num_classes,))
    baseline_log2 = _stack(
        baseline["log2_probability_without_pair"], (len(plain_pairs), num_classes)
    )
    confused_without_pair = _empty_rates(len(confused), num_classes)
    baseline_without_pair = []
    for index, pair in enumerate(plain_pairs):
        in_arm = confused_pair == index
        arm_rates = _rates_without_pair(
            confused_top[:, in_arm], test_labels, pair, confused_log2[in_arm]
        )
        for field in dataclasses.fields(Rates):
            getattr(confused_without_pair, field.name)[in_arm] = getattr(
                arm_rates, field.name
            )
        baseline_without_pair.append(
            _rates_without_pair(
                baseline_top, test_labels, pair, baseline_log2[:, index]
            )
        )
    counts = np.bincount(test_labels, minlength=num_classes)
    return StudyResponses(
        pairs=plain_pairs,
        confused_pair=confused_pair,
        confused_seed=confused["seed"].to_numpy(np.int64),
        baseline_seed=baseline["seed"].to_numpy(np.int64),
        confused=_rates(
            confused_top[0],
            test_labels,
            _stack(confused["log2_probability"], (num_classes,)),
        ),
        confused_without_pair=confused_without_pair,
        baseline=_rates(
            baseline_top[0],
            test_labels,
            _stack(baseline["log2_probability"], (num_classes,)),
        ),
        baseline_without_pair=Rates(
            *(
                np.stack(
                    [getattr(rates, field.name) for rates in baseline_without_pair]
                )
                for field in dataclasses.fields(Rates)
            )
        ),
        prior=counts / counts.sum(),
        test_images_per_class=counts,
    )


def network_accuracies(
    row: dict, test_labels: np.ndarray, *, num_classes: int, pairs: Iterable[Pair]
) -> tuple[np.ndarray, np.ndarray]:
    """Both responses of one network.

    Args:
        row: A row of `results.SCHEMA` that did not fail.
        test_labels: int array `(num_test,)`.
        num_classes: Number of classes, K.
        pairs: Pairs of classes to leave out in turn.

    Returns:
        `accuracy` `(K,)` and `accuracy_without_pair` `(len(pairs), K)`, NaN for the
        classes of the pair; shares.
    """
    top = np.stack([np.asarray(row[column]) for column in _LABEL_COLUMNS])[:, None]
    no_bits = np.full((1, num_classes), np.nan)
    without_pairs = [
        _rates_without_pair(top, test_labels, pair, no_bits).accuracy[0]
        for pair in pairs
    ]
    return (
        _rates(top[0], test_labels, no_bits).accuracy[0],
        np.reshape(without_pairs, (-1, num_classes)),
    )


def winners_without_pair(top_labels: np.ndarray, pair: Pair) -> np.ndarray:
    """The most probable label outside a pair.

    Args:
        top_labels: int array `(3, ...)`, the three most probable labels in order.
        pair: Two classes.

    Returns:
        int array `(...)`. Among three labels one is always outside.
    """
    first, second, third = top_labels
    second_or_third = np.where(np.isin(second, pair), third, second)
    return np.where(np.isin(first, pair), second_or_third, first)


def _rates(
    winners: np.ndarray, test_labels: np.ndarray, log2_probability: np.ndarray
) -> Rates:
    """Rates of `winners` `(num_networks, num_test)` over all the test images."""
    num_classes = log2_probability.shape[-1]
    is_class = test_labels[:, None] == np.arange(num_classes)
    counts = is_class.sum(axis=0)
    num_networks = len(winners)
    hits = np.empty((num_networks, num_classes))
    given = np.empty((num_networks, num_classes))
    for network, labels in enumerate(winners):
        given[network] = np.bincount(labels, minlength=num_classes)
        right = labels[labels == test_labels]
        hits[network] = np.bincount(right, minlength=num_classes)
    with np.errstate(invalid="ignore", divide="ignore"):
        return Rates(
            accuracy=hits / counts,
            false_positive_rate=(given - hits) / (len(test_labels) - counts),
            log2_probability=log2_probability,
        )


def _rates_without_pair(
    top_labels: np.ndarray,
    test_labels: np.ndarray,
    pair: Pair,
    log2_probability: np.ndarray,
) -> Rates:
    """Rates on the test images outside the pair, with the pair left out of the race.

    Images of the pair cannot be given their own class here; where the network puts
    them instead says nothing about the other classes, so they are left out too.
    """
    outside = ~np.isin(test_labels, pair)
    winners = winners_without_pair(top_labels[:, :, outside], pair)
    rates = _rates(winners, test_labels[outside], log2_probability)
    for field in dataclasses.fields(Rates):
        getattr(rates, field.name)[:, list(pair)] = np.nan
    return rates


def _empty_rates(num_networks: int, num_classes: int) -> Rates:
    return Rates(*(np.full((num_networks, num_classes), np.nan) for _ in range(3)))


def _top_labels(networks: pd.DataFrame, num_test: int) -> np.ndarray:
    """Int array `(3, num_networks, num_test)`."""
    if networks.empty:
        return np.empty((NUM_KEPT_LABELS, 0, num_test), np.uint8)
    return np.stack([np.stack(networks[column].to_list()) for column in _LABEL_COLUMNS])


def _stack(column: pd.Series, shape: tuple[int, ...]) -> np.ndarray:
    """A column of flat arrays as one float64 array `(len(column), *shape)`."""
    if column.empty:
        return np.empty((0, *shape))
    return np.stack(column.to_list()).astype(np.float64).reshape(-1, *shape)


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
