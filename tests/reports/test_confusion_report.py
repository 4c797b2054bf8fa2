import json
import pathlib
import shutil
import subprocess
import sys
import time
import urllib.request

import numpy as np
import pandas as pd
import pytest
from tensorboard.backend.event_processing import (
    event_accumulator,
    event_file_loader,
)

from keras_confusion.comparisons import findings as comparison_findings
from keras_confusion.confusion import answers as confusion_answers
from keras_confusion.confusion import network_files
from keras_confusion.confusion import store as confusion_store
from keras_confusion.reports import confusion_report, study_report
from keras_confusion.storage import study_folder
from tb_plugin import metadata
from tests.support import docs_commands

SCRIPTS = pathlib.Path(__file__).parents[2] / "scripts"
NAMES = ["cat", "dog", "car", "ship"]
ODD_NAMES = ["$x_{$", "a/b, c", "Füchse", "NA"]
PAIRS = [[0, 1], [0, 2], [0, 3], [1, 2], [1, 3], [2, 3]]
REPEATS = 11
TEST_LABELS = np.repeat(np.arange(4), 100)


def answers(rng, pair, *, helped_by):
    """Logits of a network: cat and dog help each other, car and ship only compete."""
    logits = rng.normal(0, 1.0, (400, 4))
    strength = np.array([1.6, 1.6, 2.2, 2.2])
    if pair is not None:
        for target, helper in helped_by:
            if helper in pair and target not in pair:
                strength[target] -= 0.6
    logits[np.arange(400), TEST_LABELS] += strength[TEST_LABELS]
    if pair is not None:
        a, b = pair
        logits[:, [a, b]] = logits[:, [a, b]].mean(axis=1, keepdims=True)
    return logits


def write_study(
    directory, *, pairs=PAIRS, repeats=5, baseline=12, fail=(), names=NAMES
):
    description = {
        "settings": {
            "dataset": "made",
            "pairs": pairs,
            # Asked for, though none of them may be trained yet.
            "repeats": max(repeats, 1),
            "baseline_repeats": max(baseline, 1),
            "epochs": 1,
            "recipe": "annealed",
        },
        "class_names": list(names),
        "dataset_fingerprint": "0",
        "provenance": {},
    }
    directory.mkdir(exist_ok=True)
    confusion_store.open_study(directory, description, TEST_LABELS)
    rng = np.random.default_rng(1)
    arms = [(None, baseline), *((tuple(pair), repeats) for pair in pairs)]
    for pair, count in arms:
        for repeat in range(count):
            row = {
                "arm": network_files.arm_name(pair),
                "class_a": pair and pair[0],
                "class_b": pair and pair[1],
                "repeat": repeat,
                "seed": repeat,
                "recipe": "annealed",
                "epochs": 1,
                "attempt": 0,
                "failed": (pair, repeat) in fail,
                "note": "",
                "seconds": 1.0,
            }
            if not row["failed"]:
                row |= {"epoch_losses": [0.5], "final_training_loss": 0.5}
                row |= confusion_answers.summarise_logits(
                    answers(rng, pair, helped_by=[(0, 1), (1, 0)]),
                    TEST_LABELS,
                    pairs if pair is None else [pair],
                )
            confusion_store.write_network(directory, row, num_classes=4)


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    directory = tmp_path_factory.mktemp("report") / "study"
    write_study(directory, repeats=REPEATS, fail={((0, 1), 2)})
    return directory, study_report.write_report(directory)


@pytest.fixture(scope="module")
def analysed(study, tmp_path_factory):
    """The same networks after the script, and what it said."""
    directory = tmp_path_factory.mktemp("analysed") / "study"
    only_results = shutil.ignore_patterns("tables", "figures", "events")
    shutil.copytree(study[0], directory, ignore=only_results)
    done = subprocess.run(
        [sys.executable, SCRIPTS / "analyse_study.py", directory],
        capture_output=True,
        text=True,
        check=True,
    )
    return directory, done


def test_learned_is_told_from_competition(study):
    _, made = study
    learned, competition = made.text.split("With competition")
    by_class = learned.split("Target x classes")[1]
    assert "not learning dog costs cat" in by_class
    assert "not learning cat costs dog" in by_class
    # Car and ship share nothing with others, but win when two rivals are split.
    for name in ("car", "ship"):
        assert f"costs {name}" not in by_class
        assert f"gives {name}" not in by_class
    assert "gives car" in competition
    assert "gives ship" in competition


def test_text_states_baseline_and_failures(study):
    _, made = study
    assert f"made: {12 + 6 * REPEATS - 1} networks" in made.text
    assert "n = 12" in made.text
    assert "1 networks failed and are left out" in made.text


def test_tables_can_be_read_and_agree_with_the_text(study):
    directory, made = study
    tables = {path.stem: pd.read_csv(path) for path in made.table_files}
    assert len(tables["networks"]) == 12 + 6 * REPEATS
    assert tables["networks"]["failed"].sum() == 1
    by_class = tables["target_by_class"]
    strongest = by_class[by_class["response"] == "accuracy_without_pair"]
    strongest = comparison_findings.with_test(strongest, "moderated")
    strongest = strongest.sort_values("q_value").iloc[0]
    assert confusion_report.finding_sentence(strongest) in made.text
    assert directory in made.table_files[0].parents


def test_sentence_by_hand():
    row = {
        "class_a_name": "cat",
        "class_b_name": "dog",
        "target_name": "bird",
        "difference_points": -4.12,
        "ci_low_points": -5.2,
        "ci_high_points": -3.04,
        "t": -6.21,
        "q_value": 0.0004,
        "kl_bits": 0.0121,
    }
    assert confusion_report.finding_sentence(row) == (
        "not learning cat and dog costs bird 4.1 points (95 % CI 3.0 to 5.2), "
        "t = -6.2, q = 0.0004, 0.0121 bits"
    )
    gain = {"class_name": "3", "target_name": "8", "difference_points": 1.0}
    gain |= {"ci_low_points": 0.5, "ci_high_points": 1.5, "t": 3.0}
    gain |= {"q_value": 2e-7, "kl_bits": -0.001}
    assert confusion_report.finding_sentence(gain) == (
        "not learning '3' gives '8' 1.0 points (95 % CI 0.5 to 1.5), "
        "t = 3.0, q = 2.0e-07, -0.0010 bits"
    )


def test_paired_test_tells_what_is_paired(study, tmp_path):
    directory, moderated = study
    pictures = {path.name: path.read_bytes() for path in moderated.figure_files}
    shutil.copytree(directory, tmp_path / "paired")
    made = study_report.write_report(tmp_path / "paired", test="paired")
    assert "Test: moderated t: differences within repeats (n = 11)" in moderated.text
    assert "Test: paired t within repeats" in made.text
    assert "(n = 11 repeats)" in made.text
    by_class = pd.read_csv(tmp_path / "paired/tables/target_by_class.csv")
    rows = by_class[by_class["response"] == "accuracy_without_pair"]
    found = rows[rows["paired_q_value"] <= 0.05].sort_values("paired_q_value")
    assert 0 < len(found) != (rows["q_value"] <= 0.05).sum()
    learned = made.text.split("With competition")[0].split("Target x classes")[1]
    assert f"{len(found)} of {len(rows)} tests" in learned
    best = found.iloc[0]
    sentence = (
        f"not learning {best['class_name']} costs {best['target_name']} "
        f"{-best['paired_difference_points']:.1f} points (95 % CI "
        f"{-best['paired_ci_high_points']:.1f} to "
        f"{-best['paired_ci_low_points']:.1f}), t = {best['paired_t']:.1f}, "
    )
    assert sentence in learned
    assert learned.index(sentence) == learned.index("not learning")
    for path in made.figure_files:
        is_heat_map = path.stem.startswith("target_by_")
        is_by_test = is_heat_map or path.stem == "findings"
        assert (path.read_bytes() != pictures[path.name]) == is_by_test
        if is_heat_map:
            caption = path.with_suffix(".svg").read_text()
            assert "significant (paired t, Benjamini" in caption
            assert "11 repeats, correlation " in caption


def test_analyse_script_takes_the_test(tmp_path, capsys, undrawn):
    write_study(tmp_path / "study", pairs=[[0, 1]], repeats=3, baseline=4)
    script = str(SCRIPTS / "analyse_study.py")
    arguments = [str(tmp_path / "study"), "--test", "paired"]
    assert docs_commands.run_main(script, arguments) == 0
    assert "Test: paired t within repeats" in capsys.readouterr().out


def test_tests_are_of_confusion_studies(tmp_path, write_prototype_study):
    write_study(tmp_path / "confusion", pairs=[[0, 1]], repeats=2, baseline=2)
    with pytest.raises(ValueError, match="'moderated', 'paired'.*'student'"):
        study_report.write_report(tmp_path / "confusion", test="student")
    with pytest.raises(ValueError, match="'paired' for the prototypes study"):
        study_report.write_report(write_prototype_study(), test="paired")


def test_every_figure_is_a_picture_of_its_own(study):
    _, made = study
    names = {path.stem for path in made.figure_files}
    assert names == {
        "findings",
        *(
            f"target_by_{columns}_{measure}"
            for columns in ("class", "pair")
            for measure in ("difference", "t", "bits")
        ),
        "accuracy_by_arm",
        "class_dendrogram",
    }
    contents = [path.read_bytes() for path in made.figure_files]
    assert all(content.startswith(b"\x89PNG") for content in contents)
    assert len(set(contents)) == len(contents)
    for path in made.figure_files:
        svg = path.with_suffix(".svg").read_text()
        assert "cat" in svg
    svgs = {path.stem: path.with_suffix(".svg") for path in made.figure_files}
    heat_map = svgs["target_by_class_difference"].read_text()
    assert "accuracy_without_pair" in heat_map
    assert "target class T" in heat_map


def test_analyse_script_rebuilds_everything(study, analysed):
    directory, done = analysed
    original, made = study
    assert "not learning dog costs cat" in done.stdout
    assert done.stderr == ""
    # Made again it is the same, bit for bit.
    assert made.text in done.stdout
    for name, number in (("tables/*.csv", 7), ("figures/*.png", 9), ("*/*.svg", 9)):
        files = {path.name: path.read_bytes() for path in directory.glob(name)}
        assert len(files) == number
        assert files == {path.name: path.read_bytes() for path in original.glob(name)}
    events = event_accumulator.EventAccumulator(
        str(directory / metadata.TRAINING_RUN), size_guidance={"tensors": 0}
    )
    events.Reload()
    done_events = events.Tensors(metadata.TAG_NETWORKS_DONE)
    assert [event.step for event in done_events] == list(range(1, 12 + 6 * REPEATS + 1))
    baseline = events.Tensors(metadata.TAG_BASELINE_ACCURACY)
    table = pd.read_csv(directory / "tables" / "networks.csv")
    np.testing.assert_allclose(
        [event.tensor_proto.float_val[0] for event in baseline],
        table.loc[table["arm"] == "baseline", "accuracy"],
        rtol=1e-6,
    )


@pytest.fixture(scope="module")
def few(tmp_path_factory):
    """A report of few pairs of classes with odd names."""
    directory = tmp_path_factory.mktemp("few") / "study"
    pairs = [[0, 1], [1, 3]]
    write_study(directory, pairs=pairs, repeats=2, baseline=2, names=ODD_NAMES)
    return directory, study_report.write_report(directory)


def test_figures_are_in_tensorboard(analysed):
    directory, _ = analysed
    (path,) = (directory / metadata.REPORT_RUN).iterdir()
    found = {
        value.tag: (event.step, value.tensor.string_val[2])
        for event in event_file_loader.EventFileLoader(str(path)).Load()
        for value in event.summary.value
        if value.tag.startswith(metadata.PREFIX_FIGURE)
    }
    pictures = (directory / "figures").glob("*.png")
    assert found == {
        metadata.PREFIX_FIGURE + path.stem: (12 + 6 * REPEATS, path.read_bytes())
        for path in pictures
    }


def test_few_pairs_tell_nothing_of_single_classes(few):
    directory, made = few
    names = {path.stem for path in made.figure_files}
    assert not {"class_dendrogram", "target_by_class_t"} & names
    assert "target_by_pair_t" in names
    assert "Target x pairs, third classes" in made.text
    assert "as not all pairs were run" in made.text
    assert not (directory / "tables" / "target_by_class.csv").exists()


def test_study_without_a_baseline_yet_is_reported(tmp_path, undrawn):
    # Killed before the first baseline network was finished.
    write_study(tmp_path / "early", repeats=2, baseline=0)
    made = study_report.write_report(tmp_path / "early")
    assert "fewer than 2 networks in a group" in made.text


def test_names_with_any_signs_are_drawn_as_they_are(few):
    _, made = few
    for path in made.figure_files:
        if path.stem.startswith("target_by_pair"):
            svg = path.with_suffix(".svg").read_text()
            assert [name for name in ODD_NAMES if name not in svg] == []


def test_folder_without_networks_is_refused(tmp_path):
    write_study(tmp_path / "none", repeats=0, baseline=0)
    with pytest.raises(
        study_folder.StudyFolderError, match="Expected trained networks"
    ):
        study_report.write_report(tmp_path / "none")


def get(url):
    with urllib.request.urlopen(url, timeout=10) as response:
        return response.read()


@pytest.mark.parametrize(
    "load_fast",
    [
        pytest.param("true", marks=pytest.mark.slow),
        pytest.param("false", marks=pytest.mark.exhaustive),
    ],
)
def test_tensorboard_shows_scalars_and_figures(analysed, tmp_path, load_fast):
    directory, _ = analysed
    log = tmp_path / "log"
    with open(log, "w") as file:
        server = subprocess.Popen(
            [
                *(sys.executable, "-m", "tensorboard.main", "--logdir", directory),
                *("--port", "0", "--host", "127.0.0.1", "--load_fast", load_fast),
            ],
            stdout=file,
            stderr=file,
        )
    try:
        deadline = time.monotonic() + 60
        while "http://" not in log.read_text():
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.1)
        root = log.read_text().split("http://")[1].split("/")[0]
        images: dict = {}
        while metadata.REPORT_RUN not in images:
            assert time.monotonic() < deadline
            time.sleep(0.2)
            images = json.loads(get(f"http://{root}/data/plugin/images/tags"))
            scalars = json.loads(get(f"http://{root}/data/plugin/scalars/tags"))
        assert metadata.TAG_BASELINE_ACCURACY in scalars[metadata.TRAINING_RUN]
        tags = {tag.removeprefix("figures/") for tag in images[metadata.REPORT_RUN]}
        assert "target_by_class_difference" in tags
        query = "run=events%2Freport&tag=figures%2Faccuracy_by_arm&sample=0"
        listed = json.loads(get(f"http://{root}/data/plugin/images/images?{query}"))
        picture = get(
            f"http://{root}/data/plugin/images/individualImage?{listed[0]['query']}"
        )
        assert picture == (directory / "figures/accuracy_by_arm.png").read_bytes()
        assert listed[0]["step"] == 12 + 6 * REPEATS
    finally:
        server.terminate()
        server.wait()
