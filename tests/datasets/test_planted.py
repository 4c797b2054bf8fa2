import collections

import numpy as np
import pandas as pd
import pytest

from benchmarks.validity import planted_truth
from keras_confusion.comparisons import measures
from keras_confusion.comparisons.rates import ListedRates, Rates
from keras_confusion.comparisons.responses import RESPONSES, StudyResponses
from keras_confusion.datasets import loading as dataset_loading
from keras_confusion.datasets import planted
from keras_confusion.stats import t_tests

LABEL = {name: label for label, name in enumerate(planted.CLASS_NAMES)}


@pytest.fixture(scope="module")
def split():
    return planted.draw_split(0, test=False)


@pytest.fixture
def small(monkeypatch):
    """Drawing takes seconds: the data sets of a test that does not count them."""
    monkeypatch.setattr(planted, "COMMON_IMAGES", 40)
    monkeypatch.setattr(planted, "RARE_IMAGES", 12)
    monkeypatch.setattr(planted, "TEST_IMAGES", 20)


def images_of(label, number, **difficulty):
    labels = np.full(number, label)
    return planted.draw_images(
        labels, np.random.default_rng(3), planted.Difficulty(**difficulty)
    )


def test_same_seed_same_images_other_seed_others(small):
    images, labels = planted.draw_split(0, test=False)
    assert len(images) == len(labels) == 6 * 40 + 4 * 12
    again, labels_again = planted.draw_split(0, test=False)
    np.testing.assert_array_equal(images, again)
    np.testing.assert_array_equal(labels, labels_again)
    other, _ = planted.draw_split(1, test=False)
    assert not np.array_equal(images, other)
    test_images, _ = planted.draw_split(0, test=True)
    assert not np.array_equal(images[: len(test_images)], test_images)


def test_rare_classes_are_rare_in_training_and_as_frequent_in_the_test(split):
    counts = np.bincount(split[1])
    rare = [LABEL["fine_cross"], LABEL["rising_triangle"]]
    assert (counts[rare] * 3 < counts[LABEL["fine_disc"]]).all()
    _, test_labels = planted.draw_split(0, test=True)
    assert len(set(np.bincount(test_labels))) == 1


def strongest_wave(image):
    """(cycles a pixel, direction modulo pi) of the strongest wave in a picture."""
    grey = image.mean(axis=-1)
    power = np.abs(np.fft.fft2(grey - grey.mean())) ** 3
    rows, columns = np.meshgrid(*(np.fft.fftfreq(32),) * 2, indexing="ij")
    frequency = np.hypot(rows, columns)
    power[(frequency < 0.12) | (frequency > 0.45)] = 0
    row, column = np.unravel_index(np.argmax(power), power.shape)
    angle = np.arctan2(rows[row, column], columns[row, column]) % np.pi
    return frequency[row, column], angle


def test_images_of_a_seed_are_those_of_every_version():
    # A study that was begun goes on with the same images.
    images, labels = planted.draw_split(3, test=True)
    assert images.shape == (2000, 32, 32, 3)
    assert labels[:8].tolist() == [2, 6, 5, 2, 1, 6, 4, 5]
    # Sums of many pixels: a last digit of a float may round one of them otherwise.
    means = [images[labels == label].mean() for label in range(10)]
    expected = [83.27, 76.26, 78.04, 80.76, 78.98, 79.49, 76.8, 72.84, 72.65, 79.32]
    assert means == pytest.approx(expected, abs=0.006)
    sums = images[:4].mean(axis=(1, 2, 3))
    assert sums == pytest.approx([45.312, 56.519, 56.215, 92.751], abs=0.01)


@pytest.mark.parametrize("shape", ["disc", "cross"])
def test_both_shapes_of_the_first_relation_show_the_same_widths(shape):
    fine, coarse = (
        np.median(
            [
                strongest_wave(image)[0]
                for image in images_of(LABEL[f"{width}_{shape}"], 60, contrast=0.9)
            ]
        )
        for width in ("fine", "coarse")
    )
    # Four pixels, divided and multiplied by the root of the ratio.
    ratio = planted.Difficulty().wavelength_ratio
    assert fine == pytest.approx(np.sqrt(ratio) / 4, rel=0.15)
    assert coarse == pytest.approx(1 / np.sqrt(ratio) / 4, rel=0.15)


@pytest.mark.parametrize("shape", ["square", "triangle"])
def test_both_shapes_of_the_second_relation_show_the_same_slopes(shape):
    for slope, angle in (("rising", np.pi / 4), ("falling", 3 * np.pi / 4)):
        found = [
            strongest_wave(image)[1]
            for image in images_of(LABEL[f"{slope}_{shape}"], 60, contrast=0.9)
        ]
        assert np.median(found) == pytest.approx(angle, abs=0.2)


def test_thick_rings_cover_more_than_thin_ones_and_have_no_stripes():
    def covered(label):
        images = images_of(label, 80, line_sd=0.0, noise=0.0).astype(float)
        border = images[:, :1, :1]
        return (np.abs(images - border).max(axis=-1) > 12).mean()

    assert covered(LABEL["thick_ring"]) > 1.2 * covered(LABEL["thin_ring"])


def test_truth_names_every_cell_once_and_what_was_planted():
    cells = planted.truth()
    assert len({(cell.pair, cell.target) for cell in cells}) == len(cells) == 360
    cells_by_kind = collections.defaultdict(set)
    for cell in cells:
        cells_by_kind[cell.kind].add(
            (
                planted.CLASS_NAMES[cell.target],
                *map(planted.CLASS_NAMES.__getitem__, cell.pair),
            )
        )
    assert cells_by_kind[planted.PLANTED] == {
        ("fine_cross", "fine_disc", "coarse_disc"),
        ("coarse_cross", "fine_disc", "coarse_disc"),
        ("rising_triangle", "rising_square", "falling_square"),
        ("falling_triangle", "rising_square", "falling_square"),
    }
    # A ring's rival, with each of the eight classes that are not rings.
    assert len(cells_by_kind[planted.RIVAL]) == 16
    assert ("thin_ring", "fine_disc", "thick_ring") in cells_by_kind[planted.RIVAL]
    assert ("fine_disc", "fine_cross", "coarse_cross") in cells_by_kind[planted.RELATED]
    assert ("fine_cross", "rising_square", "falling_square") in cells_by_kind[
        planted.CONTROL
    ]


@pytest.mark.parametrize(
    ("name", "seed"),
    [("planted", 0), ("planted:7", 7), ("planted:", None), ("planted:-1", None)],
)
def test_names_with_seeds(name, seed):
    assert planted.seed_of(name) == seed


def test_loads_by_name(small):
    dataset = dataset_loading.load_dataset("planted:1")
    images, labels = planted.draw_split(1, test=True)
    np.testing.assert_array_equal(dataset.test.images, images)
    np.testing.assert_array_equal(dataset.test.labels, labels)
    assert dataset.class_names == planted.CLASS_NAMES
    assert dataset.input_shape == (32, 32, 3)
    smaller = dataset_loading.load_dataset("planted:1", image_size=(24, 24))
    assert smaller.input_shape == (24, 24, 3)


def responses_of(generator, accuracies):
    """Responses of 6 baselines and 6 networks of the pair (0, 1), four classes.

    `accuracies` are those of both groups, `(2, 4)`.
    """

    def rates(accuracy):
        drawn = np.clip(accuracy + generator.normal(0, 0.01, (6, 4)), 0, 1)
        return Rates(drawn, 0.1 - drawn / 20, np.log2(drawn))

    baseline, confused = (rates(group_accuracy) for group_accuracy in accuracies)
    return StudyResponses(
        pairs=[(0, 1)],
        confused_pair=np.zeros(6, int),
        confused_seed=np.arange(6),
        baseline_seed=np.arange(6),
        confused=confused,
        confused_without_pair=confused,
        baseline=baseline,
        baseline_without_pair=ListedRates(baseline.select(None)),
        prior=np.full(4, 0.25),
        test_images_per_class=np.full(4, 100),
    )


def test_measures_are_those_of_single_networks_and_agree_with_scipy():
    study = responses_of(
        np.random.default_rng(0), [[0.8, 0.8, 0.8, 0.7], [0.5, 0.5, 0.6, 0.7]]
    )
    tests = measures.target_by_pair_tests(study)
    assert set(tests["target"]) == {2, 3}
    assert len(tests) == len(RESPONSES) * len(measures.MEASURES) * 2 * 3

    def cell(measure, target, test="welch"):
        return tests.query(
            "response == 'accuracy' and measure == @measure and target == @target "
            "and test == @test"
        ).iloc[0]

    entropy = -t_tests.entropy_bits(0.0, study.confused.accuracy[:, 2])
    before = -t_tests.entropy_bits(0.0, study.baseline.accuracy[:, 2])
    expected = t_tests.compare(entropy, before)
    found = cell("entropy_bits", 2)
    assert found["p_value"] == pytest.approx(expected.p_value)
    assert found["difference"] == pytest.approx(expected.difference)
    for measure in measures.MEASURES:
        for test in ("welch", "paired"):
            lost = cell(measure, 2, test)
            # What was lost is found, downwards, by every measure.
            assert lost["q_value"] < 0.01
            assert lost["difference"] < 0
            assert cell(measure, 3, test)["q_value"] > 0.05


def test_score_counts_what_is_right_and_what_is_false():
    places = pd.DataFrame(
        [
            # kind, difference, q
            (planted.PLANTED, -0.2, 0.01),
            (planted.PLANTED, -0.2, 0.20),
            # Found, but in the wrong direction.
            (planted.PLANTED, 0.2, 0.01),
            (planted.RIVAL, 0.1, 0.01),
            (planted.RIVAL, -0.1, 0.01),
            (planted.CONTROL, 0.1, 0.01),
            (planted.CONTROL, 0.1, 0.06),
            (planted.RELATED, -0.1, 0.01),
        ],
        columns=["kind", "difference", "q_value"],
    )
    both = pd.concat([places.assign(response=response) for response in RESPONSES])
    tests = both.assign(measure="difference", test="welch", p_value=both["q_value"])
    raw, without_pair = planted_truth.score(tests).to_dict("records")
    assert (raw["planted"], raw["planted_found"]) == (3, 1)
    assert (raw["rivals"], raw["rivals_moved"], raw["related_found"]) == (2, 1, 1)
    # The control, and the rival that fell.
    assert raw["false"] == 2
    # Without the pair no rival may move.
    assert without_pair["false"] == 3


def test_what_was_not_tested_is_not_said_not_to_be_found():
    places = pd.DataFrame({"kind": [planted.PLANTED, planted.CONTROL, planted.RIVAL]})
    tests = pd.concat(
        [
            places.assign(test=test, difference=0.1, q_value=value, p_value=value)
            for test, value in (("welch", 0.5), ("moderated", np.nan))
        ]
    ).assign(response="accuracy", measure="difference")
    scores = planted_truth.score(tests).to_dict("records")
    assert [row["tests"] for row in scores] == [3, 0]
    settings = {"num_datasets": 1, "repeats": 2, "num_baseline": 2, "epochs": 1}
    found = {"settings": settings, "baseline": [], "scores": scores}
    text = planted_truth.report(found, {})
    assert "difference, kl_bits | moderated | no test |" in text
    assert "difference, kl_bits | welch | 0 % (0 of 1;" in text


def test_pairs_of_a_study_hold_all_variants():
    pairs = planted_truth.study_pairs(0, 4)
    assert {(0, 1), (2, 3), (4, 5), (6, 7), (8, 9)} < set(pairs)
    assert len(set(pairs)) == 9
    assert planted_truth.study_pairs(1, 4) != pairs
    assert len(planted_truth.study_pairs(0, None)) == 45


@pytest.mark.slow
def test_quick_benchmark_runs_and_is_taken_up(small, tmp_path, monkeypatch):
    monkeypatch.setattr(planted_truth, "FOLDER", tmp_path)
    found = planted_truth.measure(quick=True, workers=1)
    text = planted_truth.report(found, {"machine": "this one"})
    assert "| accuracy_without_pair | difference, kl_bits | welch |" in text
    assert len(found["scores"]) == len(RESPONSES) * len(measures.MEASURES) * 3
    assert found["scores"][0]["planted"] == 8
    times = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.parquet")}
    assert planted_truth.measure(quick=True, workers=1)["scores"] == found["scores"]
    assert times == {
        path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.parquet")
    }
