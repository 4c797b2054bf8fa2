"""The comparisons of a study, every cell with all of its statistics.

Two comparisons, each for both responses of `responses`:

    target x pair    networks that confuse {a, b} against the baseline networks
    target x class   networks of all arms with C and not T against networks of the
                     arms with neither; the baseline, which confuses nothing, is in
                     neither group

Differences are confused minus comparison, in percentage points; bits are positive where
not confusing gains information.
"""

import dataclasses

import numpy as np
import pandas as pd

from keras_confusion import arm_contrasts, stats
from keras_confusion.comparison_columns import (
    Columns,
    compare_rates,
    mean_over_networks,
    paired_columns,
)
from keras_confusion.responses import RESPONSES, Rates, StudyResponses

IN_PAIR = "the target is in the pair"
# What the column `reason` of both tables can say; "" where there is a test.
REASONS = (
    "",
    stats.FEW_NETWORKS,
    stats.UNDEFINED_RESPONSE,
    stats.NO_VARIANCE,
    IN_PAIR,
)
# Which q-values stand beside which p-values.
_CORRECTED = {
    "p_value": "q_value",
    "paired_p_value": "paired_q_value",
    "blocks_p_value": "blocks_q_value",
}


def target_by_pair(study: StudyResponses, class_names) -> pd.DataFrame:
    """Compares every pair's networks with the baseline, for every target class.

    Args:
        study: The responses of all networks.
        class_names: Names in the order of the labels.

    Returns:
        One row per response, pair and target, with the columns of `stats.Comparison`
        (`difference_points` and its interval in percentage points), `q_value` within
        the family, the bits, the paired comparison within repeats with its own
        `paired_q_value`, and that in blocks, `blocks_*`. `family` is "third"
        where the target is outside the pair, else "members".
    """
    targets, names = np.arange(len(class_names)), np.array(class_names, object)
    parts: list[Columns] = []
    for response in RESPONSES:
        of_arms = arm_contrasts.by_pair(study, *_arms_and_baselines(study, response))
        for index, pair in enumerate(study.pairs):
            in_arm = study.confused_pair == index
            if response == "accuracy":
                confused, comparison = study.confused, study.baseline
                prior = study.prior
            else:
                confused = study.confused_without_pair
                comparison = _select(study.baseline_without_pair, index)
                prior = _prior_outside(study, pair)
            is_member = np.isin(targets, pair)
            columns = {
                "response": response,
                "family": np.where(is_member, "members", "third"),
                "target": targets,
                "target_name": names,
                "class_a": pair[0],
                "class_b": pair[1],
                "class_a_name": class_names[pair[0]],
                "class_b_name": class_names[pair[1]],
                **compare_rates(
                    _select(confused, in_arm),
                    comparison,
                    prior=prior,
                    images=study.test_images_per_class,
                ),
                **paired_columns(
                    _select(confused, in_arm).accuracy,
                    study.confused_seed[in_arm],
                    comparison.accuracy,
                    study.baseline_seed,
                ),
                **of_arms[index],
            }
            columns["blocks_reason"] = np.where(
                is_member, IN_PAIR, columns["blocks_reason"]
            )
            if response == "accuracy_without_pair":
                for reason in ("reason", "paired_reason"):
                    columns[reason] = np.where(is_member, IN_PAIR, columns[reason])
            parts.append(columns)
    return _with_q_values(_table(parts), ["response", "family"])


def target_by_class(study: StudyResponses, class_names) -> pd.DataFrame:
    """Compares arms with a class C and arms without it, for every target class T.

    `accuracy_without_pair` of a network is first centred on the baseline's mean for the
    same pair, since leaving out different pairs gives different levels, and then put
    on the common level of all pairs without T. The error of that mean, which all
    networks of an arm share, is part of the standard error; the comparison within
    repeats centres on the baseline network of the repeat.

    Args:
        study: The responses of all networks.
        class_names: Names in the order of the labels.

    Returns:
        One row per response, target and class; columns as `target_by_pair`, with
        `class` and `class_name` in place of the pair.
    """
    num_classes = len(class_names)
    has_class = arm_contrasts.members_of(study)[study.confused_pair]
    priors = np.stack([_prior_outside(study, pair) for pair in study.pairs])
    parts: list[Columns] = []
    for response in RESPONSES:
        without_pair = response == "accuracy_without_pair"
        rates = _centred(study) if without_pair else study.confused
        values, baselines = _arms_and_baselines(study, response)
        levels = baselines if without_pair else None
        of_arms = arm_contrasts.by_class(study, values, levels)
        within_repeats = rates.accuracy
        if without_pair:
            within_repeats = arm_contrasts.less_own_baseline(
                study,
                study.confused_without_pair.accuracy,
                study.baseline_without_pair.accuracy,
            )
        for target in range(num_classes):
            without_target = ~has_class[:, target]
            of_target = _select(rates, (slice(None), [target]))
            for other in range(num_classes):
                if other == target:
                    continue
                confused = without_target & has_class[:, other]
                comparison = without_target & ~has_class[:, other]
                prior, level = study.prior[target], None
                if without_pair:
                    arms = study.confused_pair[confused | comparison]
                    prior = priors[arms, target].mean() if len(arms) else np.nan
                    level = _level_contrast(study, target, confused, comparison)
                values = within_repeats[:, [target]]
                known = np.isfinite(values[:, 0])
                parts.append(
                    {
                        "response": response,
                        "target": target,
                        "target_name": class_names[target],
                        "class": other,
                        "class_name": class_names[other],
                        **compare_rates(
                            _select(of_target, confused),
                            _select(of_target, comparison),
                            prior=np.array([prior]),
                            images=study.test_images_per_class[[target]],
                            level=level,
                        ),
                        **paired_columns(
                            values[confused & known],
                            study.confused_seed[confused & known],
                            values[comparison & known],
                            study.confused_seed[comparison & known],
                        ),
                        **of_arms[target, other],
                    }
                )
    return _with_q_values(_table(parts), ["response"])


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
    of_pairs = np.swapaxes(getattr(study.baseline_without_pair, field), 0, 1)
    level, members = mean_over_networks(of_pairs), arm_contrasts.members_of(study)
    # A class that is in every pair has no level: its rows have no networks either.
    num_pairs = np.maximum((~members).sum(axis=0), 1)
    return level - np.where(members, 0.0, level).sum(axis=0) / num_pairs


def _level_contrast(study: StudyResponses, target, confused, comparison):
    """What each baseline network adds to the difference by way of the levels.

    Args:
        study: The responses of all networks.
        target: The target class.
        confused: bool `(num_confused,)`, the networks of the one group.
        comparison: bool `(num_confused,)`, those of the other.

    Returns:
        Float array `(1, num_baseline)`: over the arms of each group, weighted by their
        networks, the mean of the baseline network's response without the arm's pair,
        confused minus comparison.
    """
    of_pairs = study.baseline_without_pair.accuracy[:, :, target]
    num_pairs = len(study.pairs)
    weights = np.zeros(num_pairs)
    for group, sign in ((confused, 1), (comparison, -1)):
        counts = np.bincount(study.confused_pair[group], minlength=num_pairs)
        weights += sign * counts / max(counts.sum(), 1)
    used = weights != 0
    return (weights[used] @ of_pairs[used])[None]


def _arms_and_baselines(study: StudyResponses, response: str):
    """Accuracies `(num_confused, K)`, and of baselines `(P, num_baseline, K)`."""
    if response == "accuracy":
        plain = study.baseline.accuracy
        of_pairs = np.broadcast_to(plain, (len(study.pairs), *plain.shape))
        return study.confused.accuracy, of_pairs
    return study.confused_without_pair.accuracy, study.baseline_without_pair.accuracy


def _prior_outside(study: StudyResponses, pair) -> np.ndarray:
    """Share of each class among the test images outside a pair, `(K,)`."""
    prior = study.prior / (1 - study.prior[list(pair)].sum())
    prior[list(pair)] = np.nan
    return prior


def _centred(study: StudyResponses) -> Rates:
    """Rates without the pair, moved from their pair's level to the common one."""

    def centre(field: str):
        values = getattr(study.confused_without_pair, field)
        return values - level_shifts(study, field)[study.confused_pair]

    return Rates(*(centre(field.name) for field in dataclasses.fields(Rates)))


def _table(parts: list[Columns]) -> pd.DataFrame:
    """One table of all parts. A frame of each would take most of the time."""

    def column(name: str) -> np.ndarray:
        return np.concatenate(
            [np.broadcast_to(part[name], len(part["kl_bits"])) for part in parts]
        )

    return pd.DataFrame({name: column(name) for name in parts[0]})


def _with_q_values(table: pd.DataFrame, family: list[str]) -> pd.DataFrame:
    """Puts the q-values of all tests beside their p-values."""
    for p_value, q_value in _CORRECTED.items():
        q_values = table.groupby(family)[p_value].transform(
            lambda p_values: stats.benjamini_hochberg(p_values.to_numpy(float))
        )
        table.insert(table.columns.get_loc(p_value) + 1, q_value, q_values)
    return table


def _select(rates: Rates, index) -> Rates:
    return Rates(*(getattr(rates, f.name)[index] for f in dataclasses.fields(Rates)))
