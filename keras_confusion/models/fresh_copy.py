"""A Keras model as a function that builds it anew, with weights of a seed."""

import dataclasses
import json
from typing import Any

import keras
import numpy as np


@dataclasses.dataclass(frozen=True)
class FreshCopy:
    """Builds copies of a Sequential or functional model, none of which has its weights.

    Layers' and initialisers' seeds are replaced, so that weights are equal within a
    repeat and differ between repeats, also where the model fixed them.

    Args:
        name: Of the model.
        config: How Keras describes it, as JSON: it goes to other processes.
    """

    name: str
    config: str

    @classmethod
    def of_model(cls, model: keras.Model) -> "FreshCopy":
        """Describes a model.

        Raises:
            ValueError: If it is a subclassed model, of which Keras knows no layers.
        """
        if not isinstance(model, keras.Sequential) and not hasattr(model, "inputs"):
            raise ValueError(
                "Expected a Sequential or functional model, or a function that builds "
                f"one. Received: {model.name} ({type(model).__name__}), whose layers "
                "Keras cannot copy. Use `def build(*, input_shape, num_classes, seed)` "
                "with the lines that build it."
            )
        config = keras.saving.serialize_keras_object(model)
        # How it was compiled is not part of it.
        config.pop("compile_config", None)
        return cls(model.name, json.dumps(config))

    def __call__(self, *, input_shape, num_classes: int, seed: int) -> keras.Model:
        """A copy with fresh weights; see `architectures.build_model`."""
        config = json.loads(self.config)
        _seed(config, np.random.default_rng(seed))
        return keras.saving.deserialize_keras_object(config)


def _seed(config: Any, generator: np.random.Generator) -> None:
    """Gives every seed in a description a number of its own."""
    if isinstance(config, list):
        for part in config:
            _seed(part, generator)
    if isinstance(config, dict):
        for name, part in config.items():
            if name == "seed":
                config[name] = int(generator.integers(2**31))
            else:
                _seed(part, generator)
