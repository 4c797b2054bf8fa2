import pytest

from benchmarks import timing
from benchmarks.speed import analysis_speed, large_study
from keras_confusion.confusion import network_files
from keras_confusion.confusion import store as confusion_store


def test_networks_are_written_in_files_of_many(tmp_path, monkeypatch):
    monkeypatch.setattr(large_study.compaction, "NETWORKS_A_FILE", 20)
    large_study.write_large_study(
        tmp_path, num_classes=7, repeats=3, baseline_repeats=5, num_test=70
    )
    names = sorted(path.name for path in (tmp_path / "networks").iterdir())
    assert [name.split("-")[0] for name in names] == ["merged"] * 4
    networks = confusion_store.read_networks(tmp_path)
    assert len(networks) == 21 * 3 + 5
    assert not networks.duplicated(["arm", "repeat"]).any()
    for row in networks.to_dict("records")[::9]:
        top = row["predictions"], row["second_labels"], row["third_labels"]
        assert all(len({*labels}) == 3 for labels in zip(*top, strict=True))
        num_pairs = 21 if row["arm"] == network_files.BASELINE else 1
        assert len(row["log2_probability_without_pair"]) == num_pairs * 7


def test_a_study_is_the_same_when_it_is_drawn_again(tmp_path):
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
        large_study.write_large_study(
            tmp_path / name, num_classes=6, repeats=2, baseline_repeats=2, num_test=60
        )
    one, other = (confusion_store.read_networks(tmp_path / n) for n in ("one", "other"))
    for column in ("predictions", "third_labels", "log2_probability"):
        assert all(map(lambda a, b: (a == b).all(), one[column], other[column]))


@pytest.mark.slow
def test_every_step_of_the_analysis_is_measured(monkeypatch):
    size = {"num_classes": 6, "repeats": 3, "baseline_repeats": 8}
    monkeypatch.setattr(large_study, "QUICK_SIZE", size)
    rows = large_study.measure(quick=True)
    assert [tuple(row) for row in rows] == [timing.ROW_KEYS] * 8
    assert {row["contender"] for row in rows} == {"53 networks"}
    by_quantity = {row["quantity"]: row["median"] for row in rows}
    assert by_quantity["whole report"] > by_quantity["table target x pair"] > 0
    # Python itself is not counted.
    assert 10 < by_quantity[analysis_speed.MEMORY] < 1000
