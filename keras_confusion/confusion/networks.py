"""From places in a study's plan to rows of trained networks."""

import math
import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from keras_confusion import errors
from keras_confusion.confusion import answers as confusion_answers
from keras_confusion.confusion import head_responses, network_files
from keras_confusion.confusion.plan import Network, StudyPlan
from keras_confusion.execution import provenance

# Modules that import TensorFlow are imported in the functions that need them.

MAX_ATTEMPTS = 2
# After fewer any network may still give one answer to everything.
ENOUGH_STEPS = 100
# Of float32 logits.
_ROUNDING = 1e-6


def train_networks(plan: StudyPlan, networks: Sequence[Network]) -> list[dict]:
    """Trains networks, packed into one program if several, without writing rows.

    Those that failed are trained again from other seeds: whose loss or answers are not
    finite, or who give one answer to all test examples, see `ENOUGH_STEPS`.

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
    """Trains networks once, and says which of them failed."""
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
    num_steps = settings.epochs * math.ceil(
        dataset.train.num_examples / plan.recipe.batch_size
    )
    rows = []
    for number, (pair, repeat) in enumerate(networks):
        failure = _failure(losses[number], logits[number], dataset, num_steps)
        row: dict[str, Any] = {
            "arm": network_files.arm_name(pair),
            "class_a": None if pair is None else pair[0],
            "class_b": None if pair is None else pair[1],
            "repeat": repeat,
            **seeds[number],
            "recipe": settings.recipe,
            "epochs": settings.epochs,
            "attempt": attempt,
            "failed": failure is not None,
            "note": f"Attempt {attempt + 1} failed: {failure}" if failure else "",
            "seconds": seconds,
            "study": plan.study,
            "code": provenance.code_version(),
        }
        if failure is None:
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


def _failure(
    losses: np.ndarray, logits: np.ndarray, dataset, num_steps: int
) -> str | None:
    """Why a network is no classifier; `None` if it is one.

    Args:
        losses: Mean of every epoch, `(epochs,)`.
        logits: Its answers to the test set, `(num_test, K)`.
        dataset: The `labelled_dataset.LabelledDataset`.
        num_steps: Steps of its training.
    """
    is_finite = np.isfinite(losses)
    if not is_finite.all():
        epoch = int(np.argmin(is_finite))
        return (
            f"The training loss was {losses[epoch]} in epoch {epoch + 1} of "
            f"{len(losses)}."
        )
    is_finite = np.isfinite(logits).all(axis=1)
    if not is_finite.all():
        return (
            f"Answers to {(~is_finite).sum()} of {len(logits)} test examples were not "
            "finite."
        )
    labels = logits.argmax(axis=1)
    is_constant = np.ptp(logits, axis=0).max() <= _ROUNDING * np.abs(logits).max()
    if is_constant or num_steps >= ENOUGH_STEPS and (labels == labels[0]).all():
        return (
            f"It gave one answer to all {len(labels)} test examples: "
            f"{dataset.class_names[labels[0]]}."
        )
    return None


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
