"""Networks and time that the same certainty costs, recipe by recipe.

    python -m benchmarks.speed.statistical_power --dataset cifar10

trains baseline networks by both recipes, from the same seeds, and by the default recipe
in float32 too, where the processor computes in bfloat16. The standard deviation of
a class's accuracy between networks is what every comparison has for noise: a mean over
n networks has the standard error sd / sqrt(n), so that an error of 0.5 points takes
(sd / 0.5)^2 networks. Networks are kept in studies/benchmarks: a command that is run
again trains only what is missing, and times are those of the first one.
"""

import argparse
import dataclasses
import math
import pathlib

import numpy as np
import scipy.stats

from benchmarks import tables, timing
from keras_confusion.comparisons import study_results
from keras_confusion.execution import runtime

TITLE = "Networks and seconds for a standard error of 0.5 points"
REFERENCE = "tutorial"
# Recipe and type by contender; "auto" is bfloat16 where the machine computes in it.
DEFAULT, FLOAT32 = "annealed", "annealed, float32"
CONTENDERS = {
    DEFAULT: (DEFAULT, "auto"),
    FLOAT32: (DEFAULT, "float32"),
    REFERENCE: (REFERENCE, "auto"),
}
NETWORKS, EPOCHS = 8, 6
STANDARD_ERROR = 0.005
CONFIDENCE = 0.95
FOLDER = timing.ROOT / "studies" / "benchmarks"


@dataclasses.dataclass(frozen=True)
class Spread:
    """How far networks are apart, from `spread`.

    Args:
        worst: Standard deviation of the class that varies most.
        mean: Root of the mean variance over the classes.
        num_networks: Networks behind both.
        degrees_of_freedom: Of `mean`. Classes trade images with each other, so that K
            of them hold less than K times what one does.
    """

    worst: float
    mean: float
    num_networks: int
    degrees_of_freedom: float


def measure(quick: bool = False, *, dataset: str = "cifar10") -> list[dict]:
    """What both recipes need.

    Args:
        quick: Takes the digits, and few networks of one epoch.
        dataset: A name of `loading.load_dataset`.

    Returns:
        Rows as `timing.row`; minimum and maximum are the ends of a 95 % interval where
        the remark says so. None but a remark if the data set is not on this machine.
    """
    runtime.start_tensorflow(threads=1)
    from keras_confusion.datasets import labelled_dataset
    from keras_confusion.datasets import loading as dataset_loading

    networks, epochs = (4, 1) if quick else (NETWORKS, EPOCHS)
    dataset = "digits" if quick else dataset
    try:
        dataset_loading.load_dataset(dataset)
    except labelled_dataset.DatasetUnavailableError:
        missing = f"left out: {dataset} is not on this machine"
        return [timing.row("all", "networks", "", [math.nan], missing)]
    spreads, rows, means = {}, [], {}
    for name, (recipe, dtype_policy) in CONTENDERS.items():
        accuracies, seconds = train(recipe, dtype_policy, dataset, networks, epochs)
        spreads[name] = spread(accuracies)
        means[name] = 100 * accuracies.mean(axis=1)
        rows += _rows(name, accuracies, seconds, spreads[name])
    rows.append(_precision_row(means[DEFAULT], means[FLOAT32]))
    ratio, low, high = variance_ratio(spreads[REFERENCE], spreads[DEFAULT])
    compared = f"{REFERENCE} over {DEFAULT}"
    remark = "95 % interval, F distribution with the degrees of freedom of both"
    rows.append(
        _interval_row(compared, "networks needed", "times", ratio, low, high, remark)
    )
    about = f"{dataset}, {epochs} epochs, {networks} baseline networks a recipe"
    for row in rows:
        row["remark"] = "; ".join(filter(None, (row["remark"], about)))
        row["n"] = networks
    return rows


def train(recipe: str, dtype_policy: str, dataset: str, networks: int, epochs: int):
    """Trains baseline networks by a recipe, or takes them up.

    Returns:
        Accuracy of every class `(networks, K)`, and seconds of every network that are
        not a worker's first one.
    """
    from keras_confusion.confusion import study as confusion_study

    name = f"{pathlib.Path(dataset).stem}-{recipe}-{dtype_policy}-{networks}x{epochs}"
    directory = FOLDER / name
    # One pair, as a study has at least one: it is not looked at.
    confusion_study.run_confusion_study(
        directory,
        dataset=dataset,
        recipe=recipe,
        dtype_policy=dtype_policy,
        epochs=epochs,
        pairs=["0-1"],
        repeats=1,
        baseline_repeats=networks,
        verbose=1,
    )
    study = study_results.read_study(directory)
    trained, baseline = study.networks, study.responses.baseline
    in_time = trained.sort_values("finished_at")["seconds"].to_numpy()
    return baseline.accuracy, in_time[runtime.default_num_workers() :]


def spread(accuracies: np.ndarray) -> Spread:
    """Standard deviations between networks.

    The degrees of freedom of the mean variance are Satterthwaite's (1946) for a sum of
    dependent variances: (n - 1) tr(S)^2 / tr(S^2), S being the classes' covariance.

    Args:
        accuracies: Shape `(n, K)`, n at least 2.
    """
    covariance = np.atleast_2d(np.cov(accuracies, rowvar=False))
    variances = np.diag(covariance)
    squares = float((covariance**2).sum())
    share = float(variances.sum() ** 2 / squares) if squares else 1.0
    return Spread(
        worst=float(np.sqrt(variances.max())),
        mean=float(np.sqrt(variances.mean())),
        num_networks=len(accuracies),
        degrees_of_freedom=(len(accuracies) - 1) * share,
    )


def sd_interval(sd: float, degrees_of_freedom: float) -> tuple[float, float]:
    """The 95 % interval of a standard deviation, from the chi-square distribution."""
    tails = np.array([1 + CONFIDENCE, 1 - CONFIDENCE]) / 2
    quantiles = scipy.stats.chi2.ppf(tails, degrees_of_freedom)
    low, high = sd * np.sqrt(degrees_of_freedom / quantiles)
    return float(low), float(high)


def variance_ratio(above: Spread, below: Spread) -> tuple[float, float, float]:
    """Ratio of mean variances and its 95 % interval, from the F distribution."""
    ratio = (above.mean / below.mean) ** 2
    tails = np.array([1 + CONFIDENCE, 1 - CONFIDENCE]) / 2
    degrees = above.degrees_of_freedom, below.degrees_of_freedom
    low, high = ratio / scipy.stats.f.ppf(tails, *degrees)
    return ratio, float(low), float(high)


def networks_needed(sd: float) -> float:
    """Networks whose mean has the standard error that is asked for."""
    return (sd / STANDARD_ERROR) ** 2


def _rows(recipe: str, accuracies, seconds, found: Spread) -> list[dict]:
    networks_at_once = runtime.default_num_workers()
    rows = [timing.row(recipe, "accuracy", "%", 100 * accuracies.mean(axis=1))]
    for name, sd, degrees in (
        ("mean class", found.mean, found.degrees_of_freedom),
        ("worst class", found.worst, found.num_networks - 1),
    ):
        low, high = sd_interval(sd, degrees)
        remark = f"95 % interval, chi-square with {degrees:.1f} degrees of freedom"
        if name == "worst class":
            remark += ", too high as the worst of all classes was chosen"
        interval = np.array([sd, low, high])
        per_network = float(np.median(seconds)) / networks_at_once
        for quantity, unit, values in (
            (f"sd of accuracy, {name}", "points", 100 * interval),
            (f"networks needed, {name}", "", networks_needed(interval)),
            (
                f"time needed, {name}",
                "min",
                networks_needed(interval) * per_network / 60,
            ),
        ):
            rows.append(_interval_row(recipe, quantity, unit, *values, remark))
    at_once = f"{networks_at_once} at once"
    rows.append(timing.row(recipe, "one network", "s", seconds, at_once))
    return rows


def _precision_row(default_accuracy: np.ndarray, float32_accuracy: np.ndarray) -> dict:
    """Mean accuracy of the default type minus float32's, networks of equal seeds."""
    found = scipy.stats.ttest_rel(default_accuracy, float32_accuracy)
    interval = found.confidence_interval(CONFIDENCE)
    standard_error = scipy.stats.sem(default_accuracy - float32_accuracy)
    remark = (
        f"95 % interval of Student's t, same seeds; standard error {standard_error:.2f}"
    )
    return _interval_row(
        f"{DEFAULT} less {FLOAT32}",
        "accuracy",
        "points",
        float((default_accuracy - float32_accuracy).mean()),
        interval.low,
        interval.high,
        remark,
    )


def _interval_row(contender, quantity, unit, value, low, high, remark) -> dict:
    row = timing.row(contender, quantity, unit, [value], remark)
    return row | {"minimum": float(low), "maximum": float(high)}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--dataset", default="cifar10")
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    rows = measure(options.quick, dataset=options.dataset)
    print(tables.table(rows, reference=REFERENCE))


if __name__ == "__main__":
    main()
