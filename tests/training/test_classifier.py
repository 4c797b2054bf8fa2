import itertools
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_confusion import errors
from keras_confusion.datasets import labelled_dataset
from keras_confusion.datasets import loading as dataset_loading
from keras_confusion.execution import runtime
from keras_confusion.models import saving
from keras_confusion.training import classifier as training_classifier
from keras_confusion.training import evaluation, recipes
from keras_confusion.training.intervals import interval_epochs

NUM_TRAIN = 100
EPOCHS = 3


def small_model(*, input_shape, num_classes, seed):
    """A convolution, batch normalisation (state that is not trained) and a dense."""
    return keras.Sequential(
        [
            keras.Input(input_shape),
            keras.layers.Conv2D(
                4,
                3,
                # Without a gradient before a normalisation: Adam would follow noise.
                use_bias=False,
                kernel_initializer=keras.initializers.GlorotUniform(seed),
                kernel_regularizer=keras.regularizers.L2(1e-2),
            ),
            keras.layers.BatchNormalization(momentum=0.5),
            keras.layers.ReLU(),
            keras.layers.Flatten(),
            keras.layers.Dense(
                num_classes, kernel_initializer=keras.initializers.GlorotUniform(seed)
            ),
        ]
    )


def fragile_model(*, input_shape, num_classes, seed):
    """Overflows at once."""
    model = small_model(input_shape=input_shape, num_classes=num_classes, seed=seed)
    model.add(keras.layers.Rescaling(1e38))
    return model


class SubclassedModel(keras.Model):
    """Has no inputs and outputs from which a part could be cut."""

    def __init__(self, num_classes):
        super().__init__()
        self.dense = keras.layers.Dense(num_classes)

    def call(self, images):
        return self.dense(keras.ops.mean(images, axis=(1, 2)))


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    rng = np.random.default_rng(0)
    # Uneven classes in the test set: 3, 9 and 18 images.
    labels = np.r_[np.arange(NUM_TRAIN) % 3, np.repeat([0, 1, 2], [3, 9, 18])]
    images = rng.integers(0, 120, (130, 10, 10, 1))
    images += 60 * labels[:, None, None, None] * rng.integers(0, 2, images.shape)
    images = np.minimum(images, 255).astype(np.uint8)
    path = tmp_path_factory.mktemp("data") / "small.npz"
    np.savez(
        path,
        x_train=images[:NUM_TRAIN],
        y_train=labels[:NUM_TRAIN],
        x_test=images[NUM_TRAIN:],
        y_test=labels[NUM_TRAIN:],
    )
    return dataset_loading.load_dataset(str(path))


def make_trainer(dataset, model=small_model, **options):
    return training_classifier.ClassifierTrainer(
        dataset, model, **{"seed": 1} | options
    )


def find_recipe(name, **changes):
    return recipes.find_recipe(name, num_train=NUM_TRAIN, **changes)


@pytest.fixture(scope="module")
def epochs(dataset):
    """Three epochs of three steps."""
    (epochs,) = interval_epochs(
        dataset.train.labels, (100.0,), epochs=EPOCHS, batch_size=32, seed=0
    )
    return epochs


@pytest.fixture(scope="module")
def trained(dataset, epochs):
    trainer = make_trainer(dataset)
    trainer.begin(find_recipe("momentum"), sum(map(len, epochs)))
    trainer.train(epochs)
    return trainer


def weights(trainer):
    return trainer.classifier().get_weights()


def assert_same_weights(received, expected, **tolerance):
    for one, other in zip(received, expected, strict=True):
        np.testing.assert_allclose(one, other, **tolerance)


def differ(weights, others):
    return any(np.any(one != other) for one, other in zip(weights, others, strict=True))


def trained_by_hand(dataset, recipe, epochs):
    """The same training, one step after another; the weights and every epoch's."""
    images, labels = dataset.train.arrays()
    images = images.astype(np.float32) / 255
    model = small_model(input_shape=dataset.input_shape, num_classes=3, seed=1)
    optimizer = recipe.build_optimizer(sum(map(len, epochs)))
    reports = []
    for batches in epochs:
        losses, num_right = [], 0
        for batch in batches:
            with tf.GradientTape() as tape:
                logits = model(images[batch], training=True)
                probabilities = tf.nn.log_softmax(logits)
                log_likelihoods = tf.gather(probabilities, labels[batch], batch_dims=1)
                loss = -tf.reduce_mean(log_likelihoods) + sum(model.losses)
            gradients = tape.gradient(loss, model.trainable_variables)
            optimizer.apply(gradients, model.trainable_variables)
            losses.append(float(loss))
            num_right += int(np.sum(np.argmax(logits, axis=1) == labels[batch]))
        reports.append((np.mean(losses), num_right / batches.size))
    return model.get_weights(), reports


@pytest.mark.parametrize("name", ["annealed", "momentum"])
def test_agrees_with_a_loop_by_hand(dataset, epochs, name):
    trainer = make_trainer(dataset)
    trainer.begin(find_recipe(name), sum(map(len, epochs)))
    steps, told = [], []
    reports = trainer.train(epochs, on_epoch=told.append, on_step=steps.append)
    expected, by_hand = trained_by_hand(dataset, find_recipe(name), epochs)
    assert_same_weights(weights(trainer), expected, atol=1e-4)
    np.testing.assert_allclose(
        [(report.loss, report.accuracy) for report in reports], by_hand, rtol=1e-4
    )
    assert reports[-1].loss < reports[0].loss
    assert [(r.epoch, r.num_epochs, r.num_steps) for r in reports] == [
        (1, 3, 3),
        (2, 3, 3),
        (3, 3, 3),
    ]
    assert told == reports
    assert steps == list(range(1, 10))


def test_classifier_normalises_by_what_it_has_learnt(dataset, trained):
    classifier = trained.classifier()
    images = labelled_dataset.to_unit_range(dataset.test.arrays()[0])
    alone = [classifier(image[None])[0] for image in images]
    np.testing.assert_allclose(classifier(images), alone, atol=1e-5)
    normalisation = classifier.layers[1]
    convolved = classifier.layers[0](images).numpy()
    gamma, beta, mean, variance = (
        np.asarray(variable) for variable in normalisation.variables
    )
    np.testing.assert_allclose(
        normalisation(convolved),
        gamma * (convolved - mean) / np.sqrt(variance + normalisation.epsilon) + beta,
        atol=1e-4,
    )
    # Not those it began with.
    assert np.abs(mean).min() > 1e-3
    assert np.abs(variance - 1).min() > 1e-3


def test_classifier_stays_as_it_was(dataset, epochs):
    trainer = make_trainer(dataset)
    before = trainer.classifier()
    weights_before = before.get_weights()
    trainer.begin(find_recipe("annealed"), 9)
    trainer.train(epochs[:1])
    assert_same_weights(before.get_weights(), weights_before, rtol=0)
    assert differ(weights(trainer), weights_before)


def test_bfloat16_trains_float32_weights_and_a_float32_classifier(
    dataset, epochs, trained
):
    trainer = make_trainer(dataset, dtype_policy="mixed_bfloat16")
    trainer.begin(find_recipe("momentum"), 9)
    reports = trainer.train(epochs)
    classifier = trainer.classifier()
    assert reports[-1].loss < reports[0].loss
    assert {layer.compute_dtype for layer in classifier.layers} == {"float32"}
    assert_same_weights(
        classifier.get_weights(), trainer._trained.get_weights(), rtol=0
    )
    images = labelled_dataset.to_unit_range(dataset.test.arrays()[0])
    in_float32, in_bfloat16 = classifier(images), trainer._trained(images)
    assert np.any(in_float32 != tf.cast(in_bfloat16, tf.float32))
    np.testing.assert_allclose(
        in_float32, tf.cast(in_bfloat16, tf.float32), rtol=0.1, atol=0.1
    )
    assert differ(classifier.get_weights(), weights(trained))


def test_weights_are_a_function_of_the_seed(dataset):
    first = weights(make_trainer(dataset))
    assert not differ(first, weights(make_trainer(dataset)))
    assert differ(first, weights(make_trainer(dataset, seed=2)))


@pytest.mark.parametrize(
    ("options", "num_before"),
    [({}, 4), ({"augment": True}, 3), ({"attack": ("linf", 0.1)}, 4)],
)
def test_training_that_was_interrupted_goes_on(
    dataset, epochs, trained, options, num_before
):
    """Within an epoch, and between two."""
    steps = np.concatenate(epochs)
    before, after = steps[:num_before], steps[num_before:]

    def begin():
        trainer = make_trainer(dataset, **options)
        trainer.begin(find_recipe("momentum"), len(steps))
        return trainer

    whole = trained
    if options:
        whole = begin()
        whole.train(epochs)
    expected = weights(whole)
    first = begin()
    first.train([before])
    classifier, state = first.classifier(), first.optimizer_state()
    # What was taken is a copy.
    first.train([after])
    assert_same_weights(weights(first), expected, atol=1e-6)
    second = begin()
    second.take_weights(classifier)
    second.take_state(state)
    second.train([after])
    assert_same_weights(weights(second), expected, atol=1e-6)


def test_training_does_not_go_on_without_the_state_of_its_optimiser(
    dataset, epochs, trained
):
    steps = np.concatenate(epochs)
    trainer = make_trainer(dataset)
    trainer.begin(find_recipe("momentum"), len(steps))
    trainer.train([steps[:3]])
    # The weights stay.
    trainer.begin(find_recipe("momentum"), len(steps))
    trainer.train([steps[3:]])
    assert np.abs(weights(trainer)[-2] - weights(trained)[-2]).max() > 0.01


def test_every_part_begins_its_schedule_anew(dataset, epochs):
    """After 'annealed' has come to rate 0 only a new part moves the weights."""
    trainer = make_trainer(dataset)
    trainer.begin(find_recipe("annealed"), 3)
    trainer.train(epochs[:1])
    kernel = weights(trainer)[0]
    trainer.train(epochs[1:2])
    np.testing.assert_array_equal(weights(trainer)[0], kernel)
    trainer.begin(find_recipe("annealed"), 3)
    trainer.train(epochs[1:2])
    assert np.abs(weights(trainer)[0] - kernel).max() > 1e-3


def test_loss_that_is_not_finite_is_an_error(dataset, epochs):
    trainer = make_trainer(dataset, fragile_model)
    trainer.begin(find_recipe("annealed"), 9)
    told = []
    with pytest.raises(errors.NonFiniteLossError, match="in epoch 1 of 3"):
        trainer.train(epochs, on_epoch=told.append)
    assert not told


def test_token_sequences_are_refused():
    with pytest.raises(ValueError, match=r"data set of images.*reviews, of token seq"):
        training_classifier.ClassifierTrainer(
            dataset_loading.load_dataset("reviews"), "text", seed=0
        )


def test_model_that_could_not_be_saved_is_refused_before_its_training(dataset):
    def build(*, num_classes, **_):
        return SubclassedModel(num_classes)

    with pytest.raises(saving.ModelFolderError, match="Sequential or functional"):
        make_trainer(dataset, build)


def test_test_agrees_with_one_image_after_another(dataset, trained, monkeypatch):
    # 30 test images in parts of 7 leave a short last one.
    monkeypatch.setattr(evaluation, "EVALUATION_BATCH_SIZE", 7)
    classifier = trained.classifier()
    right, losses = {0: [], 1: [], 2: []}, []
    for image, label in zip(*dataset.test.arrays(), strict=True):
        logits = classifier(np.float32(image[None]) / 255).numpy()[0].astype(float)
        right[int(label)].append(logits.argmax() == label)
        losses.append(np.log(np.exp(logits).sum()) - logits[label])
    tested = evaluation.test_classifier(classifier, dataset)
    assert [len(hits) for hits in right.values()] == [3, 9, 18]
    assert tested.accuracy == pytest.approx(np.mean(sum(right.values(), [])))
    assert 1 / 3 < tested.accuracy < 1
    np.testing.assert_allclose(
        tested.class_accuracies, [np.mean(hits) for hits in right.values()]
    )
    assert tested.loss == pytest.approx(np.mean(losses), rel=1e-4)


# Augmentation.


def augmentations_of(image, received):
    """All (flipped, down, right) that make the one image of the other.

    Of shifts by at most five pixels: what was moved further has none.
    """
    height, width = image.shape[:2]
    found = []
    for flipped, down, right in itertools.product(
        (False, True), range(-5, 6), range(-5, 6)
    ):
        source = image[:, ::-1] if flipped else image
        moved = np.zeros_like(image)
        moved[max(down, 0) : height + down, max(right, 0) : width + right] = source[
            max(-down, 0) : height - down, max(-right, 0) : width - right
        ]
        if np.array_equal(moved, received):
            found.append((flipped, down, right))
    return found


def random_images(number, *shape):
    return np.random.default_rng(0).uniform(0.1, 1, (number, *shape)).astype(np.float32)


@pytest.mark.parametrize(
    ("shape", "most"),
    # An eighth of the side, in whole pixels.
    [((16, 16, 1), (2, 2)), ((9, 17, 3), (1, 2)), ((31, 24, 1), (3, 3))],
)
def test_images_are_flipped_or_not_and_moved_by_an_eighth_at_most(shape, most):
    images = random_images(60, *shape)
    augmented = training_classifier.augment_images(images, seed=(3, 4)).numpy()
    drawn = []
    for image, received in zip(images, augmented, strict=True):
        (found,) = augmentations_of(image, received)
        drawn.append(found)
    flipped, down, right = np.array(drawn).T
    assert (down.min(), down.max()) == (-most[0], most[0])
    assert (right.min(), right.max()) == (-most[1], most[1])
    # Half of 60 within four standard deviations.
    assert 14 < flipped.sum() < 46


def test_all_augmentations_are_drawn_alike_and_independently():
    # 2 x 3 x 3 of them, 100 times each.
    images = np.tile(random_images(1, 8, 8, 1), (1800, 1, 1, 1))
    augmented = training_classifier.augment_images(images, seed=(0, 0)).numpy()
    found, counts = np.unique(augmented, axis=0, return_counts=True)
    drawn = {augmentations_of(images[0], image)[0] for image in found}
    assert drawn == set(itertools.product((False, True), (-1, 0, 1), (-1, 0, 1)))
    # The 99.9 % point of chi-square with 17 degrees of freedom.
    assert np.sum((counts - 100) ** 2 / 100) < 40.8


def test_augmentation_is_a_function_of_its_seed():
    images = random_images(20, 16, 16, 1)

    def augmented(*seed):
        return training_classifier.augment_images(images, seed=seed).numpy()

    first = augmented(1, 2)
    np.testing.assert_array_equal(first, augmented(1, 2))
    for other in (augmented(1, 3), augmented(2, 2), augmented(2, 1)):
        same = [np.array_equal(*pair) for pair in zip(first, other, strict=True)]
        assert sum(same) < 5


def shown(trainer, batches):
    """The images of every step as the network is given them."""
    return [images.numpy() for images, _ in trainer._examples(batches)]


def test_every_step_and_part_draws_its_own_augmentation(dataset, epochs):
    same_batch = np.repeat(epochs[0][:1], 2, axis=0)
    recipe = find_recipe("momentum")
    trainer = make_trainer(dataset, augment=True)
    trainer.begin(recipe, 9)
    first, second = shown(trainer, same_batch)
    again, _ = shown(trainer, same_batch)
    trainer.train([epochs[0][:1]])
    after_a_step, _ = shown(trainer, same_batch)
    trainer.begin(recipe, 9, part=1)
    other_part, _ = shown(trainer, same_batch)
    other_seed = make_trainer(dataset, augment=True, seed=2)
    other_seed.begin(recipe, 9)
    (other_batch, _) = shown(other_seed, same_batch)
    np.testing.assert_array_equal(first, again)
    # The second step stays the second step.
    np.testing.assert_array_equal(second, after_a_step)
    drawn = {batch.tobytes() for batch in (first, second, other_part, other_batch)}
    assert len(drawn) == 4


def test_images_are_shown_as_they_are_without_augmentation(dataset, epochs):
    trainer = make_trainer(dataset)
    trainer.begin(find_recipe("momentum"), 9)
    images, labels = dataset.train.arrays()
    examples = list(trainer._examples(epochs[0]))
    for batch, (received, received_labels) in zip(epochs[0], examples, strict=True):
        np.testing.assert_array_equal(
            received, labelled_dataset.to_unit_range(images[batch])
        )
        np.testing.assert_array_equal(received_labels, labels[batch])


# Several devices.

ON_TWO_DEVICES = """
import os, sys
os.environ["KERAS_BACKEND"] = "tensorflow"
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "2"
import keras, numpy as np, tensorflow as tf
(device,) = tf.config.list_physical_devices("CPU")
tf.config.set_logical_device_configuration(
    device, [tf.config.LogicalDeviceConfiguration()] * 2
)
from keras_confusion.datasets import loading as dataset_loading
from keras_confusion.training import classifier as training_classifier
from keras_confusion.training import intervals as training_intervals
from keras_confusion.training import recipes

def model(*, input_shape, num_classes, seed):
    # Without batch normalisation, whose statistics are those of each device.
    glorot = keras.initializers.GlorotUniform(seed)
    regularizer = keras.regularizers.L2(1e-2)
    return keras.Sequential([
        keras.Input(input_shape),
        keras.layers.Conv2D(4, 3, activation="relu", kernel_initializer=glorot,
                            kernel_regularizer=regularizer),
        keras.layers.Flatten(),
        keras.layers.Dense(num_classes, kernel_initializer=glorot),
    ])

dataset = dataset_loading.load_dataset(sys.argv[1])
(epochs,) = training_intervals.interval_epochs(
    dataset.train.labels, (100.0,), epochs=3, batch_size=32, seed=0
)
mirrored = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])

def trainer(strategy):
    return training_classifier.ClassifierTrainer(
        dataset, model, seed=1, augment=True, strategy=strategy
    )

def train(strategy, recipe):
    # Two parts, so that one strategy serves two optimisers and, at last, two networks.
    one = trainer(strategy)
    start = one.classifier().get_weights()
    one.begin(recipe, 9)
    one.train(epochs)
    one.begin(recipe, 9, part=1)
    reports = one.train(epochs[:2])
    if strategy is not None:
        other = trainer(strategy)
        other.take_weights(one.classifier())
        other.begin(recipe, 9, part=1)
        other.take_state(one.optimizer_state())
        one = other
    reports += one.train(epochs[2:])
    numbers = [(report.loss, report.accuracy) for report in reports]
    weights = one.classifier().get_weights()
    moved = max(np.abs(a - b).max() for a, b in zip(start, weights))
    assert moved > 0.01, moved
    return np.concatenate([np.ravel(numbers), *map(np.ravel, weights)])

assert mirrored.num_replicas_in_sync == 2
for name in ("momentum", "annealed"):
    recipe = recipes.find_recipe(name, num_train=100)
    np.testing.assert_allclose(train(mirrored, recipe), train(None, recipe), atol=2e-5)
    print("same by", name)
"""


@pytest.mark.slow
def test_two_devices_train_the_same_network(dataset, tmp_path):
    path = tmp_path / "small.npz"
    arrays = [*dataset.train.arrays(), *dataset.test.arrays()]
    names = ("x_train", "y_train", "x_test", "y_test")
    np.savez(path, **dict(zip(names, arrays, strict=True)))
    done = subprocess.run(
        [sys.executable, "-c", ON_TWO_DEVICES, path],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout == "same by momentum\nsame by annealed\n"


def test_several_gpus_share_the_batches_by_one_strategy(dataset, monkeypatch):
    used = []

    class Strategy:
        def __init__(self):
            used.append(self)

        def scope(self):
            return tf.distribute.get_strategy().scope()

    monkeypatch.setattr(tf.distribute, "MirroredStrategy", Strategy)
    training_classifier._mirrored_strategy.cache_clear()
    for num_gpus, expected in ((0, []), (1, []), (2, used), (4, used)):
        monkeypatch.setattr(runtime, "num_gpus", lambda number=num_gpus: number)
        trainer = make_trainer(dataset)
        assert ([trainer._strategy] if num_gpus > 1 else []) == expected
    # Two of them in a process would get into each other's way.
    assert len(used) == 1
    training_classifier._mirrored_strategy.cache_clear()


def test_models_of_integers_have_no_gradient_and_are_refused(dataset):
    def build(*, input_shape, num_classes, seed):
        layers = [
            keras.layers.Rescaling(1 / 255),
            keras.layers.Flatten(),
            keras.layers.Dense(num_classes),
        ]
        return keras.Sequential([keras.Input(input_shape, dtype="uint8"), *layers])

    with pytest.raises(ValueError, match=r"gradient.*integers. Use `keras.Input\(inpu"):
        make_trainer(dataset, build)
