"""The analysis of a study of 100 classes: all 4,950 pairs, 251,018 networks.

    python -m benchmarks.speed.large_study
    python -m benchmarks.speed.large_study --quick

draws the answers of 50 networks of every pair and of 3,518 baseline networks to
10,000 test images, writes them in merged files (13 GB in the folder of TMPDIR,
deleted at the end), and measures what reading, responses, both tables and the report
take, and memory. Nothing is trained. About 20 minutes of two cores.

Classes come in families. A network's three most probable labels are those of noisy
scores, in which an image's own class leads and its family follows; confusing a pair
weakens both as rivals, and takes from the classes of their families what these had
learned from them. The networks of a repeat agree on a part of the images.
"""

import argparse
import datetime
import itertools
import pathlib
import tempfile
import time
from collections.abc import Iterator

import numpy as np
import pyarrow as pa

from benchmarks import tables, timing
from benchmarks.speed import analysis_speed
from keras_confusion.confusion import compaction, network_files
from keras_confusion.confusion import store as confusion_store

TITLE = "All pairs of 100 classes"
# As many baseline networks as Dunnett's rule says, 50 times the root of the pairs.
SIZE = {"num_classes": 100, "repeats": 50, "baseline_repeats": 3518}
QUICK_SIZE = {"num_classes": 12, "repeats": 4, "baseline_repeats": 32}
NUM_TEST, QUICK_TEST = 10_000, 600
# Outcomes that are drawn for a class's images; a power of two.
OUTCOMES = 1024
FAMILY = 5
OWN_SCORE, FAMILY_SCORE = 5.5, 1.5
# Confusing a class takes so much from the score of a class of its family.
LEARNED = 0.6
WEAKER_RIVAL = np.log(2)
# Of these images the networks of a repeat say the same, but for their arm.
SHARED_IMAGES = 0.3
# Enough for the best three when an image's own class and two rivals have fallen.
_NUM_SCORES = 6
# Responses of baseline networks without each pair that are in one file.
VALUES_A_FILE = 64_000_000
# Of an arm, and of the baseline, whose rows are larger.
_ROWS_TOGETHER, _BASELINES_TOGETHER = 64, 16


def measure(quick: bool = False) -> list[dict]:
    """Writes the study and analyses it, once.

    Args:
        quick: Takes 12 classes and few networks.

    Returns:
        Rows as `timing.row`.
    """
    size, num_test = (QUICK_SIZE, QUICK_TEST) if quick else (SIZE, NUM_TEST)
    with tempfile.TemporaryDirectory() as temporary:
        directory = pathlib.Path(temporary)
        start = time.perf_counter()
        write_large_study(directory, **size, num_test=num_test)
        writing = time.perf_counter() - start
        num_bytes = sum(
            path.stat().st_size for path in (directory / "networks").iterdir()
        )
        measured = timing.last_json(timing.module("analysis_speed", directory))
    num_pairs = size["num_classes"] * (size["num_classes"] - 1) // 2
    num_networks = num_pairs * size["repeats"] + size["baseline_repeats"]
    contender = f"{num_networks:,} networks"
    remark = f"{num_pairs:,} pairs, {num_bytes / 1e9:.1f} GB on disk"
    rows = [timing.row(contender, "draw and write them", "s", [writing], remark)]
    for step, value in measured.items():
        unit = "MB" if step == analysis_speed.MEMORY else "s"
        rows.append(timing.row(contender, step, unit, [value]))
    return rows


class DrawnNetworks:
    """Networks of arms, a table of `network_files.SCHEMA` at a time.

    Args:
        num_classes: Number of classes, K, at least 6.
        test_labels: int array `(num_test,)`.
        num_repeats: Repeats that an arm may have.
        seed: Of all draws.
    """

    def __init__(
        self, num_classes: int, test_labels: np.ndarray, num_repeats: int, *, seed=0
    ):
        self._rng = np.random.default_rng(seed)
        self._num_classes = num_classes
        self.pairs = list(itertools.combinations(range(num_classes), 2))
        self._start = test_labels.astype(np.int32) * OUTCOMES
        self._labels, self._scores = _outcomes(self._rng, num_classes)
        shape = num_repeats, len(test_labels)
        self._shared = self._rng.integers(OUTCOMES, size=shape, dtype=np.uint16)
        self._is_shared = self._rng.random(len(test_labels)) < SHARED_IMAGES
        self._level = self._rng.uniform(-2, -1, num_classes).astype(np.float32)

    def arm(self, pair: tuple[int, int] | None, repeats) -> pa.Table:
        """The networks of an arm in some repeats; `None` is the baseline."""
        repeats = np.asarray(repeats)
        shape = len(repeats), len(self._start)
        drawn = self._rng.integers(OUTCOMES, size=shape, dtype=np.uint16)
        drawn = np.where(self._is_shared, self._shared[repeats], drawn)
        outcome = self._start + drawn
        top = [rank_labels[outcome] for rank_labels in self._top_labels(pair)]
        size = len(repeats), self._num_classes
        bits = self._level + self._rng.normal(0, 0.05, size).astype(np.float32)
        without = bits[:, None] + self._rng.normal(
            0, 0.01, (1 if pair else len(self.pairs), self._num_classes)
        ).astype(np.float32)
        for row, left_out in enumerate([pair] if pair else self.pairs):
            without[:, row, list(left_out)] = np.nan
        return _table(pair, repeats, top, bits, without, self._num_classes)

    def _top_labels(self, pair) -> np.ndarray:
        """Three labels of every outcome, `(3, K * OUTCOMES)`."""
        labels, scores = self._labels, self._scores
        if pair is not None:
            labels, scores = labels.copy(), scores.copy()
            scores[np.isin(labels, pair)] -= WEAKER_RIVAL
            own = labels == np.arange(self._num_classes)[:, None, None]
            for confused in pair:
                family = confused - confused % FAMILY
                family_classes = slice(family, family + FAMILY)
                scores[family_classes][own[family_classes]] -= LEARNED
                # Of an image of the pair nobody knows which of both it is.
                half = labels[confused, ::2]
                first, second = half == pair[0], half == pair[1]
                half[first], half[second] = pair[1], pair[0]
        best = np.argsort(-scores, axis=-1)[..., :3]
        top = np.take_along_axis(labels, best, axis=-1)
        return np.moveaxis(top, -1, 0).reshape(3, -1)


def write_large_study(
    directory: pathlib.Path,
    *,
    num_classes: int,
    repeats: int,
    baseline_repeats: int,
    num_test: int = 10_000,
    seed: int = 0,
) -> None:
    """Writes a finished study of all pairs.

    Args:
        directory: The study's folder; new or empty.
        num_classes: Number of classes, at least 6 and at most 256.
        repeats: Networks of every arm.
        baseline_repeats: Baseline networks.
        num_test: Test examples.
        seed: Of all draws.
    """
    test_labels = np.arange(num_test) % num_classes
    drawn = DrawnNetworks(
        num_classes, test_labels, max(repeats, baseline_repeats), seed=seed
    )
    confusion_store.open_study(
        directory,
        {
            "settings": {
                "dataset": "generated",
                "pairs": drawn.pairs,
                "repeats": repeats,
                "baseline_repeats": baseline_repeats,
                "epochs": 1,
                "recipe": "annealed",
            },
            "class_names": [f"class {k}" for k in range(num_classes)],
            "dataset_fingerprint": "0",
            "provenance": {},
        },
        test_labels,
    )
    plan = [(None, baseline_repeats), *((pair, repeats) for pair in drawn.pairs)]
    parts = [
        (pair, range(first, min(first + rows, count)))
        for pair, count in plan
        for rows in [_ROWS_TOGETHER if pair else _BASELINES_TOGETHER]
        for first in range(0, count, rows)
    ]
    for file_arms in _files(parts, len(drawn.pairs) * num_classes):
        compaction.write_merged(
            directory,
            (drawn.arm(pair, arm_repeats) for pair, arm_repeats in file_arms),
            num_networks=sum(len(arm_repeats) for _, arm_repeats in file_arms),
        )


def _files(parts: list, num_cells: int) -> Iterator[list]:
    """Puts parts together, about as many networks as a merged file has."""
    file_arms: list = []
    num_networks = num_values = 0
    for pair, repeats in parts:
        file_arms.append((pair, repeats))
        num_networks += len(repeats)
        num_values += 0 if pair else len(repeats) * num_cells
        if num_networks >= compaction.NETWORKS_A_FILE or num_values >= VALUES_A_FILE:
            yield file_arms
            file_arms, num_networks, num_values = [], 0, 0
    if file_arms:
        yield file_arms


def _outcomes(rng, num_classes: int) -> tuple[np.ndarray, np.ndarray]:
    """The likeliest labels and their scores, `(K, OUTCOMES, _NUM_SCORES)` each."""
    classes = np.arange(num_classes)
    labels, scores = [], []
    for label in classes:
        score = rng.gumbel(size=(OUTCOMES, num_classes))
        score[:, classes // FAMILY == label // FAMILY] += FAMILY_SCORE
        # Some classes are harder than others.
        score[:, label] += OWN_SCORE - FAMILY_SCORE + rng.uniform(-1, 1)
        best = np.argpartition(-score, _NUM_SCORES - 1, axis=1)[:, :_NUM_SCORES]
        labels.append(best.astype(np.uint8))
        scores.append(np.take_along_axis(score, best, axis=1).astype(np.float32))
    return np.stack(labels), np.stack(scores)


def _table(pair, repeats, top, bits, without_pair, num_classes: int) -> pa.Table:
    n = len(repeats)
    seconds = np.full(n, 1.0)
    columns = {
        "arm": pa.array([network_files.arm_name(pair)] * n),
        "class_a": pa.array([pair and pair[0]] * n, pa.int16()),
        "class_b": pa.array([pair and pair[1]] * n, pa.int16()),
        "repeat": pa.array(repeats, pa.int32()),
        # The arms of a repeat share it, as in a trained study.
        "seed": pa.array(repeats, pa.int64()),
        "recipe": pa.array(["annealed"] * n),
        "epochs": pa.array([1] * n, pa.int32()),
        "attempt": pa.array([0] * n, pa.int8()),
        "failed": pa.array([False] * n),
        "note": pa.array([""] * n),
        "epoch_losses": _lists(seconds[:, None].astype(np.float32) / 2),
        "final_training_loss": pa.array(seconds / 2),
        "seconds": pa.array(seconds),
        "finished_at": pa.array(
            [datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)] * n,
            pa.timestamp("ms", tz="UTC"),
        ),
        "predictions": _lists(top[0]),
        "second_labels": _lists(top[1]),
        "third_labels": _lists(top[2]),
        "log2_probability": _lists(bits),
        "log2_probability_without_pair": _lists(without_pair.reshape(n, -1)),
    }
    schema = network_files.network_schema(num_classes)
    arrays = [columns.get(field.name, pa.nulls(n, field.type)) for field in schema]
    return pa.Table.from_arrays(arrays, schema=schema)


def _lists(values: np.ndarray) -> pa.ListArray:
    """An array `(n, size)` as n lists."""
    offsets = np.arange(len(values) + 1, dtype=np.int32) * values.shape[1]
    return pa.ListArray.from_arrays(offsets, values.ravel())


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true")
    print(tables.table(measure(parser.parse_args().quick)))


if __name__ == "__main__":
    main()
