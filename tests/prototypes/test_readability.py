import dataclasses
import tracemalloc

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf

from keras_confusion.models.probe import Probe
from keras_confusion.prototypes import readability
from keras_confusion.reports import readability_report

SHAPE = (4, 4, 3)


def channel_probe(scale=1.0, name="channels"):
    """A network whose logits are the means of the channels, and its features, too."""

    def means(images):
        return tf.reduce_mean(images, axis=(1, 2))

    return Probe(
        lambda images: scale * means(images), means, SHAPE, ("r", "g", "b"), name
    )


def coloured(channels):
    """Images of one colour each."""
    values = np.asarray(channels, np.float32)
    return np.broadcast_to(values[..., None, None, :], (*values.shape[:-1], *SHAPE))


# p[k] is of colour k.
PROTOTYPES = coloured(np.eye(3))[None]


def all_of_p(share):
    """P[k, j]: p[j] moved toward p[k] by a share."""
    eye = np.eye(3)
    return coloured(share * eye[:, None] + (1 - share) * eye[None])[None]


def test_transfer_counts_and_averages():
    images = coloured([(1, 0, 0), (0, 1, 0), (0, 1, 0.5)])
    table = readability.transfer(
        images, [0, 1, 2], {"one": channel_probe(), "two": channel_probe(100)}
    )
    assert list(table["judge"]) == ["one", "two"]
    assert list(table["n"]) == [3, 3]
    assert list(table["transfer"]) == [pytest.approx(2 / 3)] * 2
    e = np.e
    expected = np.mean([e / (e + 2), e / (e + 2), np.exp(0.5) / (1 + e + np.exp(0.5))])
    assert table["probability"][0] == pytest.approx(expected, rel=1e-5)
    assert table["probability"][1] == pytest.approx(2 / 3, rel=1e-5)
    assert readability.transfer(images, [0, 1, 2], {}).empty


def test_distance_is_the_norm_over_all_pixels():
    distances = readability.distances(PROTOTYPES, all_of_p(1.0))
    # 16 pixels, two channels changed by 1.
    np.testing.assert_allclose(distances[0], (1 - np.eye(3)) * np.sqrt(32), rtol=1e-6)


@pytest.mark.parametrize("scale", [0.5, 1.0, 2.0])
def test_cross_over_is_half_way_whatever_the_scale_of_the_logits(scale):
    nearest = readability.cross_over(channel_probe(scale), PROTOTYPES, all_of_p(1.0))
    off_diagonal = ~np.eye(3, dtype=bool)
    # At half of the way both classes tie: the first place beyond, of 64.
    places = nearest[0][off_diagonal] / np.sqrt(32)
    assert ((places >= 0.5 - 1e-6) & (places < 0.5 + 1 / 63)).all()
    assert np.isnan(nearest[0][~off_diagonal]).all()


def test_cross_over_that_is_never_reached_is_not_a_number():
    nearest = readability.cross_over(channel_probe(), PROTOTYPES, all_of_p(0.4))
    assert np.isnan(nearest).all()


def test_retrieval_finds_the_origin_while_it_is_nearer_than_others():
    flat = PROTOTYPES[0].reshape(3, -1)
    for share, expected in ((0.9, 1.0), (1.0, 0.5)):
        images = all_of_p(share)[0].reshape(3, 3, -1)
        if share == 1.0:
            # Nothing is left of the origin: the first of equals is taken.
            images = images + np.float32(1e-9)
        assert readability.retrieval(flat, images) == pytest.approx(expected, abs=0.01)


def test_retrieval_agrees_with_a_slow_loop_and_needs_little_memory(rng):
    prototypes = rng.random((300, 768), np.float32)
    # One target's images, seen 300 times: all of them would take 280 MB.
    images = prototypes + 2 * rng.standard_normal((300, 768), np.float32)
    intermediary = np.broadcast_to(images, (300, 300, 768))
    tracemalloc.start()
    found = readability.retrieval(prototypes, intermediary)
    assert tracemalloc.get_traced_memory()[1] < 10e6
    tracemalloc.stop()
    exact = prototypes.astype(np.float64)
    distances = [np.linalg.norm(exact - image, axis=1) for image in images]
    nearest = []
    for target in range(300):
        for origin in set(range(300)) - {target}:
            others = distances[origin].copy()
            others[target] = np.inf
            nearest.append(others.argmin() == origin)
    assert found == np.mean(nearest)
    assert 0.5 < found < 0.99


def test_diversity_is_the_mean_dissimilarity():
    features = np.zeros((3, 2, 2))
    features[:, 0] = [1, 0]
    features[:, 1] = [[1, 0], [0, 1], [1, 0]]
    # Class 0: none; class 1: two of three pairs are orthogonal.
    assert readability.diversity(features) == pytest.approx(1 / 3)
    assert np.isnan(readability.diversity(features[:1]))


def test_high_frequencies_of_noise_and_of_waves(rng):
    noise = rng.standard_normal((50, 32, 32, 3))
    assert readability.high_frequency_share(noise).mean() == pytest.approx(
        0.80, abs=0.01
    )
    x = np.arange(32) / 32
    for waves, expected in ((7, 0), (9, 1)):
        wave = np.broadcast_to(
            np.sin(2 * np.pi * waves * x)[:, None, None], (32, 32, 1)
        )
        assert readability.high_frequency_share(wave + 5) == pytest.approx(expected)


@pytest.mark.parametrize(("waves", "expected"), [(3, 0), (12, 1)])
def test_from_grey_a_network_asks_for_its_own_waves(waves, expected):
    x = 2 * np.pi * np.arange(32, dtype=np.float32) / 32
    wave = np.sin(waves * x)[:, None]

    def logits(images):
        return 100 * tf.reduce_mean(images * wave, axis=(1, 2))

    probe = Probe(logits, None, (32, 32, 3), ("r", "g", "b"), "waves")
    share = readability.high_frequency_from_grey(probe)
    assert share == pytest.approx(expected, abs=0.01)


def test_what_asks_for_one_colour_has_no_frequencies():
    assert np.isnan(readability.high_frequency_from_grey(channel_probe()))


def test_measures_agree_with_the_single_ones():
    probe = channel_probe()
    judges = {"same": probe, "blind": dataclasses.replace(probe, logits=_blind)}
    images = all_of_p(0.9)
    values = readability.measures(probe, PROTOTYPES, images, judges)
    assert values["num_prototypes"] == 3
    assert values["transfer"] == pytest.approx((1 + 1 / 3) / 2)
    assert values["transfer_lowest"] == pytest.approx(1 / 3)
    assert values["p_transfer"] == pytest.approx((1 + 1 / 3) / 2)
    assert values["distance"] == pytest.approx(0.9 * np.sqrt(32), rel=1e-5)
    assert values["retrieval_pixels"] == 1
    assert values["retrieval_features"] == 1
    assert values["p_origin_probability"] < values["p_probability"]
    without = readability.measures(probe, PROTOTYPES, images, {})
    assert np.isnan(without["transfer"])
    assert without["distance"] == values["distance"]


def _blind(images):
    return tf.constant([[1.0, 0.0, 0.0]]) + 0 * tf.reduce_mean(images, axis=(1, 2))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"class_names": ("r", "b", "g")}, "judges of the classes r, g, b"),
        ({"input_shape": (8, 8, 3)}, r"judges of images \(4, 4, 3\)"),
    ],
)
def test_judges_of_other_classes_or_images_are_refused(
    change, message, write_prototype_study, monkeypatch
):
    folder = write_prototype_study(num_classes=3, num_intervals=1)
    network = channel_probe()
    monkeypatch.setattr(readability.loading, "load_probe", lambda path: network)
    with pytest.raises(ValueError, match=message):
        readability.of_study(folder, {"other": dataclasses.replace(network, **change)})


def test_text_has_a_column_for_every_interval_and_leaves_out_what_is_not_known():
    table = pd.DataFrame(
        {
            "interval": [25.0, 100.0],
            "test_accuracy": [0.5, 0.75],
            "transfer": [np.nan, np.nan],
            "distance": [1.234, 2.0],
        }
    )
    text = readability_report.text(table, [])
    assert "25 %" in text
    assert "0.750" in text
    assert "1.23" in text
    assert "share" not in text
    assert "Judges" not in text
    assert "Judges: one." in readability_report.text(table, ["one"])
