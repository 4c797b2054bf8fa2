"""Networks per hour: the confusion study against Keras' `fit` and PyTorch.

    python -m benchmarks.speed.training_speed --dataset cifar10

Every contender is a command of its own, run in turn, with the same network, images,
batch size and epochs, and answers the test set after every network. Only a part of the
training images is used; what is counted starts when everything is compiled:

- images per second, all cores together, of the training alone;
- what a network costs beside its training steps (building, tracing, corrupting labels,
  answering the test set, writing), from which follow
- networks per hour of the whole data set, 50,000 images and 10 epochs;
- the share of the machine's measured peak of matrix products that the training is;
- the whole command's time, start-up included: of a different number of networks for
  every contender, so that it is given and not compared.

PyTorch is compared where it is installed.
"""

import argparse
import dataclasses
import functools
import json
import pathlib
import tempfile
import time

import numpy as np

from benchmarks import tables, timing
from benchmarks.speed import peak

TITLE = "Training: networks per hour"
REFERENCE = "Keras fit"
WITHOUT_RATIO = ("share of peak", "whole command", "test accuracy")
BATCH_SIZE = 128
NUM_TRAIN, NUM_TEST, EPOCHS = 50_000, 10_000, 10
# The baseline and all pairs of ten classes.
NUM_ARMS = 46
STEPS, QUICK_STEPS = 100, 10
# Networks that each worker of the study trains; the first of each is not counted.
NETWORKS_A_WORKER = 3


@dataclasses.dataclass(frozen=True)
class Trained:
    """What one command measured.

    Args:
        images_per_second: Of training steps, all processes together.
        networks_per_second: That of whole networks would be, if training took no time.
        accuracy: On the test set, after this short training.
        dtype: "float32" or "bfloat16", in which it multiplied.
    """

    images_per_second: float
    networks_per_second: float
    accuracy: float
    dtype: str

    def networks_per_hour(self) -> float:
        """Of the whole data set and all epochs."""
        seconds = NUM_TRAIN * EPOCHS / self.images_per_second
        return 3600 / (seconds + 1 / self.networks_per_second)


def measure(
    quick: bool = False, *, rounds: int = 3, dataset: str = "cifar10"
) -> list[dict]:
    """All contenders, in turn.

    Args:
        quick: Takes one round of a few steps.
        rounds: Times each is measured; the peak only once, before all others.
        dataset: A name of `loading.load_dataset`; random images of
            CIFAR-10's size where it is not on this machine.

    Returns:
        Rows as `timing.row`.
    """
    steps = QUICK_STEPS if quick else STEPS
    rounds = 1 if quick else rounds
    peaks = peak.measure(quick, rounds=1)
    with tempfile.TemporaryDirectory() as temporary:
        data = pathlib.Path(temporary) / "images.npz"
        source = write_images(data, dataset, steps * BATCH_SIZE)
        measured = timing.alternate(
            {
                name: functools.partial(_measured, run, peaks)
                for name, run in _contenders(data).items()
            },
            rounds,
            warm_up=0,
        )
    remark = f"{steps} steps of {BATCH_SIZE} images an epoch; {source}"
    whole = (
        f"the study: {NETWORKS_A_WORKER} networks a worker, one epoch each; the "
        "others: one of a few steps and one of one epoch (PyTorch) or two (Keras)"
    )
    units = {
        "networks per hour": "",
        "training": "images/s",
        "beside training": "s a network",
        "share of peak": "%",
        "whole command": "s",
        "test accuracy": "%",
    }
    remarks = {
        "whole command": whole,
        "test accuracy": f"a check that all learn, after so little; {whole}",
    }
    rows = [
        timing.row(
            name,
            quantity,
            units[quantity],
            values,
            remarks.get(quantity, remark),
        )
        for quantity in units
        for name, quantities in measured.items()
        if (values := quantities[quantity])
    ]
    return rows + [{**row, "quantity": "peak of matrix products"} for row in peaks]


def write_images(path: pathlib.Path, dataset: str, num_train: int) -> str:
    """Writes the first images of a data set as `.npz`, and says which they are."""
    from keras_confusion.execution import runtime

    runtime.start_tensorflow()
    from keras_confusion.datasets import loading as dataset_loading
    from keras_confusion.datasets import tfds_reader

    try:
        found = dataset_loading.load_dataset(dataset)
    except tfds_reader.DatasetUnavailableError:
        write_random_images(path, num_train)
        return f"random images, as {dataset} is not on this machine"
    images, labels = found.train.arrays()
    test_images, test_labels = found.test.arrays()
    chosen = np.arange(num_train) % len(images)
    np.savez(
        path,
        x_train=images[chosen],
        y_train=labels[chosen],
        x_test=test_images,
        y_test=test_labels,
    )
    return f"images of {dataset}"


def write_random_images(path: pathlib.Path, num_train: int) -> None:
    """Writes random images of CIFAR-10's size as `.npz`."""
    rng = np.random.default_rng(0)
    arrays = {}
    for part, number in (("train", num_train), ("test", NUM_TEST)):
        arrays[f"x_{part}"] = rng.integers(0, 256, (number, 32, 32, 3), np.uint8)
        arrays[f"y_{part}"] = np.arange(number) % 10
    np.savez(path, **arrays)


def step_flops(model) -> int:
    """Multiplications and additions of one training step, for one image.

    Of convolutions and dense layers: forward, for the gradient of the weights, and for
    that of the layer's input, which the first layer does without.

    Args:
        model: A built `keras.Sequential`.
    """
    import keras

    total, is_first = 0, True
    for layer in model.layers:
        if not isinstance(layer, keras.layers.Conv2D | keras.layers.Dense):
            continue
        positions = int(np.prod(layer.output.shape[1:-1]))
        forward = 2 * int(np.prod(layer.kernel.shape)) * positions
        total += forward * (2 if is_first else 3)
        is_first = False
    return total


@functools.cache
def _flops_of_cnn() -> int:
    from keras_confusion.execution import runtime

    runtime.start_tensorflow()
    from keras_confusion.models import architectures

    return step_flops(
        architectures.build_model(
            "cnn", num_classes=10, input_shape=(32, 32, 3), seed=0
        )
    )


def _measured(run, peaks: list[dict]) -> dict[str, float]:
    start = time.perf_counter()
    trained = run()
    seconds = time.perf_counter() - start
    flops = trained.images_per_second * _flops_of_cnn()
    return {
        "networks per hour": trained.networks_per_hour(),
        "training": trained.images_per_second,
        "beside training": 1 / trained.networks_per_second,
        "share of peak": 100 * flops / 1e9 / peak.best(peaks, trained.dtype),
        "whole command": seconds,
        "test accuracy": 100 * trained.accuracy,
    }


def _contenders(data: pathlib.Path) -> dict:
    from keras_confusion.execution import runtime

    runtime.start_tensorflow()
    default_dtype = runtime.default_dtype_policy().removeprefix("mixed_")
    given = ("--data", data, "--batch-size", BATCH_SIZE)
    bfloat16 = ("--dtype", "mixed_bfloat16")
    strongest = ("--steps-per-execution", 20, "--no-xla")
    alone = ("--threads", 1)
    per_core = "one process per core"
    cores, on_gpu = timing.num_cores(), runtime.num_gpus() > 0
    contenders = {
        "study": lambda: run_study(data, "auto", default_dtype),
        "study, float32": lambda: run_study(data, "float32", "float32"),
    }
    fit = functools.partial(_run_together, "keras_fit", given)
    contenders |= {
        REFERENCE: lambda: fit((), "float32", 1),
        "Keras fit, no XLA, 20 steps a call": lambda: fit(strongest, "float32", 1),
        "Keras fit, the same in bfloat16": lambda: fit(
            (*strongest, *bfloat16), "bfloat16", 1
        ),
        f"Keras fit, the same, {per_core}": lambda: fit(
            (*strongest, *bfloat16, *alone), "bfloat16", cores
        ),
    }
    if timing.is_installed("torch"):
        loop = functools.partial(_run_together, "torch_loop", given)
        contenders |= {
            "PyTorch": lambda: loop((), "float32", 1),
            "PyTorch, bfloat16": lambda: loop(("--bfloat16",), "bfloat16", 1),
            f"PyTorch, bfloat16, {per_core}": lambda: loop(
                ("--bfloat16", *alone), "bfloat16", cores
            ),
        }
    # Several processes would only wait for each other there.
    return {
        name: run
        for name, run in contenders.items()
        if not (on_gpu and name.endswith(per_core))
    }


def _run_together(module: str, given, more, dtype: str, num_processes: int) -> Trained:
    """Runs equal commands at once; their rates are added."""
    command = timing.module(module, *given, *more)
    processes = [timing.start(command) for _ in range(num_processes)]
    results = [timing.finish(process) for process in processes]
    return Trained(
        images_per_second=sum(result["images_per_second"] for result in results),
        networks_per_second=sum(1 / result["overhead_seconds"] for result in results),
        accuracy=float(np.mean([result["accuracy"] for result in results])),
        dtype=dtype,
    )


def run_study(
    data: pathlib.Path, dtype_policy: str, dtype: str, workers: int | None = None
) -> Trained:
    """Runs a study in a process of its own, with default settings but one epoch."""
    command = timing.module(
        "training_speed", "--study", data, "--dtype", dtype_policy
    ) + ([] if workers is None else ["--workers", str(workers)])
    result = timing.last_json(command)
    return Trained(dtype=dtype, **result)


def measure_study(data: str, dtype_policy: str, workers: int | None) -> dict:
    """Trains a study of one pair and counts what comes after each worker's first."""
    from keras_confusion.confusion import network_files
    from keras_confusion.confusion import store as confusion_store
    from keras_confusion.confusion import study as confusion_study
    from keras_confusion.execution import runtime
    from keras_confusion.storage.study_folder import StudyFolder

    runtime.start_tensorflow(threads=1)
    workers = workers or runtime.default_num_workers()
    on_gpu = runtime.num_gpus() > 0
    # On a GPU the arms of a repeat are trained together.
    pairs, at_once = ("all", NUM_ARMS) if on_gpu else (["0-1"], workers)
    repeats = NETWORKS_A_WORKER if on_gpu else NETWORKS_A_WORKER * workers - 1
    with tempfile.TemporaryDirectory() as temporary:
        confusion_study.run_confusion_study(
            temporary,
            dataset=data,
            pairs=pairs,
            repeats=repeats,
            baseline_repeats=NETWORKS_A_WORKER if on_gpu else 1,
            epochs=1,
            batch_size=BATCH_SIZE,
            dtype_policy=dtype_policy,
            workers=workers,
            verbose=1,
        )
        directory = pathlib.Path(temporary)
        networks = confusion_store.read_networks(directory)
        test_labels = confusion_store.read_test_labels(StudyFolder.open(directory))
    with np.load(data) as arrays:
        num_train = len(arrays["y_train"])
    baseline = networks[networks["arm"] == network_files.BASELINE].iloc[0]
    accuracy = float((baseline["predictions"] == test_labels).mean())
    rates = steady_rates(
        networks["finished_at"].dt.as_unit("ms").astype("int64").to_numpy() / 1e3,
        networks["seconds"].to_numpy(),
        workers=workers,
        at_once=at_once,
        num_images=num_train,
    )
    return {**rates, "accuracy": accuracy}


def steady_rates(
    finished_at, seconds, *, workers: int, at_once: int, num_images: int
) -> dict:
    """Rates of a study after the first networks of every worker, which compiles.

    Args:
        finished_at: Float array `(num_networks,)`, seconds.
        seconds: Float array `(num_networks,)`, of training, corruption included; the
            network's share where several are trained in one program.
        workers: Processes that trained at once.
        at_once: Networks that all of them trained at once.
        num_images: Training images of a network, all epochs together.

    Returns:
        `images_per_second` and `networks_per_second` of `Trained`.
    """
    order = np.argsort(finished_at)
    finished_at, seconds = finished_at[order], seconds[order]
    # The first of each worker end the time that is not counted.
    elapsed = finished_at[-1] - finished_at[:at_once].mean()
    counted = len(finished_at) - at_once
    training = seconds[at_once:].mean()
    beside = max(elapsed * workers / counted - training, 1e-3)
    return {
        "images_per_second": workers * num_images / training,
        "networks_per_second": workers / beside,
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--dataset", default="cifar10")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--study", metavar="FILE", help="time one study of an .npz")
    parser.add_argument("--dtype", default="auto", help="of --study")
    parser.add_argument("--workers", type=int, help="of --study")
    options = parser.parse_args()
    if options.study:
        print(json.dumps(measure_study(options.study, options.dtype, options.workers)))
        return
    rows = measure(options.quick, rounds=options.rounds, dataset=options.dataset)
    print(tables.table(rows, reference=REFERENCE, without_ratio=WITHOUT_RATIO))


if __name__ == "__main__":
    main()
