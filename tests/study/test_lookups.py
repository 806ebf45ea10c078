"""Lookups of the programs of 2003 and 2004, the times published of them, and how both are ordered."""

import pandas as pd
import pytest

from rmapmodel.study.lookups import SCHEMES, against, measured, order, timings
from rmapmodel.study.published import figures


@pytest.fixture(scope="module")
def runs():
    programs = {"test_mmap2": {"cache_pages": 10, "forks": 2}, "rmap_test_1": {"vmas": 3, "pages": 2, "children": 2, "passes": 1}}
    return measured(programs).set_index(["program", "scheme"])


def test_all_schemes_find_the_same(runs):
    assert len(runs) == 2 * len(SCHEMES)
    for program, mappings in ("test_mmap2", 9 * 4), ("rmap_test_1", 3 * (3 * 2 + 1)):
        assert set(runs.loc[program].mappings) == {mappings}


def test_what_a_list_of_36_vmas_costs(runs):
    row = runs.loc["test_mmap2", "list"]
    assert (row.listed, row.longest, row.held) == (36, 36, 36)
    assert row.candidates == 9 * 36
    # the last of four mappings is found at 4, 8, ... 36: fork puts a copy just before its original
    assert row.visits == sum(range(4, 37, 4))
    # nine vmas in nine pieces cut off the window: each is linked, the window shrunk; then 27 by fork
    assert row.passed >= row.listed and row.height == 0


def test_what_trees_and_chains_cost(runs):
    for scheme in ("prio_tree", "interval_tree", "pte_chain"):
        row = runs.loc["test_mmap2", scheme]
        assert row.visits == row.candidates == row.mappings == 36 and row.longest == 4
    tree, chain = runs.loc["test_mmap2", "prio_tree"], runs.loc["test_mmap2", "pte_chain"]
    assert tree.nodes > tree.visits and 3 <= tree.height <= 9 and tree.passed > runs.loc["test_mmap2", "list"].passed
    # a pte chained for each of 36 mappings, and none for the walks
    assert (chain.updates, chain.passed) == (36, 0)


def test_a_scan_keeps_nothing_up(runs):
    row = runs.loc["test_mmap2", "page_table_scan"]
    assert (row.updates, row.passed, row.candidates) == (0, 0, 9 * 36)


def test_timings_are_the_published_system_times():
    rows = timings().set_index(["program", "year", "scheme"])
    assert rows.id["rmap_test_1", 2003, "pte_chain"] == "F162" and rows.id["test_mmap3", 2004, "prio_tree"] == "F438"
    assert all(figures()[row.id].value == row.seconds and figures()[row.id].metric == "system" for row in rows.itertuples())
    assert sorted(rows.id[rows.killed]) == ["F398", "F422"]


def test_against_the_base_of_the_same_program_and_year():
    frame = pd.DataFrame({"program": ["a", "a", "b", "b"], "scheme": ["x", "y"] * 2, "n": [2, 6, 5, 5]})
    assert against(frame, "x", "n").tolist() == [1, 3, 1, 1]
    assert against(frame.assign(year=1), "y", "n").tolist() == [2 / 6, 1, 1, 1]


@pytest.mark.parametrize("counts, times, killed, said", [
    ([1, 2], [1, 2], [False, False], "alike"), ([1, 2], [2, 1], [False, False], "opposite"),
    ([2, 2], [1, 2], [False, False], "tied"), ([1, 2], [1, 2], [False, True], "alike"),
    ([1, 2], [1, 2], [True, False], "undecided"), ([1, 2], [2, 1], [True, False], "opposite")])
def test_order_of_a_pair(counts, times, killed, said):
    frame = pd.DataFrame({"at": "here", "count": counts, "time": times, "killed": killed}, index=["one", "two"])
    rows = order(frame, ["at"], "count", "time")
    assert rows.order.tolist() == [said] and rows["at"].tolist() == ["here"]


def test_only_rows_of_one_place_are_paired():
    frame = pd.DataFrame({"at": [1, 2, 2], "count": [1, 2, 3], "time": [1, 2, 3], "killed": False})
    assert len(order(frame, ["at"], "count", "time")) == 1
