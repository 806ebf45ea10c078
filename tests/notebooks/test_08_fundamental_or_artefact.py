"""Notebook 08 at test scale: nine processes, two pages of each origin."""

from rmapmodel.report.collect import failed_check
from tests.notebooks.notebook import run


def test_fundamental_or_artefact(of_report):
    shown = of_report("08-fundamental-or-artefact")
    assert set(shown.figures) == {f"fig-origins-{name}" for name in (
        "copied", "repaired", "growth", "verdicts", "price", "kernel", "guess")}
    claims = shown.claims
    assert not any(map(failed_check, claims.values()))
    assert {name for name, claim in claims.items() if not claim["holds"]} == {
        "origins-not-fixable", "origins-as-pte-chains"}
    # every mm of nine, the page's own first
    assert claims["origins-all-mms"]["measured"] == "9.0 places, 1.0 with early stop, for a page of a child's new area"
    assert claims["origins-not-fixable"]["where_it_stops"].endswith("9 places")
    # of eight copies the n-th child's is found after 9 - n vmas: 4.5 on average
    assert claims["origins-as-pte-chains"]["measured"] == (
        "anon_vma: 9.0 places, 4.5 with early stop, for a child's copy; "
        "pte_chain: 1.0 places, 1.0 with early stop, for a child's copy")
    assert claims["origins-chains-skip"]["measured"] == (
        "left to two of 9, pte_chain and objrmap visit 2 places in a full walk, 0 of 8 other designs do")
    assert claims["origins-repaired"]["where_it_stops"] == "a page left to the parent has 1 mapping and 9 candidates"
    assert claims["origins-kernel"]["measured"] == "192 of 192 walks of Linux 6.1.176, full and early"
    assert claims["origins-kernel"]["where_it_stops"].startswith("looked at up to 201 processes")
    assert claims["origins-no-free-design"]["measured"] == "0 of 11 designs"
    # anonmm tries the parent, then the children from the eldest on
    assert (shown.values["by_eldest"], shown.values["by_youngest"]) == (2, 9)
    assert (shown.values["full_new"], shown.values["early_copy"]) == ("N", "0.5N")


def test_a_smallest_family_of_old(tmp_path):
    shown = run("08-fundamental-or-artefact", tmp_path, CHILDREN=1, PAGES=1, KERNEL="2.6.7", ARCH="i386")
    assert not any(map(failed_check, shown.claims.values()))
    assert shown.claims["origins-all-mms"]["measured"].startswith("3.0 places, 1.0 with early stop")
