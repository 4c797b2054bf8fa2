import functools

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_confusion.datasets import loading as dataset_loading
from keras_confusion.models import architectures
from keras_confusion.training import program as training_program
from keras_confusion.training import recipes
from keras_confusion.training import trainer as training_trainer
from keras_confusion.training.packing import packable, packed_convolutions, packed_model

NUM_TRAIN, NUM_TEST, EPOCHS = 40, 24, 2
SHAPE = (20, 20, 3)
FORMS = list(packed_convolutions.FORMS)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    """Batches of 32 leave a short last one."""
    rng = np.random.default_rng(0)
    path = tmp_path_factory.mktemp("data") / "small.npz"
    labels = np.arange(NUM_TRAIN + NUM_TEST) % 3
    images = 120 * rng.random((len(labels), *SHAPE)) + 40 * labels[:, None, None, None]
    images = images.astype(np.uint8)
    np.savez(
        path,
        x_train=images[:NUM_TRAIN],
        y_train=labels[:NUM_TRAIN],
        x_test=images[NUM_TRAIN:],
        y_test=labels[NUM_TRAIN:],
    )
    return dataset_loading.load_dataset(str(path))


def narrow_resnet(*, input_shape, num_classes, seed):
    return architectures.resnet18(
        input_shape=input_shape, num_classes=num_classes, seed=seed, width=2
    )


def smooth_blocks(*, input_shape, num_classes, seed):
    """What ResNet18 has, without kinks at which rounding becomes large."""
    layers, seeds = keras.layers, iter(range(100 * seed, 100 * seed + 100))

    def convolution(filters, size, strides=1):
        initializer = keras.initializers.GlorotUniform(seed=next(seeds))
        # No bias: its gradient would be rounding only, which Adam makes large.
        return layers.Conv2D(
            filters,
            size,
            strides,
            padding="same",
            use_bias=False,
            kernel_initializer=initializer,
        )

    inputs = keras.Input(input_shape)
    images = layers.Rescaling(2.0, offset=-1.0)(inputs)
    images = layers.BatchNormalization()(convolution(4, 3)(images))
    images = layers.Activation("tanh")(images)
    shortcut = layers.BatchNormalization(momentum=0.9)(convolution(6, 1, 2)(images))
    images = layers.BatchNormalization(momentum=0.9)(convolution(6, 3, 2)(images))
    images = layers.Activation("tanh")(layers.Add()([images, shortcut]))
    images = layers.AveragePooling2D(2)(images)
    features = layers.GlobalAveragePooling2D()(images)
    initializer = keras.initializers.GlorotUniform(seed=next(seeds))
    logits = layers.Dense(num_classes, kernel_initializer=initializer, dtype="float32")(
        features
    )
    return keras.Model(inputs, logits)


def perceptron(*, input_shape, num_classes, seed):
    """Shared images go into a dense layer."""
    return keras.Sequential(
        [
            keras.Input(input_shape),
            keras.layers.Flatten(),
            *(
                keras.layers.Dense(
                    units,
                    activation=activation,
                    kernel_initializer=keras.initializers.GlorotUniform(seed=seed),
                )
                for units, activation in ((5, "tanh"), (num_classes, None))
            ),
        ]
    )


def make_trainer(dataset, model, num_networks=1, recipe="annealed", **options):
    return training_trainer.Trainer(
        dataset,
        model,
        recipe=recipes.find_recipe(recipe, num_train=NUM_TRAIN),
        epochs=EPOCHS,
        num_networks=num_networks,
        **options,
    )


def three_tasks(*, share_images):
    """The arms of a repeat, or networks of three repeats."""
    rng = np.random.default_rng(1)
    labels = [None, *rng.integers(0, 3, (2, NUM_TRAIN))]
    seeds = [7, 7, 7] if share_images else [7, 8, 9]
    return [
        training_trainer.TrainingTask(
            initialisation_seed=seed, order_seed=seed, labels=given
        )
        for seed, given in zip(seeds, labels, strict=True)
    ]


def results_of(trainer, tasks):
    losses = trainer.train(tasks)
    return losses, trainer.test_logits()


@pytest.fixture(scope="module")
def alone(dataset):
    """A function of what `three_tasks` give where each is trained by itself."""

    @functools.cache
    def trainer(model, recipe):
        return make_trainer(dataset, model, recipe=recipe)

    @functools.cache
    def train(model, recipe="annealed", *, share_images):
        """Losses, logits and, network by network, all variables."""
        one, found = trainer(model, recipe), []
        for task in three_tasks(share_images=share_images):
            losses, logits = results_of(one, [task])
            found.append((losses, logits, [v.numpy() for v in one.model.variables]))
        losses, logits, variables = zip(*found, strict=True)
        return np.concatenate(losses), np.concatenate(logits), variables

    return train


@pytest.mark.parametrize(
    ("model", "recipe"),
    [
        ("cnn", "annealed"),
        (smooth_blocks, "momentum"),
        (perceptron, "tutorial"),
        pytest.param("cnn", "momentum", marks=pytest.mark.exhaustive),
        pytest.param(smooth_blocks, "annealed", marks=pytest.mark.exhaustive),
    ],
)
def test_packed_networks_are_those_that_train_alone(
    dataset, alone, model, recipe, monkeypatch
):
    """Means and variances that are used after training, too."""
    # To time all forms for every convolution takes longer than to train.
    monkeypatch.setattr(
        packed_convolutions, "fastest_form", lambda *shapes, compiled: "looped"
    )
    trainer = make_trainer(dataset, model, 3, recipe)
    for share_images in (True, False):
        tasks = three_tasks(share_images=share_images)
        losses, logits, variables = alone(model, recipe, share_images=share_images)
        # Another pack first: nothing of it may be left.
        trainer.train(tasks[::-1])
        packed_losses, packed_logits = results_of(trainer, tasks)
        np.testing.assert_allclose(packed_losses, losses, rtol=1e-4)
        np.testing.assert_allclose(packed_logits, logits, rtol=1e-3, atol=1e-4)
        # The networks differ by far more than that.
        between = np.abs(logits[0] - logits[1]).max()
        assert between > 100 * np.abs(packed_logits - logits).max()
        packed_variables = trainer._program(shared_images=share_images).model.variables
        for number, single_values in enumerate(variables):
            for packed, single in zip(packed_variables, single_values, strict=True):
                received = packed.numpy().reshape(3, *single.shape)[number]
                np.testing.assert_allclose(received, single, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(
    ("small", "large"), list(zip(FORMS[:2], FORMS[2:], strict=True))
)
def test_all_forms_train_the_same_networks(dataset, alone, small, large, monkeypatch):
    """Two forms at a time, for kernels of one position and of nine."""
    taken = set()

    def form_of(inputs, kernels, *_, compiled):
        taken.add(small if kernels[1:3] == (1, 1) else large)
        return small if kernels[1:3] == (1, 1) else large

    monkeypatch.setattr(packed_convolutions, "fastest_form", form_of)
    expected = alone(smooth_blocks, share_images=True)[:2]
    tasks = three_tasks(share_images=True)
    received = results_of(make_trainer(dataset, smooth_blocks, 3), tasks)
    for pack_values, single_values in zip(received, expected, strict=True):
        np.testing.assert_allclose(pack_values, single_values, rtol=1e-3, atol=1e-4)
    assert taken == {small, large}


def test_packed_resnet18_answers_as_three_resnets():
    images = np.random.default_rng(2).random((8, *SHAPE), np.float32)
    networks = [
        narrow_resnet(input_shape=SHAPE, num_classes=3, seed=seed) for seed in range(3)
    ]
    packed = packed_model.pack_model(
        networks[0], 3, batch_size=8, shared_images=True, form="looped"
    )
    values = [[v.numpy() for v in network.variables] for network in networks]
    for variable, value in zip(
        packed.variables, packed_model.stack_values(packed, values), strict=True
    ):
        variable.assign(value)
    # By the means and variances of the batch, which go through every layer.
    expected = [network(images, training=True) for network in networks]
    received = np.reshape(packed(images, training=True), (8, 3, 3)).swapaxes(0, 1)
    np.testing.assert_allclose(received, expected, rtol=1e-3, atol=1e-3)
    assert np.abs(expected[0] - expected[1]).max() > 0.1


@pytest.mark.exhaustive
def test_packed_resnet18_is_three_resnets(dataset, alone):
    losses, logits, _ = alone(narrow_resnet, share_images=True)
    packed_losses, packed_logits = results_of(
        make_trainer(dataset, narrow_resnet, 3), three_tasks(share_images=True)
    )
    np.testing.assert_allclose(packed_losses, losses, rtol=1e-3)
    # Rectifiers near 0 make rounding larger than elsewhere.
    difference = np.abs(packed_logits - logits).max()
    assert difference < 0.02 * np.abs(logits[0] - logits[1]).max()


def test_program_that_xla_compiles_trains_the_same_networks(
    dataset, alone, monkeypatch
):
    """What runs on a GPU: all steps of an epoch in one launch, in one program."""
    monkeypatch.setattr(training_program.runtime, "num_gpus", lambda: 1)
    trainer = make_trainer(dataset, perceptron, 3)
    for share_images in (True, False):
        tasks = three_tasks(share_images=share_images)
        received = results_of(trainer, tasks)
        program = trainer._program(shared_images=share_images)
        assert program.train_epoch._jit_compile
        # Its graph holds a loop, not one copy of the step after the other.
        order = tf.zeros((NUM_TRAIN, 1 if share_images else 3), tf.int32)
        labels = tf.zeros((NUM_TRAIN, 3), tf.int32)
        compiled = program.train_epoch.experimental_get_compiler_ir(
            trainer._train_images, order, labels
        )(stage="hlo")
        assert " while(" in compiled
        expected = alone(perceptron, share_images=share_images)[:2]
        for pack_values, single_values in zip(received, expected, strict=True):
            np.testing.assert_allclose(pack_values, single_values, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(
    "model",
    [
        pytest.param("cnn", marks=pytest.mark.exhaustive),
        pytest.param(smooth_blocks, marks=pytest.mark.slow),
    ],
)
def test_compiled_convolutions_train_the_same_networks(
    dataset, alone, model, monkeypatch
):
    monkeypatch.setattr(training_program.runtime, "num_gpus", lambda: 1)
    expected = alone(model, share_images=True)[:2]
    tasks = three_tasks(share_images=True)
    received = results_of(make_trainer(dataset, model, 3), tasks)
    for pack_values, single_values in zip(received, expected, strict=True):
        np.testing.assert_allclose(pack_values, single_values, rtol=1e-3, atol=1e-4)


def test_one_network_at_a_time_is_not_compiled_on_a_gpu_either(dataset, monkeypatch):
    monkeypatch.setattr(training_program.runtime, "num_gpus", lambda: 1)
    for num_networks in (1, 2):
        trainer = make_trainer(dataset, perceptron, num_networks)
        program = trainer._program(shared_images=True)
        assert bool(program.train_epoch._jit_compile) == (num_networks > 1)


def test_fewer_networks_than_places(dataset, alone):
    trainer = make_trainer(dataset, perceptron, 4)
    losses, logits = results_of(trainer, three_tasks(share_images=True)[1:])
    assert losses.shape == (2, EPOCHS)
    assert logits.shape == (2, NUM_TEST, 3)
    expected = alone(perceptron, share_images=True)
    np.testing.assert_allclose(losses, expected[0][1:], rtol=1e-4)
    np.testing.assert_allclose(logits, expected[1][1:], rtol=1e-3, atol=1e-4)


def test_network_that_diverges_leaves_the_others_alone(dataset, alone):
    def overflows(*, input_shape, num_classes, seed):
        model = perceptron(input_shape=input_shape, num_classes=num_classes, seed=seed)
        kernel, *others = model.get_weights()
        model.set_weights([kernel, *others[:1], *(1e38 * w for w in others[1:])])
        return (
            model
            if seed == 8
            else perceptron(input_shape=input_shape, num_classes=num_classes, seed=seed)
        )

    tasks = three_tasks(share_images=False)
    losses, logits = results_of(make_trainer(dataset, overflows, 3), tasks)
    assert np.isfinite(losses[[0, 2]]).all()
    assert not np.isfinite(losses[1]).any()
    expected = alone(perceptron, share_images=False)[1]
    np.testing.assert_allclose(logits[[0, 2]], expected[[0, 2]], rtol=1e-3, atol=1e-4)


def test_bfloat16_packs_learn(dataset):
    trainer = make_trainer(dataset, smooth_blocks, 3, dtype_policy="mixed_bfloat16")
    losses = trainer.train(three_tasks(share_images=True))
    assert losses[0, -1] < losses[0, 0]
    program = trainer._program(shared_images=True)
    assert program.model.layers[1].compute_dtype == "bfloat16"
    # Logits stay float32: the loss needs the digits.
    assert program.model.layers[-1].compute_dtype == "float32"


def layered_model(*layers):
    return keras.Sequential([keras.Input(SHAPE), *layers, keras.layers.Dense(3)])


def elu(numbers):
    """Has the name of another function of Keras."""
    return keras.ops.softmax(numbers)


class Subclass(keras.Sequential):
    def call(self, *args, **kwargs):
        return 5 * super().call(*args, **kwargs)


def graph_model(build):
    inputs = keras.Input(SHAPE)
    pooled = keras.layers.GlobalAveragePooling2D()(build(inputs))
    return keras.Model(inputs, keras.layers.Dense(3)(pooled))


def flattened_twice():
    """With three networks, what was made of two channels looks like six shared ones."""
    inputs, flatten = keras.Input(SHAPE), keras.layers.Flatten()
    logits = [
        keras.layers.Dense(3)(flatten(keras.layers.Conv2D(filters, 20)(inputs)))
        for filters in (6, 2)
    ]
    return keras.Model(inputs, keras.layers.Add()(logits))


def partly_frozen():
    model = layered_model(keras.layers.Conv2D(4, 3), keras.layers.Flatten())
    model.layers[0].kernel.trainable = False
    return model


def with_something_else():
    model = graph_model(keras.layers.Conv2D(4, 3))
    model.extra = keras.layers.Dense(3)
    model.extra.build((None, 2))
    return model


def model_of_any_size():
    inputs = keras.Input((None, None, 3))
    pooled = keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2D(4, 3)(inputs))
    return keras.Model(inputs, keras.layers.Dense(3)(pooled))


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (
            lambda: layered_model(keras.layers.Conv2D(4, 3, activation=elu)),
            "with activation 'elu'",
        ),
        (
            lambda: layered_model(keras.layers.Activation(lambda numbers: 2 * numbers)),
            "with activation '<lambda>'",
        ),
        (
            lambda: layered_model(
                keras.layers.Conv2D(4, 3, activation=keras.layers.LeakyReLU(0.1))
            ),
            "with activation 'LeakyReLU'",
        ),
        (
            lambda: Subclass(
                [keras.Input(SHAPE), keras.layers.Flatten(), keras.layers.Dense(3)]
            ),
            "Received: Subclass",
        ),
        (flattened_twice, "called once. Received: flatten"),
        (
            lambda: graph_model(
                lambda inputs: (
                    2 * keras.layers.Conv2D(4, 3)(inputs)
                    + keras.layers.Conv2D(4, 3)(inputs)
                )
            ),
            "a Multiply|an? Add",
        ),
        (
            lambda: graph_model(
                lambda inputs: keras.layers.Add()(
                    [inputs, keras.layers.Conv2D(1, 3, padding="same")(inputs)]
                )
            ),
            "a sum of different shapes",
        ),
        (
            lambda: layered_model(
                keras.layers.Rescaling([1.0, 2.0, 3.0]), keras.layers.Conv2D(4, 3)
            ),
            "a scale or an offset for each channel",
        ),
        (partly_frozen, "all of a layer trainable or none"),
        (with_something_else, "variables of layers only"),
        (model_of_any_size, "of a fixed size"),
    ],
)
@pytest.mark.parametrize("shared_images", [True, False])
def test_what_would_become_other_networks_is_refused(model, message, shared_images):
    with pytest.raises(packable.PackingError, match=message):
        packed_model.pack_model(model(), 3, batch_size=8, shared_images=shared_images)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (
            lambda: layered_model(keras.layers.Flatten(), keras.layers.Dropout(0.5)),
            "a Dropout",
        ),
        (
            lambda: layered_model(keras.layers.LayerNormalization()),
            "a LayerNormalization",
        ),
        (
            lambda: layered_model(
                keras.layers.Flatten(), keras.layers.Dense(4, "softmax")
            ),
            "activation 'softmax'",
        ),
        (
            lambda: layered_model(keras.layers.Conv2D(6, 3, groups=3)),
            "with groups=3",
        ),
        (
            lambda: layered_model(keras.layers.Conv2D(6, 3, dilation_rate=2)),
            "with dilation_rate",
        ),
        (
            lambda: layered_model(
                keras.layers.Conv2D(6, 3), keras.layers.BatchNormalization(axis=1)
            ),
            "with axis=1",
        ),
        (
            lambda: layered_model(
                keras.layers.Flatten(), keras.layers.Dense(4, kernel_regularizer="l2")
            ),
            "with a kernel_regularizer",
        ),
        (
            lambda: layered_model(
                keras.layers.BatchNormalization(),
                keras.layers.Conv2D(4, 3),
                keras.layers.Flatten(),
            ),
            "before any other layer with weights.*gamma",
        ),
        (
            lambda: layered_model(keras.Sequential([keras.layers.Flatten()])),
            "a Sequential",
        ),
        (
            lambda: layered_model(keras.layers.Dense(2), keras.layers.Flatten()),
            "a Dense of more than one axis",
        ),
    ],
)
def test_what_cannot_be_packed_is_refused(model, message):
    with pytest.raises(packable.PackingError, match=message):
        packed_model.pack_model(model(), 3, batch_size=8, shared_images=True)


def test_sum_of_images_and_of_what_networks_made_of_them_is_refused():
    inputs = keras.Input(SHAPE)
    convolved = keras.layers.Conv2D(3, 3, padding="same")(inputs)
    added = keras.layers.Add()([inputs, convolved])
    pooled = keras.layers.GlobalAveragePooling2D()(added)
    model = keras.Model(inputs, keras.layers.Dense(3)(pooled))
    with pytest.raises(packable.PackingError, match="every path from the images"):
        packed_model.pack_model(model, 3, batch_size=8, shared_images=True)


def test_streaming_takes_one_network_at_a_time(dataset):
    with pytest.raises(ValueError, match="one network at a time with `streaming`"):
        make_trainer(dataset, perceptron, 2, streaming=True)


def test_packs_fill_the_memory_about_equally():
    model = architectures.build_model(
        "cnn", num_classes=10, input_shape=(32, 32, 3), seed=0
    )

    def fit(gigabytes, most=46):
        return packed_model.networks_that_fit(
            model, batch_size=128, memory_bytes=int(gigabytes * 2**30), most=most
        )

    assert fit(80) == 46
    assert fit(0.001) == 1
    # 46 networks in packs of at most so many: two of 23, not 30 and 16.
    sizes = [fit(gigabytes) for gigabytes in (8, 12, 16, 24)]
    assert sizes == sorted(sizes)
    assert all(size == -(-46 // -(-46 // size)) for size in sizes)
    assert 1 < sizes[0] < 46
