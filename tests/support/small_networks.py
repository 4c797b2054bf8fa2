"""Models that are traced and trained in a moment, for studies of small images."""

import keras


def linear(*, input_shape, num_classes, seed):
    """Reads means of pixels: few features, so that heads are fitted fast."""
    initializer = keras.initializers.GlorotUniform(seed)
    return keras.Sequential(
        [
            keras.Input(input_shape),
            keras.layers.AveragePooling2D(4),
            keras.layers.Flatten(),
            keras.layers.Dense(num_classes, kernel_initializer=initializer),
        ]
    )


def small(*, input_shape, num_classes, seed):
    """Its features are few, and those of every network its own."""
    *layers, last = linear(
        input_shape=input_shape, num_classes=num_classes, seed=seed
    ).layers
    hidden = keras.layers.Dense(
        32, "relu", kernel_initializer=keras.initializers.GlorotUniform(seed + 1)
    )
    last = keras.layers.Dense(num_classes, kernel_initializer=last.kernel_initializer)
    return keras.Sequential([keras.Input(input_shape), *layers, hidden, last])
