"""Target x pair: networks that confuse {a, b} against the baseline networks.

Differences are confused minus baseline, in percentage points; bits are positive where
not confusing gains information.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from keras_confusion.comparisons import moderated_cells
from keras_confusion.comparisons.group_statistics import (
    IN_PAIR,
    Columns,
    ComparisonTable,
    Group,
    RepeatMeans,
    compare_groups,
    compare_repeats,
    group_of,
    joined,
    with_q_values,
)
from keras_confusion.comparisons.responses import (
    RESPONSES,
    StudyResponses,
    prior_outside,
)
from keras_confusion.stats.moments import moments

# Pairs that are compared at once.
PAIRS_TOGETHER = 50


def target_by_pair(
    study: StudyResponses, class_names, *, responses=RESPONSES
) -> pd.DataFrame:
    """Compares every pair's networks with the baseline, for every target class.

    Args:
        study: The responses of all networks.
        class_names: Names in the order of the labels.
        responses: Those of `RESPONSES` that are compared.

    Returns:
        One row per response, pair and target, with the columns of `t_tests.Comparison`
        (`difference_points` and its interval in percentage points), `q_value` within
        the family, the bits, the paired comparison within repeats with its own
        `paired_q_value`, and the moderated one, `moderated_*`. `family` is "third"
        where the target is outside the pair, else "members".
    """
    targets, names = np.arange(len(class_names)), np.array(class_names, object)
    table = ComparisonTable(len(responses) * len(study.pairs) * len(targets))
    members = moderated_cells.members_of(study)
    for response in responses:
        without_pair = response == "accuracy_without_pair"
        rates = study.confused_without_pair if without_pair else study.confused
        cells = moderated_cells.by_pair(
            study,
            rates.accuracy_of,
            _levels(study, response),
            steps=1 / np.maximum(study.test_images_per_class, 1),
        )
        groups = PairGroups(study, response)
        for first in range(0, len(study.pairs), PAIRS_TOGETHER):
            pairs = slice(first, first + PAIRS_TOGETHER)
            labels = np.repeat(np.array(study.pairs[pairs]), len(targets), axis=0)
            is_member = members[pairs].ravel()
            columns = {
                "response": response,
                "family": np.where(is_member, "members", "third"),
                "target": np.tile(targets, len(members[pairs])),
                "target_name": np.tile(names, len(members[pairs])),
                "class_a": labels[:, 0],
                "class_b": labels[:, 1],
                "class_a_name": names[labels[:, 0]],
                "class_b_name": names[labels[:, 1]],
                **groups.columns(range(len(study.pairs))[pairs]),
                **{name: values[pairs].ravel() for name, values in cells.items()},
            }
            if without_pair:
                for reason in ("reason", "paired_reason", "moderated_reason"):
                    columns[reason] = np.where(is_member, IN_PAIR, columns[reason])
            table.append(columns, len(is_member))
    return with_q_values(table.frame(), ["response", "family"])


def _levels(study: StudyResponses, response: str):
    """Gives accuracies of all baseline networks, each pair left out, `(P, n)`."""
    if response == "accuracy_without_pair":
        return study.baseline_without_pair.accuracy_of
    plain, num_pairs = study.baseline, len(study.pairs)

    def accuracy_of(target: int) -> np.ndarray:
        accuracy = plain.accuracy_of(target)
        return np.broadcast_to(accuracy, (num_pairs, len(accuracy)))

    return accuracy_of


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
        self._plain_means = self._baseline_repeats.means(self._plain.accuracy)

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
            pair_rates = self._rates.select(networks)
            repeats = RepeatMeans(self._study.confused_seed[networks], self._repeats)
            group, means, prior = self._baseline(number)
            confused.append(group_of(pair_rates))
            baseline.append(group)
            priors.append(prior)
            in_repeats.append((repeats.means(pair_rates.accuracy), means))
            known.append(np.tile(repeats.known, (num_classes, 1)))
        confused_means, baseline_means = zip(*in_repeats, strict=True)
        return {
            **compare_groups(
                joined(confused),
                joined(baseline),
                prior=np.concatenate(priors),
                images=np.tile(self._study.test_images_per_class, len(priors)),
            ),
            **compare_repeats(
                np.concatenate(confused_means),
                np.concatenate(baseline_means),
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
        return group, self._baseline_repeats.means(accuracy), prior


def _networks_of_pairs(study: StudyResponses) -> list[np.ndarray]:
    """The networks of every pair, int arrays."""
    order = np.argsort(study.confused_pair, kind="stable")
    bounds = np.arange(1, len(study.pairs))
    return np.split(order, np.searchsorted(study.confused_pair[order], bounds))
