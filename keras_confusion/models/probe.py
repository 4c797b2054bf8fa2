"""A classifier to ask about images, and to optimise images on."""

import dataclasses
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

from keras_confusion.models.image_statistics import ImageStatistics
from keras_confusion.models.saving import ModelFolderError, features_model


@dataclasses.dataclass(frozen=True, eq=False)
class Probe:
    """A classifier to ask and to optimise images on.

    Args:
        logits: Differentiable function from a float32 tensor of images
            `(batch, *input_shape)` in [0, 1] to logits `(batch, K)`.
        feature_vectors: The same to features `(batch, d)`, or `None`.
        input_shape: (height, width, channels).
        class_names: One per class.
        source: Where it was loaded from.
        input_range: The values that black and white are given to the model as.
        answers: What the model itself answers with, a key of `answers.LOOKS`.
        assumed: What was found or assumed of the model, sentences.
        image_statistics: Of its training images, `None` where they are not known.
    """

    logits: Callable[[tf.Tensor], tf.Tensor]
    feature_vectors: Callable[[tf.Tensor], tf.Tensor] | None
    input_shape: tuple[int, int, int]
    class_names: tuple[str, ...]
    source: str
    input_range: tuple[float, float] = (0.0, 1.0)
    answers: str = "logits"
    assumed: tuple[str, ...] = ()
    image_statistics: ImageStatistics | None = None

    def predict(self, images) -> np.ndarray:
        """Returns the class probabilities of images, float32 `(n, K)`."""
        return tf.nn.softmax(self.logits(self._checked(images))).numpy()

    def features(self, images) -> np.ndarray:
        """Returns the feature vectors of images, float32 `(n, d)`.

        Raises:
            ModelFolderError: If the model was exported without them.
        """
        if self.feature_vectors is None:
            raise ModelFolderError(
                f"Expected a model with an endpoint `features`. Received: {self.source}"
                ", which only classifies. Use `saving.save_model` to export it again; "
                "prototypes can be optimised without."
            )
        return tf.cast(self.feature_vectors(self._checked(images)), tf.float32).numpy()

    def _checked(self, images) -> tf.Tensor:
        images = tf.convert_to_tensor(images, tf.float32)
        if tuple(images.shape[1:]) != self.input_shape:
            raise ValueError(
                f"Expected images of shape (n, {', '.join(map(str, self.input_shape))})"
                f". Received: {tuple(images.shape)}."
            )
        return images


def probe_of(model: keras.Model, class_names) -> Probe:
    """A `Probe` of a Keras model that is in memory."""
    features = features_model(model)
    return Probe(
        logits=lambda images: tf.cast(model(images, training=False), tf.float32),
        feature_vectors=lambda images: features(images, training=False),
        input_shape=tuple(model.input_shape[1:]),
        class_names=tuple(class_names),
        source=model.name,
    )
