"""What each design does to a page's pointer and index when it comes back from swap (kernel-facts sections 4, 5 and 8).

    1: A[a]      2: A[a] -> B[a]      both on swap; 2 reads it back at B first, then 1 at A

A swapped page has neither pointer nor index. Where one of anonmm's designs is not told otherwise the first reader gives
both: its own anonmm, and the address there. The others take the offset of the vma, which is the same in both.
"""

import numpy as np
import pytest

from rmapmodel.events import Fork, Mmap, Mremap, Read, Spawn, Swapout, Write
from rmapmodel.vm.frames import FIRST
from tests.traces import run

P = 4096
A, B = 0x100, 0x200
SHARED = [Spawn(1), Mmap(1, A * P, P, "rw-", ["private", "anonymous"]), Write(1, A * P, P), Fork(1, 2)]
MOVED = [*SHARED, Mremap(2, A * P, P, B * P, P, ["maymove", "fixed"])]
BY_CHILD, BY_PARENT = [Read(2, B * P, P), Read(1, A * P, P)], [Read(1, A * P, P), Read(2, B * P, P)]


def state(events, strategy, **options):
    """(the pids whose mms map the page of 1 at A, its anchor, its index, objects) after checking every event."""
    machine = run(events, strategy, after=lambda machine, count: machine.check(), **options).machine
    frame = machine.mm_of(1).table.at(A)
    sharers = [pid for pid, page in ((1, A), (2, B)) if machine.mm_of(pid).table.at(page) == frame >= FIRST]
    anchor, index = (int(column[frame]) for column in (machine.frames.anchor, machine.frames.index))
    objects = machine.ledger.alive()
    del objects["vm_area_struct"]
    return sharers, anchor, index, objects


@pytest.mark.parametrize("strategy, order, anchor, index, objects", [
    ("page_table_scan", BY_CHILD, 0, 0, {}),
    ("pte_chain", BY_CHILD, 0, 0, {"pte_chain": 1}), ("objrmap", BY_CHILD, 0, 0, {"pte_chain": 1}),
    # anonmm: the second address is chained, whoever comes first
    ("anonmm", BY_CHILD, 2, B, {"anonmm": 2, "rmap_chain": 1}), ("anonmm", BY_PARENT, 1, A, {"anonmm": 2, "rmap_chain": 1}),
    # anonmm_remap: the move is on record; where the mover comes first a record leads the other way
    ("anonmm_remap", BY_CHILD, 2, B, {"anonmm": 2, "remap_record": 2}),
    ("anonmm_remap", BY_PARENT, 1, A, {"anonmm": 2, "remap_record": 1}),
    ("anon_vma", BY_CHILD, 1, A, {"anon_vma": 1}), ("anon_vma", BY_PARENT, 1, A, {"anon_vma": 1}),
    ("shared_space", BY_CHILD, 1, A, {"address_space": 1}), ("shared_space_unique", BY_CHILD, 1, A, {"address_space": 1}),
    # not known to be the reader's own: the root's anon_vma, the oldest context
    ("anon_vma_chain", BY_CHILD, 1, A, {"anon_vma": 2, "anon_vma_chain": 3}),
    ("anon_vma_chain", BY_PARENT, 1, A, {"anon_vma": 2, "anon_vma_chain": 3}),
    ("cow_context", BY_CHILD, 1, A, {"cow_context": 2, "remap_record": 1}),
])
def test_a_shared_page_that_moved_and_comes_back(strategy, order, anchor, index, objects):
    assert state([*MOVED, Swapout(), *order], strategy) == ([1, 2], anchor, index, objects)


@pytest.mark.parametrize("order", [BY_CHILD, BY_PARENT])
def test_anonmm_copy_copies_what_comes_back_at_a_second_address(order):
    """The move itself copies a shared page in memory; on swap it moves, and the second reader copies ("rmap 11")."""
    swapped = [*SHARED, Swapout(), Mremap(2, A * P, P, B * P, P, ["maymove", "fixed"])]
    assert state([*swapped, *order], "anonmm_copy") == ([1], 1, A, {"anonmm": 2})
    assert run([*swapped, *order], "anonmm_copy").machine.ledger.copies == 1
    assert run([*MOVED, Swapout(), *order], "anonmm_copy").machine.ledger.copies == 1
    back = run([*SHARED, Swapout(), Read(2, A * P, P), Read(1, A * P, P)], "anonmm_copy").machine
    assert back.ledger.copies == 0 and back.frames.mapcount.max() == 2


@pytest.mark.parametrize("strategy", ["anon_vma_chain", "cow_context"])
def test_a_page_that_is_the_readers_own_comes_back_to_the_readers_own_object(strategy):
    """A swap entry remembers that its page was exclusive from 5.19 on; before, a write tells."""
    own = [*SHARED, Write(2, A * P, P), Swapout(2)]

    def anchor(kernel, touch):
        machine = run([*own, touch], strategy, kernel=kernel, after=lambda machine, count: machine.check()).machine
        return int(machine.frames.anchor[machine.mm_of(2).table.at(A)])

    assert [anchor(kernel, Read(2, A * P, P)) for kernel in ("5.18", "5.19")] == [1, 2]
    assert [anchor(kernel, Write(2, A * P, P)) for kernel in ("5.18", "5.19")] == [2, 2]


def test_reclaim_under_swap_costs_anonmm_less_than_anon_vma():
    """The comparison announced in 2004: children's own copies are searched in all vmas of one anon_vma, list order."""
    children, pages = 4, 3
    family = [Spawn(1), Mmap(1, A * P, pages * P, "rw-", ["private", "anonymous"]), Write(1, A * P, pages * P),
              *(Fork(1, pid) for pid in range(2, children + 2)),
              *(Write(pid, A * P, pages * P) for pid in range(2, children + 2)), Swapout(),
              *(Read(pid, A * P, pages * P) for pid in range(1, children + 2)), Swapout()]
    visits = {name: run(family, name).result()["reclaim"]["vmas_examined"] for name in ("anonmm", "anon_vma")}
    copies = (children + 1) * pages  # every process has its own; mapped and looked for twice
    # anonmm tries the page's own mm first; anon_vma's list runs from the youngest child, 1, to the parent, 5
    assert visits == {"anonmm": 2 * copies, "anon_vma": 2 * pages * sum(range(1, children + 2))}
    assert np.isclose(visits["anon_vma"] / visits["anonmm"], 3)
