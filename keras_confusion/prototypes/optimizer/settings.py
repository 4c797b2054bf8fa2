"""How images are optimised."""

import dataclasses
from typing import Self

from keras_confusion.prototypes.optimizer import transformations, update_rules
from keras_confusion.prototypes.optimizer.parametrizations import (
    Parametrization,
    Pixels,
)

STEPS = 128
# Of Adam, for a number of steps, by parametrisation.
_LEARNING_RATES = {"pixels": 0.01, "fourier": 0.03, "maco": 0.1}
# Of "growing", at the first update, whatever the number of classes.
_GROWING_RATE = 0.5


@dataclasses.dataclass(frozen=True)
class OptimizerSettings:
    """How images are optimised; defaults are the prototype poster's for CIFAR-10.

    Args:
        update_rule: "normalized": x <- clip(x - rate * g / |g|, 0, 1), |g| over all
            pixels of the image (Dean & Sarkar, arXiv 2305.15563); "sgd": the same
            without the division; "adam": Adam's step, then clip; "polyak": as
            "normalized", with steps of length min(rate, loss / |g|), Polyak's for a
            loss whose minimum is 0 (Introduction to Optimization, 1987); "growing": the
            same with half of that length, and a rate that grows by 2 % an update. It is
            for networks that need hundreds of updates otherwise.
        learning_rate: 0.01 for CIFAR-10, 0.1 for CIFAR-100; 0.5 for "growing".
        loss_threshold: An image is done when its loss, in nats, is below.
        max_iterations: Updates after which an image is given up as not converged.
        batch_size: Images that are optimised at a time.
        frame_every: Iterations between two frames that are kept, and more where an
            image would have above `frames.MOST_FRAMES`; `None` keeps none.
        steps: Updates of every image, whatever its loss is. They follow the objective's
            `descended`; threshold and objective then say whether the finished image
            has converged. `None` stops at the threshold.
        transformations: "standard" shifts, rotates and scales the image anew for every
            step, see `transformations`; "none".
        parametrization: A `parametrizations.Parametrization`; `None` for pixels.

    Raises:
        ValueError: If a setting makes no sense.
    """

    update_rule: str = "normalized"
    learning_rate: float = 0.01
    loss_threshold: float = 0.01
    max_iterations: int = 2000
    batch_size: int = 100
    frame_every: int | None = None
    steps: int | None = None
    transformations: str = "none"
    parametrization: Parametrization | None = None

    def __post_init__(self):
        if self.update_rule not in update_rules.UPDATE_RULES:
            raise ValueError(
                f"Expected `update_rule` to be one of {update_rules.UPDATE_RULES}. "
                f"Received: {self.update_rule!r}."
            )
        for name in ("learning_rate", "loss_threshold", "batch_size"):
            if not getattr(self, name) > 0:
                raise ValueError(
                    f"Expected `{name}` above 0. Received: {getattr(self, name)}."
                )
        if self.transformations not in transformations.TRANSFORMATIONS:
            raise ValueError(
                "Expected `transformations` to be one of "
                f"{transformations.TRANSFORMATIONS}. Received: "
                f"{self.transformations!r}."
            )
        if self.steps is None and self.transformations != "none":
            # Before it is moved an image may be far from what it is afterwards.
            raise ValueError(
                "Expected `steps` where images are transformed. Received: None. Use "
                "for example 128."
            )
        if self.steps is not None and self.update_rule in update_rules.TO_ZERO:
            raise ValueError(
                "Expected another `update_rule` with `steps`: they follow log-odds, "
                f"which have no smallest value. Received: {self.update_rule!r}. Use "
                "'adam'."
            )
        if self.steps is not None and self.steps < 1:
            raise ValueError(f"Expected `steps` of at least 1. Received: {self.steps}.")
        too_often = self.frame_every is not None and self.frame_every < 1
        if self.max_iterations < 0 or too_often:
            raise ValueError(
                "Expected `max_iterations` of 0 or more and `frame_every` of at least "
                f"1. Received: {self.max_iterations} and {self.frame_every}."
            )

    def description(self) -> dict:
        """All fields, JSON types; the parametrisation by its name."""
        values = {
            field.name: getattr(self, field.name) for field in dataclasses.fields(self)
        }
        return values | {
            "parametrization": getattr(self.parametrization, "name", "pixels")
        }

    def for_prototypes(self) -> Self:
        """The same for images that begin as prototypes: half of the steps, if any."""
        if self.steps is None:
            return self
        return dataclasses.replace(self, steps=(self.steps + 1) // 2)


def settled(
    parametrization: Parametrization,
    *,
    until_threshold: tuple[str, float],
    update_rule: str | None = None,
    learning_rate: float | None = None,
    steps: int | None = None,
    transformations: str | None = None,
    **others,
) -> OptimizerSettings:
    """Settings in which what is not given fits the rest.

    Pixels that are not transformed are optimised until their loss is below the
    threshold, unless `steps` are given. Everything else has `STEPS` steps by Adam and
    the standard transformations.

    Args:
        parametrization: What is optimised.
        until_threshold: Update rule and learning rate of images that stop at the
            threshold.
        update_rule: As in `OptimizerSettings`, as the next three; `None` for what fits.
        learning_rate: Of pixels or of what stands in their place.
        steps: Number of updates.
        transformations: "none" or "standard".
        **others: Further fields.

    Raises:
        ValueError: If a setting makes no sense.
    """
    is_pixels = parametrization.name == "pixels"
    stops = is_pixels and steps is None and transformations in (None, "none")
    if stops:
        usual_rule, usual_rate = until_threshold
        if update_rule == "growing":
            usual_rate = _GROWING_RATE
    else:
        usual_rule, usual_rate = "adam", _LEARNING_RATES[parametrization.name]
    return OptimizerSettings(
        parametrization=parametrization,
        update_rule=update_rule or usual_rule,
        learning_rate=usual_rate if learning_rate is None else learning_rate,
        steps=None if stops else steps or STEPS,
        transformations=transformations or ("none" if stops else "standard"),
        **others,
    )


def usual_parametrization(settings: OptimizerSettings, shape) -> Parametrization:
    """The parametrisation of settings, or pixels of images of a shape."""
    return settings.parametrization or Pixels(tuple(shape))
