"""The optimiser of input images.

Parametrisation, transformations, objective, update rule and stopping are kept apart.

Every image is optimised for itself: the gradient of its own loss, with respect to its
own parameters, so what else is in the batch does not matter. An image that is done
leaves its place to the next; when none waits, the batch shrinks.

A faster, less accurate copy of a classifier may do most of the updates. What decides,
and what is returned, is always the exact (float32) classifier's output.
"""

import dataclasses
from collections.abc import Callable, Iterator

import numpy as np
import tensorflow as tf

from keras_confusion.prototypes.optimizer import transformations, update_rules
from keras_confusion.prototypes.optimizer.drafting import DraftedLogits, LogitsFunction
from keras_confusion.prototypes.optimizer.frames import Frames
from keras_confusion.prototypes.optimizer.objectives import (
    Objective,
    cross_entropy,
    log_odds,
)
from keras_confusion.prototypes.optimizer.parametrizations import (
    Pixels,
    rendered,
)
from keras_confusion.prototypes.optimizer.settings import (
    OptimizerSettings,
    usual_parametrization,
)


@dataclasses.dataclass(frozen=True, eq=False)
class OptimizedImages:
    """Optimised images; leading axes as the function that returns them says.

    Args:
        images: float32 `(..., height, width, channels)` in [0, 1].
        parameters: float32 `(..., *parametrization.shape)`, from which the images are
            computed: of pixels, the images.
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
    parameters: np.ndarray
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
    descended: Objective | None = None,
    given: np.ndarray | None = None,
    seeds: np.ndarray | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> OptimizedImages:
    """Optimises images toward targets.

    Args:
        logits: Differentiable function from images `(batch, height, width, channels)`
            in [0, 1] to logits `(batch, K)`. Pass the same object again, not a new
            lambda: it is compiled once per object, objective and settings. With
            `DraftedLogits`, images go on by the exact ones from where they are done by
            the draft; updates by both count.
        start: Float array `(..., *parametrization.shape)`: of pixels, images `(...,
            height, width, channels)` in [0, 1].
        targets: Integer array `(...)`, the class each image is optimised toward; for
            an objective of several classes `(..., num_targets)`.
        settings: An `OptimizerSettings`.
        objective: An `Objective`; hashable, so that it can be compiled once. Says which
            images have converged.
        descended: The objective that updates follow where their number is given; `None`
            for `objectives.log_odds`. Without a number they follow `objective`.
        given: bool array `(...)`: images that are only looked at. None by default.
        seeds: Integer array `(..., n)`: n numbers decide the transformations of an
            image. By default its place in the array does.
        on_progress: Called with how many images are done, and of how many; with a
            draft that is not the end, those that are done by it count half.

    Returns:
        `OptimizedImages` with the leading axes of `start`.

    Raises:
        ValueError: If settings, images or targets are not what is expected.
    """
    settings = settings or OptimizerSettings()
    start = np.asarray(start, np.float32)
    targets = np.asarray(targets, np.int32)
    parametrization = usual_parametrization(settings, start.shape[-3:])
    _check(start, targets, parametrization)
    leading = start.shape[:-3]
    draft, exact = logits, logits
    if isinstance(logits, DraftedLogits):
        draft, exact = logits.draft, logits.exact
    # With a number of steps only a look follows the draft.
    is_done_twice = exact is not draft and settings.steps is None
    images = _Images(start, targets, settings, parametrization, given, seeds)
    images.expect(on_progress, ends_an_image=2 if is_done_twice else 1)
    every = np.arange(len(images.pixels))
    moving = every[images.limits > 0]
    if settings.steps is not None:
        descended = descended or log_odds
        _optimize(draft, images, moving, settings, descended, is_draft=True)
        _look(exact, images, every, settings, objective)
    elif isinstance(logits, DraftedLogits):
        drafted = logits.draft_objective or objective
        _optimize(draft, images, moving, settings, drafted, is_draft=True)
        moving = _look(exact, images, every, settings, objective)
        _optimize(exact, images, moving, settings, objective, is_draft=False)
    else:
        _look(exact, images, every[images.limits == 0], settings, objective)
        _optimize(exact, images, moving, settings, objective, is_draft=False)
    return OptimizedImages(
        images=images.pixels.reshape(*leading, *images.pixels.shape[1:]),
        parameters=images.parameters.reshape(start.shape),
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
        settings: An `OptimizerSettings`.
        parametrization: Its own, or pixels.
        given: bool array, or `None`.
        seeds: Integer array, or `None`.
    """

    def __init__(self, start, targets, settings, parametrization, given, seeds):
        count = int(np.prod(start.shape[:-3]))
        self.parametrization = parametrization
        self.parameters = start.reshape(count, *start.shape[-3:]).copy()
        self.pixels = rendered(parametrization, self.parameters)
        self.targets = targets.reshape(count, *targets.shape[start.ndim - 3 :])
        limit = settings.max_iterations if settings.steps is None else settings.steps
        self.limits = np.full(count, limit, np.int32)
        if given is not None:
            self.limits[np.asarray(given).reshape(count)] = 0
        # Images that are not transformed have a map that nobody looks at.
        self.num_draws = 1 if settings.transformations == "none" else settings.steps
        self.seeds = np.arange(count)[:, None]
        if seeds is not None:
            self.seeds = np.asarray(seeds).reshape(count, -1)
        self.iterations = np.zeros(count, np.int32)
        self.logits: dict[int, np.ndarray] = {}
        self.losses = np.full(count, np.nan, np.float32)
        self.converged = np.zeros(count, bool)
        keeps_frames = settings.frame_every is not None
        self.frames = [Frames(image) for image in self.pixels] if keeps_frames else []

    def expect(self, on_progress, ends_an_image: int) -> None:
        """Notes who is told, and how often an image is done."""
        self._on_progress, self._ends_an_image = on_progress, ends_an_image
        # Those that are only looked at are not done by the draft.
        self._num_ends = (ends_an_image - 1) * int((self.limits == 0).sum())

    def move(self, indices, parameters, iterations) -> None:
        """Takes over where images have come to by so many more updates."""
        self.parameters[indices] = parameters
        self.pixels[indices] = rendered(self.parametrization, parameters)
        self.iterations[indices] += iterations

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
        parameters, _, iterations, *_ = places.state
        done = done.numpy() & places.occupied
        if images.frames:
            due = places.occupied & ~done
            in_all = images.iterations[places.image_of] + iterations.numpy()
            due &= in_all % settings.frame_every == 0
            seen = rendered(images.parametrization, rows(parameters, due))
            for index, image in zip(places.image_of[due], seen, strict=True):
                images.frames[index].add(image, False)
        if not done.any():
            continue
        ended = places.image_of[done]
        images.move(ended, rows(parameters, done), rows(iterations, done))
        if not is_draft:
            images.finish(ended, *(rows(answer, done) for answer in answers))
        elif settings.steps is None:
            images.tell(len(ended))
        places.occupied &= ~done
        places.fill(waiting, images)


def _programs(logits, images, settings, objective) -> update_rules.Programs:
    # One program for all that differ only in how long and with whom images go on.
    same = dataclasses.replace(
        settings,
        steps=None if settings.steps is None else 1,
        max_iterations=0,
        batch_size=1,
        frame_every=None,
    )
    return update_rules.compile_programs(
        logits, same, objective, images.parametrization, images.targets.shape[1:]
    )


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
        values = tf.zeros((size, *images.parameters.shape[1:]))
        counts = tf.zeros((size,), tf.int32)
        targets = tf.zeros((size, *images.targets.shape[1:]), tf.int32)
        drawn = tf.zeros((size, images.num_draws, transformations.NUM_DRAWS))
        # Parameters, targets, iterations, limits, Adam's two moments, transformations.
        self.state = (values, targets, counts, counts, values, values, drawn)

    def fill(self, waiting: Iterator[int], images: _Images) -> None:
        """Gives free places to images that wait."""
        free = np.flatnonzero(~self.occupied)
        entering = [image for _, image in zip(free, waiting, strict=False)]
        if not entering:
            return
        free = free[: len(entering)]
        self.occupied[free] = True
        self.image_of[free] = entering
        values = images.parameters[entering]
        limits = images.limits[entering] - images.iterations[entering]
        none, zeros = np.zeros_like(limits), np.zeros_like(values)
        drawn = np.stack(
            [
                transformations.draws(images.seeds[image], images.num_draws)
                for image in entering
            ]
        )
        entries = (values, images.targets[entering], none, limits, zeros, zeros, drawn)
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


def _check(start: np.ndarray, targets: np.ndarray, parametrization) -> None:
    if start.ndim < 3 or not start.size:
        raise ValueError(
            "Expected at least one image, (..., height, width, channels). "
            f"Received: shape {start.shape}."
        )
    if start.shape[-3:] != parametrization.shape:
        raise ValueError(
            f"Expected parameters of shape (..., {parametrization.shape}) for "
            f"{parametrization.name}. Received: shape {start.shape}."
        )
    if isinstance(parametrization, Pixels) and not (
        start.min() >= 0 and start.max() <= 1
    ):
        raise ValueError(
            f"Expected images in [0, 1]. Received: {start.min()} to {start.max()}."
        )
    leading = start.shape[:-3]
    if targets.shape[: len(leading)] != leading:
        raise ValueError(
            f"Expected `targets` of shape {leading}, one for each image, or "
            f"{(*leading, 'num_targets')}. Received: {targets.shape}."
        )
