"""Feeds every reader with hostile files and requests, and counts what comes of it.

    python -m tests.robustness.fuzz --examples 2000 --seed 1 --out fuzz.md
    python -m tests.robustness.fuzz --seconds 600 --only plugin

An input is accepted, or refused with a message of ours; anything else (a crash, another
exception, a traceback, an answer 500, a file outside the folder) is a defect, is told
with the smallest input that shows it, and makes the exit code 1. The targets are those
of `tests/fuzz_*.py`, which tests run with a few inputs each.
"""

import argparse
import pathlib
import resource
import sys
import time
import traceback
import warnings

from benchmarks import timing
from tests.support import fuzzing

# Of inputs at a time, so that a limit in seconds is kept.
_EXAMPLES_A_ROUND = 200
_COLUMNS = ("target", "inputs", "accepted", "refused", "defects", "seconds")


def parse_arguments(given=None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.robustness.fuzz",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    limit = parser.add_mutually_exclusive_group()
    limit.add_argument(
        "--examples",
        type=int,
        default=1000,
        metavar="N",
        help="inputs for a fast target, fewer for slow ones (default: %(default)s)",
    )
    limit.add_argument(
        "--seconds", type=float, metavar="S", help="time for each target instead"
    )
    parser.add_argument(
        "--seed", type=int, default=0, metavar="S", help="of the inputs"
    )
    parser.add_argument(
        "--only", default="", metavar="TEXT", help="targets whose name holds this"
    )
    parser.add_argument(
        "--memory",
        type=float,
        default=16.0,
        metavar="GB",
        help="address space that the process may take (default: %(default)s)",
    )
    parser.add_argument(
        "--out", type=pathlib.Path, metavar="FILE.md", help="also write the table there"
    )
    return parser.parse_args(given)


def main(given=None) -> int:
    options = parse_arguments(given)
    num_bytes = int(options.memory * 1e9)
    resource.setrlimit(resource.RLIMIT_AS, (num_bytes, num_bytes))
    # Libraries warn of nonsense before they refuse it.
    warnings.simplefilter("ignore")
    rows = [
        fuzz(target, options) for target in all_targets() if options.only in target.name
    ]
    text = document(rows, options)
    print(text)
    if options.out is not None:
        options.out.write_text(text)
    return int(any(row["defects"] for row in rows))


def all_targets() -> list[fuzzing.Target]:
    """Those of all modules; TensorFlow starts here."""
    from tests import fuzz_data, fuzz_folders, fuzz_plugin

    modules = (fuzz_folders, fuzz_data, fuzz_plugin)
    return [target for module in modules for target in module.targets()]


def fuzz(target: fuzzing.Target, options: argparse.Namespace) -> dict:
    """Feeds one target; a row of the table."""
    begun = time.monotonic()
    row = dict.fromkeys(_COLUMNS, 0) | {"target": target.name}
    left = max(1, int(options.examples * min(target.speed, 1)))
    round_number = 0
    while True:
        size = _EXAMPLES_A_ROUND
        if options.seconds is None:
            size = min(size, left)
            left -= size
        else:
            size = max(1, int(size * min(target.speed, 1) / 4))
        # Every round draws other inputs.
        seed = options.seed * 1_000_003 + round_number
        round_number += 1
        try:
            counts = fuzzing.run(target, size, seed)
        except Exception:
            traceback.print_exc()
            row["defects"] += 1
            break
        row["accepted"] += counts.get(fuzzing.ACCEPTED, 0)
        row["refused"] += counts.get(fuzzing.REFUSED, 0)
        elapsed = time.monotonic() - begun
        if left <= 0 or (options.seconds is not None and elapsed >= options.seconds):
            break
    row["inputs"] = row["accepted"] + row["refused"] + row["defects"]
    row["seconds"] = round(time.monotonic() - begun)
    print(
        " ".join(f"{key}={row[key]}" for key in _COLUMNS), file=sys.stderr, flush=True
    )
    return row


def document(rows: list[dict], options: argparse.Namespace) -> str:
    """The table under the machine, the versions and the command."""
    command = "python -m tests.robustness.fuzz"
    command += (
        f" --examples {options.examples}"
        if options.seconds is None
        else f" --seconds {options.seconds:g}"
    )
    lines = ["# Hostile input", ""]
    lines += [f"- {name}: {value}" for name, value in timing.header().items()]
    lines += [f"- command: `{command} --seed {options.seed}`", ""]
    lines.append("| " + " | ".join(_COLUMNS) + " |")
    lines.append("|---" + "|---:" * (len(_COLUMNS) - 1) + "|")
    total = {key: sum(row[key] for row in rows) for key in _COLUMNS[1:]}
    for row in [*rows, {"target": "all", **total}]:
        lines.append("| " + " | ".join(f"{row[key]}" for key in _COLUMNS) + " |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())
