import functools
import os
import shutil

import keras
import numpy as np
import pytest

from keras_confusion.prototypes import store as prototype_store
from keras_confusion.prototypes import study as prototype_study
from keras_confusion.storage import sealed_json, study_folder
from keras_confusion.training import trained_model

INTERVALS = (40, 70, 100)


@pytest.fixture(scope="module")
def dataset(digits, tmp_path_factory):
    """The digits 0 to 2 in one channel."""
    arrays = {}
    for name, split in (("train", digits.train), ("test", digits.test)):
        images, labels = split.arrays()
        chosen = labels < 3
        arrays[f"x_{name}"] = images[chosen][..., :1]
        arrays[f"y_{name}"] = labels[chosen]
    path = tmp_path_factory.mktemp("data") / "three_digits.npz"
    np.savez(path, class_names=["zero", "one", "two"], **arrays)
    return str(path)


def small(*, input_shape, num_classes, seed):
    """Some layers only: quick to train and to save."""
    initializer = keras.initializers.GlorotUniform(seed=seed)
    layers = [
        keras.layers.Flatten(),
        keras.layers.Dense(16, "relu", kernel_initializer=initializer),
        keras.layers.Dense(num_classes, kernel_initializer=initializer),
    ]
    return keras.Sequential([keras.Input(input_shape), *layers])


@pytest.fixture(
    scope="module", params=["data", pytest.param("steps", marks=pytest.mark.slow)]
)
def run(request, dataset):
    from keras_confusion.models import architectures

    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(architectures._BUILDERS, "cnn", small)
        yield functools.partial(
            prototype_study.run_prototype_study,
            dataset=dataset,
            model="cnn",
            epochs=5,
            intervals=INTERVALS,
            interval_of=request.param,
            inits=2,
            inits_at_a_time=1,
            boundaries=False,
            prototype_learning_rate=0.2,
            dtype_policy="float32",
            prototype_dtype="float32",
        )


@pytest.fixture(scope="module")
def whole(run, tmp_path_factory):
    """A finished study."""
    directory = tmp_path_factory.mktemp("study") / "whole"
    run(directory)
    return directory


@pytest.fixture
def folder(whole, tmp_path):
    return shutil.copytree(whole, tmp_path / "study")


def flip_bit(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def file_of(folder, percentage, name="model.keras"):
    return folder / "models" / str(percentage) / name


def digests(folder):
    return [
        sealed_json.read(file_of(folder, percentage, "model.json"))["weights_sha256"]
        for percentage in INTERVALS
    ]


def assert_same(folder, whole):
    assert digests(folder) == digests(whole)
    first, second = map(prototype_store.read_prototype_study, (folder, whole))
    for name in set(first) - {"seconds"}:
        np.testing.assert_array_equal(first[name].values, second[name].values, name)


# Where intervals are of steps, an optimiser goes on, too.
only_intervals_of_data = pytest.mark.parametrize("run", ["data"], indirect=True)


@pytest.mark.parametrize(
    ("percentage", "name"),
    [(40, "saved_model"), (70, "model.json"), (100, "model.keras")],
)
def test_damaged_network_is_trained_anew_and_nothing_else(
    name, percentage, run, folder, whole, capsys
):
    if name == "saved_model":
        file = file_of(folder, percentage, "saved_model/saved_model.pb")
        file.unlink()
    else:
        file = file_of(folder, percentage, name)
        flip_bit(file)
    times = {
        other: os.stat(file_of(folder, other, "model.json")).st_mtime_ns
        for other in set(INTERVALS) - {percentage}
    }
    summary = run(folder)
    assert (summary.num_trained, summary.num_parts) == (1, 0)
    told = capsys.readouterr().err
    assert str(file) in told
    assert f"is now {percentage}.damaged" in told
    for other, modified in times.items():
        assert os.stat(file_of(folder, other, "model.json")).st_mtime_ns == modified
    assert_same(folder, whole)
    assert run(folder).num_trained == 0


def test_several_damaged_networks_are_trained_in_their_order(run, folder, whole):
    for percentage in INTERVALS[:2]:
        flip_bit(file_of(folder, percentage))
    assert run(folder).num_trained == 2
    assert_same(folder, whole)


@only_intervals_of_data
def test_network_that_comes_out_otherwise_takes_what_depends_on_it_along(
    run, folder, whole, capsys, monkeypatch
):
    # As on another machine, whose last digits are others.
    flip_bit(file_of(folder, 70))
    train = trained_model.train

    def train_otherwise(trainer, epochs, *, unit, **more):
        trained = train(trainer, epochs, unit=unit, **more)
        if "to 70 %" in unit:
            weights = trained.classifier.get_weights()
            weights[0] = weights[0] * np.float32(1.1)
            trained.classifier.set_weights(weights)
            trainer.take_weights(trained.classifier)
        return trained

    monkeypatch.setattr(trained_model, "train", train_otherwise)
    summary = run(folder)
    assert (summary.num_trained, summary.num_parts) == (2, 4)
    told = capsys.readouterr().err
    assert "100 went on from a damaged network, which came out otherwise" in told
    assert "Prototypes at 70 % are made again" in told
    assert digests(folder)[0] == digests(whole)[0]
    before, after = map(prototype_store.read_prototype_study, (whole, folder))
    np.testing.assert_array_equal(before["image"][0], after["image"][0])
    assert np.any(before["image"][1].values != after["image"][1].values)
    # All of it belongs together.
    numbers = [
        prototype_store.read_network_number(folder, percentage)
        for percentage in INTERVALS
    ]
    assert after["network"].values.tolist() == [[number] * 2 for number in numbers]
    np.testing.assert_array_equal(
        after["start"][2, 1],
        np.stack([after["image"][1, 1, k, k] for k in range(3)]),
    )
    monkeypatch.undo()
    assert run(folder).num_parts == 0


@only_intervals_of_data
def test_prototypes_that_started_from_others_are_made_anew(run, folder, whole, capsys):
    # As those before them may come out after damage, on another machine.
    array = prototype_store.open_array(folder, "image")
    image = array[0, 1, 2, 2]
    array[0, 1, 2, 2] = image / 2
    # They come out otherwise, and what started from them as well.
    assert run(folder).num_parts == 2
    told = capsys.readouterr().err
    for percentage in (70, 100):
        assert f"initialisation 1 at {percentage} % are made again" in told
    assert "initialisation 0" not in told
    assert run(folder).num_parts == 0


def test_state_of_the_optimiser_that_is_damaged_is_come_by_again(
    run, folder, whole, capsys
):
    if run.keywords["interval_of"] == "data":
        assert not list(folder.glob("optimizer_*"))
        return
    flip_bit(folder / "optimizer_70.npz")
    flip_bit(file_of(folder, 100))
    summary = run(folder)
    assert (summary.num_trained, summary.num_parts) == (1, 0)
    told = capsys.readouterr().err
    for percentage in (40, 70):
        assert f"The optimiser state at {percentage} % of the training" in told
    assert_same(folder, whole)
    # It is there again, and so is what is needed to go on.
    flip_bit(file_of(folder, 100))
    run(folder)
    assert "The optimiser state" not in capsys.readouterr().err
    assert_same(folder, whole)


@only_intervals_of_data
def test_damaged_network_stops_who_only_reads(run, folder):
    flip_bit(file_of(folder, 40, "model.json"))
    with pytest.raises(study_folder.StudyFolderError, match=r"40/model\.json is dam"):
        prototype_store.read_prototype_study(folder)
