import pathlib
import shutil

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet
import pytest

from keras_confusion.comparisons import study_results
from keras_confusion.confusion import compaction, network_files
from keras_confusion.confusion import store as confusion_store
from keras_confusion.confusion import study as confusion_study
from keras_confusion.explanations import run
from keras_confusion.reports import confusion_report
from keras_confusion.storage.study_folder import StudyFolder

# Half of a study, written by commit 367166e: before there was d'.
FIXTURE = pathlib.Path(__file__).parents[1] / "fixtures" / "confusion_study_of_367166e"
SETTINGS = {
    "pairs": ["3-8", "4-9"],
    "repeats": 2,
    "baseline_repeats": 3,
    "epochs": 1,
    "dtype_policy": "float32",
}
OLD = {("baseline", 0), ("baseline", 1), ("3-8", 0), ("3-8", 1), ("4-9", 0)}
MISSING = {("4-9", 1), ("baseline", 2)}
ADDED_COLUMNS = network_files.ADDED_COLUMNS
OLD_COLUMNS = [name for name in network_files.COLUMNS if name not in ADDED_COLUMNS]
OLD_FILE = "merged-00000-3.parquet"
KEYS = ["arm", "repeat"]


def copied(tmp_path):
    directory = tmp_path / "study"
    shutil.copytree(FIXTURE, directory)
    return directory


@pytest.fixture
def old_study(tmp_path):
    return copied(tmp_path)


@pytest.fixture(scope="module")
def went_on(tmp_path_factory):
    """The study after the same command of today, and the rows that were reported."""
    directory, rows = copied(tmp_path_factory.mktemp("old")), []
    summary = confusion_study.run_confusion_study(
        directory, workers=1, on_network=rows.append, **SETTINGS
    )
    return directory, summary, rows


@pytest.fixture
def finished(went_on, tmp_path):
    directory = tmp_path / "finished"
    shutil.copytree(went_on[0], directory)
    return directory


def files(directory):
    return sorted((directory / "networks").glob("*.parquet"))


def keys_in(path):
    return network_files.network_keys(pa.parquet.read_table(path))


def keys(networks):
    return set(zip(networks["arm"], networks["repeat"], strict=True))


def those_of(networks, some):
    """The networks whose arm and repeat are among some."""
    is_one = [key in some for key in zip(*map(networks.get, KEYS), strict=True)]
    return networks[is_one].reset_index(drop=True)


def rows_on_disk(directory):
    """Rows as files have them, whatever is in them, by arm and repeat."""
    tables = [pa.parquet.read_table(path) for path in files(directory)]
    return {
        (row["arm"], row["repeat"]): row
        for table in tables
        for row in table.to_pylist()
    }


def assert_equal_bits(found, expected):
    """That two rows say the same, NaN being NaN."""
    assert list(found) == list(expected)
    for name, value in expected.items():
        np.testing.assert_array_equal(found[name], value, err_msg=name, strict=True)


def assert_intact(directory):
    num_rows = 0
    for path in files(directory):
        for table in network_files.iterate_file(path):
            assert network_files.CHECKSUM in table.column_names
            assert table.column(network_files.CHECKSUM).null_count == 0
            assert network_files.intact(table).all()
            num_rows += table.num_rows
    return num_rows


def test_fixture_is_what_it_says():
    rows = rows_on_disk(FIXTURE)
    assert set(rows) == OLD
    for row in rows.values():
        assert list(row) == [*OLD_COLUMNS, network_files.CHECKSUM]
        assert row[network_files.CHECKSUM] is not None
    names = {path.name for path in files(FIXTURE)}
    assert OLD_FILE in names


def test_old_study_is_read_without_readings(old_study):
    assert assert_intact(old_study) == len(OLD)
    study = study_results.read_study(old_study)
    assert keys(study.networks) == OLD
    assert study.readings == {}
    assert study.responses.confused.accuracy.shape == (3, 10)
    assert 0.5 < study.responses.baseline.accuracy.mean() < 1
    networks = confusion_store.read_networks(old_study)
    assert list(networks) == network_files.COLUMNS
    for name in ADDED_COLUMNS:
        assert networks[name].isna().all()


def test_reading_changes_nothing(old_study):
    before = {path: path.read_bytes() for path in old_study.rglob("*.*")}
    study_results.read_study(old_study)
    assert {path: path.read_bytes() for path in old_study.rglob("*.*")} == before


def test_report_of_an_old_study_says_what_is_not_known(old_study, undrawn):
    report = confusion_report.write_confusion_report(StudyFolder.open(old_study))
    assert "What the features learned is not known" in report.text
    assert "Baseline accuracy" in report.text
    tables = {path.name.split(".")[0] for path in report.table_files}
    assert "target_by_pair" in tables
    assert not {name for name in tables if "discriminability" in name}
    assert not {name for name in tables if "everybody" in name}
    figures = {path.stem for path in report.figure_files}
    assert "target_by_pair_difference" in figures
    assert not {name for name in figures if "discriminability" in name}


def test_only_what_is_missing_is_trained(went_on):
    directory, summary, rows = went_on
    assert summary.num_trained == len(MISSING)
    assert summary.num_networks == len(OLD | MISSING) == len(rows)
    assert summary.failed == summary.retried == []
    networks = [path.name for path in (directory / "networks").iterdir()]
    assert not [name for name in networks if name.endswith(compaction.DAMAGED_SUFFIX)]
    assert sorted(networks) == sorted(
        {path.name for path in files(FIXTURE)}
        | {f"{arm}-{repeat:05d}.parquet" for arm, repeat in MISSING}
    )
    for path in files(FIXTURE):
        assert (directory / "networks" / path.name).read_bytes() == path.read_bytes()


def test_old_rows_stay_as_they_are_and_new_ones_have_new_columns(went_on):
    directory, _, _ = went_on
    networks = confusion_store.read_networks(directory)
    assert keys(networks) == OLD | MISSING
    pd.testing.assert_frame_equal(
        those_of(networks, OLD)[OLD_COLUMNS],
        confusion_store.read_networks(FIXTURE)[OLD_COLUMNS],
        check_exact=True,
    )
    for row in networks.to_dict("records"):
        is_new = (row["arm"], row["repeat"]) in MISSING
        for name in set(ADDED_COLUMNS) - {"readout_discriminability"}:
            assert np.any(pd.notna(row[name])) == is_new
        if is_new:
            for name in ("discriminability", "features_discriminability"):
                assert len(row[name]) == 45
                assert np.isfinite(row[name]).all()
        # The third baseline is among the first five.
        has_readout = (row["arm"], row["repeat"]) == ("baseline", 2)
        assert (row["readout_discriminability"] is not None) == has_readout
    assert len(networks["readout_discriminability"].dropna().iloc[0]) == 2 * 10


def test_readings_are_those_of_the_new_networks(went_on):
    study = study_results.read_study(went_on[0])
    assert len(study.networks) == len(OLD | MISSING)
    assert list(study.readings) == ["total", "features", "readout"]
    seeds = study.networks.set_index(KEYS)["seed"]
    for reading in ("total", "features"):
        found = study.readings[reading]
        assert found.confused_seed.tolist() == [seeds["4-9", 1]]
        assert found.baseline_seed.tolist() == [seeds["baseline", 2]]
    assert study.readings["readout"].confused_seed.tolist() == [
        seeds["baseline", 2]
    ] * len(SETTINGS["pairs"])


def test_report_of_few_new_networks_has_no_test_of_them(finished, undrawn):
    report = confusion_report.write_confusion_report(StudyFolder.open(finished))
    assert "  Target x pairs, third classes: 0 of 0 tests at q <= 0.05" in report.text
    assert "is not known" not in report.text


def test_same_command_again_trains_nothing(finished):
    before = {path: path.read_bytes() for path in files(finished)}
    summary = confusion_study.run_confusion_study(finished, workers=1, **SETTINGS)
    assert summary.num_trained == 0
    assert {path: path.read_bytes() for path in files(finished)} == before


def test_old_and_new_rows_are_merged_as_they_are(finished):
    before, on_disk = confusion_store.read_networks(finished), rows_on_disk(finished)
    # Both old baselines, which lie in files of their own, and both new networks.
    assert compaction.merge_networks(finished, networks_a_file=2) == 4
    assert [path.name for path in files(finished)] == [
        OLD_FILE,
        "merged-00001-2.parquet",
        "merged-00002-2.parquet",
    ]
    assert assert_intact(finished) == len(OLD | MISSING)
    pd.testing.assert_frame_equal(
        confusion_store.read_networks(finished), before, check_exact=True
    )
    after = rows_on_disk(finished)
    for key, row in on_disk.items():
        # With the checksums that they had; columns that were added are empty.
        nothing = dict.fromkeys(set(after[key]) - set(row))
        assert set(nothing) <= set(ADDED_COLUMNS)
        expected = row | nothing
        assert_equal_bits(after[key], {name: expected[name] for name in after[key]})
    said = []
    compaction.mend_networks(finished, said.append)
    assert said == []
    assert len(study_results.read_study(finished).networks) == len(OLD | MISSING)


def test_one_file_holds_an_old_and_a_new_row(finished):
    networks = finished / "networks"
    for path in files(finished):
        if path.name not in ("baseline-00001.parquet", "4-9-00001.parquet"):
            path.unlink()
    on_disk = rows_on_disk(finished)
    assert compaction.merge_networks(finished, networks_a_file=2) == 2
    assert [path.name for path in networks.iterdir()] == ["merged-00000-2.parquet"]
    assert assert_intact(finished) == 2
    after = rows_on_disk(finished)
    for key, row in on_disk.items():
        assert after[key][network_files.CHECKSUM] == row[network_files.CHECKSUM]
    assert after["baseline", 1]["discriminability"] is None
    assert len(after["4-9", 1]["discriminability"]) == 45


@pytest.mark.slow
def test_finding_of_an_old_study_is_explained(old_study):
    explanation = run.explain_generalization(
        old_study, target="5", pair="3-8", repeats=1, units=1
    )
    assert (explanation.target, tuple(explanation.pair)) == (5, (3, 8))
    assert len(explanation.repeats) == 1
    assert len(list((old_study / "explanations" / "networks").glob("*.npz"))) == 2


def changed_column(table, name, row, value):
    """A table with another value in one row of a column."""
    values = table.column(name).to_pylist()
    assert values[row] != value
    values[row] = value
    place = table.schema.get_field_index(name)
    column = pa.array(values, table.schema.field(name).type)
    return table.set_column(place, table.schema.field(name), column)


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("seed", lambda value: value ^ 1),
        ("predictions", lambda labels: [labels[0] ^ 1, *labels[1:]]),
        ("final_training_loss", lambda loss: float(np.nextafter(loss, 9))),
        ("note", lambda note: note + " "),
        # What an old row did not have is not there either.
        ("discriminability", lambda nothing: [0.5] * 45),
    ],
)
def test_changed_bit_of_an_old_row_is_found_in_a_merged_file(finished, name, change):
    before = confusion_store.read_networks(finished)
    compaction.merge_networks(finished, networks_a_file=2)
    # Of both files of two networks each has an old and a new one.
    path = next(
        path
        for path in files(finished)
        if path.name != OLD_FILE and OLD & set(keys_in(path))
    )
    table = pa.parquet.read_table(path)
    row = next(row for row, key in enumerate(keys_in(path)) if key in OLD)
    key = keys_in(path)[row]
    value = change(table.column(name)[row].as_py())
    pa.parquet.write_table(changed_column(table, name, row, value), path)
    with pytest.raises(network_files.DamagedFileError, match=path.name):
        confusion_store.read_networks(finished)
    said = []
    compaction.mend_networks(finished, said.append)
    assert len(said) == 1
    assert "a row is not as it was written" in said[0]
    assert "1 networks of it are intact and kept" in said[0]
    left = confusion_store.read_networks(finished)
    assert keys(left) == (OLD | MISSING) - {key}
    pd.testing.assert_frame_equal(
        left, those_of(before, (OLD | MISSING) - {key}), check_exact=True
    )


def test_changed_bit_of_an_old_file_of_many_is_found(old_study):
    path = old_study / "networks" / OLD_FILE
    table = pa.parquet.read_table(path)
    lists = table.column("log2_probability").to_pylist()[1]
    lists[4] = float(np.nextafter(np.float32(lists[4]), np.float32(-9)))
    changed = changed_column(table, "log2_probability", 1, lists)
    pa.parquet.write_table(changed, path)
    with pytest.raises(network_files.DamagedFileError, match=path.name):
        study_results.read_study(old_study)


@pytest.mark.parametrize("name", ["seed", "predictions", "log2_probability", "failed"])
@pytest.mark.parametrize("file", ["baseline-00000.parquet", OLD_FILE])
def test_file_without_an_old_column_is_damaged(old_study, name, file):
    path = old_study / "networks" / file
    table = pa.parquet.read_table(path).drop_columns([name])
    pa.parquet.write_table(table, path)
    with pytest.raises(network_files.DamagedFileError, match=f"no column {name}"):
        confusion_store.read_networks(old_study)
    said = []
    compaction.mend_networks(old_study, said.append)
    assert len(said) == 1
    assert f"no column {name}" in said[0]
    assert (old_study / "networks" / f"{file}{compaction.DAMAGED_SUFFIX}").exists()
    assert len(confusion_store.read_networks(old_study)) == (
        4 if "baseline" in file else 2
    )


def test_new_file_may_lack_an_added_column_only_where_it_is_empty(finished):
    # The checksum of a row that has d' is not that of one without.
    path = confusion_store.network_path(finished, (4, 9), 1)
    table = pa.parquet.read_table(path)
    empty = table.drop_columns(["readout_discriminability"])
    pa.parquet.write_table(empty, path)
    assert len(confusion_store.read_networks(finished)) == len(OLD | MISSING)
    pa.parquet.write_table(table.drop_columns(["features_discriminability"]), path)
    with pytest.raises(network_files.DamagedFileError, match=path.name):
        confusion_store.read_networks(finished)
