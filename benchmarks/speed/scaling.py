"""How time grows: with workers, with networks, with classes.

    python -m benchmarks.speed.scaling

Studies are trained by one worker and more, up to one per core, on random images.
Studies of more networks, and of more classes, are generated and analysed. Beside each
number is the exponent of its growth from the point before: 1 where twice as many take
twice as long, 2 where they take four times as long.
"""

import argparse
import functools
import math
import pathlib
import statistics
import tempfile

from benchmarks import tables, timing
from benchmarks.speed import analysis_speed, generated_study, training_speed

TITLE = "How time grows"
NETWORKS, QUICK_NETWORKS = (50, 500, 2300), (50, 100)
CLASSES, QUICK_CLASSES = (10, 30, 100), (10, 20)
NETWORKS_OF_CLASSES = 500


def measure(quick: bool = False, *, rounds: int = 3) -> list[dict]:
    """All three.

    Args:
        quick: Takes one round of small sizes.
        rounds: Times each is measured.

    Returns:
        Rows as `timing.row`; the remark has the exponent.
    """
    rounds = 1 if quick else rounds
    networks = QUICK_NETWORKS if quick else NETWORKS
    classes = QUICK_CLASSES if quick else CLASSES
    num_networks = min(networks[-1], NETWORKS_OF_CLASSES)
    return [
        *measure_workers(rounds, steps=10 if quick else 100),
        *measure_analysis("networks", {n: (n, 10) for n in networks}, rounds),
        *measure_analysis("classes", {k: (num_networks, k) for k in classes}, rounds),
    ]


def measure_workers(rounds: int, *, steps: int) -> list[dict]:
    """Networks per hour of one worker, two, four, up to one per core."""
    cores = timing.num_cores()
    numbers = sorted({2**power for power in range(cores.bit_length())} | {cores})
    # A GPU has one worker.
    numbers = [number for number in numbers if number <= (1 if timing.gpu() else cores)]
    with tempfile.TemporaryDirectory() as temporary:
        path = pathlib.Path(temporary) / "images.npz"
        num_train = steps * training_speed.BATCH_SIZE
        training_speed.write_random_images(path, num_train)

        def run(workers: int) -> dict[str, float]:
            trained = training_speed.run_study(path, "auto", "", workers)
            return {"networks per hour": trained.networks_per_hour()}

        measured = timing.alternate(
            {str(number): functools.partial(run, number) for number in numbers},
            rounds,
            warm_up=0,
        )
    points = {number: measured[str(number)]["networks per hour"] for number in numbers}
    return _rows("workers", "networks per hour", "", points)


def measure_analysis(
    what: str, sizes: dict[int, tuple[int, int]], rounds: int
) -> list[dict]:
    """Seconds of every step of the analysis.

    Args:
        what: What the sizes are a number of.
        sizes: By size the networks and the classes of its study.
        rounds: Times each is measured.
    """
    with tempfile.TemporaryDirectory() as temporary:
        contenders = {}
        for size, (num_networks, num_classes) in sizes.items():
            directory = pathlib.Path(temporary) / str(size)
            directory.mkdir()
            generated_study.write_study(
                directory, num_networks=num_networks, num_classes=num_classes
            )
            command = timing.module("analysis_speed", directory)
            contenders[str(size)] = functools.partial(timing.last_json, command)
        measured = timing.alternate(contenders, rounds, warm_up=0)
    rows = []
    for step in measured[str(next(iter(sizes)))]:
        unit = "MB" if step == analysis_speed.MEMORY else "s"
        points = {size: measured[str(size)][step] for size in sizes}
        rows += _rows(what, step, unit, points)
    return rows


def _rows(what: str, quantity: str, unit: str, points: dict[int, list[float]]):
    rows, before = [], None
    for size, values in points.items():
        remark = ""
        if before is not None:
            exponent = growth_exponent(before, (size, statistics.median(values)))
            remark = f"exponent {exponent:.2f}"
        rows.append(timing.row(f"{what}: {size}", quantity, unit, values, remark))
        before = size, statistics.median(values)
    return rows


def growth_exponent(before: tuple[float, float], after: tuple[float, float]) -> float:
    """The exponent e of time ~ size^e between two points (size, time)."""
    (size, time), (larger_size, more_time) = before, after
    if not (time > 0 and more_time > 0):
        return math.nan
    return math.log(more_time / time) / math.log(larger_size / size)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    print(tables.table(measure(options.quick, rounds=options.rounds)))


if __name__ == "__main__":
    main()
