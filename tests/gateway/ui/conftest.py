"""A real browser for the live page."""

import os
import shutil
from contextlib import contextmanager

import pytest
from playwright.sync_api import expect, sync_playwright

WIDE, NARROW = (1280, 900), (390, 844)
PATIENCE_MS = 60_000  # a machine that does other work as well is slow
expect.set_options(timeout=PATIENCE_MS)


@pytest.fixture(scope="module")  # not longer: while it is there, an event loop runs in this thread
def chromium():
    """Debian's Chromium without a head."""
    path = shutil.which("chromium")
    if path is None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)("no chromium: install Debian's package chromium")
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=path, args=["--no-sandbox"], timeout=PATIENCE_MS)
        yield browser
        browser.close()


@pytest.fixture
def tab(chromium):
    """A new tab of a browser that keeps nothing; at the end it has heard no error and asked nobody else.

    `down` may be set while the gateway is: what a browser then says of the network is no fault of the page.
    """

    @contextmanager
    def opened(url, size=WIDE, scheme="light"):
        width, height = size
        context = chromium.new_context(viewport={"width": width, "height": height}, color_scheme=scheme)
        page = context.new_page()
        page.set_default_timeout(PATIENCE_MS)
        page.errors, page.asked, page.down = [], [], False
        page.on("pageerror", lambda error: page.errors.append(str(error)))
        page.on("request", lambda request: page.asked.append(request.url))

        def said(message):
            network = page.down and message.text.startswith("Failed to load resource: net::ERR_")
            if message.type in {"error", "warning"} and not network:
                page.errors.append(message.text)

        page.on("console", said)
        page.goto(f"{url}/ui")
        try:
            yield page
        finally:
            context.close()
        assert page.errors == []
        assert [asked for asked in page.asked if not asked.startswith(f"{url}/ui")] == []

    return opened
