import json
import pathlib
import re
import shutil
import subprocess
import sys

import keras
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet
import pytest
from tensorboard.backend.event_processing import event_file_loader

from keras_confusion.cli import commands, exit_codes
from keras_confusion.confusion import store as confusion_store
from keras_confusion.confusion import study as confusion_study
from keras_confusion.explanations import explained_model, result, retraining
from keras_confusion.reports import explanation_report
from keras_confusion.reports.figures import unit_figures
from keras_confusion.storage import locks, study_folder
from tb_plugin import metadata
from tests.support import small_networks

SCRIPT = pathlib.Path(__file__).parents[2] / "scripts" / "explain_generalization.py"
TARGET, PAIR = 5, (3, 8)
FOLDER = "5_without_3-8"


MODEL = f"{small_networks.__name__}:{small_networks.small.__name__}"


def run_study(directory, **options):
    confusion_study.run_confusion_study(
        directory,
        pairs=["3-8", "4-9"],
        repeats=2,
        baseline_repeats=2,
        workers=1,
        readout_baselines=0,
        **options,
    )
    return directory


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """A study of networks that are trained, and explained, in a moment."""
    directory = tmp_path_factory.mktemp("explained") / "study"
    return run_study(directory, model=MODEL, epochs=3)


@pytest.fixture(scope="module")
def by_script(tmp_path_factory):
    """A study of the poster's CNN with an explanation, and what the script said."""
    study = run_study(tmp_path_factory.mktemp("by_script") / "study", epochs=1)
    command = [sys.executable, SCRIPT, study, "--target", "5", "--pair", "8-3"]
    done = subprocess.run(
        [*command, "--units", "2"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return study, done


@pytest.fixture(scope="module")
def explained_here(study):
    directory = shutil.copytree(study, study.parent / "explained_here")
    assert explain(directory) == 0
    return directory


@pytest.fixture
def copy(explained_here, tmp_path):
    return shutil.copytree(explained_here, tmp_path / "study")


def explain(directory, **options) -> int:
    """The script without its start."""
    settings = {"target": "5", "pair": "3-8", "units": 2, "model": MODEL} | options
    return exit_codes.exit_code(commands.explain_generalization, directory, **settings)


def plan_of(directory):
    return retraining.plan_of_study(
        study_folder.StudyFolder.open(directory), model=MODEL
    )


@pytest.mark.slow
def test_script_finds_the_networks_again_and_writes_what_it_says(by_script):
    directory, done = by_script
    assert "4/4 networks" in done.stderr
    assert "every test image the label that was recorded" in done.stdout
    assert "Warning" not in done.stdout
    folder = directory / "explanations" / FOLDER
    units = pd.read_csv(folder / "units.csv")
    repeats = pd.read_csv(folder / "repeats.csv")
    assert list(repeats["repeat"]) == [0, 1]
    # The study's own numbers of the same networks, computed as the study does.
    rows = confusion_store.read_networks(directory).set_index(["arm", "repeat"])
    pairs = [(3, 8), (4, 9)]
    for row in repeats.to_dict("records"):
        changes = units[units["repeat"] == row["repeat"]]["change"].sum()
        assert changes + row["change_of_biases"] == pytest.approx(row["change"])
        recorded = {
            "confused": rows.loc["3-8", row["repeat"]],
            "baseline": rows.loc["baseline", row["repeat"]],
        }
        for name, network_row in recorded.items():
            bits = np.reshape(network_row["log2_probability_without_pair"], (-1, 10))
            # In bfloat16, some of them.
            assert row[f"log2_probability_{name}"] == pytest.approx(
                bits[pairs.index(PAIR) if name == "baseline" else 0, TARGET], abs=0.02
            )
            assert row[f"equal_predictions_{name}"] == 1
    assert list(units["rank"]) == list(range(1, len(units) + 1))
    assert units["change"].abs().is_monotonic_decreasing
    told = re.findall(r"repeat (\d), .*a change of ([+-]\d\.\d+)", done.stdout)
    for (repeat, change), row in zip(told, units.to_dict("records"), strict=False):
        assert int(repeat) == row["repeat"]
        assert float(change) == pytest.approx(row["change"], abs=6e-4)
    assert len(told) == 2
    for name in ("units.png", "units.svg"):
        assert (folder / name).stat().st_size > 10_000
    assert str(folder / "units.png") in done.stdout


def test_figure_is_in_tensorboard(explained_here):
    (path,) = (explained_here / metadata.EXPLANATIONS_RUN / FOLDER).iterdir()
    found = [
        value
        for event in event_file_loader.EventFileLoader(str(path)).Load()
        for value in event.summary.value
    ]
    (value,) = found
    assert value.tag == "figures/units"
    png = (explained_here / "explanations" / FOLDER / "units.png").read_bytes()
    assert value.tensor.string_val[2] == png


def test_kept_networks_are_not_trained_again(
    copy, capsys, monkeypatch, study_json_reads
):
    monkeypatch.setattr(retraining, "_train", None)
    before = pd.read_csv(copy / "explanations" / FOLDER / "units.csv")
    kept = copy / "explanations" / "networks"
    # What a process leaves that is killed while it writes.
    (kept / ".3-8-00000.npz.12345.tmp").write_bytes(b"half")
    assert explain(copy, pair="3-8") == 0
    # The study is read once, to explain and to tell.
    assert study_json_reads == [copy / "study.json"]
    assert len(list(kept.iterdir())) == 4
    after = pd.read_csv(copy / "explanations" / FOLDER / "units.csv")
    pd.testing.assert_frame_equal(before, after)
    assert "networks" not in capsys.readouterr().err


def test_networks_of_another_study_are_trained_anew(copy, monkeypatch):
    """A study that was begun again in the same folder has other seeds."""
    kept = copy / "explanations" / "networks" / "baseline-00001.npz"
    plan = plan_of(copy)
    networks = confusion_store.read_networks(copy)
    row = networks[networks["arm"] == "baseline"].iloc[1].to_dict()
    assert retraining.is_kept(plan, row)
    assert not retraining.is_kept(plan, row | {"order_seed": 1})
    kept.write_bytes(kept.read_bytes()[:1000])
    with pytest.raises(study_folder.StudyFolderError, match=r"baseline-00001\.npz"):
        retraining.retrained_network(plan, row, PAIR)


def test_warns_of_networks_that_are_not_those_of_the_study(copy, capsys, undrawn):
    path = confusion_store.network_path(copy, PAIR, 1)
    table = pa.parquet.read_table(path)
    (row,) = table.to_pylist()
    row["predictions"] = [(label + 1) % 10 for label in row["predictions"][:60]] + row[
        "predictions"
    ][60:]
    row["checksum"] = None
    pa.parquet.write_table(pa.Table.from_pylist([row], schema=table.schema), path)
    assert explain(copy) == 0
    with np.load(copy / "explanations" / "networks" / "3-8-00001.npz") as kept:
        share = 100 * np.mean(kept["predictions"] == row["predictions"])
    assert f"Warning: retrained networks give only {share:.1f} % to" in (
        capsys.readouterr().out
    )


def test_a_running_study_can_be_explained(copy, capsys, undrawn):
    # The last repeat is not there yet.
    confusion_store.network_path(copy, PAIR, 1).unlink()
    with locks.locked(copy):
        assert explain(copy) == 0
    assert "n = 1 repeat." in capsys.readouterr().out
    with retraining.locked(copy):
        assert explain(copy) == 1
    assert "Another process is writing explanations" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"target": "3"}, "target outside the pair"),
        ({"target": "cow"}, "Expected a class by name or label. Received: 'cow'"),
        ({"pair": "3-9"}, "Received: '3-9'. Pairs: 3-8, 4-9."),
        ({"pair": "3-3"}, "two different classes"),
        ({"repeats": 0}, "`repeats` of at least 1"),
        ({"units": 0}, "`units` of at least 1"),
    ],
)
def test_errors_are_one_line(study, options, message, capsys):
    assert explain(study, **options) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("Error: ")
    assert message in line


def test_what_cannot_be_explained(copy, capsys, tmp_path):
    assert explain(tmp_path / "nothing") == 1
    assert "Expected a study in" in capsys.readouterr().err
    description = json.loads((copy / "study.json").read_text())
    # It is changed by hand.
    del description["description_sha256"]
    changed = description | {"dataset_fingerprint": "other"}
    (copy / "study.json").write_text(json.dumps(changed))
    assert explain(copy) == 1
    assert "the data set has other images or labels" in capsys.readouterr().err
    for path in (copy / "networks").glob("3-8-*"):
        path.unlink()
    assert explain(copy) == 1
    assert "2 baseline networks and 0 networks of the pair" in capsys.readouterr().err


def no_dense_end(*, input_shape, num_classes, seed):
    inputs = keras.Input(input_shape)
    maps = keras.layers.Conv2D(
        num_classes, 1, kernel_initializer=keras.initializers.GlorotUniform(seed)
    )(inputs)
    return keras.Model(inputs, keras.layers.GlobalAveragePooling2D()(maps))


def scaled_end(*, input_shape, num_classes, seed):
    inputs = keras.Input(input_shape)
    logits = keras.layers.Dense(
        num_classes, kernel_initializer=keras.initializers.GlorotUniform(seed)
    )(keras.layers.Flatten()(inputs))
    return keras.Model(inputs, keras.layers.Rescaling(2.0)(logits))


@pytest.mark.parametrize(
    ("model", "message"),
    [(no_dense_end, "conv2d"), (scaled_end, "something follows the layer dense")],
)
def test_models_whose_units_cannot_be_told_apart(study, model, message):
    plan = plan_of(study)
    object.__setattr__(plan.settings, "model", model)
    with pytest.raises(ValueError, match=message):
        explained_model.ExplainedModel(plan)


def test_only_repeats_with_the_same_seeds_are_compared(study):
    networks = confusion_store.read_networks(study)
    assert len(retraining.paired_rows(networks, PAIR, 5)) == 2
    (only,) = retraining.paired_rows(networks, PAIR, 1)
    assert [row["arm"] for row in only] == ["baseline", "3-8"]
    assert only[0]["seed"] == only[1]["seed"]
    # The second attempt of a network has other seeds.
    is_second = (networks["arm"] == "3-8") & (networks["repeat"] == 0)
    networks.loc[is_second, "seed"] += 1
    ((baseline, confused),) = retraining.paired_rows(networks, PAIR, 5)
    assert baseline["repeat"] == confused["repeat"] == 1
    networks.loc[networks["repeat"] == 1, "failed"] = True
    with pytest.raises(ValueError, match="none of which share them"):
        retraining.paired_rows(networks, PAIR, 5)


@pytest.fixture(scope="module")
def explanation(explained_here):
    plan = plan_of(explained_here)
    rows = retraining.paired_rows(
        confusion_store.read_networks(explained_here), PAIR, 1
    )
    networks = [
        tuple(retraining.retrained_network(plan, row, PAIR) for row in repeat_rows)
        for repeat_rows in rows
    ]
    explained = explained_model.ExplainedModel(plan)
    return (
        result.explain(explained, networks, TARGET, PAIR, num_units=3),
        explained,
        networks[0],
    )


def test_pictures_are_those_of_the_units(explanation):
    found, explained, networks = explanation
    images, labels = explained.plan.dataset.test.arrays()
    assert len(found.shown) == 3
    for shown in found.shown:
        for network, look, column in zip(
            networks, shown.looks, ("unit", "unit_confused"), strict=True
        ):
            if look is None:
                assert pd.isna(shown.row[column])
                continue
            probe = explained.probe(network.weights, explained.plan.dataset.class_names)
            unit = shown.row[column]
            activations = probe.features(images / np.float32(255))[:, unit]
            np.testing.assert_allclose(
                probe.features(look.strongest)[:, unit],
                np.sort(activations)[::-1][: result.NUM_IMAGES],
                rtol=1e-3,
            )
            np.testing.assert_allclose(
                probe.features(look.strongest_of_target)[:, unit],
                np.sort(activations[labels == TARGET])[::-1][: result.NUM_IMAGES],
                rtol=1e-3,
            )
            np.testing.assert_allclose(
                look.class_means[TARGET],
                activations[labels == TARGET].mean(),
                rtol=1e-3,
            )
            excited = probe.features(look.image[None])[0, unit]
            assert excited / activations.max() == pytest.approx(look.share, rel=1e-3)


def test_figure_shows_every_unit_and_marks_the_pair(explanation):
    found, _, _ = explanation
    figure = unit_figures.units_figure(found)
    texts = [text.get_text() for axis in figure.axes for text in axis.texts]
    for shown in found.shown:
        assert f"repeat 0, {unit_figures.unit_name(shown.row)}" in texts
        assert f"{shown.row['change']:+.2f} bits".replace("-", "−") in texts
    lowest = figure.axes[-1]
    colors = {label.get_text(): label.get_color() for label in lowest.get_xticklabels()}
    assert colors["3"] == colors["8"] == unit_figures.ACCENT
    assert colors["5"] == unit_figures.MUTED
    assert colors["0"] == "black"
    pictures = sum(len(axis.get_images()) for axis in figure.axes)
    assert pictures == 2 * sum(
        look is not None for shown in found.shown for look in shown.looks
    )


def test_text_says_whether_the_study_agrees(explanation):
    found, _, _ = explanation
    sign = np.sign(found.repeats["change"].mean())
    finding = {
        "difference_points": sign * 4.0,
        "log_likelihood_bits": -sign * 0.2,
        "ci_low_points": min(sign * 1.0, sign * 7.0),
        "ci_high_points": max(sign * 1.0, sign * 7.0),
        "q_value": 0.01,
        "n_confused": 2,
        "n_comparison": 3,
        "reason": "",
        "readings": [
            {
                "reading": "features",
                "difference": -0.05,
                "ci_low": -0.08,
                "ci_high": -0.02,
                "q_value": 0.004,
            }
        ],
    }
    clear = explanation_report.explanation_text(found, finding)
    assert "moves the same way" in clear
    assert "can be chance" not in clear
    assert "features -0.050 (95 % CI -0.080 to -0.020, q = 0.004)." in clear
    without = finding | {"readings": []}
    assert "d' of" not in explanation_report.explanation_text(found, without)
    other = finding | {"difference_points": -sign * 4.0}
    assert "THE OTHER WAY" in explanation_report.explanation_text(found, other)
    unclear = finding | {"q_value": 0.06}
    assert "can be chance" in explanation_report.explanation_text(found, unclear)
    untested = finding | {"ci_low_points": np.nan, "reason": "too few"}
    assert "without a test: too few" in explanation_report.explanation_text(
        found, untested
    )


def test_finding_is_by_the_test_of_the_reports(study):
    folder = study_folder.StudyFolder.open(study)
    found = explanation_report.study_finding(folder, TARGET, PAIR)
    assert np.isfinite(found["moderated_t"])
    for name in ("difference_points", "t", "df", "p_value", "q_value"):
        assert found[name] == found[f"moderated_{name}"]


def test_folder_names():
    names = ("cat", "sea lion", "../up", ".hidden", "ж")
    assert explanation_report.folder_name(0, (1, 2), names) == (
        "cat_without_class1-class2"
    )
    assert explanation_report.folder_name(4, (0, 3), names) == "ж_without_cat-class3"


def test_three_classes_leave_nothing_to_explain():
    description = {"class_names": ["a", "b", "c"], "settings": {"pairs": [[0, 1]]}}
    with pytest.raises(ValueError, match="of 3 classes. Use one of at least 4"):
        retraining.resolve_target_and_pair(description, "c", "a-b")
