import json
import struct
import threading

import numpy as np
import pytest

from keras_confusion.comparisons import findings as comparison_findings
from tb_plugin import (
    answers,
    arrays,
    event_data,
    findings,
    group_bins,
    metadata,
    networks,
    static_files,
    studies,
    study_text,
)
from tb_plugin.event_data import Point
from tb_plugin.study_text import DataError
from tests.support import plugin_logdir


@pytest.fixture(scope="module")
def confusion(tmp_path_factory):
    directory = tmp_path_factory.mktemp("study")
    return plugin_logdir.write_confusion_run(directory, ["a", "b", "c", "d"])


@pytest.fixture(scope="module")
def prototypes(tmp_path_factory):
    directory = tmp_path_factory.mktemp("study")
    return plugin_logdir.write_prototype_run(directory, ["a", "b"])


def parse(study):
    return study_text.parse_study(json.dumps(study).encode())


# --- What a run is about


def test_descriptions_are_read_as_written(confusion, prototypes):
    for study in (confusion.study, prototypes.study):
        assert parse({**study, "of a later version": 1}) == study


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'{"kind": "x"}',
        b'{"kind": {}}',
        b"\xff\xfe",
        b"[" * 10**5,
        b" " * (study_text.MAX_BYTES + 1),
    ],
)
def test_texts_that_describe_no_study_are_refused(text):
    with pytest.raises(DataError) as error:
        study_text.parse_study(text)
    assert error.value.reason == "malformed"


CONFUSION_CHANGES = {
    "class_names": [
        None,
        [],
        ["a"],
        "abcd",
        ["a", "b", "c", 4],
        ["a", "b", "c", "d" * 201],
        ["a", "b", "c", "\ud800"],
        [str(k) for k in range(1001)],
    ],
    "pairs": [
        {},
        [[0, 4]],
        [[1, 0]],
        [[1, 1]],
        [[-1, 0]],
        [[0, 1], [0, 1]],
        [[0, 1, 2]],
        [[0, True]],
        [[0, 1.0]],
        ["01"],
        [[0, 1]] * 99,
    ],
    "num_planned": [-1, 1.5, "9", True, 10**30, None],
    "columns": [[], ["t"], "t", [*metadata.CELL_COLUMNS, "t"], [1], None],
    "reasons": ["", [1], ["x" * 1001], None],
    "has_all_pairs": [0, None, "yes"],
    "test": ["", "Welch's t", "anova", None, 0, ["welch"], {"welch": 1}],
    "settings": [[], None, json.loads('{"a":' * 30 + "1" + "}" * 30)],
}
PROTOTYPE_CHANGES = {
    "class_names": [["a"]],
    "intervals": [[], [50, 25], [1, 1], [101], [float("nan")], [None], ["1"], 5],
    "num_initialisations": [0, -1, 1001, 1.0, None],
    "image_shape": [[8, 8], [8, 8, 2], [8, 8, 4], [0, 8, 1], [8, 9000, 1], "883"],
    "num_frames": [-1, 1001, 0.5, None],
    "image_scale": [0, -1, 1.1, float("inf"), "1", None],
    "measures": [["a", "a"], "a", [1], None, [str(k) for k in range(501)]],
    "trends": [["a", "a"], None],
    "network": [0, None, ["0"], "0" * 201],
    "settings": ["x"],
}


@pytest.mark.parametrize(
    ("key", "value"),
    [(key, value) for key, values in CONFUSION_CHANGES.items() for value in values],
)
def test_bad_confusion_studies_are_refused(confusion, key, value):
    with pytest.raises(DataError, match=key):
        parse({**confusion.study, key: value})
    without = {name: old for name, old in confusion.study.items() if name != key}
    if key == "test":
        # As studies of earlier versions.
        assert parse(without)["test"] == "welch"
        return
    with pytest.raises(DataError, match=key):
        parse(without)


@pytest.mark.parametrize(
    ("key", "value"),
    [(key, value) for key, values in PROTOTYPE_CHANGES.items() for value in values],
)
def test_bad_prototype_studies_are_refused(prototypes, key, value):
    with pytest.raises(DataError, match=key):
        parse({**prototypes.study, key: value})


def test_prototype_studies_of_earlier_versions_do_not_name_their_network(prototypes):
    study = {key: value for key, value in prototypes.study.items() if key != "network"}
    assert parse(study)["network"] == ""


def test_columns_of_later_packages_do_no_harm(confusion):
    columns = ["new", *reversed(metadata.CELL_COLUMNS)]
    assert parse({**confusion.study, "columns": columns})["columns"] == columns


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (metadata.plugin_content(), None),
        (b'{"version": 1}', None),
        (b'{"version": 3}', "newer"),
        (b'{"version": 0}', "malformed"),
        (b'{"version": "1"}', "malformed"),
        (b'{"version": true}', "malformed"),
        (b"[1]", "malformed"),
        (b"", "malformed"),
    ],
)
def test_versions(content, reason):
    if reason is None:
        study_text.check_version(content)
        return
    with pytest.raises(DataError) as error:
        study_text.check_version(content)
    assert error.value.reason == reason


@pytest.mark.parametrize(
    ("run", "name"),
    [
        ("events/training", "."),
        ("a/b/events/training", "a/b"),
        ("a/events/prototypes", "a"),
        (".", "."),
        ("my_events/training", "my_events/training"),
        ("other", "other"),
    ],
)
def test_short_name(run, name):
    assert studies.short_name(run) == name


# --- Networks


def blocks(rows, size):
    """Rows of TAG_NETWORKS as points."""
    parts = [rows[first : first + size, :5] for first in range(0, len(rows), size)]
    last = np.cumsum([len(part) for part in parts]).tolist()
    return [Point(step, 0.0, part) for step, part in zip(last, parts, strict=True)]


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_networks_are_read_as_written(confusion, size):
    found = networks.check_networks(blocks(confusion.networks, size), confusion.study)
    np.testing.assert_array_equal(found.pair, confusion.networks[:, 0])
    np.testing.assert_array_equal(found.finished_at, confusion.networks[:, 3])
    np.testing.assert_array_equal(found.steps, 1 + np.arange(len(confusion.networks)))
    assert found.failed.sum() == 1
    assert len(networks.check_networks([], confusion.study).steps) == 0


@pytest.mark.parametrize(
    ("steps", "sizes"), [((2,), (3,)), ((2, 3), (2, 2)), ((1, 1), (1, 1)), ((0,), (1,))]
)
def test_networks_that_are_counted_wrongly_are_refused(confusion, steps, sizes):
    rows = confusion.networks[:, :5]
    points = [
        Point(step, 0.0, rows[:size]) for step, size in zip(steps, sizes, strict=True)
    ]
    with pytest.raises(DataError, match="counted from 1"):
        networks.check_networks(points, confusion.study)


@pytest.mark.parametrize(
    "values",
    [np.zeros(5), np.zeros((1, 4)), np.zeros((1, 5), np.float32), np.float64(1)],
)
def test_blocks_of_other_shapes_are_refused(confusion, values):
    with pytest.raises(DataError, match="Expected networks"):
        networks.check_networks([Point(1, 0.0, np.asarray(values))], confusion.study)


def test_a_gap_leaves_networks_out(confusion):
    points = blocks(confusion.networks, 5)
    found = networks.check_networks(points[:1] + points[2:], confusion.study)
    assert found.steps.tolist()[:6] == [1, 2, 3, 4, 5, 11]


@pytest.mark.parametrize(
    ("column", "value"),
    [
        (0, 6),
        (0, -2),
        (0, 0.5),
        (0, np.nan),
        (1, -1),
        (1, np.inf),
        (2, 2),
        (3, np.nan),
        (3, np.inf),
    ],
)
def test_networks_that_make_no_sense_are_refused(confusion, column, value):
    rows = confusion.networks.copy()
    rows[3, column] = value
    with pytest.raises(DataError):
        networks.check_networks(blocks(rows, 4), confusion.study)


def progress(finished_at, **options):
    n = len(finished_at)
    found = networks.Networks(
        steps=np.arange(1, n + 1),
        pair=np.zeros(n, int),
        repeat=np.zeros(n, int),
        failed=np.zeros(n, bool),
        finished_at=np.array(finished_at, float),
        seconds=np.full(n, 4.0),
    )
    about = {"num_planned": 100, "num_in_tables": 0, "now": 1e6, **options}
    return networks.progress(found, **about)


def test_progress_is_that_of_the_newest_networks():
    # One a second, a night's pause, then two at a time every four seconds.
    before, after = np.arange(50), 40_000 + np.arange(16) // 2 * 4
    told = progress([*before, *after], now=40_030, num_planned=101)
    seconds = 28 / 15
    assert told["networks_per_minute"] == pytest.approx(60 / seconds)
    assert told["seconds_left"] == pytest.approx(35 * seconds)
    assert told["seconds_since_last"] == pytest.approx(2)


def test_progress_of_few_networks():
    nothing = progress([])
    assert nothing["num_done"] == 0
    for name in ("networks_per_minute", "seconds_left", "seconds_since_last"):
        assert nothing[name] is None
    one = progress([5.0], now=4.0)
    assert one["networks_per_minute"] is one["seconds_left"] is None
    assert one["seconds_since_last"] == 0
    assert progress([5.0, 5.0])["networks_per_minute"] is None
    assert progress([1.0, 2.0], num_planned=1)["seconds_left"] == 0


# --- Groups of networks


def test_few_networks_have_no_bins():
    values = np.array([0.5, 0.7, np.nan, 0.9])
    found = group_bins.summary(values)
    assert found["num_networks"] == 3
    assert found["mean"] == pytest.approx(0.7)
    assert found["sd"] == pytest.approx(0.2)
    assert found["bins"] is None
    nothing = group_bins.summary(np.array([np.nan]))
    assert nothing["num_networks"] == 0
    assert np.isnan([nothing["mean"], nothing["sd"]]).all()


def test_accuracies_of_few_images_have_a_bin_each():
    values = np.repeat([0.51, 0.52, 0.54, np.nan], [3000, 500, 7, 2])
    bins = group_bins.summary(values, 0.01)["bins"]
    assert [number for _, _, number in bins] == [3000, 500, 7]
    np.testing.assert_allclose(
        [bins[0][:2], bins[2][:2]], [[0.505, 0.515], [0.535, 0.545]]
    )


def test_levels_that_were_taken_out_leave_a_bin_an_image():
    """Bins of another width would show a comb."""
    rng = np.random.default_rng(0)
    correct = rng.binomial(100, 0.5, 50_000)
    values = correct / 100 - rng.normal(0.0137, 0.001, 50_000)
    bins = group_bins.summary(values, 0.01)["bins"]
    numbers, counts = np.unique(correct, return_counts=True)
    assert [number for *_, number in bins] == counts.tolist()
    centres = [(low + high) / 2 for low, high, _ in bins]
    np.testing.assert_allclose(centres, numbers / 100 - 0.0137, atol=2e-4)


@pytest.mark.parametrize(("images", "together"), [(None, None), (300, 1), (1000, 3)])
def test_bins_hold_every_network_once(images, together):
    values = np.random.default_rng(0).normal(0.5, 0.05, 5000)
    if images:
        values = np.rint(values * images) / images
    bins = np.array(group_bins.summary(values, images and 1 / images)["bins"])
    assert bins[:, 2].sum() == 5000
    assert 50 < len(bins) <= group_bins.MAX_BINS + 1
    if images:
        np.testing.assert_allclose(bins[:, 1] - bins[:, 0], together / images)
    assert (bins[1:, 0] >= bins[:-1, 1] - 1e-9).all()
    for low, high, number in bins.tolist():
        assert number == ((values >= low) & (values < high)).sum()


def test_a_group_of_one_value_is_one_bin():
    for step in (None, 0.01):
        ((low, high, number),) = group_bins.summary(np.full(4000, 0.25), step)["bins"]
        assert low <= 0.25 <= high
        assert number == 4000


# --- Sentences


def cell(**changes):
    numbers = dict.fromkeys(metadata.CELL_COLUMNS, np.nan)
    numbers |= {
        "n_confused": 24,
        "n_comparison": 84,
        "mean_confused": 0.61,
        "mean_comparison": 0.631,
        "sd_confused": 0.012,
        "sd_comparison": 0.009,
        "difference_points": -2.1,
        "ci_low_points": -3.0,
        "ci_high_points": -1.2,
        "t": -5.2,
        "q_value": 0.0003,
    }
    about = {
        "table": findings.TARGET_BY_CLASS,
        "response": "accuracy_without_pair",
        "target": "dog",
        "confused": ("cat",),
        "test": "moderated",
        "reason": "",
    }
    for name, value in changes.items():
        (about if name in findings.Cell.__annotations__ else numbers)[name] = value
    return findings.Cell(**about, statistics=numbers)


GROUPS = "61.0 % ± 1.2 in 24 networks that confuse cat, 63.1 % ± 0.9 in 84 that do not"


def test_sentence_of_a_finding():
    assert findings.sentence(cell()) == (
        "Not learning cat costs dog 2.1 points of accuracy without the pair "
        f"(95 % CI 1.2 to 3.0): {GROUPS}; moderated t = −5.2, q = 0.0003."
    )
    gain = cell(difference_points=2.1, ci_low_points=1.2, ci_high_points=3.0, t=5.2)
    assert "cat gives dog 2.1 points" in findings.sentence(gain)
    assert "(95 % CI 1.2 to 3.0)" in findings.sentence(gain)


@pytest.mark.parametrize("test", comparison_findings.TESTS)
def test_sentence_names_the_test_as_the_report_does(test):
    assert f"; {comparison_findings.TITLES[test]} = −5.2, q" in findings.sentence(
        cell(test=test)
    )


def test_tests_are_those_of_the_package():
    assert metadata.TEST_TITLES == comparison_findings.TITLES


def test_sentence_of_more_networks_than_digits():
    assert findings.sentence(cell(q_value=0.0)).endswith("q < 1e−300.")
    assert findings.sentence(cell(q_value=2e-299)).endswith("q = 2.0e−299.")


def test_sentence_of_raw_accuracy_warns_of_competition():
    told = findings.sentence(cell(response="accuracy"))
    assert "dog 2.1 points of accuracy (95 %" in told
    assert "competition" in told
    assert "competition" not in findings.sentence(cell())


@pytest.mark.parametrize("q_value", [0.2, np.nan])
def test_sentence_of_no_finding(q_value):
    told = findings.sentence(cell(q_value=q_value))
    assert told.startswith(
        "No difference was found at q ≤ 0.05 in the accuracy of dog without the pair "
        f"where cat is not learned: −2.1 points (95 % CI −3.0 to −1.2), {GROUPS}; "
        "moderated t = −5.2"
    )
    assert "costs" not in told


def test_sentence_without_a_test():
    few = cell(reason="fewer than 2 networks in a group", sd_confused=np.nan, t=np.nan)
    assert findings.sentence(few).startswith(
        "No test of the accuracy of dog without the pair: fewer than 2 networks in a "
        "group; 61.0 % in 24 networks that confuse cat, 63.1 % ± 0.9"
    )
    nothing = cell(reason="the target is in the pair", mean_confused=np.nan)
    assert findings.sentence(nothing) == (
        "No test of the accuracy of dog without the pair: the target is in the pair."
    )


def test_sentence_of_a_pair_and_of_its_members():
    pair = {"table": findings.TARGET_BY_PAIR, "response": "accuracy"}
    third = cell(**pair, confused=("cat", "deer"))
    told = findings.sentence(third)
    assert told.startswith("Not learning cat and deer costs dog 2.1 points")
    assert "63.1 % ± 0.9 in 84 of the baseline" in told
    assert findings.group_labels(third) == (
        "networks that confuse cat and deer",
        "baseline networks",
    )
    member = cell(**pair, confused=("cat", "dog"), partner="cat")
    assert findings.sentence(member).startswith(
        "The training labels of dog and cat were confused: the accuracy of dog is 2.1 "
        "points lower (95 % CI 1.2 to 3.0), "
    )


def test_names_cannot_be_taken_for_numbers_or_turn_the_text_around():
    told = findings.sentence(cell(target="3", confused=("\u202egnp\n",)))
    assert "costs '3' 2.1 points" in told
    assert "\u202e" not in told
    assert "\n" not in told
    assert findings.group_labels(cell()) == (
        "arms with cat and not dog",
        "arms with neither",
    )


# --- Answers


def test_json_is_strict():
    values = {
        "a": [np.nan, float("inf"), np.float32(0.5), np.int64(3), True, None, "NaN"],
        "b": np.array([[1.0, -np.inf]]),
    }
    assert json.loads(answers.json_text(values)) == {
        "a": [None, None, 0.5, 3, True, None, "NaN"],
        "b": [[1.0, None]],
    }


def test_float32_bytes():
    values = np.array([[1.0, np.nan], [np.inf, 1e300]], ">f8").T
    found = np.frombuffer(answers.float32_bytes(values), "<f4")
    np.testing.assert_array_equal(found, [1, np.nan, np.nan, np.nan])


def test_csv_disarms_formulas_and_leaves_numbers_alone():
    texts = ["=1+1", "+1", "-1", "@SUM(A1)", "\tx", "\rx", 'a "b", c', "x=1"]
    told = answers.csv_text(["=header"], [[text] for text in [*texts, -1.5, np.nan]])
    assert told.splitlines()[0] == "'=header"
    assert told.count("'") == 7
    assert '"a ""b"", c"\r\nx=1\r\n-1.5\r\n' in told
    # A new row only where a row ends.
    assert '"x\r=HYPERLINK(1)"' in answers.csv_text(["a"], [["x\r=HYPERLINK(1)"]])


def test_pictures_may_be_long_but_not_larger_than_a_browser_shows():
    def png(width, height):
        return b"\x89PNG\r\n\x1a\n" + struct.pack(">I4sII", 13, b"IHDR", width, height)

    assert arrays.png_size(png(100 * 96, 96)) == (9600, 96)
    for width, height in [(2**15 + 1, 1), (2**14, 2**13), (0, 5)]:
        with pytest.raises(DataError, match="pixels"):
            arrays.png_size(png(width, height))


def test_a_sample_of_the_networks_gives_no_rate():
    found = networks.Networks(
        steps=np.array([3, 414]),
        pair=np.zeros(2, int),
        repeat=np.zeros(2, int),
        failed=np.zeros(2, bool),
        finished_at=np.array([1.0, 60.0]),
        seconds=np.ones(2),
    )
    told = networks.progress(found, num_planned=414, num_in_tables=414, now=100.0)
    assert told["num_done"] == 414
    assert told["networks_per_minute"] is None


def test_array_checks():
    values = np.zeros((2, 3), np.float32)
    kinds = {"shape": (2, 3), "dtypes": ("float32",)}
    assert arrays.check_array("x", values, **kinds) is values
    for bad in (values[:1], values.astype(int), np.array("x"), values[..., None]):
        with pytest.raises(DataError, match="Expected x"):
            arrays.check_array("x", bad, **kinds)


# --- The cache


def test_cache_forgets_what_was_not_used():
    cache = event_data.Cache(max_bytes=10)
    made = []

    def get(key, size=4):
        def make():
            made.append(key)
            return size, key

        assert cache.get(key, make) == key

    for key in "abaca":
        get(key)
    assert made == ["a", "b", "c"]
    get("b")
    assert made == ["a", "b", "c", "b"]
    # What is too large is not kept, and drives nothing out.
    get("huge", size=11)
    get("huge", size=11)
    get("a")
    assert made[4:] == ["huge", "huge"]


def test_cache_of_many_threads():
    cache = event_data.Cache(max_bytes=50)
    wrong = []

    def work(seed):
        for key in np.random.default_rng(seed).integers(0, 20, 300).tolist():
            if cache.get(key, lambda key=key: (10, key)) != key:
                wrong.append(key)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert cache._num_bytes == 10 * len(cache._values) <= 50


# --- Static files


def test_static_files_are_read_once_and_named_by_their_contents(tmp_path):
    (tmp_path / "vendor").mkdir()
    (tmp_path / "index.js").write_text("render()")
    (tmp_path / "vendor" / "LICENSE.txt").write_text("ISC")
    for name in ("secret.py", "page.html", "noname", ".hidden"):
        (tmp_path / name).write_text("x")
    files = static_files.read_static_files(tmp_path)
    assert set(files.files) == {"index.js", "vendor/LICENSE.txt"}
    assert len(files.version) == 12
    assert files.version == static_files.read_static_files(tmp_path).version
    assert files.find(f"{files.version}/index.js").content_type == "text/javascript"
    assert files.find("index.js") is None
    (tmp_path / "index.js").write_text("render(1)")
    assert files.find(f"{files.version}/index.js") is not None
    assert files.version != static_files.read_static_files(tmp_path).version
    assert static_files.read_static_files(tmp_path / "nothing").files == {}
