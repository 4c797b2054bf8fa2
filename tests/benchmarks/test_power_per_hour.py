import dataclasses
import functools
import itertools
import json
import math
import sys

import numpy as np
import pytest

from benchmarks.validity import power_networks, power_per_hour, power_report
from benchmarks.validity.power_networks import (
    ALL_IMAGES,
    AVERAGE,
    BOTH,
    HALVES,
    LAST,
    MIRRORED,
    Design,
)
from benchmarks.validity.power_per_hour import AUTOMOBILE, CIFAR10, PLANTED, TRUCK
from benchmarks.validity.power_strength import (
    Sample,
    full_study,
    interaction,
    jackknife,
)
from keras_confusion.datasets import planted
from keras_confusion.models import architectures

PAIRS = list(itertools.combinations(range(10), 2))


def draw(rng, repeats, *, effect=-0.1, noise=0.02, image_noise=0.0, seconds=10.0):
    """Networks of CIFAR-10 whose trucks lose with automobiles, and the reverse."""
    drawn = []
    for repeat in range(repeats):
        for pair in (None, *CIFAR10.pairs):
            d = np.full(45, 1.5) + rng.normal(0, noise, 45)
            for target, other in ((TRUCK, AUTOMOBILE), (AUTOMOBILE, TRUCK)):
                if pair is not None and other in pair and target not in pair:
                    d[[target in one for one in PAIRS]] += effect
            halves = [d + rng.normal(0, image_noise, 45) for _ in HALVES]
            by_images = {ALL_IMAGES: np.mean(halves, axis=0).tolist()}
            by_images |= {
                name: half.tolist() for name, half in zip(HALVES, halves, strict=True)
            }
            drawn.append(
                {
                    "class_a": None if pair is None else pair[0],
                    "class_b": None if pair is None else pair[1],
                    "repeat": repeat,
                    "accuracy": {LAST: 0.7},
                    "seconds": {LAST: seconds},
                    "d_primes": {LAST: by_images},
                }
            )
    return drawn


def sample(networks):
    return Sample.of_networks(CIFAR10, networks, LAST)


def test_effect_is_what_targets_lose_beside_all_others(rng):
    found = sample(draw(rng, 2, noise=0.0))
    # Of the seven classes outside the pair every one loses to the target only: the
    # median target loses a seventh of the effect.
    assert found.effect == pytest.approx(-0.1 * 6 / 7, abs=0.004)


def test_noise_is_that_of_networks_beside_arm_and_repeat(rng):
    networks = draw(rng, 60, effect=0.0)
    # What all networks of a repeat or of an arm have in common is no noise.
    for network in networks:
        shift = 0.3 * network["repeat"] + (network["class_a"] or 0) / 10
        values = np.array(network["d_primes"][LAST][ALL_IMAGES])
        values[[TRUCK in one for one in PAIRS]] += shift / 20
        network["d_primes"][LAST][ALL_IMAGES] = values.tolist()
    assert sample(networks).variance == pytest.approx(
        sample(draw(rng, 60, effect=0.0)).variance, rel=0.4
    )
    # A mean of seven, less the median of eight means that have some of them in common.
    assert 0.5 * 0.02**2 / 7 < sample(networks).variance < 0.02**2 / 7


def test_a_missing_network_leaves_the_rest(rng):
    networks = draw(rng, 3)
    whole = sample(networks)
    less = whole.without(whole.units[4])
    assert len(less.units) == len(whole.units) - 1
    assert less.effect == pytest.approx(whole.effect, abs=0.01)
    assert whole.without((0, 99)).effect == whole.effect


def test_intervals_hold_the_truth(rng):
    held = 0
    for _ in range(12):
        ratio, low, high = jackknife(
            [sample(draw(rng, 6)), sample(draw(rng, 6, effect=-0.05))],
            lambda one, other: one.strength / other.strength,
        )
        assert low < ratio < high
        held += low < 4 < high
    assert held >= 10


def test_stronger_and_faster_designs_bring_more_an_hour(rng):
    slow, fast, weak = (
        Design(name, "cifar10", 1, 5) for name in ("slow", "fast", "weak")
    )
    networks = draw(rng, 5)
    faster = [network | {"seconds": {LAST: 5.0}} for network in networks]
    found = power_per_hour.analyse(
        dataclasses.replace(CIFAR10, designs=(slow, fast, weak)),
        {
            dataclasses.replace(slow, has_mirror_images=False): networks,
            dataclasses.replace(fast, has_mirror_images=False): faster,
            dataclasses.replace(weak, has_mirror_images=False): draw(
                rng, 5, effect=-0.02
            ),
        },
    )
    assert [row["per_hour"][0] for row in found[:2]] == pytest.approx([1, 2])
    assert found[1]["per_hour"][1:] == pytest.approx([2, 2])
    assert found[2]["per_hour"][2] < 1
    assert found[1]["study"]["minutes"] == pytest.approx(
        [minutes / 2 for minutes in found[0]["study"]["minutes"]]
    )
    text = power_report.report(found, {"cores": "2"})
    assert text.count("| fast | last weights |") == 2
    assert "nan" not in text


def test_noise_of_single_images_is_told_from_that_of_networks(rng):
    networks = draw(rng, 20, noise=0.01, image_noise=0.02)
    # Both halves have 0.01^2 in common, and their mean 0.02^2 / 2 more.
    share, low, high = interaction(CIFAR10, networks, LAST)
    assert low < 0.02**2 / 2 / (0.01**2 + 0.02**2 / 2) < high
    assert share == pytest.approx(2 / 3, abs=0.15)
    assert interaction(CIFAR10, draw(rng, 20), LAST)[0] == pytest.approx(0, abs=0.05)


def test_a_study_needs_fewer_networks_of_a_stronger_design():
    # z^2 of a repeat is strength / (1/8 + 1/28).
    weak, strong = full_study([1, 0.5, 2], 60.0), full_study([4, 2, 8], 60.0)
    assert weak["z_squared"][0] == pytest.approx(56 / 9)
    assert strong["repeats"][0] < weak["repeats"][0]
    estimate, low, high = weak["networks"]
    assert low < estimate < high
    assert estimate == 45 * weak["repeats"][0] + round(
        weak["repeats"][0] * math.sqrt(45)
    )
    assert weak["minutes"][0] == pytest.approx(estimate / 2)


def test_designs_have_places_of_their_own():
    folders = {
        design.directory("float32")
        for question in power_per_hour.QUESTIONS
        for design in question.designs
    }
    assert len(folders) == sum(len(q.designs) for q in power_per_hour.QUESTIONS)
    design = Design("a", "cifar10", 2, 3)
    assert design.ways == (LAST, MIRRORED)
    assert dataclasses.replace(design, is_averaged=True).ways == (
        LAST,
        MIRRORED,
        AVERAGE,
        BOTH,
    )
    alone = dataclasses.replace(design, is_averaged=True, has_mirror_images=False)
    assert alone.ways == (LAST, AVERAGE)


def test_only_whole_repeats_are_taken_of_what_is_at_hand(tmp_path, monkeypatch):
    monkeypatch.setattr(power_networks, "FOLDER", tmp_path)
    design, pairs = Design("a", "cifar10", 2, 5), [None, (0, 1)]
    directory = design.directory("float32")
    directory.mkdir()
    for repeat in range(3):
        for pair in pairs:
            assert power_networks.at_hand([design], pairs, "float32") == (
                () if repeat < 2 else (dataclasses.replace(design, repeats=2),)
            )
            path = power_networks.path_of(directory, (pair, repeat))
            path.write_text(json.dumps([repeat, pair]))
    (found,) = power_networks.at_hand([design], pairs, "float32")
    assert found.repeats == 3
    assert power_networks.read_networks(found, pairs, "float32") == [
        [repeat, pair and list(pair)] for repeat in range(3) for pair in pairs
    ]


def test_planted_cells_are_planted():
    kinds = {(cell.target, cell.pair): cell.kind for cell in planted.truth()}
    for cell in PLANTED.cells:
        for pair in PLANTED.pairs:
            if cell.target in pair:
                continue
            is_planted = kinds[cell.target, pair] == planted.PLANTED
            assert is_planted == (pair in cell.pairs)


def test_half_the_filters_are_a_network_of_its_own():
    build = functools.partial(
        power_networks.narrow_cnn, input_shape=(32, 32, 3), num_classes=10
    )
    whole = architectures.build_model(
        "cnn", seed=0, input_shape=(32, 32, 3), num_classes=10
    )
    model, again, other = build(seed=0), build(seed=0), build(seed=1)
    assert model.count_params() < whole.count_params()
    assert [layer.__class__ for layer in model.layers] == [
        layer.__class__ for layer in whole.layers
    ]
    for one, same, new in zip(model.weights, again.weights, other.weights, strict=True):
        np.testing.assert_array_equal(one, same)
        assert one.path.endswith("bias") or np.any(one.numpy() != new.numpy())


def test_halves_of_the_test_images_share_none():
    even, odd = power_networks._halves(np.array([0, 1, 0, 0, 1, 0]))
    assert even.tolist() == [True, True, False, True, False, False]
    assert (even ^ odd).all()


@pytest.mark.slow
def test_the_command_answers_end_to_end(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(power_networks, "FOLDER", tmp_path / "networks")
    out = tmp_path / "power.md"
    monkeypatch.setattr(
        sys, "argv", ["power", "--quick", "--workers", "1", "--out", str(out)]
    )
    assert power_per_hour.main() == 0
    assert out.read_text() == capsys.readouterr().out[:-1]
    rows = json.loads(out.with_suffix(".json").read_text())["rows"]
    assert [row["way"] for row in rows] == [LAST, AVERAGE] * 2
    kept = sorted((tmp_path / "networks").glob("*/*.json"))
    assert len(kept) == sum(row["num_networks"] for row in rows) / 2
    # A second time nothing is trained.
    written = [path.stat().st_mtime_ns for path in kept]
    power_per_hour.main()
    assert [path.stat().st_mtime_ns for path in kept] == written
