"""Families: locks, growth and re-use against small cases that can be counted by hand."""

import pytest

from rmapmodel.events import Exit, Fork, Header, Mmap, Reclaim, Spawn, Write
from rmapmodel.study.families import attached, by_event, growth, lock_load, unshared
from rmapmodel.study.replay import Options, replay
from rmapmodel.trace.memory import InMemory
from rmapmodel.trace.workloads import generate

P, A = 4096, 0x10000000
START = [Spawn(1), Mmap(1, A, 2 * P, "rw-", ["private", "anonymous"]), Write(1, A, 2 * P)]


def trace(*events):
    return InMemory(Header(version=1), [*START, *events])


def copied(children):
    """Children that each copy both pages."""
    return trace(*(Fork(1, pid) for pid in range(2, 2 + children)), *(Write(pid, A, 2 * P) for pid in range(2, 2 + children)))


@pytest.mark.parametrize("design, kernel, locks, busiest, held", [
    ("anon_vma", "2.6.33", 1, 8, 2 * (1 + 2 + 3 + 4)),  # a list of four, each with two pages
    ("anon_vma_chain", "2.6.34", 4, 2, 2),  # one each
    ("anon_vma_chain", "2.6.36", 1, 8, 8),  # the root's
    ("pte_chain", "2.6.4", 8, 1, 1),  # the pages' own
    ("cow_context", "7.0", 0, 0, 0)])
def test_locks_are_those_that_look_ups_take(design, kernel, locks, busiest, held):
    load = lock_load(replay(copied(3), design, Options(kernel=kernel)).machine)
    assert (load["lookups"], load["locks"], load["busiest"], load["held"]) == (8, locks, busiest, held)


def test_locks_of_a_machine_without_pages():
    assert lock_load(replay(InMemory(Header(version=1), [Spawn(1)]), "anon_vma").machine) == {
        "lookups": 0, "visits": 0, "locks": 0, "busiest": 0, "held": 0}


SKIPPED = trace(Fork(1, 2), Fork(2, 3), Exit(2), Fork(3, 4), Write(4, A, P), Fork(4, 5), Write(5, A, P))
"""Each process is the child of the one before, and the second is gone when the fourth is made."""


@pytest.mark.parametrize("kernel, anon_vmas, owners", [("3.18", [1, 2, 3, 3, 4, 4, 5, 5], 1), ("3.19", [1, 2, 3, 3, 3, 3, 3, 3], 2),
                                                       ("6.0", [1, 2, 3, 3, 3, 3, 4, 4], 1)])
def test_growth_follows_each_event(kernel, anon_vmas, owners):
    """3.19: the fourth takes the second's anon_vma, and the fifth the third's, which the third owns still."""
    grown = growth(SKIPPED, "anon_vma_chain", Options(kernel=kernel))
    assert grown.event.tolist() == list(range(1, len(SKIPPED) + 1))
    assert grown.anon_vma.tolist()[2:] == anon_vmas
    assert grown.owners.max() == owners and grown.owners.iloc[1] == 0


def test_chains_are_counted_by_vma_and_sample():
    # after the fork the parent has one AVC, the child two
    assert attached(trace(Fork(1, 2)), every=2).to_dict() == {0: 1, 1: 1, 2: 1}
    assert attached(trace(Fork(1, 2)), every=99).empty


def test_costs_by_kind_of_event():
    costs = by_event(copied(3), "anon_vma_chain")
    # the first write makes an anon_vma and an AVC, each fork one and two; a fork locks for the parent's and for its own
    assert costs.loc["Write", "objects"] == 2 and costs.loc["Write", "locks"] == 1
    assert costs.loc["Fork"].to_dict() == {"events": 3, "objects": 9, "locks": 6}
    assert by_event(copied(3), "cow_context").loc["Fork"].to_dict() == {"events": 3, "objects": 3, "locks": 3}


def test_locks_of_file_pages_are_left_out():
    private = InMemory(Header(version=1), [Spawn(1), Mmap(1, A, P, "rw-", ["private"], "f"), Fork(1, 2)])
    assert by_event(private, "anon_vma").locks.sum() == 0


@pytest.mark.parametrize("events, share", [([], 1), ([Fork(1, 2)], 0), ([Fork(1, 2), Exit(2)], 1)])
def test_what_is_not_shared_is_told_from_what_is(events, share):
    alone = unshared(trace(*events, Reclaim()), every=len(START) + len(events) + 1)
    assert alone.to_dict() == {"anon_vma": share, "anon_vma_chain": share}


def test_nothing_shared_where_nothing_was_touched():
    assert unshared(InMemory(Header(version=1), [Spawn(1)]), every=1).isna().all()


def test_a_thousand_children_in_small():
    made = InMemory(*generate("thousand_children", children=9, pages=3))
    assert lock_load(replay(made, "anon_vma").machine)["visits"] == 3 * sum(range(1, 11))
