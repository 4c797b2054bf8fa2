import numpy as np
import pytest

from keras_confusion import datasets, recipes, responses, runtime, training
from keras_confusion.responses import Rates

runtime.start_tensorflow(threads=1)

PAIRS = [(0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)]
REPEATS = 6
NUM_BASELINE = 9


@pytest.fixture
def rng():
    return np.random.default_rng(42)


def rates(rng, *shape):
    return Rates(
        accuracy=rng.uniform(0.4, 0.9, shape),
        false_positive_rate=rng.uniform(0.01, 0.2, shape),
        log2_probability=rng.uniform(-2, -0.5, shape),
    )


def blank_members(rates, pair_of_row):
    for row, pair in enumerate(pair_of_row):
        for values in (
            rates.accuracy,
            rates.false_positive_rate,
            rates.log2_probability,
        ):
            values[row][..., list(PAIRS[pair])] = np.nan
    return rates


@pytest.fixture
def study(rng):
    """Responses of every pair of four classes, drawn without any effect."""
    confused_pair = np.repeat(np.arange(len(PAIRS)), REPEATS)
    return responses.StudyResponses(
        pairs=PAIRS,
        confused_pair=confused_pair,
        confused_seed=np.tile(np.arange(REPEATS), len(PAIRS)),
        baseline_seed=np.arange(NUM_BASELINE),
        confused=rates(rng, len(confused_pair), 4),
        confused_without_pair=blank_members(
            rates(rng, len(confused_pair), 4), confused_pair
        ),
        baseline=rates(rng, NUM_BASELINE, 4),
        baseline_without_pair=blank_members(
            rates(rng, len(PAIRS), NUM_BASELINE, 4), range(len(PAIRS))
        ),
        prior=np.array([0.4, 0.2, 0.2, 0.2]),
        test_images_per_class=np.array([40, 20, 20, 20]),
    )


@pytest.fixture(scope="session")
def digits():
    return datasets.load_dataset("digits")


@pytest.fixture(scope="session")
def digits_classifier(digits):
    """The poster's CNN after a few epochs on the digits, nine in ten right."""
    trainer = training.Trainer(
        digits,
        recipe=recipes.find_recipe("annealed", num_train=digits.train.num_examples),
        epochs=4,
    )
    trainer.train(initialisation_seed=0, order_seed=0)
    return trainer.model
