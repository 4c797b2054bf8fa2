"""Networks that differ in robustness and accuracy, and what is measured of each."""

import dataclasses
import json
import pathlib
from collections.abc import Mapping, Sequence

import joblib
import numpy as np

from benchmarks import timing
from keras_confusion.execution import runtime
from keras_confusion.storage import locks
from keras_confusion.storage.files import write_atomically

# An l2 attack of these sizes, of which the mean accuracy is the robustness.
EPS = (0.125, 0.25, 0.5, 1.0)
NUM_ATTACKED = 1000
# Attacked once more, harder and without gradients: that in linf, as in l2 it takes far
# more questions.
LINF = 4 / 255
NUM_CHECKED = 100
RESTARTS = 5
QUERIES = 500
LARGE_EPS = 6.0
# Of images, with the poster's rule; ten times its rate takes as many fewer steps.
LEARNING_RATE = 0.1
INITIALISATIONS = 2
JUDGES = {
    name: timing.ROOT / "saved_models" / name
    for name in ("cifar10_cnn", "cifar10_resnet18_width12")
}


@dataclasses.dataclass(frozen=True)
class Network:
    """One network.

    Args:
        architecture: "cnn" or "resnet18".
        epochs: Passes over the training data.
        eps: Largest change, l2, of adversarial training; 0 is none.
        seed: From which it is drawn.
        dataset: Its data set.
    """

    architecture: str
    epochs: int
    eps: float
    seed: int
    dataset: str = "cifar10"

    @property
    def name(self) -> str:
        """Of its file."""
        return f"{self.architecture}-{self.epochs}-{self.eps:g}-{self.seed}"

    def settings(self):
        """Its `ClassifierSettings`."""
        from keras_confusion.training.settings import ClassifierSettings

        return ClassifierSettings(
            dataset=self.dataset,
            model=self.architecture,
            width=8 if self.architecture == "resnet18" else None,
            epochs=self.epochs,
            augment=True,
            adversarial="l2" if self.eps else None,
            eps=self.eps or None,
            seed=self.seed,
        )


def train_missing(
    networks: Sequence[Network], directory: pathlib.Path, *, workers: int
) -> None:
    """Trains and measures what has no file yet; each process computes in one thread."""
    directory.mkdir(parents=True, exist_ok=True)
    with locks.locked(directory):
        missing = [one for one in networks if not (path_of(directory, one)).exists()]
        joblib.Parallel(n_jobs=workers, backend="loky", batch_size=1)(
            joblib.delayed(_train_and_write)(one, directory) for one in missing
        )


def path_of(directory: pathlib.Path, network: Network) -> pathlib.Path:
    """The file of what was measured of a network."""
    return directory / f"{network.name}.json"


def read(networks: Sequence[Network], directory: pathlib.Path) -> list[dict]:
    """What was measured, of the networks that have a file."""
    return [
        json.loads(path_of(directory, one).read_text())
        for one in networks
        if path_of(directory, one).exists()
    ]


def _train_and_write(network: Network, directory: pathlib.Path) -> None:
    runtime.start_tensorflow(threads=1)
    row = measured(network)
    write_atomically(
        path_of(directory, network),
        lambda file: file.write(json.dumps(row, indent=1).encode() + b"\n"),
    )


def measured(network: Network) -> dict:
    """Trains a network and measures it.

    Returns:
        The fields of `network`; `commit` of the code; `accuracy` on the test images;
        what `attacked` and `of_prototypes` return.
    """
    from keras_confusion.datasets import loading
    from keras_confusion.models import probe as model_probe
    from keras_confusion.training import trained_model

    dataset = loading.load_dataset(network.dataset)
    trained = trained_model.train_once(network.settings(), dataset, verbose=0)
    probe = model_probe.probe_of(trained.classifier, dataset.class_names)
    images, labels = (part[:NUM_ATTACKED] for part in dataset.test.arrays())
    return (
        dataclasses.asdict(network)
        | {"commit": timing.header()["commit"], "accuracy": trained.tested.accuracy}
        | attacked(probe, np.float32(images) / 255, labels)
        | of_prototypes(probe, _judges(dataset.class_names))
    )


def _judges(class_names: Sequence[str]) -> dict:
    from keras_confusion.models import loading

    judges = {
        name: loading.load_probe(path, is_own=True) for name, path in JUDGES.items()
    }
    # Other data have none.
    return {
        name: judge
        for name, judge in judges.items()
        if judge.class_names == tuple(class_names)
    }


def attacked(probe, images: np.ndarray, labels: np.ndarray) -> dict:
    """How accurate a network stays under attack.

    Returns:
        `robust_accuracy`, under PGD with 20 steps, one for each of `EPS`; its mean
        `robustness`; and of fewer images the checks: `checked`, under the same attack
        at the third eps, `restarted`, the best of five starts, `large_eps`, under a
        change that any network must fall to; `linf`, under PGD in that norm, and
        `without_gradients`, under the Square attack of the same size.
    """
    from keras_confusion.models.attacks import pgd

    accuracies = pgd.robust_accuracy(probe.logits, images, labels, norm="l2", eps=EPS)
    few, few_labels = images[:NUM_CHECKED], labels[:NUM_CHECKED]

    def check(eps: float, norm: str = "l2", restarts: int = 1) -> float:
        (accuracy,) = pgd.robust_accuracy(
            probe.logits, few, few_labels, norm=norm, eps=[eps], restarts=restarts
        )
        return accuracy

    return {
        "robust_accuracy": accuracies,
        "robustness": float(np.mean(accuracies)),
        "checked": check(EPS[2]),
        "restarted": check(EPS[2], restarts=RESTARTS),
        "large_eps": check(LARGE_EPS),
        "linf": check(LINF, norm="linf"),
        "without_gradients": square_attack(probe, few, few_labels, LINF),
    }


def square_attack(probe, images: np.ndarray, labels: np.ndarray, eps: float) -> float:
    """Accuracy under an attack, in linf, that asks for answers only.

    Andriushchenko et al. 2020, arXiv 1912.00049, by the Adversarial Robustness Toolbox.
    """
    from art.attacks.evasion import SquareAttack
    from art.estimators.classification import BlackBoxClassifierNeuralNetwork

    def predict(batch):
        return probe.logits(np.float32(batch)).numpy()

    classifier = BlackBoxClassifierNeuralNetwork(
        predict,
        images.shape[1:],
        len(probe.class_names),
        channels_first=False,
        clip_values=(0, 1),
    )
    # It draws from NumPy's global state.
    np.random.seed(0)  # noqa: NPY002
    attack = SquareAttack(
        classifier,
        norm=np.inf,
        eps=eps,
        max_iter=QUERIES,
        batch_size=250,
        verbose=False,
    )
    made = attack.generate(images, np.eye(len(probe.class_names))[labels])
    return float((predict(made).argmax(axis=1) == labels).mean())


def of_prototypes(probe, judges: Mapping) -> dict:
    """What prototypes by the poster's rule say of a network, without data.

    Returns:
        `cross_over` and `distance`, l2 norms of the changes of intermediary
        prototypes; `C` and `R`, means; `boundary` and `boundary_sd`, mean and sd of
        the dissimilarity of boundary prototypes and their two class prototypes; `M_g`;
        `M_adv`; `high_frequency`, of class prototypes from grey; `transfer` and
        `probability`, of judges; `iterations`; `converged` and `boundary_converged`,
        shares of images.
    """
    from keras_confusion.prototypes import dissimilarity, grid, readability
    from keras_confusion.prototypes.optimizer.settings import OptimizerSettings

    num_classes = len(probe.class_names)
    shape = (INITIALISATIONS, num_classes, *probe.input_shape)
    start = np.random.default_rng(0).random(shape, np.float32)
    images = OptimizerSettings(learning_rate=LEARNING_RATE)
    made = grid.probe_classifier(probe, start, grid.ProbingSettings(images=images))
    each = np.arange(num_classes)
    prototypes = made["image"][:, each, each]
    of_judges = readability.measures(probe, prototypes, made["image"], judges)
    features = made["features"]
    inter = dissimilarity.trend(dissimilarity.inter_class(features), "inter")
    intra = dissimilarity.trend(dissimilarity.intra_class(features), "intra")
    class_features = features[:, each, each]
    boundary = _boundary_dissimilarities(class_features, made)
    return {
        "cross_over": of_judges["cross_over"],
        "distance": of_judges["distance"],
        "C": float(inter.mean.mean()),
        "R": float(intra.mean.mean()),
        "boundary": float(np.nanmean(boundary)),
        "boundary_sd": float(np.nanstd(boundary)),
        "M_g": float(np.mean(dissimilarity.separation(class_features))),
        "M_adv": float(
            np.mean(
                dissimilarity.adversarial_agreement(
                    class_features, made["adversarial_features"]
                )
            )
        ),
        "high_frequency": of_judges["high_frequency"],
        "transfer": of_judges["transfer"],
        "probability": of_judges["probability"],
        "iterations": float(made["iterations"].mean()),
        "converged": float(made["converged"].mean()),
        "boundary_converged": float(
            made["boundary_converged"].sum()
            / (INITIALISATIONS * num_classes * (num_classes - 1))
        ),
    }


def _boundary_dissimilarities(class_features: np.ndarray, made: Mapping) -> np.ndarray:
    """Of b[k, j] and p_k or p_j, the mean of both; NaN where it did not converge."""
    from keras_confusion.prototypes import dissimilarity

    units = dissimilarity.unit_vectors(class_features)
    boundary = np.where(
        made["boundary_converged"][..., None], made["boundary_features"], np.nan
    )
    boundary /= np.linalg.norm(boundary, axis=-1, keepdims=True)
    to_target = (boundary * units[:, :, None]).sum(axis=-1)
    to_origin = (boundary * units[:, None]).sum(axis=-1)
    return 1 - (to_target + to_origin) / 2
