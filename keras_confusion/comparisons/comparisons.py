"""The comparisons of a study, every cell with all of its statistics.

Two comparisons, each for both responses of `responses`:

    target x pair    networks that confuse {a, b} against the baseline networks
    target x class   networks of all arms with C and not T against networks of the
                     arms with neither; the baseline, which confuses nothing, is in
                     neither group

Differences are confused minus comparison, in percentage points; bits are positive where
not confusing gains information.
"""

import numpy as np
import pandas as pd

from keras_confusion.comparisons import blocks as comparison_blocks
from keras_confusion.comparisons.arm_groups import ArmGroups
from keras_confusion.comparisons.group_statistics import Columns, compare_groups
from keras_confusion.comparisons.pair_groups import PairGroups, prior_outside
from keras_confusion.comparisons.responses import RESPONSES, StudyResponses
from keras_confusion.stats import t_tests
from keras_confusion.stats.moments import moments

# Pairs that are compared at once.
PAIRS_TOGETHER = 50
IN_PAIR = "the target is in the pair"
# What the column `reason` of both tables can say; "" where there is a test.
REASONS = (
    "",
    t_tests.FEW_NETWORKS,
    t_tests.UNDEFINED_RESPONSE,
    t_tests.NO_VARIANCE,
    IN_PAIR,
)
# Which q-values stand beside which p-values.
_CORRECTED = {
    "p_value": "q_value",
    "paired_p_value": "paired_q_value",
    "blocks_p_value": "blocks_q_value",
}


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
        `paired_q_value`, and that in blocks, `blocks_*`. `family` is "third"
        where the target is outside the pair, else "members".
    """
    targets, names = np.arange(len(class_names)), np.array(class_names, object)
    table = _Table(len(responses) * len(study.pairs) * len(targets))
    members = comparison_blocks.members_of(study)
    for response in responses:
        without_pair = response == "accuracy_without_pair"
        rates = study.confused_without_pair if without_pair else study.confused
        of_arms = comparison_blocks.by_pair(
            study, rates.accuracy_of, _levels(study, response)
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
                **{name: cells[pairs].ravel() for name, cells in of_arms.items()},
            }
            columns["blocks_reason"] = np.where(
                is_member, IN_PAIR, columns["blocks_reason"]
            )
            if without_pair:
                for reason in ("reason", "paired_reason"):
                    columns[reason] = np.where(is_member, IN_PAIR, columns[reason])
            table.append(columns, len(is_member))
    return _with_q_values(table.frame(), ["response", "family"])


def target_by_class(
    study: StudyResponses, class_names, *, responses=RESPONSES
) -> pd.DataFrame:
    """Compares arms with a class C and arms without it, for every target class T.

    `accuracy_without_pair` of a network is first centred on the baseline's mean for the
    same pair, since leaving out different pairs gives different levels, and then put
    on the common level of all pairs without T. The error of that mean, which all
    networks of an arm share, is part of the standard error; the comparison within
    repeats centres on the baseline network of the repeat.

    Args:
        study: The responses of all networks.
        class_names: Names in the order of the labels.
        responses: Those of `RESPONSES` that are compared.

    Returns:
        One row per response, target and class; columns as `target_by_pair`, with
        `class` and `class_name` in place of the pair.
    """
    num_classes, names = len(class_names), np.array(class_names, object)
    groups, blocks = ArmGroups(study), comparison_blocks.ByClass(study)
    own = comparison_blocks.own_baseline(study)
    priors = np.stack([prior_outside(study, pair) for pair in study.pairs])
    table = _Table(len(responses) * num_classes * (num_classes - 1))
    for response in responses:
        without_pair = response == "accuracy_without_pair"
        rates = study.confused_without_pair if without_pair else study.confused
        means = groups.means_of_arms(rates)
        shifts = np.zeros((len(study.pairs), num_classes))
        if without_pair:
            shifts = level_shifts(study)
            means = {
                field: of_arms - level_shifts(study, field)
                for field, of_arms in means.items()
            }
        for target in range(num_classes):
            others = np.delete(np.arange(num_classes), target)
            accuracy = rates.accuracy_of(target)
            within_repeats, level, of_levels = accuracy, None, None
            prior = study.prior[target]
            if without_pair:
                within_repeats = comparison_blocks.less_own_baseline(study, target, own)
                levels = study.baseline_without_pair.accuracy_of(target)
                level = moments(groups.level_contrasts(target, levels))
                of_levels = groups.level_contrasts(target, levels, by_networks=False)
                prior = groups.mean_over_networks(target, priors[:, target])
            shifted = accuracy - shifts[study.confused_pair, target]
            columns = {
                "response": response,
                "target": target,
                "target_name": class_names[target],
                "class": others,
                "class_name": names[others],
                **compare_groups(
                    *groups.groups(
                        target,
                        shifted,
                        {field: of_arms[:, target] for field, of_arms in means.items()},
                    ),
                    prior=prior,
                    images=study.test_images_per_class[target],
                    level=level,
                ),
                **groups.paired_columns(target, within_repeats),
                **blocks.columns(target, accuracy, of_levels),
            }
            table.append(columns, len(others))
    return _with_q_values(table.frame(), ["response"])


def level_shifts(study: StudyResponses, field: str = "accuracy") -> np.ndarray:
    """How far every pair's level is from the common one, without the pair.

    Leaving out different pairs gives different levels: a network's response without
    its pair, less the pair's shift, can be compared with those of other pairs.

    Args:
        study: The responses of all networks.
        field: Of `responses.Rates`.

    Returns:
        Float array `(P, K)` in units of the field: the baseline's mean without the
        pair, less the mean of that over all pairs without the class. NaN for the
        pair's own classes, and everywhere while there is no baseline network.
    """
    level = study.baseline_without_pair.mean(field)
    members = comparison_blocks.members_of(study)
    # A class that is in every pair has no level: its rows have no networks either.
    num_pairs = np.maximum((~members).sum(axis=0), 1)
    return level - np.where(members, 0.0, level).sum(axis=0) / num_pairs


def _levels(study: StudyResponses, response: str):
    """Gives accuracies of baseline networks, each pair left out, `(P, networks)`."""
    if response == "accuracy_without_pair":
        return study.baseline_without_pair.accuracy_of
    plain, num_pairs = study.baseline, len(study.pairs)

    def accuracy_of(target: int, networks: np.ndarray) -> np.ndarray:
        accuracy = plain.accuracy_of(target)[networks]
        return np.broadcast_to(accuracy, (num_pairs, len(accuracy)))

    return accuracy_of


class _Table:
    """A table that rows are put into; frames of each part would take most of the time.

    Args:
        num_rows: How many rows there will be.
    """

    def __init__(self, num_rows: int):
        self._num_rows, self._filled = num_rows, 0
        self._columns: dict[str, np.ndarray] = {}

    def append(self, part: Columns, num_rows: int) -> None:
        """Adds rows, of which each column has an array or one value for all."""
        if not self._columns:
            for name, values in part.items():
                kind = np.asarray(values).dtype
                # Other parts may have longer texts.
                kind = np.dtype(object) if kind.kind == "U" else kind
                self._columns[name] = np.empty(self._num_rows, kind)
        rows = slice(self._filled, self._filled + num_rows)
        for name, values in part.items():
            self._columns[name][rows] = values
        self._filled += num_rows

    def frame(self) -> pd.DataFrame:
        """The table."""
        return pd.DataFrame(self._columns, copy=False)


def _with_q_values(table: pd.DataFrame, family: list[str]) -> pd.DataFrame:
    """Puts the q-values of all tests beside their p-values."""
    for p_value, q_value in _CORRECTED.items():
        q_values = table.groupby(family)[p_value].transform(
            lambda p_values: t_tests.benjamini_hochberg(p_values.to_numpy(float))
        )
        table.insert(table.columns.get_loc(p_value) + 1, q_value, q_values)
    return table
