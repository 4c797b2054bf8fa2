"""How fast this machine multiplies matrices: what shares of the peak are taken of.

    python -m benchmarks.speed.peak

runs one single-threaded process per core, all at once, as a study does. Each multiplies
square matrices of several sizes that fit its caches, over and over; counted is the best
size. On a GPU that TensorFlow sees there is one process, with larger matrices.
"""

import argparse
import json
import time

from benchmarks import tables, timing

TITLE = "Measured peak of matrix products"
SIZES, GPU_SIZES = (512, 1024, 2048), (4096, 8192)
SECONDS_A_SIZE = 1.0
LIBRARIES = ("tensorflow", "torch")
DTYPES = ("float32", "bfloat16")


def measure(quick: bool = False, *, rounds: int = 5) -> list[dict]:
    """Peak of every library that is installed, in GFLOP/s of the whole machine.

    Args:
        quick: Takes one round, a tenth of a second a size.
        rounds: Times each is measured.

    Returns:
        Rows as `timing.row`.
    """
    seconds = SECONDS_A_SIZE / 10 if quick else SECONDS_A_SIZE
    measured = timing.alternate(
        {
            f"{library} {dtype}": _contender(library, dtype, seconds)
            for library in LIBRARIES
            for dtype in DTYPES
            if timing.is_installed(library)
        },
        1 if quick else rounds,
        warm_up=0,
    )
    remark = "all processes together, each of one thread, one per core"
    return [
        timing.row(name, "matrix product", "GFLOP/s", quantities["gflops"], remark)
        for name, quantities in measured.items()
    ]


def best(rows: list[dict], dtype: str) -> float:
    """The highest median for a type among the rows of `measure`, GFLOP/s."""
    return max(row["median"] for row in rows if row["contender"].endswith(f" {dtype}"))


def _contender(library: str, dtype: str, seconds: float) -> timing.Contender:
    command = timing.module(
        "peak", "--library", library, "--dtype", dtype, "--seconds", seconds
    )

    def run() -> dict[str, float]:
        num_processes = 1 if timing.gpu() else timing.num_cores()
        processes = [timing.start(command) for _ in range(num_processes)]
        return {
            "gflops": sum(timing.finish(process)["gflops"] for process in processes)
        }

    return run


def measure_process(library: str, dtype: str, seconds: float) -> dict:
    """The best rate of this process over all sizes; for `seconds` each."""
    if library == "tensorflow":
        from keras_confusion.execution import runtime

        runtime.start_tensorflow(threads=1)
        import tensorflow as tf

        on_gpu = runtime.num_gpus() > 0

        def multiply(size):
            values = tf.random.stateless_uniform((size, size), (0, 1))
            matrix = tf.cast(values, dtype)
            product = tf.function(lambda: tf.linalg.matmul(matrix, matrix))
            return lambda: product()[0, 0].numpy()

    else:
        import torch

        torch.set_num_threads(1)
        on_gpu = torch.cuda.is_available()

        def multiply(size):
            matrix = torch.rand(size, size).to(
                "cuda" if on_gpu else "cpu", getattr(torch, dtype)
            )
            return lambda: (matrix @ matrix)[0, 0].item()

    rates = [
        _rate(multiply(size), size, seconds)
        for size in (GPU_SIZES if on_gpu else SIZES)
    ]
    return {"gflops": max(rates)}


def _rate(product, size: int, seconds: float) -> float:
    product()
    start, count = time.perf_counter(), 0
    while (elapsed := time.perf_counter() - start) < seconds or count == 0:
        product()
        count += 1
    return count * 2 * size**3 / elapsed / 1e9


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--library", choices=LIBRARIES)
    parser.add_argument("--dtype", choices=DTYPES)
    parser.add_argument("--seconds", type=float)
    options = parser.parse_args()
    if options.library is None:
        print(tables.table(measure()))
    else:
        print(json.dumps(measure_process(**vars(options))))


if __name__ == "__main__":
    main()
