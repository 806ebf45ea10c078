"""The rules of the virtual memory one at a time: eras on both sides, leaf borders, refusals, the small structures."""

import numpy as np
import pytest

from rmapmodel.errors import InputError
from rmapmodel.events import (Brk, CloneVm, Exec, Exit, Fork, Madvise, Mlock, Mmap, Mprotect, Mremap, Munlock, Munmap,
                              Read, Reclaim, RemapFilePages, Spawn, Swapout, Vfork, Write)
from rmapmodel.vm.budget import Budget
from rmapmodel.vm.frames import FIRST, ZERO, Frames
from rmapmodel.vm.kernel import Kernel
from rmapmodel.vm.pagetable import LEAF, PageTable
from rmapmodel.vm.vma import (ACCOUNT, EXEC, GROWSDOWN, HUGEPAGE, LOCKED, NOHUGEPAGE, NORESERVE, RAND_READ, READ,
                              SEQ_READ, SHARED, SPECIAL, WRITE, Mm, Ranges, Vma, prot_bits, prot_text)
from tests.traces import run

P = 4096
A = (LEAF - 2) * P
"""Two pages below the border of a page table's leaf, so that areas of more than two pages lie in two leaves."""
ANON, SHMEM, FIXED = ["private", "anonymous"], ["shared", "anonymous"], ["maymove", "fixed"]
S = Spawn(1)


def machine(*events, strategy="anon_vma_chain", **options):
    return run(list(events), strategy, after=lambda model, count: model.check(), **options).machine


def pages(*events, pid=1, **options):
    """(first page, pages, mapcount) runs, pages counted from A."""
    model = machine(*events, **options)
    return [(page - A // P, n, count) for page, n, count in model.runs(model.processes[pid])]


def vmas(*events, pid=1, **options):
    """(first page, pages) of each vma, pages counted from A."""
    return [(vma.start - A // P, vma.pages) for vma in machine(*events, **options).processes[pid].vmas]


def flags(*events, **options):
    """The flags of the first vma."""
    return machine(*events, **options).processes[1].vmas[0].flags


def anon(first=0, n=8, prot="rw-", pid=1, also=()):
    return Mmap(pid, A + first * P, n * P, prot, ANON + list(also))


def file(first=0, n=8, prot="rw-", kind="shared", page=0, name="f"):
    return Mmap(1, A + first * P, n * P, prot, [kind], name, page * P)


def read(first, n, pid=1):
    return Read(pid, A + first * P, n * P)


def write(first, n, pid=1):
    return Write(pid, A + first * P, n * P)


def remap(first, n, to, m=None, also=("fixed",), pid=1):
    return Mremap(pid, A + first * P, n * P, A + to * P, (n if m is None else m) * P, ["maymove", *also])


def advise(first, n, advice):
    return Madvise(1, A + first * P, n * P, advice)


def impossible(field, *events, **options):
    """The last event, and no other, is refused as one that Linux would refuse."""
    model = machine(*events[:-1], **options)
    with pytest.raises(InputError) as caught:
        model.apply(events[-1])
    assert caught.value.field == field


# -- eras: the last version without a rule and the first with it


@pytest.mark.parametrize("rule, before, since", [
    ("files_merge", "2.4.37", "2.5"), ("areas_merge_on_any_change", "2.6.6", "2.6.7"),
    ("swap_keeps_exclusive", "5.18.19", "5.19"), ("map_stack_is_nohugepage", "6.7.4", "6.8"),
    ("map_stack_is_nohugepage", "6.7.4", "6.7.5"), ("map_stack_is_nohugepage", "6.6.16", "6.6.17"),
    ("map_stack_is_nohugepage", "6.5.17", "6.8.0"), ("mprotect_drops_account", "6.6.99", "6.7"),
    ("brk_only_expands", "6.0.19", "6.1"), ("brk_needs_something_to_shrink", "6.0.19", "6.1"),
    ("brk_keeps_the_stack_gap", "4.11.12", "4.12"), ("remove_needs_only_shared", "6.6.99", "6.7"),
    ("growth_merges_next", "5.19.17", "6.0"), ("moves_span_vmas", "6.16.12", "6.17"),
    ("remap_file_pages_is_emulated", "3.19.8", "4.0"), ("munmap_splits_outwards", "6.2.16", "6.3"),
])
def test_a_rule_begins_with_its_version(rule, before, since):
    assert [getattr(Kernel.parse(version), rule) for version in (before, since)] == [False, True]


def test_fork_copied_all_ptes_until_2_6_13():
    assert [Kernel.parse(version).fork_copies_all_ptes for version in ("2.6.13", "2.6.14")] == [True, False]


def test_merge_procedures_by_era():
    """kernel-facts 9 and 14.5."""
    versions = ("2.4.0", "2.6.6", "2.6.7", "6.0.19", "6.1", "6.11.11", "6.12", "7.0")
    assert [Kernel.parse(version).merge_procedure for version in versions] == [
        "2.4", "2.4", "2.6.7", "2.6.7", "6.1", "6.1", "6.12", "6.12"]


def test_a_design_is_kept_to_the_versions_that_had_it():
    between = lambda version: Kernel.parse(version).between((2, 6, 7), (2, 6, 33))
    assert [between(version).version for version in ("2.4.22", "2.6.7", "2.6.20", "2.6.33", "7.0")] == [
        (2, 6, 7), (2, 6, 7), (2, 6, 20), (2, 6, 33), (2, 6, 33)]
    assert between("7.0").text == "2.6.33" and between("2.6.20").text == "2.6.20"


@pytest.mark.parametrize("text, version", [("2.4", (2, 4, 0)), ("2.6.4-rc2", (2, 6, 4)), ("6.1.0-13-amd64", (6, 1, 0)),
                                           ("6.12+", (6, 12, 0)), ("6.6.87.2-microsoft", (6, 6, 87))])
def test_versions_as_uname_prints_them(text, version):
    kernel = Kernel.parse(text)
    assert kernel.version == version and kernel.text == text


# -- leaves of the page table


def test_pages_on_both_sides_of_a_leaf_border_move_swap_and_fork_alike():
    touched = (S, anon(), write(0, 8))
    assert pages(*touched) == [(0, 8, 1)]
    assert pages(*touched, Fork(1, 2)) == pages(*touched, Fork(1, 2), pid=2) == [(0, 8, 2)]
    assert pages(*touched, Fork(1, 2), write(1, 2, pid=2)) == [(0, 1, 2), (1, 2, 1), (3, 5, 2)]
    assert pages(*touched, Swapout()) == []
    assert pages(*touched, Fork(1, 2), Swapout(), read(0, 8)) == [(0, 8, 1)]
    assert pages(*touched, Fork(1, 2), Swapout(), read(1, 3), read(0, 8, pid=2)) == [(1, 3, 2)]
    for to in (513, 1023, 100):  # moves that keep, and that shift, where the border falls
        assert pages(*touched, remap(0, 8, to)) == [(to, 8, 1)]
        assert pages(*touched, remap(1, 4, to)) == [(0, 1, 1), (5, 3, 1), (to, 4, 1)]
    assert pages(*touched, advise(1, 2, "dontneed")) == [(0, 1, 1), (3, 5, 1)]
    assert pages(*touched, Munmap(1, A + P, 2 * P)) == [(0, 1, 1), (3, 5, 1)]


def test_swapped_pages_come_back_where_they_were_after_a_move():
    out = (S, anon(), write(0, 3), write(5, 3), Swapout(), remap(0, 8, 513))
    assert pages(*out, read(513, 8)) == [(513, 3, 1), (518, 3, 1)]


def test_runs_pass_over_leaves_without_frames():
    assert pages(S, anon(), read(0, 8), write(4, 2)) == [(4, 2, 1)]
    assert machine(S, anon(), read(0, 8)).processes[1].table.at(A // P) == ZERO


def test_a_page_table_finds_what_was_put_there():
    table, budget = PageTable(Budget(1 << 20)), Budget(1 << 20)
    table.budget = budget
    at = [3, LEAF - 1, LEAF, 5 * LEAF + 7]
    for page in at:
        for _, entries in table.make(page, page + 1):
            entries[:] = page + 1
    assert sorted(table.leaves) == [0, 1, 5] and budget.used == 3 * (LEAF * 4 + 200)
    assert [table.at(page) for page in (*at, 4, 2 * LEAF)] == [4, LEAF, LEAF + 1, 5 * LEAF + 8, 0, 0]
    for asked in ([3], [3, 4], [LEAF - 1, LEAF], [4 * LEAF, 4 * LEAF + 1], at,
                  [3, LEAF, 2 * LEAF, 3 * LEAF, 5 * LEAF + 7]):
        assert table.gather(np.array(asked)).tolist() == [page + 1 if page in at else 0 for page in asked]
    assert table.gather(np.zeros(0, np.int64)).tolist() == []
    # few leaves for a long range, and many for a short one, go two ways
    for low, high, spans in ((0, 1 << 30, [(0, LEAF), (LEAF, LEAF), (5 * LEAF, LEAF)]), (2, 5, [(2, 3)]),
                             (LEAF - 1, LEAF + 1, [(LEAF - 1, 1), (LEAF, 1)]), (LEAF, 4 * LEAF, [(LEAF, LEAF)]),
                             (2 * LEAF, 1 << 30, [(5 * LEAF, LEAF)]), (0, LEAF, [(0, LEAF)])):
        assert [(page, len(entries)) for page, entries in table.spans(low, high)] == spans


def test_a_page_table_frees_empty_leaves_of_a_range_only():
    budget = Budget(1 << 20)
    table = PageTable(budget)
    leaf = LEAF * 4 + 200

    def filled():
        for number in range(4):
            for _, entries in table.make(number * LEAF, number * LEAF + 1):
                entries[:] = number == 2
        return sorted(table.leaves)

    assert filled() == [0, 1, 2, 3] and budget.used == 4 * leaf
    table.clear(LEAF, LEAF + 1)
    assert sorted(table.leaves) == [0, 2, 3] and budget.used == 3 * leaf
    table.clear(2 * LEAF + 1, 3 * LEAF)
    assert sorted(table.leaves) == [0, 2, 3]
    table.clear(3 * LEAF, 1 << 30)
    assert sorted(table.leaves) == [0, 2] and budget.used == 2 * leaf
    table.clear()
    assert not table.leaves and budget.used == 0


def test_the_budget_takes_up_to_its_limit_and_no_more():
    budget = Budget(10)
    budget.need(6)
    budget.need(4)
    with pytest.raises(InputError, match="10 bytes"):
        budget.need(1)
    budget.free(3)
    assert budget.used == 7


def test_frames_are_used_again_and_come_clean():
    frames = Frames(Budget(1 << 30))
    first = frames.take(5)
    assert first.tolist() == list(range(FIRST, FIRST + 5)) and frames.alive == 5
    frames.map(np.array([2, 2, 3]))
    frames.unmap(np.array([2]))
    assert frames.mapcount[first].tolist() == [1, 1, 0, 0, 0]
    frames.anchor[first], frames.index[first], frames.flags[first] = 7, 8, 1
    frames.give(first[:2])
    frames.give(first[3:])
    assert frames.alive == 1
    again = frames.take(3)
    assert len(set(again.tolist())) == 3 and set(again.tolist()) <= {2, 3, 5, 6} and frames.alive == 4
    assert not frames.mapcount[again].any() and not frames.anchor[again].any()
    assert not frames.index[again].any() and not frames.flags[again].any()
    more = frames.take(5000)
    assert len({*again.tolist(), *more.tolist(), 4}) == 5004 and frames.alive == 5004
    assert frames.take(0).tolist() == []


def test_memory_given_back_can_be_taken_again():
    """A thousand mappings one after another need no more than one."""
    events = [S]
    for _ in range(1000):
        events += [Mmap(1, A, 8 * P, "rw-", ANON), write(0, 8), Fork(1, 2), Swapout(), Exit(2), Munmap(1, A, 8 * P)]
    run(events, "anon_vma", max_memory=256 << 10)


def test_pieces_of_a_split_area_are_estimated_too():
    events = [S, anon(0, 4000)] + [Mprotect(1, A + page * P, P, "r--") for page in range(0, 4000, 2)]
    with pytest.raises(InputError, match="--max-memory"):
        run(events, "anon_vma", max_memory=256 << 10)


# -- small structures


def test_protections():
    assert [prot_bits(text) for text in ("---", "r--", "-w-", "--x", "rwx")] == [
        0, READ, WRITE, EXEC, READ | WRITE | EXEC]
    assert [prot_text(bits) for bits in (0, READ, WRITE, EXEC, READ | EXEC | LOCKED)] == [
        "---", "r--", "-w-", "--x", "r-x"]


def test_ranges_keep_the_last_line_and_give_back_pieces():
    ranges = Ranges()
    ranges.add(10, 20, 1)
    ranges.add(30, 40, 2)
    ranges.add(15, 35, 3)
    assert ranges.items == [(10, 15, 1), (15, 35, 3), (35, 40, 2)] and ranges
    ranges.remove(12, 13)
    assert ranges.items == [(10, 12, 1), (13, 15, 1), (15, 35, 3), (35, 40, 2)]
    assert ranges.within(11, 14) == [(11, 12, 1), (13, 14, 1)] and ranges.within(12, 13) == []
    ranges.remove(0, 100)
    assert not ranges


def test_an_mm_finds_its_vmas_by_page():
    mm = Mm(1, Budget(1 << 20))
    assert mm.anon is None and mm.parent is None and mm.brk is None and mm.rss == 0
    low, high = (Vma(mm, start, end, READ, None, start, start) for start, end in ((10, 20), (30, 40)))
    mm.insert(high)
    mm.insert(low)
    assert [mm.find(page) for page in (9, 10, 19, 20, 29, 30, 39, 40)] == [None, low, low, None, None, high, high, None]
    assert [mm.position(page) for page in (9, 10, 19, 20, 29, 30, 39, 40)] == [0, 0, 0, 1, 1, 1, 1, 2]
    assert mm.around(20, 30) == (low, high) and mm.around(5, 10) == (None, low) and mm.around(40, 50) == (high, None)
    assert [mm.overlapping(*each) for each in ((0, 10), (0, 11), (19, 31), (20, 30), (15, 15))] == [
        [], [low], [low, high], [], []]
    assert [mm.covers(*each) for each in ((10, 20), (9, 20), (15, 21), (15, 35), (12, 18))] == [
        True, False, False, False, True]
    assert (mm.before(low), mm.before(high), mm.after(low), mm.after(high)) == (None, low, high, None)
    mm.remove(low)
    assert mm.vmas == [high] and mm.starts == [30]


def test_a_piece_of_a_vma_carries_its_offsets():
    mm = Mm(1, Budget(1 << 20))
    piece = Vma(mm, 10, 20, READ | SHARED, None, 100, 200).like(mm, 14, 18)
    assert (piece.start, piece.end, piece.pgoff, piece.anon_pgoff, piece.flags) == (14, 18, 104, 204, READ | SHARED)
    assert piece.pages == 4 and not piece.may_hold_anon and piece.is_anonymous


# -- flags of areas (kernel-facts 14.1, 14.2, 14.18)


def test_mmap_sets_the_flags_asked_for():
    base = READ | WRITE
    assert flags(S, anon()) == base | ACCOUNT
    assert flags(S, anon(prot="r-x")) == READ | EXEC
    assert flags(S, anon(also=["noreserve"])) == base | NORESERVE
    assert flags(S, anon(also=["locked"])) == base | ACCOUNT | LOCKED
    assert flags(S, anon(also=["growsdown"])) == base | ACCOUNT | GROWSDOWN
    assert flags(S, anon(also=["special"])) == base | ACCOUNT | SPECIAL
    assert flags(S, anon(also=["stack"])) == base | ACCOUNT | NOHUGEPAGE
    assert flags(S, file()) == base | SHARED and flags(S, file(kind="private")) == base | ACCOUNT


def test_mprotect_accounts_what_becomes_writable_and_forgets_only_the_untouched():
    assert flags(S, anon(prot="r--"), Mprotect(1, A, 8 * P, "rw-")) == READ | WRITE | ACCOUNT
    assert flags(S, anon(prot="r--", also=["noreserve"]), Mprotect(1, A, 8 * P, "rw-")) == READ | WRITE | NORESERVE
    assert flags(S, file(prot="r--"), Mprotect(1, A, 8 * P, "rw-")) == READ | WRITE | SHARED
    read_only = Mprotect(1, A, 8 * P, "r--")
    assert flags(S, anon(), read_only) == READ and flags(S, anon(), read_only, kernel="6.6") == READ | ACCOUNT
    assert flags(S, anon(), write(0, 1), read_only) == READ | ACCOUNT
    assert flags(S, file(kind="private"), read_only) == READ | ACCOUNT
    assert flags(S, anon(), Mprotect(1, A, 8 * P, "rwx")) == READ | WRITE | EXEC | ACCOUNT
    assert flags(S, Brk(1, A), Brk(1, A + P)) == READ | WRITE | ACCOUNT


def test_locked_memory_made_writable_is_written():
    """mm/mprotect.c:mprotect_fixup: populate_vma_page_range where a private locked area becomes writable."""
    locked = (S, anon(prot="r--"), Mlock(1, A, 8 * P))
    assert pages(*locked) == [] and pages(*locked, Mprotect(1, A, 4 * P, "rw-")) == [(0, 4, 1)]
    assert pages(S, anon(prot="r--"), Mprotect(1, A, 4 * P, "rw-")) == []


def test_opposite_advice_clears_the_other():
    base = READ | WRITE | ACCOUNT
    both = lambda one, other: flags(S, anon(), advise(0, 8, one), advise(0, 8, other))
    assert both("random", "sequential") == base | SEQ_READ and both("sequential", "random") == base | RAND_READ
    assert both("hugepage", "nohugepage") == base | NOHUGEPAGE and both("nohugepage", "hugepage") == base | HUGEPAGE
    assert both("sequential", "normal") == both("random", "normal") == base
    assert flags(S, file(), advise(0, 8, "mergeable")) == READ | WRITE | SHARED
    special = (S, anon(also=["special"]))
    for advice in ("mergeable", "hugepage", "nohugepage"):
        assert flags(*special, advise(0, 8, advice)) == base | SPECIAL
    assert flags(*special, Mlock(1, A, 8 * P)) == base | SPECIAL


def test_a_fork_is_not_locked_and_the_rest_is_kept():
    model = machine(S, anon(), Mlock(1, A, 8 * P), Fork(1, 2))
    assert model.processes[2].vmas[0].flags == READ | WRITE | ACCOUNT
    assert model.processes[1].vmas[0].flags == READ | WRITE | ACCOUNT | LOCKED


# -- touching


def test_touches_below_an_ordinary_area_or_at_the_end_of_memory_fault():
    impossible("addr", S, anon(4, 4), read(3, 1))
    impossible("addr", S, anon(4, 4), write(3, 2))
    top = (1 << 47) - 2 * P
    assert len(machine(S, Mmap(1, top, P, "rw-", ANON), Write(1, top, P)).processes[1].vmas) == 1
    impossible("addr", S, Mmap(1, top, P, "rw-", ANON), Write(1, top, P + 1))
    impossible("len", S, Mmap(1, top, 2 * P, "rw-", ANON))


def test_populate_advice_needs_the_access():
    impossible("advice", S, anon(prot="r--"), advise(0, 1, "populate_write"))
    impossible("advice", S, anon(prot="-w-"), advise(0, 1, "populate_read"))
    assert pages(S, file(prot="r--"), advise(1, 2, "populate_read")) == [(1, 2, 1)]


@pytest.mark.parametrize("advice", ["populate_read", "populate_write"])
def test_populating_a_hole_is_refused(advice):
    """mm/madvise.c:madvise_populate: ENOMEM at the hole, as Linux 6.18.44 answered (verify --random, seed 868)."""
    impossible("addr", S, advise(0, 1, advice))
    impossible("addr", S, anon(0, 2), advise(0, 3, advice))


def test_mlock_writes_private_writable_areas_reads_others_and_stops_at_the_end_of_an_object():
    assert pages(S, Mmap(1, A, 8 * P, "rw-", SHMEM), Mlock(1, A, 8 * P)) == [(0, 8, 1)]
    grown = (S, Mmap(1, A, 2 * P, "rw-", SHMEM), remap(0, 2, 0, 6, also=()))
    assert pages(*grown, Mlock(1, A, 6 * P)) == [(0, 2, 1)]
    assert pages(S, anon(prot="r--"), Mlock(1, A, 8 * P)) == []
    assert pages(S, anon(also=["locked"])) == [(0, 8, 1)]
    assert pages(S, anon(0, 4, also=["locked"]), remap(0, 4, 0, 6, also=())) == [(0, 6, 1)]
    assert pages(S, anon(0, 4, also=["locked"]), remap(0, 4, 20, 6)) == [(20, 6, 1)]
    assert pages(S, anon(), Mlock(1, A + 10, P)) == [(0, 2, 1)]  # part of a page is the page
    assert pages(S, anon(), Mlock(1, A, 0)) == []


# -- what Linux refuses


def test_locked_memory_is_neither_removed_nor_freed():
    for advice in ("remove", "dontneed", "free", "cold", "pageout"):
        area = file() if advice == "remove" else anon()
        impossible("advice", S, area, Mlock(1, A, P), advise(0, 1, advice))


def test_advice_for_the_wrong_memory():
    impossible("advice", S, file(kind="private"), advise(0, 1, "free"))
    impossible("advice", S, file(kind="private"), advise(0, 1, "remove"))
    impossible("advice", S, file(kind="private"), advise(0, 1, "wipeonfork"))
    impossible("advice", S, anon(), advise(0, 1, "remove"))


@pytest.mark.parametrize("kernel", ["3.19", "7.0"])
def test_only_shared_file_mappings_are_remapped(kernel):
    """mm/fremap.c and mm/mmap.c: EINVAL unless VM_SHARED."""
    for area in (anon(), file(kind="private")):
        impossible("addr", S, area, RemapFilePages(1, A, P, 4), kernel=kernel)
    impossible("len", S, file(0, 2), file(2, 2, page=9), RemapFilePages(1, A, 4 * P, 0), kernel="3.19")
    impossible("len", S, file(0, 2), file(2, 2, name="g"), RemapFilePages(1, A, 4 * P, 0))


def test_mremap_refuses():
    impossible("flags", S, anon(), remap(0, 4, 20, 6, also=["dontunmap"]))
    impossible("flags", S, anon(), remap(0, 4, 20, 2, also=["dontunmap"]))
    impossible("flags", S, anon(), Mremap(1, A, P, A + 20 * P, P, ["fixed"]))
    impossible("flags", S, anon(), Mremap(1, A, P, A + 20 * P, P, ["maymove", "maymove"]))
    impossible("flags", S, anon(also=["special"]), remap(0, 8, 20, also=["dontunmap"]))
    impossible("new_len", S, anon(), remap(0, 8, 20, 0))
    impossible("new_len", S, anon(also=["special"]), remap(0, 8, 20, 9))
    impossible("new_addr", S, anon(), remap(0, 4, 3))
    impossible("new_addr", S, anon(4, 4), remap(4, 4, 1))
    impossible("new_addr", S, anon(), anon(20, 1), remap(0, 4, 20, also=()))
    impossible("addr", S, anon(), Mremap(1, A + 1, P, A + 20 * P, P, FIXED))
    impossible("addr", S, anon(), remap(8, 2, 20))
    impossible("addr", S, anon(), remap(8, 2, 8, 4, also=()))
    impossible("new_len", S, anon(), Mremap(1, A, P, (1 << 47) - 2 * P, 2 * P, FIXED))
    impossible("new_len", S, anon(0, 4), anon(5, 1), remap(0, 4, 0, 6, also=()))
    assert vmas(S, anon(4, 4), remap(4, 4, 0)) == vmas(S, anon(0, 4), remap(0, 4, 0, 4, also=())) == [(0, 4)]
    assert vmas(S, anon(0, 4), remap(0, 4, 4)) == [(4, 4)]  # ranges that only meet do not overlap


def test_mmap_refuses_a_flag_given_twice():
    impossible("flags", S, Mmap(1, A, P, "rw-", ANON + ["locked", "locked"]))


def test_processes_that_exist_or_do_not():
    for event in (Spawn(1), Fork(2, 3), Exec(2), Exit(2), Vfork(2, 3), CloneVm(2, 3), Munmap(2, A, P), Brk(2, A)):
        impossible("pid", S, event)
    for event in (Fork(1, 1), Vfork(1, 1), CloneVm(1, 1)):
        impossible("child", S, event)
    impossible("child", S, Fork(1, 2), Vfork(1, 2))


def test_the_break_stays_in_user_memory_above_its_start():
    impossible("addr", S, Brk(1, 1 << 47))
    impossible("addr", S, Brk(1, A), Brk(1, A - P))
    impossible("addr", S, Brk(1, A), anon(3, 1), Brk(1, A + 3 * P))  # one page stays free
    assert vmas(S, Brk(1, A), anon(4, 1), Brk(1, A + 3 * P)) == [(0, 3), (4, 1)]
    assert machine(S, Brk(1, A), Brk(1, A + 3 * P), Brk(1, A + 7)).processes[1].brk == (A, A + 7)


def test_the_break_no_longer_joins_what_lies_below_its_start_from_6_1():
    """mm/mmap.c:sys_brk of 6.1 looks for the vma to grow above start_brk; vma_merge of 6.0 takes any that fits."""
    events = (S, anon(0, 2), Brk(1, A + 2 * P), Brk(1, A + 4 * P))
    assert vmas(*events, kernel="6.0") == [(0, 4)]
    assert vmas(*events, kernel="6.1") == [(0, 2), (2, 2)]


# -- merging and splitting


@pytest.mark.parametrize("kernel", ["2.4.22", "2.6.4"])
def test_2_4s_mremap_merged_anonymous_private_areas_only(kernel):
    """mm/mremap.c:move_vma, 2.4.22: a new vma that fits is put into prev or next, files and shared memory never."""
    for areas, left in (((anon(0, 2), anon(20, 2)), 1), ((file(0, 2), file(20, 2, page=2)), 2)):
        assert len(vmas(S, *areas, remap(20, 2, 2), kernel=kernel, strategy="pte_chain")) == left


def test_growth_in_place_may_swallow_the_next_area_since_6_0():
    events = (S, anon(0, 2), anon(4, 2), remap(0, 2, 0, 4, also=()))
    assert vmas(*events, kernel="6.0") == [(0, 6)] and vmas(*events, kernel="5.19") == [(0, 4), (4, 2)]


@pytest.mark.parametrize("procedure", ["2.6.20", "6.1", "6.12"])
def test_a_change_of_protection_joins_whichever_neighbour_it_equals(procedure):
    """The eight cases of vma_merge: [prev][middle][next] with the whole or a part of the middle changed."""
    accounted = lambda first, n: vmas(
        S, anon(0, 8), write(2, 4), Mprotect(1, A, 2 * P, "r--"), Mprotect(1, A + 6 * P, 2 * P, "r--"),
        Mprotect(1, A + first * P, n * P, "r--"), kernel=procedure)
    assert accounted(2, 4) == [(0, 8)]                        # case 6
    assert accounted(2, 2) == [(0, 4), (4, 2), (6, 2)]        # case 5
    assert accounted(4, 2) == [(0, 2), (2, 2), (4, 4)]        # case 4
    assert accounted(3, 2) == [(0, 2), (2, 1), (3, 2), (5, 1), (6, 2)]


def test_munmap_and_mprotect_keep_pages_and_offsets_of_file_areas():
    cut = (S, file(0, 8, page=10), Munmap(1, A + 2 * P, 3 * P))
    model = machine(*cut, read(0, 2), read(5, 3))
    assert [(vma.pgoff, vma.pages) for vma in model.processes[1].vmas] == [(10, 2), (15, 3)]
    view = Mmap(1, A + 100 * P, 8 * P, "r--", ["shared"], "f", 10 * P)
    assert pages(*cut, view, read(0, 2), read(5, 3), read(100, 8)) == [
        (0, 2, 2), (5, 3, 2), (100, 2, 2), (102, 3, 1), (105, 3, 2)]


# -- moves that a design refuses, and what follows


def test_what_a_refused_event_would_have_mapped_moves_on_with_later_calls():
    """anon_vma_chain keeps the touched areas apart: the first move is refused, the second moves what is not there."""
    apart = (S, anon(0, 2), anon(20, 2), write(0, 1), write(20, 1), remap(20, 2, 2),
             remap(0, 4, 100), remap(100, 4, 200))
    told = lambda *more: [(each["op"], each["because"]) for each in machine(*apart, *more, kernel="6.16").refused]
    assert told() == [("mremap", None), ("mremap", 7)]
    assert told(write(200, 4)) == [("mremap", None), ("mremap", 7), ("write", 8)]  # line 8 would have put it there
    impossible("addr", *apart, write(100, 1), kernel="6.16")


# -- files and their pages


def test_remap_file_pages_keeps_a_shared_anonymous_object_until_its_last_mapping_goes():
    events = (S, Mmap(1, A, 4 * P, "rw-", SHMEM), write(0, 4), RemapFilePages(1, A, 2 * P, 2))
    assert pages(*events) == [(0, 4, 2)]
    model = machine(*events, Munmap(1, A, 4 * P))
    assert model.frames.alive == 0 and not model.file_numbers


def test_nonlinear_pages_are_forgotten_with_their_area_and_copied_by_fork_and_move():
    """mm/fremap.c, 2.6.11: 0 and 1 show pages 8 and 9; a view of page 8 tells them apart."""
    area = lambda page: Mmap(1, A, 4 * P, "rw-", ["shared"], "f", page * P)
    view = Mmap(1, A + 100 * P, 2 * P, "r--", ["shared"], "f", 8 * P)
    odd = (S, area(0), view, read(100, 2), RemapFilePages(1, A, 2 * P, 8))
    options = {"kernel": "2.6.11", "strategy": "anon_vma"}
    assert pages(*odd, **options) == [(0, 2, 2), (100, 2, 2)]
    assert pages(*odd, Fork(1, 2), **options) == [(0, 2, 4), (100, 2, 4)]
    assert pages(*odd, advise(0, 2, "dontneed"), read(0, 1), **options) == [(0, 1, 2), (100, 1, 2), (101, 1, 1)]
    assert pages(*odd, remap(0, 4, 50), **options) == [(50, 2, 2), (100, 2, 2)]
    assert pages(*odd, remap(0, 4, 50), advise(50, 4, "dontneed"), read(50, 4), **options) == [
        (50, 2, 2), (52, 2, 1), (100, 2, 2)]
    anew = (*odd, Munmap(1, A, 4 * P), area(4), RemapFilePages(1, A + 3 * P, P, 20), read(0, 4))
    assert pages(*anew, **options) == [(0, 4, 1), (100, 2, 1)]


def test_a_hole_punched_in_a_file_takes_its_pages_from_every_mapping():
    maps = (S, file(0, 4), file(100, 4, page=2), Fork(1, 2), read(0, 4), read(100, 4), Read(2, A, 4 * P))
    model = machine(*maps, advise(2, 1, "remove"))
    assert model.runs(model.processes[1]) == [
        [A // P, 2, 2], [A // P + 3, 1, 3], [A // P + 101, 1, 3], [A // P + 102, 2, 1]]
    assert model.frames.alive == 5


def test_reclaim_of_a_range_or_a_process_walks_just_that():
    events = (S, anon(), write(0, 8), Spawn(2), anon(0, 4, pid=2), Write(2, A, 4 * P))
    walked = lambda last: run([*events, last]).result()["reclaim"]["pages"]
    lasts = (Reclaim(), Reclaim(1), Reclaim(2), Reclaim(1, A + P, 3 * P), Reclaim(1, A + 10, P))
    assert [walked(last) for last in lasts] == [
        12, 8, 4, 3, 2]
    impossible("len", *events, Reclaim(1, (1 << 47) - P, P))
    impossible("pid", *events, Swapout(3))


def test_freed_pages_of_a_fork_stay_and_swapped_ones_go():
    """mm/madvise.c:madvise_free_pte_range drops swap entries, and leaves pages alone that others map."""
    assert pages(S, anon(), write(0, 4), Fork(1, 2), advise(0, 4, "free"), Swapout(), read(0, 4)) == [(0, 4, 1)]
    gone = machine(S, anon(), write(0, 4), Swapout(), advise(0, 4, "free"))
    assert gone.swap.alive == 0


def test_munlock_of_a_part():
    assert vmas(S, anon(), Mlock(1, A, 8 * P), Munlock(1, A + 2 * P, 2 * P)) == [(0, 2), (2, 2), (4, 4)]
    impossible("addr", S, anon(), Munlock(1, A + 7 * P, 2 * P))


# -- the ends of user memory


@pytest.mark.parametrize("arch, end", [("x86_64", (1 << 47) - P), ("i386", 3 << 30)])
def test_the_last_page_of_user_memory_can_be_mapped_moved_to_and_touched(arch, end):
    last = end - P
    model = machine(S, Mmap(1, last, P, "rw-", ANON), Write(1, last, P), arch=arch)
    assert [vma.end * P for vma in model.processes[1].vmas] == [end]
    moved = machine(S, anon(0, 1), Mremap(1, A, P, last, P, FIXED), arch=arch)
    assert [vma.end * P for vma in moved.processes[1].vmas] == [end]
    for event in (Mmap(1, last, 2 * P, "rw-", ANON), Mremap(1, A, P, end, P, FIXED)):
        with pytest.raises(InputError):
            machine(S, anon(0, 1), event, arch=arch)


def test_the_last_page_of_a_file_that_an_index_can_name():
    top = ((1 << 32) - 2) * P
    machine(S, Mmap(1, A, 2 * P, "r--", ["private"], "f", top), arch="i386")
    with pytest.raises(InputError, match="EOVERFLOW"):
        machine(S, Mmap(1, A, 3 * P, "r--", ["private"], "f", top), arch="i386")


# -- refusals of mremap


@pytest.mark.parametrize("event", [
    Mremap(1, A + 40 * P, P, A + 60 * P, P, FIXED),                    # nothing mapped there
    Mremap(1, A, 4 * P, A + 2 * P, 4 * P, FIXED),                      # onto itself
    Mremap(1, A + 6 * P, 4 * P, A + 60 * P, 4 * P, FIXED),             # two areas of different protection
], ids=["unmapped", "overlap", "unlike"])
def test_mremap_refuses_with_an_error(event):
    with pytest.raises(InputError):
        machine(S, anon(0, 8, "r--"), anon(8, 8, "rw-"), event, kernel="6.16")


# -- flags that advice sets leave the protection alone


@pytest.mark.parametrize("advice", ["dontfork", "dofork", "dontdump", "dodump", "hugepage", "nohugepage", "mergeable",
                                    "unmergeable", "wipeonfork", "keeponfork", "random", "sequential", "normal"])
def test_advice_gives_no_access(advice):
    assert prot_text(flags(S, anon(prot="---"), Madvise(1, A, 8 * P, advice))) == "---"


def test_advice_goes_on_behind_a_hole():
    model = machine(S, anon(0, 2), anon(4, 2), Madvise(1, A, 6 * P, "dontdump"), Madvise(1, A + 2 * P, 9 * P, "random"))
    assert [bool(vma.flags & RAND_READ) for vma in model.processes[1].vmas] == [False, True]


# -- merging


def test_a_middle_between_two_touched_areas_joins_the_lower_only():
    """[touched X][untouched][touched Y]: X and Y have anon_vmas of their own (kernel-facts 13.5)."""
    apart = [S, anon(0, 2), write(0, 2), anon(4, 2), write(4, 2), anon(2, 2, "r--"), Mprotect(1, A + 2 * P, 2 * P, "rw-")]
    for kernel in ("2.6.11", "3.10", "6.10", "6.12", "7.0"):
        strategy = "anon_vma" if kernel == "2.6.11" else "anon_vma_chain"
        assert vmas(*apart, kernel=kernel, strategy=strategy) == [(0, 4), (4, 2)], kernel


def test_an_mprotect_that_changes_nothing_merges_nothing_from_2_6_7_on():
    """6.10: a touched area does not join an untouched one below that is now like it, nor when that is protected anew."""
    events = [S, anon(2, 2), write(2, 2), Mprotect(1, A + 2 * P, 2 * P, "r--"), anon(0, 2),
              Mprotect(1, A + 2 * P, 2 * P, "rw-")]
    assert vmas(*events, kernel="6.10") == [(0, 2), (2, 2)]
    assert vmas(*events, Mprotect(1, A, 2 * P, "rw-"), kernel="6.10") == [(0, 2), (2, 2)]


# -- locked areas that grow


def test_only_what_a_locked_area_grew_by_is_touched():
    """The untouched area right below the target stays untouched."""
    grown = machine(S, anon(20, 4, also=[]), anon(0, 2, also=["locked"]), remap(0, 2, 24, 4))
    assert [(page - A // P, n) for page, n, _ in grown.runs(grown.processes[1])] == [(24, 4)]


# -- what leaves memory comes back


def test_a_frame_is_free_when_nothing_maps_it_and_no_slot_holds_its_page():
    model = machine(S, anon(0, 8), write(0, 8), Munmap(1, A, 8 * P))
    assert model.frames.alive == 0
    model = machine(S, anon(0, 8), write(0, 8), Fork(1, 2), Swapout(), read(0, 4), Exit(1), read(0, 2, pid=2))
    assert model.frames.alive == 4 and model.swap.alive == 6  # two mapped, two in the swap cache; slots of what 2 did not read
    model = machine(S, anon(0, 8), write(0, 8), Fork(1, 2), Swapout(), read(0, 4), Exit(1), Exit(2))
    assert model.frames.alive == model.swap.alive == 0


def test_fork_counts_a_reference_of_each_swap_slot():
    both = [S, anon(0, 4), write(0, 4), Swapout(), Fork(1, 2)]
    model = machine(*both)
    assert model.swap.count[1:5].tolist() == [2] * 4
    model = machine(*both, Exit(2), read(0, 4))
    assert model.swap.alive == 0 and [(n, count) for _, n, count in model.runs(model.processes[1])] == [(4, 1)]


def test_a_frame_that_was_swapped_out_forgets_its_slot():
    model = machine(S, anon(0, 4), write(0, 4), Swapout(), Munmap(1, A, 4 * P), anon(0, 4), write(0, 4))
    assert model.frames.swap_slots(model.resident()).tolist() == [0] * 4


def test_free_gives_up_a_single_swapped_page():
    model = machine(S, anon(0, 1), write(0, 1), Swapout(), Madvise(1, A, P, "free"))
    assert model.swap.alive == 0 and model.processes[1].table.at(A // P) == 0


@pytest.mark.parametrize("strategy", ["pte_chain", "objrmap", "anonmm", "anonmm_copy", "anon_vma", "shared_space",
                                      "anon_vma_chain", "cow_context"])
def test_a_copy_of_a_files_page_leaves_the_files_page_to_others(strategy):
    """Two processes read a private file area, one writes a page of it; a move copies no page of the file."""
    both = [S, file(0, 4, kind="private"), read(0, 4), Fork(1, 2), read(0, 4, pid=2), write(1, 1)]
    model = machine(*both, strategy=strategy)
    assert [(page - A // P, n, count) for page, n, count in model.runs(model.processes[1])] \
        == [(0, 1, 2), (1, 1, 1), (2, 2, 2)]
    moved = machine(*both, remap(0, 4, 20, pid=2), strategy=strategy)
    assert [count for _, _, count in moved.runs(moved.processes[2])] == [2, 1, 2] and moved.ledger.copies == 0


def test_a_shared_object_outlives_its_last_vma_while_that_is_replaced():
    """remap_file_pages on all of a shared anonymous mapping, from 4.0 on: the pages stay, and go with the last vma."""
    turned = [S, Mmap(1, A, 4 * P, "rw-", SHMEM), write(0, 4), RemapFilePages(1, A, 2 * P, 2), Munmap(1, A + 2 * P, 2 * P),
              RemapFilePages(1, A, 2 * P, 0)]
    model = machine(*turned)
    assert model.frames.alive == 4 and [area["shmem"] for area in model.areas(model.processes[1])] == [True]
    gone = machine(*turned, Exit(1))
    assert gone.frames.alive == 0 and not gone.file_numbers


# -- what is told of memory


def test_runs_end_at_a_hole_of_one_page():
    assert pages(S, anon(), write(0, 1), write(2, 2), write(6, 1)) == [(0, 1, 1), (2, 2, 1), (6, 1, 1)]


def test_truth_of_some_frames_is_of_those():
    model = machine(S, anon(0, 4), write(0, 4), Fork(1, 2))
    frames = model.resident()[1:3]
    found, mm, page = model.truth(frames)
    assert found.tolist() == np.repeat(frames, 2).tolist()
    assert (page - A // P).tolist() == [1, 1, 2, 2] and mm.tolist() == [1, 2, 1, 2]


def test_check_tells_a_wrong_count_of_mappings():
    model = machine(S, anon(0, 4), write(0, 4))
    for wrong in (-1, 1):
        model.mappings += wrong
        with pytest.raises(AssertionError, match="count of mappings"):
            model.check()
        model.check(model.resident())  # of some frames only: not looked at
        model.mappings -= wrong


@pytest.mark.parametrize("event", [write(4, 4), read(0, 2, pid=2), Swapout(), Fork(1, 3), Munmap(1, A, 2 * P)])
def test_an_event_names_the_frames_it_touched(event):
    """For Machine.check(frames): every frame whose mappings changed."""
    model = machine(S, anon(0, 8), write(0, 4), Fork(1, 2), Swapout(1, A, P))
    file_read = machine(S, file(0, 2), read(0, 2))
    assert set(np.concatenate(file_read.touched).tolist()) == set(file_read.resident().tolist())
    before = {tuple(row) for row in zip(*(column.tolist() for column in model.truth()))}
    model.apply(event)
    after = {tuple(row) for row in zip(*(column.tolist() for column in model.truth()))}
    changed = {frame for frame, _, _ in before ^ after}
    assert changed and changed <= set(np.concatenate(model.touched).tolist())


def test_memory_for_frames_is_charged():
    """100,000 pages need more than their page tables: 17 bytes a frame."""
    with pytest.raises(InputError, match="max-memory"):
        machine(S, anon(0, 100_000), write(0, 100_000), max_memory=1 << 20)
    small = machine(S, anon(0, 1000), write(0, 1000))
    assert small.budget.used > 17 * len(small.frames.mapcount)


# -- what a sample of mutants had slipped past


def test_dontunmap_leaves_the_source_unlocked():
    model = machine(S, anon(0, 4, also=["locked"]), remap(0, 4, 20, also=["fixed", "dontunmap"]))
    assert [bool(vma.flags & LOCKED) for vma in model.processes[1].vmas] == [False, True]


def test_what_lies_at_the_end_of_user_memory_can_be_moved_and_locked_and_nothing_behind_it():
    end = (1 << 47) - P
    last = [S, Mmap(1, end - P, P, "rw-", ANON)]
    assert vmas(*last, Mremap(1, end - P, P, A, P, FIXED)) == [(0, 1)]
    machine(*last, Mlock(1, end - P, P))
    impossible("len", *last, Mlock(1, end - P, 2 * P))


def test_the_break_keeps_its_distance_from_a_stack_that_begins_right_behind_it():
    """One page above the new break: free, but within the stack's gap."""
    stack = Mmap(1, A + 5 * P, P, "rw-", ANON + ["growsdown"])
    impossible("addr", S, Brk(1, A), stack, Brk(1, A + 4 * P))


def test_each_event_names_its_own_frames_only():
    model = machine(S, anon(0, 4), write(0, 4), Fork(1, 2), Exit(2))
    model.apply(write(1, 1))  # the last owner keeps it: no other mapping, but another owner
    assert np.concatenate(model.touched).tolist() == [model.processes[1].table.at(A // P + 1)]
    model.apply(Mprotect(1, A, P, "r--"))
    assert model.touched == []


def test_up_to_2_6_6_the_first_part_of_an_area_joins_the_one_below():
    """[r--][rw- rw- rw-], and the first of the three made r--: the boundary moves up."""
    events = [S, anon(0, 4), Mprotect(1, A, P, "r--"), Mprotect(1, A + P, P, "r--")]
    assert vmas(*events, kernel="2.6.4", strategy="pte_chain") == [(0, 2), (2, 2)]


def test_what_memory_is_charged_to_the_last_byte():
    """An mm, a vma, leaves of 512 entries of 4 bytes with 200 for their place, 17 bytes a frame."""
    empty, full = machine(S, strategy="page_table_scan"), machine(S, anon(0, 3000), write(0, 3000),
                                                                strategy="page_table_scan")
    leaves = len(full.processes[1].table.leaves)
    assert empty.budget.used == 2500
    assert full.budget.used == 2500 + 700 + leaves * (512 * 4 + 200) + 17 * len(full.frames.mapcount)
    gone = machine(S, Mmap(1, A, 8 * P, "rw-", SHMEM), write(0, 8), Munmap(1, A, 8 * P), strategy="page_table_scan")
    assert gone.budget.used == 2500 + 17 * len(gone.frames.mapcount)  # the page cache of a shared object goes with it


def test_check_tells_a_walk_that_finds_too_much(monkeypatch):
    model = machine(S, anon(0, 1), write(0, 1))
    right = model.strategy.walk

    def wrong(frames, log=None):
        found = right(frames, log)
        found.found(frames, 1, np.array([A // P + 9]))
        return found
    monkeypatch.setattr(model.strategy, "walk", wrong)
    with pytest.raises(AssertionError, match="the walk finds 2 mappings of 1"):
        model.check()


def test_a_nonlinear_area_shows_other_pages_only_where_it_was_told_to():
    """Page 2 at the first place; the others, read later, in their own."""
    model = machine(S, file(0, 4, page=8), RemapFilePages(1, A, P, 10), read(0, 4), kernel="2.6.20")
    frames = model.processes[1].table.gather(np.arange(A // P, A // P + 4))
    assert model.frames.index[frames].tolist() == [10, 9, 10, 11]


def test_page_numbers_of_files_end_where_their_bytes_do():
    """x86_64: 2^64 bytes; a nonlinear mapping of pages beyond 8 TiB is more than is modelled."""
    top = (1 << 52) * P
    machine(S, Mmap(1, A, 2 * P, "r--", ["private"], "f", top - 2 * P))
    impossible("offset", S, Mmap(1, A, 2 * P, "r--", ["private"], "f", top - P))
    for pgoff in ((1 << 31) - 1, 1 << 31, 1 << 40):
        impossible("pgoff", S, file(0, 4), RemapFilePages(1, A, P, pgoff), kernel="2.6.20")
