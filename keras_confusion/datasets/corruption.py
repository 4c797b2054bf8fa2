"""Mistraining on purpose: which label every training example is given.

All ways to mistrain are one vocabulary: a row-stochastic matrix
`transition[true, given]` and an assignment, "exact" (counts are exact, the examples
are drawn) or "random" (every example is drawn on its own). What an example is given
depends on the seed, its index and, for "exact", the true labels of its class; never on
the epoch, the batch or the shuffle.
"""

import numpy as np
import tensorflow as tf

ASSIGNMENTS = ("exact", "random")


def swap(num_classes: int, class_a: int, class_b: int, *, fraction: float = 0.5):
    """Gives a fraction of each of two classes the other's label.

    With the default half, nothing about a versus b can be learned.

    Args:
        num_classes: Number of classes, K.
        class_a: A class, 0 to K - 1.
        class_b: Another class.
        fraction: Share of each of both classes that is given the other label, 0 to 1.

    Returns:
        A float64 array of shape `(K, K)`, `transition[true, given]`.

    Raises:
        ValueError: If the classes are the same or out of range, or the fraction is
            outside [0, 1].
    """
    transition = one_way(num_classes, class_a, class_b, fraction=fraction)
    transition[class_b] = one_way(num_classes, class_b, class_a, fraction=fraction)[
        class_b
    ]
    return transition


def one_way(num_classes: int, source_class: int, given_class: int, *, fraction=0.5):
    """Gives a fraction of one class the label of another; see `swap`."""
    _check_pair(num_classes, source_class, given_class)
    if not 0 <= fraction <= 1:
        raise ValueError(
            f"Expected `fraction` in [0, 1]. Received: fraction={fraction}. "
            "Use 0.5 to leave nothing to be learned about one class versus the other."
        )
    transition = np.eye(num_classes)
    transition[source_class, source_class] = 1 - fraction
    transition[source_class, given_class] = fraction
    return transition


def merge(num_classes: int, class_a: int, class_b: int):
    """Gives every example of class b the label a, so that both are one; see `swap`."""
    return one_way(num_classes, class_b, class_a, fraction=1.0)


def uniform_noise(num_classes: int, rate: float):
    """Gives a share of every class the other labels, in equal parts.

    Args:
        num_classes: Number of classes, K, at least 2.
        rate: Share of wrong labels in every class, 0 to 1.

    Returns:
        A float64 array of shape `(K, K)`, `transition[true, given]`.

    Raises:
        ValueError: If the rate is outside [0, 1] or there are fewer than 2 classes.
    """
    if num_classes < 2:
        raise ValueError(
            f"Expected at least 2 classes. Received: num_classes={num_classes}."
        )
    if not 0 <= rate <= 1:
        raise ValueError(f"Expected `rate` in [0, 1]. Received: rate={rate}.")
    transition = np.full((num_classes, num_classes), rate / (num_classes - 1))
    np.fill_diagonal(transition, 1 - rate)
    return transition


def given_labels(
    true_labels: np.ndarray, transition, seed: int, *, assignment: str = "exact"
) -> np.ndarray:
    """Returns the label that every training example is given.

    Example i draws u(seed, i), uniform in [0, 1), from a counter-based generator.
    "random" looks u up in the cumulated row of the example's class. "exact" orders the
    examples of a class by u and deals labels out by the cumulated row times the size
    of the class, rounded down, the true label last: a swapped half of 5 examples is 2.

    Args:
        true_labels: Integer array of shape `(num_examples,)` or `(num_examples, 1)`, 0
            to K - 1, or one-hot rows `(num_examples, K)`. The position in the array is
            the example's index.
        transition: Array of shape `(K, K)`, `transition[true, given]`, rows sum to 1.
        seed: Integer, 0 or more. Another seed gives other examples other labels.
        assignment: "exact" or "random".

    Returns:
        An int32 array of shape `(num_examples,)`.

    Raises:
        ValueError: If the matrix is not row-stochastic, labels are no numbers of its
            classes, or the assignment is unknown.
    """
    transition = check_transition(transition)
    true_labels = _class_numbers(true_labels, len(transition))
    num_classes = len(transition)
    if assignment not in ASSIGNMENTS:
        raise ValueError(
            f"Expected `assignment` to be one of {ASSIGNMENTS}. "
            f"Received: assignment={assignment!r}."
        )
    if true_labels.size and not (
        true_labels.min() >= 0 and true_labels.max() < num_classes
    ):
        raise ValueError(
            f"Expected labels from 0 to {num_classes - 1}, as `transition` has "
            f"{num_classes} rows. Received labels from {true_labels.min()} to "
            f"{true_labels.max()}."
        )
    # Counter-based: the i-th number is a function of (seed, i) and of nothing else.
    draws = np.random.Generator(np.random.Philox(key=seed)).random(len(true_labels))
    given = true_labels.astype(np.int32)
    for true_class in range(num_classes):
        members = np.flatnonzero(true_labels == true_class)
        order = np.append(np.delete(np.arange(num_classes), true_class), true_class)
        upper = np.cumsum(transition[true_class, order])
        if assignment == "exact":
            position = np.empty(len(members))
            position[np.argsort(draws[members], kind="stable")] = range(len(members))
            # Rows sum to 1 only up to rounding; without the slack 0.3 + 0.7 of ten
            # examples could come out as nine.
            upper = np.floor(upper * len(members) + 1e-6)
        else:
            position = draws[members]
        upper[-1] = np.inf
        given[members] = order[np.searchsorted(upper, position, side="right")]
    return given


def corrupt_labels(
    dataset: tf.data.Dataset,
    transition,
    seed: int,
    *,
    true_labels: np.ndarray | None = None,
    assignment: str = "exact",
) -> tf.data.Dataset:
    """Replaces the labels of a training set; see `given_labels` for which and how.

    Put it before `shuffle`, `repeat` and `batch`: it takes single examples.

    Args:
        dataset: Elements `(index, ..., label)`: a stable example index, 0 to n - 1,
            first, and the label last; or `(index, (..., label))`, as
            `tf.data.Dataset.enumerate` makes them of `(..., label)`. A label is an
            integer of shape `()` or `(1,)`, or a one-hot row `(K,)`, K > 1.
        transition: Array of shape `(K, K)`, `transition[true, given]`.
        seed: Integer, 0 or more.
        true_labels: As in `given_labels`, by index. `None` reads it from `dataset` in
            one pass.
        assignment: "exact" or "random".

    Returns:
        A data set with the same elements and the labels that are given, in the type
        and form that labels had.

    Raises:
        ValueError: As `given_labels`, and if elements have another form.
    """
    num_classes = len(check_transition(transition))
    _check_elements(dataset, num_classes)
    if true_labels is None:
        true_labels = _labels_by_index(dataset, num_classes)
    return give_labels(
        dataset, given_labels(true_labels, transition, seed, assignment=assignment)
    )


def give_labels(dataset: tf.data.Dataset, labels: np.ndarray) -> tf.data.Dataset:
    """Replaces the labels of a training set by those of a table.

    Args:
        dataset: As in `corrupt_labels`.
        labels: Integer array of shape `(n,)`, the label of every example by its index.

    Returns:
        As `corrupt_labels`.
    """
    table = tf.constant(labels)

    def give_label(index, *rest):
        *images, label = _parts(rest)
        given = table[index]
        if _is_one_hot(label):
            given = tf.one_hot(given, label.shape[0])
        elif label.shape.rank == 1:
            given = given[None]
        parts = (*images, tf.cast(given, label.dtype))
        return (index, parts) if _is_enumerated(rest) else (index, *parts)

    return dataset.map(give_label, num_parallel_calls=tf.data.AUTOTUNE)


def check_transition(transition) -> np.ndarray:
    """Returns the matrix as float64 or raises `ValueError` with the row at fault."""
    transition = np.asarray(transition, np.float64)
    if transition.ndim != 2 or transition.shape[0] != transition.shape[1]:
        raise ValueError(
            "Expected `transition[true, given]` to be a square matrix. "
            f"Received: shape={transition.shape}."
        )
    if not (np.isfinite(transition).all() and (transition >= 0).all()):
        raise ValueError("Expected probabilities of 0 or more in `transition`.")
    sums = transition.sum(axis=1)
    wrong = np.flatnonzero(np.abs(sums - 1) > 1e-6)
    if wrong.size:
        raise ValueError(
            "Expected every row of `transition[true, given]` to sum to 1. Received: "
            f"row {wrong[0]} sums to {sums[wrong[0]]:.6g}."
        )
    return transition


def _check_pair(num_classes: int, class_a: int, class_b: int) -> None:
    for label in (class_a, class_b):
        if not 0 <= label < num_classes:
            raise ValueError(
                f"Expected classes from 0 to {num_classes - 1}. Received: {label}."
            )
    if class_a == class_b:
        raise ValueError(f"Expected two different classes. Received: {class_a} twice.")


def _class_numbers(labels, num_classes: int) -> np.ndarray:
    """Returns labels as integers `(num_examples,)`, whatever their form."""
    labels = np.asarray(labels)
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    is_one_hot = labels.ndim == 2 and labels.shape[1] == num_classes
    if is_one_hot and np.isin(labels, (0, 1)).all() and (labels.sum(axis=1) == 1).all():
        return labels.argmax(axis=1)
    is_number = labels.dtype.kind in "iuf"
    if labels.ndim == 1 and is_number and (np.mod(labels, 1) == 0).all():
        return labels.astype(np.int64)
    raise ValueError(
        "Expected labels that are integers of shape (n,) or (n, 1), or one-hot rows "
        f"(n, {num_classes}). Received: {labels.dtype} of shape {labels.shape}. Use "
        "the number of every example's class."
    )


def _is_enumerated(rest: tuple) -> bool:
    return len(rest) == 1 and isinstance(rest[0], tuple)


def _parts(rest: tuple) -> tuple:
    """What follows the index, the label last, however elements are nested."""
    return rest[0] if _is_enumerated(rest) else rest


def _is_one_hot(label) -> bool:
    return label.shape.rank == 1 and label.shape[0] != 1


def _check_elements(dataset, num_classes: int) -> None:
    """Raises `ValueError` unless elements are (index, ..., label)."""
    expected = (
        "Expected a tf.data.Dataset of single examples (index, ..., label), or (index, "
        "(..., label))."
    )
    if not isinstance(dataset, tf.data.Dataset):
        raise ValueError(
            f"{expected} Received: {type(dataset).__name__}. Use "
            "tf.data.Dataset.from_tensor_slices((x, y)).enumerate()."
        )
    spec = dataset.element_spec
    if isinstance(spec, tuple) and len(spec) > 1:
        index, *rest = spec
        label = _parts(tuple(rest))[-1]
        if (
            isinstance(index, tf.TensorSpec)
            and index.dtype.is_integer
            and index.shape.rank == 0
            and isinstance(label, tf.TensorSpec)
            and (label.dtype.is_integer or label.dtype.is_floating)
            and (label.shape.rank in (0, None) or label.shape in ((1,), (num_classes,)))
        ):
            return
    raise ValueError(
        f"{expected} Received: elements {spec}. Use dataset.enumerate() on elements "
        "(..., label), before `batch`."
    )


def _labels_by_index(dataset: tf.data.Dataset, num_classes: int) -> np.ndarray:
    """Reads elements once; the labels in the order of the index."""
    pairs = dataset.map(lambda index, *rest: (index, _parts(rest)[-1]))
    found = list(pairs.as_numpy_iterator())
    indices = np.array([index for index, _ in found], np.int64)
    wrong = np.flatnonzero(np.sort(indices) != np.arange(len(indices)))
    if wrong.size:
        raise ValueError(
            f"Expected indices from 0 to {len(found) - 1}, each once. "
            f"Received: {np.sort(indices)[wrong[0]]} in the place of {wrong[0]}. Use "
            "`corrupt_labels` on `dataset.enumerate()`, before `repeat`."
        )
    labels = np.array([label for _, label in found])
    return _class_numbers(labels, num_classes)[np.argsort(indices)]
