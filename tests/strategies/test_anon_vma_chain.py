"""anon_vma_chain against worked examples (kernel-facts sections 8 and 13) and hand-drawn cases."""

from rmapmodel.events import Brk, Exit, Fork, Madvise, Mmap, Mprotect, Mremap, Munmap, Read, Reclaim, Spawn, Swapout, Write
from tests.traces import run

P = 4096
A = 0x100000
ANON = ["private", "anonymous"]
FIXED = ["maymove", "fixed"]


def counts(events, **options):
    run_ = run(events, "anon_vma_chain", after=lambda machine, count: machine.check(), **options)
    objects = run_.machine.ledger.alive()
    return objects["vm_area_struct"], objects["anon_vma"], objects["anon_vma_chain"]


def area(pages=4):
    return [Spawn(1), Mmap(1, A, pages * P, "rw-", ANON), Write(1, A, pages * P)]


def test_first_write_makes_one_anon_vma_and_one_avc():
    assert counts([Spawn(1), Mmap(1, A, P, "rw-", ANON)]) == (1, 0, 0)
    assert counts([Spawn(1), Mmap(1, A, P, "rw-", ANON), Read(1, A, P)]) == (1, 0, 0)
    assert counts(area()) == (1, 1, 1)


def test_child_does_not_merge_an_untouched_neighbour_but_the_parent_does():
    """
        parent  [AAAA]      -> [AAAABBBB]     one vma
        child   [AAAA]      -> [AAAA][BBBB]   kernel-facts 13.2
    """
    grow = lambda pid: Mmap(pid, A + 4 * P, 4 * P, "rw-", ANON)
    assert counts(area() + [Fork(1, 2), grow(1)])[0] == 2
    assert counts(area() + [Fork(1, 2), grow(2)])[0] == 3
    assert counts(area() + [Fork(1, 2), Exit(1), grow(2)])[0] == 2


def test_pieces_split_off_in_the_child_rejoin_those_split_before_the_fork_do_not():
    there, back = (lambda pid, prot: Mprotect(pid, A + P, P, prot))(1, "r--"), Mprotect(1, A + P, P, "rw-")
    assert counts(area() + [there, back]) == (1, 1, 1)
    child = lambda prot: Mprotect(2, A + P, P, prot)
    assert counts(area() + [Fork(1, 2), child("r--"), child("rw-")])[0] == 2
    assert counts(area() + [there, Fork(1, 2), back, child("rw-")])[0] == 1 + 3


def test_moved_touched_memory_keeps_its_offset_and_untouched_does_not():
    """
        [LLLL][MMMM]  M moved away and back: touched it fits only at home, untouched anywhere  (kernel-facts 13.4)
    """
    there, back = Mremap(1, A + 2 * P, 2 * P, A + 64 * P, 2 * P, FIXED), Mremap(1, A + 64 * P, 2 * P, A + 2 * P, 2 * P, FIXED)
    assert counts(area() + [there])[0] == 2
    assert counts(area() + [there, back]) == (1, 1, 1)
    untouched = [Spawn(1), Mmap(1, A, 4 * P, "rw-", ANON), there, Mmap(1, A + 66 * P, 2 * P, "rw-", ANON)]
    assert counts(untouched) == (2, 0, 0)
    assert counts(untouched[:3] + [Write(1, A + 64 * P, P), back])[0] == 2


def test_dontunmap_leaves_a_source_that_gets_a_fresh_anon_vma():
    moved = area() + [Mremap(1, A, 4 * P, A + 64 * P, 4 * P, FIXED + ["dontunmap"])]
    assert counts(moved) == (2, 1, 1)
    assert counts(moved + [Write(1, A, P)]) == (2, 2, 2)


def test_heap_of_a_forked_child_grows_a_second_vma():
    heap = [Spawn(1), Brk(1, A), Brk(1, A + 3 * P), Write(1, A, 3 * P), Fork(1, 2)]
    assert counts(heap + [Brk(2, A + 5 * P)]) == (3, 2, 3)
    assert counts(heap + [Brk(2, A + 5 * P), Write(2, A + 3 * P, P), Brk(2, A + 6 * P)])[0] == 3
    assert counts(heap + [Brk(1, A + 5 * P)]) == (2, 2, 3)


def test_page_of_a_child_is_found_at_once_after_its_copy_and_an_inherited_one_in_the_whole_star():
    """Growth with family size N of the page origins of thread.md 2.9."""
    children = 10
    base = area() + [Fork(1, pid) for pid in range(2, children + 2)]
    own = run(base + [Write(11, A, P), Reclaim(11, A, P)]).result()["reclaim"]
    assert (own["vmas_examined"], own["mappings"]) == (1, 1)
    inherited = run(base + [Reclaim(11, A, P)]).result()["reclaim"]
    assert (inherited["vmas_examined"], inherited["mappings"]) == (children + 1, children + 1)
    left_over = run(base + [Write(pid, A, P) for pid in range(2, children + 2)] + [Reclaim(1, A, P)]).result()["reclaim"]
    assert left_over["vmas_examined"] == 1  # the parent's vma is the oldest, and then the walk stops
    assert left_over["vmas_candidates"] == children + 1


def test_swapped_in_page_of_a_child_goes_to_the_root():
    events = area() + [Fork(1, 2), Write(2, A, P), Fork(2, 3), Swapout()]
    machine = run(events + [Read(3, A, P)]).machine
    frame = machine.processes[3].table.at(A // P)
    root = machine.strategy.anon_vmas[int(machine.frames.anchor[frame])]
    assert root.parent is root and len(root.vmas) == 3
    own = run(events + [Read(3, A, P), Exit(2), Write(3, A, P)]).machine
    frame = own.processes[3].table.at(A // P)
    assert own.frames.anchor[frame] == own.processes[3].vmas[0].anon.number  # written by its last owner, it moves


def test_wipeonfork_child_starts_empty():
    assert counts(area() + [Madvise(1, A, 4 * P, "wipeonfork"), Fork(1, 2)]) == (2, 1, 1)


def test_unmap_of_the_middle_splits_and_duplicates_every_avc():
    events = area(8) + [Fork(1, 2), Munmap(2, A + 2 * P, 2 * P)]
    assert counts(events) == (3, 2, 1 + 2 * 2)
