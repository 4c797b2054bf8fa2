import keras
import numpy as np
import pytest

from keras_confusion import corruption, datasets, recipes, training

EPOCHS = 3


def small_model(*, input_shape, num_classes, seed):
    """A convolution, batch normalisation (state that is not trained) and a dense."""
    return keras.Sequential(
        [
            keras.Input(input_shape),
            keras.layers.Conv2D(
                4,
                3,
                activation="relu",
                kernel_initializer=keras.initializers.GlorotUniform(seed),
                kernel_regularizer=keras.regularizers.L2(1e-3),
            ),
            keras.layers.BatchNormalization(momentum=0.5),
            keras.layers.Flatten(),
            keras.layers.Dense(
                num_classes, kernel_initializer=keras.initializers.GlorotUniform(seed)
            ),
        ]
    )


def fragile_model(*, input_shape, num_classes, seed):
    """Overflows at once."""
    model = small_model(input_shape=input_shape, num_classes=num_classes, seed=seed)
    return keras.Sequential(
        [keras.Input(input_shape), model, keras.layers.Rescaling(1e38)]
    )


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    """100 training images, so that batches of 32 leave a short last one."""
    rng = np.random.default_rng(0)
    path = tmp_path_factory.mktemp("data") / "small.npz"
    labels = np.arange(130) % 3
    images = rng.integers(0, 120, (130, 10, 10, 1))
    images += 60 * labels[:, None, None, None] * rng.integers(0, 2, images.shape)
    images = np.minimum(images, 255).astype(np.uint8)
    np.savez(
        path,
        x_train=images[:100],
        y_train=labels[:100],
        x_test=images[100:],
        y_test=labels[100:],
    )
    return datasets.load_dataset(str(path))


def make_trainer(dataset, recipe="annealed", *, model=small_model, **options):
    return training.Trainer(
        dataset,
        model,
        recipe=recipes.find_recipe(recipe, num_train=100),
        epochs=EPOCHS,
        **options,
    )


def train(trainer, *, initialisation_seed=0, order_seed=0, labels=None):
    """Trains one network; its losses."""
    task = training.TrainingTask(initialisation_seed, order_seed, labels)
    (losses,) = trainer.train([task])
    return losses


@pytest.fixture(scope="module")
def trainer(dataset):
    return make_trainer(dataset)


def keras_fit(trainer, dataset, labels, *, initialisation_seed, order_seed):
    """The same training by `fit`: same weights, order, optimiser and labels."""
    model = small_model(
        input_shape=dataset.image_shape, num_classes=3, seed=initialisation_seed
    )
    recipe = trainer.recipe
    learning_rate = recipe.learning_rate
    if recipe.cosine_decay:
        learning_rate = keras.optimizers.schedules.CosineDecay(
            learning_rate, decay_steps=4 * EPOCHS
        )
    model.compile(
        keras.optimizers.Adam(learning_rate),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    images = dataset.train.arrays()[0].astype(np.float32) / 255
    losses = []
    for epoch in range(EPOCHS):
        order = training.epoch_order(len(labels), order_seed, epoch)
        history = model.fit(
            images[order], labels[order], batch_size=32, shuffle=False, verbose=0
        )
        losses += history.history["loss"]
    return model, losses


@pytest.mark.parametrize("recipe", ["annealed", "tutorial"])
def test_agrees_with_keras_fit(dataset, recipe):
    trainer = make_trainer(dataset, recipe)
    # Other seeds first: nothing of an earlier network may be left.
    train(trainer, initialisation_seed=9, order_seed=9)
    labels = corruption.given_labels(dataset.train.labels, corruption.swap(3, 0, 1), 5)
    losses = train(trainer, initialisation_seed=1, order_seed=2, labels=labels)
    model, expected = keras_fit(
        trainer, dataset, labels, initialisation_seed=1, order_seed=2
    )
    assert losses[-1] < losses[0]
    np.testing.assert_allclose(losses, expected, rtol=1e-4)
    for received, wanted in zip(
        trainer.model.get_weights(), model.get_weights(), strict=True
    ):
        np.testing.assert_allclose(received, wanted, atol=1e-4)
    test_images = dataset.test.arrays()[0].astype(np.float32) / 255
    np.testing.assert_allclose(
        trainer.test_logits()[0], model.predict(test_images, verbose=0), atol=1e-3
    )


def test_same_seeds_give_the_same_bits_and_others_do_not(trainer):
    def logits(**seeds):
        train(trainer, **seeds)
        return trainer.test_logits()

    first = logits(initialisation_seed=1, order_seed=2)
    other_weights = logits(initialisation_seed=3, order_seed=2)
    other_order = logits(initialisation_seed=1, order_seed=4)
    np.testing.assert_array_equal(first, logits(initialisation_seed=1, order_seed=2))
    assert np.any(first != other_weights)
    assert np.any(first != other_order)


def test_loop_is_traced_once_for_all_networks(trainer):
    labels = np.random.default_rng(0).permutation(trainer.dataset.train.labels)
    for seed in range(4):
        train(
            trainer,
            initialisation_seed=seed,
            order_seed=seed,
            labels=labels if seed % 2 else None,
        )
        trainer.test_logits()
    (program,) = trainer._programs.values()
    assert program.train_epoch.experimental_get_tracing_count() == 1
    assert program.logits.experimental_get_tracing_count() == 1


def test_streaming_learns_from_the_same_labels(dataset):
    # In one batch of all examples their order does not matter.
    recipe = recipes.find_recipe("annealed", num_train=100, batch_size=100)
    swapped = corruption.given_labels(
        dataset.train.labels, corruption.swap(3, 0, 2), seed=11
    )

    def losses(labels, *, streaming):
        trainer = training.Trainer(
            dataset, small_model, recipe=recipe, epochs=EPOCHS, streaming=streaming
        )
        return train(trainer, labels=labels)

    in_memory = losses(swapped, streaming=False)
    np.testing.assert_allclose(losses(swapped, streaming=True), in_memory, rtol=1e-5)
    assert np.all(np.abs(losses(None, streaming=True) - in_memory) > 1e-3)


def test_streaming_evaluates_like_memory(dataset):
    in_memory, streaming = make_trainer(dataset), make_trainer(dataset, streaming=True)
    for variable, other in zip(
        in_memory.model.variables, streaming.model.variables, strict=True
    ):
        other.assign(variable)
    np.testing.assert_allclose(
        in_memory.test_logits(), streaming.test_logits(), rtol=1e-5, atol=1e-6
    )


def test_streaming_shuffles_anew_in_every_epoch(dataset):
    trainer = make_trainer(dataset, streaming=True)

    def order(order_seed, epoch):
        batches = trainer._shuffled_batches(dataset.train.dataset(), order_seed, epoch)
        return np.concatenate([index for index, *_ in batches.as_numpy_iterator()])

    assert sorted(order(0, 0)) == list(range(100))
    np.testing.assert_array_equal(order(0, 0), order(0, 0))
    assert np.any(order(0, 0) != order(0, 1))
    assert np.any(order(0, 0) != order(1, 0))


def test_epoch_order_is_a_permutation_of_its_own():
    orders = [training.epoch_order(50, 7, epoch) for epoch in range(3)]
    for order in orders:
        np.testing.assert_array_equal(np.sort(order), np.arange(50))
    assert np.any(orders[0] != orders[1])
    np.testing.assert_array_equal(orders[2], training.epoch_order(50, 7, 2))


def test_loss_that_is_not_finite_ends_the_training(dataset):
    losses = train(make_trainer(dataset, model=fragile_model))
    assert not np.isfinite(losses).any()


def test_learning_rate_falls_to_zero_only_if_annealed(dataset):
    def last_rate(recipe):
        trainer = make_trainer(dataset, recipe)
        train(trainer)
        return float(trainer._program(shared_images=True).optimizer.learning_rate)

    assert last_rate("annealed") == pytest.approx(0, abs=1e-9)
    assert last_rate("tutorial") == pytest.approx(1e-3)


def test_bfloat16_learns_too(dataset):
    trainer = make_trainer(dataset, dtype_policy="mixed_bfloat16")
    losses = train(trainer)
    assert losses[-1] < losses[0]
    assert trainer.test_logits().dtype == np.float32
