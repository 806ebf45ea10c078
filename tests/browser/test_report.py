"""The report over all notebooks, in a real browser without a network."""

import json

import pytest

from rmapmodel.report.collect import failed_check, people
from rmapmodel.report.parameters import find
from tests.browser.chromium import needed, offline, whole

pytestmark = needed

NOTEBOOKS = [path.stem for path in find()]


@pytest.fixture(scope="session")
def report(report_of_all):
    return report_of_all[1]


@pytest.fixture(scope="session")
def manifest(report):
    return json.loads((report / "manifest.json").read_text())


@pytest.fixture
def page(report, browser):
    with offline(browser) as page:
        yield page


def test_every_notebook_finishes_and_every_check_passes(report_of_all, manifest):
    assert {name: entry["error"] for name, entry in manifest["notebooks"].items() if entry["error"]} == {}
    assert [claim for entry in manifest["notebooks"].values() for claim in entry["claims"] if failed_check(claim)] == []
    assert report_of_all[0] == 0


def test_the_index_shows_every_figure(report, manifest, page):
    figures = [id for entry in manifest["notebooks"].values() for id in entry["figures"]]
    assert whole(page, report / "index.html") == len(figures)
    for id in figures:
        assert page.locator(f"figure#{id} img").is_visible()


@pytest.mark.parametrize("notebook", NOTEBOOKS)
def test_a_page_shows_every_figure_and_no_remains_of_a_widget(report, manifest, page, notebook):
    figures = manifest["notebooks"][notebook]["figures"]
    assert figures and whole(page, report / "notebooks" / f"{notebook}.html") >= len(figures)
    for id in figures:
        assert page.locator(f"figure#{id} img").is_visible()
    assert page.locator("script, [class*=widget], [class*=jp-], .output.error").count() == 0
    outputs = page.locator("section.code > :not(details)")
    assert not any("Guess(" in text or "VBox(" in text or "widget" in text for text in outputs.all_inner_texts())
    # nothing that was displayed is empty
    assert all(outputs.evaluate_all("all => all.map(each => each.innerText.trim() !== '' || each.querySelector('img'))"))


def test_two_clicks_lead_to_what_a_person_claimed_and_whether_it_held(report, manifest, page):
    claims = [(name, claim) for name, entry in manifest["notebooks"].items() for claim in entry["claims"]]
    names = {person for _, claim in claims for person in people(claim)}
    page.goto((report / "index.html").as_uri())
    assert set(page.locator(".people a").all_inner_texts()) == names
    for person in names:
        made = [(name, claim) for name, claim in claims if person in people(claim)]
        page.goto((report / "index.html").as_uri())
        page.get_by_role("link", name=person, exact=True).click()
        assert page.locator("tbody:target").is_visible()
        rows = page.locator("tbody:target tr:not(.group)")
        links = rows.evaluate_all("all => all.map(row => [...row.querySelectorAll('a')].pop().getAttribute('href'))")
        assert links == [f"notebooks/{name}.html#claim-{claim['id']}" for name, claim in made]
        for told, (_, claim) in zip(rows.all_inner_texts(), made, strict=True):
            assert claim["claim"] in told and ("✓ holds" if claim["holds"] else "✗ does not hold") in told
        rows.last.get_by_role("link").last.click()
        assert page.url.endswith(links[-1])
        assert made[-1][1]["claim"] in page.locator("tr:target").inner_text()
