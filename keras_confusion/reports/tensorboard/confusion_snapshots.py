"""A confusion study as the plugin's arrays, and when to make them again.

The arrays are those of `tb_plugin.metadata`. Needs no TensorFlow.
"""

import time
from collections.abc import Callable

import numpy as np
import pandas as pd

from keras_confusion.comparisons import (
    clustering,
    findings,
    group_statistics,
    responses,
    target_by_class,
    target_by_pair,
)
from keras_confusion.datasets import class_pairs
from tb_plugin import metadata

# See `Schedule`.
MIN_GROWTH = 0.05
MIN_SECONDS = 5.0
TIMES_ITS_OWN = 10
BYTES_A_DOUBLING = 10_000_000
# See `BlockSchedule`.
SINGLE_CELLS = 30_000
BLOCK_GROWTH = 0.01
BLOCK_SHARE_OF_TIME = 0.001
LEAST_BLOCK_SECONDS, MOST_BLOCK_SECONDS = 5.0, 300.0

_WELCH_COLUMNS = [name for name in metadata.CELL_COLUMNS if name.startswith("welch_")]


class BlockSchedule:
    """Says when a block of networks is to be written.

    A point of a tag costs TensorBoard some kB of memory, whatever is in it. So networks
    are written one by one until networks x classes reach `SINGLE_CELLS`, then in
    blocks: of the share `BLOCK_GROWTH` of those before, or of what comes in during
    `BLOCK_SHARE_OF_TIME` of the study's time, at least `LEAST_BLOCK_SECONDS` and at
    most `MOST_BLOCK_SECONDS`. A study of a quarter of a million networks gets some
    hundred points where its networks are written again, and some thousand in a month
    of training.

    Args:
        num_classes: Number of classes.
        clock: Returns seconds.
    """

    def __init__(self, num_classes: int, clock: Callable[[], float] = time.monotonic):
        self._num_single = SINGLE_CELLS // num_classes
        self._clock = clock
        self._begun = self._last = clock()
        self._num_written = 0

    def is_due(self, num_networks: int) -> bool:
        """Whether it is time for a block that ends with so many networks."""
        num_waiting = num_networks - self._num_written
        if num_networks <= self._num_single:
            return num_waiting > 0
        now = self._clock()
        wait = np.clip(
            BLOCK_SHARE_OF_TIME * (now - self._begun),
            LEAST_BLOCK_SECONDS,
            MOST_BLOCK_SECONDS,
        )
        is_large = num_waiting >= BLOCK_GROWTH * self._num_written
        return num_waiting > 0 and (is_large or now - self._last >= wait)

    def written(self, num_networks: int) -> None:
        """Takes note of a block that ended with so many networks."""
        self._num_written, self._last = num_networks, self._clock()


class Schedule:
    """Says when the next snapshot is due.

    Snapshots stay in the event file, and TensorBoard reads all of them; while a study
    runs, its networks come first. So a snapshot is made when

    - the networks have grown by the share `MIN_GROWTH`,
    - and by so much more that, while they double, `BYTES_A_DOUBLING` are added,
    - `MIN_SECONDS` have passed,
    - and `TIMES_ITS_OWN` times what the last snapshot took.

    Args:
        clock: Returns seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic):
        self._clock = clock
        self.num_networks = 0
        self._growth, self._next = 0.0, clock() + MIN_SECONDS

    def is_due(self, num_networks: int) -> bool:
        """Whether it is time for a snapshot of so many networks."""
        enough = (1 + self._growth) * self.num_networks
        return num_networks > self.num_networks and (
            num_networks >= enough and self._clock() >= self._next
        )

    def made(self, num_networks: int, num_bytes: int, seconds: float) -> None:
        """Takes note of a snapshot."""
        self.num_networks = num_networks
        self._growth = max(MIN_GROWTH, num_bytes / BYTES_A_DOUBLING)
        self._next = self._clock() + max(MIN_SECONDS, TIMES_ITS_OWN * seconds)


def describe(description: dict, test: str) -> dict:
    """What the study is about, with the keys of `metadata.CONFUSION_KEYS`.

    Args:
        description: What `study.json` says, see `StudyFolder`.
        test: One of `findings.TESTS`.
    """
    settings = dict(description["settings"])
    pairs = settings.pop("pairs")
    class_names = description["class_names"]
    num_planned = settings["baseline_repeats"] + len(pairs) * settings["repeats"]
    return {
        "kind": metadata.KIND_CONFUSION,
        "class_names": class_names,
        "pairs": pairs,
        "num_planned": num_planned,
        "columns": metadata.CELL_COLUMNS,
        "reasons": group_statistics.REASONS,
        "has_all_pairs": class_pairs.has_all_pairs(pairs, len(class_names)),
        "test": test,
        "settings": settings,
    }


def has_pair_cells(description: dict) -> bool:
    """Whether pairs x classes are few enough for arrays of them."""
    num_pairs = len(description["settings"]["pairs"])
    return num_pairs * len(description["class_names"]) <= metadata.MAX_PAIR_CELLS


def has_baseline_cells(description: dict) -> bool:
    """Whether single baseline networks without each pair are few enough, too."""
    settings = description["settings"]
    num_cells = len(settings["pairs"]) * len(description["class_names"])
    return (
        has_pair_cells(description)
        and num_cells * settings["baseline_repeats"] <= metadata.MAX_BASELINE_CELLS
    )


def network(row: dict, pair: int) -> np.ndarray:
    """A row of `metadata.TAG_NETWORKS`.

    Args:
        row: A row of `network_files.SCHEMA`.
        pair: Number of its pair, -1 for the baseline.
    """
    columns = {
        "pair": pair,
        "repeat": row["repeat"],
        "failed": bool(row["failed"]),
        "finished_at": row["finished_at"].timestamp(),
        "seconds": row["seconds"],
    }
    return np.array([columns[name] for name in metadata.NETWORK_COLUMNS], np.float64)


def correct_images(shares: np.ndarray, test_images: np.ndarray) -> np.ndarray:
    """A row of `metadata.TAG_CORRECT`.

    Args:
        shares: float64 `(2, K)`: accuracies of classes, and without the network's own
            pair; NaN where there are none.
        test_images: int array `(K,)`, test images of every class.

    Returns:
        Unsigned integers `(2 * K,)`, of as few bytes as hold all numbers of images.
    """
    # One number more, for none.
    dtype = np.min_scalar_type(int(test_images.max()) + 1)
    none = np.iinfo(dtype).max
    counts = np.where(np.isfinite(shares), np.rint(shares * test_images), none)
    return counts.astype(dtype).ravel()


def snapshot(
    description: dict, study: responses.StudyResponses, test: str
) -> dict[str, np.ndarray]:
    """All comparisons of some networks, by tag.

    Args:
        description: What `study.json` says, see `StudyFolder`.
        study: The responses of the networks. Where there are too few of them, cells
            are NaN and have a reason.
        test: One of `findings.TESTS`, which differences and q-values are those of. The
            order of the classes is the same by all of them.

    Returns:
        Arrays of `metadata.TAG_BY_CLASS`, `TAG_BY_PAIR`, `TAG_LEVEL_SHIFTS` and
        `TAG_CLASS_ORDER`, those that this study has.
    """
    class_names, pairs = description["class_names"], description["settings"]["pairs"]
    num_classes = len(class_names)
    arrays = {metadata.TAG_LEVEL_SHIFTS: target_by_class.level_shifts(study)}
    if has_pair_cells(description):
        by_pair = target_by_pair.target_by_pair(study, class_names)
        number = {tuple(pair): index for index, pair in enumerate(pairs)}
        row_pairs = zip(by_pair["class_a"], by_pair["class_b"], strict=True)
        arrays[metadata.TAG_BY_PAIR] = _cells(
            by_pair,
            test,
            np.array([number[pair] for pair in row_pairs]),
            by_pair["target"].to_numpy(int),
            shape=(len(pairs), num_classes),
        )
    if class_pairs.has_all_pairs(pairs, num_classes):
        by_class = target_by_class.target_by_class(study, class_names)
        arrays[metadata.TAG_BY_CLASS] = _cells(
            by_class,
            test,
            by_class["target"].to_numpy(int),
            by_class["class"].to_numpy(int),
            shape=(num_classes, num_classes),
        )
        tree = clustering.tree_of_table(by_class, num_classes)
        if tree is not None:
            order = clustering.class_order(tree, num_classes)
            arrays[metadata.TAG_CLASS_ORDER] = np.array(order, np.int64)
    return arrays


def _cells(table: pd.DataFrame, test: str, first, second, *, shape) -> np.ndarray:
    """Float64 `(responses, *shape, columns)`, NaN where the table has no row."""
    values = np.full(
        (len(metadata.RESPONSES), *shape, len(metadata.CELL_COLUMNS)), np.nan
    )
    response = table["response"].map(metadata.RESPONSES.index).to_numpy(int)
    # In the table, those without a test's name are Welch's.
    welch = {name: table[name.removeprefix("welch_")] for name in _WELCH_COLUMNS}
    told = findings.with_test(table.assign(**welch), test)
    numbers = told.assign(reason=told["reason"].map(group_statistics.REASONS.index))
    columns = list(metadata.CELL_COLUMNS)
    values[response, first, second] = numbers[columns].to_numpy(np.float64)
    return values
