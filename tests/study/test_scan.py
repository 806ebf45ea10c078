"""2.4's scan, against one that goes pte by pte; walks, against one at a time."""

import numpy as np
import pytest

from rmapmodel.events import Fork, Header, Mmap, Spawn, Write
from rmapmodel.study.replay import replay
from rmapmodel.study.scan import every, scanned, until_free, walked
from rmapmodel.trace.memory import InMemory
from rmapmodel.trace.random_traces import random_trace

PAGE, A = 4096, 0x100000


def machine_of(events, name="page_table_scan"):
    return replay(InMemory(Header(version=1), events), name).machine


def swap_out(machine, wanted):
    """Passes every present pte in turn, unmaps wanted pages, and notes the ptes passed whenever one is free."""
    left, passed, freed = {}, 0, []
    truth = list(zip(*(column.tolist() for column in machine.truth())))
    for frame, *_ in truth:
        left[frame] = left.get(frame, 0) + 1
    for mm in dict.fromkeys(machine.processes.values()):
        for frame, number, page in sorted(truth, key=lambda pte: pte[2]):
            if number == mm.number:
                passed += 1
                left[frame] -= frame in wanted
                if not left[frame]:
                    freed.append(passed)
    return freed


@pytest.mark.parametrize("seed", range(8))
def test_the_scan_is_that_of_every_pte(seed):
    machine = machine_of(random_trace(seed, 80))
    frames = machine.resident()
    assert scanned(machine).tolist() == swap_out(machine, set(frames.tolist()))
    low = every(machine, 0.3)
    assert scanned(machine, low).tolist() == swap_out(machine, set(low.tolist()))


def test_by_hand():
    """A child inherited pages 0 and 1, and copied page 1. Ptes in turn: 0 1 of the parent, 0 1' of the child."""
    events = [Spawn(1), Mmap(1, A, 2 * PAGE, "rw-", ["private", "anonymous"]), Write(1, A, 2 * PAGE), Fork(1, 2),
              Write(2, A + PAGE, PAGE)]
    # page 1 is free at the second pte, page 0 at the third, the copy at the fourth
    assert scanned(machine_of(events)).tolist() == [2, 3, 4]
    # a chain has two ptes for page 0 and one for each of the others; oldest first
    assert walked(machine_of(events, "pte_chain")).tolist() == [2, 3, 4]
    # one anon_vma: the copy is looked for in the child first, page 1 too, which is the parent's
    assert walked(machine_of(events, "anon_vma")).tolist() == [2, 4, 5]


@pytest.mark.parametrize("name", ["pte_chain", "anonmm", "anon_vma", "anon_vma_chain", "cow_context"])
def test_walks_add_up(name):
    machine = machine_of(random_trace(3, 60), name)
    one_by_one = [int(machine.strategy.walk(np.array([frame], np.int32)).ptes[0]) for frame in machine.resident()]
    assert walked(machine).tolist() == np.cumsum(one_by_one).tolist()


def test_a_zone_is_spread_evenly():
    events = [Spawn(1), Mmap(1, A, 20 * PAGE, "rw-", ["private", "anonymous"]), Write(1, A, 20 * PAGE)]
    machine = machine_of(events)
    assert len(every(machine, 0.25)) == 5 and len(every(machine, 1.0)) == 20 and len(every(machine, 0.001)) == 1
    assert scanned(machine, every(machine, 0.25)).tolist() == [1, 5, 9, 13, 17]
    assert len(scanned(machine_of([Spawn(1)]))) == len(every(machine_of([Spawn(1)]), 0.5)) == 0


def test_until_free_reads_the_curves_at_1_2_4():
    trace = InMemory(Header(version=1), random_trace(5, 80))
    rows = until_free(trace, 0.5).set_index(["strategy", "need"])
    scan, zone = (rows.loc["page_table_scan", need].set_index("pages").ptes for need in ("any page", "low memory"))
    machine = replay(trace, "page_table_scan").machine
    assert all(scanned(machine)[pages - 1] == ptes for pages, ptes in scan.items())
    assert scan.index[-1] == len(machine.resident())
    assert zone.iloc[-1] == scanned(machine, every(machine, 0.5))[-1]
    chain = rows.loc["pte_chain", "any page"].set_index("pages").ptes
    assert chain.iloc[-1] == replay(trace, "pte_chain").machine.mappings
