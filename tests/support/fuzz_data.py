"""Targets of what data and models are read from: archives, images, names."""

import functools
import io
import json
import pathlib
import struct
import tempfile
import warnings
import zipfile
import zlib

import keras
import numpy as np
from hypothesis import strategies as st
from PIL import Image

import keras_confusion
from keras_confusion.datasets import image_files
from keras_confusion.datasets import loading as dataset_loading
from keras_confusion.models import loading, saving
from tests.support import fuzzing
from tests.support.fuzzing import ACCEPTED, REFUSED, Target

MAX_MEMORY = 2**31
PACKAGE = pathlib.Path(keras_confusion.__file__).parent


def load(path) -> str:
    """Loads a data set and reads all of it."""
    try:
        dataset = dataset_loading.load_dataset(path)
        # Images of a folder are decoded now.
        arrays = [array for s in (dataset.train, dataset.test) for array in s.arrays()]
    except (ValueError, OSError) as error:
        check_message(error)
        return REFUSED
    assert sum(array.nbytes for array in arrays) < MAX_MEMORY
    assert all(name.isprintable() or name for name in dataset.class_names)
    return ACCEPTED


def check_message(error: Exception) -> None:
    """Checks that an error was written for whoever reads it, and raised by us."""
    text = str(error)
    assert len(text) < 3000
    assert "Traceback" not in text
    frame = error.__traceback__
    while frame.tb_next is not None:
        frame = frame.tb_next
    file = pathlib.Path(frame.tb_frame.f_code.co_filename)
    assert file.is_relative_to(pathlib.Path(keras_confusion.__file__).parent), text


# --- .npz

_HEADERS = [
    "{'descr': '|u1', 'fortran_order': False, 'shape': (%s,), }",
    "{'descr': '<i8', 'fortran_order': True, 'shape': (%s, 2), }",
    "{'descr': '|O', 'fortran_order': False, 'shape': (%s,), }",
    "{'descr': '<U9', 'fortran_order': False, 'shape': (%s,), }",
    "{'descr': '|V0', 'fortran_order': False, 'shape': (%s,), }",
    "{'descr': [('a', '|O')], 'fortran_order': False, 'shape': (%s,), }",
    "{'descr': '|u1', 'fortran_order': False, 'shape': (%s, 4, 4, 3), }",
    "{'descr': '|u1', 'shape': (%s,)}",
    "(%s)",
    "[" * 300 + "%s",
    "__import__('os').abort() or %s",
]


def npy(header: str, content: bytes, version=(1, 0)) -> bytes:
    """A `.npy` file of any header."""
    text = header.encode() + b"\n"
    size = struct.pack("<H" if version == (1, 0) else "<I", len(text))
    return b"\x93NUMPY" + bytes(version) + size + text + content


def _npy_of(array) -> bytes:
    file = io.BytesIO()
    np.save(file, array, allow_pickle=True)
    return file.getvalue()


def good_arrays() -> dict[str, bytes]:
    """`.npy` files of a small data set of images."""
    rng = np.random.default_rng(0)
    return {
        "x_train": _npy_of(rng.integers(0, 256, (12, 4, 4, 3), np.uint8)),
        "y_train": _npy_of(np.arange(12) % 3),
        "x_test": _npy_of(rng.integers(0, 256, (6, 4, 4, 3), np.uint8)),
        "y_test": _npy_of(np.arange(6) % 3),
        "class_names": _npy_of(np.array(["a", "b", "c"])),
    }


_arrays = st.one_of(
    st.builds(
        lambda header, size, content, version: npy(header % size, content, version),
        st.sampled_from(_HEADERS),
        st.sampled_from([0, 1, 6, 12, -1, 10**6, 10**9, 2**62, 10**30, "'x'"]),
        st.sampled_from([b"", b"\0" * 12, b"\0" * 96, b"\x80\x04."]),
        st.sampled_from([(1, 0), (2, 0), (3, 0), (9, 9)]),
    ),
    st.sampled_from(sorted(good_arrays())).flatmap(
        lambda name: fuzzing.byte_mutations(good_arrays()[name])
    ),
    st.sampled_from(
        [
            *([10**12, 0, 1], [2**63, 0, 1], [-1, 0, 1], [True, False, True]),
            *([0.5, 1, 2], ["a", "b", "c"], [[0], [1], [2]], [], [b"\xff", b"x", b"y"]),
            *(["a", "a", "b"], ["\x1b[31m", "b", "c"], ["x" * 300, "y", "z"]),
        ]
    ).map(lambda values: _npy_of(np.array(values))),
    st.just(_npy_of(np.array([{}, None], object))),
    fuzzing.texts.map(
        lambda text: _npy_of(np.array([text[:300].replace("\0", ""), "b", "c"]))
    ),
)


@st.composite
def npz_files(draw):
    """Archives of a good data set with other arrays, some twice, and bombs."""
    arrays = dict(good_arrays())
    extra = []
    for _ in range(draw(st.integers(0, 2))):
        arrays[draw(st.sampled_from(sorted(arrays)))] = draw(_arrays)
    kind = draw(st.sampled_from(["plain", "plain", "twice", "path", "drop", "bomb"]))
    if kind == "twice":
        extra.append(("x_train.npy", draw(_arrays)))
    elif kind == "path":
        extra.append(("../../outside.npy", arrays["y_test"]))
    elif kind == "drop":
        del arrays[draw(st.sampled_from(sorted(arrays)))]
    elif kind == "bomb":
        size = 2**24
        header = _HEADERS[6].replace("4, 4, 3", "1, 1") % size
        arrays["x_train"] = npy(header, b"\0" * size)
    file = io.BytesIO()
    compression = draw(st.sampled_from([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED]))
    with warnings.catch_warnings():
        # Python warns of names that come twice.
        warnings.simplefilter("ignore")
        with zipfile.ZipFile(file, "w", compression) as archive:
            for name, content in [*arrays.items(), *extra]:
                name = name if name.endswith(".npy") else f"{name}.npy"
                archive.writestr(name, content)
    content = file.getvalue()
    if draw(st.booleans()) and kind != "bomb":
        content = draw(fuzzing.byte_mutations(content))
    return content


def read_npz(content: bytes) -> str:
    """A `.npz` file of any bytes."""
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "data.npz"
        path.write_bytes(content)
        return load(path)


# --- Folders of images


def _picture(form: str) -> bytes:
    file = io.BytesIO()
    pixels = np.random.default_rng(0).integers(0, 256, (5, 7, 3), np.uint8)
    first = Image.fromarray(pixels)
    more = {"save_all": True, "append_images": [first.rotate(90)]}
    first.save(file, form, **(more if form == "GIF" else {}))
    return file.getvalue()


def png_of_size(width: int, height: int) -> bytes:
    """A PNG file that promises a size and holds a few rows."""

    def chunk(name: bytes, content: bytes) -> bytes:
        whole = name + content
        return (
            struct.pack(">I", len(content))
            + whole
            + struct.pack(">I", zlib.crc32(whole))
        )

    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
        + chunk(b"IDAT", zlib.compress(bytes(1000)))
        + chunk(b"IEND", b"")
    )


_forms = st.sampled_from(image_files.FORMATS)
image_contents = st.one_of(
    _forms.map(_picture),
    _forms.flatmap(lambda form: fuzzing.byte_mutations(_picture(form))),
    st.builds(
        png_of_size,
        st.sampled_from([0, 1, 2**15, 2**31 - 1]),
        st.sampled_from([0, 1, 2**15, 2**31 - 1]),
    ),
    st.sampled_from([b"", b"GIF89a", b"\xff\xd8\xff", b"BM", b"<svg/>", b"\0" * 100]),
)
_suffixes = st.sampled_from([*image_files.SUFFIXES, ".PNG", ".svg"])


@st.composite
def image_folders(draw):
    """Names of classes and files, and what is in the files."""
    names = st.one_of(
        st.text(st.characters(exclude_characters="/\0"), min_size=1, max_size=8),
        st.sampled_from(
            [
                "a",
                "b",
                fuzzing.SCRIPT.replace("/", ""),
                "\x1b[31m",
                "w" * 201,
                "-x",
                "~",
            ]
        ),
        st.just(b"\xff\xfe"),
    ).filter(lambda name: name not in (".", ".."))
    return [
        (
            draw(names),
            [
                (draw(names), draw(_suffixes), draw(image_contents))
                for _ in range(draw(st.integers(0, 3)))
            ]
            + [("good", ".png", _picture("PNG"))] * draw(st.integers(0, 2)),
        )
        for _ in range(draw(st.integers(1, 3)))
    ]


def read_images(classes) -> str:
    """A folder of images."""
    with tempfile.TemporaryDirectory() as folder:
        for class_name, files in classes:
            place = _child(pathlib.Path(folder), class_name)
            if place is None:
                continue
            for number, (name, suffix, content) in enumerate(files):
                name = name if isinstance(name, bytes) else _bytes(name)
                file = place / _text(str(number).encode() + name + suffix.encode())
                if len(file.name.encode("utf-8", "surrogateescape")) < 250:
                    file.write_bytes(content)
        return load(folder)


def _bytes(name: str) -> bytes:
    return name.encode("utf-8", "replace")


def _text(name: bytes) -> str:
    return name.decode("utf-8", "surrogateescape")


def _child(folder: pathlib.Path, name) -> pathlib.Path | None:
    child = folder / _text(name if isinstance(name, bytes) else _bytes(name))
    try:
        child.mkdir(exist_ok=True)
    except OSError:
        # A name that this file system does not take.
        return None
    return child


# --- Names of data sets

dataset_names = st.one_of(
    fuzzing.texts,
    st.sampled_from(
        [
            *("planted:x", "planted:" + "9" * 99, "planted:-1", "cifar10:9.9.9"),
            *("huggingface:mnist", "kaggle:x/y", "mnist/../../x", "/dev/zero.npz"),
            *("../x.npz", "~nobody/x.npz", ".npz", "a\0.npz", "mnist:*", "a:b:c/d"),
        ]
    ),
).filter(lambda name: name not in ("mnist", "cifar10"))


# --- Models


@functools.cache
def good_keras_file() -> bytes:
    """A `.keras` file of a small classifier."""
    model = keras.Sequential(
        [
            keras.Input((4, 4, 1)),
            keras.layers.Conv2D(2, 3),
            keras.layers.Flatten(),
            keras.layers.Dense(3),
        ]
    )
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "model.keras"
        model.save(path)
        return path.read_bytes()


@functools.cache
def keras_parts() -> dict[str, bytes]:
    """The files within `good_keras_file`."""
    with zipfile.ZipFile(io.BytesIO(good_keras_file())) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


_layers = st.sampled_from(
    [
        {"module": "builtins", "class_name": "eval", "config": {"x": "1"}},
        {"module": "os", "class_name": "system", "config": {"command": "exit 1"}},
        {
            "module": "keras.layers",
            "class_name": "Lambda",
            "config": {
                "function": {
                    "class_name": "__lambda__",
                    "config": {"code": "4wAAAA==", "defaults": None, "closure": None},
                }
            },
        },
        {"module": "keras.layers", "class_name": "Dense", "config": {"units": 10**10}},
        {"module": "tests.nowhere", "class_name": "X", "config": {}},
    ]
)


@st.composite
def keras_files(draw):
    """Archives of a good model with other settings or weights."""
    parts = dict(keras_parts())
    kind = draw(
        st.sampled_from(["config", "layer", "huge", "weights", "bytes", "path"])
    )
    config = json.loads(parts["config.json"])
    if kind == "config":
        parts["config.json"] = draw(fuzzing.json_files(config))
    elif kind == "layer":
        config["config"]["layers"].insert(draw(st.integers(0, 4)), draw(_layers))
        parts["config.json"] = json.dumps(config).encode()
    elif kind == "huge":
        layer = draw(st.sampled_from(config["config"]["layers"][1:]))
        for name in ("units", "filters"):
            if name in layer["config"]:
                layer["config"][name] = draw(
                    st.sampled_from([10**6, 10**8, 2**31, 10**15, -1])
                )
        parts["config.json"] = json.dumps(config).encode()
    elif kind == "weights":
        parts["model.weights.h5"] = draw(
            fuzzing.byte_mutations(parts["model.weights.h5"])
        )
    elif kind == "path":
        parts["../../outside"] = b"x"
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    if kind == "bytes":
        return draw(fuzzing.byte_mutations(file.getvalue()))
    return file.getvalue()


def read_keras_file(content: bytes) -> str:
    """A `.keras` file of any bytes, loaded and asked."""
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "model.keras"
        path.write_bytes(content)
        try:
            with warnings.catch_warnings():
                # Keras warns of what it does not know, before it refuses it.
                warnings.simplefilter("ignore")
                probe = loading.load_probe(path, is_own=True)
        except saving.ModelFolderError as error:
            check_message(error)
            return REFUSED
        assert probe.logits(np.zeros((1, *probe.input_shape), np.float32)).shape[0] == 1
        return ACCEPTED


def targets() -> list[Target]:
    """All of them."""
    keras_parts()
    return [
        Target(".npz files", npz_files(), read_npz, speed=4),
        Target("folders of images", image_folders(), read_images, speed=0.5),
        Target("names of data sets", dataset_names, load, speed=1),
        Target(".keras files", keras_files(), read_keras_file, speed=1),
    ]
