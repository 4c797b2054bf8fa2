import numpy as np
import pandas as pd
import pytest
import scipy.stats

from keras_confusion.comparisons import null_results
from keras_confusion.stats import sensitivity, t_tests

REPEATS, DF = 8, 20.0


def table_of(differences, error=0.5, unit="points", **columns):
    """Cells of one response with a standard error and 20 degrees of freedom."""
    differences = np.asarray(differences, float)
    half = error * scipy.stats.t.ppf(0.975, DF)
    p_values = 2 * scipy.stats.t.sf(np.abs(differences) / error, DF)
    suffix = "_points" if unit == "points" else ""
    return pd.DataFrame(
        {
            "response" if suffix else "reading": "accuracy" if suffix else "features",
            "target": 0,
            "target_name": "cat",
            "class": np.arange(len(differences)),
            "class_name": [f"class{k}" for k in range(len(differences))],
            f"difference{suffix}": differences,
            f"ci_low{suffix}": differences - half,
            f"ci_high{suffix}": differences + half,
            "t": differences / error,
            "df": DF,
            "p_value": p_values,
            "q_value": t_tests.benjamini_hochberg(p_values),
            "n_confused": REPEATS,
            "paired_n": REPEATS,
            "moderated_n": REPEATS,
        }
        | columns
    )


def test_what_could_have_been_found_and_what_is_excluded():
    cells = np.linspace(-0.4, 0.4, 30)
    result = null_results.null_result(table_of(cells))
    assert (result.unit, result.cells, result.found) == ("points", 30, 0)
    assert result.error == pytest.approx(0.5)
    expected = sensitivity.smallest_effect(0.5, DF, alpha=0.05 / 30)
    assert result.smallest_effect == pytest.approx(expected)
    # 90 % intervals are 0.86 wide: all are within 2 points, and none within 1 surely.
    assert result.excluded == (0, 30)
    assert result.repeats == REPEATS
    assert result.repeats_needed[0] > REPEATS > 2
    assert null_results.sentence(result) == (
        f"One cell's effect of {expected:.2g} points is found with 80 % power; effects "
        "beyond 2 points are excluded in 30 of 30 cells, beyond 1 in 0; 1 point would "
        f"need about {result.repeats_needed[0]} repeats (here 8)"
    )


def test_d_prime_has_bounds_of_its_own():
    result = null_results.null_result(table_of([0.0] * 9, error=0.01, unit="d'"))
    assert (result.unit, result.bounds) == ("d'", null_results.BOUNDS_D_PRIME)
    assert result.excluded == (9, 9)
    assert "0.05 d' would need about" in null_results.sentence(result)


def test_networks_with_their_own_seeds_are_their_own_repeats():
    table = table_of([0.1, 0.2], paired_n=0, moderated_n=40, n_confused=12)
    assert null_results.null_result(table).repeats == 12


def test_nothing_that_was_tested_says_nothing():
    assert null_results.null_result(table_of([0.1]).assign(q_value=np.nan)) is None


def test_found_cells_know_that_they_were_selected():
    by_class = table_of([4.0, *np.linspace(-0.5, 0.5, 19)])
    d_primes = table_of([0.0, 0.0], unit="d'")
    found = null_results.found_cells(
        {"target_by_class": by_class, "discriminability_by_class": d_primes}
    )
    assert len(found) == 1
    row = found.iloc[0]
    assert (row["table"], row["response"], row["unit"]) == (
        "target_by_class",
        "accuracy",
        "points",
    )
    assert (row["class_name"], row["difference"]) == ("class0", 4.0)
    half = 0.5 * scipy.stats.t.ppf(1 - 0.05 / 20 / 2, DF)
    assert row["selected_ci_low"] == pytest.approx(4 - half)
    assert row["selected_ci_high"] == pytest.approx(4 + half)
    assert 0 < row["shrunken_difference"] < 4
    nothing = null_results.found_cells({"discriminability_by_class": d_primes})
    assert nothing.empty
    assert "q_value" in nothing
