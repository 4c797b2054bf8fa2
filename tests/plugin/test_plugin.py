import csv
import io
import json
import math
import subprocess
import sys

import numpy as np
import pytest
from tensorboard.backend import application
from tensorboard.backend.event_processing import (
    data_provider,
    plugin_event_multiplexer,
)
from tensorboard.compat.proto import (
    event_pb2,
    summary_pb2,
    tensor_pb2,
    tensor_shape_pb2,
    types_pb2,
)
from tensorboard.plugins import base_plugin
from tensorboard.summary.writer import record_writer
from werkzeug import wrappers
from werkzeug.test import Client

from keras_confusion.reports.tensorboard.event_writer import RunWriter
from tb_plugin import event_data, group_bins, metadata
from tb_plugin.loader import ConfusionLoader
from tb_plugin.plugin import ConfusionPlugin
from tests.support import plugin_logdir

NAMES = plugin_logdir.HOSTILE_NAMES
CONFUSION = "animals/events/training"
PROTOTYPES = "proto/events/prototypes"
BASE = "/data/plugin/keras_confusion/"
CELL = {"table": "target_by_pair", "response": "accuracy", "row": 0, "target": 2}
PART = {"run": PROTOTYPES, "interval": 0, "init": 0}


class Site:
    """TensorBoard's application in this process, over one logdir."""

    def __init__(self, logdir, path_prefix=""):
        guidance = {metadata.PLUGIN_NAME: 0}
        self.multiplexer = plugin_event_multiplexer.EventMultiplexer(
            tensor_size_guidance=guidance
        )
        self.logdir = str(logdir)
        self.load()
        provider = data_provider.MultiplexerDataProvider(self.multiplexer, self.logdir)
        context = base_plugin.TBContext(data_provider=provider, logdir=self.logdir)
        app = application.TensorBoardWSGI(
            [ConfusionPlugin(context)],
            data_provider=provider,
            path_prefix=path_prefix,
        )
        self.client = Client(app, wrappers.Response)
        self.base = path_prefix + BASE

    def load(self):
        self.multiplexer.AddRunsFromDirectory(self.logdir)
        self.multiplexer.Reload()

    def get(self, path, **parameters):
        return self.client.get(self.base + path, query_string=parameters)

    def json(self, path, **parameters):
        response = self.get(path, **parameters)
        assert response.status_code == 200, response.text
        assert response.content_type == "application/json"
        return json.loads(response.text, parse_constant=pytest.fail)

    def floats(self, path, **parameters):
        response = self.get(path, **parameters)
        assert response.status_code == 200, response.text
        assert response.content_type == "application/octet-stream"
        return np.frombuffer(response.data, "<f4")

    def csv(self, path, file=None, **parameters):
        response = self.get(path, **parameters)
        assert response.status_code == 200, response.text
        assert response.mimetype == "text/csv"
        name = file or parameters["table"]
        disposition = response.headers["Content-Disposition"]
        assert disposition == f'attachment; filename="{name}.csv"'
        return list(csv.DictReader(io.StringIO(response.text)))

    def studies(self):
        return {study["run"]: study for study in self.json("studies")["studies"]}


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """A logdir with a study of each kind, and what was written."""
    logdir = tmp_path_factory.mktemp("logdir")
    order = [4, 2, 0, 1, 3]
    confusion = plugin_logdir.write_confusion_run(
        logdir / "animals", NAMES, class_order=order, num_planned=50
    )
    prototypes = plugin_logdir.write_prototype_run(
        logdir / "proto", NAMES, image_scale=0.5, num_finished=5
    )
    return logdir, confusion, prototypes


@pytest.fixture(scope="module")
def site(written):
    return Site(written[0])


@pytest.fixture(scope="module")
def confusion(written):
    return written[1]


@pytest.fixture(scope="module")
def prototypes(written):
    return written[2]


def test_tensorboard_lists_the_plugin_and_finds_its_page(site):
    listing = json.loads(site.client.get("/data/plugins_listing").text)
    about = listing[metadata.PLUGIN_NAME]
    assert about["enabled"]
    assert about["tab_name"] == "Confusion"
    page = site.client.get("/data/plugin_entry.html?name=keras_confusion")
    assert page.status_code == 200
    path = about["loading_mechanism"]["module_path"]
    assert path.startswith("/data/plugin/keras_confusion/static/")
    assert site.client.get(path).mimetype == "text/javascript"


def test_studies(site, confusion, prototypes):
    answer = site.json("studies")
    assert answer["logdir"] == site.logdir
    animals, proto = answer["studies"]
    assert (animals["name"], animals["kind"]) == ("animals", "confusion")
    assert animals["error"] is None
    assert animals["study"] == confusion.study
    assert animals["tables"] == ["target_by_class", "target_by_pair"]
    assert animals["class_order"] == [4, 2, 0, 1, 3]
    progress = animals["progress"]
    assert progress["num_done"] == progress["num_in_tables"] == len(confusion.networks)
    assert (progress["num_failed"], progress["num_planned"]) == (1, 50)
    # One every two seconds.
    assert progress["networks_per_minute"] == pytest.approx(30, abs=0.01)
    assert progress["seconds_left"] == pytest.approx(6, abs=0.01)
    assert progress["seconds_since_last"] >= 0
    assert (proto["name"], proto["kind"]) == ("proto", "prototypes")
    assert proto["study"] == prototypes.study
    assert proto["progress"] == {
        "num_done": 5,
        "num_planned": 6,
        "finished": [[True, True], [True, True], [True, False]],
    }
    assert animals["stamp"] != proto["stamp"] != ""


@pytest.mark.parametrize("response", metadata.RESPONSES)
def test_confusion_matrix(site, confusion, response):
    columns = ["t", "q_value", "minus_log10_q", "n_confused"]
    indices = [metadata.CELL_COLUMNS.index(c) for c in columns if c[:5] != "minus"]
    by_class = confusion.by_class.swapaxes(1, 2)
    for table, values in (
        ("target_by_class", by_class),
        ("target_by_pair", confusion.by_pair),
    ):
        cells = site.floats(
            "confusion/matrix",
            run=CONFUSION,
            table=table,
            response=response,
            columns=",".join(columns),
        ).reshape(4, values.shape[1], len(NAMES))
        expected = values[metadata.RESPONSES.index(response)][..., indices]
        expected = np.moveaxis(expected, -1, 0).astype(np.float32)
        np.testing.assert_array_equal(cells[[0, 1, 3]], expected)
        np.testing.assert_allclose(
            cells[2], -np.log10(expected[1]), rtol=1e-5, atol=1e-6
        )


@pytest.fixture(scope="module")
def forms(tmp_path_factory, site):
    """Sites of the same study: a point a network, blocks, and as version 1 had it."""
    sites = {"single": site}
    for name, block in (("blocks", 7), ("version 1", None)):
        logdir = tmp_path_factory.mktemp("form")
        plugin_logdir.write_confusion_run(logdir / "animals", NAMES, block=block)
        sites[name] = Site(logdir)
    return sites


@pytest.mark.parametrize("form", ["single", "blocks", "version 1"])
@pytest.mark.parametrize("table", ["target_by_class", "target_by_pair"])
@pytest.mark.parametrize("response", metadata.RESPONSES)
def test_networks_of_every_cell_are_those_of_its_statistics(
    forms, confusion, table, response, form
):
    site = forms[form]
    for row in range(5 if table == "target_by_class" else 10):
        for target in range(5):
            if table == "target_by_class" and row == target:
                continue
            cell = site.json(
                "confusion/cell",
                run=CONFUSION,
                table=table,
                response=response,
                row=row,
                target=target,
            )
            is_member = (
                table == "target_by_pair" and target in confusion.study["pairs"][row]
            )
            if is_member and response == "accuracy_without_pair":
                assert cell["reason"] == cell["networks_reason"] != ""
                continue
            assert cell["networks_reason"] == ""
            for group in cell["groups"]:
                values = [network["value"] for network in group["networks"]]
                statistics = cell["statistics"]
                assert len(values) == statistics[f"n_{group['name']}"] > 1
                assert group["num_networks"] == len(values)
                assert group["mean"] == pytest.approx(np.mean(values))
                assert group["sd"] == pytest.approx(np.std(values, ddof=1))
                assert group["bins"] is None
                assert np.mean(values) == pytest.approx(
                    statistics[f"mean_{group['name']}"], abs=1e-6
                )


def test_confusion_cell(site):
    cell = site.json("confusion/cell", run=CONFUSION, **CELL)
    assert (cell["row_name"], cell["target_name"]) == (
        f"{NAMES[0]}-{NAMES[1]}",
        NAMES[2],
    )
    assert "reason" not in cell["statistics"]
    assert set(cell["statistics"]) == {*metadata.CELL_COLUMNS} - {"reason"}
    confused, comparison = cell["groups"]
    assert [n["repeat"] for n in confused["networks"]] == [0, 1, 2, 3]
    assert {n["pair"] for n in confused["networks"]} == {cell["row_name"]}
    assert {n["pair"] for n in comparison["networks"]} == {"baseline"}
    assert cell["sentence"].startswith(f"Not learning {NAMES[0]} and {NAMES[1]} costs")


def test_networks_that_came_after_the_comparison_are_left_out(tmp_path):
    run = plugin_logdir.write_confusion_run(tmp_path, ["a", "b", "c"], close=False)
    run.add_network(0)
    run.writer.close()
    site = Site(tmp_path)
    (study,) = site.studies().values()
    progress = study["progress"]
    assert progress["num_done"] == progress["num_in_tables"] + 1
    cell = site.json("confusion/cell", run=study["run"], **CELL)
    assert len(cell["groups"][0]["networks"]) == cell["statistics"]["n_confused"] == 4


def test_many_networks_of_a_cell_are_told_in_bins(forms, monkeypatch):
    site, where = forms["blocks"], {"run": CONFUSION, **CELL}
    before = site.json("confusion/cell", **where)
    monkeypatch.setattr(group_bins, "MAX_DOTS", 5)
    confused, baseline = site.json("confusion/cell", **where)["groups"]
    assert confused == before["groups"][0]
    assert baseline["networks"] == []
    values = [network["value"] for network in before["groups"][1]["networks"]]
    assert sum(number for _, _, number in baseline["bins"]) == len(values) == 6
    for low, high, number in baseline["bins"]:
        assert number == sum(low <= value < high for value in values)
    # Whoever saves them gets them all.
    rows = site.csv("confusion/networks_csv", file="networks", **where)
    saved = {group: [] for group in ("confused", "comparison")}
    for row in rows:
        saved[row["group"]].append(float(row["value"]))
    assert saved["comparison"] == values
    assert saved["confused"] == [network["value"] for network in confused["networks"]]
    assert {row["pair"] for row in rows} == {before["row_name"], "baseline"}
    assert {row["target_name"] for row in rows} == {f"'{NAMES[2]}"}


def test_a_block_that_came_after_the_comparison_is_left_out_in_part(tmp_path):
    run = plugin_logdir.write_confusion_run(
        tmp_path, ["a", "b", "c"], block=7, close=False
    )
    # Networks 1 to 14 in two blocks, 15 to 19 in the third, and three more in a fourth.
    more = np.repeat(run.networks[-2:-1], 3, axis=0)
    plugin_logdir.write_networks(run.writer, more, len(run.networks) + 3, 7)
    run.writer.close()
    site = Site(tmp_path)
    (study,) = site.studies().values()
    assert study["progress"]["num_done"] == len(run.networks) + 3
    for row in range(3):
        where = {**CELL, "run": study["run"], "row": row}
        cell = site.json("confusion/cell", **where)
        for group in cell["groups"]:
            assert group["num_networks"] == cell["statistics"][f"n_{group['name']}"]


def test_images_without_their_numbers_make_no_sense(tmp_path):
    run = plugin_logdir.write_confusion_run(tmp_path / "good", ["a", "b", "c"])
    text, count = json.dumps(run.study), np.full((1, 6), 3, np.uint16)
    about = metadata.TAG_NETWORKS, run.networks[:1, :5], 1
    cells = metadata.TAG_BY_PAIR, run.by_pair, 1
    few = metadata.TAG_TEST_IMAGES, np.full(3, 2), 0
    many = metadata.TAG_TEST_IMAGES, np.full(3, 4), 0
    wrong = {
        "missing": [(metadata.TAG_CORRECT, count, 1)],
        "few": [few, (metadata.TAG_CORRECT, count, 1)],
        "negative": [(few[0], -few[1], 0), (metadata.TAG_CORRECT, count, 1)],
        "shape": [many, (metadata.TAG_CORRECT, count[:, 1:], 1)],
        "type": [many, (metadata.TAG_CORRECT, count.astype(np.int16), 1)],
        "kinds": [
            many,
            (metadata.TAG_CORRECT, count, 1),
            (metadata.TAG_CORRECT, count.astype(np.uint8), 2),
        ],
    }
    fine = {"fine": [many, (metadata.TAG_CORRECT, count, 1)]}
    for name, tensors in {**wrong, **fine}.items():
        write_study(tmp_path / name, text, about, cells, *tensors)
    site = Site(tmp_path)
    for name in wrong:
        response = site.get("confusion/cell", run=name, **CELL)
        assert response.status_code == 400, name
    cell = site.json("confusion/cell", run="fine", **CELL)
    (network,) = cell["groups"][1]["networks"]
    assert network == {"value": 0.75, "pair": "baseline", "repeat": 0}


def test_confusion_csv(site, confusion):
    rows = site.csv("confusion/csv", run=CONFUSION, table="target_by_pair")
    assert len(rows) == 2 * 10 * 5
    row = rows[2]
    assert row["run"] == CONFUSION
    assert (row["response"], row["target"], row["pair"]) == ("accuracy", "2", "0")
    # What a spreadsheet would run is disarmed, numbers are not touched.
    assert row["target_name"] == f"'{NAMES[2]}"
    assert float(row["t"]) == confusion.by_pair[0, 0, 2, 9] < 0
    assert row["class_a_name"] == NAMES[0]
    assert rows[50]["reason"] == "the target is in the pair"
    rows = site.csv("confusion/csv", run=CONFUSION, table="target_by_class")
    assert len(rows) == 2 * 5 * 4
    assert all(row["class"] != row["target"] for row in rows)


def test_prototypes(site, prototypes):
    overview = site.json("prototypes/overview", run=PROTOTYPES)
    assert overview["intervals"] == prototypes.study["intervals"]
    assert overview["measures"][0]["mean_c"] == prototypes.measures[0, :, 0].tolist()
    assert overview["measures"][2]["mean_c"][1] is None
    assert overview["trends"][1]["interval"] == prototypes.study["intervals"][1]
    n = len(NAMES)
    cells = site.floats("prototypes/cells", **PART).reshape(n, n, 4)
    np.testing.assert_array_equal(cells, prototypes.cells[0, 0])
    for name, expected in (
        ("c", prototypes.c[0, 0][:, 3]),
        ("r", prototypes.r[0, 0][3]),
    ):
        values = site.floats("prototypes/matrix", **PART, matrix=name, index=3)
        np.testing.assert_array_equal(values.reshape(n, n), expected)
    overview, *rows = prototypes.images[0, 0]
    image = site.get("prototypes/image", **PART)
    assert (image.data, image.content_type) == (overview, "image/png")
    assert site.get("prototypes/image", **PART, target=4).data == rows[4]
    frames = site.get("prototypes/frames", **PART, target=1)
    assert frames.data == prototypes.frames[0, 0][1]


def test_prototypes_csv(site, prototypes):
    def rows(table):
        return site.csv("prototypes/csv", run=PROTOTYPES, table=table)

    assert [float(row["interval"]) for row in rows("trends")] == [33.33, 66.67, 100]
    assert len(rows("measures")) == 5
    assert float(rows("measures")[1]["mean_c"]) == prototypes.measures[0, 1, 0]
    images = rows("images")
    assert len(images) == 5 * 25
    assert images[1]["loss"] == images[1]["predicted_name"] == ""
    assert images[2 * 5]["target_name"] == f"'{NAMES[2]}"


def test_prototypes_in_full_size_without_frames(tmp_path):
    names = [f"class {k}" for k in range(33)]
    run = plugin_logdir.write_prototype_run(
        tmp_path, names, num_intervals=1, num_initialisations=1, image_shape=(2, 3, 1)
    )
    site = Site(tmp_path)
    part = {"run": "events/prototypes", "interval": 0, "init": 0}
    assert site.studies()["events/prototypes"]["name"] == "."
    # C and R of so many classes are float16.
    values = site.floats("prototypes/matrix", **part, matrix="c", index=32)
    np.testing.assert_array_equal(values.reshape(33, 33), run.c[0, 0][:, 32])
    assert site.get("prototypes/image", **part).status_code == 200
    for path in ("image", "frames"):
        assert site.get(f"prototypes/{path}", **part, target=0).status_code == 404


MATRIX = {"run": CONFUSION, "table": "target_by_class", "response": "accuracy"}
BAD_REQUESTS = [
    ("confusion/matrix", {**MATRIX}, 400, "columns"),
    ("confusion/matrix", {**MATRIX, "columns": "t,nonsense"}, 400, "nonsense"),
    ("confusion/matrix", {**MATRIX, "columns": ",".join(["t"] * 99)}, 400, "too many"),
    ("confusion/matrix", {**MATRIX, "table": "passwd", "columns": "t"}, 400, "table"),
    ("confusion/matrix", {**MATRIX, "response": "x", "columns": "t"}, 400, "response"),
    ("confusion/matrix", {}, 400, "run"),
    ("confusion/matrix", {**MATRIX, "run": "../x", "columns": "t"}, 404, "no such run"),
    ("confusion/matrix", {**MATRIX, "run": PROTOTYPES}, 404, "kind"),
    ("confusion/cell", {"run": CONFUSION, **CELL, "row": 10}, 400, "0 to 9"),
    ("confusion/cell", {"run": CONFUSION, **CELL, "row": "-1"}, 400, "row"),
    ("confusion/cell", {"run": CONFUSION, **CELL, "row": "1_0"}, 400, "row"),
    ("confusion/cell", {"run": CONFUSION, **CELL, "target": "\u0663"}, 400, "target"),
    ("confusion/cell", {"run": CONFUSION, **CELL, "target": "9" * 5000}, 400, "target"),
    (
        "confusion/cell",
        {**MATRIX, "row": 1, "target": 1},
        400,
        "another class",
    ),
    ("confusion/csv", {"run": CONFUSION, "table": "trends"}, 400, "table"),
    ("prototypes/overview", {"run": CONFUSION}, 404, "kind"),
    ("prototypes/cells", {**PART, "interval": 3}, 400, "interval"),
    ("prototypes/cells", {**PART, "init": 2}, 400, "init"),
    ("prototypes/cells", {**PART, "interval": 2, "init": 1}, 404, "not yet"),
    ("prototypes/image", {**PART, "interval": 2, "init": 1}, 404, "not yet"),
    ("prototypes/image", {**PART, "target": 5}, 400, "target"),
    ("prototypes/matrix", {**PART, "matrix": "x", "index": 0}, 400, "matrix"),
    ("prototypes/matrix", {**PART, "matrix": "c", "index": 5}, 400, "index"),
    ("prototypes/frames", {**PART}, 400, "target"),
    ("prototypes/csv", {"run": PROTOTYPES, "table": "target_by_pair"}, 400, "table"),
]


@pytest.mark.parametrize(("path", "parameters", "code", "word"), BAD_REQUESTS)
def test_bad_requests_get_a_reason(site, path, parameters, code, word):
    response = site.get(path, **parameters)
    assert (response.status_code, response.mimetype) == (code, "text/plain")
    assert word in response.text
    assert len(response.text) < 1000


def test_only_get_is_answered(site):
    response = site.client.post(BASE + "studies")
    assert response.status_code == 405
    assert response.headers["Allow"] == "GET"


def test_answers_with_a_stamp_can_be_kept(site):
    part = {**MATRIX, "columns": "t"}
    plain = site.get("confusion/matrix", **part)
    assert "no-cache" in plain.headers["Cache-Control"]
    stamped = site.get("confusion/matrix", **part, stamp="1763812345.25-414")
    assert "max-age=86400" in stamped.headers["Cache-Control"]
    assert stamped.data == plain.data


@pytest.mark.parametrize("prefix", ["", "/foo/bar"])
@pytest.mark.parametrize("experiment", ["", "/experiment/x"])
def test_routes_below_a_prefix_and_an_experiment(written, prefix, experiment):
    site = Site(written[0], path_prefix=prefix)
    site.base = prefix + experiment + BASE
    assert list(site.studies()) == [CONFUSION, PROTOTYPES]
    assert site.floats("confusion/matrix", **MATRIX, columns="t").size == 25
    listing = site.client.get(f"{prefix}{experiment}/data/plugins_listing").text
    path = json.loads(listing)[metadata.PLUGIN_NAME]["loading_mechanism"]["module_path"]
    assert site.client.get(path).status_code == 200


def test_static_files(site):
    plugin_path = ConfusionPlugin(base_plugin.TBContext()).frontend_metadata()
    version = plugin_path.es_module_path.split("/")[2]
    for name, mimetype in (
        ("index.js", "text/javascript"),
        ("style.css", "text/css"),
        ("vendor/d3-7.9.2.min.js", "text/javascript"),
        ("vendor/d3-LICENSE.txt", "text/plain"),
    ):
        packed = site.client.get(
            f"{BASE}static/{version}/{name}", headers={"Accept-Encoding": "gzip"}
        )
        assert (packed.status_code, packed.mimetype) == (200, mimetype)
        assert packed.headers["X-Content-Type-Options"] == "nosniff"
        assert packed.headers["Content-Encoding"] == "gzip"
        assert "max-age=604800" in packed.headers["Cache-Control"]
        plain = site.get(f"static/{version}/{name}")
        assert "Content-Encoding" not in plain.headers
        assert len(plain.data) > len(packed.data)
    for path in (
        "",
        "index.js",
        f"{version}",
        f"{version}/",
        f"{version}/nothing.js",
        f"{version}/vendor",
        f"{version}/../plugin.py",
        f"{version}/%2e%2e/plugin.py",
        f"{version}/..%2fplugin.py",
        f"{version}/vendor/../index.js",
        f"{version}/vendor/../../../../etc/passwd",
        f"{version}//etc/passwd",
        f"{version}/..\\plugin.py",
        f"../{version}/index.js",
        "000000000000/index.js",
        f"{version}/index.js%00.css",
    ):
        assert site.client.get(f"{BASE}static/{path}").status_code == 404, path


def test_without_a_data_provider_there_are_no_studies():
    context = base_plugin.TBContext(logdir="somewhere")
    plugin = ConfusionPlugin(context)
    assert not plugin.is_active()
    client = Client(application.TensorBoardWSGI([plugin]), wrappers.Response)
    answer = json.loads(client.get(BASE + "studies").text)
    assert answer["studies"] == []
    assert client.get(BASE + "confusion/csv?run=x&table=x").status_code == 404


def test_a_study_that_is_taken_up_again_shows_no_old_data(tmp_path):
    names = ["a", "b", "c"]
    old = plugin_logdir.write_confusion_run(tmp_path, names, num_repeats=9)
    # Files are named by the second, and these are written within one.
    (file,) = old.directory.iterdir()
    file.rename(file.with_name("events.out.tfevents.1000000000.here"))
    site = Site(tmp_path)
    (before,) = site.studies().values()
    new = plugin_logdir.write_confusion_run(
        tmp_path, names, num_repeats=3, tables=False, seed=1
    )
    site.load()
    (after,) = site.studies().values()
    assert after["stamp"] != before["stamp"]
    assert after["progress"]["num_done"] == len(new.networks)
    assert after["study"]["settings"]["seed"] == 1
    assert after["tables"] == []
    assert site.get("confusion/cell", run=after["run"], **CELL).status_code == 404


def test_pictures_of_a_deleted_file_are_not_shown(tmp_path):
    """TensorBoard's Python loader keeps the first files of each step."""
    old = plugin_logdir.write_prototype_run(tmp_path, ["a", "b"])
    (file,) = old.directory.iterdir()
    file.rename(file.with_name("events.out.tfevents.1000000000.here"))
    site = Site(tmp_path)
    part = {"run": "events/prototypes", "interval": 0, "init": 0}
    assert site.get("prototypes/image", **part).data == old.images[0, 0][0]
    new = plugin_logdir.write_prototype_run(tmp_path, ["a", "b"], seed=1)
    site.load()
    image = site.get("prototypes/image", **part)
    if image.status_code == 404:
        assert "Restart TensorBoard" in image.text
    else:
        assert image.data == new.images[0, 0][0]
    cells = site.floats("prototypes/cells", **part)
    np.testing.assert_array_equal(cells, new.cells[0, 0].ravel())


def write_study(directory, text, *tensors):
    writer = RunWriter(directory)
    writer.text(metadata.TAG_STUDY, text, 0)
    for tag, values, step in tensors:
        writer.tensor(tag, np.asarray(values), step)
    writer.close()


def test_bad_runs_are_listed_beside_good_ones(written, tmp_path):
    _, good, _ = written
    plugin_logdir.write_confusion_run(tmp_path / "good", ["a", "b", "c"])
    text = json.dumps(good.study)
    k, network = len(NAMES), (metadata.TAG_NETWORK, good.networks[0], 1)
    write_study(tmp_path / "no json", "{", network)
    write_study(tmp_path / "short", text, (metadata.TAG_NETWORK, np.zeros(3), 1))
    strange = np.where(np.arange(5 + 2 * k) == 0, 77, good.networks[0])
    write_study(tmp_path / "strange", text, (metadata.TAG_NETWORK, strange, 1))
    integers = good.networks[0].astype(np.float32)
    write_study(tmp_path / "float32", text, (metadata.TAG_NETWORK, integers, 1))
    order = np.zeros(k, np.int64)
    write_study(tmp_path / "order", text, network, (metadata.TAG_CLASS_ORDER, order, 1))
    writer = RunWriter(tmp_path / "number")
    writer.tensor(metadata.TAG_STUDY, np.zeros(1), 0)
    writer.close()
    plugin_logdir.write_run_without_value(tmp_path / "no value")
    site = Site(tmp_path)
    found = site.studies()
    bad = ("no json", "short", "strange", "float32", "order", "number", "no value")
    assert set(found) == {"good/events/training", *bad}
    for run in bad:
        assert found[run]["study"] is None, run
        known = run in ("short", "strange", "float32", "order")
        assert found[run]["kind"] == ("confusion" if known else None), run
        assert found[run]["error"]["reason"] == "malformed", run
        response = site.get("confusion/cell", run=run, **CELL)
        # Of two the description is fine, and there are no comparisons.
        assert response.status_code in (400, 404), run
    good_study = found["good/events/training"]
    assert good_study["error"] is None
    assert site.json("confusion/cell", run="good/events/training", **CELL)["sentence"]


def test_studies_of_earlier_versions_lack_some_columns(confusion, tmp_path):
    kept = [
        number
        for number, name in enumerate(metadata.CELL_COLUMNS)
        if name not in metadata.ADDED_COLUMNS
    ]
    names = [metadata.CELL_COLUMNS[number] for number in kept]
    tag = metadata.TAG_BY_PAIR
    earlier = json.dumps(confusion.study | {"columns": names})
    write_study(tmp_path / "earlier", earlier, (tag, confusion.by_pair[..., kept], 1))
    write_study(
        tmp_path / "today", json.dumps(confusion.study), (tag, confusion.by_pair, 1)
    )
    site = Site(tmp_path)
    old, new = (
        site.json("confusion/cell", run=run, **CELL)["statistics"]
        for run in ("earlier", "today")
    )
    assert old.keys() == new.keys()
    assert site.studies()["earlier"]["test_title"] == "Welch's t"
    for name, value in old.items():
        expected = None if name in metadata.ADDED_COLUMNS else new[name]
        assert value == expected, name
    assert new["paired_p_value"] is not None


@pytest.mark.parametrize(
    ("test", "title"),
    [("moderated", "moderated t"), ("paired", "paired t"), ("welch", "Welch's t")],
)
def test_a_study_is_told_by_its_test(confusion, tmp_path, test, title):
    text = json.dumps(confusion.study | {"test": test})
    write_study(tmp_path / "x", text, (metadata.TAG_BY_PAIR, confusion.by_pair, 1))
    site = Site(tmp_path)
    study = site.studies()["x"]
    assert (study["study"]["test"], study["test_title"]) == (test, title)
    cell = site.json("confusion/cell", run="x", **CELL)
    assert (cell["test"], cell["test_title"]) == (test, title)
    assert f"; {title} = " in cell["sentence"]
    rows = site.csv("confusion/csv", run="x", table="target_by_pair")
    assert {row["test"] for row in rows} == {test}


def test_a_study_by_a_test_that_there_is_not_is_refused(confusion, tmp_path):
    text = json.dumps(confusion.study | {"test": "<b>t</b>"})
    write_study(tmp_path / "x", text, (metadata.TAG_BY_PAIR, confusion.by_pair, 1))
    site = Site(tmp_path)
    assert site.studies()["x"]["error"]["reason"] == "malformed"
    assert site.get("confusion/cell", run="x", **CELL).status_code == 400


def test_bad_tables_are_refused(confusion, tmp_path):
    text, tag = json.dumps(confusion.study), metadata.TAG_BY_PAIR
    reason = confusion.by_pair.copy()
    reason[..., -1] = 50
    write_study(tmp_path / "shape", text, (tag, confusion.by_pair[:1], 1))
    write_study(tmp_path / "type", text, (tag, confusion.by_pair.astype(np.float32), 1))
    write_study(tmp_path / "reason", text, (tag, reason, 1))
    columns = np.arange(len(metadata.CELL_COLUMNS))
    huge = confusion.by_pair * np.where(columns == columns[-1], 1, 1e300)
    write_study(tmp_path / "huge", text, (tag, huge, 1))
    site = Site(tmp_path)
    for run in ("shape", "type", "reason"):
        assert site.get("confusion/cell", run=run, **CELL).status_code == 400
        table = {"run": run, "table": "target_by_pair"}
        assert site.get("confusion/csv", **table).status_code == 400
    values = site.floats(
        "confusion/matrix", **{**MATRIX, "run": "huge", "table": tag[7:]}, columns="t"
    )
    assert np.isnan(values).all()
    cell = site.json("confusion/cell", run="huge", **CELL)
    assert cell["networks_reason"] == "the run has no single networks"


def write_tensor(directory, tag, proto, data_class):
    """Writes a tensor that no honest writer makes."""
    directory.mkdir(parents=True)
    with open(directory / "events.out.tfevents.1.here", "wb") as file:
        about = summary_pb2.SummaryMetadata(data_class=data_class)
        about.plugin_data.plugin_name = metadata.PLUGIN_NAME
        about.plugin_data.content = metadata.plugin_content()
        value = summary_pb2.Summary.Value(tag=tag, tensor=proto, metadata=about)
        event = event_pb2.Event(
            wall_time=2e9, summary=summary_pb2.Summary(value=[value])
        )
        record_writer.RecordWriter(file).write(event.SerializeToString())


def promised(*sizes):
    """One number, and a shape of many."""
    dims = [tensor_shape_pb2.TensorShapeProto.Dim(size=size) for size in sizes]
    return tensor_pb2.TensorProto(
        dtype=types_pb2.DT_DOUBLE,
        tensor_shape=tensor_shape_pb2.TensorShapeProto(dim=dims),
        double_val=[1.0],
    )


def test_a_promise_of_many_files_is_not_believed(prototypes, tmp_path):
    write_study(tmp_path / "run", json.dumps(prototypes.study))
    write_tensor(
        tmp_path / "run" / "more",
        f"{metadata.PREFIX_IMAGES}0",
        promised(2**40, 2**40),
        summary_pb2.DATA_CLASS_BLOB_SEQUENCE,
    )
    # Both event files are one run's.
    (tmp_path / "run" / "more" / "events.out.tfevents.1.here").rename(
        tmp_path / "run" / "events.out.tfevents.99999999999.here"
    )
    part = {"run": "run", "interval": 0, "init": 0}
    response = Site(tmp_path).get("prototypes/image", **part)
    assert response.status_code == 400
    assert "files" in response.text


@pytest.fixture
def reads(monkeypatch):
    """What TensorBoard was asked to read, a list that grows."""
    asked = []
    read = data_provider.MultiplexerDataProvider.read_tensors

    def noted(self, *arguments, **options):
        asked.append(options)
        return read(self, *arguments, **options)

    monkeypatch.setattr(data_provider.MultiplexerDataProvider, "read_tensors", noted)
    return asked


def test_a_promise_of_many_numbers_is_read_once(tmp_path, monkeypatch, reads):
    monkeypatch.setattr(event_data, "CACHE_BYTES", 10**6)
    write_tensor(
        tmp_path / "run",
        metadata.TAG_STUDY,
        promised(10**6),
        summary_pb2.DATA_CLASS_TENSOR,
    )
    site = Site(tmp_path)
    for _ in range(3):
        (study,) = site.studies().values()
        assert study["error"]["reason"] == "malformed"
        assert "at most 1000000 bytes" in study["error"]["text"]
    assert len(reads) == 1


def test_many_studies_are_read_together(tmp_path, reads):
    for number in range(12):
        plugin_logdir.write_confusion_run(tmp_path / str(number), ["a", "b", "c"])
    site = Site(tmp_path)
    found = site.studies()
    assert len(found) == 12
    assert not any(study["error"] for study in found.values())
    assert len(reads) <= 3


def test_a_newer_study_asks_for_an_update(tmp_path, monkeypatch):
    monkeypatch.setattr(metadata, "SCHEMA_VERSION", metadata.SCHEMA_VERSION + 1)
    plugin_logdir.write_confusion_run(tmp_path, ["a", "b", "c"])
    monkeypatch.undo()
    site = Site(tmp_path)
    (study,) = site.studies().values()
    assert study["error"]["reason"] == "newer"
    assert "Update the package" in study["error"]["text"]
    assert site.get("confusion/cell", run=study["run"], **CELL).status_code == 400


def test_only_pictures_of_the_right_size_are_sent(tmp_path):
    names = ["a", "b"]
    run = plugin_logdir.write_prototype_run(
        tmp_path / "good", names, num_intervals=1, num_initialisations=1, num_frames=2
    )
    good = run.images[0, 0][0]
    other = run.frames[0, 0][0]
    bad_files = {
        "html": b"<script>alert(1)</script>" * 9,
        "empty": b"",
        "cut": good[:20],
        "other size": other[:16] + good[16:24][::-1] + good[24:],
        "huge": good[:16] + b"\x00\x10\x00\x00" * 2 + good[24:],
    }
    for name, content in bad_files.items():
        writer = RunWriter(tmp_path / name)
        writer.text(metadata.TAG_STUDY, json.dumps(run.study), 0)
        writer.blobs(f"{metadata.PREFIX_IMAGES}0", [content], 0)
        writer.blobs(f"{metadata.PREFIX_FRAMES}0", [content], 0)
        writer.close()
    site = Site(tmp_path)
    for name in bad_files:
        part = {"run": name, "interval": 0, "init": 0}
        image = site.get("prototypes/image", **part)
        assert (image.status_code, image.mimetype) == (400, "text/plain"), name
        frames = site.get("prototypes/frames", **part, target=0)
        assert frames.status_code == 400, name
        assert site.get("prototypes/frames", **part, target=1).status_code == 404
    part = {"run": "good/events/prototypes", "interval": 0, "init": 0}
    assert site.get("prototypes/image", **part).data == good


def test_the_loader_keeps_all_data_unless_told_otherwise():
    class Flags:
        samples_per_plugin = {"scalars": 5}

    loader = ConfusionLoader()
    loader.fix_flags(Flags)
    assert Flags.samples_per_plugin == {"scalars": 5, metadata.PLUGIN_NAME: 0}
    Flags.samples_per_plugin[metadata.PLUGIN_NAME] = 7
    loader.fix_flags(Flags)
    assert Flags.samples_per_plugin[metadata.PLUGIN_NAME] == 7
    assert isinstance(loader.load(base_plugin.TBContext()), ConfusionPlugin)


@pytest.mark.parametrize("module", ["loader", "plugin"])
def test_the_plugin_needs_neither_tensorflow_nor_keras_confusion(module):
    code = f"import sys, tb_plugin.{module}; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    modules = set(done.stdout.split())
    assert f"tb_plugin.{module}" in modules
    assert not modules & {"tensorflow", "keras", "keras_confusion", "pandas", "scipy"}
    if module == "loader":
        # What it imports, TensorBoard imports at every start.
        assert not modules & {"tb_plugin.plugin", "numpy", "werkzeug"}


def test_numbers_are_strict_json(site):
    cell = site.json("confusion/cell", run=CONFUSION, **{**CELL, "target": 0})
    assert all(
        value is None or math.isfinite(value) for value in cell["statistics"].values()
    )
