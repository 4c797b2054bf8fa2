import keras
import numpy as np

from keras_confusion.models import watched_layers


def test_layers_tell_of_their_calls_in_order_and_are_left_as_they_were():
    inner = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2, name="in")])
    model = keras.Sequential([keras.Input((3,)), inner, keras.layers.Dense(4)])
    model.layers[-1].call = model.layers[-1].call
    own = vars(model.layers[-1])["call"]
    layers = list(watched_layers.leaf_layers(model))
    assert len(layers) == 2
    assert inner in watched_layers.all_layers(model)
    images = np.ones((5, 3), np.float32)
    seen = []
    with watched_layers.watched(
        layers, lambda *call: seen.append([call[0].name, *map(np.shape, call[1:])])
    ):
        model(images)
    model(images)
    assert seen == [["in", (5, 3), (5, 2)], [layers[1].name, (5, 2), (5, 4)]]
    assert "call" not in vars(layers[0])
    assert vars(layers[1])["call"] is own
