"""Labels that come as arrays: class numbers from 0 on, and the names of the classes."""

from typing import NamedTuple

import numpy as np

from keras_confusion.storage.checks import MAX_CLASSES, echo

_TEXT_KINDS = "OU"


class Labels(NamedTuple):
    """Labels of both splits `[n]`, int64, names of classes, and what was assumed.

    Labels are places in `class_names`; classes without any example may be among these.
    """

    class_names: tuple[str, ...]
    train: np.ndarray
    test: np.ndarray
    notes: tuple[str, ...] = ()


def checked_labels(
    train: np.ndarray, test: np.ndarray, class_names: np.ndarray | None, sizes
) -> Labels:
    """Returns labels as numbers of classes, whether they are numbers or names.

    Args:
        train: Integers or texts, `[n]` or `[n, 1]`.
        test: The same.
        class_names: Texts `[K]`; `None` where the labels are the names.
        sizes: Numbers of examples of both splits.

    Raises:
        ValueError: If they are something else, or not one per example.
    """
    columns = [
        _column(labels, key, size)
        for key, labels, size in zip(
            ("y_train", "y_test"), (train, test), sizes, strict=True
        )
    ]
    train, test = columns
    is_text = [labels.dtype.kind in _TEXT_KINDS for labels in columns]
    if any(is_text):
        if not all(is_text):
            raise ValueError(
                "Expected labels of one kind. Received: y_train of type "
                f"{train.dtype} and y_test of type {test.dtype}. Use "
                "y_train.astype(str) and y_test.astype(str)."
            )
        return _named(train, test, class_names)
    for key, labels in zip(("y_train", "y_test"), columns, strict=True):
        _check_integers(key, labels)
    train, test = (labels.astype(np.int64) for labels in columns)
    if class_names is None:
        num_classes = max(train.max(), test.max()) + 1
        return Labels(tuple(str(k) for k in range(num_classes)), train, test)
    names, both = texts(class_names), np.concatenate([train, test])
    if both.min() >= 1 and both.max() == len(names):
        told = f"Labels 1 to {len(names)} count the {len(names)} class names from 1."
        return Labels(names, train - 1, test - 1, (told,))
    return Labels(names, train, test)


def texts(array: np.ndarray) -> tuple[str, ...]:
    """Texts of an array of any shape: those that it holds, or those of its numbers."""
    return tuple(str(value) for value in np.atleast_1d(array).reshape(-1).tolist())


def _named(train: np.ndarray, test: np.ndarray, class_names) -> Labels:
    """Labels of names, in the order of `class_names`, or that of the alphabet."""
    train_names, test_names = texts(train), texts(test)
    used = sorted({*train_names, *test_names})
    names = tuple(used) if class_names is None else texts(class_names)
    unknown = sorted(set(used) - set(names))
    if unknown:
        raise ValueError(
            "Expected labels that are among class_names. Received: "
            f"{', '.join(map(echo, unknown[:5]))}. Use the same names in both, or "
            "leave class_names out."
        )
    numbers = {name: k for k, name in enumerate(names)}
    return Labels(
        names,
        np.array([numbers[name] for name in train_names]),
        np.array([numbers[name] for name in test_names]),
    )


def _column(labels: np.ndarray, key: str, size: int) -> np.ndarray:
    """Returns labels `[n]`."""
    if labels.shape in ((size,), (size, 1)):
        return labels.reshape(-1)
    use = "integer labels or names, one per example"
    if labels.size == size:
        use = f"{key}.reshape(-1)"
    if labels.ndim == 2 and len(labels) == size and labels.dtype.kind in "biuf":
        is_one_hot = ((labels == 0) | (labels == 1)).all() and (
            labels.sum(axis=1) == 1
        ).all()
        if is_one_hot:
            use = f"{key}.argmax(axis=1), not one-hot rows"
    raise ValueError(
        f"Expected {key} of shape [{size}] or [{size}, 1], one label per example. "
        f"Received: {list(labels.shape)}. Use {use}."
    )


def _check_integers(key: str, labels: np.ndarray) -> None:
    if labels.dtype.kind not in "iu":
        is_whole = labels.dtype.kind == "b" or (np.mod(labels, 1) == 0).all()
        use = f"{key}.astype('int64')" if is_whole else "a number or name of a class"
        raise ValueError(
            f"Expected integer labels in {key}, or names. "
            f"Received: {labels.dtype}. Use {use}."
        )
    if labels.min() < 0 or labels.max() >= MAX_CLASSES:
        raise ValueError(
            f"Expected labels in {key} from 0 to below {MAX_CLASSES}. "
            f"Received: {labels.min()} to {labels.max()}. Use y_train.astype(str) and "
            "y_test.astype(str), which are names, of the examples that have a label."
        )
