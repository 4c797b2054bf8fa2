"""When prototypes are made during a training: after whole epochs, or between them."""

import math
from collections.abc import Sequence

# TensorBoard keeps all of them in memory.
MOST_MOMENTS = 1000


class Moments:
    """Moments of a training, each of which is due once.

    Args:
        positions: How many epochs, or steps, are over then, by percent of the training;
            both rise.
        are_steps: Whether positions count steps.
    """

    def __init__(self, positions: dict[float, int], *, are_steps: bool):
        self.percentages = list(positions)
        self.are_steps = are_steps
        self._positions = list(positions.values())
        self._num_past = 0

    def due(self, position: int) -> int | None:
        """The number of the last moment up to a position, from 0, if it is new.

        Those before it that were missed stay so: its network is not theirs.
        """
        num_past = sum(moment <= position for moment in self._positions)
        if num_past <= self._num_past:
            return None
        self._num_past = num_past
        return num_past - 1


def check(every: int | None, at: Sequence[float] | None) -> None:
    """Refuses what is no choice of moments in any training.

    Raises:
        ValueError: If both are given, or one makes no sense.
    """
    if every is not None and at is not None:
        raise ValueError(
            "Expected one of `every` (epochs) and `at` (percentages of the training). "
            f"Received: every={every!r}, at={at!r}. Leave one of them out."
        )
    if every is not None and not (isinstance(every, int) and every >= 1):
        raise ValueError(
            "Expected `every` to be a number of epochs, at least 1. Received: "
            f"{every!r}."
        )
    if at is not None:
        rising = all(a < b for a, b in zip(at, at[1:], strict=False))
        if not (len(at) and rising and at[0] > 0 and at[-1] <= 100):
            raise ValueError(
                "Expected `at` to hold percentages above 0 and up to 100, rising. "
                f"Received: {at!r}. Use for example (25, 50, 100)."
            )


def after_epochs(every: int, num_epochs: int) -> Moments:
    """Every so many epochs, and after the last.

    Raises:
        ValueError: If they are too many.
    """
    epochs = [*range(every, num_epochs, every), num_epochs]
    if len(epochs) > MOST_MOMENTS:
        raise ValueError(
            f"Expected prototypes at most {MOST_MOMENTS} times. Received: "
            f"{len(epochs)} times in {num_epochs} epochs. Use every="
            f"{math.ceil(num_epochs / MOST_MOMENTS)}."
        )
    # As far as it matters: of thousands of epochs, no two are alike.
    return Moments(
        {round(100 * epoch / num_epochs, 2): epoch for epoch in epochs}, are_steps=False
    )


def at_percentages(
    at: Sequence[float], num_epochs: int, steps_per_epoch: int | None
) -> Moments:
    """At percentages of the training: whole epochs if all of them are, else steps.

    Args:
        at: Percentages in (0, 100], rising.
        num_epochs: Of the training.
        steps_per_epoch: `None` where that is not known before the first epoch is over.

    Raises:
        ValueError: If steps would have to be counted that are not known.
    """
    epochs = {percentage: percentage * num_epochs / 100 for percentage in at}
    if all(abs(epoch - round(epoch)) < 1e-6 for epoch in epochs.values()):
        positions = {key: round(epoch) for key, epoch in epochs.items()}
        return Moments(positions, are_steps=False)
    if steps_per_epoch is None:
        raise ValueError(
            "Expected `at` to name whole epochs, as the data do not tell how many "
            f"steps an epoch has. Received: {tuple(at)} of {num_epochs} epochs. Use "
            "`every=`, or `steps_per_epoch=` of `fit`."
        )
    positions = {
        key: max(1, round(epoch * steps_per_epoch)) for key, epoch in epochs.items()
    }
    return Moments(positions, are_steps=True)
