"""How much networks vary: what the size of a study is planned from."""

import dataclasses
import functools
import importlib.resources
import json

import numpy as np
import pandas as pd

from keras_confusion.comparisons import moderated_cells
from keras_confusion.comparisons.group_statistics import POINTS
from keras_confusion.comparisons.responses import RESPONSES, StudyResponses
from keras_confusion.comparisons.study_results import Study
from keras_confusion.confusion.head_responses import READINGS
from keras_confusion.stats import moderated

PILOTS_FILE = "pilots.json"


@dataclasses.dataclass(frozen=True)
class NetworkNoise:
    """How a response of a class varies between networks that are trained alike.

    Medians over the classes, so that it is the noise of a usual cell; and how much
    larger it is of the class that varies most.

    Args:
        unit: "points" or "d'".
        variance_within: Of the networks of an arm, without what their repeats have in
            common, in the unit's square.
        correlation: What the networks of a repeat have in common, as a share of the
            whole variance, in [0, 1).
        df: Degrees of freedom of the variance.
        most: Standard deviation of the class that varies most, times the usual one.
        num_classes: Number of classes.
        seconds: To train and test a network, on average; `None` of a pilot, which was
            trained on another machine.
    """

    unit: str
    variance_within: float
    correlation: float
    df: int
    most: float
    num_classes: int
    seconds: float | None

    def error_by_pair(self, repeats: int, baseline_repeats: int) -> float:
        """Standard error of a difference between an arm and the baseline.

        With rho the correlation, v of `moderated.own_share` and s^2 the whole variance:
        s^2 ((1 - 2 v rho + v^2) / R + (1 - v)^2 / M), R repeats that share their seeds
        with a baseline network each, and M baseline networks more.
        """
        others = baseline_repeats - repeats
        rho = self.correlation
        share = float(moderated.own_share(repeats, others, rho))
        error = (1 - 2 * share * rho + share**2) / repeats
        if share < 1:
            error += (1 - share) ** 2 / others
        return float(np.sqrt(self.variance_within / (1 - rho) * error))

    def error_by_class(self, repeats: int) -> float:
        """Standard error of a difference of target x class, with all pairs.

        Of the pairs without a target, K - 2 have the class and (K - 2)(K - 3) / 2 do
        not; within a repeat, what it has in common is not seen.
        """
        others = self.num_classes - 2
        arms = 1 / others + 2 / (others * (others - 1))
        return float(np.sqrt(self.variance_within * arms / repeats))


def noise_of_study(study: Study, response: str) -> NetworkNoise:
    """Reads the noise off a finished study.

    Args:
        study: With at least two repeats.
        response: One of `RESPONSES`, or the reading "features" or "total".

    Raises:
        ValueError: If the study has no such response, or too few networks.
    """
    unit, scale = "d'", 1.0
    if response in RESPONSES:
        unit, scale = "points", POINTS**2
        responses = study.responses
    elif response in READINGS[:2] and study.readings:
        responses = study.readings[response]
    else:
        raise ValueError(
            f"Expected a response among {(*RESPONSES, *READINGS[:2])}, and d' only of "
            f"a study whose networks have it. Received: {response!r}."
        )
    num_classes = len(study.class_names)
    found = [
        _variances(responses, target, leaves_pair_out=response != "accuracy")
        for target in range(num_classes)
    ]
    table = pd.DataFrame(found, columns=["within", "whole", "repeats"]).dropna()
    within, whole = table["within"].median(), table["whole"].median()
    if table.empty or not within > 0:
        raise ValueError(
            f"Expected a study whose networks differ in {response}, with two repeats "
            f"or more. Received: one of {len(study.networks)} networks."
        )
    return NetworkNoise(
        unit,
        variance_within=float(within * scale),
        correlation=float(max(1 - within / whole, 0)) if whole > 0 else 0.0,
        # One of every class and repeat: arms of a repeat are not independent.
        df=int((table["repeats"] - 1).sum()),
        most=float(np.sqrt(table["within"].max() / within)),
        num_classes=num_classes,
        seconds=float(np.nanmean(study.networks["seconds"])),
    )


def _variances(
    study: StudyResponses, target: int, *, leaves_pair_out: bool
) -> tuple[float, float, int]:
    """Variance within repeats and of the baseline, and how many repeats there are."""
    repeats = moderated_cells.Repeats(study)
    is_third = ~moderated_cells.members_of(study)[:, target]
    rates = study.confused_without_pair if leaves_pair_out else study.confused
    table = repeats.table(rates.accuracy_of(target))[is_third]
    table = table[np.isfinite(table).sum(axis=1) > 1]
    table = table[:, np.isfinite(table).any(axis=0)]
    levels = study.baseline.accuracy_of(target)[None]
    if leaves_pair_out:
        levels = study.baseline_without_pair.accuracy_of(target)[is_third]
    whole = float(np.median(levels.var(axis=1, ddof=1))) if levels.shape[1] > 1 else 0.0
    df = np.isfinite(table).sum() - table.shape[0] - table.shape[1] + 1
    if len(table) == 1:
        # A single arm: nothing says what repeats have in common.
        return float(np.nanvar(table, ddof=1)), whole, table.shape[1]
    if min(table.shape) < 2 or df < 1:
        return np.nan, np.nan, 0
    residuals = table - np.nanmean(table, axis=1, keepdims=True)
    residuals -= np.nanmean(residuals, axis=0)
    return float(np.nansum(residuals**2) / df), whole, table.shape[1]


@functools.cache
def pilots() -> dict[str, dict[str, NetworkNoise]]:
    """Studies that were run before, by name and response.

    `python -m benchmarks.validity.pilot_noise` makes the file anew; it says with how
    many epochs the networks were trained.
    """
    folder = importlib.resources.files("keras_confusion.comparisons")
    text = folder.joinpath(PILOTS_FILE).read_text()
    return {
        name: {
            response: NetworkNoise(**noise)
            for response, noise in pilot["responses"].items()
        }
        for name, pilot in json.loads(text)["pilots"].items()
    }
