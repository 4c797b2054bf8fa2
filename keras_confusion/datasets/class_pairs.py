"""Pairs of classes, as a user names them."""

import math
from collections.abc import Sequence

Pair = Sequence[int]

_MOST_CLASSES_NAMED = 100


def resolve_pairs(
    pairs, class_names, *, ordered: bool = False
) -> tuple[tuple[int, int], ...]:
    """Turns pairs of names or labels into sorted pairs of labels.

    Args:
        pairs: "all", or an iterable of "a-b" strings or (a, b), each class by name or
            by label.
        class_names: Names in the order of the labels.
        ordered: Whether a-b is something else than b-a, so that the latter, which a
            study has no arm for, is refused.

    Returns:
        Pairs (a, b) with a < b, sorted, each once.

    Raises:
        ValueError: If a class is unknown or paired with itself, a pair comes twice, can
            be read in two ways, or is in the wrong order.
    """
    if pairs == "all":
        labels = range(len(class_names))
        return tuple((a, b) for a in labels for b in labels if a < b)
    if isinstance(pairs, str):
        pairs = [pairs]
    by_name = _labels_by_name(class_names)
    resolved = []
    for pair in pairs:
        first, second = _split_pair(pair, by_name, class_names)
        if first == second:
            raise ValueError(
                f"Expected pairs of two different classes. Received: {pair!r}. "
                f"Use for example {class_names[0]}-{class_names[1]}."
            )
        if ordered and first > second:
            raise ValueError(
                "Expected pairs in the order of the classes where the corruption goes "
                f"from the one to the other. Received: {pair!r}. Use "
                f"{class_names[second]}-{class_names[first]}, or your own matrix with "
                "`corruption.corrupt_labels`."
            )
        resolved.append((min(first, second), max(first, second)))
    twice = {pair for pair in resolved if resolved.count(pair) > 1}
    if twice:
        raise ValueError(f"Expected each pair once. Received: {sorted(twice)} twice.")
    if not resolved:
        raise ValueError("Expected at least one pair. Use 'all' or for example 3-8.")
    return tuple(sorted(resolved))


def resolve_class(name: str, class_names: Sequence[str]) -> int:
    """Turns a class, by name or by label, into its label.

    Raises:
        ValueError: If it is unknown.
    """
    by_name = _labels_by_name(class_names)
    if name not in by_name:
        named = ", ".join(class_names[:_MOST_CLASSES_NAMED])
        if len(class_names) > _MOST_CLASSES_NAMED:
            named += f", ... ({len(class_names)} in all)"
        raise ValueError(
            f"Expected a class by name or label. Received: {name!r}. Classes: {named}."
        )
    return by_name[name]


def has_all_pairs(pairs, num_classes: int) -> bool:
    """Whether every class meets every other in a study's pairs, each of them once.

    If not, the arms without a class C are a few certain pairs, and what these do would
    be read as what C does.
    """
    return len(pairs) == math.comb(num_classes, 2)


def _labels_by_name(class_names) -> dict[str, int]:
    by_name = {str(label): label for label in range(len(class_names))}
    # A class may be named "3": names go before labels.
    return by_name | {name: label for label, name in enumerate(class_names)}


def _split_pair(pair, by_name, class_names) -> tuple[int, int]:
    if isinstance(pair, str):
        # Names may hold hyphens themselves: take the split that gives two classes.
        parts = pair.split("-")
        splits = [
            ["-".join(parts[:i]), "-".join(parts[i:])] for i in range(1, len(parts))
        ]
    else:
        splits = [[str(label) for label in pair]]
    readings = [
        split
        for split in splits
        if len(split) == 2 and all(name in by_name for name in split)
    ]
    if len(readings) > 1:
        raise ValueError(
            f"Expected a pair that can be read in one way. Received: {pair!r}, that is "
            + " or ".join(f"{a!r} and {b!r}" for a, b in readings)
            + ". Use labels, or (a, b) from Python."
        )
    if readings:
        first, second = readings[0]
        return by_name[first], by_name[second]
    unknown = [name for name in (splits or [[pair]])[0] if name not in by_name]
    raise ValueError(
        f"Expected a pair of classes such as {class_names[0]}-{class_names[1]}. "
        f"Received: {pair!r}, where {', '.join(map(repr, unknown))} is not a class. "
        f"Classes: {', '.join(class_names)}."
    )
