"""How two classes of a trained classifier are probed."""

import dataclasses

from keras_confusion.models import probe as model_probe
from keras_confusion.prototypes import settings as prototype_settings
from keras_confusion.prototypes.optimizer import parametrizations
from keras_confusion.prototypes.optimizer import settings as optimizer_settings
from keras_confusion.prototypes.optimizer.settings import OptimizerSettings

_ITERATIONS_BETWEEN_FRAMES = 2


@dataclasses.dataclass(frozen=True)
class PairSettings:
    """How a pair of classes is probed.

    Args:
        inits: Number of initialisations.
        seed: With the number of the initialisation and the label, it decides the noise
            of a class, whichever class it is paired with.
        parametrization: One of `parametrizations.NAMES`.
        transformations: See `optimizer.settings.settled`, as the next three.
        steps: Updates of every class prototype.
        update_rule: How images follow the gradient.
        learning_rate: `None` takes the poster's for pixels of so many classes.
        loss_threshold: An image is done when its loss, in nats, is below.
        max_iterations: Updates after which an image is given up.
        frames: Frames that are kept of every prototype's way, 0 or at least 2.
    """

    inits: int = 3
    seed: int = 0
    parametrization: str = "pixels"
    transformations: str | None = None
    steps: int | None = None
    update_rule: str | None = None
    learning_rate: float | None = None
    loss_threshold: float = 0.01
    max_iterations: int = 2000
    frames: int = 0

    def optimizer(self, probe: model_probe.Probe) -> OptimizerSettings:
        """The `OptimizerSettings` for a classifier."""
        poster_learning_rate = prototype_settings.poster_learning_rate(
            len(probe.class_names)
        )
        return optimizer_settings.settled(
            parametrizations.parametrization(
                self.parametrization, probe.input_shape, probe.image_statistics
            ),
            until_threshold=(
                prototype_settings.POSTER_UPDATE_RULE,
                poster_learning_rate,
            ),
            transformations=self.transformations,
            steps=self.steps,
            update_rule=self.update_rule,
            learning_rate=self.learning_rate,
            loss_threshold=self.loss_threshold,
            max_iterations=self.max_iterations,
            frame_every=_ITERATIONS_BETWEEN_FRAMES if self.frames else None,
        )
