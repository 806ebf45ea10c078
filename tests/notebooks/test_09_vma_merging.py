"""Notebook 09 at test scale."""

from rmapmodel.report.collect import failed_check

from tests.notebooks.notebook import run

FIGURES = {f"fig-merge-{name}" for name in (
    "objects", "offsets", "designs", "pieces", "eras", "programs", "reasons", "guess")}


def test_vma_merging(of_report):
    shown = of_report("09-vma-merging")
    assert set(shown.figures) == FIGURES
    claims = shown.claims
    assert not any(map(failed_check, claims.values()))
    assert {name for name, claim in claims.items() if not claim["holds"]} == {"merge-holes"}
    # seven growths by mmap, brk and in the child; of eight pieces filled in turn three join only the one below
    assert claims["merge-growth"]["measured"] == "anon_vma: 21 growths joined, 0 refused"
    assert claims["merge-holes"]["measured"] == "written before: of 7 tries 3 refused; written after: 0"
    assert claims["merge-failures-shared"]["measured"] == "4 of 228"
    assert claims["merge-growth"]["where_it_stops"].endswith("3.0 to 7.0")
    assert claims["merge-sharing-helps"]["measured"] == "touched, then made alike: 8 vmas without the rule, 1 with it"
    # four pairs of a touched and an untouched piece
    assert claims["merge-wrongly-refused"]["measured"].startswith("4 of 4 refused with 6.15, 0 with 6.16")
    assert claims["merge-nerfed"]["measured"] == "lost in 3.0 to 6.15"
    assert claims["merge-moved-differ"]["measured"] == "refused: 7 touched, 0 untouched"
    assert shown.values["milder"] == "5.5 to 5.6"
    assert (shown.values["mistaken"], shown.values["inherited"]) == (13, 0)


def test_vma_merging_in_another_era_and_one_program(tmp_path):
    shown = run("09-vma-merging", tmp_path, PIECES=3, KERNELS=["2.6.7"], KERNEL="2.6.39", PROGRAMS=["make-compile"])
    assert set(shown.figures) == FIGURES
    claims = shown.claims
    assert not any(map(failed_check, claims.values()))
    assert "merge-failures-shared" not in claims and "These parameters do not test: Of the merges that fail" in shown.sentence
    # before 3.0 a child's heap grows in one piece, and the notebook does not expect the claim to hold
    assert not claims["merge-brk-after-fork"]["holds"]
