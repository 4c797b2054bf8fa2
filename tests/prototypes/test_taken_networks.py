import functools
import shutil

import numpy as np
import pytest

from keras_confusion.prototypes import store as prototype_store
from keras_confusion.prototypes import study as prototype_study
from keras_confusion.storage import study_folder
from tests.support import small_networks


@pytest.fixture(scope="module")
def run():
    return functools.partial(
        prototype_study.run_prototype_study,
        model=small_networks.small,
        epochs=2,
        intervals=(50, 100),
        inits=1,
        boundaries=False,
        max_iterations=20,
        dtype_policy="float32",
        prototype_dtype="float32",
    )


@pytest.fixture(scope="module")
def pixels(run, tmp_path_factory):
    """A finished study."""
    directory = tmp_path_factory.mktemp("study") / "pixels"
    assert run(directory).num_trained == 2
    return directory


def networks(directory):
    return prototype_store.read_prototype_study(directory)["network"].values


def test_images_of_another_kind_are_made_of_the_same_networks(run, pixels, tmp_path):
    summary = run(
        tmp_path / "maco", parametrization="maco", steps=3, networks_of=pixels
    )
    assert (summary.num_trained, summary.num_parts) == (0, 2)
    np.testing.assert_array_equal(networks(tmp_path / "maco"), networks(pixels))
    # Those that are there are not copied again, and the study needs the other no more.
    assert run(tmp_path / "maco", parametrization="maco", steps=3).num_parts == 0


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"seed": 1}, "seed: 0 in the folder, 1 asked for"),
        ({"intervals": (60, 100)}, "intervals: "),
        ({"model": small_networks.linear}, "model: "),
    ],
)
def test_other_networks_are_refused_before_there_is_a_folder(
    run, pixels, tmp_path, settings, message
):
    with pytest.raises(study_folder.StudyFolderError, match=message):
        run(tmp_path / "other", networks_of=pixels, **settings)
    assert not (tmp_path / "other").exists()


def test_networks_that_are_missing_or_damaged_are_not_taken(run, pixels, tmp_path):
    unfinished = tmp_path / "unfinished"
    shutil.copytree(pixels, unfinished)
    model = prototype_store.model_directory(unfinished, 100)
    with open(model / "model.keras", "ab") as file:
        file.write(b"more")
    with pytest.raises(study_folder.StudyFolderError, match=r"model\.keras"):
        run(tmp_path / "other", networks_of=unfinished)
    shutil.rmtree(model)
    with pytest.raises(study_folder.StudyFolderError, match="Run that study first"):
        run(tmp_path / "other", networks_of=unfinished)
