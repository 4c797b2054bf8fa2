"""The comparisons of a study by all of its arms together, repeats being blocks.

    target x pair    the arm {a, b} against the baseline networks of its repeats
    target x class   the arms with C and not T against the arms with neither

Both by `block_design`, with the noise that all arms without the target show.
"""

import dataclasses
from collections.abc import Callable

import numpy as np

from keras_confusion.comparisons.group_statistics import POINTS, Columns
from keras_confusion.comparisons.responses import StudyResponses
from keras_confusion.stats import block_design

_IN_POINTS = {"difference", "ci_low", "ci_high"}
_FIELDS = [field.name for field in dataclasses.fields(block_design.BlockComparison)]


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
    return _positions(study.baseline_seed, study.confused_seed)


def less_own_baseline(
    study: StudyResponses, target: int, own: np.ndarray
) -> np.ndarray:
    """Accuracies without the pair, less those of the repeat's own baseline network.

    Leaving out different pairs gives different levels; this takes them away.

    Args:
        study: The responses of all networks.
        target: The class whose accuracies are wanted.
        own: As `own_baseline` returns it.

    Returns:
        Float array `(num_confused,)`, NaN where the repeat has no baseline network.
    """
    known = own >= 0
    networks, column = np.unique(own[known], return_inverse=True)
    levels = study.baseline_without_pair.accuracy_of(target, networks)
    centred = np.full(len(own), np.nan)
    accuracy = study.confused_without_pair.accuracy_of(target)[known]
    centred[known] = accuracy - levels[study.confused_pair[known], column]
    return centred


def by_pair(
    study: StudyResponses,
    values_of: Callable[[int], np.ndarray],
    levels_of: Callable[[int, np.ndarray], np.ndarray],
) -> Columns:
    """Every arm against the baseline of its repeats, for every target.

    Args:
        study: The networks' pairs and seeds.
        values_of: Gives for a target a response of every confused network,
            `(num_confused,)`, a share.
        levels_of: Gives for a target and some baseline networks their response with
            each pair left out, `(P, len(networks))`.

    Returns:
        The columns of `block_design.BlockComparison`, named `blocks_*`, `(P, K)` each;
        differences in percentage points. NaN where the target is in the pair.
    """
    members = members_of(study)
    num_pairs, num_classes = members.shape
    cells = _empty(num_pairs, num_classes)
    blocks = _Blocks(study)
    for target in range(num_classes):
        arms = np.flatnonzero(~members[:, target])
        arm_values, seeds = blocks.whole_repeats(values_of(target), arms)
        own = _positions(study.baseline_seed, seeds)
        known = own >= 0
        found = block_design.compare_with_baseline(
            arm_values[:, known], levels_of(target, own[known])[arms]
        )
        _fill(cells, (arms, target), found)
    return cells


class ByClass:
    """Arms with a class against arms without it, one target after the other.

    Args:
        study: The networks' pairs and seeds.
    """

    def __init__(self, study: StudyResponses):
        self._members, self._blocks = members_of(study), _Blocks(study)

    def columns(
        self, target: int, values: np.ndarray, level_contrasts: np.ndarray | None = None
    ) -> Columns:
        """Compares all arms without the target.

        Args:
            target: The target class.
            values: Its response in every confused network, `(num_confused,)`, a share.
            level_contrasts: See `block_design.compare_arms`, `(K - 1, num_baseline)`;
                `None` where arms have the same level.

        Returns:
            The columns of `by_pair`, `(K - 1,)` each: of all classes but the target.
        """
        arms = np.flatnonzero(~self._members[:, target])
        others = np.delete(self._members[arms], target, axis=1)
        weights = block_design.group_against_others(others.T)
        arm_values, _ = self._blocks.whole_repeats(values, arms)
        found = block_design.compare_arms(
            arm_values, weights, level_contrasts=level_contrasts
        )
        cells = _empty(others.shape[1])
        _fill(cells, slice(None), found)
        return cells


class _Blocks:
    """The repeats of a study, as blocks."""

    def __init__(self, study: StudyResponses):
        self._pair, self._num_pairs = study.confused_pair, len(study.pairs)
        self._seeds, self._repeat, self._counts = np.unique(
            study.confused_seed, return_inverse=True, return_counts=True
        )

    def whole_repeats(self, values, arms):
        """Values `(arms, repeats)` of the repeats that all arms have, and their seeds.

        Args:
            values: Of every confused network, `(num_confused,)`.
            arms: int array, those that a repeat has to have.
        """
        # Networks with seeds of their own would make a table of arms x networks.
        many = self._counts >= len(arms)
        column, known = np.cumsum(many) - 1, many[self._repeat]
        table = np.full((self._num_pairs, int(many.sum())), np.nan)
        table[self._pair[known], column[self._repeat[known]]] = values[known]
        arm_values = table[arms]
        whole = np.isfinite(arm_values).all(axis=0)
        return arm_values[:, whole], self._seeds[many][whole]


def _positions(keys: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Where every wanted number is among others, -1 where it is not."""
    position = {key: index for index, key in enumerate(keys.tolist())}
    return np.array([position.get(key, -1) for key in wanted.tolist()], np.int64)


def _empty(*shape: int) -> Columns:
    cells: Columns = {
        f"blocks_{name}_points" if name in _IN_POINTS else f"blocks_{name}": np.full(
            shape, np.nan
        )
        for name in _FIELDS
    }
    cells["blocks_n"] = np.zeros(shape, int)
    cells["blocks_reason"] = np.full(shape, "", object)
    return cells


def _fill(cells: Columns, place, found: block_design.BlockComparison) -> None:
    for name in _FIELDS:
        value = getattr(found, name)
        if name in _IN_POINTS:
            cells[f"blocks_{name}_points"][place] = POINTS * value
        else:
            cells[f"blocks_{name}"][place] = value
