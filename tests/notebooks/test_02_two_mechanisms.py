"""Notebook 02 at test scale."""

from rmapmodel.report.collect import failed_check

from tests.notebooks.notebook import run

NAME = "02-two-mechanisms"


def test_two_mechanisms(of_report):
    shown = of_report(NAME)
    assert set(shown.figures) == {f"fig-two-{name}" for name in (
        "structure", "growth", "crossing", "endings", "program", "objrmap", "guess")}
    claims = shown.claims
    assert {id for id, claim in claims.items() if not claim["holds"]} == {"two-early-cow", "two-never"}
    assert len(claims) == 9 and not any(map(failed_check, claims.values()))
    # two children move eight pages eight times: sixteen addresses and the count are three elements of seven slots
    assert claims["two-stale"]["measured"].startswith("128 addresses chained to 8 pages, 16 in use")
    assert claims["two-persist"]["measured"].startswith(f"all {8 * 3 * 64:,} bytes outlast 5 of 5")
    assert claims["two-persist"]["where_it_stops"].startswith("swapped out 0 bytes are left, read back 512;")
    # a record is six words; a lookup tries the index and sixteen addresses
    assert claims["two-range"]["measured"].startswith(f"anonmm_remap: {16 * 6 * 8:,} bytes")
    # 64 elements of 64 bytes are a page; they hold the count and 447 addresses
    assert claims["two-few-bytes"]["where_it_stops"].startswith("from 448 moves")
    assert claims["two-zero"]["where_it_stops"].startswith("the move itself is one: 16 pages copied, all by the first round (16)")
    # the child of family.jsonl that moves four pages writes none of them
    assert claims["two-early-cow"]["measured"].startswith("0 of 4 pages")
    assert claims["two-both"]["measured"] .startswith(
        "family: up to 4 chain elements from event 9 to 15")
    assert shown.values["nonlinear"] == 8
    assert shown.values["published"] == 100 * 716 / 24116


def test_two_mechanisms_without_movers(tmp_path):
    shown = run(NAME, tmp_path, PROCESSES=1, MOVES=0, LONG=0, PROGRAM="realloc-loop", PROGRAMS=[])
    assert not shown.claims
    assert "These parameters do not test: two-both, two-persist" in shown.sentence
    assert shown.values["addresses"] == shown.values["early"] == 0
