import numpy as np
import pytest
import tensorflow as tf

from keras_confusion.models.attacks.deepfool import deepfool

IMAGE_SHAPE = (4, 4, 3)


def affine(weights, bias):
    """Logits `bias + weights . pixels`."""

    def logits(images):
        pixels = tf.reshape(images, (tf.shape(images)[0], len(weights[0])))
        return pixels @ np.float32(weights).T + np.float32(bias)

    return logits


@pytest.fixture(scope="module")
def logits(digits_classifier):
    return lambda images: digits_classifier(images, training=False)


@pytest.fixture(scope="module")
def images(digits):
    return np.float32(digits.test.images[:20] / 255)


@pytest.fixture(scope="module")
def attacked(logits, images):
    return deepfool(logits, images)


def test_affine_classifier_by_its_closed_form(rng):
    # Equations 8 and 9 of arXiv 1511.04599: the exact smallest perturbation.
    num_classes, count = 5, 12
    weights = rng.normal(size=(num_classes, np.prod(IMAGE_SHAPE)))
    bias = rng.normal(size=num_classes)
    images = rng.random((3, 4, *IMAGE_SHAPE)).astype(np.float32)
    made = deepfool(affine(weights, bias), images)
    assert made.images.shape == images.shape
    assert made.images.dtype == np.float32
    assert made.fooled.all()
    assert (made.iterations == 1).all()
    flat = images.reshape(count, -1)
    values = flat @ weights.T + bias
    for image, f, got, before, after, norm in zip(
        flat,
        values,
        made.images.reshape(count, -1),
        made.labels_before.ravel(),
        made.labels_after.ravel(),
        made.perturbation_norms.ravel(),
        strict=True,
    ):
        c = f.argmax()
        others = [k for k in range(num_classes) if k != c]
        w = weights[others] - weights[c]
        distances = np.abs(f[others] - f[c]) / np.linalg.norm(w, axis=1)
        nearest = distances.argmin()
        direction = w[nearest] / np.linalg.norm(w[nearest])
        np.testing.assert_allclose(norm, 1.02 * distances[nearest], rtol=1e-4)
        np.testing.assert_allclose(
            got, image + 1.02 * distances[nearest] * direction, atol=1e-5
        )
        assert before == c
        assert after == others[nearest]


# At (0.5, 0.5): logits 1, 0.9 and 0.6. Class 1 is 0.1 behind and its margin has a
# slope of 0.1: it is 1 away. Class 2 is 0.4 behind and its margin has a slope of 2:
# it is 0.2 away, along the second pixel.
THREE_CLASSES = affine([[0, 0], [0.1, 0], [0, 2]], [1, 0.85, -0.4])


@pytest.mark.parametrize(
    ("num_candidates", "moved_to", "label"),
    [(10, (0.5, 0.5 + 1.02 * 0.2), 2), (2, (0.5 + 1.02, 0.5), 1)],
)
def test_nearest_boundary_need_not_be_of_the_second_class(
    num_candidates, moved_to, label
):
    image = np.full((1, 2, 1), 0.5)
    made = deepfool(THREE_CLASSES, image, num_candidates=num_candidates)
    np.testing.assert_allclose(made.images.ravel(), moved_to, rtol=1e-5)
    assert (made.labels_before, made.labels_after) == (0, label)
    assert made.fooled


def test_overshoot_scales_the_perturbation():
    image = np.full((1, 2, 1), 0.5)
    made = deepfool(THREE_CLASSES, image, overshoot=0.5)
    np.testing.assert_allclose(made.perturbation_norms, 1.5 * 0.2, rtol=1e-5)


def test_image_on_a_boundary_leaves_it():
    tie = affine([[0, 0], [3, 4]], [3.5, 0])
    made = deepfool(tie, np.full((1, 2, 1), 0.5))
    assert made.fooled
    assert (made.labels_before, made.labels_after) == (0, 1)
    assert 0 < made.perturbation_norms < 1e-3


def test_digits_are_fooled_by_changes_that_are_as_said(logits, images, attacked):
    assert attacked.fooled.mean() >= 0.9
    before = logits(images).numpy().argmax(axis=1)
    after = logits(attacked.images).numpy().argmax(axis=1)
    np.testing.assert_array_equal(attacked.labels_before, before)
    np.testing.assert_array_equal(attacked.labels_after, after)
    np.testing.assert_array_equal(attacked.fooled, before != after)
    np.testing.assert_allclose(
        attacked.perturbation_norms,
        [np.linalg.norm(change) for change in attacked.images - images],
        rtol=1e-6,
    )


def test_perturbation_is_smaller_than_along_random_directions(
    logits, images, attacked, rng
):
    norms = np.geomspace(0.1, 100, 31)
    num_found = 0
    for image, label, norm, fooled in zip(
        images,
        attacked.labels_before,
        attacked.perturbation_norms,
        attacked.fooled,
        strict=True,
    ):
        directions = rng.normal(size=(10, 1, *image.shape))
        directions /= np.sqrt((directions**2).sum(axis=(2, 3, 4), keepdims=True))
        tried = image + directions * norms[:, None, None, None]
        values = logits(tried.reshape(-1, *image.shape).astype(np.float32)).numpy()
        changed = (values.argmax(axis=1) != label).reshape(10, len(norms)).any(axis=0)
        if fooled and changed.any():
            num_found += 1
            # Ten random directions of thousands: none is nearly as good.
            assert norm < norms[changed.argmax()] / 3
    assert num_found >= 15


def slow_deepfool(logits, image, num_iterations=50):
    """The authors' loop: one image, one class and one gradient at a time."""

    def value_and_gradient(x, k):
        with tf.GradientTape() as tape:
            tape.watch(x)
            value = logits(x[None])[0, k]
        return float(value), tape.gradient(value, x).numpy()

    def label_of(x):
        return int(logits(x[None]).numpy()[0].argmax())

    x0 = x = tf.constant(image)
    num_classes = logits(x[None]).shape[1]
    c = label_of(x)
    total = np.zeros_like(image)
    iterations = 0
    while label_of(x) == c and iterations < num_iterations:
        f_c, g_c = value_and_gradient(x, c)
        best = np.inf
        for k in set(range(num_classes)) - {c}:
            f_k, g_k = value_and_gradient(x, k)
            w_k = g_k - g_c
            if abs(f_k - f_c) / np.linalg.norm(w_k) < best:
                best = abs(f_k - f_c) / np.linalg.norm(w_k)
                step = best * w_k / np.linalg.norm(w_k)
        total += step
        x = x0 + 1.02 * total
        iterations += 1
    return x.numpy(), label_of(x), iterations


def test_agrees_with_a_slow_loop(logits, images, attacked):
    made = [slow_deepfool(logits, image) for image in images[:6]]
    slow_images, slow_labels, slow_iterations = map(np.array, zip(*made, strict=True))
    np.testing.assert_array_equal(attacked.labels_after[:6], slow_labels)
    np.testing.assert_array_equal(attacked.iterations[:6], slow_iterations)
    # The network has kinks: rounding may grow from step to step.
    np.testing.assert_allclose(attacked.images[:6], slow_images, atol=1e-3)
    slow_norms = [np.linalg.norm(c) for c in slow_images - images[:6]]
    np.testing.assert_allclose(attacked.perturbation_norms[:6], slow_norms, rtol=1e-3)


def test_result_does_not_depend_on_the_rest_of_the_batch(
    logits, images, attacked, monkeypatch
):
    monkeypatch.setattr("keras_confusion.models.attacks.deepfool._BATCH_SIZE", 3)
    made = deepfool(logits, images[4:11])
    np.testing.assert_array_equal(made.iterations, attacked.iterations[4:11])
    np.testing.assert_array_equal(made.labels_after, attacked.labels_after[4:11])
    np.testing.assert_allclose(made.images, attacked.images[4:11], atol=1e-3)


def test_constant_classifier_is_not_fooled():
    made = deepfool(
        lambda images: tf.tile([[1.0, 3.0, 2.0]], (tf.shape(images)[0], 1)),
        np.full((2, *IMAGE_SHAPE), 0.5),
    )
    assert not made.fooled.any()
    assert (made.iterations == 0).all()
    assert (made.labels_before == 1).all()
    np.testing.assert_array_equal(made.images, 0.5)


def test_classifier_of_one_class_is_not_fooled():
    made = deepfool(affine([[1, 1]], [0]), np.full((1, 2, 1), 0.5))
    assert not made.fooled
    assert made.iterations == 0


def test_logits_that_are_not_numbers_end_as_not_fooled():
    def logits(images):
        bright = tf.reduce_mean(images, axis=(1, 2, 3)) > 0.9
        return tf.where(bright[:, None], np.nan, THREE_CLASSES(images))

    images = np.full((3, 1, 2, 1), 0.5)
    images[1] = 1
    made = deepfool(logits, images)
    np.testing.assert_array_equal(made.fooled, [True, False, True])
    np.testing.assert_array_equal(made.labels_before, [0, -1, 0])
    np.testing.assert_array_equal(made.labels_after, [2, -1, 2])
    np.testing.assert_array_equal(made.iterations, [1, 0, 1])
    np.testing.assert_array_equal(made.images[1], 1)


def test_step_to_where_logits_are_not_numbers_is_not_fooled():
    def logits(images):
        outside = tf.reduce_max(images, axis=(1, 2, 3)) > 0.6
        return tf.where(outside[:, None], np.nan, THREE_CLASSES(images))

    made = deepfool(logits, np.full((1, 2, 1), 0.5))
    assert not made.fooled
    assert made.iterations == 1
    assert (made.labels_before, made.labels_after) == (0, -1)


@pytest.mark.parametrize(
    ("bad_classes", "label", "iterations"),
    # Without class 2 on to class 1, which is further away; without both nowhere.
    [((0, 0, 1), 1, 1), ((0, 1, 1), 0, 0)],
)
def test_gradients_that_are_not_numbers_are_not_followed(
    bad_classes, label, iterations
):
    def logits(images):
        # The length of nothing: its slope is infinity times 0.
        nothing = tf.sqrt((images[:, 0, :1, 0] - 0.5) ** 2)
        return THREE_CLASSES(images) - np.float32(bad_classes) * nothing

    made = deepfool(logits, np.full((1, 2, 1), 0.5))
    assert (made.labels_before, made.labels_after) == (0, label)
    assert made.fooled == (label != 0)
    assert made.iterations == iterations


def test_what_is_never_fooled_ends_after_the_iterations():
    def logits(images):
        wave = tf.sin(20 * tf.reduce_mean(images, axis=(1, 2, 3)))
        return tf.stack([tf.ones_like(wave), 0.5 * wave], axis=1)

    made = deepfool(logits, np.full((1, *IMAGE_SHAPE), 0.5), max_iterations=7)
    assert not made.fooled
    assert made.iterations == 7
    assert made.perturbation_norms > 0


def test_same_function_is_traced_once():
    num_calls = 0

    def logits(images):
        nonlocal num_calls
        num_calls += 1
        return THREE_CLASSES(images)

    deepfool(logits, np.full((1, 2, 1), 0.5))
    num_traced = num_calls
    deepfool(logits, np.full((5, 3, 1, 2, 1), 0.5))
    assert num_calls == num_traced > 0


def test_no_images_are_none_attacked():
    made = deepfool(THREE_CLASSES, np.zeros((0, 1, 2, 1)))
    assert made.images.shape == (0, 1, 2, 1)
    assert made.fooled.shape == (0,)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"num_candidates": 1}, "`num_candidates` of at least 2.*Received: 1"),
        ({"overshoot": -0.1}, "`overshoot` of 0 or more.*Received: -0.1"),
        ({"overshoot": np.nan}, "`overshoot` of 0 or more.*Received: nan"),
        ({"max_iterations": 0}, "`max_iterations` of at least 1.*Received: 0"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        deepfool(THREE_CLASSES, np.full((1, 2, 1), 0.5), **settings)


@pytest.mark.parametrize("pixel", [2.0, -0.5, np.nan])
def test_images_out_of_range_are_refused(pixel):
    with pytest.raises(ValueError, match=rf"in \[0, 1\].*{pixel}"):
        deepfool(THREE_CLASSES, np.full((1, 2, 1), pixel))
