"""Files that are cut short, have a bit that is not as it was, or are gone."""

import pathlib
import shutil
from collections.abc import Callable, Iterable

import numpy as np

from keras_confusion.confusion import store as confusion_store
from keras_confusion.errors import StudyFolderError
from keras_confusion.models import model_description
from keras_confusion.prototypes import store as prototype_store
from keras_confusion.prototypes import store_checks
from keras_confusion.storage.study_folder import StudyFolder
from tests.robustness import fault_studies
from tests.robustness.fault_studies import Expectations, Study, Trial

Damage = Callable[[pathlib.Path, np.random.Generator], None]


def truncate(path: pathlib.Path, rng: np.random.Generator) -> None:
    """Cuts a file off anywhere."""
    with open(path, "r+b") as file:
        file.truncate(int(rng.integers(path.stat().st_size)))


def flip_bit(path: pathlib.Path, rng: np.random.Generator) -> None:
    """Turns any bit of a file."""
    content = bytearray(path.read_bytes())
    content[rng.integers(len(content))] ^= 1 << int(rng.integers(8))
    path.write_bytes(content)


def remove(path: pathlib.Path, rng: np.random.Generator) -> None:
    """Deletes a file."""
    path.unlink()


KINDS: dict[str, Damage] = {
    "truncated": truncate,
    "bit flipped": flip_bit,
    "missing": remove,
}


def damaged_confusion(
    study: Study,
    undisturbed: pathlib.Path,
    directory: pathlib.Path,
    *,
    rounds: int,
    seed: int,
) -> list[Trial]:
    """Damages every kind of file of a confusion study.

    Args:
        study: The study.
        undisturbed: Its folder when nothing befalls it.
        directory: An empty folder.
        rounds: Random places of each kind of file that are only looked for, not
            mended; of these every one must be found, or change nothing.
        seed: Of the places.
    """
    rng = np.random.default_rng(seed)
    networks = sorted((undisturbed / "networks").glob("*.parquet"))
    trials = [
        mend(study, undisturbed, directory, damage, [file], rng, copied=copied)
        for damage in KINDS
        for file, copied in (
            ([*networks][rng.integers(len(networks))], 1),
            (undisturbed / "study.json", 0),
            (undisturbed / "test_labels.npy", 0),
            (_event_file(undisturbed), 0),
        )
        # A network that is missing is one that was never trained.
        if not (damage == "missing" and copied)
    ]
    for file in (
        *rng.choice(np.array(networks, object), rounds),
        undisturbed / "test_labels.npy",
    ):
        trials += find(study, undisturbed, directory, file, rng, rounds=1)
    return trials


def damaged_prototypes(
    study: Study,
    undisturbed: pathlib.Path,
    directory: pathlib.Path,
    *,
    rounds: int,
    seed: int,
) -> list[Trial]:
    """Damages every kind of file of a prototype study; see `damaged_confusion`."""
    rng = np.random.default_rng(seed)
    store = undisturbed / prototype_store.STORE
    # That a part is finished and not that it is missing says a file that is there.
    chunks = [
        path
        for path in sorted(store.rglob("*"))
        if path.is_file() and path.name != "zarr.json" and "finished" not in path.parts
    ]
    model = undisturbed / "models" / "70"
    chosen = [
        *((chunk, 1) for chunk in rng.choice(np.array(chunks, object), 2)),
        (store / "seconds" / "c" / "1" / "0", 1),
        (store / "image" / "zarr.json", 0),
        (undisturbed / "study.json", 0),
        (model / "model.keras", 1),
        (model / "saved_model" / "saved_model.pb", 1),
        (model / "saved_model" / "variables" / "variables.index", 1),
        (model / "model.json", 1),
        (_event_file(undisturbed), 0),
    ]
    trials = [
        mend(study, undisturbed, directory, damage, [file], rng, copied=copied)
        for damage in KINDS
        for file, copied in chosen
    ]
    for file in rng.choice(np.array(chunks, object), rounds):
        trials += find(study, undisturbed, directory, file, rng, rounds=1)
    for file in (model / "model.keras", model / "model.json"):
        trials += find(study, undisturbed, directory, file, rng, rounds=rounds)
    return trials


def damaged_steps(
    study: Study,
    undisturbed: pathlib.Path,
    directory: pathlib.Path,
    *,
    seed: int,
) -> list[Trial]:
    """Damages a network in the middle of a training, and the optimiser's state."""
    rng = np.random.default_rng(seed)
    middle = undisturbed / "models" / "70" / "model.keras"
    last = undisturbed / "models" / "100" / "model.keras"
    state = undisturbed / "optimizer_70.npz"
    return [
        mend(study, undisturbed, directory, "bit flipped", files, rng, copied=1)
        for files in ([middle], [last], [last, state])
    ]


def mend(
    study: Study,
    undisturbed: pathlib.Path,
    directory: pathlib.Path,
    damage: str,
    files: Iterable[pathlib.Path],
    rng: np.random.Generator,
    *,
    copied: int,
) -> Trial:
    """Damages files of a finished study and runs it again.

    Args:
        study: The study.
        undisturbed: Its folder when nothing befalls it.
        directory: A folder for the copy.
        damage: One of `KINDS`.
        files: In the undisturbed folder.
        rng: Decides where they are damaged.
        copied: Networks, or parts, that may be made again at most.
    """
    outcome = Expectations()
    folder = directory / "copy"
    shutil.copytree(undisturbed, folder)
    places = [folder / file.relative_to(undisturbed) for file in files]
    for place in places:
        KINDS[damage](place, rng)
    is_harmless = study.is_confusion and _says_the_same(study, folder, undisturbed)
    before = _results_of(study, folder)
    done = study.run(folder)
    outcome.expect(not done.returncode, f"exit code: {done.stderr[-300:]}")
    name = places[0].relative_to(folder)
    if "events" not in name.parts and not is_harmless:
        outcome.expect(name.name in done.stderr, f"not named: {done.stderr[-300:]}")
    lost, differences = study.outcome(folder, undisturbed)
    after = _results_of(study, folder)
    changed = [path for path in before if before[path] != after.get(path)]
    shards = {_shard(path.relative_to(folder)) for path in changed}
    outcome.expect(len(shards) <= copied, f"made again: {sorted(map(str, shards))}")
    shutil.rmtree(folder)
    what = {True: "that network", False: "that shard"}[study.is_confusion]
    return Trial(
        f"{damage}: {_kind_of(name)}, {study.name}",
        lost=lost,
        redone=what if copied else "that file",
        failures=tuple(
            f"{name}: {failure}" for failure in (*outcome.failures, *differences)
        ),
    )


def _says_the_same(study: Study, folder, undisturbed) -> bool:
    """Whether the bit is one of those of a Parquet file that say nothing.

    What is read of a row is covered by its checksum, and the rest is not read.
    """
    try:
        confusion_store.read_test_labels(StudyFolder.open(folder))
        return study.difference(folder, undisturbed) == (0, [])
    except StudyFolderError:
        return False


def find(
    study: Study,
    undisturbed: pathlib.Path,
    directory: pathlib.Path,
    file: pathlib.Path,
    rng: np.random.Generator,
    *,
    rounds: int,
) -> list[Trial]:
    """Turns a bit of a file and reads the study: named, or it says what it said."""
    trials = []
    name = file.relative_to(undisturbed)
    folder = directory / "copy"
    shutil.copytree(undisturbed, folder)
    for _ in range(rounds):
        shutil.copy2(file, folder / name)
        flip_bit(folder / name, rng)
        failures = []
        try:
            if damage := _read(study, folder, name, undisturbed):
                failures.append(damage)
        except StudyFolderError as error:
            if name.name not in str(error):
                failures.append(f"not named: {error}")
        trials.append(
            Trial(
                f"bit flipped and only read: {_kind_of(name)}, {study.name}",
                redone="nothing",
                failures=tuple(failures),
            )
        )
    shutil.rmtree(folder)
    return trials


def _read(study: Study, folder, name, undisturbed) -> str:
    """Reads what a file is part of; says what is silently not as it was."""
    if name.parts[0] == "models":
        model = folder / name.parts[0] / name.parts[1]
        if damage := model_description.find_damage(model):
            raise StudyFolderError(damage)
    if name.name == "test_labels.npy":
        labels, expected = (
            confusion_store.read_test_labels(StudyFolder.open(directory))
            for directory in (folder, undisturbed)
        )
        return "" if np.array_equal(labels, expected) else "other labels"
    lost, differences = study.difference(folder, undisturbed)
    return "; ".join([*(["rows lost"] if lost else []), *differences])


def _results_of(study: Study, folder: pathlib.Path) -> dict[pathlib.Path, int]:
    """When each file of a study's results was written."""
    if study.is_confusion:
        return fault_studies.modified(folder.glob("networks/*.parquet"))
    paths = [
        *folder.glob("models/*/model.json"),
        *(folder / prototype_store.STORE).glob(f"{store_checks.FINISHED}/c/*/*"),
    ]
    return fault_studies.modified(paths)


def _shard(path: pathlib.Path) -> pathlib.Path:
    return path.parent if path.name == "model.json" else path


def _event_file(directory: pathlib.Path) -> pathlib.Path:
    return sorted((directory / "events" / "training").iterdir())[0]


def _kind_of(name: pathlib.Path) -> str:
    """What a file is, for tables."""
    if name.parts[0] == prototype_store.STORE:
        is_chunk = name.name != "zarr.json"
        return "chunk of prototypes.zarr" if is_chunk else "zarr.json"
    if name.parts[0] == "networks":
        return "networks/*.parquet"
    return "event file" if name.parts[0] == "events" else name.name
