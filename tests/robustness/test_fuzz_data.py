"""Data sets and models of strangers are refused with a message, or read."""

import pytest

from tests.support import fuzz_data, fuzzing

EXAMPLES = 50


@pytest.mark.parametrize("target", fuzz_data.targets(), ids=lambda t: t.name)
def test_refused_with_a_message_or_read(target):
    counts = fuzzing.run(target, int(EXAMPLES * target.speed))
    assert counts[fuzzing.REFUSED] > 0
