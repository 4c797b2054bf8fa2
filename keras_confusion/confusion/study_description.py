"""What `study.json` says of a confusion study: settings, and what they stand for."""

import hashlib
import json

import numpy as np

from keras_confusion.confusion import settings as confusion_settings
from keras_confusion.confusion.plan import StudyPlan
from keras_confusion.execution import provenance

# Modules that import TensorFlow are imported in the functions that need them.

_NAMED_CLASSES = 5


def describe(plan: StudyPlan) -> dict:
    """What `study.json` says, see `StudyFolder.begin_or_resume`; JSON types.

    Raises:
        ValueError: If labels were to be confused, and none of some pair changes.
    """
    from keras_confusion.models import architectures

    recipe, dataset = plan.recipe, plan.dataset
    settled = {
        "dataset": str(plan.settings.dataset),
        "model": architectures.model_name(plan.settings.model),
        "pairs": plan.pairs,
        "baseline_repeats": plan.baseline_repeats,
        "recipe": recipe.name,
        "batch_size": recipe.batch_size,
        "learning_rate": recipe.learning_rate,
        "dtype_policy": plan.dtype_policy,
        "fraction": plan.settings.settled_fraction,
    }
    description = {
        "settings": confusion_settings.to_store(plan.settings, settled),
        "class_names": list(dataset.class_names),
        # By the name that it had when there were images only.
        "image_shape": list(dataset.input_shape),
        "num_train": dataset.train.num_examples,
        "num_test": dataset.test.num_examples,
        "labels_changed": list(labels_changed(plan)),
        "dataset_fingerprint": dataset.fingerprint,
        "identity": identity_of(plan),
        "provenance": provenance.provenance(),
    }
    return description | {"digest": digest(description)}


def identity_of(plan: StudyPlan) -> dict:
    """What the study's model and data are, see `training.identity`."""
    from keras_confusion.training import identity

    return {
        "network": identity.network_identity(
            plan.settings.model, plan.dataset, plan.settings.model_options
        ),
        "data": identity.data_identity(plan.dataset),
    }


def digest(description: dict) -> str:
    """A short name of a study, which every row of its networks says.

    Two studies have the same name if they train the same networks: it does not depend
    on how many repeats there are, nor on where the data lie.
    """
    settings = description["settings"]
    said = {
        "settings": {
            name: value
            for name, value in settings.items()
            if name not in (*confusion_settings.GROWING, "dataset")
        },
        "class_names": description["class_names"],
        "dataset_fingerprint": description["dataset_fingerprint"],
        "layers": description["identity"]["network"]["layers"],
    }
    text = json.dumps(said, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def labels_changed(plan: StudyPlan) -> tuple[int, int]:
    """How many training labels a confused network is given wrong: least and most.

    Raises:
        ValueError: If labels were to be confused, and none of some pair changes.
    """
    from keras_confusion.datasets import corruption

    dataset, fraction = plan.dataset, plan.settings.settled_fraction
    counts = np.bincount(dataset.train.labels, minlength=dataset.num_classes)
    # A null study treats every pair alike.
    is_null = plan.settings.corruption == "null"
    changed = []
    for pair in plan.pairs[:1] if is_null else plan.pairs:
        classes = np.arange(dataset.num_classes) if is_null else np.array(pair)
        labels = np.repeat(classes, counts[classes])
        transition = confusion_settings.transition_of(
            plan.settings, dataset.num_classes, pair
        )
        given = corruption.given_labels(labels, transition, seed=0)
        changed.append(int((given != labels).sum()))
        if changed[-1] == 0 and fraction > 0:
            each = ", ".join(
                f"{counts[label]} of {dataset.class_names[label]}"
                for label in classes[:_NAMED_CLASSES]
            )
            raise ValueError(
                f"Expected labels that change where classes are confused. Received: a "
                f"fraction of {fraction:g} of few training examples ({each}): numbers "
                "are rounded down, and no label changes. Use a larger --fraction, or "
                "more examples."
            )
    return min(changed), max(changed)
