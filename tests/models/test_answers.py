import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_confusion.models import answers, architectures

SHAPE = (8, 8, 3)
LAYERS = keras.layers


class Subclassed(keras.Model):
    """A model whose end nobody sees from outside."""

    def __init__(self, end):
        super().__init__()
        self.convolution = LAYERS.Conv2D(4, 3, activation="relu")
        self.pooling = LAYERS.GlobalAveragePooling2D()
        self.dense = LAYERS.Dense(3)
        self.end = end

    def call(self, images):
        return self.end(self.dense(self.pooling(self.convolution(images))))


def functional(end):
    inputs = keras.Input(SHAPE)
    hidden = LAYERS.Conv2D(4, 3, activation="relu")(inputs)
    logits = LAYERS.Dense(3)(LAYERS.GlobalAveragePooling2D()(hidden))
    return keras.Model(inputs, end(logits))


def kind(model):
    return answers.kind_of_answers(lambda images: model(images, training=False), SHAPE)


ENDS = [
    (lambda logits: logits, "logits"),
    (LAYERS.LeakyReLU(), "logits"),
    (LAYERS.Activation("gelu"), "logits"),
    # The softmax of a log-softmax is the same: the loss is that of logits.
    (LAYERS.Activation("log_softmax"), "logits"),
    (LAYERS.Softmax(), "probabilities"),
    (LAYERS.Softmax(dtype="bfloat16"), "probabilities"),
    (LAYERS.Activation("softmax"), "probabilities"),
    (keras.ops.softmax, "probabilities"),
    (lambda logits: keras.ops.softmax(logits / 0.1), "probabilities"),
    (keras.Sequential([LAYERS.Softmax()]), "probabilities"),
    (lambda logits: 100 * keras.ops.softmax(logits), "probabilities"),
    (keras.ops.sigmoid, "sigmoids"),
    (LAYERS.Activation("hard_sigmoid"), "sigmoids"),
    (LAYERS.Activation("tanh"), "squashed"),
    (LAYERS.ReLU(), "rectified"),
    (LAYERS.Activation("softplus"), "rectified"),
]


@pytest.mark.parametrize(("end", "expected"), ENDS)
def test_kind_is_told_from_answers_whatever_the_layers(end, expected):
    keras.utils.set_random_seed(0)
    assert kind(functional(end)) == expected
    assert kind(Subclassed(end)) == expected


def test_logits_of_any_seed_are_logits():
    for seed in range(20):
        keras.utils.set_random_seed(seed)
        assert kind(functional(lambda logits: logits)) == "logits"
        text = architectures.build_model(
            "text", num_classes=3, input_shape=(6,), seed=seed, vocabulary_size=9
        )
        assert answers.kind_of_answers(text, (6,), vocabulary_size=9) == "logits"


def test_last_layers_that_begin_with_zeros_are_taken_as_they_are():
    # Every logit is 0 before the training; every probability is 1/3.
    zeros = {"units": 3, "kernel_initializer": "zeros"}
    for activation, expected in ((None, "logits"), ("softmax", "probabilities")):
        model = keras.Sequential(
            [
                keras.Input(SHAPE),
                LAYERS.Flatten(),
                LAYERS.Dense(activation=activation, **zeros),
            ]
        )
        assert kind(model) == expected


def test_models_without_logits_are_refused_and_the_advice_works():
    def build(activation="softmax"):
        return keras.applications.MobileNetV2(
            weights=None,
            input_shape=(32, 32, 3),
            alpha=0.35,
            classes=3,
            classifier_activation=activation,
        )

    message = (
        "logits.*Received: theirs, which answers with probabilities.*`Dense\\(num_class"
        "es\\)`, and for keras.applications `classifier_activation=None`"
    )
    with pytest.raises(ValueError, match=message):
        answers.check_logits(build(), "theirs", (32, 32, 3))
    answers.check_logits(build(None), "theirs", (32, 32, 3))


@pytest.mark.parametrize(
    ("kind", "squash"), [("probabilities", tf.nn.softmax), ("sigmoids", tf.sigmoid)]
)
def test_answers_become_the_logits_that_they_came_from(kind, squash):
    logits = tf.constant([[0.5, -2.0, 3.0], [0.0, 0.1, -4.0]])
    received = answers.to_logits(kind, squash)(logits)
    if kind == "probabilities":
        # Up to what is the same for all classes.
        received += tf.reduce_logsumexp(logits, axis=1, keepdims=True)
    np.testing.assert_allclose(received, logits, atol=1e-5)


def test_one_answer_is_that_of_the_second_of_two_classes():
    logits = tf.constant([[1.5], [-0.5]])
    received = answers.to_logits("sigmoids", tf.sigmoid)(logits)
    np.testing.assert_allclose(received, [[0, 1.5], [0, -0.5]], atol=1e-6)


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (lambda images: tf.reduce_mean(images, axis=(1, 2)), True),
        (lambda images: tf.reduce_mean(tf.round(images), axis=(1, 2)), False),
        (lambda images: tf.zeros((tf.shape(images)[0], 3)), False),
    ],
)
def test_gradient_is_there_or_not(function, expected):
    assert answers.has_gradient(function, (6, 6, 3)) is expected


@pytest.mark.parametrize("width", [4, 8])
def test_gradient_of_few_channels_is_asked_for_without_computing_it(width):
    # Computed for one image, that of the filters wrote outside its memory.
    model = architectures.build_model("resnet18", num_classes=3, seed=0, width=width)
    answers.check_gradient(model, (32, 32, 3))
