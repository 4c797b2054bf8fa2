import copy

import keras
import numpy as np
import pytest

from keras_confusion.datasets import loading as dataset_loading
from keras_confusion.training import identity


def perceptron(
    *,
    input_shape,
    num_classes,
    seed,
    units=3,
    activation="relu",
    initializer="glorot_uniform",
    dropout=0.0,
):
    initializers = keras.initializers
    initializer = initializers.get(
        {"class_name": initializer, "config": {"seed": seed}}
    )
    return keras.Sequential(
        [
            keras.Input(input_shape),
            keras.layers.Flatten(),
            keras.layers.Dense(
                units, kernel_initializer=initializer, activation=activation
            ),
            *([keras.layers.Dropout(dropout)] if dropout else []),
            keras.layers.Dense(num_classes, kernel_initializer=initializer),
        ]
    )


class Squared(keras.layers.Layer):
    """As a layer that is edited in `call`: same weights, other answers."""

    def __init__(self, power):
        super().__init__(name="one_name")
        self._power = power

    def call(self, values):
        return values**self._power


def with_power(power):
    def build(*, input_shape, num_classes, seed):
        initializer = keras.initializers.GlorotUniform(seed=seed)
        return keras.Sequential(
            [
                keras.Input(input_shape),
                keras.layers.Flatten(),
                Squared(power),
                keras.layers.Dense(num_classes, kernel_initializer=initializer),
            ]
        )

    return build


@pytest.fixture(scope="module")
def images():
    labels = np.arange(60) % 3
    noise = np.random.default_rng(0).integers(0, 80, (60, 10, 9, 3))
    return (60 * labels[:, None, None, None] + noise).astype(np.uint8), labels


def load(folder, images, labels):
    np.savez(
        folder / "data.npz",
        x_train=images,
        y_train=labels,
        x_test=images[:30],
        y_test=labels[:30],
    )
    return dataset_loading.load_dataset(str(folder / "data.npz"))


@pytest.fixture(scope="module")
def dataset(tmp_path_factory, images):
    return load(tmp_path_factory.mktemp("data"), *images)


def both(model, dataset, **options):
    return {
        "network": identity.network_identity(model, dataset, options),
        "data": identity.data_identity(dataset),
    }


def test_same_again_is_the_same_whatever_layers_are_called(dataset):
    stored, here = both(perceptron, dataset), both(perceptron, dataset)
    assert identity.differences(stored, here) == []
    # As another machine rounds.
    shaken = copy.deepcopy(here)
    shaken["network"]["outputs"][0][0] += 3e-4
    shaken["data"]["train"]["mean"][0][0][0] += 3e-4
    assert identity.differences(stored, shaken) == []


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"units": 4}, "the model's weights have other shapes"),
        ({"dropout": 0.1}, "the model has other layers"),
        ({"activation": "tanh"}, "computes something else from the same weights"),
        ({"initializer": "he_uniform"}, "initial weights have other values"),
    ],
)
def test_edited_model_is_another(dataset, options, words):
    stored, here = both(perceptron, dataset), both(perceptron, dataset, **options)
    (difference,) = identity.differences(stored, here)
    assert words in difference


def test_edit_within_a_layer_is_seen(dataset):
    (difference,) = identity.differences(
        both(with_power(2), dataset), both(with_power(3), dataset)
    )
    assert "computes something else from the same weights" in difference


@pytest.mark.parametrize(
    "edit",
    [
        lambda images: 255 - images,
        lambda images: images[..., ::-1] // 2 + images[..., :1] // 2,
        lambda images: np.where(images > 40, images - 3, images),
        lambda images: images[:, ::-1],
    ],
    ids=["inverted", "channels", "darker", "upside down"],
)
def test_other_pixels_are_seen(dataset, images, tmp_path, edit):
    pixels, labels = images
    edited = load(tmp_path, edit(pixels).astype(np.uint8), labels)
    assert edited.fingerprint == dataset.fingerprint
    assert identity.differences(
        both(perceptron, dataset), both(perceptron, edited)
    ) == ["the data set has other pixels"]


def test_images_in_files_are_sampled_without_reading_all(tmp_path):
    rng = np.random.default_rng(0)
    for part in ("train", "test"):
        for name in ("a", "b", "c"):
            (tmp_path / part / name).mkdir(parents=True)
            for number in range(4):
                image = rng.integers(0, 256, (8, 8, 3), np.uint8)
                keras.utils.save_img(tmp_path / part / name / f"{number}.png", image)
    found = dataset_loading.load_dataset(str(tmp_path))
    images = found.train.arrays()[0]
    fresh = dataset_loading.load_dataset(str(tmp_path)).train
    sample = fresh.sample(5)
    assert sample.shape == (5, *fresh.input_shape)
    places = [int(np.flatnonzero((images == one).all((1, 2, 3)))[0]) for one in sample]
    assert len(set(places)) == 5
    # Of several classes, always the same ones.
    assert len(set(fresh.labels[places])) > 1
    np.testing.assert_array_equal(fresh.sample(5), sample)
    assert "_stored_images" not in vars(fresh)


def test_texts_are_known_by_their_tokens(tmp_path):
    tokens = np.arange(60, dtype=np.int32).reshape(12, 5) % 7
    dataset = load(tmp_path, tokens, np.arange(12) % 3)
    assert identity.data_identity(dataset) == {}
    network = identity.network_identity("text", dataset, {})
    again = identity.network_identity("text", dataset, {})
    assert network == again
    assert np.shape(network["outputs"]) == (4, 3)
