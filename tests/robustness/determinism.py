"""How far the same bits reach: the same command again, and as other machines would.

    python -m tests.robustness.determinism

trains one study of the digits with --deterministic again and again: as it is, by other
numbers of workers, and with processor instructions left out, as on an older processor;
and, to compare with, from another seed. Then it counts answers on the test set that
are not those of the first run.
"""

import argparse
import os
import pathlib
import subprocess
import sys

import numpy as np

from benchmarks import timing
from keras_confusion.confusion import store as confusion_store

SCRIPT = pathlib.Path(__file__).parents[2] / "scripts" / "run_confusion_study.py"
STUDY = "--dataset digits --pairs 3-8 4-9 --repeats 6 --epochs 4"
# Name of a run: options of the script, and of the libraries below TensorFlow.
RUNS: dict[str, tuple[str, dict[str, str]]] = {
    "first": ("--workers 1", {}),
    "the same again": ("--workers 1", {}),
    "3 workers": ("--workers 3", {}),
    "oneDNN without AMX and bfloat16": (
        "--workers 1",
        {"ONEDNN_MAX_CPU_ISA": "AVX512_CORE"},
    ),
    "oneDNN with AVX2": ("--workers 1", {"ONEDNN_MAX_CPU_ISA": "AVX2"}),
    "oneDNN with SSE4.1": ("--workers 1", {"ONEDNN_MAX_CPU_ISA": "SSE41"}),
    "without oneDNN": ("--workers 1", {"TF_ENABLE_ONEDNN_OPTS": "0"}),
    "another seed": ("--workers 1 --seed 1", {}),
}
DTYPES = ("float32", "mixed_bfloat16")
# oneDNN multiplies no bfloat16 without AVX-512.
_FLOAT32_ONLY = ("oneDNN with AVX2", "oneDNN with SSE4.1")


def run_study(directory: pathlib.Path, options: str, environment) -> None:
    """Trains the study in new processes, or what is missing of it."""
    subprocess.run(
        [
            *(sys.executable, str(SCRIPT), *STUDY.split(), *options.split()),
            *("--deterministic", "--out", str(directory)),
        ],
        env={**os.environ, **environment},
        check=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def compare(one: pathlib.Path, other: pathlib.Path) -> dict[str, float]:
    """How much of a study is not as in another.

    Returns:
        `networks`, how many; `same_bits`, how many of them have the same answers and
        the same losses and log-probabilities to the last bit; `answers`, how many there
        are, and `other_answers`, how many differ; `largest_loss`, the largest relative
        difference of a final training loss.
    """
    networks, others = (
        confusion_store.read_networks(folder) for folder in (one, other)
    )
    answers, other_answers = (
        np.stack(frame["predictions"].to_list()) for frame in (networks, others)
    )
    losses, other_losses = (
        frame["final_training_loss"].to_numpy(float) for frame in (networks, others)
    )
    log2, other_log2 = (
        np.stack(frame["log2_probability"].to_list()) for frame in (networks, others)
    )
    differs = answers != other_answers
    same = ~differs.any(axis=1) & (losses == other_losses)
    same &= (log2 == other_log2).all(axis=1)
    return {
        "networks": len(networks),
        "same_bits": int(same.sum()),
        "answers": differs.size,
        "other_answers": int(differs.sum()),
        "largest_loss": float((np.abs(other_losses / losses - 1)).max()),
    }


def measure(directory: pathlib.Path, dtypes=DTYPES, runs=None) -> list[dict]:
    """Trains all runs; one row each, with `dtype`, `run` and the keys of `compare`."""
    rows = []
    for dtype in dtypes:
        names = [
            name
            for name in runs or RUNS
            if dtype == "float32" or name not in _FLOAT32_ONLY
        ]
        first, *others = names
        for name in names:
            options, environment = (runs or RUNS)[name]
            folder = directory / dtype / name.replace(" ", "_")
            run_study(folder, f"{options} --dtype {dtype}", environment)
        for name in others:
            found = compare(
                directory / dtype / first, directory / dtype / name.replace(" ", "_")
            )
            rows.append({"dtype": dtype, "run": name, **found})
    return rows


def table(rows: list[dict]) -> str:
    """The rows in Markdown."""
    lines = [
        "| dtype | run | networks with the same bits | other answers | "
        "largest relative difference of a loss |",
        "|---|---|---|---|---|",
    ]
    for row in rows:
        lines.append(
            f"| {row['dtype']} | {row['run']} | {row['same_bits']} of "
            f"{row['networks']} | {row['other_answers']:,} of {row['answers']:,} "
            f"({row['other_answers'] / row['answers']:.2%}) | "
            f"{row['largest_loss']:.1e} |"
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--out",
        type=pathlib.Path,
        default=pathlib.Path("studies/benchmarks/determinism"),
        help="folder of the studies, which goes on with what is missing "
        "(default: %(default)s)",
    )
    out = parser.parse_args().out
    rows = measure(out)
    lines = [f"- {name}: {value}" for name, value in timing.header().items()]
    print("\n".join([*lines, "", f"`{STUDY}`", "", table(rows)]))


if __name__ == "__main__":
    main()
