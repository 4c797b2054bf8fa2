"""What `PrototypeCallback` adds to an epoch of a small ResNet.

    python -m benchmarks.speed.callback_cost
    python -m benchmarks.speed.callback_cost --width 4 --rounds 2

trains two networks that are the same, one with the callback, and lets them take turns,
epoch after epoch. The first epochs, which compile, are told by themselves. Seconds of
processors mean something on a busy machine, too. At the end both must have the same
weights, bit for bit.
"""

import argparse
import pathlib
import sys
import tempfile
import time

import numpy as np

from benchmarks import timing
from keras_confusion.execution import runtime

PLAIN, WATCHED = "fit", "fit with PrototypeCallback"


def measure(*, width: int = 16, rounds: int = 5) -> dict[str, np.ndarray]:
    """Seconds of an epoch, `(2, 1 + rounds)` by contender: of the clock, of processors.

    The first epoch compiles.

    Raises:
        RuntimeError: If the callback failed or changed the training.
    """
    runtime.start_tensorflow()
    import keras

    from keras_confusion.callbacks.prototype_callback import PrototypeCallback
    from keras_confusion.datasets import loading
    from keras_confusion.models import architectures

    dataset = loading.load_dataset("digits")
    images, labels = (np.asarray(array) for array in dataset.train.arrays())
    images = images.astype(np.float32) / 255
    seconds: dict[str, list[tuple[float, float]]] = {PLAIN: [], WATCHED: []}
    networks = {}
    with tempfile.TemporaryDirectory() as directory:
        callback = PrototypeCallback(pathlib.Path(directory), dataset.class_names)

        def contender(name: str) -> timing.Contender:
            network = networks[name] = architectures.build_model(
                "resnet18",
                input_shape=dataset.input_shape,
                num_classes=dataset.num_classes,
                seed=0,
                width=width,
            )
            loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
            network.compile("adam", loss, metrics=["accuracy"])

            def epoch() -> None:
                network.fit(
                    images,
                    labels,
                    initial_epoch=len(seconds[name]),
                    epochs=1 + len(seconds[name]),
                    shuffle=False,
                    callbacks=[callback] if name == WATCHED else [],
                    verbose=0,
                )

            def run() -> dict[str, float]:
                begun = time.process_time()
                measured = timing.seconds_of(epoch)()
                used = time.process_time() - begun
                seconds[name].append((measured["seconds"], used))
                return measured

            return run

        timing.alternate({name: contender(name) for name in seconds}, rounds)
    weights = [networks[name].get_weights() for name in seconds]
    is_same = all(map(np.array_equal, *weights))
    if callback.error is not None or not is_same:
        raise RuntimeError(
            "Expected two trainings that are the same. Received: "
            f"{callback.error or 'other weights'}."
        )
    return {name: np.array(values).T for name, values in seconds.items()}


def main(given=None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--width", type=int, default=16, help="of the ResNet18")
    parser.add_argument("--rounds", type=int, default=5, help="epochs of each")
    options = parser.parse_args(given)
    found = measure(width=options.width, rounds=options.rounds)
    for key, value in timing.header().items():
        print(f"- {key}: {value}")
    added = found[WATCHED] - found[PLAIN]
    print(f"\nResNet18 of width {options.width}, digits, n = {options.rounds} epochs\n")
    print("| | seconds | first epoch | later epochs: median (min to max) |")
    print("|---|---|---|---|")
    for name, both in [*found.items(), ("difference", added)]:
        for kind, values in zip(("clock", "processors"), both, strict=True):
            first, later = values[0], values[1:]
            print(
                f"| {name} | {kind} | {first:.1f} | {np.median(later):.2f} "
                f"({later.min():.2f} to {later.max():.2f}) |"
            )
    print("\nBoth networks have the same weights.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
