import json

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_confusion.models.attacks import pgd
from keras_confusion.training import evaluation, trained_model
from keras_confusion.training.adversarial import FastAdversarialModel
from keras_confusion.training.settings import ClassifierSettings

NORM, EPS, SEED = "l2", 0.5, 7


def small_model():
    initializer = keras.initializers.GlorotUniform(1)
    return keras.Sequential(
        [
            keras.Input((6, 6, 3)),
            # A state that an attack must leave as it is.
            keras.layers.BatchNormalization(momentum=0.5),
            keras.layers.Conv2D(
                4, 3, activation="relu", kernel_initializer=initializer
            ),
            keras.layers.Flatten(),
            keras.layers.Dense(3, kernel_initializer=initializer),
        ]
    )


@pytest.fixture(scope="module")
def batches():
    rng = np.random.default_rng(0)
    images = rng.random((3, 20, 6, 6, 3)).astype(np.float32)
    return list(zip(images, rng.integers(0, 3, (3, 20)), strict=True))


def test_fit_is_attack_and_step_by_hand(batches):
    model = small_model()
    fitted = FastAdversarialModel(
        model.inputs, model.outputs, norm=NORM, eps=EPS, seed=SEED
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    fitted.compile(keras.optimizers.SGD(0.3), loss)
    examples = tf.data.Dataset.from_tensor_slices(
        tuple(np.stack(parts) for parts in zip(*batches, strict=True))
    )
    (reported,) = fitted.fit(examples, verbose=0, shuffle=False).history["loss"]

    plain, optimizer = small_model(), keras.optimizers.SGD(0.3)
    means = []
    for step, (images, labels) in enumerate(batches):
        attacked = pgd.one_step(
            lambda batch: plain(batch, training=False),
            images,
            labels,
            norm=NORM,
            eps=EPS,
            seed=(SEED, step),
        )
        with tf.GradientTape() as tape:
            value = loss(labels, plain(attacked, training=True))
        gradients = tape.gradient(value, plain.trainable_variables)
        optimizer.apply(gradients, plain.trainable_variables)
        means.append(float(value))
    for one, other in zip(model.get_weights(), plain.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)
    assert reported == pytest.approx(np.mean(means), rel=1e-4)


@pytest.mark.slow
def test_adversarial_training_makes_a_network_more_robust(
    digits, digits_classifier, tmp_path, monkeypatch
):
    monkeypatch.setattr(evaluation, "NUM_ATTACKED", 200)
    settings = ClassifierSettings(epochs=3, seed=2, adversarial="l2", eps=3.0)
    trained, _ = trained_model.train_and_save(tmp_path / "robust", settings)
    accuracies = trained.robustness["accuracy"]
    assert trained.robustness["eps"] == [1.5, 3.0, 6.0]
    assert trained.robustness["num_images"] == 200
    assert trained.tested.accuracy > accuracies[0] > accuracies[1] > accuracies[2]
    of_plain = evaluation.test_robustness(digits_classifier, digits, norm="l2", eps=3.0)
    assert accuracies[1] > of_plain["accuracy"][1] + 0.1
    description = json.loads((tmp_path / "robust" / "model.json").read_text())
    assert description["test_robustness"] == trained.robustness
    assert description["training"]["adversarial"] == "l2"
