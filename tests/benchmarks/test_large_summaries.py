import pytest

from benchmarks import timing
from benchmarks.speed import large_summaries
from tb_plugin import metadata


def test_every_network_is_written_and_no_folder_of_them(tmp_path, read_plugin_data):
    size = {"num_classes": 6, "repeats": 2, "baseline_repeats": 3}
    assert large_summaries.write_events(tmp_path, size, 60) > 0
    found = read_plugin_data(tmp_path, metadata.TRAINING_RUN)
    rows = [row for block in found[metadata.TAG_NETWORKS].values() for row in block]
    assert len({(row[0], row[1]) for row in rows}) == len(rows) == 3 + 15 * 2
    assert max(found[metadata.TAG_BY_CLASS]) == len(rows)
    assert not list((tmp_path / "networks").iterdir())


@pytest.mark.slow
def test_both_loaders_answer_every_route(tmp_path, monkeypatch):
    size = {"num_classes": 6, "repeats": 3, "baseline_repeats": 8}
    monkeypatch.setattr(large_summaries.large_study, "QUICK_SIZE", size)
    rows = large_summaries.measure(quick=True, keep=tmp_path)
    assert {tuple(row) for row in rows} == {timing.ROW_KEYS}
    for loader in large_summaries.LOADERS:
        measured = {
            row["quantity"]: row["median"] for row in rows if row["contender"] == loader
        }
        assert len(measured) == 2 + 2 * len(large_summaries.ROUTES)
        assert measured["until the heat map can be asked for"] > 0.1
        # Python and TensorBoard alone take more than the one, and this study no more
        # than the other.
        assert 50 < measured[large_summaries.MEMORY] < 1500
