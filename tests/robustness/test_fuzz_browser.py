"""Scripts in names and settings are text in a real browser, and nothing else."""

import urllib.request

import pytest

from tb_plugin import metadata
from tests.support import browser, plugin_logdir
from tests.support.tensorboard_process import tensorboard

RUN = "window.top.pwned=1"
SCRIPTS = [
    f"<img src=x onerror={RUN}>",
    f"<script>{RUN}<\\script>",
    f"javascript:{RUN}",
    f'"><svg onload={RUN}>',
    f"'-{RUN}-'",
    f"<iframe srcdoc=<script>{RUN}>",
]
# Of the state that an address holds.
KEYS = ("view", "run", "measure", "order", "cell", "target")
FOLDER = f"<img src=x onerror={RUN}>"
SETTINGS = {script: [script, {script: script}] for script in SCRIPTS}


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    if browser.find_chromium() is None:
        pytest.skip("no chromium on this machine; apt-get install chromium")
    logdir = tmp_path_factory.mktemp("logdir")
    plugin_logdir.write_confusion_run(
        logdir / FOLDER, SCRIPTS, class_order=range(len(SCRIPTS)), settings=SETTINGS
    )
    plugin_logdir.write_prototype_run(
        logdir / FOLDER, SCRIPTS, image_scale=0.5, settings=SETTINGS
    )
    with tensorboard(logdir) as running:
        yield running


@pytest.fixture(scope="module")
def chromium(address):
    with browser.chromium() as running:
        yield running


@pytest.fixture
def watched(chromium, address):
    context = chromium.new_context(viewport=browser.SIZE)
    page = browser.Watched(context.new_page(), address)
    page.page.on("dialog", lambda box: page.troubles.append(f"dialog: {box.message}"))
    yield page
    context.close()
    # A refusal by the page's policy would be among them: markup that came through.
    assert page.troubles == []


def has_run(watched) -> bool:
    return watched.page.evaluate("() => 'pwned' in window")


def markup_from_data(frame) -> int:
    """Elements that only data could have asked for."""
    return frame.locator(
        "[onerror], [onload], [onclick], iframe, object, embed, [srcdoc], "
        "script:has-text('pwned'), a[href^='javascript:'], img[src='x']"
    ).count()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("view", "run"),
    [
        ("confusion", f"{FOLDER}/{metadata.TRAINING_RUN}"),
        ("prototypes", f"{FOLDER}/{metadata.PROTOTYPES_RUN}"),
    ],
)
def test_scripts_are_text(watched, view, run):
    frame = watched.open(view=view, run=run)
    grid = frame.locator(".grid").first
    grid.locator("svg").first.wait_for()
    # Every tooltip, every dialog: cells are walked, and the details opened.
    grid.focus()
    for key in ("ArrowRight", "ArrowDown", "ArrowRight", "Enter"):
        watched.page.keyboard.press(key)
    frame.locator("dialog[open]").wait_for()
    assert markup_from_data(frame) == 0
    text = frame.locator("body").inner_text()
    assert any(script in text for script in SCRIPTS)
    watched.page.keyboard.press("Escape")
    for details in frame.locator("summary").all():
        details.click()
    assert SCRIPTS[0] in frame.locator("body").inner_text()
    assert markup_from_data(frame) == 0
    assert not has_run(watched)


@pytest.mark.parametrize(
    "first",
    [
        # Each script in one place of the address, and in each of the others.
        pytest.param(0, marks=pytest.mark.slow),
        *(pytest.param(n, marks=pytest.mark.exhaustive) for n in range(1, len(KEYS))),
    ],
)
def test_scripts_in_an_address_are_text(watched, first):
    scripts = [*SCRIPTS[first:], *SCRIPTS[:first]]
    frame = watched.open(**dict(zip(KEYS, scripts, strict=True)))
    frame.wait_for_selector(".bar")
    watched.page.wait_for_timeout(300)
    assert markup_from_data(frame) == 0
    assert not has_run(watched)


@pytest.mark.slow
def test_this_test_would_see_a_script(watched):
    frame = watched.open(run=f"{FOLDER}/{metadata.TRAINING_RUN}")
    frame.evaluate(
        "html => { document.body.insertAdjacentHTML('beforeend', html); }", SCRIPTS[0]
    )
    assert markup_from_data(frame) == 1
    watched.page.wait_for_timeout(300)
    # TensorBoard's policy still keeps it from running, and says so.
    assert not has_run(watched)
    told = " ".join(watched.troubles)
    assert "Content Security Policy" in told
    watched.troubles.clear()


@pytest.mark.slow
def test_the_policy_of_the_page_is_tensorboards(address):
    page = f"{address}data/plugin_entry.html?name={metadata.PLUGIN_NAME}"
    with urllib.request.urlopen(page) as answer:
        policy = answer.headers["Content-Security-Policy"]
    directives = {
        part.split()[0]: part.split()[1:] for part in policy.split(";") if part.strip()
    }
    assert directives["default-src"] == ["'self'"]
    assert directives["object-src"] == ["'none'"]
    assert directives["connect-src"] == ["'self'"]
    assert "'unsafe-inline'" not in directives["script-src"]
