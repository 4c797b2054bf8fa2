import functools
import itertools
import json
import math
import sys

import joblib
import keras
import numpy as np
import pytest
import scipy.stats
import tensorflow as tf

from benchmarks.validity import anova, variance, weight_averages
from benchmarks.validity.variance_networks import (
    AVERAGED,
    CHOSEN,
    LAST,
    OBSERVED,
    PLAIN,
    SCHEDULES,
    WEIGHTS,
    Design,
    Network,
)
from benchmarks.validity.variance_report import MEMBERS, OVERALL, THIRD, WITHOUT_PAIR
from keras_confusion.training import recipes

# By effect, in the order of `anova.effects(3)`.
TRUTH = np.array([1.0, 0.5, 0.2, 0.3, 0.1, 0.4, 2.0])


def draw(rng, levels, num_classes, truth=TRUTH, *, rivals=False):
    """Observations of a design with known components, new ones for every class."""
    values = np.zeros((*levels, num_classes))
    for effect, component in zip(anova.effects(3), truth, strict=True):
        shape = [levels[f] if f in effect else 1 for f in range(3)] + [num_classes]
        drawn = rng.normal(size=shape) * np.sqrt(component)
        if rivals:
            # What one class wins, the others lose.
            drawn -= drawn.mean(axis=-1, keepdims=True)
            drawn *= np.sqrt(num_classes / (num_classes - 1))
        values = values + drawn
    return values


def test_effects_come_in_the_order_of_their_size():
    assert anova.effects(2) == [(0,), (1,), (0, 1)]
    assert anova.effects(3)[3:] == [(0, 1), (0, 2), (1, 2), (0, 1, 2)]


def test_mean_squares_by_hand():
    # Rows 1 2 3 and 5 6 10: means 2 and 7, columns 3, 4, 6.5, all 4.5.
    # Rows: 3 (2.5² + 2.5²) / 1 = 37.5. Columns: 2 (1.5² + 0.5² + 2²) / 2 = 6.5.
    # Left: 0.5, 0.5, -1 and the opposite, 3 / 2 = 1.5.
    squares = anova.mean_squares(np.array([[1, 2, 3], [5, 6, 10.0]]), 2)
    assert squares == pytest.approx({(0,): 37.5, (1,): 6.5, (0, 1): 1.5})
    # Components: (37.5 - 1.5) / 3, (6.5 - 1.5) / 2, 1.5.
    components = anova.variance_components(np.array([[1, 2, 3], [5, 6, 10.0]]), 2)
    np.testing.assert_allclose(components, [12, 2.5, 1.5])


@pytest.mark.parametrize("levels", [(3, 3, 3), (2, 3, 4), (2, 2, 2)])
def test_known_components_are_found(rng, levels):
    found = anova.variance_components(draw(rng, levels, 40_000), 3)
    standard_errors = found.std(axis=1) / np.sqrt(found.shape[1])
    assert np.all(np.abs(found.mean(axis=1) - TRUTH) < 4 * standard_errors)
    assert np.all(standard_errors < 0.02)


def test_components_add_up_to_the_variance_of_new_observations(rng):
    # Unlike the plain variance of a design, in which levels are shared.
    values = draw(rng, (3, 3, 3), 20_000)
    total = anova.total_variance(anova.variance_components(values, 3)).mean()
    assert total == pytest.approx(TRUTH.sum(), rel=0.02)
    plain = values.reshape(27, -1).var(axis=0, ddof=1).mean()
    assert plain < 0.95 * TRUTH.sum()


@pytest.mark.parametrize("levels", [(2, 2, 2), (3, 3, 3)])
def test_the_variance_is_never_below_0(rng, levels):
    # Two levels, interactions only: the worst case for main effects.
    values = draw(rng, levels, 2000, np.array([0, 0, 0, 5, 5, 5, 0.1]))
    components = anova.variance_components(values, 3)
    assert components.min() < 0
    np.testing.assert_allclose(
        anova.total_variance(components), components.sum(axis=0), atol=1e-12
    )
    assert anova.total_variance(np.zeros((7, 1)) - 1e-18) == 0


def test_a_factor_of_one_level_is_refused():
    with pytest.raises(ValueError, match=r"at least 2.*\(3, 1\)"):
        anova.mean_squares(np.zeros((3, 1, 5)), 2)


def test_mean_intervals_are_those_of_scipy(rng):
    values = rng.normal(size=8)
    expected = scipy.stats.ttest_1samp(values, 0).confidence_interval(0.95)
    mean, low, high = anova.mean_interval(values)
    assert mean == pytest.approx(values.mean())
    assert (low, high) == pytest.approx((expected.low, expected.high))
    assert np.isnan(anova.mean_interval([1.0, 2.0, 4.0])[1:]).all()


def test_the_jackknife_of_a_logarithm_that_is_a_mean_is_its_interval(rng):
    logs = rng.normal(size=9)
    found = anova.jackknife_log_interval(
        lambda units: float(np.exp(logs[units].mean())), 9
    )
    np.testing.assert_allclose(found, np.exp(anova.mean_interval(logs)))
    estimate, low, high = anova.jackknife_log_interval(lambda units: 2.0, 3)
    assert estimate == 2.0
    assert math.isnan(low)
    assert math.isnan(high)


def test_intervals_hold_the_truth_as_often_as_the_report_says(rng):
    held, held_variance, held_ratio, trials = 0, 0, 0, 1000
    for _ in range(trials):
        first, second = (
            anova.variance_components(draw(rng, (3, 3, 3), 8, rivals=True), 3)
            for _ in range(2)
        )
        intervals = [anova.mean_interval(component) for component in first]
        held += np.array(
            [
                low <= true <= high
                for (_, low, high), true in zip(intervals, TRUTH, strict=True)
            ]
        )
        totals = first.sum(axis=0), second.sum(axis=0)
        _, low, high = anova.jackknife_log_interval(
            lambda units, totals=totals: totals[0][units].mean(), 8
        )
        held_variance += low <= TRUTH.sum() <= high
        _, low, high = anova.jackknife_log_interval(
            lambda units, totals=totals: (
                totals[0][units].mean() / totals[1][units].mean()
            ),
            8,
        )
        held_ratio += low <= 1 <= high
    shares = np.array([*held, held_variance, held_ratio]) / trials
    assert shares.min() > 0.86
    assert shares.max() < 0.97


def apply(optimizer, kernel, gradient):
    optimizer.apply([gradient], [kernel])


def test_averages_are_those_of_numpy_and_leave_the_training_alone(rng):
    plain = recipes.find_recipe("tutorial", num_train=50_000)
    observed = weight_averages.observed(
        plain, exponential={"tenth": 0.1}, uniform={"quarter": 0.25}
    )
    num_steps = 40
    gradients = rng.normal(size=(num_steps, 3)).astype(np.float32)
    weights = {}
    for name, recipe in (("plain", plain), ("observed", observed)):
        kernel = keras.Variable(np.ones(3, np.float32))
        optimizer = recipe.build_optimizer(num_steps)
        optimizer.build([kernel])
        step = tf.function(functools.partial(apply, optimizer, kernel))
        weights[name] = []
        for gradient in gradients:
            step(tf.constant(gradient))
            weights[name].append(kernel.numpy())
    np.testing.assert_array_equal(weights["plain"], weights["observed"])
    (optimizer,) = observed.optimizers
    averages = {name: one[0].numpy() for name, one in optimizer.averages.values.items()}
    # Four steps; ten steps.
    expected = weights["plain"][0]
    for after_step in weights["plain"][1:]:
        expected = 0.75 * expected + 0.25 * after_step
    np.testing.assert_allclose(averages["tenth"], expected, rtol=1e-5)
    np.testing.assert_allclose(
        averages["quarter"], np.mean(weights["plain"][-10:], axis=0), rtol=1e-5
    )
    assert np.abs(averages["quarter"] - averages["tenth"]).min() > 1e-5


def test_a_design_has_every_combination_once_and_a_whole_smaller_one_first():
    design = Design("digits", levels=3, epochs=1, dtype_policy="float32")
    networks = design.networks()
    assert len(set(networks)) == len(networks) == 2 * (27 + 2 + 2)
    assert {(n.schedule, *n.levels) for n in networks if n.how == OBSERVED} == {
        (schedule, *levels)
        for schedule in SCHEDULES
        for levels in itertools.product(range(3), repeat=3)
    }
    assert max(max(network.levels) for network in networks[:16]) == 1
    assert all(network.how == OBSERVED for network in networks[:54])


def test_seeds_belong_to_the_levels():
    design = Design("digits", levels=3, epochs=1, dtype_policy="float32")
    seeds = np.array([design.seeds(n) for n in design.networks() if n.how == OBSERVED])
    levels = np.array([n.levels for n in design.networks() if n.how == OBSERVED])
    for factor in range(3):
        assert len(set(seeds[:, factor])) == 3
        for level in range(3):
            assert len(set(seeds[levels[:, factor] == level, factor])) == 1
    assert len(set(seeds.ravel())) == 9


def made_up_networks(levels=2, num_classes=10):
    """Networks whose accuracy says which one it is, and which class."""
    networks = {}
    for network in Design("made up", levels, 1, "float32").networks():
        a, b, c = network.levels
        base = 0.1 * a + 0.02 * b + 0.003 * c + 0.3 * (network.schedule == "constant")
        accuracy = base + 0.01 * np.arange(num_classes)
        without_pair = [None if k in (3, 5) else x / 2 for k, x in enumerate(accuracy)]
        responses = {
            "accuracy": accuracy.tolist(),
            "accuracy_without_pair": without_pair,
            "sha256": f"{network.schedule} {network.levels}",
        }
        names = {OBSERVED: WEIGHTS, PLAIN: [LAST], AVERAGED: [AVERAGED]}[network.how]
        networks[network] = {
            "processor_seconds": 30.0 if network.how != OBSERVED else 1000.0,
            "of_weights": {
                name: responses | {"sha256": f"{responses['sha256']} {place}"}
                for place, name in enumerate(names)
            },
        }
    return networks


def test_responses_have_the_axes_of_the_factors_and_leave_the_pair_out():
    found = variance.responses_of(made_up_networks(), "constant", LAST, 2)
    assert {name: values.shape for name, values in found.items()} == {
        THIRD: (2, 2, 2, 8),
        WITHOUT_PAIR: (2, 2, 2, 8),
        MEMBERS: (2, 2, 2, 2),
        OVERALL: (2, 2, 2, 1),
    }
    third = 100 * (0.3 + np.array([0, 1, 2, 4, 6, 7, 8, 9]) / 100)
    np.testing.assert_allclose(found[THIRD][0, 0, 0], third)
    np.testing.assert_allclose(found[THIRD][1, 0, 0] - found[THIRD][0, 0, 0], 10)
    np.testing.assert_allclose(found[THIRD][0, 1, 0] - found[THIRD][0, 0, 0], 2)
    np.testing.assert_allclose(found[THIRD][0, 0, 1] - found[THIRD][0, 0, 0], 0.3)
    np.testing.assert_allclose(found[WITHOUT_PAIR], found[THIRD] / 2)
    np.testing.assert_allclose(found[MEMBERS][0, 0, 0], [33, 35])
    np.testing.assert_allclose(found[OVERALL][0, 0, 0], 34.5)


def test_analysis_of_additive_factors():
    found = variance.analyse(made_up_networks(), 2)
    assert found["processor_seconds"] == 30
    assert found["effects"][0] == "initialisation"
    assert found["effects"][-1] == "initialisation x order x subset"
    by_cell = {
        (cell["response"], cell["schedule"], cell["weights"]): cell
        for cell in found["cells"]
    }
    assert len(by_cell) == len(found["cells"]) == 4 * 2 * len(WEIGHTS)
    cell = by_cell[THIRD, "annealed", CHOSEN]
    # Two levels d apart have the variance d² / 2: 10, 2 and 0.3 points.
    estimates = [estimate for estimate, _, _ in cell["components"]]
    np.testing.assert_allclose(estimates, [50, 2, 0.045, 0, 0, 0, 0], atol=1e-9)
    assert cell["variance"][0] == pytest.approx(52.045)
    assert cell["sd"][0] == pytest.approx(math.sqrt(52.045))
    assert cell["networks_needed"][0] == pytest.approx(52.045 / 0.25)
    assert cell["core_minutes_needed"][0] == pytest.approx(52.045 / 0.25 / 2)
    assert cell["shared"] == pytest.approx(52 / 52.045)
    assert cell["variance_ratio"] == pytest.approx([1, 1, 1])
    without_pair = by_cell[WITHOUT_PAIR, "annealed", CHOSEN]
    assert without_pair["variance"][0] == pytest.approx(52.045 / 4)


def test_networks_that_were_trained_again_are_compared_bit_by_bit():
    networks = made_up_networks()
    assert [check["same_bits"] for check in variance.checks(networks)] == [True] * 4 + [
        False
    ] * 4
    for network, kept in networks.items():
        if network.how == AVERAGED:
            kept["of_weights"][AVERAGED]["sha256"] = (
                f"{network.schedule} {network.levels} {WEIGHTS.index(CHOSEN)}"
            )
    assert all(check["same_bits"] for check in variance.checks(networks))
    networks[Network("constant", PLAIN, 1, 1, 1)]["of_weights"][LAST]["sha256"] = "no"
    (wrong,) = [one for one in variance.checks(networks) if not one["same_bits"]]
    assert wrong["network"] == "constant-plain-111"


def test_averages_are_those_of_the_weights_after_every_step():
    # A time constant of 0.2 x 20 = 4 steps: a quarter of what is new at every step.
    gradients = np.random.default_rng(0).normal(size=20)
    plain = recipes.find_recipe("tutorial", num_train=20)
    ends = []
    for recipe in (plain, weight_averages.averaged(plain, 0.2)):
        optimizer, kernel = recipe.build_optimizer(20), keras.Variable(2.0)
        expected = None
        for gradient in gradients:
            optimizer.apply([keras.ops.convert_to_tensor(float(gradient))], [kernel])
            last = float(kernel)
            expected = last if expected is None else 0.75 * expected + 0.25 * last
        ends.append(last)
    # Steps are taken from the weights, not from their average.
    assert ends[0] == ends[1]
    optimizer.finalize_variable_values([kernel])
    assert float(kernel) == pytest.approx(expected, rel=1e-6)
    assert abs(expected - last) > 1e-4
    assert recipe.optimizers == [optimizer]


@pytest.mark.slow
def test_the_command_from_end_to_end(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(
        "benchmarks.speed.statistical_power.FOLDER", tmp_path / "networks"
    )
    out = tmp_path / "new" / "report.md"
    monkeypatch.setattr(sys, "argv", ["variance", "--quick", "--out", str(out)])
    logger = tf.get_logger()
    level, in_workers = logger.level, joblib.Parallel
    with monkeypatch.context() as patch:
        # In this process, which has TensorFlow; the network that is lost in a worker.
        patch.setattr(joblib, "Parallel", lambda **_: in_workers(n_jobs=1))
        variance.main()
    logger.setLevel(level)
    found = json.loads(out.with_suffix(".json").read_text())
    assert found["settings"]["dataset"] == "digits"
    # Training twice, and averaging beside it or in it, is the same.
    assert [check["same_bits"] for check in found["checks"]] == [True] * 8
    cells = [cell for cell in found["cells"] if cell["response"] == OVERALL]
    assert all(50 < cell["accuracy"] < 100 for cell in cells)
    assert len({cell["accuracy"] for cell in cells}) == len(cells)
    text = out.read_text()
    assert text == capsys.readouterr().out[: len(text)]
    assert "![Variance components by cell](report.png)" in text
    assert "8 of 8 networks gave logits of the same bits" in text
    assert out.with_suffix(".png").read_bytes()[:4] == b"\x89PNG"
    (folder,) = (tmp_path / "networks").iterdir()
    written = {path: path.stat().st_mtime_ns for path in folder.glob("networks/*")}
    assert len(written) == 2 * (8 + 2 + 2)
    # Only what is missing is trained again, and comes out the same.
    lost = folder / "networks" / "constant-observed-101.json"
    before = json.loads(lost.read_text())
    lost.unlink()
    variance.main()
    assert json.loads(lost.read_text())["of_weights"] == before["of_weights"]
    assert {p for p, t in written.items() if p.stat().st_mtime_ns != t} == {lost}
    second = json.loads(out.with_suffix(".json").read_text())
    assert second["cells"][0]["components"] == found["cells"][0]["components"]
