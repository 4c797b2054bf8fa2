"""From places in a study's plan to rows of trained networks."""

import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from keras_confusion import errors
from keras_confusion.confusion import answers as confusion_answers
from keras_confusion.confusion import head_responses, network_files
from keras_confusion.confusion.plan import Network, StudyPlan

# Modules that import TensorFlow are imported in the functions that need them.

MAX_ATTEMPTS = 2


def train_networks(plan: StudyPlan, networks: Sequence[Network]) -> list[dict]:
    """Trains networks, packed into one program if several, without writing rows.

    Those whose loss is not finite are trained again from other seeds.

    Args:
        plan: The study's plan.
        networks: (pair or `None`, repeat) of each, at most as many as the plan's
            trainer takes at a time.

    Returns:
        The row of every network, in their order.
    """
    rows = dict.fromkeys(networks, {"note": "", "seconds": 0.0})
    left = list(networks)
    for attempt in range(MAX_ATTEMPTS):
        trained = _attempt(plan, left, attempt)
        for network, row in zip(left, trained, strict=True):
            before = rows[network]
            rows[network] = row | {
                "note": f"{before['note']} {row['note']}".strip(),
                "seconds": before["seconds"] + row["seconds"],
            }
        left = [network for network in left if rows[network]["failed"]]
        if not left:
            break
    return [rows[network] for network in networks]


def _attempt(plan: StudyPlan, networks: Sequence[Network], attempt: int) -> list[dict]:
    """Trains networks once; those with a loss that is not finite have failed."""
    from keras_confusion.training import trainer as training_trainer

    settings, dataset, trainer = plan.settings, plan.dataset, plan.trainer
    seeds = [plan.seeds(network, attempt) for network in networks]
    tasks = [
        training_trainer.TrainingTask(
            network_seeds["initialisation_seed"],
            network_seeds["order_seed"],
            plan.given_labels(pair, network_seeds["corruption_seed"]),
        )
        for (pair, _), network_seeds in zip(networks, seeds, strict=True)
    ]
    start = time.perf_counter()
    losses = _train(trainer, tasks)
    # Of each, where they are trained together.
    seconds = (time.perf_counter() - start) / len(networks)
    logits = trainer.test_logits()
    is_finite = np.isfinite(losses)
    rows = []
    for number, (pair, repeat) in enumerate(networks):
        row: dict[str, Any] = {
            "arm": network_files.arm_name(pair),
            "class_a": None if pair is None else pair[0],
            "class_b": None if pair is None else pair[1],
            "repeat": repeat,
            **seeds[number],
            "recipe": settings.recipe,
            "epochs": settings.epochs,
            "attempt": attempt,
            "failed": not bool(is_finite[number].all()),
            "note": "",
            "seconds": seconds,
        }
        if row["failed"]:
            epoch = int(np.argmin(is_finite[number]))
            row["note"] = (
                f"Attempt {attempt + 1} failed: The training loss was "
                f"{losses[number, epoch]} in epoch {epoch + 1} of {settings.epochs}."
            )
        else:
            row |= {
                "epoch_losses": losses[number].tolist(),
                "final_training_loss": float(losses[number, -1]),
                **confusion_answers.summarise_logits(
                    logits[number],
                    dataset.test.labels,
                    plan.pairs if pair is None else [pair],
                ),
                **_by_heads(plan, (pair, repeat), attempt, number, logits[number]),
            }
        rows.append(row)
    return rows


def _by_heads(
    plan: StudyPlan, network: Network, attempt: int, place: int, logits: np.ndarray
) -> dict[str, Any]:
    """The columns of `head_responses`, and the logits if they are kept.

    Args:
        plan: The study's plan.
        network: (pair or `None`, repeat).
        attempt: The attempt that it was trained in.
        place: Its place among the networks that were trained together.
        logits: By its own last layer, `(num_test, K)`.
    """
    from keras_confusion.training import linear_heads

    (pair, repeat), labels = network, plan.dataset.test.labels
    row: dict[str, Any]
    row = {"discriminability": head_responses.d_prime_column(logits, labels, pair)}
    kept = {"total": logits}
    if plan.trainer.has_features:
        train, fitted, test = plan.trainer.features(place)
        heads = linear_heads.LinearHeads(train, test, plan.dataset.num_classes)
        right_labels = plan.dataset.train.labels
        kept["features"] = heads.test_logits(right_labels[fitted])
        row["features_discriminability"] = head_responses.d_prime_column(
            kept["features"], labels, pair
        )
        if pair is None and repeat < plan.readout_baselines:

            def logits_of_pair(pair) -> np.ndarray:
                # The labels of the network of the pair in this repeat.
                seed = plan.seeds((pair, repeat), attempt)["corruption_seed"]
                given = plan.given_labels(pair, seed)
                given = right_labels if given is None else given
                return heads.test_logits(given[fitted])

            row["readout_discriminability"] = head_responses.readout(
                logits_of_pair, labels, plan.pairs
            )
    if plan.keep_logits:
        row["logits"] = kept
    return row


def _train(trainer, tasks) -> np.ndarray:
    """Losses of `Trainer.train`; says what to do where the device has no more room."""
    import tensorflow as tf

    try:
        return trainer.train(tasks)
    except tf.errors.ResourceExhaustedError as error:
        number = trainer.num_networks
        instead = (
            f"--networks-per-program {number // 2}"
            if number > 1
            else "a smaller --batch-size"
        )
        raise errors.DeviceMemoryError(
            f"Expected {number} networks in a program to fit into the memory of the "
            f"device. Received: {error.message.splitlines()[0]} "
            f"Use {instead}; what is finished is kept."
        ) from error
