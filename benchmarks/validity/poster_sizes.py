"""What sizes of effect there are: bits, the poster's t, and what could be found."""

import itertools

import numpy as np
import scipy.optimize
import scipy.stats

from benchmarks.validity import poster_statistics
from benchmarks.validity.poster_points import BY_CLASS, BY_PAIR, Measured
from keras_confusion.comparisons.findings import BLOCKS, PAIRED, SIGNIFICANCE, TESTS
from keras_confusion.comparisons.responses import RESPONSES
from keras_confusion.stats import t_tests

POSTER_REPEATS = 50
# Baseline networks of 50 repeats of 45 pairs, by the default rule.
POSTER_BASELINE = round(POSTER_REPEATS * 45**0.5)
POSTER_BITS = 0.025
# Legible in the poster's picture: classes on its axis, and what stands at two bars.
PICTURED = ("airplane", "automobile", "frog")
POSTER_T = (-2.78, 2.116)
READINGS = (
    "kl_bits",
    "entropy_bits",
    "mutual_information_bits",
    "log_likelihood_bits",
)


def bits(measured: Measured) -> list[dict]:
    """The largest gain and loss under every reading, beside what chance would give.

    Returns:
        A row per comparison, response and reading: `gain` and `loss` (bits, the cell's
        name), `noise` (root mean square of the cells' standard errors over repeats; of
        `kl_bits`, the mean noise floor), `by_chance` (the median of the largest of as
        many independent cells without any effect), and `distance`, the larger factor,
        as a logarithm, of gain and loss to the poster's 0.025.
    """
    found = []
    for comparison, response, reading in itertools.product(
        (BY_CLASS, BY_PAIR), RESPONSES, READINGS
    ):
        rows = measured.rows(comparison, response)
        known = rows[np.isfinite(rows[reading])]
        largest_z = scipy.stats.norm.isf((1 - 0.5 ** (1 / len(known))) / 2)
        if reading == "kl_bits":
            noise = float(known["kl_noise_floor_bits"].mean())
            by_chance = noise * largest_z**2
        else:
            values = measured.values(comparison, response, reading)
            noise = float(np.sqrt((values.var(axis=0, ddof=1) / len(values)).mean()))
            by_chance = noise * largest_z
        gain, loss = (
            known.loc[index]
            for index in (known[reading].idxmax(), known[reading].idxmin())
        )
        sizes = max(gain[reading], 0.0), max(-loss[reading], 0.0)
        with np.errstate(divide="ignore"):
            distance = float(np.abs(np.log(np.array(sizes) / POSTER_BITS)).max())
        found.append(
            {
                "comparison": comparison,
                "response": response,
                "reading": reading,
                "gain": (float(gain[reading]), cell_name(gain)),
                "loss": (float(loss[reading]), cell_name(loss)),
                "noise": noise,
                "by_chance": float(by_chance),
                "distance": distance,
            }
        )
    return found


def cell_name(row) -> str:
    """For example "dog, cat confused"."""
    if "class_name" in row:
        return f"{row['target_name']}, {row['class_name']} confused"
    return f"{row['target_name']}, {row['class_a_name']}–{row['class_b_name']} confused"


def points_of_bits(measured: Measured, bits_wanted: float) -> dict[str, float]:
    """What difference a number of bits is, at the baseline's mean accuracy.

    Returns:
        `accuracy` of the baseline, and the points that a fall from it costs by
        `kl_bits` and by `entropy_bits`.
    """
    p = float(measured.study.baseline.accuracy.mean())

    def fall(reading) -> float:
        # The entropy rises down to a half, and falls from there on.
        lowest = 0.5 if p > 0.5 else 0.01
        if float(reading(p, lowest)) < bits_wanted:
            return float("nan")
        q = scipy.optimize.brentq(
            lambda q: float(reading(p, q)) - bits_wanted, lowest, p
        )
        return 100 * (p - q)

    return {
        "accuracy": p,
        "kl_bits": fall(t_tests.kl_bits),
        "entropy_bits": fall(t_tests.entropy_bits),
    }


def poster_t(measured: Measured) -> dict:
    """The two t of the poster's picture, and the cells that they could be of.

    Returns:
        `chance`: for each t the p-value with n = 50 and 50, the number of cells of
        target x class that chance alone puts that far, and how many of this study's
        are by response; `t_alone`, the |t| at which one finding alone has q <= 0.05;
        `cells`: target x class among the classes on the picture's axis, by response,
        with the columns of all tests; `pairs`: the lowest and highest t of target x
        pair among them and the truck.
    """
    df = 2 * POSTER_REPEATS - 2
    num = len(measured.rows(BY_CLASS, "accuracy"))
    chance, cells, pairs = [], [], []
    for t in POSTER_T:
        p_value = float(2 * scipy.stats.t.sf(abs(t), df))
        ours = {
            response: int(
                (measured.rows(BY_CLASS, response)["t"].abs() >= abs(t)).sum()
            )
            for response in RESPONSES
        }
        chance.append(
            {"t": t, "p_value": p_value, "expected": num * p_value, "ours": ours}
        )
    for response in RESPONSES:
        rows = measured.rows(BY_CLASS, response)
        is_cell = rows["target_name"].isin(PICTURED) & rows["class_name"].isin(PICTURED)
        cells += rows[is_cell].to_dict("records")
    for response, test in itertools.product(RESPONSES, TESTS):
        rows = measured.rows(BY_PAIR, response, test)
        among = [*PICTURED, "truck"]
        columns = ["target_name", "class_a_name", "class_b_name"]
        rows = rows[rows[columns].isin(among).all(axis=1)]
        rows = rows[rows["t"].notna()].sort_values("t")
        pairs.append(
            {
                "response": response,
                "test": test,
                "num": len(rows),
                "ends": [
                    (float(row["t"]), float(row["q_value"]), cell_name(row))
                    for _, row in rows.iloc[[0, -1]].iterrows()
                ],
            }
        )
    return {
        "num": num,
        "df": df,
        "chance": chance,
        "t_alone": float(scipy.stats.t.isf(SIGNIFICANCE / num / 2, df)),
        "cells": cells,
        "pairs": pairs,
    }


def power(measured: Measured) -> list[dict]:
    """What this study could find, and what one of the poster's size could.

    A study of 50 repeats is taken to have networks that differ as these do, and the
    default number of baseline networks. Degrees of freedom of Welch's test grow with
    the networks.

    Returns:
        A row per comparison, response and test: `half_width`, the median half of a
        95 % interval; `standard_error`, the median; `df`, the median; `alone`, the
        smallest true effect that is found in 80 of 100 studies where it is the only
        one (p <= 0.05 / `num`); `one_test`, the same for a single test; and
        `half_width_then`, `alone_then` of 50 repeats. All effects in points.
    """
    repeats = len(measured.repeats[BY_CLASS])
    found = []
    for comparison, response, test in itertools.product(
        (BY_CLASS, BY_PAIR), RESPONSES, TESTS
    ):
        rows = measured.rows(comparison, response, test)
        rows = rows[rows["t"].notna()]
        error = float((rows["difference_points"] / rows["t"]).abs().median())
        df = float(rows["df"].median())
        half_width = (rows["ci_high_points"] - rows["ci_low_points"]).median() / 2
        level = SIGNIFICANCE / len(rows)
        error_then, df_then = _with_repeats(rows, comparison, test, error, df, repeats)
        t_then = scipy.stats.t.isf(SIGNIFICANCE / 2, df_then)
        smallest = poster_statistics.smallest_effect
        found.append(
            {
                "comparison": comparison,
                "response": response,
                "test": test,
                "num": len(rows),
                "half_width": float(half_width),
                "standard_error": error,
                "df": df,
                "alone": error * smallest(df, level),
                "one_test": error * smallest(df, SIGNIFICANCE),
                "half_width_then": float(error_then * t_then),
                "alone_then": error_then * smallest(df_then, level),
            }
        )
    return found


def _with_repeats(rows, comparison, test, error, df, repeats) -> tuple[float, float]:
    """Standard error and df of such cells with the poster's repeats."""
    if test == PAIRED:
        return error * np.sqrt(repeats / POSTER_REPEATS), POSTER_REPEATS - 1
    grows = POSTER_REPEATS / repeats
    if test == BLOCKS:
        return error / np.sqrt(grows), df * (POSTER_REPEATS - 1) / (repeats - 1)
    if comparison == BY_CLASS:
        return error / np.sqrt(grows), df * grows
    terms = np.array(
        [
            1e4 * (rows[f"sd_{group}"] ** 2).mean() / n
            for group, n in (
                ("confused", POSTER_REPEATS),
                ("comparison", POSTER_BASELINE),
            )
        ]
    )
    freedom = np.array([POSTER_REPEATS, POSTER_BASELINE]) - 1
    return np.sqrt(terms.sum()), float(terms.sum() ** 2 / (terms**2 / freedom).sum())
