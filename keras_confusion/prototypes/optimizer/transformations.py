"""Random shifts, rotations and scales of images, one affine map for every image.

An image that is taken for its class wherever it lies is easier to read than one whose
every pixel counts (Olah, Mordvintsev and Schubert, Feature Visualization, 2017).
"""

import math

import numpy as np
import tensorflow as tf

TRANSFORMATIONS = ("none", "standard")
# Up to which share of the side, which angle and which factor.
_SHIFT, _ANGLE, _SCALE = 1 / 8, math.radians(10), 1.1
# Right, down, angle, logarithm of the scale.
NUM_DRAWS = 4


def draws(seed, steps: int) -> np.ndarray:
    """The affine maps of one image, one for every step.

    Args:
        seed: An integer or a sequence of them; decides all.
        steps: Number of maps.

    Returns:
        float32 `(steps, NUM_DRAWS)`, uniform in [-1, 1], see `transform`.
    """
    generator = np.random.default_rng(seed)
    return generator.uniform(-1, 1, (steps, NUM_DRAWS)).astype(np.float32)


def transform(images: tf.Tensor, drawn: tf.Tensor) -> tf.Tensor:
    """Shifts, rotates and scales images, each by its own map; edges are reflected.

    Args:
        images: float32 `(batch, height, width, channels)`, of at least 2 x 2 pixels.
        drawn: float32 `(batch, NUM_DRAWS)` in [-1, 1]: shares of the largest shift to
            the right and down, an eighth of the side; of the largest rotation, 10
            degrees; and of the largest enlargement, 1.1, or reduction.

    Returns:
        Images of the same shape, interpolated linearly.
    """
    height, width, channels = images.shape[1:]
    right, down, angle, scale = (drawn[:, i, None] for i in range(NUM_DRAWS))
    angle, scale = _ANGLE * angle, _SCALE**-scale
    y, x = np.indices((height, width), np.float32).reshape(2, 1, height * width)
    y, x = y - (height - 1) / 2, x - (width - 1) / 2
    # Where in the image a pixel comes from.
    from_x = scale * (tf.cos(angle) * x + tf.sin(angle) * y) - right * (_SHIFT * width)
    from_y = scale * (tf.cos(angle) * y - tf.sin(angle) * x) - down * (_SHIFT * height)
    from_x = _reflected(from_x + (width - 1) / 2, width)
    from_y = _reflected(from_y + (height - 1) / 2, height)
    # The last pixel but one at most, so that there is one to the right.
    left, top = (
        tf.minimum(tf.floor(place), float(side - 2))
        for place, side in ((from_x, width), (from_y, height))
    )
    to_right, to_bottom = (from_x - left)[..., None], (from_y - top)[..., None]
    corner = tf.cast(top, tf.int32) * width + tf.cast(left, tf.int32)
    pixels = tf.reshape(images, (-1, height * width, channels))

    def at(offset):
        return tf.gather(pixels, corner + offset, batch_dims=1)

    above = at(0) * (1 - to_right) + at(1) * to_right
    below = at(width) * (1 - to_right) + at(width + 1) * to_right
    moved = above * (1 - to_bottom) + below * to_bottom
    return tf.reshape(moved, (-1, height, width, channels))


def _reflected(place: tf.Tensor, side: int) -> tf.Tensor:
    """Coordinates mirrored at the centres of the first and last pixel."""
    last = float(side - 1)
    return last - tf.abs(tf.math.floormod(place, 2 * last) - last)
