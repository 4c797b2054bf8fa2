import pytest

from tests.robustness import interrupts


@pytest.mark.slow
def test_ctrl_c_is_one_line_within_imports_and_while_workers_start(capsys):
    code = interrupts.main(["--rounds", "4", "--at-once", "1", "--last", "9"])
    told = capsys.readouterr().out
    assert code == 0, told
    assert told == "4 of 4 rounds as they should be.\n"
