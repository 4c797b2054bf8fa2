"""A group of networks in a few numbers, where too many are there to draw each."""

import numpy as np

from tb_plugin import arrays

# Networks of a group that a page draws one by one.
MAX_DOTS = 3000
NUM_BINS = 80
# Accuracies of few test images are steps: a bin is around each of so many.
MAX_STEPS = 120
_SAME = 1e-9


def summary(values: np.ndarray) -> dict:
    """How many networks, their mean and spread, and their distribution.

    Args:
        values: float64 (n,), shares; NaN where there is none.

    Returns:
        `num_networks`, `mean` and `sd` (NaN of too few), all of those that are known.
        `bins`: lists [low, high, number] over all of them, rising, empty bins left out;
        None of at most `MAX_DOTS`.
    """
    known = values[np.isfinite(values)]
    number = len(known)
    return {
        "num_networks": number,
        "mean": known.mean() if number else np.nan,
        "sd": known.std(ddof=1) if number > 1 else np.nan,
        "bins": _bins(known) if len(values) > MAX_DOTS and number else None,
    }


def _bins(values: np.ndarray) -> list[list]:
    steps, counts = np.unique(values, return_counts=True)
    gaps = np.diff(steps)
    if len(steps) <= MAX_STEPS and arrays.is_within(gaps, _SAME, np.inf):
        half = gaps.min() / 2 if len(gaps) else _SAME
        lows, highs = steps - half, steps + half
    else:
        counts, edges = np.histogram(values, NUM_BINS)
        lows, highs = edges[:-1], edges[1:]
    filled = zip(lows, highs, counts, strict=True)
    return [[float(a), float(b), int(number)] for a, b, number in filled if number]
