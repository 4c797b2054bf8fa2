import math

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from keras_confusion.training import recipes


def rates(recipe, num_steps, steps):
    """The learning rate of the optimiser before each of these steps."""
    optimizer = recipe.build_optimizer(num_steps)
    received = []
    for step in steps:
        optimizer.iterations.assign(step)
        received.append(float(optimizer.learning_rate))
    return received


def large(name, **changes):
    return recipes.find_recipe(name, num_train=50_000, **changes)


# Half a cosine by hand: cos(pi / 4) = 0.70711, cos(pi / 2) = 0, cos(pi) = -1.
@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("annealed", {0: 2e-3, 50: 1.70711e-3, 100: 1e-3, 150: 0.29289e-3, 200: 0}),
        # 5 % of 200 steps are 10; the cosine has its middle at 10 + 190 / 2.
        ("momentum", {0: 0, 1: 0.01, 5: 0.05, 10: 0.1, 105: 0.05, 200: 0}),
        ("tutorial", {0: 1e-3, 100: 1e-3, 200: 1e-3}),
    ],
)
def test_learning_rates_on_the_way(name, expected):
    received = rates(large(name), 200, expected)
    np.testing.assert_allclose(received, list(expected.values()), rtol=1e-4, atol=1e-8)


@settings(max_examples=30, deadline=None)
@given(
    name=st.sampled_from(["annealed", "momentum"]),
    num_steps=st.integers(1, 2000),
    share=st.floats(0, 1),
)
def test_learning_rate_rises_in_a_line_and_falls_along_half_a_cosine(
    name, num_steps, share
):
    recipe, step = large(name), round(share * num_steps)
    num_warmup = round(recipe.warmup * num_steps)
    if step < num_warmup:
        expected = recipe.learning_rate * step / num_warmup
    else:
        decayed = (step - num_warmup) / (num_steps - num_warmup)
        expected = recipe.learning_rate * (1 + math.cos(math.pi * decayed)) / 2
    (received,) = rates(recipe, num_steps, [step])
    assert received == pytest.approx(expected, rel=1e-4, abs=1e-6)


def test_small_data_sets_have_small_batches_at_a_rate_in_proportion():
    def found(name, num_train):
        recipe = recipes.find_recipe(name, num_train=num_train)
        return recipe.batch_size, recipe.learning_rate

    assert found("momentum", 10_000) == (128, 0.1)
    assert found("momentum", 9_999) == (32, pytest.approx(0.025))
    assert found("annealed", 10_000) == (128, 2e-3)
    assert found("annealed", 9_999) == (32, 2e-3)
    assert found("tutorial", 10_000) == found("tutorial", 9_999) == (32, 1e-3)


def values_after(recipe, gradients, *, start=2.0, num_steps=1000):
    """A weight called kernel after each step of these gradients."""
    kernel = keras.Variable(start, name="kernel")
    optimizer = recipe.build_optimizer(num_steps)
    values = []
    for gradient in gradients:
        optimizer.apply([keras.ops.convert_to_tensor(float(gradient))], [kernel])
        values.append(float(kernel))
    return values


def test_momentum_takes_the_steps_of_nesterov():
    # v <- 0.9 v + g; w <- w - 0.1 (g + 0.9 v), from w = 2: v is 1, -1.1, -0.49.
    recipe = large("momentum", cosine_decay=False, weight_decay=0.0)
    np.testing.assert_allclose(
        values_after(recipe, [1, -2, 0.5]), [1.81, 2.109, 2.1031], rtol=1e-6
    )


def test_momentum_at_the_rate_and_with_the_decay_of_each_step():
    # Of 100 steps 5 warm up: rates 0, 0.02, 0.04; w <- w (1 - rate / 200) first.
    # Velocities, which hold the rates they came with: 0, 0.02, 0.9 * 0.02 + 0.04.
    received = values_after(large("momentum"), [1, 1, 1], num_steps=100)
    second = 2 * (1 - 0.0001) - (0.02 + 0.9 * 0.02)
    third = second * (1 - 0.0002) - (0.04 + 0.9 * 0.058)
    np.testing.assert_allclose(received, [2, second, third], rtol=1e-6)


@pytest.mark.parametrize(("name", "rate"), [("annealed", 2e-3), ("tutorial", 1e-3)])
def test_the_others_take_the_first_step_of_adam(name, rate):
    # Whatever the gradient, the first step is as long as the rate.
    for gradient, sign in ((0.3, 1), (-70.0, -1)):
        (received,) = values_after(large(name), [gradient])
        assert received == pytest.approx(2 - sign * rate, abs=1e-6)
    (decayed,) = values_after(large(name, weight_decay=0.5), [0.3])
    assert decayed == pytest.approx(2 * (1 - 0.5 * rate) - rate, abs=1e-6)


def test_weight_decay_is_of_kernels_only():
    inputs = keras.Input((6, 6, 1))
    # Names of layers that look like those of weights.
    hidden = keras.layers.Conv2D(2, 3, name="bias_conv")(inputs)
    hidden = keras.layers.BatchNormalization(name="kernel_norm")(hidden)
    hidden = keras.layers.Flatten()(hidden)
    model = keras.Model(inputs, keras.layers.Dense(3, name="beta_gamma")(hidden))
    recipe = large("momentum", cosine_decay=False, learning_rate=0.5, weight_decay=0.2)
    optimizer = recipe.build_optimizer(10)
    # Biases are 0 at first, of which nothing could be taken away.
    model.set_weights([np.ones_like(weight) for weight in model.get_weights()])
    optimizer.build(model.trainable_variables)
    for _ in range(2):
        optimizer.apply(
            [keras.ops.zeros_like(weight) for weight in model.trainable_variables]
        )
    decayed = {
        variable.path: (1 - 0.5 * 0.2) ** 2 if variable.name == "kernel" else 1
        for variable in model.variables
    }
    assert sorted(decayed.values()) == [0.9**2] * 2 + [1] * 6
    for variable in model.variables:
        np.testing.assert_allclose(variable, decayed[variable.path], rtol=1e-6)


def test_weight_decay_is_that_of_pytorch_divided_by_one_minus_momentum():
    # PyTorch's SGD without a gradient of the loss: g = d w, then as above.
    recipe = large("momentum", cosine_decay=False)
    decay = recipe.weight_decay * (1 - recipe.momentum)
    weight, velocity, shares = 1.0, 0.0, []
    for _ in range(200):
        gradient = decay * weight
        velocity = recipe.momentum * velocity + gradient
        step = recipe.learning_rate * (gradient + recipe.momentum * velocity)
        shares.append(step / weight)
        weight -= step
    # Only once the velocity has come up.
    assert shares[0] < shares[-1] / 4
    (received,) = values_after(recipe, [0], start=1.0)
    assert 1 - received == pytest.approx(shares[-1], rel=0.01)


def test_changes_are_taken_and_none_is_no_change():
    usual = large("momentum")
    changed = large("momentum", batch_size=7, learning_rate=None, weight_decay=0.0)
    assert changed == recipes.Recipe(
        "momentum",
        usual.learning_rate,
        7,
        cosine_decay=True,
        momentum=usual.momentum,
        weight_decay=0.0,
        warmup=usual.warmup,
    )
    assert large("momentum", batch_size=None) == usual


def test_unknown_recipe_is_refused():
    with pytest.raises(ValueError, match=r"'momentum', 'tutorial'.*'fast'"):
        recipes.find_recipe("fast", num_train=10)


@pytest.mark.parametrize("in_graph", [False, True])
def test_fused_adam_is_adam(in_graph):
    rng = np.random.default_rng(0)
    schedule = keras.optimizers.schedules.CosineDecay(0.01, decay_steps=40)
    fused = recipes.FusedAdam(schedule, weight_decay=0.1)
    adam = keras.optimizers.Adam(schedule, weight_decay=0.1)
    start = [rng.standard_normal(shape).astype(np.float32) for shape in ((3, 4), (5,))]
    fused_variables, adam_variables = (
        [keras.Variable(value) for value in start] for _ in range(2)
    )
    for optimizer, variables in ((fused, fused_variables), (adam, adam_variables)):
        optimizer.build(variables)

    def step(gradients):
        fused.apply(gradients, fused_variables)
        adam.apply(gradients, adam_variables)

    step = tf.function(step) if in_graph else step
    for _ in range(40):
        step([tf.constant(rng.standard_normal(v.shape), tf.float32) for v in start])
    for variable, other in zip(fused_variables, adam_variables, strict=True):
        np.testing.assert_allclose(variable, other, rtol=2e-5, atol=1e-6)
    # Both have moved, and so have their moments.
    assert np.abs(fused_variables[0].numpy() - start[0]).max() > 0.05
    for variable, other in zip(fused.variables, adam.variables, strict=True):
        np.testing.assert_allclose(variable, other, rtol=1e-4, atol=1e-7)
