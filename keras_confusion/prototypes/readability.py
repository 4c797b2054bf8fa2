"""What else prototypes say than that the network is sure of them.

Do networks that did not make an image take it for the same class? How far did it
travel, and how far would have been enough? Does it still show where it began? Do images
of one class differ? None of these measures needs test images; some need other networks.
"""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from keras_confusion.models import loading
from keras_confusion.models.probe import Probe
from keras_confusion.prototypes import dissimilarity
from keras_confusion.prototypes import images as prototype_images
from keras_confusion.prototypes import store as prototype_store
from keras_confusion.prototypes.grid import ask
from keras_confusion.prototypes.optimizer.settings import OptimizerSettings
from keras_confusion.prototypes.pair import probabilities

# Places on the line between two images at which the network is asked.
_PLACES = 65
# Of the power of the mean, what rounding makes of an image of one colour.
_ROUNDING = 1e-12
# Long steps: how far they go matters, and not where exactly they end.
_FROM_GREY = OptimizerSettings(learning_rate=0.1, max_iterations=200)


def transfer(
    images: np.ndarray, targets: np.ndarray, judges: Mapping[str, Probe]
) -> pd.DataFrame:
    """What networks that did not make the images take them for.

    Args:
        images: float32 `(..., height, width, channels)` in [0, 1].
        targets: Integer array that broadcasts to `(...)`: the class of each image.
        judges: Classifiers of the same classes, by name.

    Returns:
        One row per judge: judge; n images; `transfer`, the share of images that it
        takes for their class, in [0, 1], 1 / K by chance; `probability`, the mean
        probability that it gives to their class. Transfer saturates at 1, the
        probability later.
    """
    rows = []
    for name, judge in judges.items():
        answers = ask(judge, images)
        labels = np.broadcast_to(targets, answers.predicted.shape)
        of_target = np.take_along_axis(
            probabilities(answers), labels[..., None], axis=-1
        )
        rows.append(
            {
                "judge": name,
                "n": labels.size,
                "transfer": (answers.predicted == labels).mean(),
                "probability": of_target.mean(),
            }
        )
    return pd.DataFrame(rows, columns=["judge", "n", "transfer", "probability"])


def distances(prototypes: np.ndarray, intermediary: np.ndarray) -> np.ndarray:
    """How far intermediary prototypes travelled.

    Args:
        prototypes: float32 `(..., K, height, width, channels)`, class prototypes.
        intermediary: float32 `(..., K, K, height, width, channels)`, P[target, origin].

    Returns:
        float32 `(..., K, K)`: |P[k, j] - p[j]|, the l2 norm over all pixels of values
        in [0, 1]; 0 on the diagonal.
    """
    changes = intermediary - prototypes[..., None, :, :, :, :]
    return np.sqrt((changes**2).sum(axis=(-3, -2, -1)))


def cross_over(
    probe: Probe, prototypes: np.ndarray, intermediary: np.ndarray
) -> np.ndarray:
    """How far along the straight way the network begins to see the target.

    Only which class is the most probable counts, so that, unlike a loss, it does not
    depend on the scale of the logits.

    Args:
        probe: The network.
        prototypes: As in `distances`.
        intermediary: As in `distances`.

    Returns:
        float32 `(..., K, K)`: the smallest distance |x - p[j]|, of 65 places evenly
        spaced from p[j] to P[k, j], at which the most probable class is k; NaN where
        there is none, and on the diagonal.
    """
    travelled = distances(prototypes, intermediary)
    num_classes = prototypes.shape[-4]
    origins = np.broadcast_to(prototypes[..., None, :, :, :, :], intermediary.shape)
    nearest = np.full(travelled.shape, np.nan, np.float32)
    targets = np.arange(num_classes)[:, None]
    for share in np.linspace(1, 0, _PLACES, dtype=np.float32):
        between = origins + share * (intermediary - origins)
        is_target = ask(probe, between).predicted == targets
        nearest = np.where(is_target, share * travelled, nearest)
    diagonal = np.arange(num_classes)
    nearest[..., diagonal, diagonal] = np.nan
    return nearest


def retrieval(prototypes: np.ndarray, intermediary: np.ndarray) -> float:
    """How often the origin of an intermediary prototype is the nearest one.

    Args:
        prototypes: float array `(K, d)`: pixels or features of class prototypes.
        intermediary: float array `(K, K, d)`: the same of P[target, origin].

    Returns:
        The share of the K (K - 1) images P[k, j] with j other than k of which p[j] is
        nearer, by Euclidean distance, than any other class prototype but p[k]; by
        chance 1 / (K - 1).
    """
    num_classes = len(prototypes)
    each = np.arange(num_classes)
    num_found = 0
    exact = np.asarray(prototypes, np.float64)
    norms = (exact**2).sum(axis=-1)
    # Target by target, and |x - p|^2 less |x|^2 by a product of matrices: differences
    # of 1,000 classes of small images would take 3 GB for each target.
    for target, images in enumerate(intermediary):
        squares = norms - 2 * np.asarray(images, np.float64) @ exact.T
        squares[:, target] = np.inf
        is_origin = squares.argmin(axis=-1) == each
        num_found += int(is_origin[each != target].sum())
    return num_found / (num_classes * (num_classes - 1))


def diversity(features: np.ndarray) -> float:
    """How much images of the same class from other starts differ.

    Args:
        features: float array `(initialisation, K, d)` of class prototypes.

    Returns:
        The mean over classes and pairs of initialisations of 1 - cosine, in [0, 2]; NaN
        with one initialisation.
    """
    units = dissimilarity.unit_vectors(np.asarray(features, np.float64))
    first, second = np.triu_indices(len(units), 1)
    if not len(first):
        return np.nan
    return float(1 - (units[first] * units[second]).sum(axis=-1).mean())


def high_frequency_share(images: np.ndarray) -> np.ndarray:
    """Share of an image's spectral power above half of the Nyquist frequency.

    Args:
        images: float array `(..., height, width, channels)`.

    Returns:
        float array `(...)` in [0, 1]; the mean of the image does not count. White noise
        has 0.80, an image of one colour NaN.
    """
    height, width = images.shape[-3:-1]
    power = (np.abs(np.fft.fft2(images, axes=(-3, -2))) ** 2).sum(axis=-1)
    flat = _ROUNDING * power[..., 0, 0]
    power[..., 0, 0] = 0
    frequencies = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.fftfreq(width))
    high = power[..., frequencies > 0.25].sum(axis=-1)
    total = power.sum(axis=(-2, -1))
    return np.divide(high, total, out=np.full_like(total, np.nan), where=total > flat)


def high_frequency_from_grey(probe: Probe) -> float:
    """How much of what a network asks for is what a person would take for noise.

    Args:
        probe: The network.

    Returns:
        The mean `high_frequency_share`, in [0, 1], of what the poster's rule changes in
        grey pixels until the network is sure of a class, over classes. It is a measure
        of the network: the shares of `fourier` and `maco` images are their prior's, and
        those of images that began as noise are that of the noise. NaN where nothing is
        changed but the colour of the whole.
    """
    grey = np.full((len(probe.class_names), *probe.input_shape), 0.5, np.float32)
    made = prototype_images.class_prototypes(probe, grey, _FROM_GREY)
    shares = high_frequency_share(made.images - grey)
    known = shares[~np.isnan(shares)]
    return float(known.mean()) if len(known) else np.nan


def measures(
    probe: Probe,
    prototypes: np.ndarray,
    intermediary: np.ndarray,
    judges: Mapping[str, Probe],
) -> dict[str, float]:
    """All measures of this module of the prototypes of one network.

    Args:
        probe: The network.
        prototypes: float32 `(initialisation, K, height, width, channels)`.
        intermediary: float32 `(initialisation, K, K, height, width, channels)`.
        judges: Classifiers of the same classes, by name.

    Returns:
        `num_prototypes`; `transfer` and `probability`, of class prototypes, means over
        judges; `transfer_lowest`, of the judge that takes the fewest for their class;
        of intermediary prototypes off the diagonal `p_transfer`, `p_probability` and
        `p_origin_probability`, the mean probabilities of target and origin;
        `distance` and `cross_over`, means over them; `retrieval_pixels` and
        `retrieval_features`, means over initialisations; `diversity`; of the network,
        `high_frequency`, see `high_frequency_from_grey`. What needs judges is NaN
        without.
    """
    num_classes = prototypes.shape[-4]
    off_diagonal = ~np.eye(num_classes, dtype=bool)
    targets, origins = np.argwhere(off_diagonal).T
    moved = intermediary[:, targets, origins]
    by_judge = transfer(prototypes, np.arange(num_classes), judges)
    of_targets = transfer(moved, targets, judges)
    of_origins = transfer(moved, origins, judges)
    features, moved_features = (
        ask(probe, images).features for images in (prototypes, intermediary)
    )

    def mean_retrieval(of_prototypes, of_intermediary):
        pairs = zip(of_prototypes, of_intermediary, strict=True)
        return float(
            np.mean(
                [
                    retrieval(
                        one.reshape(num_classes, -1),
                        many.reshape(num_classes, num_classes, -1),
                    )
                    for one, many in pairs
                ]
            )
        )

    values = {
        "num_prototypes": float(prototypes[..., 0, 0, 0].size),
        "transfer": by_judge["transfer"].mean(),
        "transfer_lowest": by_judge["transfer"].min(),
        "probability": by_judge["probability"].mean(),
        "p_transfer": of_targets["transfer"].mean(),
        "p_probability": of_targets["probability"].mean(),
        "p_origin_probability": of_origins["probability"].mean(),
        "distance": distances(prototypes, intermediary)[:, off_diagonal].mean(),
        "cross_over": np.nanmean(cross_over(probe, prototypes, intermediary)),
        "retrieval_pixels": mean_retrieval(prototypes, intermediary),
        "high_frequency": high_frequency_from_grey(probe),
    }
    if features is not None and moved_features is not None:
        values["retrieval_features"] = mean_retrieval(features, moved_features)
        values["diversity"] = diversity(features)
    return {name: float(value) for name, value in values.items()}


def of_study(directory, judges: Mapping[str, Probe]) -> pd.DataFrame:
    """All measures of the prototypes of a study, interval by interval.

    Args:
        directory: The study's folder, a string or path. Its networks are loaded, which
            runs what is in them: take only studies from those whom you trust.
        judges: Classifiers of the same classes, by name.

    Returns:
        One row per interval with a finished initialisation: interval (percent of the
        training), test_accuracy, num_not_converged, mean_iterations, and what
        `measures` returns, over the finished initialisations. Images that did not
        converge count, as judges look at all of them.

    Raises:
        ValueError: If the judges are of other classes or images.
        StudyFolderError: If the folder holds no prototype study.
    """
    study = prototype_store.read_prototype_study(directory)
    path = prototype_store.open_to_read(directory).path
    rows = []
    for interval, percentage in enumerate(study["interval"].values.tolist()):
        part = study.isel(interval=interval)
        part = part.isel(initialisation=part["finished"].values)
        if not part.sizes["initialisation"]:
            continue
        network = loading.load_probe(prototype_store.model_directory(path, percentage))
        for name, judge in judges.items():
            _check_judge(name, judge, network)
        images = part["image"].values
        each = np.arange(len(network.class_names))
        rows.append(
            {
                "interval": percentage,
                "test_accuracy": float(part["test_accuracy"]),
                "num_not_converged": int((~part["converged"]).sum()),
                "mean_iterations": float(part["iterations"].mean()),
            }
            | measures(network, images[:, each, each], images, judges)
        )
    return pd.DataFrame(rows)


def _check_judge(name: str, judge: Probe, network: Probe) -> None:
    if judge.input_shape != network.input_shape:
        raise ValueError(
            f"Expected judges of images {network.input_shape}. Received: {name}, of "
            f"{judge.input_shape}."
        )
    if judge.class_names != network.class_names:
        raise ValueError(
            f"Expected judges of the classes {', '.join(network.class_names[:5])}, ... "
            f"in this order. Received: {name}, of {', '.join(judge.class_names[:5])}, "
            "... Use networks of the same data, or a model.json with its `class_names`."
        )
