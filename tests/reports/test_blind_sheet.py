import json
import re

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from keras_confusion.cli import blind_sheet as command
from keras_confusion.datasets import loading
from keras_confusion.datasets.labelled_dataset import LabelledDataset, Split
from keras_confusion.prototypes import store as prototype_store
from keras_confusion.reports import blind_sheet
from keras_confusion.reports.figures import numbered_images

NAMES = ["red", "green", "NA"]


def images_of(brightness, n=4, side=8):
    """Of class k nothing but channel k."""
    images = np.zeros((n, 3, side, side, 3), np.float32)
    for k in range(3):
        images[:, k, :, :, k] = brightness
    return images


@pytest.fixture
def sheet(tmp_path):
    images = {"fourier, a": images_of(0.4), blind_sheet.REAL: images_of(1.0)}
    blind_sheet.write(tmp_path, images, NAMES, num_images=7)
    return tmp_path


def answer(folder, answers):
    table = pd.read_csv(folder / blind_sheet.ANSWERS, dtype=str)
    table["answer"] = answers
    # As who fills it in may sort it.
    table[::-1].to_csv(folder / blind_sheet.ANSWERS, index=False)
    return folder / blind_sheet.ANSWERS


def cells_of(folder):
    return json.loads((folder / blind_sheet.KEY).read_text())["cells"]


def right(folder):
    return [cell["class"] for cell in cells_of(folder)]


def test_shares_have_exact_intervals(sheet):
    # R: binom.test(5, 7)$conf.int, binom.test(7, 7)$conf.int.
    answers = right(sheet)
    kinds = [cell["kind"] for cell in cells_of(sheet)]
    wrong, unanswered = [i for i, kind in enumerate(kinds) if kind == "fourier, a"][:2]
    answers[wrong] = next(name for name in NAMES if name != answers[wrong])
    answers[unanswered] = ""
    scores, confusions = blind_sheet.score(answer(sheet, answers))
    fourier, real = scores.to_dict("records")
    assert (fourier["kind"], real["kind"]) == ("fourier, a", blind_sheet.REAL)
    assert (fourier["n"], fourier["right"], fourier["unanswered"]) == (7, 5, 1)
    assert fourier["share_low"] == pytest.approx(0.2904209, abs=1e-6)
    assert fourier["share_high"] == pytest.approx(0.9633074, abs=1e-6)
    assert real["share"] == real["share_high"] == 1
    assert real["share_low"] == pytest.approx(0.5903836, abs=1e-6)
    assert real["chance"] == pytest.approx(1 / 3)
    assert confusions["n"].sum() == 14
    text = blind_sheet.text(scores, confusions)
    assert "0.29 to 0.96" in text
    assert f"{cells_of(sheet)[unanswered]['class']} for nothing (1)" in text


def test_every_number_is_above_its_image(sheet):
    picture = np.asarray(Image.open(sheet / "sheet_1.png").convert("RGB"))
    side = numbered_images.MIN_SIDE
    step = np.array([side + numbered_images.NUMBER_HEIGHT, side])
    step += numbered_images.GAP
    for place, cell in enumerate(cells_of(sheet)):
        top, left = step * divmod(place, numbered_images.COLUMNS)
        top, left = top + numbered_images.NUMBER_HEIGHT, left + numbered_images.GAP
        image = picture[top : top + side, left : left + side]
        expected = np.zeros(3)
        brightness = 255 if cell["kind"] == blind_sheet.REAL else 102
        expected[NAMES.index(cell["class"])] = brightness
        np.testing.assert_array_equal(image, np.broadcast_to(expected, image.shape))
        # The number, and nothing of it upon the image.
        assert (picture[top - numbered_images.NUMBER_HEIGHT : top] < 128).any()


def test_pixels_stay_squares_and_many_images_have_more_sheets(tmp_path, rng):
    images = {"noise": rng.random((40, 3, 24, 20, 3))}
    files = blind_sheet.write(tmp_path, images, NAMES, num_images=103)
    assert [file.name for file in files] == [
        "sheet_1.png",
        "sheet_2.png",
        "answers.csv",
    ]
    picture = np.asarray(Image.open(files[0]).convert("RGB"))
    top, left = numbered_images.NUMBER_HEIGHT, numbered_images.GAP
    times = 7
    first = picture[top : top + 24 * times, left : left + 20 * times]
    small = first[::times, ::times]
    np.testing.assert_array_equal(
        first, small.repeat(times, axis=0).repeat(times, axis=1)
    )
    drawn = (np.round(255 * image) for image in images["noise"].reshape(-1, 24, 20, 3))
    assert any(np.array_equal(image, small) for image in drawn)


def test_the_seed_decides_which_images_and_their_order(tmp_path):
    images = {"a": images_of(0.4, n=9), "b": images_of(1.0, n=2)}
    for name, seed in (("one", 1), ("same", 1), ("other", 2)):
        blind_sheet.write(tmp_path / name, images, NAMES, num_images=12, seed=seed)
    one, same, other = (cells_of(tmp_path / name) for name in ("one", "same", "other"))
    assert one == same != other
    assert (tmp_path / "one" / "sheet_1.png").read_bytes() == (
        tmp_path / "same" / "sheet_1.png"
    ).read_bytes()
    # Of the second kind there are no more.
    assert [cell["kind"] for cell in one].count("a") == 12
    assert [cell["kind"] for cell in one].count("b") == 6


def test_what_is_to_be_filled_in_says_nothing(sheet):
    assert (sheet / blind_sheet.ANSWERS).read_text() == (
        "number,answer\n" + "".join(f"{number},\n" for number in range(1, 15))
    )
    with pytest.raises(ValueError, match="perhaps with answers"):
        blind_sheet.write(sheet, {"a": images_of(1.0)}, NAMES)


@pytest.mark.parametrize(
    ("file", "change", "message"),
    [
        ("answers.csv", ("14,", "13,"), "column `number` from 1 to 14"),
        ("answers.csv", ("answer", "said"), "columns number, said"),
        ("answers.csv", ("14,", "14,blue"), "answers among red, green, NA. Rec.*blue"),
        ("answers.csv", ("number", '"number'), "files that came with the sheet"),
        (blind_sheet.KEY, ('"red"', '"green"'), "not as it was written"),
    ],
)
def test_what_cannot_be_scored_is_refused(sheet, file, change, message, capsys):
    path = sheet / file
    path.write_text(path.read_text().replace(*change, 1))
    assert command.main(["--score", str(sheet / "answers.csv")]) == 1
    told = capsys.readouterr().err
    assert told.startswith("Error: Expected")
    assert re.search(message, told)


def test_studies_of_other_images_are_refused(write_prototype_study, tmp_path):
    first = write_prototype_study(num_classes=3, num_intervals=1)
    first = first.rename(tmp_path / "first")
    second = write_prototype_study(num_classes=4, num_intervals=1)
    with pytest.raises(ValueError, match="Use a sheet for each"):
        blind_sheet.images_of_studies([first, second])


def test_a_study_is_scored_from_the_command_line(
    write_prototype_study, monkeypatch, tmp_path, capsys
):
    study = write_prototype_study(num_classes=3, num_intervals=2)
    labels = np.repeat(np.arange(3), 5).astype(np.int32)
    pixels = np.zeros((15, 6, 6, 3), np.uint8)
    pixels += labels[:, None, None, None].astype(np.uint8) * 100
    dataset = LabelledDataset(
        "digits", ("a", "b", "c"), Split(labels, pixels), Split(labels, pixels)
    )
    dataset.__dict__["fingerprint"] = ""
    monkeypatch.setattr(loading, "load_dataset", lambda name, **options: dataset)
    out = tmp_path / "sheet"
    words = [str(study), "--out", str(out), "--images", "4"]
    assert command.main(words) == 0
    told = capsys.readouterr().out
    assert f"--score {out / 'answers.csv'}" in told
    cells = cells_of(out)
    assert {cell["kind"] for cell in cells} == {f"pixels, {study}", blind_sheet.REAL}
    answers = answer(out, [cell["class"] for cell in cells])
    assert command.main(["--score", str(answers)]) == 0
    assert "1.00" in capsys.readouterr().out
    images, _ = blind_sheet.images_of_studies([study])
    # As many as there are prototypes, of two initialisations, each class in its place.
    real = 255 * images[blind_sheet.REAL][:, :, 0, 0, 0]
    np.testing.assert_allclose(real, [[0, 100, 200]] * 2, rtol=1e-6)
    of_study = prototype_store.read_prototype_study(study)["image"].values[-1]
    np.testing.assert_array_equal(
        images[f"pixels, {study}"], of_study[:, range(3), range(3)]
    )
    dataset.__dict__["fingerprint"] = "other"
    assert command.main([*words[:2], str(tmp_path / "another")]) == 1
    assert "with other images or labels" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["study"],
        ["--out", "sheet"],
        ["study", "--out", "sheet", "--score", "answers.csv"],
        ["study", "--out", "sheet", "--images", "0"],
    ],
)
def test_a_sheet_or_a_score_is_asked_for(words):
    with pytest.raises(SystemExit) as exit_info:
        command.parse_arguments(words)
    assert exit_info.value.code == 2
