"""What was published, by the model: the checks of the thread's record (section 6) and kernel-facts' worked examples.

Numbers that somebody published are read from data/published/figures.csv by their id; `thread.md` and `kernel-facts` are
the project's notes on the debate and on the kernel sources, cited by section.
"""

import numpy as np
import pytest

from rmapmodel.cost.sizes import FIELD
from rmapmodel.events import Exit, Fork, Mmap, Mprotect, Mremap, Reclaim, Spawn, Write
from rmapmodel.index import make_index
from rmapmodel.strategies import STRATEGIES
from rmapmodel.strategies.shared_space_unique import INDEX_BITS
from rmapmodel.study.published import figures
from rmapmodel.study.replay import Options, replay
from rmapmodel.trace.workloads import PAGE_ORIGINS, generate
from tests.traces import in_memory, run

P = 4096
A, B = 0x100000, 0x200000
GIB = 1 << 30
ANON = ["private", "anonymous"]
DESIGNS = [name for name, design in STRATEGIES.items() if design.__module__.startswith("rmapmodel.")]
"""The package's own designs, without what may have been registered from outside."""
SIZES = (1, 2, 4, 8, 16, 32)
"""Children of the families in which growth is looked at."""

FIGURES = {id: figure.value for id, figure in figures().items()}


def workload(name, strategy, index=None, kernel=None, **parameters):
    """The result of a workload under one design, with the kernel that its claim was made for unless told."""
    header, events = generate(name, **parameters)
    return replay(in_memory(list(events), header), strategy, Options(index=index, kernel=kernel)).result()


def objects(events, strategy, **options):
    """Counts of vm_area_struct and of the design's own structures, checked after each event."""
    return tuple(run(events, strategy, after=lambda machine, count: machine.check(), **options)
                 .machine.ledger.alive().values())


def area(pages=4, at=A):
    return [Spawn(1), Mmap(1, at, pages * P, "rw-", ANON), Write(1, at, pages * P)]


def star(children):
    return [Fork(1, pid) for pid in range(2, children + 2)]


# -- thread.md section 6, check 1: room for offsets


def test_2_to_the_32_pages_are_four_times_2_to_the_42_bytes():
    """thread.md 2.5: F450 ("16TB on ia32", Dickins, 18 May 2004) against the seed's 2^42 bytes; the model has the former."""
    room = (1 << INDEX_BITS["i386"]) * P
    assert room == 1 << 44 == FIGURES["F450"] * (1 << 40)
    assert room // (1 << 42) == 4
    assert (room // (4 * GIB), (1 << 42) // (4 * GIB)) == (4096, 1024)


def test_the_model_has_4096_slots_of_4_gib_and_the_next_process_gets_none():
    """The parent and 4095 children have a slice each; child 4096 can map nothing new (Friesen, 12 March 2004)."""
    events = [Spawn(1), *star(4096), Mmap(4096, A, P, "rw-", ANON), Mmap(4097, A, P, "rw-", ANON)]
    done = run(events, "shared_space_unique", arch="i386").result()
    assert [(each["line"], each["op"]) for each in done["refused"]] == [(len(events), "mmap")]
    assert done["processes"]["4096"]["vmas"] and not done["processes"]["4097"]["vmas"]


# -- check 2: Ingo Molnar's three programs (thread.md 2.6)

FILE_DESIGNS = [name for name in DESIGNS if name not in ("page_table_scan", "pte_chain")]


def test_test_mmap_at_full_size():
    """F208: 20000 pages, 18000 one-page vmas (F207 "about" 19000), 18000 examined for each one that maps the page."""
    done = workload("test_mmap", "objrmap", cache_pages=int(FIGURES["F208"]))
    vmas = done["objects"]["vm_area_struct"]
    assert vmas == 18000 and round(vmas, -3) != FIGURES["F207"]
    counted = done["reclaim"]
    assert (counted["pages"], counted["mappings"]) == (18000, 18000)
    assert counted["vmas_candidates"] // counted["mappings"] == 18000
    assert counted["vmas_candidates"] == pytest.approx(3.24e8, rel=.01)


def test_test_mmap2_at_full_size():
    """F209, F210: 1800 vmas in each of 32 processes, 57600 on the list, 1800 for each of the 32 that map the page."""
    done = workload("test_mmap2", "objrmap")
    vmas, processes = int(FIGURES["F209"]), int(FIGURES["F210"])
    assert len(done["processes"]) == processes and done["objects"]["vm_area_struct"] == vmas * processes == 57600
    counted = done["reclaim"]
    assert counted["mappings"] / counted["pages"] == processes
    assert counted["vmas_candidates"] // counted["pages"] == 57600
    assert counted["vmas_candidates"] // counted["mappings"] == vmas
    assert counted["vmas_candidates"] == pytest.approx(1.04e8, rel=.01)


def test_what_test_mmap3_takes_grows_as_its_full_size_says():
    """F211: 18000 vmas in each of 32 processes; 576000 vmas, 18000 a useful one, 1.04e10 in all."""
    def formula(cache_pages, forks):
        window, processes = cache_pages * 9 // 10, 2 ** forks
        return window * processes, window, window * window * processes

    for cache_pages, forks in ((20, 0), (100, 2), (300, 3), (200, 5)):
        done = workload("test_mmap3", "objrmap", cache_pages=cache_pages, forks=forks)
        counted = done["reclaim"]
        candidates = counted["vmas_candidates"]
        assert (done["objects"]["vm_area_struct"], candidates / counted["mappings"], candidates) \
            == formula(cache_pages, forks)
    full = formula(int(FIGURES["F211"]), 5)
    assert full[:2] == (576000, 18000) and full[2] == pytest.approx(1.04e10, rel=.01)


@pytest.mark.parametrize("strategy", FILE_DESIGNS)
def test_every_design_that_goes_through_the_file_pays_alike_and_a_tree_cures_it(strategy):
    """The programs exercise i_mmap_shared, not the anonymous scheme (thread.md 2.6)."""
    sizes = dict(cache_pages=100, forks=3)
    listed = workload("test_mmap2", strategy, index="list", **sizes)["reclaim"]
    assert listed["vmas_candidates"] // listed["mappings"] == 90
    for tree in ("prio_tree", "interval_tree"):
        counted = workload("test_mmap2", strategy, index=tree, **sizes)["reclaim"]
        assert counted["vmas_candidates"] == counted["vmas_examined"] == counted["mappings"] == 90 * 8


def test_pte_chain_visits_what_maps_the_page():
    counted = workload("test_mmap2", "pte_chain", cache_pages=100, forks=3)["reclaim"]
    assert counted["vmas_candidates"] == counted["vmas_examined"] == counted["mappings"] == 90 * 8


@pytest.mark.parametrize("vmas, processes", [(4, 4), (25, 8), (50, 16)])
def test_a_file_mapped_in_pieces_by_many_costs_vmas_times_processes(vmas, processes):
    """F083 (Morton, 20 February 2003): 1000 processes with 1000 vmas each, a million visited to unmap one page."""
    events = [Spawn(1)]
    for n in range(vmas):  # a page of the file is left out after each, so that none merge
        events.append(Mmap(1, A + n * P, P, "rw-", ["shared"], "f", 2 * n * P))
    events += [Write(1, A, P), *star(processes - 1), Reclaim(1, A, P)]
    counted = run(events, "objrmap", kernel="2.5.62").result()["reclaim"]
    assert counted["vmas_candidates"] == vmas * processes
    assert counted["vmas_candidates"] / (vmas * processes) * 1000 * 1000 == FIGURES["F083"]  # his million, by the same rule


# -- check 3: Andrew Morton's rmap-test


def ratio(name, strategy, **parameters):
    """(vmas on the list, vmas that map a page, their ratio) for the pages of the mapped file."""
    header, events = generate(name, passes=0, **parameters)
    *before, last = events
    assert type(last) is Reclaim
    area = next(event for event in before if type(event) is Mmap and event.file)
    counted = replay(in_memory([*before, Reclaim(1, area.addr, area.len)], header), strategy).result()["reclaim"]
    listed, useful = counted["vmas_candidates"] / counted["pages"], counted["mappings"] / counted["pages"]
    return listed, useful, listed / useful


def test_rmap_test_1_has_a_hundred_vmas_for_each_useful_one():
    """thread.md 6.3 counts the 100 children: 10000 and 100. The parent maps the file as well: 10100 and 101."""
    assert ratio("rmap_test_1", "objrmap") == (10100, 101, 100)
    assert ratio("rmap_test_1", "objrmap", vmas=30, pages=5, children=8)[2] == 30
    assert ratio("rmap_test_1", "pte_chain", vmas=30, pages=5, children=8)[2] == 1


def test_rmap_test_3_has_ten_thousand():
    """thread.md 6.3: 10000 and 1 without the parent's own; with them 20000 and 2."""
    assert ratio("rmap_test_3", "objrmap") == (20000, 2, 10000)


def test_the_list_took_longer_but_not_by_as_much_as_it_visits():
    """System time of the list over that of pte_chains, as thread.md 6.3 computes it, and vmas visited a useful one."""
    runs = (("F166", "F162"), ("F190", "F186"), ("F398", "F390"), ("F422", "F414"))
    measured = [FIGURES[listed] / FIGURES[chained] for listed, chained in runs]
    assert [round(each, 1) for each in measured] == [13.2, 39.1, 71.6, 51.1]
    visits = [ratio("rmap_test_1", "objrmap", pages=2)[2], ratio("rmap_test_3", "objrmap", pages=1)[2]] * 2
    assert all(1 < times < most for times, most in zip(measured, visits))


# -- check 4: Rik van Riel's example of 2010


@pytest.mark.parametrize("children, pages", [(10, 10), (100, 10), (1000, 10)])
def test_before_2_6_34_every_page_is_looked_for_in_every_process(children, pages):
    """F451, F452: 1000 children and 1000 pages; the candidates of a page do not depend on the number of pages."""
    counted = workload("thousand_children", "anon_vma", children=children, pages=pages)
    assert counted["objects"] == {"vm_area_struct": children + 1, "anon_vma": 1}
    counted = counted["reclaim"]
    assert counted["pages"] == counted["mappings"] == (children + 1) * pages
    assert counted["vmas_candidates"] == (children + 1) * counted["pages"]
    if children == FIGURES["F451"]:
        assert counted["vmas_candidates"] / counted["pages"] == 1001


def test_from_2_6_34_a_page_has_two_candidates_on_average():
    """F454 at full size: a child's pages 1, the parent's 1001, which are 1/1001 of all. F453: a million pages."""
    children, pages = int(FIGURES["F451"]), int(FIGURES["F452"])
    assert children * pages == FIGURES["F453"]
    counted = workload("thousand_children", "anon_vma_chain", kernel="2.6.34")["reclaim"]
    assert counted["pages"] == (children + 1) * pages
    assert counted["vmas_candidates"] == children * pages * 1 + pages * (children + 1)
    assert round(counted["vmas_candidates"] / counted["pages"], 2) == FIGURES["F454"]


# -- check 5: Andrea Arcangeli's pte_chains


@pytest.mark.parametrize("figure, gib", [("F204", .53), ("F205", 3.69)])
def test_pte_chains_of_a_segment_that_many_tasks_map(figure, gib):
    """objrmap-core-1, 8 March 2004: 2.7 GB / 4096 x 8 bytes x tasks; 8 bytes are a link {next, ptep} of i386.

    An element of the arrays that 2.6 had holds 7 ptes in the 32 bytes of a cache line: 4.6 bytes a pte, not 8.
    """
    tasks, pages = int(FIGURES[figure]), 2.7 * GIB / P
    assert round(pages * 2 * FIELD["i386"]["pointer"] * tasks / GIB, 2) == gib
    sample = 4
    events = [Spawn(1), Mmap(1, A, sample * P, "rw-", ["shared"], "shm", 0), Write(1, A, sample * P), *star(tasks - 1)]
    done = run(events, "pte_chain", kernel="2.6.4", arch="i386").result()
    each = done["bytes"]["pte_chain"] / sample
    assert each == -(-tasks // 7) * FIGURES["F006"]
    assert round(pages * each / GIB, 2) == {100: .32, 700: 2.11}[tasks]


# -- kernel-facts 2: pte_chain


@pytest.mark.parametrize("arch", ["i386", "x86_64"])
def test_a_page_mapped_n_times_has_ceil_n_over_nrpte_elements(arch):
    """7 slots in 32 bytes of i386 and in 64 of x86_64; the first mapping needs none (direct)."""
    for mappings in (1, 2, 6, 7, 8, 13, 14, 15, 28, 29):
        expected = 0 if mappings == 1 else -(-mappings // 7)
        assert objects(area(1) + star(mappings - 1), "pte_chain", arch=arch) == (mappings, expected)


@pytest.mark.parametrize("pages, sharers", [(1, 2), (4, 7), (4, 8), (16, 30)])
def test_exit_of_all_sharers_searches_every_chain_once_a_mapping(pages, sharers):
    """O(pages * sharers): a removal for each pte, the oldest at the far end of its chain of ceil(n/NRPTE) elements."""
    def chain_locks(events):
        return run(events, "pte_chain").machine.ledger.locks["PG_chainlock", "exclusive"]

    alive = area(pages) + star(sharers - 1)
    before, after = chain_locks(alive), chain_locks(alive + [Exit(pid) for pid in range(1, sharers + 1)])
    assert before.acquired == after.acquired - before.acquired == pages * sharers
    assert (before.longest_hold, after.longest_hold) == (1, -(-sharers // 7))


# -- kernel-facts 5: the worst cases of one anon_vma for all relatives


@pytest.mark.parametrize("splits, processes", [(1, 8), (8, 1), (4, 4), (16, 8)])
def test_splits_times_processes_are_visited_for_a_page_of_one_anon_vma(splits, processes):
    done = workload("split_flood", "anon_vma", kernel="2.6.33", pieces=splits, children=processes - 1)
    assert done["objects"] == {"vm_area_struct": splits * processes, "anon_vma": 1}
    assert done["reclaim"]["vmas_candidates"] == splits * done["reclaim"]["pages"] * processes
    tree = workload("split_flood", "anon_vma_chain", kernel="3.7", pieces=splits, children=processes - 1)
    assert tree["reclaim"]["vmas_candidates"] == tree["reclaim"]["pages"] * processes  # bf181b9f9d8d


# -- kernel-facts 7: the radix priority search tree


@pytest.mark.parametrize("shape", ["one start", "one end", "anywhere"])
def test_a_prio_tree_is_at_most_64_levels_high_on_32_bits(shape):
    """F441: index bits and the bits of a word; equal starts are told apart by size in "overflow levels"."""
    rng = np.random.default_rng(7)
    tree = make_index("prio_tree", "i386")
    for n in range(1500):
        start, size = rng.integers(1 << 31, size=2).tolist()
        start, last = {"one start": (12345, 12345 + n), "one end": (start, (1 << 32) - 1),
                       "anywhere": (start, start + size)}[shape]
        tree.insert(n, start, last)
    assert len(tree) == 1500 and 10 < tree.height <= FIGURES["F441"]


def test_equal_intervals_cost_a_prio_tree_no_height():
    tree = make_index("prio_tree", "i386")
    node = tree.insert(0, 4, 7)
    for n in range(1, 100):
        tree.insert_after(n, 4, 7, node)
    assert tree.height == 1
    # reported: the node, the head of its set, then the rest in the order they came
    assert [entry for _, entry, _, _ in tree.search(np.array([5]))] == list(range(100))


# -- kernel-facts 8, 10, 13: anon_vma_chain


def generations(count, exits, kernel):
    """(anon_vmas, AVCs) when each generation has written, with or without those before it gone."""
    events, counts = area(), []
    for pid in range(1, count + 1):
        counts.append(objects(events, "anon_vma_chain", kernel=kernel)[1:])
        events = events + [Fork(pid, pid + 1), Write(pid + 1, A, 4 * P)] + [Exit(pid)] * exits
    return counts


@pytest.mark.parametrize("kernel", ["3.19", "5.4.211", "6.18.44", "7.0"])
def test_three_anon_vmas_for_ever_when_each_parent_exits(kernel):
    """Re-use by degree and by two counters alike (section 8, worked example; seen on 6.18.44, section 13.3)."""
    assert generations(20, True, kernel) == [(1, 1), (2, 2)] + [(3, 3)] * 18


def test_before_re_use_generation_k_has_k():
    for kernel in ("2.6.34", "3.18"):
        assert generations(12, True, kernel) == [(k, k) for k in range(1, 13)]


@pytest.mark.parametrize("kernel", ["2.6.34", "3.18", "3.19", "6.18.44", "7.0"])
def test_a_chain_that_lives_has_a_triangle_of_avcs(kernel):
    """d(d+1)/2; 6/6/21 on 6.18.44 (section 13.3). All anon_vmas are in use, so none is re-used."""
    counts = generations(12, False, kernel)
    assert counts == [(d, d * (d + 1) // 2) for d in range(1, 13)]
    assert counts[5] == (6, 21)


@pytest.mark.parametrize("children", SIZES)
def test_a_star_has_2n_plus_1_avcs_a_vma(children):
    for kernel in ("2.6.34", "3.19", "7.0"):
        one = objects(area() + star(children), "anon_vma_chain", kernel=kernel)
        assert one == (children + 1, children + 1, 2 * children + 1)
        two = area() + [Mmap(1, B, P, "rw-", ANON), Write(1, B, P)] + star(children)
        assert objects(two, "anon_vma_chain", kernel=kernel) == tuple(2 * each for each in one)


COSTS = {  # new structures of the design at: spawn, first write, fork of a written area of 4 pages, split, move
    "page_table_scan": [(), (), (), (), ()],
    "pte_chain": [(0,), (0,), (4,), (0,), (0,)],
    "objrmap": [(0,), (0,), (4,), (0,), (0,)],
    "anonmm": [(1, 0), (0, 0), (1, 0), (0, 0), (0, 0)],
    "anonmm_copy": [(1,), (0,), (1,), (0,), (0,)],
    "anonmm_remap": [(1, 0), (0, 0), (1, 0), (0, 0), (0, 1)],
    "anon_vma": [(0,), (1,), (0,), (0,), (0,)],
    "shared_space": [(1,), (0,), (0,), (0,), (0,)],
    "shared_space_unique": [(1,), (0,), (0,), (0,), (0,)],
    "anon_vma_chain": [(0, 0), (1, 1), (1, 2), (0, 1), (0, 1)],
    "cow_context": [(1, 0), (0, 0), (1, 0), (0, 0), (0, 1)],
}
"""kernel-facts 10 (columns b, d, e, f1, h), 3 (objrmap), 4 (the variants of anonmm), modern-rmap 2.2 (cow_context)."""


@pytest.mark.parametrize("strategy", DESIGNS)
def test_what_each_event_allocates(strategy):
    """The table of kernel-facts 10; no vma is made for a stack, so spawn costs anon_vma designs nothing here."""
    start, mapped = [Spawn(1)], [Spawn(1), Mmap(1, A, 4 * P, "rw-", ANON)]
    written = mapped + [Write(1, A, 4 * P)]
    cases = [([], start), (mapped, written), (written, written + [Fork(1, 2)]),
             (written, written + [Mprotect(1, A, P, "r--")]),
             (written, written + [Mremap(1, A, P, B, P, ["maymove", "fixed"])])]
    found = [tuple(b - a for a, b in zip(objects(before, strategy, kernel="2.6.34") if before else [0] * 9,
                                         objects(after, strategy, kernel="2.6.34")))
             for before, after in cases]
    assert [each[1:] for each in found] == COSTS[strategy]
    assert [each[0] for each in found] == [0, 0, 1, 1, 1]


def test_what_a_move_costs_where_relatives_share_the_pages():
    """kernel-facts 10: a copy of each page (Torvalds) or a slot of a chain (Dickins, 2003); nothing in the others."""
    events = area() + [Fork(1, 2), Mremap(2, A, 4 * P, B, 4 * P, ["maymove", "fixed"])]
    for strategy in DESIGNS:
        machine = run(events, strategy).machine
        assert len(machine.resident()) == (8 if strategy == "anonmm_copy" else 4), strategy
        assert machine.ledger.alive().get("rmap_chain", 0) == (4 if strategy == "anonmm" else 0), strategy


# -- thread.md 2.9: candidates by the origin of a page, as the family grows

GROWTH = {  # (candidates, examined until all are found) of one walk for a page of each origin, with n children
    # the present ptes: 3 of the parent, 5 of each child
    "page_table_scan": lambda n: [(5 * n + 3, passed) for passed in (5 * n + 1, 4, 2, 5, 8, 7)],
    "pte_chain": lambda n: [(n + 1, n + 1), (2, 2), (1, 1), (1, 1), (1, 1), (1, 1)],
    # every mm of the family, the page's own first and then the younger (kernel-facts 4)
    "anonmm": lambda n: [(n + 1, n + 1), (n + 1, 2), (n + 1, 1), (n + 1, 1), (n + 1, 1), (n + 1, 1)],
    # the list of the inherited vma, the newest first: the parent's is last, child 2's before it (kernel-facts 5)
    "anon_vma": lambda n: [(n + 1, n + 1), (n + 1, n + 1), (n + 1, n + 1), (n + 1, n), (1, 1), (n + 1, n)],
    # vmas of all processes that hold the offset; where all children map the same address, so do their offsets.
    # The children's heaps are the longer, so above the parent's in the heap order of the prio_tree (kernel-facts 6, 7)
    "shared_space": lambda n: [(n + 1, n + 1), (n + 1, n + 1), (n + 1, n + 1), (n + 1, 1), (n, 1), (n, 1)],
    # inherited offsets as there, the parent first (its heap and all inherited ones are equal); new ones a process's own
    "shared_space_unique": lambda n: [(n + 1, n + 1), (n + 1, 2), (n + 1, 1), (n + 1, 2), (1, 1), (1, 1)],
    # the parent's anon_vma links all, a child's own only the child; the parent's vma is the oldest (kernel-facts 8)
    "anon_vma_chain": lambda n: [(n + 1, n + 1), (n + 1, 2), (n + 1, 1), (1, 1), (1, 1), (1, 1)],
    # the page's context and its descendants (modern-rmap 2.3), in which order does not say; a child's has none
    "cow_context": lambda n: [(n + 1, n + 1), (n + 1, None), (n + 1, None), (1, 1), (1, 1), (1, 1)],
}
GROWTH["objrmap"] = GROWTH["pte_chain"]  # anonymous pages as there
GROWTH["anonmm_copy"] = GROWTH["anonmm_remap"] = GROWTH["anonmm"]  # nothing was moved

KERNELS = {  # where the design lived, and what else merges differently: brk before and since 6.1
    "page_table_scan": ["2.4.22"], "pte_chain": ["2.6.4"], "objrmap": ["2.5.62"], "anonmm": ["2.5.65", "2.6.4"],
    "anonmm_copy": ["2.6.6"], "anonmm_remap": ["2.6.4"], "anon_vma": ["2.6.7", "2.6.33", "7.0"],
    "shared_space": ["2.6.4", "7.0"], "shared_space_unique": ["2.6.4", "7.0"],
    "anon_vma_chain": ["2.6.34", "3.0", "6.1", "7.0"], "cow_context": ["7.0"]}

GROWN_HEAP_VMAS = {  # vmas of a child's heap after it grew (kernel-facts 6 f2, 9 "brk": 3.0+ a chain of more than one)
    ("shared_space_unique", "2.6.4"): 2, ("shared_space_unique", "7.0"): 2,
    ("anon_vma_chain", "3.0"): 2, ("anon_vma_chain", "6.1"): 2, ("anon_vma_chain", "7.0"): 2}


@pytest.mark.parametrize("strategy, kernel", [(name, kernel) for name in DESIGNS for kernel in KERNELS[name]])
def test_candidates_by_the_origin_of_a_page(strategy, kernel):
    """thread.md 2.9: anonmm O(N) in all four; anon_vma O(1) only in new areas; anon_vma_chain O(1) in all that a child
    made; pte_chain exact. Each exactly, at every N of SIZES; one walk of child 2's page a case."""
    for children in SIZES:
        machine = run(generate("page_origins", children=children)[1], strategy, kernel=kernel).machine
        machine.check()
        heap = machine.processes[1].vmas[0].start
        vmas = [vma for vma in machine.processes[2].vmas if vma.start < heap + PAGE_ORIGINS["new area of a child"][1]]
        assert len(vmas) == GROWN_HEAP_VMAS.get((strategy, kernel), 1)
        for (origin, (pid, page)), (candidates, examined) in zip(PAGE_ORIGINS.items(), GROWTH[strategy](children)):
            walk = machine.strategy.walk(np.array([machine.processes[pid].table.at(heap + page)], np.int32))
            assert walk.mapcount[0] == {"left to two": 2, "shared by all": children + 1}.get(origin, 1)
            assert walk.candidates[0] == candidates, (children, origin)
            assert walk.examined[0] == examined or examined is None, (children, origin)


def test_a_tree_does_not_help_where_ranges_coincide_in_all_processes():
    """thread.md 2.4, 2.6: Arcangeli on prio_tree over anonymous vmas of a family."""
    for index in ("list", "prio_tree", "interval_tree"):
        for children in SIZES:
            events = area(1) + star(children) + [Write(2, A, P), Reclaim(2, A, P)]
            assert run(events, "anon_vma", index=index).result()["reclaim"]["vmas_candidates"] == children + 1
