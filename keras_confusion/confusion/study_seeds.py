"""The seeds of every network of a study, all derived from the study's one."""

from typing import Any

import numpy as np

from keras_confusion.confusion.settings import StudySettings


def network_seeds(
    settings: StudySettings, repeat: int, pair, attempt: int
) -> dict[str, Any]:
    """Seeds of one network.

    With shared seeds the networks of one repeat have the same initial weights and
    order, so that their differences come from the labels; which labels are wrong is
    drawn for each network on its own. Else all seeds are the network's own.

    Args:
        settings: The study's settings.
        repeat: Number of the repeat, from 0.
        pair: (a, b), or `None` for the baseline.
        attempt: 0; 1 for the second attempt of a network whose loss was not finite.

    Returns:
        `seed`, `initialisation_seed`, `order_seed` and `corruption_seed`, integers
        from 0 to 2**32 - 1 (`seed`: 2**63 - 1). `corruption_seed` is `None` where
        labels are those of the data set: in the baseline, unless a null study gives it
        as many wrong ones as the arms.
    """
    arm = pair or ()
    source = np.random.SeedSequence(
        (settings.seed, repeat, attempt),
        spawn_key=() if settings.shared_seeds else (1, *arm),
    )
    seed = int(source.generate_state(1, np.uint64)[0] >> np.uint64(1))

    def derived(*key) -> int:
        return int(np.random.SeedSequence(seed, spawn_key=key).generate_state(1)[0])

    is_corrupted = pair is not None
    if settings.corruption == "null":
        is_corrupted = settings.settled_fraction > 0
    return {
        "seed": seed,
        "initialisation_seed": derived(0),
        "order_seed": derived(1),
        "corruption_seed": derived(2, *arm) if is_corrupted else None,
    }
