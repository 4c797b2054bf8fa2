import itertools

import keras
import numpy as np
import pytest
import scipy.stats
import sklearn.linear_model
import sklearn.metrics
import sklearn.preprocessing

from keras_confusion.confusion import plan as confusion_plan
from keras_confusion.confusion import settings as confusion_settings
from keras_confusion.confusion import store as confusion_store
from keras_confusion.confusion import study as confusion_study
from keras_confusion.datasets import corruption
from keras_confusion.storage.study_folder import StudyFolder
from keras_confusion.training import linear_heads, recipes
from keras_confusion.training import trainer as training_trainer
from tests.support.small_networks import linear, small

PAIR = (3, 8)
NUM_CLASSES, NUM_TEST = 10, 599
TWO_CLASSES = list(itertools.combinations(range(NUM_CLASSES), 2))
SETTINGS = {
    "pairs": ["3-8"],
    "repeats": 1,
    "baseline_repeats": 1,
    "epochs": 1,
    "workers": 1,
    "dtype_policy": "float32",
}
NO_FEATURES = "The model has no features"


def run(directory, **settings):
    """The rows of a small study by arm and repeat."""
    confusion_study.run_confusion_study(directory, **SETTINGS | settings)
    rows = confusion_store.read_networks(directory).to_dict("records")
    assert not any(row["failed"] for row in rows)
    return {(row["arm"], row["repeat"]): row for row in rows}


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    return tmp_path_factory.mktemp("studies") / "study"


@pytest.fixture(scope="module")
def rows(directory):
    return run(directory, baseline_repeats=2, keep_logits=True, readout_baselines=1)


@pytest.fixture(scope="module")
def untouched(tmp_path_factory):
    """A study that swaps no label."""
    return run(
        tmp_path_factory.mktemp("untouched"),
        pairs=["3-8", "4-9"],
        corruption="swap",
        fraction=0.0,
    )


def one_against_another(logits, labels, a, b):
    """AUC of the images of two classes, by scikit-learn."""
    here = (labels == a) | (labels == b)
    return sklearn.metrics.roc_auc_score(
        labels[here] == a, (logits[:, a] - logits[:, b])[here]
    )


def d_primes(logits, labels):
    """Written out for every two classes, half an image pair away from 0 and 1."""
    found, counts = [], np.bincount(labels)
    for a, b in TWO_CLASSES:
        half = 0.5 / (counts[a] * counts[b])
        auc = one_against_another(logits, labels, a, b)
        found.append(scipy.stats.norm.ppf(min(max(auc, half), 1 - half)))
    return np.array(found)


def means_without(d_primes, pair, labels):
    """Written out: the mean d' of every target, by Laplace's rule for its AUCs."""
    counts = np.bincount(labels)
    target_d_primes = [[] for _ in counts]
    all_two = itertools.combinations(range(len(counts)), 2)
    for two, d_prime in zip(all_two, d_primes.tolist(), strict=True):
        if not set(two) & set(pair):
            fewer = min(counts[list(two)])
            auc = (fewer * scipy.stats.norm.cdf(d_prime) + 1) / (fewer + 2)
            for target in two:
                target_d_primes[target].append(scipy.stats.norm.ppf(auc))
    return np.array(
        [np.mean(values) if values else np.nan for values in target_d_primes]
    )


def test_every_network_has_its_columns(rows):
    assert sorted(rows) == [("3-8", 0), ("baseline", 0), ("baseline", 1)]
    for row in rows.values():
        for name in ("discriminability", "features_discriminability"):
            assert len(row[name]) == len(TWO_CLASSES)
            assert np.isfinite(row[name]).all()
        # One epoch of digits tells most of them apart, by whichever head.
        assert np.median(row["discriminability"]) > 1.5
        assert np.median(row["features_discriminability"]) > 2.5
        # A head that was fitted to the end is another than a last layer after an epoch.
        assert np.any(row["discriminability"] != row["features_discriminability"])
    first, second = (rows["baseline", repeat]["predictions"] for repeat in (0, 1))
    assert np.any(first != second)


def test_pair_is_told_apart_by_features_and_not_by_the_confused_network(rows):
    index = TWO_CLASSES.index(PAIR)
    confused, baseline = rows["3-8", 0], rows["baseline", 0]
    total, features = "discriminability", "features_discriminability"
    assert confused[total][index] < baseline[total][index] - 0.5
    # Half of its labels were swapped, and yet three standard deviations are between.
    assert confused[features][index] > 3


def test_readout_is_of_the_first_baselines_only(rows):
    first = rows["baseline", 0]["readout_discriminability"]
    assert len(first) == NUM_CLASSES
    assert np.flatnonzero(np.isnan(first)).tolist() == list(PAIR)
    assert rows["baseline", 1]["readout_discriminability"] is None
    assert rows["3-8", 0]["readout_discriminability"] is None


def test_d_primes_are_those_of_the_logits_that_are_kept(rows, directory):
    labels = confusion_store.read_test_labels(StudyFolder.open(directory))
    for (arm, repeat), row in rows.items():
        pair = PAIR if arm == "3-8" else None
        with np.load(confusion_store.logits_path(directory, pair, repeat)) as kept:
            assert sorted(kept) == ["features", "total"]
            for reading, column in (
                ("total", "discriminability"),
                ("features", "features_discriminability"),
            ):
                logits = kept[reading]
                assert logits.shape == (NUM_TEST, NUM_CLASSES)
                assert logits.dtype == np.float16
                # Three digits of a logit: an image or two of 60 change their rank.
                np.testing.assert_allclose(
                    d_primes(logits.astype(np.float64), labels), row[column], atol=0.1
                )
            answers = kept["total"].argmax(axis=1)
        assert np.mean(answers == row["predictions"]) > 0.99


def test_logits_and_readout_are_there_only_where_asked_for(tmp_path, capsys):
    rows = run(tmp_path, model=linear, readout_baselines=0)
    # A model with features says nothing of them.
    assert NO_FEATURES not in capsys.readouterr().err
    assert not (tmp_path / "logits").exists()
    for row in rows.values():
        assert row["features_discriminability"] is not None
        assert row["readout_discriminability"] is None


def test_features_are_those_of_the_network_trained_again(rows, digits):
    trainer = training_trainer.Trainer(
        digits,
        recipe=recipes.find_recipe("annealed", num_train=digits.train.num_examples),
        epochs=1,
    )
    swapped = corruption.given_labels(
        digits.train.labels,
        corruption.swap(NUM_CLASSES, *PAIR, fraction=0.5),
        rows["3-8", 0]["corruption_seed"],
    )
    for arm, given in (("baseline", None), ("3-8", swapped)):
        check_features(rows[arm, 0], trainer, given, digits)


def check_features(row, trainer, given, digits):
    """Against Keras and scikit-learn."""
    trainer.train(
        [
            training_trainer.TrainingTask(
                row["initialisation_seed"], row["order_seed"], given
            )
        ]
    )
    labels = digits.test.labels
    np.testing.assert_allclose(
        d_primes(trainer.test_logits()[0], labels), row["discriminability"], atol=0.01
    )
    model = trainer.model
    last = model.layers[-1]
    assert last.units == NUM_CLASSES
    before_last = keras.Model(model.inputs[0], last.input)
    train, test = (
        before_last(split.arrays()[0].astype(np.float32) / 255).numpy()
        for split in (digits.train, digits.test)
    )
    scaler = sklearn.preprocessing.StandardScaler().fit(train)
    head = sklearn.linear_model.LogisticRegression(
        C=1 / (linear_heads.PENALTY * len(train)), tol=1e-6, solver="newton-cg"
    )
    # Right labels, whatever the network was given.
    head.fit(scaler.transform(train), digits.train.labels)
    logits = head.decision_function(scaler.transform(test))
    found = row["features_discriminability"]
    # As probabilities that an image of one class scores higher than one of another.
    np.testing.assert_allclose(
        [one_against_another(logits, labels, a, b) for a, b in TWO_CLASSES],
        scipy.stats.norm.cdf(found),
        atol=0.001,
    )
    assert np.median(np.abs(d_primes(logits, labels) - found)) < 0.003


def test_arm_without_a_swapped_label_is_its_baseline_bit_for_bit(untouched):
    # Whatever moves a confused arm is its labels and nothing else.
    baseline = untouched["baseline", 0]
    for arm in ("3-8", "4-9"):
        for name in (
            "predictions",
            "log2_probability",
            "final_training_loss",
            "discriminability",
            "features_discriminability",
        ):
            np.testing.assert_array_equal(untouched[arm, 0][name], baseline[name])


def test_right_head_on_untouched_features_reads_what_they_hold(untouched, digits):
    labels, baseline = digits.test.labels, untouched["baseline", 0]
    readout = baseline["readout_discriminability"].reshape(2, NUM_CLASSES)
    for found, pair in zip(readout, (PAIR, (4, 9)), strict=True):
        expected = means_without(baseline["features_discriminability"], pair, labels)
        # Both are kept as float32.
        np.testing.assert_allclose(found, expected, rtol=3e-7)


def test_network_that_learns_no_features_has_the_same_in_every_arm(tmp_path):
    rows = run(tmp_path, model=linear, baseline_repeats=2)
    expected = rows["baseline", 0]["features_discriminability"]
    for row in rows.values():
        np.testing.assert_array_equal(row["features_discriminability"], expected)
    assert np.any(
        rows["3-8", 0]["discriminability"] != rows["baseline", 0]["discriminability"]
    )


def test_networks_of_a_pack_have_features_of_their_own(tmp_path):
    settings = {"model": small, "baseline_repeats": 2}
    alone, packed = (
        run(tmp_path / str(number), networks_per_program=number, **settings)
        for number in (1, 3)
    )
    columns = ("discriminability", "features_discriminability")
    for network, row in alone.items():
        for name in columns:
            np.testing.assert_allclose(packed[network][name], row[name], atol=0.05)
    readout = [
        rows["baseline", 1]["readout_discriminability"] for rows in (alone, packed)
    ]
    np.testing.assert_allclose(*readout, atol=0.02)
    for name in columns:
        first, second = (alone["baseline", repeat][name] for repeat in (0, 1))
        assert np.abs(first - second).max() > 0.2


@keras.saving.register_keras_serializable("test_head_columns")
class Hidden(keras.Model):
    """A Keras model that has layers, and no graph of them."""

    def __init__(self, num_classes, seed, **options):
        super().__init__(**options)
        self.flatten = keras.layers.Flatten()
        self.dense = keras.layers.Dense(
            num_classes, kernel_initializer=keras.initializers.GlorotUniform(seed)
        )

    def build(self, input_shape):
        self.dense.build((None, int(np.prod(input_shape[1:]))))
        self.built = True

    def call(self, images):
        return self.dense(self.flatten(images))


def subclassed(*, input_shape, num_classes, seed):
    model = Hidden(num_classes, seed)
    model.build((None, *input_shape))
    return model


def ends_in_a_model(*, input_shape, num_classes, seed):
    last = linear(input_shape=input_shape, num_classes=num_classes, seed=seed)
    return keras.Sequential([keras.Input(input_shape), last])


def ends_in_a_hidden_model(*, input_shape, num_classes, seed):
    images = keras.Input(input_shape)
    return keras.Model(images, Hidden(num_classes, seed)(images))


@pytest.mark.parametrize("model", [subclassed, ends_in_a_model, ends_in_a_hidden_model])
def test_model_without_features_is_trained_and_says_so_once(tmp_path, capsys, model):
    rows = run(tmp_path, model=model, keep_logits=True, baseline_repeats=2)
    assert capsys.readouterr().err.count(NO_FEATURES) == 1
    assert len(rows) == 3
    for row in rows.values():
        assert len(row["discriminability"]) == len(TWO_CLASSES)
        assert np.isfinite(row["discriminability"]).all()
        assert row["features_discriminability"] is None
        assert row["readout_discriminability"] is None
        pair = PAIR if row["arm"] == "3-8" else None
        with np.load(
            confusion_store.logits_path(tmp_path, pair, row["repeat"])
        ) as kept:
            assert list(kept) == ["total"]


def test_features_that_are_too_wide_for_enough_examples_are_left_out(
    tmp_path, monkeypatch
):
    settings = confusion_settings.ConfusionSettings(model=linear, pairs=["3-8"])

    def has_features(num_fitted):
        # Of 8 x 8 means in three colours.
        monkeypatch.setattr(linear_heads, "MAX_VALUES", 8 * 8 * 3 * num_fitted)
        return confusion_plan.StudyPlan.make(settings, tmp_path, None).has_features

    enough = linear_heads.MIN_EXAMPLES_A_CLASS * NUM_CLASSES
    assert has_features(enough)
    assert not has_features(enough - 1)


def test_texts_have_features_and_a_readout(tmp_path, capsys):
    rows = run(
        tmp_path,
        dataset="reviews",
        model="text",
        pairs=["film praised-film panned"],
        baseline_repeats=2,
        readout_baselines=1,
    )
    assert NO_FEATURES not in capsys.readouterr().err
    assert len(rows) == 3
    num_classes = len(rows["baseline", 0]["log2_probability"])
    for row in rows.values():
        for name in ("discriminability", "features_discriminability"):
            assert len(row[name]) == num_classes * (num_classes - 1) // 2
    features = [row["features_discriminability"] for row in rows.values()]
    assert np.median(features) > 0.5
    assert np.any(features[0] != features[1])
    # Swapped labels of others change a head, though not by much.
    right = means_without(
        features[0],
        (0, 1),
        confusion_store.read_test_labels(StudyFolder.open(tmp_path)),
    )
    swapped = rows["baseline", 0]["readout_discriminability"]
    assert np.isnan(swapped).tolist() == np.isnan(right).tolist()
    assert 0.001 < np.nanmax(np.abs(swapped - right)) < 0.5
    for network in (("baseline", 1), ("0-1", 0)):
        assert rows[network]["readout_discriminability"] is None
