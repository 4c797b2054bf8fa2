import itertools

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from keras_confusion.comparisons.responses import RESPONSES
from keras_confusion.reports.figures import (
    comparison_figures,
    heat_maps,
    network_figures,
)

NUM_CLASSES = 20
NAMES = [f"class {k}" for k in range(NUM_CLASSES)]
PAIRS = list(itertools.combinations(range(NUM_CLASSES), 2))


def cells(values, significant):
    values, significant = np.array(values, float), np.array(significant, bool)
    return heat_maps.Cells(
        values, significant, 6, comparison_figures.MEASURES["difference"]
    )


def by_pair(seed=0):
    """A table of 190 pairs, in which one cell of many is significant."""
    rng = np.random.default_rng(seed)
    rows = [
        (response, pair, target)
        for response in RESPONSES
        for pair in PAIRS
        for target in range(NUM_CLASSES)
    ]
    table = pd.DataFrame(
        {
            "response": [response for response, _, _ in rows],
            "class_a": [a for _, (a, _), _ in rows],
            "class_b": [b for _, (_, b), _ in rows],
            "target": [target for *_, target in rows],
            "family": ["members" if t in pair else "third" for _, pair, t in rows],
        }
    )
    table["difference_points"] = rng.normal(size=len(table))
    table["q_value"] = np.where(rng.random(len(table)) < 0.01, 0.01, 0.5)
    return table.assign(n_confused=3, n_comparison=40, kl_bits=0.0, t=1.0)


def test_largest_significant_cell_stands_for_those_beside_it():
    pooled = cells(
        [[1, -5, 3, 4, -9], [np.nan, 7, np.nan, np.nan, 2]],
        [[1, 1, 0, 1, 1], [0, 0, 0, 0, 1]],
    ).largest_significant(2)
    np.testing.assert_array_equal(pooled.values, [[-5, 4, -9], [0, np.nan, 2]])
    # How many there are is still told of all of them.
    assert pooled.significant.sum() == 5


def test_many_pairs_are_drawn_in_blocks():
    table = by_pair()
    order = list(reversed(range(NUM_CLASSES)))
    figure = comparison_figures.target_by_pair(
        table, "difference", NAMES, order, test="welch"
    )
    upper, lower = figure.axes[:2]
    found = table[(table["family"] == "third") & (table["q_value"] < 0.05)]
    for axis, response in zip((upper, lower), RESPONSES, strict=True):
        (image,) = axis.get_images()
        values = image.get_array()
        assert values.shape == (NUM_CLASSES, len(PAIRS))
        rows = found[found["response"] == response]
        assert (values != 0).sum() == len(rows)
        assert f"{len(rows):,} of 3,420 tests" in axis.get_title()
        # Marks would hide cells of this size.
        assert all(len(line.get_xdata()) <= 2 for line in axis.get_lines())
    # The first block has the 19 pairs of the first class of the order.
    first = lower.get_xticklabels()[0]
    assert (first.get_text(), first.get_position()[0]) == ("class 19", 9)
    assert len(lower.get_xticks()) < NUM_CLASSES
    row = found[found["response"] == "accuracy"].iloc[0]
    pairs = sorted(PAIRS, key=lambda pair: sorted(order.index(k) for k in pair))
    column = pairs.index((row["class_a"], row["class_b"]))
    drawn = upper.get_images()[0].get_array()
    assert drawn[order.index(row["target"]), column] == row["difference_points"]
    assert "Coloured significant" in figure._supxlabel.get_text()


def test_few_cells_do_not_take_the_colours_of_many():
    few = np.array([0.0, 1, 2, 50])
    assert heat_maps._limit(few) == (50, "neither")
    many = np.append(np.ones(9999), 500.0)
    assert heat_maps._limit(many) == (1, "both")
    assert heat_maps._limit(np.zeros(3)) == (1, "neither")


def test_names_are_left_out_where_there_is_no_room():
    axis = Figure().subplots()
    heat_maps.name_cells(axis.yaxis, NAMES, 0.05)
    shown = [text.get_text() for text in axis.get_yticklabels()]
    assert shown == NAMES[::2]
    heat_maps.name_cells(axis.yaxis, NAMES, 0.3)
    assert len(axis.get_yticks()) == NUM_CLASSES


def test_many_arms_are_a_curve_with_names_at_its_ends():
    rng = np.random.default_rng(0)
    rows = [("baseline", None, None, value) for value in rng.normal(0.9, 0.01, 30)]
    for number, (a, b) in enumerate([*PAIRS, (0, 0)]):
        means = 0.5 + number / 1000 + rng.normal(0, 1e-6, 3)
        rows += [(f"{a}-{b}", NAMES[a], NAMES[b], value) for value in means]
    columns = ["arm", "class_a_name", "class_b_name", "accuracy"]
    table = pd.DataFrame(rows, columns=columns).assign(failed=False)
    figure = network_figures.accuracy_by_arm(table)
    whole, lowest, highest = figure.axes
    (curve,) = [line for line in whole.get_lines() if len(line.get_xdata()) > 2]
    means = curve.get_ydata()
    assert len(means) == 192
    assert (np.diff(means) > 0).all()
    names = [text.get_text() for text in lowest.get_yticklabels()]
    assert len(names) == network_figures.ARMS_AT_AN_END
    assert names[0] == "class 0 – class 1  (n = 3)"
    assert highest.get_yticklabels()[-1].get_text() == "baseline  (n = 30)"
    assert lowest.get_xlim() == highest.get_xlim()
