"""Notebook 07 at test scale."""

from rmapmodel.report.collect import failed_check

from tests.notebooks.notebook import run

NAME = "07-file-mremap"


def test_file_mremap(of_report):
    shown = of_report(NAME)
    assert set(shown.figures) == {f"fig-file-{name}" for name in (
        "structure-file", "structure-anonymous", "anonymous", "private", "copies", "nonlinear", "guess")}
    claims = shown.claims
    assert len(claims) == 6 and all(claim["holds"] for claim in claims.values()) and not any(map(failed_check, claims.values()))
    # one process moves two of four pages that three share
    assert (shown.values["memory_astray"], shown.values["file_astray"]) == (2, 0)
    assert claims["file-no-special-case"]["measured"].startswith("0 objects, pages and copies by moves in 9 designs")
    # half of four ptes, all of them, and all of them again
    assert claims["file-no-special-case"]["where_it_stops"].startswith("pte_chain rewrites 10 ptes; turned around")
    assert claims["file-no-difference"]["measured"] == "shared_space: 0 of 12 steps differ, in links 0"
    assert claims["file-merging"]["measured"].startswith("two areas side by side: apart in 11 of 11 designs with a file, in 5 with")
    # two moves and the lookups
    assert claims["file-anon-vma"]["measured"] == "0 of 12 steps differ in anon_vma, 3 in anonmm"
    # copies of the first, the second, and the original that the third keeps are found at the first, second and third vma
    assert claims["file-copies"]["measured"].startswith("shared_space: up to 2.0 probes a mapping in anonymous memory, 1.0 in a")
    # each half of the mapping is a cluster of 32 pages; a page is found in the first one swept or only after both
    assert claims["file-nonlinear"]["measured"] == "64 of 64 mappings astray; 48.0 probes a mapping by sweeping, 1.0 by a pointer for each"


def test_file_mremap_of_one_page_of_one_process(tmp_path):
    shown = run(NAME, tmp_path, PROCESSES=1, PAGES=1, POINTS=1, LARGE=1, KERNEL="2.6.11", ARCH="i386")
    assert len(shown.figures) == 7
    assert set(shown.claims) == {"file-no-special-case", "file-no-difference", "file-merging", "file-anon-vma"}
