"""Target x class: arms that confuse class C against arms that do not.

Of target T and class C the one group is the networks of all arms with C and not T, the
other those of the arms with neither. The baseline, which confuses nothing, is in
neither. A network belongs to a group for each of its classes, and to the other for
every other class. So number, mean and sd of groups are put together from those of arms,
and means within repeats from sums over the networks of a repeat.

Differences are with C minus without, in percentage points; bits are positive where not
confusing gains information.
"""

import numpy as np
import pandas as pd
import scipy.sparse

from keras_confusion.comparisons import moderated_cells
from keras_confusion.comparisons.group_statistics import (
    Columns,
    ComparisonTable,
    Group,
    compare_groups,
    compare_repeats,
    with_q_values,
)
from keras_confusion.comparisons.rates import CountedRates, Rates
from keras_confusion.comparisons.responses import (
    RESPONSES,
    StudyResponses,
    prior_outside,
)
from keras_confusion.stats.moderated import (
    ModeratedComparison,
    compare_moderated,
    own_share,
)
from keras_confusion.stats.moments import Moments, moments, pooled_moments, sums_over

# Of `Rates`, beside accuracies: what groups are compared by their means of.
MEAN_FIELDS = ("false_positive_rate", "log2_probability")


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
    groups, own = ArmGroups(study), moderated_cells.own_baseline(study)
    priors = np.stack([prior_outside(study, pair) for pair in study.pairs])
    table = ComparisonTable(len(responses) * num_classes * (num_classes - 1))
    for response in responses:
        without_pair = response == "accuracy_without_pair"
        rates = study.confused_without_pair if without_pair else study.confused
        means = groups.means_of_arms(rates)
        shifts = np.zeros((len(study.pairs), num_classes))
        if without_pair:
            shifts = level_shifts(study)
            means = {
                field: arm_means - level_shifts(study, field)
                for field, arm_means in means.items()
            }
        for target in range(num_classes):
            others = np.delete(np.arange(num_classes), target)
            accuracy = rates.accuracy_of(target)
            within_repeats, level, prior = accuracy, None, study.prior[target]
            if without_pair:
                within_repeats = moderated_cells.less_own_baseline(study, target, own)
                levels = study.baseline_without_pair.accuracy_of(target)
                level = moments(groups.level_contrasts(target, levels))
                prior = groups.mean_over_networks(target, priors[:, target])
            shifted = accuracy - shifts[study.confused_pair, target]
            independent = compare_groups(
                *groups.groups(
                    target,
                    shifted,
                    {field: arm_means[:, target] for field, arm_means in means.items()},
                ),
                prior=prior,
                images=study.test_images_per_class[target],
                level=level,
            )
            if not groups.num_repeats:
                moderated_columns = moderated_cells.of_independent_groups(independent)
            elif without_pair:
                moderated_columns = moderated_cells.columns(
                    groups.moderated_without_pair(study, target, own, levels)
                )
            else:
                moderated_columns = moderated_cells.columns(
                    compare_moderated(groups.differences(target, accuracy))
                )
            columns = {
                "response": response,
                "target": target,
                "target_name": class_names[target],
                "class": others,
                "class_name": names[others],
                **independent,
                **groups.paired_columns(target, within_repeats),
                **moderated_columns,
            }
            table.append(columns, len(others))
    return with_q_values(table.frame(), ["response"])


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
    members = moderated_cells.members_of(study)
    # A class that is in every pair has no level: its rows have no networks either.
    num_pairs = np.maximum((~members).sum(axis=0), 1)
    return level - np.where(members, 0.0, level).sum(axis=0) / num_pairs


class ArmGroups:
    """The groups of networks of every target and class.

    Args:
        study: The networks' pairs and seeds.

    Attributes:
        num_repeats: Repeats of several networks; 0 where each has seeds of its own.
    """

    def __init__(self, study: StudyResponses):
        num_pairs = len(study.pairs)
        self._members = moderated_cells.members_of(study)
        self._num_classes = self._members.shape[1]
        self._pairs = np.array(study.pairs).reshape(num_pairs, 2)
        # Networks by arm, so that those of an arm are a slice.
        self._order = np.argsort(study.confused_pair, kind="stable")
        self._pair = study.confused_pair[self._order]
        self._n = np.bincount(self._pair, minlength=num_pairs)
        # Seeds of one network have no partner in the other group.
        seeds, repeat, counts = np.unique(
            study.confused_seed[self._order], return_inverse=True, return_counts=True
        )
        shared = counts > 1
        self._repeat = np.where(shared, np.cumsum(shared) - 1, -1)[repeat]
        self.num_repeats = int(shared.sum())

    def means_of_arms(self, rates: Rates | CountedRates) -> dict[str, np.ndarray]:
        """Mean of every arm's networks, `(P, K)` by field; NaN without a network."""
        shape = self._members.shape
        means = {field: np.full(shape, np.nan) for field in MEAN_FIELDS}
        stops = np.cumsum(self._n)
        for index in np.flatnonzero(self._n):
            networks = self._order[stops[index] - self._n[index] : stops[index]]
            arm_rates = rates.select(networks)
            for field, values in means.items():
                values[index] = getattr(arm_rates, field).mean(axis=0)
        return means

    def groups(
        self, target: int, accuracy: np.ndarray, means: dict[str, np.ndarray]
    ) -> tuple[Group, Group]:
        """Describes the groups of a target and all other classes.

        Args:
            target: The target class.
            accuracy: Of every confused network, `(num_confused,)`.
            means: Of every arm, `(P,)`, by `MEAN_FIELDS`.

        Returns:
            The networks with the class and those without, rows of K - 1 classes.
        """
        arm_moments, largest = self._moments_of_arms(accuracy)
        # Arms without networks count nothing, whatever their mean.
        known = {k: np.where(self._n > 0, self._n * v, 0) for k, v in means.items()}
        with_class, without = self._groups_of_arms(target)

        def group(arms: np.ndarray) -> Group:
            accuracy = pooled_moments(arms, arm_moments, largest)
            with np.errstate(invalid="ignore", divide="ignore"):
                return Group(
                    accuracy,
                    *(sums_over(arms, known[k]) / accuracy.n for k in MEAN_FIELDS),
                )

        return group(with_class), group(without)

    def level_contrasts(
        self, target: int, levels: np.ndarray, *, by_networks: bool = True
    ) -> np.ndarray:
        """What each baseline network adds to the differences by way of the levels.

        Args:
            target: The target class.
            levels: The baseline networks' response with every pair left out,
                `(P, num_baseline)`.
            by_networks: Whether arms count by their networks, or all the same.

        Returns:
            Float array `(K - 1, num_baseline)`: over the arms of each group, the mean
            of the baseline network's response without the arm's pair, with the class
            minus without.
        """
        outside = ~self._members[:, target]
        counts = np.where(outside, self._n if by_networks else 1, 0).astype(np.float64)
        arms = np.flatnonzero(counts)
        # An arm is with two classes only: of a sparse matrix few products are made.
        sides = self._pairs[arms].T.ravel()
        places = (sides, np.tile(np.arange(len(arms)), 2))
        with_class = scipy.sparse.csr_array(
            (np.tile(counts[arms], 2), places), (self._num_classes, len(arms))
        )
        levels = levels[arms]
        sums, n = with_class @ levels, with_class.sum(axis=1)
        sum_of_all, n_of_all = counts[arms] @ levels, counts.sum()
        contrasts = _share(sums, n) - _share(sum_of_all - sums, n_of_all - n)
        return np.delete(contrasts, target, axis=0)

    def mean_over_networks(self, target: int, values: np.ndarray) -> float:
        """Mean of a value of arms, `(P,)`, over the networks without the target."""
        used = ~self._members[:, target] & (self._n > 0)
        if not used.any():
            return np.nan
        return float(np.average(values[used], weights=self._n[used]))

    def paired_columns(self, target: int, values: np.ndarray) -> Columns:
        """Compares both groups of a target and all other classes within repeats.

        Args:
            target: The target class.
            values: Of every confused network, `(num_confused,)`; those that are NaN
                are left out.

        Returns:
            The columns of `group_statistics.paired_columns`, `(K - 1,)` each.
        """
        return compare_repeats(*self._means_of_repeats(target, values))

    def differences(self, target: int, values: np.ndarray) -> np.ndarray:
        """What `paired_columns` compares: `(K - 1, R)`, NaN where a group has none."""
        confused, comparison, known = self._means_of_repeats(target, values)
        return np.where(known, confused - comparison, np.nan)

    def moderated_without_pair(
        self, study: StudyResponses, target: int, own: np.ndarray, levels: np.ndarray
    ) -> ModeratedComparison:
        """Compares accuracies less their levels, of which all baseline networks say.

        Args:
            study: The responses of all networks.
            target: The target class.
            own: As `moderated_cells.own_baseline` returns it.
            levels: See `level_contrasts`.
        """
        num_all = levels.shape[1]
        used = np.unique(own[own >= 0])
        # All baseline networks count alike: differences of arms have in common with
        # those of levels what the arms' pairs do, and little else.
        share = float(own_share(len(used), num_all - len(used), 0.0))
        differences = self.differences(
            target, moderated_cells.less_own_baseline(study, target, own, share)
        )
        if share == 1:
            return compare_moderated(differences)
        contrasts = self.level_contrasts(target, levels, by_networks=False)
        others = np.delete(contrasts, used, axis=1)
        variance = contrasts.var(axis=1, ddof=1) / others.shape[1]
        return compare_moderated(
            differences,
            level=(1 - share) * others.mean(axis=1),
            level_variance=(1 - share) ** 2 * variance,
            level_df=num_all - 1,
        )

    def _means_of_repeats(
        self, target: int, values: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Means of both groups in every repeat, and which are known, `(K - 1, R)`."""
        values = values[self._order]
        used = np.isfinite(values) & (self._repeat >= 0)
        used &= ~self._members[self._pair, target]
        values, repeat = values[used], self._repeat[used]
        classes = self._pairs[self._pair[used]].T
        size = self.num_repeats * self._num_classes

        def by_class(weights=None) -> np.ndarray:
            """Sums over the networks with a class, `(K - 1, repeats)`."""
            one, other = (
                np.bincount(repeat * self._num_classes + side, weights, minlength=size)
                for side in classes
            )
            sums = (one + other).reshape(self.num_repeats, self._num_classes)
            return np.delete(sums, target, axis=1).T

        count, total = by_class(), by_class(values)
        count_of_all = np.bincount(repeat, minlength=self.num_repeats)
        sum_of_all = np.bincount(repeat, values, minlength=self.num_repeats)
        with np.errstate(invalid="ignore", divide="ignore"):
            confused = total / count
            comparison = (sum_of_all - total) / (count_of_all - count)
        known = (count > 0) & (count_of_all > count)
        return confused, comparison, known

    def _moments_of_arms(self, accuracy: np.ndarray) -> tuple[Moments, np.ndarray]:
        """Moments of every arm, `(P,)`, and its largest absolute value."""
        values = accuracy[self._order]
        with np.errstate(invalid="ignore", divide="ignore"):
            mean = np.bincount(self._pair, values, minlength=len(self._n)) / self._n
            squares = np.bincount(
                self._pair, (values - mean[self._pair]) ** 2, minlength=len(self._n)
            )
            sd = np.sqrt(squares / (self._n - 1))
        largest = np.zeros(len(self._n))
        np.fmax.at(largest, self._pair, np.abs(values))
        return Moments(self._n, mean, np.where(self._n > 1, sd, np.nan)), largest

    def _groups_of_arms(self, target: int) -> tuple[np.ndarray, np.ndarray]:
        """Arms with and without every other class, bool `(K - 1, P)` each."""
        outside = ~self._members[:, target]
        has_class = np.delete(self._members, target, axis=1).T
        return has_class & outside, ~has_class & outside


def _share(sums: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Means of rows, 0 where there is nothing."""
    return sums / np.maximum(counts, 1)[:, None]
