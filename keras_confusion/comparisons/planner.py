"""How many repeats does a study need? From a finished smaller one of the same kind."""

import dataclasses
import math

import numpy as np
import pandas as pd
import scipy.special
import scipy.stats

from keras_confusion.comparisons import (
    by_reading,
    null_results,
    study_results,
    target_by_class,
    target_by_pair,
)
from keras_confusion.comparisons import findings as comparison_findings
from keras_confusion.comparisons.responses import RESPONSES
from keras_confusion.comparisons.study_results import Study
from keras_confusion.confusion.head_responses import READINGS
from keras_confusion.datasets import class_pairs
from keras_confusion.stats import sensitivity

BY_CLASS, BY_PAIR = COMPARISONS = ("class", "pair")
# The noise is taken for at most this quantile of what the small study leaves open.
CERTAINTY = 0.8


@dataclasses.dataclass(frozen=True)
class StudyPlan:
    """What a study of the same pairs, epochs and data would need.

    Args:
        effect: The true effect on one cell, in `unit`.
        unit: "points" or "d'".
        power: The share of studies that find it with q <= 0.05.
        cells: Cells of the comparison, over which q-values are corrected.
        repeats: Repeats that are needed, with the upper limit of the noise.
        estimated_repeats: Those with its estimate.
        baseline_repeats: As many as `run_confusion_study` trains beside them.
        networks: All networks.
        seconds: Of a network of the small study, on average.
    """

    effect: float
    unit: str
    power: float
    cells: int
    repeats: int
    estimated_repeats: int
    baseline_repeats: int
    networks: int
    seconds: float

    @property
    def minutes(self) -> float:
        """Of training, one network after the other as in the small study."""
        return self.networks * self.seconds / 60


def plan_study(
    directory,
    effect: float,
    *,
    response: str = "features",
    comparison: str = BY_CLASS,
    power: float = null_results.POWER,
) -> StudyPlan:
    """Plans a study by the noise of a finished one of the same pairs.

    The standard error of a cell is the median of all cells by the moderated test. What
    the study leaves open of it is allowed for: its square is multiplied by
    d / chi2(0.2, d) with d = (repeats - 1) x targets, an upper 80 % limit. The effect
    has to be found alone among cells in which nothing happens, see
    `sensitivity.smallest_effect`.

    Args:
        directory: The small study's folder, a string or path, or a `StudyFolder`.
        effect: The true effect on one cell, positive: percentage points for
            "accuracy" and "accuracy_without_pair", d' for "features" and "total".
        response: What is compared.
        comparison: "class" (target x class, of studies of all pairs) or "pair".
        power: In (0.5, 1).

    Returns:
        A `StudyPlan`.

    Raises:
        ValueError: If a value makes no sense, or the study has no test of the response.
        StudyFolderError: As `study_results.read_study`.
    """
    if not effect > 0:
        raise ValueError(f"Expected an effect above 0. Received: {effect}.")
    if not 0.5 < power < 1:
        raise ValueError(f"Expected a power between 0.5 and 1. Received: {power}.")
    if comparison not in COMPARISONS:
        raise ValueError(
            f"Expected `comparison` to be one of {COMPARISONS}. Received: "
            f"{comparison!r}."
        )
    study = study_results.read_study(directory)
    table = _table(study, response, comparison)
    result = null_results.null_result(table)
    if result is None:
        raise ValueError(
            f"Expected a study with a test of {response} in target x {comparison}. "
            f"Received: none in {directory}. It needs two repeats, and networks that "
            "differ in this response."
        )
    noise_df = (result.repeats - 1) * table["target"].nunique()
    upper = math.sqrt(noise_df / scipy.special.chdtri(noise_df, CERTAINTY))
    repeats, estimated_repeats = (
        sensitivity.repeats_needed(
            effect,
            error=error,
            df=result.df,
            repeats=result.repeats,
            alpha=comparison_findings.SIGNIFICANCE / result.cells,
            power=power,
        )
        for error in (result.error * upper, result.error)
    )
    num_pairs = len(study.responses.pairs)
    baseline_repeats = round(repeats * math.sqrt(num_pairs))
    return StudyPlan(
        effect=effect,
        unit=result.unit,
        power=power,
        cells=result.cells,
        repeats=repeats,
        estimated_repeats=estimated_repeats,
        baseline_repeats=baseline_repeats,
        networks=num_pairs * repeats + baseline_repeats,
        seconds=float(np.nanmean(study.networks["seconds"])),
    )


def sentence(plan: StudyPlan) -> str:
    """The plan, in two sentences."""
    least = "more than " if plan.repeats >= sensitivity.MOST_REPEATS else ""
    unit = "point" if plan.unit == "points" and plan.effect == 1 else plan.unit
    return (
        f"An effect of {plan.effect:g} {unit} on one of {plan.cells} cells is found "
        f"with {100 * plan.power:.0f} % power by {least}{plan.repeats:,} repeats "
        f"({plan.estimated_repeats:,} by the estimate of the noise; taken is its upper "
        f"{100 * CERTAINTY:.0f} % limit). With {plan.baseline_repeats:,} baseline "
        f"networks that is {plan.networks:,} networks: about {_duration(plan.minutes)} "
        f"of training in one process, {plan.seconds:.1f} s each as in this study."
    )


def _duration(minutes: float) -> str:
    if minutes < 90:
        return f"{math.ceil(minutes)} minutes"
    return f"{minutes / 60:,.0f} hours"


def _table(study: Study, response: str, comparison: str) -> pd.DataFrame:
    """The cells of one response or reading by the moderated test."""
    names, pairs = study.class_names, study.responses.pairs
    if comparison == BY_CLASS and not class_pairs.has_all_pairs(pairs, len(names)):
        raise ValueError(
            "Expected a study of all pairs for target x class. Received: one of "
            f"{len(pairs)} pairs. Use the comparison by pair."
        )
    if response in RESPONSES:
        if comparison == BY_PAIR:
            table = target_by_pair.target_by_pair(
                study.responses, names, responses=(response,)
            )
            table = table[table["family"] == "third"]
        else:
            table = target_by_class.target_by_class(
                study.responses, names, responses=(response,)
            )
    elif response in READINGS[:2] and study.readings:
        compare = (
            by_reading.readings_by_pair
            if comparison == BY_PAIR
            else by_reading.readings_by_class
        )
        table, _ = compare(study.readings, names)
        table = table[table["reading"] == response]
    else:
        raise ValueError(
            f"Expected a response among {(*RESPONSES, *READINGS[:2])}, and d' only of "
            f"a study whose networks have it. Received: {response!r}."
        )
    return comparison_findings.with_test(table, comparison_findings.MODERATED)
