"""The hazards of modern-rmap section 2.5: is each real in the model? study/drafts.py puts back what the draft does."""

import pytest

from rmapmodel.errors import InputError
from rmapmodel.events import Brk, Exit, Fork, Madvise, Mmap, Mremap, Munmap, Read, Reclaim, Spawn, Swapout, Write
from rmapmodel.strategies.cow_context import CowContextStrategy
from rmapmodel.study.drafts import (HAZARDS, ChangesWholeRecords, EndsWhenMappedOnce, OverwritesOnInsert,
                                    PointsToTheReader, VirtualOffsets, completeness)
from rmapmodel.trace.random_traces import random_trace
from rmapmodel.vm.kernel import Kernel
from rmapmodel.vm.machine import Machine
from tests.traces import run

P = 4096
A, B, C = 0x100000, 0x200000, 0x300000
ANON, FIXED = ["private", "anonymous"], ["maymove", "fixed"]


def area(at=A, pages=4, pid=1):
    return [Mmap(pid, at, pages * P, "rw-", ANON), Write(pid, at, pages * P)]


def machine(design, events):
    """A machine of this class of design after these events, unchecked."""
    kernel = Kernel.parse("7.0")
    made = Machine(design(kernel), kernel)
    for line, event in enumerate(events, 1):
        made.apply(event, line)
    return made


def loses(design, events):
    """Whether a walk misses a mapping after these events; the design itself must find all."""
    machine(CowContextStrategy, events).check()
    try:
        machine(design, events).check()
    except AssertionError as error:
        assert "the walk finds" in str(error)
        return True
    return False


def objects(events, strategy="cow_context"):
    return run(events, strategy, after=lambda machine, count: machine.check()).result()["objects"]


# -- 1: the walk of a page mapped once ends before the records are asked, and below the first live context


def test_hazard_1_is_real_a_moved_page_of_one_mm_is_missed():
    assert loses(EndsWhenMappedOnce, [Spawn(1), *area(), Mremap(1, A, 4 * P, B, 4 * P, FIXED)])


def test_hazard_1_is_real_without_a_move_where_the_older_mm_unmapped_the_page():
    """Only a write moves a page to the writer's context: an inherited page stays its parent's."""
    inherited = [Spawn(1), *area(), Fork(1, 2)]
    assert loses(EndsWhenMappedOnce, [*inherited, Munmap(1, A, 4 * P)])
    assert not loses(EndsWhenMappedOnce, [*inherited, Exit(1)])  # a dead mm is passed over
    assert not loses(EndsWhenMappedOnce, [*inherited, Munmap(1, A, 4 * P), Write(2, A, 4 * P)])


# -- 2: a page read back from swap points to the reader's context


@pytest.mark.parametrize("first, second, lost", [(2, 1, True), (1, 2, False)])
def test_hazard_2_is_real_where_a_descendant_reads_a_page_back_first(first, second, lost):
    back = [Spawn(1), *area(), Fork(1, 2), Swapout(), Read(first, A, 4 * P), Read(second, A, 4 * P)]
    assert loses(PointsToTheReader, back) is lost


# -- 3: records change as a whole


def test_hazard_3_is_real_where_part_of_a_moved_area_moves_on_and_its_source_stays():
    """
        2: A[abcd] -> B[abcd]; then cd -> C with MREMAP_DONTUNMAP: the record of abcd now says C, and ab are missed at B
    """
    moved = [Spawn(1), *area(), Fork(1, 2), Mremap(2, A, 4 * P, B, 4 * P, FIXED)]
    part = Mremap(2, B + 2 * P, 2 * P, C, 2 * P, [*FIXED, "dontunmap"])
    assert loses(ChangesWholeRecords, [*moved, part])
    # without dontunmap the source is recorded anew; when, against the record of the copy, the part of the draft read
    # does not say, so nothing is claimed of it


# -- 4: a smaller delta overwrites a larger one


@pytest.mark.parametrize("first, second, lost", [(C, B, True), (B, C, False)])
def test_hazard_4_is_real_where_the_second_delta_is_the_smaller(first, second, lost):
    """
        2: A[abcd] -> first; a new A[efgh] -> second: two areas with the offsets of A, at two deltas
    """
    twice = [Spawn(1), *area(), Fork(1, 2), Mremap(2, A, 4 * P, first, 4 * P, FIXED), *area(pid=2), Fork(2, 3),
             Mremap(2, A, 4 * P, second, 4 * P, FIXED)]
    assert loses(OverwritesOnInsert, twice) is lost


# -- 5 to 8: what it costs


@pytest.mark.parametrize("generations", [3, 10])
def test_hazard_5_is_real_dead_generations_stay(generations):
    """Each forks, its child writes everything, it exits: anon_vma_chain stays at three, the contexts do not."""
    chain = [Spawn(1), *area()]
    for pid in range(1, generations):
        chain += [Fork(pid, pid + 1), Write(pid + 1, A, 4 * P), Exit(pid)]
    assert objects(chain)["cow_context"] == generations
    assert objects(chain, "anon_vma_chain")["anon_vma"] == 3
    assert objects([*chain, Exit(generations)])["cow_context"] == 0


def test_hazard_6_is_real_children_that_do_not_map_a_page_are_visited():
    """N children of which all but the first unmapped the area: a page of parent and first child."""
    count = 20
    family = [Spawn(1), *area(pages=1), *(Fork(1, pid) for pid in range(2, count + 2)),
              *(Munmap(pid, A, P) for pid in range(3, count + 2)), Reclaim()]
    cow = run(family, "cow_context").result()["reclaim"]
    avc = run(family, "anon_vma_chain").result()["reclaim"]
    assert (cow["mappings"], cow["vmas_examined"], cow["vmas_candidates"]) == (2, count + 1, count + 1)
    assert (avc["mappings"], avc["vmas_examined"], avc["vmas_candidates"]) == (2, 2, 2)


def test_hazard_7_is_real_and_a_gain_objects_keep_no_areas_apart():
    """Two areas touched apart and the filler between them; a child's heap; offsets still do (a moved area)."""
    filled = [Spawn(1), *area(A, 2), *area(A + 4 * P, 2), Mmap(1, A + 2 * P, 2 * P, "rw-", ANON)]
    assert [objects(filled, name)["vm_area_struct"] for name in ("cow_context", "anon_vma_chain")] == [1, 2]
    heap = [Spawn(1), Brk(1, A), Brk(1, A + 3 * P), Write(1, A, 3 * P), Fork(1, 2), Brk(2, A + 5 * P)]
    assert [objects(heap, name)["vm_area_struct"] for name in ("cow_context", "anon_vma_chain")] == [2, 3]
    moved = [Spawn(1), *area(A, 2), *area(B, 2), Mremap(1, B, 2 * P, A + 2 * P, 2 * P, FIXED)]
    assert objects(moved)["vm_area_struct"] == 2


def test_hazard_8_is_real_every_page_is_counted_in_one_counter_of_its_mm():
    made = machine(CowContextStrategy, [Spawn(1), *area(A, 4), *area(B, 50), Fork(1, 2), Write(2, B, 10 * P)])
    parent, child = made.strategy.contexts.values()
    assert (parent.references, child.references) == (1 + 54 + 1, 1 + 10)  # its mm, its pages, its child
    made.apply(Madvise(2, B, 10 * P, "dontneed"))
    assert (parent.references, child.references) == (56, 1)


# -- private file areas: an index that is a file's offset


def test_a_private_file_area_needs_a_record_from_its_first_copy_on():
    maps = [Spawn(1), Mmap(1, A, 4 * P, "rw-", ["private"], "lib", 8 * P), Read(1, A, 4 * P)]
    assert objects(maps)["remap_record"] == 0
    assert objects([*maps, Write(1, A, P)])["remap_record"] == 1
    assert objects([*maps, Write(1, A, P), Fork(1, 2)])["remap_record"] == 2
    assert objects([*maps, Write(1, A, P), Munmap(1, A, 4 * P)])["remap_record"] == 0


def test_a_file_offset_that_equals_an_anonymous_one_costs_a_visit_and_no_mapping():
    """The copy of the file's page A/PAGE has the index of the anonymous page at A."""
    both = [Spawn(1), *area(A, 1), Mmap(1, B, P, "rw-", ["private"], "lib", A), Write(1, B, P), Reclaim(1, B, P)]
    found = run(both, "cow_context").result()["reclaim"]
    assert (found["mappings"], found["vmas_examined"], found["ptes_examined"]) == (1, 2, 2)


def test_moving_back_home_leaves_no_record():
    away = [Spawn(1), *area(), Mremap(1, A, 4 * P, B, 4 * P, FIXED)]
    assert objects(away)["remap_record"] == 1
    assert objects([*away, Mremap(1, B, 4 * P, A, 4 * P, FIXED)])["remap_record"] == 0
    assert objects([*away, Mremap(1, B + 2 * P, 2 * P, A + 2 * P, 2 * P, FIXED)])["remap_record"] == 1


# -- the table of hazards, and the second offset of June 2026


@pytest.mark.parametrize("pages", [1, 5])
@pytest.mark.parametrize("name", HAZARDS)
def test_each_hazard_loses_what_the_design_finds(name, pages):
    events = HAZARDS[name].events(pages)
    held, found = completeness(CowContextStrategy, events)
    assert held == found
    assert completeness(HAZARDS[name].draft, events) == (held, held - pages)


def test_a_second_offset_spares_file_areas_their_record():
    maps = [Spawn(1), Mmap(1, A, 4 * P, "rw-", ["private"], "lib", 8 * P), Write(1, A, P), Fork(1, 2), Write(2, A, P)]
    records = [len(context.remaps) for context in machine(CowContextStrategy, maps).strategy.contexts.values()]
    assert records == [1, 1]
    spared = machine(VirtualOffsets, maps)
    spared.check()
    assert [len(context.remaps) for context in spared.strategy.contexts.values()] == [0, 0]
    moved = machine(VirtualOffsets, [*maps, Mremap(2, A, 4 * P, B, 4 * P, FIXED)])
    moved.check()
    assert [len(context.remaps) for context in moved.strategy.contexts.values()] == [0, 1]


@pytest.mark.parametrize("seed", range(12))
def test_a_second_offset_finds_every_mapping(seed):
    kernel = Kernel.parse("6.18")
    made = Machine(VirtualOffsets(kernel), kernel)
    for line, event in enumerate(random_trace(seed, 60), 1):
        try:
            made.apply(event, line)
        except InputError:
            break
        made.check()
