"""Examples that come as arrays: images or token sequences, as networks are given them.

What can be read in one way only is taken. The rest is refused, with an expression that
makes something of it that is taken, chosen by what the arrays hold: it goes for both
splits, so their range is looked at together.
"""

import math
from typing import NamedTuple

import numpy as np

from keras_confusion.datasets.labelled_dataset import MAX_SIDE, MAX_TOKEN

_KEYS = ("x_train", "x_test")
# Largest values of 8 bits and of what cameras give in 16.
_TOPS = (255, 1023, 4095, 16383, 65535)
_MOST_CHANNELS = 4
# Below this share of their range, images are nearly black.
_DIM = 1 / 4
_SMALLEST_PICTURE = 8
# Of filters that sharpen, and of rounding.
_OVERSHOOT = 0.02


class Examples(NamedTuple):
    """Examples of both splits and sentences on what was assumed.

    Images are `[n, h, w, c]`, uint8 or float32 in [0, 1]; token sequences
    `[n, length]`, int32.
    """

    train: np.ndarray
    test: np.ndarray
    notes: tuple[str, ...] = ()


def checked_examples(train: np.ndarray, test: np.ndarray) -> Examples:
    """Returns examples as networks are given them.

    Args:
        train: Images `[n, h, w]` or `[n, h, w, c]`, uint8, bool, or floats in [0, 1];
            or token sequences `[n, length]`, int32 or int64 from 0 on.
        test: The same.

    Raises:
        ValueError: If they are something else, or differ in shape or type.
    """
    arrays = dict(zip(_KEYS, (train, test), strict=True))
    for key, array in arrays.items():
        if array.ndim not in (2, 3, 4) or 0 in array.shape:
            raise ValueError(
                f"Expected {key} of shape [n, h, w] or [n, h, w, c] for images, or "
                "[n, length] for token sequences, not empty. "
                f"Received: {list(array.shape)}. Use one image or sequence per row."
            )
        if array.dtype.kind not in "biuf":
            raise ValueError(
                f"Expected numbers in {key}. Received: {array.dtype}. Use images as "
                "uint8, or token sequences as int32."
            )
    checked = {}
    for key, array in arrays.items():
        alike = [other for other in arrays.values() if other.dtype == array.dtype]
        check = _tokens if array.ndim == 2 else _images
        checked[key] = check(array, key, alike)
    for what, of_train, of_test in (
        ("shape", checked["x_train"].shape[1:], checked["x_test"].shape[1:]),
        ("type", checked["x_train"].dtype, checked["x_test"].dtype),
    ):
        if of_train != of_test:
            raise ValueError(
                f"Expected training and test examples of one {what}. "
                f"Received: x_train {of_train} and x_test {of_test}. "
                f"Use the same {what} for both."
            )
    notes = _token_notes(train, test) if train.ndim == 2 else _image_notes(train, test)
    return Examples(checked["x_train"], checked["x_test"], tuple(notes))


def _tokens(tokens: np.ndarray, key: str, alike: list[np.ndarray]) -> np.ndarray:
    """Returns token sequences `[n, length]`, int32."""
    # Small types are what flattened images have, and floats what tables have.
    if tokens.dtype not in (np.int32, np.int64):
        is_whole = all((np.mod(array, 1) == 0).all() for array in alike)
        use = "x.astype('int32') for tokens, and " if is_whole else ""
        raise ValueError(
            f"Expected {key} of shape [n, length] to hold tokens of type int32 or "
            f"int64. Received: {tokens.dtype}. Use {use}x.reshape(-1, h, w) or "
            "x.reshape(-1, h, w, c) for images. Tables of features are not read."
        )
    low, high = _range(alike)
    if low < 0:
        raise ValueError(
            f"Expected tokens of {key} in 0..{MAX_TOKEN}. Received: {low} to {high}. "
            f"Use {_for_both(f'x + {-low}')}."
        )
    if high > MAX_TOKEN:
        raise ValueError(
            f"Expected tokens of {key} in 0..{MAX_TOKEN}. Received: {low} to {high}. "
            "Use the places of words in a vocabulary, padded with 0."
        )
    return tokens.astype(np.int32)


def _images(images: np.ndarray, key: str, alike: list[np.ndarray]) -> np.ndarray:
    """Returns images `[n, h, w, c]`, uint8 or float32."""
    if images.ndim == 3:
        images = images[..., None]
    if images.shape[1] <= _MOST_CHANNELS < images.shape[-1]:
        raise ValueError(
            f"Expected {key} of shape [n, h, w, c], channels last. "
            f"Received: {list(images.shape)}, channels first. "
            f"Use {_for_both('np.moveaxis(x, 1, -1)')}."
        )
    if max(images.shape[1:]) > MAX_SIDE:
        raise ValueError(
            f"Expected images in {key} of at most {MAX_SIDE} pixels a side. "
            f"Received: {list(images.shape)}. Use smaller images."
        )
    if images.dtype == np.bool_:
        return images.astype(np.float32)
    if images.dtype.kind == "f":
        _check_finite(images, key)
    low, high = _range(alike)
    if images.dtype == np.uint8:
        if high == 1:
            raise ValueError(
                f"Expected {key} of type uint8 in 0..255. Received: 0 and 1 only, "
                f"which would be black. Use {_for_both('x * 255')}."
            )
        return images
    if images.dtype.kind != "f":
        raise ValueError(
            f"Expected {key} of type uint8 (0..255) or float ([0, 1]). "
            f"Received: {images.dtype}, {low} to {high}. Use {_rescaling(alike)}."
        )
    if low < 0 or high > 1:
        raise ValueError(
            f"Expected floats of {key} in [0, 1]. Received: {low:g} to {high:g}. "
            f"Use {_rescaling(alike)}."
        )
    return images.astype(np.float32)


def _check_finite(images: np.ndarray, key: str) -> None:
    axes = tuple(range(1, images.ndim))
    is_finite = np.isfinite(images).all(axis=axes)
    wrong = int((~is_finite).sum())
    if not wrong:
        return
    y = key.replace("x", "y")
    if wrong == len(images):
        use = f"np.where(np.isfinite({key}), {key}, 0), if 0 means nothing there"
    else:
        use = (
            f"keep = np.array([np.isfinite(x).all() for x in {key}]), "
            f"{key}[keep] and {y}[keep]"
        )
    raise ValueError(
        f"Expected floats of {key} in [0, 1]. Received: nan or infinity in {wrong} of "
        f"{len(images)} images. Use {use}."
    )


def _range(arrays: list[np.ndarray]):
    """Smallest and largest value, of the arrays' type as Python prints it."""
    low = min(array.min() for array in arrays)
    high = max(array.max() for array in arrays)
    return low.item(), high.item()


def _for_both(expression: str) -> str:
    return f"{expression} for x = x_train and x = x_test"


def _rescaling(alike: list[np.ndarray]) -> str:
    """An expression that brings numbers of this range to one that is taken."""
    low, high = _range(alike)
    is_integer = alike[0].dtype.kind in "iu"
    if not is_integer and low >= -_OVERSHOOT and high <= 1 + _OVERSHOOT:
        return _for_both("np.clip(x, 0, 1)")
    if low < 0:
        if low >= -1 and high <= 1 and not is_integer:
            return _for_both("(x + 1) / 2")
        if low >= -128 and high <= 127 and is_integer and high - low > _DIM * 255:
            return _for_both("(x.astype('int16') + 128).astype('uint8')")
        # In the type of the arrays, so that the largest becomes 1 and not more.
        span = np.subtract(high, low, dtype=None if is_integer else alike[0].dtype)
        return _for_both(f"(x + {-float(low)!r}) / {float(span)!r}")
    if high <= 1:
        return _for_both("x.astype('float32')")
    for top in _TOPS:
        if _DIM * top < high <= top:
            if top == 255 and is_integer:
                return _for_both("x.astype('uint8')")
            return _for_both(f"x / {top}")
    return _for_both(f"x / {high!r}")


def _image_notes(train: np.ndarray, test: np.ndarray) -> list[str]:
    if train.dtype == np.bool_:
        return ["Images of truth values were read as 0 and 1 of [0, 1]."]
    _, high = _range([train, test])
    top = 255 if train.dtype == np.uint8 else 1
    if high == 0 or high >= _DIM * top:
        return []
    return [
        f"Images hold 0 to {high:g} of 0..{top}: they are nearly black. If that is "
        f"their whole range, use {_for_both(f'x / {high!r}')}."
    ]


def _token_notes(train: np.ndarray, test: np.ndarray) -> list[str]:
    _, high = _range([train, test])
    length = train.shape[1]
    sides = [math.isqrt(length // channels) for channels in (1, 3)]
    shapes = [
        f"(-1, {side}, {side})" if channels == 1 else f"(-1, {side}, {side}, 3)"
        for channels, side in zip((1, 3), sides, strict=True)
        if channels * side**2 == length and side >= _SMALLEST_PICTURE
    ]
    if not shapes or high > 255:
        return []
    use = _for_both(f"x.reshape{shapes[0]}.astype('uint8')")
    return [
        f"Arrays [n, {length}] were read as token sequences. If they are images, use "
        f"{use}."
    ]
