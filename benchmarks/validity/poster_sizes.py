"""Tables of what sizes of effect there are: bits, and what could be found."""

import itertools

import numpy as np
import scipy.stats

from benchmarks.validity.poster_cells import cell_name
from benchmarks.validity.poster_statistics import number, probability, smallest_effect
from benchmarks.validity.poster_study import BY_CLASS, FAMILIES, Measured
from keras_confusion.comparisons.findings import MODERATED, PAIRED, SIGNIFICANCE, TESTS
from keras_confusion.comparisons.responses import RESPONSES

POSTER_REPEATS = 50
# Baseline networks of 50 repeats of 45 pairs, by the default rule.
POSTER_BASELINE = round(POSTER_REPEATS * 45**0.5)
# Sizes of the two t in the poster's picture.
POSTER_T = (2.78, 2.116)
READINGS = (
    "kl_bits",
    "entropy_bits",
    "mutual_information_bits",
    "log_likelihood_bits",
)


def large_t(measured: Measured) -> list[dict]:
    """How many cells of target x class have a t as large as the poster's."""
    num = len(measured.rows(BY_CLASS, "accuracy"))
    table = []
    for size in POSTER_T:
        p_value = 2 * scipy.stats.t.sf(size, 2 * POSTER_REPEATS - 2)
        row = {
            "size of t, at least": size,
            "p": probability(p_value),
            f"cells of {num} by chance alone": f"{num * p_value:.1f}",
        }
        for response in RESPONSES:
            t = measured.rows(BY_CLASS, response)["t"].abs()
            row[f"here, `{response}`"] = (t >= size).sum()
        table.append(row)
    return table


def bits(measured: Measured) -> list[dict]:
    """The largest gain and loss under every reading, beside what chance would give.

    The noise of `kl_bits` is the mean noise floor, of the others the root mean square
    of the cells' standard errors over repeats; "largest by chance" is the median of the
    largest of as many independent cells without any effect.
    """
    table = []
    for family, reading in itertools.product(FAMILIES, READINGS):
        rows = measured.rows(*family)
        known = rows[np.isfinite(rows[reading])].sort_values(reading)
        loss, gain = known.iloc[0], known.iloc[-1]
        largest_z = scipy.stats.norm.isf((1 - 0.5 ** (1 / len(known))) / 2)
        if reading == "kl_bits":
            noise = known["kl_noise_floor_bits"].mean()
            by_chance = noise * largest_z**2
        else:
            values = measured.values(*family, reading)
            noise = np.sqrt((values.var(axis=0, ddof=1) / len(values)).mean())
            by_chance = noise * largest_z
        table.append(
            {
                "comparison": family[0],
                "response": f"`{family[1]}`",
                "reading": f"`{reading}`",
                "largest gain": f"{gain[reading]:+.4f} ({cell_name(gain)})",
                "largest loss": f"{loss[reading]:+.4f} ({cell_name(loss)})",
                "noise": f"{noise:.5f}",
                "largest by chance": f"{by_chance:.4f}",
            }
        )
    return table


def power(measured: Measured) -> list[dict]:
    """What this study could find, and what one of the poster's size could.

    A study of 50 repeats is taken to have networks that differ as these do, and the
    default number of baseline networks. Degrees of freedom of Welch's test grow with
    the networks. All in points, medians over cells; the smallest effects are found in
    80 of 100 studies, by one test alone (p) or as the only one among all cells (q).
    """
    table = []
    for family, test in itertools.product(FAMILIES, TESTS):
        rows = measured.rows(*family, test)
        rows = rows[rows["t"].notna()]
        error = (rows["difference_points"] / rows["t"]).abs().median()
        df = rows["df"].median()
        half_width = (rows["ci_high_points"] - rows["ci_low_points"]).median() / 2
        level = SIGNIFICANCE / len(rows)
        single = error * smallest_effect(df, SIGNIFICANCE)
        alone = error * smallest_effect(df, level)
        then, df_then = _with_repeats(rows, test, error, df, measured.num_repeats)
        alone_then = then * smallest_effect(df_then, level)
        half_width_then = then * scipy.stats.t.isf(SIGNIFICANCE / 2, df_then)
        table.append(
            {
                "comparison": family[0],
                "response": f"`{family[1]}`",
                "test": test,
                "tests": len(rows),
                "df": number(df),
                "standard error": f"{error:.2f}",
                "± of the 95 % CI": f"{half_width:.2f}",
                "smallest effect, p": f"{single:.1f}",
                "smallest effect, q": f"{alone:.1f}"
                if alone < 100
                else "none below 100",
                "± at 50 repeats": f"{half_width_then:.2f}",
                "smallest, q, at 50 repeats": f"{alone_then:.2f}",
            }
        )
    return table


def _with_repeats(rows, test, error, df, repeats) -> tuple[float, float]:
    """Standard error and df of such cells with the poster's repeats."""
    grows = POSTER_REPEATS / repeats
    if test == PAIRED:
        return error / np.sqrt(grows), POSTER_REPEATS - 1
    if test == MODERATED:
        return error / np.sqrt(grows), df * (POSTER_REPEATS - 1) / (repeats - 1)
    if "class_name" in rows:
        return error / np.sqrt(grows), df * grows
    # Of target x pair the groups are the networks of one pair and the baselines.
    num = np.array([POSTER_REPEATS, POSTER_BASELINE])
    spread = (rows[["sd_confused", "sd_comparison"]] ** 2).mean().to_numpy()
    terms = 1e4 * spread / num
    return np.sqrt(terms.sum()), terms.sum() ** 2 / (terms**2 / (num - 1)).sum()
