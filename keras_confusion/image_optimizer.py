"""The optimiser of input images: objective, update rule and stopping, kept apart.

Every image is optimised for itself: the gradient of its own loss, with respect to its
pixels only, so what else is in the batch does not matter. An image that is done leaves
its place to the next; when none waits, the batch shrinks.
"""

import dataclasses
import functools
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from keras_confusion.frames import Frames
from keras_confusion.objectives import Objective, cross_entropy

UPDATE_RULES = ("normalized", "sgd", "adam", "polyak")
_ADAM_BETA_1, _ADAM_BETA_2, _ADAM_EPSILON = 0.9, 0.999, 1e-8
# Iterations between two looks at which images are done.
_ITERATIONS_A_CALL = 10
# Compiled programs that are kept, each with the classifier it was compiled for.
_NUM_PROGRAMS = 4


@dataclasses.dataclass(frozen=True)
class OptimizerSettings:
    """How images are optimised; defaults are the prototype poster's for CIFAR-10.

    Args:
        update_rule: "normalized": x <- clip(x - rate * g / |g|, 0, 1), |g| over all
            pixels of the image (Dean & Sarkar, arXiv 2305.15563); "sgd": the same
            without the division; "adam": Adam's step, then clip; "polyak": as
            "normalized", with steps of length min(rate, loss / |g|), Polyak's for a
            loss whose minimum is 0 (Introduction to Optimization, 1987).
        learning_rate: 0.01 for CIFAR-10, 0.1 for CIFAR-100.
        loss_threshold: An image is done when its loss, in nats, is below.
        max_iterations: Updates after which an image is given up as not converged.
        batch_size: Images that are optimised at a time.
        frame_every: Iterations between two frames that are kept, and more where an
            image would have above `frames.MOST_FRAMES`; `None` keeps none.

    Raises:
        ValueError: If a setting makes no sense.
    """

    update_rule: str = "normalized"
    learning_rate: float = 0.01
    loss_threshold: float = 0.01
    max_iterations: int = 2000
    batch_size: int = 100
    frame_every: int | None = None

    def __post_init__(self):
        if self.update_rule not in UPDATE_RULES:
            raise ValueError(
                f"Expected `update_rule` to be one of {UPDATE_RULES}. "
                f"Received: {self.update_rule!r}."
            )
        for name in ("learning_rate", "loss_threshold", "batch_size"):
            if not getattr(self, name) > 0:
                raise ValueError(
                    f"Expected `{name}` above 0. Received: {getattr(self, name)}."
                )
        too_often = self.frame_every is not None and self.frame_every < 1
        if self.max_iterations < 0 or too_often:
            raise ValueError(
                "Expected `max_iterations` of 0 or more and `frame_every` of at least "
                f"1. Received: {self.max_iterations} and {self.frame_every}."
            )


@dataclasses.dataclass(frozen=True, eq=False)
class OptimizedImages:
    """Optimised images; leading axes as the function that returns them says.

    Args:
        images: float32 `(..., height, width, channels)` in [0, 1].
        logits: float32 `(..., K)`, the classifier's for these images.
        losses: float32 `(...)`, the objective's, nats.
        iterations: int32 `(...)`, updates that were made.
        converged: bool `(...)`, whether the loss is below the threshold, and what else
            the objective asks for holds.
        frames: A list, over the leading axes in C order, of float32 arrays
            `(num_frames, height, width, channels)` from the first to the last image;
            `None` where none were asked for.
    """

    images: np.ndarray
    logits: np.ndarray
    losses: np.ndarray
    iterations: np.ndarray
    converged: np.ndarray
    frames: list[np.ndarray] | None = None


def optimize_images(
    logits: Callable[[tf.Tensor], tf.Tensor],
    start: np.ndarray,
    targets: np.ndarray,
    settings: OptimizerSettings | None = None,
    *,
    objective: Objective = cross_entropy,
    given: np.ndarray | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> OptimizedImages:
    """Optimises images toward targets.

    Args:
        logits: Differentiable function from images `(batch, height, width, channels)`
            in [0, 1] to logits `(batch, K)`. Pass the same object again, not a new
            lambda: it is compiled once per object, objective and settings.
        start: Float array `(..., height, width, channels)` in [0, 1].
        targets: Integer array `(...)`, the class each image is optimised toward; for
            an objective of several classes `(..., num_targets)`.
        settings: An `OptimizerSettings`.
        objective: An `Objective`; hashable, so that it can be compiled once.
        given: bool array `(...)`: images that are only looked at. None by default.
        on_progress: Called with how many images are done, and of how many.

    Returns:
        `OptimizedImages` with the leading axes of `start`.

    Raises:
        ValueError: If settings, images or targets are not what is expected.
    """
    settings = settings or OptimizerSettings()
    start = np.asarray(start, np.float32)
    targets = np.asarray(targets, np.int32)
    _check(start, targets)
    leading, image_shape = start.shape[:-3], start.shape[-3:]
    target_shape = targets.shape[len(leading) :]
    count = int(np.prod(leading))
    flat_targets = targets.reshape(count, *target_shape)
    limits = np.full(count, settings.max_iterations, np.int32)
    if given is not None:
        limits[np.asarray(given).reshape(count)] = 0
    images = start.reshape(count, *image_shape).copy()
    logits_of: dict[int, np.ndarray] = {}
    losses = np.full(count, np.nan, np.float32)
    iterations = np.zeros(count, np.int32)
    converged = np.zeros(count, bool)
    keeps_frames = settings.frame_every is not None
    frames = [Frames(image) for image in images] if keeps_frames else []
    advance = _compiled_advance(logits, settings, objective, image_shape, target_shape)
    places = _Places(min(settings.batch_size, count), image_shape, target_shape)
    waiting = iter(range(count))
    places.fill(waiting, images, flat_targets, limits)
    while places.occupied.any():
        places.state, outcome = advance(places.state)
        place_logits, place_losses, reached, done = (t.numpy() for t in outcome)
        done &= places.occupied
        place_images, _, place_iterations, *_ = (t.numpy() for t in places.state)
        if keeps_frames:
            for place in np.flatnonzero(places.occupied):
                frames[places.image_of[place]].add(place_images[place], done[place])
        ended = places.image_of[done]
        images[ended] = place_images[done]
        losses[ended] = place_losses[done]
        iterations[ended] = place_iterations[done]
        converged[ended] = reached[done]
        logits_of |= zip(ended, place_logits[done], strict=True)
        places.occupied &= ~done
        if on_progress is not None and done.any():
            on_progress(len(logits_of), count)
        places.fill(waiting, images, flat_targets, limits)
        places.shrink()
    return OptimizedImages(
        images=images.reshape(start.shape),
        logits=np.stack([logits_of[i] for i in range(count)]).reshape(*leading, -1),
        losses=losses.reshape(leading),
        iterations=iterations.reshape(leading),
        converged=converged.reshape(leading),
        frames=[np.stack(of_image.kept) for of_image in frames] or None,
    )


class _Places:
    """The batch: images that are being optimised.

    Args:
        size: Number of places to begin with.
        image_shape: (height, width, channels).
        target_shape: Of one image's targets.
    """

    def __init__(self, size: int, image_shape, target_shape):
        self.occupied = np.zeros(size, bool)
        self.image_of = np.zeros(size, np.int64)
        pixels = tf.zeros((size, *image_shape))
        counts = tf.zeros((size,), tf.int32)
        targets = tf.zeros((size, *target_shape), tf.int32)
        # Images, targets, iterations, limits, Adam's two moments.
        self.state = (pixels, targets, counts, counts, pixels, pixels)

    def fill(self, waiting, images, targets, limits) -> None:
        """Gives free places to images that wait."""
        free = np.flatnonzero(~self.occupied)
        entering = [image for _, image in zip(free, waiting, strict=False)]
        if not entering:
            return
        free = free[: len(entering)]
        self.occupied[free] = True
        self.image_of[free] = entering
        state = [tensor.numpy() for tensor in self.state]
        entries = (images[entering], targets[entering], 0, limits[entering], 0, 0)
        for values, entry in zip(state, entries, strict=True):
            values[free] = entry
        self.state = tuple(tf.constant(values) for values in state)

    def shrink(self) -> None:
        """Halves the batch until more than half of it is occupied.

        Not to any size: a GPU's libraries try out their algorithms for each anew.
        """
        size, num_occupied = len(self.occupied), int(self.occupied.sum())
        while size > 1 and 2 * num_occupied <= size:
            size = (size + 1) // 2
        if size < len(self.occupied):
            kept = np.argsort(~self.occupied, kind="stable")[:size]
            self.occupied, self.image_of = self.occupied[kept], self.image_of[kept]
            self.state = tuple(tf.gather(tensor, kept) for tensor in self.state)


@functools.lru_cache(maxsize=_NUM_PROGRAMS)
def _compiled_advance(logits, settings, objective, image_shape, target_shape):
    """A TensorFlow function that moves all places on by some iterations.

    One program for batches of all sizes: to trace a deep network takes seconds.
    """
    num_iterations = settings.frame_every or _ITERATIONS_A_CALL
    pixels = tf.TensorSpec((None, *image_shape), tf.float32)
    counts = tf.TensorSpec((None,), tf.int32)
    of_targets = tf.TensorSpec((None, *target_shape), tf.int32)
    of_state = (pixels, of_targets, counts, counts, pixels, pixels)

    def evaluate(images, targets):
        of_images = tf.cast(logits(images), tf.float32)
        losses, misses = objective(of_images, targets)
        # What is missed comes first: the switching subgradient method (Polyak, A
        # general method of solving extremum problems, 1967).
        descended = tf.where(misses > 0, misses, losses)
        reached = (losses < settings.loss_threshold) & (misses == 0)
        return of_images, losses, descended, reached

    @tf.function(input_signature=[of_state])
    def advance(state):
        images, targets, iterations, limits, moment_1, moment_2 = state
        stopped = reached = iterations < 0
        for _ in tf.range(num_iterations):
            with tf.GradientTape(watch_accessed_variables=False) as tape:
                tape.watch(images)
                _, losses, descended, reached = evaluate(images, targets)
            # Of the sum: every image has the gradient of its own loss.
            gradients = tape.gradient(descended, images)
            # Not `~reached` alone: TensorFlow's graph optimiser turns `~(x < y)` into
            # `x >= y`, which differs where a loss is NaN. Such an image stops.
            goes_on = ~(reached | tf.math.is_nan(losses)) & (iterations < limits)
            iterations += tf.cast(goes_on, tf.int32)
            moved, moment_1, moment_2 = _update(
                settings, images, descended, gradients, iterations, moment_1, moment_2
            )
            images = tf.where(goes_on[:, None, None, None], moved, images)
            stopped = ~goes_on
        # Not the same program as in the loop, and not the same last digits: an image
        # that stopped there has to be done, or it would stand still for ever.
        was_reached = stopped & reached
        of_images, losses, _, reached = evaluate(images, targets)
        reached |= was_reached
        done = stopped | reached | tf.math.is_nan(losses) | (iterations >= limits)
        state = (images, targets, iterations, limits, moment_1, moment_2)
        return state, (of_images, losses, reached, done)

    return advance


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


def _check(start: np.ndarray, targets: np.ndarray) -> None:
    if start.ndim < 3 or not start.size:
        raise ValueError(
            "Expected at least one image, (..., height, width, channels). "
            f"Received: shape {start.shape}."
        )
    if not (start.min() >= 0 and start.max() <= 1):
        raise ValueError(
            f"Expected images in [0, 1]. Received: {start.min()} to {start.max()}."
        )
    leading = start.shape[:-3]
    if targets.shape[: len(leading)] != leading:
        raise ValueError(
            f"Expected `targets` of shape {leading}, one for each image, or "
            f"{(*leading, 'num_targets')}. Received: {targets.shape}."
        )
