"""Do prototypes tell, without data, how accurate and how robust a network is?

    python -m benchmarks.validity.robustness --out docs/results/robustness
    python -m benchmarks.validity.robustness --quick

trains 22 networks of CIFAR-10 of two architectures: by adversarial training of four
strengths, two seeds each, and some that are trained for less long. It measures each of
them with the test images (accuracy, and accuracy under an l2 attack) and without (what
prototypes by the poster's rule say), and correlates the two within the architectures.
Named before: the cross-over distance, how far an image moves until the network sees
another class, goes with robustness. All other measures are exploratory.

What was measured of a network is kept in the folder, a file each: a command that is run
again trains only what is missing, in about three hours of two cores; --at-hand trains
nothing. The attack without gradients needs the Adversarial Robustness Toolbox
(`pip install '.[benchmarks]'`).
"""

import argparse
import pathlib
import sys
import tempfile
from collections.abc import Sequence

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from benchmarks import timing
from benchmarks.validity import robustness_networks, robustness_statistics
from benchmarks.validity.robustness_networks import EPS, Network
from keras_confusion.execution import runtime

EPOCHS = {"cnn": 8, "resnet18": 5}
TRAINED_EPS = (0.0, 0.25, 0.5, 1.0)
SEEDS = (21, 22)
# By what they are told apart from those above: less training.
SHORT = ((1, 0.0, 23), (2, 0.0, 24), (2, 0.5, 25))
PRIMARY = "cross_over"
MEASURES = {
    "cross_over": "cross-over distance",
    "distance": "distance travelled",
    "high_frequency": "high frequencies, from grey",
    "C": "C",
    "R": "R",
    "boundary": "boundary dissimilarity",
    "boundary_sd": "its sd",
    "M_g": "M_g",
    "M_adv": "M_adv",
    "transfer": "transfer",
    "probability": "probability by judges",
    "iterations": "iterations",
}
_PANELS = ("cross_over", "high_frequency", "C", "R")
_COLOURS = {"cnn": "#1b6ca8", "resnet18": "#d95f02"}


def networks() -> list[Network]:
    """All networks; those of one seed come together, so that a part has some of all."""
    made = []
    for seed in SEEDS:
        made += [
            Network(architecture, epochs, eps, seed)
            for architecture, epochs in EPOCHS.items()
            for eps in TRAINED_EPS
        ]
    made += [
        Network(architecture, epochs, eps, seed)
        for architecture in EPOCHS
        for epochs, eps, seed in SHORT
    ]
    return made


def quick_networks() -> list[Network]:
    """Three of the digits."""
    return [Network("cnn", 1, eps, 21, "digits") for eps in (0.0, 1.0, 2.0)]


def tables(rows: Sequence[dict]) -> dict[str, pd.DataFrame]:
    """Correlations with robustness beside accuracy, and the other way round."""
    frame = pd.DataFrame(rows)
    names = [name for name in MEASURES if frame[name].notna().all()]
    pairs = {"robustness": "accuracy", "accuracy": "robustness"}
    return {
        outcome: robustness_statistics.compare(
            frame, names, primary=PRIMARY, outcome=outcome, covariate=covariate
        )
        for outcome, covariate in pairs.items()
    }


def report(rows: Sequence[dict], header: dict) -> str:
    """The page: networks, checks of the attack, correlations."""
    lines = ["# Do prototypes tell how robust a network is?", ""]
    lines += [f"- {name}: {value}" for name, value in header.items()]
    lines += [
        f"- {len(rows)} of {len(networks())} networks",
        f"- accuracy under attack: PGD, 20 steps, l2, n = "
        f"{robustness_networks.NUM_ATTACKED} test images; robustness: the mean of "
        f"eps {', '.join(f'{eps:g}' for eps in EPS)}",
        f"- checks, n = {robustness_networks.NUM_CHECKED}, eps {EPS[2]:g}: PGD, the "
        f"worst of {robustness_networks.RESTARTS} starts; PGD at eps "
        f"{robustness_networks.LARGE_EPS:g}; linf, eps 4 / 255: PGD, and without "
        f"gradients, the Square attack with {robustness_networks.QUERIES} queries",
        "",
    ]
    titles = ["network", "epochs", "trained with eps", "accuracy"]
    titles += [f"eps {eps:g}" for eps in EPS]
    titles += ["PGD", "restarts", "large eps", "linf PGD", "linf Square"]
    titles += [MEASURES[name] for name in _PANELS]
    lines += _row(titles) + _row(["---"] * len(titles))
    for row in rows:
        shares = [row["accuracy"], *row["robust_accuracy"]]
        checks = ("checked", "restarted", "large_eps", "linf", "without_gradients")
        shares += [row[name] for name in (*checks, *_PANELS)]
        begin = [row["architecture"], str(row["epochs"]), f"{row['eps']:g}"]
        lines += _row(begin + [f"{share:.2f}" for share in shares])
    for outcome, table in tables(rows).items():
        held = "accuracy" if outcome == "robustness" else "robustness"
        lines += [
            "",
            f"With {outcome}, Spearman within architectures; partial: {held} held "
            "constant; p of partial, by permutation within architectures; Holm over "
            f"all but the {MEASURES[PRIMARY]}, which was named before.",
            "",
        ]
        lines += _row(["measure", "correlation", "partial", "p", "p, Holm"])
        lines += _row(["---"] * 5)
        for row in table.itertuples():
            holm = "" if np.isnan(row.p_holm) else f"{row.p_holm:.4f}"
            lines += _row(
                [
                    MEASURES[row.measure],
                    f"{row.correlation:+.2f}",
                    f"{row.partial:+.2f}",
                    f"{row.p:.4f}",
                    holm,
                ]
            )
    return "\n".join(lines) + "\n"


def _row(cells: Sequence[str]) -> list[str]:
    return ["| " + " | ".join(cells) + " |"]


def figure(rows: Sequence[dict]) -> Figure:
    """Four measures against robustness, a point for every network."""
    frame = pd.DataFrame(rows)
    drawn = Figure(figsize=(11, 3.3), layout="constrained")
    for axis, name in zip(drawn.subplots(1, 4), _PANELS, strict=True):
        for architecture, part in frame.groupby("architecture"):
            is_short = part["epochs"] < EPOCHS[architecture]
            for chosen, marker in ((part[~is_short], "o"), (part[is_short], "^")):
                axis.plot(
                    chosen["robustness"],
                    chosen[name],
                    marker,
                    color=_COLOURS[architecture],
                    label=architecture + (", trained less long" * (marker == "^")),
                    alpha=0.8,
                    markeredgewidth=0,
                )
        axis.set_title(MEASURES[name], fontsize=10)
        axis.set_xlabel("accuracy under attack, mean")
        axis.spines[["top", "right"]].set_visible(False)
    drawn.axes[0].legend(fontsize=7, frameon=False)
    return drawn


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="three of the digits")
    parser.add_argument(
        "--at-hand", action="store_true", help="train nothing: take what is there"
    )
    parser.add_argument("--workers", type=int, metavar="N")
    parser.add_argument("--out", type=pathlib.Path, metavar="DIR")
    options = parser.parse_args()
    matplotlib.use("agg")
    with tempfile.TemporaryDirectory() as temporary:
        out = options.out or pathlib.Path(temporary)
        wanted = quick_networks() if options.quick else networks()
        directory = out / "networks"
        if not options.at_hand:
            robustness_networks.train_missing(
                wanted,
                directory,
                workers=options.workers or runtime.default_num_workers(),
            )
        rows = robustness_networks.read(wanted, directory)
        text = report(rows, timing.header())
        print(text)
        (out / "README.md").write_text(text)
        figure(rows).savefig(out / "robustness.png", dpi=100)
    return 0


if __name__ == "__main__":
    sys.exit(main())
