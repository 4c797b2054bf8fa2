"""What there is to measure: by a letter, the modules of this folder."""

import concurrent.futures
import dataclasses
import importlib
import multiprocessing
import time


@dataclasses.dataclass(frozen=True)
class Subject:
    """A module with `measure(quick, ...)` and what else its `measure` takes.

    Args:
        module: Its name in this folder. `TITLE`, `REFERENCE` and `WITHOUT_RATIO` are
            its, where it has them.
        takes: Options of the command line that it takes.
        needs_gpu: Whether it is left out where no NVIDIA GPU is.
        needs_disk: Whether it takes gigabytes and is left out unless it is named.
    """

    module: str
    takes: tuple[str, ...] = ("rounds",)
    needs_gpu: bool = False
    needs_disk: bool = False


SUBJECTS = {
    "peak": Subject("peak"),
    "a": Subject("training_speed", takes=("rounds", "dataset")),
    "b": Subject("statistical_power", takes=("dataset",)),
    "c": Subject("prototype_speed"),
    "d": Subject("dissimilarity_speed"),
    "e": Subject("overheads", takes=("rounds", "dataset")),
    "f": Subject("scaling", takes=("rounds",)),
    "steps": Subject("training_steps"),
    "profile": Subject("step_profile", takes=()),
    "gpu": Subject("packed_speed", takes=(), needs_gpu=True),
    "large": Subject("large_study", takes=(), needs_disk=True),
    "tensorboard": Subject("large_summaries", takes=(), needs_disk=True),
}


def measure(subject: Subject, quick: bool, options: dict) -> dict:
    """Runs one subject; rows, and how they are to be shown."""
    module = importlib.import_module(f"benchmarks.speed.{subject.module}")
    taken = {key: options[key] for key in subject.takes if options[key] is not None}
    start = time.perf_counter()
    rows = module.measure(quick, **taken)
    return {
        "module": subject.module,
        "title": getattr(module, "TITLE", subject.module.replace("_", " ")),
        "reference": getattr(module, "REFERENCE", None),
        "without_ratio": getattr(module, "WITHOUT_RATIO", ()),
        "seconds": time.perf_counter() - start,
        "rows": rows,
    }


def in_own_process(function, *arguments):
    """Calls a function in a new process: nothing of an earlier subject is left."""
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(1, mp_context=context) as executor:
        return executor.submit(function, *arguments).result()
