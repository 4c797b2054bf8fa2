"""The plugin as its readers see it: a real TensorBoard in a real browser."""

import csv
import io
import json
import re
import struct
import urllib.request
import xml.etree.ElementTree

import pytest

from tb_plugin import demo, metadata
from tests.support import browser, plugin_logdir
from tests.support.tensorboard_process import tensorboard

pytestmark = pytest.mark.slow

DEMO_CONFUSION = f"digits_confusion/{metadata.TRAINING_RUN}"
DEMO_PROTOTYPES = f"digits_prototypes/{metadata.PROTOTYPES_RUN}"
MANY = f"many/{metadata.TRAINING_RUN}"
SECOND = 1000


@pytest.fixture(scope="module")
def live(tmp_path_factory):
    """A log directory with studies of all sorts, one of them still running."""
    logdir = tmp_path_factory.mktemp("logdir")
    demo.write_demo(logdir)
    hostile = plugin_logdir.HOSTILE_NAMES
    plugin_logdir.write_confusion_run(logdir / "hostile <b>", hostile)
    plugin_logdir.write_prototype_run(logdir / "hostile <b>", hostile)
    names = list("abcd")
    plugin_logdir.write_confusion_run(logdir / "one", names, class_order=[2, 0, 3, 1])
    plugin_logdir.write_confusion_run(logdir / "two", names, seed=1, test="moderated")
    many = [f"a class with a long name {number:02d}" for number in range(24)]
    plugin_logdir.write_confusion_run(
        logdir / "many", many, block=50, num_baseline=20, num_repeats=15
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(metadata, "SCHEMA_VERSION", metadata.SCHEMA_VERSION + 1)
        plugin_logdir.write_confusion_run(logdir / "newer", names)
    running = plugin_logdir.write_confusion_run(
        logdir / "running", names, num_planned=500, close=False
    )
    yield running
    running.writer.close()


@pytest.fixture(scope="module")
def address(live):
    with tensorboard(logdir_of(live)) as running:
        yield running


def logdir_of(live):
    return live.directory.parent.parent.parent


def get_json(address, route):
    url = f"{address}data/plugin/{metadata.PLUGIN_NAME}/{route}"
    with urllib.request.urlopen(url, timeout=30) as response:
        return json.loads(response.read())


def wait_for_cell(frame, text):
    """Waits until the first grid's cell is described by a text, once it is drawn."""
    cell = frame.locator(".grid").first.locator("[role=gridcell]", has_text=text)
    cell.wait_for(state="attached")


def focused_cell(frame, grid=0):
    return frame.locator(".grid").nth(grid).locator("[role=gridcell]").inner_text()


def test_confusion_view_shows_both_responses_and_explains_a_cell(watched, address):
    frame = watched.open(run=DEMO_CONFUSION)
    frame.locator(".grid svg").nth(1).wait_for()
    titles = frame.locator(".grid svg text[font-weight=bold]").all_text_contents()
    assert titles[:1] == ["Accuracy"]
    assert "Accuracy without the pair" in titles
    answer = get_json(
        address,
        f"confusion/cell?run={DEMO_CONFUSION}&table=target_by_class"
        "&response=accuracy&row=1&target=4",
    )
    # Rows are targets.
    watched.page.mouse.move(*browser.cell_center(frame, 4, 1))
    tooltip = frame.locator(".tooltip")
    frame.wait_for_function(
        "() => document.querySelector('.tooltip').innerText.includes('df')"
    )
    text = tooltip.inner_text()
    statistics = answer["statistics"]
    assert f"{statistics['n_confused']:.0f}" in text
    assert f"{abs(statistics['difference_points']):.2f}" in text
    assert f"{100 * statistics['mean_confused']:.1f}" in text
    # Beside the cell, not over it.
    x, y = browser.cell_center(frame, 4, 1)
    box = tooltip.bounding_box()
    assert not (
        box["x"] < x < box["x"] + box["width"]
        and box["y"] < y < box["y"] + box["height"]
    )
    watched.page.keyboard.press("Escape")
    assert not tooltip.is_visible()


def test_a_click_opens_every_network_of_the_cell(watched, address):
    frame = watched.open(run=DEMO_CONFUSION, response="accuracy")
    watched.page.mouse.click(*browser.cell_center(frame, 4, 1))
    dialog = frame.locator("dialog[open]")
    answer = get_json(
        address,
        f"confusion/cell?run={DEMO_CONFUSION}&table=target_by_class"
        "&response=accuracy&row=1&target=4",
    )
    dialog.get_by_text(answer["sentence"]).wait_for()
    networks = sum(len(group["networks"]) for group in answer["groups"])
    assert networks == sum(
        answer["statistics"][key] for key in ("n_confused", "n_comparison")
    )
    dialog.locator("svg circle").nth(networks - 1).wait_for()
    browser.wait_for_address(watched, "cell=accuracy.1.4")
    watched.page.keyboard.press("Escape")
    dialog.wait_for(state="detached")
    watched.page.wait_for_function("() => !location.hash.includes('cell=')")
    # So does the back button.
    watched.page.mouse.click(*browser.cell_center(frame, 1, 4))
    dialog.wait_for()
    watched.page.go_back()
    dialog.wait_for(state="detached")


def test_many_networks_are_drawn_as_bars_and_saved_one_by_one(watched, address):
    where = {"run": MANY, "response": "accuracy"}
    frame = watched.open(**where, cell="accuracy.0.3")
    dialog = frame.locator("dialog[open]")
    bars = dialog.locator(".dots svg rect")
    bars.first.wait_for()
    answer = get_json(
        address,
        f"confusion/cell?run={MANY}&table=target_by_class"
        "&response=accuracy&row=0&target=3",
    )
    confused, comparison = answer["groups"]
    assert comparison["num_networks"] == answer["statistics"]["n_comparison"] > 3000
    # One group as dots, the other as bars.
    dots = dialog.locator(".dots svg g[fill-opacity] circle")
    assert dots.count() == len(confused["networks"]) == confused["num_networks"] > 0
    assert bars.count() == len(comparison["bins"])
    heights = [float(bar.get_attribute("height")) for bar in bars.all()]
    numbers = [number for *_, number in comparison["bins"]]
    for height, number in zip(heights, numbers, strict=True):
        # No bar is too low to be seen; places are told by a tenth of a pixel.
        expected = max(1, max(heights) * number / max(numbers))
        assert height == pytest.approx(expected, abs=0.11)
    bars.nth(numbers.index(max(numbers))).hover()
    tooltip = frame.locator(".tooltip", has_text=f"{max(numbers)} networks")
    tooltip.wait_for()
    with watched.page.expect_download() as download:
        dialog.get_by_role("button", name="Save the numbers as CSV").first.click()
    with open(download.value.path(), newline="") as file:
        rows = list(csv.DictReader(file))
    groups = [row["group"] for row in rows]
    assert groups.count("comparison") == comparison["num_networks"]
    assert groups.count("confused") == confused["num_networks"]


def test_marks_can_be_left_out(watched):
    frame = watched.open(run=MANY, response="accuracy")
    marks = frame.locator(".grid svg .cells circle")
    marks.first.wait_for()
    frame.get_by_label("Mark q ≤").select_option("none")
    marks.first.wait_for(state="detached")
    assert "q ≤" not in frame.locator(".grid svg").text_content()
    browser.wait_for_address(watched, "q=none")


def test_maps_and_cells_name_the_test_of_their_study(watched):
    run, other = (f"{name}/{metadata.TRAINING_RUN}" for name in ("one", "two"))
    frame = watched.open(run=other, measure="t", response="accuracy")
    texts = frame.locator(".grid svg text")
    texts.filter(has_text="q ≤ 0.05, moderated t-test").wait_for()
    assert "moderated t" in texts.all_text_contents()
    measure = frame.get_by_label("Measure")
    assert "moderated t" in measure.locator("option").all_text_contents()
    watched.page.mouse.click(*browser.cell_center(frame, 2, 0))
    captions = frame.locator("dialog[open] caption")
    captions.first.wait_for()
    told = captions.all_text_contents()
    assert "Confused − comparison, by moderated t" in told
    assert [text.split()[0] for text in told[-2:]] == ["Paired", "Welch's:"]
    sentence = frame.locator("dialog[open] .sentence").inner_text()
    assert "; moderated t = " in sentence
    # Each by its own.
    frame = watched.open(run=run, compare=other, measure="t", response="accuracy")
    frame.locator(".grid svg").nth(1).wait_for()
    first, second = (
        " ".join(frame.locator(".grid svg").nth(number).all_text_contents())
        for number in (0, 1)
    )
    assert "q ≤ 0.05, Welch's t-test" in first
    assert "moderated" not in first
    assert "q ≤ 0.05, moderated t-test" in second
    assert "Welch" not in second


def test_a_class_is_found_by_a_part_of_its_name(watched):
    frame = watched.open(run=MANY, response="accuracy")
    grid = frame.locator(".grid svg")
    grid.wait_for()
    # What would be cut alike keeps its end.
    labels = grid.locator("text", has_text="name 07")
    assert labels.count() == 2
    find = frame.get_by_role("combobox", name="Find a class")
    find.fill("NAME 07")
    bold = grid.locator(".interactive text[font-weight=bold]")
    bold.nth(1).wait_for()
    assert bold.all_text_contents() == ["a class wi…ng name 07"] * 2
    # A band around its row, and one around its column.
    boxes = [
        band.bounding_box()
        for band in grid.locator(".interactive rect[fill=none]").all()
    ]
    wide = [box for box in boxes if box["width"] > 5 * box["height"]]
    high = [box for box in boxes if box["height"] > 5 * box["width"]]
    x, y = browser.cell_center(frame, 7, 7)
    assert wide
    assert all(box["y"] < y < box["y"] + box["height"] for box in wide)
    assert high
    assert all(box["x"] < x < box["x"] + box["width"] for box in high)
    browser.wait_for_address(watched, "find=NAME%2007")
    # Of many the reader is told how many.
    find.fill("name 1")
    frame.get_by_text("10 classes", exact=True).wait_for()
    bold.first.wait_for(state="detached")
    find.fill("nobody")
    frame.get_by_text("no such class", exact=True).wait_for()
    find.fill("")
    watched.page.wait_for_function("() => !location.hash.includes('find=')")
    # Ten classes need no search.
    frame = watched.open(run=DEMO_CONFUSION)
    frame.locator(".grid svg").first.wait_for()
    assert not frame.get_by_role("combobox", name="Find a class").is_visible()


def test_arrow_keys_walk_and_enter_opens(watched):
    frame = watched.open(run=DEMO_CONFUSION, response="accuracy")
    grid = frame.locator(".grid")
    grid.locator("svg").wait_for()
    grid.focus()
    seen = [focused_cell(frame)]
    for key in ("ArrowDown", "ArrowRight", "End", "Control+Home"):
        watched.page.keyboard.press(key)
        seen.append(focused_cell(frame))
    assert len(set(seen)) == 4
    assert seen[0] == seen[-1]
    frame.locator(".tooltip").wait_for()
    watched.page.keyboard.press("ArrowRight")
    watched.page.keyboard.press("Enter")
    frame.locator("dialog[open] svg circle").first.wait_for()


def test_a_link_reopens_the_view(watched, chromium, address):
    frame = watched.open(view="confusion", run=f"one/{metadata.TRAINING_RUN}")
    frame.get_by_label("Measure").select_option("t")
    frame.get_by_label("Response").select_option("accuracy_without_pair")
    frame.get_by_label("Order", exact=True).select_option("cluster")
    frame.get_by_role("button", name="T × pair").click()
    wait_for_cell(frame, "confused pair")
    frame.get_by_role("button", name="Copy link").click()
    frame.get_by_role("button", name="Copied").wait_for()
    link = watched.page.evaluate("navigator.clipboard.readText()")
    assert link == watched.page.url
    described = focused_cell(frame)
    context = chromium.new_context(viewport=browser.SIZE)
    other = browser.Watched(context.new_page(), address)
    other.page.goto(link)
    again = other.frame()
    wait_for_cell(again, "confused pair")
    assert again.get_by_label("Measure").input_value() == "t"
    assert again.get_by_label("Order", exact=True).input_value() == "cluster"
    assert focused_cell(again) == described
    assert other.troubles == []
    context.close()


def test_order_by_hand_moves_the_rows(watched):
    frame = watched.open(
        view="confusion", run=f"one/{metadata.TRAINING_RUN}", response="accuracy"
    )
    frame.locator(".grid svg").wait_for()
    before = focused_cell(frame)
    frame.get_by_label("Order", exact=True).select_option("hand")
    dialog = frame.locator("dialog[open]")
    dialog.get_by_role("button", name="Down: a").click()
    watched.page.keyboard.press("Escape")
    browser.wait_for_address(watched, "hand=1.0.2.3")
    frame.wait_for_function(
        "before => document.querySelector('[role=gridcell]').textContent !== before",
        arg=before,
    )


def test_two_runs_side_by_side_and_as_a_difference(watched):
    one, two = (f"{name}/{metadata.TRAINING_RUN}" for name in ("one", "two"))
    frame = watched.open(view="confusion", run=one, compare=two, response="accuracy")
    frame.locator(".grid svg").nth(1).wait_for()
    frame.get_by_label("As", exact=True).select_option("difference")
    frame.wait_for_function("() => document.querySelectorAll('.grid svg').length === 1")
    browser.wait_for_address(watched, "layout=difference")


@pytest.mark.parametrize("view", ["confusion", "prototypes"])
def test_dark_mode_follows_tensorboard(watched, view):
    frame = watched.open(view=view)
    frame.locator(".grid svg").first.wait_for()

    def colours():
        return frame.evaluate(
            "() => [getComputedStyle(document.body).backgroundColor,"
            " document.querySelector('.grid svg').getAttribute('fill')]"
        )

    light = colours()
    watched.page.evaluate("document.body.classList.add('dark-mode')")
    frame.wait_for_function("() => document.documentElement.dataset.theme === 'dark'")
    dark = colours()
    assert light[0] != dark[0]
    assert light[1] != dark[1]


def test_saved_files_hold_what_is_shown(watched, address):
    frame = watched.open(run=DEMO_CONFUSION, response="accuracy")
    frame.locator(".grid svg").wait_for()

    def save(kind):
        with watched.page.expect_download() as download:
            frame.get_by_role("button", name=re.compile(f"as {kind}")).first.click()
        assert download.value.suggested_filename.endswith("." + kind.lower())
        return download.value.path().read_bytes()

    rows = list(csv.DictReader(io.StringIO(save("CSV").decode())))
    answer = get_json(
        address,
        f"confusion/cell?run={DEMO_CONFUSION}&table=target_by_class"
        "&response=accuracy&row=1&target=4",
    )
    (row,) = (
        row
        for row in rows
        if row["response"] == "accuracy"
        and row["target"] == "4"
        and row["class"] == "1"
    )
    difference = answer["statistics"]["difference_points"]
    assert float(row["difference_points"]) == pytest.approx(difference)
    drawing = xml.etree.ElementTree.fromstring(save("SVG"))
    texts = {node.text for node in drawing.iter("{http://www.w3.org/2000/svg}text")}
    assert {"Accuracy", "target class T", "confused class C"} <= texts
    assert not drawing.findall(".//*[@class='interactive']")
    png = save("PNG")
    assert png.startswith(b"\x89PNG")
    width, height = struct.unpack(">II", png[16:24])
    assert width > 800
    assert height > 800


@pytest.mark.parametrize("view", ["confusion", "prototypes"])
def test_hostile_names_are_text(watched, view):
    run = {
        "confusion": f"hostile <b>/{metadata.TRAINING_RUN}",
        "prototypes": f"hostile <b>/{metadata.PROTOTYPES_RUN}",
    }[view]
    frame = watched.open(view=view, run=run)
    frame.locator(".grid svg").first.wait_for()
    shown = frame.locator(".grid svg text").all_text_contents()
    assert any(text.startswith("<img src=x") for text in shown)
    watched.page.mouse.move(*browser.cell_center(frame, 0, 1))
    frame.locator(".tooltip").wait_for()
    watched.page.mouse.click(*browser.cell_center(frame, 0, 1))
    dialog = frame.locator("dialog[open]")
    dialog.wait_for()
    assert "<img src=x" in dialog.text_content()
    assert frame.locator("[onerror], body b").count() == 0


def test_prototypes_follow_slider_keys_and_choice(watched):
    frame = watched.open(view="prototypes", run=DEMO_PROTOTYPES)
    frame.locator(".grid svg image").first.wait_for()
    frame.get_by_text("Prototypes at 100 % of the training").wait_for()
    watched.page.keyboard.press("[")
    frame.get_by_text("Prototypes at 60 % of the training").wait_for()
    browser.wait_for_address(watched, "interval=1")
    watched.page.keyboard.press("]")
    frame.get_by_text("Prototypes at 100 % of the training").wait_for()
    frame.get_by_label("Interval of the training").fill("0")
    frame.get_by_text("Prototypes at 25 % of the training").wait_for()
    frame.get_by_label("Initialisation", exact=True).select_option("1")
    frame.get_by_text("initialisation 1").first.wait_for()
    frame.get_by_label("Grid", exact=True).select_option("changes")
    frame.get_by_text("Changes of prototypes at 25 % of the training").wait_for()
    # A cell opens, and its slices are shown.
    watched.page.mouse.click(*browser.cell_center(frame, 3, 5))
    dialog = frame.locator("dialog[open]")
    dialog.get_by_text("25 %").first.wait_for()
    watched.page.keyboard.press("Escape")
    frame.get_by_text("C, between targets: origin 5").wait_for()
    frame.get_by_text("R, within a target: target 3").wait_for()
    for part in ("interval=0", "init=1", "target=3", "origin=5"):
        browser.wait_for_address(watched, part)


def test_frames_lead_from_the_first_image_to_the_last(watched):
    run = f"hostile <b>/{metadata.PROTOTYPES_RUN}"
    frame = watched.open(
        view="prototypes", run=run, target="1", origin="2", enlarged="1"
    )
    dialog = frame.locator("dialog[open]")
    dialog.get_by_text("first image", exact=True).wait_for()
    dialog.get_by_text("final").first.wait_for()
    assert any("prototypes/frames" in url for url in watched.requests)


def test_a_running_study_is_followed_without_losing_the_choice(watched, live):
    run = f"running/{metadata.TRAINING_RUN}"
    frame = watched.open(view="confusion", run=run, response="accuracy")
    frame.locator(".grid svg").wait_for()
    frame.locator(".grid").focus()
    watched.page.keyboard.press("ArrowRight")
    watched.page.keyboard.press("ArrowDown")
    chosen = focused_cell(frame)
    progress = frame.locator(".progress")
    before = progress.inner_text()
    assert " of 500 networks" in before
    done = len(live.networks)
    live.add_network(0)
    progress.get_by_text(f"{done + 1} of 500 networks").wait_for(timeout=30 * SECOND)
    assert focused_cell(frame) == chosen
    assert frame.evaluate("() => document.activeElement.className") == "grid"


def test_the_shown_study_stays_when_another_comes(watched, live):
    frame = watched.open()
    frame.locator(".grid svg").first.wait_for()
    shown = frame.get_by_label("Study", exact=True).input_value()
    browser.wait_for_address(watched, f"run={shown.replace('/', '%2F')}")
    # First in the order of the names.
    plugin_logdir.write_confusion_run(logdir_of(live) / "0 first", list("xyz"))
    option = frame.locator("option", has_text="0 first").first
    option.wait_for(state="attached", timeout=30 * SECOND)
    assert frame.get_by_label("Study", exact=True).input_value() == shown


def test_back_leads_past_closed_cells(watched):
    frame = watched.open(run=DEMO_CONFUSION, response="accuracy")
    dialog = frame.locator("dialog[open]")
    frame.get_by_role("button", name="Prototypes").click()
    frame.locator(".grid svg image").first.wait_for()
    frame.get_by_role("button", name="Confusion").click()
    # Both views have grids: a click must not meet the one that is leaving.
    frame.locator(".grid svg image").first.wait_for(state="detached")
    for column in (1, 2, 3):
        watched.page.mouse.click(*browser.cell_center(frame, 4, column))
        dialog.wait_for()
        watched.page.keyboard.press("Escape")
        dialog.wait_for(state="detached")
        watched.page.wait_for_function("() => !location.hash.includes('cell=')")
    watched.page.go_back()
    frame.locator(".grid svg image").first.wait_for()


def test_help_opens_by_its_key(watched):
    frame = watched.open(run=DEMO_CONFUSION)
    frame.locator(".grid svg").first.wait_for()
    watched.page.keyboard.press("Shift+?")
    frame.locator("dialog[open]").get_by_text("Page Up").wait_for()
    watched.page.keyboard.press("Escape")


@pytest.mark.parametrize(
    ("run", "message"),
    [
        (f"newer/{metadata.TRAINING_RUN}", "Written by a newer version"),
        ("nowhere", "That study is not here"),
    ],
)
def test_what_cannot_be_shown_is_explained(watched, run, message):
    frame = watched.open(run=run)
    frame.get_by_text(message).wait_for()


def test_these_tests_would_see_trouble(chromium, address):
    context = chromium.new_context()
    page = browser.Watched(context.new_page(), address)
    frame = page.open(run=DEMO_CONFUSION)
    assert page.troubles == []
    frame.evaluate("() => { new Image().src = 'http://elsewhere.invalid/x.png'; }")
    frame.evaluate("() => { setTimeout(() => { throw new Error('oops'); }); }")
    frame.evaluate("() => fetch('./nowhere')")
    page.page.wait_for_timeout(500)
    context.close()
    told = "\n".join(page.troubles)
    for part in ("Content Security Policy", "oops", "answer 404"):
        assert part in told


def test_empty_log_directory_says_how_to_log(chromium, tmp_path):
    with tensorboard(tmp_path, "--path_prefix", "/some/where") as address:
        context = chromium.new_context()
        page = browser.Watched(context.new_page(), address)
        page.page.goto(f"{address}data/plugin_entry.html?name={metadata.PLUGIN_NAME}")
        page.page.get_by_text("No study here yet").wait_for()
        page.page.get_by_text("run_confusion_study.py").wait_for()
        context.close()
        assert page.troubles == []


def test_python_loader_below_a_prefix_shows_the_same(chromium, live):
    options = ("--load_fast=false", "--path_prefix", "/some/where")
    with tensorboard(logdir_of(live), *options) as address:
        context = chromium.new_context(viewport=browser.SIZE)
        page = browser.Watched(context.new_page(), address)
        frame = page.open(run=DEMO_CONFUSION)
        frame.locator(".grid svg").nth(1).wait_for()
        frame = page.open(view="prototypes", run=DEMO_PROTOTYPES)
        frame.locator(".grid svg image").first.wait_for()
        context.close()
        assert page.troubles == []
