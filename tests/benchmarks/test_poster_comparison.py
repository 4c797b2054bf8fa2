import itertools

import numpy as np
import pytest
import scipy.stats

from benchmarks.speed import generated_study
from benchmarks.validity import (
    poster_blocks,
    poster_cells,
    poster_comparison,
    poster_sizes,
    poster_statistics,
    poster_study,
)
from benchmarks.validity.poster_study import BY_CLASS, BY_PAIR
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
    baseline = rng.normal(0, sd, (baselines, 10))
    without = np.where(members[arm], np.nan, level[arm] - lost[arm] + noise)
    without_pairs = np.where(members[:, None], np.nan, level[:, None] + baseline)
    return responses.StudyResponses(
        pairs=PAIRS,
        confused_pair=arm,
        confused_seed=np.tile(np.arange(repeats), len(PAIRS)),
        baseline_seed=np.arange(baselines),
        confused=rates(0.7 - lost[arm] + won[arm] + noise),
        confused_without_pair=rates(without),
        baseline=rates(0.7 + baseline),
        baseline_without_pair=ListedRates(rates(without_pairs)),
        prior=np.full(10, 0.1),
        test_images_per_class=np.full(10, 1000),
    )


def rates(accuracy):
    return Rates(accuracy, 0.3 - accuracy / 4, np.log2(accuracy))


def measured(*effects, **options):
    return poster_study.measure(planted(*effects, **options), NAMES)


NOTHING = np.zeros((10, 10))
# Dissimilar effects, so that cells have a variance to be explained.
UNEVEN = 0.02 * np.random.default_rng(5).uniform(0, 1, (10, 10)) * (1 + 2 * SAME)


def where(table, *values):
    """The rows that have all these values."""
    return [row for row in table if {*values} <= {*row.values()}]


def first_number(text):
    return float(text.split()[0])


@pytest.fixture(scope="module")
def learns():
    """Classes of a block learn from each other; automobiles most from trucks."""
    learned = 0.03 * SAME
    learned[1, 9] += 0.03
    learned[2, 5] += 0.03
    return measured(learned, NOTHING)


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


def test_adjusted_rand_agrees_with_scikit_learn():
    from sklearn.metrics import adjusted_rand_score

    sides = [np.isin(range(10), side) for side in (VEHICLES, [0, 1, 2], [7])]
    for one, other in itertools.product(sides, repeat=2):
        same = (
            poster_statistics.same_side(np.flatnonzero(s), 10) for s in (one, other)
        )
        found = poster_statistics.adjusted_rand(*same)
        assert found == pytest.approx(adjusted_rand_score(one, other))


def test_blocks_are_found_where_they_are(learns):
    for row in where(poster_blocks.splits(learns), "difference, points"):
        assert (row["place"], row["p"]) == ("1 of 210", "0.005")
        assert first_number(row["contrast"]) < -1
        assert row["share not above"] == "0.005"
    for row in where(poster_blocks.splits(learns), "`kl_bits`"):
        assert first_number(row["contrast"]) > 0
    trees = poster_blocks.trees(learns)
    for row in where(trees, "cost"):
        assert (row["adjusted Rand index"], row["p"]) == ("+1.00", "0.005")
        assert row["the smaller group"] == "airplane, automobile, ship, truck"
        assert row["classes whose nearest is in their block"] == "1.00"
    for row in where(trees, "gain"):
        assert float(row["adjusted Rand index"]) < 0.5


def test_blocks_of_other_classes_are_not_animals_and_vehicles():
    elsewhere = poster_statistics.same_side([2, 3, 4, 0], 10)
    study = measured(0.03 * elsewhere, NOTHING)
    for row in where(poster_blocks.splits(study), "difference, points"):
        assert float(row["p"]) > 0.05
    for row in where(poster_blocks.trees(study), "cost"):
        assert float(row["adjusted Rand index"]) < 0.5


def test_rivals_are_blocks_of_accuracy_alone(competes):
    plain, left = where(poster_blocks.splits(competes), "difference, points")
    assert first_number(plain["contrast"]) > 0
    assert float(plain["p"]) < 0.05 < float(left["p"])
    rows = where(poster_blocks.block_means(competes), "same minus other")
    assert [float(row["p"]) < 0.001 for row in rows] == [True, True, False, False]


def test_means_of_cells_are_those_of_the_table(learns):
    for response in responses.RESPONSES:
        cells = learns.matrix(response, "difference_points")
        welch = poster_statistics.mean_of_cells(
            learns.study, response, SAME / SAME.sum()
        )
        assert welch.estimate == pytest.approx(cells[SAME].mean())
        paired = learns.matrices(response)[:, SAME].mean()
        rows = where(poster_blocks.block_means(learns), f"`{response}`", "same block")
        for row, mean in zip(rows, (welch.estimate, paired), strict=True):
            assert first_number(row["mean (95 % CI)"]) == pytest.approx(mean, abs=0.005)
    assert [row["n"] for row in rows] == ["143 networks", "3 repeats"]


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
    for row in poster_cells.shares(study):
        for estimate in ("welch", "paired", "repeats"):
            found, low, high = (
                row[f"`{estimate}`"].strip(")").replace("(", "to ").split(" to ")
            )
            assert float(found) == pytest.approx(share, abs=0.1)
            assert float(low) <= float(found) <= float(high)
    row = where(poster_cells.variances(study), BY_PAIR, "`accuracy`")[0]
    assert row["mean"][0] == ("+" if rivals > learned else "-")


def test_true_variance_is_that_of_the_effects():
    effects = np.random.default_rng(2).normal(0, 0.01, (10, 10))
    study = measured(NOTHING, effects, repeats=4, baselines=20, sd=0.012, seed=4)
    rows = study.rows(BY_PAIR, "accuracy")
    cells = rows[["target", "class_a", "class_b"]].to_numpy()
    points = [100 * effects[target, [a, b]].sum() for target, a, b in cells]
    true = np.var(points, ddof=1)
    found = poster_cells.true_variances(study, BY_PAIR, "accuracy")
    assert list(found.values()) == pytest.approx([true] * 3, rel=0.3)
    # What the cells show is more: the noise of 4 networks is in it.
    assert rows["difference_points"].var() > true + 0.2


def test_degrees_of_freedom_agree_with_scipy(learns):
    rows, study = learns.rows(BY_PAIR, "accuracy"), learns.study
    others = poster_statistics.p_values_by_df(rows)
    for position in (0, 17, 200):
        row, other = rows.iloc[position], others.iloc[position]
        arm = study.pairs.index((row["class_a"], row["class_b"]))
        confused = study.confused.accuracy[study.confused_pair == arm, row["target"]]
        baseline = study.baseline.accuracy[:, row["target"]]
        welch = scipy.stats.ttest_ind(confused, baseline, equal_var=False)
        student = scipy.stats.ttest_ind(confused, baseline)
        assert other["welch"] == pytest.approx(welch.pvalue)
        assert other["student"] == pytest.approx(student.pvalue)
        for name, df in (("wrong_df", 9), ("smaller", 2)):
            p_value = 2 * scipy.stats.t.sf(abs(welch.statistic), df)
            assert other[name] == pytest.approx(p_value)
    # Welch's df are between the smaller group's and those of both.
    assert (others["wrong_df"] <= others["welch"]).all()
    assert (others["welch"] <= others["smaller"]).all()


def test_bird_and_dog_are_followed_through_the_correction(learns):
    vanished = poster_cells.vanished_cells(learns)
    assert [row["n"] for row in vanished] == ["24 and 84"] * 4 + ["3 and 8"] * 2
    for row in vanished:
        p, q = map(float, row["p; q: Welch's t, Welch's df"].split("; "))
        assert p <= q
        # Birds lose more where dogs are confused than the other way round.
        assert ("bird, dog" in row["cell"]) or row["comparison"] == BY_CLASS
    for row, num in zip(
        poster_cells.counts_by_df(learns), (90, 90, 360, 360), strict=True
    ):
        assert row["tests"] == num
        for title in poster_cells.DF_TITLES.values():
            with_p, with_q = map(int, row[title].split("; "))
            assert num >= with_p >= with_q


def test_claimed_cells_show_what_was_planted(learns):
    for row in poster_cells.claimed_cells(learns):
        learned = "truck" in (row["target"], row["confused"])
        if learned and row["test"] != "paired":
            assert float(row["q"]) < 0.05
        assert (first_number(row["difference (95 % CI)"]) < -1) == learned
    for row in where(poster_cells.claimed_pairs(learns), "automobile", "truck"):
        assert row["below 0"] == "8 of 8"
        assert first_number(row["mean of pairs (95 % CI)"]) < -2


def test_largest_bits_are_those_of_the_planted_cell():
    learned = NOTHING.copy()
    learned[3, 5] = 0.09
    table = poster_sizes.bits(measured(learned, NOTHING, sd=0.005))
    assert len(table) == 2 * 2 * 4
    for row in table:
        assert "(cat, " in row["largest gain"]
        assert "dog" in row["largest gain"]
        size, chance = (
            first_number(row["largest gain"]),
            float(row["largest by chance"]),
        )
        assert size > chance > float(row["noise"]) > 0
    # kl_bits(0.70, 0.61) = 0.0254, see `bits.kl_bits`; the gain of one class is almost.
    assert first_number(table[0]["largest gain"]) == pytest.approx(0.0254, rel=0.1)
    for row in poster_sizes.bits(measured(NOTHING, NOTHING)):
        size, chance = (
            first_number(row["largest gain"]),
            float(row["largest by chance"]),
        )
        assert 0.3 < size / chance < 2.5


def test_large_t_beside_chance(competes):
    high, low = poster_sizes.large_t(competes)
    # With 98 degrees of freedom: the poster's "p < 0.01" and "p < 0.05".
    assert float(high["p"]) < 0.01 < float(low["p"]) < 0.05
    assert low["cells of 90 by chance alone"] == "3.3"
    t = competes.rows(BY_CLASS, "accuracy")["t"].abs()
    assert high["here, `accuracy`"] == (t >= 2.78).sum()


@pytest.mark.parametrize(
    ("df", "level"), [(2, 0.05), (12, 0.05 / 90), (70, 0.05 / 360)]
)
def test_smallest_effect_is_found_by_drawn_tests(df, level):
    effect = poster_statistics.smallest_effect(df, level)
    rng = np.random.default_rng(0)
    spread = np.sqrt(rng.chisquare(df, 200_000) / df)
    t = (rng.normal(size=200_000) + effect) / spread
    found = np.abs(t) > scipy.stats.t.isf(level / 2, df)
    assert found.mean() == pytest.approx(0.8, abs=0.005)


def test_power_of_more_repeats(competes):
    for row in poster_sizes.power(competes):
        width, then = float(row["± of the 95 % CI"]), float(row["± at 50 repeats"])
        assert then < width
        assert float(row["smallest effect, p"]) < float(row["smallest effect, q"])
        assert float(row["smallest, q, at 50 repeats"]) < float(
            row["smallest effect, q"]
        )
        if row["test"] == "paired":
            # Half a width is t(df) standard errors, and these shrink by the root.
            factor = scipy.stats.t.isf(0.025, 49) / scipy.stats.t.isf(0.025, 2)
            assert then == pytest.approx(width * factor * np.sqrt(3 / 50), rel=0.05)


def test_tables_go_between_their_markers_only():
    page = (
        "# Title\n<!-- table: a -->\nold\n<!-- end -->\n"
        "text\n<!-- table: b -->\n<!-- end -->\nlast\n"
    )
    tables = {"a": [{"x": 1, "y": 2}], "b": [{"z": 3}, {"z": 4}]}
    assert poster_comparison.fill(page, tables) == (
        "# Title\n<!-- table: a -->\n| x | y |\n| --- | --- |\n| 1 | 2 |\n"
        "<!-- end -->\ntext\n<!-- table: b -->\n| z |\n| --- |\n| 3 |\n| 4 |\n"
        "<!-- end -->\nlast\n"
    )
    for wrong in ("# Title\n", page + page, page.replace("<!-- end -->", "", 1)):
        with pytest.raises(ValueError, match="once in the page for each"):
            poster_comparison.fill(wrong, tables)


def test_a_study_that_is_too_small_is_refused():
    with pytest.raises(ValueError, match="Received: 1"):
        measured(NOTHING, NOTHING, repeats=1)


def test_other_classes_are_refused(tmp_path, capsys):
    generated_study.write_study(tmp_path / "study", num_networks=105, num_test=300)
    with pytest.raises(SystemExit):
        poster_comparison.main([str(tmp_path / "study")])
    assert "Expected the classes of CIFAR-10" in capsys.readouterr().err
