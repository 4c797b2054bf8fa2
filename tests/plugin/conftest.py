"""A browser that looks at a TensorBoard, for the tests of the page."""

import os

import pytest

from tests.support import browser


@pytest.fixture(scope="module")
def chromium():
    if browser.find_chromium() is None:
        message = "no chromium on this machine; apt-get install chromium"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    with browser.chromium() as running:
        yield running


@pytest.fixture
def watched(chromium, address):
    """A page of the module's `address`, where nothing may go wrong."""
    context = chromium.new_context(
        viewport=browser.SIZE, permissions=["clipboard-read", "clipboard-write"]
    )
    page = browser.Watched(context.new_page(), address)
    # An alert would be a script from a class name.
    page.page.on("dialog", lambda box: page.troubles.append(f"dialog: {box.message}"))
    yield page
    context.close()
    assert page.troubles == []
