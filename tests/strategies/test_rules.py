"""Single rules of the designs that no worked case turns on: every part of a walk's cost, memory, refusals, odd histories."""

import numpy as np
import pytest

from rmapmodel.cost.ledger import INSTANCE_MEMORY
from rmapmodel.errors import InputError
from rmapmodel.events import (Brk, Exit, Fork, Madvise, Mmap, Mprotect, Mremap, Munmap, Read, Reclaim, RemapFilePages, Spawn, Swapout,
                              Write)
from rmapmodel.strategies import STRATEGIES, Strategy, register
from rmapmodel.strategies import strategy as named
from rmapmodel.vm.kernel import Kernel
from rmapmodel.vm.machine import Machine
from tests.traces import run

P = 4096
A, B, C, D = 0x100000, 0x200000, 0x300000, 0x400000
ANON, FIXED = ["private", "anonymous"], ["maymove", "fixed"]
FAMILY = [Spawn(1), Mmap(1, A, 2 * P, "rw-", ANON), Write(1, A, 2 * P), Fork(1, 2)]
FILE = [Spawn(1), Mmap(1, A, 2 * P, "rw-", ["shared"], "f", 0), Read(1, A, 2 * P), Fork(1, 2), Read(2, A, 2 * P)]
SCATTERED = [Spawn(1), Mmap(1, A, 4 * P, "rw-", ["shared"], "f", 0), Read(1, A, 4 * P), RemapFilePages(1, A, 2 * P, 2)]


def after(events, strategy, **options):
    return run(events, strategy, after=lambda machine, count: machine.check(), **options).machine


def walk(machine, pid, addr, log=None):
    return machine.strategy.walk(np.array([machine.mm_of(pid).table.at(addr // P)], np.int32), log)


def parts(machine, pid, addr):
    """(examined, candidates, nodes, ptes, locks, page table locks, cache lines) of the walk for one page."""
    found = walk(machine, pid, addr)
    return tuple(int(getattr(found, part)[0]) for part in found.PARTS)


# -- every part of the cost of a walk. x86_64, 7.0: 2 lines of a vma, an anon_vma, an address_space, 3 of an mm_struct, 1
# -- of any other (cost/cache_lines.csv); the page's own line is the 1 that each sum begins with


@pytest.mark.parametrize("strategy, expected", [
    # 1 has two present ptes, 2 the page as its first: 3 passed of 4; 2 areas, 2 mms with a lock each
    ("page_table_scan", (3, 4, 2, 3, 2, 2, 1 + 2 * 2 + 2 * 3)),
    # one element with two ptes; for each the struct page of its page table
    ("pte_chain", (2, 2, 1, 2, 1, 2, 1 + 1 + 2)), ("objrmap", (2, 2, 1, 2, 1, 2, 1 + 1 + 2)),
    ("anonmm", (2, 2, 2, 2, 1, 2, 1 + 2)), ("anonmm_copy", (2, 2, 2, 2, 1, 2, 1 + 2)),
    ("anonmm_remap", (2, 2, 2, 2, 1, 2, 1 + 2)),
    # the object, and each vma of its list; of the tree node and its vm_set
    ("anon_vma", (2, 2, 2, 2, 1, 2, 1 + 2 + 2 * 2)), ("shared_space", (2, 2, 2, 2, 1, 2, 1 + 2 + 2 * 2)),
    ("shared_space_unique", (2, 2, 2, 2, 1, 2, 1 + 2 + 2 * 2)),
    # a balanced tree of two: two levels down to the first, one for the second; AVCs, then the vmas
    ("anon_vma_chain", (2, 2, 3, 2, 1, 2, 1 + 2 + 3 + 2 * 2)),
    # two contexts, a vma in each; under RCU
    ("cow_context", (2, 2, 2, 2, 0, 2, 1 + 2 + 2 * 2)),
])
def test_every_part_of_a_walk_for_a_page_of_parent_and_child(strategy, expected):
    assert parts(after(FAMILY, strategy), 1, A) == expected


@pytest.mark.parametrize("strategy, expected", [
    ("page_table_scan", (3, 4, 2, 3, 2, 2, 1 + 2 * 2 + 2 * 3)), ("pte_chain", (2, 2, 1, 2, 1, 2, 1 + 1 + 2)),
    ("objrmap", (2, 2, 2, 2, 1, 2, 1 + 2 + 2 * 2)), ("anonmm", (2, 2, 2, 2, 1, 2, 1 + 2 + 2 * 2)),
    ("anon_vma", (2, 2, 2, 2, 1, 2, 1 + 2 + 2 * 2)), ("anon_vma_chain", (2, 2, 3, 2, 1, 2, 1 + 2 + 3 * 2)),
    ("cow_context", (2, 2, 3, 2, 1, 2, 1 + 2 + 3 * 2)),
])
def test_every_part_of_a_walk_for_a_page_of_a_file(strategy, expected):
    assert parts(after(FILE, strategy), 1, A) == expected


def test_one_vma_that_is_all_there_is():
    """The short way of the shared search: one place, one of everything."""
    alone = [Spawn(1), Mmap(1, A, 2 * P, "rw-", ANON), Write(1, A, 2 * P)]
    assert parts(after(alone, "anon_vma"), 1, A) == (1, 1, 1, 1, 1, 1, 1 + 2 + 2)
    assert parts(after(alone, "shared_space"), 1, A + P) == (1, 1, 1, 1, 1, 1, 1 + 2 + 2)
    for name in ("anon_vma", "objrmap"):
        machine = after([Spawn(1), Mmap(1, A, P, "rw-", ["shared"], "f", 0), Read(1, A, P)], name)
        assert parts(machine, 1, A) == (1, 1, 1, 1, 1, 1, 1 + 2 + 2)


def test_every_part_of_a_sweep_for_a_page_mapped_out_of_place():
    """2.6.20: 3 lines of a vma. No linear vma; one cluster of four present ptes, under one page table lock."""
    machine = after(SCATTERED, "anon_vma", kernel="2.6.20")
    assert parts(machine, 1, A) == (1, 1, 1, 4, 1, 1, 1 + 2 + 3)
    # a linear vma of process 2 first; then the cluster
    machine = after([*SCATTERED, Spawn(2), Mmap(2, B, 4 * P, "rw-", ["shared"], "f", 0), Read(2, B, 4 * P)], "anon_vma",
                    kernel="2.6.20")
    assert parts(machine, 1, A) == (2, 2, 2, 1 + 4, 1, 1 + 1, 1 + 2 + 3 + 3)


def test_every_part_of_anonmms_walk_for_a_page_mapped_out_of_place():
    """One vma, two addresses in it, one element of the chain."""
    machine = after(SCATTERED, "anonmm", kernel="2.6.20")
    assert parts(machine, 1, A) == (1, 1, 1, 2, 1, 2, 1 + 2 + 1 + 3)
    taken = walk(machine, 1, A).taken
    assert taken == [("i_mmap", "exclusive", machine.file("f").number, 1, 1)]


def test_a_record_costs_a_node_and_a_line_in_cow_context():
    """2 moved what it inherited: its context is asked at the index, then at its record's delta."""
    machine = after([*FAMILY, Mremap(2, A, 2 * P, B, 2 * P, FIXED)], "cow_context")
    # context 1: found; context 2: nothing lies at A; the record: found. Vmas read: 1's at A, 2's at B
    assert parts(machine, 1, A) == (3, 3, 3, 2, 0, 2, 1 + 2 + 1 + 2 * 2)


def test_a_record_costs_a_search_in_anonmm_remap():
    """The record's tree of one node is asked for A and then for B; each mm is probed at both until both are found."""
    machine = after([*FAMILY, Mremap(2, A, 2 * P, B, 2 * P, FIXED)], "anonmm_remap")
    # mm 1: A found, B not; mm 2: A not, B found. The search for B does not reach into the node: its last page is below
    assert parts(machine, 1, A) == (2, 2, 2 + 1, 4, 1, 4, 1 + 2 + 1)


def test_up_to_2_6_14_a_vma_of_an_empty_mm_is_visited_without_a_look_at_a_pte():
    """Two pages at once: the walk of many is as that of one."""
    empty = [*FAMILY, Madvise(2, A, 2 * P, "dontneed")]
    for kernel, ptes in (("2.6.14", 1), ("2.6.15", 2)):
        machine = after(empty, "anon_vma", kernel=kernel)
        frames = np.unique(machine.mm_of(1).table.gather(np.array([A // P, A // P + 1])))
        found = machine.strategy.walk(frames)
        assert found.examined.tolist() == [2, 2]
        assert found.ptes.tolist() == found.pt_locks.tolist() == [ptes, ptes]
        assert parts(machine, 1, A)[3] == ptes


# -- what a walk says of itself


@pytest.mark.parametrize("strategy, told", [
    ("page_table_scan", [("page table", [1], 2, "maps it"), ("page table", [2], 2, "maps it")]),
    ("pte_chain", [("pte", [2], None, "maps it"), ("pte", [1], None, "maps it")]),
    ("anonmm", [("anonmm", [1], None, "maps it"), ("anonmm", [2], None, "maps it")]),
    ("anon_vma", [("vm_area_struct", [2], None, "maps it"), ("vm_area_struct", [1], None, "maps it")]),
    ("shared_space", [("vm_area_struct", [1], None, "maps it"), ("vm_area_struct", [2], None, "maps it")]),
    ("anon_vma_chain", [("vm_area_struct", [1], None, "maps it"), ("vm_area_struct", [2], None, "maps it")]),
    ("cow_context", [("cow_context", [1], None, "maps it"), ("cow_context", [2], None, "maps it")]),
])
def test_the_log_of_a_walk(strategy, told):
    log = []
    walk(after(FAMILY, strategy), 1, A, log)
    assert [(visit["visits"], visit["pids"], visit.get("ptes"), visit["outcome"]) for visit in log if "outcome" in visit] == told


def outcomes(events, strategy, pid, addr, **options):
    log = []
    walk(after(events, strategy, **options), pid, addr, log)
    return [(visit.get("pids"), visit["outcome"]) for visit in log if "outcome" in visit]


def test_the_log_tells_why_nothing_was_found():
    middle = [*FAMILY, Write(2, A, P), Fork(2, 3), Fork(3, 4), Madvise(3, A, 2 * P, "dontneed"), Exit(2)]
    assert outcomes(middle, "anonmm", 4, A) == [(None, "its mm is gone"), (None, "no page resident"), ([4], "maps it")]
    # a context is asked although its mm has no page; its own children before it, the youngest line first
    assert outcomes(middle, "cow_context", 4, A) == [(None, "its mm is gone"), ([4], "maps it")]
    assert outcomes(middle, "page_table_scan", 4, A) == [([1], "does not map it"), ([3], "does not map it"), ([4], "maps it")]
    assert outcomes(middle, "anon_vma", 4, A, kernel="2.6.11") == [([4], "maps it")]
    assert outcomes([*FAMILY, Write(2, A, P), Madvise(1, A, 2 * P, "dontneed")], "shared_space", 2, A, kernel="2.6.11") \
        == [([1], "no page resident"), ([2], "maps it")]


def test_the_log_of_a_scattered_page_goes_through_the_files_vmas():
    events = [*SCATTERED, Spawn(2), Mmap(2, B, 4 * P, "rw-", ["shared"], "f", 0), Read(2, B, 2 * P)]
    log = []
    walk(after(events, "anonmm", kernel="2.6.4"), 1, A, log)
    assert [(visit["visits"], visit["start"], visit["address"], visit["outcome"]) for visit in log] == [
        ("vm_area_struct", A, A + 2 * P, "maps it"), ("vm_area_struct", A, A, "maps it")]
    log = []
    walk(after(events, "anon_vma", kernel="2.6.20"), 1, A, log)
    swept = [visit for visit in log if visit["visits"] == "nonlinear vm_area_struct"]
    assert [(visit["start"], visit["end"], visit["outcome"]) for visit in swept] == [(A, A + 4 * P, "maps it")]


def test_the_log_of_a_sweep_names_each_cluster():
    big = [Spawn(1), Mmap(1, A, 48 * P, "rw-", ["shared"], "f", 0), RemapFilePages(1, A, 48 * P, 64)]
    log = []
    walk(after(big, "anon_vma", kernel="2.6.20"), 1, A + 40 * P, log)
    swept = [(visit["start"], visit["end"], visit["outcome"]) for visit in log if "outcome" in visit]
    assert swept == [(A, A + 32 * P, "does not map it"), (A + 32 * P, A + 48 * P, "maps it")]


# -- anonmm and its chains


def test_anonmm_ends_when_a_scattered_page_is_found():
    """2's vma of the same file comes after 1's, where both mappings of page 2 are: it is not visited."""
    machine = after([*SCATTERED, Spawn(2), Mmap(2, B, 4 * P, "rw-", ["shared"], "f", 0), Read(2, B, P)], "anonmm",
                    kernel="2.6.4")
    assert parts(machine, 1, A)[:4] == (1, 2, 1, 2)


def test_anonmm_keeps_the_chain_of_a_page_that_is_mapped_out_of_place_only():
    """A [2 3 2 3] less its upper half: pages 2 and 3 are mapped once, where their chains say."""
    machine = after([*SCATTERED, Munmap(1, A + 2 * P, 2 * P)], "anonmm", kernel="2.6.4")
    assert machine.ledger.alive()["rmap_chain"] == 2
    assert parts(machine, 1, A)[:4] == (1, 1, 1, 1)


@pytest.mark.parametrize("strategy, left", [("anonmm", (2, 1)), ("anonmm_copy", (2, 1)), ("anonmm_remap", (2, 1))])
def test_a_page_of_the_swap_cache_points_to_whoever_maps_it_next(strategy, left):
    """1 reads the page back and unmaps it; it stays in the swap cache for 2, which points it to its own anonmm."""
    cached = [Spawn(1), Mmap(1, A, P, "rw-", ANON), Write(1, A, P), Fork(1, 2), Swapout(), Read(1, A, P), Munmap(1, A, P),
              Read(2, A, P)]
    machine = after(cached, strategy)
    frame = machine.mm_of(2).table.at(A // P)
    assert (int(machine.frames.anchor[frame]), machine.mm_of(2).anon.pages) == left
    assert machine.mm_of(1).anon.pages == 0
    after([*cached, Exit(1), Reclaim(), Exit(2)], strategy)


def test_a_page_of_the_swap_cache_is_counted_once_at_its_context():
    cached = [Spawn(1), Mmap(1, A, P, "rw-", ANON), Write(1, A, P), Fork(1, 2), Swapout(), Read(1, A, P), Munmap(1, A, P),
              Read(2, A, P)]
    machine = after(cached, "cow_context")
    assert [context.pages for context in machine.strategy.contexts.values()] == [1, 0]
    machine = after([*cached, Write(2, A, P), Exit(1)], "cow_context")
    assert {number: context.references for number, context in machine.strategy.contexts.items()} == {1: 1, 2: 2}


def test_records_that_lead_in_a_circle_are_followed_once():
    """2 moves A to B, B to C and C to B again: from A the records lead to B, from there to C, and back."""
    moves = [Mremap(2, old, 2 * P, new, 2 * P, FIXED) for old, new in ((A, B), (B, C), (C, B))]
    machine = after([*FAMILY, *moves], "anonmm_remap")
    assert machine.ledger.alive()["remap_record"] == 3
    # three addresses in each of two mms: A found in 1, B and C not; in 2 A not, B found, and the walk is done
    assert parts(machine, 1, A)[:2] + parts(machine, 1, A)[3:4] == (2, 2, 3 + 2)


# -- offsets handed out once


def unique(*events):
    machine = after([Spawn(1), *events], "shared_space_unique", arch="i386")
    return [vma.anon_offset for vma in machine.mm_of(1).vmas], [each["op"] for each in machine.refused]


def area(at, pages=1, write=True):
    return [Mmap(1, at, pages * P, "rw-", ANON), *([Write(1, at, pages * P)] if write else [])]


def test_a_new_area_needs_all_of_its_offsets_to_be_free():
    """
        page A + 1 moved to C and holds its offset: two pages at A find A free and A + 1 not, and take the lowest, 0
    """
    offsets, refused = unique(*area(A + P), Mremap(1, A + P, P, C, P, FIXED), *area(A, 2))
    assert (offsets, refused) == ([0, A // P + 1], [])


def test_growth_in_place_needs_the_offsets_above_and_not_those_below():
    below = [*area(A - P), Mremap(1, A - P, P, C, P, FIXED)]
    above = [*area(A + P), Mremap(1, A + P, P, D, P, FIXED)]
    grow = Mremap(1, A, P, A, 2 * P, ["maymove"])
    assert unique(*below, *area(A), grow) == ([A // P, A // P - 1], [])
    offsets, refused = unique(*above, *area(A), grow)
    assert refused == ["mremap"] and offsets == [A // P, A // P + 1]


@pytest.mark.parametrize("pages, start, length, refused", [
    (2, 0, 3, []),           # all of it, one page longer: the offset behind it is free
    (2, 0, 2, []),           # no longer than it was
    (2, 0, 1, []),           # shorter
    (3, 0, 3, ["mremap"]),   # the first two of three, one page longer: the third's offset is the third's
    (3, 1, 3, []),           # the last two of three, one page longer
])
def test_a_move_that_grows_needs_the_offsets_behind_what_moves(pages, start, length, refused):
    moved = Mremap(1, A + start * P, 2 * P, C, length * P, FIXED)
    assert unique(*area(A, pages), moved)[1] == refused


def test_a_move_that_grows_by_one_page_is_refused_where_that_offset_is_held():
    held = [*area(A + P), Mremap(1, A + P, P, D, P, FIXED)]
    assert unique(*held, *area(A), Mremap(1, A, P, C, 2 * P, FIXED))[1] == ["mremap"]


def test_what_a_refused_growth_left_out_is_refused_later():
    held = [*area(A + P), Mremap(1, A + P, P, D, P, FIXED), *area(A)]
    assert unique(*held, Mremap(1, A, P, A, 2 * P, ["maymove"]), Write(1, A + P, P))[1] == ["mremap", "write"]
    assert unique(*held, Mremap(1, A, P, C, 2 * P, FIXED), Write(1, C + P, P))[1] == ["mremap", "write"]


def test_a_stack_grows_over_what_a_refused_move_left_behind():
    far = A + 4096 * P
    machine = after([Spawn(1), *area(A, 4), Mremap(1, A, 2 * P, far, 2 * P, FIXED), Mremap(1, far, 2 * P, B, 3 * P, FIXED),
                     Mmap(1, far + 4 * P, P, "rw-", [*ANON, "growsdown"]), Read(1, far - P, 8)], "shared_space_unique")
    assert [each["op"] for each in machine.refused] == ["mremap"]
    stack = machine.mm_of(1).find(far // P)
    assert (stack.start, stack.end) == (far // P - 1, far // P + 5)


def test_a_stack_grows_towards_what_a_refused_move_left_out():
    """The area left out may be a stack, as it is here, to which no gap is kept (the area below it is none)."""
    stacks = [Mmap(1, at, pages * P, "rw-", [*ANON, "growsdown"]) for at, pages in ((C, 3), (A + 20 * P, 1))]
    machine = after([Spawn(1), *area(A, 2), *stacks, Write(1, C, 3 * P), Mremap(1, C, 2 * P, A + 2 * P, 3 * P, FIXED),
                     Read(1, A + 10 * P, 8)], "shared_space_unique")
    assert [each["op"] for each in machine.refused] == ["mremap"]
    assert machine.mm_of(1).find(A // P + 10).end == A // P + 21


def test_what_grows_from_a_stack_that_a_refused_move_left_out_is_left_out_too():
    stack = Mmap(1, C, 3 * P, "rw-", [*ANON, "growsdown"])
    machine = after([Spawn(1), stack, Write(1, C, 3 * P), Mremap(1, C, 2 * P, A, 3 * P, FIXED), Write(1, A - 2 * P, 8),
                     Read(1, A - P, 8)], "shared_space_unique")
    assert [(each["op"], each["because"]) for each in machine.refused] == [("mremap", None), ("write", 4), ("read", 4)]


def test_a_growth_left_out_goes_on_when_its_stack_has_moved_away():
    """Page A + 1 moved to D and holds its offset, so the stack at A + 2 cannot grow; what Linux grew there stays."""
    machine = after([Spawn(1), *area(A + P), Mremap(1, A + P, P, D, P, FIXED), Mmap(1, A + 2 * P, P, "rw-", [*ANON, "growsdown"]),
                     Write(1, A + P, 8), Mremap(1, A + 2 * P, P, B, P, FIXED), Write(1, A, 8)], "shared_space_unique")
    assert [(each["op"], each["because"]) for each in machine.refused] == [("write", None), ("write", 6)]


def test_a_process_without_a_slice_can_map_nothing_new():
    """One slice, and the parent has it: the child's heap, mappings and what touches them are refused."""
    kernel = Kernel.parse("7.0")
    machine = Machine(named("shared_space_unique")(kernel, arch="i386"), kernel, "i386")
    machine.strategy.slices = 1
    for line, event in enumerate([Spawn(1), Brk(1, A), Fork(1, 2), Brk(2, A + P), Write(2, A, P), *area_of(2, B),
                                  Brk(1, A + P), Write(1, A, P)], 1):
        machine.apply(event, line)
        machine.check()
    assert [(each["line"], each["op"], each["because"]) for each in machine.refused] \
        == [(4, "brk", None), (5, "write", 4), (6, "mmap", None)]


# -- memory that this program needs


def test_pointers_of_pte_chain_are_charged_to_the_budget():
    """Eight bytes a frame beyond what any design needs."""
    chained, bare = (after([Spawn(1), *area(A, 3000)], name) for name in ("pte_chain", "page_table_scan"))
    assert chained.budget.used - bare.budget.used == 8 * len(bare.frames.mapcount)


def test_an_unknown_design_is_told_the_nearest():
    with pytest.raises(InputError, match="did you mean anon_vma_chain"):
        named("anon_vma_chian")


# -- what a design is registered with


def wrong(**facts):
    """What register() says of a design with these attributes."""
    base = {"name": "a_design", "walk_anonymous": lambda self, walk, at, log: None}
    with pytest.raises(InputError) as told:
        register(type("Design", (Strategy,), {**base, **facts}))
    assert "a_design" not in STRATEGIES
    return str(told.value)


def test_register_says_what_a_class_lacks():
    with pytest.raises(InputError, match="not a subclass"):
        register(dict)
    assert "has no name" in wrong(name=None)
    assert "cannot be named 'Upper'" in wrong(name="Upper") and "cannot be named 'truth'" in wrong(name="truth")
    assert "that is rmapmodel.strategies.anon_vma.AnonVmaStrategy" in wrong(name="anon_vma")
    assert "has no walk_anonymous" in wrong(walk_anonymous=Strategy.walk_anonymous)
    assert "has no count_objects" in wrong(objects=("anon_vma",))
    counts = {"count_objects": lambda self: {}}
    assert "gives vma the field 'word'" in wrong(embeds={"vma": ("word",)}, **counts)
    for facts in ({"objects": "anon_vma"}, {"embeds": ("pointer",)}, {"sizes": ("int",)}):
        assert "must give `objects` as a tuple of names, `embeds` and `sizes` as dicts" in wrong(**facts, **counts)
    for index in ("list", ("list",), ("list", "tree")):
        assert "must give `default_index` as (anonymous, file)" in wrong(default_index=index)
    assert "embeds fields in 'vmaa'; there are vma, mm and page" in wrong(embeds={"vmaa": ("pointer",)})
    assert "makes thing, whose size is not known on i386" in wrong(objects=("thing",), **counts)
    assert STRATEGIES["anon_vma"].__name__ == "AnonVmaStrategy"


def test_register_takes_what_is_whole_and_the_same_class_again():
    facts = {"name": "whole", "objects": ("thing", "anon_vma"), "sizes": {"thing": ("int", "list_head")},
             "embeds": {"page": ("int",)}, "count_objects": lambda self: {}, "walk_anonymous": lambda *parts: None}
    try:
        for _ in range(2):  # a notebook cell that is run again
            assert register(type("Whole", (Strategy,), facts)) is STRATEGIES["whole"]
        assert named("whole")(Kernel.parse("7.0")).ledger.size["thing"] == 4 + 16
    finally:
        del STRATEGIES["whole"]


@pytest.mark.parametrize("strategy, vma, mm, page", [
    ("page_table_scan", 0, 0, 0),
    ("pte_chain", 0, 0, 4), ("objrmap", 0, 0, 4),  # the pointer that is direct or a chain
    ("anonmm", 0, 4, 4), ("anonmm_copy", 0, 4, 4), ("anonmm_remap", 0, 4, 4),  # a count in the page, no word in a vma
    ("anon_vma", 12, 0, 4), ("anon_vma_chain", 12, 0, 4),  # 12 bytes a vma (thread.md 2.10)
    # a node of the tree {left, right, parent, and the set}, and the second offset of a private file area
    ("shared_space", 20, 4, 4), ("shared_space_unique", 20, 4, 4),
    ("cow_context", 0, 4, 8),  # folio->cow_context beside the count
])
def test_what_a_design_embeds_on_i386(strategy, vma, mm, page):
    assert named(strategy)(Kernel.parse("2.6.11"), arch="i386").ledger.embedded == {"vma": vma, "mm": mm, "page": page}


# -- more odd histories


def test_records_are_searched_in_order_of_address():
    """Two pages of one family whose records lead to places in the opposite order: each is found."""
    crossed = [*FAMILY, Mremap(2, A, P, D, P, FIXED), Mremap(2, A + P, P, B, P, FIXED), Mremap(2, D, P, B + 4 * P, P, FIXED),
               Mremap(2, B, P, D + 4 * P, P, FIXED)]
    machine = after(crossed, "anonmm_remap")
    frames = np.unique(machine.mm_of(1).table.gather(np.array([A // P, A // P + 1])))
    assert len(machine.strategy.walk(frames).mappings()[0]) == 4


def test_a_chained_page_of_a_file_takes_its_chain_along_when_it_moves():
    """objrmap: page 2 of the file at A, out of place, moves to B with its area."""
    machine = after([*SCATTERED, Mremap(1, A, 4 * P, B, 4 * P, FIXED)], "objrmap", kernel="2.6.4")
    assert parts(machine, 1, B)[:4] == (2, 2, 1, 2)


def test_objrmap_counts_the_lock_of_the_file_and_pte_chain_does_not():
    locks = {name: {lock for lock, _ in after(FILE, name, kernel="2.6.4").ledger.locks} for name in ("objrmap", "pte_chain")}
    assert locks == {"objrmap": {"i_mmap"}, "pte_chain": {"PG_chainlock"}}


def test_pages_of_two_families_whose_first_mms_are_dead_move_on_each_to_its_own():
    events = []
    for pid, at in ((1, A), (5, B)):
        events += [Spawn(pid), Mmap(pid, at, P, "rw-", ANON), Write(pid, at, P), Fork(pid, pid + 1), Fork(pid + 1, pid + 2),
                   Exit(pid)]
    machine = after([*events, Reclaim()], "anonmm_copy")
    for pid, at in ((2, A), (6, B)):
        frame = machine.mm_of(pid).table.at(at // P)
        assert machine.frames.anchor[frame] == machine.mm_of(pid).anon.number


def test_the_lowest_slice_is_free_though_the_next_is_not():
    """2 and 3 have slices 1 and 2, and 3 maps something: when 2 is gone the next child has slice 1 again."""
    machine = after([Spawn(1), Fork(1, 2), Fork(1, 3), *area_of(3, B), Exit(2), Fork(1, 4), *area_of(4, C)],
                    "shared_space_unique", arch="i386")
    slice_pages = (4 << 30) // P
    assert [vma.anon_offset for vma in machine.mm_of(4).vmas] == [slice_pages + C // P]


def area_of(pid, at, pages=1):
    return [Mmap(pid, at, pages * P, "rw-", ANON)]


@pytest.mark.parametrize("grown, refused", [(1, []), (2, ["mremap"])])
def test_an_area_grows_to_the_end_of_its_slice_and_not_beyond(grown, refused):
    """
        slice 0 is 2^20 pages: 500000 at page 1000 stay with child 2, 500000 more with child 3, and behind them lies
        what fits but for one page; all untouched, at one address, one after another
    """
    first, large, last = 1000, 500_000, (1 << 20) - 2 * 500_000 - 1000 - 1
    at = first * P
    events = [Spawn(1), *area_of(1, at, large), Fork(1, 2), Munmap(1, at, large * P), *area_of(1, at, large), Fork(1, 3),
              Munmap(1, at, large * P), *area_of(1, at, last), Mremap(1, at, last * P, at, (last + grown) * P, ["maymove"])]
    machine = run(events, "shared_space_unique", arch="i386").machine
    assert [each["op"] for each in machine.refused] == refused
    assert machine.mm_of(1).vmas[0].anon_offset == first + 2 * large


# -- what a sample of mutants had slipped past


def test_an_area_that_does_not_map_a_page_is_told_from_no_area():
    """1 wrote what 2 and 3 still share: its context comes first, with an area at the index and another page in it."""
    assert outcomes([*FAMILY, Fork(1, 3), Write(1, A, P)], "cow_context", 2, A) \
        == [([1], "does not map it"), ([3], "maps it"), ([2], "maps it")]


def test_a_record_that_leads_lower_is_not_taken_for_the_one_that_is_missing():
    """1: C; 2: C -> B; 3, child of 2: B -> A. 2 reads the page back first, at B, from where records lead to A alone."""
    events = [Spawn(1), Mmap(1, C, P, "rw-", ANON), Write(1, C, P), Fork(1, 2), Mremap(2, C, P, B, P, FIXED), Fork(2, 3),
              Mremap(3, B, P, A, P, FIXED), Swapout(), Read(2, B, P), Read(1, C, P), Read(3, A, P)]
    assert len(walk(after(events, "anonmm_remap"), 1, C).mappings()[0]) == 3


def test_records_that_overlap_are_all_searched():
    """2 moved A to B, 3 to C: a balanced tree of two, 2 nodes a search and one more for the second hit of A."""
    machine = after([*FAMILY, Fork(1, 3), Mremap(2, A, P, B, P, FIXED), Mremap(3, A, P, C, P, FIXED)], "anonmm_remap",
                    index="interval_tree")
    assert parts(machine, 1, A)[:3] == (3, 3, 3 + (2 + 1) + 2 + 2)


def test_a_scattered_address_behind_the_end_of_an_area_is_tried_in_it():
    """
        V: A [0 1]   W: A + 2 [10 11] of the file; W shows page 2 at A + 2, where V would have it were it longer
    """
    events = [Spawn(1), Mmap(1, A, 2 * P, "rw-", ["shared"], "f", 0),
              Mmap(1, A + 2 * P, 2 * P, "rw-", ["shared"], "f", 10 * P), RemapFilePages(1, A + 2 * P, P, 2)]
    assert parts(after(events, "anonmm", kernel="2.6.4"), 1, A + 2 * P)[:4] == (1, 2, 1, 1)


def test_a_page_is_chained_once_that_a_touch_maps_in_and_out_of_place_at_once():
    again = [*SCATTERED, Madvise(1, A, 4 * P, "dontneed"), Read(1, A, 4 * P)]
    assert parts(after(again, "objrmap", kernel="2.6.4"), 1, A)[:2] == (2, 2)
    # another process has it in its place where 1 has it out of place: at A
    other = [Spawn(2), Mmap(2, A, 4 * P, "rw-", ["shared"], "f", 2 * P), Read(2, A, 4 * P), *again]
    assert parts(after(other, "objrmap", kernel="2.6.4"), 1, A)[:2] == (3, 3)


def test_the_log_tells_a_chained_address_that_is_tried_in_vain():
    back = [*SCATTERED, RemapFilePages(1, A, 2 * P, 0), Spawn(2), Mmap(2, B, 4 * P, "rw-", ["shared"], "f", 0),
            Read(2, B, 4 * P)]
    log = []
    walk(after(back, "anonmm", kernel="2.6.4"), 1, A + 2 * P, log)
    assert [(visit["pids"], visit["address"], visit["outcome"]) for visit in log] == [
        ([1], A + 2 * P, "maps it"), ([1], A, "does not map it"), ([2], B + 2 * P, "maps it")]


def test_the_log_of_a_list_names_each_area_that_is_passed():
    """Newest first: pieces split off below stand before the rest."""
    events = [Spawn(1), Mmap(1, A, 4 * P, "rw-", ANON), Write(1, A, 4 * P), Mprotect(1, A + P, P, "r--")]
    log = []
    walk(after(events, "anon_vma", kernel="2.6.11", index="list"), 1, A + P, log)
    told = [(visit["start"], visit["outcome"]) for visit in log if "outcome" in visit]
    assert sorted(told) == [(A, "out of range"), (A + P, "maps it"), (A + 2 * P, "out of range")] and told[-1][0] == A + P
    log = []
    machine = after([*events, Fork(1, 2), Fork(1, 3)], "anon_vma", kernel="2.6.11", index="list")
    walk(machine, 1, A + P, log)
    told = [(visit["pids"][0], visit["start"], visit["outcome"]) for visit in log if "outcome" in visit]
    assert {(pid, start) for pid, start, _ in told} == {(pid, A + n * P) for pid in (1, 2, 3) for n in range(3)}
    assert len(told) == 9 and {start for _, start, outcome in told if outcome == "maps it"} == {A + P}


def test_one_linear_area_that_does_not_map_a_page_hides_no_nonlinear_one():
    """2 maps the file and touched nothing; 1 has page 2 out of place only."""
    events = [*SCATTERED, Munmap(1, A + 2 * P, 2 * P), Spawn(2), Mmap(2, B, 4 * P, "rw-", ["shared"], "f", 0)]
    assert parts(after(events, "anon_vma", kernel="2.6.20"), 1, A)[:2] == (2, 2)


@pytest.mark.parametrize("strategy", [name for name in STRATEGIES if name not in ("page_table_scan", "pte_chain")])
def test_an_unmapped_area_of_a_file_is_looked_at_no_more(strategy):
    both = [Spawn(1), Mmap(1, A, P, "rw-", ["private"], "f", 0), Mmap(1, B, P, "rw-", ["private"], "f", 0), Read(1, A, P)]
    assert parts(after(both, strategy), 1, A)[1] == 2
    assert parts(after([*both, Munmap(1, B, P)], strategy), 1, A)[1] == 1


@pytest.mark.parametrize("strategy", ["anon_vma", "anon_vma_chain"])
def test_neighbours_whose_offsets_do_not_meet_have_objects_of_their_own(strategy):
    """A touched area moved up behind an untouched one, with the offsets of its old place below."""
    events = [Spawn(1), Mmap(1, A, 2 * P, "rw-", ANON), Write(1, A, 2 * P), Mmap(1, B, 2 * P, "rw-", ANON),
              Mremap(1, A, 2 * P, B + 2 * P, 2 * P, FIXED), Write(1, B, P)]
    assert after(events, strategy, kernel="2.6.34").ledger.alive()["anon_vma"] == 2


def test_in_2_6_34_an_area_that_shares_its_neighbours_object_stands_at_the_head_of_its_list():
    events = [Spawn(1), Mmap(1, A, 2 * P, "rw-", ANON), Mprotect(1, A + P, P, "rwx"), Write(1, A, P), Write(1, A + P, P)]
    machine = after(events, "anon_vma_chain", kernel="2.6.34")
    assert machine.ledger.alive()["anon_vma"] == 1
    assert (parts(machine, 1, A + P)[0], parts(machine, 1, A)[0]) == (1, 2)


def test_a_child_is_linked_and_unlinked_under_the_lock_of_its_parents_children():
    machine = after([*FAMILY, Fork(1, 3), Exit(2)], "cow_context")
    locking = machine.ledger.locks["cow_context list_write_lock", "exclusive"]
    assert (locking.acquired, locking.by_instance) == (3, {1: 3})


def test_the_first_page_of_an_address_space_is_found_as_any():
    machine = after([Spawn(1), Mmap(1, 0, P, "rw-", ANON), Write(1, 0, P), Fork(1, 2)], "cow_context")
    assert parts(machine, 1, 0)[:2] == (2, 2)


def test_a_childs_slice_on_x86_64_begins_at_2_to_the_47_bytes():
    machine = after([Spawn(1), Fork(1, 2), *area_of(2, B)], "shared_space_unique")
    assert machine.mm_of(2).vmas[0].anon_offset * P == (1 << 47) + B


def test_marks_of_objrmap_are_charged_to_the_budget():
    """One byte a frame beyond pte_chain, and what is kept of the one lock that it takes of a file."""
    events = [Spawn(1), *area(A, 3000), Mmap(1, 64 * A, P, "r--", ["shared"], "f", 0), Read(1, 64 * A, P)]
    marked, chained = (after(events, name) for name in ("objrmap", "pte_chain"))
    assert marked.budget.used - chained.budget.used == len(chained.frames.mapcount) + INSTANCE_MEMORY
