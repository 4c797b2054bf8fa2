"""Units of two networks side by side: which is which, and whose use changed.

Uses are those of `unit_uses`; arrays in, tables out.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import scipy.optimize

from keras_confusion.explanations import unit_uses
from keras_confusion.explanations.unit_uses import NETWORKS, ClassUses, Networks

# Below, two units say different things: they share less than a quarter of the variance.
MIN_CORRELATION = 0.5
FATES = ("kept", "lost", "new")


def correlations(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Pearson's correlation of every unit of one network with every one of another.

    Args:
        first: Float array `(n, d)`, activations on n images.
        second: The other network's on the same images, `(n, d)`.

    Returns:
        float64 `(d, d)`; 0 where a unit says the same of all images.
    """
    scores = []
    for features in (first, second):
        centred = features - features.mean(axis=0, dtype=np.float64)
        norms = np.sqrt((centred**2).sum(axis=0))
        scores.append(np.divide(centred, norms, where=norms > 0, out=0 * centred))
    return scores[0].T @ scores[1]


def match_units(correlation: np.ndarray) -> np.ndarray:
    """Which unit of the confused network is which of the baseline.

    Networks that start from the same weights keep most units in their places: a unit
    keeps its own where it correlates with itself by at least `MIN_CORRELATION`. The
    others are assigned to each other so that the sum of their correlations is largest
    (`scipy.optimize.linear_sum_assignment`).

    Args:
        correlation: Float array `(d, d)`, see `correlations`.

    Returns:
        int array `(d,)`, for each unit of the first network one of the second.
    """
    own = np.arange(len(correlation))
    moved = np.flatnonzero(np.diag(correlation) < MIN_CORRELATION)
    among = correlation[np.ix_(moved, moved)]
    _, columns = scipy.optimize.linear_sum_assignment(among, maximize=True)
    own[moved] = moved[columns]
    return own


def compare_units(
    networks: Networks, labels: np.ndarray, *, target: int, pair: Sequence[int]
) -> tuple[pd.DataFrame, dict]:
    """How the use of every unit for a class differs between two networks.

    A unit is *kept* if its counterpart of `match_units` correlates with it by at least
    `MIN_CORRELATION`. If not, it is *lost*, and its counterpart is *new*: different
    features, counted as a change to 0 (lost) and from 0 (new).

    The change of a product has two parts: h' w' - h w = (h' - h) (w + w') / 2 +
    (w' - w) (h + h') / 2, what the unit responds to and how it is read.

    Args:
        networks: The baseline network and the confused one, on the same images.
        labels: int array `(n,)`, classes of the images; every class has some.
        target: Label of the class T.
        pair: Labels a and b, which are confused.

    Returns:
        A table with one row per unit that is not silent on all images: `fate`, "kept",
        "lost" or "new"; `unit`, its number in the baseline network, and
        `unit_confused`, in the confused one, nullable; `correlation` with its
        counterpart, or the largest with any unit; `use_baseline`, `use_confused`,
        `change`, its parts `change_of_activation` and `change_of_weights` (of kept
        units), and `change_for_others`, the root mean square of the unit's changes for
        the other third classes, bits; `activation_<class>_<network>`, mean activations
        on the images of target, a, b, and others, the mean over the other third
        classes.

        And what the changes add up to, bits: `log2_probability_baseline`,
        `log2_probability_confused`, `change`, its part `change_of_biases`,
        `change_for_others`, the mean over the other third classes; `sum_of_sizes`, of
        the units' changes regardless of sign, and `sum_of_sizes_for_others`.
    """
    num_classes = networks[0].kernel.shape[1]
    third = [k for k in range(num_classes) if k not in pair]
    others = [k for k in third if k != target]
    means = [
        unit_uses.class_means(network.features, labels, num_classes)
        for network in networks
    ]
    correlation = correlations(*(network.features for network in networks))
    fates, units = _fates(means, correlation)
    exists = np.stack([numbers >= 0 for numbers in units])

    def rows(network_values, missing: float) -> np.ndarray:
        """Values of units `(2, d)` as rows of the table, `(2, rows)`."""
        found = [
            values[place] for values, place in zip(network_values, units, strict=True)
        ]
        return np.where(exists, found, missing)

    uses_by_class = {
        label: unit_uses.class_uses(networks, labels, label, third) for label in third
    }
    uses = {
        label: rows(class_uses.uses, 0.0) for label, class_uses in uses_by_class.items()
    }
    changes = {label: after - before for label, (before, after) in uses.items()}
    for_others = np.stack([changes[label] for label in others])
    parts = _parts_of_changes(uses_by_class[target], networks, units)
    is_kept = exists.all(axis=0)
    highest = rows((correlation.max(axis=1), correlation.max(axis=0)), -np.inf)
    columns = {
        "fate": fates,
        "unit": _numbers(units[0]),
        "unit_confused": _numbers(units[1]),
        "correlation": np.where(
            is_kept, correlation[units[0], units[1]], highest.max(axis=0)
        ),
        "use_baseline": uses[target][0],
        "use_confused": uses[target][1],
        "change": changes[target],
        "change_of_activation": np.where(is_kept, parts[0], np.nan),
        "change_of_weights": np.where(is_kept, parts[1], np.nan),
        "change_for_others": np.sqrt((for_others**2).mean(axis=0)),
    }
    groups = {"target": [target], "a": [pair[0]], "b": [pair[1]], "others": others}
    for group, members in groups.items():
        group_means = rows(
            [class_means[list(members)].mean(axis=0) for class_means in means], np.nan
        )
        for name, values in zip(NETWORKS, group_means, strict=True):
            columns[f"activation_{group}_{name}"] = values
    before, after = uses_by_class[target].log_probability
    differences = [np.diff(uses_by_class[label].log_probability)[0] for label in others]
    totals = {
        "log2_probability_baseline": before,
        "log2_probability_confused": after,
        "change": after - before,
        "change_of_biases": np.diff(uses_by_class[target].bias_uses)[0],
        "change_for_others": np.mean(differences),
        "sum_of_sizes": np.abs(changes[target]).sum(),
        "sum_of_sizes_for_others": np.abs(for_others).sum(axis=1).mean(),
    }
    return pd.DataFrame(columns), totals


def _parts_of_changes(class_uses: ClassUses, networks: Networks, units) -> np.ndarray:
    """What units respond to, and how they are read: `(2, rows)`, of kept units."""
    weighted = [
        features[:, place]
        for features, place in zip(class_uses.weighted_features, units, strict=True)
    ]
    kernels = [
        network.kernel.T[:, place]
        for network, place in zip(networks, units, strict=True)
    ]
    activation_part = (weighted[1] - weighted[0]) * (kernels[0] + kernels[1]) / 2
    weight_part = (kernels[1] - kernels[0]) * (weighted[0] + weighted[1]) / 2
    return np.stack([activation_part.sum(axis=0), weight_part.sum(axis=0)])


def _fates(means, correlation) -> tuple[list[str], tuple[np.ndarray, np.ndarray]]:
    """Units that are not silent: fates, and numbers in both networks or -1."""
    matched = match_units(correlation)
    is_active = [(class_means != 0).any(axis=0) for class_means in means]
    own = np.arange(len(matched))
    is_kept = correlation[own, matched] >= MIN_CORRELATION
    kept = own[is_kept]
    lost = own[~is_kept & is_active[0]]
    new = matched[~is_kept & is_active[1][matched]]
    fates = ["kept"] * len(kept) + ["lost"] * len(lost) + ["new"] * len(new)
    none_lost, none_new = np.full(len(lost), -1), np.full(len(new), -1)
    return fates, (
        np.concatenate([kept, lost, none_new]),
        np.concatenate([matched[kept], none_lost, new]),
    )


def _numbers(units: np.ndarray) -> pd.Series:
    """Numbers of units as nullable integers."""
    return pd.Series(units, dtype="Int64").mask(units < 0)


def rank_units(units: pd.DataFrame) -> pd.DataFrame:
    """Sorts units of all repeats by the size of their change, largest first.

    Units of different repeats are different units: networks of other repeats start from
    other weights.

    Args:
        units: Tables of `compare_units`, with a column `repeat`.

    Returns:
        The rows with a first column `rank`, from 1.
    """
    order = np.argsort(-units["change"].abs().to_numpy(), kind="stable")
    ranked = units.iloc[order].reset_index(drop=True)
    ranked.insert(0, "rank", np.arange(1, len(ranked) + 1))
    return ranked


def concentration(units: pd.DataFrame, num_units: int) -> pd.DataFrame:
    """Whether few units carry the change, or all of them a little.

    Args:
        units: As `rank_units` takes them.
        num_units: Number of units.

    Returns:
        One row per repeat: `repeat`; how many are `kept`, `lost` and `new`, and
        `kept_correlation`, the median of the kept; `top_share`, the share of the sum of
        all sizes of changes that the `num_units` largest carry; `num_for_half`, how
        many of the largest carry half of it.
    """
    rows = []
    for repeat, repeat_units in units.groupby("repeat"):
        sizes = np.sort(repeat_units["change"].abs().to_numpy())[::-1]
        total = sizes.sum()
        shares = np.cumsum(sizes) / total if total else np.full(len(sizes), np.nan)
        fates = repeat_units["fate"].value_counts()
        kept = repeat_units[repeat_units["fate"] == "kept"]
        rows.append(
            {
                "repeat": repeat,
                **{fate: int(fates.get(fate, 0)) for fate in FATES},
                "kept_correlation": kept["correlation"].median(),
                "top_share": shares[:num_units][-1] if len(shares) else np.nan,
                "num_for_half": int(np.searchsorted(shares, 0.5) + 1) if total else 0,
            }
        )
    return pd.DataFrame(rows)
