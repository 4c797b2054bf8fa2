"""One step of a batch of images toward their targets: gradient and update rule."""

import functools
from collections.abc import Callable
from typing import NamedTuple

import tensorflow as tf

from keras_confusion.prototypes.optimizer import transformations

UPDATE_RULES = ("normalized", "sgd", "adam", "polyak", "growing")
# Their steps are as long as it is to a loss of 0.
TO_ZERO = ("polyak", "growing")
# Of Polyak's length, so that images end as near as by many small steps; and by how much
# the longest step grows with each, so that flat landscapes are crossed.
_SHARE, _GROWTH, _MOST_GROWTH = 0.5, 1.02, 500
_ADAM_BETA_1, _ADAM_BETA_2, _ADAM_EPSILON = 0.9, 0.999, 1e-8
# Classifiers, settings and objectives whose programs are kept: all of one network's.
_NUM_PROGRAMS = 8


class Programs(NamedTuple):
    """What is asked of a classifier, compiled for batches of all sizes.

    Args:
        step: From a batch's state to its next state, its answers, and bool `(batch,)`:
            which images are done. Those stand still; the answers are about all images
            before the step. The state is parameters float32 `(batch, ...)`, targets
            int32 `(batch, ...)`, iterations made and at most to be made, int32
            `(batch,)`, Adam's two moments, shaped like parameters, and what
            `transformations.draws` gave for each image, `(batch, steps, NUM_DRAWS)`.
        look: From images `(batch, height, width, channels)` and targets to the answers:
            logits float32 `(batch, K)`, losses `(batch,)` in nats, and bool `(batch,)`,
            whether the loss is below the threshold and nothing is missed.
    """

    step: Callable
    look: Callable


@functools.lru_cache(maxsize=_NUM_PROGRAMS)
def compile_programs(
    logits, settings, objective, parametrization, target_shape
) -> Programs:
    """Compiles a step and a look, once: to trace a deep network takes seconds.

    Args:
        logits: A logits function, see `image_optimizer.optimize_images`.
        settings: An `settings.OptimizerSettings`.
        objective: An `objectives.Objective`.
        parametrization: A `parametrizations.Parametrization`.
        target_shape: Of one image's targets.
    """
    pixels = tf.TensorSpec((None, *parametrization.image_shape), tf.float32)
    values = tf.TensorSpec((None, *parametrization.shape), tf.float32)
    counts = tf.TensorSpec((None,), tf.int32)
    target_spec = tf.TensorSpec((None, *target_shape), tf.int32)
    draws = tf.TensorSpec((None, None, transformations.NUM_DRAWS), tf.float32)
    state_spec = (values, target_spec, counts, counts, values, values, draws)
    is_moved = settings.transformations != "none"

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
        parameters, targets, iterations, limits, moment_1, moment_2, drawn = state
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(parameters)
            images = parametrization.images(parameters)
            if is_moved:
                # Images that are done stand still, whatever their map.
                now = tf.minimum(iterations, tf.shape(drawn)[1] - 1)
                images = transformations.transform(
                    images, tf.gather(drawn, now, batch_dims=1)
                )
            descended, answers = evaluate(images, targets)
        # Of the sum: every image has the gradient of its own loss.
        gradients = tape.gradient(descended, parameters)
        _, losses, reached = answers
        # Not `~reached` alone: TensorFlow's graph optimiser turns `~(x < y)` into
        # `x >= y`, which differs where a loss is NaN. Such an image stops.
        stops = tf.math.is_nan(losses)
        if settings.steps is None:
            stops |= reached
        goes_on = ~stops & (iterations < limits)
        iterations += tf.cast(goes_on, tf.int32)
        moved, moment_1, moment_2 = _update(
            settings, descended, gradients, iterations, moment_1, moment_2
        )
        parameters = tf.where(
            goes_on[:, None, None, None],
            parametrization.allowed(parameters - moved),
            parameters,
        )
        state = (parameters, targets, iterations, limits, moment_1, moment_2, drawn)
        return state, answers, ~goes_on

    return Programs(step, look)


def _update(settings, losses, gradients, iterations, moment_1, moment_2):
    """The step of every image by the update rule, and Adam's new moments."""
    rate = settings.learning_rate
    norms = tf.sqrt(tf.reduce_sum(gradients**2, axis=(1, 2, 3), keepdims=True))
    directions = tf.math.divide_no_nan(gradients, norms)
    if settings.update_rule == "normalized":
        step = rate * directions
    elif settings.update_rule in TO_ZERO:
        lengths = tf.math.divide_no_nan(losses[:, None, None, None], norms)
        if settings.update_rule == "growing":
            before = tf.minimum(iterations - 1, _MOST_GROWTH)
            longest = rate * _GROWTH ** tf.cast(before, tf.float32)
            lengths, rate = _SHARE * lengths, longest[:, None, None, None]
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
    return step, moment_1, moment_2
