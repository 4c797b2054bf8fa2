"""Every view and dialog of the tab, looked at by axe-core, light and dark."""

import pytest
from axe_playwright_python.sync_playwright import Axe

from tb_plugin import demo, metadata
from tests.support import plugin_logdir
from tests.support.tensorboard_process import tensorboard

pytestmark = pytest.mark.slow

CONFUSION = f"digits_confusion/{metadata.TRAINING_RUN}"
PROTOTYPES = f"digits_prototypes/{metadata.PROTOTYPES_RUN}"


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    logdir = tmp_path_factory.mktemp("logdir")
    demo.write_demo(logdir)
    plugin_logdir.write_confusion_run(logdir / "small", list("abcd"))
    with tensorboard(logdir) as running:
        yield running


def violations(frame):
    """What axe-core has to say, rule by rule; empty if nothing."""
    found = Axe().run(frame)
    return [
        (rule["id"], rule["help"], [node["html"][:150] for node in rule["nodes"][:3]])
        for rule in found.response["violations"]
    ]


PAIR = {"target": "1", "origin": "2"}


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize(
    ("state", "ready"),
    [
        ({"view": "confusion", "run": CONFUSION}, ".grid svg"),
        ({"view": "confusion", "run": CONFUSION, "layout": "difference"}, ".grid svg"),
        (
            {"view": "confusion", "run": CONFUSION, "cell": "accuracy.1.4"},
            "dialog[open] .dots svg circle",
        ),
        ({"view": "prototypes", "run": PROTOTYPES}, ".images .grid svg"),
        (
            {"view": "prototypes", "run": PROTOTYPES, **PAIR, "enlarged": "1"},
            "dialog[open] svg image, dialog[open] canvas",
        ),
    ],
)
def test_nothing_stands_in_anybodys_way(watched, theme, state, ready):
    frame = watched.open(**state)
    if theme == "dark":
        watched.page.evaluate("document.body.classList.add('dark-mode')")
        frame.wait_for_function(
            "() => document.documentElement.dataset.theme === 'dark'"
        )
    frame.locator(ready).first.wait_for()
    assert violations(frame) == []


def test_dialogs_of_help_and_order(watched):
    frame = watched.open(view="confusion", run=CONFUSION)
    frame.locator(".grid svg").first.wait_for()
    order = frame.get_by_label("Order", exact=True)
    for open_it in (
        frame.get_by_role("button", name="Help").click,
        lambda: order.select_option("hand"),
    ):
        open_it()
        frame.locator("dialog[open] h2").wait_for()
        assert violations(frame) == []
        watched.page.keyboard.press("Escape")
        frame.locator("dialog[open]").wait_for(state="detached")


def test_a_page_that_is_in_the_way_would_be_seen(watched):
    frame = watched.open(view="confusion", run=CONFUSION)
    frame.locator(".grid svg").first.wait_for()
    frame.evaluate("() => document.querySelector('h1').remove()")
    assert [rule for rule, *_ in violations(frame)] == ["page-has-heading-one"]
