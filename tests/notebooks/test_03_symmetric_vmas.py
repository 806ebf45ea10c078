"""Notebook 03 at test scale."""

from rmapmodel.report.collect import failed_check

from tests.notebooks.notebook import run

NAME = "03-symmetric-vmas"


def test_symmetric_vmas(of_report):
    shown = of_report(NAME)
    assert set(shown.figures) == {f"fig-symmetric-{name}" for name in (
        "anon-vma", "work", "moved", "merging", "often", "burden", "guess")}
    claims = shown.claims
    assert {id for id, claim in claims.items() if not claim["holds"]} == {"symmetric-holes"}
    assert len(claims) == 10 and not any(map(failed_check, claims.values()))
    assert claims["symmetric-vmas"]["measured"].startswith("0 of 23 operations")
    assert claims["symmetric-vmas"]["where_it_stops"] == "merging: mmap above it leaves a vma more"
    # two processes look at one chained address more for each of four pages
    assert claims["symmetric-hacks"]["measured"].endswith("its lookups read +8 ptes")
    assert claims["symmetric-holes"]["measured"].startswith("2 vmas")
    # an area more: a list link in anon_vma; three AVCs, an anon_vma and two holds in anon_vma_chain; nothing by mm
    assert claims["symmetric-new-structure"]["measured"] == (
        "one more area makes fork do 1 more in anon_vma, 6 in anon_vma_chain, 0 in anonmm")
    assert claims["symmetric-bytes"]["measured"].startswith("24 bytes")
    assert claims["symmetric-refused"]["where_it_stops"].startswith("realloc-loop: 220 of 381 merges denied")
    assert claims["symmetric-common"]["measured"].endswith("170 moves, 0 of shared pages")
    assert claims["symmetric-who-pays"]["measured"].startswith("in 2 of 3 programs")
    assert (shown.values["an_area"], shown.values["a_process"]) == (24, 28)


def test_symmetric_vmas_of_one_process_in_2004(tmp_path):
    shown = run(NAME, tmp_path, PROCESSES=1, OTHERS=0, ARCH="i386", KERNEL="2.6.11", PROGRAMS=["../tests/figures/family.jsonl"])
    assert len(shown.figures) == 7
    assert set(shown.claims) == {"symmetric-holes", "symmetric-gaps", "symmetric-refused", "symmetric-common",
                                 "symmetric-bytes", "symmetric-mmap-c", "symmetric-who-pays"}
