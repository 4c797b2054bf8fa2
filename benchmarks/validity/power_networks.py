"""The networks of `power_per_hour`: trained once, kept as one small file each.

A design is a way to train networks. All designs of a data set have the same arms and
seeds, so that what differs between them is the training alone. Every network is tested
in several ways, which cost little once it is trained: with its last weights and with an
average of them, on the test images and on these and their mirror images, and on two
halves of the test images.
"""

import dataclasses
import functools
import json
import pathlib
import time
from collections.abc import Sequence

import joblib
import numpy as np

from benchmarks import timing
from keras_confusion.confusion import network_files
from keras_confusion.confusion.plan import Network
from keras_confusion.confusion.settings import ConfusionSettings, network_seeds
from keras_confusion.execution import runtime
from keras_confusion.stats import discriminability
from keras_confusion.storage import locks
from keras_confusion.storage.files import write_atomically

# Modules that import TensorFlow are imported in the functions that need them.

# Of seeds that no other study has.
SEED = 500
FOLDER = timing.ROOT / "studies" / "benchmarks" / "power"
# The average is `variance_networks.CHOSEN`: it was chosen before these networks.
AVERAGED_SHARE = 0.1
LAST, MIRRORED, AVERAGE, BOTH = (
    "last weights",
    "mirror images too",
    "average of weights",
    "average and mirror images",
)
ALL_IMAGES, HALVES = "all", ("even", "odd")


@dataclasses.dataclass(frozen=True)
class Design:
    """How networks are trained, and how many of every arm.

    Args:
        name: In reports.
        dataset: A name of `loading.load_dataset`.
        epochs: Passes over the training set.
        repeats: Networks of every arm.
        batch_size: Images a step; `None` takes the recipe's, as the next one.
        learning_rate: The highest.
        model: As for `architectures.build_model`.
        has_mirror_images: Whether the mirror image of an example is of its class.
        is_averaged: Whether an average of the weights is kept and tested, too.
    """

    name: str
    dataset: str
    epochs: int
    repeats: int
    batch_size: int | None = None
    learning_rate: float | None = None
    model: str = "cnn"
    has_mirror_images: bool = True
    is_averaged: bool = False

    def directory(self, dtype_policy: str) -> pathlib.Path:
        """The folder of its networks, by everything that decides about them."""
        parts = [self.dataset, self.model.rpartition(":")[2], self.epochs]
        parts += [self.batch_size, self.learning_rate, dtype_policy]
        return FOLDER / "-".join(str(part).replace(":", "_") for part in parts)

    @property
    def ways(self) -> tuple[str, ...]:
        """The ways in which its networks are tested."""
        ways = [LAST]
        if self.has_mirror_images:
            ways.append(MIRRORED)
        if self.is_averaged:
            ways += [AVERAGE, BOTH][: len(ways)]
        return tuple(ways)


def narrow_cnn(*, input_shape, num_classes: int, seed: int):
    """The poster's network with half the filters in every convolution."""
    import keras

    seeds = iter(np.random.SeedSequence(seed).generate_state(5).tolist())

    def glorot():
        return keras.initializers.GlorotUniform(seed=next(seeds))

    layers = [keras.Input(tuple(input_shape))]
    for filters in (16, 32, 32):
        if len(layers) > 1:
            layers.append(keras.layers.MaxPooling2D())
        layers.append(
            keras.layers.Conv2D(
                filters, 3, activation="relu", kernel_initializer=glorot()
            )
        )
    layers += [
        keras.layers.Flatten(),
        keras.layers.Dense(64, activation="relu", kernel_initializer=glorot()),
        keras.layers.Dense(num_classes, kernel_initializer=glorot(), dtype="float32"),
    ]
    return keras.Sequential(layers)


def path_of(directory: pathlib.Path, network: Network) -> pathlib.Path:
    """Where a network of a design is kept."""
    pair, repeat = network
    return directory / f"{network_files.arm_name(pair)}-{repeat}.json"


def train_missing(
    designs: Sequence[Design],
    pairs: Sequence[tuple[int, int] | None],
    dtype_policy: str,
    *,
    workers: int,
) -> None:
    """Trains the networks of designs that are not on disk yet.

    In turn, repeat by repeat: a machine that becomes slower treats all designs alike,
    and what is stopped early has some of all.

    Args:
        designs: What is to be there.
        pairs: The arms, `None` for the baseline.
        dtype_policy: "float32" or "mixed_bfloat16".
        workers: Processes; each computes in one thread.
    """
    FOLDER.mkdir(parents=True, exist_ok=True)
    with locks.locked(FOLDER):
        missing = []
        for repeat in range(max(design.repeats for design in designs)):
            for design in designs:
                directory = design.directory(dtype_policy)
                directory.mkdir(exist_ok=True)
                missing += [
                    (design, (pair, repeat))
                    for pair in pairs
                    if repeat < design.repeats
                    and not path_of(directory, (pair, repeat)).exists()
                ]
        parallel = joblib.Parallel(n_jobs=workers, backend="loky", batch_size=1)
        parallel(
            joblib.delayed(_train_and_write)(design, network, dtype_policy)
            for design, network in missing
        )


def at_hand(
    designs: Sequence[Design], pairs: Sequence[tuple[int, int] | None], dtype_policy
) -> tuple[Design, ...]:
    """The same designs with the repeats that are whole on disk, of two at least."""
    found = []
    for design in designs:
        directory = design.directory(dtype_policy)
        repeats = 0
        while repeats < design.repeats and all(
            path_of(directory, (pair, repeats)).exists() for pair in pairs
        ):
            repeats += 1
        if repeats > 1:
            found.append(dataclasses.replace(design, repeats=repeats))
    return tuple(found)


def read_networks(
    design: Design, pairs: Sequence[tuple[int, int] | None], dtype_policy: str
) -> list[dict]:
    """What is kept of a design's networks, repeat by repeat."""
    directory = design.directory(dtype_policy)
    return [
        json.loads(path_of(directory, (pair, repeat)).read_text())
        for repeat in range(design.repeats)
        for pair in pairs
    ]


def _train_and_write(design: Design, network: Network, dtype_policy: str) -> None:
    runtime.start_tensorflow(threads=1)
    import tensorflow as tf

    # It takes several trainers in a process for a mistake.
    tf.get_logger().setLevel("ERROR")
    text = json.dumps(_train(design, network, dtype_policy))
    write_atomically(
        path_of(design.directory(dtype_policy), network),
        lambda file: file.write(text.encode() + b"\n"),
    )


def _train(design: Design, network: Network, dtype_policy: str) -> dict:
    """Trains a network and tests it in every way.

    Returns:
        `class_a`, `class_b`, `repeat` and `seed` as in a study's rows; `loss`;
        `accuracy` of the right last layer; `d_primes`, d' of every two classes by way
        and by `ALL_IMAGES` and `HALVES`; `seconds` of the processor by way, all that a
        study would need of it.
    """
    from keras_confusion.datasets import corruption
    from keras_confusion.training import trainer as training_trainer

    # The same one, however many networks are asked for.
    trainer = _trainer(dataclasses.replace(design, name="", repeats=0), dtype_policy)
    dataset = trainer.dataset
    pair, repeat = network
    seeds = network_seeds(ConfusionSettings(seed=SEED), repeat, pair, 0)
    labels = None
    if pair is not None:
        labels = corruption.given_labels(
            dataset.train.labels,
            corruption.swap(dataset.num_classes, *pair),
            seeds["corruption_seed"],
        )
    task = training_trainer.TrainingTask(
        seeds["initialisation_seed"], seeds["order_seed"], labels
    )
    start = time.process_time()
    ((*_, loss),) = trainer.train([task])
    seconds = time.process_time() - start
    found = _test(design, trainer, (LAST, MIRRORED))
    if design.is_averaged:
        (optimizer,) = trainer.recipe.optimizers
        (average,) = optimizer.averages.values.values()
        for variable, value in zip(
            trainer.model.trainable_variables, average, strict=True
        ):
            variable.assign(value)
        found |= _test(design, trainer, (AVERAGE, BOTH))
    return {
        "class_a": None if pair is None else pair[0],
        "class_b": None if pair is None else pair[1],
        "repeat": repeat,
        "seed": seeds["seed"],
        "loss": float(loss),
        "accuracy": {way: tested["accuracy"] for way, tested in found.items()},
        "d_primes": {way: tested["d_primes"] for way, tested in found.items()},
        "seconds": {way: seconds + tested["seconds"] for way, tested in found.items()},
    }


@functools.lru_cache(maxsize=8)
def _trainer(design: Design, dtype_policy: str):
    """A compiled trainer; an average of the weights is taken beside it if asked for."""
    from benchmarks.validity import weight_averages
    from keras_confusion.training import recipes
    from keras_confusion.training import trainer as training_trainer

    dataset = _dataset(design.dataset, design.has_mirror_images)
    recipe = recipes.find_recipe(
        "annealed",
        num_train=dataset.train.num_examples,
        batch_size=design.batch_size,
        learning_rate=design.learning_rate,
    )
    if design.is_averaged:
        recipe = weight_averages.observed(
            recipe, exponential={AVERAGE: AVERAGED_SHARE}, uniform={}
        )
    return training_trainer.Trainer(
        dataset,
        design.model,
        recipe=recipe,
        epochs=design.epochs,
        dtype_policy=dtype_policy,
    )


@functools.lru_cache(maxsize=2)
def _dataset(name: str, has_mirror_images: bool):
    """A data set whose test images are followed by their mirror images."""
    from keras_confusion.datasets import loading as dataset_loading
    from keras_confusion.datasets.labelled_dataset import Split

    dataset = dataset_loading.load_dataset(name)
    if not has_mirror_images:
        return dataset
    images, labels = dataset.test.arrays()
    test = Split(
        labels=np.concatenate([labels, labels]),
        images=np.concatenate([images, images[:, :, ::-1]]),
    )
    return dataclasses.replace(dataset, test=test)


def _test(design: Design, trainer, ways: Sequence[str]) -> dict[str, dict]:
    """Tests the weights that the trainer's model has by a right last layer.

    Args:
        design: Of the network.
        trainer: That trained it.
        ways: The name of this, and of this with mirror images.
    """
    from keras_confusion.training import linear_heads

    dataset = trainer.dataset
    views = 2 if design.has_mirror_images else 1
    num_test = dataset.test.num_examples // views
    start = time.process_time()
    # A study asks the network's own last layer, too, which costs as much.
    trainer.test_logits()
    own_seconds = (time.process_time() - start) / views
    start = time.process_time()
    train, fitted, test = trainer.features(0)
    per_image = (time.process_time() - start) / (len(train) + len(test))
    start = time.process_time()
    heads = linear_heads.LinearHeads(train, test, dataset.num_classes)
    logits = heads.test_logits(dataset.train.labels[fitted])
    head_seconds = time.process_time() - start
    labels = dataset.test.labels[:num_test]
    by_view = logits.reshape(views, num_test, -1)
    found = {}
    for number, way in enumerate(ways[:views], 1):
        start = time.process_time()
        seen = by_view[:number].mean(axis=0)
        d_primes = {ALL_IMAGES: discriminability.d_primes(seen, labels).tolist()}
        d_seconds = 2 * (time.process_time() - start)
        for half, chosen in zip(HALVES, _halves(labels), strict=True):
            d_primes[half] = discriminability.d_primes(
                seen[chosen], labels[chosen]
            ).tolist()
        found[way] = {
            "accuracy": float((seen.argmax(axis=1) == labels).mean()),
            "d_primes": d_primes,
            "seconds": own_seconds * number
            + per_image * (len(train) + number * num_test)
            + head_seconds
            + d_seconds,
        }
    return found


def _halves(labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Every other image of each class, and the rest, bool `(n,)` each."""
    place = np.zeros(len(labels), int)
    for label in np.unique(labels):
        place[labels == label] = np.arange((labels == label).sum())
    return place % 2 == 0, place % 2 == 1
