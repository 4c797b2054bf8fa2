"""Contenders measured side by side, and what they were measured on.

A contender is a callable without arguments that does its work once and returns what it
measured, as a dictionary of quantities; `seconds_of` makes one of any function. Rows of
results are plain dictionaries, with the keys of `ROW_KEYS`.
"""

import datetime
import importlib.metadata
import json
import os
import pathlib
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable

import joblib
import psutil

ROW_KEYS = (
    "contender",
    "quantity",
    "unit",
    "median",
    "minimum",
    "maximum",
    "n",
    "remark",
)
# Instruction sets that decide how fast a processor multiplies matrices.
_TELLING_FLAGS = (
    "avx2",
    "avx512f",
    "avx512_vnni",
    "avx512_bf16",
    "avx512_fp16",
    "amx_bf16",
    "amx_tile",
    "asimd",
    "bf16",
    "sve",
)
_VERSIONED = ("tensorflow", "keras", "numpy", "scikit-learn", "torch")
ROOT = pathlib.Path(__file__).parents[1]

Contender = Callable[[], dict[str, float]]


def seconds_of(function: Callable[[], object]) -> Contender:
    """A contender whose only quantity, "seconds", is the time of one call."""

    def run() -> dict[str, float]:
        start = time.perf_counter()
        function()
        return {"seconds": time.perf_counter() - start}

    return run


def alternate(
    contenders: dict[str, Contender], rounds: int, *, warm_up: int = 1
) -> dict[str, dict[str, list[float]]]:
    """Runs all contenders in turn, round after round.

    The order is reversed in every other round, so that a machine that grows slower or
    faster treats all alike.

    Args:
        contenders: By name.
        rounds: How often each is measured, at least 1.
        warm_up: How often each is run before, without being counted.

    Returns:
        By contender and quantity the values of the rounds, in their order.
    """
    if rounds < 1:
        raise ValueError(f"Expected `rounds` of at least 1. Received: {rounds}.")
    for run in contenders.values():
        for _ in range(warm_up):
            run()
    measured: dict[str, dict[str, list[float]]] = {name: {} for name in contenders}
    for number in range(rounds):
        in_order = list(contenders)
        for name in in_order if number % 2 == 0 else reversed(in_order):
            for quantity, value in contenders[name]().items():
                measured[name].setdefault(quantity, []).append(value)
    return measured


def row(
    contender: str,
    quantity: str,
    unit: str,
    values: Iterable[float],
    remark: str = "",
) -> dict:
    """One row of results: median, smallest and largest of all values."""
    values = [float(value) for value in values]
    return {
        "contender": contender,
        "quantity": quantity,
        "unit": unit,
        "median": statistics.median(values),
        "minimum": min(values),
        "maximum": max(values),
        "n": len(values),
        "remark": remark,
    }


def last_json(command: list[str], environment: dict[str, str] | None = None) -> dict:
    """Runs a command and returns the JSON object on the last line that it prints."""
    return finish(start(command, environment))


def start(
    command: list[str], environment: dict[str, str] | None = None
) -> subprocess.Popen:
    """Starts a command in the repository's folder, to be ended by `finish`."""
    return subprocess.Popen(
        command,
        cwd=ROOT,
        env={**os.environ, **(environment or {})},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process: subprocess.Popen) -> dict:
    """Waits for a process of `start`; see `last_json`."""
    return json.loads(check(process).splitlines()[-1])


def check(process: subprocess.Popen) -> str:
    """Waits for a process of `start` and returns what it printed.

    Raises:
        RuntimeError: If it failed; the message ends with what it said.
    """
    output, messages = process.communicate()
    if process.returncode:
        raise RuntimeError(f"{process.args} failed:\n{messages[-3000:]}")
    return output


def module(name: str, *arguments) -> list[str]:
    """The command that runs a module of this folder."""
    return [sys.executable, "-m", f"benchmarks.speed.{name}", *map(str, arguments)]


def num_cores() -> int:
    """Physical cores, as `keras_confusion` counts them."""
    return joblib.cpu_count(only_physical_cores=True)


def is_installed(package: str) -> bool:
    """Whether a package is there, without importing it."""
    return version(package) is not None


def version(package: str) -> str | None:
    """The version of an installed package, else `None`."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def header() -> dict[str, str]:
    """Machine, versions and commit, as text."""
    memory = psutil.virtual_memory().total / 2**30
    commit = _git("rev-parse", "HEAD") or "unknown"
    changed = " with uncommitted changes" if _git("status", "--porcelain") else ""
    return {
        "date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "processor": _processor(),
        "cores": f"{num_cores()} physical, {os.cpu_count()} logical",
        "instruction sets": " ".join(_flags()) or "unknown",
        "memory": f"{memory:.0f} GiB",
        "GPU": gpu() or "none",
        "system": platform.platform(),
        "Python": platform.python_version(),
        **{name: version(name) or "not installed" for name in _VERSIONED},
        "commit": commit + changed,
    }


def _git(*arguments: str) -> str:
    try:
        done = subprocess.run(
            ["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False
        )
    except FileNotFoundError:
        return ""
    return done.stdout.strip()


def gpu() -> str:
    """Names and memory of the NVIDIA GPUs; empty where there is none."""
    query = ["nvidia-smi", "--query-gpu=name,memory.total", "--format=csv,noheader"]
    try:
        done = subprocess.run(query, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return ""
    return "; ".join(done.stdout.split("\n")).strip("; ") if not done.returncode else ""


def _cpuinfo(*keys: str) -> str:
    """What Linux says of the first processor under one of these keys."""
    cpuinfo = pathlib.Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    for line in lines:
        name, _, value = line.partition(":")
        if name.strip().lower() in keys:
            return value.strip()
    return ""


def _processor() -> str:
    return _cpuinfo("model name") or platform.processor() or platform.machine()


def _flags() -> list[str]:
    there = set(_cpuinfo("flags", "features").split())
    return [flag for flag in _TELLING_FLAGS if flag in there]
