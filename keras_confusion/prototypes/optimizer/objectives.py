"""What images are optimised for: a class, a tie of two classes, or a unit.

Those of a loss whose minimum is 0 say when an image is done. `log_odds` and
`lower_of_two` have no minimum: they are followed for a number of steps.
"""

import dataclasses
import math
from collections.abc import Callable

import tensorflow as tf

# From logits `(batch, K)` and targets `(batch, ...)` to losses `(batch,)` and
# violations `(batch,)`: how far an image is from meeting the extra constraint.
Objective = Callable[[tf.Tensor, tf.Tensor], tuple[tf.Tensor, tf.Tensor]]


def cross_entropy(logits: tf.Tensor, targets: tf.Tensor):
    """The objective of class prototypes: cross-entropy toward one class.

    Args:
        logits: float32 `(batch, K)`.
        targets: int32 `(batch,)`.

    Returns:
        Losses `(batch,)`, nats, and misses `(batch,)`: nothing else is asked.
    """
    losses = tf.nn.sparse_softmax_cross_entropy_with_logits(targets, logits)
    return losses, tf.zeros_like(losses)


def log_odds(logits: tf.Tensor, targets: tf.Tensor):
    """How much less probable one class is than all others together.

    Unlike the cross-entropy it does not level off where the class is almost certain.

    Args:
        logits: float32 `(batch, K)`.
        targets: int32 `(batch,)`.

    Returns:
        log((1 - p) / p) `(batch,)`, nats, with p the probability of the class, and
        misses `(batch,)`: nothing else is asked.
    """
    is_target = tf.one_hot(targets, tf.shape(logits)[1], True, False, dtype=tf.bool)
    others = tf.reduce_logsumexp(tf.where(is_target, logits.dtype.min, logits), axis=1)
    losses = others - tf.gather(logits, targets, batch_dims=1)
    return losses, tf.zeros_like(losses)


def lower_of_two(logits: tf.Tensor, pairs: tf.Tensor):
    """How much less probable the less probable of two classes is than all others.

    Args:
        logits: float32 `(batch, K)`.
        pairs: int32 `(batch, 2)`.

    Returns:
        The log-odds `(batch,)`, nats, of the class that is further from being the most
        probable, without the other one; and misses `(batch,)`: nothing else is asked.
    """
    pair_logits = tf.gather(logits, pairs, batch_dims=1)
    others = tf.reduce_logsumexp(
        tf.where(_in_pair(logits, pairs), logits.dtype.min, logits), axis=1
    )
    losses = others - tf.reduce_min(pair_logits, axis=1)
    return losses, tf.zeros_like(losses)


def unit_activation(activations: tf.Tensor, units: tf.Tensor):
    """The objective of unit images: that one unit is as active as is asked.

    Args:
        activations: float32 `(batch, d)`, in place of logits: of every unit, as shares
            of the activation that is asked for.
        units: int32 `(batch,)`, the number of each image's unit.

    Returns:
        Losses `(batch,)`, 1 - share, 0 where all that is asked is reached, and misses
        `(batch,)`: nothing else is asked.
    """
    losses = tf.nn.relu(1 - tf.gather(activations, units, batch_dims=1))
    return losses, tf.zeros_like(losses)


@dataclasses.dataclass(frozen=True)
class Tie:
    """The objective of boundary prototypes.

    With z the logits of the pair (a, b) and S the classes besides it,

        H(1/2 a + 1/2 b, p) - log 2 = log(1 + e^(lse_S z - lse_ab z))
                                      + log cosh((z_a - z_b) / 2).

    Neither term is below 0, and neither is a small difference of large numbers.

    What is missed is |z_a - z_b| where it is not below the tolerance.

    Args:
        gap_tolerance: In logits.
    """

    gap_tolerance: float

    def __call__(self, logits: tf.Tensor, pairs: tf.Tensor):
        """Losses and misses, each `(batch,)`, of pairs `(batch, 2)`."""
        pair_logits = tf.gather(logits, pairs, batch_dims=1)
        other_logits = tf.where(_in_pair(logits, pairs), logits.dtype.min, logits)
        gaps = pair_logits[:, 0] - pair_logits[:, 1]
        losses = _log_cosh(gaps / 2) + tf.math.softplus(
            tf.reduce_logsumexp(other_logits, axis=1)
            - tf.reduce_logsumexp(pair_logits, axis=1)
        )
        sizes = tf.abs(gaps)
        return losses, tf.where(sizes < self.gap_tolerance, 0.0, sizes)


def _in_pair(logits: tf.Tensor, pairs: tf.Tensor) -> tf.Tensor:
    """Which logits are of one of two classes, bool `(batch, K)`."""
    classes = tf.range(tf.shape(logits)[1])
    return tf.reduce_any(classes[:, None] == pairs[:, None, :], axis=2)


def _log_cosh(x: tf.Tensor) -> tf.Tensor:
    """Returns log cosh x, accurate near 0 and finite far from it."""
    # cosh x = 1 + 2 sinh(x / 2)^2; clipped, as the branch not taken has a gradient too.
    near = tf.math.log1p(2 * tf.sinh(tf.clip_by_value(x, -1.0, 1.0) / 2) ** 2)
    size = tf.abs(x)
    far = size + tf.math.softplus(-2 * size) - math.log(2)
    return tf.where(size < 1, near, far)


def check_tie(num_classes: int, loss_threshold: float, gap_tolerance: float) -> None:
    """Raises `ValueError` unless two classes that tie must be the two on top."""
    if num_classes < 2:
        raise ValueError(
            "Expected prototypes (..., K, height, width, channels) of at least two "
            f"classes. Received: {num_classes}."
        )
    # The loss bounds the probability q of all other classes: q <= 1 - e^-threshold.
    # The less probable of the two has at least (1 - q) / (1 + e^tolerance), which is
    # more than q if q (2 + e^tolerance) < 1; here times e^-tolerance.
    most_of_others = -math.expm1(-loss_threshold)
    ratio = math.exp(-gap_tolerance)
    if not (gap_tolerance > 0 and most_of_others * (2 * ratio + 1) < ratio):
        raise ValueError(
            "Expected `gap_tolerance` above 0, and it and `loss_threshold` so small "
            "that no third class can be on top, such as 0.01 and 0.01. "
            f"Received: {gap_tolerance} and {loss_threshold}."
        )
