"""Which classes belong together, from what not learning one costs the other."""

import numpy as np
import scipy.cluster.hierarchy
import scipy.spatial.distance


def class_linkage(differences: np.ndarray) -> np.ndarray | None:
    """Clusters classes by average linkage.

    Two classes are close where confusing one (with whatever) costs the other accuracy:
    `distance(T, C) = max(cost) - cost(T, C)`, `cost` the mean of both directions.

    Args:
        differences: Float array `(K, K)`, confused minus comparison, of target T (rows)
            and class C (columns), in percentage points; the diagonal is not read.

    Returns:
        A SciPy linkage matrix `(K - 1, 4)` with leaves ordered so that neighbours are
        close, or `None` if for two classes neither direction was measured.

    Example:
        >>> differences = np.array([[0, -4, 1.], [-4, 0, 1], [1, 1, 0]])
        >>> sorted(class_linkage(differences)[0, :2].tolist())  # 0 and 1 merge first
        [0.0, 1.0]
    """
    both = np.stack([differences, differences.T])
    known = np.isfinite(both)
    off_diagonal = ~np.eye(len(differences), dtype=bool)
    if not known.any(axis=0)[off_diagonal].all():
        return None
    cost = -np.where(known, both, 0).sum(axis=0) / np.maximum(known.sum(axis=0), 1)
    distance = cost[off_diagonal].max() - cost
    np.fill_diagonal(distance, 0)
    condensed = scipy.spatial.distance.squareform(distance, checks=False)
    return scipy.cluster.hierarchy.linkage(
        condensed, method="average", optimal_ordering=True
    )


def class_order(linkage: np.ndarray | None, num_classes: int) -> list[int]:
    """Labels in the order of the dendrogram's leaves, or in their own order."""
    if linkage is None:
        return list(range(num_classes))
    return scipy.cluster.hierarchy.leaves_list(linkage).tolist()
