"""Ctrl-C at any time of a study's first seconds: one line, and exit code 130.

    python -m tests.robustness.interrupts --rounds 200 --at-once 4

starts `run_confusion_study.py` again and again, sends SIGINT to its process group, as a
terminal does, after another time in each round, and counts the rounds that did not end
with 130, one line on standard error beside the progress, and no traceback. Rounds take
turns with one worker and two; some studies at once keep each other waiting.
"""

import argparse
import concurrent.futures
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).parents[2]
SCRIPT = ROOT / "scripts" / "run_confusion_study.py"
FIRST, LAST = 0.1, 25.0
SECONDS_TO_END = 30
# What is before a script's own first line is Python's. A background job ignores SIGINT.
_STARTED = (
    "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler); "
    "sys.stdout.write('.'); sys.stdout.flush(); "
)


def interrupt(seconds: float, workers: int) -> str:
    """Runs a study and interrupts it once.

    Args:
        seconds: From the script's first line to the signal.
        workers: Worker processes of the study.

    Returns:
        What was wrong, or "".
    """
    code = (
        f"{_STARTED}import runpy; sys.argv = sys.argv[1:]; "
        "sys.path.insert(0, sys.argv[1]); del sys.argv[1]; "
        "runpy.run_path(sys.argv[0], run_name='__main__')"
    )
    with tempfile.TemporaryDirectory() as folder:
        process = subprocess.Popen(
            [
                *(sys.executable, "-c", code, SCRIPT, ROOT, "--pairs", "3-8"),
                *("--repeats", "90", "--epochs", "2", "--workers", str(workers)),
                *("--out", f"{folder}/study"),
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        assert process.stdout is not None
        process.stdout.read(1)
        time.sleep(seconds)
        os.killpg(process.pid, signal.SIGINT)
        try:
            _, told = process.communicate(timeout=SECONDS_TO_END)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            return f"still there after {SECONDS_TO_END} s"
    lines = [
        line
        for line in told.splitlines()
        if line.strip() and " networks" not in line and "%" not in line
    ]
    if process.returncode != 128 + signal.SIGINT:
        return f"ended with {process.returncode}: {told[-500:]}"
    if len(lines) != 1 or not lines[0].startswith("Stopped"):
        return f"said {told[-2000:]}"
    return ""


def main(given=None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--at-once", type=int, default=4, metavar="STUDIES")
    parser.add_argument("--first", type=float, default=FIRST, metavar="SECONDS")
    parser.add_argument("--last", type=float, default=LAST, metavar="SECONDS")
    options = parser.parse_args(given)
    rounds = range(options.rounds)
    step = (options.last - options.first) / max(options.rounds - 1, 1)
    seconds = [options.first + number * step for number in rounds]
    workers = [1 + number % 2 for number in rounds]
    num_wrong = 0
    with concurrent.futures.ThreadPoolExecutor(options.at_once) as studies:
        ends = studies.map(interrupt, seconds, workers)
        for after, number, wrong in zip(seconds, workers, ends, strict=True):
            if wrong:
                num_wrong += 1
                print(f"After {after:.2f} s, {number} workers: {wrong}", flush=True)
    print(f"{options.rounds - num_wrong} of {options.rounds} rounds as they should be.")
    return int(num_wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
