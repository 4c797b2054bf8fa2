"""How often a confusion study finds something where there is nothing.

    python -m benchmarks.validity.null_calibration --out studies/null_calibration.md

trains three pools of null networks, of which two share their seeds within repeats, cuts
studies of equal and unequal groups out of them, and tests whether the p-values of all
tests are uniform. Beside that it reports what networks of a repeat have in common here
and in the study of CIFAR-10, and draws studies of the size of the poster's with such a
correlation. Networks are kept in studies/benchmarks: a command that is run again trains
only what is missing. Half an hour on two cores; --quick takes a minute or two, and its
numbers mean little.
"""

import argparse
import json
import pathlib
import sys

import numpy as np
import scipy.stats

from benchmarks import timing
from benchmarks.validity import (
    null_drawn,
    null_networks,
    null_report,
    null_small_groups,
    null_statistics,
)
from keras_confusion.comparisons import findings as comparison_findings
from keras_confusion.execution import runtime

# Networks of an arm and of the baseline.
DESIGNS = ((4, 4), (10, 10), (4, 27), (3, 20), (8, 4))
REPEATS, BASELINE_REPEATS = 160, 1080
QUICK_REPEATS, QUICK_BASELINE_REPEATS = 8, 20
QUICK_DESIGNS = ((4, 4), (3, 6))
# Of all ten digits, which have 45 arms: the pool, and what is cut out of it.
TEN_REPEATS, TEN_DESIGNS = (40, 270), ((4, 27), (8, 54))
QUICK_TEN_REPEATS, QUICK_TEN_DESIGNS = (4, 8), ((2, 4),)
# The poster's repeats, and the baseline that Dunnett's rule gives them.
DRAWN_DESIGN = (50, 335)
NUM_DRAWN = 40
NUM_FAMILIES = 300
REAL_STUDY = timing.ROOT / "docs" / "results" / "confusion_cifar10"


def measure(quick: bool = False, *, workers: int | None = None) -> dict:
    """Trains, cuts, tests and draws.

    Args:
        quick: Takes few networks.
        workers: Processes that train.

    Returns:
        `pools`: what they cost; `calibration`: a row per pool, design, comparison,
        response and test, see `null_statistics.calibration`; `correlations`: a row per
        networks and response; `drawn`: a row per correlation, comparison, response and
        test; `small_groups`: see `null_small_groups.rows`.
    """
    runtime.start_tensorflow(threads=1)
    five = (REPEATS, BASELINE_REPEATS), DESIGNS
    ten = TEN_REPEATS, TEN_DESIGNS
    if quick:
        five = (QUICK_REPEATS, QUICK_BASELINE_REPEATS), QUICK_DESIGNS
        ten = QUICK_TEN_REPEATS, QUICK_TEN_DESIGNS
    sizes = {
        name: ten if name == null_networks.TEN_DIGITS else five
        for name in null_networks.POOLS
    }
    pools = {
        name: null_networks.train_pool(
            name, repeats=repeats, baseline_repeats=baseline_repeats, workers=workers
        )
        for name, ((repeats, baseline_repeats), _) in sizes.items()
    }
    correlations = [
        {"networks": name, **row}
        for name, pool in pools.items()
        if name != null_networks.OWN_SEEDS
        for row in _correlations(pool.study)
    ]
    real = null_networks.read_responses(REAL_STUDY)
    correlations += [
        {"networks": REAL_STUDY.name, **row} for row in _correlations(real)
    ]
    return {
        "pools": [_pool_row(name, pool) for name, pool in pools.items()],
        "calibration": [
            row
            for name, pool in pools.items()
            for design in sizes[name][1]
            for row in _calibration_rows(name, pool, design)
        ],
        "correlations": correlations,
        "drawn": _drawn_rows(correlations, 3 if quick else NUM_DRAWN),
        "small_groups": null_small_groups.rows(10 if quick else NUM_FAMILIES),
    }


def _pool_row(name: str, pool: null_networks.Pool) -> dict:
    study = pool.study
    accuracy = np.concatenate([study.confused.accuracy, study.baseline.accuracy])
    return {
        "pool": name,
        "networks": len(accuracy),
        "minutes": pool.seconds / 60,
        "mean_accuracy": float(accuracy.mean()),
        "mean_sd_of_a_class": float(np.sqrt(accuracy.var(axis=0, ddof=1).mean())),
        "test_images_of_a_class": int(study.test_images_per_class.min()),
    }


def _calibration_rows(name: str, pool: null_networks.Pool, design) -> list[dict]:
    studies = null_networks.small_studies(pool, *design)
    tests = null_statistics.cells(studies, pool.class_names)
    rows = []
    for key, group in tests.groupby(["comparison", "response", "test"]):
        comparison, response, test = key
        if group["p_value"].isna().all():
            # No pairs among networks with their own seeds.
            continue
        rows.append(
            {
                "pool": name,
                "repeats": design[0],
                "baseline_repeats": design[1],
                "comparison": comparison,
                "response": response,
                "test": test,
                **null_statistics.calibration(group),
                "median_correlation": float(group["correlation"].median()),
            }
        )
    return rows


def _correlations(study) -> list[dict]:
    return [
        {"response": response, **correlation}
        for field in ("accuracy", "log2_probability")
        for response, correlation in null_statistics.correlations(study, field).items()
    ]


def _drawn_rows(correlations: list[dict], num_studies: int) -> list[dict]:
    """Studies as large as the poster's, without and with the measured correlations."""
    measured = {
        row["networks"]: row["arms"]
        for row in correlations
        if row["response"] == "accuracy"
    }
    rows = []
    for name, correlation in {"own seeds": 0.0, **measured}.items():
        found: dict[tuple[str, str, str], list] = {}
        for study in null_drawn.drawn_studies(
            num_studies,
            correlation=correlation,
            repeats=DRAWN_DESIGN[0],
            baseline_repeats=DRAWN_DESIGN[1],
            own_seeds=correlation == 0,
        ):
            p_values = null_drawn.independent_p_values(study)
            for key, target_p_values in p_values.items():
                found.setdefault(key, []).append(target_p_values)
        for (comparison, response, test), parts in found.items():
            made = np.concatenate(parts)
            made = made[np.isfinite(made)]
            if not len(made):
                continue
            uniform = scipy.stats.kstest(made, "uniform")
            rows.append(
                {
                    "correlation_of": name,
                    "correlation": correlation,
                    "repeats": DRAWN_DESIGN[0],
                    "baseline_repeats": DRAWN_DESIGN[1],
                    "comparison": comparison,
                    "response": response,
                    "test": test,
                    "tests": len(made),
                    "ks": float(uniform.statistic),
                    "ks_p_value": float(uniform.pvalue),
                    **null_statistics.named_share(
                        "share", made <= comparison_findings.SIGNIFICANCE
                    ),
                    "expected_share": null_statistics.expected_share(
                        null_statistics.expected_variance_ratio(
                            comparison, correlation, *DRAWN_DESIGN
                        )
                        if test == comparison_findings.WELCH
                        else 1.0,
                        comparison_findings.SIGNIFICANCE,
                    ),
                }
            )
    return rows


def main(given=None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.validity.null_calibration",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--workers", type=int, metavar="N")
    parser.add_argument("--out", type=pathlib.Path, metavar="FILE.md")
    options = parser.parse_args(given)
    header = timing.header()
    measured = measure(options.quick, workers=options.workers)
    text = null_report.document(header, measured)
    print(text)
    if options.out is not None:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(text)
        numbers = json.dumps({"header": header, **measured}, indent=1)
        options.out.with_suffix(".json").write_text(numbers + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
