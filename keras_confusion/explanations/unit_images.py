"""Images that a unit of a network responds to most, made by the prototype optimiser.

The pixels of a small network's class prototypes look like noise. For units the
optimiser moves an image that is blurred before the network sees it, and the network
sees it five times, a little to the left, right, up and down: what is left are shapes
that are larger than a pixel and need not be in one place, as in Olah, Mordvintsev and
Schubert (Feature Visualization, Distill 2017: transformation robustness).
"""

import dataclasses
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from keras_confusion.models import probe as model_probe
from keras_confusion.prototypes.optimizer import objectives
from keras_confusion.prototypes.optimizer.image_optimizer import optimize_images
from keras_confusion.prototypes.optimizer.settings import OptimizerSettings

# Standard deviation of the blur, and moves, as parts of an image's side.
_BLUR = 1 / 32
_MOVE = 2 / 32
# How much more active than on the strongest test image a unit is to become.
EXCESS = 1.5
# Images start as soft patterns about grey. Of so many each unit takes one that it
# responds to, as a silent unit has no gradient: of the faintest contrast, if it can.
_STARTS_A_CONTRAST = 64
_START_CONTRASTS = (0.05, 0.15, 0.45)
_START_BLUR = 2 / 32
SETTINGS = OptimizerSettings(
    update_rule="normalized",
    learning_rate=0.1,
    loss_threshold=0.001,
    max_iterations=256,
)


@dataclasses.dataclass(frozen=True, eq=False)
class UnitImages:
    """One image a unit.

    Args:
        images: float32 `(num_units, height, width, channels)` in [0, 1]; NaN for a unit
            that is silent on all test images.
        shares: float32 `(num_units,)`: how active the unit is on its image, as a share
            of its activation on the test image to which it responds most; NaN likewise.
    """

    images: np.ndarray
    shares: np.ndarray


def unit_images(
    probe: model_probe.Probe,
    units: np.ndarray,
    strongest: np.ndarray,
    *,
    seed: int = 0,
    on_progress: Callable[[int, int], None] | None = None,
) -> UnitImages:
    """Makes an image for each unit.

    Args:
        probe: A network with features.
        units: int array `(num_units,)`, numbers of features.
        strongest: Float array `(num_units,)`, each unit's activation on the test image
            to which it responds most.
        seed: Of the images to start from.
        on_progress: Called with how many images are done, and of how many.

    Returns:
        `UnitImages`.

    Raises:
        ValueError: If the network offers no features.
    """
    features = probe.feature_vectors
    if features is None:
        raise ValueError(
            f"Expected a network with features. Received: {probe.source}, which only "
            "classifies. Use a network whose layers can be told apart."
        )
    units, strongest = np.asarray(units), np.asarray(strongest, np.float32)
    shape = probe.input_shape
    images = np.full((len(units), *shape), np.nan, np.float32)
    shares = np.full(len(units), np.nan, np.float32)
    active = strongest > 0
    if not active.any():
        return UnitImages(images, shares)
    starts = _starts(seed, shape)
    start_activations = probe.features(starts)
    # Units outside `units` have weight 1.
    asked = np.ones(start_activations.shape[1], np.float32)
    asked[units[active]] = EXCESS * strongest[active]

    def shares_of_moved(pixels):
        moved = _moved(_blurred(pixels, _BLUR))
        return tf.add_n([features(image) for image in moved]) / len(moved) / asked

    made = optimize_images(
        shares_of_moved,
        starts[_choose(start_activations[:, units[active]])],
        units[active],
        SETTINGS,
        objective=objectives.unit_activation,
        on_progress=on_progress,
    )
    seen = tf.clip_by_value(_blurred(tf.constant(made.images), _BLUR), 0, 1).numpy()
    reached = probe.features(seen)[np.arange(len(seen)), units[active]]
    images[active], shares[active] = seen, reached / strongest[active]
    return UnitImages(images, shares)


def _starts(seed: int, shape) -> np.ndarray:
    """Images to start from, contrast by contrast, the faintest first."""
    rng = np.random.default_rng(seed)
    noise = rng.standard_normal((_STARTS_A_CONTRAST, *shape), np.float32)
    soft = _blurred(tf.constant(noise), _START_BLUR).numpy()
    soft /= soft.std()
    starts = [0.5 + contrast * soft for contrast in _START_CONTRASTS]
    return np.clip(np.concatenate(starts), 0, 1)


def _choose(activations: np.ndarray) -> np.ndarray:
    """For each unit the number of a start, from activations `(starts, units)`."""
    by_contrast = activations.reshape(len(_START_CONTRASTS), _STARTS_A_CONTRAST, -1)
    strongest = by_contrast.max(axis=1)
    # The first contrast that activates the unit; if none does, the strongest contrast.
    contrast = np.where(strongest > 0, np.arange(len(strongest))[:, None], np.inf)
    contrast = np.minimum(contrast.min(axis=0), len(strongest) - 1).astype(int)
    best = by_contrast.argmax(axis=1)[contrast, np.arange(len(contrast))]
    return contrast * _STARTS_A_CONTRAST + best


def _blurred(images: tf.Tensor, blur: float) -> tf.Tensor:
    """A Gaussian blur; what is outside is as the edge."""
    height, width, channels = images.shape[1:]
    for axis, side in ((1, height), (2, width)):
        deviation = blur * side
        reach = min(max(1, round(3 * deviation)), side)
        offsets = np.arange(-reach, reach + 1)
        weights = np.exp(-((offsets / deviation) ** 2) / 2)
        shape = [2 * reach + 1, 1] if axis == 1 else [1, 2 * reach + 1]
        kernel = np.reshape(weights / weights.sum(), [*shape, 1, 1])
        kernel = np.repeat(kernel, channels, axis=2).astype(np.float32)
        padding = [[0, 0], [0, 0], [0, 0], [0, 0]]
        padding[axis] = [reach, reach]
        padded = tf.pad(images, padding, "SYMMETRIC")
        images = tf.nn.depthwise_conv2d(padded, kernel, [1, 1, 1, 1], "VALID")
    return images


def _moved(images: tf.Tensor) -> list[tf.Tensor]:
    """Images as they are, and moved up, down, left and right."""
    height, width = images.shape[1:3]
    down, across = (max(1, round(_MOVE * side)) for side in (height, width))
    padded = tf.pad(
        images, [[0, 0], [down, down], [across, across], [0, 0]], "SYMMETRIC"
    )
    corners = [(1, 1), (0, 1), (2, 1), (1, 0), (1, 2)]
    return [
        padded[:, y * down : y * down + height, x * across : x * across + width]
        for y, x in corners
    ]
