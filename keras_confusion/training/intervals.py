"""Which examples a network sees until it is trained by 25, 40, ... 100 percent.

Two ways to divide a training: "data", after Dean & Sarkar (arXiv 2305.15563), where
one network goes on training on growing parts of the training set; and "steps", where
one training on all of it is looked at on its way.
"""

import math
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

# The poster's, in percent.
PERCENTAGES: tuple[float, ...] = (25, 40, 60, 70, 80, 90, 100)
INTERVALS_OF = ("data", "steps")


def stratified_part(
    labels: ArrayLike, percentage: float, *, seed: int
) -> NDArray[np.int64]:
    """Indices of a part of every class.

    Args:
        labels: Integers `(n,)`.
        percentage: Share of each class, above 0 and up to 100; rounded, at least one
            example of each.
        seed: Integer, 0 or more. With the same seed a larger part holds a smaller one.

    Returns:
        Indices in ascending order.

    Example:
        >>> labels = np.array([0, 0, 0, 0, 1, 1])
        >>> len(stratified_part(labels, 50, seed=0))
        3
    """
    labels = np.asarray(labels)
    parts = []
    for label in np.unique(labels):
        examples = np.flatnonzero(labels == label)
        generator = np.random.default_rng(np.random.SeedSequence((seed, int(label))))
        size = max(1, round(len(examples) * percentage / 100))
        parts.append(generator.permutation(examples)[:size])
    return np.sort(np.concatenate(parts))


def interval_epochs(
    labels: ArrayLike,
    percentages: Sequence[float] = PERCENTAGES,
    *,
    interval_of: str = "data",
    epochs: int,
    batch_size: int,
    seed: int,
) -> list[list[NDArray[np.int64]]]:
    """The batches of every interval, epoch by epoch.

    Args:
        labels: True labels of the training examples, `(n,)`.
        percentages: Ascending, above 0 and up to 100.
        interval_of: "data": every interval is a training of its own, `epochs` passes
            over so many percent of each class. "steps": the intervals cut one
            training of `epochs` passes over all examples, after so many percent of
            its steps.
        epochs: Passes, at least 1.
        batch_size: Examples of a batch. Every epoch has another order; the examples
            that are left over when it is cut into batches are not seen in it.
        seed: Integer, 0 or more, from which parts and orders are drawn.

    Returns:
        For every interval a list of integer arrays `(num_steps, batch_size)` of
        indices; in "steps" an epoch that a limit cuts lies in two intervals.

    Raises:
        ValueError: If an argument is not as above.
    """
    labels = np.asarray(labels)
    check_percentages(percentages, interval_of)
    if epochs < 1 or batch_size < 1:
        raise ValueError(
            "Expected `epochs` and `batch_size` of at least 1. "
            f"Received: {epochs} and {batch_size}."
        )
    if interval_of == "data":
        return [
            [
                _batches(
                    stratified_part(labels, percentage, seed=seed),
                    batch_size,
                    (seed, interval, epoch),
                )
                for epoch in range(epochs)
            ]
            for interval, percentage in enumerate(percentages)
        ]
    everything = np.arange(len(labels))
    by_epoch = [
        _batches(everything, batch_size, (seed, epoch)) for epoch in range(epochs)
    ]
    num_steps = total_steps(len(labels), epochs=epochs, batch_size=batch_size)
    limits = [0, *(math.ceil(num_steps * p / 100) for p in percentages)]
    if len(set(limits)) < len(limits):
        raise ValueError(
            f"Expected at least one step in every interval. Received: {num_steps} "
            f"steps in all, and {list(percentages)} %. Use more epochs."
        )
    return [
        list(_between(by_epoch, first, last))
        for first, last in zip(limits[:-1], limits[1:], strict=True)
    ]


def total_steps(num_examples: int, *, epochs: int, batch_size: int) -> int:
    """Steps of a training of `epochs` passes over all examples, in whole batches."""
    return epochs * (num_examples // min(batch_size, num_examples))


def check_percentages(percentages: Sequence[float], interval_of: str) -> None:
    """Raises `ValueError` unless the percentages rise from above 0 to at most 100."""
    # NaN fails every comparison.
    ascending = all(a < b for a, b in zip([0, *percentages], percentages, strict=False))
    if not percentages or not ascending or not percentages[-1] <= 100:
        raise ValueError(
            "Expected intervals as percentages that rise, above 0 and up to 100. "
            f"Received: {list(percentages)!s:.80}. Use for example 25 50 100."
        )
    if len({f"{percentage:g}" for percentage in percentages}) < len(percentages):
        raise ValueError(
            "Expected intervals that differ in their first six digits, which name "
            f"their folders. Received: {list(percentages)!s:.80}."
        )
    if interval_of not in INTERVALS_OF:
        raise ValueError(
            f"Expected `interval_of` to be one of {INTERVALS_OF}. "
            f"Received: {interval_of!r}."
        )


def _batches(
    examples: NDArray[np.int64], batch_size: int, entropy: tuple[int, ...]
) -> NDArray[np.int64]:
    """One epoch in a random order, cut into batches: `(num_steps, batch_size)`."""
    generator = np.random.default_rng(np.random.SeedSequence(entropy))
    order = generator.permutation(examples)
    batch_size = min(batch_size, len(order))
    num_steps = len(order) // batch_size
    return order[: num_steps * batch_size].reshape(num_steps, batch_size)


def _between(
    by_epoch: list[NDArray[np.int64]], first: int, last: int
) -> Iterator[NDArray[np.int64]]:
    """The steps from `first` to before `last`, still by epoch."""
    start = 0
    for batches in by_epoch:
        cut = batches[max(first - start, 0) : max(last - start, 0)]
        if len(cut):
            yield cut
        start += len(batches)
