"""A real browser for tests: Debian's Chromium, headless, that reaches this machine only."""

import shutil
from contextlib import contextmanager

import pytest
from playwright.sync_api import sync_playwright

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"]

needed = pytest.mark.skipif(CHROMIUM is None, reason="no chromium here; apt-get install chromium")


@contextmanager
def launched():
    """A browser. While it is open, asyncio.run() cannot be used in the same thread: open it for a module at most."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@contextmanager
def offline(browser):
    """A page without a network that notes what it asked for, in `asked`, and what went wrong in it, in `said`."""
    context = browser.new_context(offline=True)
    page = context.new_page()
    page.asked, page.said = [], []
    page.on("request", lambda request: page.asked.append(request.url))
    page.on("console", lambda message: page.said.append(message.text))
    page.on("pageerror", lambda error: page.said.append(str(error)))
    yield page
    context.close()


def whole(page, path):
    """Opens a file in an offline page; returns how many pictures it shows, once all have come and nothing went wrong."""
    page.goto(path.as_uri())
    page.evaluate("document.querySelectorAll('img').forEach(image => image.loading = 'eager')")
    page.wait_for_load_state("networkidle")
    pictures = page.locator("img").evaluate_all("all => all.map(image => image.complete && image.naturalWidth > 0)")
    assert all(pictures), f"{pictures.count(False)} pictures of {path.name} did not come"
    assert all(address.startswith(("file:", "data:")) for address in page.asked)
    assert page.said == []
    return len(pictures)
