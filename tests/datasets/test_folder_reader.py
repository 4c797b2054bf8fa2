import logging
import os
import unicodedata

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from keras_confusion.datasets import labelled_dataset, loading


def write(folder, names, count=2, suffix="png", size=(6, 6)):
    """Images of one colour a class, and a little of another a file."""
    for k, name in enumerate(names):
        (folder / name).mkdir(parents=True, exist_ok=True)
        for i in range(count):
            colour = (200, 40 * k, 10 * i)
            Image.new("RGB", size, colour).save(folder / name / f"{i}.{suffix}")


def classes_of(split):
    """The second channel of every image, which tells the class that it is of."""
    images, labels = split.arrays()
    assert (images[:, 0, 0, 0] == 200).all()
    return images[:, 0, 0, 1] // 40, labels


@pytest.mark.parametrize(
    ("train", "test"),
    [
        ("Train", "Test"),
        ("training", "testing"),
        ("TRAIN", "val"),
        ("train", "Validation"),
        ("train", "valid"),
    ],
)
def test_splits_by_their_usual_names(tmp_path, train, test):
    write(tmp_path / train, "abc", 3)
    write(tmp_path / test, "abc", 2)
    found = loading.load_dataset(tmp_path)
    assert found.class_names == ("a", "b", "c")
    assert found.notes == ()
    for split, number in ((found.train, 9), (found.test, 6)):
        classes, labels = classes_of(split)
        assert len(labels) == number
        np.testing.assert_array_equal(classes, labels)


def test_two_folders_for_training_are_refused(tmp_path):
    for name in ("train", "Training", "test"):
        write(tmp_path / name, "abc")
    with pytest.raises(ValueError, match=r"one folder for train.*Training and train"):
        loading.load_dataset(tmp_path)


def test_what_is_left_out_is_told(tmp_path, caplog):
    write(tmp_path / "train", "abc")
    write(tmp_path / "test", "abc", 3)
    write(tmp_path / "val", "abc", 1)
    (tmp_path / "train" / "a" / "boxes.txt").touch()
    (tmp_path / "test" / "c" / "photo.HEIC").touch()
    with caplog.at_level(logging.WARNING, "keras_confusion"):
        found = loading.load_dataset(tmp_path)
    assert found.test.num_examples == 9
    told = " ".join(caplog.messages)
    assert f"{tmp_path}/test is the test set; {tmp_path}/val is left out." in told
    assert "2 files were skipped (1 .txt, 1 .heic): images end in .apng" in told
    caplog.clear()
    # Workers read it as well.
    loading.load_dataset_once(str(tmp_path), None, None)
    assert caplog.messages == []
    loading._read_once.cache_clear()


def test_a_test_set_without_labels_is_replaced_by_the_validation(tmp_path):
    write(tmp_path / "train", "abc")
    write(tmp_path / "val", "abc", 1)
    (tmp_path / "test").mkdir()
    Image.new("L", (4, 4)).save(tmp_path / "test" / "1.png")
    found = loading.load_dataset(tmp_path)
    assert found.test.num_examples == 3
    assert "test is left out, as it has no class folders" in found.notes[0]


def test_images_in_folders_of_a_class(tmp_path):
    """As tiny-imagenet has them."""
    for k, name in enumerate("abc"):
        place = tmp_path / "train" / name / "images"
        place.mkdir(parents=True)
        for i in range(5):
            Image.new("RGB", (6, 6), (200, 40 * k, i)).save(place / f"{i}.JPEG", "PNG")
        (tmp_path / "train" / name / f"{name}_boxes.txt").touch()
    for name in ("test", "val"):
        (tmp_path / name / "images").mkdir(parents=True)
        Image.new("L", (4, 4)).save(tmp_path / name / "images" / "1.png")
    with pytest.raises(ValueError, match=rf"of {tmp_path}/train in .*/test or .*/val"):
        loading.load_dataset(tmp_path)
    # As that message says.
    found = loading.load_dataset(tmp_path / "train")
    assert (found.train.num_examples, found.test.num_examples) == (12, 3)
    for split in (found.train, found.test):
        classes, labels = classes_of(split)
        np.testing.assert_array_equal(classes, labels)
    assert found.notes == (
        "15 images in folders in a class folder belong to the class.",
        found.notes[1],
    )
    assert found.notes[1].startswith("3 files were skipped (3 .txt)")


def test_a_split_alone_is_read_as_the_message_says(tmp_path):
    write(tmp_path / "training", "abc", 5)
    with pytest.raises(ValueError, match=rf"or {tmp_path}/training as the data set"):
        loading.load_dataset(tmp_path)
    assert loading.load_dataset(tmp_path / "training").num_classes == 3


def test_an_archive_in_a_folder_of_its_own(tmp_path):
    write(tmp_path / "archive" / "Train", "abc")
    write(tmp_path / "archive" / "Test", "abc")
    (tmp_path / "__MACOSX").mkdir()
    with pytest.raises(ValueError, match=r"Use .*archive as the data set\.$"):
        loading.load_dataset(tmp_path)
    assert loading.load_dataset(tmp_path / "archive").num_classes == 3


def test_images_beside_class_folders_are_told(tmp_path):
    write(tmp_path / "train", "abc")
    write(tmp_path / "test", "abc")
    for name in ("1.png", "2.JPG", "labels.csv", ".hidden.png"):
        (tmp_path / "test" / name).touch()
    (note,) = loading.load_dataset(tmp_path).notes
    assert note == (
        f"2 images in {tmp_path}/test were skipped, as they are in no class folder."
    )


def test_two_forms_of_one_name_are_one_class(tmp_path):
    name = "Z\u00fcrich"
    composed, decomposed = (unicodedata.normalize(f, name) for f in ("NFC", "NFD"))
    assert composed != decomposed
    write(tmp_path / "train", ["a", composed, "z"])
    write(tmp_path / "test", ["a", decomposed, "z"])
    found = loading.load_dataset(tmp_path)
    assert set(found.class_names) == {"a", composed, "z"}
    for split in (found.train, found.test):
        classes, labels = classes_of(split)
        names = np.array(["a", composed, "z"])[classes]
        assert names.tolist() == [found.class_names[k] for k in labels]
    write(tmp_path / "train", [decomposed])
    with pytest.raises(ValueError, match="which are the same letters"):
        loading.load_dataset(tmp_path)


def test_a_class_without_images_says_what_is_there(tmp_path):
    write(tmp_path, "abc")
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "1.heic").touch()
    with pytest.raises(ValueError, match=r"Received: 0 and 1 \.heic in .*d\. Use"):
        loading.load_dataset(tmp_path)


def test_files_that_are_damaged_later_are_all_named(tmp_path):
    write(tmp_path / "train", "abc", 3, size=(40, 40))
    write(tmp_path / "test", "abc", 1, size=(40, 40))
    found = loading.load_dataset(tmp_path)
    cut = [
        tmp_path / "train/a/1.png",
        tmp_path / "train/c/2.png",
        tmp_path / "test/b/0.png",
    ]
    for path in cut:
        path.write_bytes(path.read_bytes()[:60])
    with pytest.raises(OSError, match="Received: 3 that cannot be read") as error:
        found.train.arrays()
    for path in cut:
        assert str(path) in str(error.value)
    with (
        pytest.raises(OSError, match=r"Received: 3 that cannot be read.*files\.$"),
        labelled_dataset.reading_images(),
    ):
        list(found.train.dataset())
    # What is none of the reader's is left as it is.
    with (
        pytest.raises(tf.errors.InvalidArgumentError),
        labelled_dataset.reading_images(),
    ):
        tf.gather([1], tf.constant(5))


def test_twelve_bits_are_told(tmp_path):
    for name in "abc":
        (tmp_path / name).mkdir()
        for i in range(2):
            pixels = np.full((6, 6), 3000 + i, np.uint16)
            Image.fromarray(pixels).save(tmp_path / name / f"{i}.png")
    found = loading.load_dataset(tmp_path)
    assert (
        "hold 0 to 3001: they were read as images of 12 bits, 0 to 4095"
        in (found.notes[0])
    )
    np.testing.assert_array_equal(found.train.arrays()[0], 3000 >> 4)


def test_fingerprint_says_where_other_pixels_were_read_before(tmp_path):
    write(tmp_path / "png", "abc")
    write(tmp_path / "jpg", "abc", suffix="jpg")
    png, jpg = (loading.load_dataset(tmp_path / s).fingerprint for s in ("png", "jpg"))
    # All studies of the earlier version have the first form.
    assert len(png) == 64
    assert jpg == f"{png} decoded by Pillow"


def test_built_in_names_and_folders(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "digits", "abc")
    found = loading.load_dataset("digits")
    assert found.num_classes == 10
    assert found.notes[0].endswith(f"Use {os.path.join('.', 'digits')} for the folder.")
    assert loading.load_dataset("./digits").class_names == ("a", "b", "c")
