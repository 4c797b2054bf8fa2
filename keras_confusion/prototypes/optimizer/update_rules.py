"""One step of a batch of images toward their targets: gradient and update rule."""

import functools
from collections.abc import Callable
from typing import NamedTuple

import tensorflow as tf

UPDATE_RULES = ("normalized", "sgd", "adam", "polyak")
_ADAM_BETA_1, _ADAM_BETA_2, _ADAM_EPSILON = 0.9, 0.999, 1e-8
# Classifiers and settings whose programs are kept.
_NUM_PROGRAMS = 4


class Programs(NamedTuple):
    """What is asked of a classifier, compiled for batches of all sizes.

    Args:
        step: From a batch's state to its next state, its answers, and bool `(batch,)`:
            which images are done. Those stand still; the answers are about all images
            before the step. The state is images float32 `(batch, height, width,
            channels)`, targets int32 `(batch, ...)`, iterations made and at most to be
            made, int32 `(batch,)`, and Adam's two moments, shaped like images.
        look: From images and targets to the answers: logits float32 `(batch, K)`,
            losses `(batch,)` in nats, and bool `(batch,)`, whether the loss is below
            the threshold and nothing is missed.
    """

    step: Callable
    look: Callable


@functools.lru_cache(maxsize=_NUM_PROGRAMS)
def compile_programs(
    logits, settings, objective, image_shape, target_shape
) -> Programs:
    """Compiles a step and a look, once: to trace a deep network takes seconds.

    Args:
        logits: A logits function, see `image_optimizer.optimize_images`.
        settings: An `image_optimizer.OptimizerSettings`.
        objective: An `objectives.Objective`.
        image_shape: (height, width, channels).
        target_shape: Of one image's targets.
    """
    pixels = tf.TensorSpec((None, *image_shape), tf.float32)
    counts = tf.TensorSpec((None,), tf.int32)
    target_spec = tf.TensorSpec((None, *target_shape), tf.int32)
    state_spec = (pixels, target_spec, counts, counts, pixels, pixels)

    def evaluate(images, targets):
        image_logits = tf.cast(logits(images), tf.float32)
        losses, misses = objective(image_logits, targets)
        # What is missed comes first: the switching subgradient method (Polyak, A
        # general method of solving extremum problems, 1967).
        descended = tf.where(misses > 0, misses, losses)
        reached = (losses < settings.loss_threshold) & (misses == 0)
        return descended, (image_logits, losses, reached)

    @tf.function(input_signature=[pixels, target_spec])
    def look(images, targets):
        return evaluate(images, targets)[1]

    @tf.function(input_signature=[state_spec])
    def step(state):
        images, targets, iterations, limits, moment_1, moment_2 = state
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(images)
            descended, answers = evaluate(images, targets)
        # Of the sum: every image has the gradient of its own loss.
        gradients = tape.gradient(descended, images)
        _, losses, reached = answers
        # Not `~reached` alone: TensorFlow's graph optimiser turns `~(x < y)` into
        # `x >= y`, which differs where a loss is NaN. Such an image stops.
        goes_on = ~(reached | tf.math.is_nan(losses)) & (iterations < limits)
        iterations += tf.cast(goes_on, tf.int32)
        moved, moment_1, moment_2 = _update(
            settings, images, descended, gradients, iterations, moment_1, moment_2
        )
        images = tf.where(goes_on[:, None, None, None], moved, images)
        state = (images, targets, iterations, limits, moment_1, moment_2)
        return state, answers, ~goes_on

    return Programs(step, look)


def _update(settings, images, losses, gradients, iterations, moment_1, moment_2):
    """One step of every image by the update rule, and Adam's new moments."""
    rate = settings.learning_rate
    norms = tf.sqrt(tf.reduce_sum(gradients**2, axis=(1, 2, 3), keepdims=True))
    directions = tf.math.divide_no_nan(gradients, norms)
    if settings.update_rule == "normalized":
        step = rate * directions
    elif settings.update_rule == "polyak":
        lengths = tf.math.divide_no_nan(losses[:, None, None, None], norms)
        step = tf.minimum(lengths, rate) * directions
    elif settings.update_rule == "sgd":
        step = rate * gradients
    else:
        moment_1 = _ADAM_BETA_1 * moment_1 + (1 - _ADAM_BETA_1) * gradients
        moment_2 = _ADAM_BETA_2 * moment_2 + (1 - _ADAM_BETA_2) * gradients**2
        t = tf.cast(iterations, tf.float32)[:, None, None, None]
        step = rate * (
            (moment_1 / (1 - _ADAM_BETA_1**t))
            / (tf.sqrt(moment_2 / (1 - _ADAM_BETA_2**t)) + _ADAM_EPSILON)
        )
    return tf.clip_by_value(images - step, 0.0, 1.0), moment_1, moment_2
