"""The comparisons of a study by all of its arms together, repeats being blocks.

    target x pair    the arm {a, b} against the baseline networks of its repeats
    target x class   the arms with C and not T against the arms with neither

Both by `block_design`, with the noise that all arms without the target show.
"""

import dataclasses

import numpy as np

from keras_confusion import block_design
from keras_confusion.comparison_columns import POINTS, Columns
from keras_confusion.responses import StudyResponses

_IN_POINTS = {"difference", "ci_low", "ci_high"}
_FIELDS = [field.name for field in dataclasses.fields(block_design.BlockComparison)]


def members_of(study: StudyResponses) -> np.ndarray:
    """Which classes are in which pair, bool `(P, K)`."""
    members = np.zeros((len(study.pairs), len(study.prior)), bool)
    for index, pair in enumerate(study.pairs):
        members[index, list(pair)] = True
    return members


def less_own_baseline(
    study: StudyResponses, confused: np.ndarray, baseline: np.ndarray
) -> np.ndarray:
    """Values without the pair, less those of the repeat's own baseline network.

    Leaving out different pairs gives different levels; this takes them away.

    Args:
        study: The networks' pairs and seeds.
        confused: Values `(num_confused, K)`, each network's own pair left out.
        baseline: Values `(P, num_baseline, K)`, each pair left out.

    Returns:
        Float array `(num_confused, K)`, NaN where the repeat has no baseline network.
    """
    position = {seed: index for index, seed in enumerate(study.baseline_seed)}
    centred = np.full(confused.shape, np.nan)
    for network, seed in enumerate(study.confused_seed):
        if seed in position:
            own = baseline[study.confused_pair[network], position[seed]]
            centred[network] = confused[network] - own
    return centred


def by_pair(
    study: StudyResponses, values: np.ndarray, levels: np.ndarray
) -> list[Columns]:
    """Every arm against the baseline of its repeats, for every target.

    Args:
        study: The networks' pairs and seeds.
        values: A response of every confused network, `(num_confused, K)`, a share.
        levels: That of the baseline networks with each pair left out,
            `(P, num_baseline, K)`.

    Returns:
        For every pair the columns of `block_design.BlockComparison`, named `blocks_*`,
        `(K,)` each; differences in percentage points. NaN where the target is in the
        pair.
    """
    members = members_of(study)
    num_pairs, num_classes = members.shape
    cells = _empty(num_pairs, num_classes)
    for target in range(num_classes):
        arms = np.flatnonzero(~members[:, target])
        of_arms, seeds = _whole_repeats(study, values, arms=arms, target=target)
        position = {seed: index for index, seed in enumerate(study.baseline_seed)}
        known = np.array([seed in position for seed in seeds], bool)
        own = [position[seed] for seed in seeds[known]]
        found = block_design.compare_with_baseline(
            of_arms[:, known], levels[arms][:, own, target]
        )
        _fill(cells, (arms, target), found)
    return [
        {name: of_cells[index] for name, of_cells in cells.items()}
        for index in range(num_pairs)
    ]


def by_class(
    study: StudyResponses, values: np.ndarray, levels: np.ndarray | None = None
) -> dict[tuple, Columns]:
    """Arms with a class against arms without it, for every target.

    Args:
        study: See `by_pair`.
        values: See `by_pair`.
        levels: See `by_pair`; `None` where arms have the same level.

    Returns:
        By (target, class) the columns of `by_pair`, `(1,)` each.
    """
    members = members_of(study)
    num_classes = members.shape[1]
    cells = _empty(num_classes, num_classes)
    for target in range(num_classes):
        arms = np.flatnonzero(~members[:, target])
        others = np.delete(np.arange(num_classes), target)
        weights = block_design.group_against_others(members[arms][:, others].T)
        of_arms, _ = _whole_repeats(study, values, arms=arms, target=target)
        found = block_design.compare_arms(
            of_arms,
            weights,
            levels=None if levels is None else levels[arms, :, target],
        )
        _fill(cells, (target, others), found)
    return {
        (target, other): {
            name: of_cells[target, [other]] for name, of_cells in cells.items()
        }
        for target in range(num_classes)
        for other in range(num_classes)
        if other != target
    }


def _whole_repeats(study: StudyResponses, values, *, arms, target: int):
    """Values `(arms, repeats)` of the repeats that all arms have, and their seeds."""
    seeds, repeat, counts = np.unique(
        study.confused_seed, return_inverse=True, return_counts=True
    )
    # Networks with seeds of their own would make a table of arms x networks.
    many = counts >= len(arms)
    column, known = np.cumsum(many) - 1, many[repeat]
    table = np.full((len(study.pairs), int(many.sum())), np.nan)
    table[study.confused_pair[known], column[repeat[known]]] = values[known, target]
    of_arms = table[arms]
    whole = np.isfinite(of_arms).all(axis=0)
    return of_arms[:, whole], seeds[many][whole]


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
