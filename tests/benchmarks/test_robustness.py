import dataclasses

import numpy as np
import pandas as pd
import pytest
import scipy.stats
import tensorflow as tf

from benchmarks.validity import robustness, robustness_networks, robustness_statistics
from keras_confusion.models.probe import Probe


def made_up(*, effect, rng, num_networks=12):
    """Networks of two architectures whose robustness costs accuracy."""
    parts = []
    for level, name in enumerate(("cnn", "resnet18")):
        robust = rng.permutation(num_networks) / num_networks
        accuracy = 0.8 - 0.2 * robust + rng.normal(0, 0.05, num_networks)
        noise = rng.normal(0, 0.2, num_networks)
        parts.append(
            pd.DataFrame(
                {
                    "architecture": name,
                    "robustness": robust,
                    "accuracy": accuracy,
                    # Of another scale in each architecture.
                    "cross_over": 10 * level + effect * robust + noise,
                    "C": accuracy + noise / 10,
                }
            )
        )
    return pd.concat(parts, ignore_index=True)


def compared(frame, **changes):
    names = {"outcome": "robustness", "covariate": "accuracy"} | changes
    table = robustness_statistics.compare(
        frame, ["cross_over", "C"], primary="cross_over", **names
    )
    return table.set_index("measure")


def test_measure_of_robustness_is_told_from_one_of_accuracy():
    table = compared(made_up(effect=1, rng=np.random.default_rng(3)))
    assert table.loc["cross_over", "partial"] > 0.6
    assert table.loc["cross_over", "p"] < 0.01
    # With accuracy, and by it with robustness.
    assert table.loc["C", "correlation"] < -0.3
    assert abs(table.loc["C", "partial"]) < 0.4
    assert np.isnan(table.loc["cross_over", "p_holm"])
    assert table.loc["C", "p_holm"] == table.loc["C", "p"]


def test_correlation_in_one_architecture_is_spearmans():
    frame = made_up(effect=1, rng=np.random.default_rng(4))
    frame = frame[frame["architecture"] == "cnn"]
    found = compared(frame).loc["C", "correlation"]
    expected = scipy.stats.spearmanr(frame["C"], frame["robustness"]).statistic
    assert found == pytest.approx(expected)
    # The partial correlation by its formula.
    with_accuracy, of_both = (
        scipy.stats.spearmanr(frame[name], frame["accuracy"]).statistic
        for name in ("C", "robustness")
    )
    partial = (expected - with_accuracy * of_both) / np.sqrt(
        (1 - with_accuracy**2) * (1 - of_both**2)
    )
    assert compared(frame).loc["C", "partial"] == pytest.approx(partial)


def test_p_is_uniform_where_there_is_nothing(monkeypatch):
    monkeypatch.setattr(robustness_statistics, "DRAWS", 99)
    rng = np.random.default_rng(5)
    found = [
        compared(made_up(effect=0, rng=rng)).loc["cross_over", "p"] for _ in range(200)
    ]
    assert scipy.stats.kstest(found, "uniform").pvalue > 0.01


def test_holm_is_the_book_example():
    # As `p.adjust(c(.01, .04, .03), "holm")` in R.
    np.testing.assert_allclose(
        robustness_statistics.holm(np.array([0.01, 0.04, 0.03])), [0.03, 0.06, 0.06]
    )


def linear_probe(scale=1.0):
    """Three classes, each the brightness of a channel, of lower rows more."""
    weights = np.linspace(0.5, 1.5, 32, dtype=np.float32)[:, None, None]

    def logits(images):
        return scale * 40 * tf.reduce_mean(weights * (images - 0.5), axis=(1, 2))

    def features(images):
        return tf.nn.relu(logits(images)) + 0.1

    return Probe(logits, features, (32, 32, 3), ("red", "green", "blue"), "colours")


@pytest.fixture(scope="module")
def test_images():
    rng = np.random.default_rng(0)
    labels = np.arange(200) % 3
    images = rng.uniform(0.4, 0.6, (200, 32, 32, 3)).astype(np.float32)
    images[np.arange(200), :, :, labels] += rng.uniform(0, 0.1, (200, 1, 1))
    return images, labels


def test_attacks_agree_on_a_linear_network(test_images):
    images, labels = test_images
    found = robustness_networks.attacked(linear_probe(), images, labels)
    assert found["robust_accuracy"] == sorted(found["robust_accuracy"], reverse=True)
    assert found["robustness"] == np.mean(found["robust_accuracy"])
    assert 0.2 < found["checked"] < 0.9
    # A boundary that is a plane is found by any start, and nearly by guessing.
    assert found["restarted"] == pytest.approx(found["checked"], abs=0.02)
    assert found["linf"] <= found["without_gradients"] < found["linf"] + 0.2
    assert found["large_eps"] == 0


def test_measures_of_prototypes(monkeypatch):
    monkeypatch.setattr(robustness_networks, "INITIALISATIONS", 1)
    found = robustness_networks.of_prototypes(linear_probe(), {"one": linear_probe()})
    assert set(robustness.MEASURES) <= set(found)
    assert found["transfer"] == 1
    assert found["distance"] > found["cross_over"] > 0
    assert found["converged"] == 1
    # From row to row the gradient grows slowly.
    assert found["high_frequency"] < 0.3
    # Logits of twice the size are reached in half the way.
    twice = robustness_networks.of_prototypes(linear_probe(2), {"one": linear_probe()})
    assert twice["distance"] < 0.8 * found["distance"]


def test_only_missing_networks_are_trained(tmp_path, monkeypatch):
    trained = []

    def measured(network):
        trained.append(network.name)
        return dataclasses.asdict(network)

    monkeypatch.setattr(robustness_networks, "measured", measured)
    monkeypatch.setattr(
        robustness_networks.joblib,
        "Parallel",
        lambda **_: lambda tasks: [f(*args, **kw) for f, args, kw in tasks],
    )
    wanted = robustness.networks()
    assert len({network.name for network in wanted}) == len(wanted) == 22
    robustness_networks.train_missing(wanted[:2], tmp_path, workers=1)
    robustness_networks.train_missing(wanted[:3], tmp_path, workers=1)
    assert trained == [network.name for network in wanted[:3]]
    assert len(robustness_networks.read(wanted, tmp_path)) == 3
