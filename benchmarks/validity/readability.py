"""Can others read prototypes: networks that did not make them?

    python -m benchmarks.validity.readability --out docs/results/readable
    python -m benchmarks.validity.readability --quick

makes class and intermediary prototypes of the ResNet18 in saved_models/ by all
parametrisations, has them judged by networks of two architectures, of which one is
shipped and the others are trained, and compares them with real test images, the mean
image of every class, and what is made of a network that is not trained or whose
training labels were shuffled. It prints a table, and writes it and the images. Networks
are kept in studies/benchmarks; about an hour of a core.
"""

import argparse
import json
import pathlib
import sys
from collections.abc import Mapping, Sequence

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from benchmarks import timing
from keras_confusion.datasets import given_data
from keras_confusion.datasets import loading as dataset_loading
from keras_confusion.execution import runtime
from keras_confusion.models import loading, probe
from keras_confusion.models.probe import Probe
from keras_confusion.prototypes import images as prototype_images
from keras_confusion.prototypes import readability
from keras_confusion.prototypes.optimizer import parametrizations
from keras_confusion.prototypes.optimizer import settings as optimizer_settings
from keras_confusion.training import trained_model
from keras_confusion.training.settings import ClassifierSettings

FOLDER = timing.ROOT / "studies" / "benchmarks" / "judges"
NETWORK = timing.ROOT / "saved_models" / "cifar10_resnet18_width12"
INITIALISATIONS = 10
# It comes with the repository; the others are trained, from seeds of no such network.
SHIPPED_JUDGE = timing.ROOT / "saved_models" / "cifar10_cnn"
JUDGES = {
    "cnn, 8 epochs": {"model": "cnn", "epochs": 8, "seed": 11},
    "cnn, 4 epochs": {"model": "cnn", "epochs": 4, "seed": 12},
    "resnet18 of width 8, 3 epochs": {
        "model": "resnet18",
        "width": 8,
        "epochs": 3,
        "seed": 13,
    },
}
QUICK_JUDGES = {"cnn, 1 epoch": {"model": "cnn", "epochs": 1, "seed": 11}}
# By the labels of another image each; as the network, but for its width and length.
SHUFFLED = {"model": "resnet18", "width": 8, "epochs": 3, "seed": 14}
COLUMNS = {
    "transfer": "transfer",
    "transfer_lowest": "lowest judge",
    "probability": "probability",
    "p_transfer": "P: transfer",
    "p_probability": "P: probability",
    "p_origin_probability": "P: of the origin",
    "distance": "P: distance",
    "cross_over": "P: cross-over",
    "retrieval_pixels": "origin by pixels",
    "retrieval_features": "origin by features",
    "diversity": "diversity",
}


def trained(name: str, dataset, settings: Mapping) -> Probe:
    """A network that is trained once and kept."""
    directory = FOLDER / name.replace(", ", "-").replace(" ", "_")
    if not (directory / "model.json").is_file():
        trained_model.train_and_save(
            directory, ClassifierSettings(dataset=dataset, **settings)
        )
    return loading.load_probe(directory, is_own=True)


def all_judges(*, quick: bool) -> tuple[dict[str, Probe], dict[str, float]]:
    """The networks that are asked, and their test accuracies, by name."""
    wanted = QUICK_JUDGES if quick else JUDGES
    judges = {"cnn of saved_models/": loading.load_probe(SHIPPED_JUDGE, is_own=True)}
    judges |= {
        name: trained(name, "cifar10", settings) for name, settings in wanted.items()
    }
    accuracies = {
        name: json.loads((pathlib.Path(judge.source) / "model.json").read_text())[
            "test_accuracy"
        ]
        for name, judge in judges.items()
    }
    return judges, accuracies


def shuffled_labels(dataset) -> pathlib.Path:
    """CIFAR-10 with every training image under the label of another."""
    directory = FOLDER / "shuffled_labels"
    directory.mkdir(parents=True, exist_ok=True)
    (images, labels), test = dataset.train.arrays(), dataset.test.arrays()
    shuffled = np.random.default_rng(0).permutation(labels)
    path = given_data.path_of(((images, shuffled), test), directory)
    return pathlib.Path(path)


def made(
    of: Probe, name: str, statistics, *, initialisations: int, **settings
) -> tuple[np.ndarray, np.ndarray]:
    """Class and intermediary prototypes of a network, from seeds of their own."""
    parametrization = parametrizations.parametrization(name, of.input_shape, statistics)
    chosen = optimizer_settings.settled(
        parametrization, until_threshold=("normalized", 0.01), **settings
    )
    start = prototype_images.starts(
        range(initialisations), len(of.class_names), parametrization
    )
    prototypes = prototype_images.class_prototypes(of, start, chosen)
    intermediary = prototype_images.intermediary_prototypes(
        of, prototypes.parameters, chosen
    )
    return prototypes.images, intermediary.images


def rows_of(
    network: Probe,
    untrained: Probe,
    shuffled: Probe,
    judges: Mapping[str, Probe],
    dataset,
    *,
    initialisations: int,
) -> tuple[list[dict], dict[str, np.ndarray]]:
    """The table's rows, and images of each row `(K, height, width, channels)`."""
    statistics = trained_model.statistics_of(dataset)
    rows, pictures = [], {}
    test_images, test_labels = dataset.test.arrays()
    by_class = [
        test_images[test_labels == label] / np.float32(255)
        for label in range(dataset.num_classes)
    ]
    real = np.stack([images[:initialisations] for images in by_class], axis=1)
    train_images, train_labels = dataset.train.arrays()
    means = np.stack(
        [
            train_images[train_labels == label].mean(axis=0, dtype=np.float32) / 255
            for label in range(dataset.num_classes)
        ]
    )
    for name, images in (
        ("real test images", real),
        ("mean image of the class", means[None]),
    ):
        judged = readability.transfer(images, np.arange(dataset.num_classes), judges)
        rows.append(
            {
                "images": name,
                "num_prototypes": images[..., 0, 0, 0].size,
                "transfer": judged["transfer"].mean(),
                "transfer_lowest": judged["transfer"].min(),
                "probability": judged["probability"].mean(),
            }
        )
        pictures[name] = images[0]
    for name, of, parametrization in (
        ("poster: pixels until 0.01", network, "pixels"),
        ("fourier", network, "fourier"),
        ("maco", network, "maco"),
        ("fourier, shuffled labels", shuffled, "fourier"),
        ("fourier, untrained network", untrained, "fourier"),
    ):
        prototypes, intermediary = made(
            of, parametrization, statistics, initialisations=initialisations
        )
        rows.append(
            {"images": name}
            | readability.measures(of, prototypes, intermediary, judges)
        )
        pictures[name] = prototypes[0]
        pictures[f"P, {name}"] = intermediary[0]
    return rows, pictures


def report(rows: Sequence[Mapping], judges: Mapping, header: Mapping) -> str:
    """The page: what it was measured on, and one table."""
    lines = ["# Can others read the prototypes?", ""]
    lines += [f"- {name}: {value}" for name, value in header.items()]
    lines += [f"- judge: {name}, accuracy {at:.3f}" for name, at in judges.items()]
    lines += ["", "| images | n | " + " | ".join(COLUMNS.values()) + " |"]
    lines += ["|" + "---|" * (len(COLUMNS) + 2)]
    for row in rows:
        cells = [row["images"], f"{row['num_prototypes']:.0f}"]
        for column in COLUMNS:
            value = row.get(column, np.nan)
            digits = 1 if column in ("distance", "cross_over") and value >= 10 else 2
            cells.append("" if np.isnan(value) else f"{value:.{digits}f}")
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def sheet(pictures: Mapping[str, np.ndarray], class_names) -> Figure:
    """One image of every class, a row for each way of making them."""
    figure = Figure(figsize=(13, 1.18 * len(pictures) + 0.3))
    axes = figure.subplots(len(pictures), len(class_names))
    for axis, label in zip(axes[0], class_names, strict=True):
        axis.set_title(label, fontsize=10)
    for row, (name, images) in zip(axes, pictures.items(), strict=True):
        for axis, image in zip(row, images, strict=True):
            axis.imshow(image.squeeze(), cmap="gray", vmin=0, vmax=1)
            axis.set(xticks=[], yticks=[])
            axis.spines[:].set_visible(False)
        row[0].set_ylabel(
            name.replace(", ", ",\n").replace(": ", ":\n"),
            rotation=0,
            ha="right",
            va="center",
            fontsize=10,
        )
    figure.subplots_adjust(0.16, 0.005, 0.995, 0.965, 0.04, 0.04)
    return figure


def square(images: np.ndarray, class_names) -> Figure:
    """All of P: a row for every target, a column for every origin."""
    figure = Figure(figsize=(9.6, 9.2))
    axes = figure.subplots(len(class_names), len(class_names))
    for target, row in enumerate(axes):
        for origin, axis in enumerate(row):
            axis.imshow(images[target, origin].squeeze(), cmap="gray", vmin=0, vmax=1)
            axis.set(xticks=[], yticks=[])
            axis.spines[:].set_visible(target == origin)
            axis.spines[:].set(color="#d95f02", linewidth=2.5)
            if target == 0:
                axis.set_title(class_names[origin], fontsize=9)
        row[0].set_ylabel(
            class_names[target], rotation=0, ha="right", va="center", fontsize=9
        )
    figure.subplots_adjust(0.1, 0.005, 0.995, 0.96, 0.03, 0.03)
    return figure


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--quick", action="store_true", help="one judge of one epoch, few images"
    )
    parser.add_argument("--out", type=pathlib.Path, metavar="DIR")
    options = parser.parse_args()
    matplotlib.use("agg")
    runtime.start_tensorflow()
    dataset = dataset_loading.load_dataset("cifar10")
    shuffled, initialisations = SHUFFLED, INITIALISATIONS
    if options.quick:
        shuffled, initialisations = {"model": "cnn", "epochs": 1, "seed": 14}, 2
    judges, accuracies = all_judges(quick=options.quick)
    of_shuffled = trained(
        f"shuffled, {shuffled['model']}", str(shuffled_labels(dataset)), shuffled
    )
    trainer = ClassifierSettings(
        dataset="cifar10", model="resnet18", width=12, seed=15
    ).trainer(dataset)
    rows, pictures = rows_of(
        loading.load_probe(NETWORK, is_own=True),
        probe.probe_of(trainer.classifier(), dataset.class_names),
        of_shuffled,
        judges,
        dataset,
        initialisations=initialisations,
    )
    header = timing.header()
    text = report(rows, accuracies, header)
    print(text)
    if options.out is not None:
        options.out.mkdir(parents=True, exist_ok=True)
        values = {"machine": header, "judges": accuracies, "rows": rows}
        (options.out / "table.json").write_text(json.dumps(values, indent=1) + "\n")
        rows_of_sheet = {k: v for k, v in pictures.items() if not k.startswith("P, ")}
        sheet(rows_of_sheet, dataset.class_names).savefig(
            options.out / "class_prototypes.png", dpi=100
        )
        for name in ("fourier", "maco"):
            square(pictures[f"P, {name}"], dataset.class_names).savefig(
                options.out / f"intermediary_{name}.png", dpi=100
            )
    return 0


if __name__ == "__main__":
    sys.exit(main())
