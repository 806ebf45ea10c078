"""Work counted hook by hook, against what can be counted by hand."""

import inspect

import pytest

from rmapmodel.events import Exit, Fork, Header, Mmap, Mprotect, Mremap, Munmap, Reclaim, Spawn, Write
from rmapmodel.strategies import STRATEGIES
from rmapmodel.strategies.base import Strategy
from rmapmodel.study.replay import Options, replay
from rmapmodel.study.work import COLUMNS, HOOKS, MERGES, work
from rmapmodel.trace.memory import InMemory
from rmapmodel.trace.workloads import generate

PAGE, BASE, AWAY = 4096, 0x10000000, 0x20000000
DESIGNS = pytest.mark.parametrize("design", STRATEGIES)
ASKED = {"offsets_meet", "objects_agree", "new_offset", "moved_offset", "can_grow", "copies_before_move", "copies_at_swap_in",
         *MERGES}
OTHER = {"make_index", "shipped_index", "merge_kernel", "attach", "walk", "walk_anonymous", "walk_files", "census",
         "count_objects", "merged_away", "groups", "follows_moves"}


def mmap(addr, pages, pid=1):
    return Mmap(pid, addr, pages * PAGE, "rw-", ["private", "anonymous"])


def write(addr, pages, pid=1):
    return Write(pid, addr, pages * PAGE)


def counted(design, *events, **options):
    """What a design does, as {(event, hook): (made, freed, holds, pages)}, without rows of zeros."""
    rows = work(InMemory(Header(version=1), [Spawn(1), *events]), design, Options(**options))
    cells = {(row.event, row.hook): (row.made, row.freed, row.holds, row.pages) for row in rows.itertuples()}
    return {key: counts for key, counts in cells.items() if any(counts)}


def test_the_hooks_are_all_that_a_design_is_told():
    methods = {name for name, _ in inspect.getmembers(Strategy, inspect.isfunction) if not name.startswith("_")}
    assert set(HOOKS) == methods - ASKED - OTHER


def test_anonmm_works_for_mms_and_pages():
    assert counted("anonmm", mmap(BASE, 4), write(BASE, 4), Fork(1, 2), Mremap(2, BASE, 2 * PAGE, AWAY, 2 * PAGE, ["maymove"]),
                   Munmap(2, AWAY, PAGE), Exit(2)) == {
        ("spawn", "mm_made"): (1, 0, 0, 0), ("write", "mapped_new"): (0, 0, 0, 4), ("fork", "mm_forked"): (1, 0, 1, 0),
        ("mremap", "moved"): (2, 0, 0, 2), ("exit", "mm_gone"): (0, 1, 1, 0)}


def test_anon_vma_works_for_vmas():
    assert counted("anon_vma", mmap(BASE, 4), write(BASE, 4), Fork(1, 2), Mprotect(2, BASE, 2 * PAGE, "r--"),
                   Mprotect(2, BASE, 2 * PAGE, "rw-"), Mremap(2, BASE, 4 * PAGE, AWAY, 4 * PAGE, ["maymove"])) == {
        ("write", "prepared"): (1, 0, 1, 0), ("write", "mapped_new"): (0, 0, 0, 4), ("fork", "forked"): (0, 0, 1, 0),
        # where a neighbour is swallowed and only the end of the other changes, one hold is taken for both
        ("mprotect", "split"): (0, 0, 1, 0), ("mprotect", "unlinked"): (0, 0, 1, 0),
        ("mremap", "copied"): (0, 0, 1, 0), ("mremap", "unlinked"): (0, 0, 1, 0)}


def test_pte_chain_works_for_ptes():
    moved = Mremap(2, BASE, 2 * PAGE, AWAY, 2 * PAGE, ["maymove"])
    assert counted("pte_chain", mmap(BASE, 4), write(BASE, 4), Fork(1, 2), moved, Exit(2), Reclaim()) == {
        ("write", "mapped_new"): (0, 0, 0, 4), ("fork", "duplicated"): (4, 0, 0, 4), ("mremap", "moved"): (0, 0, 0, 2),
        ("exit", "unmapped"): (0, 0, 0, 4), ("reclaim", "referenced"): (0, 4, 0, 4)}


def test_no_reverse_map_does_nothing():
    assert counted("page_table_scan", mmap(BASE, 4), write(BASE, 4), Fork(1, 2), Exit(2)) == {}


def test_merges_denied_are_counted():
    apart = [mmap(BASE, 1), write(BASE, 1), mmap(BASE + 2 * PAGE, 1), write(BASE + 2 * PAGE, 1), mmap(BASE + PAGE, 1)]
    rows = work(InMemory(Header(version=1), [Spawn(1), *apart]), "anon_vma").set_index(["event", "hook"])
    # either neighbour would take the filler in, but not both: they have an anon_vma each
    assert rows.calls["mmap", "compatible"] == 2 and rows.refused["mmap", "compatible"] == 0
    assert rows.refused["mmap", "ends_compatible"] == 1
    assert work(InMemory(Header(version=1), [Spawn(1), *apart]), "anonmm").refused.sum() == 0


def test_pages_copied_early_are_told_apart():
    rows = work(InMemory(*generate("mremap_inherited", processes=3, pages=8)), "anonmm_copy")
    early = rows[rows.hook == "copy_early"]
    assert early.copied.sum() == 4 == rows.copied.sum() and set(early.event) == {"mremap"}


def test_events_may_be_told_apart_by_anything():
    trace = InMemory(*generate("mremap_repeated", processes=2, pages=3, moves=2))
    rows = work(trace, "anonmm", by=lambda line, event: line)
    assert rows[rows.made > 0].event.tolist() == [1, 4, 5]


@DESIGNS
def test_watching_changes_nothing(design):
    trace = InMemory(*generate("mremap_inherited", processes=4, pages=20))
    rows = work(trace, design)
    assert list(rows.columns) == ["event", "hook", *COLUMNS]
    machine = replay(trace, design).machine
    alive = machine.ledger.alive()
    assert rows.made.sum() - rows.freed.sum() == sum(alive.values()) - alive["vm_area_struct"]
    holds = sum(locking.acquired for (name, _), locking in machine.ledger.locks.items() if name != "i_mmap")
    assert rows.holds.sum() <= holds  # walks take locks, too
