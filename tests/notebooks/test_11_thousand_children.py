"""Notebook 11 at test scale."""

from rmapmodel.report.collect import failed_check

from tests.notebooks.notebook import run

FIGURES = {f"fig-children-{name}" for name in (
    "anon-vma", "chain", "visits", "memory", "locks", "growth", "reuse", "attached", "guess")}


def test_thousand_children(of_report):
    shown = of_report("11-thousand-children")
    assert set(shown.figures) == FIGURES
    claims = shown.claims
    assert not any(map(failed_check, claims.values()))
    # 17 processes of ten pages, each page mapped once; the parent's ten are looked for in all of them
    assert claims["children-walk-all"]["measured"] == "17 visits to the end, 9.0 if it stops, 17 processes"
    assert claims["children-few-long"]["measured"] == "10 of 170 pages"
    assert claims["children-average-two"]["measured"] == f"{(16 * 1 + 17) / 17:.4f} visits to the end"
    # an anon_vma and two AVCs a fork
    assert claims["children-fork-pays"]["measured"] == "3 objects a vma and fork more, 15 visits a page fewer"
    assert claims["children-lock-lost"]["measured"] == "17 locks with 2.6.34, 1 with 2.6.36"
    assert claims["children-endless"]["measured"] == "11 AVCs for one vma after 10 generations, with 2.6.34"
    assert claims["children-endless"]["where_it_stops"] == "in 2.6.34 to 3.18 only"
    assert claims["children-reuse-ends-it"]["measured"].startswith("3 AVCs")
    assert claims["children-reuse-ends-it"]["where_it_stops"].startswith("while all generations live they take 66 AVCs")  # 11 * 12 / 2
    assert not claims["children-twice-the-vmas"]["holds"]
    assert claims["children-double-reuse"]["measured"] == "2 processes to one with 5.19, 1 with 6.0"
    assert (shown.values["hung"], shown.values["left"]) == (170, 11)


def test_thousand_children_that_are_one(tmp_path):
    shown = run("11-thousand-children", tmp_path, CHILDREN=1, PAGES=1, SWEEP_PAGES=1, GENERATIONS=1, TREES=1, ALIVE=2,
                PROGRAMS=["make-compile"])
    assert set(shown.figures) == FIGURES
    assert not any(map(failed_check, shown.claims.values()))
    assert shown.claims["children-average-two"]["measured"] == "1.5000 visits to the end"
    assert "children-twice-the-vmas" not in shown.claims
    assert "These parameters do not test: Repeated fork grows" in shown.sentence
