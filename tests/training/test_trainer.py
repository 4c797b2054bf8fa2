import functools

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_confusion.datasets import corruption
from keras_confusion.datasets import loading as dataset_loading
from keras_confusion.models import architectures
from keras_confusion.training import linear_heads, recipes
from keras_confusion.training import trainer as training_trainer
from keras_confusion.training.packing import packable

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
    return dataset_loading.load_dataset(str(path))


def make_trainer(dataset, recipe="annealed", *, model=small_model, **options):
    return training_trainer.Trainer(
        dataset,
        model,
        recipe=recipes.find_recipe(recipe, num_train=100),
        epochs=EPOCHS,
        **options,
    )


def train(trainer, *, initialisation_seed=0, order_seed=0, labels=None):
    """Trains one network; its losses."""
    task = training_trainer.TrainingTask(initialisation_seed, order_seed, labels)
    (losses,) = trainer.train([task])
    return losses


@pytest.fixture(scope="module")
def find_trainer(dataset):
    """A function that makes trainers, and each only once.

    A trainer begins every network anew, see `test_agrees_with_keras_fit`.
    """
    return functools.cache(functools.partial(make_trainer, dataset))


@pytest.fixture(scope="module")
def trainer(find_trainer):
    return find_trainer("annealed")


def keras_fit(trainer, dataset, labels, *, initialisation_seed, order_seed):
    """The same training by `fit`: same weights, order, optimiser and labels."""
    model = small_model(
        input_shape=dataset.input_shape, num_classes=3, seed=initialisation_seed
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
        order = training_trainer.epoch_order(len(labels), order_seed, epoch)
        history = model.fit(
            images[order], labels[order], batch_size=32, shuffle=False, verbose=0
        )
        losses += history.history["loss"]
    return model, losses


@pytest.mark.parametrize("recipe", ["annealed", "tutorial"])
def test_agrees_with_keras_fit(dataset, find_trainer, recipe):
    trainer = find_trainer(recipe)
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

    in_memory, streaming = (
        training_trainer.Trainer(
            dataset, small_model, recipe=recipe, epochs=EPOCHS, streaming=streaming
        )
        for streaming in (False, True)
    )
    expected = train(in_memory, labels=swapped)
    np.testing.assert_allclose(train(streaming, labels=swapped), expected, rtol=1e-5)
    assert np.all(np.abs(train(streaming) - expected) > 1e-3)


def test_streaming_evaluates_like_memory(find_trainer):
    in_memory = find_trainer("annealed")
    streaming = find_trainer("annealed", streaming=True)
    train(in_memory, initialisation_seed=6)
    for variable, other in zip(
        in_memory.model.variables, streaming.model.variables, strict=True
    ):
        other.assign(variable)
    np.testing.assert_allclose(
        in_memory.test_logits(), streaming.test_logits(), rtol=1e-5, atol=1e-6
    )


def test_streaming_shuffles_anew_in_every_epoch(dataset, find_trainer):
    trainer = find_trainer("annealed", streaming=True)

    def order(order_seed, epoch):
        batches = trainer._shuffled_batches(dataset.train.dataset(), order_seed, epoch)
        return np.concatenate([index for index, *_ in batches.as_numpy_iterator()])

    assert sorted(order(0, 0)) == list(range(100))
    np.testing.assert_array_equal(order(0, 0), order(0, 0))
    assert np.any(order(0, 0) != order(0, 1))
    assert np.any(order(0, 0) != order(1, 0))


def test_epoch_order_is_a_permutation_of_its_own():
    orders = [training_trainer.epoch_order(50, 7, epoch) for epoch in range(3)]
    for order in orders:
        np.testing.assert_array_equal(np.sort(order), np.arange(50))
    assert np.any(orders[0] != orders[1])
    np.testing.assert_array_equal(orders[2], training_trainer.epoch_order(50, 7, 2))


def test_loss_that_is_not_finite_ends_the_training(dataset):
    losses = train(make_trainer(dataset, model=fragile_model))
    assert not np.isfinite(losses).any()


def test_learning_rate_falls_to_zero_only_if_annealed(find_trainer):
    def last_rate(recipe):
        trainer = find_trainer(recipe)
        train(trainer)
        return float(trainer._program(shared_images=True).optimizer.learning_rate)

    assert last_rate("annealed") == pytest.approx(0, abs=1e-9)
    assert last_rate("tutorial") == pytest.approx(1e-3)


def test_bfloat16_learns_too(dataset):
    trainer = make_trainer(dataset, dtype_policy="mixed_bfloat16")
    losses = train(trainer)
    assert losses[-1] < losses[0]
    assert trainer.test_logits().dtype == np.float32


# Token sequences


@pytest.fixture(scope="module")
def sentences(tmp_path_factory):
    """100 training sequences of 7 tokens; a class has tokens of its own."""
    rng = np.random.default_rng(3)
    path = tmp_path_factory.mktemp("data") / "sentences.npz"
    labels = np.arange(130) % 3
    tokens = rng.integers(0, 20, (130, 7))
    tokens[:, 2] = 20 + 3 * rng.integers(0, 3, 130) + labels
    np.savez(
        path,
        x_train=tokens[:100],
        y_train=labels[:100],
        x_test=tokens[100:],
        y_test=labels[100:],
    )
    return dataset_loading.load_dataset(str(path))


@pytest.mark.parametrize("streaming", [False, True])
def test_tokens_agree_with_an_obvious_loop(sentences, streaming):
    # Streamed examples come in the order of the buffer: all in one batch.
    batch_size = 100 if streaming else 32
    recipe = recipes.find_recipe("tutorial", num_train=100, batch_size=batch_size)
    trainer = training_trainer.Trainer(
        sentences, "text", recipe=recipe, epochs=EPOCHS, streaming=streaming
    )
    labels = corruption.given_labels(
        sentences.train.labels, corruption.swap(3, 0, 1), 5
    )
    losses = train(trainer, initialisation_seed=1, order_seed=2, labels=labels)
    model = architectures.build_model("text", seed=1, **sentences.model_arguments)
    optimizer = keras.optimizers.Adam(recipe.learning_rate)
    tokens = sentences.train.arrays()[0]
    expected = []
    for epoch in range(EPOCHS):
        order, total = training_trainer.epoch_order(100, 2, epoch), 0.0
        for first in range(0, 100, batch_size):
            batch = order[first : first + batch_size]
            with tf.GradientTape() as tape:
                loss = keras.ops.mean(
                    keras.losses.sparse_categorical_crossentropy(
                        labels[batch], model(tokens[batch]), from_logits=True
                    )
                )
            gradients = tape.gradient(loss, model.trainable_variables)
            # Keras' Adam would square every occurrence of a token on its own, where a
            # batch has several, in place of their sum.
            dense = [tf.convert_to_tensor(gradient) for gradient in gradients]
            optimizer.apply(dense, model.trainable_variables)
            total += float(loss) * len(batch)
        expected.append(total / 100)
    np.testing.assert_allclose(losses, expected, rtol=1e-4)
    for received, wanted in zip(
        trainer.model.get_weights(), model.get_weights(), strict=True
    ):
        np.testing.assert_allclose(received, wanted, atol=1e-4)
    np.testing.assert_allclose(
        trainer.test_logits()[0],
        model.predict(sentences.test.arrays()[0], verbose=0),
        atol=1e-3,
    )


def test_networks_of_tokens_are_not_packed(sentences):
    with pytest.raises(
        packable.PackingError, match=r"a model of images.*token sequences.*program 1"
    ):
        training_trainer.Trainer(
            sentences,
            "text",
            recipe=recipes.find_recipe("annealed", num_train=100),
            epochs=1,
            num_networks=2,
        )


def packable_model(*, input_shape, num_classes, seed):
    layers = [
        keras.layers.Conv2D(4, 3, activation="relu"),
        keras.layers.Flatten(),
        keras.layers.Dense(6, activation="relu"),
        keras.layers.Dense(num_classes),
    ]
    for number, layer in enumerate(layers):
        if hasattr(layer, "kernel_initializer"):
            initializer = keras.initializers.GlorotUniform(10 * seed + number)
            layer.kernel_initializer = initializer
    return keras.Sequential([keras.Input(input_shape), *layers])


@pytest.mark.parametrize(
    "order_seeds",
    [([7],), ([7, 7, 7], [7, 8, 9])],
    ids=["alone", "one order, own orders"],
)
def test_features_are_what_the_last_layer_reads(dataset, order_seeds):
    trainer = make_trainer(
        dataset, model=packable_model, num_networks=len(order_seeds[0])
    )
    for seeds in order_seeds:
        trainer.train(
            [training_trainer.TrainingTask(*both) for both in enumerate(seeds)]
        )
        for network, logits in enumerate(trainer.test_logits()):
            features, fitted, test = trainer.features(network)
            assert features.shape == (100, 6)
            np.testing.assert_array_equal(fitted, np.arange(100))
            # Of a pack they are those of one network, whose weights the model has now.
            kernel, bias = (v.numpy() for v in trainer.model.layers[-1].weights)
            np.testing.assert_allclose(test @ kernel + bias, logits, atol=1e-4)


def test_features_are_streamed_as_from_memory(find_trainer, monkeypatch):
    trainers = [find_trainer("annealed"), find_trainer("annealed", streaming=True)]
    for trainer in trainers:
        train(trainer)
        trainer.model.set_weights(trainers[0].model.get_weights())
    width = trainers[0].features(0)[0].shape[1]
    # Wide ones, of which only those of 40 training examples are kept.
    monkeypatch.setattr(linear_heads, "MAX_VALUES", 40 * width)
    in_memory, streamed = (trainer.features(0) for trainer in trainers)
    assert len(in_memory[0]) == len(in_memory[1]) == 40
    for one, other in zip(in_memory, streamed, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)
