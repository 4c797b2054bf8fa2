import numpy as np
import pytest

from benchmarks.validity import null_networks, simulated_noise, simulated_studies
from benchmarks.validity.null_statistics import BY_CLASS, BY_PAIR
from keras_confusion.comparisons.findings import MODERATED, PAIRED, WELCH


@pytest.fixture(scope="module")
def noise():
    study = null_networks.read_responses(simulated_noise.CIFAR)
    return simulated_noise.noise_of("CIFAR-10", study, 1000)


def test_drawn_networks_vary_as_the_real_ones(noise):
    rng = np.random.default_rng(0)
    studies = [simulated_noise.drawn_study(noise, 30, 60, rng) for _ in range(20)]
    baseline = np.stack([study.baseline for study in studies])
    np.testing.assert_allclose(
        baseline.std(axis=(0, 2)), np.hypot(noise.sd, noise.repeat_sd), rtol=0.15
    )
    responses = np.stack([study.responses for study in studies])
    within = responses - responses.mean(axis=2, keepdims=True)
    within = np.sqrt((within**2).mean(axis=(0, 2, 3)) * 36 / 35)
    np.testing.assert_allclose(within, noise.sd, rtol=0.15)
    # Shares of a thousand images.
    np.testing.assert_allclose(responses * 1000, np.rint(responses * 1000), atol=1e-6)


def test_size_and_power_are_those_of_the_tests(noise):
    rows = simulated_studies.measure_kind(noise, 4, 25, (0.0, 0.05), 0)
    found = {(row["comparison"], row["test"]): row for row in rows}
    for comparison in (BY_PAIR, BY_CLASS):
        row = found[comparison, simulated_studies.ORACLE]
        assert 0.03 < row["size_0.05"] < 0.07
        # Against no effect, power is size; a large one is always found.
        assert row["power_0.0"] == pytest.approx(row["size_0.05"])
        assert row["power_0.05"] > 0.99
        assert 0.03 < found[comparison, MODERATED]["size_0.05"] < 0.07
    assert found[BY_PAIR, WELCH]["any_q"] > found[BY_PAIR, PAIRED]["any_q"]
    text = simulated_studies.document({}, rows)
    assert "power, 5 points" in text
    assert f"| 4 | {MODERATED} |" in text


def test_few_cells_share_less(noise, monkeypatch):
    monkeypatch.setattr(simulated_studies, "FEW_CELLS", (3,))
    monkeypatch.setattr(simulated_studies, "FEW_REPEATS", (3,))
    bounded, unbounded = simulated_studies.few_cells(noise, 60)
    assert bounded["size_0.05"] < unbounded["size_0.05"]
    assert 0.04 < bounded["size_0.05"] < 0.07
    assert "| 3 | 3 | moderated |" in simulated_studies._few_table([bounded])
