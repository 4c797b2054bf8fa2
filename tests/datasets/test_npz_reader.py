"""What is read of arrays, and that the advice of every refusal works."""

import logging
import pickle
import re

import numpy as np
import pytest

from keras_confusion.datasets import loading, object_arrays

RNG = np.random.default_rng(0)
PIXELS = RNG.integers(0, 256, (12, 4, 5, 3), np.uint8)
LABELS = np.arange(12) % 3


def load(folder, x_train, y_train=LABELS, x_test=None, y_test=None, **more):
    """Loads arrays; those of the test are the same where they are not given."""
    path = folder / "data.npz"
    np.savez(
        path,
        x_train=x_train,
        y_train=y_train,
        x_test=x_train if x_test is None else x_test,
        y_test=y_train if y_test is None else y_test,
        **more,
    )
    return loading.load_dataset(path)


def pixels(values, top):
    """Images of values, all of them from 0 to `top`."""
    return np.resize(np.asarray(values), (12, 8, 9, 3)) * top


RAMP = np.linspace(0, 1, 12 * 8 * 9 * 3)


@pytest.mark.parametrize(
    ("images", "advice", "right"),
    [
        # 16 bits, and integers that are 8.
        ((pixels(RAMP, 65535)).astype(np.uint16), "x / 65535", RAMP),
        ((pixels(RAMP, 4095)).astype(np.uint16), "x / 4095", RAMP),
        ((pixels(RAMP, 1000)).astype(np.int32), "x / 1023", RAMP * 1000 / 1023),
        ((pixels(RAMP, 255)).astype(np.int64), "x.astype('uint8')", RAMP),
        ((pixels(RAMP, 200)).astype(np.uint16), "x.astype('uint8')", RAMP * 200 / 255),
        ((pixels(RAMP, 16)).astype(np.int64), "x / 16", np.floor(RAMP * 16) / 16),
        (
            (pixels(RAMP, 1)).round().astype(np.int64),
            "x.astype('float32')",
            RAMP.round(),
        ),
        ((pixels(RAMP, 1)).round().astype(np.uint8), "x * 255", RAMP.round()),
        (
            (pixels(RAMP, 255) - 128).astype(np.int8),
            "(x.astype('int16') + 128)",
            RAMP,
        ),
        ((pixels(RAMP - 0.5, 2000)).astype(np.int16), "(x + 1000.0) / 2000.0", RAMP),
        # Floats.
        (pixels(RAMP, 255.0), "x / 255", RAMP),
        (pixels(RAMP, 255.0).astype(np.float32), "x / 255", RAMP),
        (pixels(RAMP, 16.0), "x / 16.0", RAMP),
        (pixels(2 * RAMP - 1, 1), "(x + 1) / 2", RAMP),
        (pixels(2 * RAMP - 1, 1).astype(np.float16), "(x + 1) / 2", RAMP),
        (pixels(RAMP, 1.01) - 0.005, "np.clip(x, 0, 1)", RAMP),
        (pixels(5 * RAMP - 2.1, 1).astype(np.float32), "(x + 2.099", RAMP),
        (pixels(5 * RAMP - 2.1, 1).astype(np.float16), "(x + 2.099", RAMP),
        # Channels first.
        (np.moveaxis(pixels(RAMP, 1), -1, 1), "np.moveaxis(x, 1, -1)", RAMP),
        (
            np.moveaxis(pixels(RAMP, 255).astype(np.uint8), -1, 1)[:, :1],
            "np.movea",
            None,
        ),
    ],
)
def test_advice_for_images_works(tmp_path, images, advice, right):
    # The test images hold less, and must be treated in the same way.
    with pytest.raises(
        ValueError, match=rf"Use {re.escape(advice)}.*x_test\.$"
    ) as error:
        load(tmp_path, images, x_test=images[:6], y_test=LABELS[:6])
    expression = re.search(r"Use (.*) for x = ", str(error.value))[1]
    train, test = (eval(expression, {"np": np, "x": x}) for x in (images, images[:6]))
    found = load(tmp_path, train, x_test=test, y_test=LABELS[:6])
    read = found.train.arrays()[0].astype(float)
    if right is not None:
        scale = 255 if found.train.images.dtype == np.uint8 else 1
        expected = np.resize(right, (12, 8, 9, 3))
        np.testing.assert_allclose(read / scale, expected, atol=0.006)
    np.testing.assert_array_equal(found.test.arrays()[0], read[:6])


def test_advice_for_images_that_are_not_finite_works(tmp_path):
    images = pixels(RAMP, 1.0)
    images[3, 2, 1] = np.nan
    images[4, 0, 0] = np.inf
    with pytest.raises(ValueError, match="in 2 of 12 images") as error:
        load(tmp_path, images)
    advice = r"Use keep = (.*), (x_train\[keep\]) and (y_train\[keep\])\.$"
    keep, x_train, y_train = re.search(advice, str(error.value)).groups()
    names = {"np": np, "x_train": images, "y_train": LABELS}
    names["keep"] = eval(keep, names)
    x_train, y_train = eval(x_train, names), eval(y_train, names)
    found = load(tmp_path, x_train, y_train)
    assert found.train.num_examples == 10
    images[:, 0, 0] = np.nan
    with pytest.raises(ValueError, match="12 of 12 images") as error:
        load(tmp_path, images)
    expression = re.search(r"Use (.*), if 0", str(error.value))[1]
    assert load(tmp_path, eval(expression, {"np": np, "x_train": images})).num_classes


def test_truth_values_are_zero_and_one(tmp_path):
    images = PIXELS > 100
    found = load(tmp_path, images)
    np.testing.assert_array_equal(found.train.arrays()[0], images.astype(np.float32))
    assert "truth values" in found.notes[0]


def test_dark_images_are_told(tmp_path, caplog):
    with caplog.at_level(logging.WARNING, "keras_confusion"):
        load(tmp_path, PIXELS // 16)
    assert "hold 0 to 15 of 0..255: they are nearly black" in caplog.text
    expression = re.search(r"use (x / 15) for x =", caplog.text)[1]
    caplog.clear()
    found = load(tmp_path, eval(expression, {"x": PIXELS // 16}))
    assert found.notes == ()
    # Divided by 255 twice.
    assert "hold 0 to 0.0039" in load(tmp_path, PIXELS / 255**2).notes[0]
    assert load(tmp_path, PIXELS).notes == ()


@pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.uint16])
def test_advice_for_flat_arrays_works(tmp_path, dtype):
    flat = RNG.integers(0, 200, (12, 64)).astype(dtype)
    with pytest.raises(
        ValueError, match=r"Use x\.astype\('int32'\) for tokens, and x\.r"
    ):
        load(tmp_path, flat)
    assert load(tmp_path, flat.astype("int32")).vocabulary_size == flat.max() + 1
    with pytest.raises(ValueError, match=r"Use x\.reshape\(-1, h, w\)"):
        load(tmp_path, flat + np.float32(0.5))


def test_tokens_that_may_be_images_are_told(tmp_path):
    flat = RNG.integers(0, 256, (12, 64))
    (note,) = load(tmp_path, flat).notes
    expression = re.search(r"use (.*) for x = ", note)[1]
    found = load(tmp_path, eval(expression, {"x": flat}))
    np.testing.assert_array_equal(found.train.arrays()[0][..., 0].reshape(12, 64), flat)
    assert load(tmp_path, RNG.integers(0, 900, (12, 64))).notes == ()


def test_advice_for_negative_tokens_works(tmp_path):
    tokens = RNG.integers(0, 50, (12, 7))
    tokens[:, 5:] = -1
    with pytest.raises(ValueError, match=r"Use x \+ 1 for x = x_train"):
        load(tmp_path, tokens)
    assert load(tmp_path, tokens + 1).vocabulary_size == tokens.max() + 2


# Labels

NAMES = np.array(["cat", "dog", "\u00e4ffin"])


@pytest.mark.parametrize(
    "labels",
    [
        NAMES[LABELS],
        NAMES[LABELS][:, None],
        NAMES[LABELS].astype(object),
        NAMES[LABELS].astype(object)[:, None],
        np.char.encode(NAMES, "utf-8")[LABELS],
    ],
    ids=["texts", "column", "objects", "column of objects", "bytes"],
)
@pytest.mark.parametrize("order", [None, [2, 0, 1]])
def test_labels_may_be_names(tmp_path, labels, order):
    more = {} if order is None else {"class_names": NAMES[order]}
    found = load(tmp_path, PIXELS, labels, **more)
    assert found.class_names == tuple(NAMES[order or [0, 1, 2]])
    names = [found.class_names[k] for k in found.train.labels]
    assert names == NAMES[LABELS].tolist()


def test_names_that_are_no_class_names(tmp_path):
    with pytest.raises(ValueError, match=r"among class_names\. Received: 'dog'"):
        load(tmp_path, PIXELS, NAMES[LABELS], class_names=np.delete(NAMES, 1))
    with pytest.raises(
        ValueError, match=r"one kind.*<U5.*int64.*y_train\.astype\(str\)"
    ):
        load(tmp_path, PIXELS, NAMES[LABELS], y_test=LABELS)


def test_class_names_may_be_objects_and_many(tmp_path):
    labels = np.arange(2500)
    names = np.array([f"class {k % 2500}" for k in labels], object)
    found = load(tmp_path, np.ones((2500, 2, 2), np.float32), labels, class_names=names)
    assert found.class_names == tuple(names)


@pytest.mark.parametrize(
    "array",
    [
        np.array(["a", None, "b"] * 4, object),
        np.array(["a", 3, "b"] * 4, object),
        np.array([{"a": 1}] * 12, object),
        np.array([["a"], ["b", "c"], []] * 4, object),
    ],
)
def test_other_objects_are_refused(tmp_path, array):
    with pytest.raises(
        ValueError, match=r"y_train: it needs pickle.*use \.astype\(str"
    ):
        load(tmp_path, PIXELS, array)
    if not isinstance(array[0], list):
        assert load(tmp_path, PIXELS, array.astype(str)).num_classes


def test_objects_are_not_run(tmp_path):
    class Mischief:
        def __reduce__(self):
            return (open, (str(tmp_path / "written"), "w"))

    labels = np.array([Mischief(), *["a", "b"] * 6][:12], object)
    np.savez(tmp_path / "data.npz", x_train=PIXELS, y_train=labels, x_test=PIXELS)
    with pytest.raises(ValueError, match="it needs pickle"):
        loading.load_dataset(tmp_path / "data.npz")
    assert not (tmp_path / "written").exists()


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_objects_of_every_version_of_numpy(protocol):
    # The same name as the same object, and as others that are equal.
    names = ["a" * 300, "b", "\u732b", "".join(["b"])] * 600
    for shape in ((2400,), (2400, 1)):
        array = np.array(names, object).reshape(shape)
        content = pickle.dumps(array, protocol)
        found = object_arrays.read_texts(content, shape)
        assert found.tolist() == array.tolist()
    for damaged in (content[:-900], b"", b"x"):
        with pytest.raises(ValueError, match="it needs pickle"):
            object_arrays.read_texts(damaged, shape)


def test_images_whose_last_axis_counts_them(tmp_path):
    images = np.moveaxis(PIXELS, 0, -1)
    with pytest.raises(ValueError, match=r"Use np\.moveaxis\(x, -1, 0\) for x"):
        load(tmp_path, images, LABELS)
    found = load(tmp_path, np.moveaxis(images, -1, 0))
    np.testing.assert_array_equal(found.train.arrays()[0], PIXELS)


def test_images_that_are_objects_are_refused(tmp_path):
    images = np.empty(12, object)
    images[:] = list(PIXELS)
    with pytest.raises(ValueError, match=r"x_train holds objects: use np\.stack"):
        load(tmp_path, images)
    assert load(tmp_path, np.stack(images)).num_classes == 3


def test_labels_from_one_and_with_gaps(tmp_path):
    found = load(tmp_path, PIXELS, LABELS + 1)
    assert found.class_names == ("1", "2", "3")
    assert found.train.labels.tolist() == LABELS.tolist()
    assert found.notes == ("Classes without any example are left out: '0'.",)
    found = load(tmp_path, PIXELS, np.array([3, 8, 90])[LABELS])
    assert found.class_names == ("3", "8", "90")
    assert found.train.labels.tolist() == LABELS.tolist()
    assert "'0', '1', '2', '4', '5', and 83 more" in found.notes[0]


def test_class_names_are_counted_from_zero_or_one(tmp_path):
    found = load(tmp_path, PIXELS, LABELS + 1, class_names=NAMES)
    assert found.class_names == tuple(NAMES)
    assert found.train.labels.tolist() == LABELS.tolist()
    assert found.notes == ("Labels 1 to 3 count the 3 class names from 1.",)
    # From 0, with a class that nobody is of.
    found = load(tmp_path, PIXELS, LABELS + 1, class_names=["none", *NAMES])
    assert found.class_names == tuple(NAMES)
    assert found.notes == ("Classes without any example are left out: 'none'.",)


@pytest.mark.parametrize(
    ("labels", "advice"),
    [
        (np.eye(3)[LABELS], "y_train.argmax(axis=1)"),
        (LABELS[None], "y_train.reshape(-1)"),
        (LABELS / 1.0, "y_train.astype('int64')"),
        (LABELS - 1, "y_train.astype(str)"),
        (10**6 * LABELS, "y_train.astype(str)"),
    ],
)
def test_advice_for_labels_works(tmp_path, labels, advice):
    with pytest.raises(ValueError, match=re.escape(f"Use {advice}")):
        load(tmp_path, PIXELS, labels)
    better = eval(advice, {"y_train": labels})
    found = load(tmp_path, PIXELS, better)
    same = found.train.labels[:, None] == found.train.labels
    np.testing.assert_array_equal(same, LABELS[:, None] == LABELS)


def test_labels_that_are_no_classes_are_given_no_wrong_advice(tmp_path):
    for labels in (LABELS + 0.5, np.where(LABELS == 1, np.nan, 1)):
        with pytest.raises(ValueError, match="Use a number or name of a class"):
            load(tmp_path, PIXELS, labels)
    with pytest.raises(ValueError, match="Use integer labels or names, one per"):
        load(tmp_path, PIXELS, np.ones((12, 3)))


@pytest.mark.parametrize("name", [PIXELS, {"x": PIXELS}, None, 3, ["digits"]])
def test_what_is_no_name_is_refused(name):
    for read in (
        loading.load_dataset,
        lambda name: loading.load_dataset_once(name, None, None),
    ):
        with pytest.raises(
            ValueError, match=r"name or path .*Use np\.savez\('my_data\."
        ):
            read(name)
