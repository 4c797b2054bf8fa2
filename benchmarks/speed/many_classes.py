r"""Prototypes of networks of many classes, by the poster's rule and by `growing`.

    keras-confusion train --dataset cifar100 --model resnet18 --width 12 --epochs 3 \
        --augment --seed 3 --out models/cifar100_weak
    python -m benchmarks.speed.many_classes models/cifar100_weak

Of some classes of the network it makes the class prototypes and all intermediary
prototypes among them, from several initialisations: in one process on all cores, as
TensorFlow shares them, and with one process for every core, as a study does. Early in a
training the loss hardly changes over long ways, and the poster's steps of one length
take hundreds of updates. What the images say, C and R, and how far they are, is told
beside it: longer steps would be faster still and end elsewhere.
"""

import argparse
import dataclasses
import json
import pathlib
import sys
import time
from collections.abc import Sequence

import numpy as np

from benchmarks import timing

CLASSES, INITIALISATIONS, ROUNDS = 5, 4, 2
# The poster's rate of CIFAR-100, and of CIFAR-10 ten times its rate, as in
# `prototype_speed`. Images that `growing` has not brought there in 400 updates would
# not be there after 2,000.
RULES = {
    "poster's": {"update_rule": "normalized", "learning_rate": 0.1},
    "growing": {
        "update_rule": "growing",
        "learning_rate": 0.5,
        "max_iterations": 400,
    },
}
ONE, ONE_A_CORE = PROCESSES = "one process", "one process a core"
# How a value of every initialisation is told.
_SAID = {
    "updates": ".0f",
    "most updates": ".0f",
    "converged": ".2f",
    "C": ".3f",
    "R": ".3f",
    "distance": ".2f",
}


@dataclasses.dataclass(frozen=True)
class Work:
    """What one process does.

    Args:
        model: A folder of `save_model`.
        rule: One of `RULES`.
        threads: Of TensorFlow; 0 leaves its choice.
        classes: How many, evenly spaced among the network's.
        inits: Initialisations.
    """

    model: str
    rule: str
    threads: int
    classes: int
    inits: tuple[int, ...]


def measure(
    model: str,
    *,
    classes: int = CLASSES,
    inits: int = INITIALISATIONS,
    rounds: int = ROUNDS,
) -> dict[str, dict]:
    """Both rules, with one process and with one a core, in turn.

    Returns:
        By rule: for each of `PROCESSES` prototypes a minute, a value of each round;
        and what `one` says of the images, a value of each initialisation.
    """
    found: dict[str, dict] = {rule: {} for rule in RULES}
    contenders = {
        f"{rule}, {name}": _contender(found[rule], works)
        for rule in RULES
        for name, works in _shared_out(model, rule, classes, inits).items()
    }
    for contender, quantities in timing.alternate(
        contenders, rounds, warm_up=0
    ).items():
        rule, name = contender.split(", ")
        found[rule][name] = quantities["speed"]
    return found


def _shared_out(model, rule, classes, inits) -> dict[str, list[Work]]:
    every = np.arange(inits)
    parts = [part for part in np.array_split(every, timing.num_cores()) if len(part)]
    return {
        ONE: [Work(model, rule, 0, classes, tuple(every.tolist()))],
        ONE_A_CORE: [
            Work(model, rule, 1, classes, tuple(part.tolist())) for part in parts
        ],
    }


def _contender(found: dict, works: Sequence[Work]) -> timing.Contender:
    def run() -> dict[str, float]:
        running = [
            timing.start(timing.module("many_classes", "--one", json.dumps(vars(work))))
            for work in works
        ]
        answers = [timing.finish(process) for process in running]
        # The same in every round, and with any number of processes.
        said = [one for answer in answers for one in answer["said"]]
        found.update({name: [one[name] for one in said] for name in _SAID})
        seconds = max(answer["seconds"] for answer in answers)
        return {"speed": 60 * sum(answer["images"] for answer in answers) / seconds}

    return run


def table(found: dict[str, dict[str, dict]]) -> str:
    """Markdown: a row for each network, by name, and rule."""
    titles = ["network", "rule", *(f"{name}, a minute" for name in PROCESSES)]
    titles += ["ratio", *_SAID]
    lines = [titles, ["---"] * len(titles)]
    for network, rules in found.items():
        before = np.median(rules["poster's"][ONE])
        for rule, values in rules.items():
            ratio = np.median(values[ONE_A_CORE]) / before
            lines.append(
                [network, rule]
                + [_range(values[name]) for name in PROCESSES]
                + [f"{ratio:.1f}"]
                + [_mean_and_sd(values[name], form) for name, form in _SAID.items()]
            )
    return "".join("| " + " | ".join(cells) + " |\n" for cells in lines)


def _range(values: Sequence[float]) -> str:
    return f"{np.median(values):.0f} ({min(values):.0f} to {max(values):.0f})"


def _mean_and_sd(values: Sequence[float], form: str) -> str:
    if len(values) == 1:
        return f"{values[0]:{form}}"
    return f"{np.mean(values):{form}} ({np.std(values, ddof=1):{form}})"


def one(work: Work) -> dict:
    """Does the work; loading and compiling do not count.

    Returns:
        `seconds`, `images`, and `said`: of every initialisation the updates of an
        image, the share that has converged, mean C, mean R and the mean distance of
        P[k, j] from p_j.
    """
    from keras_confusion.execution import runtime

    runtime.start_tensorflow(threads=work.threads or None)
    from keras_confusion.models import loading
    from keras_confusion.prototypes import dissimilarity, grid
    from keras_confusion.prototypes.optimizer.image_optimizer import optimize_images
    from keras_confusion.prototypes.optimizer.settings import OptimizerSettings

    probe = loading.load_probe(pathlib.Path(work.model))
    count = min(work.classes, len(probe.class_names))
    classes = np.linspace(0, len(probe.class_names) - 1, count).astype(int)
    settings = OptimizerSettings(**RULES[work.rule])
    noise = np.stack(
        [
            np.random.default_rng(init).random((count, *probe.input_shape), np.float32)
            for init in work.inits
        ]
    )
    optimize_images(
        *(probe.logits, noise, np.broadcast_to(classes, noise.shape[:2])),
        dataclasses.replace(settings, max_iterations=1),
    )
    pairs = (len(work.inits), count, count)
    on_diagonal = np.broadcast_to(np.eye(count, dtype=bool), pairs)
    begun = time.perf_counter()
    targets = np.broadcast_to(classes, noise.shape[:2])
    first = optimize_images(probe.logits, noise, targets, settings)
    start = np.broadcast_to(first.images[:, None], (*pairs, *probe.input_shape))
    made = optimize_images(
        *(probe.logits, start, np.broadcast_to(classes[:, None], pairs), settings),
        given=on_diagonal,
    )
    seconds = time.perf_counter() - begun
    features = grid.ask(probe, made.images).features
    ways = np.linalg.norm((made.images - start).reshape(*pairs, -1), axis=-1)
    iterations = np.where(on_diagonal, first.iterations[:, None], made.iterations)
    trends = [
        dissimilarity.trend(compare(features), kind).mean
        for compare, kind in (
            (dissimilarity.inter_class, "inter"),
            (dissimilarity.intra_class, "intra"),
        )
    ]
    said = [
        {
            "updates": float(iterations[k].mean()),
            "most updates": int(iterations[k].max()),
            "converged": float(made.converged[k].mean()),
            "C": float(trends[0][k]),
            "R": float(trends[1][k]),
            "distance": float(ways[k][~on_diagonal[k]].mean()),
        }
        for k in range(len(work.inits))
    ]
    return {"seconds": seconds, "images": int(np.prod(pairs)), "said": said}


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("models", nargs="*", metavar="MODEL", help="trained networks")
    parser.add_argument("--classes", type=int, default=CLASSES, metavar="N")
    parser.add_argument("--inits", type=int, default=INITIALISATIONS, metavar="N")
    parser.add_argument("--rounds", type=int, default=ROUNDS, metavar="N")
    parser.add_argument("--quick", action="store_true", help="one round, two of each")
    parser.add_argument("--one", metavar="JSON", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(one(Work(**json.loads(options.one)))))
        return 0
    models = options.models or [
        str(timing.ROOT / "saved_models/cifar10_resnet18_width12")
    ]
    few = {"classes": 2, "inits": 2, "rounds": 1}
    settings = few if options.quick else {key: vars(options)[key] for key in few}
    found = {pathlib.Path(model).name: measure(model, **settings) for model in models}
    for name, value in timing.header().items():
        print(f"- {name}: {value}")
    print(
        f"- {settings['classes']} classes, all their pairs, {settings['inits']} "
        f"initialisations, {settings['rounds']} rounds: median (smallest to largest); "
        "of the images mean (sd) over initialisations; ratio: one process a core, to "
        "one process with the poster's rule\n"
    )
    print(table(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
