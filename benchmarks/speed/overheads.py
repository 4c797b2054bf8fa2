"""What is not training: corrupting labels, starting up, writing and reading.

    python -m benchmarks.speed.overheads --dataset cifar10

Corruption is given in seconds and as a share of an epoch of one worker, which is timed
in the same run. A study of 2,300 networks with 10,000 test examples each, whose answers
are drawn, is written, read and analysed.
"""

import argparse
import functools
import pathlib
import sys
import tempfile
import time

import numpy as np

from benchmarks import tables, timing
from benchmarks.speed import analysis_speed, generated_study, training_speed

TITLE = "Corruption, start-up, files"
PAIR = (3, 5)
NETWORKS = 2300
SCRIPTS = (
    "run_confusion_study",
    "run_prototype_study",
    "analyse_study",
    "train_classifier",
    "probe_saved_model",
)
FIRST_NETWORK = (
    "--dataset",
    "digits",
    "--pairs",
    "3-8",
    "--repeats",
    "1",
    "--baseline-repeats",
    "1",
    "--epochs",
    "1",
)


def measure(
    quick: bool = False, *, rounds: int = 5, dataset: str = "cifar10"
) -> list[dict]:
    """All three.

    Args:
        quick: Takes one round, few images and networks.
        rounds: Times each is measured; once less where it takes long.
        dataset: As for `training_speed.measure`.

    Returns:
        Rows as `timing.row`.
    """
    rounds = 1 if quick else rounds
    return [
        *measure_corruption(rounds, dataset, num_train=2560 if quick else 50_000),
        *measure_start_up(rounds),
        *measure_files(min(rounds, 3), networks=60 if quick else NETWORKS),
    ]


def measure_corruption(rounds: int, dataset: str, *, num_train: int) -> list[dict]:
    """The corruption, in memory and in the streaming pipeline."""
    from keras_confusion.execution import runtime

    # As in a worker of a study.
    runtime.start_tensorflow(threads=1)
    import tensorflow as tf

    from keras_confusion.datasets import corruption
    from keras_confusion.datasets import loading as dataset_loading

    with tempfile.TemporaryDirectory() as temporary:
        path = pathlib.Path(temporary) / "images.npz"
        source = training_speed.write_images(path, dataset, num_train)
        trained = training_speed.run_study(path, "auto", "")
        train = dataset_loading.load_dataset(path).train
        train.arrays()
    epoch_seconds = num_train * timing.num_cores() / trained.images_per_second
    corrupt = functools.partial(
        corruption.corrupt_labels,
        transition=corruption.swap(10, *PAIR),
        true_labels=train.labels,
    )
    seeds = iter(range(10**6))

    def materialise() -> None:
        # The transformation of the streaming pipeline, without its images.
        indices = np.arange(num_train)
        examples = tf.data.Dataset.from_tensor_slices((indices, train.labels))
        batch = corrupt(examples, seed=next(seeds)).batch(num_train)
        batch.get_single_element()[1].numpy()

    def stream(transform) -> None:
        batches = (
            transform(train.dataset())
            .shuffle(num_train, seed=next(seeds))
            .batch(training_speed.BATCH_SIZE)
            .prefetch(tf.data.AUTOTUNE)
        )
        for _ in batches:
            pass

    measured = timing.alternate(
        {
            "streaming pipeline, true labels": timing.seconds_of(
                lambda: stream(lambda examples: examples)
            ),
            "streaming pipeline, corrupted": timing.seconds_of(
                lambda: stream(lambda examples: corrupt(examples, seed=next(seeds)))
            ),
            "labels in memory, through tf.data": timing.seconds_of(materialise),
            "labels in memory, as a study has them": timing.seconds_of(
                lambda: corruption.given_labels(
                    train.labels, corruption.swap(10, *PAIR), next(seeds)
                )
            ),
        },
        rounds,
    )
    seconds = {
        name: np.array(quantities["seconds"]) for name, quantities in measured.items()
    }
    seconds["streaming pipeline, corruption alone"] = (
        seconds["streaming pipeline, corrupted"]
        - seconds["streaming pipeline, true labels"]
    )
    epoch = f"an epoch of one worker: {epoch_seconds:.2f} s; {num_train:,} {source}"
    once = f"once a network, whatever its epochs; {epoch}"
    rows = []
    for name, values in seconds.items():
        remark = once if "in memory" in name else f"in every epoch; {epoch}"
        shares = 100 * values / epoch_seconds
        rows.append(timing.row(name, "time", "s", values, remark))
        rows.append(timing.row(name, "share of an epoch", "%", shares, remark))
    return rows


def measure_start_up(rounds: int) -> list[dict]:
    """Starting Python, TensorFlow, each script, and a study's first network."""
    python = [sys.executable]
    contenders = {
        "Python": _command([*python, "-c", "pass"]),
        "import tensorflow": _command([*python, "-c", "import tensorflow"]),
        "import keras_confusion": _command([*python, "-c", "import keras_confusion"]),
    }
    for script in SCRIPTS:
        contenders[f"{script}.py --help"] = _command(
            [*python, f"scripts/{script}.py", "--help"]
        )
    measured = timing.alternate(contenders, rounds)
    rows = [
        timing.row(name, "start-up", "s", quantities["seconds"])
        for name, quantities in measured.items()
    ]
    study = timing.alternate({"study": _first_network}, rounds, warm_up=0)["study"]
    remark = "digits, two networks of one epoch, run_confusion_study.py"
    for quantity, values in study.items():
        rows.append(timing.row("study", quantity, "s", values, remark))
    return rows


def measure_files(rounds: int, *, networks: int) -> list[dict]:
    """Writing, reading and analysing a study of so many networks."""
    writing, analysis = [], {}
    with tempfile.TemporaryDirectory() as temporary:
        for number in range(rounds):
            directory = pathlib.Path(temporary) / str(number)
            directory.mkdir()
            writing.append(
                generated_study.write_study(directory, num_networks=networks)
            )
            step_seconds = timing.last_json(timing.module("analysis_speed", directory))
            for step, value in step_seconds.items():
                analysis.setdefault(step, []).append(value)
        files = list((directory / "networks").iterdir())
        megabytes = sum(file.stat().st_size for file in files) / 1e6
    study = f"{networks:,} networks"
    rows = [
        timing.row(study, "write the networks", "s", writing),
        timing.row(study, "size on disk", "MB", [megabytes], "one file a network"),
    ]
    memory = "beyond what Python and the imports take"
    for step, values in analysis.items():
        is_memory = step == analysis_speed.MEMORY
        unit, remark = ("MB", memory) if is_memory else ("s", "")
        rows.append(timing.row(study, step, unit, values, remark))
    return rows


def _command(command: list[str]) -> timing.Contender:
    return timing.seconds_of(lambda: timing.check(timing.start(command)))


def _first_network() -> dict[str, float]:
    """Seconds until a study's first network is on disk, and until all is done."""
    with tempfile.TemporaryDirectory() as temporary:
        script = [sys.executable, "scripts/run_confusion_study.py", *FIRST_NETWORK]
        networks = pathlib.Path(temporary) / "networks"
        start = time.perf_counter()
        process = timing.start([*script, "--out", temporary])
        first = None
        while process.poll() is None:
            if first is None and any(networks.glob("*.parquet")):
                first = time.perf_counter() - start
            time.sleep(0.02)
        seconds = time.perf_counter() - start
        timing.check(process)
    return {
        "until the first network": seconds if first is None else first,
        "until the report": seconds,
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--dataset", default="cifar10")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    rows = measure(options.quick, rounds=options.rounds, dataset=options.dataset)
    print(tables.table(rows))


if __name__ == "__main__":
    main()
