"""The same classes by this package and by xplique: which images can others read?

    pip install xplique
    python -m benchmarks.validity.against_xplique --out docs/results/readable
    python -m benchmarks.validity.against_xplique --quick

makes class prototypes of the ResNet18 in saved_models/ with both, in one process and in
turn: xplique's with its own defaults at 32 x 32 pixels, and with what is usual here.
The judges of benchmarks.validity.readability say what they take them for. It prints a
table, and writes it and a picture. Half an hour of two cores, and half an hour more
where the judges are to be trained first. xplique pins an older TensorFlow than the
newest; with `--no-deps` in an environment of its own it runs on 2.21, too.
"""

import argparse
import importlib.metadata
import json
import pathlib
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence

import keras
import matplotlib
import numpy as np
import tensorflow as tf

from benchmarks import timing
from benchmarks.validity import readability as benchmark
from keras_confusion.datasets import loading as dataset_loading
from keras_confusion.datasets.labelled_dataset import to_unit_range
from keras_confusion.execution import runtime
from keras_confusion.models import loading
from keras_confusion.models.probe import Probe
from keras_confusion.prototypes import images as prototype_images
from keras_confusion.prototypes import readability
from keras_confusion.prototypes.optimizer import parametrizations, transformations
from keras_confusion.prototypes.optimizer import settings as optimizer_settings
from keras_confusion.training import trained_model

# Its maco takes far longer, as it looks at 32 crops of an image at every step.
SEEDS, MACO_SEEDS = 10, 3
# Crops of the whole image differ less.
NUM_WHOLE_CROPS = 8
IMAGES_OF_SPECTRUM = 10_000
# A seed -> float32 `(K, height, width, channels)` in [0, 1].
Maker = Callable[[int], np.ndarray]
OURS = "fourier"
COLUMNS = {
    "transfer": "transfer",
    "transfer_lowest": "lowest judge",
    "probability": "probability",
    "sure": "loss below 0.01",
    "seconds": "s for ten",
    "ratio": "time, ours = 1",
}


def ours(network: Probe, name: str, statistics_of_data) -> Maker:
    """Class prototypes by this package, with its settings for a parametrisation."""
    parametrization = parametrizations.parametrization(
        name, network.input_shape, statistics_of_data
    )
    settings = optimizer_settings.settled(
        parametrization, until_threshold=("normalized", 0.01)
    )

    def make(seed):
        start = prototype_images.starts(
            [seed], len(network.class_names), parametrization
        )
        made = prototype_images.class_prototypes(network, start, settings, seeds=[seed])
        return made.images[0]

    return make


def xplique_fourier(model: keras.Model, **options) -> Maker:
    """What xplique's `optimize` makes of all logits at once.

    Args:
        model: Whose last layer's outputs are logits.
        **options: Those of `optimize` that are not its defaults.
    """
    from xplique.features_visualizations import Objective, optimize

    def make(seed):
        tf.random.set_seed(seed)
        objective = Objective.neuron(model, -1, [*range(model.output_shape[-1])])
        images, _ = optimize(objective, custom_shape=model.input_shape[1:3], **options)
        return images[-1].numpy()

    return make


def xplique_maco(model: keras.Model, **options) -> Maker:
    """What xplique's `maco` makes, one logit at a time, as it does.

    Args:
        model: Whose last layer's outputs are logits.
        **options: Those of `maco` that are not its defaults.
    """
    from xplique.features_visualizations import Objective, maco

    def make(seed):
        tf.random.set_seed(seed)
        # It draws phases by NumPy where it takes the spectrum of ImageNet.
        np.random.seed(seed)  # noqa: NPY002
        return np.stack(
            [
                maco(
                    Objective.neuron(model, -1, k),
                    values_range=(0, 1),
                    custom_shape=model.input_shape[1:3],
                    **options,
                )[0]
                for k in range(model.output_shape[-1])
            ]
        )

    return make


def our_transformations(images: tf.Tensor) -> tf.Tensor:
    """An affine map of its own for every image, drawn as here."""
    drawn = tf.random.uniform((images.shape[0], transformations.NUM_DRAWS), -1, 1)
    return transformations.transform(images, drawn)


def makers_of(
    network: Probe, model: keras.Model, dataset, **options
) -> dict[str, tuple[Maker, int]]:
    """What is compared, and from how many seeds.

    Args:
        network: Whose classes they are.
        model: The same as a Keras model.
        dataset: Its data.
        **options: Given to both functions of xplique.
    """
    statistics_of_data = trained_model.statistics_of(dataset)
    some = to_unit_range(dataset.train.sample(IMAGES_OF_SPECTRUM))
    spectrum = tf.data.Dataset.from_tensor_slices(some).batch(1000)
    return {
        OURS: (ours(network, "fourier", statistics_of_data), SEEDS),
        "maco": (ours(network, "maco", statistics_of_data), SEEDS),
        "xplique: fourier": (xplique_fourier(model, **options), SEEDS),
        "xplique: fourier, our transformations": (
            xplique_fourier(model, transformations=our_transformations, **options),
            SEEDS,
        ),
        "xplique: maco": (xplique_maco(model, **options), MACO_SEEDS),
        "xplique: maco, whole images, spectrum of the data": (
            xplique_maco(
                model,
                box_size=1.0,
                nb_crops=NUM_WHOLE_CROPS,
                maco_dataset=spectrum,
                **options,
            ),
            MACO_SEEDS,
        ),
    }


def measure(
    makers: Mapping[str, tuple[Maker, int]], network: Probe, judges: Mapping[str, Probe]
) -> tuple[list[dict], dict[str, np.ndarray]]:
    """Has all make their images in turn, seed by seed, and judges look at them.

    Args:
        makers: See `makers_of`.
        network: Whose classes they are.
        judges: Classifiers of the same classes, by name.

    Returns:
        A row each, with `seconds`, the median for all classes once, without the first
        seed, for which programs are compiled; and images `(K, height, width, channels)`
        of the first seed.
    """
    made: dict[str, list[np.ndarray]] = {name: [] for name in makers}
    seconds: dict[str, list[float]] = {name: [] for name in makers}
    for seed in range(max(number for _, number in makers.values())):
        for name, (make, number) in makers.items():
            if seed < number:
                start = time.perf_counter()
                made[name].append(make(seed))
                seconds[name].append(time.perf_counter() - start)
                print(f"{name}, seed {seed}: {seconds[name][-1]:.1f} s", flush=True)
    medians = {name: statistics.median(values[1:]) for name, values in seconds.items()}
    each = np.arange(len(network.class_names))
    rows = []
    for name, images in made.items():
        judged = readability.transfer(np.stack(images), each, judges)
        losses = readability.ask(network, np.stack(images)).cross_entropies(each)
        rows.append(
            {
                "images": name,
                "n": losses.size,
                "transfer": judged["transfer"].mean(),
                "transfer_lowest": judged["transfer"].min(),
                "probability": judged["probability"].mean(),
                "sure": (losses < 0.01).mean(),
                "seconds": medians[name],
                "ratio": medians[name] / medians[OURS],
            }
        )
    return rows, {name: images[0] for name, images in made.items()}


def report(rows: Sequence[Mapping], header: Mapping) -> str:
    """The page: what it was measured on, and one table."""
    lines = ["# Class prototypes by this package and by xplique", ""]
    lines += [f"- {name}: {value}" for name, value in header.items()]
    lines += ["", "| images | n | " + " | ".join(COLUMNS.values()) + " |"]
    lines += ["|" + "---|" * (len(COLUMNS) + 2)]
    for row in rows:
        cells = [row["images"], str(row["n"])]
        for column in COLUMNS:
            value = row[column]
            digits = 2 if column not in ("seconds", "ratio") else 0 if value > 10 else 1
            cells.append(f"{value:.{digits}f}")
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--quick", action="store_true", help="one judge of one epoch, a few steps"
    )
    parser.add_argument("--out", type=pathlib.Path, metavar="DIR")
    options = parser.parse_args()
    matplotlib.use("agg")
    runtime.start_tensorflow()
    dataset = dataset_loading.load_dataset("cifar10")
    judges, _ = benchmark.all_judges(quick=options.quick)
    network = loading.load_probe(benchmark.NETWORK, is_own=True)
    model = keras.models.load_model(benchmark.NETWORK / "model.keras")
    steps = {"nb_steps": 4} if options.quick else {}
    rows, pictures = measure(
        makers_of(network, model, dataset, **steps), network, judges
    )
    header = timing.header() | {"xplique": importlib.metadata.version("xplique")}
    text = report(rows, header)
    print(text)
    if options.out is not None:
        options.out.mkdir(parents=True, exist_ok=True)
        values = {"machine": header, "rows": rows}
        file = options.out / "against_xplique.json"
        file.write_text(json.dumps(values, indent=1) + "\n")
        benchmark.sheet(pictures, dataset.class_names).savefig(
            options.out / "against_xplique.png", dpi=100
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
