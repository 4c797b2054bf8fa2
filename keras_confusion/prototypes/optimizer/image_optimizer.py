"""The optimiser of input images: objective, update rule and stopping, kept apart.

Every image is optimised for itself: the gradient of its own loss, with respect to its
pixels only, so what else is in the batch does not matter. An image that is done leaves
its place to the next; when none waits, the batch shrinks.

A faster, less accurate copy of a classifier may do most of the updates. What decides,
and what is returned, is always the exact (float32) classifier's output.
"""

import dataclasses
from collections.abc import Callable, Iterator

import numpy as np
import tensorflow as tf

from keras_confusion.prototypes.optimizer import update_rules
from keras_confusion.prototypes.optimizer.drafting import DraftedLogits, LogitsFunction
from keras_confusion.prototypes.optimizer.frames import Frames
from keras_confusion.prototypes.optimizer.objectives import Objective, cross_entropy


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
        if self.update_rule not in update_rules.UPDATE_RULES:
            raise ValueError(
                f"Expected `update_rule` to be one of {update_rules.UPDATE_RULES}. "
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
    logits: LogitsFunction,
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
            lambda: it is compiled once per object, objective and settings. With
            `DraftedLogits`, images go on by the exact ones from where they are done by
            the draft; updates by both count.
        start: Float array `(..., height, width, channels)` in [0, 1].
        targets: Integer array `(...)`, the class each image is optimised toward; for
            an objective of several classes `(..., num_targets)`.
        settings: An `OptimizerSettings`.
        objective: An `Objective`; hashable, so that it can be compiled once.
        given: bool array `(...)`: images that are only looked at. None by default.
        on_progress: Called with how many images are done, and of how many; with a
            draft, those that are done by it count half.

    Returns:
        `OptimizedImages` with the leading axes of `start`.

    Raises:
        ValueError: If settings, images or targets are not what is expected.
    """
    settings = settings or OptimizerSettings()
    start = np.asarray(start, np.float32)
    targets = np.asarray(targets, np.int32)
    _check(start, targets)
    leading = start.shape[:-3]
    has_draft = isinstance(logits, DraftedLogits)
    images = _Images(start, targets, given, settings, has_draft, on_progress)
    every = np.arange(len(images.pixels))
    moving = every[images.limits > 0]
    if isinstance(logits, DraftedLogits):
        draft_objective = logits.draft_objective or objective
        _optimize(
            logits.draft, images, moving, settings, draft_objective, is_draft=True
        )
        logits = logits.exact
        moving = _look(logits, images, every, settings, objective)
    else:
        _look(logits, images, every[images.limits == 0], settings, objective)
    _optimize(logits, images, moving, settings, objective, is_draft=False)
    return OptimizedImages(
        images=images.pixels.reshape(start.shape),
        logits=np.stack([images.logits[int(i)] for i in every]).reshape(*leading, -1),
        losses=images.losses.reshape(leading),
        iterations=images.iterations.reshape(leading),
        converged=images.converged.reshape(leading),
        frames=[np.stack(image_frames.kept) for image_frames in images.frames] or None,
    )


class _Images:
    """All images of one call, and how far they are.

    Args:
        start: See `optimize_images`, as the others.
        targets: Integer array.
        given: bool array, or `None`.
        settings: An `OptimizerSettings`.
        has_draft: Whether images are done twice.
        on_progress: A function, or `None`.
    """

    def __init__(self, start, targets, given, settings, has_draft, on_progress):
        count = int(np.prod(start.shape[:-3]))
        self.pixels = start.reshape(count, *start.shape[-3:]).copy()
        self.targets = targets.reshape(count, *targets.shape[start.ndim - 3 :])
        self.limits = np.full(count, settings.max_iterations, np.int32)
        if given is not None:
            self.limits[np.asarray(given).reshape(count)] = 0
        self.iterations = np.zeros(count, np.int32)
        self.logits: dict[int, np.ndarray] = {}
        self.losses = np.full(count, np.nan, np.float32)
        self.converged = np.zeros(count, bool)
        keeps_frames = settings.frame_every is not None
        self.frames = [Frames(image) for image in self.pixels] if keeps_frames else []
        self._on_progress = on_progress
        self._ends_an_image = 2 if has_draft else 1
        self._num_ends = (self.limits == 0).sum() if has_draft else 0

    def finish(self, indices, logits, losses, reached) -> None:
        """Notes that the pixels of some images are final."""
        self.losses[indices], self.converged[indices] = losses, reached
        self.logits |= zip(indices, logits, strict=True)
        if self.frames:
            for index in indices:
                self.frames[index].add(self.pixels[index], True)
        self.tell(len(indices))

    def tell(self, num_ends: int) -> None:
        """Notes that so many images are done, by the draft or for good."""
        before = self._num_ends // self._ends_an_image
        self._num_ends += num_ends
        now = self._num_ends // self._ends_an_image
        if self._on_progress is not None and now > before:
            self._on_progress(now, len(self.pixels))


def _optimize(logits, images, indices, settings, objective, *, is_draft) -> None:
    """Moves images on until this logits function says that they are done."""

    def rows(tensor, which):
        return tf.gather(tensor, np.flatnonzero(which)).numpy()

    step = _programs(logits, images, settings, objective).step
    places = _Places(min(settings.batch_size, len(images.pixels)), images)
    waiting = iter(indices)
    places.fill(waiting, images)
    while places.occupied.any():
        places.shrink()
        places.state, answers, done = step(places.state)
        pixels, _, iterations, *_ = places.state
        done = done.numpy() & places.occupied
        if images.frames:
            due = places.occupied & ~done
            in_all = images.iterations[places.image_of] + iterations.numpy()
            due &= in_all % settings.frame_every == 0
            for index, image in zip(
                places.image_of[due], rows(pixels, due), strict=True
            ):
                images.frames[index].add(image, False)
        if not done.any():
            continue
        ended = places.image_of[done]
        images.pixels[ended] = rows(pixels, done)
        images.iterations[ended] += rows(iterations, done)
        if is_draft:
            images.tell(len(ended))
        else:
            images.finish(ended, *(rows(answer, done) for answer in answers))
        places.occupied &= ~done
        places.fill(waiting, images)


def _programs(logits, images, settings, objective) -> update_rules.Programs:
    shapes = images.pixels.shape[1:], images.targets.shape[1:]
    return update_rules.compile_programs(logits, settings, objective, *shapes)


def _look(logits, images, indices, settings, objective) -> np.ndarray:
    """Asks about images; finishes those that are done and returns the others."""
    look = _programs(logits, images, settings, objective).look
    not_done = [indices[:0]]
    for first in range(0, len(indices), settings.batch_size):
        batch = indices[first : first + settings.batch_size]
        answers = look(images.pixels[batch], images.targets[batch])
        image_logits, losses, reached = (answer.numpy() for answer in answers)
        done = reached | np.isnan(losses)
        done |= images.iterations[batch] >= images.limits[batch]
        images.finish(batch[done], image_logits[done], losses[done], reached[done])
        not_done.append(batch[~done])
    return np.concatenate(not_done)


class _Places:
    """The batch: images that are being optimised.

    Args:
        size: Number of places to begin with.
        images: An `_Images`.
    """

    def __init__(self, size: int, images: _Images):
        self.occupied = np.zeros(size, bool)
        self.image_of = np.zeros(size, np.int64)
        pixels = tf.zeros((size, *images.pixels.shape[1:]))
        counts = tf.zeros((size,), tf.int32)
        targets = tf.zeros((size, *images.targets.shape[1:]), tf.int32)
        # Pixels, targets, iterations, limits, Adam's two moments.
        self.state = (pixels, targets, counts, counts, pixels, pixels)

    def fill(self, waiting: Iterator[int], images: _Images) -> None:
        """Gives free places to images that wait."""
        free = np.flatnonzero(~self.occupied)
        entering = [image for _, image in zip(free, waiting, strict=False)]
        if not entering:
            return
        free = free[: len(entering)]
        self.occupied[free] = True
        self.image_of[free] = entering
        pixels = images.pixels[entering]
        limits = images.limits[entering] - images.iterations[entering]
        none, zeros = np.zeros_like(limits), np.zeros_like(pixels)
        entries = (pixels, images.targets[entering], none, limits, zeros, zeros)
        self.state = tuple(
            tf.tensor_scatter_nd_update(tensor, free[:, None], entry)
            for tensor, entry in zip(self.state, entries, strict=True)
        )

    def shrink(self) -> None:
        """Halves the batch until more than half of it is occupied.

        Not to any size: a GPU's libraries try out their algorithms for each again.
        """
        size, num_occupied = len(self.occupied), int(self.occupied.sum())
        while size > 1 and 2 * num_occupied <= size:
            size = (size + 1) // 2
        if size < len(self.occupied):
            kept = np.argsort(~self.occupied, kind="stable")[:size]
            self.occupied, self.image_of = self.occupied[kept], self.image_of[kept]
            self.state = tuple(tf.gather(tensor, kept) for tensor in self.state)


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
