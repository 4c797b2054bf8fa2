"""Training and test examples of a data set, under an index that never changes.

Examples are images or token sequences. The position of an example in its split is its
index; it is the same in every pass, epoch and process, so that label corruption can be
keyed by it.
"""

import contextlib
import dataclasses
import functools
import hashlib
import json

import numpy as np
import tensorflow as tf

from keras_confusion.datasets.readers import (
    ImageStream,
)

# Of an image, pixels, and of its channels.
MAX_SIDE = 8192
# A network has an embedding of every token up to the largest.
MAX_TOKEN = 10**7 - 1

_READ_BATCH_SIZE = 1024
# Earlier versions decoded with TensorFlow.
_READ_BY = " decoded by Pillow"


def to_unit_range(images):
    """Convert images as stored to float32 in [0, 1]; leaves tokens as they are.

    Args:
        images: NumPy array or tensor of any shape; uint8 in 0..255, or float32 in
            [0, 1] or int32 tokens, which are returned unchanged.

    Returns:
        Array or tensor (whichever was given) of the same shape: float32 in [0, 1], or
        int32 tokens.

    Raises:
        ValueError: If `images` is neither uint8 nor float32 nor int32.
    """
    # A product, not a quotient: TensorFlow's graph optimiser and XLA rewrite x / 255
    # as x * (1 / 255), which rounds differently. The product has the same bits in
    # NumPy, eager TensorFlow, tf.data and XLA.
    scale = np.float32(1 / 255)
    if images.dtype == np.uint8:
        if isinstance(images, np.ndarray):
            return images.astype(np.float32) * scale
        return tf.cast(images, tf.float32) * scale
    if images.dtype in (np.float32, np.int32):
        return images
    raise ValueError(
        "Expected images of type uint8 (0..255) or float32 ([0, 1]), or int32 tokens. "
        f"Received: {images.dtype}. Use images.astype('float32') for other floats."
    )


@contextlib.contextmanager
def reading_images():
    """Has images that cannot be read raise `OSError` in whatever TensorFlow does.

    For `Split.dataset`, whose files are read while something is calculated.
    """
    try:
        yield
    except tf.errors.InvalidArgumentError as error:
        if words := _words_of_reader(error):
            raise OSError(words) from error
        raise


def _words_of_reader(error) -> str:
    """What a reader said, between "ValueError: " and a traceback; "" if nothing."""
    _, _, words = error.message.partition("ValueError: ")
    return words.partition("\n")[0]


@dataclasses.dataclass(frozen=True, eq=False)
class Split:
    """The training or the test examples of a data set, in a fixed order.

    Attributes:
        labels: int32 `[n]`, the class of every example, in 0..K-1.
        images: The images in the order of `labels`: an array `[n, h, w, c]`, uint8 in
            0..255 or float32 in [0, 1], or an `ImageStream` that reads them from disk.
            Or token sequences: an int32 array `[n, length]`.
    """

    labels: np.ndarray
    images: np.ndarray | ImageStream

    @property
    def num_examples(self):
        """Number of examples n."""
        return len(self.labels)

    @property
    def input_shape(self):
        """Shape of one example: `(h, w, c)`, or `(length,)` of tokens."""
        if isinstance(self.images, ImageStream):
            return self.images.shape
        return tuple(int(size) for size in self.images.shape[1:])

    @property
    def nbytes(self):
        """Bytes that `arrays()` holds in memory, known without reading the images."""
        num_values = self.num_examples * int(np.prod(self.input_shape))
        itemsize = np.dtype(self.images.dtype).itemsize
        return num_values * itemsize + self.labels.nbytes

    def arrays(self):
        """Return all examples in memory, reading the images from disk at most once.

        Returns:
            Images as stored, `[n, h, w, c]`, uint8 in 0..255 or float32 in [0, 1], or
            tokens, int32 `[n, length]`; and labels, int32 `[n]`. Both are read-only,
            since every caller gets the same arrays. `to_unit_range` makes the images
            those of `dataset()`.

        Raises:
            RuntimeError: If the files hold fewer images than labels.
            OSError: If an image cannot be decoded; for a folder the message names
                the file.
        """
        return self._stored_images, self.labels

    # cached_property writes into the instance's __dict__, which a frozen dataclass
    # allows: the cache is not part of its value.
    @functools.cached_property
    def _stored_images(self):
        if not isinstance(self.images, ImageStream):
            return self.images
        images = np.empty((self.num_examples, *self.input_shape), self.images.dtype)
        start = 0
        batches = self.images.open().batch(_READ_BATCH_SIZE).prefetch(1)
        try:
            for batch in batches.as_numpy_iterator():
                images[start : start + len(batch)] = batch
                start += len(batch)
        except tf.errors.InvalidArgumentError as error:
            raise OSError(_words_of_reader(error) or error.message) from error
        if start != self.num_examples:
            raise RuntimeError(
                f"Expected {self.num_examples} images, as many as labels. "
                f"Received: {start}. Use a complete copy of the data set."
            )
        images.setflags(write=False)
        return images

    def sample(self, number):
        """Return some images or tokens as stored, always the same ones.

        Args:
            number: How many, at most.

        Returns:
            Array `[min(number, n), h, w, c]` or `[min(number, n), length]`. Of images
            in memory they are drawn from all; of a stream they are those that
            `ImageStream.sample` reads.
        """
        if not isinstance(self.images, ImageStream):
            chosen = np.random.default_rng(0).permutation(self.num_examples)[:number]
            return self.images[np.sort(chosen)]
        batches = self.images.sample(number).batch(number)
        return np.concatenate(list(batches.as_numpy_iterator()))

    def dataset(self):
        """Return the examples as a `tf.data.Dataset`, in the order of their index.

        Images that `arrays()` has read come from memory, others from disk.

        Returns:
            `tf.data.Dataset` of (index, image, label): int64 scalar in 0..n-1, float32
            `[h, w, c]` in [0, 1] or int32 `[length]`, int32 scalar in 0..K-1. Shuffle
            after anything that is keyed by the index.
        """
        if isinstance(self.images, ImageStream) and "_stored_images" not in vars(self):
            images = self.images.open()
        else:
            images = tf.data.Dataset.from_tensor_slices(self._stored_images)
        labels = tf.data.Dataset.from_tensor_slices(self.labels)
        examples = tf.data.Dataset.zip(
            tf.data.Dataset.range(self.num_examples), images, labels
        )
        return examples.map(
            lambda index, image, label: (index, to_unit_range(image), label),
            num_parallel_calls=tf.data.AUTOTUNE,
            deterministic=True,
        )


@dataclasses.dataclass(frozen=True, eq=False)
class LabelledDataset:
    """A labelled data set of images or of token sequences.

    Attributes:
        name: The name it was loaded by.
        class_names: One distinct name per class, in the order of the labels.
        train: Training examples, at least one of every class.
        test: Test examples, at least one of every class.
        notes: Sentences on what was assumed or left out when it was read.
    """

    name: str
    class_names: tuple[str, ...]
    train: Split
    test: Split
    notes: tuple[str, ...] = ()

    @property
    def num_classes(self):
        """Number of classes K."""
        return len(self.class_names)

    @property
    def input_shape(self):
        """Shape of one example: `(h, w, c)`, or `(length,)` of tokens."""
        return self.train.input_shape

    @functools.cached_property
    def vocabulary_size(self):
        """Number of tokens, the largest of both splits and 1; None for images."""
        if len(self.input_shape) > 1:
            return None
        return 1 + max(
            int(split.arrays()[0].max()) for split in (self.train, self.test)
        )

    @property
    def model_arguments(self):
        """What `architectures.build_model` must know of the data, by argument."""
        return {
            "num_classes": self.num_classes,
            "input_shape": self.input_shape,
            "vocabulary_size": self.vocabulary_size,
        }

    @functools.cached_property
    def fingerprint(self):
        """Hex sha256 of shape, class names, labels and tokens; not of name or pixels.

        A resumed study compares it, so as not to mix results of two data sets. Words
        after it say that an earlier version read other pixels from the same files.
        """
        header = {
            # By the name that it had when there were images only.
            "image_shape": self.input_shape,
            "class_names": self.class_names,
            "num_examples": (self.train.num_examples, self.test.num_examples),
        }
        digest = hashlib.sha256(json.dumps(header, sort_keys=True).encode())
        for split in (self.train, self.test):
            # Little endian, so that the machine does not matter.
            digest.update(split.labels.astype("<i4").tobytes())
            if self.vocabulary_size is not None:
                digest.update(split.arrays()[0].astype("<i4").tobytes())
        streams = [s.images for s in (self.train, self.test)]
        is_as_before = all(getattr(i, "is_read_as_before", True) for i in streams)
        return digest.hexdigest() + ("" if is_as_before else _READ_BY)


def check_max_bytes(max_bytes):
    """Raise unless `max_bytes` is None or a positive integer."""
    if max_bytes is not None and not (type(max_bytes) is int and max_bytes > 0):
        raise ValueError(
            "Expected max_bytes to be a positive integer, or None. "
            f"Received: {max_bytes!r}. Use for example 2**32."
        )


def checked_image_size(image_size):
    """Return `image_size` as `(height, width)`, or None if it is None."""
    if image_size is None:
        return None
    sizes = np.asarray(image_size)
    if (
        sizes.shape != (2,)
        or sizes.dtype.kind not in "iu"
        or (sizes < 1).any()
        or (sizes > MAX_SIDE).any()
    ):
        raise ValueError(
            f"Expected image_size to be two positive integers up to {MAX_SIDE}, height "
            "and width. "
            f"Received: {image_size!r}. Use for example image_size=(32, 32)."
        )
    return tuple(int(size) for size in sizes)


def check_labels(name, part, labels, class_names):
    """Raise unless every label names a class and every class has an example."""
    num_classes = len(class_names)
    outside = labels[(labels < 0) | (labels >= num_classes)]
    if outside.size:
        raise ValueError(
            f"Expected {part} labels in 0..{num_classes - 1}, one per class name. "
            f"Received: {np.unique(outside)[:5].tolist()} in {name}. "
            "Use labels that count classes from 0."
        )
    counts = np.bincount(labels, minlength=num_classes)
    missing = [class_names[k] for k in np.flatnonzero(counts == 0)]
    if missing:
        raise ValueError(
            f"Expected at least one {part} example of every class. "
            f"Received: none of {', '.join(missing[:5])} in {name}. "
            "Use a data set in which every class has training and test examples."
        )
