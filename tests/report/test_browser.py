"""A report and a site in a real browser without a network."""

import shutil

import pytest
from playwright.sync_api import sync_playwright

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync"]

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium here; it checks the pages in a real browser")


@pytest.fixture
def page():
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        page = browser.new_context(offline=True).new_page()
        page.asked, page.said = [], []
        page.on("request", lambda request: page.asked.append(request.url))
        page.on("console", lambda message: page.said.append(message.text))
        yield page
        browser.close()


@pytest.mark.parametrize("name", ["index.html", "notebooks/01-figure.html"])
def test_a_page_is_whole_without_a_network(report, page, name):
    page.goto(f"file://{report / name}")
    page.wait_for_load_state("networkidle")
    assert all(address.startswith(("file:", "data:")) for address in page.asked)
    assert page.said == []
    assert page.locator("img").count() == 1
    assert page.locator("img").evaluate("image => image.complete && image.naturalWidth > 100")


def test_a_page_of_the_site_is_whole_without_a_network(site, page):
    page.goto(f"file://{site[2] / 'notebooks/01-figure.html'}")
    page.wait_for_load_state("networkidle")
    assert all(address.startswith(("file:", "data:")) for address in page.asked)
    assert page.said == []
    assert page.locator("figure#fig-cost img").evaluate("image => image.complete && image.naturalWidth > 100")


def test_one_gets_from_a_figure_to_its_notebook_and_back(report, page):
    page.goto(f"file://{report / 'index.html'}")
    page.locator("figure a").first.click()
    assert page.url.endswith("notebooks/01-figure.html#fig-cost")
    page.get_by_text("← report").click()
    assert page.get_by_role("heading", name="Verdicts").is_visible()


def test_code_can_be_hidden_at_once_and_cell_by_cell(report, page):
    page.goto(f"file://{report / 'notebooks/01-figure.html'}")
    code = page.locator("details.source pre").first
    assert code.is_visible()
    page.locator("details.source summary").first.click()
    assert not code.is_visible()
    page.locator("nav label").click()
    assert page.locator("details.source:visible").count() == 0
    assert page.locator("figure img").is_visible()
