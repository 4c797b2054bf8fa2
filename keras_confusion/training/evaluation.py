"""Tests a classifier, overall, class by class, and under attack."""

import dataclasses
from collections.abc import Iterator

import keras
import numpy as np

from keras_confusion.datasets import labelled_dataset
from keras_confusion.models.attacks import pgd
from keras_confusion.training.trainer import EVALUATION_BATCH_SIZE

# Attacked images: the standard error of a share is at most 0.016.
NUM_ATTACKED = 1000
# At which a network that was trained with some eps is attacked.
_SHARES_OF_EPS = (0.5, 1.0, 2.0)


@dataclasses.dataclass(frozen=True, eq=False)
class TestResult:
    """How well a classifier does on the test set.

    Args:
        accuracy: Share of the test images that are right.
        class_accuracies: The same for the images of every class, `(K,)`.
        loss: Mean cross-entropy, nats.
    """

    accuracy: float
    class_accuracies: np.ndarray
    loss: float


def test_classifier(
    model: keras.Model, dataset: labelled_dataset.LabelledDataset
) -> TestResult:
    """Tests a classifier on the test set of a data set."""
    images, labels = dataset.test.arrays()
    logits = np.concatenate(
        [
            np.asarray(model(labelled_dataset.to_unit_range(batch), training=False))
            for batch in _parts(images)
        ]
    )
    right = logits.argmax(axis=1) == labels
    losses = keras.ops.sparse_categorical_crossentropy(labels, logits, from_logits=True)
    counts = np.bincount(labels, minlength=dataset.num_classes)
    return TestResult(
        accuracy=float(right.mean()),
        class_accuracies=np.bincount(labels, right, dataset.num_classes) / counts,
        loss=float(np.mean(losses)),
    )


def test_robustness(
    model: keras.Model,
    dataset: labelled_dataset.LabelledDataset,
    *,
    norm: str,
    eps: float,
) -> dict:
    """Tests a classifier under attack by 20 steps of `pgd.pgd`.

    Args:
        model: The classifier.
        dataset: Its data set, of which the first 1,000 test images are taken.
        norm: "l2" or "linf".
        eps: The change that it was trained for; it is attacked by half, all and twice
            as much.

    Returns:
        `norm`; `eps`, three numbers; `accuracy`, shares of images that were right and
        stay right, one for each; `num_images`. JSON types.
    """
    images, labels = (part[:NUM_ATTACKED] for part in dataset.test.arrays())
    sizes = [share * eps for share in _SHARES_OF_EPS]
    accuracies = pgd.robust_accuracy(
        lambda batch: model(batch, training=False),
        np.asarray(labelled_dataset.to_unit_range(images)),
        labels,
        norm=norm,
        eps=sizes,
    )
    return {
        "norm": norm,
        "eps": sizes,
        "accuracy": accuracies,
        "num_images": len(labels),
    }


def _parts(images: np.ndarray) -> Iterator[np.ndarray]:
    for start in range(0, len(images), EVALUATION_BATCH_SIZE):
        yield images[start : start + EVALUATION_BATCH_SIZE]
