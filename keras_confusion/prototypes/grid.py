"""Everything that is asked of one trained classifier, in one go.

From images to start from: class, intermediary and boundary prototypes, the class
prototypes after an attack, and what the classifier says of all of them when it is
asked afresh.
"""

import dataclasses
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from keras_confusion.models import probe as model_probe
from keras_confusion.models.attacks import deepfool
from keras_confusion.prototypes import images as prototype_images
from keras_confusion.prototypes.optimizer.frames import evenly_spaced_frames
from keras_confusion.prototypes.optimizer.image_optimizer import (
    OptimizedImages,
)
from keras_confusion.prototypes.optimizer.parametrizations import Pixels, rendered
from keras_confusion.prototypes.optimizer.settings import (
    OptimizerSettings,
    usual_parametrization,
)

_BATCH_SIZE = 100


@dataclasses.dataclass(frozen=True, eq=False)
class Answers:
    """What a classifier says of images; axes are theirs.

    Args:
        logits: float32 `(..., K)`.
        predicted: int16 `(...)`, the most probable label.
        features: float32 `(..., d)`; `None` for a classifier without features.
    """

    logits: np.ndarray
    predicted: np.ndarray
    features: np.ndarray | None

    def cross_entropies(self, targets: np.ndarray) -> np.ndarray:
        """Cross-entropy toward a label of each image, nats, float32 `(...)`."""
        return tf.nn.sparse_softmax_cross_entropy_with_logits(
            np.broadcast_to(targets, self.predicted.shape), self.logits
        ).numpy()


@dataclasses.dataclass(frozen=True)
class ProbingSettings:
    """What is made of a classifier.

    Args:
        images: How images are optimised.
        boundaries: Whether boundary prototypes are made.
        boundary_learning_rate: The longest step of boundary prototypes, which shorten
            their steps on their own.
        gap_tolerance: See `images.boundary_prototypes`.
        num_frames: Frames that are kept of every image's way, 0 or at least 2.
        attacks: Whether class prototypes are attacked.
    """

    images: OptimizerSettings = dataclasses.field(default_factory=OptimizerSettings)
    boundaries: bool = True
    boundary_learning_rate: float = 0.1
    gap_tolerance: float = 0.01
    num_frames: int = 0
    attacks: bool = True


def ask(probe: model_probe.Probe, images: np.ndarray) -> Answers:
    """Asks a classifier about images of any leading axes, a batch at a time."""
    leading = images.shape[:-3]
    flat = images.reshape(-1, *images.shape[-3:])
    logits, features = [], []
    for first in range(0, len(flat), _BATCH_SIZE):
        batch = flat[first : first + _BATCH_SIZE]
        logits.append(probe.logits(tf.constant(batch)).numpy())
        if probe.feature_vectors is not None:
            features.append(probe.features(batch))
    all_logits = np.concatenate(logits).reshape(*leading, -1)
    return Answers(
        logits=all_logits,
        predicted=all_logits.argmax(axis=-1).astype(np.int16),
        features=np.concatenate(features).reshape(*leading, -1) if features else None,
    )


def probe_classifier(
    probe: model_probe.Probe,
    start: np.ndarray,
    settings: ProbingSettings,
    *,
    seeds: np.ndarray | None = None,
    on_progress: Callable[[int], None] | None = None,
) -> dict[str, np.ndarray]:
    """Makes and measures the prototypes of a classifier.

    Args:
        probe: The classifier.
        start: float32 `(..., K, height, width, channels)` in [0, 1]: what the class
            prototypes begin as; of another parametrisation than pixels its parameters.
        settings: A `ProbingSettings`.
        seeds: Integer array `(...)`, see `images.class_prototypes`.
        on_progress: Called with the number of images that are done, of `num_images`.

    Returns:
        The arrays of `store.ARRAYS` that are asked for, without `finished`
        and `seconds`, with the leading axes of `start` in place of the first two.
        Losses, labels, gaps and `converged` are those of the finished images, as the
        classifier gives them when it is asked again, but `boundary_loss`, which is the
        optimiser's; features only if the classifier has them.
    """
    tell = _Tally(on_progress)
    class_prototypes = prototype_images.class_prototypes(
        probe, start, settings.images, seeds=seeds, on_progress=tell
    )
    tell.next()
    made = prototype_images.intermediary_prototypes(
        probe,
        class_prototypes.parameters,
        settings.images,
        seeds=seeds,
        on_progress=tell,
    )
    tell.next()
    num_classes = start.shape[-4]
    diagonal = np.arange(num_classes)
    iterations = made.iterations.copy()
    iterations[..., diagonal, diagonal] = class_prototypes.iterations
    made = dataclasses.replace(made, iterations=iterations)
    values: dict = _measured(probe, start, made, diagonal[:, None], settings.images)
    if not isinstance(settings.images.parametrization, Pixels | None):
        values["parameters"] = class_prototypes.parameters
    if settings.num_frames:
        values["frames"] = _all_frames(class_prototypes, made, settings.num_frames)
    if settings.boundaries:
        values |= _boundaries(probe, class_prototypes.parameters, settings, seeds, tell)
    if settings.attacks:
        attacked = deepfool.deepfool(probe.logits, class_prototypes.images)
        values |= {
            "adversarial_image": attacked.images,
            "adversarial_features": ask(probe, attacked.images).features,
            "adversarial_predicted": attacked.labels_after,
            "adversarial_fooled": attacked.fooled,
        }
    return {name: value for name, value in values.items() if value is not None}


def probe_class_prototypes(
    probe: model_probe.Probe,
    start: np.ndarray,
    settings: OptimizerSettings,
    *,
    seeds: np.ndarray | None = None,
) -> dict[str, np.ndarray]:
    """Makes and measures nothing but class prototypes, for classifiers of many classes.

    Args:
        probe: The classifier.
        start: As in `probe_classifier`.
        settings: How images are optimised.
        seeds: As in `probe_classifier`.

    Returns:
        As `probe_classifier`, but with no axis for origins, and no more than `start`,
        `image`, `loss`, `iterations`, `converged`, `predicted`, `features` and
        `parameters`.
    """
    made = prototype_images.class_prototypes(probe, start, settings, seeds=seeds)
    values = _measured(probe, start, made, np.arange(start.shape[-4]), settings)
    if not isinstance(settings.parametrization, Pixels | None):
        values["parameters"] = made.parameters
    return values


def _measured(
    probe: model_probe.Probe,
    start: np.ndarray,
    made: OptimizedImages,
    targets: np.ndarray,
    settings: OptimizerSettings,
) -> dict[str, np.ndarray]:
    """What the classifier says of finished images, without what it does not say."""
    answers = ask(probe, made.images)
    losses = answers.cross_entropies(targets)
    parametrization = usual_parametrization(settings, start.shape[-3:])
    values: dict[str, np.ndarray | None] = {
        "start": rendered(parametrization, start),
        "image": made.images,
        "loss": losses,
        "iterations": made.iterations,
        "converged": losses < settings.loss_threshold,
        "predicted": answers.predicted,
        "features": answers.features,
    }
    return {name: value for name, value in values.items() if value is not None}


def num_images(start: np.ndarray, settings: ProbingSettings) -> int:
    """How many images `probe_classifier` counts."""
    num_classes = start.shape[-4]
    num_starts = int(np.prod(start.shape[:-4]))
    num_pairs = num_classes * (num_classes - 1)
    per_start = num_classes + num_classes**2 + settings.boundaries * num_pairs
    return num_starts * per_start


def _boundaries(
    probe, class_prototypes, settings: ProbingSettings, seeds, tell
) -> dict:
    made = prototype_images.boundary_prototypes(
        probe,
        class_prototypes,
        settings.images,
        learning_rate=settings.boundary_learning_rate,
        gap_tolerance=settings.gap_tolerance,
        seeds=seeds,
        on_progress=tell,
    )
    # The diagonal holds class prototypes, which are no boundaries.
    num_classes = made.images.shape[-4]
    off_diagonal = ~np.eye(num_classes, dtype=bool)
    answers = ask(probe, made.images)
    features = answers.features
    if features is not None:
        features = np.where(off_diagonal[..., None], features, np.float32(np.nan))
    targets, origins = np.indices((num_classes, num_classes))

    def label_logits(labels):
        index = np.broadcast_to(labels, answers.predicted.shape)[..., None]
        return np.take_along_axis(answers.logits, index, axis=-1)[..., 0]

    gaps = np.where(off_diagonal, label_logits(targets) - label_logits(origins), np.nan)
    return {
        "boundary_image": np.where(
            off_diagonal[..., None, None, None], made.images, np.float32(np.nan)
        ),
        "boundary_gap": gaps,
        "boundary_loss": made.losses,
        "boundary_iterations": made.iterations,
        "boundary_converged": made.converged
        & (np.abs(np.nan_to_num(gaps, nan=np.inf)) < settings.gap_tolerance),
        "boundary_features": features,
    }


def _all_frames(
    class_prototypes: OptimizedImages, made: OptimizedImages, num_frames: int
) -> np.ndarray:
    """Frames of all of P, uint8; those of a class prototype begin where it began."""
    *leading, num_classes, height, width, channels = class_prototypes.images.shape
    shape = (*leading, num_classes, num_classes, num_frames, height, width, channels)
    frames = evenly_spaced_frames(made.frames or [], num_frames).reshape(shape)
    diagonal = np.arange(num_classes)
    frames[..., diagonal, diagonal, :, :, :, :] = evenly_spaced_frames(
        class_prototypes.frames or [], num_frames
    ).reshape(*leading, num_classes, num_frames, height, width, channels)
    return np.round(frames * 255).astype(np.uint8)


class _Tally:
    """Adds up the images of one optimisation after another."""

    def __init__(self, on_progress: Callable[[int], None] | None):
        self._on_progress = on_progress
        self._before = self._now = 0

    def __call__(self, num_done: int, _num_images: int) -> None:
        self._now = num_done
        if self._on_progress is not None:
            self._on_progress(self._before + num_done)

    def next(self) -> None:
        self._before += self._now
        self._now = 0
