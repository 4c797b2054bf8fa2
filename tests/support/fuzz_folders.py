"""Targets of the folders of studies and models: descriptions, rows, arrays."""

import contextlib
import copy
import functools
import io
import json
import pathlib
import shutil
import tempfile
import warnings

import numpy as np
import pyarrow as pa
import pyarrow.parquet
from hypothesis import strategies as st

from keras_confusion.cli import commands, exit_codes
from keras_confusion.comparisons import study_results
from keras_confusion.confusion import network_checks
from keras_confusion.confusion import store as confusion_store
from keras_confusion.confusion.network_files import arm_name
from keras_confusion.models import model_description
from keras_confusion.prototypes import store as prototype_store
from keras_confusion.storage import checks, sealed_json, study_folder
from tests.support import fuzzing
from tests.support.fuzz_data import check_message
from tests.support.fuzzing import ACCEPTED, REFUSED, Target

NAMES = ["a", "b & <i>c</i>", "$d"]
PAIRS = [(0, 1), (0, 2), (1, 2)]
NUM_TEST = 12
DESCRIPTION = {
    "settings": {
        "dataset": "digits",
        "pairs": [list(pair) for pair in PAIRS],
        "repeats": 2,
        "baseline_repeats": 2,
        "epochs": 1,
        "recipe": "annealed",
        "batch_size": 32,
        "learning_rate": 0.001,
        "seed": 0,
        "model": "cnn",
        "width": None,
        "dtype_policy": "float32",
        "corruption": "swap",
        "fraction": 0.5,
        "shared_seeds": True,
        "image_size": None,
        "streaming": False,
    },
    "class_names": NAMES,
    "image_shape": [8, 8, 1],
    "num_train": 30,
    "num_test": NUM_TEST,
    "dataset_fingerprint": "1234",
    "provenance": {"commit": None},
}
INTERVALS = [50, 100]
PROTOTYPE_DESCRIPTION = {
    "settings": {
        "dataset": "digits",
        "model": "cnn",
        "width": None,
        "intervals": INTERVALS,
        "inits": 1,
        "frames": 2,
    },
    "class_names": NAMES,
    "dataset_fingerprint": "1234",
    "provenance": {},
}
SIZES = {
    "interval": 2,
    "initialisation": 1,
    "target": 3,
    "origin": 3,
    "height": 4,
    "width": 4,
    "channel": 1,
    "feature": 5,
    "frame": 2,
    "row": 3,
    "column": 2,
    "coefficient": 4,
}
MODEL = {
    "format_version": 1,
    "class_names": NAMES,
    "test_accuracy": 0.5,
    "test_class_accuracies": [0.5, 0.25, 0.75],
    "test_loss": 1.0,
    "training": {"epoch_losses": [1.0, 0.5], "epoch_accuracies": [0.1, 0.5]},
    "trained_from": None,
    "input_shape": [4, 4, 1],
    "input_range": [0.0, 1.0],
    "num_features": 5,
    "weights_sha256": "0" * 64,
    "files_sha256": {"model.keras": "0" * 64},
}


@functools.cache
def _folders() -> pathlib.Path:
    return pathlib.Path(tempfile.mkdtemp(prefix="fuzz-folders-"))


@functools.cache
def good_study() -> pathlib.Path:
    """A confusion study of made-up networks; it goes with the process's files."""
    directory = _folders() / "confusion"
    rng = np.random.default_rng(0)
    confusion_store.open_study(directory, DESCRIPTION, np.arange(NUM_TEST) % 3)
    for pair in (None, *PAIRS):
        for repeat in range(2):
            labels = np.argsort(rng.random((NUM_TEST, 3)), axis=1)
            bits = -rng.random((1 if pair else len(PAIRS), 3))
            row = {
                "arm": arm_name(pair),
                "class_a": pair and pair[0],
                "class_b": pair and pair[1],
                "repeat": repeat,
                "seed": repeat,
                "recipe": "annealed",
                "epochs": 1,
                "attempt": 0,
                "failed": False,
                "note": "",
                "epoch_losses": [1.0],
                "final_training_loss": 1.0,
                "seconds": 1.0,
                "predictions": labels[:, 0],
                "second_labels": labels[:, 1],
                "third_labels": labels[:, 2],
                "log2_probability": -rng.random(3),
                "log2_probability_without_pair": bits.ravel(),
            }
            confusion_store.write_network(directory, row, num_classes=3)
    return directory


@functools.cache
def good_prototype_study() -> pathlib.Path:
    """A prototype study of made-up images."""
    directory = _folders() / "prototypes"
    rng = np.random.default_rng(0)
    prototype_store.open_study(directory, PROTOTYPE_DESCRIPTION, SIZES)
    for interval, percentage in enumerate(INTERVALS):
        folder = prototype_store.model_directory(directory, percentage)
        folder.mkdir(parents=True)
        sealed_json.write(folder / "model.json", MODEL)
        values = {}
        for name, array in prototype_store.ARRAYS.items():
            shape = [SIZES[axis] for axis in array.axes[2:]]
            drawn = rng.random(shape) if shape else rng.random()
            if array.dtype == "bool":
                drawn = np.ones(shape, bool)
            values[name] = np.asarray(drawn).astype(array.dtype)
        del values["finished"]
        prototype_store.write_part(directory, interval, 0, values)
    return directory


@contextlib.contextmanager
def _copy(study: pathlib.Path):
    with tempfile.TemporaryDirectory() as folder:
        directory = pathlib.Path(folder) / "study"
        shutil.copytree(study, directory)
        for copy_of in directory.glob(".study.json*"):
            copy_of.unlink()
        yield directory


def _read(action) -> str:
    """Does something with a folder: it works, or an error of ours says why not."""
    try:
        with warnings.catch_warnings():
            # Of means of nothing, which a study of few networks has.
            warnings.simplefilter("ignore", RuntimeWarning)
            action()
    except study_folder.StudyFolderError as error:
        check_message(error)
        return REFUSED
    return ACCEPTED


# --- study.json, model.json, test_labels.npy


def _stored(study: pathlib.Path) -> dict:
    description = json.loads((study / "study.json").read_text())
    # Whoever makes a study up writes no checksum, or the right one.
    description.pop(sealed_json.SEAL, None)
    return description


def read_description(content: bytes) -> str:
    """A `study.json` of any bytes."""
    with tempfile.TemporaryDirectory() as folder:
        directory = pathlib.Path(folder)
        (directory / "study.json").write_bytes(content)
        return _read(lambda: confusion_store.open_to_read(directory))


def read_model_description(content: bytes) -> str:
    """A `model.json` of any bytes."""
    with tempfile.TemporaryDirectory() as folder:
        file = pathlib.Path(folder) / "model.json"
        file.write_bytes(content)
        try:
            description = sealed_json.read_json(file)
            model_description.check_probed(description, file)
        except ValueError as error:
            check_message(error)
            return REFUSED
        return ACCEPTED


def read_labels(content: bytes) -> str:
    """A `test_labels.npy` of any bytes."""
    with tempfile.TemporaryDirectory() as folder:
        file = pathlib.Path(folder) / "test_labels.npy"
        file.write_bytes(content)
        try:
            labels = network_checks.read_labels(file)
        except ValueError as error:
            return REFUSED if len(str(error)) < 1000 else "too long"
        assert labels.nbytes <= len(content)
        return ACCEPTED


# --- networks/*.parquet


@functools.cache
def good_row() -> dict:
    """One network of the good study."""
    return _table_of("0-1-00000").to_pylist()[0]


def _table_of(name: str) -> pa.Table:
    return pa.parquet.read_table(good_study() / "networks" / f"{name}.parquet")


_cells = st.one_of(
    st.none(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(),
    st.booleans(),
    fuzzing.texts.filter(lambda text: "\ud800" not in text),
    st.lists(st.integers(-300, 70_000), max_size=2 * NUM_TEST),
    st.lists(st.sampled_from([float("nan"), 0.0, 1.0, -1.0, float("inf")]), max_size=9),
    st.just([255] * NUM_TEST),
    st.just([2**15] * NUM_TEST),
    st.just([-float("inf")] * 3),
)


@st.composite
def network_files(draw):
    """A file of one network: cells, types, columns and rows that are others."""
    if draw(st.integers(0, 3)) == 0:
        content = (good_study() / "networks" / "0-1-00000.parquet").read_bytes()
        return draw(fuzzing.byte_mutations(content))
    row = copy.deepcopy(good_row())
    # Whoever makes a row up writes no checksum.
    row.pop("checksum", None)
    for _ in range(draw(st.integers(1, 2))):
        name = draw(st.sampled_from(sorted(row)))
        kind = draw(st.sampled_from(["cell", "cell", "cell", "drop", "add"]))
        if kind == "cell":
            row[name] = draw(_cells)
        elif kind == "drop":
            del row[name]
        else:
            row[draw(st.sampled_from(["x", "class_c", "checksum"]))] = draw(_cells)
    others = draw(st.sets(st.sampled_from(confusion_store.SCHEMA.names), max_size=1))
    schema = pa.schema(
        [f for f in confusion_store.SCHEMA if f.name in row and f.name not in others]
    )
    columns = {}
    for name, value in row.items():
        kind = schema.field(name).type if name in schema.names else None
        try:
            columns[name] = pa.array([value], kind)
        except (pa.ArrowException, OverflowError, UnicodeEncodeError, TypeError):
            # A value that no such column holds: as whatever it is.
            columns[name] = _any_array(value)
    table = pa.table(columns)
    copies = draw(st.sampled_from([1, 1, 1, 0, 2]))
    table = pa.concat_tables([table] * 2).slice(0, copies)
    file = io.BytesIO()
    pa.parquet.write_table(table, file)
    return file.getvalue()


def _any_array(value) -> pa.Array:
    try:
        return pa.array([value])
    except (pa.ArrowException, OverflowError, UnicodeEncodeError, TypeError):
        return pa.array([str(value).encode("utf-8", "replace").decode()])


def read_network(content: bytes) -> str:
    """A study in which one network's file holds any bytes."""
    with _copy(good_study()) as directory:
        (directory / "networks" / "0-1-00000.parquet").write_bytes(content)
        return _read(lambda: study_results.read_study(directory))


# --- prototypes.zarr


@st.composite
def stores(draw):
    """Files of a store, by name, with what they hold instead."""
    store = good_prototype_study() / prototype_store.STORE
    files = sorted(
        file.relative_to(store).as_posix()
        for file in store.rglob("*")
        if file.is_file()
    )
    metadata = [name for name in files if name.endswith("zarr.json")]
    changes = {}
    for _ in range(draw(st.integers(1, 2))):
        name = draw(st.one_of(st.sampled_from(metadata), st.sampled_from(files)))
        content = (store / name).read_bytes()
        if name in metadata:
            new = draw(
                st.one_of(_array_metadata(json.loads(content)), fuzzing.json_files({}))
            )
        else:
            new = draw(fuzzing.byte_mutations(content))
        changes[name] = draw(st.one_of(st.none(), *[st.just(new)] * 4))
    return changes


def _array_metadata(description: dict) -> st.SearchStrategy[bytes]:
    """Descriptions of arrays with absurd sizes, other types, and pickle."""
    sizes = st.lists(
        st.sampled_from([0, 1, 2, 3, 4, 10**9, 2**40, 2**62, -1]), max_size=7
    )
    codecs = st.lists(
        st.sampled_from(
            [
                {"name": "bytes", "configuration": {"endian": "little"}},
                {"name": "zstd", "configuration": {"level": 0, "checksum": False}},
                {"name": "numcodecs.pickle", "configuration": {}},
                {"name": "vlen-utf8"},
                {"name": "gzip", "configuration": {"level": 5}},
                {"name": "nothing"},
            ]
        ),
        max_size=3,
    )
    types = st.sampled_from(
        ["float64", "int8", "object", "string", "variable_length_bytes", "r8", "|O"]
    )

    def put(name, value):
        changed = copy.deepcopy(description)
        if name == "chunks":
            grid = changed.setdefault("chunk_grid", {}).setdefault("configuration", {})
            grid["chunk_shape"] = value
        else:
            changed[name] = value
        return fuzzing.json_bytes(changed)

    return st.one_of(
        sizes.map(lambda value: put("shape", value)),
        sizes.map(lambda value: put("chunks", value)),
        codecs.map(lambda value: put("codecs", value)),
        types.map(lambda value: put("data_type", value)),
        st.sampled_from([2, 3, "3", None]).map(lambda value: put("zarr_format", value)),
        fuzzing.json_values.map(lambda value: put("fill_value", value)),
        fuzzing.mutated(description).map(fuzzing.json_bytes),
    )


def read_store(changes) -> str:
    """A prototype study in which files of the store hold something else."""
    with _copy(good_prototype_study()) as directory:
        for copy_of in directory.glob(".*"):
            copy_of.unlink()
        for name, content in changes.items():
            file = directory / prototype_store.STORE / name
            if content is None:
                file.unlink()
            else:
                file.write_bytes(content)

        def use() -> None:
            study = prototype_store.read_prototype_study(directory)
            for array in study.variables:
                assert study[array].nbytes < 10**8
                study[array].load()

        return _read(use)


# --- Whole studies


@st.composite
def whole_studies(draw):
    """A study whose description is another one, of the same files."""
    study = draw(st.sampled_from([good_study(), good_prototype_study()]))
    stored = _stored(study)
    fair = fuzzing.texts.filter(
        lambda text: checks.is_printable(text, checks.MAX_NAME_LENGTH)
    )
    kind = draw(st.sampled_from(["fair names", "names", "settings", "any"]))
    if kind == "fair names":
        # What may be a name is drawn, written and printed.
        stored["class_names"] = draw(
            st.lists(fair, min_size=3, max_size=3, unique=True)
        )
        stored["settings"]["dataset"] = draw(fair)
    elif kind == "names":
        stored["class_names"] = draw(st.lists(fuzzing.texts, min_size=3, max_size=3))
    elif kind == "settings":
        stored["settings"] = draw(fuzzing.mutated(stored["settings"]))
    else:
        stored = draw(fuzzing.mutated(stored))
    content, model = fuzzing.json_bytes(stored), None
    if study == good_prototype_study() and draw(st.booleans()):
        content = (study / "study.json").read_bytes()
        model = draw(fuzzing.json_files(MODEL))
    return study, content, model


def analyse(case) -> str:
    """`analyse_study` on a study: a report, or one message and exit code 1."""
    study, content, model = case
    with _copy(study) as directory:
        (directory / "study.json").write_bytes(content)
        if model is not None:
            folder = prototype_store.model_directory(directory, INTERVALS[0])
            (folder / "model.json").write_bytes(model)
        out, err = io.StringIO(), io.StringIO()
        with (
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
            warnings.catch_warnings(),
        ):
            # What fonts lack, and means of nothing.
            warnings.simplefilter("ignore")
            # Whatever is raised past `exit_code` would be a traceback.
            code = exit_codes.exit_code(commands.analyse_study, directory)
        assert code in (0, 1)
        if code == 1:
            assert err.getvalue().startswith("Error: ")
            assert "Traceback" not in err.getvalue()
            return REFUSED
        outside = {path.name for path in directory.parent.iterdir()}
        assert outside == {"study"}
        for table in (directory / "tables").iterdir():
            assert table.suffix == ".csv"
        return ACCEPTED


def targets() -> list[Target]:
    """All of them."""
    labels = (good_study() / "test_labels.npy").read_bytes()
    return [
        Target(
            "study.json",
            fuzzing.json_files(_stored(good_study())),
            read_description,
            speed=10,
        ),
        Target(
            "model.json", fuzzing.json_files(MODEL), read_model_description, speed=10
        ),
        Target(
            "test_labels.npy",
            st.one_of(fuzzing.byte_mutations(labels), st.binary(max_size=300)),
            read_labels,
            speed=10,
        ),
        Target("networks/*.parquet", network_files(), read_network, speed=4),
        Target("prototypes.zarr", stores(), read_store, speed=0.6),
        Target("whole studies", whole_studies(), analyse, speed=0.4),
    ]
