import functools
import json
import shutil
import subprocess
import sys
import time

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_confusion import errors
from keras_confusion.prototypes import mending
from keras_confusion.prototypes import settings as prototype_settings
from keras_confusion.prototypes import store as prototype_store
from keras_confusion.prototypes import study as prototype_study
from keras_confusion.prototypes.plan import PrototypePlan
from keras_confusion.prototypes.settings import PrototypeSettings
from keras_confusion.storage import locks, sealed_json, study_folder

NUM_CLASSES = 4
SETTINGS = {
    "image_size": (18, 18),
    "epochs": 8,
    "learning_rate": 0.003,
    "intervals": (40, 100),
    "inits": 2,
    "prototype_learning_rate": 0.2,
    "dtype_policy": "float32",
    "prototype_dtype": "float32",
}


@pytest.fixture(scope="module")
def dataset(digits, tmp_path_factory):
    """The digits 0 to 3 in one channel."""
    arrays = {}
    for name, split in (("train", digits.train), ("test", digits.test)):
        images, labels = split.arrays()
        chosen = labels < NUM_CLASSES
        arrays[f"x_{name}"] = images[chosen][..., :1]
        arrays[f"y_{name}"] = labels[chosen]
    path = tmp_path_factory.mktemp("data") / "four_digits.npz"
    np.savez(path, class_names=["zero", "one", "two", "three"], **arrays)
    return str(path)


@pytest.fixture(scope="module")
def run(dataset):
    return functools.partial(
        prototype_study.run_prototype_study, dataset=dataset, **SETTINGS
    )


@pytest.fixture(scope="module")
def folder(run, tmp_path_factory):
    """A finished study."""
    directory = tmp_path_factory.mktemp("study") / "digits"
    summary = run(directory, frames=3)
    assert (summary.num_trained, summary.num_parts, summary.num_all_parts) == (2, 4, 4)
    return directory


@pytest.fixture(scope="module")
def study(folder):
    return prototype_store.read_prototype_study(folder)


def assert_same(directory, other):
    """Every array of two studies is the same, bit for bit, but for times."""
    first, second = map(prototype_store.read_prototype_study, (directory, other))
    assert set(first) == set(second)
    for name in set(first) - {"seconds"}:
        np.testing.assert_array_equal(first[name].values, second[name].values, name)


def weights(directory, percentage):
    path = prototype_store.model_directory(directory, percentage) / "model.keras"
    return keras.saving.load_model(path, compile=False).get_weights()


def test_prototypes_are_what_they_say_when_checked_afresh(folder, study):
    assert study["finished"].values.all()
    assert study["converged"].values.mean() > 0.9
    for interval, percentage in enumerate(SETTINGS["intervals"]):
        loaded = tf.saved_model.load(f"{folder}/models/{percentage}/saved_model")
        for init in range(2):
            part = study.isel(interval=interval, initialisation=init)
            images = part["image"].values.reshape(-1, 18, 18, 1)
            logits = loaded.serve(images).numpy().reshape(4, 4, 4)
            targets = np.broadcast_to(np.arange(4)[:, None], (4, 4))
            losses = tf.nn.sparse_softmax_cross_entropy_with_logits(targets, logits)
            converged = part["converged"].values
            np.testing.assert_array_equal(converged, losses.numpy() < 0.01)
            right = logits.argmax(axis=-1) == targets
            assert right[converged].all()
            np.testing.assert_array_equal(part["predicted"], logits.argmax(axis=-1))
            np.testing.assert_allclose(part["loss"], losses, rtol=1e-3, atol=1e-6)
            np.testing.assert_allclose(
                part["features"].values.reshape(16, -1),
                loaded.features(images),
                rtol=1e-3,
                atol=1e-4,
            )


def test_boundary_images_have_both_classes_on_top(folder, study):
    loaded = tf.saved_model.load(f"{folder}/models/100/saved_model")
    part = study.sel(interval=100, initialisation=1)
    off_diagonal = ~np.eye(4, dtype=bool)
    converged = part["boundary_converged"].values
    assert converged[off_diagonal].mean() > 0.8
    assert not converged[~off_diagonal].any()
    for target, origin in np.argwhere(converged):
        image = part["boundary_image"].values[target, origin]
        logits = loaded.serve(image[None]).numpy()[0]
        assert abs(logits[target] - logits[origin]) < 0.011
        assert set(np.argsort(logits)[-2:]) == {target, origin}
        np.testing.assert_allclose(
            part["boundary_gap"].values[target, origin],
            logits[target] - logits[origin],
            atol=1e-3,
        )
    assert np.isnan(part["boundary_image"].values[~off_diagonal]).all()
    assert np.isnan(part["boundary_features"].values[~off_diagonal]).all()


def test_class_prototypes_start_from_noise_and_go_on_from_the_interval_before(study):
    class_images = np.einsum("isttyxc->istyxc", study["image"].values)
    start = study["start"].values
    assert np.any(start[0, 0] != start[0, 1])
    np.testing.assert_array_equal(start[1], class_images[0])
    # Intermediary prototypes are nearer to their origin than to other classes'.
    part = study.isel(interval=1, initialisation=0)
    distance = np.linalg.norm(
        (part["image"].values[:, :, None] - class_images[1, 0]).reshape(4, 4, 4, -1),
        axis=-1,
    )
    expected = np.broadcast_to(np.arange(4), (4, 4))
    np.testing.assert_array_equal(distance.argmin(axis=-1), expected)


def test_frames_lead_from_the_start_to_the_prototype(study):
    frames = study["frames"].values / 255
    part = study.isel(interval=0, initialisation=0)
    assert frames.shape[4] == 3
    for k in range(4):
        np.testing.assert_allclose(
            frames[0, 0, k, k, 0], part["start"].values[k], atol=0.003
        )
    for k, j in ((1, 2), (3, 0)):
        np.testing.assert_allclose(
            frames[0, 0, k, j, 0], part["image"].values[j, j], atol=0.003
        )
        np.testing.assert_allclose(
            frames[0, 0, k, j, -1], part["image"].values[k, j], atol=0.003
        )


def test_attacked_prototypes_change_their_class(folder, study):
    loaded = tf.saved_model.load(f"{folder}/models/100/saved_model")
    part = study.sel(interval=100, initialisation=0)
    assert part["adversarial_fooled"].values.all()
    attacked = loaded.serve(part["adversarial_image"].values).numpy()
    np.testing.assert_array_equal(part["adversarial_predicted"], attacked.argmax(-1))
    assert (part["adversarial_predicted"].values != np.arange(4)).all()


def test_names_and_accuracies_come_with_the_arrays(folder, study):
    assert study["target"].values.tolist() == ["zero", "one", "two", "three"]
    assert study["interval"].values.tolist() == [40, 100]
    description = json.loads((folder / "models/100/model.json").read_text())
    assert study["test_accuracy"].sel(interval=100) == description["test_accuracy"]
    assert description["test_accuracy"] > 0.9
    assert description["training"]["trained_percent"] == 100
    assert len(description["training"]["epoch_losses"]) == 8


class Killed(BaseException):
    pass


def lose_prototypes(directory, interval):
    """As before there were any of them. The networks stay."""
    folders = list((directory / prototype_store.STORE).glob(f"*/c/{interval}"))
    assert len(folders) > 10
    for chunks in folders:
        shutil.rmtree(chunks)
    assert not prototype_store.finished_parts(directory)[interval].any()


@pytest.mark.parametrize(
    "parts_before",
    [
        pytest.param(0, marks=pytest.mark.exhaustive),
        pytest.param(1, marks=pytest.mark.exhaustive),
        3,
    ],
)
def test_study_that_was_stopped_ends_like_one_that_was_not(
    parts_before, run, folder, tmp_path, monkeypatch
):
    stopped = shutil.copytree(folder, tmp_path / "stopped")
    lose_prototypes(stopped, 1)
    if parts_before < 2:
        lose_prototypes(stopped, 0)
        shutil.rmtree(stopped / "models" / "100")
    write = prototype_store.write_part
    done = np.argwhere(prototype_store.finished_parts(stopped)).tolist()

    def stop(directory, interval, init, values):
        if len(done) == parts_before:
            # As a process that dies half-way through a part.
            half = {"image": values["image"], "loss": values["loss"] + 1}
            write(directory, interval, init, half)
            prototype_store.open_array(directory, "finished")[interval, init] = False
            raise Killed
        done.append((interval, init))
        write(directory, interval, init, values)

    monkeypatch.setattr(prototype_store, "write_part", stop)
    with pytest.raises(Killed):
        run(stopped, frames=3)
    assert prototype_store.finished_parts(stopped).sum() == parts_before
    monkeypatch.undo()
    summary = run(stopped, frames=3)
    assert summary.num_parts == 4 - parts_before
    assert summary.num_trained == (parts_before < 2)
    assert_same(stopped, folder)
    assert run(stopped, frames=3).num_parts == 0


@pytest.mark.slow
def test_training_that_was_stopped_between_intervals_of_steps_goes_on(
    run, tmp_path, monkeypatch
):
    options = {
        **{"interval_of": "steps", "recipe": "momentum", "learning_rate": 0.02},
        **{"inits": 1, "boundaries": False},
    }
    run(tmp_path / "whole", **options)
    from keras_confusion.training import trained_model

    train = trained_model.train
    calls = []

    def stop(*args, **kwargs):
        if calls:
            raise Killed
        calls.append(1)
        return train(*args, **kwargs)

    monkeypatch.setattr(trained_model, "train", stop)
    with pytest.raises(Killed):
        run(tmp_path / "stopped", **options)
    monkeypatch.undo()
    run(tmp_path / "stopped", **options)
    for percentage in SETTINGS["intervals"]:
        expected = weights(tmp_path / "whole", percentage)
        received = weights(tmp_path / "stopped", percentage)
        for first, second in zip(expected, received, strict=True):
            np.testing.assert_array_equal(first, second)
    assert_same(tmp_path / "stopped", tmp_path / "whole")
    # Momentum and schedule are needed for it.
    assert any(
        np.any(a != b)
        for a, b in zip(
            weights(tmp_path / "whole", 40),
            weights(tmp_path / "whole", 100),
            strict=True,
        )
    )


def test_other_networks_are_not_mixed_into_a_study(run, folder, tmp_path):
    directory = shutil.copytree(folder, tmp_path / "study")
    shutil.rmtree(directory / "models" / "40")
    shutil.copytree(directory / "models" / "100", directory / "models" / "40")
    with pytest.raises(study_folder.StudyFolderError, match="another network, which"):
        run(directory, frames=3)
    description_file = directory / "models" / "40" / "model.json"
    description = sealed_json.read(description_file)
    description_file.write_text(json.dumps({**description, "trained_from": None}))
    with pytest.raises(study_folder.StudyFolderError, match="those of another one"):
        run(directory, frames=3)


def changed_model(*, input_shape, num_classes, seed):
    """The poster's layers on the negative of the image: the weights still fit."""
    from keras_confusion.models import architectures

    poster = architectures.cnn(
        input_shape=input_shape, num_classes=num_classes, seed=seed
    )
    layers = [type(layer).from_config(layer.get_config()) for layer in poster.layers]
    negative = keras.layers.Rescaling(-1.0, 1.0)
    return keras.Sequential([keras.Input(input_shape), negative, *layers])


class Uncopyable(keras.layers.Dense):
    """Cannot be made again from its configuration."""

    def __init__(self, units, secret):
        super().__init__(units)
        self.secret = secret


def uncopyable_model(*, input_shape, num_classes, seed):
    layers = [keras.layers.Flatten(), Uncopyable(8, 1), keras.layers.Dense(num_classes)]
    return keras.Sequential([keras.Input(input_shape), *layers])


def test_model_function_that_was_changed_is_noticed(run, folder, tmp_path, monkeypatch):
    from keras_confusion.models import architectures

    directory = shutil.copytree(folder, tmp_path / "study")
    shutil.rmtree(directory / "models" / "100")
    monkeypatch.setitem(architectures._BUILDERS, "cnn", changed_model)
    with pytest.raises(study_folder.StudyFolderError, match="the model has other lay"):
        run(directory, frames=3)
    # A study from before the folder said what the model is.
    description = sealed_json.read(directory / "study.json")
    del description["identity"]
    for name in ("study.json", ".study.json.copy"):
        sealed_json.write(directory / name, description)
    with pytest.raises(study_folder.StudyFolderError, match="as the model is built"):
        run(directory, frames=3)


def test_network_goes_on_training_between_intervals_of_data(folder):
    before, after = weights(folder, 40), weights(folder, 100)
    correlation = np.corrcoef(before[0].ravel(), after[0].ravel())[0, 1]
    assert 0.5 < correlation < 0.9999


def test_initialisations_need_not_share_a_batch(run, folder, tmp_path):
    directory = shutil.copytree(folder, tmp_path / "study")
    lose_prototypes(directory, 1)
    summary = run(directory, frames=3, inits_at_a_time=1)
    # Prototypes are made again, the networks are kept.
    assert (summary.num_trained, summary.num_parts) == (0, 2)
    first, second = map(prototype_store.read_prototype_study, (folder, directory))
    np.testing.assert_allclose(first["image"], second["image"], atol=2e-3)
    np.testing.assert_allclose(first["features"], second["features"], atol=0.05)


def test_bfloat16_costs_no_correctness(run, folder, tmp_path):
    directory = shutil.copytree(folder, tmp_path / "study")
    lose_prototypes(directory, 1)
    with pytest.raises(
        study_folder.StudyFolderError, match="prototype_dtype: 'float32'"
    ):
        run(directory, frames=3, prototype_dtype="bfloat16")
    description = sealed_json.read(directory / "study.json")
    description["settings"]["prototype_dtype"] = "bfloat16"
    (directory / "study.json").write_text(json.dumps(description))
    run(directory, frames=3, prototype_dtype="bfloat16")
    exact, study = (
        prototype_store.read_prototype_study(made).sel(interval=100)
        for made in (folder, directory)
    )
    assert np.any(exact["image"].values != study["image"].values)
    # The criterion is that of the saved network, in float32.
    loaded = tf.saved_model.load(f"{directory}/models/100/saved_model")
    images = study["image"].values
    logits = loaded.serve(images.reshape(-1, 18, 18, 1)).numpy()
    targets = np.broadcast_to(np.arange(4)[:, None], (2, 4, 4)).ravel()
    losses = tf.nn.sparse_softmax_cross_entropy_with_logits(targets, logits).numpy()
    converged = study["converged"].values.ravel()
    np.testing.assert_array_equal(converged, losses < 0.01)
    gaps = study["boundary_gap"].values[study["boundary_converged"].values]
    assert (np.abs(gaps) < 0.01).all()
    # As many, by about as many updates.
    for name in ("converged", "boundary_converged"):
        assert study[name].values.sum() >= exact[name].values.sum() - 2
    ratio = study["iterations"].values.sum() / exact["iterations"].values.sum()
    assert 0.9 < ratio < 1.1


def test_bfloat16_is_taken_where_the_machine_computes_in_it(monkeypatch):
    from keras_confusion.execution import runtime

    for policy, dtype in (("float32", "float32"), ("mixed_bfloat16", "bfloat16")):
        monkeypatch.setattr(
            runtime, "default_dtype_policy", lambda policy=policy: policy
        )
        assert PrototypeSettings().settled_prototype_dtype() == dtype
        chosen = PrototypeSettings(prototype_dtype="float32")
        assert chosen.settled_prototype_dtype() == "float32"


def test_model_that_cannot_be_copied_is_refused_before_there_is_a_folder(run, tmp_path):
    options = {"model": f"{__name__}:uncopyable_model", "boundaries": False}
    with pytest.raises(ValueError, match="Use float32"):
        run(tmp_path / "study", prototype_dtype="bfloat16", **options)
    assert not list(tmp_path.iterdir())


def test_prototypes_may_begin_afresh_in_every_interval(run, folder, tmp_path):
    # A study of the same networks, whose prototypes are still to be made.
    settings = {"start": "noise", "inits": 1, "boundaries": False}
    description = sealed_json.read(folder / "study.json")
    description["settings"] |= {**settings, "frames": 0}
    directory = tmp_path / "noise"
    shutil.copytree(folder / "models", directory / "models")
    (directory / "study.json").write_text(json.dumps(description))
    summary = run(directory, **settings)
    assert (summary.num_trained, summary.num_parts) == (0, 2)
    study = prototype_store.read_prototype_study(directory)
    start = study["start"].values
    np.testing.assert_array_equal(start[0], start[1])
    assert not any(name.startswith("boundary") for name in study)
    assert "frames" not in study
    assert study["finished"].values.all()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["fourier", "maco"])
def test_readable_prototypes_go_on_where_a_killed_study_stopped(
    name, run, folder, tmp_path
):
    settings = {
        "parametrization": name,
        "start": "previous",
        "steps": 12,
        "prototype_learning_rate": None,
        "inits": 2,
        "frames": 3,
    }

    def begin(directory):
        shutil.copytree(folder / "models", directory / "models")
        description = sealed_json.read(folder / "study.json")
        usual = {"fourier": 0.03, "maco": 0.1}[name]
        description["settings"] |= {
            **settings,
            "transformations": "standard",
            "update_rule": "adam",
            "prototype_learning_rate": usual,
        }
        (directory / "study.json").write_text(json.dumps(description))
        return directory

    whole = begin(tmp_path / "whole")
    assert run(whole, **settings).num_parts == 4
    study = prototype_store.read_prototype_study(whole).load()
    assert (study["iterations"].isel(target=0, origin=0) == 12).all()
    assert (study["iterations"].isel(target=0, origin=1) == 6).all()
    # Images of the second interval go on from the parameters of the first.
    first = study.isel(interval=0)["image"].values[:, range(4), range(4)]
    np.testing.assert_array_equal(study.isel(interval=1)["start"], first)
    assert study["parameters"].shape[:3] == (2, 2, 4)
    # One initialisation at a time: the same but for other batches' last digits.
    pieces = begin(tmp_path / "pieces")
    run(pieces, **settings, inits_at_a_time=1)
    before = prototype_store.read_prototype_study(pieces).load()
    np.testing.assert_allclose(before["image"], study["image"], atol=0.02)
    mending.forget_part(pieces, 1, 1)
    assert run(pieces, **settings, inits_at_a_time=1).num_parts == 1
    after = prototype_store.read_prototype_study(pieces).load()
    assert after.drop_vars("seconds").identical(before.drop_vars("seconds"))


def test_progress_is_shown_to_those_who_ask(run, folder, tmp_path, capfd):
    shutil.copytree(folder, tmp_path / "study")
    for verbose, is_shown in ((0, False), ("auto", False), (1, True)):
        mending.forget_part(tmp_path / "study", 1, 1)
        run(tmp_path / "study", frames=3, verbose=verbose)
        assert ("prototypes at 100 %" in capfd.readouterr().err) is is_shown
    with pytest.raises(ValueError, match="`verbose`"):
        run(tmp_path / "study", verbose=2)


def test_other_settings_and_other_folders_are_refused(run, folder, tmp_path):
    with pytest.raises(study_folder.StudyFolderError, match="max_iterations: 2000"):
        run(folder, frames=3, max_iterations=100)
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(study_folder.StudyFolderError, match="thesis.tex"):
        run(tmp_path)
    confusion = tmp_path / "confusion"
    study_folder.StudyFolder.begin_or_resume(
        confusion,
        {"kind": "confusion", "settings": {}, "class_names": ["a"]},
        begin=lambda: None,
        beginnings=(),
    )
    with pytest.raises(study_folder.StudyFolderError, match="a confusion study"):
        run(confusion)
    with (
        locks.locked(folder),
        pytest.raises(errors.StudyLockedError, match="Another process"),
    ):
        run(folder, frames=3)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"intervals": (50, 40)}, r"percentages that rise.*\[50, 40\]"),
        ({"intervals": (50, 120)}, "up to 100"),
        ({"interval_of": "epochs"}, "'data', 'steps'"),
        ({"inits": 0}, "`inits` of at least 1"),
        ({"start": "zero"}, "'previous', 'noise'"),
        ({"frames": 1}, "at least 2 for the first and the last"),
        ({"inits_at_a_time": 0}, "`inits_at_a_time` of at least 1"),
        ({"prototype_dtype": "float16"}, "'auto', 'float32', 'bfloat16'"),
        ({"width": 8}, "no `width` for the 'cnn' model"),
        ({"recipe": "fast"}, "'fast'"),
        ({"model": "resnet999"}, "resnet999"),
        ({"update_rule": "newton"}, "newton"),
        ({"max_iterations": -1}, "max_iterations"),
        ({"loss_threshold": 2.0}, "third class"),
    ],
)
def test_settings_that_make_no_sense_leave_no_folder(settings, message, run, tmp_path):
    with pytest.raises(ValueError, match=message):
        run(tmp_path / "study", **settings)
    assert not list(tmp_path.iterdir())


def test_poster_learning_rates():
    assert prototype_settings.poster_learning_rate(10) == 0.01
    assert prototype_settings.poster_learning_rate(100) == 0.1


def test_noise_depends_on_seed_and_initialisation(dataset, tmp_path):
    def start(init, **settings):
        chosen = PrototypeSettings(dataset=dataset, image_size=(18, 18), **settings)
        return PrototypePlan(chosen, tmp_path, None).start(init)

    np.testing.assert_array_equal(start(0), start(0))
    assert np.any(start(0) != start(1))
    assert np.any(start(0) != start(0, seed=1))


@pytest.mark.slow
def test_killed_process_loses_nothing_that_was_finished(dataset, tmp_path):
    directory = tmp_path / "study"
    command = [
        sys.executable,
        "scripts/run_prototype_study.py",
        *("--dataset", dataset, "--image-size", "18", "18", "--epochs", "8"),
        *("--learning-rate", "0.003", "--out", str(directory)),
        *("--intervals", "40", "100", "--inits", "2"),
        *("--prototype-learning-rate", "0.2", "--no-boundaries"),
    ]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        time.sleep(0.2)
        if (directory / prototype_store.STORE).exists():
            finished = prototype_store.finished_parts(directory).sum()
            if finished >= 2:
                break
    process.kill()
    process.wait()
    before = prototype_store.read_prototype_study(directory).load()
    assert 2 <= before["finished"].values.sum() < 4
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "All of them converged" in done.stdout
    after = prototype_store.read_prototype_study(directory).load()
    assert after["finished"].values.all()
    for interval, init in np.argwhere(before["finished"].values):
        for name in ("image", "features", "seconds"):
            kept = before[name].values[interval, init]
            np.testing.assert_array_equal(kept, after[name].values[interval, init])


def test_prototypes_of_a_number_of_steps_begin_afresh(dataset, tmp_path):
    def plan(**settings):
        chosen = PrototypeSettings(dataset=dataset, **settings)
        return PrototypePlan(chosen, tmp_path, None)

    assert plan().goes_on
    assert not plan(parametrization="fourier").goes_on
    assert plan(parametrization="fourier", start="previous").goes_on
    stored = plan(parametrization="maco").description()["settings"]
    assert stored["start"] == "noise"
    assert (stored["steps"], stored["transformations"]) == (128, "standard")
    assert (stored["update_rule"], stored["prototype_learning_rate"]) == ("adam", 0.1)
    stored = plan().description()["settings"]
    assert (stored["start"], stored["update_rule"]) == ("previous", "normalized")
    assert (stored["steps"], stored["transformations"]) == (None, "none")
