"""The comparisons of a study by moderated t-tests: the default.

    target x pair    the arm {a, b} against all baseline networks, its own weighing more
    target x class   the arms with C and not T against the arms with neither, within
                     repeats

All cells of a target say together how much networks vary, see `stats.moderated`.
"""

import dataclasses
from collections.abc import Callable

import numpy as np

from keras_confusion.comparisons.group_statistics import POINTS, Columns
from keras_confusion.comparisons.responses import StudyResponses
from keras_confusion.stats import moderated

_IN_POINTS = {"difference", "ci_low", "ci_high"}
_FIELDS = [field.name for field in dataclasses.fields(moderated.ModeratedComparison)]


def members_of(study: StudyResponses) -> np.ndarray:
    """Which classes are in which pair, bool `(P, K)`."""
    members = np.zeros((len(study.pairs), len(study.prior)), bool)
    for index, pair in enumerate(study.pairs):
        members[index, list(pair)] = True
    return members


def own_baseline(study: StudyResponses) -> np.ndarray:
    """The baseline network of the same repeat, by its seed.

    Args:
        study: The networks' seeds.

    Returns:
        int array `(num_confused,)`, a position among the baseline networks, -1 where
        the repeat has none.
    """
    position = {seed: index for index, seed in enumerate(study.baseline_seed.tolist())}
    own = [position.get(seed, -1) for seed in study.confused_seed.tolist()]
    return np.array(own, np.int64)


def less_own_baseline(
    study: StudyResponses, target: int, own: np.ndarray, share: float = 1.0
) -> np.ndarray:
    """Accuracies without the pair, less those of the repeat's own baseline network.

    Leaving out different pairs gives different levels; this takes them away.

    Args:
        study: The responses of all networks.
        target: The class whose accuracies are wanted.
        own: As `own_baseline` returns it.
        share: How much of the baseline network's accuracy is taken away.

    Returns:
        Float array `(num_confused,)`, NaN where the repeat has no baseline network.
    """
    known = own >= 0
    networks, column = np.unique(own[known], return_inverse=True)
    levels = study.baseline_without_pair.accuracy_of(target, networks)
    centred = np.full(len(own), np.nan)
    accuracy = study.confused_without_pair.accuracy_of(target)[known]
    centred[known] = accuracy - share * levels[study.confused_pair[known], column]
    return centred


def by_pair(
    study: StudyResponses,
    values_of: Callable[[int], np.ndarray],
    levels_of: Callable[[int], np.ndarray],
    *,
    steps: np.ndarray | None = None,
) -> Columns:
    """Every arm against the baseline, for every target.

    Repeats of an arm without a baseline network are left out, unless no network has
    one, as where every network has its own seeds.

    Args:
        study: The networks' pairs and seeds.
        values_of: Gives for a target a response of every confused network,
            `(num_confused,)`, a share.
        levels_of: Gives for a target the response of every baseline network with each
            pair left out, `(P, num_baseline)`.
        steps: See `moderated.compare_moderated`, of every target, `(K,)`.

    Returns:
        The columns of `moderated.ModeratedComparison`, named `moderated_*`, `(P, K)`
        each; differences in percentage points. Cells of a target outside of the pair
        are one family of variances, those in it another.
    """
    members = members_of(study)
    num_pairs, num_classes = members.shape
    cells = _empty(num_pairs, num_classes)
    repeats = Repeats(study)
    for target in range(num_classes):
        table, levels = repeats.table(values_of(target)), levels_of(target)
        # What a class loses where it is confused itself is of another size.
        for is_arm in (~members[:, target], members[:, target]):
            found = compare_arms(
                table[is_arm],
                levels[is_arm],
                repeats.baseline,
                step=0.0 if steps is None else steps[target],
            )
            for name, values in columns(found).items():
                cells[name][is_arm, target] = values
    return cells


def columns(found: moderated.ModeratedComparison) -> Columns:
    """The fields of a comparison, named `moderated_*`, in percentage points."""
    named: Columns = {}
    for field in _FIELDS:
        values = getattr(found, field)
        named[_name(field)] = POINTS * values if field in _IN_POINTS else values
    return named


def of_independent_groups(welch: Columns) -> Columns:
    """What Welch's test says, in the place of a moderated comparison.

    Where every network has its own seeds, the groups of target x class are many
    networks that have nothing in common.

    Args:
        welch: The columns of `group_statistics.compare_groups`.
    """
    named = {_name(field): welch[_column(field)] for field in _FIELDS if field != "n"}
    return {"moderated_n": welch["n_confused"], **named}


class Repeats:
    """Which networks belong together.

    Attributes:
        baseline: int array `(R,)`, the baseline network of every repeat; `None` where
            no confused network has one.
    """

    def __init__(self, study: StudyResponses):
        own, pair = own_baseline(study), study.confused_pair
        self._pair, self._num_pairs = pair, len(study.pairs)
        self._used = own >= 0
        self.baseline = None
        if self._used.any():
            self.baseline, self._column = np.unique(
                own[self._used], return_inverse=True
            )
            self._num_columns = len(self.baseline)
            return
        # Nothing belongs together: the first of every arm, the second, ...
        self._used[:] = True
        order = np.argsort(pair, kind="stable")
        counts = np.bincount(pair, minlength=self._num_pairs)
        self._column = np.empty(len(pair), np.int64)
        first = np.cumsum(counts) - counts
        self._column[order] = np.arange(len(pair)) - first[pair[order]]
        self._num_columns = int(counts.max(initial=0))

    def table(self, values: np.ndarray) -> np.ndarray:
        """Values of every confused network by pair, `(P, R)`, NaN where none is."""
        table = np.full((self._num_pairs, self._num_columns), np.nan)
        table[self._pair[self._used], self._column] = values[self._used]
        return table


def compare_arms(
    responses: np.ndarray,
    levels: np.ndarray,
    baseline: np.ndarray | None,
    *,
    step: float = 0.0,
) -> moderated.ModeratedComparison:
    """Tests arms against baseline networks.

    Args:
        responses: `(A, R)`, NaN where an arm has no network.
        levels: Of all baseline networks, in place of each arm, `(A, N)`.
        baseline: Which of them is of the same repeat, `(R,)`, or `None`.
        step: See `moderated.compare_moderated`.
    """
    num_all = levels.shape[1]
    if num_all < (2 if baseline is None else 1):
        return moderated.compare_moderated(responses[:, :0])
    variance = np.full(len(levels), np.nan)
    if num_all > 1:
        variance = levels.var(axis=1, ddof=1)
    is_known = np.isfinite(responses)
    own = np.zeros_like(responses) if baseline is None else levels[:, baseline]
    num_own = is_known.sum(axis=1) if baseline is not None else 0 * is_known.sum(axis=1)
    num_others = num_all - num_own
    share = np.zeros(len(levels))
    if baseline is not None:
        correlation = moderated.correlation_within_repeats(
            responses, float(variance.mean()) if len(variance) else np.nan
        )
        share = moderated.own_share(num_own, num_others, correlation)
    sum_of_others = levels.sum(axis=1) - np.where(is_known, own, 0).sum(axis=1)
    # Where all of it is the repeats' own, there may be no others.
    count = np.maximum(num_others, 1)
    return moderated.compare_moderated(
        responses - share[:, None] * own,
        level=(1 - share) * sum_of_others / count,
        level_variance=np.where(share < 1, (1 - share) ** 2 * variance / count, 0),
        level_df=max(num_all - 1, 1),
        step=step,
    )


def _name(field: str) -> str:
    return f"moderated_{_column(field)}"


def _column(field: str) -> str:
    return f"{field}_points" if field in _IN_POINTS else field


def _empty(*shape: int) -> Columns:
    cells: Columns = {_name(field): np.full(shape, np.nan) for field in _FIELDS}
    cells["moderated_n"] = np.zeros(shape, int)
    cells["moderated_reason"] = np.full(shape, "", object)
    return cells
