"""A loop of Keras' `fit`, a new model and optimiser for every network.

    python -m benchmarks.speed.keras_fit --data data.npz --batch-size 128

trains one network that is not counted, then one that is, and prints what they took as
JSON on its last line. With no more options it is what the Keras guides show; the
options are what a user can turn on without leaving `fit`. The first epoch of a network
traces its training step, so that the images per second are those of the second.
"""

import argparse
import json
import os
import time

# As a user would: before TensorFlow is imported.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ["KERAS_BACKEND"] = "tensorflow"

import keras
import numpy as np
import tensorflow as tf

from keras_confusion.models import architectures

WARM_UP_STEPS = 5
LEARNING_RATE = 2e-3


class EpochTimes(keras.callbacks.Callback):
    """Seconds of every epoch."""

    def __init__(self):
        super().__init__()
        self.seconds: list[float] = []

    def on_epoch_begin(self, epoch, logs=None):
        """Starts the clock."""
        self._start = time.perf_counter()

    def on_epoch_end(self, epoch, logs=None):
        """Keeps the epoch's seconds."""
        self.seconds.append(time.perf_counter() - self._start)


def train(images, labels, test_images, options, *, seed: int, epochs: int):
    """Trains one network and has it answer the test set.

    Returns:
        Seconds of every epoch, of everything, and the logits.
    """
    start = time.perf_counter()
    model = architectures.build_model(
        "cnn",
        num_classes=int(labels.max()) + 1,
        input_shape=images.shape[1:],
        seed=seed,
        dtype_policy=options.dtype,
    )
    steps = epochs * -(-len(images) // options.batch_size)
    schedule = keras.optimizers.schedules.CosineDecay(LEARNING_RATE, steps)
    model.compile(
        keras.optimizers.Adam(schedule),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        steps_per_execution=options.steps_per_execution,
        jit_compile=False if options.no_xla else "auto",
    )
    times = EpochTimes()
    model.fit(
        images,
        labels,
        batch_size=options.batch_size,
        epochs=epochs,
        callbacks=[times],
        verbose=0,
    )
    logits = model.predict(test_images, batch_size=500, verbose=0)
    return times.seconds, time.perf_counter() - start, logits


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", required=True, help="as .npz")
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--steps-per-execution", type=int, default=1)
    parser.add_argument("--no-xla", action="store_true")
    parser.add_argument("--threads", type=int, help="default: TensorFlow's choice")
    options = parser.parse_args()
    if options.threads is not None:
        tf.config.threading.set_intra_op_parallelism_threads(options.threads)
        tf.config.threading.set_inter_op_parallelism_threads(options.threads)
    with np.load(options.data) as data:
        images = data["x_train"].astype(np.float32) / 255
        test_images = data["x_test"].astype(np.float32) / 255
        labels, test_labels = data["y_train"], data["y_test"]
    few = slice(WARM_UP_STEPS * options.batch_size)
    train(images[few], labels[few], test_images, options, seed=0, epochs=1)
    epoch_seconds, seconds, logits = train(
        images, labels, test_images, options, seed=1, epochs=2
    )
    steady = epoch_seconds[-1]
    print(
        json.dumps(
            {
                "images_per_second": len(images) / steady,
                "overhead_seconds": max(seconds - 2 * steady, 0.0),
                "accuracy": float((logits.argmax(axis=1) == test_labels).mean()),
            }
        )
    )


if __name__ == "__main__":
    main()
