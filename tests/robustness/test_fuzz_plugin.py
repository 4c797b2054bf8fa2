"""Nothing that a stranger asks or writes makes the plugin or TensorBoard fail."""

import json
import time
import urllib.error
import urllib.parse
import urllib.request

import psutil
import pytest

from tb_plugin import metadata
from tests.support import fuzz_plugin, fuzzing
from tests.support.tensorboard_process import TensorBoard

EXAMPLES = 60
NUM_BAD_RUNS = 8
SECONDS = 60
# A promise of 10^9 numbers would take more.
MAX_BYTES = 2 * 10**9


@pytest.mark.parametrize("target", fuzz_plugin.targets(), ids=lambda t: t.name)
def test_nothing_but_answers(target):
    counts = fuzzing.run(target, int(EXAMPLES * target.speed))
    # Some must be bad enough to be refused.
    assert counts[fuzzing.REFUSED] > 0


@pytest.mark.parametrize(
    "load_fast",
    [
        pytest.param("true", marks=pytest.mark.slow),
        # The reader in Python, which the tests above have in this process.
        pytest.param("false", marks=pytest.mark.exhaustive),
    ],
)
def test_a_tensorboard_of_bad_runs_goes_on_serving(tmp_path, load_fast):
    fuzz_plugin.write_hostile_logdir(tmp_path, NUM_BAD_RUNS)
    process = TensorBoard(tmp_path, f"--load_fast={load_fast}")
    try:
        root = process.wait()
        studies = _until_good(root)
        bad = [run for run in studies if run.startswith("bad")]
        assert len(bad) > NUM_BAD_RUNS / 2
        for run in bad[:NUM_BAD_RUNS]:
            for route, parameters in fuzz_plugin.all_requests(run):
                if route != "studies":
                    assert _status(root, route, parameters) in (200, 400, 404)
        # Still there, and not larger than a machine.
        assert _until_good(root).keys() == studies.keys()
        with urllib.request.urlopen(f"{root}data/plugins_listing") as answer:
            assert json.load(answer)[metadata.PLUGIN_NAME]["enabled"]
        assert psutil.Process(process.pid).memory_info().rss < MAX_BYTES
    finally:
        process.stop()


def _until_good(root: str) -> dict:
    """The studies by run, once TensorBoard has read all of them."""
    end = time.monotonic() + SECONDS
    before: set[str] = set()
    while time.monotonic() < end:
        address = f"{root}data/plugin/{metadata.PLUGIN_NAME}/studies"
        with urllib.request.urlopen(address, timeout=SECONDS) as answer:
            studies = {one["run"]: one for one in json.load(answer)["studies"]}
        good = studies.get(f"good/{metadata.TRAINING_RUN}")
        if good and good["error"] is None and studies.keys() == before:
            return studies
        before = set(studies)
        time.sleep(1.5)
    raise AssertionError(f"Waited for {SECONDS} s. There was: {sorted(before)}")


def _status(root: str, route: str, parameters: dict) -> int:
    query = urllib.parse.urlencode(parameters)
    address = f"{root}data/plugin/{metadata.PLUGIN_NAME}/{route}?{query}"
    try:
        with urllib.request.urlopen(address, timeout=SECONDS) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        with error:
            return error.code
