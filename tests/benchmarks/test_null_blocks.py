import pathlib

import pandas as pd
import pytest

from benchmarks.validity import null_blocks


@pytest.fixture
def drawn(monkeypatch):
    """Two studies with p-values that are known, in place of trained ones."""
    p_values = {0: [0.0005, 0.03, 0.2, None], 1: [0.04, 0.5, 0.6, 0.7]}
    q_values = {0: [0.0015, 0.045, 0.2, None], 1: [0.16, 0.7, 0.7, 0.7]}

    def tests_of(directory):
        seed = int(directory.name)
        return pd.DataFrame(
            {
                "comparison": "target x pair",
                "response": "accuracy",
                "test": "blocks",
                "p_value": pd.array(p_values[seed], "Float64"),
                "q_value": pd.array(q_values[seed], "Float64"),
            }
        )

    monkeypatch.setattr(null_blocks, "tests_of", tests_of)
    monkeypatch.setattr(
        null_blocks, "run_study", lambda seed, **_: pathlib.Path(str(seed))
    )
    return null_blocks.measure(num_studies=2)


def test_shares_are_means_over_studies_of_the_tests_that_were_made(drawn):
    (row,) = drawn
    assert row["tests"] == 7
    # Two of three, and one of four.
    mean, low, high = row["share_0.05"]
    assert mean == pytest.approx((2 / 3 + 1 / 4) / 2)
    assert low == 0 < mean < high
    assert row["share_0.001"][0] == pytest.approx(1 / 6)
    assert (row["any_q"], row["studies"]) == (1, 2)


def test_report_names_every_row(drawn):
    text = null_blocks.report(drawn, {"machine": "this one"})
    assert "| target x pair | accuracy | blocks | 7 | 0.4583 (0.0000 to" in text
    assert text.rstrip().endswith("| 1 of 2 |")
