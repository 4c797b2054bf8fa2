import pickle

import keras
import numpy as np
import pytest

from keras_confusion.models import architectures, fresh_copy
from keras_confusion.training.settings import TrainingSettings

SHAPE = {"input_shape": (8, 8, 1), "num_classes": 4}


def sequential():
    """With seeds that Keras would copy."""
    return keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            keras.layers.Conv2D(
                3, 3, kernel_initializer=keras.initializers.HeNormal(seed=7)
            ),
            keras.layers.BatchNormalization(),
            keras.layers.Flatten(),
            keras.layers.Dropout(0.5, seed=3),
            keras.layers.Dense(4),
        ],
        name="mine",
    )


def functional():
    inputs = keras.Input((8, 8, 1))
    inner = keras.Sequential([keras.layers.Dense(4), keras.layers.Dense(4)])
    features = keras.layers.Flatten()(keras.layers.Rescaling(2.0)(inputs))
    first = keras.layers.Dense(4)(features)
    return keras.Model(inputs, keras.layers.Add()([first, inner(features)]))


def kernels(model):
    return [w.numpy() for w in model.trainable_weights if w.path.endswith("kernel")]


@pytest.mark.parametrize("make", [sequential, functional])
def test_copies_have_weights_of_their_seed_and_not_the_models(make):
    model = make()
    copy = pickle.loads(pickle.dumps(fresh_copy.FreshCopy.of_model(model)))
    one, same, other = (
        architectures.build_model(copy, seed=seed, **SHAPE) for seed in (1, 1, 2)
    )
    # Dropout's state, too.
    for a, b in zip(one.variables, same.variables, strict=True):
        np.testing.assert_array_equal(a.numpy(), b.numpy())
    for a, b, c in zip(kernels(one), kernels(other), kernels(model), strict=True):
        assert a.std() > 0
        assert (a != b).mean() > 0.9
        assert (a != c).mean() > 0.9
    # Layers of a network do not share a seed.
    assert abs(np.corrcoef(*(k.ravel()[:8] for k in kernels(one)[:2]))[0, 1]) < 0.99
    # It computes the same from the same weights.
    one.set_weights(model.get_weights())
    images = np.random.default_rng(0).random((5, 8, 8, 1), np.float32)
    np.testing.assert_allclose(one(images), model(images), rtol=1e-5)


def test_settings_take_a_model_and_say_what_becomes_of_its_weights(caplog, digits):
    settings = TrainingSettings(model=sequential())
    assert architectures.model_name(settings.model) == "keras.Model:mine"
    with pytest.raises(ValueError, match="keras.Model:mine"):
        # The digits are larger.
        settings.settled(digits)
    assert "mine is copied without its weights" in caplog.text


def test_a_subclassed_model_is_refused():
    class Mine(keras.Model):
        def call(self, images):
            return images

    with pytest.raises(ValueError, match="layers Keras cannot copy. Use `def build"):
        TrainingSettings(model=Mine())
