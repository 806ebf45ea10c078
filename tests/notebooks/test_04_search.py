"""Notebook 04 at test scale: 360 areas in test_mmap, 36 in each of 16 processes in test_mmap2."""

from rmapmodel.report.collect import failed_check
from tests.notebooks.notebook import run

FIGURES = {f"fig-search-{name}" for name in (
    "list", "tree", "visits", "growth", "lethal", "balance", "times", "anonymous", "guess")}


def test_search(of_report):
    shown = of_report("04-search")
    assert set(shown.figures) == FIGURES
    claims = shown.claims
    assert not any(map(failed_check, claims.values()))
    assert {name for name, claim in claims.items() if not claim["holds"]} == {
        "search-by-a-pass", "search-order", "search-ratio"}
    assert claims["search-every-vma"]["measured"] == "in 6 of 6 programs, up to 864 vmas"
    assert claims["search-every-vma"]["where_it_stops"].endswith("180.5 of 360 in test_mmap")
    assert claims["search-more-lethal"]["measured"] == "576 vmas against 360 with 16 processes and 1/10 of the pages"
    # 36 pages of 36 * 16 vmas, 360 pages of 360
    assert claims["search-by-a-pass"]["measured"].startswith("20,736 visits against 129,600")
    # 14 areas of the smaller file, 144 of the larger: 144/14 processes; its square is beyond the sweep
    assert claims["search-more-lethal"]["where_it_stops"].endswith("from 10 processes on")
    assert claims["search-by-a-pass"]["where_it_stops"].endswith("nowhere here")
    assert claims["search-tree-solves"]["measured"] == "1.00 visits a mapping at most, 360 on the list"
    # a pte chained for each mapping: 360, 36 * 16, 54 * 16, twice 11 * 50 + 11, 2 * 700 + 2
    chained = 360 + 576 + 864 + 2 * (11 * 50 + 11) + 1402
    assert claims["search-upkeep"]["measured"] == f"0 steps against {chained:,}"
    # pte chains, list and scan of three programs in 2003, and a tree for the scan in 2004; two programs without list
    assert claims["search-order"]["measured"] == "9 pairs alike, 6 opposite, 5 tied in counts"
    assert claims["search-order-across"]["measured"].endswith("1 undecided")
    assert claims["search-ratio"]["measured"].startswith("0.3 to 39.1 times as long")
    assert claims["search-flood-of-splits"]["measured"] == "16 visits a mapping on the list, 1 in the tree"
    assert shown.values["law"] == 576_000 and shown.values["case"] == 1_000_000
    assert "F178" in shown.values["faster"] and shown.values["faster"].startswith("2.10 s")


def test_search_where_there_is_nothing_to_search(tmp_path):
    shown = run("04-search", tmp_path, CACHE_PAGES=2, MMAP3_PAGES=2, FORKS=0, CHILDREN=1, AREA_PAGES=1, AREAS=1, SWEEP_PAGES=1)
    assert set(shown.figures) == FIGURES
    assert not any(map(failed_check, shown.claims.values()))
    assert "search-order" not in shown.claims and "out of proportion" in shown.sentence
