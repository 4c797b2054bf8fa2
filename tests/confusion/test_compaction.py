import os
import pickle

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet
import pytest

from keras_confusion.confusion import compaction, network_files
from keras_confusion.confusion import store as confusion_store

NUM_TEST = 40
NUM_NETWORKS = 10


def row(repeat, rng, pair=(3, 5), *, num_classes=10):
    labels = rng.permuted(np.tile(np.arange(num_classes), (NUM_TEST, 1)), axis=1)
    return {
        "arm": network_files.arm_name(pair),
        "class_a": None if pair is None else pair[0],
        "class_b": None if pair is None else pair[1],
        "repeat": repeat,
        "seed": repeat,
        "failed": False,
        "note": "",
        "seconds": 0.25,
        "final_training_loss": rng.random(),
        "predictions": labels[:, 0],
        "second_labels": labels[:, 1],
        "third_labels": labels[:, 2],
        "log2_probability": rng.uniform(-2, 0, num_classes),
        "log2_probability_without_pair": np.append(
            rng.uniform(-2, 0, num_classes - 1), np.nan
        ),
    }


@pytest.fixture
def folder(tmp_path, rng):
    (tmp_path / "networks").mkdir()
    for repeat in range(NUM_NETWORKS):
        confusion_store.write_network(tmp_path, row(repeat, rng), num_classes=10)
    return tmp_path


def files(folder):
    return sorted(path.name for path in (folder / "networks").iterdir())


def keys(networks):
    return set(zip(networks["arm"], networks["repeat"], strict=True))


def test_merged_networks_are_those_that_were_written(folder):
    before = confusion_store.read_networks(folder)
    assert compaction.merge_networks(folder, networks_a_file=4) == 8
    assert files(folder) == [
        "3-5-00008.parquet",
        "3-5-00009.parquet",
        "merged-00000-4.parquet",
        "merged-00001-4.parquet",
    ]
    pd.testing.assert_frame_equal(confusion_store.read_networks(folder), before)
    assert compaction.merge_networks(folder, networks_a_file=4) == 0


def test_few_networks_stay_in_files_of_their_own(folder):
    assert compaction.merge_networks(folder) == 0
    assert len(files(folder)) == NUM_NETWORKS


def test_networks_with_large_rows_make_smaller_files(folder, monkeypatch):
    one = (folder / "networks" / "3-5-00000.parquet").stat().st_size
    monkeypatch.setattr(compaction, "_BYTES_A_FILE", 2.5 * one)
    assert compaction.merge_networks(folder, networks_a_file=100) == 9
    assert [name for name in files(folder) if name.startswith("merged")] == [
        "merged-00000-3.parquet",
        "merged-00001-3.parquet",
        "merged-00002-3.parquet",
    ]


def test_merged_files_are_read_by_groups_of_rows(folder, monkeypatch):
    before = confusion_store.read_networks(folder)
    monkeypatch.setattr(compaction, "_BYTES_A_GROUP", 1)
    monkeypatch.setattr(confusion_store, "BATCH_BYTES", 1)
    compaction.merge_networks(folder, networks_a_file=5)
    batches = list(confusion_store.iterate_networks(folder, ["arm", "repeat"]))
    assert [len(batch) for batch in batches] == [1] * NUM_NETWORKS
    assert keys(pd.concat(batches)) == keys(before)


def test_killed_after_merging_counts_every_network_once(folder, monkeypatch):
    before = confusion_store.read_networks(folder)

    def killed(path):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(compaction.pathlib.Path, "unlink", killed)
        with pytest.raises(KeyboardInterrupt):
            compaction.merge_networks(folder, networks_a_file=5)
    assert len(files(folder)) == NUM_NETWORKS + 1
    pd.testing.assert_frame_equal(confusion_store.read_networks(folder), before)
    compaction.merge_networks(folder, networks_a_file=5)
    assert files(folder) == ["merged-00000-5.parquet", "merged-00001-5.parquet"]
    pd.testing.assert_frame_equal(confusion_store.read_networks(folder), before)


def test_reader_finds_networks_that_are_merged_meanwhile(folder, monkeypatch):
    before = keys(confusion_store.read_networks(folder))
    monkeypatch.setattr(confusion_store, "BATCH_BYTES", 1)
    reading = confusion_store.iterate_networks(folder)
    first = next(reading)
    compaction.merge_networks(folder, networks_a_file=3)
    rest = pd.concat([first, *reading])
    assert len(rest) == NUM_NETWORKS
    assert keys(rest) == before


def test_older_rows_without_a_checksum_are_given_one(folder):
    path = folder / "networks" / "3-5-00000.parquet"
    table = pa.parquet.read_table(path).drop_columns([network_files.CHECKSUM])
    pa.parquet.write_table(table, path)
    before = confusion_store.read_networks(folder)
    compaction.merge_networks(folder, networks_a_file=NUM_NETWORKS)
    pd.testing.assert_frame_equal(confusion_store.read_networks(folder), before)
    (merged,) = (folder / "networks").iterdir()
    column = pa.parquet.read_table(merged).column(network_files.CHECKSUM)
    assert column.null_count == 0


def test_every_flipped_bit_is_found_or_changes_nothing(folder, rng):
    path, *others = sorted((folder / "networks").iterdir())
    for other in others:
        other.unlink()
    content, before = path.read_bytes(), confusion_store.read_networks(folder)
    messages = []
    for place in rng.choice(len(content), 600, replace=False):
        changed = bytearray(content)
        changed[place] ^= 1 << rng.integers(8)
        path.write_bytes(changed)
        try:
            networks = confusion_store.read_networks(folder)
        except network_files.DamagedFileError as error:
            messages.append(str(error))
        else:
            pd.testing.assert_frame_equal(networks, before)
    assert len(messages) > 300
    assert all(path.name in message for message in messages)


@pytest.mark.parametrize("damage", ["truncated", "flipped", "renamed", "empty"])
def test_damaged_file_is_set_aside_and_only_its_network_is_lost(folder, damage):
    path = folder / "networks" / "3-5-00004.parquet"
    content = bytearray(path.read_bytes())
    if damage == "truncated":
        path.write_bytes(content[:-20])
    elif damage == "flipped":
        table = pa.parquet.read_table(path)
        place = table.schema.get_field_index("seconds")
        changed = table.set_column(place, "seconds", pa.array([0.5]))
        pa.parquet.write_table(changed, path)
    elif damage == "renamed":
        path.write_bytes((folder / "networks" / "3-5-00005.parquet").read_bytes())
    else:
        path.write_bytes(b"")
    with pytest.raises(network_files.DamagedFileError, match="3-5-00004.parquet"):
        confusion_store.read_networks(folder)
    said = []
    compaction.mend_networks(folder, said.append)
    assert len(said) == 1
    assert str(path) in said[0]
    assert (folder / "networks" / "3-5-00004.parquet.damaged").exists()
    left = confusion_store.read_networks(folder)
    assert set(left["repeat"]) == set(range(NUM_NETWORKS)) - {4}
    compaction.mend_networks(folder, said.append)
    assert len(said) == 1


def test_intact_networks_of_a_damaged_merged_file_are_kept(folder, monkeypatch):
    monkeypatch.setattr(compaction, "_BYTES_A_GROUP", 1)
    before = confusion_store.read_networks(folder)
    compaction.merge_networks(folder, networks_a_file=NUM_NETWORKS)
    (path,) = (folder / "networks").iterdir()
    content = bytearray(path.read_bytes())
    with pa.parquet.ParquetFile(path) as file:
        chunk = file.metadata.row_group(6).column(17)
        place = chunk.data_page_offset + chunk.total_compressed_size // 2
    content[place] ^= 16
    path.write_bytes(content)
    said = []
    compaction.mend_networks(folder, said.append)
    assert "9 networks of it are intact and kept" in said[0]
    assert len(files(folder)) == 2
    left = confusion_store.read_networks(folder)
    pd.testing.assert_frame_equal(
        left, before[before["repeat"] != 6].reset_index(drop=True)
    )


def test_merged_file_without_its_end_is_lost_and_said(folder):
    compaction.merge_networks(folder, networks_a_file=5)
    path = folder / "networks" / "merged-00000-5.parquet"
    os.truncate(path, path.stat().st_size - 8)
    said = []
    compaction.mend_networks(folder, said.append)
    assert "kept" not in said[0]
    assert set(confusion_store.read_networks(folder)["repeat"]) == {5, 6, 7, 8, 9}


def test_checksums_see_every_column(folder):
    table = pa.parquet.read_table(folder / "networks" / "3-5-00000.parquet")
    (checksum,) = network_files.checksums(table)
    for name in network_files.COLUMNS:
        nothing = pa.nulls(1, table.schema.field(name).type)
        place = table.schema.get_field_index(name)
        (other,) = network_files.checksums(table.set_column(place, name, nothing))
        if table.column(name).null_count == 0:
            assert other != checksum, name


def test_error_about_a_damaged_file_comes_through_a_process_boundary(tmp_path):
    error = network_files.DamagedFileError(tmp_path / "x.parquet", "torn")
    again = pickle.loads(pickle.dumps(error))
    assert str(again) == str(error)
    assert again.reason == "torn"
