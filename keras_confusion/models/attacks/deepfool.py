"""The smallest change of an image that makes a classifier change its mind: DeepFool.

Moosavi-Dezfooli, Fawzi and Frossard 2016, arXiv 1511.04599, algorithm 2, l2 norm. The
data-free quality M_adv (`dissimilarity.adversarial_agreement`) compares prototypes
with what the attack makes of them.
"""

import dataclasses
import functools
from collections.abc import Callable

import numpy as np
import tensorflow as tf

_BATCH_SIZE = 100
# Steps are at least this long: an image on a boundary would stay there for ever, and
# float32 pixels do not take up much smaller ones. The authors' code adds as much.
_SHORTEST_STEP = 1e-4


@dataclasses.dataclass(frozen=True, eq=False)
class Attacked:
    """Attacked images; the leading axes are those of the images that were given.

    Args:
        images: float32 `(..., height, width, channels)`, not clipped to [0, 1].
        labels_before: int32 `(...)`, most probable class of the image as given; -1
            where a logit is not a number.
        labels_after: int32 `(...)`, the same of `images`.
        iterations: int32 `(...)`, steps that were made.
        fooled: bool `(...)`, whether there are two labels and they differ.
        perturbation_norms: float32 `(...)`, l2 norm over all pixels of the change.
    """

    images: np.ndarray
    labels_before: np.ndarray
    labels_after: np.ndarray
    iterations: np.ndarray
    fooled: np.ndarray
    perturbation_norms: np.ndarray


def deepfool(
    logits: Callable[[tf.Tensor], tf.Tensor],
    images: np.ndarray,
    *,
    num_candidates: int = 10,
    overshoot: float = 0.02,
    max_iterations: int = 50,
) -> Attacked:
    """Moves every image just across the nearest decision boundary.

    With f the logits, c the class of the image x_0 and w_k = grad f_k - grad f_c, all
    at x, each step goes to the boundary that is nearest if the classifier is linear:

        k = argmin |f_k - f_c| / |w_k|,  r = |f_k - f_c| / |w_k|^2 * w_k,
        x = x_0 + (1 + overshoot) * (sum of all r),

    until the class of x is not c. As in the authors' Python code, the next step starts
    from this x; algorithm 2 leaves the overshoot to the end. Neither clips pixels to
    [0, 1], nor does this: clipped afterwards, some images are their old class again.
    Foolbox, whose attack Dean & Sarkar use for M_adv, clips after every step.

    Args:
        logits: Differentiable function from images `(batch, height, width, channels)`
            to logits `(batch, K)`, such as `probe.Probe.logits`. Compiled at the
            first call with this function, image shape and settings.
        images: Float array `(..., height, width, channels)` in [0, 1].
        num_candidates: Only boundaries between this many classes, the most probable
            ones at x_0 with c among them, are looked at; all classes if there are
            fewer. The paper's choice for many classes is 10.
        overshoot: Share by which the boundary is crossed.
        max_iterations: Steps after which an image is given up as not fooled.

    Returns:
        `Attacked`. An image whose logits are not numbers, or whose gradients say of no
        candidate where its boundary is (zero, or no numbers), stays as it is from then
        on; no image depends on what else there is.

    Raises:
        ValueError: If a setting makes no sense or images are outside [0, 1].
    """
    images = np.asarray(images, np.float32)
    _check(images, num_candidates, overshoot, max_iterations)
    leading, image_shape = images.shape[:-3], images.shape[-3:]
    attack = _compiled_attack(
        logits, image_shape, num_candidates, overshoot, max_iterations
    )
    flat = images.reshape(int(np.prod(leading)), *image_shape)
    made = np.empty_like(flat)
    before, after, iterations = np.empty((3, len(flat)), np.int32)
    for first in range(0, len(flat), _BATCH_SIZE):
        batch = slice(first, first + _BATCH_SIZE)
        made[batch], before[batch], after[batch], iterations[batch] = (
            tensor.numpy() for tensor in attack(flat[batch])
        )
    changes = (made - flat).reshape(len(flat), int(np.prod(image_shape)))
    return Attacked(
        images=made.reshape(images.shape),
        labels_before=before.reshape(leading),
        labels_after=after.reshape(leading),
        iterations=iterations.reshape(leading),
        fooled=((after != before) & (after >= 0)).reshape(leading),
        perturbation_norms=np.linalg.norm(changes, axis=1).reshape(leading),
    )


# Old classifiers stay in memory for as long as they are in the cache.
@functools.lru_cache(maxsize=2)
def _compiled_attack(logits, image_shape, num_candidates, overshoot, max_iterations):
    """A TensorFlow function from a batch of images to what `Attacked` says of them."""

    def values_of(images):
        return tf.cast(logits(images), tf.float32)

    def labels_of(values):
        # As for the candidates below, so that ties are resolved alike.
        labels = tf.math.top_k(values).indices[:, 0]
        return tf.where(tf.reduce_any(tf.math.is_nan(values), axis=1), -1, labels)

    @tf.function(input_signature=[tf.TensorSpec((None, *image_shape), tf.float32)])
    def attack(start):
        values = values_of(start)
        before = after = labels_of(values)
        num_columns = tf.minimum(num_candidates, tf.shape(values)[1])
        # The first column is the image's own class.
        candidates = tf.math.top_k(values, num_columns).indices
        images, moved = start, tf.zeros_like(start)
        iterations = tf.zeros_like(before)
        goes_on = before >= 0
        while tf.reduce_any(goes_on):
            nearest = tf.fill(tf.shape(before), np.float32(np.inf))
            direction = tf.zeros_like(start)
            for column in tf.range(1, num_columns):
                with tf.GradientTape(watch_accessed_variables=False) as tape:
                    tape.watch(images)
                    here = values_of(images)
                    own = tf.gather(here, candidates[:, 0], batch_dims=1)
                    other = tf.gather(here, candidates[:, column], batch_dims=1)
                    margins = other - own
                # Of the sum: every image has the gradient of its own margin.
                gradients = tape.gradient(
                    margins, images, unconnected_gradients=tf.UnconnectedGradients.ZERO
                )
                gradients = tf.ensure_shape(gradients, images.shape)
                norms = tf.sqrt(tf.reduce_sum(gradients**2, axis=(1, 2, 3)))
                distances = tf.abs(margins) / norms
                # Neither is true of a distance that is not a number.
                nearer = (distances < nearest) & tf.math.is_finite(norms)
                nearest = tf.where(nearer, distances, nearest)
                direction = tf.where(
                    _per_pixel(nearer), gradients / _per_pixel(norms), direction
                )
            goes_on &= tf.math.is_finite(nearest)
            lengths = tf.maximum(nearest, _SHORTEST_STEP)
            step = _per_pixel(lengths) * direction
            moved = tf.where(_per_pixel(goes_on), moved + step, moved)
            images = start + (1 + overshoot) * moved
            iterations += tf.cast(goes_on, tf.int32)
            after = labels_of(values_of(images))
            goes_on &= (after == before) & (iterations < max_iterations)
        return images, before, after, iterations

    return attack


def _per_pixel(values):
    """One value per image, to go with its pixels."""
    return values[:, None, None, None]


def _check(images, num_candidates, overshoot, max_iterations) -> None:
    if images.ndim < 3 or not ((images >= 0) & (images <= 1)).all():
        found = f", {images.min()} to {images.max()}" if images.size else ""
        raise ValueError(
            "Expected images (..., height, width, channels) in [0, 1]. Received: shape "
            f"{images.shape}{found}. Use uint8 pixels divided by 255."
        )
    if num_candidates < 2:
        raise ValueError(
            "Expected `num_candidates` of at least 2. "
            f"Received: {num_candidates}. Use 2 for the two most probable classes."
        )
    if not 0 <= overshoot < np.inf:
        raise ValueError(
            "Expected a finite `overshoot` of 0 or more. "
            f"Received: {overshoot}. Use a small share, such as 0.02."
        )
    if max_iterations < 1:
        raise ValueError(
            "Expected `max_iterations` of at least 1. "
            f"Received: {max_iterations}. Use 50 as the authors do."
        )
