"""Images that a trained classifier takes for a class: the optimiser of input images.

Every image is optimised for itself: the gradient of its own cross-entropy toward its
target class, with respect to its pixels only. Images share one compiled program of a
fixed number of places; an image that has converged leaves its place to the next, so
that none waits for the slowest, and what else is in the batch does not matter.
"""

import dataclasses
import functools
from collections.abc import Callable

import numpy as np
import tensorflow as tf

UPDATE_RULES = ("normalized", "sgd", "adam")
_ADAM_BETA_1, _ADAM_BETA_2, _ADAM_EPSILON = 0.9, 0.999, 1e-8
# Iterations between two looks at which images have converged.
_ITERATIONS_A_CALL = 10


@dataclasses.dataclass(frozen=True)
class OptimizerSettings:
    """How images are optimised; defaults are the prototype poster's for CIFAR-10.

    Args:
        update_rule: "normalized": x <- clip(x - rate * g / |g|, 0, 1), |g| over all
            pixels of the image (Dean & Sarkar, arXiv 2305.15563); "sgd": the same
            without the division; "adam": Adam's step, then clip.
        learning_rate: 0.01 for CIFAR-10, 0.1 for CIFAR-100.
        loss_threshold: An image is done when its cross-entropy, in nats, is below.
        max_iterations: Updates after which an image is given up as not converged.
        batch_size: Images that are optimised at a time.
        frame_every: Iterations between two frames that are kept; `None` keeps none.
    """

    update_rule: str = "normalized"
    learning_rate: float = 0.01
    loss_threshold: float = 0.01
    max_iterations: int = 5000
    batch_size: int = 100
    frame_every: int | None = None


@dataclasses.dataclass(frozen=True, eq=False)
class Prototypes:
    """Optimised images; leading axes as the function that returns them says.

    Args:
        images: float32 `(..., height, width, channels)` in [0, 1].
        losses: float32 `(...)`, cross-entropy toward the target, nats.
        iterations: int32 `(...)`, updates that were made.
        converged: bool `(...)`, whether the loss is below the threshold.
        frames: A list, over the leading axes in C order, of float32 arrays
            `(num_frames, height, width, channels)` from the first to the last image;
            `None` where none were asked for.
    """

    images: np.ndarray
    losses: np.ndarray
    iterations: np.ndarray
    converged: np.ndarray
    frames: list[np.ndarray] | None = None


def class_prototypes(
    logits: Callable[[tf.Tensor], tf.Tensor],
    start: np.ndarray,
    settings: OptimizerSettings | None = None,
    *,
    on_progress: Callable[[int, int], None] | None = None,
) -> Prototypes:
    """Optimises one image per class.

    Args:
        logits: Differentiable function from images `(batch, height, width, channels)`
            in [0, 1] to logits `(batch, K)`, such as `saving.Probe.logits`.
        start: Float array `(..., K, height, width, channels)` in [0, 1]: noise (see
            `noise`), or the prototypes of an earlier training interval.
        settings: An `OptimizerSettings`.
        on_progress: Called with how many images are done, and of how many.

    Returns:
        `Prototypes` with leading axes `(..., target)`, those of `start`.
    """
    start = np.asarray(start, np.float32)
    num_classes = start.shape[-4]
    targets = np.broadcast_to(np.arange(num_classes), start.shape[:-3])
    return optimize_images(logits, start, targets, settings, on_progress=on_progress)


def intermediary_prototypes(
    logits: Callable[[tf.Tensor], tf.Tensor],
    of_classes: np.ndarray,
    settings: OptimizerSettings | None = None,
    *,
    on_progress: Callable[[int, int], None] | None = None,
) -> Prototypes:
    """Drags every class prototype to every other class.

    Args:
        logits: As in `class_prototypes`.
        of_classes: The class prototypes, `(..., K, height, width, channels)`.
        settings: An `OptimizerSettings`.
        on_progress: As in `class_prototypes`.

    Returns:
        `Prototypes` with leading axes `(..., target, origin)`. Image [k, j] starts as
        prototype j and is optimised toward class k; on the diagonal are the class
        prototypes as they are given: no updates, and whether they have converged.
    """
    of_classes = np.asarray(of_classes, np.float32)
    *leading, num_classes, height, width, channels = of_classes.shape
    shape = (*leading, num_classes, num_classes)
    start = np.broadcast_to(
        of_classes[..., None, :, :, :, :], (*shape, height, width, channels)
    )
    targets = np.broadcast_to(np.arange(num_classes)[:, None], shape)
    given = np.broadcast_to(np.eye(num_classes, dtype=bool), shape)
    return optimize_images(
        logits, start, targets, settings, given=given, on_progress=on_progress
    )


def noise(seeds, num_classes: int, input_shape) -> np.ndarray:
    """Images to start from: every pixel uniform in [0, 1].

    Args:
        seeds: One integer per initialisation.
        num_classes: Number of classes, K.
        input_shape: (height, width, channels).

    Returns:
        float32 array `(len(seeds), K, height, width, channels)`.
    """
    shape = (num_classes, *input_shape)
    return np.stack(
        [np.random.default_rng(seed).random(shape, np.float32) for seed in seeds]
    )


def optimize_images(
    logits: Callable[[tf.Tensor], tf.Tensor],
    start: np.ndarray,
    targets: np.ndarray,
    settings: OptimizerSettings | None = None,
    *,
    given: np.ndarray | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> Prototypes:
    """Optimises images toward target classes.

    Args:
        logits: As in `class_prototypes`.
        start: Float array `(..., height, width, channels)` in [0, 1].
        targets: Integer array `(...)`, the class each image is optimised toward.
        settings: An `OptimizerSettings`.
        given: bool array `(...)`: images that are only looked at. None by default.
        on_progress: As in `class_prototypes`.

    Returns:
        `Prototypes` with the leading axes of `start`.

    Raises:
        ValueError: If a setting makes no sense or images are outside [0, 1].
    """
    settings = settings or OptimizerSettings()
    start = np.asarray(start, np.float32)
    _check(settings, start)
    leading, image_shape = start.shape[:-3], start.shape[-3:]
    count = int(np.prod(leading))
    flat_targets = np.asarray(targets, np.int32).reshape(count)
    limits = np.full(count, settings.max_iterations, np.int32)
    if given is not None:
        limits[np.asarray(given).reshape(count)] = 0
    images = start.reshape(count, *image_shape).copy()
    losses = np.full(count, np.nan, np.float32)
    iterations = np.zeros(count, np.int32)
    frames: list[list[np.ndarray]] = []
    if settings.frame_every is not None:
        frames = [[image.copy()] for image in images]
    advance = _compiled_advance(logits, settings)
    places = _Places(min(settings.batch_size, max(count, 1)), image_shape)
    waiting = iter(range(count))
    num_done = 0
    places.fill(waiting, images, flat_targets, limits)
    while places.occupied.any():
        places.state, place_losses, done = advance(places.state)
        done = done.numpy() & places.occupied
        place_images, _, place_iterations, *_ = (t.numpy() for t in places.state)
        if settings.frame_every is not None:
            for place in np.flatnonzero(places.occupied):
                # A frame at every call; an image that stood still has none.
                image = places.image_of[place]
                if np.any(frames[image][-1] != place_images[place]):
                    frames[image].append(place_images[place].copy())
        for place in np.flatnonzero(done):
            image = places.image_of[place]
            images[image] = place_images[place]
            losses[image] = place_losses[place]
            iterations[image] = place_iterations[place]
            num_done += 1
        places.occupied &= ~done
        if on_progress is not None and done.any():
            on_progress(num_done, count)
        places.fill(waiting, images, flat_targets, limits)
    return Prototypes(
        images=images.reshape(start.shape),
        losses=losses.reshape(leading),
        iterations=iterations.reshape(leading),
        converged=(losses < settings.loss_threshold).reshape(leading),
        frames=None
        if settings.frame_every is None
        else [np.stack(of_image) for of_image in frames],
    )


class _Places:
    """The images that are being optimised, in a batch of fixed size.

    Args:
        size: Number of places.
        image_shape: (height, width, channels).
    """

    def __init__(self, size: int, image_shape):
        self.occupied = np.zeros(size, bool)
        self.image_of = np.zeros(size, np.int64)
        pixels = tf.zeros((size, *image_shape))
        counts = tf.zeros((size,), tf.int32)
        # Images, targets, iterations, limits, Adam's two moments.
        self.state = (pixels, counts, counts, counts, pixels, pixels)

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
        state[0][free] = images[entering]
        state[1][free] = targets[entering]
        state[2][free] = 0
        state[3][free] = limits[entering]
        state[4][free] = 0
        state[5][free] = 0
        self.state = tuple(tf.constant(values) for values in state)


def _compiled_advance(logits, settings: OptimizerSettings):
    """A TensorFlow function that moves all places on by some iterations."""
    num_iterations = settings.frame_every or _ITERATIONS_A_CALL
    update = functools.partial(_update, settings=settings)

    def losses_of(images, targets):
        return tf.nn.sparse_softmax_cross_entropy_with_logits(
            targets, tf.cast(logits(images), tf.float32)
        )

    @tf.function(reduce_retracing=True)
    def advance(state):
        images, targets, iterations, limits, moment_1, moment_2 = state
        for _ in tf.range(num_iterations):
            with tf.GradientTape(watch_accessed_variables=False) as tape:
                tape.watch(images)
                losses = losses_of(images, targets)
            # Of the sum: every image has the gradient of its own loss.
            gradients = tape.gradient(losses, images)
            goes_on = (losses >= settings.loss_threshold) & (iterations < limits)
            iterations += tf.cast(goes_on, tf.int32)
            moved, new_1, new_2 = update(
                images, gradients, iterations, moment_1, moment_2
            )
            mask = goes_on[:, None, None, None]
            images = tf.where(mask, moved, images)
            moment_1 = tf.where(mask, new_1, moment_1)
            moment_2 = tf.where(mask, new_2, moment_2)
        losses = losses_of(images, targets)
        # Not `~(losses >= threshold)`: TensorFlow's graph optimiser would turn that
        # into `losses < threshold`, which a loss that is NaN never is.
        below = (losses < settings.loss_threshold) | tf.math.is_nan(losses)
        done = below | (iterations >= limits)
        return (images, targets, iterations, limits, moment_1, moment_2), losses, done

    return advance


def _update(images, gradients, iterations, moment_1, moment_2, *, settings):
    """One step of every image by the update rule, and Adam's new moments."""
    rate = settings.learning_rate
    if settings.update_rule == "normalized":
        squares = tf.reduce_sum(gradients**2, axis=(1, 2, 3), keepdims=True)
        step = tf.math.divide_no_nan(gradients, tf.sqrt(squares))
    elif settings.update_rule == "sgd":
        step = gradients
    else:
        moment_1 = _ADAM_BETA_1 * moment_1 + (1 - _ADAM_BETA_1) * gradients
        moment_2 = _ADAM_BETA_2 * moment_2 + (1 - _ADAM_BETA_2) * gradients**2
        t = tf.cast(iterations, tf.float32)[:, None, None, None]
        step = (moment_1 / (1 - _ADAM_BETA_1**t)) / (
            tf.sqrt(moment_2 / (1 - _ADAM_BETA_2**t)) + _ADAM_EPSILON
        )
    return tf.clip_by_value(images - rate * step, 0.0, 1.0), moment_1, moment_2


def _check(settings: OptimizerSettings, start: np.ndarray) -> None:
    if settings.update_rule not in UPDATE_RULES:
        raise ValueError(
            f"Expected `update_rule` to be one of {UPDATE_RULES}. "
            f"Received: {settings.update_rule!r}."
        )
    positive = ("learning_rate", "loss_threshold", "batch_size")
    for name in positive:
        if not getattr(settings, name) > 0:
            raise ValueError(
                f"Expected `{name}` above 0. Received: {getattr(settings, name)}."
            )
    bad_frames = settings.frame_every is not None and settings.frame_every < 1
    if settings.max_iterations < 0 or bad_frames:
        raise ValueError(
            "Expected `max_iterations` of 0 or more and `frame_every` of at least 1. "
            f"Received: {settings.max_iterations} and {settings.frame_every}."
        )
    if start.ndim < 3 or not (start.min() >= 0 and start.max() <= 1):
        raise ValueError(
            "Expected images (..., height, width, channels) in [0, 1]. Received: shape "
            f"{start.shape}, {start.min()} to {start.max()}."
        )
