"""Faults that happen to studies: tried for real, and whether they were survived.

    python -m tests.robustness.faults --rounds 20 --out studies/faults

kills processes, fills disks, damages files, sets clocks back, and so on, and prints a
table: how often each fault was tried, how often it was survived (`fault_studies` says
what that means), how many rows were lost for good, and what was done again. It is
written to --out as `faults.md` and `faults.json`, too. Disks are small tmpfs, which
takes root, or user namespaces.
"""

import argparse
import dataclasses
import functools
import json
import pathlib
import shutil
import sys
import tempfile
from collections.abc import Callable

from benchmarks import timing
from tests.robustness import (
    fault_clock,
    fault_damage,
    fault_disks,
    fault_kills,
    fault_processes,
    fault_studies,
)
from tests.robustness.fault_studies import Trial

NAMES = ("kills", "disks", "damage", "processes", "clock")


def measure(
    directory: pathlib.Path, *, rounds: int, seed: int, only=NAMES
) -> list[Trial]:
    """Tries everything.

    Args:
        directory: An empty folder for the studies.
        rounds: Kills of each kind in a row; of other faults, random places that are
            tried.
        seed: Of the random moments and places.
        only: Which of `NAMES`.
    """
    confusion = fault_studies.confusion_study(repeats=8)
    prototypes = fault_studies.prototype_study(inits=2)
    undisturbed_confusion = confusion.undisturbed(directory / "confusion")
    undisturbed_prototypes = prototypes.undisturbed(directory / "prototypes")
    options = {"rounds": rounds, "seed": seed}
    steps: dict[str, list[Callable[[pathlib.Path], list[Trial]]]] = {
        "kills": [
            lambda folder: _kills(fault_kills.kill_parent, "parent", folder, options),
            lambda folder: _kills(fault_kills.kill_worker, "worker", folder, options),
            lambda folder: _prototype_kills(folder, options),
        ],
        "disks": [
            functools.partial(
                fault_disks.all_disks, confusion, undisturbed_confusion, **options
            ),
            functools.partial(
                fault_disks.all_disks, prototypes, undisturbed_prototypes, **options
            ),
            functools.partial(fault_disks.classifier_disks, **options),
        ],
        "damage": [
            functools.partial(
                fault_damage.damaged_confusion,
                confusion,
                undisturbed_confusion,
                **options,
            ),
            functools.partial(
                fault_damage.damaged_prototypes,
                prototypes,
                undisturbed_prototypes,
                **options,
            ),
        ],
        "processes": [
            functools.partial(fault_processes.all_processes, study, folder)
            for study, folder in (
                (confusion, undisturbed_confusion),
                (prototypes, undisturbed_prototypes),
            )
        ],
        "clock": [
            functools.partial(fault_clock.all_clocks, confusion, undisturbed_confusion)
        ],
    }
    trials = []
    for name in only:
        for number, step in enumerate(steps[name]):
            folder = directory / f"{name}_{number}"
            folder.mkdir()
            made = step(folder)
            for fault, fault_trials in _by_fault(made).items():
                print(
                    f"{fault}: {_survived(fault_trials)} of {len(fault_trials)}",
                    flush=True,
                )
                for trial in fault_trials:
                    for failure in trial.failures:
                        print(f"  {failure}", file=sys.stderr, flush=True)
            trials += made
            shutil.rmtree(folder)
    return trials


def _kills(kill, victim: str, folder: pathlib.Path, options: dict) -> list[Trial]:
    # Large enough that most of the kills fall into one study.
    study = fault_studies.confusion_study(repeats=4 * options["rounds"])
    undisturbed = study.undisturbed(folder / "undisturbed")
    (folder / victim).mkdir()
    return kill(study, undisturbed, folder / victim, **options)


def _prototype_kills(folder: pathlib.Path, options: dict) -> list[Trial]:
    study = fault_studies.prototype_study(inits=max(2, options["rounds"] // 4))
    undisturbed = study.undisturbed(folder / "undisturbed")
    (folder / "killed").mkdir()
    return fault_kills.kill_parent(study, undisturbed, folder / "killed", **options)


def _by_fault(trials: list[Trial]) -> dict[str, list[Trial]]:
    found: dict[str, list[Trial]] = {}
    for trial in trials:
        found.setdefault(trial.fault, []).append(trial)
    return found


def _survived(trials: list[Trial]) -> int:
    return sum(not trial.failures and not trial.lost for trial in trials)


def table(trials: list[Trial]) -> str:
    """A Markdown table with a row for every fault."""
    lines = [
        "| fault | tried | survived | rows lost | done again |",
        "|---|---|---|---|---|",
    ]
    for fault, fault_trials in _by_fault(trials).items():
        redone = sorted({trial.redone for trial in fault_trials if trial.redone})
        lines.append(
            f"| {fault} | {len(fault_trials)} | {_survived(fault_trials)} | "
            f"{sum(trial.lost for trial in fault_trials)} | "
            f"{'; '.join(redone) or '-'} |"
        )
    lost = sum(trial.lost for trial in trials)
    lines.append(f"| all | {len(trials)} | {_survived(trials)} | {lost} | |")
    return "\n".join(lines) + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", nargs="+", choices=NAMES, default=NAMES)
    parser.add_argument("--out", type=pathlib.Path, metavar="DIR")
    options = parser.parse_args()
    fault_disks.enter_namespace()
    with tempfile.TemporaryDirectory() as directory:
        trials = measure(
            pathlib.Path(directory),
            rounds=options.rounds,
            seed=options.seed,
            only=options.only,
        )
    text = table(trials)
    print(text)
    if options.out is not None:
        options.out.mkdir(parents=True, exist_ok=True)
        (options.out / "faults.md").write_text(text)
        report = {
            "rounds": options.rounds,
            "seed": options.seed,
            "machine": timing.header(),
            "trials": list(map(dataclasses.asdict, trials)),
        }
        (options.out / "faults.json").write_text(json.dumps(report, indent=2) + "\n")
    return 0 if _survived(trials) == len(trials) else 1


if __name__ == "__main__":
    sys.exit(main())
