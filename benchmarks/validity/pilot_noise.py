"""How much networks vary, for the planner: of digits, planted images, CIFAR-10, texts.

    python -m benchmarks.validity.pilot_noise

trains four small studies, or what is missing of them in studies/benchmarks, and writes
how their networks vary into keras_confusion/comparisons/pilots.json: what
`keras_confusion.plan_study("cifar10", 0.1)` plans from. The digits have all 45 pairs (8
repeats), the planted images eight pairs (10 repeats), CIFAR-10 three (3 repeats) and
the reviews four (10 repeats). Half an hour on two cores, most of it networks that other
benchmarks share.
"""

import argparse
import dataclasses
import json
import sys

from benchmarks import timing
from benchmarks.validity import (
    confused_features,
    known_features,
    planted_truth,
    simulated_noise,
)
from keras_confusion import comparisons
from keras_confusion.comparisons import network_noise, study_results
from keras_confusion.execution import runtime

RESPONSES = ("features", "total", "accuracy_without_pair", "accuracy")
TEXT_REPEATS = 10


def studies(workers: int | None = None) -> dict:
    """The folders of the pilot studies, by name."""
    return {
        "digits": simulated_noise.digits_study(),
        "planted": planted_truth.run_study(
            0,
            repeats=planted_truth.REPEATS,
            epochs=planted_truth.EPOCHS,
            num_others=planted_truth.NUM_OTHER_PAIRS,
            workers=workers,
        ),
        "cifar10": confused_features.confused_study("cifar10", workers, quick=False),
        "reviews": known_features.text_cells(TEXT_REPEATS, workers)[1],
    }


def pilot(directory) -> dict:
    """What the file says of one study."""
    study = study_results.read_study(directory)
    settings = study.description["settings"]
    return {
        "networks": len(study.networks),
        "pairs": len(study.responses.pairs),
        "repeats": settings["repeats"],
        "epochs": settings["epochs"],
        "responses": {
            response: dataclasses.asdict(network_noise.noise_of_study(study, response))
            # Of this machine, and of what else it did.
            | {"seconds": None}
            for response in RESPONSES
        },
    }


def main(given=None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.validity.pilot_noise",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--workers", type=int, metavar="N")
    options = parser.parse_args(given)
    runtime.start_tensorflow(threads=1)
    found = {
        "command": "python -m benchmarks.validity.pilot_noise",
        **timing.header(),
        "pilots": {
            name: pilot(directory)
            for name, directory in studies(options.workers).items()
        },
    }
    path = f"{comparisons.__path__[0]}/{network_noise.PILOTS_FILE}"
    with open(path, "w") as file:
        file.write(json.dumps(found, indent=1) + "\n")
    print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
