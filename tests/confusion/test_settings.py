import pathlib

import numpy as np
import pytest

from keras_confusion.confusion import network_files
from keras_confusion.confusion import settings as confusion_settings
from keras_confusion.confusion import store as confusion_store
from keras_confusion.confusion.settings import ConfusionSettings
from keras_confusion.datasets import corruption
from keras_confusion.errors import StudyFolderError
from keras_confusion.storage.study_folder import StudyFolder

OLD_STUDY = pathlib.Path(__file__).parents[2] / "docs/results/confusion_cifar10"
ARMS = [None, (0, 1), (0, 2), (1, 2)]
OF_WEIGHTS_AND_ORDER = ("seed", "initialisation_seed", "order_seed")


def all_seeds(**settings):
    return [
        confusion_settings.network_seeds(
            ConfusionSettings(**settings), repeat, pair, attempt
        )
        for repeat in range(3)
        for pair in ARMS
        for attempt in range(2)
    ]


def test_studies_on_disk_go_on_with_the_seeds_that_they_began_with():
    networks = confusion_store.read_networks(OLD_STUDY)
    for row in networks[networks["repeat"] < 2].to_dict("records"):
        pair = None
        if row["arm"] != network_files.BASELINE:
            pair = (int(row["class_a"]), int(row["class_b"]))
        seeds = confusion_settings.network_seeds(
            ConfusionSettings(), row["repeat"], pair, 0
        )
        stored = {name: row[name] for name in seeds}
        if pair is None:
            assert seeds.pop("corruption_seed") is None
            assert np.isnan(float(stored.pop("corruption_seed") or np.nan))
        assert stored == seeds


def test_networks_of_a_repeat_share_all_but_what_is_wrong():
    for name in OF_WEIGHTS_AND_ORDER:
        # Three repeats, two attempts.
        assert len({seeds[name] for seeds in all_seeds()}) == 6
    corrupted = [seeds["corruption_seed"] for seeds in all_seeds()]
    assert corrupted.count(None) == 6
    assert len(set(corrupted)) == 1 + 3 * 3 * 2


def test_own_seeds_are_shared_by_no_two_networks():
    for name in OF_WEIGHTS_AND_ORDER:
        own = {seeds[name] for seeds in all_seeds(shared_seeds=False)}
        assert len(own) == 3 * len(ARMS) * 2
        assert not own & {seeds[name] for seeds in all_seeds()}


def test_null_noise_is_drawn_for_every_network_and_the_baseline():
    noise = all_seeds(corruption="null", fraction=0.2)
    assert len({seeds["corruption_seed"] for seeds in noise}) == 3 * len(ARMS) * 2
    untouched = all_seeds(corruption="null", shared_seeds=False)
    assert {seeds["corruption_seed"] for seeds in untouched} == {None}


def test_null_noise_is_the_same_matrix_for_all_arms():
    settings = ConfusionSettings(corruption="null", fraction=0.3)
    for pair in ARMS:
        transition = confusion_settings.transition_of(settings, 5, pair)
        np.testing.assert_array_equal(transition, corruption.uniform_noise(5, 0.3))


@pytest.mark.parametrize(
    ("settings", "fraction"),
    [
        ({}, 0.5),
        ({"corruption": "one_way"}, 0.5),
        ({"corruption": "merge"}, 0.5),
        ({"corruption": "swap", "fraction": 0.0}, 0.0),
        ({"corruption": "null", "shared_seeds": False}, 0.0),
        ({"corruption": "null", "fraction": 0.4}, 0.4),
    ],
)
def test_fraction_without_one(settings, fraction):
    assert ConfusionSettings(**settings).settled_fraction == fraction


@pytest.mark.parametrize("fraction", [None, 0.0])
def test_null_study_of_one_network_again_and_again_is_refused(fraction):
    with pytest.raises(ValueError, match="Use --own-seeds, or --fraction 0.2"):
        ConfusionSettings(corruption="null", fraction=fraction)


def test_study_from_before_input_ranges_goes_on_only_as_it_was(tmp_path):
    """Its networks saw images from 0 to 1, whatever their model expected."""

    def begin_or_resume(input_range):
        asked = ConfusionSettings(model="theirs:build", input_range=input_range)
        description = {
            "kind": "confusion",
            "settings": confusion_settings.to_store(asked, {"pairs": [[0, 1]]}),
            "class_names": ["a", "b", "c"],
            "dataset_fingerprint": "0" * 64,
            "image_shape": [8, 8, 1],
            "num_train": 3,
            "num_test": 3,
            "provenance": {},
        }
        return StudyFolder.begin_or_resume(
            tmp_path / "study",
            description,
            begin=lambda: None,
            beginnings=(),
            added_settings=confusion_settings.ADDED_SETTINGS,
        )

    assert "input_range" not in begin_or_resume(None).settings
    message = r"input_range: \[0.0, 1.0\] in the folder, \[0.0, 255.0\] asked for"
    with pytest.raises(StudyFolderError, match=message):
        begin_or_resume((0.0, 255.0))
    # What the message says to do: --input-range 0 1.
    begin_or_resume((0.0, 1.0))
