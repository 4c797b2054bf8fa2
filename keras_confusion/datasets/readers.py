"""Readers behind `loading.load_dataset`, one per kind of data set.

Each returns `DatasetContents`: class names, images or token sequences, and labels of
both splits. Images come as an array, or as an `ImageStream` where they may not fit into
memory; token sequences as an array.
"""

import contextlib
import dataclasses
import io
import os
import stat
import struct
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import tensorflow as tf
from PIL.BmpImagePlugin import BmpImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile

from keras_confusion.datasets import planted

# Of one image, decoded: 89 million pixels.
MAX_IMAGE_BYTES = 2**28

DEFAULT_IMAGE_SIZE = (32, 32)
_FOLDER_TEST_FRACTION = 1 / 5
_DIGITS_TEST_FRACTION = 1 / 3
_IMAGE_SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".png")
_SPLIT_SEED = 0
_GIF_IMAGE, _GIF_EXTENSION, _GIF_END = 0x2C, 0x21, 0x3B
_GIF_HAS_COLOURS = 0x80


@dataclasses.dataclass(frozen=True, eq=False)
class ImageStream:
    """Images that are read from disk whenever they are needed.

    Attributes:
        shape: `(h, w, c)` of one image.
        dtype: NumPy type of the images, uint8 in 0..255 or float32 in [0, 1].
        open: Returns a `tf.data.Dataset` of single images, always in the same order.
        sample: Takes a number and returns a `tf.data.Dataset` of as many images at
            most, always the same ones, without reading the others.
    """

    shape: tuple[int, int, int]
    dtype: type
    open: Callable[[], tf.data.Dataset]
    sample: Callable[[int], tf.data.Dataset]


class DatasetContents(NamedTuple):
    """What a reader found; labels are integers, images are in the labels' order.

    In place of images there may be token sequences, int32 `(n, length)`.
    """

    class_names: tuple[str, ...]
    train_images: np.ndarray | ImageStream
    train_labels: np.ndarray
    test_images: np.ndarray | ImageStream
    test_labels: np.ndarray


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
    is_test = _stratified_test_mask(digits.target, _DIGITS_TEST_FRACTION)
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


def read_folder(folder, image_size, max_bytes=None):
    """Read a folder with one folder of images per class.

    Args:
        folder: `pathlib.Path` that holds `train` and `test`, each with one folder per
            class, or the class folders themselves.
        image_size: `(h, w)` to which images are resized; None for (32, 32).
        max_bytes: Most bytes of a file, and of an image when it is decoded; None for
            `MAX_IMAGE_BYTES`.

    Returns:
        `DatasetContents` whose images are read on demand, uint8 with three channels.

    Raises:
        ValueError: If class folders are missing, empty or differ between the splits.
    """
    image_size = image_size or DEFAULT_IMAGE_SIZE
    parts = [part for part in ("train", "test") if (folder / part).is_dir()]
    # A class may be called "train": alone, it is a split only if it holds folders.
    if len(parts) == 1 and _folders_in(folder / parts[0]):
        raise ValueError(
            "Expected both a train and a test folder, or class folders only. "
            f"Received: {folder} with {parts[0]} alone. "
            f"Use {folder}/train/<class>/* and {folder}/test/<class>/*."
        )
    if len(parts) == 2:
        class_names, train_paths, train_labels = _list_images(folder / "train")
        test_class_names, test_paths, test_labels = _list_images(folder / "test")
        if test_class_names != class_names:
            different = sorted(set(class_names) ^ set(test_class_names))
            raise ValueError(
                f"Expected the same class folders in {folder}/train and test. "
                f"Received: {', '.join(different)} in one of them only. "
                "Use one folder per class in both."
            )
    else:
        class_names, paths, labels = _list_images(folder, at_least=2)
        is_test = _stratified_test_mask(labels, _FOLDER_TEST_FRACTION)
        train_paths, train_labels = paths[~is_test], labels[~is_test]
        test_paths, test_labels = paths[is_test], labels[is_test]
    # Not class by class: a stream is shuffled within a buffer only.
    order = np.random.default_rng(_SPLIT_SEED).permutation(len(train_labels))
    train_paths, train_labels = train_paths[order], train_labels[order]
    return DatasetContents(
        class_names,
        _stream_files(train_paths, image_size, max_bytes or MAX_IMAGE_BYTES),
        train_labels,
        _stream_files(test_paths, image_size, max_bytes or MAX_IMAGE_BYTES),
        test_labels,
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


def _stratified_test_mask(labels, test_fraction):
    """Choose a fixed share of each class: bool `[n]`, at least one and never all."""
    generator = np.random.default_rng(_SPLIT_SEED)
    is_test = np.zeros(len(labels), bool)
    for k in np.unique(labels):
        members = generator.permutation(np.flatnonzero(labels == k))
        num_test = min(max(1, round(len(members) * test_fraction)), len(members) - 1)
        is_test[members[:num_test]] = True
    return is_test


def _folders_in(folder):
    return sorted(
        child
        for child in folder.iterdir()
        if child.is_dir() and not child.name.startswith(".")
    )


def _list_images(folder, at_least=1):
    """List class names, paths `[n]` and labels `[n]` of the images in class folders."""
    class_folders = _folders_in(folder)
    if not class_folders:
        raise ValueError(
            "Expected one folder of images per class. "
            f"Received: {folder} without folders. Use {folder}/<class>/*."
        )
    paths, labels = [], []
    for label, class_folder in enumerate(class_folders):
        # Names of files are bytes, and need not be text.
        found = sorted(
            os.fsencode(path)
            for path in class_folder.iterdir()
            if path.suffix.lower() in _IMAGE_SUFFIXES and not path.name.startswith(".")
        )
        if len(found) < at_least:
            raise ValueError(
                f"Expected at least {at_least} image(s) in every class folder. "
                f"Received: {len(found)} in {class_folder}. "
                f"Use files that end in {', '.join(_IMAGE_SUFFIXES)}, "
                "or remove the folder."
            )
        paths += found
        labels += [label] * len(found)
    class_names = tuple(class_folder.name for class_folder in class_folders)
    return class_names, np.array(paths), np.array(labels)


def _decode_file(path, max_bytes):
    """Decode one image file to uint8 `[h, w, 3]`; the error names the file."""
    path = os.fsdecode(path)
    try:
        contents = _read_file(path, max_bytes)
        num_bytes = 3 * _promised_pixels(contents)
        if num_bytes > max_bytes:
            raise ValueError(
                f"it takes {num_bytes} bytes when it is decoded, where {max_bytes} are "
                "the most: make it smaller, or give load_dataset a larger max_bytes"
            )
        return tf.io.decode_image(contents, 3, expand_animations=False).numpy()
    except (OSError, ValueError, tf.errors.OpError) as error:
        reason = getattr(error, "message", str(error))
        raise ValueError(
            "Expected a readable BMP, GIF, JPEG or PNG image. "
            f"Received: {path!a} ({reason}). Use a valid image or remove the file."
        ) from None


def _promised_pixels(contents):
    """Count the pixels of a file before any is decoded: kilobytes can be gigabytes."""
    if contents.startswith((b"GIF87a", b"GIF89a")):
        return _gif_pixels(contents)
    # Not `Image.open`: that refuses large images whatever `max_bytes` is.
    for image_file in (BmpImageFile, JpegImageFile, PngImageFile):
        # What Pillow raises where the format is another one or its header is damaged.
        with contextlib.suppress(SyntaxError):
            width, height = image_file(io.BytesIO(contents)).size
            return width * height
    raise ValueError("it is of another format, or damaged")


def _gif_pixels(contents):
    """Count the pixels of all frames: TensorFlow reads all to give the first.

    What it gives is as large as the widest and the highest of them. Pillow would tell
    the sizes of frames only by decoding them.
    """
    try:
        width, height, flags = struct.unpack_from("<HHB", contents, 6)
        pixels, place = 0, 13 + _gif_colour_bytes(flags)
        while (kind := contents[place]) != _GIF_END:
            if kind == _GIF_IMAGE:
                size = struct.unpack_from("<HH", contents, place + 5)
                width, height = max(width, size[0]), max(height, size[1])
                pixels += size[0] * size[1]
                # Then the size of codes, one byte.
                place += 10 + _gif_colour_bytes(contents[place + 9]) + 1
            elif kind == _GIF_EXTENSION:
                place += 2
            else:
                raise ValueError("a block of an unknown kind")
            while contents[place]:
                place += 1 + contents[place]
            place += 1
    except (struct.error, IndexError) as error:
        raise ValueError("it is cut off") from error
    return width * height + pixels


def _gif_colour_bytes(flags):
    return 3 * 2 ** ((flags & 7) + 1) if flags & _GIF_HAS_COLOURS else 0


def _read_file(path, max_bytes):
    """Read a file or what a link leads to; a pipe would be waited for."""
    status = os.stat(path)
    if not stat.S_ISREG(status.st_mode):
        raise ValueError("no ordinary file")
    if status.st_size > max_bytes:
        raise ValueError(f"{status.st_size} bytes, where {max_bytes} are the most")
    with open(path, "rb") as file:
        return file.read()


def _stream_files(paths, image_size, max_bytes):
    def open_file(path):
        # Through Python, because TensorFlow's own error would not name the file.
        image = tf.numpy_function(
            lambda path: _decode_file(path, max_bytes), [path], tf.uint8, stateful=False
        )
        image = resize_images(tf.ensure_shape(image, (None, None, 3)), image_size)
        return tf.ensure_shape(image, (*image_size, 3))

    def read(some_paths):
        return tf.data.Dataset.from_tensor_slices(some_paths).map(
            open_file, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True
        )

    def sample(number):
        chosen = np.random.default_rng(0).permutation(len(paths))[:number]
        return read([paths[index] for index in np.sort(chosen)])

    return ImageStream((*image_size, 3), np.uint8, lambda: read(paths), sample)
