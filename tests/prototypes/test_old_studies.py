import io
import pathlib
import shutil
import tarfile

import numpy as np
import pandas as pd
import PIL.Image
import pytest

from keras_confusion.prototypes import store as prototype_store
from keras_confusion.prototypes import study as prototype_study
from keras_confusion.reports import report_files, study_report

# Three of four parts of a study, written by commit 367166e.
FIXTURE = (
    pathlib.Path(__file__).parents[1] / "fixtures" / "prototype_study_of_367166e.tar.xz"
)
SETTINGS = {
    "image_size": (18, 18),
    "epochs": 3,
    "intervals": (40, 100),
    "inits": 2,
    "max_iterations": 300,
    "boundaries": False,
    "prototype_learning_rate": 0.3,
    "dtype_policy": "float32",
    "prototype_dtype": "float32",
}
OLD = ((0, 0), (0, 1), (1, 0))


@pytest.fixture(scope="module")
def old_study(tmp_path_factory):
    directory = tmp_path_factory.mktemp("old")
    with tarfile.open(FIXTURE) as archive:
        archive.extractall(directory, filter="data")
    return directory / FIXTURE.name.removesuffix(".tar.xz")


@pytest.fixture(scope="module")
def went_on(old_study, tmp_path_factory):
    """The study after the same command of today, and its summary."""
    directory = tmp_path_factory.mktemp("resumed") / "study"
    shutil.copytree(old_study, directory)
    return directory, prototype_study.run_prototype_study(
        directory, inits_at_a_time=1, **SETTINGS
    )


def test_old_study_is_read(old_study):
    assert prototype_store.finished_parts(old_study).tolist() == [
        [True, True],
        [True, False],
    ]
    study = prototype_store.read_prototype_study(old_study)
    assert study.sizes["target"] == study.sizes["origin"] == 10
    assert np.isfinite(study["image"].values[0]).all()


def test_only_the_missing_part_is_made(old_study, went_on):
    directory, summary = went_on
    assert (summary.num_trained, summary.num_parts, summary.num_all_parts) == (0, 1, 4)
    before, after = map(prototype_store.read_prototype_study, (old_study, directory))
    for interval, init in OLD:
        where = {"interval": interval, "initialisation": init}
        for name, values in before.isel(where).items():
            np.testing.assert_array_equal(
                after[name].isel(where, missing_dims="ignore"), values, name
            )
    for path in (old_study / "models").rglob("*.*"):
        moved = directory / path.relative_to(old_study)
        assert moved.read_bytes() == path.read_bytes()
    last = after.isel(interval=1, initialisation=1)
    assert np.isfinite(last["image"].values).all()
    assert last["finished"].item()


def test_resumed_study_has_a_report(went_on, monkeypatch):
    # It is the reading that may fail: figures are made of it, and not drawn.
    pixel = io.BytesIO()
    PIL.Image.new("L", (1, 1)).save(pixel, "png")
    monkeypatch.setattr(
        report_files, "write_figure", lambda path, figure: pixel.getvalue()
    )
    written = study_report.write_report(went_on[0])
    assert "2 training intervals x 2 initialisations, 400 prototypes" in written.text
    figures = {path.stem for path in written.figure_files}
    assert {"trends", "class_prototypes", "prototypes_40", "changes_100"} <= figures
    table = pd.read_csv(
        next(path for path in written.table_files if path.stem == "by_initialisation")
    )
    assert len(table) == 4
    # The first interval's were on disk; R is below C everywhere.
    assert (table["mean_c"] > table["mean_r"]).all()
