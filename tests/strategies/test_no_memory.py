"""Allocation failure: whichever allocation fails, the event ends as Linux would end it and every structure stays sound.

Driven for every k: a trace is run once for each of its allocations, which then fails. `RMAPMODEL_NO_MEMORY=N` takes N
random traces a design instead of 2; `-s` prints how many failures were driven and how many events they ended.
"""

import os

import pytest

from rmapmodel.errors import InputError, NoMemory
from rmapmodel.events import (Brk, Exec, Exit, Fork, Madvise, Mlock, Mmap, Mprotect, Mremap, Munmap, Read, RemapFilePages,
                              Spawn, Swapout, Write)
from rmapmodel.strategies import STRATEGIES
from rmapmodel.study.replay import Options, machine_for
from rmapmodel.trace.random_traces import random_trace
from tests.traces import in_memory

P = 4096
A, B, C, D = 0x100000, 0x200000, 0x300000, 0x400000
ANON, FIXED = ["private", "anonymous"], ["maymove", "fixed"]
KERNELS = ("7.0", "6.10", "3.10", "2.6.34", "2.6.20", "2.6.4", "2.4.22")
TRACES = int(os.environ.get("RMAPMODEL_NO_MEMORY", 2))

PLAIN = [Spawn(1), Mmap(1, A, 8 * P, "rw-", ANON), Write(1, A, 8 * P), Mmap(1, D, 4 * P, "rw-", ["private"], "f"),
         Write(1, D, 2 * P), Read(1, D, 4 * P)]
FAMILY = [*PLAIN, Fork(1, 2), Write(2, A, 2 * P), Fork(2, 3), Fork(1, 4)]


def machine(strategy, kernel="7.0"):
    return machine_for(in_memory([]).header, strategy, Options(kernel=kernel))


def pages(model):
    return {pid: model.runs(mm) for pid, mm in model.processes.items()}


def run(model, events):
    """Applies events; one that ends for want of memory is applied once more. Returns (how many ended so, how many then)."""
    ended, impossible = [], 0
    for line, event in enumerate(events, 1):
        due = model.ledger.failure_is_due
        try:
            model.apply(event, line)
        except InputError:
            impossible += 1
        except NoMemory:
            ended.append(event)
            model.check()
            assert not isinstance(event, (Fork, Spawn)) or (getattr(event, "child", None) or event.pid) not in model.processes
            try:
                model.apply(event, line)
            except InputError:  # a part of it is done: what was fixed, or moved
                impossible += 1
        if due and not model.ledger.failure_is_due:
            model.check()
    model.check()
    return ended, impossible


def allocations(strategy, kernel, events):
    """How many objects a trace makes one after another, and its pages at the end."""
    model = machine(strategy, kernel)
    model.ledger.fail_at(1 << 40)
    _, impossible = run(model, events)
    return (1 << 40) - model.ledger._until_failure, impossible, pages(model)


def drive(strategy, kernel, events):
    """Lets each allocation of a trace fail in turn; returns (failures, the events that ended so)."""
    count, impossible, expected = allocations(strategy, kernel, events)
    ended = []
    for k in range(1, count + 1):
        model = machine(strategy, kernel)
        model.ledger.fail_at(k)
        here, now_impossible = run(model, events)
        assert not model.ledger.failure_is_due
        ended += here
        if here and now_impossible == impossible:
            assert pages(model) == expected, f"allocation {k}: tried again, {here[0]} leads elsewhere"
        for pid in list(model.processes):
            model.apply(Exit(pid))
        assert not any(model.ledger.alive().values()), f"allocation {k}: something is never freed"
        assert not model.mms and not model.mappings and not model.swap.alive
        assert not model.frames.mapcount.any()
    return count, ended


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_every_allocation_of_random_traces(strategy):
    failures = ended = 0
    for seed in range(TRACES):
        events = random_trace(7000 + seed, 40, {"swapout": 3, "fork": 14, "move": 14, "remap_file_pages": 4})
        count, here = drive(strategy, KERNELS[seed % len(KERNELS)], events)
        failures, ended = failures + count, ended + len(here)
    print(f"allocation failure: {strategy}: {failures} driven, {ended} events ended so, 0 structures unsound")
    assert ended > failures / 2


CASES = {
    "fork of the k-th area": FAMILY,
    "the first fault": [*PLAIN, Mmap(1, B, P, "rw-", ["private", "anonymous", "noreserve"]), Write(1, B, P)],
    "mmap between two": [Spawn(1), Mmap(1, A, P, "rw-", ANON), Mmap(1, A + 2 * P, P, "rw-", ANON), Write(1, A + 2 * P, P),
                         Mmap(1, A + P, P, "rw-", ANON)],
    "brk": [Spawn(1), Brk(1, A), Brk(1, A + 4 * P), Write(1, A, 4 * P), Brk(1, A + 2 * P), Brk(1, A + 8 * P)],
    "munmap of a middle": [*FAMILY, Munmap(3, A + 2 * P, 2 * P)],
    "mprotect of a middle": [*FAMILY, Mprotect(3, A + 2 * P, 2 * P, "r--"), Mprotect(3, A + 2 * P, 2 * P, "rw-")],
    "mremap of a middle": [*FAMILY, Mremap(3, A + 2 * P, 2 * P, B, 2 * P, FIXED), Mremap(3, B, P, C, P, FIXED)],
    "mremap that grows": [*FAMILY, Mremap(2, A, 8 * P, B, 12 * P, FIXED)],
    "mremap of a file": [*FAMILY, Mremap(2, D + P, 2 * P, B, 2 * P, FIXED)],
    "madvise and mlock": [*FAMILY, Madvise(3, A + P, P, "dontfork"), Mlock(3, A + 3 * P, P), Fork(3, 5)],
    "swapped and moved": [*FAMILY, Mremap(3, A, 4 * P, B, 4 * P, FIXED), Swapout(), Read(1, A, 8 * P), Read(3, B, 4 * P),
                          Read(2, A, 8 * P)],
    "exec": [*FAMILY, Exec(3), Mmap(3, A, P, "rw-", ANON), Write(3, A, P), Fork(3, 5)],
    "a nonlinear area": [Spawn(1), Mmap(1, A, 4 * P, "rw-", ["shared"], "f"), Mmap(1, B, 4 * P, "rw-", ["shared"], "f"),
                         Read(1, A, 4 * P), RemapFilePages(1, B, 2 * P, 2), Read(1, B, 4 * P), Fork(1, 2)],
}


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("case", CASES)
def test_every_allocation_of(case, strategy):
    for kernel in ("7.0", "2.6.4"):
        count, ended = drive(strategy, kernel, CASES[case])
        assert count and ended


def test_a_fork_that_fails_at_the_k_th_area_leaves_the_parent_alone():
    """Three areas of a grandchild have 2, 2 and 0 AVCs below the 3 of their own: (1 + 3 + 2) * 2 + 1 objects a fork."""
    events = [Spawn(1), *(each for at in (A, B) for each in (Mmap(1, at, P, "rw-", ANON), Write(1, at, P))),
              Mmap(1, C, P, "rw-", ANON), Fork(1, 2), Write(2, A, P), Write(2, B, P)]
    for k in range(1, 12):
        model = machine("anon_vma_chain", "3.10")
        run(model, events)
        before, alive = pages(model), model.ledger.alive()
        model.ledger.fail_at(k)
        with pytest.raises(NoMemory):
            model.apply(Fork(2, 3), 99)
        assert pages(model) == before and model.ledger.alive() == alive and 3 not in model.processes
        model.check()
    model.apply(Fork(2, 3), 100)
    grown = {kind: count - alive[kind] for kind, count in model.ledger.alive().items()}
    assert grown == {"vm_area_struct": 3, "anon_vma": 2, "anon_vma_chain": 6}


def test_a_second_split_that_fails_leaves_the_first():
    model = machine("anon_vma")
    run(model, [Spawn(1), Mmap(1, A, 4 * P, "rw-", ANON)])
    model.ledger.fail_at(2)
    with pytest.raises(NoMemory):
        model.apply(Munmap(1, A + P, P), 3)
    assert [(vma.start * P - A, vma.end * P - A) for vma in model.processes[1].vmas] in ([(0, P), (P, 4 * P)],)


def test_a_move_that_fails_at_its_pages_of_files_takes_the_anonymous_ones_back():
    model = machine("pte_chain")
    run(model, FAMILY)
    before, file_moved = pages(model), model.strategy.file_moved

    def failing(*_):
        model.strategy.file_moved = file_moved
        raise NoMemory("no memory for pte_chain")

    model.strategy.file_moved = failing
    with pytest.raises(NoMemory):
        model.apply(Mremap(2, D + P, 2 * P, B, 2 * P, FIXED), 99)  # the first of the two was written
    assert pages(model) == before
    model.check()


def test_a_move_that_fails_goes_back():
    """8 processes map 4 pages, each with chains of 7 and of 1: the pte that leaves frees an element, the new one needs it.

    The area's struct is the first allocation; the second page's element cannot be had when the first page has moved.
    """
    model = machine("pte_chain", "2.6.4")
    run(model, [Spawn(1), Mmap(1, A, 4 * P, "rw-", ANON), Write(1, A, 4 * P), *(Fork(1, child) for child in range(2, 9))])
    before, alive = pages(model), model.ledger.alive()
    for k in range(1, 6):
        model.ledger.fail_at(k)
        with pytest.raises(NoMemory):
            model.apply(Mremap(3, A, 4 * P, B, 4 * P, FIXED), 20 + k)
        model.check()
        assert pages(model) == before and model.ledger.alive() == alive
    model.ledger.fail_at(6)
    model.apply(Mremap(3, A, 4 * P, B, 4 * P, FIXED), 30)
    assert model.ledger.failure_is_due
