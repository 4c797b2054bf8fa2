"""What single choices of the training loop bring on one core.

    python -m benchmarks.speed.training_steps

trains the poster's CNN on random images of CIFAR-10's size, in one thread, as a worker
of a study does, and with one thing changed at a time: what was taken, and what was
tried and left.
"""

import argparse
import dataclasses
import time

import numpy as np

from benchmarks import tables, timing
from benchmarks.speed import packed_speed

TITLE = "One core: what single choices bring"
REFERENCE = "the loop as it is"
BATCH_SIZE, STEPS = 128, 30
PACKS = (2, 4, 8)
OTHER_BATCH_SIZES = (32, 512)


def measure(quick: bool = False, *, rounds: int = 5) -> list[dict]:
    """Images per second, summed over networks.

    Args:
        quick: Takes one round of a few steps.
        rounds: Times each is measured.

    Returns:
        Rows as `timing.row`.
    """
    from keras_confusion.execution import runtime

    runtime.start_tensorflow(threads=1)
    import keras

    from benchmarks.validity import weight_averages
    from keras_confusion.training import recipes

    steps = 3 if quick else STEPS
    annealed = recipes.find_recipe("annealed", num_train=packed_speed.NUM_TRAIN)

    @dataclasses.dataclass(frozen=True)
    class KerasAdam(recipes.Recipe):
        def build_optimizer(self, num_steps):
            schedule = keras.optimizers.schedules.CosineDecay(
                self.learning_rate, num_steps
            )
            return keras.optimizers.Adam(schedule)

    keras_adam = KerasAdam(**dataclasses.asdict(annealed))
    contenders = {
        REFERENCE: _contender(annealed, steps),
        "Keras' Adam": _contender(keras_adam, steps),
        "averaged weights": _contender(weight_averages.averaged(annealed, 0.1), steps),
        "float32": _contender(annealed, steps, dtype_policy="float32"),
        "rectified after pooling": _contender(annealed, steps, model=rectified_later),
    }
    for batch_size in OTHER_BATCH_SIZES:
        recipe = dataclasses.replace(annealed, batch_size=batch_size)
        contenders[f"batches of {batch_size}"] = _contender(
            recipe, steps * BATCH_SIZE // batch_size or 1
        )
    for number in PACKS:
        contenders[f"packs of {number}"] = _contender(
            annealed, steps, num_networks=number
        )
    measured = timing.alternate(contenders, 1 if quick else rounds)
    remark = f"{steps * BATCH_SIZE} images a round, one thread, random images"
    return [
        timing.row(
            name, "training", "images/s", quantities["images per second"], remark
        )
        for name, quantities in measured.items()
    ]


def rectified_later(*, input_shape, num_classes, seed):
    """The CNN with its first two rectifiers after the pooling: the same function."""
    import keras

    from keras_confusion.models import architectures

    layers = keras.layers
    model = architectures.cnn(
        input_shape=input_shape, num_classes=num_classes, seed=seed
    )
    pooled = [
        before
        for before, after in zip(model.layers, model.layers[1:], strict=False)
        if isinstance(after, layers.MaxPooling2D)
    ]
    changed = [keras.Input(tuple(input_shape))]
    for layer in model.layers:
        config = layer.get_config()
        if layer in pooled:
            config["activation"] = None
        changed.append(type(layer).from_config(config))
        if isinstance(layer, layers.MaxPooling2D):
            changed.append(layers.ReLU())
    return keras.Sequential(changed)


def _contender(
    recipe, steps: int, *, model="cnn", num_networks=1, dtype_policy=None
) -> timing.Contender:
    from keras_confusion.execution import runtime
    from keras_confusion.training import trainer as training_trainer

    num_train = steps * recipe.batch_size
    trainer = training_trainer.Trainer(
        packed_speed.random_dataset(num_train, 10),
        model,
        recipe=recipe,
        epochs=1,
        dtype_policy=dtype_policy or runtime.default_dtype_policy(),
        num_networks=num_networks,
    )
    labels = np.random.default_rng(0).integers(0, 10, (num_networks, num_train))
    tasks = [
        training_trainer.TrainingTask(0, 0, network_labels) for network_labels in labels
    ]

    def run() -> dict[str, float]:
        start = time.perf_counter()
        trainer.train(tasks)
        seconds = time.perf_counter() - start
        return {"images per second": num_networks * num_train / seconds}

    return run


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    rows = measure(options.quick, rounds=options.rounds)
    print(tables.table(rows, reference=REFERENCE))


if __name__ == "__main__":
    main()
