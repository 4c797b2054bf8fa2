import collections
import json
import math
import shutil

import numpy as np
import pandas as pd
import pytest
from tensorboard.backend.event_processing import event_file_loader
from tensorboard.util import tensor_util

from keras_confusion.comparisons import (
    clustering,
    group_statistics,
    responses,
    target_by_class,
    target_by_pair,
)
from keras_confusion.comparisons import findings as comparison_findings
from keras_confusion.confusion import answers as confusion_answers
from keras_confusion.confusion import network_files
from keras_confusion.confusion import store as confusion_store
from keras_confusion.reports.tensorboard import confusion_events, confusion_snapshots
from keras_confusion.reports.tensorboard.confusion_events import StudySummaries
from keras_confusion.stats import t_tests
from keras_confusion.storage import study_folder
from tb_plugin import metadata

RUN = metadata.TRAINING_RUN
NAMES = ["cat", "dog", "car", "ship"]
PAIRS = [[0, 1], [0, 2], [0, 3], [1, 2], [1, 3], [2, 3]]
TEST_LABELS = np.repeat(np.arange(4), 25)
FAILED = ((1, 3), 2)


def network_rows(*, pairs=PAIRS, repeats=4, baseline=5, failed=(FAILED,), alike=False):
    """Rows of networks that guess, better than by chance; all the same if alike."""
    rng = np.random.default_rng(1)
    for pair, count in [(None, baseline), *((tuple(pair), repeats) for pair in pairs)]:
        for repeat in range(count):
            row = {
                "arm": network_files.arm_name(pair),
                "class_a": pair and pair[0],
                "class_b": pair and pair[1],
                "repeat": repeat,
                "seed": repeat,
                "failed": (pair, repeat) in failed,
                "seconds": 1 + repeat / 8,
            }
            if alike:
                rng = np.random.default_rng(1)
            if not row["failed"]:
                logits = rng.normal(0, 1, (len(TEST_LABELS), 4))
                logits[np.arange(len(TEST_LABELS)), TEST_LABELS] += 1.5
                row |= {"epoch_losses": [0.5], "final_training_loss": 0.5}
                row |= confusion_answers.summarise_logits(
                    logits, TEST_LABELS, pairs if pair is None else [pair]
                )
            yield row


def begin_study(directory, *, pairs=PAIRS, repeats=4, baseline=5, **settings):
    description = {
        "settings": {
            "pairs": pairs,
            "repeats": max(repeats, 1),
            "baseline_repeats": baseline,
            **settings,
        },
        "class_names": NAMES,
        "dataset_fingerprint": "0",
        "provenance": {},
    }
    directory.mkdir(exist_ok=True)
    confusion_store.open_study(directory, description, TEST_LABELS)


def write_study(directory, rows, *, test=comparison_findings.DEFAULT_TEST, **settings):
    begin_study(directory, **settings)
    for row in rows:
        confusion_store.write_network(directory, row, num_classes=4)
    folder = study_folder.StudyFolder.open(directory)
    confusion_events.write_confusion_summaries(folder, test)


def read_study(directory, *, single_networks=False):
    """The tables, of everything on disk."""
    pairs = study_folder.StudyFolder.open(directory).settings["pairs"]
    study = responses.study_responses(
        confusion_store.read_networks(directory),
        TEST_LABELS,
        num_classes=4,
        pairs=pairs,
        single_networks=single_networks,
    )
    return study, target_by_class.target_by_class, target_by_pair.target_by_pair


def last(found, tag):
    return found[tag][max(found[tag])]


def networks_of(found):
    """Blocks as one table: rows, and a row's accuracies, NaN where there are none."""
    blocks, correct = found[metadata.TAG_NETWORKS], found[metadata.TAG_CORRECT]
    assert list(blocks) == list(correct)
    counts = np.concatenate(list(correct.values()))
    images = np.tile(found[metadata.TAG_TEST_IMAGES][0], 2)
    known = counts != np.iinfo(counts.dtype).max
    shares = np.where(known, counts / images, np.nan)
    return np.hstack([np.concatenate(list(blocks.values())), shares])


def read_scalars(directory, run):
    """Curves by tag: values by step."""
    (path,) = (directory / run).iterdir()
    found = collections.defaultdict(dict)
    for event in event_file_loader.EventFileLoader(str(path)).Load():
        for value in event.summary.value:
            if value.metadata.plugin_data.plugin_name == "scalars":
                number = tensor_util.make_ndarray(value.tensor).item()
                found[value.tag][event.step] = number
    return found


def column(cells, name):
    return cells[..., metadata.CELL_COLUMNS.index(name)]


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    directory = tmp_path_factory.mktemp("whole")
    write_study(directory, network_rows())
    return directory


@pytest.fixture(scope="module")
def found(directory, read_plugin_data):
    return read_plugin_data(directory, RUN)


def test_study_is_described(found):
    (text,) = found[metadata.TAG_STUDY][0]
    study = json.loads(text)
    assert set(study) == set(metadata.CONFUSION_KEYS)
    assert study["kind"] == "confusion"
    assert study["class_names"] == NAMES
    assert study["pairs"] == PAIRS
    assert study["num_planned"] == 5 + 6 * 4
    assert study["columns"] == list(metadata.CELL_COLUMNS)
    assert study["reasons"][0] == ""
    assert study["has_all_pairs"] is True
    assert study["test"] == "moderated"
    assert study["settings"] == {"repeats": 4, "baseline_repeats": 5}


def told_column(name):
    """Where a table has what cells by the moderated test have under a name."""
    if f"moderated_{name}" in metadata.CELL_COLUMNS:
        return f"moderated_{name}"
    return name.removeprefix("welch_")


@pytest.mark.parametrize("tag", [metadata.TAG_BY_CLASS, metadata.TAG_BY_PAIR])
def test_cells_are_those_of_the_tables(directory, found, tag):
    study, by_class, by_pair = read_study(directory)
    table = (by_class if tag == metadata.TAG_BY_CLASS else by_pair)(study, NAMES)
    cells = last(found, tag)
    assert list(found[tag]) == [29]
    is_there = np.zeros(cells.shape[:-1], bool)
    for row in table.to_dict("records"):
        place = row["target"], row.get("class")
        if tag == metadata.TAG_BY_PAIR:
            pair = PAIRS.index([row["class_a"], row["class_b"]])
            place = pair, row["target"]
        place = metadata.RESPONSES.index(row["response"]), *place
        is_there[place] = True
        for number, name in enumerate(metadata.CELL_COLUMNS[:-1]):
            np.testing.assert_equal(cells[place][number], row[told_column(name)])
        row["reason"] = row["moderated_reason"]
        assert group_statistics.REASONS[int(cells[place][-1])] == row["reason"]
    assert np.isnan(cells[~is_there]).all()
    assert is_there.sum() == len(table)


@pytest.fixture(scope="module")
def by_test(directory, tmp_path_factory, read_plugin_data):
    """What the same study says by every test."""
    found = {}
    for test in comparison_findings.TESTS:
        copy = tmp_path_factory.mktemp(test)
        shutil.copytree(directory, copy, dirs_exist_ok=True)
        confusion_events.write_confusion_summaries(
            study_folder.StudyFolder.open(copy), test
        )
        found[test] = read_plugin_data(copy, RUN)
    return found


@pytest.mark.parametrize("test", comparison_findings.TESTS)
@pytest.mark.parametrize("tag", [metadata.TAG_BY_CLASS, metadata.TAG_BY_PAIR])
def test_plain_columns_are_those_of_the_test(by_test, tag, test):
    assert json.loads(by_test[test][metadata.TAG_STUDY][0][0])["test"] == test
    cells, welch = last(by_test[test], tag), last(by_test["welch"], tag)
    names = ["difference_points", "ci_low_points", "ci_high_points", "t"]
    for name in [*names, "p_value", "q_value"]:
        told = column(cells, name)
        assert np.isfinite(told).any()
        np.testing.assert_array_equal(told, column(cells, f"{test}_{name}"))
        np.testing.assert_array_equal(
            column(cells, f"welch_{name}"), column(welch, name)
        )
    t_values = column(cells, "t"), column(welch, "t")
    assert np.array_equal(*t_values, equal_nan=True) == (test == "welch")
    is_tested = np.isfinite(column(cells, "t"))
    np.testing.assert_array_equal(is_tested, np.isfinite(column(cells, "df")))
    np.testing.assert_array_equal(is_tested, column(cells, "reason") == 0)


def test_class_order_is_the_same_by_every_test(by_test):
    orders = [
        last(found, metadata.TAG_CLASS_ORDER).tolist() for found in by_test.values()
    ]
    assert orders[0] == orders[1] == orders[2]


def test_a_test_that_there_is_not_is_refused(tmp_path):
    with pytest.raises(ValueError, match="one of"):
        StudySummaries(tmp_path, "anova")


@pytest.mark.parametrize(
    ("test", "options", "reason"),
    [
        ("moderated", {"repeats": 1, "baseline": 1}, t_tests.FEW_NETWORKS),
        ("moderated", {"alike": True}, t_tests.NO_VARIANCE_OF_DIFFERENCES),
        ("moderated", {}, group_statistics.IN_PAIR),
        ("paired", {"repeats": 1, "baseline": 1}, t_tests.FEW_REPEATS),
        ("paired", {"alike": True}, t_tests.NO_VARIANCE_OF_DIFFERENCES),
        ("paired", {"baseline": 0}, group_statistics.NO_PAIRS),
        ("welch", {"repeats": 1, "baseline": 1}, t_tests.FEW_NETWORKS),
        ("welch", {"alike": True}, t_tests.NO_VARIANCE),
    ],
)
def test_reasons_are_those_of_the_test(
    tmp_path, read_plugin_data, test, options, reason
):
    options = {"repeats": 2, "baseline": 2, "failed": ()} | options
    write_study(tmp_path, network_rows(**options), test=test)
    cells = last(read_plugin_data(tmp_path, RUN), metadata.TAG_BY_PAIR)
    found = set(column(cells, "reason").ravel())
    assert group_statistics.REASONS.index(reason) in found


def test_networks_are_those_of_the_responses(directory, found):
    study, *_ = read_study(directory, single_networks=True)
    assert list(found[metadata.TAG_NETWORKS]) == list(range(1, 30))
    # 25 images a class.
    assert found[metadata.TAG_CORRECT][1].dtype == np.uint8
    assert found[metadata.TAG_TEST_IMAGES][0].tolist() == [25] * 4
    about = networks_of(found)
    # Networks are added in any order.
    order = np.lexsort((about[:, 1], about[:, 0]))
    steps, about = np.arange(1, 30)[order], about[order]
    networks = confusion_store.read_networks(directory)
    pair = [-1] * 5 + [index for index in range(6) for _ in range(4)]
    np.testing.assert_array_equal(about[:, 0], pair)
    np.testing.assert_array_equal(about[:, 1], networks["repeat"])
    np.testing.assert_array_equal(about[:, 2], networks["failed"])
    finished_at = networks["finished_at"].dt.tz_convert(None) - pd.Timestamp(0)
    np.testing.assert_allclose(about[:, 3], finished_at / pd.Timedelta(seconds=1))
    np.testing.assert_array_equal(about[:, 4], networks["seconds"])
    done = ~networks["failed"].to_numpy(bool)
    confused, baseline = done & (about[:, 0] >= 0), about[:, 0] < 0
    np.testing.assert_array_equal(about[confused, 5:9], study.confused.accuracy)
    np.testing.assert_array_equal(
        about[confused, 9:], study.confused_without_pair.accuracy
    )
    np.testing.assert_array_equal(about[baseline, 5:9], study.baseline.accuracy)
    assert np.isnan(about[baseline, 9:]).all()
    assert np.isnan(about[~done, 5:]).all()
    without_pair = found[metadata.TAG_BASELINE_WITHOUT_PAIR]
    assert sorted(without_pair) == sorted(steps[baseline])
    np.testing.assert_array_equal(
        np.stack([without_pair[step] for step in steps[baseline]], axis=1),
        study.baseline_without_pair.rates.accuracy.astype(np.float32),
    )


def groups_of(found, table, response, first, target):
    """Values of single networks, as the plugin finds them: confused, comparison."""
    networks = networks_of(found)
    networks = networks[networks[:, 2] == 0]
    pair = networks[:, 0].astype(int)
    values = networks[:, 5 + 4 * response + target]
    if table == metadata.TAG_BY_PAIR:
        comparison = networks[pair < 0, 5 + target]
        if response == 1:
            without_pair = list(found[metadata.TAG_BASELINE_WITHOUT_PAIR].values())
            comparison = np.array(without_pair)[:, first, target]
        return values[pair == first], comparison
    if response == 1:
        values = values - last(found, metadata.TAG_LEVEL_SHIFTS)[pair, target]
    members = [set() if p < 0 else set(PAIRS[p]) for p in pair]
    outside = [p >= 0 and target not in m for p, m in zip(pair, members, strict=True)]
    has_class = np.array([first in m for m in members])
    return values[outside & has_class], values[outside & ~has_class]


@pytest.mark.parametrize("response", [0, 1])
@pytest.mark.parametrize("table", [metadata.TAG_BY_CLASS, metadata.TAG_BY_PAIR])
def test_means_are_those_of_the_single_networks(found, table, response):
    cells = last(found, table)[response]
    num_checked = 0
    for first, target in np.ndindex(4 if table == metadata.TAG_BY_CLASS else 6, 4):
        is_class = table == metadata.TAG_BY_CLASS
        cell = cells[(target, first) if is_class else (first, target)]
        if np.isnan(column(cell, "mean_confused")):
            continue
        for name, values in zip(
            ("confused", "comparison"),
            groups_of(found, table, response, first, target),
            strict=True,
        ):
            assert column(cell, f"n_{name}") == len(values)
            np.testing.assert_allclose(
                column(cell, f"mean_{name}"), values.mean(), rtol=1e-6
            )
            num_checked += 1
    # All cells but the diagonal, or but the pairs' own classes.
    expected = 12 if table == metadata.TAG_BY_CLASS else 24 if response == 0 else 12
    assert num_checked == 2 * expected


def test_class_order_is_the_leaves_of_the_tree(directory, found):
    study, by_class, _ = read_study(directory)
    tree = clustering.tree_of_table(by_class(study, NAMES), 4)
    order = last(found, metadata.TAG_CLASS_ORDER)
    assert order.tolist() == clustering.class_order(tree, 4)
    assert sorted(order) == [0, 1, 2, 3]


def test_few_pairs_have_no_cells_of_classes(tmp_path, read_plugin_data):
    few = [[0, 1], [1, 3]]
    write_study(tmp_path, network_rows(pairs=few), pairs=few)
    found = read_plugin_data(tmp_path, RUN)
    assert json.loads(found[metadata.TAG_STUDY][0][0])["has_all_pairs"] is False
    assert metadata.TAG_BY_CLASS not in found
    assert metadata.TAG_CLASS_ORDER not in found
    columns = len(metadata.CELL_COLUMNS)
    assert last(found, metadata.TAG_BY_PAIR).shape == (2, 2, 4, columns)
    assert {*networks_of(found)[:, 0]} == {-1, 0, 1}


def test_too_many_cells_of_pairs_are_left_out(tmp_path, read_plugin_data, monkeypatch):
    monkeypatch.setattr(metadata, "MAX_PAIR_CELLS", 6 * 4 - 1)
    write_study(tmp_path, network_rows())
    found = read_plugin_data(tmp_path, RUN)
    assert metadata.TAG_BY_PAIR not in found
    assert metadata.TAG_BASELINE_WITHOUT_PAIR not in found
    assert metadata.TAG_BY_CLASS in found
    assert np.isfinite(networks_of(found)[0, 5:9]).all()


def test_too_many_baseline_networks_are_not_kept_one_by_one(
    tmp_path, read_plugin_data, monkeypatch
):
    # 6 pairs, 4 classes, 5 baseline networks.
    monkeypatch.setattr(metadata, "MAX_BASELINE_CELLS", 6 * 4 * 5 - 1)
    write_study(tmp_path, network_rows())
    found = read_plugin_data(tmp_path, RUN)
    assert metadata.TAG_BASELINE_WITHOUT_PAIR not in found
    assert metadata.TAG_BY_PAIR in found


ALL_FAILED = [
    (pair, repeat) for pair in [None, *map(tuple, PAIRS)] for repeat in (0, 1)
]


@pytest.mark.parametrize(
    "options",
    [
        {"repeats": 0, "baseline": 1},
        {"repeats": 0, "baseline": 3},
        {"repeats": 1, "baseline": 0},
        {"repeats": 1, "baseline": 1},
        {"repeats": 2, "baseline": 2, "failed": ALL_FAILED},
        {"repeats": 2, "baseline": 2, "failed": ALL_FAILED[:2]},
    ],
    ids=str,
)
def test_too_few_networks_have_no_tests_and_a_reason(
    tmp_path, read_plugin_data, options
):
    write_study(tmp_path, network_rows(**options))
    found = read_plugin_data(tmp_path, RUN)
    few = group_statistics.REASONS.index(t_tests.FEW_NETWORKS)
    cells = last(found, metadata.TAG_BY_PAIR)
    assert np.isnan(column(cells, "p_value")).all()
    assert set(column(cells[0], "reason").ravel()) == {few}
    in_pair = group_statistics.REASONS.index(group_statistics.IN_PAIR)
    assert set(column(cells[1], "reason").ravel()) == {few, in_pair}
    cells = last(found, metadata.TAG_BY_CLASS)[1]
    off_diagonal = ~np.eye(4, dtype=bool)
    reasons = set(column(cells, "reason")[off_diagonal])
    assert 0 not in reasons
    assert np.isnan(column(cells, "p_value")).all()
    # One network an arm tells differences already, though not how sure they are.
    differences = column(cells, "welch_difference_points")
    is_known = np.isfinite(differences[off_diagonal]).all()
    assert (metadata.TAG_CLASS_ORDER in found) == is_known
    assert is_known == (options == {"repeats": 1, "baseline": 1})


def test_study_that_is_taken_up_again_is_written_anew(tmp_path, read_plugin_data):
    rows = list(network_rows())
    write_study(tmp_path, rows[:12])
    write_study(tmp_path, rows)
    assert len(list((tmp_path / RUN).iterdir())) == 1
    found = read_plugin_data(tmp_path, RUN)
    assert list(found[metadata.TAG_NETWORKS]) == list(range(1, 30))
    assert list(found[metadata.TAG_BY_CLASS]) == [29]


def test_numbers_that_json_lacks_are_null(tmp_path, read_plugin_data):
    write_study(tmp_path, network_rows(repeats=1), newer_setting=math.inf)
    (text,) = read_plugin_data(tmp_path, RUN)[metadata.TAG_STUDY][0]
    assert json.loads(text)["settings"]["newer_setting"] is None


def test_running_study_is_compared_as_it_grows(tmp_path, read_plugin_data, monkeypatch):
    monkeypatch.setattr(confusion_snapshots, "MIN_SECONDS", 0)
    monkeypatch.setattr(confusion_snapshots, "TIMES_ITS_OWN", 0)
    monkeypatch.setattr(confusion_snapshots, "MIN_GROWTH", 0.5)
    begin_study(tmp_path)
    rows = [
        confusion_store.write_network(tmp_path, row, num_classes=4)
        for row in network_rows()
    ]
    writer = StudySummaries(tmp_path)
    for row in rows[:10]:
        writer.add_network(row)
    # It shows at once, and holds the networks that were added and no others on disk.
    found = read_plugin_data(tmp_path, RUN)
    assert list(found[metadata.TAG_NETWORKS]) == list(range(1, 11))
    assert list(found[metadata.TAG_BY_PAIR]) == [1, 2, 3, 5, 8]
    counts = column(found[metadata.TAG_BY_PAIR][8], "n_confused")[0, :, 0]
    assert counts.tolist() == [3, 0, 0, 0, 0, 0]
    writer.close()
    found = read_plugin_data(tmp_path, RUN)
    assert list(found[metadata.TAG_BY_PAIR]) == [1, 2, 3, 5, 8, 10]


def test_many_networks_are_written_in_blocks(
    directory, tmp_path, read_plugin_data, monkeypatch
):
    monkeypatch.setattr(confusion_snapshots, "SINGLE_CELLS", 4 * 10)
    monkeypatch.setattr(confusion_snapshots, "BLOCK_GROWTH", 0.3)
    write_study(tmp_path, network_rows())
    found = read_plugin_data(tmp_path, RUN)
    # 3 are 30 % of 10, 4 of 13, 6 of 17; the rest when the file is closed.
    steps = [*range(1, 11), 13, 17, 23, 29]
    assert list(found[metadata.TAG_NETWORKS]) == steps
    sizes = [len(block) for block in found[metadata.TAG_NETWORKS].values()]
    np.testing.assert_array_equal(sizes, np.diff([0, *steps]))
    one_by_one = read_plugin_data(directory, RUN)
    np.testing.assert_array_equal(
        np.delete(networks_of(found), 3, 1), np.delete(networks_of(one_by_one), 3, 1)
    )
    # A curve's point is the mean of its block, and counts are those at its end.
    scalars, all_scalars = read_scalars(tmp_path, RUN), read_scalars(directory, RUN)
    assert scalars[metadata.TAG_NETWORKS_DONE] == {step: step for step in steps}
    assert list(scalars[metadata.TAG_NETWORKS_FAILED].values())[-1] == 1
    seconds = all_scalars[metadata.TAG_SECONDS]
    assert scalars[metadata.TAG_SECONDS][23] == pytest.approx(
        np.mean([seconds[step] for step in range(18, 24)])
    )
    accuracies = all_scalars[metadata.TAG_CONFUSED_ACCURACY]
    last, points = 0, scalars[metadata.TAG_CONFUSED_ACCURACY]
    assert len(points) < max(points) == len(accuracies) == 23
    for step, value in points.items():
        block_accuracies = [accuracies[number] for number in range(last + 1, step + 1)]
        assert value == pytest.approx(np.mean(block_accuracies))
        last = step


def test_a_comparison_has_all_of_its_networks(tmp_path, read_plugin_data, monkeypatch):
    monkeypatch.setattr(confusion_snapshots, "SINGLE_CELLS", 0)
    monkeypatch.setattr(confusion_snapshots, "BLOCK_GROWTH", 100)
    monkeypatch.setattr(confusion_snapshots, "MIN_SECONDS", 0)
    monkeypatch.setattr(confusion_snapshots, "TIMES_ITS_OWN", 0)
    monkeypatch.setattr(confusion_snapshots, "MIN_GROWTH", 0.5)
    write_study(tmp_path, network_rows())
    found = read_plugin_data(tmp_path, RUN)
    steps = list(found[metadata.TAG_BY_PAIR])
    assert steps[:4] == [1, 2, 3, 5]
    assert list(found[metadata.TAG_NETWORKS]) == steps


def test_many_pairs_have_no_curves_of_their_own(tmp_path, monkeypatch):
    monkeypatch.setattr(metadata, "MAX_PAIR_CURVES", 5)
    write_study(tmp_path, network_rows())
    tags = set(read_scalars(tmp_path, RUN))
    assert {metadata.TAG_BASELINE_ACCURACY, metadata.TAG_CONFUSED_ACCURACY} < tags
    prefixes = metadata.PREFIX_ARM_ACCURACY, metadata.PREFIX_BASELINE_CLASS
    assert not [tag for tag in tags if tag.startswith(prefixes)]


def test_nothing_is_written_where_there_is_nothing(tmp_path):
    begin_study(tmp_path)
    StudySummaries(tmp_path).close()
    assert not (tmp_path / RUN).exists()
