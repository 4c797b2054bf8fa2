"""Changes of images within a norm: one gradient step to train on, many to test with.

The norms are of all pixels together, of values in [0, 1]: `l2`, the Euclidean length
of a change, and `linf`, the largest change of a value.
"""

import functools
from collections.abc import Callable, Sequence

import numpy as np
import tensorflow as tf

NORMS = ("l2", "linf")
# Steps of `robust_accuracy`.
STEPS = 20
_BATCH_SIZE = 250
# Together the steps could go this often from the middle to the edge (Madry et al.).
_REACH = 2.5
# Of the one step (Wong et al.).
_ONE_STEP = 1.25


def one_step(
    logits: Callable[[tf.Tensor], tf.Tensor],
    images: tf.Tensor,
    labels: tf.Tensor,
    *,
    norm: str,
    eps: float,
    seed: tf.Tensor,
) -> tf.Tensor:
    """Moves images one step away from their classes, from a random start.

    "Fast" adversarial training (Wong, Rice & Kolter 2020, arXiv 2001.03994) trains on
    these. The step has the length 1.25 eps, and what leaves the ball is brought back.

    Args:
        logits: Differentiable function from images to logits `(batch, K)`.
        images: float32 `(batch, height, width, channels)` in [0, 1].
        labels: Integers `(batch,)`.
        norm: "l2" or "linf".
        eps: The largest change, in the norm.
        seed: Two integers; the same ones draw the same start.

    Returns:
        Images of the same shape in [0, 1], at most `eps` away.
    """
    start = _random_start(images, norm, eps, seed)
    return _moved(logits, images, start, labels, norm, eps, _ONE_STEP * eps)


def pgd(
    logits: Callable[[tf.Tensor], tf.Tensor],
    images: np.ndarray,
    labels: np.ndarray,
    *,
    norm: str,
    eps: float,
    steps: int = STEPS,
    restarts: int = 1,
    seed: int = 0,
) -> np.ndarray:
    """Looks for images near to others that are taken for another class.

    Projected gradient descent (Madry et al. 2018, arXiv 1706.06083): from a random
    start, steps of 2.5 eps / `steps` along the gradient of the log-odds against the
    image's class. It has the direction of the cross-entropy's, and does not vanish
    where the network is sure.

    Args:
        logits: Differentiable function from images to logits `(batch, K)`, such as
            `probe.Probe.logits`. Compiled at the first call with this function.
        images: float array `(n, height, width, channels)` in [0, 1].
        labels: Integers `(n,)`.
        norm: "l2" or "linf".
        eps: The largest change, in the norm.
        steps: Their number.
        restarts: How often an image begins again from another start, until one
            succeeds.
        seed: From which starts are drawn.

    Returns:
        float32 `(n, height, width, channels)`: the first image that is taken for
        another class, which is the image itself if it is; the last image where there
        is none.

    Raises:
        ValueError: If a setting makes no sense.
    """
    _check(norm, eps, steps, restarts)
    images, labels = np.asarray(images, np.float32), np.asarray(labels, np.int32)
    attack = _compiled(logits, images.shape[1:], norm, steps)
    made = images.copy()
    for first in range(0, len(images), _BATCH_SIZE):
        part = slice(first, first + _BATCH_SIZE)
        fooled = np.zeros(len(images[part]), bool)
        for restart in range(restarts):
            if fooled.all():
                break
            found, now = attack(
                images[part], labels[part], np.float32(eps), (seed + restart, first)
            )
            made[part][~fooled] = found.numpy()[~fooled]
            fooled |= now.numpy()
    return made


def robust_accuracy(
    logits: Callable[[tf.Tensor], tf.Tensor],
    images: np.ndarray,
    labels: np.ndarray,
    *,
    norm: str,
    eps: Sequence[float],
    steps: int = STEPS,
    restarts: int = 1,
) -> list[float]:
    """Share of images that are right and stay right under `pgd`, for every `eps`."""
    labels = np.asarray(labels)
    shares = []
    for size in eps:
        attacked = pgd(
            logits,
            images,
            labels,
            norm=norm,
            eps=size,
            steps=steps,
            restarts=restarts,
        )
        right = [
            np.argmax(logits(attacked[first : first + _BATCH_SIZE]), axis=1)
            == labels[first : first + _BATCH_SIZE]
            for first in range(0, len(images), _BATCH_SIZE)
        ]
        shares.append(float(np.concatenate(right).mean()))
    return shares


# Old classifiers stay in memory for as long as they are in the cache.
@functools.lru_cache(maxsize=2)
def _compiled(logits, image_shape, norm: str, steps: int):
    """A TensorFlow function from images to those of `pgd`, and whether they fool."""

    @tf.function(
        input_signature=[
            tf.TensorSpec((None, *image_shape), tf.float32),
            tf.TensorSpec((None,), tf.int32),
            tf.TensorSpec((), tf.float32),
            tf.TensorSpec((2,), tf.int32),
        ]
    )
    def attack(images, labels, eps, seed):
        def is_fooled(moved):
            predicted = tf.argmax(logits(moved), axis=1, output_type=tf.int32)
            return predicted != labels

        fooled, moved = is_fooled(images), images
        start = _random_start(images, norm, eps, seed)
        moved = tf.where(_per_pixel(fooled), images, start)
        for _ in tf.range(steps):
            fooled |= is_fooled(moved)
            if tf.reduce_all(fooled):
                break
            further = _moved(
                logits, images, moved, labels, norm, eps, _REACH * eps / steps
            )
            moved = tf.where(_per_pixel(fooled), moved, further)
        return moved, fooled | is_fooled(moved)

    return attack


def _random_start(images, norm: str, eps, seed):
    """Images somewhere in the ball, and in [0, 1]."""
    if norm == "linf":
        change = tf.random.stateless_uniform(tf.shape(images), seed, -eps, eps)
    else:
        seeds = tf.random.split(seed, 2)
        direction = tf.random.stateless_normal(tf.shape(images), seeds[0])
        lengths = tf.random.stateless_uniform(
            [tf.shape(images)[0], 1, 1, 1], seeds[1], 0, eps
        )
        change = direction / _lengths(direction) * lengths
    return tf.clip_by_value(images + change, 0, 1)


def _moved(logits, images, moved, labels, norm: str, eps, length):
    """One step along the gradient from `moved`, within `eps` of `images`."""
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(moved)
        log_odds = _log_odds_against(tf.cast(logits(moved), tf.float32), labels)
    gradient = tape.gradient(log_odds, moved)
    if norm == "linf":
        change = moved + length * tf.sign(gradient) - images
        change = tf.clip_by_value(change, -eps, eps)
    else:
        change = moved + length * gradient / _lengths(gradient) - images
        change *= tf.minimum(1.0, eps / _lengths(change))
    return tf.clip_by_value(images + change, 0, 1)


def _log_odds_against(logits, labels):
    is_own = tf.one_hot(labels, tf.shape(logits)[1], True, False, dtype=tf.bool)
    others = tf.reduce_logsumexp(tf.where(is_own, logits.dtype.min, logits), axis=1)
    return others - tf.gather(logits, labels, batch_dims=1)


def _lengths(images):
    squares = tf.reduce_sum(images**2, axis=(1, 2, 3), keepdims=True)
    return tf.sqrt(tf.maximum(squares, np.finfo(np.float32).tiny))


def _per_pixel(values):
    """One value per image, to go with its pixels."""
    return values[:, None, None, None]


def _check(norm: str, eps: float, steps: int, restarts: int) -> None:
    if norm not in NORMS:
        raise ValueError(f"Expected a norm of {list(NORMS)}. Received: {norm!r}.")
    if not 0 <= eps < np.inf:
        raise ValueError(
            f"Expected a finite `eps` of 0 or more. Received: {eps}. Use for example "
            "0.5 for l2, or 8 / 255 for linf."
        )
    if steps < 1 or restarts < 1:
        raise ValueError(
            "Expected `steps` and `restarts` of at least 1. "
            f"Received: {steps} and {restarts}."
        )
