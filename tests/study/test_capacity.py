"""Ways to hand out offsets: against the designs of the package, against brute force, and by hand."""

import pytest

from rmapmodel.events import Header, Mmap, Mremap, Munmap, Spawn
from rmapmodel.strategies import STRATEGIES
from rmapmodel.strategies.shared_space_unique import SLICE
from rmapmodel.study.capacity import (LIVES, POLICIES, SEED_BITS, hand_out, index_bytes, life, limits, lineage,
                                      machine_with, users, wanting)
from rmapmodel.study.lowmem import GIB
from rmapmodel.study.replay import applied, replay
from rmapmodel.trace.memory import InMemory
from rmapmodel.trace.random_traces import random_trace
from rmapmodel.vm.vma import PAGE

ARCHES = pytest.mark.parametrize("arch", SLICE)


def refused(name, policy, children=8, arch="i386"):
    return hand_out(life(name, children, arch=arch), policy).row()["refused"]


@ARCHES
@pytest.mark.parametrize("name", LIVES)
def test_growth_refused(name, arch):
    """Of eight children that grow. The heap's brk is never refused: what does not continue it is another vma."""
    expected = {  # slices, first fit, widest gap, never twice
        # alone in a slice; packed, all but the last have the next one's offsets behind their own
        "new area, in place": (0, 7, 0, 7),
        # what lies behind the addresses lies behind the offsets; in gaps nothing does
        "new area, by moving": (8, 8, 0, 8),
        # the upper half, left where it was, has the offsets behind the lower
        "moved part of an area": (8, 8, 8, 8),
        # the new area at the old address has offsets elsewhere in the slice, with room
        "old address used again": (0, 7, 0, 7),
        # the first heir has what is beside the area
        "inherited area": (7, 7, 7, 7),
        # the same downwards; packed from 0 up there is nothing below even for the first
        "inherited stack": (7, 8, 7, 8),
        "inherited heap (brk)": (0, 0, 0, 0)}
    assert tuple(refused(name, policy, arch=arch) for policy in list(POLICIES)[1:]) == expected[name]
    assert refused(name, "search key", arch=arch) == 0


def test_a_heap_that_does_not_continue_is_another_vma():
    # the parent's and eight children's; each child's growth, but for the first where offsets are packed behind the heap
    assert [hand_out(life("inherited heap (brk)", 8), policy).vmas for policy in POLICIES] == [9, 17, 16, 17, 16]


@ARCHES
@pytest.mark.parametrize("more", range(4))
def test_slices_are_as_many_as_bits_say(arch, more):
    bits = SLICE[arch].bit_length() - 1 + more
    handed = hand_out(users((1 << more) + 3, PAGE, arch), "slices", bits)
    assert (handed.new, handed.first) == (3, (1 << more) + 1)


def test_page_size_processes_have_slices():
    assert hand_out(users(PAGE + 1, PAGE), "slices")[:2] == (1, 0)
    assert hand_out(users(1025, PAGE), "slices", SEED_BITS).first == 1025


@pytest.mark.parametrize("policy, most", [("first fit", 16), ("never twice", 16), ("widest gap", 15), ("slices", 8)])
def test_packed_areas(policy, most):
    # 2^23 pages in 2^23 / 2^19 areas of 2 GiB; halving gaps leaves the last one split in two
    handed = hand_out(users(20, 2 * GIB), policy, bits=23)
    assert handed.first == most + 1 and handed.new == 20 - most and handed.top <= 1 << 23


def test_a_slice_is_held_by_what_was_inherited():
    bits = SLICE["i386"].bit_length() - 1 + 3
    handed = hand_out(lineage(10), "slices", bits)
    assert (handed.first, handed.processes) == (9, 2)
    assert hand_out(lineage(10), "first fit", bits).first is None


def test_never_twice_runs_out_of_what_was_freed():
    events = [Spawn(1), *(event for _ in range(5) for event in (
        Mmap(1, 0x100000, 4 * PAGE, "rw-", ["private", "anonymous"]), Munmap(1, 0x100000, 4 * PAGE)))]
    trace = InMemory(Header(version=1, arch="i386"), events)
    assert [hand_out(trace, policy, bits=4).new for policy in ("first fit", "widest gap", "never twice")] == [0, 0, 1]


def test_never_twice_grows_into_no_offsets_that_were_used():
    anonymous = ["private", "anonymous"]
    trace = InMemory(Header(version=1, arch="i386"), [
        Spawn(1), Mmap(1, 0x100000, PAGE, "rw-", anonymous), Mmap(1, 0x200000, PAGE, "rw-", anonymous),
        Munmap(1, 0x200000, PAGE), Mremap(1, 0x100000, PAGE, 0x100000, 2 * PAGE)])
    assert [hand_out(trace, policy).growth for policy in POLICIES] == [0, 0, 0, 0, 1]


def end_of(trace, policy, bits=None):
    """The machine after a trace under a policy, checked after each event."""
    machine = machine_with(policy, trace, bits)
    for _ in applied(machine, trace):
        machine.check()
    return machine


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("policy, design", [("slices", "shared_space_unique"), ("search key", "shared_space")])
def test_two_policies_are_designs_of_the_package(policy, design, seed):
    trace = InMemory(Header(version=1), random_trace(seed, 80))
    machine, other = end_of(trace, policy), replay(trace, design).machine
    assert machine.refused == other.refused
    assert [machine.areas(mm) for mm in machine.mms.values()] == [other.areas(mm) for mm in other.mms.values()]


@pytest.mark.parametrize("policy", list(POLICIES)[1:])
@pytest.mark.parametrize("seed", range(6))
def test_new_areas_have_offsets_of_their_own(policy, seed):
    """Every offset handed to a new area was free, and lies in the space; the widest gap is the widest there is."""
    trace = InMemory(Header(version=1), random_trace(seed, 120))
    machine = machine_with(policy, trace, bits=None if policy == "slices" else 10)
    design, handed = machine.strategy, []
    find = design.new_offset

    def watched(mm, start, end):
        offset, covered = find(mm, start, end), mm.anon.covered
        free = [at for at in range(1024) if covered.is_free(at, at + 1)] if policy != "slices" else None
        if offset is not None:
            assert covered.is_free(offset, offset + end - start) and offset + end - start <= design.room
            handed.append(offset)
        if policy == "widest gap":
            edges = [at for at in free if at - 1 not in free]
            widest = max((next(end for end in range(at, 1025) if end not in free) - at, -at) for at in edges)
            assert offset == (None if widest[0] < end - start else -widest[1] + (widest[0] - (end - start)) // 2)
        return offset

    design.new_offset = watched
    for _ in applied(machine, trace):
        machine.check()
    assert handed


def test_limits_by_hand():
    rows = limits(["i386", "x86_64"], [1, 2048], 16 * GIB).set_index(["build", "mib", "resource"]).processes
    assert rows["i386", 1, "slices of 2^42"] == 1024 and rows["i386", 1, "slices of 2^44"] == 4096
    assert rows["i386", 2048, "2^44, packed"] == 8192 and rows["i386", 2048, "pids"] == 32768
    # 736 MiB, of which each takes 37088 bytes and 1024 page tables
    assert rows["i386", 2048, "kernel memory"] == (736 << 20) // (37088 + (1024 << 12))
    assert rows["x86_64", 1, "slices of 2^75"] == 1 << 28 and ("x86_64", 1, "slices of 2^42") not in rows


@ARCHES
def test_an_index_reaches(arch):
    assert index_bytes(arch) == {"i386": 1 << 44, "x86_64": 1 << 64}[arch]


def test_only_a_design_with_unique_offsets_is_ever_wanting():
    trace = life("inherited area", 3)
    found = {name: len(wanting(replay(trace, name).machine)) for name in STRATEGIES}
    assert found.pop("shared_space_unique") == 2 and not any(found.values())
