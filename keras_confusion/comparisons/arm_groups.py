"""Arms with a class against arms without it, put together from what the arms show.

Of target T and class C the one group is the networks of all arms with C and not T, the
other those of the arms with neither. A network belongs to a group for each of its
classes, and to the other for every other class: number, mean and sd of groups are made
of those of arms, and means within repeats of sums over the networks of a repeat.
"""

import numpy as np
import scipy.sparse

from keras_confusion.comparisons import blocks as comparison_blocks
from keras_confusion.comparisons.group_statistics import Columns, Group, compare_repeats
from keras_confusion.comparisons.rates import CountedRates, Rates
from keras_confusion.comparisons.responses import StudyResponses
from keras_confusion.stats.moments import Moments, pooled_moments, sums_over

# Of `Rates`, beside accuracies: what groups are compared by their means of.
MEAN_FIELDS = ("false_positive_rate", "log2_probability")


class ArmGroups:
    """The groups of networks of every target and class.

    Args:
        study: The networks' pairs and seeds.
    """

    def __init__(self, study: StudyResponses):
        num_pairs = len(study.pairs)
        self._members = comparison_blocks.members_of(study)
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
        self._num_repeats = int(shared.sum())

    def means_of_arms(self, rates: Rates | CountedRates) -> dict[str, np.ndarray]:
        """Mean of every arm's networks, `(P, K)` by field; NaN without a network."""
        shape = self._members.shape
        means = {field: np.full(shape, np.nan) for field in MEAN_FIELDS}
        stops = np.cumsum(self._n)
        for index in np.flatnonzero(self._n):
            networks = self._order[stops[index] - self._n[index] : stops[index]]
            of_arm = rates.select(networks)
            for field, values in means.items():
                values[index] = getattr(of_arm, field).mean(axis=0)
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
        of_arms, largest = self._moments_of_arms(accuracy)
        # Arms without networks count nothing, whatever their mean.
        known = {k: np.where(self._n > 0, self._n * v, 0) for k, v in means.items()}
        with_class, without = self._groups_of_arms(target)

        def group(arms: np.ndarray) -> Group:
            accuracy = pooled_moments(arms, of_arms, largest)
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
        values = values[self._order]
        used = np.isfinite(values) & (self._repeat >= 0)
        used &= ~self._members[self._pair, target]
        values, repeat = values[used], self._repeat[used]
        classes = self._pairs[self._pair[used]].T
        size = self._num_repeats * self._num_classes

        def by_class(weights=None) -> np.ndarray:
            """Sums over the networks with a class, `(K - 1, repeats)`."""
            one, other = (
                np.bincount(
                    repeat * self._num_classes + of_side, weights, minlength=size
                )
                for of_side in classes
            )
            sums = (one + other).reshape(self._num_repeats, self._num_classes)
            return np.delete(sums, target, axis=1).T

        count, total = by_class(), by_class(values)
        of_all = np.bincount(repeat, minlength=self._num_repeats)
        sum_of_all = np.bincount(repeat, values, minlength=self._num_repeats)
        with np.errstate(invalid="ignore", divide="ignore"):
            confused = total / count
            comparison = (sum_of_all - total) / (of_all - count)
        known = (count > 0) & (of_all > count)
        return compare_repeats(confused, comparison, known)

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
