import itertools
import json
import shutil

import numpy as np
import pytest
import zarr

from keras_confusion.errors import StudyFolderError
from keras_confusion.prototypes import mending, store_checks
from keras_confusion.prototypes import store as prototype_store
from keras_confusion.storage import sealed_json
from keras_confusion.storage.study_folder import StudyFolder

NUM_CLASSES = 3
PARTS = [(0, 0), (0, 1), (1, 0), (1, 1)]


@pytest.fixture
def folder(write_prototype_study):
    """A finished study of two intervals and two initialisations."""
    return write_prototype_study(num_classes=NUM_CLASSES, num_intervals=2)


@pytest.fixture
def store(folder):
    return folder / prototype_store.STORE


def chunks_of(store, part):
    """Every chunk of a part, but the flag that it is finished."""
    place = "/".join(map(str, part))
    return sorted(
        path
        for path in store.rglob("*")
        if path.is_file()
        and f"/c/{place}/" in f"{path}/"
        and store_checks.FINISHED not in path.parts
    )


def read_all(folder):
    return prototype_store.read_prototype_study(folder).load()


def test_every_chunk_of_a_finished_part_is_there(store):
    # Also of arrays that hold nothing but their fill values.
    for part in PARTS:
        names = {path.relative_to(store).parts[0] for path in chunks_of(store, part)}
        written = {path.parent.name for path in store.glob("*/c")}
        assert names == written - {store_checks.FINISHED}
    assert len(chunks_of(store, (0, 0))) > 10


DAMAGE = ("flip", "truncate", "empty", "remove")


def damage(file, kind, rng):
    content = file.read_bytes()
    flipped = bytearray(content)
    flipped[rng.integers(len(content))] ^= 1 << int(rng.integers(8))
    if kind == "remove":
        file.unlink()
    else:
        half = content[: len(content) // 2]
        file.write_bytes({"flip": flipped, "truncate": half, "empty": b""}[kind])


def test_damage_of_any_chunk_is_named_and_only_its_part_forgotten(
    folder, store, capsys, rng
):
    """Every chunk is damaged in one way, and in every way several of them are."""
    whole = read_all(folder)
    part = whole.isel(interval=1, initialisation=0)
    values = {
        name: part[name].values
        for name in prototype_store.ARRAYS
        if name in part and name != store_checks.FINISHED
    }
    chunks = chunks_of(store, (1, 0))
    assert len(chunks) >= 4 * len(DAMAGE)
    for chunk, kind in zip(chunks, itertools.cycle(DAMAGE), strict=False):
        damage(chunk, kind, rng)
        with pytest.raises(StudyFolderError, match="Run the study again") as error:
            read_all(folder)
        assert str(chunk) in str(error.value)
        mending.mend_store(StudyFolder.open(folder))
        told = capsys.readouterr().err
        assert str(chunk) in told
        assert "initialisation 0 at 40 % are made again" in told
        finished = prototype_store.finished_parts(folder)
        assert finished.tolist() == [[True, True], [False, True]]
        # As the study makes it again.
        prototype_store.write_part(folder, 1, 0, values)
    assert read_all(folder).identical(whole)


def test_whole_store_is_left_alone(folder, store, capsys):
    before = {path: path.stat().st_mtime_ns for path in store.rglob("*")}
    mending.mend_store(StudyFolder.open(folder))
    assert capsys.readouterr().err == ""
    assert {path: path.stat().st_mtime_ns for path in store.rglob("*")} == before


@pytest.mark.parametrize("name", ["zarr.json", "image/zarr.json", "finished/zarr.json"])
def test_damaged_descriptions_of_arrays_are_written_anew(name, folder, store, capsys):
    whole, file = read_all(folder), store / name
    written = file.read_bytes()
    for content in (None, b"", b"{", b'{"zarr_format": 3}'):
        if content is None:
            file.unlink()
        else:
            file.write_bytes(content)
        mending.mend_store(StudyFolder.open(folder))
        assert f"{name} was damaged" in capsys.readouterr().err
        assert file.read_bytes() == written
    assert read_all(folder).identical(whole)


def test_copy_of_descriptions_that_is_damaged_itself_is_not_believed(folder, store):
    copy = folder / f".{prototype_store.STORE}.metadata.json"
    texts = json.loads(copy.read_text())
    texts["image/zarr.json"] = "{}"
    copy.write_text(json.dumps(texts))
    with pytest.raises(sealed_json.DamagedJSONError):
        sealed_json.read(copy)
    whole = read_all(folder)
    mending.mend_store(StudyFolder.open(folder))
    assert read_all(folder).identical(whole)


def test_flag_that_is_damaged_is_found(folder, store, capsys):
    flag = store / store_checks.FINISHED / "c" / "0" / "1"
    flag.write_bytes(flag.read_bytes()[:-1])
    with pytest.raises(StudyFolderError, match="finished/c/0/1 is damaged"):
        read_all(folder)
    mending.mend_store(StudyFolder.open(folder))
    assert "finished/c/0/1" in capsys.readouterr().err
    finished = prototype_store.finished_parts(folder)
    assert finished.tolist() == [[True, False], [True, True]]


def test_store_of_before_there_were_checksums_is_read_and_grows(folder, store, capsys):
    whole = read_all(folder)
    (folder / f".{prototype_store.STORE}.metadata.json").unlink()
    group = zarr.open_group(store, mode="r")
    arrays = {name: (array, array[:]) for name, array in group.arrays()}
    old = store.with_name("old")
    made = zarr.open_group(old, mode="w")
    for name, (array, values) in arrays.items():
        made.create_array(
            name,
            shape=array.shape,
            dtype=array.dtype,
            chunks=array.chunks,
            fill_value=array.fill_value,
            dimension_names=array.metadata.dimension_names,
        )
        made[name][...] = values
    shutil.rmtree(store)
    old.rename(store)
    assert not store_checks.has_checksums(store / "image")
    assert read_all(folder).identical(whole)
    mending.mend_store(StudyFolder.open(folder))
    assert capsys.readouterr().err == ""
    # Chunks of nothing but fill values were left out then.
    assert read_all(folder).identical(whole)
    mending.forget_part(folder, 1, 1)
    prototype_store.write_part(folder, 1, 1, {"loss": np.zeros((3, 3))})
    assert prototype_store.finished_parts(folder).all()


@pytest.mark.parametrize("finished", [True, False])
def test_network_number_that_is_cut_off_is_no_dead_end(
    folder, store, finished, monkeypatch
):
    # As after a power cut, within a part that was finished or being written.
    chunk = store_checks.chunk_file(store / "network", (1, 0))
    chunk.write_bytes(b"")
    if not finished:
        store_checks.chunk_file(store / store_checks.FINISHED, (1, 0)).unlink()
    mending.mend_store(StudyFolder.open(folder))
    number = int(prototype_store.open_array(folder, "network")[1, 1])
    monkeypatch.setattr(prototype_store, "read_network_number", lambda *_: number)
    mending.check_network(folder, 1, 40, was_mended=False)
    assert prototype_store.finished_parts(folder)[1].tolist() == [False, True]
