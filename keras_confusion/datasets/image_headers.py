"""How many pixels an image file promises, before anything is decoded.

A file of a few kilobytes can promise gigabytes. Only headers are read here; formats are
told by their first bytes, as `tf.io.decode_image` tells them.
"""

import struct

_PNG = b"\x89PNG\r\n\x1a\n"
_JPEG = b"\xff\xd8"
_GIF = (b"GIF87a", b"GIF89a")
_BMP = b"BM"
# Of JPEG: start of frame of any process, less the three that are something else.
_START_OF_FRAME = set(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
# Those that stand alone, without a length.
_ALONE = {0x01, *range(0xD0, 0xDA)} - {0xD9}
_GIF_IMAGE, _GIF_EXTENSION, _GIF_END = 0x2C, 0x21, 0x3B
_HAS_COLOURS = 0x80


def promised_pixels(content: bytes) -> int:
    """Number of pixels of all pictures in a file.

    Args:
        content: A BMP, GIF, JPEG or PNG file.

    Returns:
        Height times width, of GIF files the sum over all frames.

    Raises:
        ValueError: If it is none of these, or ends before it says so.
    """
    try:
        if content.startswith(_PNG):
            width, height = struct.unpack_from(">II", content, 16)
        elif content.startswith(_JPEG):
            height, width = _jpeg_size(content)
        elif content.startswith(_GIF):
            return _gif_pixels(content)
        elif content.startswith(_BMP):
            width, height = struct.unpack_from("<ii", content, 18)
        else:
            raise ValueError("no BMP, GIF, JPEG or PNG file")
    except (struct.error, IndexError) as error:
        raise ValueError("it is cut off") from error
    # Of BMP, rows from the top have a negative height.
    return abs(width * height)


def _jpeg_size(content: bytes) -> tuple[int, int]:
    place = len(_JPEG)
    while True:
        if content[place] != 0xFF:
            raise ValueError("no marker where one should be")
        while content[place] == 0xFF:
            place += 1
        marker = content[place]
        place += 1
        if marker in _START_OF_FRAME:
            return struct.unpack_from(">HH", content, place + 3)
        if marker not in _ALONE:
            (length,) = struct.unpack_from(">H", content, place)
            # Its own two bytes count.
            if length < 2:
                raise ValueError("a segment of no length")
            place += length


def _gif_pixels(content: bytes) -> int:
    width, height, flags = struct.unpack_from("<HHB", content, 6)
    pixels, place = width * height, 13 + _colour_bytes(flags)
    while content[place] != _GIF_END:
        kind = content[place]
        if kind == _GIF_IMAGE:
            width, height, flags = struct.unpack_from("<HHB", content, place + 5)
            pixels += width * height
            # Then the size of codes, one byte.
            place += 10 + _colour_bytes(flags) + 1
        elif kind == _GIF_EXTENSION:
            place += 2
        else:
            raise ValueError("a block of an unknown kind")
        while content[place]:
            place += 1 + content[place]
        place += 1
    return pixels


def _colour_bytes(flags: int) -> int:
    return 3 * 2 ** ((flags & 7) + 1) if flags & _HAS_COLOURS else 0
