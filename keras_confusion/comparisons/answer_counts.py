"""How often a network gives which class, in whole numbers of test images.

Leaving out two classes changes few answers. So the counts of a network with every pair
left out in turn are kept as a few numbers, of which those of one pair are made: with u
the true class of an image and f, s, t the three most probable labels in order, the
images of class T that are given T where a and b are left out are

    #(u = T, f = T) + A[T, a] + A[T, b] + B[T, {a, b}]
    A[T, c] = #(u = T, f = c, s = T),   B[T, {a, b}] = #(u = T, {f, s} = {a, b}, t = T)

and in the same way for images of other classes, see `pair_false_positives`.
"""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from keras_confusion.confusion.answers import is_in, winners_without_pair
from keras_confusion.datasets.class_pairs import Pair


class PairCounts(NamedTuple):
    """Counts of one network that hold for every pair that is left out.

    Args:
        plain: int array `(K,)`, by target, with no class left out.
        class_changes: int array `(K, K)`, what leaving out a class (second axis) adds
            to a target.
        cells: int array `(m,)`, `pair * K + target` where both together add something.
        added: int array `(m,)`, what is added there, 1 or -1.
    """

    plain: np.ndarray
    class_changes: np.ndarray
    cells: np.ndarray
    added: np.ndarray


def pair_table(pairs: Iterable[Pair], num_classes: int) -> np.ndarray:
    """The number of every pair, int array `(K, K)`, -1 where it is none."""
    table = np.full((num_classes, num_classes), -1, np.int64)
    for index, (a, b) in enumerate(pairs):
        table[a, b] = table[b, a] = index
    return table


def count_answers(
    winners: np.ndarray, test_labels: np.ndarray, num_classes: int
) -> tuple[np.ndarray, np.ndarray]:
    """Hits and false positives of one network.

    Args:
        winners: int array `(num_test,)`, the labels that are given.
        test_labels: int array `(num_test,)`.
        num_classes: Number of classes, K.

    Returns:
        Two int arrays `(K,)`: the test images of a class that are given the class, and
        the other test images that are.
    """
    hits = np.bincount(test_labels[winners == test_labels], minlength=num_classes)
    return hits, np.bincount(winners, minlength=num_classes) - hits


def count_without_pair(
    top_labels: np.ndarray, test_labels: np.ndarray, pair: Pair, num_classes: int
) -> tuple[np.ndarray, np.ndarray]:
    """As `count_answers`, with a pair left out of the race.

    Images of the pair cannot be given their own class here; where the network puts
    them instead says nothing about the other classes, so they are left out too.

    Args:
        top_labels: int array `(3, num_test)`.
        test_labels: int array `(num_test,)`.
        pair: Two classes.
        num_classes: Number of classes, K.
    """
    winners = winners_without_pair(top_labels, pair)
    outside = ~is_in(test_labels, pair)
    return count_answers(winners[outside], test_labels[outside], num_classes)


def pair_hits(
    top_labels: np.ndarray, test_labels: np.ndarray, numbers: np.ndarray
) -> PairCounts:
    """Hits of one network, with any pair left out.

    Args:
        top_labels: int array `(3, num_test)`.
        test_labels: int array `(num_test,)`.
        numbers: As `pair_table` returns it.
    """
    num_classes = len(numbers)
    first, second, third = top_labels
    true = test_labels.astype(np.int64)
    plain = np.bincount(true[first == test_labels], minlength=num_classes)
    by_one, by_two = second == test_labels, third == test_labels
    pair = numbers[first[by_two], second[by_two]]
    cells = (pair * num_classes + true[by_two])[pair >= 0]
    class_changes = _matrix(true[by_one], first[by_one], num_classes)
    return PairCounts(plain, class_changes, cells, np.ones(len(cells), np.int64))


def pair_false_positives(
    top_labels: np.ndarray, test_labels: np.ndarray, numbers: np.ndarray
) -> PairCounts:
    """False positives of one network, with any pair left out.

    Images of the pair do not count, see `count_without_pair`. Of target T, with pair
    {a, b}, they are the sum over c in {a, b} of

        #(f = c, s = T, u not in {c, T}) - #(u = c, f = T)

    beside #(f = T, u != T) and, for both classes together,

        #({f, s} = {a, b}, t = T, u not in {a, b, T}) - #({u, f} = {a, b}, s = T)

    Args:
        top_labels: int array `(3, num_test)`.
        test_labels: int array `(num_test,)`.
        numbers: As `pair_table` returns it.
    """
    num_classes = len(numbers)
    first, second, third = top_labels
    true = test_labels.astype(np.int64)
    wrong = first != test_labels
    plain = np.bincount(first[wrong], minlength=num_classes)
    gained = wrong & (second != test_labels)
    class_changes = _matrix(second[gained].astype(np.int64), first[gained], num_classes)
    class_changes -= _matrix(first[wrong].astype(np.int64), true[wrong], num_classes)
    gained &= third != test_labels
    pair, lost = numbers[first[gained], second[gained]], numbers[true, first]
    cells = (pair * num_classes + third[gained])[pair >= 0]
    is_lost = wrong & (lost >= 0)
    less = lost[is_lost] * num_classes + second[is_lost]
    signs = np.repeat([1, -1], [len(cells), len(less)])
    return PairCounts(plain, class_changes, np.concatenate([cells, less]), signs)


def counts_of_pairs(counts: PairCounts, pairs: np.ndarray) -> np.ndarray:
    """Makes the counts of every pair.

    Args:
        counts: As `pair_hits` or `pair_false_positives` returns them, or sums of them.
        pairs: int array `(P, 2)`, as `pair_table` had them.

    Returns:
        int array `(P, K)`; what it has for the pair's own classes means nothing.
    """
    num_classes, class_changes = len(counts.plain), counts.class_changes.T
    size = len(pairs) * num_classes
    joint_changes = np.bincount(counts.cells, weights=counts.added, minlength=size)
    return (
        counts.plain
        + class_changes[pairs[:, 0]]
        + class_changes[pairs[:, 1]]
        + joint_changes.astype(np.int64).reshape(len(pairs), num_classes)
    )


def _matrix(rows: np.ndarray, columns: np.ndarray, num_classes: int) -> np.ndarray:
    """How often every row and column come together, `(K, K)`."""
    counts = np.bincount(rows * num_classes + columns, minlength=num_classes**2)
    return counts.reshape(num_classes, num_classes)
