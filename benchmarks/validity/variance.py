"""What makes a class's accuracy differ between networks that should be the same.

    python -m benchmarks.validity.variance --out docs/results/validity/variance.md

trains a full factorial of real networks: schedule of the learning rate x initial
weights x order of the examples x which examples of one confused pair are given the
wrong label, 2 x 3 x 3 x 3. Each is tested with its last weights, and with averages of
its weights over the last steps (`weight_averages`), which are taken beside the same
training. For every schedule and kind of weights the variance of a class's accuracy is
split among the factors and their interactions, see `anova`. Some networks are
trained a second time, without any averages and with the library's own, to see that
training is deterministic and that averages do not change it.

Networks are kept in studies/benchmarks: a command that is run again trains only what is
missing. With `--out`, numbers are also written as JSON, and a figure as PNG.
"""

import argparse
import json
import math
import pathlib
from collections.abc import Mapping

import numpy as np

from benchmarks.speed import statistical_power
from benchmarks.validity import (
    anova,
    variance_figure,
    variance_networks,
    variance_report,
)
from benchmarks.validity.variance_networks import (
    AVERAGED,
    CHOSEN,
    FACTORS,
    LAST,
    OBSERVED,
    PAIR,
    PLAIN,
    SCHEDULES,
    WEIGHTS,
    Design,
    Network,
)
from benchmarks.validity.variance_report import MEMBERS, OVERALL, THIRD, WITHOUT_PAIR
from keras_confusion.execution import runtime
from keras_confusion.storage.study_folder import StudyFolder

LEVELS, EPOCHS = 3, 6
QUICK_LEVELS, QUICK_EPOCHS = 2, 1
REFERENCE = SCHEDULES[0], LAST
# What networks that start alike and see the same order have in common.
SHARED = [(0,), (1,), (0, 1)]


def measure(dataset: str, *, quick: bool = False, levels: int = LEVELS) -> dict:
    """Trains what is missing, and analyses all of it.

    Args:
        dataset: A name of `loading.load_dataset`.
        quick: Takes few networks of one epoch.
        levels: Levels of every factor, at least 2.

    Returns:
        All numbers, JSON types: settings, checks, and by response and cell what
        `analyse` returns.

    Raises:
        datasets.DatasetUnavailableError: If the data set is not on this machine.
    """
    runtime.start_tensorflow(threads=1)
    design = Design(
        dataset,
        levels=QUICK_LEVELS if quick else levels,
        epochs=QUICK_EPOCHS if quick else EPOCHS,
        dtype_policy=runtime.default_dtype_policy(),
    )
    stem = pathlib.Path(dataset).stem
    name = f"variance-{stem}-{design.levels}x{design.epochs}-{design.dtype_policy}"
    directory = statistical_power.FOLDER / name
    workers = runtime.default_num_workers()
    variance_networks.train_missing(directory, design, workers=workers)
    networks = variance_networks.read_networks(directory, design)
    description = StudyFolder.open(directory).description
    return {
        "settings": description["settings"],
        "class_names": description["class_names"],
        "provenance": description["provenance"],
        "checks": checks(networks),
        **analyse(networks, design.levels),
    }


def checks(networks: Mapping[Network, dict]) -> list[dict]:
    """Networks that were trained again, and whether their logits have the same bits."""
    found = []
    for again, kept in networks.items():
        if again.how == OBSERVED:
            continue
        first = networks[Network(again.schedule, OBSERVED, *again.levels)]["of_weights"]
        name = {PLAIN: LAST, AVERAGED: CHOSEN}[again.how]
        (retrained,) = kept["of_weights"].values()
        same = retrained["sha256"] == first[name]["sha256"]
        found.append({"network": again.name, "weights": name, "same_bits": same})
    return found


def analyse(networks: Mapping[Network, dict], levels: int) -> dict:
    """Everything that is reported of the networks.

    Returns:
        `processor_seconds`, the median of a network that is trained by a recipe as it
        is; `effects`, their names in order; `cells`, one for each response, schedule
        and kind of weights, see `analyse_cell`.
    """
    seconds = [
        kept["processor_seconds"]
        for network, kept in networks.items()
        if network.how != OBSERVED
    ]
    per_network = float(np.median(seconds))
    by_cell = {
        (schedule, weights): responses_of(networks, schedule, weights, levels)
        for schedule in SCHEDULES
        for weights in WEIGHTS
    }
    cells = []
    for response in (THIRD, WITHOUT_PAIR, MEMBERS, OVERALL):
        reference = by_cell[REFERENCE][response]
        for (schedule, weights), values in by_cell.items():
            found = analyse_cell(values[response], reference)
            minutes = [number * per_network / 60 for number in found["networks_needed"]]
            cells.append(
                {"response": response, "schedule": schedule, "weights": weights}
                | found
                | {"core_minutes_needed": minutes}
            )
    return {
        "processor_seconds": per_network,
        "effects": [
            " x ".join(FACTORS[factor] for factor in effect)
            for effect in anova.effects(len(FACTORS))
        ],
        "cells": cells,
    }


def responses_of(
    networks: Mapping[Network, dict], schedule: str, weights: str, levels: int
) -> dict[str, np.ndarray]:
    """Responses of one cell's networks, percent.

    Returns:
        By response an array `(levels, levels, levels, classes)`, in the order of
        `FACTORS`; of the response over all classes there is one "class".
    """
    shape = (levels,) * len(FACTORS)

    def collect(response: str) -> np.ndarray:
        values = [
            networks[Network(schedule, OBSERVED, *factor_levels)]["of_weights"][weights]
            for factor_levels in np.ndindex(shape)
        ]
        shares = np.array(
            [network_responses[response] for network_responses in values], float
        )
        return 100 * shares.reshape(*shape, -1)

    accuracy, without_pair = collect("accuracy"), collect("accuracy_without_pair")
    third = np.delete(np.arange(accuracy.shape[-1]), PAIR)
    return {
        THIRD: accuracy[..., third],
        WITHOUT_PAIR: without_pair[..., third],
        MEMBERS: accuracy[..., list(PAIR)],
        OVERALL: accuracy.mean(axis=-1, keepdims=True),
    }


def analyse_cell(values: np.ndarray, reference: np.ndarray) -> dict:
    """Variance of one response in one cell, mean over its classes.

    Args:
        values: Percent, `(levels, levels, levels, classes)`.
        reference: The same of the cell that it is compared with.

    Returns:
        `accuracy`, mean, percent; `components`, one of each effect, `[estimate, low,
        high]`, points squared, which may be negative; `variance`, `sd` and
        `networks_needed` for a standard error of 0.5 points, of networks that are new
        in everything, `variance_ratio` to the reference, all `[estimate, low, high]`;
        `class_sd`, of every class; `shared`, the share of the variance that networks
        have in common that start alike and see the same order.
    """
    components = anova.variance_components(values, len(FACTORS))
    variances = anova.total_variance(components)
    reference_variances = anova.total_variance(
        anova.variance_components(reference, len(FACTORS))
    )
    num_classes = len(variances)
    variance = anova.jackknife_log_interval(
        lambda classes: float(variances[classes].mean()), num_classes
    )
    ratio = anova.jackknife_log_interval(
        lambda classes: _ratio(variances[classes], reference_variances[classes]),
        num_classes,
    )
    needed = np.array(variance) / (100 * statistical_power.STANDARD_ERROR) ** 2
    effects = anova.effects(len(FACTORS))
    in_common = sum(components[effects.index(effect)].mean() for effect in SHARED)
    return {
        "accuracy": float(values.mean()),
        "components": [list(anova.mean_interval(one)) for one in components],
        "variance": list(variance),
        "sd": np.sqrt(variance).tolist(),
        "class_sd": np.sqrt(variances).tolist(),
        "networks_needed": needed.tolist(),
        "variance_ratio": list(ratio),
        "shared": _ratio(in_common, variances),
    }


def _ratio(above, below) -> float:
    """Ratio of means; NaN where nothing varies."""
    mean = float(np.mean(below))
    return float(np.mean(above)) / mean if mean > 0 else math.nan


def _finite(value):
    """The same with `None` in place of NaN, which JSON does not have."""
    if isinstance(value, dict):
        return {key: _finite(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_finite(inner) for inner in value]
    return None if isinstance(value, float) and math.isnan(value) else value


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--dataset", help="default: cifar10, or digits with --quick")
    parser.add_argument(
        "--quick", action="store_true", help="few networks of one epoch"
    )
    parser.add_argument(
        "--levels",
        type=int,
        choices=(2, 3, 4),
        default=LEVELS,
        help="of every factor (default: %(default)s)",
    )
    parser.add_argument(
        "--out",
        type=pathlib.Path,
        metavar="FILE.md",
        help="also write the report there, FILE.json and FILE.png beside it",
    )
    options = parser.parse_args()
    dataset = options.dataset or ("digits" if options.quick else "cifar10")
    found = measure(dataset, quick=options.quick, levels=options.levels)
    picture = None if options.out is None else options.out.with_suffix(".png")
    text = variance_report.report(found, picture=picture)
    print(text)
    if options.out is not None:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        variance_figure.draw(found).savefig(picture, dpi=variance_figure.DPI)
        options.out.with_suffix(".json").write_text(
            json.dumps(_finite(found), indent=1) + "\n"
        )
        options.out.write_text(text)


if __name__ == "__main__":
    main()
