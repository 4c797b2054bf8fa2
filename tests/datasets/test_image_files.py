import io
import os
import pathlib

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from keras_confusion.datasets import image_files


def picture(height=12, width=20, seed=0):
    """Blocks of colours that no two corners share."""
    blocks = np.random.default_rng(seed).integers(0, 256, (3, 5, 3), np.uint8)
    return blocks.repeat(height // 3, 0).repeat(width // 5, 1)


def saved(path, pixels, **options):
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    image.save(path, **options)
    return os.fsencode(path)


def decoded(path):
    return image_files.decode(path, image_files.bits_of(image_files.look_at([path])))


def by_tensorflow(path):
    content = pathlib.Path(os.fsdecode(path)).read_bytes()
    return tf.io.decode_image(content, 3, expand_animations=False).numpy()


@pytest.mark.parametrize("suffix", ["bmp", "gif", "png", "ppm", "tiff", "webp", "jfif"])
@pytest.mark.parametrize("mode", ["RGB", "L", "P", "1"])
def test_pixels_are_those_that_were_saved(tmp_path, suffix, mode):
    image = Image.fromarray(picture()).convert(mode)
    options = {"webp": {"lossless": True}, "jfif": {"quality": 100}}.get(suffix, {})
    if suffix in ("jfif", "ppm") and mode == "P":
        # Without palettes.
        image = image.convert("RGB")
    form = {"jfif": "JPEG"}.get(suffix)
    path = saved(tmp_path / f"a.{suffix}", image, format=form, **options)
    expected = np.asarray(image.convert("RGB")).astype(int)
    # Blocks of JPEG are 8 pixels wide, those of the picture 4: colours run together.
    tolerance = 120 if suffix == "jfif" else 0
    assert np.abs(decoded(path) - expected).max() <= tolerance


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", ["jpg", "png", "tiff", "webp"])
def test_orientation_is_applied(tmp_path, orientation, suffix):
    upright = picture()
    # What a camera that is held otherwise stores, table 6 of the standard EXIF 2.32.
    stored = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.transpose(1, 0, 2),
        6: np.rot90(upright, 1),
        7: np.rot90(upright, 2).transpose(1, 0, 2),
        8: np.rot90(upright, -1),
    }[orientation]
    exif = Image.Exif()
    exif[274] = orientation
    options = {"jpg": {"quality": 95, "subsampling": 0}, "webp": {"lossless": True}}
    path = saved(
        tmp_path / f"a.{suffix}",
        np.ascontiguousarray(stored),
        exif=exif,
        **options.get(suffix, {}),
    )
    found = decoded(path)
    assert found.shape == upright.shape
    assert np.abs(found.astype(int) - upright).mean() < (20 if suffix == "jpg" else 1)


@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
@pytest.mark.parametrize("suffix", ["png", "tiff", "pgm"])
def test_sixteen_bits_are_scaled_by_the_bits_that_are_used(tmp_path, bits, suffix):
    values = np.linspace(0, 2**bits - 1, 240).astype(np.uint16).reshape(12, 20)
    path = saved(tmp_path / f"a.{suffix}", values)
    expected = (values >> (bits - 8)).astype(np.uint8)
    np.testing.assert_array_equal(decoded(path)[..., 0], expected)
    np.testing.assert_array_equal(decoded(path)[..., 2], expected)


def test_bits_are_those_of_all_images_together(tmp_path):
    dark = saved(tmp_path / "a.png", np.full((4, 4), 200, np.uint16))
    light = saved(tmp_path / "b.png", np.full((4, 4), 4000, np.uint16))
    assert image_files.bits_of(image_files.look_at([dark, light])) == 12
    assert image_files.decode(dark, 12).max() == 200 >> 4


def test_colours_of_sixteen_bits(tmp_path):
    def write(top):
        pixels = np.full((4, 4, 3), top, np.uint16)
        (tmp_path / "a.png").write_bytes(tf.io.encode_png(pixels).numpy())
        return os.fsencode(tmp_path / "a.png")

    np.testing.assert_array_equal(decoded(write(40_000)), 40_000 >> 8)
    with pytest.raises(ValueError, match=r"colour images of 16.*byte is 15.*8 bits"):
        decoded(write(4000))


def test_transparency_is_left_out_and_no_picture(tmp_path):
    pixels = np.concatenate([picture(), np.full((12, 20, 1), 9, np.uint8)], axis=-1)
    path = saved(tmp_path / "a.png", pixels)
    np.testing.assert_array_equal(decoded(path), picture())
    pixels[..., :3], pixels[..., 3] = 0, picture()[..., 0]
    path = saved(tmp_path / "b.png", pixels)
    with pytest.raises(ValueError, match="in the transparency alone"):
        decoded(path)
    palette = Image.fromarray(picture()).quantize(16)
    path = saved(tmp_path / "c.png", palette, transparency=bytes(range(16)))
    np.testing.assert_array_equal(decoded(path), np.asarray(palette.convert("RGB")))


def test_files_that_are_somewhat_wrong_are_read(tmp_path):
    """What decoders of others read, too."""
    path = saved(tmp_path / "a.jpg", picture())
    jpeg = (tmp_path / "a.jpg").read_bytes()
    whole = decoded(path)
    place = jpeg.index(b"\xff\xdb")
    for content in (jpeg + bytes(100), jpeg[:place] + b"\0\1" + jpeg[place:]):
        (tmp_path / "a.jpg").write_bytes(content)
        np.testing.assert_array_equal(decoded(path), whole)
    path = saved(tmp_path / "a.gif", picture())
    whole = decoded(path)
    (tmp_path / "a.gif").write_bytes((tmp_path / "a.gif").read_bytes()[:-1])
    np.testing.assert_array_equal(decoded(path), whole)
    # WebP by another name.
    path = saved(tmp_path / "b.jpg", picture(), format="WEBP", lossless=True)
    np.testing.assert_array_equal(decoded(path), picture())


def test_the_first_picture_of_several(tmp_path):
    more = {"save_all": True, "append_images": [Image.fromarray(picture(seed=1))]}
    for suffix in ("gif", "png", "tiff", "webp"):
        options = {"lossless": True} if suffix == "webp" else {}
        image = Image.fromarray(picture())
        path = saved(tmp_path / f"a.{suffix}", image, **more, **options)
        np.testing.assert_array_equal(decoded(path), picture())


@pytest.mark.parametrize("mode", ["RGB", "L", "P", "1", "RGBA", "LA"])
def test_png_is_read_as_tensorflow_read_it(tmp_path, mode):
    path = saved(tmp_path / "a.png", Image.fromarray(picture()).convert(mode))
    assert image_files.look_at([path])[0].is_read_as_before
    np.testing.assert_array_equal(decoded(path), by_tensorflow(path))


@pytest.mark.parametrize(
    ("suffix", "mode", "is_read_as_before"),
    [
        ("bmp", "RGB", True),
        ("bmp", "L", True),
        ("bmp", "P", False),
        ("gif", "P", True),
        ("jpg", "RGB", False),
        ("jpg", "L", False),
    ],
)
def test_it_is_known_what_tensorflow_read_otherwise(
    tmp_path, suffix, mode, is_read_as_before
):
    noise = np.random.default_rng(0).integers(0, 256, (40, 40, 3), np.uint8)
    path = saved(tmp_path / f"a.{suffix}", Image.fromarray(noise).convert(mode))
    assert image_files.look_at([path])[0].is_read_as_before == is_read_as_before
    assert (decoded(path) == by_tensorflow(path)).all() == is_read_as_before


def test_png_with_an_orientation_is_read_otherwise(tmp_path):
    for orientation in (1, 6):
        exif = Image.Exif()
        exif[274] = orientation
        path = saved(tmp_path / "a.png", picture(), exif=exif)
        look = image_files.look_at([path])[0]
        assert look.is_read_as_before == (orientation == 1)


def test_all_damaged_files_are_named_at_once(tmp_path):
    good = saved(tmp_path / "good.png", picture())
    text, cut, floats = (
        os.fsencode(tmp_path / name) for name in ("text.png", "cut.jpg", "floats.tif")
    )
    (tmp_path / "text.png").write_text("text")
    content = io.BytesIO()
    Image.fromarray(picture(96, 100)).save(content, "JPEG")
    (tmp_path / "cut.jpg").write_bytes(content.getvalue()[:-500])
    Image.fromarray(np.zeros((4, 4), np.float32)).save(tmp_path / "floats.tif")
    with pytest.raises(ValueError, match=r"Received: 3 that cannot be read") as error:
        image_files.look_at([good, text, cut, floats])
    for part in (
        r"cut.jpg' (image file is truncated",
        "floats.tif' (its pixels are floats",
        "text.png' (it is of another format",
    ):
        assert part in str(error.value)
    assert "good.png" not in str(error.value)


def test_images_are_found_in_folders_in_the_folder(tmp_path):
    for name in ("b.PNG", "images/a.jpeg", "images/deep/c.webp", ".cache/d.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    for name in ("a.txt", "images/b.txt", "c.HEIC", "README", ".hidden.png"):
        (tmp_path / name).touch()
    # Around in a circle, and twice the same.
    (tmp_path / "images" / "back").symlink_to(tmp_path)
    found = image_files.find_images(tmp_path)
    names = [os.path.relpath(os.fsdecode(path), tmp_path) for path in found.paths]
    assert names == ["b.PNG", "images/a.jpeg", "images/deep/c.webp"]
    assert found.num_nested == 2
    assert found.skipped == {".txt": 2, ".heic": 1, "no suffix": 1}
