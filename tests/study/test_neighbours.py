"""Which neighbours become one vma, and what recorded programs do to areas."""

import pytest

from rmapmodel.events import Fork, Header, Mmap, Mprotect, Mremap, Munmap, Spawn, Write
from rmapmodel.strategies import STRATEGIES
from rmapmodel.study.changes import changes, moved
from rmapmodel.study.neighbours import HISTORIES, UNMOVED, neighbours
from rmapmodel.study.program import recording
from rmapmodel.study.replay import replay
from rmapmodel.trace.jsonl import read
from rmapmodel.trace.memory import InMemory

PAGE, BASE, AWAY = 4096, 0x10000000, 0x20000000
FREE = ("page_table_scan", "pte_chain", "objrmap", "anonmm", "anonmm_copy", "anonmm_remap")


@pytest.mark.parametrize("history", HISTORIES)
def test_a_history_ends_with_one_run_of_memory(history):
    machine = replay(InMemory(Header(version=1), [Spawn(1), *HISTORIES[history]]), "anon_vma").machine
    vmas = machine.mm_of(1).vmas
    assert all(low.end == high.start and low.flags == high.flags for low, high in zip(vmas, vmas[1:]))
    machine.check()


def test_what_is_kept_apart():
    vmas = neighbours()
    assert list(vmas.columns) == list(STRATEGIES)
    assert (vmas[list(FREE)] == 1).all(axis=None)
    apart = {name: [history for history in HISTORIES if vmas.loc[history, name] > 1] for name in STRATEGIES if name not in FREE}
    offsets = ["mmap above a moved area", "a moved area lands beside another"]
    assert apart == {
        "anon_vma": ["a hole between two areas, filled", *offsets], "anon_vma_chain": ["a hole between two areas, filled", *offsets],
        "shared_space": [*offsets, "an untouched one lands beside another"], "cow_context": offsets,
        "shared_space_unique": ["a gap left by a move, filled", *offsets, "an untouched one lands beside another"]}
    assert not any(isinstance(event, Mremap) for history in UNMOVED for event in HISTORIES[history])


def trace(*events):
    return InMemory(Header(version=1), [Spawn(1), Mmap(1, BASE, 6 * PAGE, "rw-", ["private", "anonymous"]),
                                        Write(1, BASE, 6 * PAGE), *events])


def test_changes_of_areas_are_counted():
    rows = changes(trace(Mprotect(1, BASE, PAGE, "r--"), Mprotect(1, BASE, PAGE, "rw-"), Munmap(1, BASE + 2 * PAGE, PAGE))).set_index(
        "strategy")
    # one split by mprotect, two by a munmap from the middle; one join
    assert rows.splits.to_list() == [3, 3, 3] and rows.joins.to_list() == [1, 1, 1]
    assert rows.area_work["anonmm"] == rows.move_work["anonmm"] == 0
    # anon_vma: three splits, the join, what munmap takes out, a hold each
    assert rows.area_work["anon_vma"] == 5
    assert rows.vmas.to_list() == [2, 2, 2]


def test_moves_and_those_of_shared_pages_are_counted():
    move = Mremap(1, BASE, 2 * PAGE, AWAY, 2 * PAGE, ["maymove"])
    assert moved(trace(move)) == {"moves": 1, "shared": 0}
    assert moved(trace(Fork(1, 2), move)) == {"moves": 1, "shared": 1}
    assert moved(trace()) == {"moves": 0, "shared": 0}
    rows = changes(trace(move)).set_index("strategy")
    # anonmm writes two indices; anon_vma links the new vma and changes the old
    assert rows.move_work["anonmm"] == 2 and rows.move_work["anon_vma"] == 3


def test_the_recorded_realloc_loop_keeps_areas_apart():
    rows = changes(read(recording("realloc-loop"))).set_index("strategy")
    assert rows.refused.to_dict() == {"anonmm": 0, "anon_vma": 220, "anon_vma_chain": 220}
    assert rows.vmas["anon_vma"] > 1.4 * rows.vmas["anonmm"]
    assert rows.move_work["anonmm"] > 40 * rows.move_work["anon_vma"]
