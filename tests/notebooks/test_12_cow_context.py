"""Notebook 12 at test scale."""

from rmapmodel.report.collect import failed_check

from tests.notebooks.notebook import run

FIGURES = {f"fig-cow-{name}" for name in (
    "chain", "context", "fork", "memory", "visits", "generations", "hazards", "programs", "guess")}


def test_cow_context(of_report):
    shown = of_report("12-cow-context")
    assert set(shown.figures) == FIGURES
    claims = shown.claims
    assert not any(map(failed_check, claims.values()))
    # an anon_vma and two AVCs for each of eight areas
    assert claims["cow-fork-one-object"]["measured"] == "1 a fork, 24 under anon_vma_chain, with 8 areas"
    # five contexts; a record for each of eight areas in four children, and again in theirs
    assert claims["cow-moves-recorded"]["measured"] == "5 objects if nothing moved, 37 if each of 4 children moved 8 areas"
    assert claims["cow-moves-recorded"]["where_it_stops"].startswith(f"{9 + 8 * 8} when each has forked once more")
    # the context, and half of the eight deltas on average
    assert claims["cow-many-deltas"]["measured"].startswith(f"{1 + (1 + 8) / 2:.1f} visits with 8 areas")
    assert claims["cow-quick-mostly"]["where_it_stops"].endswith("where up to 7 of 8 children do")
    assert claims["cow-root-lock"]["measured"] == "anon_vma root of object 1; A's root is 1"
    # five histories of eight pages, each of which loses eight mappings
    assert claims["cow-draft-complete"]["measured"] == "40 of 104 mappings lost in 5 of 5 histories"
    assert claims["cow-draft-complete"]["where_it_stops"] == "as modelled 0 are lost"
    assert claims["cow-lazy-table"]["holds"]
    assert shown.values["save_anon"] == 1 - 2648.12 / 33280


def test_cow_context_in_another_era_and_one_of_everything(tmp_path):
    shown = run("12-cow-context", tmp_path, AREAS=1, CHILDREN=1, PAGES=1, GENERATIONS=1, MOVES=1, TREES=1, ALIVE=2,
                PROGRAMS=["make-compile"], KERNEL="2.6.34")
    assert set(shown.figures) == FIGURES
    assert not any(map(failed_check, shown.claims.values()))
    assert "cow-root-lock" not in shown.claims and "do not test: A process takes its root's lock" in shown.sentence
