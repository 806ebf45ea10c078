"""Sweeps, timelines and moves against replays, and against what can be counted by hand."""

import numpy as np
import pandas as pd
import pytest

from rmapmodel.errors import InputError
from rmapmodel.events import Exit, Fork, Header, Mmap, Mremap, Spawn, Write
from rmapmodel.strategies import STRATEGIES
from rmapmodel.study.compare import compare
from rmapmodel.study.moves import away_from_index, moves
from rmapmodel.study.program import against_truth, locate, objects_of
from rmapmodel.study.replay import Options, replay
from rmapmodel.study.sweeps import COLUMNS, beyond, costs, crossing, repeated_keys, sweep, thinned, timeline
from rmapmodel.trace.memory import InMemory
from rmapmodel.trace.workloads import generate

PAGE, BASE, AWAY = 4096, 0x10000000, 0x20000000
DESIGNS = pytest.mark.parametrize("design", STRATEGIES)


def inherited(moved=0.5, shared=0.5):
    return InMemory(*generate("mremap_inherited", processes=5, pages=40, moved=moved, shared=shared))


def trace(*events):
    return InMemory(Header(version=1), [Spawn(1), Mmap(1, BASE, 4 * PAGE, "rw-", ["private", "anonymous"]),
                                        Write(1, BASE, 4 * PAGE), *events])


def move(pid, addr, new_addr, pages=2):
    return Mremap(pid, addr, pages * PAGE, new_addr, pages * PAGE, ["maymove"])


@DESIGNS
def test_a_sweep_is_a_row_for_each_replay(design):
    rows = sweep(inherited, {"moved": [0.0, 0.5], "shared": [0.5]}, [design])
    assert list(rows.columns) == ["moved", "shared", "strategy", *COLUMNS]
    for row in rows.itertuples():
        run = replay(inherited(row.moved, row.shared), design)
        reclaim = run.machine.ledger.reclaim
        assert (row.mappings, row.probes, row.visits) == (
            reclaim["mappings"], reclaim["ptes_examined"], reclaim["vmas_examined"])
        assert row.missed == 0
        assert row.design_bytes == run.result()["bytes_design"]["now"]


def test_keys_repeat_where_one_object_serves_a_family():
    # page 0 is written by both children: three pages at one index; the other three are shared
    copied = trace(Fork(1, 2), Fork(1, 3), Write(2, BASE, PAGE), Write(3, BASE, PAGE))
    repeated = {name: repeated_keys(replay(copied, name).machine) for name in STRATEGIES}
    # a copy keeps the index where the object is the family's; an object for each mm or none tells copies apart
    assert repeated == {"page_table_scan": 0, "pte_chain": 0, "objrmap": 0, "anonmm": 0, "anonmm_copy": 0,
                        "anonmm_remap": 0, "anon_vma": 3, "shared_space": 3, "shared_space_unique": 3,
                        "anon_vma_chain": 0, "cow_context": 0}


def test_moves_of_inherited_pages_are_told_from_others():
    met = moves(trace(Fork(1, 2), Write(2, BASE, PAGE), move(2, BASE, AWAY), Exit(2), move(1, BASE, AWAY)), "anonmm")
    assert met.to_dict("list") == {
        "line": [6, 8], "pid": [2, 1], "moved": [True, True], "refused": [False, False], "resident": [2, 2],
        "anonymous": [2, 2], "shared": [1, 0], "reindexed": [1, 1], "allocated": [1, 0],
        "copied": [0, 0]}


def test_growth_in_place_is_no_move():
    grown = Mremap(1, BASE, 4 * PAGE, BASE, 8 * PAGE)
    assert moves(trace(grown), "anon_vma").moved.tolist() == [False]


def test_a_trace_without_mremap_has_no_moves():
    met = moves(trace(), "anon_vma")
    assert len(met) == 0 and (met.shared > 0).sum() == 0


def test_a_bad_event_is_named():
    with pytest.raises(InputError) as error:
        moves(trace(move(9, BASE, AWAY)), "anon_vma")
    assert error.value.line is None or error.value.line == 4


@DESIGNS
def test_what_moves_do_to_pages_and_make(design):
    # each of four children moves twenty pages, of which ten are shared
    met = moves(inherited(), design)
    assert len(met) == 4 and met.resident.sum() == 80
    # where mremap copies, a page is shared by one less after each move: the last child still shares it with the parent
    assert met.shared.sum() == 40
    # an address as index: pages of its own get the new one
    assert met.reindexed.sum() == (40 if design in ("anonmm", "anonmm_copy") else 0)
    # the ten shared pages get a chain element each; each new vma two AVCs; each move a record
    made = {"anonmm": 10, "anon_vma_chain": 8, "anonmm_remap": 4, "cow_context": 4}
    assert met.allocated.sum() == made.get(design, 0)
    assert met.copied.sum() == (40 if design == "anonmm_copy" else 0)


def test_pages_away_from_their_index_are_the_shared_ones_that_moved():
    assert away_from_index(replay(inherited(), "anonmm").machine) == moves(inherited(), "anonmm").shared.sum()
    assert away_from_index(replay(inherited(moved=0.0), "anonmm").machine) == 0


def test_a_timeline_follows_the_replay():
    lines = timeline(inherited(), ["anonmm"])
    run = replay(inherited(), "anonmm")
    assert lines.event.tolist() == list(range(1, len(inherited()) + 1))
    assert lines.design_bytes.max() == run.machine.ledger.peak_design
    assert lines.mappings.max() == run.machine.peak_mappings


def test_beyond_is_the_difference_line_by_line():
    whole = inherited()
    still = whole.where(lambda event: not isinstance(event, Mremap))
    added = beyond(timeline(whole), timeline(still))
    assert (added.extra_bytes >= 0).all()
    last = added[added.strategy == "anonmm"].extra_bytes.iloc[-1]
    assert last == 10 * replay(whole, "anonmm").machine.ledger.size["rmap_chain"]
    assert added[added.strategy == "pte_chain"].extra_bytes.eq(0).all()


def test_thinning_keeps_the_peaks():
    lines = timeline(inherited(), ["anonmm", "pte_chain"])
    few = thinned(lines, 5)
    assert few.groupby("strategy").size().max() <= 5
    assert (few.groupby("strategy").design_bytes.max() == lines.groupby("strategy").design_bytes.max()).all()
    assert len(thinned(lines.iloc[:0])) == 0


def test_crossings():
    assert crossing([0, 1], [0, 0], [1, 1]) is None
    assert crossing([0, 1], [2, 2], [1, 1]) == 0
    assert crossing([0.0, 0.5, 1.0], [0, 1, 2], [1, 1, 1]) == 0.5


def test_costs_against_the_truth():
    frame, _ = compare(trace(), options=Options(reclaim="default"))
    table = against_truth(frame)
    assert list(table.index) == list(STRATEGIES)
    # the scan for the first page passes one pte, for the fourth four; all others go to each page's only mapping
    assert table.visits.to_dict() == {**dict.fromkeys(STRATEGIES, 1.0), "page_table_scan": (1 + 2 + 3 + 4) / 4}
    assert objects_of(frame)["anon_vma: anon_vma"] == 1


def test_costs_where_nothing_is_mapped():
    frame, _ = compare(InMemory(Header(version=1), [Spawn(1)]), options=Options(reclaim="default"))
    assert against_truth(frame).visits.isna().all()


def test_a_trace_is_found_from_the_notebooks_and_from_the_root(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "here.jsonl").touch()
    assert locate("here.jsonl").is_file()
    assert locate("../here.jsonl").resolve() == tmp_path / "here.jsonl"
    assert locate("../tests/figures/family.jsonl").is_file()  # from notebooks/ of the checkout
    assert not locate("../no.jsonl").exists()


def test_costs_measure_a_replay_with_reclaim():
    measured = costs(replay(inherited(), "pte_chain"))
    assert measured["probes"] == measured["visits"] == measured["mappings"] == 100 + 4 * 25
    assert isinstance(pd.DataFrame([measured]).probes.iloc[0], np.integer)
