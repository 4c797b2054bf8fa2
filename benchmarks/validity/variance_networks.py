"""The networks of `variance`: trained once, kept as one small file each.

Three factors are crossed: initial weights, order of the examples, and which examples of
the confused pair are given the wrong label. One network is trained for every
combination of their levels and every schedule of the learning rate, and tested with its
last weights and with several averages of them, which are taken beside the training.
"""

import dataclasses
import functools
import hashlib
import itertools
import json
import pathlib
import time
from collections.abc import Iterator

import joblib
import numpy as np

from keras_confusion.datasets import loading as dataset_loading
from keras_confusion.execution import provenance, runtime
from keras_confusion.storage import locks, study_folder
from keras_confusion.storage.files import write_atomically

# Modules that import TensorFlow are imported in the functions that need them.

KIND = "variance"
FACTORS = ("initialisation", "order", "subset")
SCHEDULES = ("annealed", "constant")
# How a network is trained: with all averages beside it, or by a recipe as it is.
OBSERVED, PLAIN, AVERAGED = "observed", "plain", "averaged"
LAST, CHOSEN = "last weights", "average, 10 %"
# Averages of the weights by name, see `weight_averages.WeightAverages`. One was chosen
# before any network was trained: which one is best by chance is not asked.
EXPONENTIAL = {"average, 5 %": 0.05, CHOSEN: 0.1, "average, 20 %": 0.2}
UNIFORM = {"mean of the last quarter": 0.25}
WEIGHTS = (LAST, *EXPONENTIAL, *UNIFORM)
# Cat and dog of CIFAR-10.
PAIR = (3, 5)


@dataclasses.dataclass(frozen=True)
class Design:
    """What is crossed, and how networks are trained.

    Args:
        dataset: A name of `loading.load_dataset`.
        levels: Levels of every factor, at least 2.
        epochs: Passes over the training set.
        dtype_policy: "float32" or "mixed_bfloat16".
        seed: Integer from which the levels' seeds are drawn.
    """

    dataset: str
    levels: int
    epochs: int
    dtype_policy: str
    seed: int = 0

    def networks(self) -> list["Network"]:
        """All networks; a smaller design of two levels, which is whole, comes first.

        Those that are trained again come last.
        """
        levels = list(itertools.product(range(self.levels), repeat=len(FACTORS)))
        again = [(level,) * len(FACTORS) for level in range(2)]
        networks = [
            Network(schedule, how, *factor_levels)
            for how in (OBSERVED, PLAIN, AVERAGED)
            for schedule in SCHEDULES
            for factor_levels in (levels if how == OBSERVED else again)
        ]
        ways = [OBSERVED, PLAIN, AVERAGED]
        return sorted(
            networks,
            key=lambda network: (ways.index(network.how), max(network.levels) > 1),
        )

    def seeds(self, network: "Network") -> list[int]:
        """One for each factor: a function of its level only."""
        return [
            int(np.random.SeedSequence((self.seed, *place)).generate_state(1)[0])
            for place in enumerate(network.levels)
        ]


@dataclasses.dataclass(frozen=True)
class Network:
    """One network of a design: schedule, way of training, level of every factor."""

    schedule: str
    how: str
    initialisation: int
    order: int
    subset: int

    @property
    def levels(self) -> tuple[int, int, int]:
        """In the order of `FACTORS`."""
        return self.initialisation, self.order, self.subset

    @property
    def name(self) -> str:
        """Name of its file."""
        return f"{self.schedule}-{self.how}-{''.join(map(str, self.levels))}"


def train_missing(directory: pathlib.Path, design: Design, *, workers: int) -> None:
    """Trains the networks of a design that are not on disk yet.

    Args:
        directory: Their folder; made if missing.
        design: What is to be there.
        workers: Processes; each computes in one thread.

    Raises:
        study_folder.StudyFolderError: If the folder holds another design.
    """
    dataset = dataset_loading.load_dataset_once(design.dataset, None, None)
    directory.mkdir(parents=True, exist_ok=True)
    with locks.locked(directory):
        study_folder.StudyFolder.begin_or_resume(
            directory,
            {
                "kind": KIND,
                "settings": dataclasses.asdict(design)
                | {"pair": list(PAIR), "averaging": EXPONENTIAL[CHOSEN]},
                "class_names": list(dataset.class_names),
                "dataset_fingerprint": dataset.fingerprint,
                "provenance": provenance.provenance(),
            },
            begin=(directory / "networks").mkdir,
            beginnings=("networks",),
        )
        missing = [
            network
            for network in design.networks()
            if not _path(directory, network).exists()
        ]
        # Two at least: joblib would train a single one in this process.
        parallel = joblib.Parallel(n_jobs=max(workers, 2), backend="loky", batch_size=1)
        parallel(
            joblib.delayed(_train_and_write)(directory, design, network)
            for network in missing
        )


def read_networks(directory: pathlib.Path, design: Design) -> dict[Network, dict]:
    """What is kept of every network, by network."""
    return {
        network: json.loads(_path(directory, network).read_text())
        for network in design.networks()
    }


def _path(directory: pathlib.Path, network: Network) -> pathlib.Path:
    return directory / "networks" / f"{network.name}.json"


def _train_and_write(directory, design: Design, network: Network) -> None:
    runtime.start_tensorflow(threads=1)
    import tensorflow as tf

    # It takes several trainers in a process for a mistake.
    tf.get_logger().setLevel("ERROR")
    text = json.dumps(_train(design, network))
    write_atomically(
        _path(directory, network), lambda file: file.write(text.encode() + b"\n")
    )


def _train(design: Design, network: Network) -> dict:
    """Trains one network and tests all that is asked of it.

    Returns:
        Final training loss, seconds of the training (of the clock, and of the
        processor), and by name of the weights: both responses for every class `(K,)`
        and the sha256 of the logits.
    """
    from keras_confusion.datasets import corruption
    from keras_confusion.training import trainer as training_trainer

    trainer = _trainer(design, network.schedule, network.how)
    initialisation, order, subset = design.seeds(network)
    true_labels = trainer.dataset.train.labels
    swap = corruption.swap(trainer.dataset.num_classes, *PAIR)
    labels = corruption.given_labels(true_labels, swap, subset)
    start = time.perf_counter(), time.process_time()
    ((*_, loss),) = trainer.train(
        [training_trainer.TrainingTask(initialisation, order, labels)]
    )
    end = time.perf_counter(), time.process_time()
    return {
        **dataclasses.asdict(network),
        "final_training_loss": float(loss),
        "seconds": end[0] - start[0],
        "processor_seconds": end[1] - start[1],
        "of_weights": {
            name: _test(trainer) for name in _each_weights(trainer, network.how)
        },
    }


@functools.lru_cache(maxsize=1)
def _trainer(design: Design, schedule: str, how: str):
    """A compiled trainer; the last one is kept."""
    from benchmarks.validity import weight_averages
    from keras_confusion.training import recipes
    from keras_confusion.training import trainer as training_trainer

    dataset = dataset_loading.load_dataset_once(design.dataset, None, None)
    num_train = dataset.train.num_examples
    recipe = recipes.find_recipe("annealed", num_train=num_train)
    if schedule == "constant":
        # The rate of the poster's recipe, in batches as large as the other's.
        recipe = recipes.find_recipe(
            "tutorial", num_train=num_train, batch_size=recipe.batch_size
        )
    if how == OBSERVED:
        recipe = weight_averages.observed(
            recipe, exponential=EXPONENTIAL, uniform=UNIFORM
        )
    elif how == AVERAGED:
        recipe = weight_averages.averaged(recipe, EXPONENTIAL[CHOSEN])
    return training_trainer.Trainer(
        dataset,
        recipe=recipe,
        epochs=design.epochs,
        dtype_policy=design.dtype_policy,
    )


def _each_weights(trainer, how: str) -> Iterator[str]:
    """Names of weights, which the trained model has while each is handled."""
    # One network alone is trained in the trainer's own model.
    variables = trainer.model.trainable_variables
    if how == AVERAGED:
        (optimizer,) = trainer.recipe.optimizers
        optimizer.finalize_variable_values(variables)
        yield AVERAGED
        return
    yield LAST
    if how != OBSERVED:
        return
    (optimizer,) = trainer.recipe.optimizers
    for name, values in optimizer.averages.values.items():
        for variable, value in zip(variables, values, strict=True):
            variable.assign(value)
        yield name


def _test(trainer) -> dict:
    from keras_confusion.comparisons import responses
    from keras_confusion.confusion import answers as confusion_answers

    logits = trainer.test_logits()[0]
    labels = trainer.dataset.test.labels
    accuracy, (without_pair,) = responses.network_accuracies(
        confusion_answers.summarise_logits(logits, labels, [PAIR]),
        labels,
        num_classes=trainer.dataset.num_classes,
        pairs=[PAIR],
    )
    return {
        "accuracy": accuracy.tolist(),
        # Null for the pair's own classes.
        "accuracy_without_pair": [
            None if np.isnan(share) else float(share) for share in without_pair
        ],
        "sha256": hashlib.sha256(logits.tobytes()).hexdigest(),
    }
