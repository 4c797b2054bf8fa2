import shutil

import numpy as np
import pytest

from keras_confusion.confusion import plan as confusion_plan
from keras_confusion.confusion import settings as confusion_settings
from keras_confusion.confusion import store as confusion_store
from keras_confusion.confusion import study_description
from keras_confusion.errors import StudyFolderError
from keras_confusion.explanations import retraining
from keras_confusion.storage.study_folder import StudyFolder


@pytest.fixture
def study(tmp_path):
    """A study that has begun, and the file of its data."""
    data = tmp_path / "before" / "data.npz"
    data.parent.mkdir()
    labels = np.arange(40) % 4
    noise = np.random.default_rng(0).integers(0, 60, (40, 20, 20, 1))
    images = (noise + 40 * labels[:, None, None, None]).astype(np.uint8)
    np.savez(data, x_train=images, y_train=labels, x_test=images, y_test=labels)
    settings = confusion_settings.ConfusionSettings(dataset=str(data), pairs=["0-1"])
    plan = confusion_plan.StudyPlan.make(settings, tmp_path / "study", None)
    folder = confusion_store.open_study(
        tmp_path / "study", study_description.describe(plan), labels
    )
    return folder, data


def test_data_that_were_moved_are_named(study, tmp_path):
    folder, data = study
    assert retraining.plan_of_study(folder).dataset.name == str(data)
    moved = shutil.copy(data, tmp_path / "moved.npz")
    plan = retraining.plan_of_study(folder, dataset=moved)
    assert plan.dataset.name == str(moved)
    # As the study was, wherever its data lie.
    assert (
        study_description.digest(study_description.describe(plan))
        == (StudyFolder.open(folder.path).description["digest"])
    )


def test_other_data_and_other_models_are_refused(study, tmp_path, monkeypatch):
    folder, data = study
    arrays = dict(np.load(data))
    for change, words in (
        ({"x_train": 255 - arrays["x_train"]}, "the data set has other pixels"),
        (
            {"y_train": arrays["y_train"][::-1]},
            "has other images or labels, or was read otherwise by the .*",
        ),
    ):
        other = tmp_path / f"{len(words)}.npz"
        np.savez(other, **arrays | change)
        with pytest.raises(StudyFolderError, match=f"{words}.* Use --dataset"):
            retraining.plan_of_study(folder, dataset=other)
    description = folder.description["identity"]["network"]
    monkeypatch.setitem(description, "layers", description["layers"][1:])
    with pytest.raises(StudyFolderError, match="the model has other layers"):
        retraining.plan_of_study(folder)


@pytest.mark.parametrize("model", ["keras.Model:mine", "__main__:build"])
def test_models_that_were_given_in_python_cannot_be_imported(study, monkeypatch, model):
    folder, _ = study
    monkeypatch.setitem(folder.settings, "model", model)
    with pytest.raises(StudyFolderError, match=f"{model}.*function in a file"):
        retraining.plan_of_study(folder, model=model)
