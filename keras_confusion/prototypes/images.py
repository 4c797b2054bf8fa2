"""Images that a trained classifier takes for a class, or for two at once.

Class prototypes start from noise, intermediary and boundary prototypes from class
prototypes. All are optimised by `image_optimizer`.
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import TypeAlias

import keras
import numpy as np
import tensorflow as tf

from keras_confusion.models import probe
from keras_confusion.prototypes.optimizer import objectives, parametrizations
from keras_confusion.prototypes.optimizer.drafting import DraftedLogits
from keras_confusion.prototypes.optimizer.image_optimizer import (
    OptimizedImages,
    optimize_images,
)
from keras_confusion.prototypes.optimizer.parametrizations import rendered
from keras_confusion.prototypes.optimizer.settings import (
    OptimizerSettings,
    usual_parametrization,
)

# Keras models whose logits function is kept, so that it compiles once.
_NUM_MODELS = 2
# Where two logits nearly tie, bfloat16 cannot tell which is larger: on the way there it
# would zigzag for long.
_DRAFT_TOLERANCES = 10

Model: TypeAlias = probe.Probe | keras.Model | Callable[[tf.Tensor], tf.Tensor]


@dataclasses.dataclass(frozen=True, eq=False)
class BoundaryPrototypes:
    """Images at which two classes tie; axes `(..., target, origin)`.

    Args:
        images: float32 `(..., K, K, height, width, channels)` in [0, 1]; on the
            diagonal the class prototypes as they were given.
        gaps: float32 `(..., K, K)`, logit of the target minus logit of the origin;
            NaN on the diagonal.
        losses: float32 `(..., K, K)`, cross-entropy toward half and half in excess of
            its minimum log 2, nats; NaN on the diagonal.
        iterations: int32 `(..., K, K)`, updates that were made; 0 on the diagonal.
        converged: bool `(..., K, K)`; `False` on the diagonal, as there is no boundary
            of a class with itself.
    """

    images: np.ndarray
    gaps: np.ndarray
    losses: np.ndarray
    iterations: np.ndarray
    converged: np.ndarray


def class_prototypes(
    model: Model,
    start: np.ndarray,
    settings: OptimizerSettings | None = None,
    *,
    seeds: np.ndarray | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> OptimizedImages:
    """Optimises one image per class.

    Args:
        model: A `probe.Probe`, a Keras model, or any differentiable function from
            images `(batch, height, width, channels)` in [0, 1] to logits `(batch, K)`.
        start: Float array `(..., K, height, width, channels)` in [0, 1]: noise (see
            `starts`), or the prototypes of an earlier training interval. Of another
            parametrisation than pixels its parameters `(..., K, *shape)`.
        settings: An `OptimizerSettings`.
        seeds: Integer array `(...)`, one for each initialisation; it decides how its
            images are transformed. By default its place in the array does.
        on_progress: Called with how many images are done, and of how many.

    Returns:
        `OptimizedImages` with leading axes `(..., target)`, those of `start`.
    """
    start = _with_classes(start)
    targets = np.broadcast_to(np.arange(start.shape[-4]), start.shape[:-3])
    return optimize_images(
        _logits_of(model),
        start,
        targets,
        settings,
        seeds=_image_seeds(seeds, start.shape[:-4], targets, targets),
        on_progress=on_progress,
    )


def intermediary_prototypes(
    model: Model,
    prototypes: np.ndarray,
    settings: OptimizerSettings | None = None,
    *,
    seeds: np.ndarray | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> OptimizedImages:
    """Drags every class prototype to every other class.

    Args:
        model: As in `class_prototypes`.
        prototypes: The class prototypes, `(..., K, height, width, channels)`; of
            another parametrisation than pixels their parameters.
        settings: An `OptimizerSettings`. Where it has a number of steps, half of them
            are made: the images begin as prototypes.
        seeds: As in `class_prototypes`.
        on_progress: As in `class_prototypes`.

    Returns:
        `OptimizedImages` with leading axes `(..., target, origin)`. Image [k, j]
        starts as prototype j and is optimised toward class k; on the diagonal are the
        class prototypes, copied unchanged; only `converged` is evaluated.
    """
    start = _as_origins(prototypes)
    num_classes = start.shape[-4]
    targets, origins = (
        np.broadcast_to(labels, start.shape[:-3])
        for labels in np.indices((num_classes, num_classes))
    )
    given = targets == origins
    return optimize_images(
        _logits_of(model),
        start,
        targets,
        (settings or OptimizerSettings()).for_prototypes(),
        given=given,
        seeds=_image_seeds(seeds, start.shape[:-5], targets, origins),
        on_progress=on_progress,
    )


def boundary_images(
    model: Model,
    start: np.ndarray,
    pairs: np.ndarray,
    settings: OptimizerSettings | None = None,
    *,
    learning_rate: float | None = None,
    gap_tolerance: float = 0.01,
    seeds: np.ndarray | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> OptimizedImages:
    """Drags images to the boundary of two classes each.

    The loss is the cross-entropy toward the distribution that gives one half to each
    of the two, in excess of its minimum log 2. An image has converged when its loss is
    below `settings.loss_threshold` and the two logits differ by less than
    `gap_tolerance`: then no other class is above either of them. Where they differ by
    more, the image moves toward the tie; where not, down the loss. Down the loss
    alone, it zigzags across the tie for long.

    Where the settings have a number of steps, half of them come first: by the
    parametrisation, up the lower one of the two logits. What is left to the tie then is
    done by pixels.

    Args:
        model: As in `class_prototypes`.
        start: Float array `(..., height, width, channels)` in [0, 1], or parameters.
        pairs: Integer array `(..., 2)`: the two classes of every image.
        settings: An `OptimizerSettings`. Whatever its update rule is, "polyak" is
            used for pixels, as steps of one length jump over the tie; frames are not
            kept.
        learning_rate: The longest step of pixels; `None` takes the settings'.
        gap_tolerance: A difference of two logits, above 0; see `objectives.check_tie`.
        seeds: Integer array `(..., n)`, as in `image_optimizer.optimize_images`.
        on_progress: As in `class_prototypes`.

    Returns:
        `OptimizedImages` with the leading axes of `start`, in pixels.
    """
    settings = dataclasses.replace(settings or OptimizerSettings(), frame_every=None)
    logits = _logits_of(model)
    num_before: np.ndarray | int = 0
    if settings.steps is not None:
        near = optimize_images(
            logits,
            start,
            pairs,
            settings.for_prototypes(),
            objective=objectives.Tie(gap_tolerance),
            descended=objectives.lower_of_two,
            seeds=seeds,
        )
        start, num_before = near.images, near.iterations
    settings = dataclasses.replace(
        settings,
        update_rule="polyak",
        learning_rate=learning_rate or settings.learning_rate,
        steps=None,
        transformations="none",
        parametrization=None,
    )
    if isinstance(logits, DraftedLogits):
        nearly = objectives.Tie(_DRAFT_TOLERANCES * gap_tolerance)
        logits = dataclasses.replace(logits, draft_objective=nearly)
    made = optimize_images(
        logits,
        start,
        pairs,
        settings,
        objective=objectives.Tie(gap_tolerance),
        on_progress=on_progress,
    )
    return dataclasses.replace(made, iterations=made.iterations + num_before)


def boundary_prototypes(
    model: Model,
    prototypes: np.ndarray,
    settings: OptimizerSettings | None = None,
    *,
    learning_rate: float | None = None,
    gap_tolerance: float = 0.01,
    seeds: np.ndarray | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> BoundaryPrototypes:
    """Drags every class prototype to its boundary with every other class.

    Image [k, j] starts as prototype j and is moved by `boundary_images`.

    Args:
        model: As in `class_prototypes`.
        prototypes: As in `intermediary_prototypes`.
        settings: As in `boundary_images`, as the next two.
        learning_rate: The longest step of pixels.
        gap_tolerance: A difference of two logits.
        seeds: As in `class_prototypes`.
        on_progress: As in `class_prototypes`.

    Returns:
        `BoundaryPrototypes`.

    Raises:
        ValueError: If there is only one class, or the threshold and the tolerance
            are so large that a third class could be on top.
    """
    settings = settings or OptimizerSettings()
    start = _as_origins(prototypes)
    leading, num_classes = start.shape[:-5], start.shape[-4]
    objectives.check_tie(num_classes, settings.loss_threshold, gap_tolerance)
    pairs = np.argwhere(~np.eye(num_classes, dtype=bool))
    targets, origins = pairs.T
    all_pairs = np.broadcast_to(pairs, (*leading, *pairs.shape))
    made = boundary_images(
        model,
        start[..., targets, origins, :, :, :],
        all_pairs,
        settings,
        learning_rate=learning_rate,
        gap_tolerance=gap_tolerance,
        seeds=_image_seeds(seeds, leading, all_pairs[..., 0], all_pairs[..., 1]),
        on_progress=on_progress,
    )
    each = np.arange(len(pairs))
    shape = (*leading, num_classes, num_classes)

    def spread(values, on_diagonal):
        array = np.full(shape, on_diagonal, values.dtype)
        array[..., targets, origins] = values
        return array

    parametrization = usual_parametrization(settings, start.shape[-3:])
    given = rendered(parametrization, _with_classes(prototypes))
    images = np.repeat(given[..., None, :, :, :, :], num_classes, axis=-5)
    images[..., targets, origins, :, :, :] = made.images
    return BoundaryPrototypes(
        images=images,
        gaps=spread(
            made.logits[..., each, targets] - made.logits[..., each, origins], np.nan
        ),
        losses=spread(made.losses, np.nan),
        iterations=spread(made.iterations, 0),
        converged=spread(made.converged, on_diagonal=False),
    )


def starts(
    seeds, num_classes: int, parametrization: parametrizations.Parametrization
) -> np.ndarray:
    """What class prototypes start from: of pixels, noise uniform in [0, 1].

    Args:
        seeds: One integer per initialisation.
        num_classes: Number of classes, K.
        parametrization: A `parametrizations.Parametrization`.

    Returns:
        float32 array `(len(seeds), K, *parametrization.shape)`.
    """
    return np.stack([parametrization.start(seed, num_classes) for seed in seeds])


def _image_seeds(seeds, leading, targets, origins) -> np.ndarray:
    """Seed, target and origin of every image, `(..., 3)`."""
    if seeds is None:
        seeds = np.arange(int(np.prod(leading))).reshape(leading)
    seeds = np.asarray(seeds)
    of_images = seeds.reshape(seeds.shape + (1,) * (targets.ndim - seeds.ndim))
    return np.stack(np.broadcast_arrays(of_images, targets, origins), axis=-1)


def _with_classes(images: np.ndarray) -> np.ndarray:
    images = np.asarray(images, np.float32)
    if images.ndim < 4:
        raise ValueError(
            "Expected images (..., K, height, width, channels), one per class. "
            f"Received: shape {images.shape}."
        )
    return images


def _as_origins(prototypes: np.ndarray) -> np.ndarray:
    """Repeats class prototypes along a new axis: `(..., target, origin, h, w, c)`."""
    prototypes = _with_classes(prototypes)
    *leading, num_classes, height, width, channels = prototypes.shape
    return np.broadcast_to(
        prototypes[..., None, :, :, :, :],
        (*leading, num_classes, num_classes, height, width, channels),
    )


def _logits_of(model: Model) -> Callable[[tf.Tensor], tf.Tensor]:
    """The logits function of a model: the same object whenever it is the same model."""
    if isinstance(model, probe.Probe):
        return model.logits
    if isinstance(model, keras.Model):
        return _logits_of_keras_model(model)
    return model


@functools.lru_cache(maxsize=_NUM_MODELS)
def _logits_of_keras_model(model: keras.Model) -> Callable[[tf.Tensor], tf.Tensor]:
    return lambda images: tf.cast(model(images, training=False), tf.float32)
