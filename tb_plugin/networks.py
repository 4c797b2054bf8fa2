"""The single networks of a confusion study: progress, and those behind a cell."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from tb_plugin import arrays, metadata
from tb_plugin.event_data import Point
from tb_plugin.study_text import DataError

BASELINE = -1
# No network for so many times as long as one takes, and so many seconds: a pause.
_PAUSE_TRAININGS, _PAUSE_SECONDS = 3, 30
NUM_FOR_RATE = 20
# Seconds since 1970, in the year 33658.
_LATEST = 1e12


@dataclasses.dataclass(frozen=True)
class Networks:
    """Finished networks, in the order of their steps; n of them.

    Args:
        steps: int64 (n,), from 1.
        pair: int64 (n,), number of the pair, `BASELINE` for the baseline.
        repeat: int64 (n,).
        failed: bool (n,).
        finished_at: float64 (n,), seconds since 1970.
        seconds: float64 (n,), that the training took.
    """

    steps: np.ndarray
    pair: np.ndarray
    repeat: np.ndarray
    failed: np.ndarray
    finished_at: np.ndarray
    seconds: np.ndarray


def check_networks(points: Sequence[Point], study: dict) -> Networks:
    """Returns the points of TAG_NETWORKS as networks.

    Raises:
        DataError: If they make no sense.
    """
    steps, rows = joined(
        "networks", points, len(metadata.NETWORK_COLUMNS), dtypes=("float64",)
    )
    columns = dict(zip(metadata.NETWORK_COLUMNS, rows.T, strict=True))
    if not (
        arrays.is_whole(columns["pair"], BASELINE, len(study["pairs"]) - 1)
        and arrays.is_whole(columns["repeat"], 0, 2**31)
        and arrays.is_whole(columns["failed"], 0, 1)
        and arrays.is_within(columns["finished_at"], 0, _LATEST)
        and arrays.is_within(columns["seconds"], 0, _LATEST)
    ):
        raise DataError("The numbers of a network make no sense.")
    return Networks(
        steps=steps,
        pair=columns["pair"].astype(np.int64),
        repeat=columns["repeat"].astype(np.int64),
        failed=columns["failed"].astype(bool),
        finished_at=columns["finished_at"],
        seconds=columns["seconds"],
    )


def joined(
    what: str,
    points: Sequence[Point],
    num_columns: int,
    *,
    dtypes: tuple[str, ...],
    columns: slice = slice(None),
) -> tuple[np.ndarray, np.ndarray]:
    """The rows of blocks below each other.

    Args:
        what: In the words of an error.
        points: Of a tag whose steps are the numbers of each block's last row, rising.
        num_columns: That each block has.
        dtypes: Names of the types that it may have.
        columns: Those that are asked for.

    Returns:
        int64 (n,), the step of every row, rising, and the rows.

    Raises:
        DataError: If the blocks make no sense.
    """
    steps = [np.empty(0, np.int64)]
    rows = [np.empty((0, num_columns), dtypes[0])[:, columns]]
    last = 0
    for point in points:
        number = len(point.values) if point.values.ndim else 0
        shape = number, num_columns
        arrays.check_array(what, point.values, shape=shape, dtypes=dtypes)
        if point.step - number < last:
            raise DataError(f"Expected {what} to be counted from 1, each of them once.")
        last = point.step
        steps.append(np.arange(last - number + 1, last + 1, dtype=np.int64))
        rows.append(point.values[:, columns])
    return np.concatenate(steps), np.concatenate(rows)


def progress(
    networks: Networks, *, num_planned: int, num_in_tables: int, now: float
) -> dict:
    """How far a study is, and when it will be done, in the words of `studies`.

    The rate is that of the newest networks, since the newest pause, over which the
    study was stopped.

    Args:
        networks: All of them.
        num_planned: Of the whole study.
        num_in_tables: Networks that entered the comparisons.
        now: Seconds since 1970.
    """
    # Their number too where TensorBoard was told to keep a sample of them.
    num_done = int(networks.steps.max(initial=0))
    newest = np.argsort(networks.finished_at)[-NUM_FOR_RATE:]
    finished_at = networks.finished_at[newest]
    gaps = np.diff(finished_at)
    pauses = gaps > _PAUSE_TRAININGS * networks.seconds[newest][1:] + _PAUSE_SECONDS
    since_pause = gaps[np.flatnonzero(pauses)[-1] + 1 :] if pauses.any() else gaps
    # The mean: workers finish in bursts.
    is_sample = len(networks.steps) < num_done
    gap = since_pause.mean() if len(since_pause) and not is_sample else 0.0
    return {
        "num_done": num_done,
        "num_failed": int(networks.failed.sum()),
        "num_planned": num_planned,
        "num_in_tables": num_in_tables,
        "networks_per_minute": 60 / gap if gap > 0 else None,
        "seconds_left": max(num_planned - num_done, 0) * gap if gap > 0 else None,
        "seconds_since_last": max(now - finished_at[-1], 0.0) if num_done else None,
    }


@dataclasses.dataclass(frozen=True)
class Values:
    """The values of a cell's networks.

    Args:
        values: float64 (m,), responses to the target.
        pair: int64 (m,), repeat: int64 (m,), of each network.
    """

    values: np.ndarray
    pair: np.ndarray
    repeat: np.ndarray


def class_groups(
    networks: Networks,
    values: np.ndarray,
    *,
    pairs: Sequence[Sequence[int]],
    row: int,
    target: int,
) -> tuple[Values, Values]:
    """Networks of the arms with a class and not the target, and with neither.

    Args:
        networks: Those that entered the comparison.
        values: float64 (n,), of each network.
        pairs: The study's.
        row: The class.
        target: The target.
    """
    # A row more, for the baseline: it is in neither group.
    members = np.array([*pairs, (BASELINE, BASELINE)])[networks.pair]
    candidate = (networks.pair != BASELINE) & (members != target).all(axis=1)
    candidate &= ~networks.failed
    has_class = (members == row).any(axis=1)
    return (
        _select(networks, values, candidate & has_class),
        _select(networks, values, candidate & ~has_class),
    )


def pair_groups(
    networks: Networks, confused: np.ndarray, baseline: np.ndarray, *, row: int
) -> tuple[Values, Values]:
    """Networks that confuse a pair, and the baseline networks.

    Args:
        networks: Those that entered the comparison.
        confused: float64 (n,), the value of each network if it confuses the pair.
        baseline: float64 (n,), its value if it is of the baseline.
        row: Number of the pair.
    """
    works = ~networks.failed
    return (
        _select(networks, confused, works & (networks.pair == row)),
        _select(networks, baseline, works & (networks.pair == BASELINE)),
    )


def up_to(networks: Networks, step: int) -> Networks:
    """The networks that were there at a step."""
    known = networks.steps <= step
    return Networks(
        *(getattr(networks, f.name)[known] for f in dataclasses.fields(Networks))
    )


def baseline_without_pair(
    networks: Networks,
    points: Sequence[Point],
    *,
    shape: tuple[int, int],
    row: int,
    target: int,
) -> np.ndarray:
    """The baseline networks' response to the target without a pair.

    Args:
        networks: Those that entered the comparison.
        points: Of TAG_BASELINE_WITHOUT_PAIR.
        shape: Numbers of pairs and of classes.
        row: Number of the pair.
        target: The target.

    Returns:
        float64 (n,), NaN for networks without.

    Raises:
        DataError: If the points make no sense.
    """
    by_step = {
        point.step: arrays.check_array(
            "a baseline network", point.values, shape=shape, dtypes=("float32",)
        )[row, target]
        for point in points
    }
    return np.array([by_step.get(step, np.nan) for step in networks.steps.tolist()])


def _select(networks: Networks, values: np.ndarray, chosen: np.ndarray) -> Values:
    return Values(values[chosen], networks.pair[chosen], networks.repeat[chosen])
