"""Notebook 13 at test scale: two programs replayed again, the tables of all."""

import pytest

from rmapmodel.study import corpus
from tests.notebooks.notebook import run


@pytest.fixture(scope="module")
def shown(of_report):
    return of_report("13-real-programs")


def test_real_programs(shown):
    assert set(shown.figures) == {f"fig-real-{name}" for name in ("common", "moves", "reclaim", "memory", "copies", "guess")}
    claims = shown.claims
    assert len(claims) == 9
    assert {id for id, claim in claims.items() if not claim["holds"]} == {
        "real-rare-everywhere", "real-early-copy", "real-family-search", "real-singletons"}
    assert all(claim["holds"] == claim.get("expected", True) for claim in claims.values())
    assert shown.values["differing"] == 0 and shown.values["again"] == "perl-workers, nginx"


def test_the_two_numbers_are_those_of_the_tables(shown):
    moves = corpus.table("moves").set_index("program")
    assert moves.moves_of_fork_shared[moves.moves_of_fork_shared > 0].to_dict() == {"perl-workers": 32, "python-pool": 18}
    assert shown.claims["real-none-in-regular-use"]["measured"] == "0 of 186 moves in 14 programs"
    assert shown.claims["real-rare-everywhere"]["where_it_stops"] == "perl-workers: 32 of 34, python-pool: 18 of 19"
    reclaim = corpus.table("reclaim").set_index(["strategy", "program"])
    each = (reclaim.anonymous_visits / reclaim.anonymous_mappings).groupby("strategy").mean()
    assert [shown.values[name] for name in ("anonmm", "anon_vma", "space", "chain")] == pytest.approx(
        [each[name] for name in ("anonmm", "anon_vma", "shared_space", "anon_vma_chain")])
    # every copy under anonmm_copy, less those that writes alone make
    memory = corpus.table("memory").set_index(["strategy", "program"])
    in_vain = (memory.copied["anonmm_copy"] - memory.copied["anonmm"]).sum()
    early = memory.copied_by_moves["anonmm_copy"].sum()
    assert shown.claims["real-early-copy"]["measured"] == f"{early - in_vain:,} of {early:,} pages" == "33 of 1,212 pages"


def test_the_explorer_begins_at_the_moment_of_the_table(shown):
    _, *rows = shown.figures["fig-real-guess"].files["csv"].decode().splitlines()
    visits = {row.split(",")[0]: float(row.split(",")[1]) for row in rows}
    table = corpus.table("reclaim").set_index(["program", "strategy"]).loc["perl-workers"]
    assert visits == pytest.approx((table.anonymous_visits / table.anonymous_mappings).to_dict())


def test_one_program_and_one_moment(tmp_path):
    shown = run("13-real-programs", tmp_path, PROGRAMS=["shell-pipeline"], MOMENTS=1)
    assert len(shown.claims) == 9 and shown.values["again"] == "shell-pipeline"
