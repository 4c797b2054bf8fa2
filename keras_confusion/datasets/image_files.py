"""Image files in folders: found, looked at, and decoded by Pillow.

Files come from strangers: Pillow reads headers first, refuses what promises more pixels
than `PIL.Image.MAX_IMAGE_PIXELS`, and is kept to the formats that are named here.
"""

import collections
import concurrent.futures
import contextlib
import os
import pathlib
import stat
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

# The two formats that Pillow does not know before it is asked for all.
from PIL import (
    ExifTags,
    Image,
    ImageFile,
    ImageOps,
    TiffImagePlugin,  # noqa: F401
    UnidentifiedImageError,
    WebPImagePlugin,  # noqa: F401
)

FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")
SUFFIXES = (
    *(".apng", ".bmp", ".dib", ".gif", ".jfif", ".jpe", ".jpeg", ".jpg", ".png"),
    *(".pbm", ".pgm", ".pnm", ".ppm", ".tif", ".tiff", ".webp"),
)

MAX_BITS = 16
# Cameras and scanners use so many of the 16 bits that a file holds.
_USUAL_BITS = (8, 10, 12, 14, MAX_BITS)
_THREADS = 8
_MOST_NAMED = 100
_MAX_REASON = 120
_EXIF_KEYS = {"exif", "xmp", "XML:com.adobe.xmp", "Raw profile type exif"}


class FoundImages(NamedTuple):
    """What is in a folder and the folders in it.

    Attributes:
        paths: Files that end as images do, as the bytes that names of files are, in
            the order of these bytes.
        num_nested: How many of them lie in a folder in the folder.
        skipped: How many other files there are, by the end of their names.
    """

    paths: list[bytes]
    num_nested: int
    skipped: collections.Counter[str]


class Look(NamedTuple):
    """What was seen of a file without decoding it, where it has 8 bits a channel.

    Attributes:
        is_read_as_before: Whether TensorFlow, which decoded images in earlier versions,
            gave the same pixels, if it is 8 bits or uses all 16.
        grey_top: Largest value of a grey image of 16 bits; `None` for others.
        colour_top: Largest upper byte of a colour image of 16 bits; `None` for others.
    """

    is_read_as_before: bool
    grey_top: int | None
    colour_top: int | None


def find_images(folder: pathlib.Path) -> FoundImages:
    """Finds the images in a folder and in the folders in it, but for hidden ones.

    Links are followed, but never twice to the same folder.

    Raises:
        OSError: If a folder cannot be read.
    """

    def refuse(error: OSError) -> None:
        raise error

    found, num_nested = [], 0
    skipped: collections.Counter[str] = collections.Counter()
    seen: set[str] = set()
    for place, folders, files in os.walk(folder, onerror=refuse, followlinks=True):
        seen.add(os.path.realpath(place))
        folders[:] = sorted(
            name
            for name in folders
            if not name.startswith(".")
            and os.path.realpath(os.path.join(place, name)) not in seen
        )
        for name in files:
            if is_image_name(name):
                found.append(os.fsencode(os.path.join(place, name)))
                num_nested += place != str(folder)
            elif not name.startswith("."):
                suffix = pathlib.PurePath(name).suffix.lower()
                skipped[suffix or "no suffix"] += 1
    return FoundImages(sorted(found), num_nested, skipped)


def is_image_name(name: str) -> bool:
    """Whether a file that is not hidden ends as images do."""
    suffix = pathlib.PurePath(name).suffix.lower()
    return suffix in SUFFIXES and not name.startswith(".")


def look_at(paths: Sequence[bytes]) -> list[Look]:
    """Reads the headers of image files, and the values where they have 16 bits.

    Args:
        paths: Of files, at least one.

    Returns:
        A `Look` for every file.

    Raises:
        ValueError: If files cannot be read; all of them are named.
    """
    looks, reasons = _each(_look, paths)
    if reasons:
        # The header says nothing of the rest: others may be cut off.
        raise ValueError(refusal({**damaged(paths, MAX_BITS), **reasons}))
    return looks


def bits_of(looks: Sequence[Look]) -> int:
    """How many bits the values of the grey images of 16 bits take, all together.

    Raises:
        ValueError: If there are colour images of 16 bits that leave the upper ones
            empty: Pillow reads the upper 8.
    """
    colour_tops = [look.colour_top for look in looks if look.colour_top is not None]
    if colour_tops and max(colour_tops) < 64:
        raise ValueError(
            "Expected colour images of 16 bits to use all of them, as the upper 8 are "
            f"read. Received: {len(colour_tops)} whose largest upper byte is "
            f"{max(colour_tops)} of 255. Use images of 8 bits, made from the bits that "
            "are used."
        )
    grey_tops = [look.grey_top for look in looks if look.grey_top is not None]
    top = max(grey_tops, default=2**MAX_BITS - 1)
    return next(bits for bits in _USUAL_BITS if top < 2**bits)


def decode(path: bytes, bits: int) -> np.ndarray:
    """Decodes an image file, or the first of its pictures.

    The orientation of EXIF and the palette are applied. Transparency is left out.

    Args:
        path: Of the file.
        bits: How many bits the values take in grey images of 16 bits; the upper 8 of
            them are kept.

    Returns:
        An array of type uint8, 0 to 255, and shape `(height, width, 3)`.

    Raises:
        ValueError: If it cannot be decoded; the message is the reason alone.
    """
    with _opened(path) as image:
        ImageOps.exif_transpose(image, in_place=True)
        if _is_16_bit_grey(image):
            # What is larger was changed after it was looked at.
            upper = np.minimum(np.asarray(image) >> (bits - 8), 255).astype(np.uint8)
            return np.repeat(upper[..., None], 3, axis=-1)
        if image.has_transparency_data:
            with_alpha = image.convert("RGBA")
            _check_not_transparency_alone(with_alpha)
            return np.asarray(with_alpha.convert("RGB"))
        return np.asarray(image.convert("RGB"))


def damaged(paths: Sequence[bytes], bits: int) -> dict[bytes, str]:
    """Decodes files, and says why those that cannot be decoded cannot, by path."""
    return _each(lambda path: decode(path, bits).shape, paths)[1]


def refusal(reasons: dict[bytes, str]) -> str:
    """A message that names files that cannot be read, at least one, and why."""
    named = "; ".join(
        f"{os.fsdecode(path)!a} ({reason})"
        for path, reason in sorted(reasons.items())[:_MOST_NAMED]
    )
    rest = len(reasons) - _MOST_NAMED
    more = f", and {rest} more" if rest > 0 else ""
    return (
        f"Expected readable images ({', '.join(FORMATS)}). Received: {len(reasons)} "
        f"that cannot be read: {named}{more}. Use valid images, or remove the files."
    )


def _each(function, paths: Sequence[bytes]) -> tuple[list[Any], dict[bytes, str]]:
    """Calls a function for every file: what it returned, and what it raised by path."""

    def call(path: bytes):
        try:
            return function(path), None
        except ValueError as error:
            return None, str(error)

    with concurrent.futures.ThreadPoolExecutor(_THREADS) as threads:
        results = list(threads.map(call, paths))
    reasons = {
        path: reason
        for path, (_, reason) in zip(paths, results, strict=True)
        if reason is not None
    }
    return [result for result, reason in results if reason is None], reasons


@contextlib.contextmanager
def _opened(path: bytes) -> Iterator[ImageFile.ImageFile]:
    """Opens an image; whatever goes wrong with it is a `ValueError` with the reason."""
    try:
        # A pipe would be waited for.
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise ValueError("no ordinary file")
        with Image.open(os.fsdecode(path), formats=FORMATS) as image:
            most, pixels = Image.MAX_IMAGE_PIXELS, image.width * image.height
            if most is not None and pixels > most:
                raise ValueError(f"{pixels} pixels, where {most} are the most")
            yield image
    except UnidentifiedImageError:
        raise ValueError("it is of another format, or damaged") from None
    except OSError as error:
        raise ValueError(error.strerror or _one_line(error)) from None
    # Decoders meet damage in many ways, from SyntaxError to struct.error.
    except Exception as error:
        raise ValueError(_one_line(error)) from None


def _one_line(error: Exception) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= _MAX_REASON else f"{text[:_MAX_REASON]}..."


def _look(path: bytes) -> Look:
    with _opened(path) as image:
        if image.mode == "F":
            raise ValueError("its pixels are floats: write it with 8 bits a channel")
        has_16_bits = any(";16" in str(tile) for tile in image.tile)
        is_read_as_before = _is_read_as_before(image)
        grey_top = colour_top = None
        extrema: Any
        if _is_16_bit_grey(image):
            extrema = image.getextrema()
            low, grey_top = extrema
            if low < 0 or grey_top >= 2**MAX_BITS:
                raise ValueError(
                    f"its pixels are {low} to {grey_top}, beyond {MAX_BITS} bits: "
                    "write it with 8 bits a channel"
                )
        elif has_16_bits:
            extrema = image.getextrema()
            colour_top = max(top for _, top in extrema[:3])
        return Look(is_read_as_before, grey_top, colour_top)


def _is_16_bit_grey(image: Image.Image) -> bool:
    return image.mode == "I" or image.mode.startswith("I;16")


def _is_read_as_before(image: ImageFile.ImageFile) -> bool:
    # JPEG is not: TensorFlow calculates with less accuracy.
    if image.format == "PNG":
        has_exif = not _EXIF_KEYS.isdisjoint(image.info)
        return not has_exif or image.getexif().get(ExifTags.Base.Orientation, 1) == 1
    if image.format == "GIF":
        return image.tile[0][1] == (0, 0, *image.size)
    return image.format == "BMP" and image.mode != "P"


def _check_not_transparency_alone(image: Image.Image) -> None:
    extrema: Any = image.getextrema()
    *colours, (least, most) = extrema
    if least < most and all(low == high for low, high in colours):
        raise ValueError(
            "its picture is in the transparency alone: lay it on a background"
        )
