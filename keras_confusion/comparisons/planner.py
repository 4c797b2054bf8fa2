"""How many repeats does a study need? From a finished smaller one of the same kind."""

import dataclasses
import math
import pathlib

import numpy as np
import scipy.special

from keras_confusion.comparisons import findings as comparison_findings
from keras_confusion.comparisons import network_noise, null_results, study_results
from keras_confusion.comparisons.network_noise import NetworkNoise
from keras_confusion.stats import moderated, sensitivity

BY_CLASS, BY_PAIR = COMPARISONS = ("class", "pair")
# The noise is taken for at most this quantile of what the small study leaves open.
CERTAINTY = 0.8


@dataclasses.dataclass(frozen=True)
class StudyPlan:
    """What a study of the same epochs and data would need.

    Args:
        effect: The true effect on one cell, in `unit`.
        unit: "points" or "d'".
        power: The share of studies that find it with q <= 0.05.
        cells: Cells of the comparison, over which q-values are corrected.
        num_pairs: Pairs of the study.
        repeats: Repeats that are needed, with the upper limit of the noise.
        estimated_repeats: Those with its estimate.
        most_repeats: Those for the class whose networks vary most.
        baseline_repeats: Baseline networks beside them.
        fewest: Repeats and baseline networks that need the fewest networks in all.
        seconds: Of a network of the small study, on average; `None` of a pilot.
    """

    effect: float
    unit: str
    power: float
    cells: int
    num_pairs: int
    repeats: int
    estimated_repeats: int
    most_repeats: int
    baseline_repeats: int
    fewest: tuple[int, int]
    seconds: float | None

    @property
    def networks(self) -> int:
        """Number of all networks."""
        return self.num_pairs * self.repeats + self.baseline_repeats

    @property
    def fewest_networks(self) -> int:
        """Number of all networks of `fewest`."""
        return self.num_pairs * self.fewest[0] + self.fewest[1]

    @property
    def minutes(self) -> float | None:
        """Of training, one network after the other as in the small study."""
        return None if self.seconds is None else self.networks * self.seconds / 60


def plan_study(
    source,
    effect: float,
    *,
    response: str = "features",
    comparison: str = BY_CLASS,
    power: float = null_results.POWER,
    num_pairs: int | None = None,
    baseline_repeats: int | None = None,
) -> StudyPlan:
    """Plans a study by the noise of a finished one, or of one that comes with this.

    The standard error of a cell follows from how networks vary, see `NetworkNoise`.
    What the small study leaves open of it is allowed for: its square is multiplied by
    d / chi2(0.2, d) with d = (repeats - 1) x classes, an upper 80 % limit. The effect
    has to be found alone among cells in which nothing happens, by the moderated test,
    see `sensitivity.smallest_effect`.

    Args:
        source: The small study's folder, a string or path, or the name of a pilot study
            whose noise is known: "digits", "planted", "cifar10" or "reviews".
        effect: The true effect on one cell, positive: percentage points for
            "accuracy" and "accuracy_without_pair", d' for "features" and "total".
        response: What is compared.
        comparison: "class" (target x class, which needs all pairs) or "pair".
        power: In (0.5, 1).
        num_pairs: Pairs of the study; `None` for as many as the small one has, and all
            after a pilot.
        baseline_repeats: Baseline networks of the study; `None` for repeats x
            sqrt(pairs), as `run_confusion_study` has (Dunnett 1955).

    Returns:
        A `StudyPlan`.

    Raises:
        ValueError: If a value makes no sense, or the study has no such response.
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
    noise, own_pairs = _noise_of(source, response)
    all_pairs = math.comb(noise.num_classes, 2)
    num_pairs = own_pairs if num_pairs is None else num_pairs
    if not 0 < num_pairs <= all_pairs:
        raise ValueError(f"Expected 1 to {all_pairs} pairs. Received: {num_pairs}.")
    if comparison == BY_CLASS and num_pairs < all_pairs:
        raise ValueError(
            f"Expected all {all_pairs} pairs for target x class. Received: "
            f"{num_pairs}. Use the comparison by pair."
        )
    design = _Design(noise, comparison, effect, power, num_pairs)
    upper = math.sqrt(noise.df / scipy.special.chdtri(noise.df, CERTAINTY))
    repeats, estimated_repeats, most_repeats = (
        design.repeats_needed(scale, baseline_repeats)
        for scale in (upper, 1.0, upper * noise.most)
    )
    return StudyPlan(
        effect=effect,
        unit=noise.unit,
        power=power,
        cells=design.cells,
        num_pairs=num_pairs,
        repeats=repeats,
        estimated_repeats=estimated_repeats,
        most_repeats=most_repeats,
        baseline_repeats=baseline_repeats or design.usual_baseline(repeats),
        fewest=design.fewest(upper, repeats),
        seconds=noise.seconds,
    )


@dataclasses.dataclass(frozen=True)
class _Design:
    """What is to be found, and how networks vary."""

    noise: NetworkNoise
    comparison: str
    effect: float
    power: float
    num_pairs: int

    @property
    def cells(self) -> int:
        num_classes = self.noise.num_classes
        if self.comparison == BY_CLASS:
            return num_classes * (num_classes - 1)
        return self.num_pairs * (num_classes - 2)

    def usual_baseline(self, repeats: int) -> int:
        return round(repeats * math.sqrt(self.num_pairs))

    def is_found(self, scale: float, repeats: int, baseline_repeats: int) -> bool:
        if self.comparison == BY_PAIR:
            # A repeat without a baseline network is left out.
            repeats = min(repeats, baseline_repeats)
        if repeats < 2:
            return False
        if self.comparison == BY_CLASS:
            error, cells = (
                self.noise.error_by_class(repeats),
                self.noise.num_classes - 1,
            )
        else:
            error = self.noise.error_by_pair(repeats, baseline_repeats)
            cells = self.num_pairs
        # A cell's own, and what the target's other cells add.
        prior = moderated.MOST_PRIOR * moderated.share_of_cells(cells)
        df = (repeats - 1) * (1 + prior)
        smallest = sensitivity.smallest_effect(
            scale * error,
            df,
            alpha=comparison_findings.SIGNIFICANCE / self.cells,
            power=self.power,
        )
        return smallest <= self.effect

    def repeats_needed(self, scale: float, baseline_repeats: int | None) -> int:
        low, high = 1, sensitivity.MOST_REPEATS
        while high - low > 1:
            middle = (low + high) // 2
            others = baseline_repeats or self.usual_baseline(middle)
            found = self.is_found(scale, middle, others)
            low, high = (low, middle) if found else (middle, high)
        return high

    def fewest(self, scale: float, repeats: int) -> tuple[int, int]:
        """Repeats and baseline networks of the smallest study that finds it."""
        if self.comparison == BY_CLASS or repeats >= sensitivity.MOST_REPEATS:
            # Target x class asks for no baseline; the other tables do.
            return repeats, repeats
        best = repeats, max(self.usual_baseline(repeats), repeats)
        numbers = np.unique(np.geomspace(2, 2 * repeats, 40).astype(int))
        for number in numbers.tolist():
            most = self._networks(best) - self.num_pairs * number
            if most < number:
                break
            low, high = number - 1, most
            if not self.is_found(scale, number, high):
                continue
            while high - low > 1:
                middle = (low + high) // 2
                found = self.is_found(scale, number, middle)
                low, high = (low, middle) if found else (middle, high)
            if self._networks((number, high)) < self._networks(best):
                best = number, high
        return best

    def _networks(self, numbers: tuple[int, int]) -> int:
        return self.num_pairs * numbers[0] + numbers[1]


def sentence(plan: StudyPlan) -> str:
    """The plan, in three sentences."""
    least = "more than " if plan.repeats >= sensitivity.MOST_REPEATS else ""
    unit = "point" if plan.unit == "points" and plan.effect == 1 else plan.unit
    text = (
        f"An effect of {plan.effect:g} {unit} on one of {plan.cells:,} cells is found "
        f"with {100 * plan.power:.0f} % power by {least}{plan.repeats:,} repeats "
        f"({plan.estimated_repeats:,} by the estimate of the noise; taken is its upper "
        f"{100 * CERTAINTY:.0f} % limit), and on the class that varies most by "
        f"{plan.most_repeats:,}. With {plan.baseline_repeats:,} baseline "
        f"networks that is {plan.networks:,} networks{_time(plan)}."
    )
    if plan.fewest_networks < plan.networks:
        repeats, baseline_repeats = plan.fewest
        text += (
            f" Fewest networks for it: {plan.fewest_networks:,}, with --repeats "
            f"{repeats} --baseline-repeats {baseline_repeats}."
        )
    return text


def _time(plan: StudyPlan) -> str:
    if plan.minutes is None:
        return "; a small study of your own says how long they take"
    return (
        f": about {_duration(plan.minutes)} of training in one process, "
        f"{plan.seconds:.1f} s each as in the small study"
    )


def _duration(minutes: float) -> str:
    if minutes < 90:
        return f"{math.ceil(minutes)} minutes"
    return f"{minutes / 60:,.0f} hours"


def _noise_of(source, response: str) -> tuple[NetworkNoise, int]:
    """The noise of a pilot or of a study in a folder, and the number of its pairs."""
    pilots = network_noise.pilots()
    name = str(source)
    if name in pilots and not pathlib.Path(name).exists():
        if response not in pilots[name]:
            raise ValueError(
                f"Expected a response of {name} among {tuple(pilots[name])}. Received: "
                f"{response!r}."
            )
        noise = pilots[name][response]
        return noise, math.comb(noise.num_classes, 2)
    study = study_results.read_study(source)
    noise = network_noise.noise_of_study(study, response)
    return noise, len(study.responses.pairs)
