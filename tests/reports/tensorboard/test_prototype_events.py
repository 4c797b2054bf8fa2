import io
import json

import numpy as np
import pytest
from PIL import Image

from keras_confusion.prototypes import dissimilarity
from keras_confusion.prototypes import store as prototype_store
from keras_confusion.prototypes import tables as prototype_tables
from keras_confusion.reports.tensorboard import prototype_events, sprites
from keras_confusion.storage.study_folder import StudyFolder
from tb_plugin import metadata

RUN = metadata.PROTOTYPES_RUN


def pixels(png):
    return np.asarray(Image.open(io.BytesIO(png)))


def description(found):
    (text,) = found[metadata.TAG_STUDY][0]
    return json.loads(text)


@pytest.fixture
def written(write_prototype_study, read_plugin_data):
    """A function that writes a study and its event files: the study, what is read."""

    def write(**options):
        directory = write_prototype_study(**options)
        prototype_events.write_prototype_summaries(StudyFolder.open(directory))
        study = prototype_store.read_prototype_study(directory)
        return study, read_plugin_data(directory, RUN)

    return write


def test_plugin_reads_what_the_tables_say(written):
    study, found = written(num_frames=3)
    about = description(found)
    assert set(about) == set(metadata.PROTOTYPE_KEYS)
    assert about["kind"] == "prototypes"
    assert about["class_names"] == study["target"].values.tolist()
    assert about["intervals"] == [25, 40, 60]
    assert about["num_initialisations"] == 2
    assert about["image_shape"] == [6, 6, 3]
    assert about["num_frames"] == 3
    assert about["image_scale"] == 1
    assert about["settings"] == {"dataset": "digits", "model": "resnet18", "width": 16}
    assert int(about["network"], 16) == study["network"].values[0, 0]
    table = prototype_tables.by_initialisation(study)
    trends = prototype_tables.trends(table)
    assert about["trends"] == list(trends)
    assert ["interval", "initialisation", *about["measures"]] == list(table)
    assert list(found[metadata.TAG_MEASURES]) == [0, 1, 2]
    for number, percentage in enumerate(about["intervals"]):
        np.testing.assert_array_equal(
            found[metadata.TAG_MEASURES][number],
            table.loc[table["interval"] == percentage, about["measures"]],
        )
        np.testing.assert_array_equal(
            found[metadata.TAG_TRENDS][number], trends.iloc[number]
        )


def test_cells_matrices_and_pictures_are_those_of_the_store(written):
    study, found = written(num_frames=3)
    part = study.isel(interval=2, initialisation=1)
    cells = found[f"{metadata.PREFIX_CELLS}1"][2]
    assert cells.dtype == np.float32
    for number, name in enumerate(metadata.IMAGE_COLUMNS):
        np.testing.assert_array_equal(cells[..., number], part[name])
    features = part["features"].values
    c, r = found[f"{metadata.PREFIX_C}1"][2], found[f"{metadata.PREFIX_R}1"][2]
    assert c.dtype == r.dtype == np.float32
    np.testing.assert_array_equal(c, dissimilarity.inter_class(features))
    np.testing.assert_array_equal(r, dissimilarity.intra_class(features))
    # C[target, origin, other target]: 1 - cos of two targets of origin 3.
    first, second = features[0, 3], features[2, 3]
    cosine = first @ second / np.linalg.norm(first) / np.linalg.norm(second)
    np.testing.assert_allclose(c[0, 3, 2], 1 - cosine, atol=1e-6)
    (overview,) = found[f"{metadata.PREFIX_IMAGES}1"][2]
    assert pixels(overview).shape == (24, 24, 3)
    np.testing.assert_array_equal(
        pixels(overview)[12:18, 0:6], np.round(255 * part["image"][2, 0])
    )
    target_frames = found[f"{metadata.PREFIX_FRAMES}1"][2]
    assert len(target_frames) == 4
    np.testing.assert_array_equal(
        pixels(target_frames[3])[6:12, 12:18], part["frames"][3, 1, 2]
    )


def test_images_that_did_not_converge_are_nowhere_in_c_and_r(
    write_prototype_study, read_plugin_data
):
    directory = write_prototype_study()
    store = prototype_store.open_array(directory, "converged")
    store[1, 0, 2, 3] = False
    prototype_events.write_prototype_summaries(StudyFolder.open(directory))
    found = read_plugin_data(directory, RUN)
    assert found[f"{metadata.PREFIX_CELLS}0"][1][2, 3].tolist()[2] == 0
    c, r = found[f"{metadata.PREFIX_C}0"][1], found[f"{metadata.PREFIX_R}0"][1]
    assert np.isnan(c[2, 3]).all()
    assert np.isnan(c[:, 3, 2]).all()
    assert np.isnan(r[2, 3]).all()
    assert np.isnan(r[2, :, 3]).all()
    assert np.isnan(c).sum() == np.isnan(r).sum() == 7


def test_running_study_is_written_as_far_as_it_is(written):
    _, found = written(finished={(0, 0), (0, 1), (1, 1)})
    assert np.isfinite(found[metadata.TAG_MEASURES][0]).all()
    measures = found[metadata.TAG_MEASURES][1]
    assert np.isnan(measures[0]).all()
    assert np.isfinite(measures[1]).all()
    assert list(found[metadata.TAG_TRENDS]) == [0, 1]
    assert list(found[f"{metadata.PREFIX_IMAGES}0"]) == [0]
    assert list(found[f"{metadata.PREFIX_IMAGES}1"]) == [0, 1]
    assert description(found)["num_frames"] == 0
    assert f"{metadata.PREFIX_FRAMES}0" not in found


def test_study_that_is_taken_up_again_is_written_anew(
    write_prototype_study, read_plugin_data
):
    directory = write_prototype_study(finished={(0, 0)})
    prototype_events.write_prototype_summaries(StudyFolder.open(directory))
    assert list(read_plugin_data(directory, RUN)[metadata.TAG_MEASURES]) == [0]
    for init in (0, 1):
        prototype_store.write_part(directory, 1, init, {})
    prototype_events.write_prototype_summaries(StudyFolder.open(directory))
    assert len(list((directory / RUN).iterdir())) == 1
    assert list(read_plugin_data(directory, RUN)[metadata.TAG_MEASURES]) == [0, 1]


def test_many_classes_have_a_small_overview_and_full_rows(written):
    study, found = written(
        num_classes=40,
        num_intervals=1,
        num_initialisations=1,
        image_shape=(40, 20, 1),
        num_features=5,
        num_frames=2,
    )
    about = description(found)
    # 1,200 pixels for 40 images of 40.
    assert about["image_scale"] == 0.75
    assert about["image_shape"] == [40, 20, 1]
    assert about["num_frames"] == 0
    assert f"{metadata.PREFIX_FRAMES}0" not in found
    part = study.isel(interval=0, initialisation=0)
    overview, *rows = found[f"{metadata.PREFIX_IMAGES}0"][0]
    assert pixels(overview).shape == (40 * 30, 40 * 15)
    assert len(rows) == 40
    image = part["image"][25, 31].values
    small = sprites.shrink(image[None], 30, 15)
    np.testing.assert_array_equal(
        pixels(overview)[25 * 30 : 26 * 30, 31 * 15 : 32 * 15],
        np.round(255 * small[0, ..., 0]),
    )
    np.testing.assert_array_equal(
        pixels(rows[25])[:, 31 * 20 : 32 * 20], np.round(255 * image[..., 0])
    )
    c = found[f"{metadata.PREFIX_C}0"][0]
    assert c.dtype == np.float16
    expected = dissimilarity.inter_class(part["features"].values)
    np.testing.assert_allclose(c, expected, atol=1e-3)
