"""Which units stand behind a generalization: what T had from learning a and b.

The networks of a pair's arm are compared with the baseline networks of the same
repeats, which start from the same weights and see the images in the same order, unit by
unit of the layer that the classification layer reads, see
`unit_uses`.
"""

import dataclasses
from collections.abc import Callable, Iterator

import numpy as np
import pandas as pd
import tensorflow as tf

from keras_confusion.confusion.plan import StudyPlan
from keras_confusion.explanations import unit_changes, unit_images, unit_uses
from keras_confusion.explanations.explained_model import ExplainedModel
from keras_confusion.explanations.retraining import RetrainedNetwork
from keras_confusion.explanations.unit_uses import NETWORKS, ReadUnits

NUM_IMAGES = 6
UNIT_COLUMNS = {"baseline": "unit", "confused": "unit_confused"}
_BATCH_SIZE = 500


@dataclasses.dataclass(frozen=True, eq=False)
class ShownUnit:
    """A unit in pictures; of two networks, the baseline first.

    Args:
        row: Its row of `Explanation.units`.
        looks: What it is in the baseline network and in the confused one; `None` in
            one of them for a unit that is lost or new.
    """

    row: pd.Series
    looks: tuple["UnitLook | None", "UnitLook | None"]


@dataclasses.dataclass(frozen=True, eq=False)
class UnitLook:
    """A unit of one network in pictures.

    Args:
        image: What the optimiser made, float32 `(height, width, channels)` in [0, 1].
        share: How active the unit is on it, see `unit_images.UnitImages`.
        strongest: The test images to which it responds most, `(NUM_IMAGES, height,
            width, channels)`, the most first.
        strongest_of_target: The same among the target's, which may be fewer.
        class_means: Mean activation on the test images of every class, `(K,)`.
    """

    image: np.ndarray
    share: float
    strongest: np.ndarray
    strongest_of_target: np.ndarray
    class_means: np.ndarray


@dataclasses.dataclass(frozen=True, eq=False)
class Explanation:
    """What `explain` found.

    Args:
        target: Label of the target class T.
        pair: Labels (a, b) of the confused pair.
        class_names: Names in the order of the labels.
        units: One row per repeat and unit: `unit_changes.compare_units`, ranked.
        repeats: One row per repeat: `repeat`; what changes add up to, see
            `unit_changes.compare_units`; `accuracy_without_pair_baseline` and
            `_confused`, shares, as the networks had them when they were trained;
            `equal_predictions_baseline` and `_confused`, see
            `retraining.RetrainedNetwork`; and `unit_changes.concentration`, for as many
            units as are shown.
        shown: The units whose use changed most, in order.
    """

    target: int
    pair: tuple[int, int]
    class_names: tuple[str, ...]
    units: pd.DataFrame
    repeats: pd.DataFrame
    shown: list[ShownUnit]


@dataclasses.dataclass(frozen=True, eq=False)
class _Network:
    """What is kept of one network: of its activations on test images `(n, d)`.

    Args:
        weights: See `RetrainedNetwork`.
        means: Mean activation of units on classes, `(K, d)`.
        maxima: Largest activation on any test image, `(d,)`.
        strongest: Numbers of the test images with the largest, `(NUM_IMAGES, d)`.
        strongest_of_target: The same among the target's.
    """

    weights: list[np.ndarray]
    means: np.ndarray
    maxima: np.ndarray
    strongest: np.ndarray
    strongest_of_target: np.ndarray


def explain(
    explained: ExplainedModel,
    networks: list[tuple[RetrainedNetwork, RetrainedNetwork]],
    target: int,
    pair: tuple[int, int],
    *,
    num_units: int = 6,
    on_progress: Callable[[int, int], None] | None = None,
) -> Explanation:
    """Finds the units whose use for a class changed most, and pictures of them.

    Args:
        explained: The model of the study.
        networks: Of every repeat the baseline network and the confused one.
        target: Label of the target class T, not in the pair.
        pair: Labels (a, b), a < b.
        num_units: How many units are shown.
        on_progress: Called with how many images are made, and of how many.

    Returns:
        An `Explanation`.
    """
    plan = explained.plan
    labels = plan.dataset.test.labels
    units, totals, by_repeat = [], [], {}
    for repeat_networks in networks:
        repeat = repeat_networks[0].repeat
        baseline, confused = (
            ReadUnits(*explained.activations(network.weights, _test_batches(plan)))
            for network in repeat_networks
        )
        read = baseline, confused
        changes, repeat_totals = unit_changes.compare_units(
            read, labels, target=target, pair=pair
        )
        changes.insert(0, "repeat", repeat)
        units.append(changes)
        totals.append(
            {
                "repeat": repeat,
                **repeat_totals,
                **_accuracies(repeat_networks, labels == target, target),
            }
        )
        by_repeat[repeat] = [
            _network(network.weights, read_units, labels, target)
            for network, read_units in zip(repeat_networks, read, strict=True)
        ]
    ranked = unit_changes.rank_units(pd.concat(units, ignore_index=True))
    shown = ranked.head(num_units)
    return Explanation(
        target=target,
        pair=pair,
        class_names=plan.dataset.class_names,
        units=ranked,
        repeats=pd.DataFrame(totals).merge(
            unit_changes.concentration(ranked, num_units), on="repeat"
        ),
        shown=_shown(plan, explained, shown, by_repeat, on_progress),
    )


def _network(weights, read: ReadUnits, labels, target) -> _Network:
    activations, num_classes = read.features, read.kernel.shape[1]
    return _Network(
        weights=weights,
        means=unit_uses.class_means(activations, labels, num_classes),
        maxima=activations.max(axis=0),
        strongest=_strongest(activations, np.arange(len(labels))),
        strongest_of_target=_strongest(activations, np.flatnonzero(labels == target)),
    )


def _accuracies(repeat_networks, is_target: np.ndarray, target: int) -> dict:
    """What the networks said when they were trained."""
    values = {}
    for name, network in zip(NETWORKS, repeat_networks, strict=True):
        hits = network.winners[is_target] == target
        values[f"accuracy_without_pair_{name}"] = float(hits.mean())
        values[f"equal_predictions_{name}"] = network.equal_predictions
    return values


def _strongest(activations: np.ndarray, among: np.ndarray) -> np.ndarray:
    """Numbers of the images with the largest activations, `(NUM_IMAGES, d)`."""
    order = np.argsort(-activations[among], axis=0, kind="stable")[:NUM_IMAGES]
    return among[order]


def _shown(plan, explained, rows, by_repeat, on_progress) -> list[ShownUnit]:
    """Pictures of units, network by network."""
    looks: dict = {}
    wanted: list = []
    num_images = int(rows[list(UNIT_COLUMNS.values())].notna().sum().sum())
    for repeat, repeat_rows in rows.groupby("repeat"):
        for name, network in zip(NETWORKS, by_repeat[repeat], strict=True):
            units = repeat_rows[UNIT_COLUMNS[name]].dropna().astype(int)

            def tell(num_done: int, _: int, num_before: int = len(looks)) -> None:
                if on_progress is not None:
                    on_progress(num_before + num_done, num_images)

            made = unit_images.unit_images(
                explained.probe(network.weights, plan.dataset.class_names),
                units.to_numpy(),
                network.maxima[units],
                on_progress=tell,
            )
            for (index, unit), image, share in zip(
                units.items(), made.images, made.shares, strict=True
            ):
                looks[index, name] = network, unit, image, share
                wanted += [*network.strongest[:, unit]]
                wanted += [*network.strongest_of_target[:, unit]]
    pictures = _pictures(plan, set(wanted))

    def look(network, unit, image, share) -> UnitLook:
        return UnitLook(
            image=image,
            share=share,
            strongest=pictures(network.strongest[:, unit]),
            strongest_of_target=pictures(network.strongest_of_target[:, unit]),
            class_means=network.means[:, unit],
        )

    return [
        ShownUnit(
            row=row,
            looks=tuple(  # type: ignore[arg-type]
                look(*looks[index, name]) if (index, name) in looks else None
                for name in NETWORKS
            ),
        )
        for index, row in rows.iterrows()
    ]


def _pictures(plan, wanted: set) -> Callable[[np.ndarray], np.ndarray]:
    """A function from numbers of test images to the images, of those wanted."""
    found: dict[int, np.ndarray] = {}
    first = 0
    for batch in _test_batches(plan):
        inside = [number for number in wanted if first <= number < first + len(batch)]
        found |= {number: batch[number - first] for number in inside}
        first += len(batch)
    return lambda numbers: np.stack([found[number] for number in numbers])


def _test_batches(plan: StudyPlan) -> Iterator[np.ndarray]:
    """Test images in order, float32 in [0, 1]."""
    batches = plan.dataset.test.dataset().batch(_BATCH_SIZE).prefetch(tf.data.AUTOTUNE)
    for _, images, _ in batches.as_numpy_iterator():
        yield images
