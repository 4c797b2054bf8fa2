import dataclasses
import io
import json
import pathlib
import re
import subprocess
import sys

import keras
import matplotlib
import matplotlib.image
import numpy as np
import pandas as pd
import pytest
from tensorboard.backend.event_processing import event_file_loader

from keras_confusion.cli import commands, exit_codes
from keras_confusion.models import loading, saving
from keras_confusion.prototypes import pair as prototype_pair
from keras_confusion.reports import pair_report
from keras_confusion.reports.figures import pair_figures
from keras_confusion.reports.figures import style as figure_style
from keras_confusion.storage import study_folder
from tb_plugin import metadata

SCRIPT = pathlib.Path(__file__).parents[2] / "scripts" / "probe_saved_model.py"
LABELS = FIRST, SECOND = 3, 8
NAMES = tuple(f"digit {label}" for label in range(10))


@pytest.fixture(scope="module")
def saved(digits_classifier, tmp_path_factory):
    folder = tmp_path_factory.mktemp("saved") / "digits"
    return saving.save_model(digits_classifier, folder, class_names=NAMES)


@pytest.fixture(scope="module")
def probed(saved):
    settings = prototype_pair.PairSettings(
        inits=2, learning_rate=0.3, frames=3, max_iterations=12
    )
    return prototype_pair.probe_pair(loading.load_probe(saved), LABELS, settings)


def run(*arguments):
    return subprocess.run(
        [sys.executable, SCRIPT, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
    )


def drawn(figure) -> str:
    svg = io.StringIO()
    with matplotlib.rc_context(figure_style.STYLE):
        figure.savefig(svg, format="svg")
    return svg.getvalue()


def events(directory, run):
    """Values by tag and step; of images the PNG file."""
    (path,) = (directory / run).iterdir()
    found = {}
    for event in event_file_loader.EventFileLoader(str(path)).Load():
        for value in event.summary.value:
            tensor = value.tensor
            images = tensor.string_val
            found[value.tag, event.step] = images[2] if images else tensor.float_val[0]
    return found


@pytest.mark.slow
def test_script_prints_what_it_writes_and_the_model_agrees(saved, tmp_path):
    out = tmp_path / "probe"
    done = run(
        *(saved, "--from", "digit 3", "--to", 8, "--inits", 2, "--out", out),
        *("--learning-rate", 0.3, "--frames", 3),
    )
    assert done.returncode == 0, done.stderr
    assert "8/8 images" in done.stderr
    assert "trust" not in done.stderr
    arrays = np.load(out / "prototypes.npz")
    np.testing.assert_array_equal(arrays["labels"], LABELS)

    # Asked through TensorFlow alone, in a process that has never seen this package.
    code = (
        "import sys, numpy as np, tensorflow as tf\n"
        "loaded = tf.saved_model.load(sys.argv[1])\n"
        "arrays = np.load(sys.argv[2])\n"
        "logits = {k: loaded.serve(tf.constant(arrays[k])).numpy() for k in "
        f"{prototype_pair.IMAGES}}}\n"
        "np.savez(sys.argv[3], **logits)\n"
        "assert 'keras_confusion' not in sys.modules\n"
    )
    asked = tmp_path / "asked.npz"
    command = [sys.executable, "-c", code, saved / "saved_model"]
    subprocess.run([*command, out / "prototypes.npz", asked], check=True)
    logits = np.load(asked)

    blocks = re.split(r"Initialisation \d+\n", done.stdout)
    assert len(blocks) == 3
    ways = {
        "p[digit 3]": ("p_from", FIRST, "noise → digit 3"),
        "P[digit 8, digit 3]": ("intermediary", SECOND, "p[digit 3] → digit 8"),
        "p[digit 8]": ("p_to", SECOND, "noise → digit 8"),
    }
    for initialisation, block in enumerate(blocks[1:]):
        for title, (name, target, way) in ways.items():
            (line,) = [x for x in block.splitlines() if x.strip().startswith(title)]
            title_and_way, loss, iterations, converged, *rest = re.match(
                r" *(.*?) +(0\.\d+) +(\d+) +(yes|NO) +(.*?) ([01]\.\d+)( +[\d.]+){2}",
                line,
            ).groups()
            assert re.split("  +", title_and_way) == [title, way]
            z = logits[name][initialisation].astype(float)
            fresh = np.log(np.exp(z - z[target]).sum())
            assert float(loss) == pytest.approx(fresh, abs=6e-5)
            assert (converged == "yes") == arrays[f"{name}_converged"][initialisation]
            assert int(iterations) == arrays[f"{name}_iterations"][initialisation]
            assert rest[0] == NAMES[z.argmax()]
            assert float(rest[1]) == pytest.approx(np.exp(-fresh), abs=6e-4)
            # They converge, and to what was asked for.
            assert converged == "yes"
            assert fresh < 0.01
            assert z.argmax() == target
    for z in logits["boundary"]:
        assert set(np.argsort(z)[-2:]) == set(LABELS)
        assert abs(z[FIRST] - z[SECOND]) < 0.01 + 1e-4

    summary = pd.read_csv(out / "tables" / "dissimilarities_summary.csv")
    (line,) = [x for x in done.stdout.splitlines() if "d(p[digit 3], p[digit 8])" in x]
    *values, mean, sd, number = line.split()[4:]
    table = pd.read_csv(out / "tables" / "dissimilarities.csv")["d_p_from_p_to"]
    np.testing.assert_allclose(np.array(values, float), table, atol=6e-4)
    assert float(mean) == pytest.approx(table.mean(), abs=6e-4)
    assert float(sd) == pytest.approx(abs(table[0] - table[1]) / 2**0.5, abs=6e-4)
    assert number == "2"
    assert list(summary["n"]) == [2] * 5
    for name in ("pair", "way"):
        assert (out / "figures" / f"{name}.svg").exists()
    assert json.loads((out / "probe.json").read_text())["settings"]["inits"] == 2


def probe_in_here(model, out, **settings) -> int:
    """The script without its start."""
    options = {"from_class": "0", "to_class": "1", "inits": 1, "learning_rate": 0.3}
    return exit_codes.exit_code(
        commands.probe_saved_model, model, out=out, **(options | settings)
    )


@pytest.fixture
def strangers_model():
    inputs = keras.Input((12, 10, 1))
    # Weights with which some image reaches any probability.
    outputs = keras.layers.Dense(
        4,
        activation="softmax",
        kernel_initializer=keras.initializers.RandomNormal(stddev=1, seed=0),
    )(keras.layers.Flatten()(inputs))
    return keras.Model(inputs, outputs)


def test_model_without_features_is_probed_as_far_as_it_goes(
    strangers_model, tmp_path, capsys
):
    strangers_model.export(tmp_path / "theirs", verbose=False)
    out = tmp_path / "probe"
    assert probe_in_here(tmp_path / "theirs", out, frames=2) == 0
    captured = capsys.readouterr()
    assert captured.err.count("is a SavedModel, a program of TensorFlow's") == 1
    assert captured.out.count("offers no features") == 1
    assert "d(" not in captured.out
    assert {path.name for path in (out / "tables").iterdir()} == {"prototypes.csv"}
    arrays = np.load(out / "prototypes.npz")
    assert "p_to_features" not in arrays
    assert arrays["p_to_converged"].all()
    assert strangers_model(arrays["p_to"])[0, 1] > np.exp(-0.01) - 1e-5
    image = matplotlib.image.imread(out / "images" / "0_p_to.png")
    # Enlarged by a whole number, in grey.
    assert image.shape == (21 * 12, 21 * 10)
    np.testing.assert_allclose(
        image[::21, ::21], arrays["p_to"][0, :, :, 0], atol=1 / 255
    )


def test_errors_are_one_line_and_leave_no_folder(saved, tmp_path, capsys):
    damaged = tmp_path / "damaged.keras"
    damaged.write_bytes(b"damaged")
    for model, settings, message in (
        (saved, {"to_class": "cow"}, "'cow'. Classes: digit 0, digit 1"),
        (saved, {"to_class": "0"}, "two different classes"),
        (saved, {"image_size": (9, 9)}, "32 x 32"),
        (saved, {"frames": 1}, "`frames` of 0"),
        (damaged, {}, "fails with"),
        (tmp_path / "missing", {}, "Expected a folder with model.json"),
    ):
        assert probe_in_here(model, tmp_path / "probe", **settings) == 1
        lines = capsys.readouterr().err.splitlines()
        (error,) = [line for line in lines if line.startswith("Error: ")]
        assert message in error
        assert lines[-1] == error
        assert not (tmp_path / "probe").exists()


def test_only_an_earlier_probe_is_replaced(probed, tmp_path, undrawn):
    out = tmp_path / "probe"
    pair_report.write_pair_report(out, probed, {})
    without_frames = dataclasses.replace(probed, frames={}, answers_to_frames={})
    pair_report.write_pair_report(out, without_frames, {})
    assert {path.name for path in (out / "figures").iterdir()} == {
        "pair.png",
        "pair.svg",
    }
    assert "frames_p_from" not in np.load(out / "prototypes.npz")
    (out / "mine.txt").write_text("keep")
    with pytest.raises(study_folder.StudyFolderError, match="mine.txt"):
        pair_report.write_pair_report(out, probed, {})
    # Folders with the names of ours, but no probe.
    (tmp_path / "mine" / "images").mkdir(parents=True)
    with pytest.raises(study_folder.StudyFolderError, match="Received: images"):
        pair_report.check_folder(tmp_path / "mine")
    with pytest.raises(study_folder.StudyFolderError, match="the file"):
        pair_report.check_folder(out / "mine.txt")
    # What a file manager leaves, and hides, is nobody's.
    (tmp_path / "hidden").mkdir()
    (tmp_path / "hidden" / ".DS_Store").write_text("")
    pair_report.check_folder(tmp_path / "hidden")


def test_tensorboard_has_scalars_and_images_of_every_initialisation(probed, tmp_path):
    pair_report.write_pair_report(tmp_path, probed, {})
    found = events(tmp_path, metadata.PROBE_RUN)
    for row in probed.measures.to_dict("records"):
        tag, step = row["image"], row["initialisation"]
        assert found["loss/" + tag, step] == np.float32(row["loss"])
        assert found["iterations/" + tag, step] == row["iterations"]
        png = (tmp_path / "images" / f"{step}_{tag}.png").read_bytes()
        assert found["images/" + tag, step] == png
    for name, values in probed.dissimilarities.drop(columns="initialisation").items():
        for step, value in enumerate(values):
            if np.isnan(value):
                assert ("dissimilarity/" + name, step) not in found
            else:
                assert found["dissimilarity/" + name, step] == np.float32(value)
    assert set(events(tmp_path, metadata.REPORT_RUN)) == {
        ("figures/pair", 0),
        ("figures/way", 0),
    }


def test_pair_figure_shows_images_changes_and_answers(probed):
    failed = ~probed.measures["converged"]
    assert 0 < failed.sum() < len(failed)
    figure = pair_figures.pair_figure(probed)
    svg = drawn(figure)
    for text in ("p[digit 3]", "boundary", "p[digit 8]", "initialisation 1", "− noise"):
        assert text in svg
    assert "× did not converge" in svg
    pictures = [axis for axis in figure.axes if axis.get_images()]
    assert len(pictures) == 2 * (1 + 4 + 4)
    shown = [axis.get_images()[0].get_array() for axis in pictures[:9]]
    np.testing.assert_array_equal(shown[0], np.round(255 * probed.noise["p_from"][0]))
    changes = {
        "p_from": probed.images["p_from"] - probed.noise["p_from"],
        "boundary": probed.images["boundary"] - probed.images["p_from"],
        "intermediary": probed.images["intermediary"] - probed.images["p_from"],
        "p_to": probed.images["p_to"] - probed.noise["p_to"],
    }
    full = np.quantile(np.abs(np.stack(list(changes.values()))), 0.995)
    for column, name in enumerate(prototype_pair.IMAGES):
        np.testing.assert_array_equal(
            shown[1 + column], np.round(255 * probed.images[name][0])
        )
        change = np.clip(0.5 + 0.5 * changes[name][0] / full, 0, 1)
        np.testing.assert_allclose(shown[5 + column], 255 * change, atol=0.51)
    crossed = [
        any(line.get_gid() == "not converged" for line in axis.lines)
        for axis in pictures
    ]
    assert sum(crossed) == failed.sum()


def test_way_figure_needs_frames(probed, saved):
    assert "original" in drawn(pair_figures.way_figure(probed))
    settings = prototype_pair.PairSettings(inits=1, max_iterations=0)
    without = prototype_pair.probe_pair(loading.load_probe(saved), LABELS, settings)
    with pytest.raises(ValueError, match="Expected frames"):
        pair_figures.way_figure(without)
    # One initialisation has no sd, and nothing has changed.
    assert "0.0" in pair_report.findings_text(without)
    assert "4 of 4 images did not converge" in pair_report.findings_text(without)
    drawn(pair_figures.pair_figure(without))


def test_what_was_assumed_and_why_nothing_converged_is_told(probed):
    stuck = probed.measures.assign(converged=False)
    images = dict(probed.images) | {
        "p_to": probed.noise["p_to"],
        "intermediary": probed.images["p_from"],
    }
    text = pair_report.findings_text(
        dataclasses.replace(probed, measures=stuck, images=images),
        ["Its classes are called 0 to 9."],
    )
    still = 2 * len(probed.noise["p_to"])
    assert f"{still} of them did not move at all" in text
    assert "Likely causes: the model expects other images (--input-range)" in text
    assert "Its classes are called 0 to 9.\n" in text
    assert "Likely causes" not in pair_report.findings_text(probed)
