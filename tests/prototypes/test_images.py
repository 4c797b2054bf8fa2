import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_confusion.models import probe as model_probe
from keras_confusion.prototypes import images as prototype_images
from keras_confusion.prototypes.optimizer import objectives
from keras_confusion.prototypes.optimizer.parametrizations import Pixels
from keras_confusion.prototypes.optimizer.settings import OptimizerSettings

NUM_CLASSES = 10
FAST = OptimizerSettings(learning_rate=0.3)
OFF_DIAGONAL = ~np.eye(NUM_CLASSES, dtype=bool)


@pytest.fixture(scope="module")
def probe(digits_classifier):
    return model_probe.probe_of(digits_classifier, map(str, range(NUM_CLASSES)))


@pytest.fixture(scope="module")
def noise():
    return prototype_images.starts([0, 1], NUM_CLASSES, Pixels((32, 32, 3)))


@pytest.fixture(scope="module")
def prototypes(probe, noise):
    return prototype_images.class_prototypes(probe, noise, FAST)


@pytest.fixture(scope="module")
def boundary(probe, prototypes):
    return prototype_images.boundary_prototypes(probe, prototypes.images[:1], FAST)


def logits_of_rows(images):
    """One class per row of an image: ten times its mean."""
    return 10 * tf.reduce_mean(images, axis=(2, 3))


def cross_entropy(probe, images, targets):
    probabilities = probe.predict(images.reshape(-1, 32, 32, 3))
    return -np.log(probabilities[np.arange(len(probabilities)), targets.ravel()])


def test_boundary_of_two_classes_by_hand():
    # Rows of four pixels; prototype 1 has means 0.2 and 0.8: a gap of -6. Each pixel's
    # derivative of the gap is 2.5, its norm sqrt(8) * 2.5 = 7.0711. Steps of 0.07
    # change it by 0.49497: 12 leave -0.0603, and the 13th, of length 0.0603 / 7.0711,
    # ends at the tie. Steps of full length alone would end 0.43 above it.
    class_images = np.array([[0.8, 0.2], [0.2, 0.8]])[:, :, None, None]
    class_images = np.broadcast_to(class_images, (2, 2, 4, 1))
    made = prototype_images.boundary_prototypes(
        logits_of_rows, class_images, OptimizerSettings(learning_rate=0.07)
    )
    np.testing.assert_array_equal(made.iterations, [[0, 13], [13, 0]])
    np.testing.assert_array_equal(made.converged, [[False, True], [True, False]])
    np.testing.assert_allclose(made.images[[0, 1], [1, 0]], 0.5, atol=1e-5)
    np.testing.assert_allclose(made.gaps[[0, 1], [1, 0]], 0, atol=1e-4)
    np.testing.assert_allclose(made.losses[[0, 1], [1, 0]], 0, atol=1e-9)
    np.testing.assert_array_equal(
        made.images[[0, 1], [0, 1]], class_images.astype(np.float32)
    )
    assert np.isnan(made.gaps[[0, 1], [0, 1]]).all()
    assert np.isnan(made.losses[[0, 1], [0, 1]]).all()


def test_boundary_of_three_classes_by_hand():
    # Prototype j is bright in row j. Halfway to row k the others are 4 logits below:
    # log(1 + e^-4 / 2) = 0.0091 is below the threshold, so they need not move.
    # Each prototype has a level of its own, so that the axes cannot be confused.
    darkest = np.array([0.1, 0.0, 0.2])
    class_images = np.broadcast_to(darkest[:, None], (3, 3)) + 0.8 * np.eye(3)
    expected = np.empty((3, 3, 3))
    for target in range(3):
        for origin in range(3):
            expected[target, origin] = darkest[origin]
            expected[target, origin, [target, origin]] += 0.4
            if target == origin:
                expected[target, origin] = class_images[origin]
    images = np.broadcast_to(class_images[:, :, None, None], (3, 3, 4, 1))
    made = prototype_images.boundary_prototypes(
        logits_of_rows, images, OptimizerSettings(learning_rate=0.07)
    )
    assert made.converged.sum() == 6
    np.testing.assert_allclose(made.images.mean(axis=(-1, -2)), expected, atol=1e-5)
    np.testing.assert_allclose(
        made.losses[~np.eye(3, dtype=bool)], np.log1p(np.exp(-4) / 2), rtol=1e-3
    )


def test_others_are_pushed_down_at_the_boundary():
    # Halfway they are 3 logits below, log(1 + e^-3 / 2) = 0.025: too much.
    image = np.array([[0.8, 0.2, 0.2], [0.2, 0.8, 0.2], [0.2, 0.2, 0.8]])
    images = np.broadcast_to(image[:, :, None, None], (3, 3, 4, 1))
    made = prototype_images.boundary_prototypes(logits_of_rows, images)
    rows = made.images[1, 0].mean(axis=(1, 2))
    assert made.converged[1, 0]
    assert abs(rows[0] - rows[1]) < 0.001
    # Where log(1 + e^-d / 2) = 0.01: d = -log(2 (e^0.01 - 1)) = 3.907.
    assert 10 * (rows[0] - rows[2]) == pytest.approx(3.907, abs=0.1)


def test_loss_at_the_tie_is_accurate_and_so_is_its_gradient(rng):
    pairs = np.array([[0, 2], [3, 1], [2, 4], [1, 0], [4, 3], [0, 1], [0, 1]])
    logits = np.full((len(pairs), 5), -25.0) + rng.uniform(-1, 1, (len(pairs), 5))
    gaps = [0, 1e-3, -1e-2, 1.9999, 2.0001, -40, 400]
    for row, (pair, gap) in enumerate(zip(pairs, gaps, strict=True)):
        logits[row, pair] = 7 + gap / 2, 7 - gap / 2
    logits = logits.astype(np.float32)
    with tf.GradientTape() as tape:
        variable = tf.constant(logits)
        tape.watch(variable)
        losses, _ = objectives.Tie(0.01)(variable, tf.constant(pairs, tf.int32))
    gradient = tape.gradient(losses, variable)

    # In float64: log(1 - q) from the others alone, log cosh as log1p(2 sinh^2).
    z = logits.astype(np.float64)
    each = np.arange(len(pairs))[:, None]
    p = np.exp(z - z.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    goal = np.zeros_like(p)
    goal[each, pairs] = 0.5
    half_gaps = (z[each, pairs] @ [1, -1]) / 2
    expected = np.log1p(2 * np.sinh(half_gaps / 2) ** 2) - np.log1p(
        -np.where(goal > 0, 0, p).sum(axis=1)
    )
    np.testing.assert_allclose(losses, expected, rtol=1e-5)
    # By the definition: p minus the distribution to reach.
    np.testing.assert_allclose(gradient, p - goal, atol=1e-7)
    np.testing.assert_allclose(losses[1], 1e-6 / 8, rtol=1e-3)


def test_class_prototypes_are_what_they_say(probe, prototypes):
    assert prototypes.images.shape == (2, NUM_CLASSES, 32, 32, 3)
    assert prototypes.converged.all()
    targets = np.broadcast_to(np.arange(NUM_CLASSES), (2, NUM_CLASSES))
    fresh = cross_entropy(probe, prototypes.images, targets)
    assert (fresh < 0.01).all()
    np.testing.assert_allclose(fresh, prototypes.losses.ravel(), rtol=1e-3)
    np.testing.assert_array_equal(prototypes.logits.argmax(axis=-1), targets)
    assert (prototypes.iterations > 0).all()


def test_intermediary_prototypes_go_from_origin_to_target(probe, prototypes):
    made = prototype_images.intermediary_prototypes(
        probe, prototypes.images[0, :4], FAST
    )
    assert made.images.shape == (4, 4, 32, 32, 3)
    assert made.converged.all()
    targets = np.broadcast_to(np.arange(4)[:, None], (4, 4))
    assert (cross_entropy(probe, made.images, targets) < 0.01).all()
    diagonal = made.images[np.arange(4), np.arange(4)]
    np.testing.assert_array_equal(diagonal, prototypes.images[0, :4])
    assert (made.iterations[np.arange(4), np.arange(4)] == 0).all()
    # P[k, j] is nearer to where it comes from, j, than to any other prototype.
    distance = np.linalg.norm(
        (made.images[:, :, None] - prototypes.images[0, :4]).reshape(4, 4, 4, -1),
        axis=-1,
    )
    nearest = distance.argmin(axis=-1)
    np.testing.assert_array_equal(nearest, np.broadcast_to(np.arange(4), (4, 4)))


def test_boundary_prototypes_have_their_two_classes_on_top(probe, boundary):
    assert boundary.images.shape == (1, NUM_CLASSES, NUM_CLASSES, 32, 32, 3)
    np.testing.assert_array_equal(boundary.converged[0], OFF_DIAGONAL)
    targets, origins = np.nonzero(OFF_DIAGONAL)
    fresh = probe.logits(boundary.images[0][OFF_DIAGONAL]).numpy().astype(np.float64)
    each = np.arange(len(fresh))
    gaps = fresh[each, targets] - fresh[each, origins]
    rounding = 1e-4
    assert (np.abs(boundary.gaps[0][OFF_DIAGONAL]) < 0.01).all()
    np.testing.assert_allclose(gaps, boundary.gaps[0][OFF_DIAGONAL], atol=rounding)
    on_top = np.sort(np.argsort(fresh, axis=1)[:, -2:], axis=1)
    np.testing.assert_array_equal(
        on_top, np.sort(np.stack([targets, origins], axis=1), axis=1)
    )
    probabilities = np.exp(fresh - np.log(np.exp(fresh).sum(axis=1, keepdims=True)))
    others = 1 - probabilities[each, targets] - probabilities[each, origins]
    assert (others < -np.expm1(-0.01) + rounding).all()
    excess = -np.log(
        probabilities[each, targets] * probabilities[each, origins]
    ) / 2 - np.log(2)
    np.testing.assert_allclose(excess, boundary.losses[0][OFF_DIAGONAL], atol=rounding)


def test_boundary_is_nearer_to_the_origin_than_the_target_is(prototypes, boundary):
    origins = prototypes.images[0].reshape(NUM_CLASSES, -1)
    moved = np.linalg.norm(
        boundary.images[0].reshape(NUM_CLASSES, NUM_CLASSES, -1) - origins, axis=-1
    )
    apart = np.linalg.norm(origins[:, None] - origins, axis=-1)
    assert (moved[OFF_DIAGONAL] > 0).all()
    assert (moved[OFF_DIAGONAL] < apart[OFF_DIAGONAL]).all()


def test_boundary_loss_falls(probe, prototypes):
    losses = []
    for iterations in (0, 5, 30):
        settings = OptimizerSettings(learning_rate=0.1, max_iterations=iterations)
        made = prototype_images.boundary_prototypes(
            probe, prototypes.images[0], settings
        )
        losses.append(np.nanmean(made.losses))
        assert made.images.min() >= 0
        assert made.images.max() <= 1
        assert (made.iterations <= iterations).all()
    assert losses[0] > losses[1] > losses[2]


@pytest.mark.parametrize("rule", ["sgd", "adam"])
def test_boundary_prototypes_have_an_update_rule_of_their_own(rule):
    image = np.broadcast_to(
        np.array([[0.7, 0.4], [0.1, 0.9]])[:, :, None, None], (2, 2, 3, 1)
    )
    made, by_default = (
        prototype_images.boundary_prototypes(
            logits_of_rows, image, OptimizerSettings(update_rule=rule, frame_every=3)
        )
        for rule in (rule, "normalized")
    )
    np.testing.assert_array_equal(made.images, by_default.images)


def test_prototypes_go_on_from_an_earlier_interval(probe, prototypes):
    made = prototype_images.class_prototypes(probe, prototypes.images, FAST)
    assert (made.iterations == 0).all()
    np.testing.assert_array_equal(made.images, prototypes.images)


def test_keras_model_probe_and_function_are_the_same(
    digits_classifier, probe, noise, prototypes
):
    for model in (digits_classifier, probe.logits):
        made = prototype_images.class_prototypes(model, noise, FAST)
        np.testing.assert_allclose(made.images, prototypes.images, atol=1e-6)


@keras.saving.register_keras_serializable()
class CountingModel(keras.Model):
    """A model that counts how often it is traced."""

    def __init__(self):
        super().__init__()
        self.dense = keras.layers.Dense(
            3, kernel_initializer=keras.initializers.RandomNormal(seed=0)
        )
        self.dropout = keras.layers.Dropout(0.5, seed=0)
        self.num_traces = 0

    def call(self, images, training=None):
        self.num_traces += 1
        flat = keras.ops.reshape(images, (-1, 16))
        return self.dense(self.dropout(flat, training=training))


def test_keras_model_is_compiled_once_and_its_new_weights_are_seen(rng):
    model = CountingModel()
    start = rng.random((3, 4, 4, 1))
    settings = OptimizerSettings(learning_rate=0.1, max_iterations=50)
    first = prototype_images.class_prototypes(model, start, settings)
    # Given images are looked at, by another program.
    prototype_images.intermediary_prototypes(model, first.images, settings)
    num_traces = model.num_traces
    # Not in training mode, where half of the pixels would be dropped.
    np.testing.assert_allclose(
        first.logits, model(first.images, training=False), atol=1e-5
    )
    num_traces += 1
    again = prototype_images.class_prototypes(model, start, settings)
    np.testing.assert_array_equal(again.images, first.images)
    prototype_images.intermediary_prototypes(model, again.images, settings)
    assert model.num_traces == num_traces
    kernel, bias = model.dense.get_weights()
    model.dense.set_weights([-kernel, bias])
    other = prototype_images.class_prototypes(model, start, settings)
    assert model.num_traces == num_traces
    np.testing.assert_allclose(
        other.logits, other.images.reshape(3, 16) @ -kernel + bias, atol=1e-5
    )


# Bytes by which the peak grows from 100 classes at a time to 1,000.
GROWTH = """
import resource
import numpy as np
import tensorflow as tf
from keras_confusion.models.probe import Probe
from keras_confusion.prototypes import images, readability
from keras_confusion.prototypes.optimizer import parametrizations, settings

kernel = tf.random.stateless_normal((3, 3, 3, 64), (0, 0))
weights = tf.random.stateless_normal((64, 1000), (0, 1))

def logits(batch):
    units = tf.nn.relu(tf.nn.conv2d(batch, kernel, 1, "SAME"))
    return tf.reduce_mean(units, axis=(1, 2)) @ weights

fourier = parametrizations.parametrization("fourier", (16, 16, 3))
chosen = settings.settled(fourier, until_threshold=("normalized", 0.1), steps=4)
probe = Probe(logits, None, (16, 16, 3), tuple(map(str, range(1000))), "wide")

def peak(num_classes):
    start = images.starts([0], num_classes, fourier)
    made = images.class_prototypes(logits, start, chosen)
    readability.transfer(made.images, np.arange(num_classes), {"itself": probe})
    assert made.images.shape == (1, num_classes, 16, 16, 3)
    assert made.iterations.min() == 4
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

few = peak(100)
print(peak(1000) - few)
"""


def test_a_thousand_classes_take_hardly_more_memory_than_a_hundred():
    done = subprocess.run(
        [sys.executable, "-c", GROWTH], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    # 45 MB; 230 MB where 1,000 images are optimised at a time.
    assert int(done.stdout) < 100e6


def test_noise_is_a_function_of_the_seed():
    pixels = Pixels((4, 4, 1))
    first, second = prototype_images.starts([3, 4], 2, pixels)
    np.testing.assert_array_equal(first, prototype_images.starts([3], 2, pixels)[0])
    assert np.any(first != second)
    assert 0 <= first.min() < 0.2
    assert 0.8 < first.max() <= 1


@pytest.mark.parametrize(
    ("gap_tolerance", "loss_threshold"),
    [(0.0, 0.01), (-0.01, 0.01), (np.nan, 0.01), (0.01, 0.41), (6.0, 0.01)],
)
def test_boundary_that_lets_a_third_class_on_top_is_refused(
    gap_tolerance, loss_threshold
):
    with pytest.raises(ValueError, match="no third class"):
        prototype_images.boundary_prototypes(
            logits_of_rows,
            np.zeros((3, 3, 4, 1)),
            OptimizerSettings(loss_threshold=loss_threshold),
            gap_tolerance=gap_tolerance,
        )


def test_too_few_axes_or_classes_are_refused():
    with pytest.raises(ValueError, match=r"\.\.\., K, height.*\(4, 4, 1\)"):
        prototype_images.class_prototypes(logits_of_rows, np.zeros((4, 4, 1)))
    with pytest.raises(ValueError, match="at least two"):
        prototype_images.boundary_prototypes(logits_of_rows, np.zeros((1, 4, 4, 1)))
