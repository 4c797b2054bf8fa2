"""How networks are trained: optimisers, their rates and batch sizes, by name."""

import dataclasses

import keras
import tensorflow as tf

SMALL_DATASET = 10_000
# Patterns for names such as "dense/bias:0"; a layer may have any name.
_NOT_DECAYED = ["bias[^/]*$", "gamma[^/]*$", "beta[^/]*$"]


@dataclasses.dataclass(frozen=True)
class Recipe:
    """How a network is trained.

    Args:
        name: A name of `find_recipe`.
        learning_rate: The learning rate at its highest.
        batch_size: Images a step.
        cosine_decay: Whether the learning rate falls to 0 along half a cosine. A
            constant rate leaves every network wherever its last steps threw it, so
            that the accuracy of single classes varies more between networks.
        momentum: That of Nesterov's stochastic gradient descent; `None` takes Adam.
        weight_decay: Share of a weight that is taken away at every step, times the
            learning rate (Loshchilov & Hutter 2019, arXiv 1711.05101); not from
            biases and normalisation. Where PyTorch's SGD adds a decay d to the
            gradient, this is d / (1 - momentum).
        warmup: Share of the steps in which the learning rate first rises from 0.
    """

    name: str
    learning_rate: float
    batch_size: int
    cosine_decay: bool
    momentum: float | None = None
    weight_decay: float | None = None
    warmup: float = 0.0

    def build_optimizer(self, num_steps: int) -> keras.optimizers.Optimizer:
        """A new optimiser for a training of so many steps."""
        learning_rate = self.learning_rate
        if self.cosine_decay:
            warmup_steps = round(self.warmup * num_steps)
            warms_up = warmup_steps > 0
            learning_rate = keras.optimizers.schedules.CosineDecay(
                0.0 if warms_up else self.learning_rate,
                decay_steps=num_steps - warmup_steps,
                warmup_target=self.learning_rate if warms_up else None,
                warmup_steps=warmup_steps,
            )
        if self.momentum is None:
            optimizer = FusedAdam(learning_rate, weight_decay=self.weight_decay)
        else:
            optimizer = keras.optimizers.SGD(
                learning_rate,
                momentum=self.momentum,
                nesterov=True,
                weight_decay=self.weight_decay,
            )
        if self.weight_decay is not None:
            optimizer.exclude_from_weight_decay(var_names=_NOT_DECAYED)
        return optimizer


class FusedAdam(keras.optimizers.Adam):
    """Keras' Adam without `amsgrad`, each step of a variable in one operation.

    Keras takes fifteen. Networks are small: operations take longer to begin than to
    compute.
    """

    def update_step(self, gradient, variable, learning_rate):
        """Updates a variable and its moments, as `keras.optimizers.Adam`."""
        if tf.distribute.has_strategy():
            # Variables are several, one on each device.
            super().update_step(gradient, variable, learning_rate)
            return
        index = self._get_variable_index(variable)
        dtype = variable.dtype
        step = tf.cast(self.iterations + 1, dtype)
        tf.raw_ops.ResourceApplyAdam(
            var=variable.handle,
            m=self._momentums[index].value.handle,
            v=self._velocities[index].value.handle,
            beta1_power=tf.cast(self.beta_1, dtype) ** step,
            beta2_power=tf.cast(self.beta_2, dtype) ** step,
            lr=tf.cast(learning_rate, dtype),
            beta1=tf.cast(self.beta_1, dtype),
            beta2=tf.cast(self.beta_2, dtype),
            epsilon=tf.cast(self.epsilon, dtype),
            grad=tf.cast(gradient, dtype),
        )


def find_recipe(name: str, *, num_train: int, **changes) -> Recipe:
    """Returns a recipe by name.

    Args:
        name: "annealed": Adam with cosine decay to 0. "tutorial": Adam at a constant
            rate and batches of 32, the confusion poster's setting as far as it can
            be read. "momentum": stochastic gradient descent with momentum, weight
            decay and cosine decay, the usual way to train a ResNet.
        num_train: Number of training examples. Below 10,000 all but "tutorial" take
            smaller batches, as an epoch would be only a few steps long.
        **changes: Fields of `Recipe` to replace; those that are `None` are not.

    Returns:
        A `Recipe`.

    Raises:
        ValueError: If the name is unknown.
    """
    batch_size = 128 if num_train >= SMALL_DATASET else 32
    recipes = {
        "annealed": Recipe("annealed", 2e-3, batch_size, cosine_decay=True),
        "momentum": Recipe(
            "momentum",
            # In proportion to the batch (Goyal et al. 2017, arXiv 1706.02677).
            0.1 * batch_size / 128,
            batch_size,
            cosine_decay=True,
            momentum=0.9,
            weight_decay=5e-3,
            warmup=0.05,
        ),
        "tutorial": Recipe("tutorial", 1e-3, 32, cosine_decay=False),
    }
    if name not in recipes:
        raise ValueError(f"Expected a recipe of {sorted(recipes)}. Received: {name!r}.")
    changes = {key: value for key, value in changes.items() if value is not None}
    return dataclasses.replace(recipes[name], **changes)
