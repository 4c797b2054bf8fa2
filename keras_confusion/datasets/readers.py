"""Readers behind `loading.load_dataset`, one per kind of data set.

Each returns `DatasetContents`: class names, images or token sequences, and labels of
both splits. Images come as an array, or as an `ImageStream` where they may not fit into
memory; token sequences as an array.
"""

import dataclasses
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from keras_confusion.datasets import planted

DEFAULT_IMAGE_SIZE = (32, 32)
_DIGITS_TEST_FRACTION = 1 / 3
_SPLIT_SEED = 0


@dataclasses.dataclass(frozen=True, eq=False)
class ImageStream:
    """Images that are read from disk whenever they are needed.

    Attributes:
        shape: `(h, w, c)` of one image.
        dtype: NumPy type of the images, uint8 in 0..255 or float32 in [0, 1].
        open: Returns a `tf.data.Dataset` of single images, always in the same order.
        sample: Takes a number and returns a `tf.data.Dataset` of as many images at
            most, always the same ones, without reading the others.
        is_read_as_before: Whether the first versions read the same pixels.
    """

    shape: tuple[int, int, int]
    dtype: type
    open: Callable[[], tf.data.Dataset]
    sample: Callable[[int], tf.data.Dataset]
    is_read_as_before: bool = True


class DatasetContents(NamedTuple):
    """What a reader found; labels are integers, images are in the labels' order.

    In place of images there may be token sequences, int32 `(n, length)`. `notes` are
    sentences on what was assumed or left out.
    """

    class_names: tuple[str, ...]
    train_images: np.ndarray | ImageStream
    train_labels: np.ndarray
    test_images: np.ndarray | ImageStream
    test_labels: np.ndarray
    notes: tuple[str, ...] = ()


def read_digits(image_size):
    """Read scikit-learn's digits.

    Args:
        image_size: `(h, w)` to which the 8x8 pictures are enlarged; None for (32, 32).

    Returns:
        `DatasetContents` in memory, uint8 `[n, h, w, 3]`, a third for the test.
    """
    from sklearn.datasets import load_digits

    digits = load_digits()
    pictures = digits.images[..., None].astype(np.float32) / digits.images.max()
    images = resized_array(pictures, image_size or DEFAULT_IMAGE_SIZE)
    images = np.repeat(np.rint(images * 255).astype(np.uint8), 3, axis=-1)
    is_test = stratified_test_mask(digits.target, _DIGITS_TEST_FRACTION)
    return DatasetContents(
        tuple(str(digit) for digit in digits.target_names),
        images[~is_test],
        digits.target[~is_test],
        images[is_test],
        digits.target[is_test],
    )


def read_planted(seed, image_size):
    """Draw the images of `planted`, in which it is known what is learned from what.

    Args:
        seed: Integer, 0 or more, of the data set.
        image_size: `(h, w)` to which the 32x32 images are resized; None keeps them.

    Returns:
        `DatasetContents` in memory, uint8 `[n, h, w, 3]`.
    """
    splits = [planted.draw_split(seed, test=test) for test in (False, True)]
    (train_images, train_labels), (test_images, test_labels) = splits
    if image_size is not None:
        train_images = resized_array(train_images, image_size)
        test_images = resized_array(test_images, image_size)
    return DatasetContents(
        planted.CLASS_NAMES, train_images, train_labels, test_images, test_labels
    )


def resize_images(images, image_size):
    """Resize images bilinearly, with antialiasing where they shrink.

    Args:
        images: `[h, w, c]` or `[n, h, w, c]`, uint8 in 0..255 or float32 in [0, 1].
        image_size: `(h, w)` of the result in pixels.

    Returns:
        Tensor of the same type and range; uint8 is rounded to the nearest integer.
    """
    resized = tf.image.resize(images, image_size, antialias=True)
    if images.dtype == np.uint8:
        return tf.saturate_cast(tf.round(resized), tf.uint8)
    # Rounding in the filter may pass 1 by one unit in the last place.
    return tf.clip_by_value(resized, 0.0, 1.0)


def resized_array(images, image_size):
    """Resize an array `[n, h, w, c]`, see `resize_images`.

    In pieces, to bound the float32 copies.
    """
    pieces = [
        resize_images(images[start : start + 1024], image_size).numpy()
        for start in range(0, len(images), 1024)
    ]
    return np.concatenate(pieces)


def stratified_test_mask(labels, test_fraction):
    """Choose a fixed share of each class: bool `[n]`, at least one and never all."""
    generator = np.random.default_rng(_SPLIT_SEED)
    is_test = np.zeros(len(labels), bool)
    for k in np.unique(labels):
        members = generator.permutation(np.flatnonzero(labels == k))
        num_test = min(max(1, round(len(members) * test_fraction)), len(members) - 1)
        is_test[members[:num_test]] = True
    return is_test
