import json

import numpy as np
import pytest
import xarray as xr

from keras_confusion.prototypes import store as prototype_store
from keras_confusion.storage import study_folder

SIZES = {
    "interval": 2,
    "initialisation": 3,
    "target": 4,
    "origin": 4,
    "height": 6,
    "width": 5,
    "channel": 1,
    "feature": 7,
    "frame": 2,
    "row": 3,
    "column": 2,
    "coefficient": 4,
}
DESCRIPTION = {
    "settings": {
        "dataset": "digits",
        "model": "cnn",
        "width": None,
        "intervals": [40, 100],
        "inits": 3,
    },
    "class_names": ["cat", "dog", "bird", "<b>fish</b>"],
    "dataset_fingerprint": "abc",
    "provenance": {"commit": None},
}


@pytest.fixture
def folder(tmp_path):
    prototype_store.open_study(tmp_path / "study", DESCRIPTION, SIZES)
    return tmp_path / "study"


def part(rng):
    values = {}
    for name, array in prototype_store.ARRAYS.items():
        if name == "finished":
            continue
        shape = [SIZES[axis] for axis in array.axes[2:]]
        values[name] = (100 * rng.random(shape)).astype(array.dtype)
    return values


def test_parts_come_back_as_they_were_written_and_nothing_else_is_there(folder, rng):
    written = part(rng)
    prototype_store.write_part(folder, 1, 2, written)
    study = prototype_store.read_prototype_study(folder)
    for name, value in written.items():
        assert study[name].dims == prototype_store.ARRAYS[name].axes
        np.testing.assert_array_equal(study[name].values[1, 2], value)
    expected = np.zeros((2, 3), bool)
    expected[1, 2] = True
    np.testing.assert_array_equal(study["finished"], expected)
    np.testing.assert_array_equal(prototype_store.finished_parts(folder), expected)
    assert np.isnan(study["image"].values[0]).all()
    assert np.isnan(study["test_accuracy"]).all()


def test_arrays_are_found_by_name_of_class_and_percentage(folder, rng):
    written = part(rng)
    prototype_store.write_part(folder, 0, 0, written)
    study = prototype_store.read_prototype_study(folder)
    one = study["image"].sel(
        interval=40, initialisation=0, target="<b>fish</b>", origin="dog"
    )
    np.testing.assert_array_equal(one, written["image"][3, 1])
    # As anybody reads it who does not have this package.
    plain = xr.open_zarr(folder / prototype_store.STORE, consolidated=False)
    np.testing.assert_array_equal(plain["loss"][0, 0], written["loss"])


def test_class_images_are_the_diagonal(folder, rng):
    written = part(rng)
    prototype_store.write_part(folder, 0, 1, written)
    received = prototype_store.read_class_images(folder, 0, 1)
    for k in range(4):
        np.testing.assert_array_equal(received[k], written["image"][k, k])


def test_study_is_taken_up_again_and_others_are_refused(folder, rng, tmp_path):
    prototype_store.write_part(folder, 0, 0, part(rng))
    prototype_store.open_study(folder, DESCRIPTION, SIZES)
    assert prototype_store.finished_parts(folder).sum() == 1
    other = {**DESCRIPTION, "settings": {**DESCRIPTION["settings"], "inits": 9}}
    with pytest.raises(study_folder.StudyFolderError, match="inits: 3 in the folder"):
        prototype_store.open_study(folder, other, SIZES)
    with pytest.raises(study_folder.StudyFolderError, match=r"without study\.json"):
        prototype_store.read_prototype_study(tmp_path)


def test_arrays_that_are_left_out_are_not_written(tmp_path, rng):
    prototype_store.open_study(
        tmp_path / "few", DESCRIPTION, SIZES, left_out=("frames", "boundary_image")
    )
    prototype_store.write_part(tmp_path / "few", 0, 0, part(rng))
    study = prototype_store.read_prototype_study(tmp_path / "few")
    assert "frames" not in study
    assert "boundary_image" not in study
    assert "boundary_gap" in study


def test_process_that_died_while_it_made_the_store_leaves_no_study_without_arrays(
    folder, rng
):
    store = folder / prototype_store.STORE
    store.rename(folder / f".{prototype_store.STORE}.partial")
    (folder / f".{prototype_store.STORE}.partial" / "image" / "zarr.json").unlink()
    prototype_store.open_study(folder, DESCRIPTION, SIZES)
    prototype_store.write_part(folder, 1, 1, part(rng))
    assert prototype_store.finished_parts(folder).sum() == 1


def test_damaged_store_is_named(folder):
    (folder / prototype_store.STORE / "zarr.json").write_text("{")
    with pytest.raises(
        study_folder.StudyFolderError, match=r"prototypes\.zarr cannot be read.*Delete"
    ):
        prototype_store.read_prototype_study(folder)


def test_accuracies_are_those_of_the_saved_networks(folder):
    model = prototype_store.model_directory(folder, 40)
    assert model.name == "40"
    assert prototype_store.model_directory(folder, 33.3).name == "33.3"
    model.mkdir(parents=True)
    (model / "model.json").write_text(json.dumps({"test_accuracy": 0.75}))
    accuracies = prototype_store.read_prototype_study(folder)["test_accuracy"].values
    assert accuracies[0] == 0.75
    assert np.isnan(accuracies[1])
