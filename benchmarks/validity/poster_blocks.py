"""Tables of animals and vehicles: are they two blocks, and the only ones?"""

import itertools

import numpy as np
import scipy.cluster.hierarchy

from benchmarks.validity import poster_statistics
from benchmarks.validity.poster_statistics import probability
from benchmarks.validity.poster_study import Measured
from keras_confusion.comparisons import clustering
from keras_confusion.comparisons.findings import PAIRED, WELCH
from keras_confusion.comparisons.responses import RESPONSES


def block_means(measured: Measured) -> list[dict]:
    """The mean cell of the same block, of another, and their difference."""
    num_classes, rows = len(measured.class_names), []
    same = poster_statistics.same_side(measured.vehicles, num_classes)
    other = ~same & ~np.eye(num_classes, dtype=bool)
    same, other = same / same.sum(), other / other.sum()
    parts = {
        "same block": same,
        "other block": other,
        "same minus other": same - other,
    }
    for response, (part, share), test in itertools.product(
        RESPONSES, parts.items(), (WELCH, PAIRED)
    ):
        if test == WELCH:
            found = poster_statistics.mean_of_cells(measured.study, response, share)
        else:
            sums = np.nansum(measured.matrices(response) * share, axis=(1, 2))
            found = poster_statistics.mean_of_repeats(sums)
        rows.append(
            {
                "response": f"`{response}`",
                "cells of target x class": part,
                "test": test,
                "n": f"{found.n} {'networks' if test == WELCH else 'repeats'}",
                "mean (95 % CI)": f"{found:+.2f}",
                **found.test_columns(),
            }
        )
    return rows


def splits(measured: Measured) -> list[dict]:
    """The split into animals and vehicles among all splits of the same sizes."""
    rows = []
    columns = (
        ("difference_points", "difference, points", "+.2f"),
        ("kl_bits", "`kl_bits`", "+.5f"),
    )
    for response, (column, title, form) in itertools.product(RESPONSES, columns):
        values = measured.matrix(response, column)
        test = poster_statistics.split_test(values, measured.vehicles)
        rows.append(
            {
                "response": f"`{response}`",
                "of": title,
                "same block": format(test.within, form),
                "other block": format(test.across, form),
                "contrast": format(test.contrast, form),
                "place": f"{test.rank} of {len(test.contrasts)}",
                "p": probability(test.p_value),
                "share not above": f"{test.share_below:.3f}",
            }
        )
    return rows


def trees(measured: Measured) -> list[dict]:
    """Whether the two groups of `clustering.class_tree` are the blocks.

    p is the share of splits of the same sizes that agree as well with the tree.
    """
    names, side = measured.class_names, measured.vehicles
    same = poster_statistics.same_side(side, len(names))
    all_splits = poster_statistics.all_splits(len(side), len(names))
    rows = []
    for response, close in itertools.product(RESPONSES, ("cost", "gain")):
        points = measured.matrix(response, "difference_points")
        differences = points if close == "cost" else -points
        linkage = clustering.class_tree(differences).linkage
        group = scipy.cluster.hierarchy.fcluster(linkage, 2, criterion="maxclust")
        groups = [np.flatnonzero(group == number) for number in (1, 2)]
        together = poster_statistics.same_side(groups[0], len(names))
        rand = poster_statistics.adjusted_rand(together, same)
        others = poster_statistics.adjusted_rand(together, all_splits)
        cost = -(differences + differences.T)
        np.fill_diagonal(cost, -np.inf)
        nearest = same[np.arange(len(names)), cost.argmax(axis=1)]
        rows.append(
            {
                "response": f"`{response}`",
                "close by": close,
                "the smaller group": ", ".join(names[k] for k in min(groups, key=len)),
                "adjusted Rand index": f"{rand:+.2f}",
                "p": probability((others >= rand - 1e-9).mean()),
                "classes whose nearest is in their block": f"{nearest.mean():.2f}",
                "by chance": f"{same.sum() / (same.size - len(same)):.2f}",
            }
        )
    return rows
