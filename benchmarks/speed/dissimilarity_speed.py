"""Matrices C and R: `dissimilarity` against a plain loop and scikit-learn.

    python -m benchmarks.speed.dissimilarity_speed

Features are random, of 512 numbers, as those of ResNet18. All contenders are checked to
agree before they are timed. Where the plain loop would take minutes, some of its cells
are timed and the time is scaled to all of them.
"""

import argparse
import functools
import time

import numpy as np
import sklearn.metrics.pairwise

from benchmarks import tables, timing
from keras_confusion.prototypes import dissimilarity

TITLE = "Matrices C and R"
REFERENCE = "plain loop"
NUM_FEATURES = 512
CLASSES = (10, 100)
# The plain loop is timed on this many of the n^3 cells at most.
TIMED_CELLS = 20_000
TOLERANCE = 1e-5


def measure(quick: bool = False, *, rounds: int = 7) -> list[dict]:
    """Seconds for both matrices.

    Args:
        quick: Takes one round of few cells.
        rounds: Times each is measured.

    Returns:
        Rows as `timing.row`.
    """
    rounds, timed_cells = (1, 500) if quick else (rounds, TIMED_CELLS)
    rows = []
    for n in CLASSES:
        rng = np.random.default_rng(n)
        features = rng.random((n, n, NUM_FEATURES), np.float32)
        check_agreement(features, cells(n, timed_cells))
        measured = timing.alternate(
            {
                "keras_confusion": timing.seconds_of(
                    functools.partial(both_matrices, features)
                ),
                "scikit-learn": timing.seconds_of(
                    functools.partial(scikit_learn, features)
                ),
                REFERENCE: functools.partial(_timed_loop, features, timed_cells),
            },
            rounds,
        )
        scaled = f"{timed_cells:,} of {n**3:,} cells timed, and scaled"
        for name, quantities in measured.items():
            is_scaled = name == REFERENCE and n**3 > timed_cells
            quantity = f"C and R, {n} classes"
            remark = scaled if is_scaled else ""
            rows.append(timing.row(name, quantity, "s", quantities["seconds"], remark))
    return rows


def both_matrices(features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """C and R by the library, `(n, n, n)` each."""
    return dissimilarity.inter_class(features), dissimilarity.intra_class(features)


def scikit_learn(features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """C and R by scikit-learn, a class at a time."""
    distances = sklearn.metrics.pairwise.cosine_distances
    classes = range(len(features))
    inter = np.stack([distances(features[:, origin]) for origin in classes], axis=1)
    intra = np.stack([distances(features[target]) for target in classes])
    return inter, intra


def plain_loop(features: np.ndarray, chosen) -> tuple[list[float], list[float]]:
    """Cells of C and R from their definitions, one at a time.

    Args:
        features: Shape `(n, n, d)` as (target, origin, feature).
        chosen: Triples (k, j, i) of the cells to compute.
    """

    def compare(x, y) -> float:
        return 1 - float(x @ y / (np.linalg.norm(x) * np.linalg.norm(y)))

    inter, intra = [], []
    for k, j, i in chosen:
        inter.append(compare(features[k, j], features[i, j]))
        intra.append(compare(features[k, j], features[k, i]))
    return inter, intra


def cells(n: int, most: int) -> list[tuple[int, int, int]]:
    """All triples of n classes, or `most` of them, drawn."""
    if n**3 <= most:
        return list(np.ndindex(n, n, n))
    drawn = np.random.default_rng(0).choice(n**3, most, replace=False)
    return [
        (int(k), int(j), int(i))
        for k, j, i in zip(*np.unravel_index(drawn, (n, n, n)), strict=True)
    ]


def check_agreement(features: np.ndarray, chosen) -> None:
    """Raises `AssertionError` unless all contenders give the same cells."""
    index = tuple(np.transpose(chosen))
    expected = plain_loop(features, chosen)
    for compute in (both_matrices, scikit_learn):
        for matrix, loop_cells in zip(compute(features), expected, strict=True):
            np.testing.assert_allclose(matrix[index], loop_cells, atol=TOLERANCE)


def _timed_loop(features: np.ndarray, timed_cells: int) -> dict[str, float]:
    chosen = cells(len(features), timed_cells)
    start = time.perf_counter()
    plain_loop(features, chosen)
    seconds = time.perf_counter() - start
    return {"seconds": seconds * len(features) ** 3 / len(chosen)}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    print(
        tables.table(measure(options.quick, rounds=options.rounds), reference=REFERENCE)
    )


if __name__ == "__main__":
    main()
