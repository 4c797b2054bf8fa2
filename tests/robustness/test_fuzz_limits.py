"""Single inputs that would have cost memory, time or trust, each with its message."""

import io
import json
import os
import struct
import zipfile

import h5py
import keras
import numpy as np
import pytest
from PIL import Image
from tensorboard.compat.proto import tensor_pb2, tensor_shape_pb2, types_pb2
from tensorboard.util import tensor_util

from keras_confusion.datasets import loading as dataset_loading
from keras_confusion.datasets import npz_reader
from keras_confusion.explanations import retraining
from keras_confusion.models import loading, saving
from keras_confusion.prototypes import store_metadata
from keras_confusion.storage import study_folder
from tb_plugin import tensor_limits
from tests.support import fuzz_data, fuzz_folders


def write_npz(path, **changes):
    arrays = fuzz_data.good_arrays() | changes
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in arrays.items():
            archive.writestr(f"{name}.npy", content)


def test_archives_that_promise_more_than_they_should(tmp_path, monkeypatch):
    path = tmp_path / "a.npz"
    monkeypatch.setattr(npz_reader, "MAX_BYTES", 10_000)
    monkeypatch.setattr(npz_reader, "MAX_RATIO", 2)
    images = io.BytesIO()
    np.save(images, np.zeros((12, 40, 40, 3), np.uint8))
    test_images = io.BytesIO()
    np.save(test_images, np.zeros((6, 40, 40, 3), np.uint8))
    write_npz(path, x_train=images.getvalue(), x_test=test_images.getvalue())
    with pytest.raises(ValueError, match=r"a\.npz .*where 10000 are the most.*savez"):
        dataset_loading.load_dataset(path)
    assert dataset_loading.load_dataset(path, max_bytes=10**6).input_shape == (
        40,
        40,
        3,
    )
    with pytest.raises(ValueError, match="max_bytes to be a positive"):
        dataset_loading.load_dataset(path, max_bytes=0)
    header = f"{{'descr': '|u1', 'fortran_order': False, 'shape': ({10**15},), }}"
    write_npz(path, y_train=fuzz_data.npy(header, b"\0"))
    with pytest.raises(ValueError, match=r"y_train\.npy promises shape"):
        dataset_loading.load_dataset(path)


def test_a_label_of_a_million_million_is_refused(tmp_path):
    labels = io.BytesIO()
    np.save(labels, np.array([10**12, *range(11)]))
    write_npz(tmp_path / "a.npz", y_train=labels.getvalue())
    with pytest.raises(ValueError, match="y_train from 0 to below 32767"):
        dataset_loading.load_dataset(tmp_path / "a.npz")


def test_pictures_that_promise_gigabytes(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        for number in range(2):
            picture = fuzz_data.png_of_size(60_000, 60_000)
            (tmp_path / name / f"{number}.png").write_bytes(picture)
    with pytest.raises(ValueError, match=r"4 that cannot.*\.png.*limit of .* pixels"):
        dataset_loading.load_dataset(tmp_path)


def test_the_limit_of_pixels_is_that_of_pillow(tmp_path, monkeypatch):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        for number in range(2):
            Image.new("L", (20, 20)).save(tmp_path / name / f"{number}.png")
    assert dataset_loading.load_dataset(tmp_path).train.num_examples == 2
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 399)
    with pytest.raises(ValueError, match=r"4 that cannot be read.*400 pixels.*399"):
        dataset_loading.load_dataset(tmp_path)


def gif(*sizes):
    """A GIF file of a single pixel, and empty frames of these sizes."""
    frames = [struct.pack("<cHHHHBBB", b",", 0, 0, *size, 0, 2, 0) for size in sizes]
    return b"GIF89a" + struct.pack("<HHBBB", 1, 1, 0, 0, 0) + b"".join(frames) + b";"


def test_a_frame_that_promises_gigabytes(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        for number in range(2):
            (tmp_path / name / f"{number}.gif").write_bytes(gif((60_000, 60_000)))
    with pytest.raises(ValueError, match=r"4 that cannot.*\.gif.*limit of .* pixels"):
        dataset_loading.load_dataset(tmp_path)


def test_pipes_are_not_waited_for(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        for number in range(2):
            os.mkfifo(tmp_path / name / f"{number}.png")
    with pytest.raises(ValueError, match="no ordinary file"):
        dataset_loading.load_dataset(tmp_path)


def test_other_peoples_programs_are_no_data_sets():
    with pytest.raises(ValueError, match="Expected a built-in data set"):
        dataset_loading.load_dataset("huggingface:mnist")


def write_keras_file(path, change=None, weights=None):
    parts = dict(fuzz_data.keras_parts())
    config = json.loads(parts["config.json"])
    if change is not None:
        change(config["config"]["layers"])
    parts["config.json"] = json.dumps(config).encode()
    if weights is not None:
        file = io.BytesIO(parts["model.weights.h5"])
        with h5py.File(file, "r+") as opened:
            weights(opened)
        parts["model.weights.h5"] = file.getvalue()
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in parts.items():
            archive.writestr(name, content)


def ask_for_terabytes(layers):
    layers[-1]["config"]["units"] = 10**11


def point_elsewhere(weights):
    weights["elsewhere"] = h5py.ExternalLink("/etc/passwd", "/")


def promise_terabytes(weights):
    weights.create_dataset("much", (10**12,), "f8", chunks=(1000,))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"change": ask_for_terabytes}, "its layers ask for"),
        ({"weights": point_elsewhere}, "points elsewhere"),
        ({"weights": promise_terabytes}, "its weights take"),
    ],
)
def test_models_that_ask_for_too_much(tmp_path, options, message):
    path = tmp_path / "model.keras"
    write_keras_file(path, **options)
    policy = keras.config.dtype_policy()
    with pytest.raises(saving.ModelFolderError, match=message):
        loading.load_probe(path)
    # Nothing is left behind that Keras would make later.
    assert keras.config.dtype_policy() == policy
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    assert model.count_params() == 3


def test_what_loading_trusts_is_told(tmp_path, capsys):
    write_keras_file(tmp_path / "model.keras")
    loading.load_probe(tmp_path / "model.keras")
    assert "if you trust them" in " ".join(capsys.readouterr().err.split())
    loading.load_probe(tmp_path / "model.keras", is_own=True)
    assert "trust" not in capsys.readouterr().err
    (tmp_path / "saved_model.pb").write_bytes(b"no model")
    with pytest.raises(saving.ModelFolderError):
        loading.load_probe(tmp_path)
    assert "a program of TensorFlow's" in capsys.readouterr().err


def write_study(directory, **settings):
    description = fuzz_folders.DESCRIPTION | {"kind": "confusion", "format_version": 1}
    description["settings"] = description["settings"] | settings
    (directory / "study.json").write_text(json.dumps(description))


def test_code_that_a_study_names_is_not_imported_unasked(tmp_path, monkeypatch):
    code = "raise RuntimeError('imported')"
    (tmp_path / "a_model_of_a_stranger.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    name = "a_model_of_a_stranger:build"
    write_study(tmp_path, model=name)
    with pytest.raises(study_folder.StudyFolderError, match=f"Use --model {name}"):
        retraining.plan_of_study(study_folder.StudyFolder.open(tmp_path))
    # Allowed, it goes on, and stops at the data set, which is another one.
    with pytest.raises(study_folder.StudyFolderError, match="other images or labels"):
        retraining.plan_of_study(study_folder.StudyFolder.open(tmp_path), model=name)
    write_study(tmp_path, unknown=1)
    with pytest.raises(study_folder.StudyFolderError, match="unknown missing or unk"):
        retraining.plan_of_study(study_folder.StudyFolder.open(tmp_path))


def promised(number):
    shape = tensor_shape_pb2.TensorShapeProto(
        dim=[tensor_shape_pb2.TensorShapeProto.Dim(size=number)]
    )
    return tensor_pb2.TensorProto(
        dtype=types_pb2.DT_DOUBLE, tensor_shape=shape, double_val=[1.0]
    )


def test_a_promise_of_many_numbers_is_not_kept():
    assert len(tensor_util.make_ndarray(promised(1000))) == 1000
    with tensor_limits.at_most(10**6):
        assert len(tensor_util.make_ndarray(promised(1000))) == 1000
        with pytest.raises(tensor_limits.TooLargeError):
            tensor_util.make_ndarray(promised(10**9))
        # Together, too.
        with pytest.raises(tensor_limits.TooLargeError):
            [tensor_util.make_ndarray(promised(1000)) for _ in range(200)]
    with tensor_limits.at_most(10**6), pytest.raises(tensor_limits.TooLargeError):
        tensor_util.make_ndarray(promised(-1))
    # Other plugins' tensors are as they were.
    assert len(tensor_util.make_ndarray(promised(10**6))) == 10**6


def test_a_chunk_that_unpacks_to_more_is_none():
    import numcodecs.zstd

    chunk = bytes(numcodecs.zstd.compress(bytes(1000), 0))
    assert store_metadata.is_chunk(chunk, 1000)
    assert not store_metadata.is_chunk(chunk, 999)
    assert not store_metadata.is_chunk(chunk[:-1], 1000)
    assert not store_metadata.is_chunk(b"", 1000)
