import numpy as np
import pytest
import tensorflow as tf

from keras_confusion import prototypes, saving
from keras_confusion.prototypes import OptimizerSettings

NUM_CLASSES = 10
FAST = OptimizerSettings(learning_rate=0.3)


def linear_logits(images):
    """Two classes told apart by the mean of the left and right half of an image."""
    left = tf.reduce_mean(images[:, :, :2], axis=(1, 2, 3))
    right = tf.reduce_mean(images[:, :, 2:], axis=(1, 2, 3))
    return 10 * tf.stack([left - right, right - left], axis=1)


@pytest.fixture(scope="module")
def probe(digits_classifier):
    return saving.probe_of(digits_classifier, map(str, range(NUM_CLASSES)))


@pytest.fixture(scope="module")
def noise():
    return prototypes.noise([0, 1], NUM_CLASSES, (32, 32, 3))


@pytest.fixture(scope="module")
def of_classes(probe, noise):
    return prototypes.class_prototypes(probe.logits, noise, FAST)


def cross_entropy(probe, images, targets):
    probabilities = probe.predict(images.reshape(-1, 32, 32, 3))
    return -np.log(probabilities[np.arange(len(probabilities)), targets.ravel()])


def test_first_step_by_hand():
    # Grey image: logits 0, so p = 1/2 and the gradient of the cross-entropy toward
    # class 0 is -1/2 * 10 * 2 / 8 = -1.25 on each of 8 left pixels, +1.25 on the right.
    start = np.full((1, 4, 4, 1), 0.5, np.float32)

    def one_step(rule):
        settings = OptimizerSettings(
            update_rule=rule, learning_rate=0.08, max_iterations=1
        )
        made = prototypes.optimize_images(linear_logits, start, [0], settings)
        assert made.iterations == [1]
        return made.images[0, 0, :, 0]

    np.testing.assert_allclose(one_step("sgd"), [0.6, 0.6, 0.4, 0.4], atol=1e-6)
    # |g| = sqrt(16 * 1.25^2) = 5: each pixel moves by 0.08 * 1.25 / 5.
    np.testing.assert_allclose(one_step("normalized"), [0.52] * 2 + [0.48] * 2)
    # Adam's first step is the sign of the gradient times the rate.
    np.testing.assert_allclose(one_step("adam"), [0.58] * 2 + [0.42] * 2, atol=1e-6)


@pytest.mark.parametrize("rule", prototypes.UPDATE_RULES)
def test_loss_falls_and_pixels_stay_in_range(rule, probe, noise):
    losses = []
    for iterations in (0, 3, 30):
        settings = OptimizerSettings(
            update_rule=rule, learning_rate=0.05, max_iterations=iterations
        )
        made = prototypes.class_prototypes(probe.logits, noise[0], settings)
        losses.append(made.losses.mean())
        assert made.images.min() >= 0
        assert made.images.max() <= 1
    assert losses[0] > losses[1] > losses[2]


def test_gradient_is_the_numerical_one(probe, noise):
    images = tf.constant(noise[0, :2])
    targets = [3, 5]

    def loss(images):
        return tf.nn.sparse_softmax_cross_entropy_with_logits(
            targets, probe.logits(images)
        )

    directions = tf.random.stateless_normal((4, *images.shape), seed=(1, 2))
    with tf.GradientTape() as tape:
        tape.watch(images)
        total = tf.reduce_sum(loss(images))
    gradient = tape.gradient(total, images)
    # Mixed with the gradient: across it the change drowns in float32.
    scale = tf.norm(gradient) / tf.norm(directions[0])
    for direction in [gradient, *(gradient + 3 * scale * d for d in directions)]:
        step = 0.02 * direction / tf.norm(direction)
        change = tf.reduce_sum(loss(images + step) - loss(images - step)) / 2
        np.testing.assert_allclose(change, tf.reduce_sum(gradient * step), rtol=0.02)


def test_class_prototypes_are_what_they_say(probe, of_classes):
    assert of_classes.images.shape == (2, NUM_CLASSES, 32, 32, 3)
    assert of_classes.converged.all()
    targets = np.broadcast_to(np.arange(NUM_CLASSES), (2, NUM_CLASSES))
    fresh = cross_entropy(probe, of_classes.images, targets)
    assert (fresh < 0.01).all()
    np.testing.assert_allclose(fresh, of_classes.losses.ravel(), rtol=1e-3)
    assert (of_classes.iterations > 0).all()


def test_intermediary_prototypes_go_from_origin_to_target(probe, of_classes):
    made = prototypes.intermediary_prototypes(
        probe.logits, of_classes.images[0, :4], FAST
    )
    assert made.images.shape == (4, 4, 32, 32, 3)
    assert made.converged.all()
    targets = np.broadcast_to(np.arange(4)[:, None], (4, 4))
    assert (cross_entropy(probe, made.images, targets) < 0.01).all()
    diagonal = made.images[np.arange(4), np.arange(4)]
    np.testing.assert_array_equal(diagonal, of_classes.images[0, :4])
    assert (made.iterations[np.arange(4), np.arange(4)] == 0).all()
    # P[k, j] is nearer to where it comes from, j, than to any other prototype.
    distance = np.linalg.norm(
        (made.images[:, :, None] - of_classes.images[0, :4]).reshape(4, 4, 4, -1),
        axis=-1,
    )
    nearest = distance.argmin(axis=-1)
    np.testing.assert_array_equal(nearest, np.broadcast_to(np.arange(4), (4, 4)))


@pytest.mark.parametrize("batch_size", [1, 3, 7])
def test_result_does_not_depend_on_the_rest_of_the_batch(
    batch_size, probe, noise, of_classes
):
    settings = OptimizerSettings(learning_rate=0.3, batch_size=batch_size)
    made = prototypes.class_prototypes(probe.logits, noise[1, :5], settings)
    np.testing.assert_array_equal(made.iterations, of_classes.iterations[1, :5])
    np.testing.assert_allclose(made.images, of_classes.images[1, :5], atol=2e-3)
    np.testing.assert_allclose(made.losses, of_classes.losses[1, :5], rtol=1e-2)


def test_what_does_not_converge_is_flagged(probe, noise):
    settings = OptimizerSettings(learning_rate=1e-4, max_iterations=12)
    made = prototypes.class_prototypes(probe.logits, noise[0], settings)
    assert not made.converged.any()
    assert (made.iterations == 12).all()
    assert (made.losses > 0.01).all()


def test_loss_that_is_not_a_number_ends_as_not_converged():
    start = np.full((2, 4, 4, 1), 0.5, np.float32)
    made = prototypes.optimize_images(
        lambda images: linear_logits(images) * np.nan,
        start,
        [0, 1],
        OptimizerSettings(max_iterations=15),
    )
    assert not made.converged.any()
    assert np.isnan(made.losses).all()


def test_prototypes_go_on_from_an_earlier_interval(probe, of_classes):
    made = prototypes.class_prototypes(probe.logits, of_classes.images, FAST)
    assert (made.iterations == 0).all()
    np.testing.assert_array_equal(made.images, of_classes.images)


def test_frames_lead_from_the_first_image_to_the_last(probe, noise):
    settings = OptimizerSettings(learning_rate=0.1, frame_every=5)
    made = prototypes.class_prototypes(probe.logits, noise[0, :3], settings)
    assert len(made.frames) == 3
    for frames, image, start, iterations in zip(
        made.frames, made.images, noise[0], made.iterations, strict=False
    ):
        assert len(frames) == 1 + -(-iterations // 5)
        np.testing.assert_array_equal(frames[0], start)
        np.testing.assert_array_equal(frames[-1], image)


def test_progress_counts_up_to_all_images(probe, noise):
    seen = []
    settings = OptimizerSettings(learning_rate=0.3, batch_size=4)
    prototypes.class_prototypes(
        probe.logits,
        noise[0],
        settings,
        on_progress=lambda *counts: seen.append(counts),
    )
    done = [count for count, _ in seen]
    assert done == sorted(set(done))
    assert seen[-1] == (NUM_CLASSES, NUM_CLASSES)


def test_noise_is_a_function_of_the_seed():
    first, second = prototypes.noise([3, 4], 2, (4, 4, 1))
    np.testing.assert_array_equal(first, prototypes.noise([3], 2, (4, 4, 1))[0])
    assert np.any(first != second)
    assert 0 <= first.min() < 0.2
    assert 0.8 < first.max() <= 1


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"update_rule": "newton"}, "'normalized', 'sgd', 'adam'"),
        ({"learning_rate": 0.0}, "`learning_rate` above 0"),
        ({"loss_threshold": -1.0}, "`loss_threshold` above 0"),
        ({"max_iterations": -1}, "`max_iterations` of 0 or more"),
        ({"frame_every": 0}, "`frame_every` of at least 1"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings, message):
    start = np.full((1, 4, 4, 1), 0.5)
    with pytest.raises(ValueError, match=message):
        prototypes.optimize_images(
            linear_logits, start, [0], OptimizerSettings(**settings)
        )


def test_images_out_of_range_are_refused():
    with pytest.raises(ValueError, match=r"in \[0, 1\].*2\.0"):
        prototypes.optimize_images(linear_logits, np.full((1, 4, 4, 1), 2.0), [0])
