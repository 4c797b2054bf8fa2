import contextlib
import dataclasses
import types

import keras
import numpy as np
import pytest
import requests
import tensorflow as tf
import tensorflow_datasets as tfds
from hypothesis import given
from hypothesis import strategies as st

from keras_confusion.datasets import labelled_dataset, readers, tfds_reader
from keras_confusion.datasets import loading as dataset_loading

COLOURS = {"blue": (0, 0, 255), "green": (0, 200, 0), "red": (250, 0, 0)}


def write_colours(folder, counts, size=(5, 7)):
    """Solid-colour PNGs; the blue channel of file i differs from the class's by i."""
    for name, count in counts.items():
        (folder / name).mkdir(parents=True)
        for i in range(count):
            keras.utils.save_img(
                folder / name / f"{i:03}.png", colour(name, i, size), scale=False
            )


def colour(name, i, size=(5, 7)):
    red, green, blue = COLOURS[name]
    picture = np.empty((*size, 3), np.uint8)
    picture[:] = red, green, abs(blue - i)
    return picture


def save_npz(path, **changes):
    rng = np.random.default_rng(0)
    arrays = {
        "x_train": rng.integers(0, 256, (12, 4, 5, 3), dtype=np.uint8),
        "y_train": np.arange(12) % 3,
        "x_test": rng.integers(0, 256, (6, 4, 5, 3), dtype=np.uint8),
        "y_test": np.arange(6) % 3,
    } | changes
    arrays = {key: value for key, value in arrays.items() if value is not None}
    np.savez(path, **arrays)
    return arrays


class GeneratedImages(tfds.core.GeneratorBasedBuilder):
    """Base of the tiny builders: image i of a split holds the value 10 * label + i."""

    VERSION = tfds.core.Version("1.0.0")
    SKIP_REGISTERING = True
    SPLITS = ("train", "test")
    SHAPE = (6, 4, 3)
    NUM_EXAMPLES = 12

    def _info(self):
        features = {
            "image": tfds.features.Image(shape=self.SHAPE),
            "label": tfds.features.ClassLabel(names=["ant", "bee", "cow"]),
        }
        return self.dataset_info_from_configs(
            features=tfds.features.FeaturesDict(features),
            supervised_keys=("image", "label"),
        )

    def _split_generators(self, dl_manager):
        return {name: self._generate_examples(name) for name in self.SPLITS}

    def _generate_examples(self, split):
        for i in range(self.NUM_EXAMPLES):
            yield i, self.example(split, i)

    def example(self, split, i):
        height, width = (size or 8 + i for size in self.SHAPE[:2])
        image = np.full((height, width, 3), 10 * (i % 3) + i, np.uint8)
        return {"image": image, "label": i % 3}


class TinyFixed(GeneratedImages):
    SKIP_REGISTERING = False


class TinyVarying(GeneratedImages):
    SKIP_REGISTERING = False
    SPLITS = ("train",)
    SHAPE = (None, None, 3)
    NUM_EXAMPLES = 60


class TinySecret(GeneratedImages):
    SKIP_REGISTERING = False
    SPLITS = ("train", "validation", "test")

    def example(self, split, i):
        label = -1 if split == "test" else i % 3
        return super().example(split, i) | {"label": label}


class TinyUnused(GeneratedImages):
    """As emnist/letters, whose labels begin at 1 of 37 names."""

    SKIP_REGISTERING = False

    def example(self, split, i):
        return super().example(split, i) | {"label": 1 + i % 2}


class TinyTestOnly(GeneratedImages):
    SKIP_REGISTERING = False
    SPLITS = ("test",)


@pytest.fixture
def prepared(tmp_path):
    def prepare(builder_class):
        builder_class(data_dir=tmp_path).download_and_prepare()
        return tmp_path

    return prepare


def elements(split):
    indices, images, labels = zip(*split.dataset().as_numpy_iterator(), strict=True)
    return np.array(indices), np.array(images), np.array(labels)


def assert_index_is_stable(split):
    """Two passes and `arrays()` agree, whether the images are in memory or not."""
    first, second = elements(split), elements(split)
    images, labels = split.arrays()
    third = elements(split)
    for other in (second, third):
        for one, two in zip(first, other, strict=True):
            np.testing.assert_array_equal(one, two)
    np.testing.assert_array_equal(first[0], np.arange(split.num_examples))
    np.testing.assert_array_equal(first[1], labelled_dataset.to_unit_range(images))
    np.testing.assert_array_equal(first[2], labels)
    assert first[1].dtype == np.float32
    assert first[2].dtype == labels.dtype == np.int32
    assert split.nbytes == images.nbytes + labels.nbytes
    assert split.input_shape == images.shape[1:]
    assert split.arrays()[0] is images


# to_unit_range


def test_to_unit_range_is_within_half_a_unit_of_the_quotient():
    pixels = np.arange(256, dtype=np.uint8)
    floats = labelled_dataset.to_unit_range(pixels)
    assert floats[0] == 0
    assert floats[255] == 1
    np.testing.assert_allclose(floats, np.arange(256) / 255, rtol=2e-7)
    np.testing.assert_array_equal(np.rint(floats * 255).astype(np.uint8), pixels)


@pytest.mark.parametrize("jit_compile", [False, True])
def test_to_unit_range_has_the_same_bits_everywhere(jit_compile):
    pixels = np.arange(256, dtype=np.uint8)
    compiled = tf.function(labelled_dataset.to_unit_range, jit_compile=jit_compile)
    for floats in (
        labelled_dataset.to_unit_range(tf.constant(pixels)),
        compiled(tf.constant(pixels)),
    ):
        np.testing.assert_array_equal(floats, labelled_dataset.to_unit_range(pixels))


def test_to_unit_range_keeps_floats_and_refuses_other_types():
    floats = np.float32([0.25, 1.0])
    assert labelled_dataset.to_unit_range(floats) is floats
    tokens = np.int32([0, 7])
    assert labelled_dataset.to_unit_range(tokens) is tokens
    assert labelled_dataset.to_unit_range(tf.constant(tokens)).dtype == tf.int32
    with pytest.raises(ValueError, match=r"uint8 .* or float32.* Received: int64"):
        labelled_dataset.to_unit_range(np.array([1, 2]))


# Split


def test_arrays_read_the_files_once():
    opened = []

    def open_images():
        opened.append(1)
        return tf.data.Dataset.from_tensors(np.zeros((2, 2, 1), np.uint8)).repeat(3)

    stream = readers.ImageStream((2, 2, 1), np.uint8, open_images, sample=None)
    split = labelled_dataset.Split(np.zeros(3, np.int32), stream)
    assert split.nbytes == 3 * 4 + 3 * 4
    assert not opened
    split.arrays()
    split.arrays()
    elements(split)
    assert len(opened) == 1


def test_missing_images_are_an_error():
    stream = readers.ImageStream(
        (2, 2, 1),
        np.uint8,
        lambda: tf.data.Dataset.from_tensors(np.zeros((2, 2, 1), np.uint8)),
        sample=None,
    )
    split = labelled_dataset.Split(np.zeros(3, np.int32), stream)
    with pytest.raises(RuntimeError, match=r"Expected 3 images.* Received: 1"):
        split.arrays()


# Digits


@pytest.fixture(scope="module")
def digits():
    return dataset_loading.load_dataset("digits")


def test_digits_hold_the_pictures_of_scikit_learn(digits):
    from sklearn.datasets import load_digits

    expected = load_digits()
    remaining = list(zip(expected.images, expected.target, strict=True))
    assert digits.class_names == tuple("0123456789")
    assert digits.input_shape == (32, 32, 3)
    # 1797 digits, https://scikit-learn.org/stable/datasets/toy_dataset.html
    assert digits.train.num_examples == 1198
    assert digits.test.num_examples == 599
    pictures, targets = (np.array(column) for column in zip(*remaining, strict=True))
    used = np.zeros(len(targets), int)
    for split in (digits.train, digits.test):
        images, labels = split.arrays()
        np.testing.assert_array_equal(images[..., :1].repeat(3, -1), images)
        # The centre of each 4x4 block of the enlargement lies in one original pixel.
        small = images[..., 0].reshape(-1, 8, 4, 8, 4)[:, :, 1:3, :, 1:3].mean((2, 4))
        distance = (
            (small**2).sum((1, 2))[:, None]
            + ((pictures * 255 / 16) ** 2).sum((1, 2))
            - 2 * np.einsum("nhw,mhw->nm", small, pictures * 255 / 16)
        )
        nearest = distance.argmin(1)
        np.testing.assert_array_equal(targets[nearest], labels)
        np.add.at(used, nearest, 1)
        error = small - pictures[nearest] * 255 / 16
        assert np.abs(error).max() < 100
        assert np.abs(error).mean() < 15
    # Each picture is in exactly one split, once.
    np.testing.assert_array_equal(used, 1)


def test_digits_that_are_not_enlarged_are_the_originals():
    contents = readers.read_digits((8, 8))
    from sklearn.datasets import load_digits

    expected = np.rint(load_digits().images * 255 / 16)
    found = np.concatenate([contents.train_images, contents.test_images])[..., 0]
    # In another order, since they are split.
    np.testing.assert_array_equal(
        np.sort(found.reshape(-1, 64), axis=0),
        np.sort(expected.reshape(-1, 64), axis=0),
    )


def test_digits_are_split_alike_in_every_class_and_every_time(digits):
    train = np.bincount(digits.train.labels)
    test = np.bincount(digits.test.labels)
    assert np.abs(test - (train + test) / 3).max() < 1
    again = dataset_loading.load_dataset("digits")
    assert again.fingerprint == digits.fingerprint
    for split in ("train", "test"):
        one, two = getattr(digits, split).arrays(), getattr(again, split).arrays()
        np.testing.assert_array_equal(one[0], two[0])
        np.testing.assert_array_equal(one[1], two[1])


def test_digits_index_is_stable(digits):
    assert_index_is_stable(digits.train)
    assert_index_is_stable(digits.test)


def test_shared_arrays_cannot_be_changed_in_place(digits):
    images, labels = digits.train.arrays()
    with pytest.raises(ValueError, match="read-only"):
        labels[0] = 1
    with pytest.raises(ValueError, match="read-only"):
        images[0] = 1


@given(
    labels=st.lists(st.integers(0, 4), min_size=1, max_size=60).map(np.array),
    fraction=st.sampled_from([1 / 5, 1 / 3]),
)
def test_stratified_split_leaves_no_class_out(labels, fraction):
    is_test = readers.stratified_test_mask(labels, fraction)
    for k in np.unique(labels):
        count, num_test = np.sum(labels == k), np.sum(is_test[labels == k])
        assert abs(num_test - count * fraction) < 1
        assert num_test < count
        assert num_test > 0 or count == 1


# Fingerprint


def test_fingerprint_depends_on_content_and_not_on_the_name(tmp_path):
    arrays = save_npz(tmp_path / "a.npz")
    save_npz(tmp_path / "b.npz")
    moved = np.roll(arrays["y_test"], 1)
    save_npz(tmp_path / "labels.npz", y_test=moved)
    save_npz(tmp_path / "names.npz", class_names=np.array(["a", "b", "c"]))
    x_train, x_test = (arrays[key][..., :1] for key in ("x_train", "x_test"))
    save_npz(tmp_path / "shape.npz", x_train=x_train, x_test=x_test)
    prints = {
        name: dataset_loading.load_dataset(tmp_path / f"{name}.npz").fingerprint
        for name in ("a", "b", "labels", "names", "shape")
    }
    assert prints["a"] == prints["b"]
    assert len(set(prints.values())) == 4
    assert len(prints["a"]) == 64


def test_fingerprint_tells_training_from_test_labels():
    images = np.zeros((4, 2, 2, 1), np.uint8)
    labels = np.int32([0, 1, 2, 0])

    def fingerprint(cut):
        train = labelled_dataset.Split(labels[:cut], images[:cut])
        test = labelled_dataset.Split(labels[cut:], images[cut:])
        return labelled_dataset.LabelledDataset(
            "x", ("a", "b", "c"), train, test
        ).fingerprint

    assert fingerprint(2) != fingerprint(3)


# Folder


def test_folder_labels_and_pixels_agree_with_the_class_folders(tmp_path):
    write_colours(tmp_path / "train", {"red": 4, "blue": 3, "green": 5})
    write_colours(tmp_path / "test", {"red": 1, "blue": 2, "green": 1})
    (tmp_path / "train" / "red" / "notes.txt").write_text("not an image")
    (tmp_path / "train" / ".cache").mkdir()
    found = dataset_loading.load_dataset(tmp_path)
    assert found.name == str(tmp_path)
    assert found.class_names == ("blue", "green", "red")
    assert found.input_shape == (32, 32, 3)
    images, labels = found.train.arrays()
    blue = np.array([COLOURS[name][2] for name in found.class_names])
    number = np.abs(images[:, 0, 0, 2].astype(int) - blue[labels])
    order = np.lexsort((number, labels))
    images, labels = images[order], labels[order]
    assert labels.tolist() == [0] * 3 + [1] * 5 + [2] * 4
    expected = [colour("blue", i, (32, 32)) for i in range(3)]
    expected += [colour("green", i, (32, 32)) for i in range(5)]
    expected += [colour("red", i, (32, 32)) for i in range(4)]
    np.testing.assert_array_equal(images, expected)
    assert found.test.labels.tolist() == [0, 0, 1, 2]
    assert_index_is_stable(dataset_loading.load_dataset(tmp_path).train)


def test_folder_without_splits_gives_a_fifth_of_each_class_to_the_test(tmp_path):
    write_colours(tmp_path, {"blue": 10, "green": 2, "red": 15})
    found = dataset_loading.load_dataset(tmp_path, image_size=(2, 3))
    assert np.bincount(found.train.labels).tolist() == [8, 1, 12]
    assert np.bincount(found.test.labels).tolist() == [2, 1, 3]
    seen = []
    for split in (found.train, found.test):
        images, labels = split.arrays()
        for image, label in zip(images, labels, strict=True):
            name = found.class_names[label]
            i = abs(int(image[0, 0, 2]) - COLOURS[name][2])
            np.testing.assert_array_equal(image, colour(name, i, (2, 3)))
            seen.append((name, i))
    # No image is in both splits, none is lost.
    assert len(set(seen)) == len(seen) == 27
    again = dataset_loading.load_dataset(tmp_path, image_size=(2, 3))
    np.testing.assert_array_equal(again.test.arrays()[0], found.test.arrays()[0])


def test_a_class_may_be_called_train(tmp_path):
    write_colours(tmp_path, {"red": 2, "blue": 2})
    (tmp_path / "red").rename(tmp_path / "train")
    assert dataset_loading.load_dataset(tmp_path).class_names == ("blue", "train")


def test_shrinking_averages_instead_of_skipping(tmp_path):
    # Stripes one pixel wide: without antialiasing their mean would be lost.
    stripes = np.zeros((16, 16, 3), np.uint8)
    stripes[:, ::4] = 200
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        for i in range(2):
            keras.utils.save_img(tmp_path / name / f"{i}.png", stripes, scale=False)
    images, _ = dataset_loading.load_dataset(tmp_path, image_size=(4, 4)).train.arrays()
    assert np.abs(images[:, :, 1:3].astype(float) - 50).max() < 15


@pytest.mark.parametrize("contents", [b"not a picture", b"", b"\x89PNG\r\n\x1a\n"])
def test_unreadable_image_is_named(tmp_path, contents):
    write_colours(tmp_path / "train", {"red": 2, "blue": 2})
    write_colours(tmp_path / "test", {"red": 1, "blue": 1})
    (tmp_path / "train" / "red" / "broken.png").write_bytes(contents)
    message = r"readable images .*Received: 1 that .*: '.*red/broken\.png' \(.* Use"
    with pytest.raises(ValueError, match=message):
        dataset_loading.load_dataset(tmp_path)


def test_folder_errors(tmp_path):
    (tmp_path / "nothing").mkdir()
    with pytest.raises(ValueError, match=r"one folder of images per class.*nothing"):
        dataset_loading.load_dataset(tmp_path / "nothing")

    write_colours(tmp_path / "empty_class", {"red": 2, "blue": 3})
    (tmp_path / "empty_class" / "green").mkdir()
    with pytest.raises(ValueError, match=r"at least 2 image.*: 0 in .*green\. Use"):
        dataset_loading.load_dataset(tmp_path / "empty_class")

    write_colours(tmp_path / "single", {"red": 1, "blue": 3})
    with pytest.raises(ValueError, match=r"at least 2 image.*Received: 1 in .*red"):
        dataset_loading.load_dataset(tmp_path / "single")

    write_colours(tmp_path / "half" / "train", {"red": 2, "blue": 2})
    with pytest.raises(ValueError, match=r"both a train and a test.*train alone"):
        dataset_loading.load_dataset(tmp_path / "half")

    write_colours(tmp_path / "half" / "test", {"red": 2, "green": 2})
    with pytest.raises(ValueError, match=r"same class folders.*: blue, green in one"):
        dataset_loading.load_dataset(tmp_path / "half")

    write_colours(tmp_path / "empty_test" / "train", {"red": 2, "blue": 2})
    write_colours(tmp_path / "empty_test" / "test", {"red": 2, "blue": 0})
    with pytest.raises(ValueError, match=r"at least 1 image.*0 in .*test/blue"):
        dataset_loading.load_dataset(tmp_path / "empty_test")


# .npz


def test_npz_is_returned_as_stored(tmp_path):
    names = np.array(["x", "y", "z"])
    arrays = save_npz(tmp_path / "a.npz", class_names=names)
    found = dataset_loading.load_dataset(str(tmp_path / "a.npz"))
    assert found.class_names == ("x", "y", "z")
    assert found.num_classes == 3
    images, labels = found.train.arrays()
    assert images.dtype == np.uint8
    np.testing.assert_array_equal(images, arrays["x_train"])
    np.testing.assert_array_equal(labels, arrays["y_train"])
    np.testing.assert_array_equal(found.test.arrays()[0], arrays["x_test"])
    assert_index_is_stable(found.train)


def test_npz_of_gray_floats_with_column_labels(tmp_path):
    rng = np.random.default_rng(1)
    x_train, x_test = rng.random((12, 4, 5)), rng.random((6, 4, 5))
    save_npz(
        tmp_path / "a.npz",
        x_train=x_train,
        x_test=x_test,
        y_train=(np.arange(12) % 3)[:, None].astype(np.uint8),
    )
    found = dataset_loading.load_dataset(tmp_path / "a.npz")
    assert found.class_names == ("0", "1", "2")
    assert found.input_shape == (4, 5, 1)
    images, labels = found.train.arrays()
    np.testing.assert_array_equal(images, x_train[..., None].astype(np.float32))
    assert labels.tolist() == [0, 1, 2] * 4
    assert_index_is_stable(found.train)
    resized, _ = dataset_loading.load_dataset(
        tmp_path / "a.npz", image_size=(8, 10)
    ).train.arrays()
    assert resized.shape == (12, 8, 10, 1)
    assert resized.dtype == np.float32
    np.testing.assert_allclose(resized.mean(), x_train.mean(), atol=0.03)
    # Doubling puts two new pixels between the centres of two old ones.
    np.testing.assert_allclose(
        resized[:, 0, 1, 0],
        0.75 * x_train[:, 0, 0] + 0.25 * x_train[:, 0, 1],
        rtol=1e-5,
    )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"x_test": None, "y_test": None}, r"Received: .*without x_test, y_test"),
        ({"x_train": np.zeros(12, int)}, r"x_train of shape.*Received: \[12\]"),
        ({"x_train": np.zeros((12, 4))}, r"tokens of type int32 or int64.*: float64"),
        # Flattened images.
        (
            {"x_train": np.zeros((12, 4), np.uint8)},
            r"tokens of .*: uint8.*-1, h, w",
        ),
        ({"x_train": np.full((12, 4), -1)}, r"tokens of x_train in 0\.\.9.*: -1 to -1"),
        ({"x_train": np.full((12, 4), 2**31)}, r"tokens of x_train in 0.*2147483648"),
        (
            {"x_train": np.zeros((12, 4), int)},
            r"one shape.*: x_train \(4,\) and .*4, 5, 3",
        ),
        ({"x_train": np.zeros((12, 4, 5), int)}, r"uint8.*float.*Received: int64"),
        ({"x_test": np.zeros((0, 4, 5, 3), np.uint8)}, r"x_test of shape .*not empty"),
        ({"x_train": np.zeros((12, 4, 5, 3), int)}, r"uint8.*float.*Received: int64"),
        ({"x_train": np.full((12, 4, 5, 3), 255.0)}, r"\[0, 1\].*: 255 to 255.*/ 255"),
        ({"x_train": np.full((12, 4, 5, 3), np.nan)}, r"\[0, 1\].*Received: nan"),
        ({"x_test": np.zeros((6, 9, 5, 3), np.uint8)}, r"one shape.*\(4, 5, 3\).*9, 5"),
        ({"x_test": np.zeros((6, 4, 5, 3))}, r"one type.*uint8 and x_test float32"),
        ({"y_train": np.arange(11) % 3}, r"y_train of shape \[12\].*Received: \[11\]"),
        ({"y_train": np.eye(3)[np.arange(12) % 3]}, r"Received: \[12, 3\].*one-hot"),
        ({"y_train": np.arange(12) % 3 / 1.0}, r"integer labels in y_train.*float64"),
        ({"y_train": np.arange(12) % 3 - 1}, r"labels in y_train from 0.*: -1 to 1"),
        ({"y_test": np.arange(6) % 2}, r"at least one test example.*none of 2 in"),
        ({"y_train": np.arange(12) % 2}, r"one training example.*none of 2 in"),
        ({"class_names": np.array(["a", "b"])}, r"labels in 0\.\.1.*\[2\]"),
        ({"class_names": np.array(["a", "b", "a"])}, r"distinct class names.*'a'"),
        ({"class_names": np.array(["a", None], object)}, r"plain arrays.*pickle"),
    ],
)
def test_npz_errors(tmp_path, changes, message):
    save_npz(tmp_path / "a.npz", **changes)
    with pytest.raises(ValueError, match=message):
        dataset_loading.load_dataset(tmp_path / "a.npz")


@pytest.mark.parametrize("dtype", [np.int32, np.int64])
def test_npz_of_token_sequences(tmp_path, dtype):
    rng = np.random.default_rng(2)
    x_train, x_test = rng.integers(0, 9, (12, 5)), rng.integers(0, 9, (6, 5))
    x_test[3, 2] = 11
    save_npz(
        tmp_path / "a.npz", x_train=x_train.astype(dtype), x_test=x_test.astype(dtype)
    )
    found = dataset_loading.load_dataset(tmp_path / "a.npz")
    assert found.input_shape == (5,)
    # The largest token of both splits is 11.
    assert found.vocabulary_size == 12
    for split, expected in ((found.train, x_train), (found.test, x_test)):
        tokens, labels = split.arrays()
        indices, elementwise, element_labels = elements(split)
        assert tokens.dtype == elementwise.dtype == np.int32
        np.testing.assert_array_equal(tokens, expected)
        np.testing.assert_array_equal(elementwise, expected)
        np.testing.assert_array_equal(indices, np.arange(len(expected)))
        np.testing.assert_array_equal(element_labels, labels)
        assert split.nbytes == tokens.nbytes + labels.nbytes
    with pytest.raises(ValueError, match=r"no image_size for token.*\(8, 8\)"):
        dataset_loading.load_dataset(tmp_path / "a.npz", image_size=(8, 8))


def test_images_have_no_vocabulary(tmp_path):
    save_npz(tmp_path / "a.npz")
    assert dataset_loading.load_dataset(tmp_path / "a.npz").vocabulary_size is None


def test_fingerprint_of_token_sequences_depends_on_the_tokens(tmp_path):
    x_train, x_test = np.zeros((12, 4), int), np.ones((6, 4), int)
    save_npz(tmp_path / "a.npz", x_train=x_train, x_test=x_test)
    save_npz(tmp_path / "b.npz", x_train=x_train, x_test=1 - x_test)
    one, two = (
        dataset_loading.load_dataset(tmp_path / f"{name}.npz").fingerprint
        for name in "ab"
    )
    assert one != two


def test_npz_that_cannot_be_read(tmp_path):
    with pytest.raises(ValueError, match=r"none\.npz .*No such file"):
        dataset_loading.load_dataset(tmp_path / "none.npz")
    for contents in (b"text", b"", b"PK\x03\x04 cut off"):
        (tmp_path / "bad.npz").write_bytes(contents)
        with pytest.raises(ValueError, match=r"npz file of plain arrays.*bad\.npz"):
            dataset_loading.load_dataset(tmp_path / "bad.npz")
    np.save(tmp_path / "one.npy", np.zeros(3))
    (tmp_path / "one.npy").rename(tmp_path / "one.npz")
    with pytest.raises(ValueError, match=r"npz file of plain arrays.*one\.npz"):
        dataset_loading.load_dataset(tmp_path / "one.npz")


# TensorFlow Datasets


def test_prepared_data_set_is_read_in_a_fixed_order(prepared):
    data_dir = prepared(TinyFixed)
    found = dataset_loading.load_dataset("tiny_fixed", data_dir=data_dir)
    assert found.class_names == ("ant", "bee", "cow")
    assert found.input_shape == (6, 4, 3)
    assert found.train.num_examples == found.test.num_examples == 12
    assert_index_is_stable(found.train)
    images, labels = found.train.arrays()
    assert images.dtype == np.uint8
    # The pixels say which example it is, so image and label must belong together.
    numbers = images[:, 0, 0, 0] - 10 * labels
    assert sorted(numbers.tolist()) == list(range(12))
    np.testing.assert_array_equal(numbers % 3, labels)
    again = dataset_loading.load_dataset("tiny_fixed", data_dir=data_dir)
    np.testing.assert_array_equal(again.train.arrays()[0], images)
    assert again.fingerprint == found.fingerprint


def test_environment_variable_names_the_data_directory(prepared, monkeypatch, request):
    monkeypatch.setenv("TFDS_DATA_DIR", str(prepared(TinyFixed)))
    request.getfixturevalue("no_network")
    found = dataset_loading.load_dataset("tiny_fixed", image_size=(3, 2))
    assert found.input_shape == (3, 2, 3)
    images, labels = found.test.arrays()
    numbers = images[:, 0, 0, 0] - 10 * labels
    assert sorted(numbers.tolist()) == list(range(12))


def test_images_that_differ_in_size_and_a_missing_test_split(prepared):
    found = dataset_loading.load_dataset("tiny_varying", data_dir=prepared(TinyVarying))
    assert found.input_shape == (32, 32, 3)
    assert (found.train.num_examples, found.test.num_examples) == (48, 12)
    numbers = []
    for split in (found.train, found.test):
        images, labels = split.arrays()
        np.testing.assert_array_equal(
            images, np.broadcast_to(images[:, :1, :1, :1], images.shape)
        )
        numbers += (images[:, 0, 0, 0].astype(int) - 10 * labels).tolist()
    assert sorted(numbers) == list(range(60))


def test_validation_replaces_a_test_split_without_labels(prepared):
    found = dataset_loading.load_dataset("tiny_secret", data_dir=prepared(TinySecret))
    assert np.bincount(found.test.labels).tolist() == [4, 4, 4]
    images, labels = found.test.arrays()
    np.testing.assert_array_equal((images[:, 0, 0, 0] - 10 * labels) % 3, labels)


def test_names_without_examples_are_left_out(prepared):
    found = dataset_loading.load_dataset("tiny_unused", data_dir=prepared(TinyUnused))
    assert found.class_names == ("bee", "cow")
    assert found.notes == ("Classes without any example are left out: 'ant'.",)
    images, labels = found.train.arrays()
    # The value is 10 * (i % 3) + i, the label i % 2.
    values = [10 * (i % 3) + i for i in range(12)]
    numbers = [values.index(value) for value in images[:, 0, 0, 0]]
    assert labels.tolist() == [i % 2 for i in numbers]


def test_data_set_without_training_split(prepared):
    with pytest.raises(ValueError, match=r"'train' split.*tiny_test_only.*\['test'\]"):
        dataset_loading.load_dataset("tiny_test_only", data_dir=prepared(TinyTestOnly))


@pytest.fixture
def no_network(monkeypatch):
    def refuse(url, **kwargs):
        raise requests.exceptions.ConnectionError("no route to host")

    def forbid(self, **kwargs):
        pytest.fail("TensorFlow Datasets would retry for minutes")

    monkeypatch.setattr(requests, "get", refuse)
    monkeypatch.setattr(tfds.core.DatasetBuilder, "download_and_prepare", forbid)


def test_prepared_data_needs_no_network(prepared, request):
    data_dir = prepared(TinyFixed)
    request.getfixturevalue("no_network")
    found = dataset_loading.load_dataset("tiny_fixed", data_dir=data_dir)
    assert found.train.arrays()[0].shape == (12, 6, 4, 3)


def test_unavailable_data_set_fails_at_once_and_writes_nothing(tmp_path, no_network):
    data_dir = tmp_path / "empty"
    with pytest.raises(
        tfds_reader.DatasetUnavailableError,
        match=r"mnist/3.*empty/mnist/.*no route to host.*--data-dir .*TFDS_DATA_DIR",
    ):
        dataset_loading.load_dataset("mnist", data_dir=data_dir)
    assert not data_dir.exists()


def test_one_host_that_answers_is_enough_to_try(monkeypatch):
    asked = []

    def answer(url, **kwargs):
        asked.append(url)
        if "closed" in url:
            raise requests.exceptions.ConnectionError("closed for good")
        return contextlib.nullcontext()

    downloads = []
    urls = ["https://closed/1", "https://open/2", "https://open/3", "https://late/4"]
    builder = types.SimpleNamespace(
        url_infos=dict.fromkeys(urls),
        download_and_prepare=lambda: downloads.append(1),
    )
    monkeypatch.setattr(requests, "get", answer)
    tfds_reader._download(builder)
    assert downloads == [1]
    # One request per host, and none after the first answer.
    assert asked == ["https://closed/1", "https://open/3"]


def test_failed_download_is_explained(tmp_path, monkeypatch):
    def answer(url, **kwargs):
        return contextlib.nullcontext()

    def fail(self, **kwargs):
        raise OSError("disk full")

    monkeypatch.setattr(requests, "get", answer)
    monkeypatch.setattr(tfds.core.DatasetBuilder, "download_and_prepare", fail)
    with pytest.raises(
        tfds_reader.DatasetUnavailableError, match=r"neither \(disk full"
    ):
        dataset_loading.load_dataset("mnist", data_dir=tmp_path)


def test_data_set_that_is_not_there_is_prepared(tmp_path):
    found = dataset_loading.load_dataset("tiny_fixed", data_dir=tmp_path)
    assert found.train.num_examples == 12
    assert (tmp_path / "tiny_fixed" / "1.0.0").is_dir()


@pytest.mark.parametrize("name", ["imdb_reviews", "coco", "titanic"])
def test_data_set_without_labelled_images(name, tmp_path, no_network):
    with pytest.raises(
        ValueError, match=rf"(?s)one class label.*Received: {name}.*Use"
    ):
        dataset_loading.load_dataset(name, data_dir=tmp_path)


def test_unknown_name_lists_what_there_is(tmp_path, no_network):
    message = (
        r"built-in data set \(digits, .*reviews.*\).*folder of images.*\.npz file.*"
        r"TensorFlow Datasets \(cifar10, .*Received: 'cifar_10'\. The closest "
        r"are: .*\bcifar10\b.*list_builders\(\)"
    )
    with pytest.raises(ValueError, match=message):
        dataset_loading.load_dataset("cifar_10", data_dir=tmp_path)
    for name in ("", "./no/such/folder", "two words"):
        with pytest.raises(ValueError, match=r"Expected a built-in data set"):
            dataset_loading.load_dataset(name, data_dir=tmp_path)


def test_unknown_version_names_the_known_ones(tmp_path, no_network):
    with pytest.raises(ValueError, match=r"version that mnist has.*only: 3"):
        dataset_loading.load_dataset("mnist:0.0.1", data_dir=tmp_path)


# Arguments


@pytest.mark.parametrize("image_size", [32, (32,), (0, 32), (8.0, 8.0), "32"])
def test_image_size_must_be_two_positive_integers(image_size):
    with pytest.raises(ValueError, match=r"image_size to be two positive integers"):
        dataset_loading.load_dataset("digits", image_size=image_size)


def test_data_sets_are_frozen(digits):
    with pytest.raises(dataclasses.FrozenInstanceError):
        digits.name = "other"
    with pytest.raises(dataclasses.FrozenInstanceError):
        digits.train.labels = digits.test.labels


def test_training_images_of_a_folder_are_not_class_by_class(tmp_path):
    # A stream is shuffled within a buffer only: sorted by class it would stay sorted.
    write_colours(tmp_path / "train", {"red": 12, "blue": 12})
    write_colours(tmp_path / "test", {"red": 1, "blue": 1})
    labels = dataset_loading.load_dataset(tmp_path).train.labels
    assert np.count_nonzero(np.diff(labels)) > 4
    np.testing.assert_array_equal(
        labels, dataset_loading.load_dataset(tmp_path).train.labels
    )
