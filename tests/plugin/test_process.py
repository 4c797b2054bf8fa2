"""The plugin in real TensorBoard processes, with both of its loaders."""

import json
import time
import urllib.error
import urllib.parse
import urllib.request

import numpy as np
import pytest

from keras_confusion.reports.tensorboard.event_writer import RunWriter
from tb_plugin import metadata
from tests.support import plugin_logdir
from tests.support.tensorboard_process import TensorBoard

SECONDS_TO_RELOAD = 30
NAMES = ["a", "b", "c"]
NUM_STEPS = 300


class Server:
    """A TensorBoard process over a logdir of its own."""

    def __init__(self, logdir, load_fast):
        self.logdir, self.load_fast = logdir, load_fast
        options = ("--path_prefix", "/some/prefix", f"--load_fast={load_fast}")
        self.process = TensorBoard(logdir, *options)
        self.address = ""

    def wait(self):
        """Waits until the address is known."""
        self.address = f"{self.process.wait()}data/plugin/{metadata.PLUGIN_NAME}/"

    def get(self, path, **parameters):
        """The status and the contents of an answer."""
        address = f"{self.address}{path}?{urllib.parse.urlencode(parameters)}"
        try:
            with urllib.request.urlopen(address, timeout=60) as response:
                return response.status, response.read()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read()

    def study(self, name):
        """A study as `studies` lists it, None while it is not listed."""
        status, content = self.get("studies")
        assert status == 200, content
        listed = json.loads(content)["studies"]
        return next((study for study in listed if study["name"] == name), None)

    def until_study(self, name, condition):
        """A study as soon as a condition holds."""

        def find():
            study = self.study(name)
            return study if study and condition(study) else None

        return until(
            find, SECONDS_TO_RELOAD, lambda: f"{self.study(name)} {self.process.log}"
        )


def until(find, seconds, describe):
    """What a function finds, as soon as it finds something."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := find():
            return found
        time.sleep(0.2)
    pytest.fail(f"Waited for {seconds} s. There was: {describe()}")


# The reader in Python is that of the tests of routes, and of one in robustness/.
@pytest.fixture(
    scope="module", params=["true", pytest.param("false", marks=pytest.mark.exhaustive)]
)
def server(request, tmp_path_factory):
    """TensorBoard's faster reader, and its own in Python."""
    logdir = tmp_path_factory.mktemp(f"load_fast_{request.param}")
    plugin_logdir.write_confusion_run(logdir / "good", NAMES, num_repeats=2)
    plugin_logdir.write_prototype_run(logdir / "proto", NAMES, image_scale=0.5)
    write_many_steps(logdir / "many")
    plugin_logdir.write_run_without_value(logdir / "no value")
    started = Server(logdir, request.param)
    try:
        started.wait()
        yield started
    finally:
        started.process.stop()


def write_many_steps(directory):
    run = plugin_logdir.write_confusion_run(
        directory, NAMES, has_failed=False, close=False
    )
    while len(run.networks) < NUM_STEPS:
        run.add_network(0)
    run.writer.close()


def test_all_steps_are_kept(server):
    study = server.until_study("many", lambda s: s["study"])
    assert study["progress"]["num_done"] == NUM_STEPS


def test_a_bad_run_hides_no_good_one(server):
    good = server.until_study("good", lambda s: s["tables"])
    assert good["error"] is None
    bad = server.study("no value")
    assert bad["error"]["reason"] == "malformed"
    assert bad["study"] is None
    cell = {"table": "target_by_pair", "response": "accuracy", "row": 0, "target": 2}
    status, content = server.get("confusion/cell", run=good["run"], **cell)
    assert status == 200, content
    assert json.loads(content)["sentence"]
    status, content = server.get("confusion/cell", run=bad["run"], **cell)
    assert status == 400
    assert content


def test_prototypes(server):
    study = server.until_study("proto", lambda s: s["progress"]["num_done"] == 6)
    part = {"run": study["run"], "interval": 2, "init": 1}
    for path, parameters, start in (
        ("image", {}, b"\x89PNG"),
        ("image", {"target": 2}, b"\x89PNG"),
        ("frames", {"target": 0}, b"\x89PNG"),
        ("matrix", {"matrix": "c", "index": 1}, b""),
        ("cells", {}, b""),
    ):
        status, content = server.get(f"prototypes/{path}", **part, **parameters)
        assert status == 200, content
        assert content.startswith(start)


def test_a_network_that_is_added_shows_up(server):
    run = plugin_logdir.write_confusion_run(
        server.logdir / "live", NAMES, num_planned=99, close=False
    )
    before = server.until_study("live", lambda s: s["tables"])
    run.add_network(1)
    after = server.until_study("live", lambda s: s["stamp"] != before["stamp"])
    run.writer.close()
    assert after["progress"]["num_done"] == before["progress"]["num_done"] + 1
    assert after["progress"]["num_in_tables"] == before["progress"]["num_in_tables"]


def test_a_study_that_is_written_anew_shows_its_new_data(server):
    directory = server.logdir / "again"
    old = plugin_logdir.write_confusion_run(directory, NAMES, num_repeats=9)
    before = server.until_study("again", lambda s: s["tables"])
    assert before["progress"]["num_done"] == len(old.networks)
    new = plugin_logdir.write_confusion_run(directory, NAMES, num_repeats=3, seed=1)
    num_new = len(new.networks)
    server.until_study("again", lambda s: s["progress"]["num_in_tables"] == num_new)
    assert server.study("again")["progress"]["num_done"] == num_new
    status, content = server.get(
        "confusion/matrix",
        run=before["run"],
        table="target_by_pair",
        response="accuracy",
        columns="difference_points",
    )
    assert status == 200, content
    difference = metadata.CELL_COLUMNS.index("difference_points")
    expected = new.by_pair[0, ..., difference].astype("<f4")
    np.testing.assert_array_equal(np.frombuffer(content, "<f4"), expected.ravel())


def test_malformed_data_do_no_harm(server):
    writer = RunWriter(server.logdir / "hostile")
    writer.text(metadata.TAG_STUDY, "[" * 100_000, 0)
    writer.tensor(metadata.TAG_NETWORK, np.full(3, np.inf), -5)
    writer.tensor(metadata.TAG_BY_PAIR, np.array(["x"]), 2**62)
    writer.blobs(f"{metadata.PREFIX_IMAGES}0", [b"<script>"], 0)
    writer.close()
    (server.logdir / "cut").mkdir()
    plugin_logdir.write_confusion_run(server.logdir / "cut", NAMES)
    (file,) = (server.logdir / "cut" / metadata.TRAINING_RUN).iterdir()
    file.write_bytes(file.read_bytes()[:-500])
    bad = server.until_study("hostile", lambda s: s["error"])
    assert bad["error"]["reason"] == "malformed"
    assert server.get("prototypes/overview", run="hostile")[0] == 400
    assert server.study("good")["error"] is None
    cut = server.until_study("cut", lambda s: s["progress"]["num_done"] > 0)
    assert cut["error"] is None


def test_the_front_end_is_served(server):
    server_root = server.address.partition("/data/")[0]
    with urllib.request.urlopen(f"{server_root}/data/plugins_listing") as response:
        about = json.load(response)[metadata.PLUGIN_NAME]
    assert about["enabled"]
    path = about["loading_mechanism"]["module_path"]
    origin = server_root.removesuffix("/some/prefix")
    with urllib.request.urlopen(origin + path) as response:
        assert response.headers.get_content_type() == "text/javascript"
