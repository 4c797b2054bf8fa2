"""How one classifier is trained: everything that decides the result."""

import dataclasses
from typing import Any

from keras_confusion.execution import runtime

DTYPE_POLICIES = ("auto", "float32", "mixed_bfloat16")

# Modules that import TensorFlow are imported in the functions that need them.


@dataclasses.dataclass(frozen=True)
class ClassifierSettings:
    """Everything that decides how one classifier is trained.

    Args:
        dataset: A name or path, see `loading.load_dataset`.
        model: A model name or function, see `architectures.build_model`.
        width: Channels of the first stage of "resnet18"; `None` takes the model's.
        recipe: A name of `recipes.find_recipe`; `None` takes "momentum" for
            "resnet18" and "annealed" for others.
        epochs: Passes over the training set; with intervals of data, in each.
        batch_size: Images a step; `None` takes the recipe's.
        learning_rate: The highest; `None` takes the recipe's.
        weight_decay: See `recipes.Recipe`; `None` takes the recipe's.
        augment: Whether training images are flipped and moved at random.
        dtype_policy: "auto", "float32" or "mixed_bfloat16".
        image_size: (height, width) to which images of other sizes are brought.
        seed: Integer, 0 or more, from which every draw is derived.
        deterministic: Holds TensorFlow to operations that give the same bits whenever
            they are run.
    """

    dataset: str = "digits"
    model: Any = "cnn"
    width: int | None = None
    recipe: str | None = None
    epochs: int = 12
    batch_size: int | None = None
    learning_rate: float | None = None
    weight_decay: float | None = None
    augment: bool = False
    dtype_policy: str = "auto"
    image_size: tuple[int, int] | None = None
    seed: int = 0
    deterministic: bool = False

    def recipe_for(self, num_train: int):
        """The `recipes.Recipe`, with what was asked for in place of its own."""
        from keras_confusion.training import recipes

        usual = "momentum" if self.model == "resnet18" else "annealed"
        return recipes.find_recipe(
            self.recipe or usual,
            num_train=num_train,
            batch_size=self.batch_size,
            learning_rate=self.learning_rate,
            weight_decay=self.weight_decay,
        )

    def trainer(self, dataset):
        """A `classifier.ClassifierTrainer` with new weights."""
        from keras_confusion.training import classifier as training_classifier

        return training_classifier.ClassifierTrainer(
            dataset,
            self.model,
            seed=self.seed,
            dtype_policy=self.settled_dtype_policy(),
            augment=self.augment,
            **({} if self.width is None else {"width": self.width}),
        )

    def settled_dtype_policy(self) -> str:
        """The policy for this machine. Imports TensorFlow."""
        if self.dtype_policy == "auto":
            return runtime.default_dtype_policy()
        return self.dtype_policy

    def description(self, num_train: int) -> dict:
        """All settings as they are settled, JSON types."""
        from keras_confusion.models import architectures

        recipe = self.recipe_for(num_train)
        return dataclasses.asdict(self) | {
            "dataset": str(self.dataset),
            "model": architectures.model_name(self.model),
            "recipe": recipe.name,
            "batch_size": recipe.batch_size,
            "learning_rate": recipe.learning_rate,
            "weight_decay": recipe.weight_decay,
            "dtype_policy": self.settled_dtype_policy(),
        }


def check_settings(settings: ClassifierSettings) -> None:
    """Raises `ValueError` for a setting that makes no sense with any data set."""
    for name in ("epochs", "batch_size", "width"):
        value = getattr(settings, name)
        if value is not None and value < 1:
            raise ValueError(f"Expected `{name}` of at least 1. Received: {value}.")
    if settings.learning_rate is not None and not settings.learning_rate > 0:
        raise ValueError(
            f"Expected a `learning_rate` above 0. Received: {settings.learning_rate}."
        )
    if settings.weight_decay is not None and not settings.weight_decay >= 0:
        raise ValueError(
            f"Expected a `weight_decay` of 0 or more. Received: "
            f"{settings.weight_decay}."
        )
    if settings.seed < 0:
        raise ValueError(f"Expected a `seed` of 0 or more. Received: {settings.seed}.")
    if settings.width is not None and settings.model == "cnn":
        raise ValueError(
            "Expected no `width` for the 'cnn' model, whose layers are the poster's. "
            f"Received: {settings.width}. Use the 'resnet18' model."
        )
    if settings.dtype_policy not in DTYPE_POLICIES:
        raise ValueError(
            f"Expected `dtype_policy` to be one of {DTYPE_POLICIES}. "
            f"Received: {settings.dtype_policy!r}."
        )
