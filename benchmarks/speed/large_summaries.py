"""TensorBoard shows a study of 100 classes: all 4,950 pairs, 251,018 networks.

    python -m benchmarks.speed.large_summaries
    python -m benchmarks.speed.large_summaries --quick

draws the answers of 50 networks of every pair and of 3,518 baseline networks, writes
their event file as a study does that is resumed or analysed, has TensorBoard
load it, with its Python loader and with its data server, and asks the plugin's routes.
Nothing is trained. Memory is that of TensorBoard's processes together, as
the kernel has it (proportional set size), after all routes. `--keep FOLDER` leaves the
log directory there, to be looked at.
"""

import argparse
import json
import pathlib
import tempfile
import time
import urllib.parse
import urllib.request

import numpy as np
import psutil

from benchmarks import tables, timing
from benchmarks.speed import large_study
from benchmarks.speed.large_study import DrawnNetworks
from keras_confusion.confusion import store as confusion_store
from keras_confusion.reports.tensorboard.confusion_events import StudySummaries
from tb_plugin import metadata
from tests.support.tensorboard_process import TensorBoard

TITLE = "TensorBoard with all pairs of 100 classes"
LOADERS = {"Python loader": "--load_fast=false", "data server": "--load_fast=true"}
# Of the test images, 100 a class as CIFAR-100 has.
NUM_TEST, QUICK_TEST = 10_000, 600
# As long as such names are.
NAME = "class {:02d} of a hundred"
MEMORY = "memory of TensorBoard"
_SECONDS_TO_LOAD = 900
_CELL = {"table": "target_by_class", "row": 3, "target": 5}
ROUTES = {
    "studies": ("studies", {}),
    "heat map": (
        "confusion/matrix",
        {
            "table": "target_by_class",
            "response": "accuracy",
            "columns": "difference_points,t,q_value",
        },
    ),
    "a cell": ("confusion/cell", {**_CELL, "response": "accuracy"}),
    "a cell without the pair": (
        "confusion/cell",
        {**_CELL, "response": "accuracy_without_pair"},
    ),
    "all cells as CSV": ("confusion/csv", {"table": "target_by_class"}),
    "a cell's networks as CSV": (
        "confusion/networks_csv",
        {**_CELL, "response": "accuracy"},
    ),
}


def write_events(directory: pathlib.Path, size: dict, num_test: int) -> float:
    """Writes the event file of a drawn study; returns the seconds of the writing.

    Drawing the answers is not counted, and the networks are not written.
    """
    num_classes, repeats = size["num_classes"], size["repeats"]
    baseline_repeats = size["baseline_repeats"]
    test_labels = np.arange(num_test) % num_classes
    drawn = DrawnNetworks(num_classes, test_labels, max(repeats, baseline_repeats))
    description = {
        "settings": {
            "dataset": "generated",
            "pairs": drawn.pairs,
            "repeats": repeats,
            "baseline_repeats": baseline_repeats,
        },
        "class_names": [NAME.format(k) for k in range(num_classes)],
        "dataset_fingerprint": "0",
        "provenance": {},
    }
    confusion_store.open_study(directory, description, test_labels)
    writer, seconds = StudySummaries(directory), 0.0
    plan = [(None, [repeat]) for repeat in range(baseline_repeats)]
    plan += [(pair, range(repeats)) for pair in drawn.pairs]
    for pair, repeats in plan:
        rows = drawn.arm(pair, repeats).to_pandas().to_dict("records")
        start = time.perf_counter()
        for row in rows:
            writer.add_network(row)
        seconds += time.perf_counter() - start
    start = time.perf_counter()
    writer.close()
    return seconds + time.perf_counter() - start


def memory_mb(pid: int) -> float:
    """Memory of a process and of those that it started, MB."""
    process = psutil.Process(pid)
    return (
        sum(one.memory_full_info().pss for one in [process, *process.children(True)])
        / 1e6
    )


def measure_loader(logdir: pathlib.Path, option: str) -> dict[str, float]:
    """What one of TensorBoard's loaders takes: seconds, and MB."""
    process, measured = TensorBoard(logdir, option), {}
    try:
        start = time.perf_counter()
        address = f"{process.wait()}data/plugin/{metadata.PLUGIN_NAME}/"
        entry = _until_loaded(address)
        measured["until the heat map can be asked for"] = time.perf_counter() - start
        for name, (route, parameters) in ROUTES.items():
            for again in ("", ", again"):
                start = time.perf_counter()
                _get(address, route, {"run": entry["run"], **parameters})
                measured[name + again] = time.perf_counter() - start
        measured[MEMORY] = memory_mb(process.pid)
    finally:
        process.stop()
    return measured


def _until_loaded(address: str) -> dict:
    """The study in the list, once its comparisons are there."""
    deadline = time.monotonic() + _SECONDS_TO_LOAD
    while time.monotonic() < deadline:
        listed = json.loads(_get(address, "studies", {}))["studies"]
        if listed and listed[0].get("tables"):
            return listed[0]
        time.sleep(0.5)
    raise TimeoutError(f"Expected a study within {_SECONDS_TO_LOAD} s.")


def _get(address: str, route: str, parameters: dict) -> bytes:
    url = f"{address}{route}?{urllib.parse.urlencode(parameters)}"
    with urllib.request.urlopen(url, timeout=_SECONDS_TO_LOAD) as answer:
        return answer.read()


def measure(quick: bool = False, keep: pathlib.Path | None = None) -> list[dict]:
    """Writes the event file and has it shown, once.

    Args:
        quick: Takes 12 classes and few networks.
        keep: Where the log directory stays; nowhere unless given.

    Returns:
        Rows as `timing.row`.
    """
    size = large_study.QUICK_SIZE if quick else large_study.SIZE
    num_test = QUICK_TEST if quick else NUM_TEST
    num_pairs = size["num_classes"] * (size["num_classes"] - 1) // 2
    num_networks = num_pairs * size["repeats"] + size["baseline_repeats"]
    contender = f"{num_networks:,} networks"
    with tempfile.TemporaryDirectory() as temporary:
        logdir = pathlib.Path(temporary) if keep is None else keep
        folder = logdir / "large"
        folder.mkdir(parents=True)
        writing = write_events(folder, size, num_test)
        files = (folder / metadata.TRAINING_RUN).iterdir()
        num_bytes = sum(path.stat().st_size for path in files)
        remark = f"{num_pairs:,} pairs"
        rows = [
            timing.row(contender, "write the event file", "s", [writing], remark),
            timing.row(contender, "event file", "MB", [num_bytes / 1e6]),
        ]
        for loader, option in LOADERS.items():
            for quantity, value in measure_loader(logdir, option).items():
                unit = "MB" if quantity == MEMORY else "s"
                rows.append(timing.row(loader, quantity, unit, [value]))
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--keep", type=pathlib.Path, metavar="FOLDER")
    arguments = parser.parse_args()
    print(tables.table(measure(arguments.quick, arguments.keep)))


if __name__ == "__main__":
    main()
