"""Tests a classifier, overall and class by class."""

import dataclasses
from collections.abc import Iterator

import keras
import numpy as np

from keras_confusion.datasets import labelled_dataset
from keras_confusion.training.trainer import EVALUATION_BATCH_SIZE


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


def _parts(images: np.ndarray) -> Iterator[np.ndarray]:
    for start in range(0, len(images), EVALUATION_BATCH_SIZE):
        yield images[start : start + EVALUATION_BATCH_SIZE]
