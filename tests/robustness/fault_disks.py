"""Disks that are full, or cannot be written, while a study writes to them.

Real ones: a tmpfs of some kilobytes, mounted read-only for the latter. That takes root,
or a namespace in which this process is root, see `enter_namespace`.
"""

import contextlib
import json
import os
import pathlib
import shutil
import subprocess
import sys
from collections.abc import Iterator

import numpy as np

from keras_confusion.prototypes import store as prototype_store
from tests.robustness import fault_studies
from tests.robustness.fault_studies import Expectations, Study, Trial

PLENTY_KILOBYTES = 400_000
_NAMESPACE = ("unshare", "--map-root-user", "--mount")


def can_mount() -> bool:
    """Whether this process may mount a tmpfs."""
    return os.geteuid() == 0


def can_enter_namespace() -> bool:
    """Whether a process may be started that may."""
    try:
        return not fault_studies.run(in_namespace(["true"])).returncode
    except FileNotFoundError:
        return False


def in_namespace(command: list[str]) -> list[str]:
    """A command that is run by a process which may."""
    return [*_NAMESPACE, *command]


def enter_namespace() -> None:
    """Starts this program again where it may mount disks, unless it is there already.

    Raises:
        PermissionError: If neither root nor namespaces are to be had.
    """
    if can_mount():
        return
    if not can_enter_namespace():
        raise PermissionError(
            "Expected root, or user namespaces, to mount small disks. Received: "
            "neither. Use sudo."
        )
    module = f"tests.robustness.{pathlib.Path(sys.argv[0]).stem}"
    command = in_namespace([sys.executable, "-m", module, *sys.argv[1:]])
    os.execvp(command[0], command)


@contextlib.contextmanager
def small_disk(directory: pathlib.Path, kilobytes: int) -> Iterator[None]:
    """A tmpfs of some kilobytes over a folder; what was in the folder is in it."""
    directory.mkdir(parents=True, exist_ok=True)
    kept = directory.with_name(f".{directory.name}.kept")
    shutil.copytree(directory, kept, symlinks=True)
    _mount("-t", "tmpfs", "-o", f"size={PLENTY_KILOBYTES}k", "tmpfs", directory)
    try:
        shutil.copytree(kept, directory, dirs_exist_ok=True, symlinks=True)
        shutil.rmtree(kept)
        resize(directory, kilobytes)
        yield
    finally:
        subprocess.run(["umount", str(directory)], check=True)
        shutil.rmtree(kept, ignore_errors=True)


def resize(directory: pathlib.Path, kilobytes: int) -> None:
    """Gives a `small_disk` another size."""
    _mount("-o", f"remount,size={kilobytes}k", directory)


@contextlib.contextmanager
def read_only(directory: pathlib.Path) -> Iterator[None]:
    """Has a folder that cannot be written, whoever tries."""
    _mount("--bind", directory, directory)
    try:
        _mount("-o", "remount,ro,bind", directory)
        yield
    finally:
        subprocess.run(["umount", str(directory)], check=True)


def _mount(*arguments) -> None:
    subprocess.run(["mount", *map(str, arguments)], check=True)


def kilobytes_of(directory: pathlib.Path) -> int:
    """What a folder takes on a tmpfs."""
    blocks = sum(
        -(-path.lstat().st_size // 4096)
        for path in directory.rglob("*")
        if path.is_file()
    )
    return 4 * blocks


def all_disks(
    study: Study,
    undisturbed: pathlib.Path,
    directory: pathlib.Path,
    *,
    rounds: int,
    seed: int,
) -> list[Trial]:
    """Fills the disk while each kind of file is written, and at random moments.

    Args:
        study: The study.
        undisturbed: Its folder when nothing befalls it.
        directory: An empty folder.
        rounds: Disks of a random size, on which the whole study is run.
        seed: Of the sizes.
    """
    rng = np.random.default_rng(seed)
    parts = ("networks", "events", "tables", "figures")
    if not study.is_confusion:
        parts = ("models", "prototypes.zarr", "events", "tables", "figures")
    trials = [
        fill_while_writing(study, undisturbed, directory / part, part=part)
        for part in parts
    ]
    for number, share in enumerate(rng.uniform(0.02, 0.98, rounds)):
        folder = directory / f"random_{number}"
        trials.append(fill_at_random(study, undisturbed, folder, share=share))
    return trials


def fill_while_writing(
    study: Study, undisturbed: pathlib.Path, directory: pathlib.Path, *, part: str
) -> Trial:
    """Fills the disk of one of a study's folders, which has something to write there.

    Args:
        study: The study.
        undisturbed: Its folder when nothing befalls it.
        directory: A folder that is not there yet.
        part: Name of the folder in the study's.
    """
    outcome = Expectations()
    shutil.copytree(undisturbed, directory)
    _take_away(directory, part)
    # Room for less than what is written next; 0 would be no limit.
    room = {"events": kilobytes_of(undisturbed / part) // 2, "models": 40}.get(part, 0)
    with small_disk(directory / part, max(kilobytes_of(directory / part) + room, 8)):
        left = study.progress(directory)
        done = study.run(directory)
        outcome.expect_error(done, "No room to write", f"/{part}")
        resize(directory / part, PLENTY_KILOBYTES)
        again = study.run(directory)
        outcome.expect(not again.returncode, f"then: {again.stderr[-300:]}")
        lost, differences = study.outcome(directory, undisturbed)
        redone = study.progress(directory) - left
    return Trial(
        f"disk full while writing {part}/, {study.name}",
        lost=lost,
        redone="what was not written" if redone else "the report",
        failures=(*outcome.failures, *differences),
    )


def _take_away(directory: pathlib.Path, part: str) -> None:
    """Removes results, so that a study has to write them again."""
    if part == "networks":
        for path in sorted((directory / part).glob("*.parquet"))[::2]:
            path.unlink()
    elif part == "events":
        # They are always written again.
        shutil.rmtree(directory / part)
    elif part == "models":
        shutil.rmtree(directory / part / "100")
    elif part == prototype_store.STORE:
        for array in (directory / part).glob("*/c/2"):
            shutil.rmtree(array)


def fill_at_random(
    study: Study, undisturbed: pathlib.Path, directory: pathlib.Path, *, share: float
) -> Trial:
    """Runs a whole study on a disk that holds only a share of what it writes."""
    outcome = Expectations()
    size = max(round(share * kilobytes_of(undisturbed)), 4)
    with small_disk(directory, size):
        done = study.run(directory)
        outcome.expect_error(done, "No room to write")
        resize(directory, PLENTY_KILOBYTES)
        again = study.run(directory)
        outcome.expect(not again.returncode, f"then: {again.stderr[-300:]}")
        lost, differences = study.outcome(directory, undisturbed)
    failures = tuple(
        f"{share:.0%} of {kilobytes_of(undisturbed)} KB: {failure}"
        for failure in (*outcome.failures, *differences)
    )
    return Trial(
        f"disk full at a random size, {study.name}",
        lost=lost,
        redone="what was not written",
        failures=failures,
    )


def classifier_disks(directory: pathlib.Path, *, rounds: int, seed: int) -> list[Trial]:
    """Fills the disk while train_classifier.py saves a model."""
    rng = np.random.default_rng(seed)
    command = fault_studies.script(
        "train_classifier.py",
        *("--dataset", "digits", "--model", "cnn", "--epochs", "1", "--out"),
    )
    undisturbed = directory / "undisturbed" / "model"
    done = fault_studies.run([*command, undisturbed])
    if done.returncode:
        raise RuntimeError(f"train_classifier.py failed:\n{done.stderr}")
    digest = _weights_digest(undisturbed)
    total, trials = kilobytes_of(undisturbed), []
    for share in rng.uniform(0.02, 0.98, rounds):
        outcome = Expectations()
        disk = directory / "disk"
        with small_disk(disk, max(round(share * total), 4)):
            done = fault_studies.run([*command, disk / "model"])
            outcome.expect_error(done, "No room to write")
            left = [path.name for path in disk.iterdir()]
            outcome.expect(not left, f"left behind: {left}")
            resize(disk, PLENTY_KILOBYTES)
            again = fault_studies.run([*command, disk / "model"])
            outcome.expect(not again.returncode, f"then: {again.stderr[-300:]}")
            if not again.returncode:
                is_same = _weights_digest(disk / "model") == digest
                outcome.expect(is_same, "another network")
        trials.append(
            Trial(
                "disk full while train_classifier.py saves",
                redone="the training",
                failures=tuple(outcome.failures),
            )
        )
    return trials


def _weights_digest(model: pathlib.Path) -> str:
    return json.loads((model / "model.json").read_text())["weights_sha256"]
