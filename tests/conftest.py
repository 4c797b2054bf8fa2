import collections
import json

import keras
import numpy as np
import pytest
import tensorboard.context
import xarray as xr
from tensorboard.backend.event_processing import (
    data_provider,
    plugin_event_multiplexer,
)
from tensorboard.data import provider

from keras_confusion.cli import exit_codes
from keras_confusion.comparisons import responses
from keras_confusion.comparisons.rates import ListedRates, Rates
from keras_confusion.datasets import loading as dataset_loading
from keras_confusion.execution import runtime
from keras_confusion.prototypes import store as prototype_store
from keras_confusion.storage import sealed_json, study_folder
from keras_confusion.training import intervals as training_intervals
from keras_confusion.training import recipes
from keras_confusion.training import trainer as training_trainer
from tb_plugin import metadata
from tests.support import drawing

runtime.start_tensorflow(threads=1)
# Warnings are looked for where users of the scripts see them.
exit_codes.show_warnings()

PAIRS = [(0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)]
REPEATS = 6
NUM_BASELINE = 9


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup():
    """Layers without a seed of their own begin every test alike, fixtures' too."""
    keras.utils.set_random_seed(0)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items):
    """The files with most slow tests come first: none is run alone at the end."""
    slow = collections.Counter(i.path for i in items if i.get_closest_marker("slow"))
    every = collections.Counter(item.path for item in items)
    items.sort(key=lambda item: (-slow[item.path], -every[item.path]))


@pytest.fixture
def rng():
    return np.random.default_rng(42)


def rates(rng, *shape):
    return Rates(
        accuracy=rng.uniform(0.4, 0.9, shape),
        false_positive_rate=rng.uniform(0.01, 0.2, shape),
        log2_probability=rng.uniform(-2, -0.5, shape),
    )


def blank_members(rates, pair_of_row):
    for row, pair in enumerate(pair_of_row):
        for values in (
            rates.accuracy,
            rates.false_positive_rate,
            rates.log2_probability,
        ):
            values[row][..., list(PAIRS[pair])] = np.nan
    return rates


@pytest.fixture
def study(rng):
    """Responses of every pair of four classes, drawn without any effect."""
    confused_pair = np.repeat(np.arange(len(PAIRS)), REPEATS)
    return responses.StudyResponses(
        pairs=PAIRS,
        confused_pair=confused_pair,
        confused_seed=np.tile(np.arange(REPEATS), len(PAIRS)),
        baseline_seed=np.arange(NUM_BASELINE),
        confused=rates(rng, len(confused_pair), 4),
        confused_without_pair=blank_members(
            rates(rng, len(confused_pair), 4), confused_pair
        ),
        baseline=rates(rng, NUM_BASELINE, 4),
        baseline_without_pair=ListedRates(
            blank_members(rates(rng, len(PAIRS), NUM_BASELINE, 4), range(len(PAIRS)))
        ),
        prior=np.array([0.4, 0.2, 0.2, 0.2]),
        test_images_per_class=np.array([40, 20, 20, 20]),
    )


@pytest.fixture(scope="session")
def digits():
    return dataset_loading.load_dataset("digits")


@pytest.fixture(scope="session")
def digits_classifier(digits):
    """The poster's CNN after a few epochs on the digits, nine in ten right."""
    trainer = training_trainer.Trainer(
        digits,
        recipe=recipes.find_recipe("annealed", num_train=digits.train.num_examples),
        epochs=4,
    )
    trainer.train([training_trainer.TrainingTask(initialisation_seed=0, order_seed=0)])
    return trainer.model


@pytest.fixture(scope="session")
def synthetic_study():
    """A function that makes prototype studies without any network."""
    return make_synthetic_study


def make_synthetic_study(
    *,
    num_classes=4,
    num_intervals=3,
    num_initialisations=2,
    image_shape=(6, 6, 3),
    num_features=8,
    seed=0,
):
    """A study in which classes come apart with training and images grow out of noise.

    Features are those of the target and a little of the origin. Everything is finished
    and converged.
    """
    n, rng = num_classes, np.random.default_rng(seed)
    names = [f"class {k}" for k in range(n)]
    parts = (num_intervals, num_initialisations)
    target, origin, feature = ("target",), ("origin",), ("feature",)
    pixel = ("height", "width", "channel")
    part = ("interval", "initialisation")
    progress = np.linspace(0.2, 1, num_intervals)[:, None, None, None, None]

    common = rng.random(num_features)
    class_features = rng.random((num_initialisations, n, num_features)) ** 3
    noise = rng.random((*parts, n, n, num_features))
    features = 0.4 - 0.3 * progress + 0.3 * common + 0.15 * noise
    features += progress * class_features[:, :, None] + 0.1 * class_features[:, None]
    boundary = (features + features.swapaxes(2, 3)) / 2 + 0.05 * noise
    boundary[:, :, range(n), range(n)] = np.nan

    height, width, channels = image_shape
    y, x = np.meshgrid(np.arange(height), np.arange(width), indexing="ij")
    angle = np.arange(n)[:, None, None] * np.pi / n
    pattern = np.sin((x * np.cos(angle) + y * np.sin(angle)) * 12 / height)[..., None]
    pattern = pattern * rng.uniform(-1, 1, (n, 1, 1, channels))
    dust = rng.random((num_initialisations, n, *image_shape), np.float32)
    grown = np.clip(dust + 0.15 * progress[..., None] * pattern, 0, 1)
    image = np.clip(
        grown[:, :, None] + 0.1 * progress[..., None, None] * pattern[:, None], 0, 1
    )
    image[:, :, range(n), range(n)] = grown
    start = np.concatenate([np.broadcast_to(dust, grown[:1].shape), grown[:-1]])
    between = (image + image.swapaxes(2, 3)) / 2
    between[:, :, range(n), range(n)] = np.nan

    off = ~np.eye(n, dtype=bool)
    counts = rng.integers(5, 60, (*parts, n, n))
    values = {
        "image": (part + target + origin + pixel, image.astype(np.float32)),
        "loss": (part + target + origin, np.full((*parts, n, n), 0.009, np.float32)),
        "iterations": (part + target + origin, counts.astype(np.int32)),
        "converged": (part + target + origin, np.ones((*parts, n, n), bool)),
        "predicted": (
            part + target + origin,
            np.broadcast_to(np.arange(n)[:, None], (*parts, n, n)).astype(np.int16),
        ),
        "features": (part + target + origin + feature, features.astype(np.float32)),
        "start": (part + target + pixel, start.astype(np.float32)),
        "boundary_image": (part + target + origin + pixel, between.astype(np.float32)),
        "boundary_features": (
            part + target + origin + feature,
            boundary.astype(np.float32),
        ),
        "adversarial_image": (part + target + pixel, grown.astype(np.float32)),
        "adversarial_features": (
            part + target + feature,
            (features.mean(axis=3) + 0.1).astype(np.float32),
        ),
        "adversarial_fooled": (part + target, np.ones((*parts, n), bool)),
        "finished": (part, np.ones(parts, bool)),
        "test_accuracy": (("interval",), np.linspace(0.55, 0.78, num_intervals)),
        "boundary_gap": (
            part + target + origin,
            np.where(off, rng.normal(0, 0.01, (*parts, n, n)), np.nan),
        ),
        "boundary_loss": (
            part + target + origin,
            np.where(off, np.full((*parts, n, n), 0.7), np.nan),
        ),
        "boundary_converged": (
            part + target + origin,
            np.broadcast_to(off, (*parts, n, n)).copy(),
        ),
        "boundary_iterations": (part + target + origin, counts.astype(np.int32)),
    }
    coords = {
        "interval": list(training_intervals.PERCENTAGES[:num_intervals]),
        "initialisation": range(num_initialisations),
        "target": names,
        "origin": names,
    }
    return xr.Dataset(values, coords)


@pytest.fixture
def write_prototype_study(synthetic_study, tmp_path):
    """A function that writes a synthetic study as the real one is written."""

    def write(*, finished=None, left_out=(), num_frames=0, **options):
        study = synthetic_study(**options)
        if num_frames:
            study["frames"] = _frames(study["image"], num_frames)
        else:
            left_out = ("frames", *left_out)
        left_out = ("parameters", *left_out)
        names = [*study["target"].values.tolist()[:-1], "<b>dog & cat</b>"]
        directory = tmp_path / "study"
        percentages = study["interval"].values.tolist()
        prototype_store.open_study(
            directory,
            {
                "settings": {
                    "dataset": "digits",
                    "model": "resnet18",
                    "width": 16,
                    "intervals": percentages,
                },
                "class_names": names,
                "dataset_fingerprint": "",
            },
            {**study.sizes, "frame": num_frames},
            left_out=left_out,
        )
        for interval, percentage in enumerate(percentages):
            folder = prototype_store.model_directory(directory, percentage)
            folder.mkdir(parents=True)
            accuracy = float(study["test_accuracy"][interval])
            description = {
                "test_accuracy": accuracy,
                "test_class_accuracies": [accuracy] * len(names),
                "class_names": names,
                "training": {"epoch_losses": [2, 1], "epoch_accuracies": [0.1, 0.5]},
            }
            (folder / "model.json").write_text(json.dumps(description))
        for interval, init in np.ndindex(study["finished"].shape):
            if finished is not None and (interval, init) not in finished:
                continue
            part = study.isel(interval=interval, initialisation=init)
            values = {
                name: part[name].values
                for name in prototype_store.ARRAYS
                if name in part and name != "finished"
            }
            prototype_store.write_part(directory, interval, init, values)
        return directory

    return write


def _frames(image, num_frames):
    """From black to the image."""
    share = xr.DataArray(np.linspace(0, 1, num_frames), dims="frame")
    frames = np.round(255 * image * share).astype(np.uint8)
    return frames.transpose(*prototype_store.ARRAYS["frames"].axes)


@pytest.fixture
def undrawn(monkeypatch):
    """Reports make and name their figures, and do not draw them, which takes long."""
    drawing.leave_undrawn(monkeypatch)


@pytest.fixture
def study_json_reads(monkeypatch):
    """Every `study.json` that is read from here on, once for each time."""
    reads, read_json = [], sealed_json.read_json

    def read(file):
        if file.name == study_folder.DESCRIPTION:
            reads.append(file)
        return read_json(file)

    monkeypatch.setattr(sealed_json, "read_json", read)
    return reads


@pytest.fixture(scope="session")
def read_plugin_data():
    """A function that reads what TensorBoard keeps of a run for the plugin.

    Values by tag and step: arrays, and lists of files.
    """

    def read(directory, run):
        multiplexer = plugin_event_multiplexer.EventMultiplexer(
            tensor_size_guidance={metadata.PLUGIN_NAME: 0}
        )
        multiplexer.AddRunsFromDirectory(str(directory))
        multiplexer.Reload()
        provided = data_provider.MultiplexerDataProvider(multiplexer, str(directory))
        context = tensorboard.context.RequestContext()
        what = {
            "experiment_id": "",
            "plugin_name": metadata.PLUGIN_NAME,
            "downsample": 10**6,
            "run_tag_filter": provider.RunTagFilter(runs=[run]),
        }
        found = collections.defaultdict(dict)
        for tag, series in provided.read_tensors(context, **what)[run].items():
            for datum in series:
                found[tag][datum.step] = datum.numpy
        blobs = provided.read_blob_sequences(context, **what).get(run, {})
        for tag, series in blobs.items():
            for datum in series:
                found[tag][datum.step] = [
                    provided.read_blob(context, blob_key=reference.blob_key)
                    for reference in datum.values
                ]
        return found

    return read
