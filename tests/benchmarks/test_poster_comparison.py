import itertools
import json
import subprocess
import sys

import numpy as np
import pytest
import scipy.stats

from benchmarks.speed import generated_study
from benchmarks.validity import (
    poster_comparison,
    poster_points,
    poster_sections,
    poster_sizes,
    poster_statistics,
    poster_words,
)
from benchmarks.validity.poster_points import BY_CLASS, BY_PAIR
from keras_confusion.comparisons import findings as comparison_findings
from keras_confusion.comparisons import responses
from keras_confusion.comparisons.rates import ListedRates, Rates

NAMES = [
    *("airplane", "automobile", "bird", "cat", "deer"),
    *("dog", "frog", "horse", "ship", "truck"),
]
VEHICLES = [0, 1, 8, 9]
PAIRS = list(itertools.combinations(range(10), 2))
SAME = poster_statistics.same_side(VEHICLES, 10)


def planted(learned, rivals, *, repeats=3, baselines=8, sd=0.01, seed=0):
    """A study whose classes learn from each other, or are rivals, as given.

    `learned[T, C]` is what T loses of its accuracy where C is confused, `rivals[T, C]`
    what it gains as long as C is in the choice.
    """
    rng = np.random.default_rng(seed)
    members = np.array([[k in pair for k in range(10)] for pair in PAIRS])
    lost = np.array([np.asarray(learned)[:, list(pair)].sum(axis=1) for pair in PAIRS])
    won = np.array([np.asarray(rivals)[:, list(pair)].sum(axis=1) for pair in PAIRS])
    level = rng.uniform(0.75, 0.8, (len(PAIRS), 10))
    arm = np.repeat(np.arange(len(PAIRS)), repeats)
    noise = rng.normal(0, sd, (len(arm), 10))
    of_baseline = rng.normal(0, sd, (baselines, 10))
    without = np.where(members[arm], np.nan, level[arm] - lost[arm] + noise)
    of_pairs = np.where(members[:, None], np.nan, level[:, None] + of_baseline)
    return responses.StudyResponses(
        pairs=PAIRS,
        confused_pair=arm,
        confused_seed=np.tile(np.arange(repeats), len(PAIRS)),
        baseline_seed=np.arange(baselines),
        confused=rates(0.7 - lost[arm] + won[arm] + noise),
        confused_without_pair=rates(without),
        baseline=rates(0.7 + of_baseline),
        baseline_without_pair=ListedRates(rates(of_pairs)),
        prior=np.full(10, 0.1),
        test_images_per_class=np.full(10, 1000),
    )


def rates(accuracy):
    return Rates(accuracy, 0.3 - accuracy / 4, np.log2(accuracy))


def measured(*effects, **options):
    return poster_comparison.measure(planted(*effects, **options), NAMES)


NOTHING = np.zeros((10, 10))
# Dissimilar effects, so that cells have a variance to be explained.
UNEVEN = 0.02 * np.random.default_rng(5).uniform(0, 1, (10, 10)) * (1 + 2 * SAME)


@pytest.fixture(scope="module")
def learns():
    return measured(0.03 * SAME, NOTHING)


@pytest.fixture(scope="module")
def competes():
    return measured(NOTHING, UNEVEN)


def test_split_test_agrees_with_a_plain_loop():
    values = np.random.default_rng(1).normal(size=(6, 6))
    test = poster_statistics.split_test(values, [1, 4])
    contrasts = []
    for chosen in itertools.combinations(range(6), 2):
        same, other = [], []
        for row, col in itertools.permutations(range(6), 2):
            both = (row in chosen) == (col in chosen)
            (same if both else other).append(values[row, col])
        contrasts.append(np.mean(same) - np.mean(other))
    true = contrasts[list(itertools.combinations(range(6), 2)).index((1, 4))]
    assert test.contrast == pytest.approx(true)
    assert test.rank == sum(abs(one) >= abs(true) for one in contrasts)
    assert test.share_below == np.mean([one <= true for one in contrasts])
    np.testing.assert_allclose(test.contrasts, contrasts)


def test_blocks_are_found_where_they_are_and_not_elsewhere(learns):
    for row in poster_points.blocks(learns):
        test = row["points"]
        assert (test.rank, test.p_value) == (1, 1 / 210)
        assert test.contrast < -1
        assert test.share_below == 1 / 210
        assert row["bits"].contrast > 0
        assert row["trees"]["cost"]["rand"] == 1
        assert row["trees"]["cost"]["p_value"] == 1 / 210
        assert row["trees"]["cost"]["nearest"] == 1
        assert row["trees"]["gain"]["rand"] < 0.5
    # Blocks of other classes are not the animals and vehicles.
    elsewhere = poster_statistics.same_side([2, 3, 4, 0], 10)
    for row in poster_points.blocks(measured(0.03 * elsewhere, NOTHING)):
        assert row["points"].rank > 1
        assert row["points"].p_value > 0.05
        assert row["trees"]["cost"]["rand"] < 0.5


def test_rivals_are_blocks_of_accuracy_alone(competes):
    plain, learned = poster_points.blocks(competes)
    assert plain["points"].contrast > 0
    assert plain["points"].p_value == 1 / 210
    assert learned["points"].p_value > 0.05
    for test in ("welch", "paired"):
        assert plain["intervals"]["contrast", test].p_value < 1e-3
        assert learned["intervals"]["contrast", test].p_value > 0.01


def test_means_of_cells_are_those_of_the_table(learns):
    for row in poster_points.blocks(learns):
        cells = learns.matrix(row["response"], "difference_points")
        welch, paired = (row["intervals"]["within", t] for t in ("welch", "paired"))
        assert welch.estimate == pytest.approx(cells[SAME].mean())
        assert paired.n == 3
        assert row["points"].within == pytest.approx(cells[SAME].mean())
        repeats = learns.matrices(row["response"])
        assert paired.estimate == pytest.approx(repeats[:, SAME].mean())
    assert welch.n == 3 * 45 + 8


def test_interval_of_a_mean_of_cells_knows_its_error():
    share = SAME / SAME.sum()
    found = {response: [] for response in responses.RESPONSES}
    for seed in range(120):
        study = planted(NOTHING, NOTHING, repeats=3, baselines=3, seed=seed)
        for response, intervals in found.items():
            interval = poster_statistics.mean_of_cells(study, response, share)
            intervals.append(interval)
    for intervals in found.values():
        estimates = np.array([one.estimate for one in intervals])
        errors = np.array([one.estimate / one.t for one in intervals])
        assert (errors**2).mean() == pytest.approx(estimates.var(), rel=0.3)
        outside = sum(one.low > 0 or one.high < 0 for one in intervals)
        assert scipy.stats.binomtest(outside, 120, 0.05).pvalue > 0.01


@pytest.mark.parametrize(
    ("learned", "rivals", "share"),
    [(0, 1, 1.0), (0.5, -0.5, 0.75)],
)
def test_share_of_competition_is_what_was_planted(learned, rivals, share):
    # Lost is -0.5 of the effect, won another -0.5: without rivals a quarter is left.
    study = measured(learned * UNEVEN, rivals * UNEVEN, sd=0.004)
    for row in poster_points.competition(study):
        for interval in row["share"].values():
            assert interval.estimate == pytest.approx(share, abs=0.1)
            assert interval.low < interval.estimate < interval.high
        mean = row["accuracy"]["mean"]
        if row["comparison"] == BY_PAIR:
            assert np.sign(mean) == (1 if rivals > learned else -1)


def test_true_variance_is_that_of_the_effects():
    effects = np.random.default_rng(2).normal(0, 0.01, (10, 10))
    study = measured(NOTHING, effects, repeats=4, baselines=20, sd=0.012, seed=4)
    rows = study.rows(BY_PAIR, "accuracy")
    of_pairs = np.array(
        [
            100 * effects[target, [a, b]].sum()
            for target, a, b in rows[["target", "class_a", "class_b"]].to_numpy()
        ]
    )
    true = of_pairs.var(ddof=1)
    found = poster_points.competition(study)[1]["accuracy"]["variance"]
    for estimate in found.values():
        assert estimate == pytest.approx(true, rel=0.3)
    # What the cells show is more: the noise of 4 networks is in it.
    assert rows["difference_points"].var() > true + 0.2


def test_degrees_of_freedom_agree_with_scipy(learns):
    rows = learns.rows(BY_PAIR, "accuracy")
    others = poster_statistics.other_degrees_of_freedom(rows)
    study = learns.study
    for position in (0, 17, 200):
        row = rows.iloc[position]
        arm = study.pairs.index((row["class_a"], row["class_b"]))
        confused = study.confused.accuracy[study.confused_pair == arm, row["target"]]
        baseline = study.baseline.accuracy[:, row["target"]]
        welch = scipy.stats.ttest_ind(confused, baseline, equal_var=False)
        student = scipy.stats.ttest_ind(confused, baseline)
        other = others.iloc[position]
        assert other["welch"] == pytest.approx(welch.pvalue)
        assert other["student"] == pytest.approx(student.pvalue)
        assert other["student_t"] == pytest.approx(student.statistic)
        assert other["df_student"] == student.df == 9
        assert other["wrong_df"] == pytest.approx(
            2 * scipy.stats.t.sf(abs(welch.statistic), 9)
        )
        assert other["smaller"] == pytest.approx(
            2 * scipy.stats.t.sf(abs(welch.statistic), 2)
        )
    # Welch's df are between the smaller group's and those of both.
    assert (others["wrong_df"] <= others["welch"]).all()
    assert (others["welch"] <= others["smaller"]).all()


def test_bird_and_dog_are_followed_through_the_correction():
    learned = NOTHING.copy()
    learned[2, 5] = 0.04
    rows = poster_points.degrees_of_freedom(measured(learned, NOTHING))
    by_class = [row for row in rows if row["comparison"] == BY_CLASS]
    for row in by_class:
        bird, dog = row["cells"]
        assert (bird["target_name"], dog["target_name"]) == ("bird", "dog")
        assert bird["q_welch"] < 1e-4 < 0.01 < dog["welch"]
        assert row["counts"]["welch"][1] >= 1
        assert row["num"] == 90
    for row in rows:
        if row["comparison"] == BY_PAIR:
            assert row["num"] == 360
            assert len(row["cells"]) == 16
            assert row["cells"][0]["target_name"] == "bird"


def test_claims_of_two_classes_have_their_word():
    learned = NOTHING.copy()
    learned[1, 9] = 0.04
    rivals = NOTHING.copy()
    rivals[6, 1] = 0.04
    study = measured(learned, rivals)
    claimed = poster_points.of_classes(study, poster_points.CLAIMED)
    words = {}
    for pair in poster_points.CLAIMED:
        cells = [
            row for row in claimed if {row["target_name"], row["class_name"]} == {*pair}
        ]
        assert len(cells) == 2 * 2 * len(comparison_findings.TESTS)
        for response in responses.RESPONSES:
            word = poster_words.cell_verdict(cells, response).split(":")[0]
            words[pair[1], response] = word
    assert words == {
        ("truck", "accuracy"): "yes",
        ("truck", "accuracy_without_pair"): "yes",
        ("frog", "accuracy"): "no, gains",
        ("frog", "accuracy_without_pair"): "not shown",
    }
    pairs = poster_points.of_pairs(study, poster_points.CLAIMED)
    of_trucks = pairs[0]
    assert (of_trucks["target_name"], of_trucks["class_name"]) == (
        "automobile",
        "truck",
    )
    assert (of_trucks["num"], of_trucks["costs"]) == (8, 8)
    assert of_trucks["mean"].estimate == pytest.approx(-4, abs=1.5)
    assert "truck" in (
        of_trucks["strongest"]["class_a_name"],
        of_trucks["strongest"]["class_b_name"],
    )


def test_largest_bits_are_those_of_the_planted_cell():
    learned = NOTHING.copy()
    learned[3, 5] = 0.09
    readings = poster_sizes.bits(measured(learned, NOTHING, sd=0.005))
    assert len(readings) == 2 * 2 * 4
    for row in readings:
        size, name = row["gain"]
        assert name.startswith("cat, ")
        assert "dog" in name
        assert size > row["by_chance"] > row["noise"] > 0
    kl = readings[0]
    # kl_bits(0.70, 0.61) = 0.0254, see `bits.kl_bits`; the gain of one class is almost.
    assert kl["gain"][0] == pytest.approx(0.0254, rel=0.1)
    nothing = poster_sizes.bits(measured(NOTHING, NOTHING))
    for row in nothing:
        assert 0.3 < row["gain"][0] / row["by_chance"] < 2.5


def test_points_of_bits_are_the_inverse_of_the_readings(competes):
    fall = poster_sizes.points_of_bits(competes, 0.025)
    from keras_confusion.stats import t_tests

    p = fall["accuracy"]
    assert p == pytest.approx(0.7, abs=0.02)
    for name in ("kl_bits", "entropy_bits"):
        q = p - fall[name] / 100
        assert getattr(t_tests, name)(p, q) == pytest.approx(0.025)


def test_poster_t_beside_chance(competes):
    found = poster_sizes.poster_t(competes)
    assert [row["t"] for row in found["chance"]] == [-2.78, 2.116]
    # Two-sided p of t = 2.116 with 98 degrees of freedom: the poster's "p < 0.05".
    assert found["chance"][0]["p_value"] < 0.01 < found["chance"][1]["p_value"] < 0.05
    assert found["chance"][1]["expected"] == pytest.approx(3.32, abs=0.01)
    t = competes.rows(BY_CLASS, "accuracy")["t"].abs()
    assert found["chance"][0]["ours"]["accuracy"] == (t >= 2.78).sum()
    assert len(found["cells"]) == 2 * 6
    assert {row["num"] for row in found["pairs"]} == {12}
    for row in found["pairs"]:
        assert row["ends"][0][0] <= row["ends"][1][0]


@pytest.mark.parametrize(
    ("df", "level"), [(2, 0.05), (12, 0.05 / 90), (70, 0.05 / 360)]
)
def test_power_is_that_of_the_noncentral_t(df, level):
    effect = poster_statistics.smallest_effect(df, level)
    critical = scipy.stats.t.isf(level / 2, df)
    power = scipy.stats.nct.sf(critical, df, effect)
    power += scipy.stats.nct.cdf(-critical, df, effect)
    assert power == pytest.approx(0.8, abs=1e-3)
    assert poster_statistics.power_of_t(0, df, level) == pytest.approx(level, rel=1e-2)


def test_power_of_more_repeats(competes):
    for row in poster_sizes.power(competes):
        assert row["half_width_then"] < row["half_width"]
        assert row["one_test"] < row["alone"]
        assert row["alone_then"] < row["alone"]
        if row["test"] == "paired":
            # Half a width is t(df) standard errors, and these shrink by the root.
            factor = scipy.stats.t.isf(0.025, 49) / scipy.stats.t.isf(0.025, 2)
            assert row["half_width_then"] == pytest.approx(
                row["half_width"] * factor * np.sqrt(3 / 50), rel=0.05
            )


def test_text_goes_between_the_markers_only():
    begin, end = poster_comparison.BEGIN, poster_comparison.END
    page = f"# Title\n{begin}\nold\n{end}\nlast\n"
    found = poster_comparison.insert(page, "new\n")
    assert found == f"# Title\n{begin}\nnew\n{end}\nlast\n"
    for wrong in ("# Title\n", f"{end}\n{begin}\n", page + page):
        with pytest.raises(ValueError, match="each once in the page"):
            poster_comparison.insert(wrong, "new\n")


def test_a_study_that_is_too_small_is_refused():
    with pytest.raises(ValueError, match="Received: 1"):
        measured(NOTHING, NOTHING, repeats=1)


@pytest.fixture
def written(tmp_path):
    """A study's folder: drawn answers, classes named as those of CIFAR-10."""
    directory = tmp_path / "study"
    generated_study.write_study(directory, num_networks=105, num_test=300)
    path = directory / "study.json"
    description = json.loads(path.read_text())
    # It is changed by hand.
    description.pop("description_sha256", None)
    path.write_text(json.dumps({**description, "class_names": NAMES}))
    return directory


def test_command_writes_page_and_figure_without_tensorflow(written, tmp_path):
    page, figure = tmp_path / "page.md", tmp_path / "made" / "blocks.png"
    page.write_text(
        f"before\n{poster_comparison.BEGIN}\n{poster_comparison.END}\nafter\n"
    )
    command = [
        *(sys.executable, "-c"),
        "import sys; from benchmarks.validity import poster_comparison; "
        "code = poster_comparison.main(sys.argv[1:]); "
        "sys.exit(code or 'tensorflow' in sys.modules)",
        *(str(written), "--out", str(page), "--figure", str(figure)),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    text = page.read_text()
    assert text.startswith("before\n")
    assert text.endswith("after\n")
    assert "2 complete repeats, 90 confused and 15 baseline networks" in text
    assert "nan" not in text.replace("automobile", "")
    for line in text.splitlines():
        if line.startswith("|"):
            assert line.endswith("|")
    assert figure.stat().st_size > 20_000
    for title in ("In short", "Bits", "What this study could find"):
        assert f"## {title}" in text


def test_other_classes_are_refused(written, capsys):
    path = written / "study.json"
    description = json.loads(path.read_text())
    names = [f"class {k}" for k in range(10)]
    path.write_text(json.dumps({**description, "class_names": names}))
    with pytest.raises(SystemExit):
        poster_comparison.main([str(written)])
    assert "Expected the classes of CIFAR-10" in capsys.readouterr().err


def test_bits_section_names_the_closest_reading():
    def row(reading, gain, loss, distance):
        return {
            "comparison": BY_CLASS,
            "response": "accuracy",
            "reading": reading,
            "gain": (gain, "x"),
            "loss": (loss, "y"),
            "noise": 0.001,
            "by_chance": 0.003,
            "distance": distance,
        }

    fall = {"accuracy": 0.7, "kl_bits": 9.0, "entropy_bits": 2.0}
    rows = [row("kl_bits", 0.001, -0.002, 3.2), row("entropy_bits", 0.02, -0.02, 0.2)]
    text = poster_sections.bits_section(rows, fall)
    assert "`entropy_bits`, +0.0200 and -0.0200, both beyond what chance" in text
    swapped = [row("kl_bits", 0.002, -0.03, 0.1), rows[1]]
    text = poster_sections.bits_section(swapped, fall)
    assert "`kl_bits`, +0.0020 and -0.0300, not both beyond" in text
