"""Clocks that are set back, by libfaketime, and what TensorBoard shows then."""

import json
import os
import pathlib
import shutil
import urllib.error
import urllib.parse
import urllib.request

from tb_plugin import metadata
from tests.robustness import fault_studies
from tests.robustness.fault_studies import Expectations, Study, Trial
from tests.support.tensorboard_process import tensorboard

SECONDS_TO_SHOW = 60
# TensorBoard's two readers of event files: its own in Python, and a faster one.
READERS = ("false", "true")


def is_there() -> bool:
    """Whether libfaketime is installed, Debian's package `faketime`."""
    return shutil.which("faketime") is not None


def earlier(command: list[str], *, days: float = 1) -> list[str]:
    """A command for which it is some days earlier than it is."""
    return ["faketime", "-f", f"-{days:g}d", *command]


def all_clocks(
    study: Study, undisturbed: pathlib.Path, directory: pathlib.Path
) -> list[Trial]:
    """Clocks that are set back between and in runs; damaged event files.

    Args:
        study: A confusion study.
        undisturbed: Its folder when nothing befalls it.
        directory: An empty folder.
    """
    return [
        *(
            resume_earlier(study, undisturbed, directory / f"day_{reader}", reader)
            for reader in READERS
        ),
        jump_back(study, undisturbed, directory / "jump"),
        *(
            damaged_events(
                undisturbed, directory / f"{damage}_{reader}", damage, reader
            )
            for reader in READERS
            for damage in ("truncated", "bit flipped")
        ),
    ]


def resume_earlier(
    study: Study, undisturbed: pathlib.Path, directory: pathlib.Path, reader: str
) -> Trial:
    """Takes a study up a day before it was begun, while TensorBoard shows it."""
    outcome = Expectations()
    shutil.copytree(undisturbed, directory)
    networks = sorted((directory / "networks").glob("*.parquet"))
    for path in networks[::2]:
        path.unlink()
    # The first run, which ended half-way.
    done = fault_studies.run(fault_studies.script("analyse_study.py", directory))
    outcome.expect(not done.returncode, done.stderr[-300:])
    names = {path.name for path in _event_files(directory)}
    with tensorboard(directory, f"--load_fast={reader}") as address:
        half = len(networks) - len(networks[::2])
        outcome.expect(
            _shows(address, half), f"not the first run: {_steps(address)[-3:]}"
        )
        done = fault_studies.run(earlier(study.command(directory)))
        outcome.expect(not done.returncode, f"then: {done.stderr[-300:]}")
        (new,) = _event_files(directory)
        outcome.expect(new.name > max(names), f"{new.name} sorts before {names}")
        outcome.expect(
            _shows(address, len(networks)),
            f"TensorBoard shows {_steps(address)[-3:]}, not {len(networks)}",
        )
    lost, differences = study.outcome(directory, undisturbed)
    return Trial(
        "resumed with a clock a day earlier, TensorBoard "
        f"({'its fast reader' if reader == 'true' else 'Python'})",
        lost=lost,
        redone="nothing",
        failures=(*outcome.failures, *differences),
    )


def jump_back(
    study: Study, undisturbed: pathlib.Path, directory: pathlib.Path
) -> Trial:
    """Sets the clock back an hour while a study runs."""
    outcome = Expectations()
    directory.mkdir()
    stamp = directory / "faketimerc"
    stamp.write_text("+0")
    folder = directory / "study"
    # In one process: those of loky wait for each other for ever where libfaketime is.
    process = fault_studies.start(
        [*study.command(folder), "--workers", "1"],
        env=_environment(stamp),
    )
    try:
        fault_studies.wait_until(
            lambda: study.progress(folder) or process.poll() is not None
        )
        stamp.write_text("-1h")
        process.wait(fault_studies.SECONDS_TO_WAIT)
    finally:
        fault_studies.stop(process)
    outcome.expect(process.returncode == 0, f"exit code {process.returncode}")
    with tensorboard(folder) as address:
        number = study.progress(folder)
        outcome.expect(
            _shows(address, number),
            f"TensorBoard shows {_steps(address)[-3:]}, not {number}",
        )
        times = [seconds for seconds, _, _ in _points(address)]
        went_back = bool(times) and times[-1] < times[0] - 1800
        outcome.expect(went_back, "the clock was not set back")
    lost, differences = study.outcome(folder, undisturbed)
    return Trial(
        "clock set back during a confusion study, one process",
        lost=lost,
        redone="nothing",
        failures=(*outcome.failures, *differences),
    )


def _environment(stamp: pathlib.Path) -> dict[str, str]:
    """Of a process whose clock is what a file says, looked at every second."""
    told = fault_studies.run(["faketime", "-f", "+0", "env"]).stdout
    library = next(line for line in told.splitlines() if line.startswith("LD_PRELOAD="))
    return {
        **os.environ,
        "LD_PRELOAD": library.removeprefix("LD_PRELOAD="),
        "FAKETIME_TIMESTAMP_FILE": str(stamp),
        # Seconds; at every call, of which there are millions, it takes for ever.
        "FAKETIME_CACHE_DURATION": "1",
        # No clock that is set back takes the monotonic one along.
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }


def damaged_events(
    undisturbed: pathlib.Path, directory: pathlib.Path, damage: str, reader: str
) -> Trial:
    """Has TensorBoard read a damaged event file: all before the damage is there."""
    outcome = Expectations()
    shutil.copytree(undisturbed / "events", directory / "events")
    (file,) = _event_files(directory)
    # Half-way: some of it can be read, and some cannot.
    content = file.read_bytes()
    half = len(content) // 2
    if damage == "truncated":
        file.write_bytes(content[:half])
    else:
        flipped = bytes([content[half] ^ 1])
        file.write_bytes(content[:half] + flipped + content[half + 1 :])
    with tensorboard(directory, f"--load_fast={reader}") as address:
        is_shown = fault_studies.wait_until(lambda: _steps(address), SECONDS_TO_SHOW)
        outcome.expect(is_shown, "TensorBoard shows nothing")
    return Trial(
        f"{damage}: event file, TensorBoard "
        f"({'its fast reader' if reader == 'true' else 'Python'})",
        redone="nothing",
        failures=tuple(outcome.failures),
    )


def _event_files(directory: pathlib.Path) -> list[pathlib.Path]:
    return sorted((directory / metadata.TRAINING_RUN).iterdir())


def _shows(address: str, number: int) -> bool:
    """Whether TensorBoard comes to show a study of so many networks."""
    return fault_studies.wait_until(
        lambda: _steps(address)[-1:] == [number], SECONDS_TO_SHOW
    )


def _steps(address: str) -> list[int]:
    """The steps of the networks that TensorBoard shows as scalars."""
    return [step for _, step, _ in _points(address)]


def _points(address: str) -> list[list]:
    """Time, step and value of the networks that TensorBoard shows as scalars."""
    query = urllib.parse.urlencode(
        {"run": metadata.TRAINING_RUN, "tag": metadata.TAG_NETWORKS_DONE}
    )
    try:
        with urllib.request.urlopen(
            f"{address}data/plugin/scalars/scalars?{query}"
        ) as response:
            return json.load(response)
    except urllib.error.HTTPError:
        # It has not read the run yet.
        return []
