"""What d' costs beside the training of a network: features, last layers, AUCs.

    python -m benchmarks.speed.head_cost
    python -m benchmarks.speed.head_cost --dataset digits --epochs 4 --rounds 3

trains one network of a study after another in one thread and times every step of what
is added to it, as shares of the time of training and testing.
"""

import argparse
import sys
import time

import numpy as np

from benchmarks import timing
from keras_confusion.confusion.plan import StudyPlan
from keras_confusion.confusion.settings import ConfusionSettings
from keras_confusion.execution import runtime
from keras_confusion.stats import discriminability
from keras_confusion.training import linear_heads

STEPS = ("training and test", "features", "right last layer", "d' twice", "swapped")


def measure(dataset: str = "cifar10", *, epochs: int = 6, rounds: int = 3) -> dict:
    """Seconds of every step, `(rounds,)` by its name."""
    runtime.start_tensorflow(threads=1)
    from keras_confusion.training import trainer as training_trainer

    plan = StudyPlan.make(
        ConfusionSettings(dataset=dataset, epochs=epochs), "unused", None
    )
    labels = plan.dataset.train.labels
    test_labels = plan.dataset.test.labels
    seconds: dict[str, list[float]] = {name: [] for name in STEPS}
    # The first one compiles.
    for seed in range(rounds + 1):
        times = [time.perf_counter()]
        plan.trainer.train([training_trainer.TrainingTask(seed, seed)])
        logits = plan.trainer.test_logits()[0]
        times.append(time.perf_counter())
        train, _, test = plan.trainer.features(0)
        times.append(time.perf_counter())
        heads = linear_heads.LinearHeads(train, test, plan.dataset.num_classes)
        right = heads.test_logits(labels)
        times.append(time.perf_counter())
        for by_head in (logits, right):
            discriminability.d_primes(by_head, test_labels)
        times.append(time.perf_counter())
        heads.test_logits(plan.given_labels(plan.pairs[seed % len(plan.pairs)], seed))
        times.append(time.perf_counter())
        if seed:
            for name, step in zip(STEPS, np.diff(times), strict=True):
                seconds[name].append(float(step))
    return {name: np.array(values) for name, values in seconds.items()}


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--dataset", default="cifar10")
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    found = measure(options.dataset, epochs=options.epochs, rounds=options.rounds)
    for key, value in timing.header().items():
        print(f"- {key}: {value}")
    print(f"\n{options.dataset}, {options.epochs} epochs, n = {options.rounds}\n")
    print("| step | seconds (lowest to highest) | share of training and test |")
    print("|---|---|---|")
    whole = found[STEPS[0]]
    for name, values in found.items():
        share = values / whole
        print(
            f"| {name} | {np.median(values):.2f} ({values.min():.2f} to "
            f"{values.max():.2f}) | {100 * np.median(share):.1f} % "
            f"({100 * share.min():.1f} to {100 * share.max():.1f}) |"
        )
    added = sum(found[name] for name in STEPS[1:4]) / whole
    print(
        f"\nEvery network: {100 * np.median(added):.1f} % "
        f"({100 * added.min():.1f} to {100 * added.max():.1f}) more. A baseline with "
        "readout: `swapped` again for every pair."
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
