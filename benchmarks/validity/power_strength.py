"""How far a known effect stands out of the noise of networks, for `power_per_hour`.

The response is a study's: relative d' by *features*. The noise is that of its moderated
test, what is left of a target's values beside the mean of every arm and every repeat.
"""

import dataclasses
import functools
import math
from collections.abc import Callable, Iterable, Sequence

import numpy as np

from benchmarks.validity import anova
from benchmarks.validity.power_networks import ALL_IMAGES, HALVES, Design
from keras_confusion.stats import discriminability, moderated, sensitivity

NUM_CLASSES = 10
# Arms of a full study: those with a class and not the target, and those with neither.
WITH_CLASS, WITHOUT_CLASS, NUM_PAIRS, NUM_CELLS = 8, 28, 45, 90
POWER, SIGNIFICANCE = 0.8, 0.05


@dataclasses.dataclass(frozen=True)
class Cell:
    """A relation: a target, and the pairs that it loses by if they are confused."""

    target: int
    pairs: tuple[tuple[int, int], ...]


@dataclasses.dataclass(frozen=True)
class Question:
    """A relation that is known, and how it is looked for.

    Args:
        name: In reports.
        cells: Where it shows. They are compared with all other pairs of the question
            that do not hold the target.
        other_pairs: Pairs beside those of the cells.
        num_images: Test images of every class.
        designs: Ways to train networks; the first is what others are compared with.
        is_of_study: Whether it is a finding of target x class of a full study.
    """

    name: str
    cells: tuple[Cell, ...]
    other_pairs: tuple[tuple[int, int], ...]
    num_images: int
    designs: tuple[Design, ...]
    is_of_study: bool

    @property
    def pairs(self) -> list[tuple[int, int]]:
        """All pairs that are confused."""
        of_cells = {pair for cell in self.cells for pair in cell.pairs}
        return sorted({*of_cells, *self.other_pairs})


@dataclasses.dataclass(frozen=True, eq=False)
class Sample:
    """Networks of a question, tested in one way.

    Args:
        question: Their question.
        units: (number of the pair, or -1 for the baseline; repeat) of each.
        means: Mean d' of every target of every network without every pair of the
            question, `(n, P, K)`, NaN for the pair's classes.
    """

    question: Question
    units: list[tuple[int, int]]
    means: np.ndarray

    @classmethod
    def of_networks(
        cls, question: Question, networks: Sequence[dict], way: str, images=ALL_IMAGES
    ) -> "Sample":
        """From what `power_networks.read_networks` returns.

        Args:
            question: Their question.
            networks: All networks.
            way: A way of testing.
            images: `ALL_IMAGES` or one of `HALVES`.
        """
        pairs = question.pairs
        parts = 1 if images == ALL_IMAGES else len(HALVES)
        num_images = np.full(NUM_CLASSES, question.num_images // parts)
        d_primes = [network["d_primes"][way][images] for network in networks]
        d = discriminability.matrices(
            discriminability.shrunken(d_primes, num_images), NUM_CLASSES
        )
        without_pairs = discriminability.WithoutPairs(d)
        means = [without_pairs.means_without(*pair) for pair in pairs]
        units = [
            (
                -1
                if network["class_a"] is None
                else pairs.index((network["class_a"], network["class_b"])),
                network["repeat"],
            )
            for network in networks
        ]
        return cls(question, units, np.stack(means, axis=1).astype(np.float64))

    def without(self, unit: tuple[int, int]) -> "Sample":
        """The same with one network less, if it is there."""
        kept = [index for index, one in enumerate(self.units) if one != unit]
        units = [self.units[index] for index in kept]
        return Sample(self.question, units, self.means[kept])

    @property
    def effect(self) -> float:
        """Mean over the cells of what their pairs do to the target, d'."""
        return float(np.mean([self._effect_of(cell) for cell in self.question.cells]))

    def _effect_of(self, cell: Cell) -> float:
        by_arm = self._fits[cell.target].by_arm
        numbers = {self.question.pairs.index(pair) for pair in cell.pairs}
        with_pair, without = (
            [value for arm, value in by_arm.items() if (arm in numbers) == is_with]
            for is_with in (True, False)
        )
        return float(np.mean(with_pair) - np.mean(without))

    @property
    def variance(self) -> float:
        """Of a network beside its arm and repeat, mean over the cells."""
        targets = [cell.target for cell in self.question.cells]
        return self._mean_product(self, targets)

    def covariance(self, other: "Sample") -> float:
        """Of the same networks tested in two ways, mean over all targets."""
        return self._mean_product(other, range(NUM_CLASSES))

    @property
    def strength(self) -> float:
        """Squared effect over variance."""
        return self.effect**2 / self.variance

    def _mean_product(self, other: "Sample", targets: Iterable[int]) -> float:
        # Not a mean of quotients: without a network a target may have no degree left.
        fits = [(self._fits[target], other._fits[target]) for target in targets]
        products = sum(float(one.residuals @ two.residuals) for one, two in fits)
        return products / sum(one.df for one, _ in fits)

    @functools.cached_property
    def _fits(self) -> list["_Fit"]:
        """Of every target: its relative d' by arm and by repeat."""
        units = np.array(self.units)
        is_baseline = units[:, 0] < 0
        levels = self.means[is_baseline].mean(axis=0)
        arm, repeat = units[~is_baseline].T
        changes = self.means[~is_baseline, arm] - levels[arm]
        values = discriminability.relative(changes)
        fits = []
        for target in range(NUM_CLASSES):
            used = np.isfinite(values[:, target])
            arms, repeats = np.unique(arm[used]), np.unique(repeat[used])
            columns = [
                arm[used][:, None] == arms,
                repeat[used][:, None] == repeats[1:],
            ]
            predictors = np.concatenate(columns, axis=1).astype(np.float64)
            response = values[used, target]
            found, _, rank, _ = np.linalg.lstsq(predictors, response)
            residuals = response - predictors @ found
            by_arm = dict(zip(arms.tolist(), found[: len(arms)], strict=True))
            fits.append(_Fit(by_arm, residuals, int(used.sum() - rank)))
        return fits


@dataclasses.dataclass(frozen=True, eq=False)
class _Fit:
    """A target's values by least squares.

    Args:
        by_arm: By number of the pair.
        residuals: Of every network.
        df: Their degrees of freedom.
    """

    by_arm: dict[int, float]
    residuals: np.ndarray
    df: int


def jackknife(
    samples: Sequence[Sample],
    statistic: Callable[..., float],
    *,
    is_positive: bool = True,
) -> list[float]:
    """A statistic of samples with its 95 % interval, over networks.

    Networks of several samples that have the same arm and repeat, so the same seeds,
    are left out together.

    Args:
        samples: What the statistic is of.
        statistic: Of as many samples.
        is_positive: Whether the jackknife is that of the logarithm.
    """
    units = sorted({unit for sample in samples for unit in sample.units})

    def of_units(kept: np.ndarray) -> float:
        left = list(samples)
        for index in np.setdiff1d(np.arange(len(units)), kept):
            left = [sample.without(units[index]) for sample in left]
        return statistic(*left)

    if is_positive:
        return list(anova.jackknife_log_interval(of_units, len(units)))
    everything = np.arange(len(units))
    estimate = of_units(everything)
    without_one = np.array([of_units(np.delete(everything, u)) for u in everything])
    pseudo_values = len(units) * estimate - (len(units) - 1) * without_one
    return [estimate, *anova.mean_interval(pseudo_values)[1:]]


def interaction(question: Question, networks: Sequence[dict], way: str) -> list[float]:
    """The share of the noise that is of single test images, with its interval.

    The halves of the test images have the networks in common and no image, so that
    their covariance is what networks vary by whatever the images are. Twice as many
    images would halve the rest. Mean over all targets, which are more than the cells'.
    """
    samples = [
        Sample.of_networks(question, networks, way, images)
        for images in (ALL_IMAGES, *HALVES)
    ]
    return jackknife(
        samples,
        lambda all_images, one, other: (
            1 - one.covariance(other) / all_images.covariance(all_images)
        ),
        is_positive=False,
    )


def full_study(strength: Sequence[float], seconds: float) -> dict:
    """What a study of all pairs needs to find two cells, each with a power of 80 %.

    An effect that is one of two among the cells is found where p is at most 2 / 90 of
    0.05 (Benjamini and Hochberg). A repeat's difference is that of 8 arms and 28; the
    degrees of freedom are the moderated test's, and the error of the baseline's levels
    is left out.

    Args:
        strength: Squared effect over variance of a network, `[estimate, low, high]`.
        seconds: Of a network.

    Returns:
        `z_squared` that a repeat brings, `repeats`, `networks`, and `minutes` on two
        cores: `[estimate, low, high]`.
    """
    variance_of_repeat = 1 / WITH_CLASS + 1 / WITHOUT_CLASS
    repeats = [
        sensitivity.repeats_needed(
            1.0,
            error=math.sqrt(variance_of_repeat / value / 2),
            df=1 + moderated.MOST_PRIOR,
            repeats=2,
            alpha=SIGNIFICANCE * 2 / NUM_CELLS,
            power=POWER,
        )
        for value in (strength[0], strength[2], strength[1])
    ]
    networks = [NUM_PAIRS * n + round(n * math.sqrt(NUM_PAIRS)) for n in repeats]
    return {
        "z_squared": [value / variance_of_repeat for value in strength],
        "repeats": repeats,
        "networks": networks,
        "minutes": [number * seconds / 60 / 2 for number in networks],
    }
