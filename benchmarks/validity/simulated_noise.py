"""How networks vary in real studies, and made-up studies that vary like them."""

import dataclasses
import pathlib

import numpy as np

from benchmarks import timing
from benchmarks.validity import null_networks
from keras_confusion.comparisons import moderated_cells, study_results
from keras_confusion.comparisons.rates import Rates
from keras_confusion.comparisons.responses import StudyResponses
from keras_confusion.execution import runtime
from keras_confusion.stats import moderated

NUM_CLASSES = 10
PAIRS = np.array([(a, b) for a in range(10) for b in range(a + 1, 10)])
CIFAR = timing.ROOT / "docs" / "results" / "confusion_cifar10"


@dataclasses.dataclass(frozen=True)
class Noise:
    """How a response of the networks of a real study varies, `(K,)` each.

    Args:
        name: Of the study and the response.
        level: Mean response of the baseline.
        sd: Of the networks of an arm, within repeats.
        prior_df: Of the variances of arms, see `moderated.variance_prior`.
        repeat_sd: Of what the networks of a repeat have in common.
        shapes: Residuals of arms, scaled to a variance of 1, one array a target.
        images: Test images of a class, of which accuracies are shares; 0 for d'.
    """

    name: str
    level: np.ndarray
    sd: np.ndarray
    prior_df: np.ndarray
    repeat_sd: np.ndarray
    shapes: list[np.ndarray]
    images: int


def arms_without(target: int) -> np.ndarray:
    """Numbers of the pairs without a class."""
    return np.flatnonzero(~(target == PAIRS).any(axis=1))


def noise_of(name: str, study: StudyResponses, images: int) -> Noise:
    """Reads the noise off a study of all pairs that shares its seeds."""
    columns: dict[str, list] = {"sd": [], "prior_df": [], "repeat_sd": [], "shapes": []}
    repeats = moderated_cells.Repeats(study)
    members = moderated_cells.members_of(study)
    for target in range(NUM_CLASSES):
        responses = repeats.table(study.confused.accuracy_of(target))
        responses = responses[~members[:, target]]
        whole = responses[:, np.isfinite(responses).all(axis=0)]
        num_arms, num_repeats = whole.shape
        residuals = whole - whole.mean(axis=1, keepdims=True)
        residuals -= residuals.mean(axis=0)
        # As many as are free, so that variances are right.
        residuals *= np.sqrt(
            num_arms * num_repeats / ((num_arms - 1) * (num_repeats - 1))
        )
        variances = (residuals**2).mean(axis=1)
        _, prior_df = moderated.variance_prior(
            variances[variances > 0], num_repeats - 1
        )
        within = (residuals**2).mean()
        # Stopping at 1 moves a mean by the noise: near it, arms have the same one.
        level = study.baseline.accuracy_of(target).mean()
        is_near_ceiling = images and level + 3 * np.sqrt(within) > 1
        # Less than 5 would have arms without a variance.
        columns["prior_df"].append(
            1e6 if is_near_ceiling else np.clip(prior_df, 5, 1e6)
        )
        columns["sd"].append(np.sqrt(within))
        between = study.baseline.accuracy_of(target).var(ddof=1) - within
        columns["repeat_sd"].append(np.sqrt(max(between, 0)))
        columns["shapes"].append((residuals / np.sqrt(within)).ravel())
    level = study.baseline.select(slice(None)).accuracy.mean(axis=0)
    return Noise(
        name,
        level[:NUM_CLASSES],
        *(np.array(columns[key]) for key in ("sd", "prior_df", "repeat_sd")),
        columns["shapes"],
        images,
    )


@dataclasses.dataclass(frozen=True)
class DrawnStudy:
    """Networks of all targets in a study in which nothing happens.

    Args:
        responses: Of the arms without each target, `(K, 36, R)`.
        baseline: Of all baseline networks, those of the repeats first, `(K, N)`.
        variances: True variances of the arms within repeats, `(K, 36)`.
    """

    responses: np.ndarray
    baseline: np.ndarray
    variances: np.ndarray


def drawn_study(
    noise: Noise, repeats: int, num_baseline: int, rng: np.random.Generator
) -> DrawnStudy:
    """Draws one study."""
    num_arms = len(arms_without(0))
    df = noise.prior_df[:, None]
    # The baseline is one arm more.
    variances = noise.sd[:, None] ** 2 * (df - 2)
    variances = variances / rng.chisquare(df, (NUM_CLASSES, num_arms + 1))
    residuals = np.stack(
        [rng.choice(shape, (num_arms + 1, num_baseline)) for shape in noise.shapes]
    )
    shared = noise.repeat_sd[:, None] * rng.normal(size=(NUM_CLASSES, num_baseline))
    values = noise.level[:, None] + shared
    values = values[:, None] + np.sqrt(variances)[..., None] * residuals
    if noise.images:
        values = np.rint(np.clip(values, 0, 1) * noise.images) / noise.images
    return DrawnStudy(values[:, :-1, :repeats], values[:, -1], variances[:, :-1])


def digits_study() -> pathlib.Path:
    """The folder of a study of the digits, which is trained if it is not there."""
    from keras_confusion.confusion import study as confusion_study

    directory = null_networks.FOLDER / "noise-digits"
    confusion_study.run_confusion_study(
        directory,
        dataset="digits",
        pairs="all",
        repeats=8,
        epochs=4,
        verbose=1,
    )
    return directory


def noises() -> list[tuple[Noise, tuple[float, ...]]]:
    """The real studies, and the effects against which power is told."""
    runtime.start_tensorflow(threads=1)
    study = study_results.read_study(digits_study())
    images = int(study.responses.test_images_per_class.min())
    points, d_primes = (0.005, 0.01, 0.02), (0.001, 0.002, 0.005)
    cifar = null_networks.read_responses(CIFAR)
    features = study.readings["features"]
    plain = dataclasses.replace(
        features,
        confused=features.confused_without_pair,
        baseline=_relative_baseline(features),
        prior=np.full(NUM_CLASSES, 1 / NUM_CLASSES),
    )
    return [
        (noise_of("CIFAR-10, accuracy", cifar, 1000), points),
        (noise_of("digits, accuracy", study.responses, images), points),
        (noise_of("digits, d' of features", plain, 0), d_primes),
    ]


def _relative_baseline(features: StudyResponses):
    """Relative d' of the baseline, one of the pairs without the target left out."""
    without = features.baseline_without_pair
    values = np.stack(
        [
            without.accuracy_of(target)[arms_without(target)[0]]
            for target in range(NUM_CLASSES)
        ],
        axis=1,
    )
    return Rates(values, values, values)
