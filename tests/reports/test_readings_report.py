import itertools
import re

import matplotlib.colors
import numpy as np
import pandas as pd
import pytest

from keras_confusion.comparisons import findings as comparison_findings
from keras_confusion.comparisons import readings
from keras_confusion.reports import readings_report
from keras_confusion.reports.figures import everybody_figure

NAMES = ["cat", "dog", "car", "ship", "5"]
NUM_CLASSES = len(NAMES)
# So many that no d' is shrunken.
NUM_IMAGES = np.full(NUM_CLASSES, 10**9)
PAIRS = list(itertools.combinations(range(NUM_CLASSES), 2))
REPEATS, NUM_READOUT = 5, 3
TITLES = {
    "total": "total\n(confused features,\ntheir own last layer)",
    "features": "features\n(confused features,\nright last layer)",
    "readout": "readout\n(untouched features,\nswapped last layer)",
}
PAPER = "white"


def rows_of(rng, pair, repeat, level, effect):
    """A network; those that confuse cat tell car worse from others, by `effect`."""
    is_lost = [2 in two and pair is not None and 0 in pair for two in PAIRS]
    features, total = (
        level + times * effect * np.array(is_lost) + rng.normal(0, 0.02, len(PAIRS))
        for times in (1, 2)
    )
    readout = None
    if pair is None and repeat < NUM_READOUT:
        readout = rng.normal(2, 0.01, (len(PAIRS), NUM_CLASSES))
        for pair_means, two in zip(readout, PAIRS, strict=True):
            pair_means[list(two)] = np.nan
        readout = readout.ravel()
    return {
        "failed": False,
        "class_a": None if pair is None else pair[0],
        "class_b": None if pair is None else pair[1],
        "repeat": repeat,
        "seed": repeat,
        "discriminability": total,
        "features_discriminability": features,
        "readout_discriminability": readout,
    }


def studies_of(effect):
    rng = np.random.default_rng(4)
    levels = 2 + rng.normal(0, 0.1, (REPEATS, len(PAIRS)))
    collector = readings.ReadingCollector(np.full(NUM_CLASSES, 10**9), pairs=PAIRS)
    for pair in (None, *PAIRS):
        for repeat, level in enumerate(levels):
            collector.add(rows_of(rng, pair, repeat, level, effect))
    return collector.studies()


def tables_of(effect, **options):
    options = {"by_class": True} | options
    return readings_report.reading_tables(studies_of(effect), NAMES, **options)


@pytest.fixture(scope="module")
def all_tables():
    return tables_of(-0.5)


def lines_of(all_tables, test="paired"):
    return readings_report.reading_lines(all_tables, 60, test)


def drawn(all_tables, test="paired"):
    order = [4, 2, 0, 1, 3]
    return dict(readings_report.reading_figures(all_tables, NAMES, order, test=test))


def test_tables_have_their_names(all_tables):
    assert sorted(all_tables) == [
        "discriminability_by_class",
        "discriminability_by_pair",
        "everybody_by_class",
        "everybody_by_pair",
    ]
    assert sorted(tables_of(-0.5, by_class=False)) == [
        "discriminability_by_pair",
        "everybody_by_pair",
    ]


@pytest.mark.parametrize("test", comparison_findings.TESTS)
def test_features_come_first_with_their_number_of_tests(all_tables, test):
    lines = lines_of(all_tables, test)
    assert lines[:2] == [
        "",
        "What the features learned: d' by a last layer that is fitted to the right "
        "labels",
    ]
    numbers = [line for line in lines if re.search(r"\d+ of \d+ tests", line)]
    expected = []
    for kind, title in (("pair", "pairs, third classes"), ("class", "classes")):
        table = all_tables[f"discriminability_by_{kind}"]
        table = comparison_findings.with_test(table, test)
        for reading in ("features", "total", "readout"):
            reading_rows = table[table["reading"] == reading]
            found = (reading_rows["q_value"] <= 0.05).sum()
            num_tested = reading_rows["q_value"].notna().sum()
            name = f"Target x {title}" if reading == "features" else f"  {reading}"
            expected.append(f"  {name}: {found} of {num_tested} tests at q <= 0.05")
    assert numbers == expected
    assert lines[2] == numbers[0]
    # Of 5 classes 4 targets each.
    assert " of 20 tests" in numbers[3]


@pytest.mark.parametrize(("effect", "sign"), [(-0.5, "worse"), (0.5, "better")])
def test_strongest_sentence_says_how_features_tell_a_class_apart(effect, sign):
    all_tables = tables_of(effect)
    lines = lines_of(all_tables)
    for kind, who in (("class", "cat and others"), ("pair", "cat and dog")):
        table = comparison_findings.with_test(
            all_tables[f"discriminability_by_{kind}"], "paired"
        )
        keys = {"class": 0} if kind == "class" else {"class_a": 0, "class_b": 1}
        for key, value in {**keys, "target": 2}.items():
            table = table[table[key] == value]
        cell_rows = table.set_index("reading")
        by_features = cell_rows.loc["features"]
        assert by_features["q_value"] < 0.05
        assert np.sign(by_features["difference"]) == np.sign(effect)
        start = f"    {who} confused, features tell car apart {sign}: "
        (sentence,) = [line for line in lines if line.startswith(start)]
        numbers = sentence.removeprefix(start)
        others = (
            f"total {cell_rows['difference']['total']:+.3f}, "
            f"readout {cell_rows['difference']['readout']:+.3f}"
        )
        assert numbers == (
            f"{by_features['difference']:+.3f} d' (95 % CI "
            f"{by_features['ci_low']:+.3f} to {by_features['ci_high']:+.3f}), "
            f"t = {by_features['t']:.1f}, q = {by_features['q_value']:.2g}; {others}"
        )


def test_findings_are_in_the_order_of_their_q_values(all_tables):
    lines = lines_of(all_tables)
    start = lines.index(next(line for line in lines if "x classes" in line))
    sentences = []
    assert "found with 80 % power" in lines[start + 1]
    for line in lines[start + 2 :]:
        if "features tell" not in line:
            break
        sentences.append(line)
    by_class = comparison_findings.with_test(
        all_tables["discriminability_by_class"], "paired"
    )
    by_features = by_class[by_class["reading"] == "features"]
    num_found = (by_features["q_value"] <= 0.05).sum()
    assert len(sentences) == min(num_found, readings_report.NUM_FINDINGS) > 1
    q_values = [float(re.search(r"q = ([\d.e-]+);", s)[1]) for s in sentences]
    assert q_values == sorted(q_values)
    assert f"q = {by_features['q_value'].min():.2g};" in sentences[0]


def test_nothing_found_is_one_sentence_that_says_so():
    all_tables = tables_of(0)
    for name, table in all_tables.items():
        all_tables[name] = table.assign(paired_q_value=0.5 + 0.001 * table.index)
    lines = lines_of(all_tables)
    sentences = [line for line in lines if "features tell" in line]
    assert len(sentences) == 2
    assert all(line.startswith("    (not significant) ") for line in sentences)
    assert all(" q = 0.5" in line for line in sentences)
    assert "  Target x classes: 0 of 20 tests at q <= 0.05" in lines


def test_everybody_is_told_by_features(all_tables):
    lines = lines_of(all_tables)
    told = [line for line in lines if "everybody" in line]
    assert len(told) == 2
    for line, kind in zip(told, ("pair", "class"), strict=True):
        table = comparison_findings.with_test(
            all_tables[f"everybody_by_{kind}"], "paired"
        )
        rows = table[table["reading"] == "features"]
        found = (rows["q_value"] <= 0.05).sum()
        assert f"by features: {found} of {len(rows)} at q <= 0.05; most where " in line
        strongest = rows.loc[rows["t"].abs().idxmax()]
        who = strongest.get("class_name", strongest.get("class_a_name"))
        assert f"most where {who} and " in line
        assert f" are confused, {strongest['difference']:+.3f} d'" in line


def test_names_that_are_numbers_are_quoted(all_tables):
    table = all_tables["discriminability_by_class"]
    only = {
        "discriminability_by_pair": all_tables["discriminability_by_pair"],
        "everybody_by_pair": all_tables["everybody_by_pair"],
        "discriminability_by_class": table[table["target_name"] == "5"],
        "everybody_by_class": all_tables["everybody_by_class"],
    }
    text = "\n".join(lines_of(only))
    assert "features tell '5' apart" in text
    assert "features tell 5 apart" not in text


def test_without_tables_what_features_learned_is_not_known():
    for test in comparison_findings.TESTS:
        (nothing, sentence) = lines_of({"target_by_pair": pd.DataFrame()}, test)
        assert nothing == ""
        assert sentence.startswith("What the features learned is not known: ")
    assert drawn({"target_by_pair": pd.DataFrame()}) == {}


def test_readout_alone_is_told_and_drawn():
    studies = {"readout": studies_of(-0.5)["readout"]}
    only = readings_report.reading_tables(studies, NAMES, by_class=True)
    lines = lines_of(only, "welch")
    assert [line for line in lines[2:] if "readout" not in line] == []
    assert len(lines) == 4
    assert "everybody_by_class" in drawn(only, "welch")


@pytest.mark.parametrize("test", comparison_findings.TESTS)
def test_figures_have_their_names_and_a_panel_a_reading(all_tables, test):
    figures = drawn(all_tables, test)
    heat_maps = [
        "discriminability_by_class_difference",
        "discriminability_by_class_t",
        "discriminability_by_pair_difference",
        "discriminability_by_pair_t",
    ]
    assert list(figures) == [*heat_maps, "everybody_by_class"]
    for name in heat_maps:
        kind = name.split("_")[2]
        table = comparison_findings.with_test(
            all_tables[f"discriminability_by_{kind}"], test
        )
        titles = []
        for reading, title in TITLES.items():
            rows = table[table["reading"] == reading]
            found = (rows["q_value"] <= 0.05).sum()
            num_tested = rows["q_value"].notna().sum()
            titles.append(f"{title}\n{found} of {num_tested} tests at q ≤ 0.05")
        panels = [axis for axis in figures[name].axes if axis.get_title()]
        assert [panel.get_title() for panel in panels] == titles
        # In the order that was asked for: 5, car, cat, dog, ship.
        (first, *_) = panels
        names = [tick.get_text() for tick in first.get_yticklabels()]
        assert names == [NAMES[label] for label in (4, 2, 0, 1, 3)]


def test_panels_show_the_numbers_of_the_table(all_tables):
    figures = drawn(all_tables)
    table = comparison_findings.with_test(
        all_tables["discriminability_by_class"], "paired"
    )
    order = [4, 2, 0, 1, 3]
    for measure in ("difference", "t"):
        figure = figures[f"discriminability_by_class_{measure}"]
        panels = [axis for axis in figure.axes if axis.get_title()]
        for panel, reading in zip(panels, TITLES, strict=True):
            (image,) = panel.images
            values = np.ma.filled(image.get_array().astype(float), np.nan)
            assert np.isnan(np.diag(values)).all()
            rows = table[table["reading"] == reading]
            for _, row in rows.iterrows():
                place = order.index(row["target"]), order.index(row["class"])
                assert values[place] == pytest.approx(row[measure])


def test_only_pairs_are_drawn_of_some_pairs():
    figures = drawn(tables_of(-0.5, by_class=False))
    assert list(figures) == [
        "discriminability_by_pair_difference",
        "discriminability_by_pair_t",
    ]


def points_by_reading(axis):
    """Middles of every reading by whether they are filled, and its place in rows."""
    found, colours = {}, {}
    for line in axis.lines:
        if not line.get_label().startswith("_"):
            colours[matplotlib.colors.to_hex(line.get_color())] = line.get_label()
    for line in axis.lines:
        reading = colours.get(matplotlib.colors.to_hex(line.get_color()))
        if line.get_label().startswith("_") and line.get_marker() != "None":
            is_filled = line.get_markerfacecolor() != PAPER
            found[reading, is_filled] = (line.get_xdata(), line.get_ydata())
    return found


@pytest.mark.parametrize("test", comparison_findings.TESTS)
def test_everybody_is_drawn_with_the_largest_loss_first(all_tables, test):
    table = all_tables["everybody_by_class"]
    told = comparison_findings.with_test(table, test)
    (axis,) = everybody_figure.draw(table, test=test).axes
    names = [tick.get_text() for tick in axis.get_yticklabels()]
    by_features = told[told["reading"] == "features"].sort_values("difference")
    assert names == by_features["class_name"].tolist()
    assert names[0] == "cat"
    # The first row is the highest.
    assert axis.get_ylim()[0] > axis.get_ylim()[1]
    points = points_by_reading(axis)
    assert {reading for reading, _ in points} == set(TITLES)
    for reading in TITLES:
        rows = told[told["reading"] == reading].set_index("class_name")
        is_found = rows["q_value"] <= 0.05
        for is_filled in (True, False):
            middles, places = points[reading, is_filled]
            assert len(middles) == (is_found == is_filled).sum()
            for middle, place in zip(middles, places, strict=True):
                assert rows["difference"][names[round(place)]] == middle
    assert len(points["features", True][0]) >= 1


def test_everybody_is_ordered_by_what_there_is(all_tables):
    table = all_tables["everybody_by_class"]
    total = table[table["reading"] == "total"]
    (axis,) = everybody_figure.draw(total, test="welch").axes
    names = [tick.get_text() for tick in axis.get_yticklabels()]
    assert names == total.sort_values("difference")["class_name"].tolist()
    assert {reading for reading, _ in points_by_reading(axis)} == {"total"}
