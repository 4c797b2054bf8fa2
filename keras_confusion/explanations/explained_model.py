"""A study's model, of which features and the layer that reads them are told apart."""

from collections.abc import Iterable

import keras
import numpy as np
import tensorflow as tf

from keras_confusion.confusion.plan import StudyPlan
from keras_confusion.models import architectures, probe, saving


class ExplainedModel:
    """The study's model, to be given the weights of one network after another.

    It computes in float32, whatever the study did.

    Args:
        plan: The study's plan.

    Raises:
        ValueError: If its logits are not a weighted sum of the features before them.
    """

    def __init__(self, plan: StudyPlan):
        self.plan = plan
        dataset = plan.dataset
        if dataset.vocabulary_size is not None:
            raise ValueError(
                "Expected a study of images, as pictures are made of what units see. "
                f"Received: {dataset.name}, of token sequences. Use a data set of "
                "images."
            )
        self.model = architectures.build_model(
            plan.settings.model,
            seed=0,
            **dataset.model_arguments,
            **plan.settings.model_options,
        )
        name = architectures.model_name(plan.settings.model)
        try:
            self._features = saving.features_model(self.model)
        except saving.ModelFolderError as error:
            raise ValueError(str(error)) from error
        layer = saving.classification_layer(self.model)
        num_features = self._features.output_shape[-1]
        if not isinstance(layer, keras.layers.Dense) or layer.kernel.shape != (
            num_features,
            dataset.num_classes,
        ):
            raise ValueError(
                "Expected a model whose last layer with weights is a Dense layer of "
                f"features (batch, d). Received: {name}, which ends with the layer "
                f"{layer.name} ({type(layer).__name__}). Units of other models cannot "
                "be told apart."
            )
        self._layer = layer
        images = tf.random.stateless_uniform((2, *dataset.input_shape), (0, 0))
        features, logits = self._features(images), self.model(images)
        kernel, bias = self._kernel_and_bias()
        if not np.allclose(features @ kernel + bias, logits, rtol=1e-3, atol=1e-3):
            raise ValueError(
                "Expected a model whose outputs are those of its last layer with "
                f"weights, logits. Received: {name}, in which something follows the "
                f"layer {layer.name}. Units of other models cannot be told apart."
            )

    def probe(self, weights: list[np.ndarray], class_names) -> probe.Probe:
        """The model with the weights of a network; the one before is gone."""
        self.model.set_weights(weights)
        return probe.probe_of(self.model, class_names)

    def activations(
        self, weights: list[np.ndarray], batches: Iterable[np.ndarray]
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Features `(n, d)` of images, and the kernel and the bias that read them."""
        self.model.set_weights(weights)
        features = [
            self._features(tf.constant(batch), training=False).numpy()
            for batch in batches
        ]
        return np.concatenate(features), *self._kernel_and_bias()

    def _kernel_and_bias(self) -> tuple[np.ndarray, np.ndarray]:
        kernel = self._layer.kernel.numpy()
        if self._layer.bias is None:
            return kernel, np.zeros(kernel.shape[1], kernel.dtype)
        return kernel, self._layer.bias.numpy()
