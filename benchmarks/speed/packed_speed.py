"""Networks packed into one program, against one after the other; for a GPU.

    python -m benchmarks.speed.packed_speed

trains the poster's CNN on random images of CIFAR-10's size: as many arms of one repeat
as fit, one network alone by the same loop, and one by Keras' `fit`; then ResNet18.
Compilation is not counted, and given. Where no GPU is it runs on the CPU, which shows
that it works and nothing else: packing is for GPUs.

The forms of every convolution of the packed CNN are timed too, forward and backward.
"""

import argparse
import functools
import time

import numpy as np

from benchmarks import tables, timing

TITLE = "Networks packed into one program"
REFERENCE = "Keras fit"
WITHOUT_RATIO = ("compilation",)
BATCH_SIZE, NUM_NETWORKS = 128, 46
NUM_TRAIN, NUM_TEST = 50_000, 10_000
ROUNDS = 3
# The poster's study.
STUDY_NETWORKS, STUDY_EPOCHS = 2250, 10


def measure(quick: bool = False) -> list[dict]:
    """Images per second, summed over networks, and minutes of the poster's study.

    Args:
        quick: Takes three networks and a few steps.

    Returns:
        Rows as `timing.row`.
    """
    from keras_confusion.execution import runtime

    runtime.start_tensorflow()
    dtype_policy = runtime.default_dtype_policy()
    num_networks = 3 if quick else NUM_NETWORKS
    num_train = 2 * BATCH_SIZE if quick else NUM_TRAIN
    dataset = random_dataset(num_train, BATCH_SIZE if quick else NUM_TEST)
    where = f"{'GPU' if runtime.num_gpus() else 'CPU'}, {dtype_policy}"
    compile_seconds: dict[str, float] = {}
    contenders = {}
    numbers = {"CNN": num_networks, "ResNet18": 2 if quick else 8}
    for model, number in numbers.items():
        for packed in (number, 1):
            name = f"{model}, {packed} at a time"
            run, seconds = _trainer(dataset, model, packed, dtype_policy, quick)
            compile_seconds[name] = seconds
            contenders[name] = run
    contenders[REFERENCE] = _keras_fit(dataset, dtype_policy)
    measured = timing.alternate(contenders, 1 if quick else ROUNDS)
    rows = []
    for name, quantities in measured.items():
        remark = f"{num_train} images an epoch, batch {BATCH_SIZE}, {where}"
        rates = quantities["images per second"]
        rows.append(timing.row(name, "training", "images/s", rates, remark))
        if not name.startswith("ResNet18"):
            images = STUDY_NETWORKS * STUDY_EPOCHS * NUM_TRAIN
            minutes = [images / rate / 60 for rate in rates]
            remark = "2,250 networks of 10 epochs, by the rate above"
            rows.append(timing.row(name, "poster's study", "min", minutes, remark))
    rows += [
        timing.row(name, "compilation", "s", [seconds], "and the choice of forms")
        for name, seconds in compile_seconds.items()
    ]
    return rows + _forms(num_networks, dtype_policy, quick)


def random_dataset(num_train: int, num_test: int):
    """Random images of CIFAR-10's size: speed does not depend on what is in them."""
    from keras_confusion.datasets import labelled_dataset

    rng = np.random.default_rng(0)
    splits = (
        labelled_dataset.Split(
            labels=np.arange(number, dtype=np.int32) % 10,
            images=rng.integers(0, 256, (number, 32, 32, 3), np.uint8),
        )
        for number in (num_train, num_test)
    )
    return labelled_dataset.LabelledDataset("random", tuple("0123456789"), *splits)


def _trainer(dataset, model: str, number: int, dtype_policy: str, quick: bool):
    """A contender, and how long it took to compile."""
    from keras_confusion.models import architectures
    from keras_confusion.training import recipes
    from keras_confusion.training import trainer as training_trainer

    width = 4 if quick else 64

    def resnet18(*, input_shape, num_classes, seed):
        return architectures.resnet18(
            input_shape=input_shape, num_classes=num_classes, seed=seed, width=width
        )

    num_train = dataset.train.num_examples
    start = time.perf_counter()
    trainer = training_trainer.Trainer(
        dataset,
        "cnn" if model == "CNN" else resnet18,
        recipe=recipes.find_recipe(
            "annealed", num_train=num_train, batch_size=BATCH_SIZE
        ),
        epochs=1,
        dtype_policy=dtype_policy,
        num_networks=number,
    )
    rng = np.random.default_rng(1)
    tasks = [
        training_trainer.TrainingTask(0, 0, rng.integers(0, 10, num_train, np.int32))
        for _ in range(number)
    ]

    def run() -> dict[str, float]:
        start = time.perf_counter()
        trainer.train(tasks)
        return {"images per second": number * num_train / (time.perf_counter() - start)}

    run()
    return run, time.perf_counter() - start


def _keras_fit(dataset, dtype_policy: str):
    """One network by `fit`, images as floats in memory."""
    import keras

    from keras_confusion.models import architectures

    model = architectures.build_model(
        "cnn",
        num_classes=10,
        input_shape=dataset.input_shape,
        seed=0,
        dtype_policy=dtype_policy,
    )
    model.compile(
        keras.optimizers.Adam(), keras.losses.SparseCategoricalCrossentropy(True)
    )
    images, labels = dataset.train.arrays()
    images = images.astype(np.float32) / 255

    def run() -> dict[str, float]:
        start = time.perf_counter()
        model.fit(images, labels, batch_size=BATCH_SIZE, verbose=0)
        return {"images per second": len(images) / (time.perf_counter() - start)}

    return run


def _forms(num_networks: int, dtype_policy: str, quick: bool) -> list[dict]:
    """Every form of the CNN's inner convolutions, forward and backward."""
    from keras_confusion.execution import runtime
    from keras_confusion.training.packing import packed_convolutions

    batch_size = 8 if quick else BATCH_SIZE
    time_forms = functools.partial(
        packed_convolutions.time_forms,
        strides=(1, 1),
        padding="VALID",
        dtype=dtype_policy.removeprefix("mixed_"),
        compiled=runtime.num_gpus() > 0,
    )
    rows = []
    for name, side, num_in, num_out in (("second", 15, 32, 64), ("third", 6, 64, 64)):
        seconds = time_forms(
            (batch_size, side, side, num_networks * num_in),
            (num_networks, 3, 3, num_in, num_out),
        )
        rows += [
            timing.row(
                form,
                f"{name} convolution",
                "ms",
                [1000 * value],
                f"forward and backward, {num_networks} networks, batch {batch_size}",
            )
            for form, value in seconds.items()
        ]
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    rows = measure(options.quick)
    print(tables.table(rows, reference=REFERENCE, without_ratio=WITHOUT_RATIO))


if __name__ == "__main__":
    main()
