"""A report and a site in a real browser without a network."""

import pytest

from tests.browser.chromium import launched, needed, offline, whole

pytestmark = needed


@pytest.fixture
def page():
    with launched() as browser, offline(browser) as page:
        yield page


@pytest.mark.parametrize("name", ["index.html", "notebooks/01-figure.html"])
def test_a_page_is_whole_without_a_network(report, page, name):
    assert whole(page, report / name) == 1


def test_a_page_of_the_site_is_whole_without_a_network(site, page):
    assert whole(page, site[2] / "notebooks/01-figure.html")
    assert page.locator("figure#fig-cost img").is_visible()


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
