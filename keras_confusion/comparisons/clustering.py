"""Which classes belong together, from what not learning one costs the other."""

from typing import NamedTuple

import numpy as np
import pandas as pd
import scipy.cluster.hierarchy
import scipy.spatial.distance

from keras_confusion.comparisons import tables as comparison_tables


class ClassTree(NamedTuple):
    """Which classes belong together.

    Args:
        linkage: A SciPy linkage matrix `(K - 1, 4)`, leaves ordered so that neighbours
            are close.
        largest_cost: Percentage points; a join at distance d has cost
            `largest_cost - d`.
    """

    linkage: np.ndarray
    largest_cost: float


def class_tree(differences: np.ndarray) -> ClassTree | None:
    """Clusters classes by average linkage.

    Two classes are close where confusing one (with whatever) costs the other accuracy:
    `distance(T, C) = max(cost) - cost(T, C)`, `cost` the mean of both directions.

    Args:
        differences: Float array `(K, K)`, confused minus comparison, of target T (rows)
            and class C (columns), in percentage points; the diagonal is not read.

    Returns:
        A `ClassTree`, or `None` if for two classes neither direction was measured.

    Example:
        >>> differences = np.array([[0, -4, 1.], [-4, 0, 1], [1, 1, 0]])
        >>> tree = class_tree(differences)
        >>> sorted(tree.linkage[0, :2].tolist())  # 0 and 1 merge first
        [0.0, 1.0]
        >>> tree.largest_cost
        4.0
    """
    both = np.stack([differences, differences.T])
    known = np.isfinite(both)
    off_diagonal = ~np.eye(len(differences), dtype=bool)
    if not known.any(axis=0)[off_diagonal].all():
        return None
    cost = -np.where(known, both, 0).sum(axis=0) / np.maximum(known.sum(axis=0), 1)
    largest_cost = float(cost[off_diagonal].max())
    distance = largest_cost - cost
    np.fill_diagonal(distance, 0)
    condensed = scipy.spatial.distance.squareform(distance, checks=False)
    linkage = scipy.cluster.hierarchy.linkage(
        condensed, method="average", optimal_ordering=True
    )
    return ClassTree(linkage, largest_cost)


def tree_of_table(by_class: pd.DataFrame, num_classes: int) -> ClassTree | None:
    """The tree of differences of `accuracy_without_pair`.

    Args:
        by_class: As `target_by_class.target_by_class` returns it.
        num_classes: Number of classes, K.

    Returns:
        As `class_tree`.
    """
    learned = by_class[by_class["response"] == "accuracy_without_pair"]
    return class_tree(
        comparison_tables.matrix(
            learned,
            "difference_points",
            columns=range(num_classes),
            num_classes=num_classes,
        )
    )


def class_order(tree: ClassTree | None, num_classes: int) -> list[int]:
    """Labels in the order of the tree's leaves, or in their own order without one."""
    if tree is None:
        return list(range(num_classes))
    return scipy.cluster.hierarchy.leaves_list(tree.linkage).tolist()
