"""Two classes of a trained classifier: their prototypes and what lies between.

From noise, for every initialisation: the class prototypes p[from] and p[to], the
intermediary prototype P[to, from], which starts as p[from], and the boundary image at
which both classes tie, which starts there too.
"""

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
import scipy.special

from keras_confusion.datasets import class_pairs
from keras_confusion.models import probe as model_probe
from keras_confusion.prototypes import dissimilarity, grid
from keras_confusion.prototypes import images as prototype_images
from keras_confusion.prototypes.optimizer import objectives
from keras_confusion.prototypes.optimizer.frames import evenly_spaced_frames
from keras_confusion.prototypes.optimizer.image_optimizer import (
    optimize_images,
)
from keras_confusion.prototypes.optimizer.parametrizations import rendered
from keras_confusion.prototypes.optimizer.settings import (
    usual_parametrization,
)
from keras_confusion.prototypes.pair_settings import PairSettings

# In the order of the way from one class to the other.
IMAGES = ("p_from", "boundary", "intermediary", "p_to")
# Images that are compared with d(x, y) = 1 - cos(g(x), g(y)).
COMPARISONS = (
    ("p_from", "p_to"),
    ("intermediary", "p_to"),
    ("intermediary", "p_from"),
    ("boundary", "p_from"),
    ("boundary", "p_to"),
)
GAP_TOLERANCE = 0.01


@dataclasses.dataclass(frozen=True, eq=False)
class ProbedPair:
    """What `probe_pair` made; n initialisations come first in every array.

    Args:
        labels: (from, to).
        class_names: All of the classifier's.
        noise: What "p_from" and "p_to" started as, `(n, height, width, channels)`.
        images: For each of `IMAGES` float32 `(n, height, width, channels)` in [0, 1].
        frames: Of "p_from", "p_to" and "intermediary" the way from the first image to
            the last, `(n, num_frames, height, width, channels)`; empty if not kept.
        answers: What the classifier says of `images`. Their logits are the optimiser's
            last: asked in another batch or program, a classifier in bfloat16 gives
            others.
        answers_to_noise: The same of `noise`.
        answers_to_frames: The same of `frames`.
        measures: See `probe_pair`.
        dissimilarities: See `probe_pair`; `None` for a classifier without features.
    """

    labels: tuple[int, int]
    class_names: tuple[str, ...]
    noise: dict[str, np.ndarray]
    images: dict[str, np.ndarray]
    frames: dict[str, np.ndarray]
    answers: dict[str, grid.Answers]
    answers_to_noise: dict[str, grid.Answers]
    answers_to_frames: dict[str, grid.Answers]
    measures: pd.DataFrame
    dissimilarities: pd.DataFrame | None


def resolve_pair(pair: Sequence[str], class_names: Sequence[str]) -> tuple[int, int]:
    """Turns two classes, each by name or by label, into labels; their order counts.

    Raises:
        ValueError: If one is unknown, or both are the same.
    """
    first, second = (class_pairs.resolve_class(name, class_names) for name in pair)
    if first == second:
        raise ValueError(
            f"Expected two different classes. Received: {pair[0]!r} and {pair[1]!r}."
        )
    return first, second


def probe_pair(
    probe: model_probe.Probe,
    labels: tuple[int, int],
    settings: PairSettings,
    *,
    on_progress: Callable[[int], None] | None = None,
) -> ProbedPair:
    """Optimises and measures the images of a pair of classes.

    Args:
        probe: The classifier.
        labels: (from, to).
        settings: A `PairSettings`.
        on_progress: Called with the number of images that are done, of `num_images`.

    Returns:
        A `ProbedPair`. Its `measures` has a row per initialisation and image, with
        columns initialisation, image, loss (nats, toward its class; of a boundary,
        toward half and half in excess of log 2), gap (logit of `to` minus that of
        `from`), iterations, converged, predicted (a name), probability (of that class),
        probability_from, probability_to. All but iterations are those of the finished
        image, as the optimiser saw it when it stopped. `dissimilarities` has a row per
        initialisation, with columns initialisation and d_<image>_<image> for each of
        `COMPARISONS`, NaN where one of the two did not converge.

    Raises:
        ValueError: If settings are not what is expected.
    """
    _check(settings)
    num_classes = len(probe.class_names)
    optimizer = settings.optimizer(probe)
    parametrization = usual_parametrization(optimizer, probe.input_shape)
    # Now, not when everything else is done.
    objectives.check_tie(num_classes, settings.loss_threshold, GAP_TOLERANCE)
    start = np.stack(
        [
            [
                parametrization.start(
                    np.random.SeedSequence((settings.seed, init, label)), 1
                )[0]
                for label in labels
            ]
            for init in range(settings.inits)
        ]
    )
    # Seed, initialisation, target and origin decide how an image is transformed.
    seeds = np.array(
        [
            [(settings.seed, init, label, label) for label in labels]
            for init in range(settings.inits)
        ]
    )
    to_second = seeds[:, 1].copy()
    to_second[:, 3] = labels[0]
    tell = on_progress or (lambda num_done: None)
    class_prototypes = optimize_images(
        probe.logits,
        start,
        np.broadcast_to(labels, start.shape[:2]),
        optimizer,
        seeds=seeds,
        on_progress=lambda done, _: tell(done),
    )
    origins = class_prototypes.parameters[:, 0]
    intermediary = optimize_images(
        probe.logits,
        origins,
        np.full(settings.inits, labels[1]),
        optimizer.for_prototypes(),
        seeds=to_second,
        on_progress=lambda done, _: tell(2 * settings.inits + done),
    )
    boundary = prototype_images.boundary_images(
        probe,
        origins,
        np.broadcast_to(labels, (settings.inits, 2)),
        optimizer,
        learning_rate=grid.ProbingSettings.boundary_learning_rate,
        gap_tolerance=GAP_TOLERANCE,
        seeds=to_second,
        on_progress=lambda done, _: tell(3 * settings.inits + done),
    )
    images = {
        "p_from": class_prototypes.images[:, 0],
        "boundary": boundary.images,
        "intermediary": intermediary.images,
        "p_to": class_prototypes.images[:, 1],
    }
    iterations = {
        "p_from": class_prototypes.iterations[:, 0],
        "boundary": boundary.iterations,
        "intermediary": intermediary.iterations,
        "p_to": class_prototypes.iterations[:, 1],
    }
    frames = {}
    if settings.frames:
        ways = {
            "p_from": (class_prototypes.frames or [])[::2],
            "p_to": (class_prototypes.frames or [])[1::2],
            "intermediary": intermediary.frames or [],
        }
        frames = {
            name: evenly_spaced_frames(way, settings.frames)
            for name, way in ways.items()
        }
    started = rendered(parametrization, start)
    noise = {"p_from": started[:, 0], "p_to": started[:, 1]}
    answers = _ask_all(probe, images)
    final_logits = {
        "p_from": class_prototypes.logits[:, 0],
        "boundary": boundary.logits,
        "intermediary": intermediary.logits,
        "p_to": class_prototypes.logits[:, 1],
    }
    answers = {
        name: dataclasses.replace(
            given,
            logits=final_logits[name],
            predicted=final_logits[name].argmax(axis=-1).astype(np.int16),
        )
        for name, given in answers.items()
    }
    measures = _measures(answers, iterations, labels, probe.class_names, settings)
    return ProbedPair(
        labels=labels,
        class_names=probe.class_names,
        noise=noise,
        images=images,
        frames=frames,
        answers=answers,
        answers_to_noise=_ask_all(probe, noise),
        answers_to_frames=_ask_all(probe, frames),
        measures=measures,
        dissimilarities=_dissimilarities(answers, measures),
    )


def num_images(settings: PairSettings) -> int:
    """How many images `probe_pair` counts."""
    return len(IMAGES) * settings.inits


def probabilities(answers: grid.Answers) -> np.ndarray:
    """Class probabilities of answers, float64 `(..., K)`."""
    return scipy.special.softmax(answers.logits.astype(np.float64), axis=-1)


def comparison_column(first: str, second: str) -> str:
    """The column of `ProbedPair.dissimilarities` that compares two of `IMAGES`."""
    return f"d_{first}_{second}"


def _ask_all(probe: model_probe.Probe, images: dict) -> dict[str, grid.Answers]:
    return {name: grid.ask(probe, values) for name, values in images.items()}


def _measures(answers, iterations, labels, class_names, settings) -> pd.DataFrame:
    """A table with a row per initialisation and image."""
    first, second = labels
    aims = {"p_from": [first], "p_to": [second], "intermediary": [second]}
    parts = []
    for name in IMAGES:
        given = answers[name]
        logs = scipy.special.log_softmax(given.logits.astype(np.float64), axis=-1)
        aim = aims.get(name, [first, second])
        # Toward one class, -log p; toward two, less the entropy of half and half.
        losses = np.maximum(-logs[:, aim].mean(axis=1) - np.log(len(aim)), 0)
        gaps = given.logits[:, second] - given.logits[:, first]
        converged = losses < settings.loss_threshold
        if len(aim) > 1:
            converged &= np.abs(gaps) < GAP_TOLERANCE
        parts.append(
            pd.DataFrame(
                {
                    "initialisation": np.arange(settings.inits),
                    "image": name,
                    "loss": losses,
                    "gap": gaps,
                    "iterations": iterations[name],
                    "converged": converged,
                    "predicted": [class_names[label] for label in given.predicted],
                    "probability": np.exp(logs.max(axis=1)),
                    "probability_from": np.exp(logs[:, first]),
                    "probability_to": np.exp(logs[:, second]),
                }
            )
        )
    table = pd.concat(parts, ignore_index=True)
    return table.sort_values("initialisation", kind="stable", ignore_index=True)


def _dissimilarities(answers, measures: pd.DataFrame) -> pd.DataFrame | None:
    """A table with a row per initialisation, or `None` without features."""
    units = {}
    for name, given in answers.items():
        if given.features is None:
            return None
        converged = measures.loc[measures["image"] == name, "converged"].to_numpy()
        directions = dissimilarity.unit_vectors(given.features.astype(np.float64))
        units[name] = np.where(converged[:, None], directions, np.nan)
    table = pd.DataFrame({"initialisation": np.arange(len(units["p_from"]))})
    for first, second in COMPARISONS:
        cosines = (units[first] * units[second]).sum(axis=1)
        table[comparison_column(first, second)] = np.clip(1 - cosines, 0, 2)
    return table


def _check(settings: PairSettings) -> None:
    if settings.inits < 1:
        raise ValueError(f"Expected `inits` of at least 1. Received: {settings.inits}.")
    if settings.seed < 0:
        raise ValueError(f"Expected `seed` of at least 0. Received: {settings.seed}.")
    if settings.frames < 0 or settings.frames == 1:
        raise ValueError(
            "Expected `frames` of 0, or of at least 2 for the first and the last. "
            f"Received: {settings.frames}."
        )


def dissimilarity_summary(probed: ProbedPair) -> pd.DataFrame:
    """Mean and sd (ddof = 1) of every dissimilarity over the initialisations.

    Returns:
        One row per comparison with columns comparison, mean, sd, n; only
        initialisations in which both images converged count.

    Raises:
        ValueError: If there are none, as the classifier has no features.
    """
    if probed.dissimilarities is None:
        raise ValueError("Expected features. Received: none. Use another classifier.")
    table = probed.dissimilarities.drop(columns="initialisation")
    summary = pd.DataFrame(
        {"mean": table.mean(), "sd": table.std(), "n": table.count()}
    )
    return summary.rename_axis("comparison").reset_index()
