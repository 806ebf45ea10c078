"""The four designs of 2004 against worked examples of the thread and of kernel-facts sections 2 to 6."""

import pytest

from rmapmodel.events import Brk, Exec, Exit, Fork, Mmap, Mprotect, Mremap, Munmap, Read, Reclaim, Spawn, Swapout, Write
from tests.traces import run

P = 4096
A, B = 0x100000, 0x200000
ANON = ["private", "anonymous"]
FIXED = ["maymove", "fixed"]


def area(pages=4):
    return [Spawn(1), Mmap(1, A, pages * P, "rw-", ANON), Write(1, A, pages * P)]


def star(children):
    return [Fork(1, pid) for pid in range(2, children + 2)]


def done(events, strategy, **options):
    return run(events, strategy, after=lambda machine, count: machine.check(), **options).result()


def objects(events, strategy, **options):
    found = done(events, strategy, **options)["objects"]
    return tuple(found[kind] for kind in list(found))


# -- pte_chain


@pytest.mark.parametrize("mappings, elements", [(1, 0), (2, 1), (7, 1), (8, 2), (14, 2), (15, 3)])
def test_a_page_mapped_n_times_has_ceil_n_over_nrpte_elements(mappings, elements):
    """Direct while there is one; NRPTE is 7 on both a 32-byte i386 line and a 64-byte x86_64 line."""
    for arch in ("x86_64", "i386"):
        assert objects(area(1) + star(mappings - 1), "pte_chain", arch=arch)[1] == elements


def test_chain_of_one_becomes_direct_only_when_referenced():
    events = area(1) + [Fork(1, 2), Exit(2)]
    assert objects(events, "pte_chain")[1] == 1
    assert objects(events + [Reclaim()], "pte_chain")[1] == 0


def test_pte_chain_visits_exactly_the_mappings_wherever_pages_moved():
    events = area() + star(5) + [Mremap(3, A, 4 * P, B, 4 * P, FIXED), Reclaim()]
    found = done(events, "pte_chain")["reclaim"]
    assert found["vmas_examined"] == found["vmas_candidates"] == found["mappings"] == 24


def test_areas_without_offsets_merge_wherever_they_come_from():
    """Anonymous offsets are not compared: a moved area joins what it touches (kernel-facts sections 2 and 4)."""
    events = [Spawn(1), Mmap(1, A, 2 * P, "rw-", ANON), Mmap(1, B, 2 * P, "rw-", ANON), Write(1, A, P), Write(1, B, P),
              Mremap(1, B, 2 * P, A + 2 * P, 2 * P, FIXED)]
    vmas = {name: objects(events, name)[0] for name in ("pte_chain", "anonmm", "anon_vma", "shared_space", "anon_vma_chain")}
    assert vmas == {"pte_chain": 1, "anonmm": 1, "anon_vma": 2, "shared_space": 2, "anon_vma_chain": 2}


# -- anonmm


def test_anonmm_is_one_object_an_mm_and_outlives_it_while_pages_point_to_it():
    assert objects(area() + star(3), "anonmm")[1] == 4
    assert objects(area() + [Fork(1, 2), Exit(1)], "anonmm")[1] == 2
    assert objects(area() + [Fork(1, 2), Exit(1), Reclaim()], "anonmm_copy")[1] == 2  # its pages moved on, but it is the head
    middle = area() + [Fork(1, 2), Fork(2, 3), Write(2, A, 4 * P), Fork(2, 4), Exit(2)]
    assert objects(middle + [Reclaim()], "anonmm")[1] == 4  # pages stay with a dead mm ...
    assert objects(middle + [Reclaim()], "anonmm_copy")[1] == 3  # ... up to May 2004, when a walk moves them on
    assert objects(middle + [Write(4, A, 4 * P)], "anonmm")[1] == 3  # page_turn_rmap: the last owner writes
    assert objects(middle + [Write(4, A, 4 * P)], "anonmm_copy")[1] == 4
    assert objects(area() + [Exec(1)], "anonmm")[1] == 1


def test_moving_a_page_alone_changes_its_index_moving_a_shared_one_makes_a_chain():
    """
        1: A[....]      2: A[....] -> B[....]     each page: index A + i, chain {B + i} until the last mapping is gone
    """
    move = Mremap(2, A, 4 * P, B, 4 * P, FIXED)
    assert objects(area() + [Mremap(1, A, 4 * P, B, 4 * P, FIXED)], "anonmm")[2] == 0
    shared = area() + [Fork(1, 2), move]
    assert objects(shared, "anonmm")[2] == 4
    assert objects(shared + [Mremap(2, B, 4 * P, A, 4 * P, FIXED)], "anonmm")[2] == 4  # stale addresses pile up
    assert objects(shared + [Exit(2)], "anonmm")[2] == 4
    assert objects(shared + [Write(1, A, 4 * P)], "anonmm")[2] == 4
    assert objects(shared + [Exit(1), Exit(2)], "anonmm")[2] == 0


def test_chain_takes_six_addresses_and_then_seven_an_element():
    """Slot 0 of the first element holds the map count (anobjrmap 5/6)."""
    events = area(1) + [Fork(1, 2)]
    for n in range(1, 8):
        events.append(Mremap(2, A if n == 1 else B + (n - 1) * P, P, B + n * P, P, FIXED))
        assert objects(events, "anonmm")[2] == (1 if n <= 6 else 2), n


def test_an_address_is_chained_once():
    events = area(1) + [Fork(1, 2)] + [Mremap(2, old, P, new, P, FIXED)
                                       for old, new in ((A, B), (B, B + P), (B + P, B), (B, A))]
    strategy = run(events, "anonmm").machine.strategy
    frame = run(events, "anonmm").machine.resident()
    assert [lengths.tolist() for lengths in strategy.chains.lengths(frame)] == [[1], [3]]  # the count, B and B + P


def test_anonmm_looks_in_every_mm_for_a_page_of_one_child():
    """O(N) in all four page origins (thread.md 2.9): here the copy that one child made, whose own mm is tried first."""
    events = area() + star(9) + [Write(5, A, P), Fork(5, 20), Write(5, A, P), Reclaim(20, A, P)]
    found = done(events, "anonmm")["reclaim"]
    assert found["vmas_examined"] == 10 - 3 + 0  # from process 5 through the younger ones to 20
    assert found["vmas_candidates"] == 11


def test_page_brought_back_at_another_address_is_still_found():
    events = area() + [Fork(1, 2), Swapout(), Mremap(2, A, 4 * P, B, 4 * P, FIXED), Read(2, B, 4 * P), Read(1, A, 4 * P)]
    assert done(events + [Reclaim()], "anonmm")["reclaim"]["mappings"] == 8 + 8


# -- anon_vma


def test_anon_vma_is_shared_by_fork_split_and_touching_neighbours():
    assert objects(area() + star(5), "anon_vma") == (6, 1)
    assert objects(area() + [Mprotect(1, A + P, P, "r--")], "anon_vma") == (3, 1)
    both = [Spawn(1), Mmap(1, A, 2 * P, "rw-", ANON), Mprotect(1, A + P, P, "rwx"), Write(1, A, P), Write(1, A + P, P)]
    assert objects(both, "anon_vma") == (2, 1)  # find_mergeable_anon_vma
    assert objects(both + [Mprotect(1, A + P, P, "rw-")], "anon_vma") == (1, 1)
    assert objects(area() + [Fork(1, 2), Exit(1), Exit(2)], "anon_vma") == (0, 0)


def test_anon_vma_list_is_newest_first_and_stops_at_the_last_mapping():
    own = area() + star(4) + [Write(2, A, P), Reclaim(2, A, P)]
    found = done(own, "anon_vma")["reclaim"]
    assert (found["vmas_examined"], found["vmas_candidates"]) == (4, 5)  # 5, 4, 3, then 2; and the parent


def test_splits_make_every_walk_longer_on_a_list_and_not_in_a_tree():
    flood = area(16) + [Mprotect(1, A + page * P, P, "r--") for page in range(1, 16, 2)] + [Reclaim()]
    assert done(flood, "anon_vma", index="list")["reclaim"]["vmas_candidates"] == 16 * 16
    for tree in ("interval_tree", "prio_tree"):
        assert done(flood, "anon_vma", index=tree)["reclaim"]["vmas_candidates"] == 16


def test_heap_of_a_child_grows_in_one_vma_where_nothing_forbids_it():
    heap = [Spawn(1), Brk(1, A), Brk(1, A + 3 * P), Write(1, A, 3 * P), Fork(1, 2), Brk(2, A + 5 * P)]
    assert objects(heap, "anon_vma")[0] == 2
    assert objects(heap, "anon_vma_chain")[0] == 3


def test_a_design_keeps_the_merge_rules_of_the_kernels_that_had_it():
    """anon_vma's are those of 2.6.7 to 2.6.33, whatever --kernel says."""
    back = [Spawn(1), Mmap(1, A, 2 * P, "r-x", ["private"], "f"), Mmap(1, A + 2 * P, 2 * P, "r--", ["private"], "f", 2 * P),
            Mprotect(1, A, 2 * P, "r--")]  # mprotect never joins areas of a file before 2.6.7
    assert [objects(back, "anon_vma", kernel=kernel)[0] for kernel in ("2.6.4", "2.6.7")] == [1, 1]
    assert [objects(back, "pte_chain", kernel=kernel)[0] for kernel in ("2.6.4", "2.6.7")] == [2, 1]
    filler = [Spawn(1), Mmap(1, A, 2 * P, "rw-", ANON), Mmap(1, A + 4 * P, 2 * P, "rw-", ANON), Write(1, A, P),
              Write(1, A + 4 * P, P), Mmap(1, A + 2 * P, 2 * P, "rw-", ANON)]
    lower = [done(filler, "anon_vma", kernel=kernel)["processes"]["1"]["vmas"][0]["end"] for kernel in ("2.6.33", "6.6")]
    assert lower == [A + 4 * P] * 2


# -- shared_space


def test_one_address_space_an_exec_shared_by_all_descendants():
    assert objects(area() + star(5), "shared_space")[1] == 1
    assert objects(area() + star(5) + [Exec(3)], "shared_space")[1] == 2
    assert objects(area() + [Fork(1, 2), Exit(1)], "shared_space")[1] == 1
    assert objects(area() + [Fork(1, 2), Exit(1), Exit(2)], "shared_space")[1] == 0


def test_an_index_is_a_search_key_and_may_repeat():
    """Copies of one inherited page in all children carry the same index: visits, not errors (thread.md 2.4)."""
    events = area(1) + star(9) + [Write(pid, A, P) for pid in range(2, 11)] + [Reclaim()]
    found = done(events, "shared_space")["reclaim"]
    assert found["pages"] == found["mappings"] == 10
    assert found["vmas_candidates"] == 100
    assert found["vmas_examined"] == sum(range(1, 11))


def test_mremap_changes_nothing_of_a_page_and_an_address_can_be_used_again():
    """
        A[1111] -> B[1111], then new A[2222]: both carry offsets A/PAGE, and each is found
    """
    events = area() + [Mremap(1, A, 4 * P, B, 4 * P, FIXED), Mmap(1, A, 4 * P, "rw-", ANON), Write(1, A, 4 * P), Reclaim()]
    found = done(events, "shared_space")["reclaim"]
    assert (found["mappings"], found["vmas_candidates"]) == (8, 16)


def test_private_file_area_is_in_both_sets():
    events = [Spawn(1), Mmap(1, A, 4 * P, "rw-", ["private"], "lib", 8 * P), Read(1, A, 4 * P), Write(1, A, P),
              Munmap(1, A + 2 * P, P), Fork(1, 2), Mremap(2, A, P, B, P, FIXED), Reclaim()]
    found = done(events, "shared_space")["reclaim"]
    assert found["mappings"] == 6 and found["pages"] == 3


def test_anonymous_pages_of_private_file_areas_are_keyed_by_address():
    """Two copies of one page of a file: one file offset, two offsets in the space."""
    maps = [Mmap(1, at, P, "rw-", ["private"], "lib", 8 * P) for at in (A, B)]
    found = done([Spawn(1), *maps, Write(1, A, P), Write(1, B, P), Reclaim()], "shared_space")["reclaim"]
    assert found["mappings"] == found["vmas_candidates"] == 2


# -- file pages


@pytest.mark.parametrize("strategy", ["anonmm", "anon_vma", "shared_space", "anon_vma_chain"])
@pytest.mark.parametrize("index, candidates", [("list", 3), ("prio_tree", 1), ("interval_tree", 1)])
def test_file_pages_are_found_through_the_file(strategy, index, candidates):
    maps = [Mmap(1, A + 16 * n * P, 2 * P, "r--", ["shared"], "f", 2 * n * P) for n in range(3)]
    found = done([Spawn(1), *maps, Read(1, A, P), Reclaim()], strategy, index=index)["reclaim"]
    assert (found["mappings"], found["vmas_candidates"]) == (1, candidates)


@pytest.mark.parametrize("strategy, offset", [("shared_space", A), ("shared_space_unique", A), ("anon_vma", B)])
def test_untouched_memory_that_moves_keeps_its_offset_in_a_shared_space_only(strategy, offset):
    """Only vm_start and vm_end change (kernel-facts 6.3); with anon_vma, memory never touched is as new (copy_vma)."""
    moved = run([Spawn(1), Mmap(1, A, 2 * P, "rw-", ANON), Mremap(1, A, 2 * P, B, 2 * P, FIXED)], strategy).machine
    assert [vma.pgoff * P for vma in moved.mm_of(1).vmas] == [offset]
