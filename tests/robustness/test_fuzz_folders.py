"""Folders of strangers are refused with a message, or read as they are."""

import pytest

from tests.support import fuzz_folders, fuzzing

# Of one of the faster targets; `python -m tests.robustness.fuzz` feeds thousands.
EXAMPLES = 10


@pytest.mark.parametrize("target", fuzz_folders.targets(), ids=lambda t: t.name)
def test_refused_with_a_message_or_read(target):
    counts = fuzzing.run(target, int(EXAMPLES * target.speed))
    assert counts[fuzzing.REFUSED] > 0
