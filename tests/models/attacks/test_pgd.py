import numpy as np
import pytest
import tensorflow as tf

from keras_confusion.models.attacks import pgd

IMAGE_SHAPE = (4, 4, 3)
NUM_PIXELS = 48
EPS = {"l2": 0.1, "linf": 0.02}


@pytest.fixture(scope="module")
def weights():
    return np.random.default_rng(3).normal(size=(2, NUM_PIXELS)).astype(np.float32)


@pytest.fixture(scope="module")
def images():
    """Far from black and white, so that no change is clipped."""
    rng = np.random.default_rng(4)
    return rng.uniform(0.3, 0.7, (400, *IMAGE_SHAPE)).astype(np.float32)


def affine(weights, scale=1.0):
    def logits(images):
        pixels = tf.reshape(images, (-1, NUM_PIXELS)) - 0.5
        return scale * pixels @ weights.T

    return logits


def answers(logits, images):
    return np.argmax(logits(images), axis=1)


def sizes(changes, norm):
    flat = changes.reshape(len(changes), -1)
    return np.linalg.norm(flat, axis=1, ord={"l2": 2, "linf": np.inf}[norm])


@pytest.mark.parametrize("norm", pgd.NORMS)
# Of a network that is so sure the cross-entropy is 0, and so is its gradient.
@pytest.mark.parametrize("scale", [1.0, 1e4])
def test_affine_classifier_falls_at_the_distance_of_its_boundary(
    weights, images, norm, scale
):
    logits = affine(weights, scale)
    labels = answers(logits, images)
    normal = weights[1] - weights[0]
    margins = np.abs((images.reshape(-1, NUM_PIXELS) - 0.5) @ normal)
    # By the dual norm.
    distances = margins / np.linalg.norm(normal, ord={"l2": 2, "linf": 1}[norm])
    for eps in (0.5 * EPS[norm], EPS[norm], 2 * EPS[norm]):
        attacked = pgd.pgd(logits, images, labels, norm=norm, eps=eps)
        fooled = answers(logits, attacked) != labels
        assert 0.05 < fooled.mean() < 0.95
        # On a ball the steps go on to turn toward the boundary.
        reached = {"l2": 0.95, "linf": 0.999}[norm]
        clear = (distances < reached * eps) | (distances > 1.001 * eps)
        np.testing.assert_array_equal(fooled[clear], (distances < eps)[clear])
        assert sizes(attacked - images, norm).max() < eps * (1 + 1e-5)


@pytest.mark.parametrize("norm", pgd.NORMS)
def test_robust_accuracy_is_of_images_that_are_right_at_all(weights, images, norm):
    logits = affine(weights)
    labels = answers(logits, images)
    labels[:100] = 1 - labels[:100]
    shares = pgd.robust_accuracy(
        logits, images, labels, norm=norm, eps=[0.0, EPS[norm], 20 * EPS[norm]]
    )
    assert shares[0] == 0.75
    attacked = pgd.pgd(logits, images, labels, norm=norm, eps=EPS[norm])
    assert shares[1] == (answers(logits, attacked) == labels).mean()
    assert 0.1 < shares[1] < 0.7
    assert shares[2] == 0
    # What is wrong already stays as it is.
    np.testing.assert_array_equal(attacked[:100], images[:100])


def test_attacked_images_are_images(weights):
    rng = np.random.default_rng(5)
    images = rng.integers(0, 2, (50, *IMAGE_SHAPE)).astype(np.float32)
    logits = affine(weights)
    labels = answers(logits, images)
    attacked = pgd.pgd(logits, images, labels, norm="linf", eps=0.3)
    assert attacked.min() >= 0
    assert attacked.max() <= 1
    assert (attacked != images).any()


def test_restarts_find_what_one_start_misses():
    """Left of -0.02 the slope leads to where the network is wrong, elsewhere away."""

    def logits(images):
        x = tf.reduce_mean(images, axis=(1, 2, 3)) - 0.5
        own = tf.where(x < -0.02, 1e3 * (x + 0.045), 20 - x)
        return tf.stack([tf.zeros_like(x), own], axis=1)

    images = np.full((40, 1, 1, 1), 0.5, np.float32)
    labels = np.ones(40, int)
    shares = [
        pgd.robust_accuracy(
            logits, images, labels, norm="linf", eps=[0.05], restarts=restarts
        )[0]
        for restarts in (1, 20)
    ]
    assert shares[1] < shares[0] < 1


def test_same_seed_same_images(weights, images):
    logits = affine(weights)
    labels = answers(logits, images)

    def attacked(seed):
        return pgd.pgd(logits, images, labels, norm="l2", eps=0.05, steps=1, seed=seed)

    np.testing.assert_array_equal(attacked(1), attacked(1))
    assert (attacked(1) != attacked(2)).any()


@pytest.mark.parametrize("norm", pgd.NORMS)
def test_one_step_is_the_step_by_hand(weights, images, norm):
    logits = affine(weights)
    labels = answers(logits, images)
    moved = pgd.one_step(
        logits, images, labels, norm=norm, eps=EPS[norm], seed=(1, 2)
    ).numpy()
    change = moved - images
    start = pgd._random_start(images, norm, EPS[norm], (1, 2)).numpy() - images
    # One direction for all images of a class: away from it.
    direction = np.where(labels[:, None], -1, 1) * (weights[1] - weights[0])
    step = (
        np.sign(direction)
        if norm == "linf"
        else direction / sizes(direction, "l2")[:, None]
    )
    expected = start.reshape(-1, NUM_PIXELS) + 1.25 * EPS[norm] * step
    if norm == "linf":
        expected = np.clip(expected, -EPS[norm], EPS[norm])
    else:
        lengths = sizes(expected, "l2")[:, None]
        expected *= np.minimum(1, EPS[norm] / lengths)
    np.testing.assert_allclose(change.reshape(-1, NUM_PIXELS), expected, atol=1e-6)
    # Starts fill the ball.
    shares = sizes(start, norm) / EPS[norm]
    assert shares.max() <= 1 + 1e-5
    assert len(np.unique(shares)) > 300 or norm == "linf"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"norm": "l1"}, r"norm of \['l2', 'linf'\]. Received: 'l1'"),
        ({"eps": -1}, "finite `eps` of 0 or more. Received: -1"),
        ({"eps": np.nan}, "finite `eps`"),
        ({"steps": 0}, "`steps` and `restarts` of at least 1"),
        ({"restarts": 0}, "`steps` and `restarts` of at least 1"),
    ],
)
def test_settings_that_make_no_sense_are_refused(weights, images, changes, message):
    settings = {"norm": "l2", "eps": 0.1} | changes
    with pytest.raises(ValueError, match=message):
        pgd.pgd(affine(weights), images, np.zeros(len(images)), **settings)
