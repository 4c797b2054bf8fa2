"""Data sets by name: scikit-learn's digits, folders, `.npz` files, TensorFlow Datasets.

Whatever is read, the result is the same `LabelledDataset`.
"""

import functools
import os
from pathlib import Path

import numpy as np

from keras_confusion.datasets import planted
from keras_confusion.datasets.labelled_dataset import (
    LabelledDataset,
    Split,
    check_labels,
    check_max_bytes,
    checked_image_size,
)
from keras_confusion.datasets.npz_reader import read_npz
from keras_confusion.datasets.readers import (
    DatasetContents,
    read_digits,
    read_folder,
    read_planted,
)
from keras_confusion.datasets.reviews import read_reviews
from keras_confusion.datasets.tfds_reader import read_tensorflow_dataset
from keras_confusion.storage.checks import (
    MAX_TEXT_LENGTH,
    check_class_names,
    echo,
    is_printable,
)

_BUILT_IN_READERS = {"digits": read_digits, "reviews": read_reviews}
_BUILT_IN_NAMES = (*_BUILT_IN_READERS, "planted")


@functools.lru_cache(maxsize=1)
def load_dataset_once(name, data_dir, image_size):
    """As `load_dataset`, read once in a process."""
    return load_dataset(name, data_dir=data_dir, image_size=image_size)


def load_dataset(name, *, data_dir=None, image_size=None, max_bytes=None):
    """Load a data set of images or token sequences by name or path.

    An existing folder or a path that ends in `.npz` is read as such; TensorFlow
    Datasets is imported for other names only.

    Args:
        name: One of
            `"digits"`: scikit-learn's handwritten digits, as 32x32 images with three
            equal channels;
            `"planted"` or `"planted:SEED"`: generated images in which it is known what
            is learned from what, see `planted`;
            `"reviews"`: generated sentences as tokens, see `reviews`;
            a folder: `DIR/train/<class>/*` and `DIR/test/<class>/*`, or
            `DIR/<class>/*`, of which a fixed fifth of each class becomes the test set.
            BMP, GIF, JPEG and PNG files, read with three channels;
            a `.npz` file with `x_train`, `y_train`, `x_test`, `y_test` and optionally
            `class_names`; images `[n, h, w]` or `[n, h, w, c]`, uint8 or floats in
            [0, 1], or tokens `[n, length]`, int32 or int64 from 0 on; labels `[n]` or
            `[n, 1]` in 0..K-1;
            a name of TensorFlow Datasets with images and labels, such as `"cifar10"`.
            The test set is its "test" split if that is labelled, else "validation",
            else the last fifth of "train".
        data_dir: Where TensorFlow Datasets keeps its data; the environment variable
            TFDS_DATA_DIR or its own default if None.
        image_size: `(h, w)` in pixels to which images are resized; None keeps the size
            they have, and means (32, 32) where images differ in size. Not for tokens.
        max_bytes: Largest size in memory of one image of a folder, or of all arrays of
            an `.npz` file; what promises more is refused, as a small file may promise
            terabytes. None for `readers.MAX_IMAGE_BYTES`, and for the limits
            of `npz_reader`.

    Returns:
        `LabelledDataset`. Images that are read from disk are not yet read.

    Raises:
        ValueError: If the name is unknown, or the data set is not what it should be.
        DatasetUnavailableError: If the data set is known but neither on this machine
            nor to be downloaded.
    """
    image_size = checked_image_size(image_size)
    check_max_bytes(max_bytes)
    name = os.fspath(name)
    path, is_folder = _path_of(name)
    planted_seed = planted.seed_of(name)
    if planted_seed is not None:
        contents = read_planted(planted_seed, image_size)
    elif name in _BUILT_IN_READERS:
        contents = _BUILT_IN_READERS[name](image_size)
    elif is_folder:
        contents = read_folder(path, image_size, max_bytes)
    elif path.suffix == ".npz":
        contents = read_npz(path, image_size, max_bytes)
    else:
        contents = read_tensorflow_dataset(name, data_dir, image_size, _BUILT_IN_NAMES)
    found = _labelled_dataset(name, contents)
    if image_size is not None and found.vocabulary_size is not None:
        raise ValueError(
            "Expected no image_size for token sequences. "
            f"Received: {image_size} for {name}. Use sequences of the length you want."
        )
    return found


def _path_of(name):
    """Return a name as a path, and whether it is that of a folder."""
    try:
        if not is_printable(name, MAX_TEXT_LENGTH):
            raise ValueError("it is too long, or no printable text")
        path = Path(name).expanduser()
        return path, name != "" and path.is_dir()
    # Of what no file system takes, and of the home of nobody.
    except (ValueError, RuntimeError, OSError) as error:
        raise ValueError(
            "Expected the name or path of a data set. "
            f"Received: {echo(name)} ({error!s:.200}). Use for example digits."
        ) from error


def _labelled_dataset(name, contents: DatasetContents):
    """Check what a reader returned and put it together."""
    class_names = tuple(str(class_name) for class_name in contents.class_names)
    check_class_names(class_names, name)
    splits = []
    for part, images, labels in (
        ("training", contents.train_images, contents.train_labels),
        ("test", contents.test_images, contents.test_labels),
    ):
        labels = np.asarray(labels)
        check_labels(name, part, labels, class_names)
        labels = labels.astype(np.int32)
        for array in (images, labels):
            # Shared by every caller: nobody may corrupt labels in place.
            if isinstance(array, np.ndarray):
                array.setflags(write=False)
        splits.append(Split(labels, images))
    return LabelledDataset(name, class_names, *splits)
