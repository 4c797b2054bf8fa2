import functools

import keras
import numpy as np
import pytest

import keras_confusion
from keras_confusion.models import architectures


def shape_and_parameters(model):
    return [(tuple(layer.output.shape), layer.count_params()) for layer in model.layers]


def test_cnn_has_the_posters_layers():
    model = architectures.build_model(
        "cnn", num_classes=10, input_shape=(32, 32, 3), seed=0
    )
    # The confusion poster, "model architecture"; the shapes of the Keras tutorial
    # network that it shows.
    assert shape_and_parameters(model) == [
        ((None, 30, 30, 32), 896),
        ((None, 15, 15, 32), 0),
        ((None, 13, 13, 64), 18_496),
        ((None, 6, 6, 64), 0),
        ((None, 4, 4, 64), 36_928),
        ((None, 1024), 0),
        ((None, 64), 65_600),
        ((None, 10), 650),
    ]
    assert model.count_params() == 122_570


def test_output_is_logits():
    model = architectures.build_model(
        "cnn", num_classes=4, input_shape=(18, 18, 1), seed=0
    )
    logits = model(np.random.default_rng(0).random((5, 18, 18, 1), np.float32)).numpy()
    assert logits.shape == (5, 4)
    assert not np.allclose(logits.sum(axis=1), 1)
    assert (logits < 0).any()


def test_the_posters_network_needs_no_more_than_classes():
    models = [keras_confusion.build_model("cnn", num_classes=10) for _ in range(5)]
    assert {model.input_shape for model in models} == {(None, 32, 32, 3)}
    # 122,570 parameters, see `architectures.cnn`.
    assert {model.count_params() for model in models} == {122_570}
    # Without a seed every network is another.
    assert len({model.get_weights()[0].tobytes() for model in models}) == 5


def test_weights_are_a_function_of_the_seed():
    def weights(seed):
        built = architectures.build_model(
            "cnn", num_classes=3, input_shape=(18, 18, 1), seed=seed
        )
        return np.concatenate([weight.ravel() for weight in built.get_weights()])

    np.testing.assert_array_equal(weights(1), weights(1))
    assert np.any(weights(1) != weights(2))


def test_layers_of_one_shape_start_from_different_weights():
    model = architectures.build_model(
        "cnn", num_classes=64, input_shape=(32, 32, 3), seed=0
    )
    hidden, output = (layer.kernel.numpy() for layer in model.layers[-2:])
    assert np.any(hidden[:64] != output)


def test_mixed_policy_keeps_float32_logits_and_leaves_the_global_policy_alone():
    before = keras.config.dtype_policy()
    model = architectures.build_model(
        "cnn",
        num_classes=3,
        input_shape=(18, 18, 1),
        seed=0,
        dtype_policy="mixed_bfloat16",
    )
    assert keras.config.dtype_policy() == before
    assert model.layers[0].compute_dtype == "bfloat16"
    assert model.layers[0].kernel.dtype == "float32"
    assert model(np.zeros((1, 18, 18, 1), np.float32)).dtype == "float32"


def test_resnet18_has_the_papers_parameters_and_features():
    model = architectures.build_model(
        "resnet18", num_classes=10, input_shape=(32, 32, 3), seed=0
    )
    # The posters' network (kuangliu's CIFAR ResNet18): 11,173,962.
    trainable = sum(int(np.prod(v.shape)) for v in model.trainable_variables)
    assert trainable == 11_173_962
    assert model.layers[-1].input.shape == (None, 512)
    # 3x3 stem without pooling, then halved three times.
    sizes = {layer.output.shape[1] for layer in model.layers if "conv" in layer.name}
    assert sizes == {32, 16, 8, 4}


def test_resnet18_scales_with_width_and_starts_from_its_seed():
    def build(seed, width=4):
        return architectures.build_model(
            "resnet18", num_classes=3, input_shape=(16, 16, 1), seed=seed, width=width
        )

    assert build(0).layers[-1].input.shape == (None, 32)
    assert build(0, width=2).layers[-1].input.shape == (None, 16)
    one, again, other = (build(seed).get_weights() for seed in (1, 1, 2))
    for first, second in zip(one, again, strict=True):
        np.testing.assert_array_equal(first, second)
    assert any(np.any(a != b) for a, b in zip(one, other, strict=True))


def test_text_reads_tokens_and_starts_from_its_seed():
    def build(seed):
        return architectures.build_model(
            "text", num_classes=3, input_shape=(6,), seed=seed, vocabulary_size=9
        )

    model = build(1)
    # 9 words of 16 numbers; 32 filters of 3 words; 3 classes.
    assert model.count_params() == 9 * 16 + (3 * 16 + 1) * 32 + (32 + 1) * 3
    one, again, other = (built.get_weights() for built in (model, build(1), build(2)))
    for first, second in zip(one, again, strict=True):
        np.testing.assert_array_equal(first, second)
    assert all(
        np.any(a != b) for a, b in zip(one, other, strict=True) if np.any(a != 0)
    )
    tokens = np.int32([[0, 1, 2, 3, 4, 8], [8, 4, 3, 2, 1, 0]])
    logits = model(tokens).numpy()
    assert logits.shape == (2, 3)
    # Three words in a row are seen in their order.
    assert not np.allclose(logits[0], logits[1])


@pytest.mark.parametrize("name", ["cnn", "resnet18"])
def test_models_of_images_are_refused_for_tokens(name):
    with pytest.raises(
        ValueError, match=f"of token sequences.*: '{name}'. Use --model text, or"
    ):
        architectures.build_model(
            name, num_classes=3, input_shape=(6,), seed=0, vocabulary_size=9
        )


def test_functions_are_given_the_vocabulary_size():
    def bag_of_words(*, input_shape, num_classes, seed, vocabulary_size):
        return keras.Sequential(
            [
                keras.Input(input_shape, dtype="int32"),
                keras.layers.Embedding(vocabulary_size, num_classes),
                keras.layers.GlobalAveragePooling1D(),
            ]
        )

    arguments = {"num_classes": 3, "input_shape": (6,), "seed": 0}
    model = architectures.build_model(bag_of_words, vocabulary_size=9, **arguments)
    assert model.count_params() == 27
    with pytest.raises(ValueError, match=r"input_shape, .*, vocabulary_size.*linear"):
        architectures.build_model(linear, vocabulary_size=9, **arguments)


def linear(*, input_shape, num_classes, seed):
    return keras.Sequential(
        [
            keras.Input(input_shape),
            keras.layers.Flatten(),
            keras.layers.Dense(
                num_classes, kernel_initializer=keras.initializers.GlorotUniform(seed)
            ),
        ]
    )


BUILT = keras.Sequential([keras.Input((8, 8, 1))], name="built")


def with_outputs(end):
    model = linear(input_shape=(8, 8, 1), num_classes=3, seed=0)
    return keras.Model(model.inputs[0], end(model.outputs[0]))


def test_advice_on_several_outputs_works():
    def build(**options):
        model = with_outputs(lambda logits: {"logits": logits, "more": logits})
        return keras.Model(model.inputs[0], model.output["logits"])

    model = architectures.build_model(build, num_classes=3, input_shape=(8, 8, 1))
    assert model.output_shape == (None, 3)


def test_function_with_some_arguments_given_serves_too():
    given = functools.partial(architectures.resnet18, width=2)
    model = architectures.build_model(given, num_classes=3, input_shape=(8, 8, 1))
    assert saved_features(model) == 16
    # Others are another model.
    name = "keras_confusion.models.architectures:resnet18(width=2)"
    assert architectures.model_name(given) == name


def saved_features(model):
    return model.layers[-1].input.shape[-1]


def test_any_function_serves_as_a_model():
    model = architectures.build_model(
        linear, num_classes=3, input_shape=(8, 8, 1), seed=3
    )
    assert model.output_shape == (None, 3)
    assert architectures.model_name(linear).endswith("test_architectures:linear")


class Subclassed(keras.Model):
    def __init__(self, num_classes):
        super().__init__()
        self.flatten = keras.layers.Flatten()
        self.dense = keras.layers.Dense(num_classes)

    def call(self, images):
        return self.dense(self.flatten(images))


def test_subclassed_models_serve_too():
    def build(*, input_shape, num_classes, seed):
        return Subclassed(num_classes)

    model = architectures.build_model(
        build, num_classes=3, input_shape=(8, 8, 1), seed=0
    )
    assert len(model.trainable_variables) == 2
    with pytest.raises(ValueError, match=r"output shape \(None, 5\)"):
        architectures.build_model(
            lambda **options: Subclassed(5),
            num_classes=3,
            input_shape=(8, 8, 1),
            seed=0,
        )


def test_functions_are_found_by_name():
    model = architectures.build_model(
        "keras_confusion.models.architectures:cnn",
        num_classes=3,
        input_shape=(18, 18, 1),
        seed=0,
    )
    assert model.output_shape == (None, 3)


@pytest.mark.parametrize(
    ("model", "shape", "message"),
    [
        ("resnet999", (32, 32, 3), r"a model of \['cnn', 'resnet18', 'text'\]"),
        (
            "keras_confusion.models.architectures:nothing",
            (32, 32, 3),
            "that Python can import",
        ),
        ("no.such.package:function", (32, 32, 3), "that Python can import"),
        ("cnn", (8, 8, 1), "at least 18 pixels"),
        ("os:getcwd", (8, 8, 1), "arguments input_shape, num_classes, seed"),
        ("resnet18", (4, 4, 1), "at least 8 pixels"),
        ("text", (8, 8, 1), "a model of images.*'text'. Use --model cnn or resnet18"),
        (
            lambda **options: linear(**(options | {"num_classes": 7})),
            (8, 8, 1),
            r"output has shape \(batch, 3\).*Received: .*\(None, 7\)",
        ),
        (lambda **options: 42, (8, 8, 1), "to return a `keras.Model`.*int"),
        (
            lambda **options: with_outputs(lambda logits: [logits, logits]),
            (8, 8, 1),
            r"one output.*with list of outputs \[\(None, 3\), \(None, 3\)\]",
        ),
        (
            lambda **options: with_outputs(lambda logits: {"logits": logits}),
            (8, 8, 1),
            r"with dict of outputs \{'logits': \(None, 3\)\}. Use `keras.Model\(mo",
        ),
        (
            lambda **options: with_outputs(lambda logits: logits),
            (9, 9, 1),
            r"examples of shape \(9, 9, 1\).*fails with: .*Use the `input_shape` that",
        ),
        (3, (8, 8, 1), "Received: int. Use one of .*'package.module:function'"),
        (
            keras.Sequential(name="theirs"),
            (8, 8, 1),
            "a function that returns.*Received: the built model theirs. Use `def build",
        ),
        (f"{__name__}:BUILT", (8, 8, 1), "Received: the built model built. Use"),
    ],
)
def test_errors_name_what_is_wrong(model, shape, message):
    with pytest.raises(ValueError, match=message):
        architectures.build_model(model, num_classes=3, input_shape=shape, seed=0)
