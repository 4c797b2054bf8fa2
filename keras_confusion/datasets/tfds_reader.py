"""Reads TensorFlow Datasets, offline where possible."""

import difflib
import logging
import os
import re
from urllib.parse import urlsplit

import numpy as np
import tensorflow as tf

from keras_confusion.datasets.readers import (
    DEFAULT_IMAGE_SIZE,
    DatasetContents,
    ImageStream,
    resize_images,
)

_CONNECT_TIMEOUT_SECONDS = 10
# A set of TensorFlow Datasets' own. A name of another namespace, such as
# "huggingface:mnist", would have it import or download other people's programs.
_NAME = re.compile(
    r"[A-Za-z]\w{0,99}(/[\w.+-]{1,100})?(:(\d{1,9}|\*)(\.(\d{1,9}|\*)){2})?", re.ASCII
)
# Image classification sets that are named to somebody who looks for one.
_EXAMPLES = (
    *("cifar10", "cifar100", "mnist", "fashion_mnist", "kmnist", "svhn_cropped"),
    *("stl10", "eurosat", "oxford_flowers102", "oxford_iiit_pet", "imagenette"),
)

# TensorFlow Datasets' own `PartialDecoding` uses what it deprecates, once a process.
logging.getLogger("absl").addFilter(
    lambda record: "`FeatureConnector.dtype` is deprecated" not in record.getMessage()
)


class DatasetUnavailableError(OSError):
    """A data set that is neither on this machine nor can be downloaded."""


def read_tensorflow_dataset(name, data_dir, image_size, built_in_names):
    """Read an image classification set of TensorFlow Datasets.

    What is prepared in the data directory is read without any access to the network;
    what is not is downloaded.

    Args:
        name: Its name, `name/config` or `name:version`.
        data_dir: Directory of the prepared data; None for the environment variable
            TFDS_DATA_DIR, or TensorFlow Datasets' default.
        image_size: `(h, w)` to which images are resized; None keeps their size, or
            means (32, 32) if it varies.
        built_in_names: Names to offer when `name` is unknown.

    Returns:
        `DatasetContents` whose images are read on demand, uint8 `[h, w, c]`.

    Raises:
        ValueError: If the name is unknown, or the set has no images with labels.
        DatasetUnavailableError: If it is not there and cannot be downloaded.
    """
    import tensorflow_datasets as tfds

    # Read at each call: TensorFlow Datasets looks once, when it is imported.
    data_dir = data_dir or os.environ.get("TFDS_DATA_DIR")
    builder = _find_builder(name, data_dir, built_in_names)
    image_key, label_key = _image_and_label_keys(builder)
    if not builder.is_prepared():
        _download(builder)
    class_names = tuple(builder.info.features[label_key].names)
    train, candidates = _choose_splits(builder)

    options = tf.data.Options()
    options.deterministic = True
    # One file after the other: the order is that of the files, whatever their number.
    read_config = tfds.ReadConfig(
        options=options, interleave_cycle_length=1, try_autocache=False
    )

    def open_feature(split, key):
        # Decodes one feature only, so that collecting labels decodes no image.
        return builder.as_dataset(
            split=split,
            shuffle_files=False,
            read_config=read_config,
            decoders=tfds.decode.PartialDecoding({key: True}),
        ).map(lambda features: features[key])

    def read_labels(split):
        batches = open_feature(split, label_key).batch(4096).as_numpy_iterator()
        return np.concatenate([np.zeros(0, np.int64), *batches])

    height, width, channels = builder.info.features[image_key].shape
    if image_size is None and None in (height, width):
        image_size = DEFAULT_IMAGE_SIZE
    shape = (*(image_size or (height, width)), channels)

    def stream(split):
        def open_images():
            images = open_feature(split, image_key)
            if image_size is None:
                return images
            return images.map(
                lambda image: resize_images(image, image_size),
                num_parallel_calls=tf.data.AUTOTUNE,
                deterministic=True,
            )

        # TensorFlow Datasets shuffles the examples when it writes them.
        return ImageStream(
            shape, np.uint8, open_images, lambda number: open_images().take(number)
        )

    for test in candidates:
        test_labels = read_labels(test)
        # A test set whose labels are kept secret has -1 for all of them.
        if test_labels.size and test_labels.min() >= 0:
            break
    return DatasetContents(
        class_names, stream(train), read_labels(train), stream(test), test_labels
    )


def _find_builder(name, data_dir, built_in_names):
    """Return the builder of that name, or raise a ValueError that helps."""
    import tensorflow_datasets as tfds

    try:
        if _NAME.fullmatch(name) is None:
            raise ValueError("no such name")
        return tfds.builder(name, data_dir=data_dir)
    except (ValueError, AssertionError) as error:
        # Community sets are left out: their list comes over the network.
        known = tfds.list_builders(with_community_datasets=False)
        base_name = re.split("[/:]", name)[0]
        if base_name in known:
            raise ValueError(
                f"Expected a configuration and version that {base_name} has. "
                f"Received: {name!r}. Use {base_name!r} alone, or one of those "
                f"that TensorFlow Datasets names: {error}"
            ) from error
        close = difflib.get_close_matches(
            base_name.lower(), [*built_in_names, *known], n=5
        )
        nearest = f"The closest are: {', '.join(close)}. " if close else ""
        examples = ", ".join(name for name in _EXAMPLES if name in known)
        raise ValueError(
            f"Expected a built-in data set ({', '.join(built_in_names)}), an existing "
            "folder of images, the path of an .npz file, or a name of TensorFlow "
            f"Datasets ({examples}, ...). Received: {name!r}. {nearest}"
            "Use tensorflow_datasets.list_builders() to list all of them."
        ) from error


def _image_and_label_keys(builder):
    """Return the names of the image and label features, or raise a ValueError."""
    import tensorflow_datasets as tfds

    keys, features = builder.info.supervised_keys, builder.info.features
    if (
        isinstance(keys, tuple)
        and len(keys) == 2
        and all(isinstance(key, str) and key in features for key in keys)
        and isinstance(features[keys[0]], tfds.features.Image)
        and isinstance(features[keys[1]], tfds.features.ClassLabel)
        and features[keys[0]].np_dtype == np.uint8
        and features[keys[0]].shape[-1] is not None
    ):
        return keys
    raise ValueError(
        "Expected a data set of 8-bit images with one class label each. "
        f"Received: {builder.info.full_name} with the supervised pair {keys} of "
        f"{features}. Use an image classification data set, such as 'cifar10'."
    )


def _choose_splits(builder):
    """Return the training split and the candidates for the test split, best first."""
    splits = list(builder.info.splits)
    if "train" not in splits:
        raise ValueError(
            "Expected a data set with a 'train' split. "
            f"Received: {builder.info.full_name} with {splits}. "
            "Use another data set, or a folder or .npz file made from this one."
        )
    candidates = [split for split in ("test", "validation") if split in splits]
    if candidates:
        return "train", candidates
    return "train[:80%]", ["train[80%:]"]


def _download(builder):
    """Download and prepare a data set, or raise `DatasetUnavailableError`."""
    hosts = {urlsplit(url).netloc: url for url in builder.url_infos or ()}
    # TensorFlow Datasets retries a dead network for minutes, with no switch to stop
    # it. One request tells beforehand whether there is anybody to download from.
    problem = None
    for url in hosts.values():
        problem = _connection_problem(url)
        if problem is None:
            break
    if problem is None:
        try:
            builder.download_and_prepare()
            return
        except Exception as error:
            problem = error
    raise DatasetUnavailableError(
        f"Expected {builder.info.full_name} in {builder.data_dir}, or a network to "
        f"download it from. Received: neither ({problem}). Use --data-dir or the "
        "environment variable TFDS_DATA_DIR to name a directory in which "
        "TensorFlow Datasets has prepared it; another version that is there is "
        f"called '{builder.name}:<version>'."
    ) from problem


def _connection_problem(url):
    """Return why the host of `url` cannot be reached, or None if it answers."""
    # What TensorFlow Datasets downloads with, so that proxies and certificates agree.
    import requests

    if not url.startswith("http"):
        return None
    try:
        with requests.get(url, stream=True, timeout=_CONNECT_TIMEOUT_SECONDS):
            return None
    except requests.exceptions.RequestException as error:
        return error
