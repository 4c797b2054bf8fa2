"""How a network is trained: the settings that every kind of study has."""

import dataclasses
import logging
from typing import Any, Self, TypedDict

from keras_confusion.storage.checks import MAX_SEED
from keras_confusion.training import setting_fields
from keras_confusion.training.setting_fields import setting

# What --help need not wait for is imported in the functions that need it.

_log = logging.getLogger(__name__)

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
    input_range: tuple[float, float] | None = setting(
        None,
        "values of black and white that the model expects, such as 0 255",
        group="training",
        metavar=("BLACK", "WHITE"),
        unset="found by what its first layers make of images, else 0 1",
        minimum=-1e6,
        maximum=1e6,
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
        if hasattr(self.model, "get_weights"):
            from keras_confusion.models import fresh_copy

            # Every network begins with weights of its own.
            copy = fresh_copy.FreshCopy.of_model(self.model)
            object.__setattr__(self, "model", copy)
        setting_fields.check(self)
        if self.width is not None and self.model in _FIXED_LAYERS:
            raise ValueError(
                f"Expected no `width` for the {self.model!r} model, whose layers are "
                f"fixed. Received: {self.width}. Use the 'resnet18' model."
            )

        if self.input_range is not None and not (
            self.input_range[0] < self.input_range[1]
        ):
            raise ValueError(
                "Expected `input_range` of two numbers, black below white. Received: "
                f"{self.input_range}. Use for example 0 255."
            )

    @property
    def model_options(self) -> dict[str, Any]:
        """More arguments of `architectures.build_model`."""
        options = {"width": self.width, "input_range": self.input_range}
        return {name: value for name, value in options.items() if value is not None}

    def settled(self, dataset) -> Self:
        """These settings with the range of images that the model expects.

        Of a model of the user's it is found, unless it is given, and told. The model is
        built and asked about some images, before any training. Imports TensorFlow.

        Args:
            dataset: A `labelled_dataset.LabelledDataset`.

        Raises:
            ValueError: If the model is not one for this data set, does not answer with
                logits, or is given a range with token sequences.
        """
        from keras_confusion.models import (
            answers,
            architectures,
            fresh_copy,
            input_range,
        )

        if dataset.vocabulary_size is not None and self.input_range is not None:
            raise ValueError(
                "Expected no `input_range` with token sequences, which are not scaled. "
                f"Received: {self.input_range} for {dataset.name}. Leave it out."
            )
        if architectures.is_built_in(self.model):
            return self
        name = architectures.model_name(self.model)
        if isinstance(self.model, fresh_copy.FreshCopy):
            _log.warning(
                f"{name} is copied without its weights: every network is trained from "
                "fresh ones."
            )
        settings = self
        if dataset.vocabulary_size is None:
            found, told = self.input_range, "as asked for"
            if found is None:
                plain = architectures.build_model(
                    self.model, seed=0, **dataset.model_arguments, **self.model_options
                )
                plain = input_range.inner_model(plain) or plain
                found = input_range.find_input_range(plain, dataset.input_shape)
                told = "as its layers expect them; --input-range says otherwise"
            if found is None:
                found = input_range.UNIT_RANGE
                told = "its layers show no other; --input-range says otherwise"
            black, white = found
            _log.warning(f"{name} gets images from {black:g} to {white:g} ({told}).")
            settings = dataclasses.replace(self, input_range=(black, white))
        model = architectures.build_model(
            self.model, seed=0, **dataset.model_arguments, **settings.model_options
        )
        answers.check_logits(
            model,
            name,
            dataset.input_shape,
            vocabulary_size=dataset.vocabulary_size,
        )
        return settings

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
        values = dataclasses.asdict(self)
        if self.input_range is None:
            # As in studies from before there was a choice.
            del values["input_range"]
        return values | {
            "dataset": str(self.dataset),
            "model": architectures.model_name(self.model),
            "recipe": recipe.name,
            "batch_size": recipe.batch_size,
            "learning_rate": recipe.learning_rate,
            "weight_decay": recipe.weight_decay,
            "dtype_policy": self.settled_dtype_policy(),
        }


@dataclasses.dataclass(frozen=True)
class ClassifierSettings(TrainingSettings):
    """Everything that decides how one classifier is trained that is looked at alone.

    Raises:
        ValueError: If a value makes no sense with any data set.
    """

    adversarial: str | None = setting(
        None,
        "train on images that are changed so that the network errs, by at most --eps "
        "of all pixels together (l2) or of any (linf)",
        group="training",
        unset="on images as they are",
        choices=("l2", "linf"),
    )
    eps: float | None = setting(
        None,
        "largest change with --adversarial, of values in [0, 1]",
        group="training",
        metavar="E",
        unset="0.5 for l2, 8 / 255 for linf",
        above=0,
    )

    def __post_init__(self):
        super().__post_init__()
        if self.adversarial is None:
            if self.eps is not None:
                raise ValueError(
                    f"Expected `eps` with `adversarial` only. Received: {self.eps}. "
                    "Use it with 'l2' or 'linf'."
                )
        elif self.eps is None:
            usual = {"l2": 0.5, "linf": 8 / 255}[self.adversarial]
            object.__setattr__(self, "eps", usual)

    @property
    def attack(self) -> tuple[str, float] | None:
        """Norm and largest change of adversarial training."""
        if self.adversarial is None or self.eps is None:
            return None
        return self.adversarial, self.eps

    def trainer(self, dataset):
        """A `classifier.ClassifierTrainer` with new weights."""
        from keras_confusion.training import classifier as training_classifier

        return training_classifier.ClassifierTrainer(
            dataset,
            self.model,
            seed=self.seed,
            dtype_policy=self.settled_dtype_policy(),
            augment=self.augment,
            attack=self.attack,
            **self.model_options,
        )


class TrainingOptions(TypedDict, total=False):
    """The fields of `TrainingSettings` as keyword arguments of a function."""

    dataset: str
    model: Any
    input_range: tuple[float, float] | None
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


class ClassifierOptions(TrainingOptions, total=False):
    """The fields of `ClassifierSettings` as keyword arguments of a function."""

    adversarial: str | None
    eps: float | None
