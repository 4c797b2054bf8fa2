"""How a network is trained: the settings that every kind of study has."""

import dataclasses
from typing import Any, TypedDict

from keras_confusion.storage.checks import MAX_SEED
from keras_confusion.training import setting_fields
from keras_confusion.training.setting_fields import setting

# What --help need not wait for is imported in the functions that need it.

_FIXED_LAYERS = ("cnn", "text")


@dataclasses.dataclass(frozen=True)
class TrainingSettings:
    """Everything that decides how one network is trained.

    Raises:
        ValueError: If a value makes no sense with any data set.
    """

    dataset: str = setting(
        "digits",
        "digits, planted or planted:SEED (generated images in which it is known what "
        "is learned from what), reviews (generated texts, for --model text), a "
        "TensorFlow Datasets name (cifar10, cifar100, ...), a folder of class folders, "
        "or an .npz file",
        group="data",
        metavar="NAME",
    )
    # A function in Python, too, see `architectures.build_model`.
    model: Any = setting(
        "cnn",
        "cnn, resnet18, text for token sequences, or package.module:function",
        group="training",
    )
    width: int | None = setting(
        None,
        "channels of resnet18's first stage",
        group="training",
        metavar="W",
        unset="64",
        minimum=1,
    )
    recipe: str | None = setting(
        None,
        "Adam with cosine decay, gradient descent with momentum and cosine decay, or "
        "Adam at a constant rate",
        group="training",
        unset="momentum for resnet18, else annealed",
        choices=("annealed", "momentum", "tutorial"),
    )
    epochs: int = setting(
        12,
        "passes over the training data",
        group="training",
        metavar="N",
        minimum=1,
    )
    batch_size: int | None = setting(
        None,
        "images a step",
        group="training",
        metavar="N",
        unset="the recipe's",
        minimum=1,
    )
    learning_rate: float | None = setting(
        None,
        "the highest learning rate",
        group="training",
        metavar="R",
        unset="the recipe's",
        above=0,
    )
    weight_decay: float | None = setting(
        None,
        "share of a weight that a step takes away, times the learning rate",
        group="training",
        metavar="D",
        unset="the recipe's",
        minimum=0,
    )
    augment: bool = setting(
        False, "flip and move training images at random", group="training"
    )
    dtype_policy: str = setting(
        "auto",
        "type of the computation; auto: mixed_bfloat16 where the machine computes in "
        "it, else float32",
        group="training",
        option="--dtype",
        choices=("auto", "float32", "mixed_bfloat16"),
    )
    image_size: tuple[int, int] | None = setting(
        None,
        "size to which images are brought",
        group="data",
        metavar=("HEIGHT", "WIDTH"),
        unset="their own",
        minimum=1,
    )
    seed: int = setting(
        0,
        "number from which everything random is drawn",
        group="training",
        metavar="S",
        minimum=0,
        maximum=MAX_SEED,
    )
    deterministic: bool = setting(
        False,
        "the same command gives the same bits again on the same machine, however often "
        "it is stopped and by however many workers; slower on a GPU",
        group="training",
    )

    def __post_init__(self):
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            # Command lines and JSON have lists.
            if isinstance(value, list):
                object.__setattr__(self, field.name, tuple(value))
        setting_fields.check(self)
        if self.width is not None and self.model in _FIXED_LAYERS:
            raise ValueError(
                f"Expected no `width` for the {self.model!r} model, whose layers are "
                f"fixed. Received: {self.width}. Use the 'resnet18' model."
            )

    @property
    def model_options(self) -> dict[str, Any]:
        """More arguments of the model function."""
        return {} if self.width is None else {"width": self.width}

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
            **self.model_options,
        )

    def settled_dtype_policy(self) -> str:
        """The policy for this machine. Imports TensorFlow."""
        from keras_confusion.execution import runtime

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


class TrainingOptions(TypedDict, total=False):
    """The fields of `TrainingSettings` as keyword arguments of a function."""

    dataset: str
    model: Any
    width: int | None
    recipe: str | None
    epochs: int
    batch_size: int | None
    learning_rate: float | None
    weight_decay: float | None
    augment: bool
    dtype_policy: str
    image_size: tuple[int, int] | None
    seed: int
    deterministic: bool
