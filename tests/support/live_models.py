"""Small models of many kinds, and trainings of them, to look at while they train."""

import contextlib
import random

import keras
import numpy as np

from keras_confusion.callbacks.prototype_callback import PrototypeCallback

SHAPE = (8, 8, 3)
NUM_CLASSES = 4


class Subclassed(keras.Model):
    """Draws noise whenever it is called, and has losses and statistics of its own."""

    def __init__(self):
        super().__init__()
        # Not in the order of the calls.
        self.last = keras.layers.Dense(NUM_CLASSES)
        self.convolution = keras.layers.Conv2D(4, 3, activity_regularizer="l2")
        self.normalization = keras.layers.BatchNormalization()
        self.dropout = keras.layers.Dropout(0.2, seed=1)
        self.pool = keras.layers.GlobalMaxPooling2D()
        self.seeds = keras.random.SeedGenerator(3)

    def call(self, images, training=False):
        shape = keras.ops.shape(images)
        images += 0.01 * keras.random.normal(shape, seed=self.seeds)
        # Of the seed that all of Keras shares.
        images += 0.01 * keras.random.normal(shape)
        hidden = self.normalization(self.convolution(images), training=training)
        return self.last(self.dropout(self.pool(hidden), training=training))


def sequential():
    return keras.Sequential(
        [
            keras.Input(SHAPE),
            keras.layers.Conv2D(4, 3, activation="relu"),
            keras.layers.Dropout(0.3, seed=0),
            keras.layers.Flatten(),
            # Of Keras' own seed.
            keras.layers.Dropout(0.2),
            keras.layers.Dense(NUM_CLASSES),
        ]
    )


def dense():
    return keras.Sequential(
        [
            keras.Input(SHAPE),
            keras.layers.Flatten(),
            keras.layers.Dense(16, activation="relu"),
            keras.layers.Dense(NUM_CLASSES),
        ]
    )


def residual():
    images = keras.Input(SHAPE)
    start = keras.layers.Conv2D(4, 3, padding="same")(images)
    inner = keras.layers.ReLU()(keras.layers.BatchNormalization()(start))
    inner = keras.layers.Conv2D(4, 3, padding="same")(inner)
    inner = keras.layers.BatchNormalization()(inner)
    joined = keras.layers.ReLU()(keras.layers.Add()([start, inner]))
    pooled = keras.layers.GlobalMaxPooling2D()(joined)
    return keras.Model(images, keras.layers.Dense(NUM_CLASSES)(pooled))


def mixed():
    return keras.Sequential(
        [
            keras.Input(SHAPE),
            keras.layers.Conv2D(4, 3, dtype="mixed_bfloat16", activation="relu"),
            keras.layers.Dropout(0.2, seed=0, dtype="mixed_bfloat16"),
            keras.layers.GlobalMaxPooling2D(dtype="mixed_bfloat16"),
            keras.layers.Dense(NUM_CLASSES, dtype="float32"),
        ]
    )


def rescaling():
    return keras.Sequential(
        [
            keras.Input(SHAPE),
            keras.layers.Rescaling(1 / 255),
            keras.layers.Conv2D(4, 3, activation="relu"),
            keras.layers.Flatten(),
            keras.layers.Dense(NUM_CLASSES, activation="softmax"),
        ]
    )


def examples(num_classes: int = NUM_CLASSES, *, white: float = 1):
    """Images with stripes, 12 of each class, and their labels."""
    rng = np.random.default_rng(0)
    labels = np.arange(12 * num_classes) % num_classes
    images = rng.random((len(labels), *SHAPE), np.float32)
    for image, label in zip(images, labels, strict=True):
        image[label % 8] = image[:, label // 8 % 8] = 0
    return white * images, labels


def train(
    build,
    callbacks,
    *,
    white: float = 1,
    epochs: int = 2,
    scope=contextlib.nullcontext,
    **options,
):
    """Everything that a training leaves behind, as bytes; and the model.

    Args:
        build: A function that makes the model.
        callbacks: Of `fit`.
        white: Of the images.
        epochs: Of the training.
        scope: Gives the context in which the model is made, not that of `fit`.
        **options: Of `compile`.
    """
    keras.utils.set_random_seed(7)
    loss = keras.losses.SparseCategoricalCrossentropy(
        from_logits=build is not rescaling
    )
    with scope():
        model = build()
        optimizer = keras.optimizers.Adam(0.01)
        model.compile(optimizer, loss, metrics=["accuracy"], **options)
    images, labels = examples(white=white)
    history = model.fit(
        *(images, labels),
        epochs=epochs,
        batch_size=16,
        validation_split=0.25,
        callbacks=callbacks,
        verbose=0,
    )
    state = [variable.numpy() for variable in (*model.variables, *optimizer.variables)]
    # The states of what is not seeded.
    drawn = [
        random.random(),
        np.random.random(),  # noqa: NPY002
        keras.random.uniform((3,)).numpy(),
    ]
    numbers = [np.asarray(value) for value in (*state, *drawn)]
    left = [values.tobytes() for values in numbers]
    return [*left, repr(history.history)], model


def is_changed_by_callback(build, log_dir, **options) -> PrototypeCallback:
    """Trains with and without a callback; whether bits differ, and the callback."""
    callback = PrototypeCallback(log_dir)
    plain, _ = train(build, [], **options)
    watched, _ = train(build, [callback], **options)
    return plain != watched, callback
