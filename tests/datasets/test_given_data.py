import numpy as np
import pytest
import tensorflow as tf

from keras_confusion.datasets import given_data, loading


@pytest.fixture
def splits(rng):
    """As `keras.datasets.cifar10.load_data()`: labels are of shape (n, 1)."""
    return tuple(
        (
            rng.integers(0, 256, (number, 8, 8, 3)).astype(np.uint8),
            (np.arange(number) % 4)[:, None].astype(np.uint8),
        )
        for number in (12, 8)
    )


def assert_holds(path, splits):
    found = loading.load_dataset(path)
    for split, (images, labels) in zip((found.train, found.test), splits, strict=True):
        np.testing.assert_array_equal(split.arrays()[0], images)
        np.testing.assert_array_equal(split.labels, labels.ravel())


def test_names_and_paths_are_themselves(tmp_path):
    assert given_data.path_of("cifar10", tmp_path) == "cifar10"
    assert given_data.path_of(tmp_path / "a.npz", tmp_path) == f"{tmp_path}/a.npz"
    assert not list(tmp_path.iterdir())


def test_arrays_are_kept_once(tmp_path, splits):
    folder = tmp_path / "study"
    path = given_data.path_of(splits, folder)
    assert path == f"{folder}/data.npz"
    assert_holds(path, splits)
    before = (folder / "data.npz").stat().st_mtime_ns
    assert given_data.path_of(splits, folder) == path
    assert (folder / "data.npz").stat().st_mtime_ns == before
    others = (splits[0], (255 - splits[1][0], splits[1][1]))
    with pytest.raises(ValueError, match="that the study in .* began with"):
        given_data.path_of(others, folder)
    assert_holds(path, splits)


def test_names_of_classes_come_in_a_dict(tmp_path, splits):
    (x_train, y_train), (x_test, y_test) = splits
    arrays = {"x_train": x_train, "y_train": y_train, "x_test": x_test}
    names = ["airplane", "bird", "cat", "deer"]
    path = given_data.path_of(
        arrays | {"y_test": y_test, "class_names": names}, tmp_path
    )
    assert loading.load_dataset(path).class_names == tuple(names)
    with pytest.raises(ValueError, match=r"a dict of x_train.*'x_test'\]"):
        given_data.path_of(arrays, tmp_path / "other")


@pytest.mark.parametrize("batch", [None, 5])
def test_tf_data_sets_are_read_in_their_order(tmp_path, splits, batch):
    sets = [
        tf.data.Dataset.from_tensor_slices((images, labels.ravel()))
        for images, labels in splits
    ]
    if batch:
        sets = [one.batch(batch) for one in sets]
    path = given_data.path_of(tuple(sets), tmp_path)
    assert_holds(path, splits)


def test_what_is_no_data_is_refused(tmp_path, splits):
    train = tf.data.Dataset.from_tensor_slices((splits[0][0], splits[0][1].ravel()))
    for dataset, words in (
        (np.zeros(3), "Received: ndarray"),
        ((splits[0][0], splits[1][0]), "ndarray for the train"),
        ((train.repeat(), train), "endless one. Leave out .repeat"),
        ((train.map(lambda image, label: image), train), r"\(image, label\) for the"),
        ((train.take(0), train), "an empty tf.data set"),
    ):
        with pytest.raises(ValueError, match=words):
            given_data.path_of(dataset, tmp_path)
    assert not list(tmp_path.iterdir())


def test_more_than_memory_is_refused(tmp_path, splits, monkeypatch):
    train = tf.data.Dataset.from_generator(
        lambda: iter([(splits[0][0][0], 0)] * 50),
        output_signature=(
            tf.TensorSpec((8, 8, 3), tf.uint8),
            tf.TensorSpec((), tf.int32),
        ),
    )
    memory = given_data.psutil.virtual_memory()._replace(available=2000)
    monkeypatch.setattr(given_data.psutil, "virtual_memory", lambda: memory)
    with pytest.raises(ValueError, match="fit in memory.*streaming=True"):
        given_data.path_of((train, train), tmp_path)
