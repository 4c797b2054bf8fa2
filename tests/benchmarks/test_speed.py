import json
import os
import subprocess
import sys
import time

import numpy as np
import pytest
import scipy.stats
import tensorflow as tf

import benchmarks.__main__ as command
from benchmarks import tables, timing
from benchmarks.speed import (
    dissimilarity_speed,
    generated_study,
    peak,
    scaling,
    statistical_power,
    subjects,
    training_speed,
    training_steps,
)
from keras_confusion.comparisons import responses, target_by_class
from keras_confusion.confusion import store as confusion_store
from keras_confusion.models import architectures
from keras_confusion.storage import study_folder


def test_contenders_take_turns_in_both_directions():
    called = []

    def contender(name, value):
        def run():
            called.append(name)
            return {"speed": value}

        return run

    contenders = {"a": contender("a", 1.0), "b": contender("b", 2.0)}
    measured = timing.alternate(contenders, 3, warm_up=1)
    assert called == ["a", "b", "a", "b", "b", "a", "a", "b"]
    assert measured == {"a": {"speed": [1.0] * 3}, "b": {"speed": [2.0] * 3}}


def test_no_rounds_are_refused():
    with pytest.raises(ValueError, match="at least 1. Received: 0"):
        timing.alternate({}, 0)


def test_seconds_are_those_of_the_call():
    seconds = timing.seconds_of(lambda: time.sleep(0.05))()["seconds"]
    assert 0.05 <= seconds < 1


def test_a_row_has_median_and_range():
    row = timing.row("a", "time", "s", [3, 1, 10, 2], "note")
    assert tuple(row) == timing.ROW_KEYS
    assert (row["median"], row["minimum"], row["maximum"], row["n"]) == (2.5, 1, 10, 4)


def test_commands_return_their_last_line_or_say_what_went_wrong():
    python = [sys.executable, "-c"]
    assert timing.last_json([*python, "print('noise'); print('{\"a\": 1}')"]) == {
        "a": 1
    }
    with pytest.raises(RuntimeError, match="ZeroDivisionError"):
        timing.last_json([*python, "1 / 0"])


def test_the_header_names_machine_versions_and_commit():
    header = timing.header()
    assert {"processor", "cores", "memory", "Python", "tensorflow", "keras"} < set(
        header
    )
    assert header["numpy"] == np.__version__
    commit = subprocess.run(
        ["git", "rev-parse", "HEAD"],
        cwd=timing.ROOT,
        capture_output=True,
        text=True,
        check=False,
    ).stdout.strip()
    assert header["commit"].startswith(commit or "unknown")


def test_tables_give_ratios_to_the_reference_and_notes():
    rows = [
        timing.row("plain", "time", "s", [2.0]),
        timing.row("ours", "time", "s", [0.5], "a | long remark that goes below"),
        timing.row("ours", "share", "%", [12345.6], "exponent 1"),
    ]
    lines = tables.table(rows, reference="plain").splitlines()
    assert lines[0].split(" | ")[-2:] == ["ratio", "note |"]
    assert lines[2] == "| plain | time | 2 s | 2 to 2 | 1 | 1.00 |  |"
    assert lines[3] == "| ours | time | 0.5 s | 0.5 to 0.5 | 1 | 0.25 | (1) |"
    assert lines[4].endswith("| 12,346 % | 12,346 to 12,346 | 1 |  | exponent 1 |")
    assert lines[-1] == "1. a | long remark that goes below"
    without = tables.table(rows, reference="plain", without_ratio=("time",))
    assert "ratio" not in without


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1234.5, "1,234"),
        (99.96, "100"),
        (0.1234, "0.123"),
        (0.00012345, "0.000123"),
        (1.5e-6, "1.50e-06"),
        (0.0, "0"),
        (float("nan"), "unknown"),
    ],
)
def test_numbers_have_three_digits(value, text):
    assert tables.number(value) == text


def test_plain_loop_scikit_learn_and_the_library_agree(rng):
    features = rng.random((5, 5, 7))
    dissimilarity_speed.check_agreement(features, dissimilarity_speed.cells(5, 125))
    # A cell's definition, again by hand: C has one origin, R one target.
    (inter,), (intra,) = dissimilarity_speed.plain_loop(features, [(1, 2, 4)])
    x, y, z = features[1, 2], features[4, 2], features[1, 4]
    assert inter == pytest.approx(1 - np.dot(x, y) / np.sqrt((x @ x) * (y @ y)))
    assert intra == pytest.approx(1 - np.dot(x, z) / np.sqrt((x @ x) * (z @ z)))


def test_contenders_that_disagree_are_not_timed(rng, monkeypatch):
    features = rng.random((4, 4, 3))
    monkeypatch.setattr(
        dissimilarity_speed, "scikit_learn", lambda features: (features, features)
    )
    with pytest.raises((AssertionError, IndexError)):
        dissimilarity_speed.check_agreement(features, [(0, 1, 2)])


def test_drawn_cells_are_different_ones():
    drawn = dissimilarity_speed.cells(10, 200)
    assert len(set(drawn)) == 200
    assert np.max(drawn) == 9


def test_flops_of_the_posters_network():
    # By hand: multiplications of one image forward, and two times more but for the
    # first layer's input.
    layers = [900 * 27 * 32, 169 * 288 * 64, 16 * 576 * 64, 1024 * 64, 64 * 10]
    model = architectures.build_model(
        "cnn", num_classes=10, input_shape=(32, 32, 3), seed=0
    )
    expected = 2 * (3 * sum(layers) - layers[0])
    assert training_speed.step_flops(model) == expected
    assert expected == pytest.approx(25.7e6, rel=2e-3)


def test_steady_rates_leave_out_the_first_network_of_every_worker():
    # Two workers; the first networks compile until second 10, the others take 2 s to
    # train and 0.5 s beside it.
    finished_at = np.array([12.5, 10.0, 15.0, 10.0, 12.5, 15.0])
    seconds = np.array([2.0, 9.0, 2.0, 9.0, 2.0, 2.0])
    rates = training_speed.steady_rates(
        finished_at, seconds, workers=2, at_once=2, num_images=1000
    )
    assert rates == {"images_per_second": 1000.0, "networks_per_second": 4.0}
    trained = training_speed.Trained(**rates, accuracy=0.5, dtype="float32")
    assert trained.networks_per_hour() == pytest.approx(3600 / (500 + 0.25))


def test_peak_of_a_type_is_that_of_the_best_library():
    rows = [
        timing.row("torch bfloat16", "matrix product", "GFLOP/s", [900]),
        timing.row("tensorflow bfloat16", "matrix product", "GFLOP/s", [800]),
        timing.row("tensorflow float32", "matrix product", "GFLOP/s", [950]),
    ]
    assert peak.best(rows, "bfloat16") == 900


def test_networks_needed_for_half_a_point():
    assert statistical_power.networks_needed(0.014) == pytest.approx(7.84)


def test_intervals_of_a_standard_deviation():
    # Chi-square with 7 degrees of freedom: 1.690 and 16.013 (tables, 2.5 and 97.5 %).
    low, high = statistical_power.sd_interval(1.0, 7)
    assert low == pytest.approx(np.sqrt(7 / 16.013), rel=1e-4)
    assert high == pytest.approx(np.sqrt(7 / 1.690), rel=1e-3)


def test_degrees_of_freedom_lie_between_those_of_one_class_and_all(rng):
    independent = statistical_power.spread(rng.normal(size=(5000, 4)))
    assert independent.degrees_of_freedom == pytest.approx(4 * 4999, rel=0.01)
    assert independent.mean == pytest.approx(1, rel=0.03)
    same = np.repeat(rng.normal(size=(50, 1)), 4, axis=1)
    found = statistical_power.spread(same * [1, 1, 1, 3])
    assert found.worst == pytest.approx(3 * same[:, 0].std(ddof=1))
    assert found.degrees_of_freedom == pytest.approx(49)


def test_ratio_of_variances_covers_the_truth(rng):
    covered = 0
    for _ in range(200):
        wide, narrow = rng.normal(size=(2, 8, 3)) * np.array([2, 1])[:, None, None]
        ratio, low, high = statistical_power.variance_ratio(
            statistical_power.spread(wide), statistical_power.spread(narrow)
        )
        assert low < ratio < high
        covered += low < 4 < high
    # 95 % or more, as the degrees of freedom are estimated low: 99.9 % of the time
    # at least this often.
    assert covered >= scipy.stats.binom.ppf(0.001, 200, 0.95)


@pytest.mark.parametrize("num_classes", [3, 10, 11, 30, 100])
def test_pairs_are_spread_over_the_classes(num_classes):
    pairs = generated_study.spread_pairs(num_classes)
    assert len(pairs) == min(45, num_classes * (num_classes - 1) // 2)
    assert all(0 <= a < b < num_classes for a, b in pairs)
    assert len({label for pair in pairs for label in pair}) >= min(num_classes, 45)


def test_a_generated_study_can_be_analysed(tmp_path):
    generated_study.write_study(tmp_path, num_networks=60, num_classes=4, num_test=1000)
    folder = study_folder.StudyFolder.open(tmp_path)
    networks = confusion_store.read_networks(tmp_path)
    assert len(networks) == 60
    for first, second, third in zip(
        *networks.loc[0, ["predictions", "second_labels", "third_labels"]], strict=True
    ):
        assert len({first, second, third}) == 3
    study = responses.study_responses(
        networks,
        confusion_store.read_test_labels(folder),
        num_classes=4,
        pairs=folder.settings["pairs"],
    )
    # Right by design, or by chance in a quarter of the rest.
    assert study.baseline.accuracy.mean() == pytest.approx(0.7 + 0.3 / 4, abs=0.02)
    table = target_by_class.target_by_class(study, folder.class_names)
    assert table["p_value"].notna().all()


def test_growth_exponents():
    assert scaling.growth_exponent((10, 1.0), (20, 4.0)) == pytest.approx(2)
    assert np.isnan(scaling.growth_exponent((10, 0.0), (20, 4.0)))


def test_subjects_are_measured_in_processes_of_their_own():
    assert subjects.in_own_process(os.getpid) != os.getpid()


def test_the_command_measures_one_subject_end_to_end(tmp_path, monkeypatch, capfd):
    monkeypatch.setattr(
        subjects, "in_own_process", lambda function, *arguments: function(*arguments)
    )
    monkeypatch.setattr(dissimilarity_speed, "CLASSES", (10, 30))
    out = tmp_path / "new" / "report.md"
    assert command.main(["--only", "d", "gpu", "--quick", "--out", str(out)]) == 0
    report = json.loads(out.with_suffix(".json").read_text())
    rows = report["subjects"]["d"]["rows"]
    assert [tuple(row) for row in rows] == [timing.ROW_KEYS] * 6
    by_name = {(row["contender"], row["quantity"]): row["median"] for row in rows}
    ours, plain = (
        by_name[name, "C and R, 30 classes"]
        for name in ("keras_confusion", "plain loop")
    )
    assert ours < plain
    text = out.read_text()
    assert text.startswith("# Benchmark results\n")
    assert f"- commit: {report['header']['commit']}" in text
    assert "## d. Matrices C and R" in text
    assert "Ratios are to plain loop." in text
    assert "plain loop" in capfd.readouterr().out


def test_a_subject_that_fails_is_reported_and_the_others_measured(
    tmp_path, monkeypatch, capsys
):
    def fail(*_):
        raise OSError("no disk")

    monkeypatch.setattr("benchmarks.speed.subjects.in_own_process", fail)
    out = tmp_path / "report.md"
    assert command.main(["--only", "d", "e", "--out", str(out)]) == 1
    assert out.read_text().count("Not measured: no disk") == 2
    assert "no disk" in capsys.readouterr().err


def test_rectified_after_pooling_is_the_same_function(rng):
    shape = {"input_shape": (32, 32, 3), "num_classes": 10, "seed": 3}
    later, model = training_steps.rectified_later(**shape), architectures.cnn(**shape)
    assert [layer.name.split("_")[0] for layer in later.layers].count("re") == 2
    assert later.layers[0].activation is not model.layers[0].activation
    later.set_weights(model.get_weights())
    images = tf.constant(rng.random((5, 32, 32, 3), np.float32))

    def loss_and_gradients(classifier):
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(classifier(images) ** 2)
        return [loss, *tape.gradient(loss, classifier.trainable_variables)]

    for later_value, model_value in zip(
        loss_and_gradients(later), loss_and_gradients(model), strict=True
    ):
        np.testing.assert_allclose(later_value, model_value, rtol=1e-4, atol=1e-5)
