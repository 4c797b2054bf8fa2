"""Training on attacked images, after which small changes do not fool a network."""

import keras
import tensorflow as tf

from keras_confusion.models.attacks import pgd


class FastAdversarialModel(keras.Model):
    """A functional model that `fit` trains on images moved away from their classes.

    "Fast" adversarial training: every batch is attacked by one step, see
    `pgd.one_step`, and then trained on as it is then. Normalisations answer the
    attack as they do after training (Pang et al. 2021, arXiv 2010.00467).

    Args:
        inputs: As of `keras.Model`.
        outputs: As of `keras.Model`; logits.
        norm: "l2" or "linf".
        eps: The largest change, of pixels in [0, 1].
        seed: Integer from which starts of the attack are drawn.
    """

    def __init__(self, inputs, outputs, *, norm: str, eps: float, seed: int):
        super().__init__(inputs, outputs)
        self._norm, self._eps, self._seed = norm, eps, seed

    def train_step(self, data):
        """Attacks a batch and trains on it, as `keras.Model`."""
        images, labels = data
        step = tf.cast(self.optimizer.iterations.value, tf.int32)
        attacked = pgd.one_step(
            lambda batch: self(batch, training=False),
            images,
            labels,
            norm=self._norm,
            eps=self._eps,
            seed=tf.stack([self._seed, step]),
        )
        return super().train_step((attacked, labels))
