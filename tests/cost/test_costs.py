"""Locks, lengths of walks and early copies (docs/costs.md), against counts made by hand."""

import contextlib

import pytest

from rmapmodel.cost.ledger import Ledger
from rmapmodel.errors import InputError, NoMemory
from rmapmodel.events import Exit, Fork, Mmap, Mprotect, Mremap, Read, Reclaim, RemapFilePages, Spawn, Swapout, Write
from rmapmodel.strategies import STRATEGIES
from rmapmodel.study.replay import TIMELINE, Options, machine_for, replay
from rmapmodel.trace.random_traces import random_trace
from tests.traces import in_memory, run

P, A, B = 4096, 0x100000, 0x200000
ANON = ["private", "anonymous"]


def locks(events, strategy, kernel, **options):
    """{(lock, mode): (acquired, longest hold, instances, busiest)}; the machine's own checks must add nothing."""
    costs = run(events, strategy, kernel=kernel, **options).costs()
    checked = run(events, strategy, after=lambda machine, count: machine.check(), kernel=kernel, **options)
    assert checked.costs() == costs
    return {(each["lock"], each["mode"]): (each["acquired"], each["longest_hold"], each["instances"], each["busiest"])
            for each in costs["locks"]}


def written(pages):
    """One process with one private anonymous area, all of it written."""
    return [Spawn(1), Mmap(1, A, pages * P, "rw-", ANON), Write(1, A, pages * P)]


def of_file(pages):
    """One process with one shared mapping of a file, all of it read."""
    return [Spawn(1), Mmap(1, A, pages * P, "rw-", ["shared"], "f", 0), Read(1, A, pages * P)]


# -- pte_chain: mm/rmap.c:page_add_rmap, page_remove_rmap (kernel-facts section 2); 7 slots an element on x86_64


def test_pte_chain_takes_the_lock_for_each_pte_added_and_removed():
    # 2 pages: written, forked (each page gets an element), removed by each exit from that element
    assert locks([*written(2)], "pte_chain", "2.6.4") == {("PG_chainlock", "exclusive"): (2, 0, 0, 0)}
    assert locks([*written(2), Fork(1, 2), Exit(2), Exit(1)], "pte_chain", "2.6.4") == {
        ("PG_chainlock", "exclusive"): (8, 1, 0, 0)}


def test_pte_chain_walks_and_removes_through_every_element():
    # 9 ptes are 2 elements; the parent's pte is in the second one, the last child's in the first
    family = [*written(1), *(Fork(1, child) for child in range(2, 10))]
    assert locks([*family, Exit(9)], "pte_chain", "2.6.4")["PG_chainlock", "exclusive"] == (1 + 8 + 1, 1, 0, 0)
    assert locks([*family, Exit(1)], "pte_chain", "2.6.4")["PG_chainlock", "exclusive"] == (1 + 8 + 1, 2, 0, 0)
    assert locks([*family, Reclaim()], "pte_chain", "2.6.4")["PG_chainlock", "exclusive"] == (1 + 8 + 1, 2, 0, 0)


def test_pte_chain_moves_a_pte_by_removing_and_adding_it():
    move = Mremap(1, A, 3 * P, B, 3 * P, ["maymove", "fixed"])
    assert locks([*written(3), move], "pte_chain", "2.6.4") == {("PG_chainlock", "exclusive"): (3 + 3 + 3, 0, 0, 0)}


def test_pte_chain_counts_no_lock_of_the_files_vmas():
    # fork copies all ptes before 2.6.14
    assert locks([*of_file(3), Fork(1, 2)], "pte_chain", "2.6.4") == {("PG_chainlock", "exclusive"): (6, 1, 0, 0)}
    assert locks([*of_file(3), Fork(1, 2)], "objrmap", "2.6.4") == {("i_mmap", "exclusive"): (2, 1, 1, 2)}


# -- files: mm/mmap.c:vma_link, vma_adjust, unlink_file_vma; the rwsem came in 3.19


ONE_MODE = {("i_mmap", "exclusive"): (4 + 3, 2, 1, 7)}
TWO_MODES = {("i_mmap", "write"): (4, 1, 1, 4), ("i_mmap", "read"): (3, 2, 1, 3)}


@pytest.mark.parametrize("kernel, expected", [
    ("2.6.11", ONE_MODE), ("3.18", ONE_MODE), ("3.19", TWO_MODES), ("7.0", TWO_MODES)])
def test_the_lock_of_a_file_is_taken_for_each_link_unlink_and_walk(kernel, expected):
    # mmap, fork, two exits; three walks over two nodes: in 2.6.11 both vmas map the page, since fork copied the ptes;
    # later the parent's alone, to which a balanced tree of two takes two steps
    found = locks([*of_file(3), Fork(1, 2), Reclaim(), Exit(2), Exit(1)], "anon_vma_chain", kernel)
    assert found == expected


def test_a_split_of_a_file_vma_is_one_hold_and_so_is_a_merge_of_three():
    # mmap 1 node; two splits of 2; prev grows and swallows two: 3 nodes in one hold
    there = [*of_file(3)[:2], Mprotect(1, A + P, P, "r--")]
    assert locks(there, "anon_vma", "2.6.11") == {("i_mmap", "exclusive"): (3, 2, 1, 3)}
    back = [*there, Mprotect(1, A + P, P, "rw-")]
    assert locks(back, "anon_vma", "2.6.11") == {("i_mmap", "exclusive"): (4, 3, 1, 4)}


def test_a_boundary_that_moves_is_one_hold_over_both_vmas():
    # the lower takes a page of the upper: mprotect's case 5
    file = [Spawn(1), Mmap(1, A, P, "rw-", ["shared"], "f", 0), Mmap(1, A + P, 2 * P, "r--", ["shared"], "f", P),
            Mprotect(1, A + P, P, "rw-")]
    assert locks(file, "anon_vma", "2.6.11") == {("i_mmap", "exclusive"): (3, 2, 1, 3)}
    memory = [*written(1), Mmap(1, A + P, 2 * P, "rwx", ANON), Write(1, A + P, 2 * P), Mprotect(1, A + P, P, "rw-")]
    assert locks(memory, "shared_space", "2.6.11") == {("address_space", "exclusive"): (3, 2, 1, 3)}
    # two prepares, and 2.6.32 locks for this one although the lower's start stays
    assert locks(memory, "anon_vma", "2.6.32") == {("anon_vma", "exclusive"): (3, 2, 1, 3)}
    assert locks(memory, "anon_vma_chain", "3.6") == {("anon_vma root", "exclusive"): (3, 2, 1, 3)}


@pytest.mark.parametrize("kernel, split, hold", [("3.6", 0, 2), ("3.7", 1, 4)])
def test_from_3_7_a_change_of_range_holds_the_lock_over_every_avc(kernel, split, hold):
    # prepare; fork 2; the child, with 2 AVCs, splits its first page off (end moves) and lets it take the second
    events = [*written(3), Fork(1, 2), Mprotect(2, A, P, "r--"), Mprotect(2, A + P, P, "r--")]
    acquired = 1 + 2 + 1 + split + 1
    assert locks(events, "anon_vma_chain", kernel) == {("anon_vma root", "exclusive"): (acquired, hold, 1, acquired)}


def test_each_file_is_an_instance():
    two = [Spawn(1), Mmap(1, A, P, "r--", ["shared"], "f", 0), Mmap(1, B, P, "r--", ["shared"], "g", 0), Fork(1, 2),
           Exit(2), Mmap(1, B + P, P, "rw-", ["shared"], "g", 0)]
    assert locks(two, "anon_vma_chain", "7.0") == {("i_mmap", "write"): (7, 1, 2, 4)}


# -- anonmm: dup_rmap, exit_rmap, free_anonmm, page_referenced_anon @2.6.6-bk (kernel-facts section 4)


def test_anonmm_takes_the_heads_lock_for_fork_exit_and_walk():
    # two pages in two mms: a walk visits both members
    assert locks(written(2), "anonmm", "2.6.6") == {}
    assert locks([*written(2), Fork(1, 2), Reclaim(), Exit(2), Exit(1)], "anonmm", "2.6.6") == {
        ("anonmm head", "exclusive"): (1 + 2 + 1 + 1, 2, 1, 5)}


def test_an_anonmm_that_outlived_its_mm_is_unlinked_under_the_heads_lock():
    events = [*written(1)[:2], Fork(1, 2), Write(2, A, P), Fork(2, 3), Exit(2), Exit(3)]
    # two forks, exit of 2; exit of 3 frees 2's anonmm with its last page, then leaves itself
    assert locks(events, "anonmm", "2.6.6") == {("anonmm head", "exclusive"): (2 + 1 + 2, 1, 1, 5)}


def test_two_execs_are_two_instances():
    events = [Spawn(1), Spawn(2), Fork(1, 3), Fork(2, 4), Fork(1, 5)]
    assert locks(events, "anonmm", "2.6.6") == {("anonmm head", "exclusive"): (3, 1, 2, 2)}


# -- anon_vma: mm/rmap.c, mm/mmap.c:vma_adjust @2.6.11


@pytest.mark.parametrize("kernel, prepare", [("2.6.11", 0), ("2.6.27", 0), ("2.6.28", 1), ("2.6.33", 1)])
def test_anon_vma_is_locked_for_fork_exit_and_walk_and_when_new_since_2_6_28(kernel, prepare):
    assert locks([*written(2), Fork(1, 2), Reclaim(), Exit(2), Exit(1)], "anon_vma", kernel) == {
        ("anon_vma", "exclusive"): (prepare + 1 + 2 + 2, 2, 1, prepare + 5)}


def test_a_neighbours_anon_vma_is_locked_to_join_it():
    # two areas that r, w, x keep apart, one anon_vma
    events = [*written(1), Mmap(1, A + P, P, "rwx", ANON), Write(1, A + P, P)]
    assert locks(events, "anon_vma", "2.6.11") == {("anon_vma", "exclusive"): (1, 1, 1, 1)}


@pytest.mark.parametrize("kernel, prepare", [("2.6.11", 0), ("2.6.31", 1), ("2.6.32", 1)])
def test_a_split_is_one_hold_and_so_is_a_merge_of_three(kernel, prepare):
    there = [*written(3), Mprotect(1, A + P, P, "r--")]
    back = [*there, Mprotect(1, A + P, P, "rw-")]
    assert locks(there, "anon_vma", kernel)["anon_vma", "exclusive"][:2] == (prepare + 2, 2)
    assert locks(back, "anon_vma", kernel)["anon_vma", "exclusive"][:2] == (prepare + 3, 3)


@pytest.mark.parametrize("kernel, at_end", [("2.6.31", 1), ("2.6.32", 0)])
def test_a_change_of_the_end_alone_takes_no_lock_from_2_6_32(kernel, at_end):
    above = Mmap(1, A + P, P, "rw-", ANON)
    below = Mmap(1, A - P, P, "rw-", ANON)
    assert locks([*written(1), above], "anon_vma", kernel)["anon_vma", "exclusive"][0] == 1 + at_end
    assert locks([*written(1), below], "anon_vma", kernel)["anon_vma", "exclusive"][0] == 1 + 1


@pytest.mark.parametrize("kernel, prepare, grow", [("2.6.11", 0, 1), ("2.6.33", 1, 0)])
def test_a_survivor_that_adopts_is_locked_once(kernel, prepare, grow):
    # an untouched area grows over a touched one of its kind: it is linked, it changes, the other goes: 3 nodes
    events = [Spawn(1), Mmap(1, A, P, "rw-", ANON), Mmap(1, A + P, P, "rwx", ANON), Write(1, A + P, P),
              Mprotect(1, A + P, P, "rw-")]
    assert locks(events, "anon_vma", kernel) == {("anon_vma", "exclusive"): (prepare + 1, 3, 1, prepare + 1)}
    # and afterwards it grows as any other
    more = [*events, Mmap(1, A + 2 * P, P, "rw-", ANON)]
    assert locks(more, "anon_vma", kernel)["anon_vma", "exclusive"][:2] == (prepare + 1 + grow, 3)


# -- shared_space: one lock an exec family (kernel-facts section 6)


@pytest.mark.parametrize("kernel, expected", [
    ("2.6.7", {("address_space", "exclusive"): (6, 2, 1, 6)}),
    ("3.19", {("address_space", "write"): (4, 1, 1, 4), ("address_space", "read"): (2, 2, 1, 2)})])
def test_a_shared_space_is_locked_for_every_private_vma(kernel, expected):
    # mmap, fork, two exits; two walks over the tree node and the equal vma beside it
    assert locks([*written(2), Fork(1, 2), Reclaim(), Exit(2), Exit(1)], "shared_space", kernel) == expected


def test_a_merge_in_a_shared_space_is_one_hold():
    events = [*written(3)[:2], Mprotect(1, A + P, P, "r--"), Mprotect(1, A + P, P, "rw-")]
    assert locks(events, "shared_space", "2.6.7") == {("address_space", "exclusive"): (1 + 2 + 1, 3, 1, 4)}


# -- anon_vma_chain: mm/rmap.c:anon_vma_clone, anon_vma_fork, unlink_anon_vmas, __anon_vma_prepare


def star(children):
    return [*written(1), *(Fork(1, child) for child in range(2, children + 2))]


def test_each_anon_vma_has_a_lock_of_its_own_before_2_6_36():
    # the parent's: prepare and a clone for each child; each child's: its own AVC
    assert locks(star(3), "anon_vma_chain", "2.6.35") == {("anon_vma", "exclusive"): (1 + 3 + 3, 1, 4, 4)}


@pytest.mark.parametrize("kernel, mode", [
    ("2.6.36", "exclusive"), ("3.7", "exclusive"), ("3.8", "write"), ("7.0", "write")])
def test_a_fork_family_meets_at_its_roots_lock_from_2_6_36(kernel, mode):
    assert locks(star(3), "anon_vma_chain", kernel) == {("anon_vma root", mode): (1 + 3 + 3, 1, 1, 7)}


@pytest.mark.parametrize("kernel, fork, leave, hold", [
    ("2.6.35", 3, 3, 1), ("2.6.39", 3, 3, 1), ("3.0", 2, 1, 3), ("7.0", 2, 1, 3)])
def test_all_avcs_of_a_vma_go_in_one_hold_from_3_0(kernel, fork, leave, hold):
    # prepare; a child with 2 AVCs; a grandchild whose fork clones 2 AVCs and adds its own, and whose exit unlinks 3
    family = [*written(1), Fork(1, 2), Fork(2, 3), Exit(3)]
    (acquired, longest, _, _), = locks(family, "anon_vma_chain", kernel).values()
    assert (acquired, longest) == (1 + 2 + fork + leave, hold)


@pytest.mark.parametrize("kernel, end_moves, start_moves", [
    ("2.6.35", 0, 0), ("2.6.36", 1, 1), ("2.6.39", 1, 1), ("3.0", 0, 1), ("3.6", 0, 1), ("3.7", 1, 1), ("7.0", 1, 1)])
def test_a_split_clones_and_in_some_kernels_locks_once_more(kernel, end_moves, start_moves):
    # the first page split off: the old struct keeps it and its end moves; the second: its start moves
    first, second = ([*written(2), Mprotect(1, A + page * P, P, "r--")] for page in (0, 1))
    assert [sum(each[0] for each in locks(events, "anon_vma_chain", kernel).values()) for events in (first, second)] \
        == [2 + end_moves, 2 + start_moves]


@pytest.mark.parametrize("kernel, ranges", [("2.6.35", 0), ("2.6.36", 1), ("3.6", 1), ("3.7", 1)])
def test_what_is_merged_away_is_unlinked_in_a_hold_of_its_own(kernel, ranges):
    there = [*written(2), Mprotect(1, A, P, "r--")]
    back = [*there, Mprotect(1, A, P, "rw-")]
    before, after = ([each[0] for each in locks(events, "anon_vma_chain", kernel).values()] for events in (there, back))
    assert sum(after) - sum(before) == ranges + 1


@pytest.mark.parametrize("kernel, lock, mode", [
    ("2.6.35", "anon_vma", "exclusive"), ("2.6.36", "anon_vma root", "exclusive"),
    ("3.7", "anon_vma root", "exclusive"), ("3.8", "anon_vma root", "read")])
def test_a_walk_locks_the_root_and_reads_from_3_8(kernel, lock, mode):
    # two walks: of the page that the child copied, in its own anon_vma, and of the one that both map
    events = [*written(2), Fork(1, 2), Write(2, A, P)]
    before, after = (locks(each, "anon_vma_chain", kernel) for each in (events, [*events, Reclaim()]))
    assert after[lock, mode][0] - before.get((lock, mode), (0,))[0] == 3
    instances = 2 if kernel == "2.6.35" else 1
    assert after[lock, mode][2] == instances


def test_the_lock_of_a_walk_is_held_over_the_nodes_it_visits():
    # 3.0: a list, parent first; the shared page is found in the last of 4 vmas
    assert locks([*star(3), Reclaim()], "anon_vma_chain", "3.0")["anon_vma root", "exclusive"] == (7 + 1, 4, 1, 8)


def test_the_longest_hold_is_that_of_the_longest_walk():
    # from the newest of 4 vmas to the parent's; the copies are found on the way
    assert locks(written_star(3), "anon_vma", "2.6.11")["anon_vma", "exclusive"][:2] == (3 + 7, 4)


# -- lengths of walks


def written_star(children):
    """A parent with children + 1 written pages; child i overwrites page i; page 0 stays with all. Then a reclaim."""
    pages = children + 1
    return [*written(pages), *(Fork(1, child + 1) for child in range(1, children + 1)),
            *(Write(child + 1, A + child * P, P) for child in range(1, children + 1)), Reclaim()]


@pytest.mark.parametrize("strategy, kernel, early_stop, full", [
    # the list from the newest child to the parent: a copy is found where its child stands, the originals at the end
    ("anon_vma", "2.6.11", {"1": 1, "2": 1, "3": 1, "4": 4}, {"4": 7}),
    # a copy in its child's own anon_vma; page 0 and originals 1 and 2 end with child 3, original 3 with child 2
    ("anon_vma_chain", "7.0", {"1": 3, "3": 1, "4": 3}, {"1": 3, "4": 4}),
    # one entry for each pte: originals have 3, page 0 has 4
    ("pte_chain", "2.6.4", {"1": 3, "3": 3, "4": 1}, {"1": 3, "3": 3, "4": 1}),
])
def test_lengths_of_the_walks_in_a_star_of_three_children(strategy, kernel, early_stop, full):
    costs = run(written_star(3), strategy, kernel=kernel).costs()
    assert costs["walk_lengths"] == {"early_stop": early_stop, "full": full}


@pytest.mark.parametrize("strategy", ["pte_chain", "anonmm", "anon_vma", "shared_space", "anon_vma_chain"])
def test_lengths_sum_up_to_what_reclaim_says(strategy):
    done = run([*written_star(5), Swapout()], strategy)
    reclaim = done.result()["reclaim"]
    assert reclaim["locks"] == reclaim["pages"]  # each of these designs takes one lock a walk
    for kind, counter in (("early_stop", "vmas_examined"), ("full", "vmas_candidates")):
        lengths = done.costs()["walk_lengths"][kind]
        assert sum(lengths.values()) == reclaim["pages"]
        assert sum(int(length) * pages for length, pages in lengths.items()) == reclaim[counter]


# -- early copies and memory over time


def test_pages_copied_early_are_those_that_a_move_copied():
    # page 0 is the child's own, pages 1 and 2 are shared when they move, one with it and one alone
    events = [*written(3), Fork(1, 2), Write(2, A, P), Mremap(2, A, 2 * P, B, 2 * P, ["maymove", "fixed"]),
              Mremap(2, A + 2 * P, P, B + 2 * P, P, ["maymove", "fixed"])]
    assert run(events, "anonmm_copy", kernel="2.6.6").costs()["pages_copied_early"] == 2
    assert run(events, "anonmm", kernel="2.6.6").costs()["pages_copied_early"] == 0


def test_a_timeline_has_every_object_after_every_event():
    # two touched processes, then one
    events = [*written(1), Fork(1, 2), Exit(1)]
    rows = [dict(zip(TIMELINE, entry)) for entry in
            replay(in_memory(events), "anon_vma_chain", Options(), timeline=True).timeline]
    kinds = ("vm_area_struct", "anon_vma", "anon_vma_chain")
    assert [tuple(row["objects"][kind] for kind in kinds) for row in rows] == [
        (0, 0, 0), (1, 0, 0), (1, 1, 1), (2, 2, 3), (1, 2, 2)]
    assert [row["mappings"] for row in rows] == [0, 0, 1, 2, 1]


# -- cache lines


@pytest.mark.parametrize("arch, kernel", [("i386", "2.6.4"), ("x86_64", "2.6.4")])
def test_a_vma_of_2_6_0_has_two_lines(arch, kernel):
    # 64 and 128 bytes: the page, the address_space's two lines and the vma's two
    events = [Spawn(1), Mmap(1, A, P, "r--", ["shared"], "f", 0), Read(1, A, P), Reclaim()]
    assert run(events, "objrmap", arch=arch, kernel=kernel).result()["reclaim"]["cache_lines"] == 1 + 2 + 2


def test_a_walk_below_the_root_reads_the_roots_line():
    # the child's copy: page 1, its anon_vma 2, the root's lock 1, AVC 1, vma 2
    events = [*written(1), Fork(1, 2), Write(2, A, P), Reclaim(2)]
    assert run(events, kernel="7.0").result()["reclaim"]["cache_lines"] == 1 + 2 + 1 + 1 + 2
    # the parent's page, in the root: page 1, anon_vma 2, two AVCs on the way down, vma 2
    assert run([*events[:-1], Reclaim(1)], kernel="7.0").result()["reclaim"]["cache_lines"] == 1 + 2 + 2 + 2


def test_nonlinear_vmas_that_are_swept_are_nodes_and_lines():
    # one nonlinear vma: the tree is empty, the list of nonlinear vmas has one node, a vma of three lines
    events = [*of_file(2), RemapFilePages(1, A, P, 1), Read(1, A, P), Reclaim(1, A, P)]
    reclaim = run(events, "anon_vma", kernel="2.6.11").result()["reclaim"]
    assert (reclaim["index_nodes"], reclaim["cache_lines"]) == (1, 1 + 2 + 3)


# -- locks of objects that are gone


def ended(strategy, kernel, seed):
    """A machine after a random trace and the end of all its processes."""
    machine = machine_for(in_memory([]).header, strategy, Options(kernel=kernel))
    with contextlib.suppress(InputError):
        for line, event in enumerate(random_trace(seed, 60, {"swapout": 3, "reclaim": 3}), 1):
            machine.apply(event, line)
    for pid in list(machine.processes):
        machine.apply(Exit(pid))
    return machine


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_locks_of_what_is_gone_stay_counted_and_take_no_memory(strategy, monkeypatch):
    for seed, kernel in enumerate(4 * ("7.0", "6.18.44", "5.6", "3.10", "2.6.35", "2.6.34", "2.6.20", "2.6.4", "2.4.22")):
        machine = ended(strategy, kernel, seed)
        with monkeypatch.context() as patch:
            patch.setattr(Ledger, "lock_gone", lambda *args: None)
            assert ended(strategy, kernel, seed).ledger.costs() == machine.ledger.costs(), (kernel, seed)
        known = {(name, instance) for (name, _), locking in machine.ledger.locks.items() for instance in locking.by_instance}
        assert known <= {("i_mmap", file.number) for file in machine.files.values()}, (kernel, seed)


def test_the_lock_of_shared_memory_goes_with_it_where_its_mapping_fails_too():
    machine = machine_for(in_memory([]).header, "anon_vma_chain", Options(kernel="7.0"))
    machine.apply(Spawn(1))
    machine.apply(Mmap(1, A, P, "rw-", ["shared", "anonymous"]))
    (locking,) = machine.ledger.locks.values()
    assert locking.by_instance
    machine.ledger.fail_at(1)
    with pytest.raises(NoMemory):  # after the only mapping has been unmapped
        machine.apply(RemapFilePages(1, A, P, 0))
    assert not machine.processes[1].vmas and not locking.by_instance
