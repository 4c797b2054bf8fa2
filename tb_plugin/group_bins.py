"""A group of networks in a few numbers, where too many are there to draw each."""

import math

import numpy as np

# Networks of a group that a page draws one by one.
MAX_DOTS = 3000
MAX_BINS = 120


def summary(values: np.ndarray, step: float | None = None) -> dict:
    """How many networks, their mean and spread, and their distribution.

    Args:
        values: float64 (n,), shares; NaN where there is none.
        step: From one possible accuracy to the next, one test image; where it is known.

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
        "bins": _bins(known, step) if len(values) > MAX_DOTS and number else None,
    }


def _bins(values: np.ndarray, step: float | None) -> list[list]:
    """Bins of one step each, or of as many as `MAX_BINS` needs.

    Accuracies of few test images are steps: bins of another width would hold now more
    of them, now fewer. Where levels were taken out, all are moved by nearly the same.
    """
    lowest, highest = values.min(), values.max()
    if step is None:
        step = max((highest - lowest) / (MAX_BINS - 1), np.finfo(np.float64).eps)
    # The mean place within a step, on a circle.
    angle = np.angle(np.exp(2j * np.pi / step * values).mean())
    edge = angle / (2 * np.pi) * step - step / 2
    together = math.ceil(((highest - lowest) / step + 1) / MAX_BINS)
    width = together * step
    places, counts = np.unique(np.floor((values - edge) / width), return_counts=True)
    lows = edge + places * width
    return [
        [low, low + width, number]
        for low, number in zip(lows.tolist(), counts.tolist(), strict=True)
    ]
