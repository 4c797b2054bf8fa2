"""Averages of weights: several beside a training, or one in their place after it."""

import dataclasses
import functools
from collections.abc import Mapping, Sequence

import keras
import tensorflow as tf

from keras_confusion.training.recipes import FusedAdam, Recipe


class WeightAverages:
    """Averages of variables over the steps of a training, by name.

    Args:
        variables: What is averaged, float32.
        num_steps: Steps of the training.
        exponential: By name the time constants of exponential moving averages, as
            shares of the steps, see `AveragedRecipe`.
        uniform: By name shares of the steps, at the end, over which a plain mean is
            taken: stochastic weight averaging (Izmailov et al. 2018, arXiv
            1803.05407), after every step.
    """

    def __init__(
        self,
        variables: Sequence[keras.Variable],
        num_steps: int,
        *,
        exponential: Mapping[str, float],
        uniform: Mapping[str, float],
    ):
        self._momenta = {
            name: 1 - 1 / max(share * num_steps, 1)
            for name, share in exponential.items()
        }
        self._steps_before = {
            name: round((1 - share) * num_steps) for name, share in uniform.items()
        }
        self.values = {
            name: [tf.Variable(tf.convert_to_tensor(one)) for one in variables]
            for name in (*exponential, *uniform)
        }

    def update(self, steps_done, variables: Sequence[keras.Variable]) -> None:
        """Takes up the variables after a step; the first one begins again."""
        steps_done = tf.cast(steps_done, tf.float32)
        not_first = tf.cast(steps_done > 1, tf.float32)
        momenta = {
            name: not_first * momentum for name, momentum in self._momenta.items()
        }
        for name, steps_before in self._steps_before.items():
            momenta[name] = 1 - 1 / tf.maximum(steps_done - steps_before, 1)
        for name, momentum in momenta.items():
            for average, variable in zip(self.values[name], variables, strict=True):
                weights = tf.convert_to_tensor(variable)
                average.assign(momentum * average + (1 - momentum) * weights)


class ObservedAdam(FusedAdam):
    """`FusedAdam` that also averages the weights; `observe` comes first."""

    def observe(self, num_steps: int, **averages: Mapping[str, float]) -> None:
        """Settles what will be averaged, see `WeightAverages`."""
        self._make_averages = functools.partial(
            WeightAverages, num_steps=num_steps, **averages
        )

    def build(self, variables):
        """Adds the averages, which are no variables of the optimiser."""
        super().build(variables)
        self.averages = self._make_averages(variables)

    def apply(self, grads, trainable_variables=None):
        """One step, and the averages after it."""
        super().apply(grads, trainable_variables)
        self.averages.update(self.iterations, self._trainable_variables)


@dataclasses.dataclass(frozen=True)
class ObservedRecipe(Recipe):
    """A recipe of Adam's whose optimisers have averages of the weights.

    Args:
        exponential: See `WeightAverages`.
        uniform: See `WeightAverages`.
        optimizers: Every optimiser that was built, in turn.
    """

    exponential: Mapping[str, float] = dataclasses.field(default_factory=dict)
    uniform: Mapping[str, float] = dataclasses.field(default_factory=dict)
    optimizers: list[ObservedAdam] = dataclasses.field(default_factory=list)

    def build_optimizer(self, num_steps: int) -> ObservedAdam:
        """As `Recipe.build_optimizer`."""
        plain = super().build_optimizer(num_steps)
        observed = ObservedAdam.from_config(plain.get_config())
        observed.observe(num_steps, exponential=self.exponential, uniform=self.uniform)
        self.optimizers.append(observed)
        return observed


def observed(
    recipe: Recipe, *, exponential: Mapping[str, float], uniform: Mapping[str, float]
) -> ObservedRecipe:
    """The same recipe with averages beside it, see `WeightAverages`."""
    return ObservedRecipe(
        **dataclasses.asdict(recipe), exponential=exponential, uniform=uniform
    )


@dataclasses.dataclass(frozen=True)
class AveragedRecipe(Recipe):
    """A recipe whose optimisers keep Keras' own moving average of the weights.

    It takes their place by the optimiser's `finalize_variable_values`. Not for models
    with batch normalisation: its statistics would be those of other weights.

    Args:
        averaging: Time constant of the exponential moving average, as a share of all
            steps. The average lags behind by as much, and what single steps did to the
            weights is averaged out.
        optimizers: Every optimiser that was built, in turn.
    """

    averaging: float = 0.1
    optimizers: list[keras.optimizers.Optimizer] = dataclasses.field(
        default_factory=list
    )

    def build_optimizer(self, num_steps: int) -> keras.optimizers.Optimizer:
        """As `Recipe.build_optimizer`."""
        plain = super().build_optimizer(num_steps)
        # Keras: average = m * average + (1 - m) * weights, after every step.
        momentum = 1 - 1 / max(self.averaging * num_steps, 1.0)
        average = {"use_ema": True, "ema_momentum": momentum}
        optimizer = type(plain).from_config(plain.get_config() | average)
        self.optimizers.append(optimizer)
        return optimizer


def averaged(recipe: Recipe, averaging: float) -> AveragedRecipe:
    """The same recipe with an average in the end, see `AveragedRecipe`."""
    return AveragedRecipe(**dataclasses.asdict(recipe), averaging=averaging)
