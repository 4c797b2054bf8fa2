import numpy as np
import pandas as pd
import pytest

from keras_confusion.comparisons import findings as comparison_findings
from keras_confusion.comparisons import target_by_class

NAMES = ["cat", "dog", "car", "ship"]


def test_table_as_told_by_either_test(study):
    table = target_by_class.target_by_class(study, NAMES)
    pd.testing.assert_frame_equal(comparison_findings.with_test(table, "welch"), table)
    told = comparison_findings.with_test(table, "paired")
    for column in ("difference_points", "ci_low_points", "t", "p_value", "q_value"):
        pd.testing.assert_series_equal(
            told[column], table[f"paired_{column}"], check_names=False
        )
        assert not np.allclose(told[column], table[column])
    assert (told["df"] == told["paired_n"] - 1).all()
    # What is not of a test stays.
    pd.testing.assert_series_equal(told["kl_bits"], table["kl_bits"])
    with pytest.raises(ValueError, match="'moderated', 'paired'.*'student'"):
        comparison_findings.with_test(table, "student")


def table_of(correlations, repeats=7):
    return pd.DataFrame({"paired_correlation": correlations, "paired_n": repeats})


def test_line_on_the_test_names_the_correlation():
    tables = {"pairs": table_of([0.2, 0.4, 0.9]), "classes": table_of([0.8, np.nan])}
    paired = comparison_findings.describe_test(tables, "paired")
    assert paired == (
        "Test: paired t within repeats, which uses the correlation of the groups "
        "within repeats, median: 0.40 for target x pairs, 0.80 for target x classes "
        "(n = 7 repeats)."
    )
    welch = comparison_findings.describe_test(tables, "welch")
    assert welch.startswith("Test: Welch's t, which leaves out the correlation")
    without = comparison_findings.describe_test(
        {"pairs": table_of([np.nan], 0)}, "welch"
    )
    assert "No correlation within repeats" in without


def test_caution_is_of_networks_that_were_tested():
    table = pd.DataFrame(
        {
            "n_confused": [0, 8, 30],
            "n_comparison": [54, 54, 54],
            "p_value": [np.nan, 0.2, 0.3],
        }
    )
    assert "8 networks against 54" in comparison_findings.caution(table, "welch")
    assert comparison_findings.caution(table, "moderated") == ""
    # One network is not tested: there is nothing to be cautious of.
    assert comparison_findings.caution(table[:1], "welch") == ""
    assert comparison_findings.caution(table[2:], "welch") == ""


def test_line_on_the_moderated_test():
    line = comparison_findings.describe_test(
        {"pairs": table_of([0.2]).assign(moderated_n=3)}, "moderated"
    )
    assert "within repeats (n = 3)" in line
    assert "moderated by those of the target's other cells" in line
