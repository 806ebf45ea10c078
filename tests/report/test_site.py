"""The site over a small report: Sphinx has nothing to warn of, and its pages are whole without a network."""

import re

import pytest

from docs.build import build, linked
from rmapmodel.errors import InputError
from rmapmodel.strategies import STRATEGIES
from tests.report.small import Loads


def test_it_is_built_without_a_warning(site):
    status, said, _ = site
    assert status == 0, f"{said}\nmend what it names, then run: make site"


def test_it_holds_the_workbook_the_figures_the_pages_the_designs_and_the_api(site):
    names = {path.relative_to(site[2]).as_posix() for path in site[2].rglob("*.html")}
    assert names >= {"index.html", "figures.html", "notebooks/01-figure.html", "notebooks/02-failing-cell.html",
                     "docs/model.html", "docs/costs.html", "data/README.html", "api/rmapmodel.vm.html", "api/rmapmodel.report.html",
                     *(f"designs/{name}.html" for name in STRATEGIES)}


def test_a_notebook_shows_its_figure_and_verdict(site):
    page = (site[2] / "notebooks/01-figure.html").read_text()
    assert '<figure id="fig-cost"' in page and 'src="data:image/svg+xml;base64,' in page
    assert "Cost by size, with &lt;angle&gt; brackets &amp; more." in page
    assert "the cost grows with &lt;size&gt;" in page and "does not hold" in page and "57600" in page


def test_links_in_outputs_lead_to_pages(site):
    assert '<a class="reference external" href="01-figure.html">01</a>' in (
        site[2] / "notebooks/07-over-the-others.html").read_text()


def test_a_design_has_its_docstrings_and_its_source(site):
    page = (site[2] / "designs/anonmm.html").read_text()
    text = " ".join(re.sub("<[^>]*>", "", page).split())
    assert "A page points to the anonmm of the mm that first mapped it; its index is its virtual address." in text
    assert "_modules/rmapmodel/strategies/anonmm.html" in page and "rmap_chain" in page and "mailto:" not in page


def test_pages_load_nothing_from_elsewhere(site):
    for page in site[2].rglob("*.html"):
        for address in Loads(page.read_text()).loaded:
            assert address.startswith(("data:", "#")) or (page.parent / address.partition("?")[0]).exists(), (page, address)
    for sheet in site[2].rglob("*.css"):
        assert not re.search(r"@import|url\([\"']?(?:https?:)?//", sheet.read_text()), sheet


def test_links_that_would_lead_nowhere_go(tmp_path):
    (tmp_path / "02-b.ipynb").touch()
    assert linked("[b](02-b.ipynb#x) [c](03-c.ipynb) [d](../d.md) [e](https://example.org/e) [f](#f) `a[0](x)`\n"
                  "```\ng[1](y)\n```", tmp_path) == (
        "[b](02-b.ipynb#x) c d [e](https://example.org/e) [f](#f) `a[0](x)`\n```\ng[1](y)\n```")


def test_nothing_but_a_site_is_replaced(tmp_path):
    (tmp_path / "thesis.tex").write_text("mine")
    with pytest.raises(InputError, match="holds something other than a site"):
        build(tmp_path, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]
