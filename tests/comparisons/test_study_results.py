import itertools
import tracemalloc

import numpy as np
import pytest

from benchmarks.speed import large_study
from keras_confusion.comparisons import study_results, target_by_class
from keras_confusion.confusion import compaction
from keras_confusion.confusion import store as confusion_store
from keras_confusion.storage.study_folder import StudyFolder, StudyFolderError


def write(directory, *, num_classes=6, repeats=3, baseline=4, num_test=240):
    large_study.write_large_study(
        directory,
        num_classes=num_classes,
        repeats=repeats,
        baseline_repeats=baseline,
        num_test=num_test,
    )
    return directory


def test_networks_and_responses_are_in_one_order(tmp_path):
    write(tmp_path)
    row = {
        "arm": "1-4",
        "class_a": 1,
        "class_b": 4,
        "repeat": 3,
        "seed": 3,
        "failed": True,
        "seconds": 1.0,
    }
    confusion_store.write_network(tmp_path, row, num_classes=6)
    study = study_results.read_study(tmp_path)
    pairs = list(itertools.combinations(range(6), 2))
    arms = ["baseline"] * 4
    for a, b in pairs:
        arms += [f"{a}-{b}"] * (4 if (a, b) == (1, 4) else 3)
    assert study.networks["arm"].tolist() == arms
    assert study.networks["repeat"].tolist()[:9] == [0, 1, 2, 3, 0, 1, 2, 0, 1]
    assert list(study.networks) == list(study_results.ABOUT)
    done = study.networks[~study.networks["failed"]]
    assert len(done) == len(study.networks) - 1
    network_pairs = [pairs[index] for index in study.responses.confused_pair]
    assert [f"{a}-{b}" for a, b in network_pairs] == done["arm"].tolist()[4:]
    assert study.responses.confused_seed.tolist() == done["seed"].tolist()[4:]
    # The row of one network, by its arm and repeat.
    rows = confusion_store.read_networks(tmp_path)
    (one,) = rows[(rows["arm"] == "2-3") & (rows["repeat"] == 1)].to_dict("records")
    labels = confusion_store.read_test_labels(StudyFolder.open(tmp_path))
    hits = np.mean(one["predictions"][labels == 5] == 5)
    number = done["arm"].tolist()[4:].index("2-3") + 1
    assert study.responses.confused.accuracy[number, 5] == hits


def test_a_folder_without_networks_has_none(tmp_path):
    write(tmp_path)
    for path in (tmp_path / "networks").iterdir():
        path.unlink()
    study = study_results.read_study(tmp_path)
    assert study.networks.empty
    assert study.responses.confused_pair.shape == (0,)
    with pytest.raises(StudyFolderError, match="Expected a study"):
        study_results.read_study(tmp_path / "networks")


def test_what_was_planted_is_found(tmp_path):
    """Families of five classes: what confuses one of them costs the others."""
    study = study_results.read_study(
        write(tmp_path, num_classes=15, repeats=4, baseline=12, num_test=1500)
    ).responses
    table = target_by_class.target_by_class(study, [f"class {k}" for k in range(15)])
    learned = table[table["response"] == "accuracy_without_pair"]
    in_family = learned["target"] // 5 == learned["class"] // 5
    points = learned["difference_points"]
    assert in_family.sum() == 15 * 4
    assert points[in_family].max() < -1
    assert points[in_family].mean() < -3
    assert (learned.loc[in_family, "q_value"] < 0.05).all()
    assert points[~in_family].min() > -1


def test_memory_does_not_grow_with_the_answers(tmp_path, monkeypatch):
    monkeypatch.setattr(confusion_store, "BATCH_BYTES", 2_000_000)
    monkeypatch.setattr(compaction, "_BYTES_A_GROUP", 2_000_000)
    peaks = []
    for name, repeats in (("few", 3), ("many", 12)):
        (tmp_path / name).mkdir()
        write(tmp_path / name, num_classes=10, repeats=repeats, num_test=20_000)
        tracemalloc.start()
        study_results.read_study(tmp_path / name)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    # Answers of 405 more networks are 24 MB, counts of them less than 100 kB.
    assert peaks[1] < peaks[0] + 1_000_000
