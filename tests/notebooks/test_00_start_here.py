"""Notebook 00 at test scale, and that it leads everywhere."""

import re

import pytest

from rmapmodel.events import Reclaim
from rmapmodel.report.collect import failed_check
from rmapmodel.report.parameters import load, source
from rmapmodel.strategies.anon_vma import AnonVmaStrategy
from rmapmodel.study.steps import agreement
from rmapmodel.trace.memory import InMemory
from rmapmodel.trace.workloads import generate
from tests.notebooks.notebook import NOTEBOOKS, run

ELEVEN = ("page-table-scan", "pte-chain", "objrmap", "anonmm", "anonmm-copy", "anonmm-remap", "anon-vma", "shared-space",
          "shared-space-unique", "anon-vma-chain", "cow-context")
FIGURES = {f"fig-start-{name}" for name in (*ELEVEN, "kinds", "prices", "steps")}
LINKED = re.compile(r"\(([0-9]{2}-[^)#]*\.ipynb)(?:#Verdict)?\)")


def test_start_here(of_report):
    shown = of_report("00-start-here")
    assert set(shown.figures) == FIGURES
    claims = shown.claims
    assert not any(map(failed_check, claims.values())) and all(claim["holds"] for claim in claims.values())
    # resident pages after the twelve events: none, none, 4, 4, 4, then one more for each write of a shared page to 8;
    # anonmm_copy has one more from each child's move on
    pages = [4, 4, 4, 5, 6, 6, 7, 8, 8, 8]
    copied = [4, 4, 4, 5, 6, 7, 8, 9, 10, 10]
    assert shown.values["lookups"] == 10 * sum(pages) + sum(copied) == 667
    assert claims["start-every-mapping"]["measured"] == "667 lookups under 11 designs: 0 mappings missed, 0 made up"
    # one chain element takes the addresses of both children; each gives the copy that it moves a new index
    assert claims["start-the-question"]["measured"] == \
        "objects that moves made: 1 with anonmm, 0 with shared_space; pages touched: 2 and 0"
    # b and d of the parent and of each child share their keys
    assert "in return 6 of 8 pages share their key" in claims["start-the-question"]["where_it_stops"]
    assert "No pte is looked at in vain by pte_chain, objrmap, anonmm_copy, anon_vma_chain and cow_context." in \
        shown.figures["fig-start-kinds"].caption


@pytest.mark.parametrize("changed", [
    {"PROCESSES": 1}, {"MOVED": 0.0, "SHARED": 0.0, "PAGES": 1},
    {"PROCESSES": 14, "PAGES": 30, "MOVED": 1.0, "KERNEL": "2.6.4"}], ids=str)
def test_start_here_with_other_values(tmp_path, changed):
    shown = run("00-start-here", tmp_path, **changed)
    assert set(shown.figures) == FIGURES
    assert not any(map(failed_check, shown.claims.values()))
    tested = changed.get("PROCESSES", 3) > 1 and changed.get("MOVED") != 0.0 and changed.get("SHARED") != 0.0
    assert ("start-the-question" in shown.claims) == tested
    assert tested or "not tested" in shown.sentence


def test_a_lookup_that_misses_or_makes_up_a_mapping_is_counted(monkeypatch):
    trace = InMemory(*generate("mremap_inherited", processes=3, pages=4))
    walk = AnonVmaStrategy.walk
    right = agreement(trace, ["anon_vma"]).iloc[0]

    def short(self, frames, log=None):
        return walk(self, frames[1:], log)  # the mappings of the first page are missed

    monkeypatch.setattr(AnonVmaStrategy, "walk", short)
    # without the reclaim, of which replay itself would say that it missed something
    wrong = agreement(trace.where(lambda event: type(event) is not Reclaim), ["anon_vma"]).iloc[0]
    assert right.missed == right.made_up == wrong.made_up == 0
    # page a: mapped by one, two and, from the second fork on, three processes; eleven events without the reclaim
    assert wrong.missed == 1 + 2 + 7 * 3


def links(name):
    return {target for cell in load(NOTEBOOKS / name)["cells"] for target in LINKED.findall(source(cell))}


def test_every_notebook_is_linked_from_the_start():
    there = {path.name for path in NOTEBOOKS.glob("*.ipynb")} - {"00-start-here.ipynb"}
    assert there <= links("00-start-here.ipynb"), "link each notebook in the tables of 00-start-here.ipynb"


def test_every_link_of_the_start_leads_to_a_notebook():
    there = {path.name for path in NOTEBOOKS.glob("*.ipynb")}
    if len(there) < 17:
        pytest.skip("not all seventeen notebooks are here")
    assert links("00-start-here.ipynb") <= there, "mend the links in 00-start-here.ipynb"


def test_each_of_the_cast_is_two_clicks_from_a_verdict():
    text = "\n".join(source(cell) for cell in load(NOTEBOOKS / "00-start-here.ipynb")["cells"])
    rows = re.search(r"\| who \|.*?\n\n", text, re.DOTALL)[0].strip().splitlines()[2:]
    assert len(rows) > 20 and all(row.endswith(".ipynb#Verdict) |") for row in rows)
    for name in {target for row in rows for target in LINKED.findall(row)}:
        if (NOTEBOOKS / name).exists():
            assert any(source(cell).startswith("## Verdict") for cell in load(NOTEBOOKS / name)["cells"]), \
                f"give {name} a heading `## Verdict`, to which 00-start-here.ipynb links"
