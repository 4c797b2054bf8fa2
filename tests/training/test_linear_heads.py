import numpy as np
import pytest
import scipy.optimize
import scipy.special
import sklearn.linear_model

from keras_confusion.training import linear_heads

NUM_CLASSES, NUM_TRAIN, NUM_TEST, WIDTH = 4, 600, 200, 8


@pytest.fixture
def features(rng):
    labels = rng.integers(0, NUM_CLASSES, NUM_TRAIN + NUM_TEST)
    means = rng.normal(size=(NUM_CLASSES, WIDTH))
    values = 0.5 * means[labels] + rng.normal(size=(len(labels), WIDTH))
    # As after a ReLU, on scales of their own, one of them dead.
    values = np.maximum(values, 0) * np.logspace(-2, 2, WIDTH)
    values[:, 3] = 0
    values = values.astype(np.float32)
    return values[:NUM_TRAIN], values[NUM_TRAIN:], labels[:NUM_TRAIN]


def test_head_is_that_of_scikit_learn_by_newtons_method(features):
    train, test, labels = features
    heads = linear_heads.LinearHeads(train, test, NUM_CLASSES)
    mean, sd = train.mean(axis=0), train.std(axis=0)
    scale = np.where(sd > 0, sd, 1)
    exact = sklearn.linear_model.LogisticRegression(
        C=1 / (linear_heads.PENALTY * NUM_TRAIN), solver="newton-cholesky", tol=1e-7
    ).fit((train - mean) / scale, labels)
    np.testing.assert_allclose(
        heads.test_logits(labels),
        exact.decision_function((test - mean) / scale),
        atol=0.05,
    )


def test_head_minimises_the_penalised_cross_entropy(features):
    # Written out: mean cross-entropy in nats and half of 1e-4 |W|^2, by SciPy.
    train, test, labels = features
    sd = train.std(axis=0, dtype=np.float64)
    scale = np.where(sd > 0, sd, 1)
    inputs = (train - train.mean(axis=0, dtype=np.float64)) / scale
    size = WIDTH * NUM_CLASSES

    def loss(values):
        kernel, bias = values[:size].reshape(WIDTH, NUM_CLASSES), values[size:]
        log_shares = scipy.special.log_softmax(inputs @ kernel + bias, axis=1)
        cross_entropy = -log_shares[np.arange(len(labels)), labels].mean()
        error = np.exp(log_shares) - np.eye(NUM_CLASSES)[labels]
        gradient = inputs.T @ error / len(labels) + 1e-4 * kernel
        return cross_entropy + 0.5e-4 * (kernel**2).sum(), np.concatenate(
            [gradient.ravel(), error.mean(axis=0)]
        )

    found = scipy.optimize.minimize(
        loss, np.zeros(size + NUM_CLASSES), jac=True, tol=1e-12
    )
    kernel, bias = found.x[:size].reshape(WIDTH, NUM_CLASSES), found.x[size:]
    expected = (test - train.mean(axis=0, dtype=np.float64)) / scale @ kernel + bias
    given = linear_heads.LinearHeads(train, test, NUM_CLASSES).test_logits(labels)

    # Softmax does not see what all logits of an image have in common.
    def centred(logits):
        return logits - logits.mean(axis=1, keepdims=True)

    np.testing.assert_allclose(centred(given), centred(expected), atol=0.05)


def test_same_features_and_labels_give_the_same_head(features):
    train, test, labels = features
    first = linear_heads.LinearHeads(train, test, NUM_CLASSES).test_logits(labels)
    heads = linear_heads.LinearHeads(train.copy(), test.copy(), NUM_CLASSES)
    heads.test_logits(np.roll(labels, 1))
    np.testing.assert_array_equal(heads.test_logits(labels), first)


def test_scale_and_shift_of_features_change_nothing(features):
    train, test, labels = features
    first = linear_heads.LinearHeads(train, test, NUM_CLASSES).test_logits(labels)
    scale, shift = np.float32(8.0), np.float32(0.5)
    moved = linear_heads.LinearHeads(
        train * scale + shift, test * scale + shift, NUM_CLASSES
    ).test_logits(labels)
    np.testing.assert_allclose(moved, first, atol=0.02)


def test_class_that_is_no_label_has_no_logits(features):
    train, test, labels = features
    merged = np.where(labels == 2, 1, labels)
    logits = linear_heads.LinearHeads(train, test, NUM_CLASSES).test_logits(merged)
    assert np.isnan(logits[:, 2]).all()
    assert np.isfinite(np.delete(logits, 2, axis=1)).all()


def test_separable_classes_end_without_a_warning(rng):
    labels = np.arange(300) % 3
    features = np.eye(3, dtype=np.float32)[labels] * 1000
    features += rng.normal(size=features.shape).astype(np.float32)
    logits = linear_heads.LinearHeads(features, features, 3).test_logits(labels)
    np.testing.assert_array_equal(logits.argmax(axis=1), labels)


def test_wide_features_are_fitted_to_fewer_examples(monkeypatch):
    assert linear_heads.fitted_examples(50, 4).tolist() == list(range(50))
    monkeypatch.setattr(linear_heads, "MAX_VALUES", 80)
    fitted = linear_heads.fitted_examples(50, 4)
    assert len(fitted) == 20
    assert len(set(fitted.tolist())) == 20
    assert (np.diff(fitted) > 0).all()
    assert fitted.max() < 50
    # The same ones for every network.
    np.testing.assert_array_equal(linear_heads.fitted_examples(50, 4), fitted)
