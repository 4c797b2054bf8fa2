import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from keras_confusion.models import probe as model_probe
from keras_confusion.models.image_statistics import ImageStatistics
from keras_confusion.prototypes import images as prototype_images
from keras_confusion.prototypes.optimizer import (
    objectives,
    parametrizations,
    update_rules,
)
from keras_confusion.prototypes.optimizer import settings as optimizer_settings
from keras_confusion.prototypes.optimizer.drafting import DraftedLogits
from keras_confusion.prototypes.optimizer.image_optimizer import optimize_images
from keras_confusion.prototypes.optimizer.parametrizations import (
    Pixels,
    parametrization,
)
from keras_confusion.prototypes.optimizer.settings import OptimizerSettings

NUM_CLASSES = 10


def linear_logits(images):
    """Two classes told apart by the mean of the left and right half of an image."""
    left = tf.reduce_mean(images[:, :, :2], axis=(1, 2, 3))
    right = tf.reduce_mean(images[:, :, 2:], axis=(1, 2, 3))
    return 10 * tf.stack([left - right, right - left], axis=1)


def images_at_distances(distances):
    """Images for `linear_logits` that take ever longer to class 0."""
    halves = 0.5 + np.asarray(distances)[:, None] / 2 * [-1, -1, 1, 1]
    return np.broadcast_to(halves[:, None, :, None], (len(distances), 4, 4, 1))


@pytest.fixture(scope="module")
def probe(digits_classifier):
    return model_probe.probe_of(digits_classifier, map(str, range(NUM_CLASSES)))


@pytest.fixture(scope="module")
def noise():
    return prototype_images.starts([0], NUM_CLASSES, Pixels((32, 32, 3)))[0]


def optimize_to_each_class(probe, start, **settings):
    return optimize_images(
        probe.logits, start, np.arange(len(start)), OptimizerSettings(**settings)
    )


def test_first_step_by_hand():
    # Grey image: logits 0, so p = 1/2 and the gradient of the cross-entropy toward
    # class 0 is -1/2 * 10 * 2 / 8 = -1.25 on each of 8 left pixels, +1.25 on the right.
    start = np.full((1, 4, 4, 1), 0.5, np.float32)

    def one_step(rule, learning_rate=0.08):
        settings = OptimizerSettings(
            update_rule=rule, learning_rate=learning_rate, max_iterations=1
        )
        made = optimize_images(linear_logits, start, [0], settings)
        assert made.iterations == [1]
        return made.images[0, 0, :, 0]

    np.testing.assert_allclose(one_step("sgd"), [0.6, 0.6, 0.4, 0.4], atol=1e-6)
    # |g| = sqrt(16 * 1.25^2) = 5: each pixel moves by 0.08 * 1.25 / 5.
    np.testing.assert_allclose(one_step("normalized"), [0.52] * 2 + [0.48] * 2)
    # Adam's first step is the sign of the gradient times the rate.
    np.testing.assert_allclose(one_step("adam"), [0.58] * 2 + [0.42] * 2, atol=1e-6)
    # The loss is log 2: Polyak's step has length log(2) / 5 = 0.1386, unless that is
    # more than the rate; each pixel moves by a quarter of it.
    np.testing.assert_allclose(one_step("polyak"), [0.52] * 2 + [0.48] * 2)
    np.testing.assert_allclose(
        one_step("polyak", learning_rate=1), [0.534657] * 2 + [0.465343] * 2, rtol=1e-5
    )
    # Half of that, unless the rate is less.
    np.testing.assert_allclose(
        one_step("growing", 1), [0.517329] * 2 + [0.482671] * 2, rtol=1e-5
    )
    np.testing.assert_allclose(one_step("growing", 0.04), [0.51] * 2 + [0.49] * 2)


def test_growing_steps_cross_a_flat_landscape():
    # Far from the target the loss is as high as the way is long.
    start = images_at_distances([0.8])
    settings = OptimizerSettings(
        update_rule="growing", learning_rate=1e-3, max_iterations=100
    )
    made = optimize_images(lambda x: 0.1 * linear_logits(x), start, [0], settings)
    way = np.linalg.norm(made.images - start)
    assert way == pytest.approx(1e-3 * (1.02**100 - 1) / 0.02, rel=1e-4)


@pytest.mark.parametrize("rule", update_rules.UPDATE_RULES)
def test_loss_falls_and_pixels_stay_in_range(rule, probe, noise):
    losses = []
    for iterations in (0, 3, 30):
        made = optimize_to_each_class(
            probe,
            noise,
            update_rule=rule,
            learning_rate=0.05,
            max_iterations=iterations,
        )
        losses.append(made.losses.mean())
        assert made.images.min() >= 0
        assert made.images.max() <= 1
    assert losses[0] > losses[1] > losses[2]


def test_gradient_is_the_numerical_one(probe, noise):
    images = tf.constant(noise[:2])
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


@pytest.mark.parametrize("batch_size", [1, 3, 7])
def test_result_does_not_depend_on_the_rest_of_the_batch(batch_size, probe, noise):
    together = optimize_to_each_class(probe, noise, learning_rate=0.3)
    assert together.converged.all()
    assert len(set(together.iterations)) > 3
    made = optimize_to_each_class(
        probe, noise, learning_rate=0.3, batch_size=batch_size
    )
    np.testing.assert_array_equal(made.iterations, together.iterations)
    np.testing.assert_allclose(made.images, together.images, atol=2e-3)
    np.testing.assert_allclose(made.losses, together.losses, rtol=1e-2)
    np.testing.assert_allclose(made.logits, together.logits, atol=0.05)


@pytest.mark.parametrize("rule", update_rules.UPDATE_RULES)
def test_batch_shrinks_to_the_slow_images_without_changing_them(rule):
    sizes = []

    def logits(images):
        tf.py_function(lambda size: sizes.append(int(size)), [tf.shape(images)[0]], [])
        return linear_logits(images)

    # From image to image ever further from the target.
    start = images_at_distances(np.linspace(-0.4, 0.9, 13))
    targets = np.zeros(13, int)
    rate = {"sgd": 0.01, "adam": 0.004}.get(rule, 0.04)
    settings = OptimizerSettings(update_rule=rule, learning_rate=rate, batch_size=9)
    made = optimize_images(logits, start, targets, settings)
    assert made.converged.all()
    assert list(dict.fromkeys(sizes)) == [9, 5, 3, 1]
    for index in (0, 8, 12):
        alone = optimize_images(logits, start[[index]], [0], settings)
        assert alone.iterations == made.iterations[[index]]
        np.testing.assert_allclose(alone.images[0], made.images[index], atol=1e-6)
        np.testing.assert_allclose(alone.losses, made.losses[[index]], rtol=1e-4)


def test_one_program_serves_all_sizes_and_later_calls():
    traces = []

    def logits(images):
        traces.append(images.shape)
        return linear_logits(images)

    start = images_at_distances(np.linspace(-0.4, 0.9, 7))
    settings = OptimizerSettings(batch_size=5)
    optimize_images(logits, start, np.zeros(7), settings)
    assert len(traces) == 1
    optimize_images(logits, start[:3], np.ones(3), settings)
    optimize_images(logits, start[None, :2], [[0, 1]], settings)
    assert len(traces) == 1
    # To look at images is another program.
    for count in (1, 2):
        given = np.arange(3) < count
        optimize_images(logits, start[:3], np.zeros(3), settings, given=given)
    assert len(traces) == 2
    optimize_images(logits, start, np.zeros(7), OptimizerSettings(learning_rate=0.02))
    assert len(traces) == 3


def test_few_programs_are_kept():
    kept = update_rules.compile_programs.cache_info().maxsize
    assert kept is not None
    assert kept <= 8


def test_given_images_are_only_looked_at(probe, noise):
    made = optimize_images(
        probe.logits,
        noise[:2],
        [3, 5],
        OptimizerSettings(max_iterations=5),
        given=[True, False],
    )
    np.testing.assert_array_equal(made.iterations, [0, 5])
    np.testing.assert_array_equal(made.images[0], noise[0])
    assert np.abs(made.images[1] - noise[1]).max() > 0
    np.testing.assert_allclose(made.logits, probe.logits(made.images), atol=1e-4)
    expected = -tf.nn.log_softmax(made.logits).numpy()[[0, 1], [3, 5]]
    np.testing.assert_allclose(made.losses, expected, rtol=1e-5)


def test_what_an_image_misses_comes_before_its_loss():
    # The loss asks for class 0, what is missed for a dark pixel (0, 0): it is dark
    # before any other pixel has moved, and stays so.
    def logits(images):
        return tf.concat([linear_logits(images), images[:, 0, 0]], axis=1)

    def objective(logits, targets):
        losses, _ = objectives.cross_entropy(logits[:, :2], targets)
        return losses, tf.where(logits[:, 2] < 0.05, 0.0, logits[:, 2])

    start = images_at_distances([0.0])
    for iterations in (4, 5000):
        settings = OptimizerSettings(learning_rate=0.1, max_iterations=iterations)
        made = optimize_images(logits, start, [0], settings, objective=objective)
        assert (np.abs(made.images - start) > 1e-6).sum() == (
            1 if iterations == 4 else 16
        )
        assert made.converged == [iterations != 4]
    assert made.images[0, 0, 0, 0] < 0.05


def test_what_does_not_converge_is_flagged(probe, noise):
    made = optimize_to_each_class(probe, noise, learning_rate=1e-4, max_iterations=12)
    assert not made.converged.any()
    assert (made.iterations == 12).all()
    assert (made.losses > 0.01).all()


def test_loss_that_is_not_a_number_ends_as_not_converged():
    start = np.full((2, 4, 4, 1), 0.5, np.float32)
    made = optimize_images(
        lambda images: linear_logits(images) * np.nan,
        start,
        [0, 1],
        OptimizerSettings(max_iterations=15),
    )
    assert not made.converged.any()
    assert np.isnan(made.losses).all()
    np.testing.assert_array_equal(made.iterations, [0, 0])
    np.testing.assert_array_equal(made.images, start)


def test_frames_lead_from_the_first_image_to_the_last(probe, noise):
    made = optimize_to_each_class(probe, noise[:3], learning_rate=0.1, frame_every=5)
    assert len(made.frames) == 3
    for frames, image, start, iterations in zip(
        made.frames, made.images, noise, made.iterations, strict=False
    ):
        assert len(frames) == 1 + -(-iterations // 5)
        np.testing.assert_array_equal(frames[0], start)
        np.testing.assert_array_equal(frames[-1], image)


def test_progress_counts_up_to_all_images(probe, noise):
    seen = []
    optimize_images(
        probe.logits,
        noise,
        np.arange(NUM_CLASSES),
        OptimizerSettings(learning_rate=0.3, batch_size=4),
        on_progress=lambda *counts: seen.append(counts),
    )
    done = [count for count, _ in seen]
    assert done == sorted(set(done))
    assert len(done) > 1
    assert seen[-1] == (NUM_CLASSES, NUM_CLASSES)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"update_rule": "newton"}, "'normalized', 'sgd', 'adam', 'polyak', 'growing'"),
        (
            {"update_rule": "growing", "steps": 9},
            "Received: 'growing'. Use 'adam'",
        ),
        ({"learning_rate": 0.0}, "`learning_rate` above 0"),
        ({"loss_threshold": -1.0}, "`loss_threshold` above 0"),
        ({"max_iterations": -1}, "`max_iterations` of 0 or more"),
        ({"frame_every": 0}, "`frame_every` of at least 1"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings, message):
    start = np.full((1, 4, 4, 1), 0.5)
    with pytest.raises(ValueError, match=message):
        optimize_images(linear_logits, start, [0], OptimizerSettings(**settings))


@pytest.mark.parametrize(
    ("start", "targets", "message"),
    [
        (np.full((1, 4, 4, 1), 2.0), [0], r"in \[0, 1\].*2\.0"),
        (np.full((1, 4, 4, 1), np.nan), [0], r"in \[0, 1\].*nan"),
        (np.zeros((0, 4, 4, 1)), [], "at least one image"),
        (np.zeros((4, 4)), 0, "height, width, channels"),
        (np.zeros((2, 4, 4, 1)), [0, 1, 1], r"`targets` of shape \(2,\).*\(3,\)"),
    ],
)
def test_images_and_targets_that_do_not_fit_are_refused(start, targets, message):
    with pytest.raises(ValueError, match=message):
        optimize_images(linear_logits, start, targets)


def test_image_that_is_done_by_rounding_alone_is_done(noise):
    """As ResNets have other last digits in one program than in another."""
    programs = []

    def exact(images):
        programs.append(len(programs))
        value = 10 * tf.reduce_mean(images, axis=(1, 2, 3)) - 5
        # Where images are only looked at, none is ever sure enough.
        is_look = programs[-1] == 0
        return tf.stack([tf.minimum(value, 1.0) if is_look else value, -value], axis=1)

    def draft(images):
        value = 10 * tf.reduce_mean(images, axis=(1, 2, 3)) - 5
        return tf.stack([value, -value], axis=1)

    settings = OptimizerSettings(learning_rate=3, max_iterations=90)
    by_draft = optimize_images(draft, noise[:2], [0, 0], settings)
    made = optimize_images(DraftedLogits(exact, draft), noise[:2], [0, 0], settings)
    assert programs == [0, 1]
    assert made.converged.all()
    np.testing.assert_array_equal(made.images, by_draft.images)
    np.testing.assert_array_equal(made.iterations, by_draft.iterations)
    assert (made.losses < settings.loss_threshold).all()


@pytest.mark.parametrize("rule", update_rules.UPDATE_RULES)
def test_what_counts_after_a_draft_is_the_exact_word(rule):
    """The draft is done too early for class 0, and too late for class 1."""

    def draft(images):
        return linear_logits(images) + [1.0, -1.0]

    start = images_at_distances(np.linspace(-0.2, 0.5, 8))
    targets = np.arange(8) % 2
    rate = {"sgd": 0.01, "adam": 0.003}.get(rule, 0.03)
    settings = OptimizerSettings(update_rule=rule, learning_rate=rate, batch_size=3)
    drafted = DraftedLogits(linear_logits, draft)
    made = optimize_images(drafted, start, targets, settings)
    by_draft = optimize_images(draft, start, targets, settings)
    alone = optimize_images(linear_logits, start, targets, settings)
    assert made.converged.all()
    assert (made.losses < settings.loss_threshold).all()
    np.testing.assert_allclose(made.logits, linear_logits(made.images), atol=1e-5)
    # Too early: it went on. Too late: it had no reason to.
    assert (made.iterations > by_draft.iterations)[targets == 0].all()
    np.testing.assert_array_equal(
        made.iterations[targets == 1], by_draft.iterations[targets == 1]
    )
    if rule in ("normalized", "sgd"):
        # The direction is the same: so are the images that the draft left too early.
        is_early = targets == 0
        np.testing.assert_allclose(
            made.images[is_early], alone.images[is_early], atol=0.02
        )


def test_updates_by_draft_and_exact_share_the_limit(probe, noise):
    def draft(images):
        return probe.logits(images) * 1.1

    settings = OptimizerSettings(learning_rate=0.1, max_iterations=2000)
    long = optimize_images(draft, noise, np.arange(NUM_CLASSES), settings)
    limit = int(np.median(long.iterations)) + 1
    settings = OptimizerSettings(learning_rate=0.1, max_iterations=limit)
    made = optimize_images(
        DraftedLogits(probe.logits, draft), noise, np.arange(NUM_CLASSES), settings
    )
    assert 0 < made.converged.sum() < NUM_CLASSES
    assert (made.iterations[~made.converged] == limit).all()
    assert (made.iterations <= limit).all()
    np.testing.assert_array_equal(made.converged, made.losses < 0.01)


def test_draft_without_a_number_leaves_images_to_the_exact_word(noise):
    start = images_at_distances([0.2, 0.4])
    drafted = DraftedLogits(
        linear_logits, lambda images: linear_logits(images) * np.nan
    )
    made = optimize_images(drafted, start, [0, 0])
    alone = optimize_images(linear_logits, start, [0, 0])
    np.testing.assert_array_equal(made.images, alone.images)
    np.testing.assert_array_equal(made.iterations, alone.iterations)


def test_frames_and_progress_go_through_draft_and_exact(probe, noise):
    drafted = DraftedLogits(probe.logits, lambda images: probe.logits(images) * 1.3)
    seen = []
    made = optimize_images(
        drafted,
        noise[:3],
        np.arange(3),
        OptimizerSettings(learning_rate=0.1, frame_every=5, batch_size=2),
        on_progress=lambda *counts: seen.append(counts),
    )
    for frames, image, start in zip(made.frames, made.images, noise, strict=False):
        np.testing.assert_array_equal(frames[0], start)
        np.testing.assert_array_equal(frames[-1], image)
        steps = np.linalg.norm(
            np.diff(frames, axis=0).reshape(len(frames) - 1, -1), axis=1
        )
        # At most five updates of length 0.1 from one to the next.
        assert (steps > 0).all()
        assert (steps < 0.51).all()
    done = [count for count, _ in seen]
    assert done == sorted(set(done))
    assert seen[-1] == (3, 3)


def test_given_images_are_only_looked_at_with_a_draft(probe, noise):
    drafted = DraftedLogits(probe.logits, lambda images: probe.logits(images) * 1.3)
    settings = OptimizerSettings(max_iterations=5)
    given = [True, False]
    made = optimize_images(drafted, noise[:2], [3, 5], settings, given=given)
    np.testing.assert_array_equal(made.iterations, [0, 5])
    np.testing.assert_array_equal(made.images[0], noise[0])
    np.testing.assert_allclose(made.logits, probe.logits(made.images), atol=1e-4)


def readable(name, **settings):
    """Settings of few steps for `linear_logits`, and what to start from."""
    chosen = parametrization(name, (4, 4, 1), STATISTICS)
    return (
        optimizer_settings.settled(chosen, until_threshold=("sgd", 0.1), **settings),
        chosen.start(0, 5),
    )


STATISTICS = ImageStatistics.of_images(
    np.random.default_rng(0).random((50, 4, 4, 1), np.float32)
)
TARGETS = np.array([0, 1, 0, 1, 0])


@pytest.mark.parametrize("name", parametrizations.NAMES)
def test_so_many_steps_are_made_and_the_plain_image_decides(name):
    settings, start = readable(name, steps=30, learning_rate=0.2)
    made = optimize_images(linear_logits, start, TARGETS, settings)
    assert (made.iterations == 30).all()
    plain = settings.parametrization.images(tf.constant(made.parameters))
    np.testing.assert_allclose(made.images, plain, atol=1e-6)
    logits = linear_logits(tf.constant(made.images))
    np.testing.assert_allclose(made.logits, logits, atol=1e-5)
    losses = objectives.cross_entropy(logits, TARGETS)[0]
    np.testing.assert_allclose(made.losses, losses, rtol=1e-4)
    np.testing.assert_array_equal(made.converged, losses < 0.01)
    assert made.converged.all()


@pytest.mark.parametrize("name", parametrizations.NAMES)
@pytest.mark.parametrize("batch_size", [1, 3])
def test_steps_of_an_image_do_not_depend_on_the_rest_of_the_batch(name, batch_size):
    settings, start = readable(name, steps=8)
    seeds = np.array([[4, i] for i in range(5)])
    together = optimize_images(linear_logits, start, TARGETS, settings, seeds=seeds)
    settings = dataclasses.replace(settings, batch_size=batch_size)
    apart = optimize_images(linear_logits, start, TARGETS, settings, seeds=seeds)
    np.testing.assert_allclose(apart.images, together.images, atol=1e-5)
    # Its seed is all that decides how an image is transformed.
    alone = optimize_images(
        linear_logits, start[3:4], TARGETS[3:4], settings, seeds=seeds[3:4]
    )
    np.testing.assert_allclose(alone.images, together.images[3:4], atol=1e-5)
    otherwise = optimize_images(
        linear_logits, start[3:4], TARGETS[3:4], settings, seeds=seeds[:1]
    )
    assert np.abs(otherwise.images - alone.images).max() > 1e-4


def test_draft_makes_the_steps_and_the_exact_network_looks():
    settings, start = readable("fourier", steps=20, learning_rate=0.2)

    def draft(images):
        return linear_logits(images)[:, ::-1]

    made = optimize_images(
        DraftedLogits(linear_logits, draft), start, TARGETS, settings
    )
    # The draft takes each class for the other.
    assert not made.converged.any()
    np.testing.assert_allclose(
        made.logits, linear_logits(tf.constant(made.images)), atol=1e-5
    )
    assert (made.iterations == 20).all()


def test_progress_and_frames_of_steps():
    settings, start = readable("fourier", steps=20)
    settings = dataclasses.replace(settings, frame_every=5, batch_size=2)
    told = []
    made = optimize_images(
        linear_logits,
        start,
        TARGETS,
        settings,
        given=[False, False, True, False, False],
        on_progress=lambda done, of: told.append((done, of)),
    )
    assert told[-1] == (5, 5)
    assert list(made.iterations) == [20, 20, 0, 20, 20]
    assert [len(frames) for frames in made.frames] == [5, 5, 1, 5, 5]
    for frames, image in zip(made.frames, made.images, strict=True):
        np.testing.assert_array_equal(frames[-1], image)


def test_what_is_not_given_fits_the_rest():
    pixels, fourier, maco = (
        parametrization(name, (4, 4, 1), STATISTICS) for name in parametrizations.NAMES
    )
    poster = ("normalized", 0.01)

    def chosen(what, **settings):
        made = optimizer_settings.settled(what, until_threshold=poster, **settings)
        return made.update_rule, made.learning_rate, made.steps, made.transformations

    assert chosen(pixels) == ("normalized", 0.01, None, "none")
    assert chosen(pixels, update_rule="sgd") == ("sgd", 0.01, None, "none")
    assert chosen(pixels, steps=9) == ("adam", 0.01, 9, "standard")
    assert chosen(pixels, transformations="standard") == ("adam", 0.01, 128, "standard")
    assert chosen(fourier) == ("adam", 0.03, 128, "standard")
    assert chosen(maco, transformations="none") == ("adam", 0.1, 128, "none")
    assert chosen(maco, learning_rate=0.5, steps=3) == ("adam", 0.5, 3, "standard")
    halved = optimizer_settings.settled(fourier, until_threshold=poster, steps=9)
    assert halved.for_prototypes().steps == 5


def test_log_odds_and_the_lower_of_two():
    logits = tf.constant([[1.0, 3.0, 0.5], [50.0, 0.0, 0.0]])
    p = tf.nn.softmax(logits).numpy()
    losses, misses = objectives.log_odds(logits, tf.constant([1, 1]))
    np.testing.assert_allclose(losses[0], np.log((1 - p[0, 1]) / p[0, 1]), rtol=1e-5)
    # Far beyond where a probability is 0.
    np.testing.assert_allclose(losses[1], 50, rtol=1e-5)
    assert not misses.numpy().any()
    losses, misses = objectives.lower_of_two(logits, tf.constant([[0, 1], [1, 2]]))
    np.testing.assert_allclose(losses, [0.5 - 1.0, 50.0], rtol=1e-5)
    assert not misses.numpy().any()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"transformations": "mirror"}, "'mirror'"),
        ({"transformations": "standard"}, "`steps` where images are transformed"),
        ({"steps": 0}, "`steps` of at least 1"),
    ],
)
def test_steps_that_make_no_sense_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        OptimizerSettings(**settings)


def test_parameters_of_another_shape_are_refused():
    settings, _ = readable("fourier")
    with pytest.raises(ValueError, match=r"\(4, 3, 2\)\) for fourier"):
        optimize_images(linear_logits, np.zeros((1, 4, 4, 1)), [0], settings)
