"""Which measures go with accuracy or robustness, architecture by architecture."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import scipy.stats

DRAWS = 9999
_SEED = 1


def compare(
    networks: pd.DataFrame,
    measures: Sequence[str],
    *,
    primary: str,
    outcome: str,
    covariate: str,
) -> pd.DataFrame:
    """Rank correlations of measures with an outcome, within architectures.

    Args:
        networks: One row per network: `architecture`, and numbers.
        measures: Columns.
        primary: The measure that was named before; its p is its own, those of the
            others are adjusted by Holm for their number.
        outcome: The column that they are to tell.
        covariate: The column that is held constant for `partial` and `p`.

    Returns:
        One row per measure: measure; `correlation`, Spearman's of ranks within
        architectures; `partial`, the same without what `covariate` explains; `p`, of
        `partial` by permutation within architectures, two-sided; `p_holm`, NaN for
        the primary one.
    """
    rows = []
    groups = networks["architecture"].to_numpy()
    goal, held = (ranks(networks[name], groups) for name in (outcome, covariate))
    for measure in measures:
        of_measure = ranks(networks[measure], groups)
        one, other = without(of_measure, held), without(goal, held)
        rows.append(
            {
                "measure": measure,
                "correlation": cosine(of_measure, goal),
                "partial": cosine(one, other),
                "p": permutation_p(one, other, groups),
            }
        )
    table = pd.DataFrame(rows)
    others = table["measure"] != primary
    table["p_holm"] = np.nan
    table.loc[others, "p_holm"] = holm(table.loc[others, "p"].to_numpy())
    return table


def ranks(values, groups) -> np.ndarray:
    """Ranks within each group, from -1/2 to 1/2, with mean 0."""
    values = np.asarray(values, float)
    made = np.empty(len(values))
    for group in np.unique(groups):
        of_group = values[groups == group]
        middle = (len(of_group) + 1) / 2
        made[groups == group] = (scipy.stats.rankdata(of_group) - middle) / (
            len(of_group) - 1
        )
    return made


def without(values: np.ndarray, held: np.ndarray) -> np.ndarray:
    """What is left of numbers of mean 0 beside a multiple of others."""
    return values - held * (values @ held) / (held @ held)


def cosine(one: np.ndarray, other: np.ndarray) -> float:
    """Correlation of numbers of mean 0."""
    return float(one @ other / np.sqrt((one @ one) * (other @ other)))


def permutation_p(one: np.ndarray, other: np.ndarray, groups: np.ndarray) -> float:
    """Share of permutations of `one` within groups whose |correlation| is as large.

    Of residuals (Freedman & Lane 1983, J. Business & Economic Statistics 1, 292). The
    order as found is one of the draws, so that p is above 0.
    """
    rng = np.random.default_rng(_SEED)
    found = abs(one @ other)
    drawn = np.empty(DRAWS)
    places = [np.flatnonzero(groups == group) for group in np.unique(groups)]
    shuffled = one.copy()
    for draw in range(DRAWS):
        for place in places:
            shuffled[place] = one[rng.permutation(place)]
        drawn[draw] = abs(shuffled @ other)
    # Equal ones may differ in their last bits.
    return float((1 + np.sum(drawn >= found * (1 - 1e-12))) / (1 + DRAWS))


def holm(p: np.ndarray) -> np.ndarray:
    """Values of p, adjusted for their number (Holm 1979)."""
    order = np.argsort(p)
    factors = len(p) - np.arange(len(p))
    adjusted = np.empty(len(p))
    adjusted[order] = np.minimum(np.maximum.accumulate(p[order] * factors), 1)
    return adjusted
