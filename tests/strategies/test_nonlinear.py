"""Nonlinear mappings (remap_file_pages before 4.0): who finds a page that its index does not lead to, by what visits.

    pte_chain, objrmap    the page's own ptes: chains need no index; a page of objrmap has one from its first nonlinear
                          mapping on (page_convert_anon, McCracken, 2003)
    anonmm                in the mm of each vma of the file the linear address, then those chained to the page; fork needs
                          no more of them (anobjrmap 5/6: next_rmap_address)
    page_table_scan       as any page
    the others            the linear vmas first; then a sweep of the vmas on i_mmap_nonlinear by clusters of 32 pages:
                          the first cluster of each, then the second of each ...
                          [mm/rmap.c:try_to_unmap_file, try_to_unmap_cluster@2.6.11; kernel-facts 3]
"""

import numpy as np
import pytest

from rmapmodel.events import Exit, Fork, Madvise, Mmap, Mremap, Munmap, Read, RemapFilePages, Spawn
from rmapmodel.strategies import STRATEGIES
from tests.traces import run

P = 4096
A, B = 0x100000, 0x200000
"""Both on the border of a cluster."""
DESIGNS = [name for name, design in STRATEGIES.items() if design.__module__.startswith("rmapmodel.")]
"""The package's own designs, without what may have been registered from outside."""
CHAINED = ("pte_chain", "objrmap")
SWEEPING = [name for name in DESIGNS if name not in (*CHAINED, "anonmm", "page_table_scan")]
NONLINEAR_KERNELS = ["2.6.4", "2.6.20", "3.19"]


def machine(events, strategy, kernel):
    return run(events, strategy, kernel=kernel, after=lambda model, count: model.check()).machine


def walked(model, pid, addr, log=None):
    """(mappings, examined, candidates, ptes) of one walk for the page mapped there."""
    walk = model.strategy.walk(np.array([model.mm_of(pid).table.at(addr // P)], np.int32), log)
    return (len(walk.mappings()[0]), *(int(part[0]) for part in (walk.examined, walk.candidates, walk.ptes)))


def area(pages=4, pid=1, at=A):
    return [Mmap(pid, at, pages * P, "rw-", ["shared"], "f", 0), Read(pid, at, pages * P)]


TWICE = [Spawn(1), *area(), RemapFilePages(1, A, 2 * P, 2)]
"""
    process 1   A [0 1 2 3] -> [2 3 2 3]    each page of the file that is left is mapped twice by one nonlinear vma
"""
AND_LINEAR = [*TWICE, Spawn(2), *area(pid=2, at=B)]
"""
    process 1   A [2 3 2 3]     process 2   B [0 1 2 3]
"""


@pytest.mark.parametrize("kernel", NONLINEAR_KERNELS)
@pytest.mark.parametrize("strategy", DESIGNS)
def test_every_design_finds_a_page_mapped_out_of_place(strategy, kernel):
    """And after fork, which copies these ptes in every version, a partial unmap, and exit in either order."""
    for events in (TWICE, AND_LINEAR):
        model = machine(events, strategy, kernel)
        assert len(model.mm_of(1).vmas) == 1
        assert walked(model, 1, A + P)[0] == model.frames.mapcount[model.mm_of(1).table.at(A // P + 1)]
    forked = [*AND_LINEAR, Fork(1, 3), Munmap(3, A + P, P)]
    model = machine(forked, strategy, kernel)
    assert walked(model, 1, A)[0] == 2 + 2 + 1 and walked(model, 1, A + P)[0] == 2 + 1 + 1
    for order in ((1, 2, 3), (3, 1, 2)):
        model = machine([*forked, *(Exit(pid) for pid in order[:2])], strategy, kernel)
        assert walked(model, order[2], B if order[2] == 2 else A)[0] == {3: 2, 2: 1}[order[2]]
        model = machine([*forked, *map(Exit, order)], strategy, kernel)
        assert not any(model.ledger.alive().values())


@pytest.mark.parametrize("kernel", NONLINEAR_KERNELS)
@pytest.mark.parametrize("strategy", CHAINED)
def test_a_chain_is_visited_as_it_is(strategy, kernel):
    model = machine(TWICE, strategy, kernel)
    assert walked(model, 1, A) == walked(model, 1, A + P) == (2, 2, 2, 2)
    assert model.ledger.alive()["pte_chain"] == 2
    model = machine(AND_LINEAR, strategy, kernel)
    assert walked(model, 1, A) == (3, 3, 3, 3)


@pytest.mark.parametrize("kernel", ["2.5.66", "2.6.4"])
def test_objrmap_converts_a_page_when_it_is_first_mapped_out_of_place(kernel):
    """
        A [0 1 2 3]   B [0 1 2 3]     no chains
        A [2 3 2 3]                   pages 2 and 3: three mappings each, one element each; 0 and 1 as before
        A [0 1 2 3]                   back: 2 and 3 keep their chains until nothing maps them
    """
    linear = [Spawn(1), *area(), Spawn(2), *area(pid=2, at=B)]
    away = [*linear, RemapFilePages(1, A, 2 * P, 2)]
    back = [*away, RemapFilePages(1, A, 2 * P, 0)]
    assert machine(linear, "objrmap", kernel).ledger.alive()["pte_chain"] == 0
    model = machine(away, "objrmap", kernel)
    assert model.ledger.alive()["pte_chain"] == 2
    assert walked(model, 2, B + 2 * P) == (3, 3, 3, 3)
    # page 0: one mapping of two vmas on i_mmap_shared, where a nonlinear one stays; the first mapped stands first
    assert walked(model, 2, B) == (1, 2, 2, 2)
    model = machine(back, "objrmap", kernel)
    assert model.ledger.alive()["pte_chain"] == 2
    assert walked(model, 2, B + 2 * P) == (2, 2, 2, 2)
    fresh = [*back, Exit(1), Exit(2), Spawn(3), *area(pid=3), *area(pid=3, at=B)]
    assert machine(fresh, "objrmap", kernel).ledger.alive()["pte_chain"] == 0


@pytest.mark.parametrize("kernel", NONLINEAR_KERNELS)
def test_anonmm_chains_the_addresses_that_an_index_does_not_lead_to(kernel):
    model = machine(TWICE, "anonmm", kernel)
    assert walked(model, 1, A) == walked(model, 1, A + P) == (2, 1, 1, 2)
    assert model.ledger.alive()["rmap_chain"] == 2  # of pages 2 and 3: A, and A + P
    # 1's vma: A + 2P and the chained A; 2's: B + 2P, and the walk is done
    model = machine(AND_LINEAR, "anonmm", kernel)
    assert walked(model, 1, A) == (3, 2, 2, 3)
    assert walked(model, 2, B) == (1, 2, 2, 2)  # a page without a chain: 1 has page 2 where page 0 would be
    # fork: the copy stands before its original; the same two addresses in each, and no chain grows
    model = machine([*TWICE, Fork(1, 3)], "anonmm", kernel)
    assert walked(model, 1, A) == (4, 2, 2, 4) and model.ledger.alive()["rmap_chain"] == 2


def test_anonmm_keeps_an_address_of_a_file_page_until_nothing_maps_it():
    """1 shows page 0 at A again: A stays chained to page 2, and is tried in vain."""
    back = [*AND_LINEAR, RemapFilePages(1, A, 2 * P, 0)]
    model = machine(back, "anonmm", "2.6.4")
    assert walked(model, 2, B + 2 * P) == (2, 2, 2, 3) and model.ledger.alive()["rmap_chain"] == 2
    assert machine([*back, Exit(1), Exit(2)], "anonmm", "2.6.4").ledger.alive()["rmap_chain"] == 0


def test_anonmm_takes_a_scattered_address_along_when_it_moves():
    """page_move_rmap: only an address that was not in its place needs a chain at the new one."""
    moved = [*TWICE, Mremap(1, A, 4 * P, B, 4 * P, ["maymove", "fixed"])]
    model = machine(moved, "anonmm", "2.6.4")
    assert walked(model, 1, B) == (2, 1, 1, 3)  # B + 2P, then A in vain, then B
    assert model.ledger.alive()["rmap_chain"] == 2


def test_anonmm_counts_a_pte_once_that_two_vmas_of_an_mm_lead_to():
    """
        A [3 1 2]  B [2 3]     page 3 at A (chained) and at B + P, where B's vma has it in its place
    """
    both = [Spawn(1), *area(3), RemapFilePages(1, A, P, 3), Mmap(1, B, 2 * P, "rw-", ["shared"], "f", 2 * P), Read(1, B, 2 * P)]
    model = machine(both, "anonmm", "2.6.4")
    assert walked(model, 1, A) == (2, 2, 2, 2)  # through A's vma the chained A; through B's B + P


@pytest.mark.parametrize("kernel", NONLINEAR_KERNELS)
@pytest.mark.parametrize("strategy", SWEEPING)
def test_a_nonlinear_vma_is_swept_after_the_linear_ones(strategy, kernel):
    model = machine(TWICE, strategy, kernel)
    # one cluster, whose four present ptes are all looked at
    assert walked(model, 1, A) == walked(model, 1, A + P) == (2, 1, 1, 4)
    model, log = machine(AND_LINEAR, strategy, kernel), []
    assert walked(model, 1, A, log) == (3, 2, 2, 1 + 4)
    visits = [(visit["visits"], visit["pids"], visit["outcome"]) for visit in log if "pids" in visit]
    assert visits == [("vm_area_struct", [2], "maps it"), ("nonlinear vm_area_struct", [1], "maps it")]


@pytest.mark.parametrize("kernel", NONLINEAR_KERNELS)
@pytest.mark.parametrize("strategy", SWEEPING)
def test_a_page_whose_mappings_are_all_linear_is_not_swept_for(strategy, kernel):
    """Nothing is left to find when the tree or the list is done (try_to_unmap_file: no longer mapped)."""
    assert walked(machine(AND_LINEAR, strategy, kernel), 2, B) == (1, 1, 1, 1)


def big(pid=1, at=A):
    """64 pages, two clusters, all showing the 64 pages behind them."""
    return [Mmap(pid, at, 64 * P, "rw-", ["shared"], "f", 0), RemapFilePages(pid, at, 64 * P, 64)]


@pytest.mark.parametrize("kernel", NONLINEAR_KERNELS)
@pytest.mark.parametrize("strategy", SWEEPING)
def test_clusters_are_swept_in_rounds(strategy, kernel):
    """
        1: A [ cluster 0 | cluster 1 ]     2: the same, mapped later     order: 0 of 1, 0 of 2, 1 of 1, 1 of 2
    """
    both = [Spawn(1), *big(), Spawn(2), *big(pid=2)]
    model = machine(both, strategy, kernel)
    assert walked(model, 1, A) == walked(model, 1, A + 31 * P) == (2, 2, 4, 64)
    assert walked(model, 1, A + 32 * P) == walked(model, 2, A + 63 * P) == (2, 4, 4, 128)
    # process 2 gave up a page of either cluster: it maps them no more, and its clusters hold 31 present ptes
    gone = [Madvise(2, A + page * P, P, "dontneed") for page in (3, 40)]
    less = machine([*both, *gone], strategy, kernel)
    assert walked(less, 1, A + 40 * P) == (1, 3, 4, 32 + 31 + 32)
    assert walked(less, 1, A + 3 * P) == (1, 1, 4, 32)
    assert walked(less, 1, A) == (2, 2, 4, 32 + 31)


@pytest.mark.parametrize("index, order", [("list", [2, 3, 1]), ("prio_tree", [1, 3, 2]), ("interval_tree", [1, 2, 3])])
def test_where_the_list_takes_the_copies_of_a_fork(index, order):
    """Before the original (to March 2004, kernel-facts 3), right behind it, at the tail (dup_mmap; from 3.7)."""
    for strategy in SWEEPING:
        events = [Spawn(1), *big(), Fork(1, 2), Fork(1, 3)]
        model, log = run(events, strategy, kernel="2.6.20", index=index).machine, []
        walked(model, 1, A + 32 * P, log)
        swept = [visit["pids"][0] for visit in log if visit["visits"] == "nonlinear vm_area_struct"]
        assert swept == order * 2, strategy


@pytest.mark.parametrize("strategy", SWEEPING)
def test_a_vma_is_nonlinear_for_good(strategy):
    """mm/fremap.c:sys_remap_file_pages@2.6.11 never takes VM_NONLINEAR back: it is swept though all is in its place."""
    back = machine([*TWICE, RemapFilePages(1, A, 2 * P, 0)], strategy, "2.6.20")
    assert walked(back, 1, A) == (1, 1, 1, 4)
    in_place = machine([Spawn(1), *area(), RemapFilePages(1, A, 2 * P, 0)], strategy, "2.6.20")
    assert walked(in_place, 1, A) == (1, 1, 1, 1)


@pytest.mark.parametrize("kernel", NONLINEAR_KERNELS)
def test_a_scan_of_page_tables_needs_no_index(kernel):
    model = machine(AND_LINEAR, "page_table_scan", kernel)
    assert walked(model, 1, A) == (3, 4 + 3, 8, 4 + 3)
    assert walked(model, 2, B) == (1, 4 + 1, 8, 4 + 1)


@pytest.mark.parametrize("strategy", DESIGNS)
def test_from_4_0_there_are_vmas_instead(strategy):
    """
        A [2 3][2 3]     two linear vmas, each found for each page
    """
    model = machine(TWICE, strategy, "4.0")
    assert [(vma.start, vma.pages, vma.pgoff) for vma in model.mm_of(1).vmas] == [(A // P, 2, 2), (A // P + 2, 2, 2)]
    expected = (2, 3, 4, 3) if strategy == "page_table_scan" else (2, 2, 2, 2)
    assert walked(model, 1, A) == expected
    alone = machine([Spawn(1), *area(), RemapFilePages(1, A, P, 3)], strategy, "4.0")
    assert len(alone.mm_of(1).vmas) == 2 and walked(alone, 1, A)[0] == 2
    assert alone.ledger.alive().get("pte_chain", 0) == (1 if strategy == "pte_chain" else 0)
