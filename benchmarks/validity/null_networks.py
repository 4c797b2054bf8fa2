"""Networks whose arms differ by chance alone, and small studies made out of them.

Pools of networks are trained as null studies (`--corruption null`): one in which every
network has its own seeds and the true labels, and two in which the networks of a repeat
share their seeds and every network, the baseline too, has wrong labels of its own: of
five digits, and of all ten, for d'. Studies that have no network in common are then cut
out of a pool, so that their p-values are independent.
"""

import dataclasses
import pathlib
from collections.abc import Iterator

import numpy as np
import pandas as pd

from benchmarks import timing
from keras_confusion.comparisons import readings, study_results
from keras_confusion.comparisons.rates import CountedRates, ListedRates, Rates
from keras_confusion.comparisons.responses import StudyResponses
from keras_confusion.confusion import store

FOLDER = timing.ROOT / "studies" / "benchmarks"
# The later half of the digits: they are taken for each other more often.
LATER_DIGITS, ALL_DIGITS = (5, 6, 7, 8, 9), tuple(range(10))
# Of a digit; the rest is for the test: coarse shares would make coarse p-values.
NUM_TRAIN = 60
NOISE = 0.2
OWN_SEEDS, SHARED_SEEDS, TEN_DIGITS = POOLS = (
    "own seeds",
    "shared seeds",
    "shared seeds, ten digits",
)
TRAINING = {"epochs": 8, "batch_size": 32, "learning_rate": 0.005}


@dataclasses.dataclass(frozen=True)
class Pool:
    """The networks of one null study.

    Args:
        study: Their responses.
        confused_repeat: int array `(num_confused,)`, number of the repeat.
        baseline_repeat: int array `(num_baseline,)`.
        num_repeats: Repeats that have every arm; later ones only have a baseline.
        class_names: Names in the order of the labels.
        seconds: Of all networks' training, each in one process.
        d_primes: What `readings.ReadingCollector` takes of every network; `None` for
            five digits: of the three targets of a network one would be the median.
    """

    study: StudyResponses
    confused_repeat: np.ndarray
    baseline_repeat: np.ndarray
    num_repeats: int
    class_names: list[str]
    seconds: float
    d_primes: pd.DataFrame | None


def small_cnn(*, input_shape, num_classes, seed):
    """A network that learns pictures of 8 x 8 pixels in a twentieth of a second."""
    import keras

    def initializer(layer):
        return keras.initializers.GlorotUniform(seed + layer)

    return keras.Sequential(
        [
            keras.Input(input_shape),
            keras.layers.Conv2D(
                8, 3, activation="relu", kernel_initializer=initializer(0)
            ),
            keras.layers.MaxPooling2D(),
            keras.layers.Flatten(),
            keras.layers.Dense(
                32, activation="relu", kernel_initializer=initializer(1)
            ),
            keras.layers.Dense(num_classes, kernel_initializer=initializer(2)),
        ]
    )


def write_digits(path: pathlib.Path, names: tuple[int, ...]) -> None:
    """Writes some digits as `loading.load_dataset` reads them."""
    import sklearn.datasets

    digits = sklearn.datasets.load_digits()
    kept = np.flatnonzero(np.isin(digits.target, names))
    kept = np.random.default_rng(0).permutation(kept)
    images = np.rint(digits.images[kept] * (255 / digits.images.max()))
    images, labels = images[..., None].astype(np.uint8), digits.target[kept] - names[0]
    path.parent.mkdir(parents=True, exist_ok=True)
    num_train = NUM_TRAIN * len(names)
    np.savez(
        path,
        x_train=images[:num_train],
        y_train=labels[:num_train],
        x_test=images[num_train:],
        y_test=labels[num_train:],
    )


def train_pool(name: str, *, repeats: int, baseline_repeats: int, workers=None) -> Pool:
    """Trains the networks of a pool, or takes them up.

    Args:
        name: One of `POOLS`.
        repeats: Repeats with all arms.
        baseline_repeats: Baseline networks, one a repeat, at least `repeats`.
        workers: See `study.run_confusion_study`.
    """
    from keras_confusion.confusion import study as confusion_study

    is_ten = name == TEN_DIGITS
    digits = FOLDER / ("null-ten-digits.npz" if is_ten else "null-digits.npz")
    if not digits.exists():
        write_digits(digits, ALL_DIGITS if is_ten else LATER_DIGITS)
    slug = name.replace(",", "").replace(" ", "-")
    directory = FOLDER / f"null-{slug}-{repeats}-{baseline_repeats}"
    confusion_study.run_confusion_study(
        directory,
        workers=workers,
        dataset=str(digits),
        model="benchmarks.validity.null_networks:small_cnn",
        corruption="null",
        repeats=repeats,
        baseline_repeats=baseline_repeats,
        shared_seeds=name != OWN_SEEDS,
        fraction=0.0 if name == OWN_SEEDS else NOISE,
        # Nobody asks here for what a last layer does.
        readout_baselines=0,
        verbose=1,
        **TRAINING,
    )
    study = study_results.read_study(directory, single_networks=True)
    networks = study.networks[~study.networks["failed"]]
    is_baseline = networks["class_a"].isna().to_numpy(bool)
    repeat = networks["repeat"].to_numpy(np.int64)
    return Pool(
        study=study.responses,
        confused_repeat=repeat[~is_baseline],
        baseline_repeat=repeat[is_baseline],
        num_repeats=repeats,
        class_names=study.class_names,
        seconds=float(networks["seconds"].sum()),
        d_primes=store.read_networks(directory) if is_ten else None,
    )


def read_responses(directory: pathlib.Path) -> StudyResponses:
    """The responses of a study's networks, of single ones too."""
    return study_results.read_study(directory, single_networks=True).responses


def small_studies(
    pool: Pool, repeats: int, baseline_repeats: int
) -> Iterator[tuple[StudyResponses, dict[str, StudyResponses]]]:
    """Studies without a network, and without a repeat, in common; and their readings.

    Args:
        pool: Where they come from.
        repeats: Networks of every arm.
        baseline_repeats: Baseline networks: those of the arms' repeats first, then, if
            they are more, those of repeats without arms.
    """
    paired = min(repeats, baseline_repeats)
    extra = baseline_repeats - paired
    num_studies = pool.num_repeats // repeats
    if extra:
        num_extra = int(pool.baseline_repeat.max()) + 1 - pool.num_repeats
        num_studies = min(num_studies, num_extra // extra)
    for number in range(num_studies):
        first, first_extra = number * repeats, pool.num_repeats + number * extra
        chosen_repeats = np.concatenate(
            [first + np.arange(paired), first_extra + np.arange(extra)]
        )
        confused_repeats = first + np.arange(repeats)
        study = take(
            pool.study,
            np.isin(pool.confused_repeat, confused_repeats),
            np.isin(pool.baseline_repeat, chosen_repeats),
        )
        yield study, _readings(pool, confused_repeats, chosen_repeats)


def _readings(pool: Pool, confused_repeats, baseline_repeats):
    if pool.d_primes is None:
        return {}
    collector = readings.ReadingCollector(
        pool.study.test_images_per_class, pairs=pool.study.pairs
    )
    is_baseline = pool.d_primes["class_a"].isna()
    is_chosen = pool.d_primes["repeat"].isin(baseline_repeats)
    is_chosen[~is_baseline] = pool.d_primes["repeat"].isin(confused_repeats)
    for row in pool.d_primes[is_chosen].to_dict("records"):
        collector.add(row)
    return collector.studies()


def take(study: StudyResponses, confused, baseline) -> StudyResponses:
    """The study of some networks, given as indices or masks."""
    return dataclasses.replace(
        study,
        confused_pair=study.confused_pair[confused],
        confused_seed=study.confused_seed[confused],
        baseline_seed=study.baseline_seed[baseline],
        confused=study.confused.select(confused),
        confused_without_pair=study.confused_without_pair.select(confused),
        baseline=study.baseline.select(baseline),
        baseline_without_pair=_listed(study).take(baseline),
    )


def log2_probability_study(study: StudyResponses) -> StudyResponses:
    """A study whose "accuracy" is the mean log2-probability, 1 + bits / 100.

    Tests do not change with scale and origin; this one keeps shares between 0 and 1.
    """

    def rates(values: Rates | CountedRates) -> Rates:
        values = values.select(slice(None))
        return dataclasses.replace(values, accuracy=1 + values.log2_probability / 100)

    names = ("confused", "confused_without_pair", "baseline")
    return dataclasses.replace(
        study,
        # It is no share of images, and has no steps.
        test_images_per_class=np.full_like(study.test_images_per_class, 10**9),
        baseline_without_pair=ListedRates(rates(_listed(study).rates)),
        **{name: rates(getattr(study, name)) for name in names},
    )


def _listed(study: StudyResponses) -> ListedRates:
    """All responses of single baseline networks, if the study was read with them."""
    without_pair = study.baseline_without_pair
    if not isinstance(without_pair, ListedRates):
        raise ValueError(
            "Expected a study with the responses of single networks. Received: counts. "
            "Use read_study(..., single_networks=True)."
        )
    return without_pair
