"""What each system call and fault does to vmas and pages, the same for every design."""

import pytest

from rmapmodel.errors import InputError
from rmapmodel.events import (Brk, CloneVm, Exec, Exit, Fork, Madvise, Mlock, Mmap, Mprotect, Mremap, Munlock, Munmap, Read,
                              Reclaim, RemapFilePages, Spawn, Swapout, Vfork, Write)
from tests.traces import run

P = 4096
A, B = 0x100000, 0x200000
ANON, SHARED = ["private", "anonymous"], ["shared", "anonymous"]
FIXED = ["maymove", "fixed"]


def result(*events, strategy="anon_vma_chain", **options):
    return run(events, strategy, after=lambda machine, count: machine.check(), **options).result(pages=True)


def vmas(*events, pid="1", **options):
    """(first page, pages, prot) of each vma, pages counted from A."""
    return [((v["start"] - A) // P, (v["end"] - v["start"]) // P, v["prot"])
            for v in result(*events, **options)["processes"][pid]["vmas"]]


def pages(*events, pid="1", **options):
    """(first page, pages, mapcount) runs, pages counted from A."""
    return [((addr - A) // P, n, count) for addr, n, count in result(*events, **options)["processes"][pid]["pages"]]


def anon(pages=8, prot="rw-", at=A, pid=1, flags=()):
    return Mmap(pid, at, pages * P, prot, ANON + list(flags))


def impossible(*events, field=None, **options):
    with pytest.raises(InputError) as caught:
        result(*events, **options)
    assert caught.value.line == len(events)
    assert field is None or caught.value.field == field
    return str(caught.value)


S = Spawn(1)


# -- touching


def test_reading_anonymous_memory_maps_the_zero_page_and_writing_maps_frames():
    assert pages(S, anon(), Read(1, A, 4 * P)) == []
    assert pages(S, anon(), Read(1, A, 4 * P), Write(1, A + P, 2 * P)) == [(1, 2, 1)]
    assert pages(S, anon(), Write(1, A + 100, P)) == [(0, 2, 1)]  # part of a page is the page
    assert pages(S, anon(), Write(1, A, 0)) == []


def test_copy_on_write_and_re_use_by_the_last_owner():
    shared = (S, anon(), Write(1, A, 4 * P), Fork(1, 2))
    assert pages(*shared) == [(0, 4, 2)]
    assert pages(*shared, Write(2, A, P)) == [(0, 1, 1), (1, 3, 2)]
    machine = run([*shared, Exit(1)]).machine
    before = machine.processes[2].table.at(A // P)
    machine.apply(Write(2, A, P))
    assert machine.processes[2].table.at(A // P) == before


def test_private_file_pages_are_shared_until_written():
    maps = (S, Mmap(1, A, 4 * P, "rw-", ["private"], "f", 0), Mmap(1, B, 4 * P, "rw-", ["private"], "f", 0))
    assert pages(*maps, Read(1, A, 4 * P), Read(1, B, 2 * P)) == [(0, 2, 2), (2, 2, 1), (256, 2, 2)]
    assert pages(*maps, Read(1, A, 4 * P), Read(1, B, 2 * P), Write(1, A, P)) == [(0, 1, 1), (1, 1, 2), (2, 2, 1),
                                                                                 (256, 1, 1), (257, 1, 2)]


def test_fork_copies_no_ptes_of_untouched_or_shared_areas_since_2_6_14():
    events = (S, Mmap(1, A, 2 * P, "rw-", ["shared"], "f", 0), Write(1, A, 2 * P), Fork(1, 2))
    assert pages(*events, pid="2") == []
    assert pages(*events, pid="2", kernel="2.6.13") == [(0, 2, 2)]
    assert pages(*events, pid="2", kernel="2.6.14") == []


@pytest.mark.parametrize("event, field", [
    (Read(1, A + 8 * P, P), "addr"), (Write(1, B, P), "addr"), (Read(2, A, P), "pid"), (Read(1, 1 << 60, P), "addr"),
])
def test_touches_that_fault(event, field):
    impossible(S, anon(), event, field=field)


def test_protection_is_obeyed():
    impossible(S, anon(prot="r--"), Write(1, A, P), field="addr")
    impossible(S, anon(prot="---"), Read(1, A, P), field="addr")
    impossible(S, anon(prot="-w-"), Read(1, A, P), field="addr")
    assert pages(S, Mmap(1, A, P, "--x", ["private"], "f", 0), Read(1, A, P)) == [(0, 1, 1)]


def test_a_shared_anonymous_object_ends_where_mmap_said():
    maps = (S, Mmap(1, A, 2 * P, "rw-", SHARED), Write(1, A, 2 * P), Mremap(1, A, 2 * P, A, 4 * P))
    assert vmas(*maps) == [(0, 4, "rw-")]
    assert "SIGBUS" in impossible(*maps, Write(1, A + 2 * P, P))


def test_stack_grows_to_the_page_touched_if_256_pages_remain_below():
    stack = Mmap(1, A + 1000 * P, 2 * P, "rw-", ANON + ["growsdown"])
    assert vmas(S, stack, Write(1, A + 990 * P, P)) == [(990, 12, "rw-")]
    assert result(S, stack, Read(1, A + 990 * P, P))["objects"]["anon_vma"] == 1
    assert vmas(S, anon(), stack, Write(1, A + 264 * P, P))[1] == (264, 738, "rw-")
    impossible(S, anon(), stack, Write(1, A + 263 * P, P))
    assert vmas(S, anon(prot="---"), stack, Write(1, A + 8 * P, P))[1] == (8, 994, "rw-")


# -- mmap, munmap, mprotect


def test_mmap_merges_with_both_neighbours():
    assert vmas(S, anon(2), anon(2, at=A + 4 * P), anon(2, at=A + 2 * P)) == [(0, 6, "rw-")]


@pytest.mark.parametrize("flag", ["noreserve", "growsdown", "stack", "special", "locked"])
def test_flags_keep_areas_apart(flag):
    assert len(vmas(S, anon(2), anon(2, at=A + 2 * P, flags=[flag]))) == 2
    same = vmas(S, anon(2, flags=[flag]), anon(2, at=A + 2 * P, flags=[flag]))
    assert len(same) == (2 if flag == "special" else 1)


def test_file_areas_merge_when_offsets_continue():
    part = lambda at, offset, file="f": Mmap(1, A + at * P, 2 * P, "r--", ["private"], file, offset * P)
    assert vmas(S, part(0, 0), part(2, 2)) == [(0, 4, "r--")]
    assert len(vmas(S, part(0, 0), part(2, 3))) == 2
    assert len(vmas(S, part(0, 0), part(2, 2, "g"))) == 2
    assert len(vmas(S, part(0, 0), part(2, 2), kernel="2.4.22", strategy="pte_chain")) == 2
    objects = (S, Mmap(1, A, 2 * P, "rw-", SHARED), Mmap(1, A + 2 * P, 2 * P, "rw-", SHARED))
    assert len(vmas(*objects)) == 2


def test_vm_account_keeps_once_writable_memory_apart_from_memory_that_never_was():
    """kernel-facts 13.6 and 14.2"""
    fresh = anon(2, "r--", at=A + 2 * P)
    untouched = (S, anon(2), Mprotect(1, A, 2 * P, "r--"), fresh)
    assert len(vmas(*untouched)) == 1 and len(vmas(*untouched, kernel="6.6")) == 2
    assert len(vmas(S, anon(2), Write(1, A, P), Mprotect(1, A, 2 * P, "r--"), fresh)) == 2


def test_munmap_splits_and_mmap_fixed_replaces():
    assert vmas(S, anon(), Munmap(1, A + 2 * P, P)) == [(0, 2, "rw-"), (3, 5, "rw-")]
    assert vmas(S, anon(), Mmap(1, A + 2 * P, P, "r--", ANON + ["fixed"])) == [(0, 2, "rw-"), (2, 1, "r--"), (3, 5, "rw-")]
    impossible(S, anon(), anon(2, at=A + 7 * P), field="addr")


def test_mprotect_splits_merges_and_stops_at_nothing_but_a_hole():
    split = (S, anon(), Mprotect(1, A + 2 * P, 2 * P, "r--"))
    assert vmas(*split) == [(0, 2, "rw-"), (2, 2, "r--"), (4, 4, "rw-")]
    assert vmas(*split, Mprotect(1, A, 8 * P, "rw-")) == [(0, 8, "rw-")]
    impossible(S, anon(2), anon(2, at=A + 3 * P), Mprotect(1, A, 5 * P, "r--"), field="addr")


@pytest.mark.parametrize("event, field", [
    (Mmap(1, A + 1, P, "rw-", ANON), "addr"), (Mmap(1, A, 0, "rw-", ANON), "len"), (Munmap(1, A + 5, P), "addr"),
    (Munmap(1, A, 0), "len"), (Mmap(1, (1 << 47) - 4096, P, "rw-", ANON), "len"), (Mmap(1, A, 1 << 60, "rw-", ANON), "len"),
    (Mmap(1, A, P, "rw-", SHARED + ["growsdown"]), "flags"), (Mmap(9, A, P, "rw-", ANON), "pid"),
    (Mmap(1, A, P, "r--", ["private"], "f", 5), "offset"), (Fork(1, 1), "child"), (Spawn(1), "pid"), (Exit(3), "pid"),
])
def test_impossible_calls(event, field):
    impossible(S, event, field=field)


# -- mremap


def test_mremap_grows_and_shrinks_in_place():
    assert vmas(S, anon(4), Mremap(1, A, 4 * P, A, 2 * P)) == [(0, 2, "rw-")]
    assert vmas(S, anon(4), Mremap(1, A, 4 * P, A, 6 * P)) == [(0, 6, "rw-")]
    assert vmas(S, anon(4), anon(2, at=A + 6 * P), Mremap(1, A, 4 * P, A, 6 * P)) == [(0, 8, "rw-")]
    assert len(vmas(S, anon(4), anon(2, at=A + 6 * P), Mremap(1, A, 4 * P, A, 6 * P), kernel="5.15")) == 2
    impossible(S, anon(4), anon(2, at=A + 5 * P), Mremap(1, A, 4 * P, A, 6 * P), field="new_len")
    impossible(S, anon(4), Mremap(1, A, 2 * P, A, 3 * P), field="len")


def test_mremap_moves_pages_with_their_mapcount():
    events = (S, anon(), Write(1, A, 4 * P), Fork(1, 2), Mremap(1, A + P, 2 * P, A + 20 * P, 2 * P, FIXED))
    assert vmas(*events) == [(0, 1, "rw-"), (3, 5, "rw-"), (20, 2, "rw-")]
    assert pages(*events) == [(0, 1, 2), (3, 1, 2), (20, 2, 2)]


def test_mremap_fixed_unmaps_its_target_and_may_grow_or_shrink():
    over = (S, anon(4), anon(4, "r--", at=A + 20 * P), Mremap(1, A, 2 * P, A + 21 * P, 2 * P, FIXED))
    assert vmas(*over) == [(2, 2, "rw-"), (20, 1, "r--"), (21, 2, "rw-"), (23, 1, "r--")]
    assert vmas(S, anon(4), Mremap(1, A, 4 * P, A + 20 * P, 6 * P, FIXED)) == [(20, 6, "rw-")]
    assert vmas(S, anon(4), Mremap(1, A, 4 * P, A + 20 * P, 2 * P, FIXED)) == [(20, 2, "rw-")]
    impossible(S, anon(4), Mremap(1, A, 4 * P, A + 2 * P, 4 * P, FIXED), field="new_addr")
    impossible(S, anon(4), Mremap(1, A, 4 * P, B, 4 * P, []), field="flags")
    impossible(S, anon(4), anon(2, at=B), Mremap(1, A, 4 * P, B, 4 * P, ["maymove"]), field="new_addr")


def test_mremap_dontunmap_and_duplicates():
    assert vmas(S, anon(4), Write(1, A, P), Mremap(1, A, 4 * P, B, 4 * P, FIXED + ["dontunmap"])) == [
        (0, 4, "rw-"), (256, 4, "rw-")]
    shared = (S, Mmap(1, A, 4 * P, "rw-", ["shared"], "f", 0), Write(1, A, P))
    assert pages(*shared, Mremap(1, A, 0, B, 4 * P, ["maymove"]), Read(1, B, P)) == [(0, 1, 2), (256, 1, 2)]
    impossible(S, anon(4), Mremap(1, A, 0, B, 4 * P, ["maymove"]), field="len")
    impossible(*shared, Mremap(1, A, 0, A, 4 * P, FIXED), field="new_addr")


def test_untouched_memory_may_merge_with_its_own_copy_and_a_touched_neighbour():
    """
        ..[WWWW]..[rrrr] -> ..[WWWWrrrr]    the upper half of what was only read fills the hole: seen on 6.18.44
    """
    events = (S, anon(4, at=A + 2 * P), Write(1, A + 2 * P, 4 * P), anon(4, at=A + 8 * P), Read(1, A + 8 * P, 4 * P),
              Mremap(1, A + 10 * P, 2 * P, A + 6 * P, 2 * P, FIXED))
    assert vmas(*events) == [(2, 8, "rw-")]
    assert result(*events)["objects"] == {"vm_area_struct": 1, "anon_vma": 1, "anon_vma_chain": 1}


def test_a_move_may_span_vmas_and_holes_since_6_17():
    two = (S, anon(2), anon(2, "r--", at=A + 2 * P), anon(2, at=A + 5 * P), Mremap(1, A, 7 * P, B, 7 * P, FIXED))
    assert vmas(*two) == [(256, 2, "rw-"), (258, 2, "r--"), (261, 2, "rw-")]
    impossible(*two, kernel="6.16", field="len")
    impossible(S, anon(2, at=A + P), Mremap(1, A, 4 * P, B, 4 * P, FIXED), field="addr")


def test_what_a_design_kept_apart_is_refused_and_what_needs_it_is_skipped():
    """Two touched areas that anonmm has as one vma, and anon_vma_chain as two."""
    events = (S, anon(2), anon(2, at=B), Write(1, A, P), Write(1, B, P), Mremap(1, B, 2 * P, A + 2 * P, 2 * P, FIXED),
              Mremap(1, A, 4 * P, B, 4 * P, FIXED), Write(1, B, 4 * P), Mprotect(1, B, 4 * P, "r--"), Munmap(1, B, 4 * P),
              Reclaim())
    assert result(*events, kernel="6.16", strategy="anonmm")["refused"] == []
    told = result(*events, kernel="6.16")
    assert [(each["line"], each["op"], each["because"]) for each in told["refused"]] == [
        (7, "mremap", None), (8, "write", 7), (9, "mprotect", 7)]
    assert told["reclaim"]["mappings"] == 2  # the source stayed where it was


PREFIX = (S, Brk(1, A), Brk(1, A + 2 * P), anon(4, at=A + 10 * P), Write(1, A + 10 * P, P), anon(2, at=A + 30 * P),
          Write(1, A + 30 * P, P), Mremap(1, A + 30 * P, 2 * P, A + 14 * P, 2 * P, FIXED),
          Mremap(1, A + 10 * P, 6 * P, A + 200 * P, 8 * P, ["maymove"]), Write(1, A + 200 * P, 8 * P))


@pytest.mark.parametrize("after", [
    (Brk(1, A + 12 * P),), (Mmap(1, A + 8 * P, 2 * P, "r--", ANON), Mremap(1, A + 8 * P, 2 * P, A + 8 * P, 4 * P)),
    (Mmap(1, A + 10 * P, 2 * P, "r--", ANON), Read(1, A + 10 * P, 2 * P)),
    (anon(2, at=A + 60 * P), Mremap(1, A + 60 * P, 2 * P, A + 10 * P, 3 * P, ["maymove"])),
])
def test_what_a_refused_move_left_behind_is_in_nobodys_way(after):
    """The program goes on as if its move had worked; every design can follow it."""
    assert result(*PREFIX, *after, kernel="5.10", strategy="pte_chain")["refused"] == []
    refused = result(*PREFIX, *after, kernel="5.10")["refused"]
    assert [(each["op"], each["because"]) for each in refused] == [("mremap", None), ("write", 9)]


def test_a_refused_shrinking_move_still_drops_its_tail():
    events = (S, anon(4), Write(1, A, P), anon(8, at=A + 4 * P), Mremap(1, A + 7 * P, 5 * P, A - 3 * P, 6 * P, FIXED),
              Mremap(1, A - 3 * P, 10 * P, A + 57 * P, 8 * P, FIXED), Mmap(1, A - 3 * P, 12 * P, "rw-", SHARED))
    for strategy in ("pte_chain", "anon_vma", "shared_space", "anon_vma_chain"):
        for kernel in ("2.6.11", "5.10", "6.12", "7.0"):
            result(*events, kernel=kernel, strategy=strategy)


# -- brk


def test_brk_refuses_to_shrink_nothing_and_to_come_near_a_stack():
    shrink = (S, Brk(1, A), Brk(1, A + 4 * P), Munmap(1, A + 2 * P, 2 * P), Brk(1, A + 2 * P))
    impossible(*shrink, field="addr")
    assert vmas(*shrink, kernel="5.15") == [(0, 2, "rw-")]
    stack = (S, anon(1, at=A + 300 * P, flags=["growsdown"]), Brk(1, A))
    assert vmas(*stack, Brk(1, A + 43 * P))[0] == (0, 43, "rw-")
    impossible(*stack, Brk(1, A + 44 * P), field="addr")


def test_brk_records_its_start_grows_and_shrinks_by_whole_pages():
    assert vmas(S, Brk(1, A + 5)) == []
    assert vmas(S, Brk(1, A + 5), Brk(1, A + P)) == []
    assert vmas(S, Brk(1, A), Brk(1, A + P + 1)) == [(0, 2, "rw-")]
    assert vmas(S, Brk(1, A), Brk(1, A + 4 * P), Brk(1, A + 2 * P)) == [(0, 2, "rw-")]
    impossible(S, Brk(1, A), Brk(1, A - 1), field="addr")
    impossible(S, anon(1, at=A + 4 * P), Brk(1, A), Brk(1, A + 4 * P), field="addr")
    assert vmas(S, anon(1, at=A + 4 * P), Brk(1, A), Brk(1, A + 3 * P))[0] == (0, 3, "rw-")


def test_brk_is_inherited_by_fork_and_reset_by_exec():
    assert vmas(S, Brk(1, A), Brk(1, A + P), Fork(1, 2), Brk(2, A + 2 * P), pid="2")[-1][1] in (1, 2)
    assert vmas(S, Brk(1, A), Brk(1, A + P), Exec(1), Brk(1, A + 4 * P)) == []


# -- processes


def test_shared_mms_end_with_their_last_user():
    events = (S, anon(4), Write(1, A, P), Vfork(1, 2), CloneVm(1, 3), Exit(1))
    told = result(*events)
    assert told["processes"]["2"] == told["processes"]["3"] and told["objects"]["vm_area_struct"] == 1
    assert told["processes"]["2"]["pages"] == [[A, 1, 1]]
    assert result(*events, Exec(2), Exit(3))["objects"]["vm_area_struct"] == 0


def test_dontfork_and_wipeonfork():
    assert vmas(S, anon(), Madvise(1, A, 4 * P, "dontfork"), Fork(1, 2), pid="2") == [(4, 4, "rw-")]
    wiped = (S, anon(), Write(1, A, 8 * P), Madvise(1, A, 4 * P, "wipeonfork"), Fork(1, 2))
    assert pages(*wiped, pid="2") == [(4, 4, 2)]


# -- mlock and madvise


def test_mlock_splits_touches_and_is_not_inherited():
    locked = (S, anon(), Mlock(1, A + 2 * P, 2 * P))
    assert len(vmas(*locked)) == 3 and pages(*locked) == [(2, 2, 1)]
    assert vmas(*locked, Munlock(1, A, 8 * P)) == [(0, 8, "rw-")]
    assert pages(S, Mmap(1, A, 2 * P, "r--", ["private"], "f", 0), Mlock(1, A, P)) == [(0, 1, 1)]
    assert pages(S, anon(2, "---"), Mlock(1, A, P)) == []
    impossible(S, anon(2), Mlock(1, A, 4 * P), field="addr")


@pytest.mark.parametrize("there, back", [("dontfork", "dofork"), ("dontdump", "dodump"), ("wipeonfork", "keeponfork"),
                                         ("mergeable", "unmergeable"), ("random", "normal"), ("sequential", "normal")])
def test_advice_splits_and_its_undoing_merges(there, back):
    assert len(vmas(S, anon(), Madvise(1, A, 2 * P, there))) == 2
    assert len(vmas(S, anon(), Madvise(1, A, 2 * P, there), Madvise(1, A, 2 * P, back))) == 1


def test_advice_about_pages():
    full = (S, anon(4), Write(1, A, 4 * P))
    assert pages(*full, Madvise(1, A, 2 * P, "dontneed")) == [(2, 2, 1)]
    assert pages(*full, Madvise(1, A, 2 * P, "pageout")) == [(2, 2, 1)]
    assert pages(*full, Madvise(1, A, 2 * P, "cold"), Madvise(1, A, 2 * P, "willneed")) == [(0, 4, 1)]
    assert pages(*full, Fork(1, 2), Madvise(1, A, 2 * P, "pageout")) == [(0, 4, 2)]
    assert pages(S, anon(4), Madvise(1, A, 2 * P, "populate_write")) == [(0, 2, 1)]
    assert pages(S, anon(4), Madvise(1, A, 2 * P, "populate_read")) == []
    assert pages(S, anon(1), anon(1, at=A + 2 * P), Madvise(1, A, 3 * P, "dontneed")) == []  # over a hole
    shared = (S, Mmap(1, A, 4 * P, "rw-", ["shared"], "f", 0), Mmap(1, B, 4 * P, "r--", ["shared"], "f", 0),
              Write(1, A, 4 * P), Read(1, B, 4 * P))
    assert pages(*shared, Madvise(1, A, 2 * P, "remove")) == [(2, 2, 2), (258, 2, 2)]
    assert pages(*shared, Madvise(1, B, 2 * P, "remove")) == [(2, 2, 2), (258, 2, 2)]
    impossible(*shared, Madvise(1, B, 2 * P, "remove"), kernel="6.6", field="advice")
    for advice in ("cold", "pageout"):
        impossible(S, anon(1), Mlock(1, A, P), Madvise(1, A, P, advice), field="advice")
    impossible(S, anon(1, "--x"), Madvise(1, A, P, "populate_read"), field="advice")
    impossible(S, Mmap(1, A, P, "rw-", ["shared"], "f", 0), Madvise(1, A, P, "wipeonfork"), field="advice")
    impossible(S, anon(1), Mlock(1, A, P), Madvise(1, A, P, "dontneed"), field="advice")
    impossible(S, anon(1), Mlock(1, A, P), Madvise(1, A, P, "free"), field="advice")


def test_freed_pages_stay_until_a_write_keeps_or_a_swapout_drops_them():
    freed = (S, anon(4), Write(1, A, 4 * P), Madvise(1, A, 4 * P, "free"))
    assert pages(*freed) == [(0, 4, 1)]
    assert pages(*freed, Write(1, A, P), Swapout(), Read(1, A, 4 * P)) == [(0, 1, 1)]


def test_a_copy_made_by_another_process_keeps_no_freed_page():
    freed = (S, anon(2), Write(1, A, P), Madvise(1, A, P, "free"), Fork(1, 2), Write(2, A, P), Swapout(1), Read(1, A, P))
    assert pages(*freed) == []


# -- swap


def test_swap_slots_are_shared_until_the_last_entry_is_gone():
    out = (S, anon(2), Write(1, A, 2 * P), Fork(1, 2), Swapout())
    assert pages(*out) == []
    assert pages(*out, Read(1, A, P)) == [(0, 1, 1)]
    assert pages(*out, Read(1, A, P), Read(2, A, P)) == [(0, 1, 2)]
    assert pages(*out, Write(1, A, P), Read(2, A, P)) == [(0, 1, 1)]  # a copy while the other entry lives
    assert run([*out, Exit(1), Exit(2)]).machine.swap.alive == 0


def test_fork_makes_a_swapped_out_page_shared():
    """The entry forgets that its page was exclusive (mm/memory.c:copy_nonpresent_pte, 6.18)."""
    out = (S, anon(1), Write(1, A, P), Swapout(), Fork(1, 2), Read(2, A, P), Write(2, A, P), Read(1, A, P))
    assert pages(*out) == [(0, 1, 1)]


def test_locked_and_shared_pages_are_not_swapped_out():
    assert pages(S, anon(2), Mlock(1, A, P), Write(1, A, 2 * P), Swapout()) == [(0, 1, 1)]
    assert pages(S, Mmap(1, A, 2 * P, "rw-", SHARED), Write(1, A, 2 * P), Swapout()) == [(0, 2, 1)]
    private = (S, Mmap(1, A, 2 * P, "rw-", ["private"], "f", 0), Read(1, A, 2 * P), Write(1, A, P), Swapout())
    assert pages(*private) == [(1, 1, 1)]


def test_reclaim_walks_a_frame_once_an_event():
    twice = (S, Mmap(1, A, P, "r--", ["shared"], "f", 0), Mmap(1, B, P, "r--", ["shared"], "f", 0), Read(1, A, P), Read(1, B, P))
    counted = result(*twice, Reclaim())["reclaim"]
    assert (counted["pages"], counted["mappings"]) == (1, 2)
    assert result(*twice, Reclaim(1, A, P), Reclaim(1))["reclaim"]["pages"] == 2


# -- remap_file_pages


def test_remap_file_pages_is_nonlinear_before_4_0_and_makes_vmas_since():
    events = (S, Mmap(1, A, 4 * P, "rw-", ["shared"], "f", 0), Read(1, A, 4 * P), RemapFilePages(1, A, 2 * P, 2), Reclaim())
    assert len(vmas(*events, kernel="3.19")) == 1 and len(vmas(*events, kernel="4.0")) == 2
    assert pages(*events, kernel="3.19") == pages(*events) == [(0, 4, 2)]
    for strategy in ("pte_chain", "anon_vma"):
        assert result(*events, kernel="2.6.11", strategy=strategy)["reclaim"]["mappings"] == 4


def test_remap_file_pages_rounds_down():
    maps = (S, Mmap(1, A, 4 * P, "rw-", ["shared"], "f", 0))
    assert len(vmas(*maps, RemapFilePages(1, A + 5, P + 100, 7))) == 2
    impossible(*maps, RemapFilePages(1, A, 100, 7), field="len")


# -- limits


def test_offsets_end_with_the_page_cache_of_the_architecture():
    far = Mmap(1, A, P, "r--", ["private"], "f", 1 << 44)
    assert vmas(S, far) == [(0, 1, "r--")]
    impossible(S, far, arch="i386", field="offset")


def test_memory_is_estimated_before_it_is_taken():
    huge = (S, Mmap(1, A, 1 << 45, "rw-", ANON))
    assert result(*huge)["objects"]["vm_area_struct"] == 1
    assert "--max-memory" in impossible(*huge, Write(1, A, 1 << 45), max_memory=64 << 20)
    nonlinear = (S, Mmap(1, A, 1 << 33, "---", ["shared"], "f", 0), RemapFilePages(1, A, 1 << 33, 1))
    assert "--max-memory" in impossible(*nonlinear, kernel="2.6.11", max_memory=4 << 20)
    forks = [S, anon(2000), Write(1, A, 2000 * P)] + [Fork(1, pid) for pid in range(2, 60)]
    with pytest.raises(InputError, match="--max-memory"):
        run(forks, "pte_chain", max_memory=2 << 20)


def test_what_outlives_its_event_counts_too():
    """A file that was mapped once stays in memory, and so in the estimate; the locks of what is gone do not."""
    files = [each for n in range(2000) for each in (Mmap(1, A, P, "r--", ["private"], f"f{n}"), Munmap(1, A, P))]
    with pytest.raises(InputError, match="--max-memory"):
        run([Spawn(1), *files], max_memory=1 << 20)
    forks = [each for _ in range(8000) for each in (Fork(1, 2), Exit(2))]
    # in 2.6.34 each anon_vma has a lock of its own
    run([Spawn(1), Mmap(1, A, P, "rw-", ANON), Write(1, A, P), *forks], max_memory=1 << 20, kernel="2.6.34")
