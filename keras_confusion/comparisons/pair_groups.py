"""The networks of pairs against the baseline networks, for every target class."""

from collections.abc import Sequence

import numpy as np

from keras_confusion.comparisons.group_statistics import (
    Columns,
    Group,
    RepeatMeans,
    compare_groups,
    compare_repeats,
    group_of,
    joined,
)
from keras_confusion.comparisons.responses import StudyResponses
from keras_confusion.stats.moments import moments


class PairGroups:
    """The groups of networks of every pair, for one response.

    Args:
        study: The responses of all networks.
        response: One of `responses.RESPONSES`.
    """

    def __init__(self, study: StudyResponses, response: str):
        self._study = study
        self._without_pair = response == "accuracy_without_pair"
        self._rates = study.confused
        if self._without_pair:
            self._rates = study.confused_without_pair
        self._networks = _networks_of_pairs(study)
        self._repeats = np.intersect1d(study.confused_seed, study.baseline_seed)
        self._baseline_repeats = RepeatMeans(study.baseline_seed, self._repeats)
        self._plain = study.baseline.select(slice(None))
        self._plain_group = group_of(self._plain)
        self._plain_means = self._baseline_repeats.of(self._plain.accuracy)

    def columns(self, numbers: Sequence[int]) -> Columns:
        """Compares some pairs.

        Args:
            numbers: Of the pairs, in the order of the study.

        Returns:
            The columns of `group_statistics.compare_groups` and `paired_columns`,
            `(len(numbers) * K,)`, the targets of a pair together.
        """
        confused, baseline, priors = [], [], []
        in_repeats, known = [], []
        num_classes = len(self._study.prior)
        for number in numbers:
            networks = self._networks[number]
            of_pair = self._rates.select(networks)
            repeats = RepeatMeans(self._study.confused_seed[networks], self._repeats)
            group, means, prior = self._baseline(number)
            confused.append(group_of(of_pair))
            baseline.append(group)
            priors.append(prior)
            in_repeats.append((repeats.of(of_pair.accuracy), means))
            known.append(np.tile(repeats.known, (num_classes, 1)))
        of_confused, of_baseline = zip(*in_repeats, strict=True)
        return {
            **compare_groups(
                joined(confused),
                joined(baseline),
                prior=np.concatenate(priors),
                images=np.tile(self._study.test_images_per_class, len(priors)),
            ),
            **compare_repeats(
                np.concatenate(of_confused),
                np.concatenate(of_baseline),
                np.concatenate(known),
            ),
        }

    def _baseline(self, number: int) -> tuple[Group, np.ndarray, np.ndarray]:
        """The baseline for one pair: its group, means of repeats, share of images."""
        study = self._study
        if not self._without_pair:
            return self._plain_group, self._plain_means, study.prior
        without_pair = study.baseline_without_pair
        accuracy = without_pair.accuracy_of_pair(number)
        group = Group(
            moments(accuracy.T),
            without_pair.mean("false_positive_rate")[number],
            without_pair.mean("log2_probability")[number],
        )
        prior = prior_outside(study, study.pairs[number])
        return group, self._baseline_repeats.of(accuracy), prior


def prior_outside(study: StudyResponses, pair) -> np.ndarray:
    """Share of each class among the test images outside a pair, `(K,)`."""
    prior = study.prior / (1 - study.prior[list(pair)].sum())
    prior[list(pair)] = np.nan
    return prior


def _networks_of_pairs(study: StudyResponses) -> list[np.ndarray]:
    """The networks of every pair, int arrays."""
    order = np.argsort(study.confused_pair, kind="stable")
    bounds = np.arange(1, len(study.pairs))
    return np.split(order, np.searchsorted(study.confused_pair[order], bounds))
