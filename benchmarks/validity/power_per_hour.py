"""Which way to train networks finds an effect soonest?

    python -m benchmarks.validity.power_per_hour --out power_per_hour.md
    python -m benchmarks.validity.power_per_hour --quick

trains some arms of a study, in several designs (`power_networks`), and asks how far an
effect that is known to be there stands out of the noise by *features*:

- automobile, truck: on CIFAR-10 trucks lose where automobiles are confused with any
  other class, and automobiles where trucks are.
- planted: of the generated images crosses lose where discs are confused, and triangles
  where squares are.

The noise is that of the study's moderated test: what is left of a target's relative d'
beside the mean of every arm and of every repeat. (effect / noise)^2 is the squared z
that a network brings, and divided by its time the squared z an hour: hours that are
needed for the same finding go with the inverse. Intervals are by the jackknife of its
logarithm over networks; a comparison leaves out networks of the same arm and repeat,
which have the same seeds, together.

Networks are kept in studies/benchmarks: a command that is run again trains only what is
missing, in about an hour of two idle cores; --at-hand trains nothing and reports on the
repeats that are whole. Times are of the processor, one thread.
"""

import argparse
import dataclasses
import json
import math
import pathlib
import sys
from collections.abc import Sequence

import numpy as np

from benchmarks import timing
from benchmarks.validity import power_networks, power_report, power_strength
from benchmarks.validity.power_networks import LAST, Design
from benchmarks.validity.power_strength import Cell, Question, Sample, jackknife
from keras_confusion.datasets import planted
from keras_confusion.execution import runtime

AUTOMOBILE, TRUCK = 1, 9
NARROW = "benchmarks.validity.power_networks:narrow_cnn"
CIFAR10 = Question(
    "automobile, truck",
    (
        Cell(TRUCK, ((0, AUTOMOBILE),)),
        Cell(AUTOMOBILE, ((3, TRUCK),)),
    ),
    ((2, 4), (6, 7)),
    1000,
    (
        Design("6 epochs", "cifar10", 6, 5),
        Design("3 epochs", "cifar10", 3, 5),
        Design("2 epochs", "cifar10", 2, 5),
        Design("3 epochs, batches of 64", "cifar10", 3, 5, batch_size=64),
        Design("3 epochs, twice the rate", "cifar10", 3, 5, learning_rate=4e-3),
        Design("3 epochs, half the filters", "cifar10", 3, 5, model=NARROW),
    ),
    is_of_study=True,
)
_PLANTED = {"dataset": f"planted:{power_networks.SEED}", "has_mirror_images": False}
PLANTED = Question(
    "planted",
    tuple(
        Cell(target, (common,))
        for targets, common in (((2, 3), (0, 1)), ((6, 7), (4, 5)))
        for target in targets
    ),
    ((8, 9),),
    planted.TEST_IMAGES,
    (
        Design("10 epochs", epochs=10, repeats=4, is_averaged=True, **_PLANTED),
        Design("5 epochs", epochs=5, repeats=4, is_averaged=True, **_PLANTED),
        Design("3 epochs", epochs=3, repeats=4, is_averaged=True, **_PLANTED),
    ),
    is_of_study=False,
)
QUESTIONS = (CIFAR10, PLANTED)


def quick_questions() -> tuple[Question, ...]:
    """The planted relation alone, with few networks of few epochs."""
    designs = tuple(
        dataclasses.replace(design, name=f"{epochs} epochs", epochs=epochs, repeats=2)
        for design, epochs in zip(PLANTED.designs, (2, 1), strict=False)
    )
    return (dataclasses.replace(PLANTED, designs=designs),)


def measure(
    questions: Sequence[Question],
    *,
    workers: int | None = None,
    at_hand: bool = False,
) -> list[dict]:
    """Trains what is missing, and analyses all of it.

    Args:
        questions: What is asked.
        workers: Processes; `None` takes one for every core.
        at_hand: Trains nothing, and takes the designs and repeats that are there.

    Returns:
        One row for each design and way of testing, see `analyse`.
    """
    runtime.start_tensorflow(threads=1)
    dtype_policy = runtime.default_dtype_policy()
    rows = []
    for question in questions:
        arms = [None, *question.pairs]
        designs = question.designs
        if at_hand:
            designs = power_networks.at_hand(designs, arms, dtype_policy)
        else:
            power_networks.train_missing(
                designs,
                arms,
                dtype_policy,
                workers=workers or runtime.default_num_workers(),
            )
        networks = {
            design: power_networks.read_networks(design, arms, dtype_policy)
            for design in designs
        }
        rows += analyse(question, networks)
    return rows


def analyse(question: Question, networks: dict[Design, list[dict]]) -> list[dict]:
    """What every design brings in every way of testing.

    Args:
        question: What is asked.
        networks: Of every design, as `power_networks.read_networks` returns them; the
            first design is what the others are compared with.

    Returns:
        Rows with `question`, `design`, `way`, `num_networks`, `accuracy` (of untouched
        networks, by the right last layer), `noise` (sd of a network), `seconds` (of the
        processor, median of networks); as `[estimate, low, high]` the `effect`,
        `strength` (effect^2 over variance), `noise_ratio` (variance of all targets to
        that of the last weights of the same networks), `per_hour` (strength by time to
        that of the first design), `interaction` (see `power_strength`); and of findings
        of a study `study`, see `power_strength.full_study`.
    """
    if not networks:
        return []
    first = next(iter(networks.values()))
    of_first = Sample.of_networks(question, first, LAST)
    rows = []
    for design, its_networks in networks.items():
        of_last = Sample.of_networks(question, its_networks, LAST)
        for way in design.ways:
            of_way = Sample.of_networks(question, its_networks, way)
            seconds = _median_seconds(its_networks, way)
            speed = _median_seconds(first, LAST) / seconds
            strength = jackknife([of_way], lambda one: one.strength)
            row = {
                "question": question.name,
                "design": design.name,
                "way": way,
                "num_networks": len(its_networks),
                "accuracy": _mean_accuracy(its_networks, way),
                "noise": math.sqrt(of_way.variance),
                "seconds": seconds,
                "effect": jackknife(
                    [of_way], lambda one: one.effect, is_positive=False
                ),
                "strength": strength,
                "noise_ratio": jackknife(
                    [of_way, of_last],
                    lambda one, last: one.covariance(one) / last.covariance(last),
                ),
                "per_hour": jackknife(
                    [of_way, of_first],
                    lambda one, other, speed=speed: (
                        speed * one.strength / other.strength
                    ),
                ),
                "interaction": power_strength.interaction(question, its_networks, way),
            }
            if question.is_of_study:
                row["study"] = power_strength.full_study(strength, seconds)
            rows.append(row)
    return rows


def _mean_accuracy(networks: Sequence[dict], way: str) -> float:
    """Of untouched networks."""
    untouched = [network for network in networks if network["class_a"] is None]
    return float(np.mean([network["accuracy"][way] for network in untouched]))


def _median_seconds(networks: Sequence[dict], way: str) -> float:
    # The first network of a process also compiles.
    return float(np.median([network["seconds"][way] for network in networks]))


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--quick", action="store_true", help="planted images, few epochs"
    )
    parser.add_argument(
        "--at-hand",
        action="store_true",
        help="train nothing: take the repeats that are whole",
    )
    parser.add_argument("--workers", type=int, metavar="N")
    parser.add_argument("--out", type=pathlib.Path, metavar="FILE.md")
    options = parser.parse_args()
    questions = quick_questions() if options.quick else QUESTIONS
    rows = measure(questions, workers=options.workers, at_hand=options.at_hand)
    header = timing.header()
    text = power_report.report(rows, header)
    print(text)
    if options.out is not None:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(text)
        options.out.with_suffix(".json").write_text(
            json.dumps({"machine": header, "rows": rows}, indent=1) + "\n"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
