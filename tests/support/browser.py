"""A real browser, for tests and screenshots."""

import contextlib
import os
import shutil
import urllib.parse
from collections.abc import Iterator

from playwright.sync_api import Frame, Page, sync_playwright

from tb_plugin import metadata

SIZE = {"width": 1400, "height": 900}
TAB = f'[data-plugin-id="{metadata.PLUGIN_NAME}"]'


def find_chromium() -> str | None:
    """The path of a Chromium on this machine, or `None`."""
    names = ("chromium", "chromium-browser", "google-chrome")
    return next(filter(None, map(shutil.which, names)), None)


class Watched:
    """A page of a browser, and everything that went wrong in it.

    Args:
        page: The page, before it goes anywhere.
        address: Of the one server that it may talk to.
    """

    def __init__(self, page: Page, address: str):
        self.page = page
        self.address = address
        self.troubles: list[str] = []
        self.requests: list[str] = []
        page.on("console", self._on_console)
        page.on("pageerror", lambda error: self.troubles.append(f"error: {error}"))
        page.on("request", self._on_request)
        page.on("requestfailed", self._on_failed)
        page.on("response", self._on_response)

    def open(self, **state: str) -> Frame:
        """Opens the plugin's tab in a state; returns the plugin's frame."""
        tokens = [metadata.PLUGIN_NAME]
        tokens += [
            f"p.{metadata.PLUGIN_NAME}.{key}={urllib.parse.quote(value, safe='')}"
            for key, value in state.items()
        ]
        # The same page with another hash would not load again.
        self.page.goto("about:blank")
        self.page.goto(self.address + "#" + "&".join(tokens))
        return self.frame()

    def frame(self) -> Frame:
        """The plugin's frame, once its page is built."""
        selector = f'iframe[src*="name={metadata.PLUGIN_NAME}"]'
        frame = self.page.wait_for_selector(selector).content_frame()
        frame.wait_for_selector(".bar")
        return frame

    def _on_console(self, message) -> None:
        # Reports of a page's policy are errors; TensorBoard itself has a warning. What
        # could not be loaded is told by its answer.
        is_answer = message.text.startswith("Failed to load resource")
        if message.type == "error" and not is_answer:
            self.troubles.append(f"console {message.type}: {message.text}")

    def _on_request(self, request) -> None:
        self.requests.append(request.url)
        url = urllib.parse.urlsplit(request.url)
        is_local = url.scheme in ("data", "blob", "about")
        if not is_local and url.netloc != urllib.parse.urlsplit(self.address).netloc:
            self.troubles.append(f"request to another host: {request.url}")

    def _on_response(self, response) -> None:
        # TensorBoard looks for its fonts without --path_prefix.
        if response.status >= 400 and "/font-roboto/" not in response.url:
            self.troubles.append(f"answer {response.status}: {response.url}")

    def _on_failed(self, request) -> None:
        # Requests that the page itself gave up are no trouble.
        if request.failure != "net::ERR_ABORTED":
            self.troubles.append(f"failed request: {request.url} {request.failure}")


def cell_center(frame, row, column, grid=0):
    """Where a cell of a grid is on the page, and what it is described as."""
    node = frame.locator(".grid").nth(grid)
    node.locator(".surface").wait_for()
    rows = int(node.get_attribute("aria-rowcount"))
    columns = int(node.get_attribute("aria-colcount"))
    box, before = node.locator(".surface").bounding_box(), None
    # What is above it may still be drawn, and move it.
    while box != before:
        frame.page.wait_for_timeout(50)
        before, box = box, node.locator(".surface").bounding_box()
    return (
        box["x"] + (column + 0.5) * box["width"] / columns,
        box["y"] + (row + 0.5) * box["height"] / rows,
    )


def wait_for_address(watched, text):
    """Waits until the address holds a text: a browser tells of changes a bit later."""
    watched.page.wait_for_function("text => location.hash.includes(text)", arg=text)


@contextlib.contextmanager
def chromium() -> Iterator:
    """Runs a headless Chromium; yields a Playwright browser."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=find_chromium(),
            # Chromium's own sandbox does not work for root in containers.
            args=["--no-sandbox"] if os.geteuid() == 0 else [],
        )
        yield browser
        browser.close()
