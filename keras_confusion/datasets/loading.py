"""Data sets by name: scikit-learn's digits, folders, `.npz` files, TensorFlow Datasets.

Whatever is read, the result is the same `LabelledDataset`.
"""

import functools
import logging
import os
from pathlib import Path

import numpy as np

from keras_confusion.datasets import planted
from keras_confusion.datasets.folder_reader import read_folder
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
_MOST_NAMED = 5
_log = logging.getLogger(__name__)


def load_dataset_once(name, data_dir, image_size):
    """As `load_dataset`, read once in a process; what `tell` would say is not told."""
    return _read_once(_checked_name(name), data_dir, checked_image_size(image_size))


@functools.lru_cache(maxsize=1)
def _read_once(name, data_dir, image_size):
    return _read(name, data_dir, image_size, None)


def tell(dataset: LabelledDataset) -> None:
    """Warns of what was assumed or left out when a data set was read."""
    for note in dataset.notes:
        _log.warning(f"{dataset.name}: {note}")


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
            BMP, GIF, JPEG, PNG, PPM, TIFF and WebP files, read with three channels, see
            `folder_reader.read_folder`;
            a `.npz` file with `x_train`, `y_train`, `x_test`, `y_test` and optionally
            `class_names`; images `[n, h, w]` or `[n, h, w, c]`, uint8, bool or floats
            in [0, 1], or tokens `[n, length]`, int32 or int64 from 0 on; labels `[n]`
            or `[n, 1]`, numbers from 0 on or names;
            a name of TensorFlow Datasets with images and labels, such as `"cifar10"`.
            The test set is its "test" split if that is labelled, else "validation",
            else the last fifth of "train".
        data_dir: Where TensorFlow Datasets keeps its data; the environment variable
            TFDS_DATA_DIR or its own default if None.
        image_size: `(h, w)` in pixels to which images are resized; None keeps the size
            they have, and means (32, 32) where images differ in size. Not for tokens.
        max_bytes: Largest size in memory of all arrays of an `.npz` file; what promises
            more is refused, as a small file may promise terabytes. None for the limits
            of `npz_reader`. That of an image in a folder is `PIL.Image`'s
            `MAX_IMAGE_PIXELS`.

    Returns:
        `LabelledDataset`. Images that are read from disk are not yet read. A warning
        tells what was assumed or left out; its `notes` say the same.

    Raises:
        ValueError: If the name is unknown, or the data set is not what it should be.
        DatasetUnavailableError: If the data set is known but neither on this machine
            nor to be downloaded.
    """
    check_max_bytes(max_bytes)
    image_size = checked_image_size(image_size)
    found = _read(_checked_name(name), data_dir, image_size, max_bytes)
    tell(found)
    return found


def _checked_name(name) -> str:
    if isinstance(name, str | os.PathLike):
        return os.fspath(name)
    raise ValueError(
        "Expected the name or path of a data set. "
        f"Received: {type(name).__name__}. Use "
        "np.savez('my_data.npz', x_train=..., y_train=..., x_test=..., y_test=...) for "
        "arrays, and 'my_data.npz'."
    )


def _read(name, data_dir, image_size, max_bytes):
    path, is_folder = _path_of(name)
    notes = []
    planted_seed = planted.seed_of(name)
    if is_folder and (planted_seed is not None or name in _BUILT_IN_READERS):
        notes.append(
            "The built-in data set was read, not the folder of this name. Use "
            f"{os.path.join(os.curdir, name)} for the folder."
        )
    if planted_seed is not None:
        contents = read_planted(planted_seed, image_size)
    elif name in _BUILT_IN_READERS:
        contents = _BUILT_IN_READERS[name](image_size)
    elif is_folder:
        contents = read_folder(path, image_size)
    elif path.suffix == ".npz":
        contents = read_npz(path, image_size, max_bytes)
    else:
        contents = read_tensorflow_dataset(name, data_dir, image_size, _BUILT_IN_NAMES)
    found = _labelled_dataset(name, contents, notes)
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


def _labelled_dataset(name, contents: DatasetContents, notes):
    """Check what a reader returned and put it together."""
    notes = [*notes, *contents.notes]
    class_names = tuple(str(class_name) for class_name in contents.class_names)
    train_labels, test_labels = (
        np.asarray(labels) for labels in (contents.train_labels, contents.test_labels)
    )
    used = np.union1d(train_labels, test_labels)
    if len(used) < len(class_names) and used.min() >= 0 and used[-1] < len(class_names):
        unused = [n for k, n in enumerate(class_names) if k not in set(used.tolist())]
        notes.append(f"Classes without any example are left out: {_first_of(unused)}.")
        class_names = tuple(class_names[k] for k in used)
        train_labels = np.searchsorted(used, train_labels)
        test_labels = np.searchsorted(used, test_labels)
    check_class_names(class_names, name)
    splits = []
    for part, images, labels in (
        ("training", contents.train_images, train_labels),
        ("test", contents.test_images, test_labels),
    ):
        check_labels(name, part, labels, class_names)
        labels = labels.astype(np.int32)
        for array in (images, labels):
            # Shared by every caller: nobody may corrupt labels in place.
            if isinstance(array, np.ndarray):
                array.setflags(write=False)
        splits.append(Split(labels, images))
    train, test = splits
    return LabelledDataset(name, class_names, train, test, tuple(notes))


def _first_of(names):
    rest = len(names) - _MOST_NAMED
    more = [f"and {rest} more"] if rest > 0 else []
    return ", ".join([*map(echo, names[:_MOST_NAMED]), *more])
