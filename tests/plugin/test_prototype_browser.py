"""The prototype view's switch, large grid and frames, in a real browser."""

import base64
import io
import itertools
import math

import numpy as np
import pytest
from PIL import Image

from tb_plugin import metadata
from tests.support import browser, plugin_logdir
from tests.support.tensorboard_process import tensorboard

pytestmark = pytest.mark.slow

CLASSES = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse"]
CLASSES += ["ship", "truck"]
MANY = [f"a class with a long name {number:02d}" for number in range(40)]
FRAMES = 3


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Studies of one network by pixels, fourier (twice) and maco, and others."""
    logdir = tmp_path_factory.mktemp("logdir")

    def write(name, network, names=CLASSES, **options):
        settings = {"parametrization": options.pop("made_by", "pixels")}
        return plugin_logdir.write_prototype_run(
            logdir / name, names, network=network, settings=settings, **options
        )

    written = {
        "maco": write("maco", "0a", made_by="maco", seed=2),
        "pixels": write("pixels", "0a", num_frames=FRAMES),
        "fourier": write("fourier", "0a", made_by="fourier", seed=1, num_frames=0),
        "fourier_256": write("fourier_256", "0a", made_by="fourier", seed=3),
        # Another network, and one that does not say which it is.
        "other": write("other", "0b", made_by="maco"),
        "unknown": write("unknown", "", made_by="fourier"),
        "strange": write("strange", "0d", made_by="<b>\u202e"),
        "longer": write("longer", "0a", num_intervals=4, made_by="maco"),
        "many": write("many", "0c", names=MANY, image_scale=0.5),
    }
    return logdir, written


@pytest.fixture(scope="module")
def address(runs):
    with tensorboard(runs[0]) as running:
        yield running


def run_of(name):
    return f"{name}/{metadata.PROTOTYPES_RUN}"


def wait_for_title(frame, text):
    frame.locator(".images svg text", has_text=text).first.wait_for()


def picture(frame):
    """The pixels of the whole grid, as the page has put them together."""
    href = frame.locator(".images .cells > image").get_attribute("href")
    assert href.startswith("data:image/png;base64,")
    content = base64.b64decode(href.partition(",")[2])
    return np.asarray(Image.open(io.BytesIO(content)).convert("RGB"))


def test_a_switch_shows_the_same_network_made_another_way(watched):
    chosen = {"interval": "1", "init": "1", "target": "3", "origin": "5"}
    frame = watched.open(
        view="prototypes", run=run_of("pixels"), scale="own", pair="c.1.2", **chosen
    )
    wait_for_title(frame, "Prototypes at 66.67 % of the training, made by pixels")
    switch = frame.get_by_role("group", name="Images made by")
    assert switch.get_by_role("button").all_text_contents() == [
        "pixels",
        "fourier (fourier)",
        "fourier (fourier_256)",
        "maco",
    ]
    grid = frame.locator(".images .grid")
    grid.evaluate("node => { node.isOfBefore = true; }")
    switch.get_by_role("button", name="fourier (fourier)").click()
    wait_for_title(frame, "Prototypes at 66.67 % of the training, made by fourier")
    pressed = switch.get_by_role("button", pressed=True)
    assert pressed.all_text_contents() == ["fourier (fourier)"]
    for part in [f"{key}={value}" for key, value in chosen.items()]:
        browser.wait_for_address(watched, part)
    browser.wait_for_address(watched, "run=fourier%2F")
    browser.wait_for_address(watched, "pair=c.1.2")
    browser.wait_for_address(watched, "scale=own")
    frame.get_by_text("made by fourier; self left out").first.wait_for()
    # Nothing was built again, so that nothing moves or loses the keyboard.
    assert grid.evaluate("node => node.isOfBefore")
    # There and on from there by the keyboard.
    watched.page.keyboard.press("p")
    watched.page.keyboard.press("p")
    wait_for_title(frame, "Prototypes at 66.67 % of the training, made by maco")
    watched.page.keyboard.press("p")
    wait_for_title(frame, "Prototypes at 66.67 % of the training, made by pixels")


def test_an_opened_image_says_how_it_was_made_and_stays_open(watched):
    frame = watched.open(
        view="prototypes", run=run_of("maco"), target="1", origin="2", enlarged="1"
    )
    dialog = frame.locator("dialog[open]")
    dialog.get_by_text("made by maco; 100 % of the training").wait_for()
    frame.locator("body").evaluate(
        "() => document.querySelector('.segments [title^=pixels]').click()"
    )
    dialog.get_by_text("made by pixels; 100 % of the training").wait_for()


@pytest.mark.parametrize(
    ("name", "made_by"),
    [
        ("other", "maco"),
        ("unknown", "fourier"),
        ("strange", "unknown means"),
        ("longer", "maco"),
    ],
)
def test_studies_of_other_networks_are_not_offered(watched, name, made_by):
    frame = watched.open(view="prototypes", run=run_of(name))
    wait_for_title(frame, f"made by {made_by}")
    switch = frame.get_by_role("group", name="Images made by")
    assert switch.text_content() == made_by
    assert switch.get_by_role("button").count() == 0


@pytest.mark.parametrize("width", [700, 1200, 1400, 1900])
def test_the_grid_is_large_and_its_names_can_be_read(watched, width):
    watched.page.set_viewport_size({"width": width, "height": 1000})
    frame = watched.open(view="prototypes", run=run_of("pixels"))
    browser.cell_center(frame, 0, 0)
    box = frame.locator(".images .surface").bounding_box()
    panel = frame.locator(".images").bounding_box()
    # Beside it there are names only.
    assert box["width"] > panel["width"] - 180
    assert panel["width"] > 0.5 * width
    assert box["width"] / len(CLASSES) >= 50
    assert frame.evaluate("document.documentElement.scrollWidth") <= width
    labels = frame.locator(".images svg text")
    texts = labels.all_text_contents()
    # Those that are turned have larger boxes than letters.
    boxes = [
        labels.nth(at).bounding_box()
        for at, text in enumerate(texts)
        if text in CLASSES and not labels.nth(at).get_attribute("transform")
    ]
    assert len(boxes) >= len(CLASSES)
    for one, other in itertools.combinations(boxes, 2):
        assert (
            one["x"] + one["width"] <= other["x"]
            or other["x"] + other["width"] <= one["x"]
            or one["y"] + one["height"] <= other["y"] + 1
            or other["y"] + other["height"] <= one["y"] + 1
        )


def test_many_images_keep_their_size_and_scroll(watched):
    watched.page.set_viewport_size({"width": 500, "height": 900})
    frame = watched.open(view="prototypes", run=run_of("many"))
    browser.cell_center(frame, 0, 0)
    assert frame.locator(".images .surface").bounding_box()["width"] == 12 * len(MANY)
    grid = frame.locator(".images .grid")
    grid.focus()
    watched.page.keyboard.press("End")
    frame.wait_for_function(
        "() => document.querySelector('.images .grid').scrollLeft > 100"
    )
    watched.page.keyboard.press("Home")
    frame.wait_for_function(
        "() => document.querySelector('.images .grid').scrollLeft === 0"
    )


def test_pixels_are_of_one_size_or_smoothed(watched):
    frame = watched.open(view="prototypes", run=run_of("pixels"))
    browser.cell_center(frame, 0, 0)
    image = frame.locator(".images .cells > image")
    width = float(image.get_attribute("width")) / len(CLASSES)
    # Of an image of 6 pixels a whole multiple is always near.
    assert width % 6 == 0
    assert "pixelated" in image.get_attribute("style")


def test_pointing_enlarges_an_image_and_says_what_it_is(watched, runs):
    loss = runs[1]["pixels"].cells[-1, 0, 4, 7, 0]
    frame = watched.open(view="prototypes", run=run_of("pixels"))
    watched.page.mouse.move(*browser.cell_center(frame, 4, 7))
    tip = frame.locator(".tooltip")
    tip.get_by_text("horse → deer", exact=True).wait_for()
    told = tip.locator("dd").all_text_contents()
    assert told[:2] == ["pixels", f"{loss:.4f} nats"]
    assert told[2] == f"{100 * math.exp(-loss):.1f} %"
    assert tip.locator("canvas").bounding_box()["width"] >= 200


def test_all_images_are_played_from_their_origins_to_their_targets(watched, runs):
    frames = runs[1]["pixels"].frames[2, 0]
    height, width = 8, 6
    frame = watched.open(view="prototypes", run=run_of("pixels"))
    wait_for_title(frame, "made by pixels")
    assert not any("prototypes/frames" in url for url in watched.requests)
    slider = frame.get_by_label("Frame, from origin to target")
    slider.fill("1")
    wait_for_title(frame, "frame 2 of 3, from origin to target")
    shown = picture(frame)
    rows = np.asarray(Image.open(io.BytesIO(frames[4])).convert("RGB"))
    np.testing.assert_array_equal(
        # Target deer, origin horse.
        shown[4 * height : 5 * height, 7 * width : 8 * width],
        rows[7 * height : 8 * height, width : 2 * width],
    )
    watched.page.mouse.move(*browser.cell_center(frame, 4, 7))
    frame.get_by_text("horse → deer, frame 2 of 3").wait_for()
    with watched.page.expect_download() as download:
        frame.locator(".images").get_by_label("Save the picture as SVG").click()
    assert "pixels" in download.value.suggested_filename
    assert "frame_2_of_3" in download.value.suggested_filename
    # It plays from the beginning, and ends with the finished images.
    watched.page.keyboard.press("f")
    wait_for_title(frame, "frame 1 of 3, from origin to target")
    wait_for_title(frame, "initialisation 0; all 99 converged")
    assert slider.get_attribute("aria-valuetext") == "target"
    frame.get_by_label("Play the way of all images").wait_for()


def test_only_images_with_frames_are_played(watched):
    frame = watched.open(view="prototypes", run=run_of("fourier"))
    wait_for_title(frame, "made by fourier")
    play = frame.get_by_label("Play the way of all images")
    assert not play.is_visible()
    watched.page.keyboard.press("f")
    frame.get_by_role("button", name="pixels").click()
    wait_for_title(frame, "made by pixels")
    assert play.is_visible()
    frame.get_by_label("Grid", exact=True).select_option("changes")
    wait_for_title(frame, "Changes of prototypes")
    assert not play.is_visible()
