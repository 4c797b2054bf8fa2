"""What `loading.load_dataset` refuses."""

import numpy as np

from keras_confusion.storage.checks import MAX_CLASSES, check_class_names

__all__ = [
    "MAX_CLASSES",
    "MAX_SIDE",
    "MAX_TOKEN",
    "check_class_names",
    "check_labels",
    "check_max_bytes",
    "checked_image_size",
]

# Of an image, pixels, and of its channels.
MAX_SIDE = 8192
# A network has an embedding of every token up to the largest.
MAX_TOKEN = 10**7 - 1


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
